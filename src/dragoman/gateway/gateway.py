"""Where journeys begin: the route is resolved once, and all that a journey needs is handed to it."""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from msgspec import structs

from dragoman.config.settings import Server
from dragoman.dialects.contract import Dialect
from dragoman.gateway.collaborators import Collaborators, RouterLike, SignerLike, Unwatched, UpstreamLike
from dragoman.gateway.health import Change, Health
from dragoman.gateway.journey import OFTEN, Journey
from dragoman.gateway.pursuit import relays
from dragoman.gateway.record import Record
from dragoman.gateway.rounds import Rounds
from dragoman.messages.request import Request
from dragoman.routing.route import Route


def nobody(_change: Change) -> None:
    """Nobody wants to know how targets are."""


class Gateway:
    """Makes a journey of each request.

    `signer` gives the headers that carry a target's key or token. `watch` gets the record of
    every journey when it is over; what it raises is counted in `watch_failures`. `new_id`: a random legal id, without
    prefix. `clock`: seconds, only ever going forward. `tell` hears of targets and keys that rest, or serve again.
    """

    def __init__(
        self,
        *,
        router: RouterLike,
        dialects: Mapping[str, Dialect],
        upstream: UpstreamLike,
        signer: SignerLike,
        settings: Server,
        watch: Callable[[Record], None],
        new_id: Callable[[], str],
        clock: Callable[[], float] = monotonic,
        tell: Callable[[Change], None] = nobody,
    ) -> None:
        self._router = router
        self._clock = clock
        self._collaborators = Collaborators(
            dialects=dialects,
            upstream=upstream,
            signer=signer,
            settings=settings,
            watch=watch,
            unwatched=Unwatched(),
            new_id=new_id,
            clock=clock,
            health=Health(),
            rounds=Rounds(min(settings.open_after, settings.ping_every, settings.read_idle, OFTEN)),
            tell=tell,
            relaying=frozenset(name for name, dialect in dialects.items() if relays(dialect)),
            mended={},
        )

    def begin(
        self,
        request: Request,
        request_id: str,
        caller: Sequence[tuple[str, str]] = (),
        route: Route | None = None,
    ) -> Journey:
        """Resolve the route and start the account. Inside a running loop.

        `caller`: the headers with the caller's own credentials, for targets that are asked with those. `route`: where
        the caller wants it to go, whatever the model's name says.
        Raises ApiError: "not_found", and "invalid_request" for a body that would have to be translated.
        """
        collaborators = self._collaborators
        if route is None:
            route = self._router.route(request.model, thinking=request.thinks)
        if route.targets[0].dialect not in collaborators.relaying:
            request.body  # noqa: B018 decoded once, for all who look at it
        record = Record(
            request_id=request_id,
            model=request.model,
            stream=request.stream,
            started=self._clock(),
            session=request.session,
            request_bytes=len(request.raw),
        )
        return Journey(collaborators, request, route, record, caller)

    @property
    def watch_failures(self) -> int:
        return self._collaborators.unwatched.count


class Forgetful(Gateway):
    """Begins every journey as the first one: what earlier requests taught it would be in no record of this one."""

    def begin(
        self,
        request: Request,
        request_id: str,
        caller: Sequence[tuple[str, str]] = (),
        route: Route | None = None,
    ) -> Journey:
        self._collaborators = structs.replace(self._collaborators, health=Health(), mended={})
        return super().begin(request, request_id, caller, route)
