"""A server on a raw socket, scripted byte by byte: what no well-behaved HTTP server would send."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from msgspec import Struct


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


class Received(Struct):
    """One request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    head: bytes


class Connection:
    """One accepted connection, seen from the upstream's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def secure(self) -> ssl.SSLObject:
        """What was agreed on when it was made."""
        found = self._writer.get_extra_info("ssl_object")
        assert isinstance(found, ssl.SSLObject)
        return found

    async def request(self) -> Received:
        """The next request, whole. Raises asyncio.IncompleteReadError when the client has gone."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {
            name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields if field)
        }
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Received(method, path, headers, body, head)

    async def chunked(self) -> Received:
        """The next request, whose body comes in chunks."""
        received = await self.request()
        assert received.headers["transfer-encoding"] == "chunked"
        parts = []
        while size := int(await self._reader.readline(), 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readexactly(2)
        received.body = b"".join(parts)
        return received

    async def until(self, mark: bytes) -> bytes:
        """The next bytes, up to the end of `mark`."""
        return await self._reader.readuntil(mark)

    async def count(self, wanted: int) -> int:
        """Read `wanted` bytes, or what comes before the end, and forget them."""
        found = 0
        while found < wanted and (piece := await self._reader.read(1024 * 1024)):
            found += len(piece)
        return found

    async def lost(self) -> None:
        """Wait until the client is gone, whatever it sends before."""
        try:
            while await self._reader.read(1024 * 1024):
                continue
        except ConnectionError:
            return

    async def send(self, *parts: bytes) -> None:
        self._writer.write(b"".join(parts))
        await self._writer.drain()

    async def answer(
        self, body: bytes, *, status: str = "200 OK", content_type: str = "application/json", head: bytes = b""
    ) -> None:
        """A whole answer with its length."""
        length = f"content-length: {len(body)}\r\n".encode()
        await self.send(f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n".encode(), length, head, b"\r\n", body)

    async def open_stream(self, content_type: str = "text/event-stream") -> None:
        """The head of a chunked answer."""
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        await self.send(head.encode())

    async def chunk(self, payload: bytes) -> None:
        """One chunk; b"" is the last one."""
        await self.send(b"%x\r\n" % len(payload), payload, b"\r\n")

    async def gone(self) -> bool:
        """Wait until the client closes its side. False when it sends something instead."""
        try:
            return await self._reader.read(1) == b""
        except ConnectionError:
            return True

    async def splice(self, port: int) -> None:
        """Pass everything on to `port` and back, until both have said all."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while piece := await source.read(65536):
                    sink.write(piece)
                    await sink.drain()
            finally:
                sink.close()

        await asyncio.gather(pass_on(self._reader, writer), pass_on(reader, self._writer))

    def cut(self) -> None:
        """Close the connection, whatever was promised."""
        self._writer.close()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        kept = self._writer.get_extra_info("socket")
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # else it may end politely
        self._writer.transport.abort()


Script = Callable[[Connection], Awaitable[None]]


class Server:
    """Plays `script` for every connection that is made to it.

    `scripts` with more than one entry: the first connection gets the first, and so on; the last one is for all others.
    """

    def __init__(self, *scripts: Script, secure: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._scripts = scripts
        self._secure = secure
        self._host = host
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.open = 0
        self.port = 0
        self.failures: list[BaseException] = []

    def stop(self) -> None:
        """Take no more connections."""
        assert self._server is not None
        self._server.close()

    def cut(self) -> None:
        """Close every connection, whatever was promised."""
        for writer in list(self._writers):
            writer.close()

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'http' if self._secure is None else 'https'}://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._secure)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if error is None and self.failures:
            raise self.failures[0]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        task.add_done_callback(self._tasks.discard)
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        self.open += 1
        try:
            await script(Connection(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away: that ends a script
        except Exception as failure:  # noqa: BLE001 a script that fails is a test that fails
            self.failures.append(failure)
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()
