"""The models that a provider of Claude offers itself: listed as it tells them, where a request for them leads there."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

import msgspec

from dragoman.gateway.forwarding import Asked, Forwarding
from dragoman.messages.errors import ApiError
from dragoman.routing.router import Router
from dragoman.server import models
from dragoman.server.messages import Credentials, nobodys

LIFE = 300.0  # seconds a list is believed
FAILURE_LIFE = 30.0  # seconds that nobody asks again after a failure
PATIENCE = 2.0  # seconds; Claude Code gives up after three
LIMIT = 4 * 1024 * 1024  # bytes of a list

_ASKED = "limit=1000"  # the most that one page may have
_HEADERS = (("anthropic-version", "2023-06-01"), ("accept", "application/json"))

Entries = Mapping[str, msgspec.Raw]


class ClaudeModels:
    """Asks the provider, and remembers what it said; with callers' own keys each sees what their key may see."""

    def __init__(
        self,
        forwarding: Forwarding,
        router: Router,
        credentials: Credentials = nobodys,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._forwarding = forwarding
        self._router = router
        self._credentials = credentials
        self._clock = clock
        self._known: Entries = {}
        self._until = 0.0
        self._asking: asyncio.Task[Entries] | None = None

    async def entries(self, headers: Mapping[bytes, bytes]) -> Entries:
        """Id -> entry. Empty when the provider does not tell: its models can be asked for all the same."""
        caller = self._credentials(headers)
        if self._forwarding.target.auth == "caller":
            return self._led_there(await self._asked(caller)) if caller else {}
        if self._clock() >= self._until:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._asked(()))
            self._known = await asyncio.shield(self._asking)
            self._until = self._clock() + (LIFE if self._known else FAILURE_LIFE)
        return self._led_there(self._known)

    def _led_there(self, found: Entries) -> Entries:
        return {name: entry for name, entry in found.items() if self._leads_there(name)}

    def _leads_there(self, name: str) -> bool:
        try:
            first = self._router.route(name).targets[0]
        except ApiError:
            return False
        return (first.provider, first.model) == (self._forwarding.target.provider, name)

    async def _asked(self, caller: Sequence[tuple[str, str]]) -> Entries:
        asked = Asked(method="GET", path="/v1/models", query=_ASKED, headers=_HEADERS)
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._forwarding.send(asked, caller)
                try:
                    body = bytearray()
                    while len(body) <= LIMIT and (chunk := await answer.read()):
                        body += chunk
                finally:
                    answer.close()
                return models.theirs(bytes(body)) if answer.status == 200 else {}
        except (ApiError, TimeoutError):
            return {}
