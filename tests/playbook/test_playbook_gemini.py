"""Journeys with the Gemini dialect: what is mended before the caller sees anything."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest

from dragoman.config.settings import Server
from dragoman.dialects.contract import Facts, Target
from dragoman.dialects.gemini import GEMINI
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.dialects.gemini.signatures import SENTINEL
from dragoman.gateway.gateway import Gateway
from dragoman.gateway.record import Record
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode
from dragoman.routing.route import Route
from playbook.transcript import KeySigner

pytestmark = pytest.mark.anyio

Json = dict[str, Any]

USAGE = {"promptTokenCount": 7, "candidatesTokenCount": 1, "totalTokenCount": 8}
GOOD = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]} | {
    "usageMetadata": USAGE
}
EMPTY = {"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}], "usageMetadata": USAGE}
MALFORMED = {
    "candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "Malformed: print(1)"}]
}
SIGNATURE = {"error": {"code": 400, "message": "Corrupted thought signature.", "status": "INVALID_ARGUMENT"}}
UNSIGNED = {
    "error": {
        "code": 400,
        "message": "Function call is missing a thought_signature in functionCall parts.",
        "status": "INVALID_ARGUMENT",
    }
}
OVERLOADED = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
HISTORY = [
    {"role": "user", "content": "look"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}]},
]


class Answer:
    """A whole answer, in one read."""

    def __init__(self, status: int, value: Json, *, stream: bool) -> None:
        self.status = status
        encoded = json.dumps(value).encode()
        streamed = stream and status == 200
        self.headers = {"content-type": "text/event-stream" if streamed else "application/json"}
        self._chunks = [b"data: " + encoded + b"\r\n\r\n" if streamed else encoded]

    async def read(self) -> bytes:
        return self._chunks.pop() if self._chunks else b""

    def close(self) -> None:
        pass

    def release(self) -> None:
        pass


class Lab:
    """A gateway, and an upstream that gives these answers one after the other."""

    def __init__(self, *answers: tuple[int, Json], retries: int = 0) -> None:
        self.answers = list(answers)
        self.bodies: list[Json] = []
        ids = itertools.count(1)
        self.gateway = Gateway(
            router=self,
            dialects={"gemini": GEMINI},
            upstream=self,
            signer=KeySigner(),
            settings=Server(retries=retries),
            watch=lambda _record: None,
            new_id=lambda: f"{next(ids):06d}",
        )

    def route(self, name: str, *, thinking: bool = False) -> Route:
        target = Target(
            provider="lab",
            dialect="gemini",
            base_url="http://lab.test/v1beta",
            model="gemini-test",
            quirks=Quirks(),
            facts=Facts(),
            auth="x-goog-api-key",
            key="KEY",
        )
        return Route(requested=name, targets=(target,), steps=())

    async def send(
        self, _method: str, url: str, _headers: Sequence[tuple[str, str]], body: bytes, *, public: bool = False
    ) -> Answer:
        self.bodies.append(json.loads(body))
        status, value = self.answers.pop(0)
        return Answer(status, value, stream=":stream" in url)

    async def ask(self, *, stream: bool, **fields: Any) -> tuple[str, Record]:
        """What the caller got, as text, and the record."""
        body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
        journey = self.gateway.begin(decode(json.dumps(body | fields).encode()), "req_1")
        sent: list[bytes] = []

        async def write(frames: bytes) -> None:
            sent.append(frames)

        try:
            if not stream:
                return (await journey.message()).decode(), journey.record
            await journey.hold()
            await journey.stream(write)
            return b"".join(sent).decode(), journey.record
        finally:
            journey.close()


@pytest.mark.failure(73)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("first", [EMPTY, MALFORMED], ids=["empty", "malformed"])
async def test_an_answer_that_holds_nothing_usable_is_asked_for_once_more(first: Json, *, stream: bool) -> None:
    lab = Lab((200, first), (200, GOOD), (200, first), (200, GOOD))
    for _ in range(2):  # it is not remembered: the next conversation has its own second try
        told, record = await lab.ask(stream=stream)
        assert told.count('"text":"Hi"') == 1
        assert told.count("event: message_start") == stream
        assert [(each.error, each.repair) for each in record.attempts] == [("bad_answer", None), (None, "second_try")]
    assert len({json.dumps(body) for body in lab.bodies}) == 1


@pytest.mark.failure(73)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_empty_answer_twice_is_an_empty_message(*, stream: bool) -> None:
    told, record = await Lab((200, EMPTY), (200, EMPTY)).ask(stream=stream)
    assert '"stop_reason":"end_turn"' in told
    assert record.repairs == ["second_try"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_malformed_call_twice_is_an_error_that_says_so(*, stream: bool) -> None:
    lab = Lab((200, MALFORMED), (200, MALFORMED))
    with pytest.raises(ApiError) as failed:
        await lab.ask(stream=stream)
    assert (failed.value.kind, failed.value.code) == ("bad_answer", None)
    assert "MALFORMED_FUNCTION_CALL" in failed.value.message


@pytest.mark.failure(48)
@pytest.mark.parametrize("status", [400, 200], ids=["status", "embedded"])
@pytest.mark.parametrize("stream", [True, False])
async def test_refused_signatures_end_as_sentinels(status: int, *, stream: bool) -> None:
    lab = Lab((status, SIGNATURE), (status, UNSIGNED), (200, GOOD))
    told, record = await lab.ask(stream=stream, messages=HISTORY)
    assert '"text":"Hi"' in told
    assert record.repairs == ["signatures", "call_signatures"]
    assert [SENTINEL in json.dumps(body) for body in lab.bodies] == [False, False, True]


@pytest.mark.failure(48)
async def test_that_a_model_wants_signatures_is_remembered() -> None:
    lab = Lab((400, UNSIGNED), (200, GOOD), (200, GOOD))
    for attempts in (2, 1):
        _, record = await lab.ask(stream=True, messages=HISTORY)
        assert (record.repairs, len(record.attempts)) == (["call_signatures"], attempts)
    assert [SENTINEL in json.dumps(body) for body in lab.bodies] == [False, True, True]


@pytest.mark.failure(74)
async def test_an_error_instead_of_a_stream_is_tried_again() -> None:
    told, record = await Lab((200, OVERLOADED), (200, GOOD), retries=1).ask(stream=True)
    assert '"text":"Hi"' in told
    assert [each.error for each in record.attempts] == ["overloaded", None]
