"""A gateway and its upstream that run beside the tests, in a thread, for examples that come one after the other."""

import asyncio
import contextlib
import errno
import select
import socket
import threading
from collections.abc import Iterator

from chaos.farm import EVENTS, HEAD, Place, good
from chaos.languages import LANGUAGES
from chaos.scene import Route, Scene, playing
from dragoman.server.serving import loop_factory
from upstream.wire import Connection

SECONDS = 15  # after which an example hangs

GONE = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)


class Stage:
    """Asked for `chat`, `responses`, ... the upstream is well; asked for `odd-chat`, ... it says `answer`.

    `answer`: header line of the content type, and the pieces of the body.
    """

    def __init__(self) -> None:
        self.answer: tuple[bytes, list[bytes]] = (EVENTS, [])
        self.scene: Scene | None = None
        self.loop = loop_factory()()
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    def failures(self) -> str:
        """Bugs of ours since the last example, as the log tells them."""
        assert self.scene is not None
        return "\n".join(self.scene.taken_failures()).replace("\\n", "\n")

    def exchange(self, raw: bytes) -> bytes:
        """All that comes back until the gateway closes. Raises TimeoutError when it does not."""
        with self._connected() as connection:
            connection.sendall(raw)
            return _rest(connection)

    def poke(self, raw: bytes, *, patience: float) -> bytes:
        """The same for bytes that may be no whole request: after some seconds without an answer we hang up."""
        first = b""
        with self._connected() as connection:
            try:
                connection.sendall(raw)
                ready, _, _ = select.select([connection], [], [], patience)
                first = connection.recv(65536) if ready else b""
                connection.shutdown(socket.SHUT_WR)
                return first + _rest(connection)
            except OSError as error:
                if error.errno not in GONE:
                    raise
                return first  # closed while bytes were on their way

    def _connected(self) -> socket.socket:
        assert self.scene is not None
        connection = socket.create_connection(("127.0.0.1", self.scene.port), SECONDS)
        connection.settimeout(SECONDS)
        return connection

    async def _odd(self, connection: Connection) -> None:
        await connection.request()
        kind, pieces = self.answer
        await connection.send(HEAD, kind, b"connection: close\r\n\r\n")
        for piece in pieces:
            await connection.send(piece)
            await asyncio.sleep(0)

    async def play(self) -> None:
        """Until `stop`."""
        async with Place(good) as well, Place(self._odd) as odd:
            routes = [Route(name, ((name, well.url + "/v1"),)) for name in LANGUAGES]
            routes += [Route(f"odd-{name}", ((name, odd.url + "/v1"),)) for name in LANGUAGES]
            async with playing(routes, read_idle=5.0) as self.scene:
                self._ready.set()
                await self._stop.wait()

    def wait(self) -> None:
        assert self._ready.wait(SECONDS)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    stage = Stage()
    thread = threading.Thread(target=lambda: stage.loop.run_until_complete(stage.play()))
    thread.start()
    try:
        stage.wait()
        yield stage
    finally:
        stage.stop()
        thread.join(SECONDS)
        stage.loop.close()


def _rest(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)
