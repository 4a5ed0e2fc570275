"""The recorder beside everything that passes: what it keeps, what it cannot keep, and that it breaks nothing."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from msgspec import Struct

from dragoman.messages.errors import ApiError
from dragoman.telemetry import bundle as form
from dragoman.telemetry.bundle import Bundle, bytes_of
from dragoman.telemetry.recorder import OWN_ENDPOINT, PACKED_ANSWER, PACKED_REQUEST, TOO_LARGE, Message, Recorder

pytestmark = [pytest.mark.anyio, pytest.mark.failure(166)]


class Answer:
    def __init__(self, *pieces: bytes | Exception, **headers: str) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}
        self.calls: list[str] = []
        self._pieces = list(pieces)

    async def read(self) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.calls.append("close")

    def release(self) -> None:
        self.calls.append("release")


class Upstream:
    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)

    async def send(self, *_: Any, **__: Any) -> Answer:
        return self._answers.pop(0)


class House(Struct):
    """A recorder, and an application that asks an upstream."""

    recorder: Recorder
    kept: list[Bundle]
    told: list[str]

    async def ask(self, *answers: Answer, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> None:
        upstream = self.recorder.upstream(Upstream(*answers))

        async def application(_scope: Any, receive: Any, send: Any) -> None:
            await receive()
            for _ in answers:
                answer = await upstream.send("POST", "http://up/v1", [], b"up")
                try:
                    while await answer.read():
                        continue
                except ApiError:
                    answer.close()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"request-id", b"req_1")]})
            await send({"type": "http.response.body", "body": b"down"})

        rows = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        await play(self.recorder, application, body, rows)

    @property
    def bundle(self) -> Bundle:
        assert len(self.kept) == 1, self.told
        return self.kept[0]


async def play(recorder: Recorder, application: Any, body: bytes = b"", rows: Any = (), path: str = "/m") -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(_message: Message) -> None:
        await asyncio.sleep(0)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"a=b", "headers": list(rows)}
    await recorder.application(application)(scope, receive, send)


def house(**options: Any) -> House:
    kept: list[Bundle] = []
    told: list[str] = []
    recorder = Recorder(kept.append, covers=lambda path: path == "/m", tell=told.append, **options)
    return House(recorder, kept, told)


async def test_a_packed_request_is_kept_unpacked() -> None:
    found = house(secrets=("canary-4711",))
    await found.ask(body=gzip.compress(b'{"a":"canary-4711"}'), headers={"content-encoding": "gzip"})
    assert bytes_of(found.bundle.request.body) == b'{"a":"redacted-re"}'
    assert found.bundle.request.headers == []
    assert not found.bundle.gaps
    assert found.bundle.keys_inside


@pytest.mark.parametrize(
    "body",
    [
        b"no gzip",
        gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0),
        gzip.compress(b"cut off", mtime=0)[:-9],
        zlib.compress(b"other"),
    ],
)
async def test_a_request_that_cannot_be_unpacked_is_not_kept(body: bytes) -> None:
    found = house()
    await found.ask(body=body, headers={"content-encoding": "gzip"})
    assert bytes_of(found.bundle.request.body) == b""
    assert found.bundle.gaps == [PACKED_REQUEST]


async def test_a_packed_answer_is_not_kept() -> None:
    found = house()
    await found.ask(Answer(b"packed", content_encoding="gzip"))
    answer = found.bundle.calls[0].answer
    assert answer is not None
    assert (answer.body, answer.pieces, answer.end) == (form.Body(), [], "complete")
    assert found.bundle.gaps == [PACKED_ANSWER, OWN_ENDPOINT]


async def test_a_bundle_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "LIMIT", 10)
    found = house()
    await found.ask(Answer(b"1234", b"56789"), Answer(b"0"), body=b"{}")
    assert found.bundle.gaps == [TOO_LARGE, OWN_ENDPOINT]
    assert [bytes_of(each.body) for each in found.bundle.calls] == [b"up", b""]
    assert bytes_of(found.bundle.reply.body) == b""


async def test_how_answers_end() -> None:
    found = house()
    broken = Answer(b"a", ApiError("truncated", "Broke at http://me:pass@host/.", retry_after=2))
    await found.ask(Answer(b"\xff"), broken)
    first, second = (each.answer for each in found.bundle.calls)
    assert first is not None
    assert second is not None
    assert (first.end, first.body.base64, first.pieces[0][0]) == ("complete", "/w==", 1)
    assert (second.end, second.error) == ("broken", form.Failure("truncated", "Broke at http://host/.", 2))
    assert broken.calls == ["close"]


async def test_other_paths_and_scopes_pass() -> None:
    found = house()
    seen = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        del receive, send
        seen.append(scope["type"])

    await play(found.recorder, application, path="/other")
    await found.recorder.application(application)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["http", "lifespan"]
    assert not found.kept


async def test_outside_of_a_request_nothing_is_recorded() -> None:
    """A gateway may ask for itself, and then there is no bundle that it would belong to."""
    found = house()
    answer = Answer(b"x")
    assert await found.recorder.upstream(Upstream(answer)).send("GET", "http://up", [], b"") is answer
    assert found.recorder.new_id(lambda: "1")() == "1"
    seen: list[Any] = []
    found.recorder.watch(seen.append)("record")
    assert seen == ["record"]

    class Router:
        def route(self, name: str, *, thinking: bool = False) -> Any:
            return name, thinking

    assert found.recorder.router(Router()).route("m", thinking=True) == ("m", True)


async def test_a_body_in_pieces_is_passed_and_not_kept() -> None:
    found = house()
    answer = Answer(b"x")
    upstream = found.recorder.upstream(Upstream(answer))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    async def application(*_: Any) -> None:
        assert await upstream.send("POST", "http://up", [], pieces()) is answer

    await play(found.recorder, application)
    assert found.bundle.calls == []
    assert found.bundle.request_id == "nobody"


async def test_a_failure_is_told_and_counted_and_breaks_nothing() -> None:
    def fail(_bundle: Bundle) -> None:
        raise OSError("disk full")

    def unheard(text: str) -> None:
        told.append(text)
        raise BrokenPipeError

    told: list[str] = []
    recorder = Recorder(fail, covers=lambda _: True, tell=unheard)
    found = House(recorder, [], told)
    await found.ask()
    assert recorder.failures == 1
    assert told == ["A bundle could not be written (disk full); the request was served all the same."]
