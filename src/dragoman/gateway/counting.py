"""Counting input tokens by asking the upstream, for who wants it exact; nobody waits long for it."""

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Protocol, runtime_checkable

import msgspec

from dragoman.dialects.contract import Call, Dialect, Target
from dragoman.gateway.collaborators import SignerLike, UpstreamLike
from dragoman.gateway.pursuit import relays
from dragoman.gateway.signing import signed
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
    """Asks the first target of a route, once for the same text: clients count the same tools again and again.

    `relayed`: only targets that speak Messages are asked. What they say goes on as it is.
    """

    def __init__(
        self, dialects: Mapping[str, Dialect], upstream: UpstreamLike, signer: SignerLike, *, relayed: bool = False
    ) -> None:
        self._dialects = dialects
        self._upstream = upstream
        self._signer = signer
        self._relayed = relayed
        self._known: dict[bytes, bytes] = {}  # hash of what was counted and where -> the answer, the oldest first

    async def answer(self, request: Request, route: Route, caller: Sequence[tuple[str, str]] = ()) -> bytes | None:
        """The upstream's own count, as the caller is told it; None when it has none, fails, or takes too long: an
        estimate does then. `caller`: the headers with the caller's own credentials.
        """
        target = route.targets[0]
        for candidate in (target, target.other):
            dialect = self._dialects[candidate.dialect] if candidate is not None else None
            if candidate is None or not isinstance(dialect, Counting):
                continue
            if relays(self._dialects[candidate.dialect]) or not self._relayed:
                try:
                    async with asyncio.timeout(PATIENCE):
                        return await self._ask(dialect, request, candidate, caller)
                except (ApiError, TimeoutError, msgspec.DecodeError):  # the last: a number that no machine holds
                    return None
        return None

    async def _ask(
        self, dialect: Counting, request: Request, target: Target, caller: Sequence[tuple[str, str]]
    ) -> bytes | None:
        call = dialect.count(request, target)
        betas = f"{request.version} {request.betas}" if call.relays else ""  # they change what is counted
        place = sha256(b"\0".join((call.url.encode(), betas.encode(), bytes(call.body)))).digest()
        known = self._known.get(place)
        if known is not None:
            return known
        headers = [*call.headers, *await signed(self._signer, target, caller)]
        answer = await self._upstream.send(call.method, call.url, headers, call.body, public=target.public)
        try:
            body = bytearray()
            while len(body) <= ANSWER_LIMIT and (chunk := await answer.read()):
                body += chunk
        finally:
            answer.close()
        if answer.status != 200:
            return None
        found = dialect.counted(bytes(body))
        while len(self._known) >= MEMORY_LIMIT:
            del self._known[next(iter(self._known))]
        told = self._known[place] = bytes(body) if call.relays else b'{"input_tokens":%d}' % found
        return told
