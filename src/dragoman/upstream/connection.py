"""One connection to an upstream: writes a call, takes its answer apart, and says when it is free again.

The parser is llhttp, by httptools; what it accepts is HTTP/1.0 and 1.1 as Node.js accepts them.
https://github.com/MagicStack/httptools, https://github.com/nodejs/llhttp
Body bytes go from it into a list without a line of Python between; the answer takes all that came in one go.
"""

import asyncio
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from dragoman.messages.pieces import Pieces

READ_BUFFER = 64 * 1024  # bytes; reading pauses when twice as many wait for a slow caller
LINE_LIMIT = 64 * 1024  # bytes of one header field
HEADER_LIMIT = 256  # header fields of one answer
HEAD_LIMIT = 256 * 1024  # bytes of an answer's head, and of what stands between two pieces of its body
INTERIM_LIMIT = 1000  # heads that only say that an answer will come


class Lost(Exception):  # noqa: N818 words of the house
    """The connection ended before the answer did. `heard`: whether a byte of the answer had come."""

    def __init__(self, *, heard: bool) -> None:
        super().__init__()
        self.heard = heard


class Garbled(Exception):  # noqa: N818 words of the house
    """What came is not HTTP, or more of it than is good."""


class Listener(Protocol):
    """Whoever waits for an answer: `upstream.answer.Answer`."""

    status: int  # 0 until the head is here
    fields: list[tuple[bytes, bytes]]

    def wake(self) -> None:
        """The head, or a part of the body, is here."""
        ...

    def over(self, rest: bytes, error: Exception | None) -> None:
        """The last byte is here, or an error instead of it. `rest`: what was not taken yet."""
        ...


class Keeper(Protocol):
    """Whoever keeps connections between calls: `upstream.pool.Pool`."""

    def give_back(self, connection: "Connection") -> None: ...

    def lost(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """Made by `upstream.dialling`; one call at a time."""

    __slots__ = (
        "_alone",
        "_bare",
        "_complete",
        "_drained",
        "_early",
        "_fields",
        "_framing",
        "_head",
        "_interim",
        "_keep",
        "_listener",
        "_parser",
        "_paused",
        "_seals",
        "_size",
        "gone",
        "keeper",
        "on_body",
        "parts",
        "transport",
        "used",
    )

    def __init__(self) -> None:
        self.transport = cast("asyncio.Transport", None)  # from `connection_made` on
        self.keeper: Keeper | None = None
        self.gone = False  # nothing can be sent any more
        self.used = False  # an answer came over it
        self.parts: list[bytes] = []  # of a body, not taken yet
        self.on_body = self.parts.append
        self._early = b""  # came before the first call
        self._listener: Listener | None = None
        self._parser = cast("HttpResponseParser", None)  # while it is connected: it holds this
        self._drained: asyncio.Future[None] | None = None  # the other side is slow
        self._paused = False  # our side is slow
        self._seals = False  # TLS: each piece would become a record of its own
        self._complete = False
        self._framing = 0  # bytes since the last one of a body
        self._fields: list[tuple[bytes, bytes]] = []

    def ask(
        self, listener: Listener, head: bytes, body: bytes | Pieces = b"", *, bare: bool = False, alone: bool = False
    ) -> None:
        """Write a call. `bare`: its answer has a head only, whatever that says; `alone`: no other call follows."""
        self._listener = listener
        self._bare = bare
        self._alone = alone
        self._fields = []
        self._head = 0  # bytes of all fields that came before and behind the body
        self._interim = 0
        self._framing = 0
        self._size = 0  # bytes that wait to be taken, at most
        self._complete = False
        self._keep = False
        there = not (self.gone or self.transport.is_closing())
        if there:
            if isinstance(body, Pieces):
                self.transport.writelines((head, bytes(body)) if self._seals else (head, *body.parts))
            else:
                self.transport.writelines((head, body) if body else (head,))
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)
        if not there:
            self._lose()

    def take(self) -> bytes:
        """All of the body that waits to be taken."""
        parts = self.parts
        chunk = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        return chunk

    def abort(self) -> None:
        """Close it at once; nobody listens any more."""
        self._listener = None
        self.parts.clear()
        self.gone = True
        self.transport.abort()

    def end(self) -> None:
        """Close it at once, and tell whoever listens."""
        self._lose(ConnectionAbortedError())
        self.abort()

    def write(self, parts: tuple[bytes, ...]) -> bool:
        """Write more of the call. False when nobody reads any more."""
        if self.gone or self.transport.is_closing():
            return False
        self.transport.writelines(parts)
        return True

    async def drained(self) -> None:
        """Wait until the other side has taken most of what was written, or is gone."""
        if self._drained is not None:
            await self._drained

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._parser = self._new_parser()
        self._seals = transport.get_extra_info("sslcontext") is not None

    def data_received(self, data: bytes) -> None:
        listener = self._listener
        if listener is None:
            self._unasked(data)
            return
        parts = self.parts
        before = len(parts)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._complete:
                self._end(listener, Garbled())
                return
            self._keep = False  # more than the answer came
        if self._complete:
            if self._bare:
                self._end_bare(data)
            self._end(listener, None)
            return
        if len(parts) != before:
            self._framing = 0
            self._size += len(data)
            if self._size > 2 * READ_BUFFER and not self._paused:
                self._paused = True
                self.transport.pause_reading()
        else:
            self._framing += len(data)
            if self._framing > HEAD_LIMIT:
                self._end(listener, Garbled())
                return
            if not listener.status:
                return
        listener.wake()

    def eof_received(self) -> None:
        self._lose()
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self._lose(exc)
        self.resume_writing()
        self._parser = cast("HttpResponseParser", None)
        if self.keeper is not None:
            self.keeper.lost(self)

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # The parser's

    def on_message_begin(self) -> None:
        if self._complete:
            raise Garbled("an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of a head; those behind a body (RFC 9112, 7.1.2) are counted, and forgotten."""
        fields = self._fields
        fields.append((name, value))
        size = len(name) + len(value)
        self._head += size
        if size > LINE_LIMIT or self._head > HEAD_LIMIT or len(fields) > HEADER_LIMIT:
            raise Garbled("a head that is too large")

    def on_headers_complete(self) -> None:
        if not self.used and not self._parser.get_http_version().startswith("1."):  # one connection speaks one version
            raise Garbled("another version")
        status = self._parser.get_status_code()
        if status < 200:
            self._interim += 1
            if status < 100 or status == 101 or self._interim > INTERIM_LIMIT:  # nobody asked for another protocol
                raise Garbled("a head that promises nothing")
            self._fields = []
            return
        listener = self._listener
        assert listener is not None  # noqa: S101 nothing is parsed without
        listener.fields = self._fields
        listener.status = status
        self._fields = []
        if self._bare:
            self.on_message_complete()

    def on_message_complete(self) -> None:
        listener = self._listener
        if listener is not None and listener.status:  # it is none of those before the answer
            self._complete = True
            self._keep = self._parser.should_keep_alive()

    # The end of an answer

    def _unasked(self, data: bytes) -> None:
        """Some servers answer as soon as somebody comes, to send them away. Between two calls nothing may come."""
        if self.used or len(self._early) > HEAD_LIMIT:
            self.abort()
        else:
            self._early += data

    def _end(self, listener: Listener, error: Exception | None) -> None:
        rest = b"".join(self.parts)
        self.parts.clear()
        self._listener = None
        # An answer that came before the call was sent whole: nobody knows what the upstream still reads.
        sent = not self.gone and self.transport.get_write_buffer_size() == 0
        keep = error is None and self._keep and sent and not self._alone and not self._paused
        self.used = True
        listener.over(rest, error)
        if not keep:
            self.abort()
        elif self.keeper is not None:
            self.keeper.give_back(self)

    def _end_bare(self, data: bytes) -> None:
        """The parser waits for a body that never comes: the next call gets another one."""
        self._keep = self._keep and not self.parts and data.endswith(b"\r\n\r\n")
        self.parts.clear()
        self._parser = self._new_parser()

    def _lose(self, error: Exception | None = None) -> None:
        """Nothing will come any more: the end of a body that has no other one, or a failure."""
        listener = self._listener
        if listener is None:
            return
        if error is None and listener.status and _until_the_end(listener.fields):
            self._end(listener, None)
        else:
            self._end(listener, Lost(heard=bool(listener.status or self._framing)))

    def _new_parser(self) -> HttpResponseParser:
        parser = HttpResponseParser(self)
        # As clients have always been with servers: lines that end in LF only, blanks behind the size of a chunk.
        parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        return parser


def _until_the_end(fields: list[tuple[bytes, bytes]]) -> bool:
    """Whether a body ends with its connection (RFC 9112, 6.3)."""
    for name, value in fields:
        match name.lower():
            case b"content-length":
                return False
            case b"transfer-encoding" if value.lower().rstrip().endswith(b"chunked"):
                return False
    return True
