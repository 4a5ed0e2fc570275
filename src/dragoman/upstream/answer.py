"""What an upstream sends back: status and headers at once, the body as it comes.

aiohttp parses it. Its buffer is emptied here in one go: `StreamReader.readany` tells the parser and the transport to go
on after each chunk of a chunked body, although nobody stopped them, and that costs more than an event is worth.
"""
# ruff: noqa: SLF001 the buffer has no public name; tests/upstream holds every use of it over real sockets

import asyncio
from collections.abc import Mapping

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from dragoman.messages.errors import ApiError
from dragoman.upstream.sending import Sending

LINGER = 0.5  # seconds an answer that said its last word may take to end, so that its connection is used again


class Answer:
    """One answer, on a connection that goes back to the pool when the answer has ended."""

    __slots__ = (
        "_closed",
        "_connection",
        "_content",
        "_failure",
        "_headers",
        "_host",
        "_raw",
        "_sending",
        "ended",
        "status",
    )

    def __init__(
        self,
        connection: Connection,
        message: RawResponseMessage,
        content: StreamReader,
        host: str,
        sending: Sending | None = None,
    ) -> None:
        """`sending`: the call's body, which may still be on its way up."""
        self.status = message.code
        self.ended = False  # whether the connection is given back
        self._connection = connection
        self._raw = message.headers
        self._content = content
        self._host = host
        self._headers: dict[str, str] | None = None
        self._failure: ApiError | None = None
        self._closed = False
        self._sending = sending
        content.on_eof(self._end)
        if sending is not None:
            sending.on_failure = self._cut
            if sending.failure is not None:
                self._cut()

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; the values of a repeated name are joined by a comma."""
        headers = self._headers
        if headers is None:
            headers = self._headers = {}
            for name, value in self._raw.items():
                key = name.lower()
                headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return headers

    async def read(self) -> bytes:
        """The next bytes as they come, b"" at the end.

        Raises ApiError("truncated") when the connection broke inside the body, after the bytes before the break were
        given out; ApiError("unreachable") when this answer was closed meanwhile.
        """
        content = self._content
        if content is EMPTY_PAYLOAD:  # of a 204, shared by all of them
            return b""
        buffer = content._buffer
        try:
            while not buffer:
                if content._exception is not None:
                    raise content._exception
                if content._eof:
                    return b""
                await content._wait("read")
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            raise self._broken() from error
        chunk = buffer.popleft() if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        content._size = 0
        content._cursor += len(chunk)
        if content._http_chunk_splits:
            content._http_chunk_splits.clear()
        if content._protocol._reading_paused:  # too much was waiting here
            content._protocol.resume_reading()
        return chunk

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
        if self._content.exception() is not None:
            self._cut()
        elif not self.ended:
            asyncio.get_running_loop().call_later(LINGER, self._cut)

    def _end(self) -> None:
        """The last byte is here; the caller may still have to read some."""
        self.ended = True
        if self._sending is not None:
            self._sending.stop()
        self._connection.release()

    def _cut(self) -> None:
        if self.ended:
            return
        self.ended = True
        if self._sending is not None:
            self._sending.stop()
        self._connection.close()
        content = self._content
        content._buffer.clear()
        if content.exception() is None:
            content.set_exception(aiohttp.ClientConnectionError("closed"))

    def _broken(self) -> ApiError:
        if self._closed:
            return ApiError("unreachable", f"The connection to {self._host} was closed.")
        if self._failure is None:
            text = f"The connection to {self._host} broke before the answer was complete."
            self._failure = ApiError("truncated", text)
            self._cut()
        return self._failure
