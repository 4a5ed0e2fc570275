"""One connection: uvicorn's HTTP protocol, with limits on what a caller may do to it, and less work for each request.

uvicorn bounds neither the head of a request nor the time that it takes, and httptools lets some shapes through that
servers behind each other read differently (https://www.rfc-editor.org/rfc/rfc9112#section-11.2). Versions are pinned:
this file knows their inside.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from dragoman.config.settings import Server
from dragoman.messages.errors import ApiError
from dragoman.server.exchange import CUT, DRAINING

KEEP_ALIVE = 75  # seconds; longer than clients keep an idle connection, so that they close it and not we

HEADERS = 200  # of one request
HEAD_BYTES = 64 * 1024  # of all of them, and of what a body in chunks may have besides its own bytes
TARGET_BYTES = 16 * 1024  # of path and query
HEAD_TIME = 30.0  # seconds from the first byte of a head to its last
PIPELINED = 100  # requests that wait behind one on the same connection
BODY_WINDOW = 60.0  # seconds in which
BODY_PIECE = 60 * 1024  # bytes of a body must come, or its end
FRAMING = 16  # bytes of a chunk's frame for each byte in it: more are no body
LINGER = 2.0  # seconds in which a caller can read why it was refused, before the connection is closed

_EXPECT, _HOST, _ENCODING, _UPGRADE = b"expect", b"host", b"transfer-encoding", b"upgrade"
_WATCHED = frozenset((_EXPECT, _HOST, _ENCODING, _UPGRADE))
_SLASH = ord("/")


class State(ServerState):
    """What all connections of a server share. `settings` tells those of now."""

    def __init__(self, settings: Callable[[], Server]) -> None:
        super().__init__()
        self.settings = settings
        self.draining = False


class _Refused(Exception):  # noqa: N818 it only carries the words out of the parser
    """A request is not taken. `status` and the message are for the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Protocol(HttpToolsProtocol):
    """One connection. What it refuses it tells in the form that callers know.

    A body that came at once is not copied, and the head of an answer goes out together with what follows it.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: State,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._state = server_state
        self._running: RequestResponseCycle | None = None  # `cycle` is the newest, and may have to wait behind it
        self._over = False  # nothing that still comes is taken
        self._in_head = False
        self._in_body = False
        self._head = 0  # bytes of a head that has not ended
        self._hosts = 0
        self._upgrade = False
        self._encodings: list[bytes] = []
        self._received = 0  # bytes of a body and of its frames
        self._body = 0  # bytes of a body
        self._body_before = 0  # of these, when it was looked at last
        self._piece = 0  # bytes that came at once
        self._deadline: asyncio.TimerHandle | None = None  # of a head, or of a piece of a body
        self._patience: asyncio.TimerHandle | None = None  # with a caller who does not read

    # The connection.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport, self.pipeline)
        self._extensions: dict[str, Any] = {CUT: transport.abort}
        self._open = _Open(transport)
        self.timeout_keep_alive_task = self.loop.call_later(KEEP_ALIVE, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        running = self._running
        if running is not None and running is not self.cycle and not running.response_complete:
            running.disconnected = True  # uvicorn tells only the newest
            running.message_event.set()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._unset_deadline()
        if self._patience is not None:
            self._patience.cancel()
        self._let_go()

    def _let_go(self) -> None:
        """Of what will never begin: an answer stands in a circle with what gathers it, a request that waits with this
        connection. The garbage collector comes late where much is going on, and sockets are large.
        """
        for cycle in (self._running, self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:
                cycle.transport = self._open  # type: ignore[assignment]
        self.pipeline.clear()
        if self.cycle is not self._running:
            self.cycle.on_response = lambda: None  # as uvicorn does behind an answer

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._piece = len(data)
        begun = self._in_head
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data, upgrade)
        except httptools.HttpParserError as error:
            self._refuse(error)
        if self._in_head:
            self._wait_for_head(begun=begun)
        elif self._in_body:
            self._wait_for_body()

    def _stay(self, data: bytes, upgrade: httptools.HttpParserUpgrade) -> None:
        """Nothing else is spoken here: the request is read again, as one that asks for no upgrade.

        Java's own client asks for HTTP/2 with every request, and httptools does not look at bodies then.
        """
        found: httptools.HttpParserUpgrade | None = upgrade
        while found is not None:
            version = self.parser.get_http_version().encode()
            lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
            lines += [b"%b: %b" % field for field in self.headers if field[0] != _UPGRADE]
            data = b"\r\n".join([*lines, b"", data[found.args[0] :]])
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            found = None
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as another:
                found = another
            except httptools.HttpParserError as error:
                self._refuse(error)

    def shutdown(self) -> None:
        if self._over and not self._is_running():  # a refusal that is being read
            return
        super().shutdown()

    # The head of a request.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._in_head = True
        self._head = self._hosts = 0
        self._upgrade = False
        if self._encodings:
            self._encodings = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer: nobody asked for any, and none may look like a header
            return
        name = name.lower()
        if name in _WATCHED:
            if name == _HOST:
                self._hosts += 1
            elif name == _ENCODING:
                self._encodings.append(value)
            elif name == _UPGRADE:
                self._upgrade = True
            elif value.lower() == b"100-continue":
                self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unset_deadline()
        self._unset_keepalive_if_required()  # the answer before may have ended in the middle of this head
        self._check_head()
        if self._upgrade and self.parser.should_upgrade():
            return
        self._in_body = True
        self._received = self._body = self._body_before = 0
        self.scope["extensions"] = self._extensions
        super().on_headers_complete()
        self.cycle.transport = _Gathered(self.cycle, self._open, self.loop)  # type: ignore[assignment]
        if self._state.draining:
            self._extensions[DRAINING] = True
            self.cycle.keep_alive = False

    def _check_head(self) -> None:
        """Raises _Refused."""
        url = self.url
        if url[0] != _SLASH:
            raise _Refused(
                400, "The target of a request must be a path. This is a gateway and no proxy: use its base URL."
            )
        if len(url) > TARGET_BYTES:
            raise _Refused(414, f"Path and query of a request may have {TARGET_BYTES} bytes.")
        headers = self.headers
        if len(headers) > HEADERS:
            raise _Refused(431, f"A request may have {HEADERS} headers.")
        if self._head + self._piece > HEAD_BYTES and sum([len(n) + len(v) for n, v in headers]) > HEAD_BYTES:
            raise _Refused(431, f"The headers of a request may have {HEAD_BYTES} bytes together.")
        if self._hosts > 1:
            raise _Refused(400, "A request must have one `Host` header.")
        if not headers and self.parser.get_http_version() == "0.9":
            raise _Refused(400, "HTTP/0.9 is not spoken here.")
        if self._encodings and (
            self._encodings[0].lower() != b"chunked"
            or len(self._encodings) > 1
            or self.parser.get_http_version() == "1.0"
        ):
            raise _Refused(400, "The only `Transfer-Encoding` that is taken is `chunked`, in HTTP/1.1.")
        if len(self.pipeline) >= PIPELINED:
            raise _Refused(400, f"{PIPELINED} requests wait on this connection.")

    def _wait_for_head(self, *, begun: bool) -> None:
        """It has not ended with what came. `begun`: it had begun before."""
        # Else it begins somewhere behind a body: what came is not its own, and one read is bounded anyway.
        if begun or not self._is_running():
            self._head += self._piece
        if self._head > HEAD_BYTES:
            self._turn_away(431, f"The headers of a request may have {HEAD_BYTES} bytes together.")
        elif self._deadline is None:
            self._deadline = self.loop.call_later(
                HEAD_TIME, self._turn_away, 408, f"The headers of a request must come within {HEAD_TIME:g} s."
            )

    # The body of a request.

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        cycle = self.cycle
        if cycle.body or cycle.response_complete:
            super().on_body(body)
            return
        # Its `bytes(body)` copies no bytes, and its `body += more` works on them too.
        cycle.body = body  # type: ignore[assignment]
        if len(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if not self._in_body:  # it will be read again
            return
        self._in_body = False
        self._unset_deadline()
        super().on_message_complete()

    def _wait_for_body(self) -> None:
        """It has not ended with what came."""
        self._received += self._piece
        if self._received > self._body * (1 + FRAMING) + 2 * HEAD_BYTES:  # what came first may be a head
            self._turn_away(400, "The frames of the request's chunks are much larger than what is in them.")
        elif self._deadline is None:
            self._deadline = self.loop.call_later(BODY_WINDOW, self._look_at_body)

    def _look_at_body(self) -> None:
        if not self._is_running():  # it was answered long ago
            self.transport.close()
            return
        waited = self._flow.waited()
        if self._body - self._body_before < BODY_PIECE and not waited:
            self._turn_away(
                408, f"The request's body came too slowly: {BODY_PIECE} bytes are wanted in {BODY_WINDOW:g} s."
            )
            return
        self._body_before = self._body
        self._deadline = self.loop.call_later(BODY_WINDOW, self._look_at_body)

    # The answer.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._over:
            self._close_when_done()
        if self.transport.is_closing():
            self._give_patience()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._give_patience()  # the end of the last answer may still be unread

    def pause_writing(self) -> None:
        super().pause_writing()
        self._give_patience()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._patience is not None and not self.transport.is_closing():
            self._patience.cancel()
            self._patience = None

    def _give_patience(self) -> None:
        """The caller does not read: for a while that is its right."""
        if self._patience is None:
            self._patience = self.loop.call_later(self._state.settings().write_idle, self.transport.abort)

    def _is_running(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _close_when_done(self) -> None:
        if not self._is_running():
            self.transport.close()

    # Refusals.

    def _turn_away(self, status: int, message: str) -> None:
        self._refuse(_Refused(status, message))

    def _refuse(self, error: Exception) -> None:
        """Nothing more is taken. Requests that are complete are answered first, and then there is nothing to say."""
        request_id = "req_" + os.urandom(12).hex()
        if isinstance(error, httptools.HttpParserCallbackError):
            cause = error.__context__
            if isinstance(cause, (_Refused, httptools.HttpParserInvalidURLError)):
                error = cause
            else:
                self.logger.error("A request failed inside dragoman, under %s.", request_id, exc_info=cause)
        self._over = True
        self._unset_deadline()
        in_body, self._in_body = self._in_body, False
        self._in_head = False
        status, message = _told(error)
        self.logger.warning("Refused with %d under %s: %s", status, request_id, message)
        running = self._running
        if running is not None and not running.response_complete:
            if not in_body:
                return
            if self.pipeline:
                self.pipeline.popleft()  # the newest: it is the one whose body is wrong
                return
            running.disconnected = True
            running.message_event.set()
            if running.response_started:
                self.transport.abort()
                return
        elif in_body:  # it was answered before it was complete
            self.transport.close()
            return
        self._unset_keepalive_if_required()
        self._tell(status, message, request_id)

    def _tell(self, status: int, message: str, request_id: str) -> None:
        body = ApiError("internal" if status == 500 else "invalid_request", message).envelope(request_id)
        self.transport.write(
            b"%bcontent-type: application/json\r\nconnection: close\r\nrequest-id: %b\r\ncontent-length: %d\r\n\r\n%b"
            % (STATUS_LINE[status], request_id.encode(), len(body), body)
        )
        # Closing at once would take the words away from a caller that is still sending.
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER, self.transport.abort)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _told(error: Exception) -> tuple[int, str]:
    if isinstance(error, _Refused):
        return error.status, str(error)
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return 400, "Invalid HTTP request received. Is this http, and not https?"
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return 400, "Invalid HTTP request received: the target of the request is not valid."
    if isinstance(error, httptools.HttpParserCallbackError):
        return 500, "dragoman itself failed. Its log says more."
    return 400, f"Invalid HTTP request received: {error}."  # the parser's own words; none are the caller's


class _Flow(FlowControl):
    """uvicorn's, which reads on for the request that runs, whatever the bodies of those behind it have grown to."""

    def __init__(self, transport: asyncio.Transport, pipeline: deque[tuple[RequestResponseCycle, Any]]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline
        self._waited = False

    def resume_reading(self) -> None:
        if self.read_paused and sum([len(cycle.body) for cycle, _ in self._pipeline]) <= HIGH_WATER_LIMIT:
            self._waited = True
            super().resume_reading()

    def waited(self) -> bool:
        """Whether the caller had to wait for us, now or since this was asked before."""
        waited, self._waited = self._waited or self.read_paused, False
        return waited


class _Open:
    """A transport that may be written to after it was closed: uvloop raises then, where asyncio says nothing.

    Who answers is told of the end a moment after the transport was closed, and may be writing just then.
    """

    __slots__ = ("_write", "_writelines", "close", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._write = transport.write
        self._writelines = transport.writelines
        self.close = transport.close
        self.is_closing = transport.is_closing

    def write(self, piece: bytes) -> None:
        if not self.is_closing():
            self._write(piece)

    def writelines(self, pieces: tuple[bytes, ...]) -> None:
        if not self.is_closing():
            self._writelines(pieces)


class _Gathered:
    """Stands for the transport of one answer until its head is written: the head waits for what comes with it.

    The event loop writes at once, so a head and a body would be two system calls, and wake the caller twice.
    """

    __slots__ = ("_cycle", "_head", "_loop", "_transport", "is_closing")

    def __init__(self, cycle: RequestResponseCycle, transport: _Open, loop: asyncio.AbstractEventLoop) -> None:
        self._cycle = cycle
        self._loop = loop
        self._transport = transport
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, piece: bytes) -> None:
        if self._head:
            self._cycle.transport = self._transport  # type: ignore[assignment]
            self._transport.writelines((self._head, piece))
            self._head = b""
        else:
            self._head = piece
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        """Nothing came with it: the answer is a stream that has yet to begin."""
        if self._head:
            self._cycle.transport = self._transport  # type: ignore[assignment]
            self._transport.write(self._head)
            self._head = b""
