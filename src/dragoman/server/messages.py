"""`POST /v1/messages` and `POST /v1/messages/count_tokens`: the hot path."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NoReturn

from dragoman.gateway.counting import UpstreamCount
from dragoman.gateway.gateway import Gateway
from dragoman.gateway.journey import Journey
from dragoman.gateway.record import Record
from dragoman.messages import notes
from dragoman.messages.body import Body
from dragoman.messages.errors import ApiError
from dragoman.messages.known import Seen
from dragoman.messages.request import Request
from dragoman.routing.route import Route
from dragoman.routing.router import Router
from dragoman.server.exchange import CLIENT_LEFT, Exchange, Headers, ascii_header, json_lines, passed_on
from dragoman.server.headers import PassedOn, Rows
from dragoman.server.intake import Intake
from dragoman.server.presence import Presence
from dragoman.telemetry.redaction import Redactor

Credentials = Callable[[Mapping[bytes, bytes]], Sequence[tuple[str, str]]]
Own = Callable[[bytes, Mapping[bytes, bytes], str], tuple[Route, Sequence[tuple[str, str]]]]
"""Value of the header `a2o-endpoint`, all headers, model -> the route, and the caller's credentials for it."""

ENDPOINT = b"a2o-endpoint"


def refused(_endpoint: bytes, _headers: Mapping[bytes, bytes], _model: str) -> NoReturn:
    """Where no request chooses its upstream itself."""
    raise ApiError("permission", "This gateway takes no `a2o-endpoint` header.", should_retry=False)


def nobodys(_headers: Mapping[bytes, bytes]) -> Sequence[tuple[str, str]]:
    """The caller's credentials where no provider is asked with them: they are not even looked at."""
    return ()


class Messages:
    """Takes a Messages body in and sends the answer back, streamed or whole."""

    def __init__(
        self, gateway: Gateway, intake: Intake, credentials: Credentials = nobodys, own: Own = refused
    ) -> None:
        """`credentials`: the headers with the caller's own key. `own`: where requests go that choose it themselves."""
        self._gateway = gateway
        self._intake = intake
        self._credentials = credentials
        self._own = own
        self._passed_on = PassedOn()

    async def __call__(self, exchange: Exchange) -> None:
        raw = self._intake.at_once(exchange)
        if raw is None:
            raw = await self._intake.read(exchange.headers, exchange.receive, exchange.cycle)
        request = _request(exchange, raw, self._passed_on)
        endpoint = exchange.headers.get(ENDPOINT)
        route = None
        if endpoint is None:
            caller = self._credentials(exchange.headers)
        else:
            route, caller = self._own(endpoint, exchange.headers, request.model)
        presence = Presence(exchange.receive) if exchange.cycle is None else exchange.cycle.watch()
        journey: Journey | None = None
        try:
            journey = self._gateway.begin(request, exchange.request_id, caller, route)
            exchange.stream = request.stream
            exchange.logged = True  # by the gateway's watcher, when the journey is closed
            del request
            if exchange.stream:
                await _stream(exchange, journey)
            else:
                body = await journey.message()
                about, ours = _about(journey.record)
                if not exchange.answer(200, body, ours, journey.headers):
                    await exchange.reply(200, body, (*about, *passed_on(journey.headers)))
        except asyncio.CancelledError:
            if not presence.gone:
                raise
            exchange.status = CLIENT_LEFT
        except Exception:
            if journey is not None:
                exchange.about, _ = _about(journey.record)
            raise
        finally:
            presence.stop()
            if journey is not None:
                if caller and journey.record.error is not None:
                    journey.record.error = _without(caller, journey.record.error)
                journey.close()


class Counting:
    """Counts tokens: here, or with `exact` by the upstream. The model must exist: a count for nobody helps nobody."""

    def __init__(
        self,
        router: Router,
        intake: Intake,
        tokens: Callable[[Body], int],
        exact: UpstreamCount | None = None,
        credentials: Credentials = nobodys,
        *,
        own: Own = refused,
    ) -> None:
        """`tokens` estimates; it also stands in for an upstream that cannot count."""
        self._router = router
        self._tokens = tokens
        self._exact = exact
        self._intake = intake
        self._credentials = credentials
        self._own = own
        self._passed_on = PassedOn()

    async def __call__(self, exchange: Exchange) -> None:
        raw = self._intake.at_once(exchange)
        if raw is None:
            raw = await self._intake.read(exchange.headers, exchange.receive, exchange.cycle)
        request = _request(exchange, raw, self._passed_on, counting=True)
        endpoint = exchange.headers.get(ENDPOINT)
        if endpoint is None:
            route = self._router.route(request.model, thinking=request.thinks)
            caller = self._credentials(exchange.headers)
        else:
            route, caller = self._own(endpoint, exchange.headers, request.model)
        answer = None
        if self._exact is not None:
            answer = await self._exact.answer(request, route, caller)
        if answer is None:
            answer = b'{"input_tokens":%d}' % self._tokens(request.body)
        await exchange.reply(200, answer)


async def _stream(exchange: Exchange, journey: Journey) -> None:
    await journey.hold()
    about, _ = _about(journey.record)
    await exchange.open(about, journey.headers)
    await journey.stream(exchange.write)
    await exchange.end()


def _request(exchange: Exchange, raw: bytes | Seen, passed: PassedOn, *, counting: bool = False) -> Request:
    facts = exchange.facts
    beside = None if facts is None else facts.beside
    if beside is None:
        beside = _beside(exchange, passed)
        if facts is not None:
            facts.beside = beside
    request = Request(raw, counting, *beside)
    exchange.model = request.model
    return request


def _beside(exchange: Exchange, passed: PassedOn) -> tuple[str, tuple[str, ...], str, str | None, Rows]:
    """What a request has besides its body, from the head."""
    headers = exchange.headers
    session = headers.get(b"x-claude-code-session-id")
    return (
        headers.get(b"anthropic-version", b"").decode("latin-1"),
        _betas(exchange) if b"anthropic-beta" in headers else (),
        exchange.scope["query_string"].decode("latin-1"),
        session.decode("latin-1") if session else None,
        passed(exchange.scope["headers"], headers.get(b"connection")),
    )


def _without(caller: Sequence[tuple[str, str]], error: ApiError) -> ApiError:
    """An upstream may quote the caller's key in its refusal, and no log may."""
    secrets = [secret for _, value in caller for secret in (value, value.rpartition(" ")[2])]
    return ApiError(error.kind, Redactor(secrets)(error.message), upstream_status=error.upstream_status)


def _betas(exchange: Exchange) -> tuple[str, ...]:
    """All values of all `anthropic-beta` headers."""
    joined = exchange.headers[b"anthropic-beta"]
    rows = exchange.scope["headers"]
    if len(rows) != len(exchange.headers):  # some header came more than once
        joined = b",".join(value for name, value in rows if name == b"anthropic-beta")
    return tuple(beta for part in joined.decode("latin-1").split(",") if (beta := part.strip()))


def _about(record: Record) -> tuple[Headers, bytes]:
    """What is known about the answer when its headers go out, and the lines of one that is whole."""
    return _shown(record.provider, record.upstream_model, notes.header(record.notes) if record.notes else "")


@lru_cache(maxsize=1000)
def _shown(provider: str | None, model: str | None, codes: str) -> tuple[Headers, bytes]:
    headers = []
    if provider:
        headers.append((b"x-dragoman-target", ascii_header(f"{provider}/{model}")))
    if codes:
        headers.append((b"x-dragoman-notes", ascii_header(codes)))
    return headers, json_lines(tuple(headers))
