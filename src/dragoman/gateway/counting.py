"""Counting input tokens by asking the upstream, for who wants it exact; nobody waits long for it."""

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from typing import Protocol, runtime_checkable

from dragoman.dialects.contract import Call, Dialect, Target
from dragoman.gateway.collaborators import SignerLike, UpstreamLike
from dragoman.messages.errors import ApiError
from dragoman.messages.request import Request
from dragoman.routing.route import Route

PATIENCE = 5.0  # seconds; clients ask many times at once, and have an estimate of their own
ANSWER_LIMIT = 64 * 1024  # bytes of an answer that holds a number
MEMORY_LIMIT = 1024  # counts that are remembered


@runtime_checkable
class Counting(Protocol):
    """A dialect that offers `dialects.contract.Counts`."""

    def count(self, request: Request, target: Target) -> Call: ...

    def counted(self, body: bytes) -> int: ...


class UpstreamCount:
    """Asks the first target of a route, once for the same text: clients count the same tools again and again."""

    def __init__(self, dialects: Mapping[str, Dialect], upstream: UpstreamLike, signer: SignerLike) -> None:
        self._dialects = dialects
        self._upstream = upstream
        self._signer = signer
        self._known: dict[bytes, int] = {}  # hash of what was counted and where -> tokens, the oldest first

    async def tokens(self, request: Request, route: Route) -> int | None:
        """The upstream's own count; None when it has none, fails, or takes too long: an estimate does then."""
        target = route.targets[0]
        for candidate in (target, target.other):
            dialect = self._dialects[candidate.dialect] if candidate is not None else None
            if candidate is not None and isinstance(dialect, Counting):
                try:
                    async with asyncio.timeout(PATIENCE):
                        return await self._ask(dialect, request, candidate)
                except (ApiError, TimeoutError):
                    return None
        return None

    async def _ask(self, dialect: Counting, request: Request, target: Target) -> int | None:
        call = dialect.count(request, target)
        place = sha256(call.url.encode() + b"\0" + call.body).digest()
        known = self._known.get(place)
        if known is not None:
            return known
        signed = self._signer.headers(target)
        if signed is None:
            signed = await self._signer.fetch(target)
        answer = await self._upstream.send(call.method, call.url, [*call.headers, *signed], call.body)
        try:
            body = bytearray()
            while len(body) <= ANSWER_LIMIT and (chunk := await answer.read()):
                body += chunk
        finally:
            answer.close()
        if answer.status != 200:
            return None
        while len(self._known) >= MEMORY_LIMIT:
            del self._known[next(iter(self._known))]
        found = self._known[place] = dialect.counted(bytes(body))
        return found
