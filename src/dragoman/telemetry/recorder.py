"""The recorder: stands between the rooms of a gateway and remembers what passes, for a bundle of each request.

Nothing of it is there unless `dragoman record` put it there. It changes nothing, and its failures reach only `tell`.
"""

import asyncio
import contextlib
import platform
import time
import traceback
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from dragoman import __version__
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.pieces import Pieces
from dragoman.telemetry import bundle as form
from dragoman.telemetry.blackout import Blackout, found_in, secrets_in
from dragoman.telemetry.bundle import (
    Answer,
    Body,
    Bundle,
    Call,
    Choice,
    Outcome,
    Reply,
    Request,
    Route,
    body_of,
    failure_of,
)
from dragoman.telemetry.structure import without_texts

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

NO_TEXTS = "the texts were left out"
TOO_LARGE = "it has more than 16 MB"
PACKED_REQUEST = "the request could not be unpacked"
OWN_ENDPOINT = "its upstream was chosen by the header a2o-endpoint"
PACKED_ANSWER = "an upstream packed its answer, which was left out"

_PACKINGS = ("", "identity")


class Chosen(Protocol):
    """`routing.route.Choice`."""

    @property
    def slots(self) -> tuple[Target, ...]: ...

    @property
    def weight(self) -> float: ...


Groups = Sequence[Sequence[Chosen]]


class Routed(Protocol):
    """`routing.route.Route`."""

    @property
    def requested(self) -> str: ...

    @property
    def targets(self) -> tuple[Target, ...]: ...

    @property
    def groups(self) -> Groups: ...

    @property
    def overflow(self) -> Groups: ...

    @property
    def steps(self) -> tuple[str, ...]: ...

    @property
    def notes(self) -> tuple[Note, ...]: ...


class Routes(Protocol):
    """`routing.router.Router`, as far as a journey uses it; its routes have the fields of `Routed`."""

    def route(self, name: str, *, thinking: bool = False) -> Any: ...


class Answers(Protocol):
    """`upstream.answer.Answer`."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self) -> bytes: ...

    def close(self) -> None: ...

    def release(self) -> None: ...


class Sends(Protocol):
    """`upstream.client.Upstream`."""

    async def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | Pieces | AsyncIterator[bytes],
        *,
        public: bool = False,
    ) -> Answers: ...


class Recording:
    """What is known about one request so far: structs without bodies, and the bodies beside them, as they came."""

    def __init__(self, request: Request, began: float) -> None:
        self.began = began
        self.request = request
        self.raw = bytearray()
        self.route: Route | None = None
        self.routed: Routed | None = None
        self.calls: list[tuple[Call, bytes]] = []
        self.answers: list[tuple[Answer, bytearray]] = []
        self.reply = Reply()
        self.told = bytearray()
        self.message_ids: list[str] = []
        self.outcome = Outcome()
        self.request_id = ""
        self.gaps: list[str] = []
        self._left = form.LIMIT

    @property
    def targets(self) -> list[Target]:
        """All that it could go to."""
        found = self.routed
        if found is None:
            return []
        shared = (each for group in (*found.groups, *found.overflow) for choice in group for each in choice.slots)
        return [*found.targets, *shared]

    @property
    def ms(self) -> float:
        return round((time.monotonic() - self.began) * 1000, 1)

    def room_for(self, piece: bytes) -> bool:
        """Whether `piece` is kept: a bundle is bounded."""
        if len(piece) > self._left:
            self.lack(TOO_LARGE)
            self._left = 0
            return False
        self._left -= len(piece)
        return True

    def lack(self, gap: str) -> None:
        if gap not in self.gaps:
            self.gaps.append(gap)


class Recorder:
    """Makes a bundle of each request to a path that `covers` says yes to, and hands it to `keep`, in a thread.

    `secrets`: every key that is configured. `settings`: what a replay must know of the configuration. `texts`: whether
    the conversation stays in. `tell` gets one line for each bundle, and for each failure; they are counted in
    `failures`. The wrapping methods return what does the same as their argument.
    """

    def __init__(
        self,
        keep: Callable[[Bundle], object],
        *,
        covers: Callable[[str], bool],
        secrets: Iterable[str] = (),
        settings: Mapping[str, float] | None = None,
        texts: bool = True,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.failures = 0
        self._keep = keep
        self._covers = covers
        self._secrets: set[str] = set()
        self._settings: dict[str, float] = {}
        self.know(secrets, settings or {})
        self._texts = texts
        self._tell = tell
        self._current: ContextVar[Recording | None] = ContextVar("recording", default=None)

    def know(self, secrets: Iterable[str], settings: Mapping[str, float]) -> None:
        """The configuration changed. Keys of before may still be in what comes."""
        self._secrets |= set(secrets)
        self._settings = dict(settings)

    def application(self, inner: Asgi) -> Asgi:
        """The client's side."""

        async def watched(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not self._covers(scope["path"]):
                await inner(scope, receive, send)
                return
            recording = Recording(_request(scope), time.monotonic())
            place = self._current.set(recording)
            try:
                await inner(scope, _hearing(recording, receive), _telling(recording, send))
            finally:
                self._current.reset(place)
                await self._finish(recording)

        return watched

    def router(self, inner: Routes) -> Routes:
        return _Router(inner, self._current)

    def upstream(self, inner: Sends) -> Sends:
        return _Upstream(inner, self._current)

    def new_id(self, inner: Callable[[], str]) -> Callable[[], str]:
        def noted() -> str:
            made = inner()
            recording = self._current.get()
            if recording is not None:
                recording.message_ids.append(made)
            return made

        return noted

    def watch(self, inner: Callable[[Any], None]) -> Callable[[Any], None]:
        """Of `gateway.record.Record`s."""

        def noted(record: Any) -> None:
            recording = self._current.get()
            if recording is not None:
                recording.request_id = record.request_id
                recording.outcome = _outcome(record)
            inner(record)

        return noted

    async def _finish(self, recording: Recording) -> None:
        reply = recording.reply
        if recording.route is None and not recording.calls and reply.status in (401, 403, 529):
            return  # who may not come in must not fill the folder, and who finds no place tells nothing
        try:
            kept = await asyncio.to_thread(lambda: self._keep(self._bundle(recording)))
            told = f"Recorded: {kept}"
        except Exception as error:  # noqa: BLE001 watching cannot break traffic
            self.failures += 1
            told = f"A bundle could not be written ({error}); the request was served all the same."
        with contextlib.suppress(OSError, ValueError):  # nobody reads what we tell
            self._tell(told)

    def _blackout(self, recording: Recording, raw: bytes) -> Blackout:
        """Of every key that is configured, or found. `raw`: the body of the request."""
        request = recording.request
        bodies = [raw, *(body for _, body in recording.calls), *(bytes(body) for _, body in recording.answers)]
        bodies += [bytes(recording.told), f"?{request.query}".encode()]
        bodies += [f"?{target.query}".encode() for target in recording.targets]
        rows = [request.headers, *(call.headers for call, _ in recording.calls)]
        rows += [list(target.headers) for target in recording.targets]
        found = [value for each in rows for value in secrets_in(each)]
        found += [value for body in bodies for value in found_in(body)]
        return Blackout((*self._secrets, *found))

    def _bundle(self, recording: Recording) -> Bundle:
        raw = self._unpacked(recording)
        black = self._blackout(recording, raw)

        def kept(body: bytes | bytearray) -> Body:
            clean = black.body(bytes(body))
            return body_of(clean if self._texts else without_texts(clean))

        self._clean(recording, black, kept)
        request = recording.request
        request.body = kept(raw)
        if not self._texts:
            recording.lack(NO_TEXTS)
        if recording.route is None and recording.calls:
            recording.lack(OWN_ENDPOINT)
        headers = dict(recording.reply.headers)
        request_id = recording.request_id or headers.get("request-id", "nobody")
        return Bundle(
            dragoman=__version__,
            python=platform.python_version(),
            recorded=datetime.now(UTC).isoformat(timespec="milliseconds"),
            request_id=request_id,
            gaps=recording.gaps,
            keys_inside=black.body(raw) != raw,
            settings=self._settings,
            request=request,
            route=recording.route,
            message_ids=recording.message_ids,
            calls=[call for call, _ in recording.calls],
            reply=recording.reply,
            outcome=recording.outcome,
        )

    def _clean(self, recording: Recording, black: Blackout, kept: Callable[[bytes | bytearray], Body]) -> None:
        """Take out of everything but the request's body what must not be there."""
        request, reply, outcome, route = recording.request, recording.reply, recording.outcome, recording.route
        request.path, request.query = black.text(request.path), black.text("?" + request.query)[1:]
        request.headers = black.asked(request.headers)
        routed = recording.routed
        if route is not None and routed is not None:
            route.targets = [_target(target, black) for target in routed.targets]
            route.groups, route.overflow = _groups(routed.groups, black), _groups(routed.overflow, black)
        if route is not None:
            route.requested = black.text(route.requested)
            route.steps = [black.text(step) for step in route.steps]
        for call, body in recording.calls:
            call.url = black.text(call.url)
            call.headers = black.asked(call.headers)
            call.body = kept(body)
        for answer, came in recording.answers:
            answer.headers = dict(black.told(answer.headers.items()))
            answer.body = kept(came)
        failures = [route.error if route else None, *(call.error for call, _ in recording.calls)]
        failures += [answer.error for answer, _ in recording.answers]
        for failure in failures:
            if failure is not None:
                failure.message = black.text(failure.message)
        reply.headers = black.told(reply.headers)
        reply.body = kept(recording.told)
        outcome.target = black.text(outcome.target)
        outcome.crash = (
            black.text(outcome.crash) if self._texts else outcome.crash.rpartition("\n")[2].partition(":")[0]
        )

    def _unpacked(self, recording: Recording) -> bytes:
        """The request's body as the gateway read it. A packed one could hold a key that nobody finds."""
        request = recording.request
        raw = bytes(recording.raw)
        packing = dict(request.headers).get("content-encoding", "").strip().lower()
        if packing in _PACKINGS:
            return raw
        request.headers = [row for row in request.headers if row[0] != "content-encoding"]
        try:
            found = zlib.decompressobj(wbits=31)
            raw = found.decompress(raw, form.LIMIT)
            if found.eof and not found.unused_data:
                return raw
        except zlib.error:
            pass
        recording.lack(PACKED_REQUEST)
        return b""


def _request(scope: Mapping[str, Any]) -> Request:
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers=_text(scope["headers"]),
    )


def _text(rows: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in rows]


def _hearing(recording: Recording, receive: Receive) -> Receive:
    async def heard() -> Message:
        message = await receive()
        if message["type"] == "http.request" and recording.room_for(body := message.get("body", b"")):
            recording.raw += body
        return message

    return heard


def _telling(recording: Recording, send: Send) -> Send:
    async def told(message: Message) -> None:
        reply = recording.reply
        if message["type"] == "http.response.start":
            reply.ms, reply.status, reply.headers = recording.ms, message["status"], _text(message["headers"])
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            if body and recording.room_for(body):
                recording.told += body
                reply.pieces.append((len(recording.told), recording.ms))
            reply.whole = not message.get("more_body", False)
        await send(message)

    return told


def _outcome(record: Any) -> Outcome:
    crash = record.crash
    return Outcome(
        target=f"{record.provider}/{record.upstream_model}" if record.provider else "",
        attempts=msgspec.to_builtins(record.attempts),
        repairs=list(record.repairs),
        notes=list(record.notes),
        error=record.error.kind if record.error is not None else "",
        crash="" if crash is None else "".join(traceback.format_exception(crash)).strip(),
        caller_left=record.caller_left,
    )


def _target(target: Target, black: Blackout) -> dict[str, Any]:
    """It holds no key, but its address and its headers may."""
    changed = msgspec.structs.replace(target, headers=(), other=None)
    found: dict[str, Any] = msgspec.json.decode(black.body(msgspec.json.encode(changed)))
    found["base_url"] = black.text(target.base_url)
    found["headers"] = black.asked(target.headers)
    found["other"] = None if target.other is None else _target(target.other, black)
    return found


def _groups(groups: Groups, black: Blackout) -> list[list[Choice]]:
    return [[Choice([_target(each, black) for each in one.slots], one.weight) for one in group] for group in groups]


class _Router:
    def __init__(self, inner: Routes, current: ContextVar[Recording | None]) -> None:
        self._inner = inner
        self._current = current

    def route(self, name: str, *, thinking: bool = False) -> Any:
        recording = self._current.get()
        if recording is None:
            return self._inner.route(name, thinking=thinking)
        recording.route = Route(requested=name)
        try:
            found: Routed = self._inner.route(name, thinking=thinking)
        except ApiError as error:
            recording.route.error = failure_of(error)
            raise
        recording.routed = found
        recording.route.steps, recording.route.notes = list(found.steps), list(found.notes)
        return found


class _Upstream:
    def __init__(self, inner: Sends, current: ContextVar[Recording | None]) -> None:
        self._inner = inner
        self._current = current

    async def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | Pieces | AsyncIterator[bytes],
        *,
        public: bool = False,
    ) -> Answers:
        recording = self._current.get()
        if recording is None or not isinstance(body, (bytes, Pieces)):
            return await self._inner.send(method, url, headers, body, public=public)
        call = Call(ms=recording.ms, method=method, url=url, headers=list(headers))
        body = bytes(body)
        recording.calls.append((call, body if recording.room_for(body) else b""))
        try:
            answer = await self._inner.send(method, url, headers, body, public=public)
        except ApiError as error:
            call.error, call.until = failure_of(error), recording.ms
            raise
        call.answer = Answer(ms=recording.ms, status=answer.status, headers=dict(answer.headers))
        raw = bytearray()
        recording.answers.append((call.answer, raw))
        return _Answer(answer, recording, call.answer, raw)


class _Answer:
    """An answer that is written down while it is read."""

    def __init__(self, inner: Answers, recording: Recording, written: Answer, raw: bytearray) -> None:
        self.status = inner.status
        self.headers = inner.headers
        self._inner = inner
        self._recording = recording
        self._written = written
        self._raw = raw
        self._closed = False
        self._packed = inner.headers.get("content-encoding", "") not in _PACKINGS

    async def read(self) -> bytes:
        written = self._written
        try:
            piece = await self._inner.read()
        except ApiError as error:
            written.end, written.error = ("silent", None) if self._closed else ("broken", failure_of(error))
            raise
        except asyncio.CancelledError:
            written.end = "left"
            raise
        if not piece:
            written.end = "complete"
        elif self._packed:
            self._recording.lack(PACKED_ANSWER)
        elif self._recording.room_for(piece):
            self._raw += piece
            written.pieces.append((len(self._raw), self._recording.ms))
        return piece

    def close(self) -> None:
        self._closed = True
        self._inner.close()

    def release(self) -> None:
        self._inner.release()
