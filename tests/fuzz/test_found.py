"""What fuzzing found, one small example each."""

import json
from collections.abc import Iterator

import pytest

from chaos.languages import LANGUAGES
from chaos.verdict import judge, posted
from fuzz.stage import Stage, staged


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as found:
        yield found


@pytest.mark.parametrize(
    "number", ["9" * 400, "1e999999", "-" + "9" * 5000], ids=["long", "high", "longer than Python takes"]
)
@pytest.mark.parametrize("model", LANGUAGES)
@pytest.mark.parametrize(
    "field",
    [
        '"output_config":{"effort":%s}',
        '"metadata":{"user_id":%s}',
        '"tools":[{"name":"a","input_schema":{"maximum":%s}}]',
    ],
)
def test_numbers_in_a_request_that_no_machine_holds(stage: Stage, model: str, number: str, field: str) -> None:
    """They were skipped at the door, and were a crash of ours later."""
    said = json.dumps([{"role": "user", "content": "hi"}])
    body = f'{{"model":"{model}","max_tokens":9,"messages":{said},{field % number}}}'.encode()
    answer = judge(stage.exchange(posted(body)))
    assert answer.status in (200, 400)
    counted = stage.exchange(posted(body, "/v1/messages/count_tokens"))
    assert counted.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))
    assert stage.failures() == ""
