"""What an upstream sends back: status and headers at once, the body as it comes."""

import asyncio
from collections.abc import Callable, Mapping

from dragoman.messages.errors import ApiError
from dragoman.upstream.connection import Connection, Garbled
from dragoman.upstream.sending import Sending

LINGER = 0.5  # seconds an answer that said its last word may take to end, so that its connection is used again


class Answer:
    """One answer, on a connection that goes back to the pool when the answer has ended."""

    __slots__ = (
        "_closed",
        "_connection",
        "_error",
        "_headers",
        "_host",
        "_rest",
        "_sending",
        "_take",
        "_timer",
        "_waiter",
        "ended",
        "fields",
        "status",
    )

    def __init__(self, connection: Connection, host: str) -> None:
        self.status = 0  # until the head is here
        self.fields: list[tuple[bytes, bytes]] = []  # of the head, as they came
        self.ended = False  # whether the connection is given back
        self._connection = connection
        self._host = host
        self._headers: dict[str, str] | None = None
        self._rest = b""  # of the body, when it has ended
        self._error: Exception | None = None  # instead of an end
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        self._take: Callable[[bytes], bool] | None = None  # is given the body as it comes
        self._timer: asyncio.TimerHandle | None = None
        self._sending: Sending | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; the values of a repeated name are joined by a comma."""
        headers = self._headers
        if headers is None:
            headers = self._headers = {}
            for raw, content in self.fields:
                name = raw.decode("ascii").lower()
                value = content.decode("utf-8", "surrogateescape")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def begin(self) -> "asyncio.Future[None]":
        """Wait for the head. Raises Lost and Garbled. Who stops waiting has to `close` this."""
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        if self.status or self._error is not None:
            self.wake()
        return waiter

    def document(self) -> bytes | None:
        """The whole body, when it is JSON by its own word and all of it is here. None: look at it, and `read`."""
        if not self.ended or self._error is not None:
            return None
        for name, value in self.fields:
            if name.lower() == b"content-type":
                return self._rest if value.startswith(b"application/json") else None
        return None

    async def read(self) -> bytes:
        """The next bytes as they come, b"" at the end.

        Raises ApiError("truncated") when the connection broke inside the body, and ApiError("bad_answer") for what is
        not HTTP, after the bytes before were given out; ApiError("unreachable") when this answer was closed meanwhile.
        Cancelling it closes the connection.
        """
        connection = self._connection
        while not self.ended:
            if connection.parts:
                return connection.take()
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            try:
                await waiter
            except asyncio.CancelledError:
                self._cut()
                raise
            finally:
                self._waiter = None
        chunk, self._rest = self._rest, b""
        if not chunk and self._error is not None:
            raise self._broken(self._error)
        return chunk

    async def pour(self, take: Callable[[bytes], bool]) -> None:
        """Give the body away as it comes, in the very call that the connection gets it in: nobody is woken for it.

        Until `take` says False, or there is no more to give; `read` knows why. `take` raises nothing. Cancelling this
        closes the connection.
        """
        connection = self._connection
        while not self.ended and connection.parts:  # once this has ended, what comes is the answer to another call
            if not take(connection.take()):
                return
        if self.ended:
            return
        self._take = take
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            self._cut()
            raise
        finally:
            self._take = self._waiter = None

    async def whole(self, limit: int) -> bytes:
        """The whole body. Raises ApiError("bad_answer") when it is longer than `limit` bytes; else as `read`."""
        parts = []
        size = 0
        while chunk := await self.read():
            size += len(chunk)
            if size > limit:
                self.close()
                raise ApiError("bad_answer", f"{self._host} sent an answer of more than {limit} bytes.")
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """An answer that is not over: its connection is closed at once. One that is over returned it to the pool."""
        if not self._closed:
            self._closed = True
            self._cut()

    def release(self) -> None:
        """The rest does not matter, and is about to end: the connection is used again if it ends within `LINGER`."""
        if self._closed:
            return
        self._closed = True
        if not self.ended:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._cut)

    def accompany(self, sending: Sending) -> None:
        """`sending`: the call's body, which may still be on its way up."""
        self._sending = sending
        sending.on_failure = self._cut

    # The connection's

    def wake(self) -> None:
        take = self._take
        if take is not None:
            connection = self._connection
            if not connection.parts or take(connection.take()):
                return
            self._take = None
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if self.status:
            waiter.set_result(None)
        elif self._error is not None:
            waiter.set_exception(self._error)
            self._error = None  # raised, it holds frames that hold this: held here, a circle

    def over(self, rest: bytes, error: Exception | None) -> None:
        self.ended = True
        self._rest = rest
        self._error = error
        if self._sending is not None:
            self._sending.stop()
            self._sending = None  # it holds this, to cut it off
        if self._timer is not None:
            self._timer.cancel()
        self._take = None
        if self._waiter is not None:
            self.wake()

    def _cut(self) -> None:
        if not self.ended:
            self._connection.abort()
            self.over(b"", ConnectionError("closed"))

    def _broken(self, error: Exception) -> ApiError:
        if self._closed:
            return ApiError("unreachable", f"The connection to {self._host} was closed.")
        if isinstance(error, Garbled):
            return ApiError("bad_answer", f"{self._host} sent an answer that is not HTTP. Check base_url.")
        return ApiError("truncated", f"The connection to {self._host} broke before the answer was complete.")
