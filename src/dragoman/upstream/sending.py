"""A body that goes up piece by piece, while its answer may come already."""

import asyncio
from collections.abc import AsyncIterator, Callable

from dragoman.upstream.connection import Connection


class Sending:
    """Writes the pieces of a body as they come, no faster than the upstream reads them.

    `failure` is what the pieces raised; the connection is broken off then, so that the upstream never takes a part for
    the whole. `on_failure` is called after that.
    """

    __slots__ = ("_connection", "_task", "failure", "on_failure")

    def __init__(self, connection: Connection, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        self.failure: BaseException | None = None
        self.on_failure: Callable[[], None] | None = None
        self._connection = connection
        self._task = asyncio.ensure_future(_run(connection, body, chunked=chunked))
        self._task.add_done_callback(self._over)

    @property
    def over(self) -> bool:
        """Whether nothing is left to be written."""
        return self._task.done() and not self._task.cancelled() and self._task.exception() is None

    def stop(self) -> None:
        """Break the connection off unless nothing is left to be written."""
        if not self.over:
            self._task.cancel()
            self._connection.abort()

    def _over(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        self.failure = task.exception()
        if self.failure is not None and self.on_failure is not None:
            self.on_failure()


async def _run(connection: Connection, body: AsyncIterator[bytes], *, chunked: bool) -> None:
    """Knows nothing of who started it: the task holds what this raises, and with it this frame."""
    async for piece in body:
        framed = (b"%x\r\n" % len(piece), piece, b"\r\n") if chunked else (piece,)
        if piece and not await _write(connection, framed):
            return
    if chunked:
        await _write(connection, (b"0\r\n\r\n",))


async def _write(connection: Connection, parts: tuple[bytes, ...]) -> bool:
    """False when nobody reads any more. Why is told by the answer, or by its missing."""
    written = connection.write(parts)
    await connection.drained()
    return written
