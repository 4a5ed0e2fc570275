"""Whom the gateway works with. The rooms themselves are chosen where the application is put together."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Protocol

from msgspec import Struct, field

from dragoman.config.settings import Server
from dragoman.dialects.contract import Dialect, Target
from dragoman.gateway.health import Change, Health
from dragoman.gateway.record import Record
from dragoman.gateway.rounds import Rounds
from dragoman.messages.pieces import Pieces
from dragoman.routing.route import Route


class RouterLike(Protocol):
    def route(self, name: str, *, thinking: bool = False) -> Route:
        """The targets of a requested model; `thinking`: the request wants it. Raises ApiError("not_found")."""
        ...


class AnswerLike(Protocol):
    """What an upstream sends back."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""
        ...

    async def read(self) -> bytes:
        """The next bytes as they come, b"" at the end. Raises ApiError when the connection breaks, or is closed."""
        ...

    def close(self) -> None:
        """Close the connection at once unless the answer is over. A `read` that waits raises."""
        ...

    def release(self) -> None:
        """Nothing more is wanted, and the end is near: keep the connection if it comes soon."""
        ...


class Pours(Protocol):
    """Optional: an answer whose bytes nobody has to wait for, piece by piece."""

    def pour(self, take: Callable[[bytes], bool]) -> Awaitable[None]:
        """Give the next bytes to `take` when they come, until it says False, or there are no more: then `read`.

        `take` raises nothing.
        """
        ...


class Documents(Protocol):
    """Optional: an answer that knows when nothing of it has to be waited for."""

    def document(self) -> bytes | None:
        """The whole body, when it is JSON by its own word and all of it is here; None: look at it, and `read`."""
        ...


class UpstreamLike(Protocol):
    async def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | Pieces | AsyncIterator[bytes],
        *,
        public: bool = False,
    ) -> AnswerLike:
        """Raises ApiError, and what the pieces of `body` raise. Cancelling it closes the connection.

        `public`: nothing but an address of the internet is connected to; ApiError("permission") else.
        """
        ...


class SignerLike(Protocol):
    """`gateway.signing.Signing`: what makes a call ours."""

    def headers(self, target: Target) -> Sequence[tuple[str, str]] | None:
        """The headers with the target's key or token; None when `fetch` must get one. Raises ApiError."""
        ...

    async def fetch(self, target: Target) -> Sequence[tuple[str, str]]:
        """The same, after a token was fetched. Raises ApiError."""
        ...

    def refused(self, target: Target, sent: Sequence[tuple[str, str]]) -> bool:
        """The upstream refused these headers. True when a new token may do better."""
        ...


class Mended(Struct, frozen=True):
    """A target with repairs that worked before."""

    target: Target
    repairs: tuple[str, ...]


class Unwatched(Struct):
    """How often `watch` raised. Nobody is told: watching cannot break traffic."""

    count: int = 0


class Collaborators(Struct, frozen=True, kw_only=True):
    """Everything that a journey needs and does not own."""

    dialects: Mapping[str, Dialect]
    upstream: UpstreamLike
    signer: SignerLike
    settings: Server
    watch: Callable[[Record], None]
    unwatched: Unwatched
    new_id: Callable[[], str]
    clock: Callable[[], float]
    health: Health
    rounds: Rounds
    tell: Callable[[Change], None]  # what people should know about targets and keys
    relaying: frozenset[str]  # dialects that speak Messages themselves
    mended: dict[tuple[str, str, str], Mended]  # by provider, base URL and model; bounded by whoever fills it


def random_ids() -> Iterator[str]:
    """Twelve random bytes each, in hexadecimal digits. The system is asked for many at once."""
    while True:
        many = os.urandom(12 * 100).hex()
        for at in range(0, len(many), 24):
            yield many[at : at + 24]


class Surroundings(Struct, frozen=True, kw_only=True):
    """What stands around a gateway: something else may be put in its place, or between it and the gateway."""

    router: RouterLike
    upstream: UpstreamLike
    signer: SignerLike
    watch: Callable[[Record], None]
    new_id: Callable[[], str] = field(default_factory=lambda: random_ids().__next__)
    clock: Callable[[], float] = monotonic
    remembers: bool = True  # whether one request teaches the gateway for the next one
