"""The composition root: builds every room from the configuration, and is the ASGI application."""

import asyncio
import gc
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from dragoman.config.settings import Config, Secrets
from dragoman.dialects import DIALECTS
from dragoman.gateway.counting import UpstreamCount
from dragoman.gateway.forwarding import Forwarding, destination
from dragoman.gateway.gateway import Gateway
from dragoman.gateway.health import words
from dragoman.gateway.record import Record
from dragoman.gateway.signing import Signing
from dragoman.messages import estimate
from dragoman.messages.errors import ApiError
from dragoman.providers.credentials import Credentials
from dragoman.routing.router import Router
from dragoman.server.claude import ClaudeModels
from dragoman.server.door import Door
from dragoman.server.exchange import CLIENT_LEFT, Exchange
from dragoman.server.forwarding import Forward, covers
from dragoman.server.intake import Gone, Intake
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
_THRESHOLDS = (50_000, 50, 50)  # of the garbage collector: fewer walks over what never dies

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"

STOPPING = "dragoman is stopping. Try again."


class Application:
    """The ASGI application. Collaborators come in by the constructor; `build` makes them.

    `hot`: endpoints that take a body, by path; they are POST only and bypass the router of `pages`.
    `forward`: the endpoint of everything that is forwarded, whatever its method.
    `close`: awaited once, at the end.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._door = door
        self._hot = hot
        self._pages = pages
        self._forward = forward
        self._log = log
        self._redact = redact
        self._close = close
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":  # the server is told to speak no websockets
            return
        exchange = Exchange(scope, receive, send, "req_" + os.urandom(12).hex(), self._redact)
        path = scope["path"]
        if path not in self._hot:
            path = scope["path"] = canonical(path)
        started = self._clock()
        try:
            await self._serve(exchange, path)
        except ApiError as error:
            await exchange.fail(error)
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
            if not exchange.logged and path not in OPEN:
                self._account(exchange, path, self._clock() - started)

    async def _serve(self, exchange: Exchange, path: str) -> None:
        self._door.check_host(exchange.headers)
        if path not in OPEN:
            self._door.check_token(exchange.headers)
        endpoint = self._hot.get(path)
        if endpoint is None and self._forward is not None and covers(path):
            await self._forward(exchange)
        elif endpoint is None:
            exchange.scope["app"] = self  # so that a wrong method is raised instead of answered in plain text
            await self._pages(exchange.scope, exchange.receive, exchange.relay)
        elif exchange.scope["method"] == "POST":
            await endpoint(exchange)
        else:
            raise HTTPException(405, headers={"Allow": "POST"})

    def _account(self, exchange: Exchange, path: str, seconds: float) -> None:
        line = Line() if exchange.provider is None else Forwarded()
        line.request_id = exchange.request_id
        line.path = path
        line.model = exchange.model
        line.stream = exchange.stream
        line.status = exchange.status
        line.ms = round(seconds * 1000, 1)
        line.error = error_text(exchange.error) if exchange.error else None
        if isinstance(line, Forwarded):
            line.provider = exchange.provider
            line.request_bytes, line.answer_bytes = exchange.request_bytes, exchange.answer_bytes
        self._log.request(line)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan: libraries speak through our log, and the garbage collector leaves alone what stays."""
        handler = self._log.handler()
        loggers = [logging.getLogger(name) for name in _LIBRARIES]
        thresholds = gc.get_threshold()
        await receive()
        for logger in loggers:
            logger.addHandler(handler)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        finally:
            gc.set_threshold(*thresholds)
            gc.unfreeze()
            await self._close()
            for logger in loggers:
                logger.removeHandler(handler)
        await send({"type": "lifespan.shutdown.complete"})


def build(config: Config, secrets: Secrets, *, write: Callable[[str], None] | None = None) -> Application:
    """Every room, from the configuration. `write` gets the lines of the log; without it they go to standard output.

    Raises ValueError for a bind address off loopback without a token.
    """
    settings = config.server
    redact = Redactor((*secrets.values(), settings.auth_token))
    out = outlet.standard() if write is None else None
    log = Log(
        out.write if out is not None else write or print,
        redact=redact,
        human=outlet.human(config.logs.format, sys.stdout if out is not None else None),
        older=config.logs.format == "a2o",
        level=config.logs.level,
    )
    upstream = Upstream(connect_timeout=settings.connect_timeout, proxies=config.proxies, no_proxy=config.no_proxy)
    children = _children(config, secrets, lambda text: log.note("error", text))
    sending = Beside(upstream, children) if children else upstream
    router = Router(config)
    signer = Signing(Credentials(secrets, config.identities), upstream, time.monotonic)
    exact = None
    if settings.count_tokens != "estimate":
        exact = UpstreamCount(DIALECTS, upstream, signer, relayed=settings.count_tokens == "auto")

    def watch(record: Record) -> None:
        if log.detailed:
            log.details(detail_lines(record), request_id=record.request_id)
        log.request(line(record))
        if record.crash is not None:
            log.failure("A request failed inside dragoman.", error=record.crash, request_id=record.request_id)

    async def close() -> None:
        await asyncio.gather(*(child.close() for child in children.values()))
        await upstream.close()
        if out is not None:
            await asyncio.to_thread(out.close)

    gateway = Gateway(
        router=router,
        dialects=DIALECTS,
        upstream=sending,
        signer=signer,
        settings=settings,
        watch=watch,
        new_id=lambda: os.urandom(12).hex(),
        tell=lambda change: log.note("info" if not change.seconds else "error", words(change)),
    )
    intake = Intake(settings.body_limit, settings.bytes_in_flight)
    door = Door(settings.host, settings.auth_token)
    credentials = door.credentials if _asks_with_callers_keys(config) else nobodys
    hot: dict[str, Endpoint] = {
        MESSAGES: Messages(gateway, intake, credentials),
        COUNT_TOKENS: Counting(router, intake, estimate.tokens, exact, credentials),
    }
    where = destination(config, DIALECTS)
    forwarding: Forwarding | ApiError
    if isinstance(where, ApiError):
        forwarding, claude = where, None
    else:
        forwarding = Forwarding(where, DIALECTS, upstream, signer, idle=settings.read_idle)
        claude = ClaudeModels(forwarding, router, credentials)
    return Application(
        door=door,
        hot=hot,
        pages=Pages(config, router, claude).router(),
        forward=Forward(forwarding, credentials),
        log=log,
        redact=redact,
        close=close,
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
    error = error_text(record.error) if record.error else None
    return Line(
        request_id=record.request_id,
        path=MESSAGES,
        model=record.model,
        provider=record.provider,
        upstream_model=record.upstream_model,
        endpoint=record.endpoint,
        stream=record.stream,
        status=record.status,
        ms=round(record.ms, 1),
        first_token_ms=None if record.first_token_ms is None else round(record.first_token_ms, 1),
        usage=usage_counts(record.usage),
        notes=note_codes(record.notes),
        attempts=len(record.attempts),
        repairs=record.repairs,
        error=error or ("caller_left: the caller left before the end" if record.caller_left else None),
    )


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
