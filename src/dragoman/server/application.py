"""The composition root: builds every room from the configuration, and is the ASGI application."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from dragoman.config.settings import Config, Secrets, Server
from dragoman.dialects import DIALECTS
from dragoman.gateway.collaborators import Surroundings
from dragoman.gateway.counting import UpstreamCount
from dragoman.gateway.forwarding import Forwarding, destination
from dragoman.gateway.gateway import Forgetful, Gateway
from dragoman.gateway.health import words
from dragoman.gateway.record import Record
from dragoman.gateway.signing import Signing
from dragoman.messages import estimate
from dragoman.messages.errors import ApiError
from dragoman.providers.credentials import Credentials
from dragoman.routing.endpoints import Endpoints
from dragoman.routing.router import Router
from dragoman.server.admission import Admission
from dragoman.server.claude import ClaudeModels
from dragoman.server.door import Door
from dragoman.server.endpoint import OwnEndpoint
from dragoman.server.exchange import CLIENT_LEFT, Exchange
from dragoman.server.forwarding import Forward, covers
from dragoman.server.intake import Gone, Intake
from dragoman.server.lifespan import live
from dragoman.server.messages import Counting, Messages, nobodys
from dragoman.server.pages import OPEN, Pages
from dragoman.server.paths import canonical
from dragoman.sidecar.child import Child
from dragoman.sidecar.environment import Environment
from dragoman.sidecar.sending import Beside
from dragoman.telemetry import outlet
from dragoman.telemetry.log import Forwarded, Line, Log, error_text, note_codes, usage_counts
from dragoman.telemetry.redaction import Redactor
from dragoman.upstream.client import Upstream

Endpoint = Callable[[Exchange], Awaitable[None]]

_LIBRARIES = ("uvicorn", "asyncio")  # loggers whose lines become ours

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"

OPEN_DOOR = "The door is open (server.open): whoever reaches this gateway uses its keys."
STOPPING = "dragoman is stopping. Try again."


class Application:
    """The ASGI application. Collaborators come in by the constructor; `build` makes them.

    `hot`: endpoints that take a body, by path; they are POST only and bypass the router of `pages`.
    `forward`: the endpoint of everything that is forwarded, whatever its method.
    `close`: awaited once, at the end. `admission`: who has a place, for the next one.
    """

    def __init__(
        self,
        *,
        door: Door,
        hot: dict[str, Endpoint],
        pages: Callable[[Scope, Receive, Send], Awaitable[None]],
        forward: Endpoint | None = None,
        log: Log,
        redact: Callable[[str], str],
        close: Callable[[], Awaitable[None]],
        admission: Admission,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.admission = admission
        self._door = door
        self._hot = hot
        self._pages = pages
        self._forward = forward
        self._log = log
        self._redact = redact
        self._close = close
        self._clock = clock
        self._handler = log.handler()
        self._ids = _request_ids()
        self._running = 0
        self._over: asyncio.Event | None = None  # somebody waits for the last request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":  # the server is told to speak no websockets
                await live(self, receive, send)
            return
        exchange = Exchange(scope, receive, send, next(self._ids), self._redact)
        path = scope["path"]
        endpoint = self._hot.get(path)
        if endpoint is None:
            path = scope["path"] = canonical(path)
            endpoint = self._hot.get(path)
        started = self._clock()
        self._running += 1
        try:
            # The very same head needs no second look at the same door.
            if exchange.facts is None or exchange.facts.passed is not self._door:
                self._let_in(exchange, path)
            if endpoint is None:
                await self._serve(exchange, path)
            elif scope["method"] == "POST":
                await endpoint(exchange)
            else:
                raise HTTPException(405, headers={"Allow": "POST"})
        except ApiError as error:
            await exchange.fail(error)
            error.forget()
        except Gone:
            exchange.status = CLIENT_LEFT
        except asyncio.CancelledError:  # the server's patience with open streams is over
            await exchange.fail(ApiError("overloaded", STOPPING))
        except HTTPException as error:
            await exchange.fail(*_wrong_method(scope, error))
        except Exception as error:  # noqa: BLE001 the last wall: nobody must see a traceback, and the log must
            self._log.failure("A request failed inside dragoman.", error=error, request_id=exchange.request_id)
            await exchange.fail(
                ApiError("internal", f"dragoman itself failed. Its log says more under {exchange.request_id}.")
            )
        finally:
            self._running -= 1
            if self._over is not None and not self._running:
                self._over.set()
            if not exchange.logged and path not in OPEN:
                self._account(exchange, path, self._clock() - started)

    def _let_in(self, exchange: Exchange, path: str) -> None:
        """Raises ApiError."""
        self._door.check_host(exchange.headers)
        if path not in OPEN:
            self._door.check_token(exchange.headers)
        if exchange.facts is not None:
            exchange.facts.passed = self._door

    async def _serve(self, exchange: Exchange, path: str) -> None:
        if self._forward is not None and covers(path):
            await self._forward(exchange)
        else:
            exchange.scope["app"] = self  # so that a wrong method is raised instead of answered in plain text
            await self._pages(exchange.scope, exchange.receive, exchange.relay)

    def _account(self, exchange: Exchange, path: str, seconds: float) -> None:
        line = Line() if exchange.provider is None else Forwarded()
        line.request_id = exchange.request_id
        line.path = path
        line.model = exchange.model
        line.stream = exchange.stream
        line.status = exchange.status
        line.ms = _tenths(seconds * 1000)
        line.error = error_text(exchange.error) if exchange.error else None
        if isinstance(line, Forwarded):
            line.provider = exchange.provider
            line.request_bytes, line.answer_bytes = exchange.request_bytes, exchange.answer_bytes
        self._log.request(line)

    def begin(self) -> None:
        """Libraries speak through our log from now on."""
        for name in _LIBRARIES:
            logging.getLogger(name).addHandler(self._handler)

    def leave(self) -> None:
        """And now through the log of another."""
        for name in _LIBRARIES:
            logging.getLogger(name).removeHandler(self._handler)

    async def close(self) -> None:
        """Close what it is made of, at once."""
        await self._close()
        self.leave()

    async def end(self) -> None:
        """Wait for the last request, then close. Cancelling this closes it, too."""
        try:
            if self._running:
                self._over = asyncio.Event()
                await self._over.wait()
        finally:
            await self.close()


def _request_ids() -> Iterator[str]:
    """Random ids, for each request one. The system is asked for many at once."""
    while True:
        many = os.urandom(12 * 100).hex()
        yield from ["req_" + many[at : at + 24] for at in range(0, len(many), 24)]


def build(
    config: Config,
    secrets: Secrets,
    *,
    write: Callable[[str], None] | None = None,
    out: outlet.Outlet | None = None,
    admission: Admission | None = None,
    change: Callable[[Surroundings], Surroundings] = lambda surroundings: surroundings,
) -> Application:
    """Every room, from the configuration.

    The lines of the log go to `write`, or to `out`, which stays open; without both to standard output. `admission` is
    that of an application which this one will replace. `change` may put something between the gateway and what stands
    around it.
    Raises ValueError for a bind address off loopback without a token, unless it is open on purpose.
    """
    settings = config.server
    redact = Redactor((*secrets.values(), settings.auth_token))
    own = outlet.standard() if write is None and out is None else None
    log = _log(config, redact, write, out or own)
    upstream = _upstream(config)
    children = _children(config, secrets, lambda text: log.note("error", text))
    sending = Beside(upstream, children) if children else upstream
    router = Router(config)
    signer = Signing(Credentials(secrets, config.identities), upstream, time.monotonic)
    relayed = settings.count_tokens == "auto"
    exact = None if settings.count_tokens == "estimate" else UpstreamCount(DIALECTS, upstream, signer, relayed=relayed)

    async def close() -> None:
        await asyncio.gather(*(child.close() for child in children.values()))
        await upstream.close()
        if own is not None:
            await asyncio.to_thread(own.close)

    around = Surroundings(router=router, upstream=sending, signer=signer, watch=_watching(log))
    gateway = _gateway(change(around), settings, log)
    intake = Intake(settings.body_limit, settings.bytes_in_flight)
    door = _door(settings, log)
    chosen = OwnEndpoint(Endpoints(settings.endpoints, strict=config.strict), door.credentials)
    credentials = door.credentials if _asks_with_callers_keys(config) else nobodys
    admission = admission or Admission()
    admission.allow(settings.concurrent, settings.queue, settings.queue_timeout)
    hot: dict[str, Endpoint] = {
        MESSAGES: admission.around(Messages(gateway, intake, credentials, chosen)),
        COUNT_TOKENS: Counting(router, intake, estimate.tokens, exact, credentials, own=chosen),
    }
    forwarding = _forwarding(config, upstream, signer)
    claude = None if isinstance(forwarding, ApiError) else ClaudeModels(forwarding, router, credentials)
    return Application(
        door=door,
        hot=hot,
        pages=Pages(config, router, claude).router(),
        forward=admission.around(Forward(forwarding, credentials)),
        log=log,
        redact=redact,
        close=close,
        admission=admission,
    )


def _gateway(around: Surroundings, settings: Server, log: Log) -> Gateway:
    return (Gateway if around.remembers else Forgetful)(
        router=around.router,
        dialects=DIALECTS,
        upstream=around.upstream,
        signer=around.signer,
        settings=settings,
        watch=around.watch,
        new_id=around.new_id,
        clock=around.clock,
        tell=lambda rest: log.note("info" if not rest.seconds else "error", words(rest)),
    )


def _forwarding(config: Config, upstream: Upstream, signer: Signing) -> Forwarding | ApiError:
    """The way of what is forwarded; the error says what is missing."""
    where = destination(config, DIALECTS)
    if isinstance(where, ApiError):
        return where
    return Forwarding(where, DIALECTS, upstream, signer, idle=config.server.read_idle)


def _door(settings: Server, log: Log) -> Door:
    if settings.open:
        log.note("warning", OPEN_DOOR)
    return Door(settings.host, settings.auth_token, everybody=settings.open)


def _log(config: Config, redact: Redactor, write: Callable[[str], None] | None, out: outlet.Outlet | None) -> Log:
    return Log(
        write or (print if out is None else out.write),
        redact=redact,
        human=outlet.human(config.logs.format, None if out is None else sys.stdout),
        older=config.logs.format == "a2o",
        level=config.logs.level,
    )


def _watching(log: Log) -> Callable[[Record], None]:
    def watch(record: Record) -> None:
        if log.detailed:
            log.details(detail_lines(record), request_id=record.request_id)
        log.request(line(record))
        if record.crash is not None:
            log.failure("A request failed inside dragoman.", error=record.crash, request_id=record.request_id)

    return watch


def _upstream(config: Config) -> Upstream:
    allowed: dict[tuple[str, int], int] = {}  # host and port -> connections
    for provider in config.providers.values():
        for target in (provider.template, *provider.others):
            parts = urlsplit(target.base_url)
            place = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
            allowed[place] = max(provider.connections, allowed.get(place, 0))
    return Upstream(
        connect_timeout=config.server.connect_timeout,
        proxies=config.proxies,
        no_proxy=config.no_proxy,
        connections=lambda host, port: allowed.get((host, port), 0),
        patience=config.server.queue_timeout,
    )


def _children(config: Config, secrets: Secrets, tell: Callable[[str], None]) -> dict[str, Child]:
    """The servers that run beside the gateway, by provider; none of them is started yet."""
    found = {}
    for provider in config.providers.values():
        beside = provider.sidecar
        if beside is not None and provider.ready:
            variables = {**dict(beside.variables), **{name: secrets[label] for name, label in beside.keys}}
            place = Environment(beside.name, beside.folder)
            found[provider.name] = Child(provider.title, place.command(), variables, tell)
    return found


def _asks_with_callers_keys(config: Config) -> bool:
    return any(
        target.auth == "caller"
        for provider in config.providers.values()
        for target in (provider.template, *provider.others)
    )


def line(record: Record) -> Line:
    """The log's line of a journey."""
    first = record.first_token_ms
    error = None
    if record.error is not None:
        error = error_text(record.error)
    elif record.caller_left:
        error = "caller_left: the caller left before the end"
    return Line(
        "",  # the log's own clock
        "request",
        record.request_id,
        MESSAGES,
        record.model,
        record.provider,
        record.upstream_model,
        record.endpoint,
        record.stream,
        record.status,
        _tenths(record.ms),
        None if first is None else _tenths(first),
        usage_counts(record.usage),
        note_codes(record.notes) if record.notes else [],
        len(record.attempts),
        record.repairs,
        error,
    )


def _tenths(ms: float) -> float:
    """`ms` with one digit behind the point. `round` would write it as text and read that."""
    return int(ms * 10 + 0.5) / 10


def detail_lines(record: Record) -> list[str]:
    """What the log's line leaves out: each attempt, and what was not carried over without any effect."""
    found = []
    for number, attempt in enumerate(record.attempts, 1):
        outcome = f"{attempt.status or 'no answer'} after {attempt.ms:.0f} ms, {attempt.error or 'taken'}"
        repaired = f", repaired: {attempt.repair}" if attempt.repair else ""
        found.append(f"attempt {number}: {attempt.target}: {outcome}{repaired}")
    ignored = dict.fromkeys(note.code for note in record.notes if note.grade == "ignored")
    return [*found, f"left out without effect: {', '.join(ignored)}"] if ignored else found


def _wrong_method(scope: Scope, error: HTTPException) -> tuple[ApiError, list[tuple[bytes, bytes]]]:
    allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
    message = f"{scope['path'][:200]} does not take {scope['method']}. Use {allowed}."
    return ApiError("method_not_allowed", message), [(b"allow", allowed.encode())]
