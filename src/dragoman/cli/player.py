"""The player: stands around a gateway in place of the world, and gives it what a bundle says that it got.

It makes no connection. Answers come in the same pieces, and at once; only those that came after the gateway had opened
its stream to the client wait for that. The gateway's clock shows the time of the recording.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import NoReturn

import msgspec
from msgspec import structs

from dragoman.config.settings import Config, Provider, Server
from dragoman.dialects.contract import Target
from dragoman.gateway.collaborators import AnswerLike, Surroundings
from dragoman.messages.errors import ApiError
from dragoman.messages.pieces import Pieces
from dragoman.messages.sse import PING
from dragoman.routing.route import Choice, Group, Route
from dragoman.telemetry import bundle as form
from dragoman.telemetry.bundle import Answer, Bundle, bytes_of, error_of, target_of

AT_ONCE = 0.01  # seconds


class Player:
    """Plays one bundle. `further`: whether the gateway wanted more from its upstreams than was recorded.

    `begun` is set by whoever sees the head of the reply; `over` when the recording has nothing more to tell.
    Raises ValueError for a bundle that cannot be played.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        self.further = ""
        self.opened = bytes_of(bundle.reply.body).startswith(PING)  # by silence
        self.left = bundle.outcome.caller_left
        self._bundle = bundle
        self._calls = iter(bundle.calls)
        self._ids = iter(bundle.message_ids)
        self._ahead = 0.0  # seconds that the recording is ahead of the real time
        self._began = time.monotonic()
        try:
            route = bundle.route if bundle.route is not None else form.Route(requested="")
            self._targets = tuple(target_of(each) for each in route.targets)
            self._groups, self._overflow = _groups(route.groups), _groups(route.overflow)
            self._answers = [bytes_of(each.answer.body) for each in bundle.calls if each.answer is not None]
            self.config = self._configuration()
        except (KeyError, TypeError, msgspec.ValidationError) as error:
            raise ValueError(f"This version of dragoman does not know what is in it: {error}") from None

    def change(self, around: Surroundings) -> Surroundings:
        """This player in place of everything around a gateway."""
        return structs.replace(
            around, router=self, upstream=self, signer=self, watch=lambda _: None, new_id=self._new_id, clock=self.clock
        )

    def clock(self) -> float:
        """Seconds."""
        return time.monotonic() + self._ahead

    # In place of the router

    def route(self, name: str, *, thinking: bool = False) -> Route:
        del thinking
        route = self._bundle.route
        if route is None:
            raise ApiError("internal", "The recorded request did not come this far.")
        if route.error is not None:
            raise error_of(route.error)
        return Route(
            requested=name,
            targets=self._targets,
            groups=self._groups,
            overflow=self._overflow,
            steps=tuple(route.steps),
            notes=tuple(route.notes),
        )

    # In place of the signer

    def headers(self, target: Target) -> Sequence[tuple[str, str]]:
        """No key is in a bundle."""
        del target
        return ()

    async def fetch(self, target: Target) -> Sequence[tuple[str, str]]:
        return self.headers(target)

    def refused(self, target: Target, sent: Sequence[tuple[str, str]]) -> bool:
        """As `providers.credentials.Credentials`: only what was fetched can be fetched again."""
        del sent
        return target.auth in ("entra", "google")

    # In place of the upstream

    async def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | Pieces | AsyncIterator[bytes],
        *,
        public: bool = False,
    ) -> AnswerLike:
        del method, url, headers, body, public  # a recorder around this player writes them down
        call = next(self._calls, None)
        if call is None:
            self.further = "It made one more call than the recorded gateway, whose answer nobody knows."
            await self.stop()
        if call.error is not None:
            await self.reach(call.until)
            raise error_of(call.error)
        if call.answer is not None:
            await self.reach(call.answer.ms)
            return Played(self, call.answer, self._answers.pop(0))
        if self.left:
            await self.stop()
        await self.silence()
        while True:  # until the gateway gives up
            await asyncio.Event().wait()

    async def reach(self, ms: float) -> None:
        """Until the moment `ms` of the recording has come, as far as the gateway can tell."""
        if self.opened and ms >= self._bundle.reply.ms:
            await self.begun.wait()
        self._ahead = max(self._ahead, self._began + ms / 1000 - time.monotonic())

    async def silence(self) -> None:
        """Let the time pass after which the gateway gives an upstream up."""
        if self.opened:
            await self.begun.wait()
        self._ahead += self.config.server.read_idle

    async def stop(self) -> NoReturn:
        """There is nothing more to play."""
        self.over.set()
        while True:
            await asyncio.Event().wait()

    def _new_id(self) -> str:
        return next(self._ids, "further")

    def _configuration(self) -> Config:
        """What the gateway is built from. A stream that was opened by silence is opened as soon as it is quiet."""
        settings = msgspec.convert(self._bundle.settings, Server, strict=False)
        if self.opened:
            settings = structs.replace(settings, open_after=AT_ONCE)
        calls = self._bundle.calls
        if any(each.answer.end == "silent" if each.answer is not None else each.error is None for each in calls):
            settings = structs.replace(settings, ping_every=AT_ONCE)  # so that the gateway looks at its clock
        targets = [*self._targets, *(slot for group in self._overflow for one in group for slot in one.slots)]
        return Config(server=settings, providers={each.provider: _provider(each) for each in targets})


def _groups(written: list[list[form.Choice]]) -> tuple[Group, ...]:
    return tuple(
        tuple(Choice(tuple(target_of(each) for each in one.slots), one.weight) for one in group) for group in written
    )


def _provider(target: Target) -> Provider:
    name = target.provider
    return Provider(name=name, title=name, ready=True, why="recorded", template=structs.replace(target, model=""))


class Played:
    """A recorded answer."""

    def __init__(self, player: Player, answer: Answer, raw: bytes) -> None:
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self._player = player
        self._answer = answer
        self._raw = raw
        self._at = 0
        self._pieces: Iterator[tuple[int, float]] = iter(answer.pieces)
        self._closed = asyncio.Event()

    async def read(self) -> bytes:
        answer, player = self._answer, self._player
        piece = next(self._pieces, None)
        if piece is not None:
            begin, self._at = self._at, piece[0]
            await player.reach(piece[1])
            return self._raw[begin : self._at]
        if answer.end == "complete":
            return b""
        if answer.end == "broken" and answer.error is not None:
            raise error_of(answer.error)
        if answer.end == "silent":
            await player.silence()
            await self._closed.wait()
            raise ApiError("unreachable", "The connection was closed.")
        if answer.end == "open" and not player.left:
            player.further = "It read on in an answer where the recorded gateway had what it wanted."
        return await player.stop()

    def close(self) -> None:
        self._closed.set()

    def release(self) -> None:
        """There is no connection to be used again."""
