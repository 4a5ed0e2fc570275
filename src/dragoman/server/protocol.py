"""One connection: HTTP/1.1 as httptools reads it, and limits on what a caller may do.

httptools bounds neither the head of a request nor the time that it takes, and lets some shapes through that servers
behind each other read differently (https://www.rfc-editor.org/rfc/rfc9112#section-11.2). uvicorn's server makes it in
place of its own protocol: docs/decisions/0013-our-own-connections.md
"""

import asyncio
import logging
import os
import re
from collections import deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from dragoman.messages.decoding import received
from dragoman.messages.errors import ApiError
from dragoman.server.cycle import Cycle, status_line
from dragoman.server.exchange import CUT, DRAINING
from dragoman.server.gathering import LARGEST, Gathering
from dragoman.server.heads import LONGEST_LENGTH, KnownHead
from dragoman.server.refusal import Refused, told
from dragoman.server.state import State

KEEP_ALIVE = 75  # seconds; longer than clients keep an idle connection, so that they close it and not we

HEADERS = 200  # of one request
HEAD_BYTES = 64 * 1024  # of all of them, and of what a body in chunks may have besides its own bytes
TARGET_BYTES = 16 * 1024  # of path and query
HEAD_TIME = 30.0  # seconds from the first byte of a head to its last
PIPELINED = 100  # requests that wait behind one on the same connection
BODY_WINDOW = 60.0  # seconds in which
BODY_PIECE = 60 * 1024  # bytes of a body must come, or its end
UNREAD = 64 * 1024  # bytes of bodies that nobody took yet, before the caller has to wait
FRAMING = 16  # bytes of a chunk's frame for each byte in it: more are no body
LESSONS = 5  # heads of one connection that are kept, one after the other
LINGER = 2.0  # seconds in which a caller can read why it was refused, before the connection is closed

_EXPECT, _HOST, _ENCODING, _UPGRADE = b"expect", b"host", b"transfer-encoding", b"upgrade"
_WATCHED = frozenset((_EXPECT, _HOST, _ENCODING, _UPGRADE))
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE)
_SLASH = ord("/")
_ASGI = {"version": "3.0", "spec_version": "2.3"}

_logger = logging.getLogger("uvicorn.error")


class Protocol(asyncio.BufferedProtocol):
    """One connection. What it refuses it tells in the form that callers know."""

    __slots__ = (  # more than thirty attributes without would each be looked up by name, in a dict
        "_application",
        "_body",
        "_body_before",
        "_client",
        "_deadline",
        "_encodings",
        "_expects",
        "_extensions",
        "_gathering",
        "_head",
        "_headers",
        "_hosts",
        "_idle",
        "_idle_since",
        "_in_body",
        "_in_head",
        "_known",
        "_lessons",
        "_loop",
        "_made_wait",
        "_newest",
        "_over",
        "_parser",
        "_patience",
        "_patient",
        "_piece",
        "_read_paused",
        "_readers",
        "_received",
        "_running",
        "_scheme",
        "_server",
        "_state",
        "_upgrade",
        "_url",
        "_waiting",
        "first",
        "full",
        "tasks",
        "transport",
    )

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: State,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        del app_state  # nobody here keeps any
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.full = False
        self.first = server_state.first
        self.tasks = server_state.tasks
        self._state = server_state
        self._application: ASGIApp = config.loaded_app
        self._patient = config.timeout_keep_alive  # seconds with a connection that says nothing
        self._loop = _loop or asyncio.get_running_loop()
        self._extensions: dict[str, Any] = {}
        self._client: tuple[str, int] | None = None
        self._server: tuple[str, int | None] | None = None
        self._scheme = "http"
        self._start_parser()

        self._newest: Cycle | None = None  # may have to wait behind the one that runs
        self._running: Cycle | None = None
        self._waiting: deque[Cycle] = deque()
        self._over = False  # nothing that still comes is taken

        # Of the request that comes.
        self._in_head = False
        self._in_body = False
        self._head = 0  # bytes of a head that has not ended
        self._known: KnownHead | None = None
        self._lessons = 0  # heads that were looked at, to know them again
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._hosts = 0
        self._expects = False
        self._upgrade = False
        self._encodings: list[bytes] = []
        self._received = 0  # bytes of a body and of its frames
        self._body = 0  # bytes of a body
        self._body_before = 0  # of these, when it was looked at last
        self._piece = 0  # bytes that came at once
        self._gathering: Gathering | None = None

        self._read_paused = False
        self._made_wait = False  # the caller had to wait for us
        self._readers: list[asyncio.Future[None]] = []  # who waits until the caller has read
        self._idle_since: float | None = None  # by the loop's clock; None while something happens
        self._idle: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None  # of a head, or of a piece of a body
        self._patience: asyncio.TimerHandle | None = None  # with a caller who does not read

    def _start_parser(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        # What comes behind the last request of a connection is no reason to leave that one unanswered.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    # The connection.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._state.connections.add(self)  # type: ignore[arg-type]
        self.transport = transport
        self._server, self._client = get_local_addr(transport), get_remote_addr(transport)
        self._scheme = "https" if is_ssl(transport) else "http"
        self._extensions = {CUT: transport.abort}
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._state.connections.discard(self)
        self._over = True
        for cycle in (self._running, *self._waiting):
            if cycle is not None and not cycle.over:
                cycle.leave()
        self.resume_writing()
        self._unset_deadline()
        for timer in (self._idle, self._patience):
            if timer is not None:
                timer.cancel()
        self._newest = self._running = self._known = self._gathering = None  # circles, as the parser is one
        del self._parser
        self._waiting.clear()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: to a body that is gathered, or where all connections read to. From there they are
        taken before this is called again, for whatever connection.
        """
        del sizehint
        view = self._state.view
        return view if self._gathering is None else self._gathering.place(self._body, view)

    def buffer_updated(self, nbytes: int) -> None:
        if self._over:
            return
        gathering = self._gathering
        if gathering is not None:
            self._body += nbytes
            if self._body == gathering.size:
                self._gathering = None
                gathering.end()
                self.on_message_complete()
            return
        data = self._state.view[:nbytes]
        before = self._newest
        begun = self._headers if self._in_head else None
        between = begun is None and not self._in_body
        known = self._known
        if between and known is not None and self._has_head_of_before(data, known):
            return
        self._piece = nbytes
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data, upgrade)
        except httptools.HttpParserError as error:
            self._refuse(error)
        if self._in_head:
            # Else it begins somewhere in what came, which is not its own, and one read is bounded anyway.
            if self._headers is begun or (between and not self._is_running()):
                self._head += nbytes
            self._wait_for_head()
            return
        newest = self._newest
        if between and newest is not None and newest is not before:
            self._learn_head(nbytes, newest)
        if self._in_body:
            if newest is before:  # likewise
                self._received += nbytes
            self._wait_for_body()

    def _stay(self, data: bytes | memoryview, upgrade: httptools.HttpParserUpgrade) -> None:
        """Nothing else is spoken here: the request is read again, as one that asks for no upgrade.

        Java's own client asks for HTTP/2 with every request, and httptools does not look at bodies then.
        """
        found: httptools.HttpParserUpgrade | None = upgrade
        while found is not None:
            version = self._parser.get_http_version().encode()
            lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self._url, version)]
            lines += [b"%b: %b" % field for field in self._headers if field[0] != _UPGRADE]
            data = b"\r\n".join([*lines, b"", data[found.args[0] :]])
            self._start_parser()
            found = None
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as another:
                found = another
            except httptools.HttpParserError as error:
                self._refuse(error)

    def shutdown(self) -> None:
        """Take no more requests. Called by the server."""
        running = self._running
        if running is not None and not running.over:
            if self._newest is not None:
                self._newest.keep_alive = False
        elif not self._over:  # else a refusal is being read
            self.transport.close()

    def _rest(self) -> None:
        """Nothing happens here from now on. One timer does for all the times that this is so."""
        self._idle_since = self._loop.time()
        if self._idle is None:
            self._idle = self._loop.call_later(self._patient, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        self._idle = None
        if self._idle_since is None:
            return
        left = self._idle_since + self._patient - self._loop.time()
        if left > 0:
            self._idle = self._loop.call_later(left, self._look_whether_idle)
            return
        self.transport.close()
        self._give_patience()  # the end of the last answer may still be unread

    # The head of a request that is as it was in the one before.

    def _learn_head(self, size: int, cycle: Cycle) -> None:
        """Keep the head of a request that was just read, in `size` bytes: those that follow mostly have the same.

        Not of the first, since many are the only one; and of no more than a few where each is another.
        """
        self._lessons += 1
        if not 1 < self._lessons <= LESSONS or self._upgrade or self._expects or not cycle.keep_alive:
            return
        end = self._state.room.find(b"\r\n\r\n", 0, size) + 4
        head = bytes(self._state.view[:end])
        found = _LENGTH.search(head)
        if found is not None and size == end + self._body:
            at = [name for name, _ in cycle.scope["headers"]].index(b"content-length")
            self._known = KnownHead(head[: found.start(1)], head[found.end(1) :], dict(cycle.scope), at)
            cycle.facts = self._known.facts

    def _has_head_of_before(self, data: memoryview, known: KnownHead) -> bool:
        """Whether `data` is one request, with its body or a part of that, whose head differs from the known one in its
        length only; then it begins, and nothing of the head is read again. What differs more is for the parser.
        """
        head = bytes(data[: known.longest])
        if not head.startswith(known.before):
            self._known = None
            return False
        start = len(known.before)
        length = head[start : start + LONGEST_LENGTH].partition(b"\r")[0]
        end = start + len(length)
        body = end + len(known.after)
        here = len(data) - body
        running, facts = self._running, known.facts
        if not (
            head.startswith(known.after, end)
            and (running is None or running.over)
            and not self._state.draining
            and (length == b"%d" % here or (facts.beside is not None and _goes_on(length, here)))
        ):
            return False
        scope = known.scope.copy()
        rows = scope["headers"] = scope["headers"].copy()
        rows[known.at] = (b"content-length", length)
        facts.headers[b"content-length"] = length
        self._idle_since = None
        size = int(length)
        # Only who was let in before with this head, and asked for a message, is compared with what others said.
        if here < size:
            cycle = self._newest = Cycle(self, scope, None, facts)
            self._gathering = Gathering(self._state.rooms, cycle, size, data[body:])
            self._in_body = True
            self._received, self._body, self._body_before = 0, here, 0
            self._wait_for_body()
        else:
            taken = bytes(data[body:]) if facts.beside is None else received(self._state.room, body, len(data))
            cycle = self._newest = Cycle(self, scope, taken, facts)
        self._start(cycle)
        return True

    # The head of a request.

    def on_message_begin(self) -> None:
        self._idle_since = None
        self._in_head = True
        self._head = self._hosts = 0
        self._url = b""
        self._headers = []
        self._expects = self._upgrade = False
        if self._encodings:
            self._encodings = []

    def on_url(self, url: bytes) -> None:
        self._url += url

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
                self._expects = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._deadline is not None:
            self._unset_deadline()
        self._idle_since = None  # the answer before may have ended in the middle of this head
        self._check_head()
        parser = self._parser
        if self._upgrade and parser.should_upgrade():
            return
        self._in_body = True
        self._received = self._body = self._body_before = 0
        version = parser.get_http_version()
        path, raw_path, query = _parts(self._url)
        cycle = self._newest = Cycle(
            self,
            {
                "type": "http",
                "asgi": _ASGI,
                "http_version": version,
                "server": self._server,
                "client": self._client,
                "scheme": self._scheme,
                "root_path": "",
                "headers": self._headers,
                "method": parser.get_method().decode("ascii"),
                "path": path,
                "raw_path": raw_path,
                "query_string": query,
                "extensions": self._extensions,
            },
            keep_alive=version != "1.0" and parser.should_keep_alive() and not self._state.draining,
            expects=self._expects,
        )
        if self._state.draining:
            self._extensions[DRAINING] = True
        if self._is_running():
            self._waiting.append(cycle)
        else:
            self._start(cycle)

    def _check_head(self) -> None:
        """Raises Refused."""
        url = self._url
        if url[0] != _SLASH:
            raise Refused(
                400, "The target of a request must be a path. This is a gateway and no proxy: use its base URL."
            )
        if len(url) > TARGET_BYTES:
            raise Refused(414, f"Path and query of a request may have {TARGET_BYTES} bytes.")
        headers = self._headers
        if len(headers) > HEADERS:
            raise Refused(431, f"A request may have {HEADERS} headers.")
        if self._head + self._piece > HEAD_BYTES and sum([len(n) + len(v) for n, v in headers]) > HEAD_BYTES:
            raise Refused(431, f"The headers of a request may have {HEAD_BYTES} bytes together.")
        if self._hosts > 1:
            raise Refused(400, "A request must have one `Host` header.")
        if not headers and self._parser.get_http_version() == "0.9":
            raise Refused(400, "HTTP/0.9 is not spoken here.")
        if self._encodings and (
            self._encodings[0].lower() != b"chunked"
            or len(self._encodings) > 1
            or self._parser.get_http_version() == "1.0"
        ):
            raise Refused(400, "The only `Transfer-Encoding` that is taken is `chunked`, in HTTP/1.1.")
        if len(self._waiting) >= PIPELINED:
            raise Refused(400, f"{PIPELINED} requests wait on this connection.")

    def _wait_for_head(self) -> None:
        """It has not ended with what came."""
        if self._head > HEAD_BYTES:
            self._turn_away(431, f"The headers of a request may have {HEAD_BYTES} bytes together.")
        elif self._deadline is None:
            self._deadline = self._loop.call_later(
                HEAD_TIME, self._turn_away, 408, f"The headers of a request must come within {HEAD_TIME:g} s."
            )

    # The body of a request.

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        cycle = self._newest
        if cycle is not None and not cycle.over:
            cycle.add(body)

    def on_message_complete(self) -> None:
        if not self._in_body:  # it will be read again
            return
        self._in_body = False
        if self._deadline is not None:
            self._unset_deadline()
        cycle = self._newest
        if cycle is not None and not cycle.over:
            cycle.complete()
        elif not self._is_running():  # the answer did not wait for the end of the body
            self._rest()

    def gather(self, size: int, begun: bytes) -> None:
        """Read the rest of the body that comes into a room of its own, with nothing between that and the socket.

        `size`: bytes that it will have; `begun`: all that came of it. For callers who were let in: what they send is
        compared with what others said.
        """
        if self._gathering is None and self._newest is not None:
            self._start_parser()  # the one so far waits for the rest, and would wait for ever
            self._gathering = Gathering(self._state.rooms, self._newest, size, begun)
            self.resume_reading()

    def _wait_for_body(self) -> None:
        """It has not ended with what came."""
        if self._received > self._body * (1 + FRAMING) + HEAD_BYTES:
            self._turn_away(400, "The frames of the request's chunks are much larger than what is in them.")
            return
        if self._deadline is None:
            self._deadline = self._loop.call_later(BODY_WINDOW, self._look_at_body)
        if self._unread() > UNREAD and not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()

    def _unread(self) -> int:
        """Bytes of the body that comes, and of those before it that have to wait."""
        if self._waiting:
            return sum([cycle.size for cycle in self._waiting])
        return 0 if self._newest is None else self._newest.size

    def resume_reading(self) -> None:
        """Read on for the request that runs, whatever came for it; those behind it may not grow meanwhile."""
        if self._read_paused and not (self._waiting and self._unread() > UNREAD):
            self._read_paused = False
            self._made_wait = True
            self.transport.resume_reading()

    def _look_at_body(self) -> None:
        if not self._is_running():  # it was answered long ago
            self.transport.close()
            return
        made_wait, self._made_wait = self._made_wait or self._read_paused, False
        if self._body - self._body_before < BODY_PIECE and not made_wait:
            self._turn_away(
                408, f"The request's body came too slowly: {BODY_PIECE} bytes are wanted in {BODY_WINDOW:g} s."
            )
            return
        self._body_before = self._body
        self._deadline = self._loop.call_later(BODY_WINDOW, self._look_at_body)

    # The answer.

    def _start(self, cycle: Cycle) -> None:
        self._running = cycle
        # The loop's own call would write a name for each.
        task = cycle.task = asyncio.Task(
            self._application(cycle.scope, cycle.receive, cycle),  # type: ignore[arg-type]
            loop=self._loop,
            name="request",
        )
        self.tasks.add(task)
        task.add_done_callback(cycle.finish)

    def answered(self) -> None:
        """The answer that runs is complete."""
        if not self.transport.is_closing():
            if self._waiting:
                self._start(self._waiting.popleft())
            elif not self._in_head and not self._in_body:
                self._rest()
            if self._read_paused:
                self.resume_reading()
            if not self._over:
                return
            self._close_when_done()
        if self.transport.is_closing():
            self._give_patience()

    def soon(self, call: Callable[[], None]) -> None:
        """`call` in the next turn of the event loop."""
        self._loop.call_soon(call)

    def pause_writing(self) -> None:
        """Called by the transport when much is unread."""
        self.full = True
        self._give_patience()

    def resume_writing(self) -> None:
        """Called by the transport when little is unread."""
        self.full = False
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():
                reader.set_result(None)
        if self._patience is not None and not self.transport.is_closing():
            self._patience.cancel()
            self._patience = None

    def room(self) -> Awaitable[None]:
        """Ends when the caller has read, or left. One for each who waits: who is cancelled ends only its own."""
        reader = self._loop.create_future()
        self._readers.append(reader)
        return reader

    def _give_patience(self) -> None:
        """The caller does not read: for a while that is its right."""
        if self._patience is None:
            self._patience = self._loop.call_later(self._state.settings().write_idle, self.transport.abort)

    def _is_running(self) -> bool:
        return self._running is not None and not self._running.over

    def _close_when_done(self) -> None:
        if not self._is_running():
            self.transport.close()

    # Refusals.

    def _turn_away(self, status: int, message: str) -> None:
        self._refuse(Refused(status, message))

    def _refuse(self, error: Exception) -> None:
        """Nothing more is taken. Requests that are complete are answered first, and then there is nothing to say."""
        request_id = "req_" + os.urandom(12).hex()
        if isinstance(error, httptools.HttpParserCallbackError):
            cause = error.__context__
            if isinstance(cause, (Refused, httptools.HttpParserInvalidURLError)):
                error = cause
            else:
                _logger.error("A request failed inside dragoman, under %s.", request_id, exc_info=cause)
        self._over = True
        self._gathering = None
        self._unset_deadline()
        in_body, self._in_body = self._in_body, False
        self._in_head = False
        status, message = told(error)
        _logger.warning("Refused with %d under %s: %s", status, request_id, message)
        running = self._running
        if running is not None and not running.over:
            if not in_body:
                return
            if self._waiting:
                self._waiting.pop()  # the newest: it is the one whose body is wrong
                return
            running.leave()
            if running.begun:
                self.transport.abort()
                return
        elif in_body:  # it was answered before it was complete
            self.transport.close()
            return
        self._idle_since = None
        self._tell(status, message, request_id)

    def _tell(self, status: int, message: str, request_id: str) -> None:
        body = ApiError("internal" if status == 500 else "invalid_request", message).envelope(request_id)
        first = status_line(status) + b"content-type: application/json\r\nconnection: close\r\n"
        last = b"request-id: %b\r\ncontent-length: %d\r\n\r\n" % (request_id.encode(), len(body))
        self.transport.write(first + last + body)
        # Closing at once would take the words away from a caller that is still sending.
        self.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self._loop.call_later(LINGER, self.transport.abort)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _goes_on(length: bytes, here: int) -> bool:
    """Whether a body of this length, of which so many bytes are here, goes on and is to be gathered."""
    size = int(length) if length.isdigit() else 0
    return here < size <= LARGEST and length == b"%d" % size


@lru_cache(maxsize=256)
def _parts(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, the same as it was written, and query. Raises HttpParserInvalidURLError."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""
