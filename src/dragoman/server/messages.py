"""`POST /v1/messages` and `POST /v1/messages/count_tokens`: the hot path."""

import asyncio
from collections.abc import Callable

from dragoman.gateway.counting import UpstreamCount
from dragoman.gateway.gateway import Gateway
from dragoman.gateway.journey import Journey
from dragoman.gateway.record import Record
from dragoman.messages import notes
from dragoman.messages.request import Body, Request
from dragoman.routing.router import Router
from dragoman.server.exchange import CLIENT_LEFT, Exchange, Headers, ascii_header, passed_on
from dragoman.server.intake import Intake
from dragoman.server.presence import Presence


class Messages:
    """Takes a Messages body in and sends the answer back, streamed or whole."""

    def __init__(self, gateway: Gateway, intake: Intake) -> None:
        self._gateway = gateway
        self._intake = intake

    async def __call__(self, exchange: Exchange) -> None:
        request = await _read(exchange, self._intake)
        presence = Presence(exchange.receive)
        journey: Journey | None = None
        try:
            journey = self._gateway.begin(request, exchange.request_id)
            exchange.stream = request.stream
            exchange.logged = True  # by the gateway's watcher, when the journey is closed
            if request.stream:
                await _stream(exchange, journey)
            else:
                body = await journey.message()
                await exchange.reply(200, body, (*_about(journey.record), *passed_on(journey.headers)))
        except asyncio.CancelledError:
            if not presence.gone:
                raise
            exchange.status = CLIENT_LEFT
        except Exception:
            if journey is not None:
                exchange.about = _about(journey.record)
            raise
        finally:
            presence.stop()
            if journey is not None:
                journey.close()


class Counting:
    """Counts tokens: here, or with `exact` by the upstream. The model must exist: a count for nobody helps nobody."""

    def __init__(
        self, router: Router, intake: Intake, tokens: Callable[[Body], int], exact: UpstreamCount | None = None
    ) -> None:
        """`tokens` estimates; it also stands in for an upstream that cannot count."""
        self._router = router
        self._tokens = tokens
        self._exact = exact
        self._intake = intake

    async def __call__(self, exchange: Exchange) -> None:
        request = await _read(exchange, self._intake, counting=True)
        route = self._router.route(request.model)
        counted = await self._exact.tokens(request, route) if self._exact is not None else None
        found = self._tokens(request.body) if counted is None else counted
        await exchange.reply(200, b'{"input_tokens":%d}' % found)


async def _stream(exchange: Exchange, journey: Journey) -> None:
    await journey.hold()
    await exchange.open((*_about(journey.record), *passed_on(journey.headers)))
    await journey.stream(exchange.write)
    await exchange.end()


async def _read(exchange: Exchange, intake: Intake, *, counting: bool = False) -> Request:
    headers = exchange.headers
    raw = await intake.read(headers, exchange.receive)
    session = headers.get(b"x-claude-code-session-id")
    request = Request(
        raw,
        counting,
        headers.get(b"anthropic-version", b"").decode("latin-1"),
        _betas(exchange) if b"anthropic-beta" in headers else (),
        exchange.scope["query_string"].decode("latin-1"),
        session.decode("latin-1") if session else None,
    )
    exchange.model = request.model
    return request


def _betas(exchange: Exchange) -> tuple[str, ...]:
    """All values of all `anthropic-beta` headers."""
    joined = exchange.headers[b"anthropic-beta"]
    rows = exchange.scope["headers"]
    if len(rows) != len(exchange.headers):  # some header came more than once
        joined = b",".join(value for name, value in rows if name == b"anthropic-beta")
    return tuple(beta for part in joined.decode("latin-1").split(",") if (beta := part.strip()))


def _about(record: Record) -> Headers:
    """What is known about the answer when its headers go out."""
    headers = []
    if record.provider:
        headers.append((b"x-dragoman-target", ascii_header(f"{record.provider}/{record.upstream_model}")))
    codes = notes.header(record.notes)
    if codes:
        headers.append((b"x-dragoman-notes", ascii_header(codes)))
    return headers
