"""One request at the door, and the way back to its caller: headers, statuses and envelopes of every reply."""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache
from math import ceil

from starlette.types import Message, Receive, Scope, Send

from dragoman.messages import sse
from dragoman.messages.errors import ApiError, ErrorBody
from dragoman.messages.events import ErrorEvent
from dragoman.server.cycle import Cycle, Facts, checked, lines

Headers = Sequence[tuple[bytes, bytes]]
Texts = Sequence[tuple[str, str]]

_JSON = (b"content-type", b"application/json")
_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx in front would hold events back
)
_RETRY = {told: (b"x-should-retry", b"true" if told else b"false") for told in (True, False)}
_FAILURE = re.compile(rb"(?:\A|(?<=[\r\n]))event: error")
_SETTLED = (401, 501)  # statuses that clients retry although nothing will change; they are told not to

HEADER_LIMIT = 1000  # characters; clients give up on long lines

CUT = "dragoman.cut"
"""Extension of a scope: breaks the connection off. Other servers do that when a reply is left unfinished."""

DRAINING = "dragoman.draining"
"""Extension of a scope: the server takes requests for a last while only."""

CLIENT_LEFT = 499  # for the log only: nobody is there to be told


class Exchange:
    """What one request needs at the door. `status` is what the caller was told, 0 before that."""

    __slots__ = (
        "_redact",
        "about",
        "answer_bytes",
        "cycle",
        "error",
        "facts",
        "headers",
        "logged",
        "model",
        "provider",
        "receive",
        "request_bytes",
        "request_id",
        "scope",
        "send",
        "status",
        "stream",
        "streaming",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, redact: Callable[[str], str]
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.request_id = request_id
        self.cycle: Cycle | None = None  # what `send` is, when nobody stands between
        self.facts: Facts | None = None  # the cycle's
        if type(send) is Cycle:
            self.cycle = send
            self.facts = send.facts
        self.headers = dict(scope["headers"]) if self.facts is None else self.facts.headers
        self.status = 0
        self.error: ApiError | None = None
        self.streaming = False
        self.about: Headers = ()  # what is known of the answer, for the headers of a failure
        self.model: str | None = None  # for the log
        self.stream: bool | None = None  # likewise
        self.provider: str | None = None  # likewise, as all that follow, of what is forwarded
        self.request_bytes = 0
        self.answer_bytes = 0
        self.logged = False  # whether somebody else writes the line of this request
        self._redact = redact

    async def reply(self, status: int, body: bytes, more: Headers = ()) -> None:
        """A whole JSON reply."""
        if not self.answer(status, body, json_lines(tuple(more))):
            await self.begin(status, (_JSON, (b"content-length", b"%d" % len(body)), *more))
            await self.send({"type": "http.response.body", "body": body})

    def answer(self, status: int, body: bytes, ours: bytes, theirs: Texts = ()) -> bool:
        """`reply` without anything to wait for; False where that is not possible.

        `ours`: lines of the head, from `json_lines`; `theirs`: headers of the upstream, where its answer is passed on.
        """
        cycle = self.cycle
        if cycle is None:
            return False
        self.status = status
        identity = b"request-id: " + self.request_id.encode() + b"\r\n"
        cycle.answer(status, self._fields(ours, theirs) if theirs else ours + identity, body)
        return True

    async def open(self, more: Headers = (), theirs: Texts = ()) -> None:
        """Status 200 and the headers of a stream of events. `theirs`: as above."""
        self.streaming = True
        if self.cycle is None:
            await self.begin(200, (*_STREAM, *more, *passed_on(theirs)))
        else:
            self.status = 200
            self.cycle.open(self._fields(_lines((*_STREAM, *more)), theirs))

    def write(self, chunk: bytes) -> Awaitable[None] | None:
        """Bytes of an open stream. None while there is room for more, else wait for what it returns."""
        # `in` would raise and swallow an exception before it looks: bytes may be asked for numbers, too.
        if chunk.find(b"event: error") >= 0 and (failure := _FAILURE.search(chunk)):  # it may quote our key
            chunk = chunk[: failure.start()] + self.cleaned(chunk[failure.start() :])
        if self.cycle is not None:
            return self.cycle.write(chunk)
        return self.send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        """The end of an open stream."""
        if self.cycle is None:
            await self.send({"type": "http.response.body", "body": b""})
        else:
            self.cycle.end()

    async def pass_on(self, piece: bytes, *, last: bool = False) -> None:
        """Bytes of a reply whose head was sent by `begin`. Waits while the caller reads slowly."""
        self.answer_bytes += len(piece)
        await self.send({"type": "http.response.body", "body": piece, "more_body": not last})

    async def cut(self) -> None:
        """Break the connection off, so that nobody takes what was sent for the whole."""
        abort = self.scope.get("extensions", {}).get(CUT)
        if self.status and abort is not None:
            abort()
            while (await self.receive())["type"] != "http.disconnect":
                continue

    async def relay(self, message: Message) -> None:
        """`send` for a page that knows nothing of request ids."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"request-id", self.request_id.encode())]
        await self.send(message)

    async def fail(self, error: ApiError, more: Headers = ()) -> None:
        """Tell the caller: a real status while nothing was sent, else one `error` event."""
        error = self._cleaned(error)
        self.error = error
        if self.streaming:
            waiting = self.write(sse.encode(ErrorEvent(ErrorBody(error.type, error.message), self.request_id)))
            if waiting is not None:
                await waiting
            await self.end()
        elif not self.status:
            await self._tell(error, (*_retry_headers(error), *self.about, *more))

    async def _tell(self, error: ApiError, more: Headers) -> None:
        told = error.verbatim
        if told is None:
            await self.reply(error.status, error.envelope(self.request_id), more)
            return
        body = self.cleaned(told.body)
        headers = [(b"content-length", b"%d" % len(body)), *passed_on(told.headers), *self.about]
        if error.should_retry is not None and all(name != "x-should-retry" for name, _ in told.headers):
            headers.append(_RETRY[error.should_retry])
        await self.begin(told.status, headers)
        await self.send({"type": "http.response.body", "body": body})

    async def begin(self, status: int, headers: Headers) -> None:
        """The head of a reply."""
        self.status = status
        rows = [*headers, self._identity(headers)]
        await self.send({"type": "http.response.start", "status": status, "headers": rows})

    def _fields(self, ours: bytes, theirs: Texts) -> bytes:
        """The lines of a head."""
        identity = b"request-id: "
        if theirs:
            names = [name for name, _ in theirs]
            if "request-id" in names:  # as in `_identity`
                identity = b"x-dragoman-request-id: "
            written = "\r\n".join(map(": ".join, theirs)) + "\r\n"
            ours += checked(_encoded("".join(names)), _encoded(written), len(names))
        return ours + identity + self.request_id.encode() + b"\r\n"

    def _identity(self, headers: Headers) -> tuple[bytes, bytes]:
        """The request id, which is the upstream's own where its answer is passed on; ours is beside it then."""
        for name, _ in headers:
            if name == b"request-id":
                return b"x-dragoman-request-id", self.request_id.encode()
        return b"request-id", self.request_id.encode()

    def cleaned(self, body: bytes) -> bytes:
        """An upstream's refusal without our keys, else as it came."""
        text = body.decode("utf-8", "surrogateescape")
        clean = self._redact(text)
        return body if clean == text else clean.encode("utf-8", "surrogateescape")

    def _cleaned(self, error: ApiError) -> ApiError:
        """An upstream may quote our key in its refusal."""
        if error.fault == "client" and error.upstream_status is None:
            return error
        clean = self._redact(error.message)
        if clean == error.message:
            return error
        return ApiError(
            error.kind,
            clean,
            retry_after=error.retry_after,
            should_retry=error.should_retry,
            upstream_status=error.upstream_status,
            code=error.code,
            verbatim=error.verbatim,
        )


@lru_cache(maxsize=1000)
def _lines(rows: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Those that are our own: most answers have the same."""
    return lines(rows)


@lru_cache(maxsize=1000)
def json_lines(more: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The lines of a whole reply's head, but for its request id, and those that every answer has."""
    return lines((_JSON, *more))


def passed_on(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """An upstream's headers, for a caller who is told what it said, in the bytes that they came in."""
    return [(name.encode(), _encoded(value)) for name, value in headers]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def ascii_header(text: str) -> bytes:
    """`text` as the value of a header: one line of ASCII, whatever it was."""
    if len(text) <= HEADER_LIMIT and text.isascii() and text.isprintable():
        return text.encode()
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:HEADER_LIMIT].encode()


def _retry_headers(error: ApiError) -> list[tuple[bytes, bytes]]:
    headers = []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % ceil(error.retry_after)))
    if error.should_retry is not None:
        headers.append(_RETRY[error.should_retry])
    elif error.status in _SETTLED:
        headers.append(_RETRY[False])
    if error.kind == "unsupported_encoding":
        headers.append((b"accept-encoding", b"gzip"))  # RFC 9110, 15.5.16
    return headers
