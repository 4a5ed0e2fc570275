"""A body without its texts: nothing that anybody wrote is left, and every byte is in its place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.telemetry.structure import without_texts

pytestmark = pytest.mark.failure(142)

CASES = [
    ('{"model":"gpt-5.5","stream":true,"n":1.5e-7}', '{"model":"gpt-5.5","stream":true,"n":1.5e-7}'),
    ('{"text":"Ana ate 3.\\nYes \\u00fc\\"ü"}', '{"text":"xxx xxx x.\\nxxx \\u0078\\"xx"}'),
    ('{"type": "tool_use", "name": "Bash", "input": {"name": "Ana", "to": ["x", {"type": "Bo"}]}, "id": "toolu_1"}',
     '{"type": "tool_use", "name": "Bash", "input": {"xxxx": "xxx", "xx": ["x", {"xxxx": "xx"}]}, "id": "toolu_1"}'),
    ('{"input":[{"role":"user","content":"Hi"}]}', '{"input":[{"role":"user","content":"xx"}]}'),
    ('{"name":"not one word","role":""}', '{"name":"xxx xxx xxxx","role":""}'),
    ('{"type":["string","null"],"enum":["Ana"]}', '{"type":["string","null"],"enum":["xxx"]}'),
    ('event: message_start\ndata: {"type":"a","text":"b c"}\n\n',
     'event: message_start\ndata: {"type":"a","text":"x x"}\n\n'),
    ("data: [DONE]\r\n\r\n", "data: [DONE]\r\n\r\n"),
    (": Ana said\ndata: Ana said\nid: Ana\nevent: Ana is here\nretry: 3\n",
     ": xxx xxxx\ndata: xxx xxxx\nid: xxx\nevent: xxx xx xxxx\nretry: x\n"),
    ("<html><b>Ana</b> true 12</html>", "<xxxx><x>xxx</x> true 12</xxxx>"),
    ('{"text":"Ana is cut off', '{"text":"xxx xx xxx xxx'),
    ('{"a":[{"type":"x"}],"type":"tool_use"}]}', '{"a":[{"type":"x"}],"type":"tool_use"}]}'),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), CASES)
def test_without_texts(body: str, expected: str) -> None:
    found = without_texts(body.encode())
    assert found.decode("utf-8") == expected
    assert len(found) == len(body.encode())
    assert without_texts(found) == found


values = st.recursive(st.text() | st.integers() | st.booleans() | st.none(), st.lists)


def texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


@given(values)
def test_what_is_left_is_json_of_the_same_form(value: object) -> None:
    for body in (json.dumps({"content": value}), json.dumps({"content": value}, ensure_ascii=False)):
        raw = body.encode("utf-8", "surrogatepass")
        found = without_texts(raw)
        assert len(found) == len(raw)
        assert {char for text in texts(json.loads(found)["content"]) for char in text if char.isalnum()} <= {"x"}


def test_bytes_that_are_no_text() -> None:
    assert without_texts(b"\xff\xfe\x00") == b"xx\x00"
