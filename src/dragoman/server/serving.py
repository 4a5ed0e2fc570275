"""Listening: sockets, the event loop, uvicorn, and the end of it."""

import asyncio
import contextlib
import errno
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import uvicorn

from dragoman.config.settings import Server
from dragoman.server.door import is_loopback
from dragoman.server.protocol import KEEP_ALIVE, Protocol
from dragoman.server.state import State

BACKLOG = 2048
UNSENT = 128 * 1024  # bytes of an answer that wait in the kernel for a slow caller; the rest waits at its source
LAST_WORDS = 2.0  # seconds in which requests that were cut off are told, and connections close
TICKS = 10  # of uvicorn's, in a second
LOOK = 0.05  # seconds between two looks at what is left

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
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # else a caller who stopped reading is noticed after megabytes
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
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
    current: Callable[[], Server] | None = None,
    started: Callable[[], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM: requests are taken for `drain_delay` more, and get `drain_timeout` to end.

    After `stop` and cancellation there is no such delay. `current` tells the settings where they may change meanwhile;
    `started` is called once the sockets are listening. Raises RuntimeError when the application's start failed.
    """
    server = _Server(
        uvicorn.Config(
            application,
            http=Protocol,  # type: ignore[arg-type]  # any kind of protocol will do
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            backlog=BACKLOG,
        ),
        current or (lambda: settings),
        started,
    )
    serving = asyncio.ensure_future(server.serve(list(sockets)))
    stopping = asyncio.ensure_future(stop.wait()) if stop is not None else None
    try:
        await asyncio.wait([task for task in (serving, stopping) if task], return_when=asyncio.FIRST_COMPLETED)
    finally:
        if stopping is not None:
            stopping.cancel()
        server.end()
        await serving


class _Server(uvicorn.Server):
    """uvicorn's, which leaves in steps: take requests for a while, let them end, cut off what is left.

    A first signal begins with it. Each further one ends the step that it comes in.
    """

    def __init__(
        self, config: uvicorn.Config, settings: Callable[[], Server], started: Callable[[], None] | None
    ) -> None:
        super().__init__(config)
        self.server_state: State = State(settings)
        self._tell = started
        self._until: float | None = None  # when no more requests are taken
        self._at_once = False
        self._closed = False

    def end(self) -> None:
        """Take no more requests from now on."""
        self.should_exit = self._at_once = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del sig, frame
        if self._closed:
            self.force_exit = True
        elif self.should_exit:
            self._at_once = True
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # it would end the event loop without a word
            raise RuntimeError("The server could not start; its log says why.") from None
        if self._tell is not None:
            self._tell()

    async def on_tick(self, counter: int) -> bool:
        over = await super().on_tick(counter)
        state = self.server_state
        if counter % TICKS == 0:
            state.tick(b"".join([b"%b: %b\r\n" % row for row in state.default_headers]))
        if not over:
            return False
        state.draining = True
        now = time.monotonic()
        if self._until is None:
            self._until = now + state.settings().drain_delay
        return self._at_once or now >= self._until

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Instead of uvicorn's, which does not wait for those that it cuts off, nor for callers that do not read."""
        state = self.server_state
        self._closed = state.draining = True
        await asyncio.sleep(0)  # who is connected already is let in
        for server in self.servers:
            server.close()
        for each in sockets or ():
            each.close()
        for connection in list(state.connections):
            connection.shutdown()
        await self._wait(state.settings().drain_timeout, lambda: self.force_exit)
        for task in list(state.tasks):
            task.cancel()
        await self._wait(LAST_WORDS)
        for connection in list(state.connections):
            connection.transport.abort()
        await self._wait(LAST_WORDS)
        await self.lifespan.shutdown()

    async def _wait(self, limit: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Until every connection and request has ended, at most `limit` seconds."""
        end = time.monotonic() + limit
        state = self.server_state
        while (state.connections or state.tasks) and time.monotonic() < end and not hurry():  # noqa: ASYNC110 its sets tell nobody
            await asyncio.sleep(LOOK)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # One that is ignored stays so: in a worker SIGINT of the terminal is its parent's business.
        taken = [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) != signal.SIG_IGN]
        before = {number: signal.signal(number, self.handle_exit) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
