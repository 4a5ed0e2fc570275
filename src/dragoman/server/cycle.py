"""One request on a connection, and its answer.

A cycle is the `send` of its request, as ASGI has it. Who was handed the cycle itself, with nobody's wrapper around it,
may also use its plain calls: they make no messages, and wait for nothing when there is nothing to wait for.
https://asgi.readthedocs.io/en/latest/specs/www.html
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol, Self

from starlette.types import Message, Scope

from dragoman.messages.known import Seen

JOINED = 64 * 1024  # bytes of a body that is copied behind its head; a larger one is handed over by itself

_CONTROLS = frozenset((*range(0x20), 0x7F))
_IN_NAMES = bytes(byte for byte in range(256) if byte not in _CONTROLS and byte not in b' ()<>@,;:\\[]={}"')
_IN_VALUES = bytes(byte for byte in range(256) if byte not in _CONTROLS or byte == 0x09)
_BARE = (204, 304)  # statuses of answers without a body
_CLOSE = b"connection: close\r\n"
_WHOLE = b"%b%bcontent-length: %d\r\n\r\n%b"  # first lines, others, length, body

_logger = logging.getLogger("uvicorn.error")


class Connection(Protocol):
    """What a cycle needs of the connection that it is on."""

    transport: asyncio.Transport
    full: bool  # the caller does not read what was written
    tasks: set[asyncio.Task[None]]  # those that answer somebody

    def first(self, status: int) -> bytes:
        """The lines that an answer begins with."""

    def room(self) -> Awaitable[None]:
        """Ends when the caller has read, or left."""

    def soon(self, call: Callable[[], None]) -> None:
        """`call` in the next turn of the event loop."""

    def resume_reading(self) -> None:
        """Somebody wants to know what comes."""

    def gather(self, size: int, begun: bytes) -> None:
        """Read the rest of the body into one room. `size`: bytes of the whole; `begun`: all that came of it."""

    def answered(self) -> None:
        """The answer is complete."""


class Facts:
    """What follows from a head that comes again, whatever its length: each is worked out once, by who needs it first.
    No struct: it holds a token, and must not show it.
    """

    __slots__ = ("beside", "headers", "passed")

    def __init__(self, headers: dict[bytes, bytes]) -> None:
        self.headers = headers  # by name, of the newest request with this head, whose length is in there
        self.passed: object = None  # the door that let it in
        self.beside: tuple[Any, ...] | None = None  # what a request for a message has besides its body


class Cycle:
    """`task` answers it. `over`: the answer is complete; `gone`: nobody is there to read it."""

    __slots__ = (
        "_chunked",
        "_connection",
        "_expects",
        "_heard",
        "_held",
        "_length",
        "_listening",
        "_pieces",
        "_plain",
        "_transport",
        "_watched",
        "begun",
        "facts",
        "gone",
        "keep_alive",
        "more",
        "over",
        "scope",
        "size",
        "task",
    )

    def __init__(
        self,
        connection: Connection,
        scope: Scope,
        body: bytes | Seen | None = None,
        facts: Facts | None = None,
        *,
        keep_alive: bool = True,
        expects: bool = False,
    ) -> None:
        """`body`: all of it, if it is there. `facts`: of a head that is known to come again, to be added to.

        `expects`: the caller waits for a word before it sends the body.
        """
        self._connection = connection
        self._transport = connection.transport
        self._expects = expects
        self._pieces: list[bytes | Seen] = [] if body is None else [body]  # of the body, that nobody took yet
        self._heard = body is not None  # something came that nobody was told
        self._listening: asyncio.Event | None = None
        self._watched = False
        self._chunked = False
        # HTTP/1.0 knows no chunks: the end of the connection is that of the answer. RFC 9112, 6.1 and 6.3
        self._plain = scope["http_version"] == "1.0"
        self._held = b""  # a head that waits for what comes with it
        self._length: int | None = 0  # bytes still to be written, of an answer that told how many; None: till its end
        self.scope = scope
        self.facts = facts
        self.keep_alive = keep_alive
        self.task: asyncio.Task[None] | None = None
        self.size = 0 if body is None else len(body)  # bytes of the pieces
        self.more = body is None  # the body goes on
        self.gone = self.begun = self.over = False

    # The request.

    def add(self, piece: bytes | Seen) -> None:
        """More of the body, or all of it."""
        self._pieces.append(piece)
        self.size += len(piece)
        self._tell()

    def complete(self) -> None:
        """The body has ended."""
        self.more = False
        self._tell()

    def leave(self) -> None:
        """The caller has gone. Who watches is cancelled, who receives is told."""
        self.gone = True
        self._tell()
        if self._watched and self.task is not None:
            self.task.cancel()

    def watch(self) -> Self:
        """From now on the task is cancelled when the caller leaves, until `stop`. Returns itself."""
        self._watched = True
        if self.gone and self.task is not None:
            self.task.cancel()
        return self

    def stop(self) -> None:
        """Who leaves now has got everything."""
        self._watched = False

    def whole(self) -> bytes | Seen | None:
        """The body, if all of it is there and nobody took any."""
        if self.more or self._expects or self.gone or not self._heard:
            return None
        self._heard = False
        if len(self._pieces) != 1:  # it came in more than one read, and there may have been too much of it
            self._connection.resume_reading()
            return self._taken()
        self.size = 0
        return self._pieces.pop()

    async def gathered(self, size: int) -> bytes | Seen | None:
        """All of the body, of which nobody took any and which will have `size` bytes; None when the caller leaves."""
        self._say_go_on()
        if self.more and not self.gone:
            self._heard = False
            self._connection.gather(size, self._taken())
            await self._listen()
        return self.whole()

    async def receive(self) -> Message:
        """The next piece of the body; after it, that the caller has left."""
        self._say_go_on()
        if not self.gone and not self.over:
            self._connection.resume_reading()
            if not self._heard:
                await self._listen()
            self._heard = False
        if self.gone or self.over:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._taken(), "more_body": self.more}

    def _say_go_on(self) -> None:
        """To a caller who waits for a word before it sends the body."""
        if self._expects and not self.gone and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expects = False

    async def _listen(self) -> None:
        """Until something comes that nobody was told."""
        if self._listening is None:
            self._listening = asyncio.Event()
        await self._listening.wait()

    def _taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        self.size = 0
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(map(bytes, pieces))

    def _tell(self) -> None:
        self._heard = True
        if self._listening is not None:
            self._listening.set()
            self._listening = None

    # The answer, by messages.

    async def __call__(self, message: Message) -> None:
        """`send`. Waits while the caller reads slowly. Raises RuntimeError for what cannot be sent now."""
        if self._connection.full and not self.gone:
            await self._connection.room()
        if self.gone:
            return
        kind = message["type"]
        if not self.begun and kind == "http.response.start":
            self.begin(message["status"], message.get("headers", ()))
        elif self.begun and not self.over and kind == "http.response.body":
            self._write(message.get("body", b""), last=not message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} cannot be sent now.")

    def begin(self, status: int, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """The head of an answer, whose body is framed by what `rows` say of it."""
        rows = list(rows)
        fields = {name.lower(): value for name, value in rows}
        closes = b"close" in [each.strip().lower() for each in fields.get(b"connection", b"").split(b",")]
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            rows.append((b"connection", b"close"))
        if b"content-length" in fields:
            self._length = int(fields[b"content-length"])
        elif self.scope["method"] != "HEAD" and status not in _BARE:
            self._chunked = not self._plain
            if self._plain:
                self._length = None
            elif b"transfer-encoding" not in fields:
                rows.append((b"transfer-encoding", b"chunked"))
        head = b"%b%b\r\n" % (self._connection.first(status), lines(rows))
        self.begun = True
        self._hold(head)

    def _write(self, piece: bytes, *, last: bool) -> None:
        if self.scope["method"] == "HEAD":
            self._length = 0
        elif self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
            self._put(chunk + b"0\r\n\r\n" if last else chunk)
        elif self._length is None:
            self._put(piece)
        else:
            self._length -= len(piece)
            if self._length < 0:
                raise RuntimeError("The answer is longer than its content-length.")
            self._put(piece)
        if last:
            if self._length:
                raise RuntimeError("The answer is shorter than its content-length.")
            self._end()

    # The answer, by plain calls. After the caller has left they do nothing.

    def answer(self, status: int, fields: bytes, body: bytes) -> None:
        """A whole answer. `fields`: lines of its head, which say nothing of the length, nor of the connection."""
        if self.gone:
            return
        self.begun = True
        if not self.keep_alive:
            fields += _CLOSE
        transport = self._transport
        if not transport.is_closing():  # as in `_put`
            size = len(body)
            if self.scope["method"] == "HEAD":
                body = b""
            if len(body) <= JOINED:
                transport.write(_WHOLE % (self._connection.first(status), fields, size, body))
            else:
                transport.writelines((_WHOLE % (self._connection.first(status), fields, size, b""), body))
        self._end()

    def open(self, fields: bytes) -> None:
        """Status 200 and the head of a stream. `fields`: lines of it, which say nothing of frames and connection."""
        if self.gone:
            return
        self.begun = True
        if not self.keep_alive:
            fields += _CLOSE
        framing = b"" if self._plain else b"transfer-encoding: chunked\r\n"
        self._hold(b"%b%b%b\r\n" % (self._connection.first(200), fields, framing))

    def write(self, chunk: bytes) -> Awaitable[None] | None:
        """Bytes of a stream, not empty. None while there is room for more, else wait for what it returns."""
        if self.gone:
            return None
        piece = chunk if self._plain else b"%x\r\n%b\r\n" % (len(chunk), chunk)
        if self._held:
            piece, self._held = self._held + piece, b""
        if not self._transport.is_closing():
            self._transport.write(piece)
        return self._connection.room() if self._connection.full else None

    def end(self) -> None:
        """The end of a stream."""
        if not self.gone:
            self._put(b"" if self._plain else b"0\r\n\r\n")
            self._end()

    # What both have in common.

    def _hold(self, head: bytes) -> None:
        """The event loop writes at once, so a head by itself would be a system call more, and wake the caller twice."""
        self._held = head
        self._connection.soon(self._flush)

    def _flush(self) -> None:
        """Nothing came with the head."""
        if self._held:
            self._put(b"")

    def _put(self, piece: bytes) -> None:
        if self._held:
            piece, self._held = self._held + piece, b""
        # uvloop raises for a transport that is closed, and who answers is told of that a moment later.
        if not self._transport.is_closing():
            self._transport.write(piece)

    def _end(self) -> None:
        self.over = True
        if self._held:  # of an answer to HEAD, or without a body
            self._put(b"")
        if self._listening is not None:
            self._tell()
        if not self.keep_alive:
            self._transport.close()
        self._connection.answered()

    def finish(self, task: asyncio.Task[None]) -> None:
        """The task is over. If there is no answer, the caller must not wait for ever, nor take a part for the whole."""
        self.task = None
        self._connection.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _logger.error("The application failed.", exc_info=error)
        if self.gone or self.over:
            return
        if error is None:
            _logger.error("The application ended without a whole answer.")
        if self.begun:
            self._flush()
            self._transport.close()
        else:
            self.keep_alive = False
            self.answer(500, b"content-type: text/plain; charset=utf-8\r\n", b"Internal Server Error")


def lines(rows: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they are written. Raises RuntimeError for what no header can have."""
    rows = list(rows)
    return checked(b"".join([name for name, _ in rows]), b"".join([b"%b: %b\r\n" % row for row in rows]), len(rows))


def checked(names: bytes, written: bytes, number: int) -> bytes:
    """`written`, which are the lines of so many headers with these names. Raises RuntimeError, likewise."""
    # What may be there is taken away. A pattern for what may not would look at each byte by itself, ten times dearer.
    if names.translate(None, _IN_NAMES) or written.translate(None, _IN_VALUES) != b"\r\n" * number:
        raise RuntimeError("A header of the answer has characters that headers cannot have.")
    return written


@lru_cache(maxsize=500)
def status_line(status: int) -> bytes:
    """The first line of an answer."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
