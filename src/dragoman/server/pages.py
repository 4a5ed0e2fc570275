"""Everything but the hot path: models, health, and the small requests that Claude Code makes by the way."""

import asyncio
from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from dragoman.config.settings import Config
from dragoman.messages.errors import ApiError
from dragoman.routing.router import Router as Models
from dragoman.server import models
from dragoman.server.claude import ClaudeModels
from dragoman.server.door import shows_token
from dragoman.server.exchange import DRAINING
from dragoman.server.messages import ENDPOINT
from dragoman.server.neighbour import is_mine

OPEN = frozenset(
    (
        "/",
        "/health",
        "/health/ready",
        "/auth-token",
        "/api/hello",
        "/api/event_logging/batch",
        "/api/event_logging/v2/batch",
    )
)
"""Paths that need no token and are not logged: probes, telemetry of the client that ends here, and the token itself,
which looks at its caller."""


class Pages:
    """Makes the replies from the configuration and the routes."""

    def __init__(self, config: Config, routes: Models, claude: ClaudeModels | None = None) -> None:
        """`claude`: what the provider of Anthropic's other endpoints offers itself."""
        self._config = config
        self._routes = routes
        self._claude = claude

    async def health(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Whether there is an upstream to call. It is not called: a probe must not cost money."""
        providers = {name: provider.ready for name, provider in self._config.providers.items()}
        ready = self._config.demo or any(providers.values())
        status = "ready" if ready else "not ready"
        if DRAINING in request.scope.get("extensions", {}):
            ready, status = False, "draining"
        return _json({"status": status, "providers": providers}, 200 if ready else 503)

    async def auth_token(self, request: Request) -> Response:
        """The token, for a person at this machine."""
        settings = self._config.server
        if not settings.show_token and not await _is_at_home(request.scope):
            raise ApiError(
                "permission",
                "The token is told on this machine only, to its own user, and through no proxy: ask http://127.0.0.1 "
                "there (curl does), or set server.show_token.",
            )
        if not settings.auth_token:
            who = "callers need none" if settings.open else "callers on this machine need none"
            return _json({"auth_token": "", "note": f"No token is set: {who}."})
        note = "Send it as `Authorization: Bearer` or `x-api-key`. Keep it to yourself."
        return _json({"auth_token": str(settings.auth_token), "note": note})

    async def hello(self, _request: Request) -> Response:
        return _json({"name": "dragoman", "messages": "/v1/messages", "health": "/health"})

    async def swallow(self, _request: Request) -> Response:
        return _json({})

    async def listing(self, request: Request) -> Response:
        body = models.page(self._routes.listing(), request.query_params, await self._theirs(request))
        return Response(body, media_type="application/json")

    async def model(self, request: Request) -> Response:
        name = request.path_params["id"]
        theirs = (await self._theirs(request)).get(name)
        if theirs is not None:
            return Response(bytes(theirs), media_type="application/json")
        listed = self._routes.find(name)
        if listed is None:
            raise ApiError("not_found", f"There is no model {name[:200]!r} here. GET /v1/models lists what there is.")
        return Response(models.one(listed), media_type="application/json")

    async def _theirs(self, request: Request) -> Mapping[str, msgspec.Raw]:
        headers = dict(request.scope["headers"])
        if self._claude is None or ENDPOINT in headers:  # the key in there is for another provider
            return {}
        return await self._claude.entries(headers)

    def router(self) -> Router:
        return Router(
            [
                Route("/health", self.health),
                Route("/health/ready", self.ready),
                Route("/auth-token", self.auth_token),
                Route("/", self.hello),
                Route("/api/hello", self.hello),
                Route("/api/event_logging/batch", self.swallow, methods=["POST"]),
                Route("/api/event_logging/v2/batch", self.swallow, methods=["POST"]),
                Route("/v1/models", self.listing),
                Route("/v1/models/{id:path}", self.model),
            ],
            redirect_slashes=False,
            default=_nowhere,
        )


async def _is_at_home(scope: Scope) -> bool:
    """Whether the caller is the user of this process, at this machine, and nobody is in between."""
    peer, here = scope.get("client"), scope.get("server")
    if peer is None or here is None or not shows_token(peer[0], dict(scope["headers"]), scope["http_version"]):
        return False
    return await asyncio.to_thread(is_mine, tuple(peer), tuple(here))


async def _nowhere(scope: Scope, _receive: Receive, _send: Send) -> None:
    """No such path."""
    served = (
        "POST /v1/messages, POST /v1/messages/count_tokens, GET /v1/models, GET /health, and Anthropic's files, "
        "batches and skills"
    )
    hint = f"dragoman serves {served}."
    if scope["path"].endswith(("/chat/completions", "/responses", "/complete", "/completions")):
        hint = "dragoman speaks Anthropic's Messages to its callers: use POST /v1/messages."
    raise ApiError("not_found", f"There is no {scope['method']} {scope['path'][:200]} here: {hint}")


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
