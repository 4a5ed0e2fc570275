"""One look at a body that is passed on."""

import json
from typing import Any

import pytest

from dragoman.messages.errors import ApiError
from dragoman.messages.outline import ABSENT
from dragoman.messages.request import Request

BODY: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}


def request(**fields: Any) -> Request:
    return Request(json.dumps(BODY | fields).encode())


def test_what_it_holds() -> None:
    blocks = [{"type": "text", "text": "é"}, {"type": "tool_use", "id": "a", "input": {"type": 7}}]
    turns = [*BODY["messages"], {"role": "assistant", "content": blocks, "unknown": 1}]
    found = request(messages=turns, stream=True, thinking={"type": "adaptive"}, metadata={"user_id": "u"}).outline
    assert found is not None
    assert (found.model, found.stream, found.max_tokens) == ("m", True, 5)
    assert json.loads(bytes(found.thinking)) == {"type": "adaptive"}
    assert found.temperature is ABSENT or not bytes(found.temperature)
    assert [block.type for block in found.messages[1].blocks] == ["text", "tool_use"]
    assert found.messages[0].blocks == []


@pytest.mark.parametrize(
    "messages", [7, None, [7], [{}], [{"role": "user", "content": 7}], [{"role": "user", "content": [7]}]]
)
def test_odd_turns_are_no_outline_and_still_a_head(messages: Any) -> None:
    odd = request(messages=messages, stream=True)
    assert odd.outline is None
    assert (odd.model, odd.stream, odd.max_tokens) == ("m", True, 5)


def test_the_head_is_refused_by_name() -> None:
    for fields, said in (({"model": 7}, "model"), ({"max_tokens": "x"}, "max_tokens"), ({"stream": 7}, "stream")):
        with pytest.raises(ApiError, match=said):
            request(**fields).model  # noqa: B018


def test_halves_of_characters_and_broken_bytes() -> None:
    raw = b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"},{"role":"\xc3","content":[]}]}'
    found = Request(raw).outline
    assert found is not None
    assert found.messages[1].role == "\ufffd"


@pytest.mark.parametrize(
    ("thinking", "wanted"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, True),
        ({"type": "adaptive"}, True),
        ({"type": "disabled"}, False),
        (None, False),
        ({"kind": "enabled"}, False),
        ("enabled", False),
    ],
)
def test_whether_thinking_is_wanted(thinking: Any, wanted: bool) -> None:
    assert request(thinking=thinking).thinks is wanted
    assert not request().thinks
