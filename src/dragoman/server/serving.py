"""Listening: sockets, the event loop, uvicorn, and the end of it."""

import asyncio
import contextlib
import errno
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from dragoman.config.settings import Server
from dragoman.messages.errors import ApiError
from dragoman.server.door import is_loopback
from dragoman.server.exchange import CUT

KEEP_ALIVE = 75  # seconds; longer than clients keep an idle connection, so that they close it and not we
BACKLOG = 2048

_DEFAULTS = Server()


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets for `host` and `port`, bound and not yet listening.

    On loopback both 127.0.0.1 and ::1 are bound, because clients resolve `localhost` to either. `port` 0 is any free
    one. Raises OSError whose message says what to do.
    """
    first = _bound("127.0.0.1" if host == "localhost" else host, port)
    sockets = [first]
    other = {"127.0.0.1": "::1", "localhost": "::1", "::1": "127.0.0.1"}.get(host)
    if other is not None and is_loopback(host):
        # No IPv6 here, or something else has the port there: one loopback is enough.
        with contextlib.suppress(OSError):
            sockets.append(_bound(other, first.getsockname()[1]))
    return sockets


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise OSError(error.errno, f"{host} is no address of this machine: set server.host to one.") from None
    # The protocol is named because asyncio sets TCP_NODELAY only then, and each event would wait 40 ms without it.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there it would let two processes share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.settimeout(0)
        listener.set_inheritable(True)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            message = f"Port {port} on {host} is in use: is dragoman running already? Stop it, or choose with --port."
        elif error.errno == errno.EACCES:
            message = f"Port {port} needs special rights: choose one over 1023 with --port."
        else:
            message = f"Cannot listen on {host} port {port}: {error.strerror}. Set server.host to an own address."
        raise OSError(error.errno, message) from None
    return listener


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop: uvloop where it exists, which is everywhere but on Windows."""
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop  # noqa: PLC0415 does not exist on Windows

    return uvloop.new_event_loop


async def serve(
    application: Any,
    sockets: Sequence[socket.socket],
    settings: Server = _DEFAULTS,
    *,
    started: Callable[[], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM, `stop`, or cancellation; then open streams get `settings.stop_after`.

    `started` is called once the sockets are listening. Raises RuntimeError when the application's start failed.
    """
    server = _Server(
        uvicorn.Config(
            application,
            http=_Protocol,
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=round(settings.stop_after),
            backlog=BACKLOG,
        ),
        started,
    )
    serving = asyncio.ensure_future(server.serve(list(sockets)))
    stopping = asyncio.ensure_future(stop.wait()) if stop is not None else None
    try:
        await asyncio.wait([task for task in (serving, stopping) if task], return_when=asyncio.FIRST_COMPLETED)
    finally:
        if stopping is not None:
            stopping.cancel()
        server.should_exit = True
        await serving


class _Protocol(HttpToolsProtocol):
    """uvicorn's, which refuses what is no HTTP in the form that callers know, and does less for each request.

    A body that came at once is not copied, and the head of an answer goes out together with what follows it.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._extensions: dict[str, Any] = {CUT: transport.abort}
        self._open = _Open(transport)

    def on_headers_complete(self) -> None:
        self.scope["extensions"] = self._extensions
        super().on_headers_complete()
        self.cycle.transport = _Gathered(self.cycle, self._open, self.loop)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if cycle.body or cycle.response_complete:
            super().on_body(body)
            return
        # Its `bytes(body)` copies no bytes, and its `body += more` works on them too.
        cycle.body = body  # type: ignore[assignment]
        if len(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.close()  # what is no HTTP came behind a request whose answer is under way
            return
        body = ApiError("invalid_request", f"{msg} Is this http, and not https?").envelope("")
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()


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


class _Server(uvicorn.Server):
    """uvicorn's, which ends quietly on a signal instead of dying of it, and says when it is ready."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # it would end the event loop without a word
            raise RuntimeError("The server could not start; its log says why.") from None
        if self._tell is not None:
            self._tell()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
