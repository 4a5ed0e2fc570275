"""Bodies of requests: read within bounds, one by one and together, and unpacked."""

import asyncio
import zlib
from collections.abc import Mapping

from starlette.types import Message, Receive

from dragoman.messages.errors import ApiError
from dragoman.messages.known import Seen
from dragoman.server.cycle import Cycle
from dragoman.server.exchange import Exchange
from dragoman.server.gathering import LARGEST

SLICE = 256 * 1024  # packed bytes that are looked at between two looks at the event loop
STEP = 1024 * 1024  # unpacked bytes, likewise


class Gone(Exception):  # noqa: N818 not an error: the caller has left before the body was complete
    """The caller has left."""


class Intake:
    """Reads bodies of at most `limit` bytes (packed and unpacked), and at most `together` bytes at a time.

    How slowly a body may come is the protocol's business.
    """

    def __init__(self, limit: int, together: int) -> None:
        self.held = 0  # bytes of all bodies that are being read
        self._limit = limit
        self._together = together

    def at_once(self, exchange: Exchange) -> bytes | Seen | None:
        """The whole body, if it is there already and needs no unpacking: then nothing has to be waited for.

        Raises ApiError ("too_large", "overloaded").
        """
        cycle = exchange.cycle
        if cycle is None or b"content-encoding" in exchange.headers:
            return None
        body = cycle.whole()
        if body is not None:
            size = len(body)
            if size > self._limit:
                raise self._too_large()
            if self.held + size > self._together:
                raise _too_many()
        return body

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive, cycle: Cycle | None = None) -> bytes | Seen:
        """The whole body, unpacked. `cycle`: whose body it is, if nobody stands between.

        Raises ApiError ("too_large", "unsupported_encoding", "overloaded", "invalid_request") and Gone.
        """
        packed = _is_packed(headers)
        declared = headers.get(b"content-length")
        if declared is not None and (not declared.isdigit() or len(declared) > 15 or int(declared) > self._limit):
            raise self._too_large()
        reserved = int(declared) if declared else 0
        self._reserve(reserved)
        try:
            if cycle is not None and 0 < reserved <= LARGEST and not packed:
                gathered = await cycle.gathered(reserved)
                if gathered is None:
                    raise Gone
                return gathered
            body, more = await _next(receive)
            if more:
                chunks = [body]
                length = len(body)
                while more:
                    chunk, more = await _next(receive)
                    chunks.append(chunk)
                    length += len(chunk)
                    if length > self._limit:
                        raise self._too_large()
                    if length > reserved:  # a chunked body grows as it comes
                        self._reserve(length - reserved)
                        reserved = length
                body = b"".join(chunks)
            if len(body) > self._limit:
                raise self._too_large()
            return await self._unpack(body) if packed else body
        finally:
            self.held -= reserved

    def _reserve(self, size: int) -> None:
        if self.held + size > self._together:
            raise _too_many()
        self.held += size

    async def _unpack(self, body: bytes) -> bytes:
        """gzip, which may have several members. The size is bounded before it is known: a bomb stays small."""
        pieces: list[bytes] = []
        size = 0
        member = None
        try:
            for start in range(0, len(body), SLICE):
                rest = body[start : start + SLICE]
                while rest:
                    member = member or zlib.decompressobj(wbits=31)
                    pieces.append(member.decompress(rest, STEP))
                    size += len(pieces[-1])
                    if size > self._limit:
                        raise self._too_large()
                    rest = member.unconsumed_tail
                    if member.eof:
                        rest, member = member.unused_data, None
                    await asyncio.sleep(0)
        except zlib.error as error:
            raise ApiError("invalid_request", f"The request body is not valid gzip: {error}.") from None
        if member is not None or not body:
            raise ApiError("invalid_request", "The request body is not valid gzip: its end is missing.")
        return b"".join(pieces)

    def _too_large(self) -> ApiError:
        limit = f"{self._limit / 1024 / 1024:g} MB"
        return ApiError("too_large", f"The request body is over {limit}. Send less, or raise server.body_limit.")


def _too_many() -> ApiError:
    return ApiError("overloaded", "Too many large requests at the same time. Try again soon.", retry_after=1)


async def _next(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    return message.get("body", b""), message.get("more_body", False)


def again(message: Message, receive: Receive) -> Receive:
    """`receive`, with a message that was taken already in front."""
    taken = [message]

    async def both() -> Message:
        return taken.pop() if taken else await receive()

    return both


def _is_packed(headers: Mapping[bytes, bytes]) -> bool:
    encoding = headers.get(b"content-encoding")
    if encoding is None:
        return False
    encoding = encoding.strip().lower()
    if encoding in (b"gzip", b"x-gzip"):
        return True
    if encoding in (b"identity", b""):
        return False
    raise ApiError("unsupported_encoding", "Request bodies may be sent as they are, or with `content-encoding: gzip`.")
