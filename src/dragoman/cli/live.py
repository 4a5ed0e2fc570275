"""One request through the whole gateway, inside this process: what `dragoman doctor --live` asks of each provider."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Self

from msgspec import Struct

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Reply(Struct, frozen=True):
    status: int
    body: bytes

    def message(self) -> str:
        """The answer's text, or the error's, on one line."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return "no JSON"
        if found.get("type") == "error":
            return " ".join(str(found["error"]["message"]).split())
        usage = found["usage"]
        return f"answered with {usage['output_tokens']} tokens, {usage['input_tokens']} in"


class Live:
    """An ASGI application without a server. Use as an async context manager: its lifespan lasts as long."""

    def __init__(self, application: Application, token: str = "") -> None:
        self._application = application
        self._token = token
        self._to: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._life: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        life = self._application({"type": "lifespan", "asgi": {"version": "3.0"}}, self._to.get, self._from.put)
        self._life = asyncio.ensure_future(life)
        await self._to.put({"type": "lifespan.startup"})
        await self._from.get()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._to.put({"type": "lifespan.shutdown"})
        if self._life is not None:
            await self._life

    async def ask(self, model: str, limit: float) -> Reply:
        """One token of `model`. Waits `limit` seconds at most; then status 0."""
        body = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
        try:
            async with asyncio.timeout(limit):
                return await self._post("/v1/messages", json.dumps(body).encode())
        except TimeoutError:
            error = {"type": "error", "error": {"type": "timeout_error", "message": f"no answer within {limit:.0f} s"}}
            return Reply(0, json.dumps(error).encode())

    async def _post(self, path: str, body: bytes) -> Reply:
        incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        await incoming.put({"type": "http.request", "body": body, "more_body": False})
        status, chunks = 0, []

        async def send(event: Any) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
            else:
                chunks.append(event.get("body", b""))

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        headers += [(b"content-length", str(len(body)).encode())]
        headers += [(b"x-dragoman-token", self._token.encode())] if self._token else []
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": headers,
            "client": ("127.0.0.1", 0), "server": ("127.0.0.1", 0),
        }  # fmt: skip
        await self._application(scope, incoming.get, send)
        return Reply(status, b"".join(chunks))
