"""The real server on a real socket, with rooms that the test scripts, and a raw client that sees every byte."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from dragoman.config.settings import Config, Server
from dragoman.messages.body import Body
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.request import Request
from dragoman.server.admission import Admission
from dragoman.server.application import Application, Endpoint
from dragoman.server.door import Door
from dragoman.server.intake import Intake
from dragoman.server.messages import Counting, Credentials, Messages, nobodys
from dragoman.server.pages import Pages
from dragoman.server.protocol import Protocol
from dragoman.server.serving import bind, serve
from dragoman.telemetry.log import Log
from dragoman.telemetry.redaction import Redactor

BODY = {"model": "sonnet", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Record:
    provider: str | None = "lab"
    upstream_model: str | None = "small"
    notes: list[Note] = field(default_factory=list)
    error: ApiError | None = None


@dataclass
class Listed:
    id: str
    display_name: str = "A model"
    created_at: str = "2025-01-01T00:00:00Z"
    max_input_tokens: int | None = None
    max_tokens: int | None = 8192


class Journey:
    """Does what the test says, and remembers what happened to it."""

    def __init__(self, script: "Script", request: Request) -> None:
        self.script = script
        self.request = request
        self.record = script.record
        self.cancelled = False
        self.headers = script.headers
        self.closed = asyncio.Event()

    async def message(self) -> bytes:
        return await self._guarded(self.script.message())

    async def hold(self) -> bool:
        return await self._guarded(self.script.hold())

    async def stream(self, send: Callable[[bytes], Awaitable[None] | None]) -> None:
        async def sent(frames: bytes) -> None:
            waiting = send(frames)
            if waiting is not None:
                await waiting

        await self._guarded(self.script.stream(sent))

    def close(self) -> None:
        assert not self.closed.is_set()
        self.closed.set()
        self.script.closed(self)

    async def _guarded(self, work: Awaitable[Any]) -> Any:
        self.script.entered.set()
        try:
            return await work
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Script:
    """A gateway whose answers are coroutines of the test."""

    def __init__(self) -> None:
        self.record = Record()
        self.journeys: list[Journey] = []
        self.callers: list[tuple[tuple[str, str], ...]] = []  # the credentials that each came with
        self.entered = asyncio.Event()
        self.refuse: Exception | None = None
        self.headers: tuple[tuple[str, str], ...] = ()  # of the upstream, where its answer is passed on
        self.closed: Callable[[Journey], None] = lambda _journey: None

    def begin(
        self,
        request: Request,
        request_id: str,
        caller: Sequence[tuple[str, str]] = (),
        route: object = None,
    ) -> Journey:
        assert request_id.startswith("req_")
        if self.refuse:
            raise self.refuse
        request.body  # noqa: B018 as the gateway does, before it translates
        self.callers.append(tuple(caller))
        self.journeys.append(Journey(self, request))
        return self.journeys[-1]

    async def message(self) -> bytes:
        return b'{"type":"message"}'

    async def hold(self) -> bool:
        return True

    async def stream(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        await send(b"event: ping\ndata: {}\n\n")


class Routes:
    def __init__(self, *ids: str) -> None:
        self.ids = ids

    def route(self, name: str, *, thinking: bool = False) -> None:
        if name not in self.ids:
            raise ApiError("not_found", f"no model {name}")

    def listing(self) -> list[Listed]:
        return [Listed(name) for name in self.ids]

    def find(self, name: str) -> Listed | None:
        return Listed(name) if name in self.ids else None


@dataclass
class House:
    """What a running server is made of."""

    script: Script
    lines: list[str]
    port: int
    intake: Intake
    application: Application
    stop: asyncio.Event
    serving: "asyncio.Task[None]"

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> "Reply":
        return await ask(self.port, method, path, body, headers)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextlib.asynccontextmanager
async def listening(
    application: Any, settings: Server | None = None
) -> AsyncIterator[tuple[int, asyncio.Event, "asyncio.Task[None]"]]:
    """`application` on a free port of 127.0.0.1."""
    started, stop = asyncio.Event(), asyncio.Event()
    sockets = bind("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    serving = asyncio.ensure_future(serve(application, sockets, settings or Server(), started=started.set, stop=stop))
    try:
        await asyncio.wait(
            [serving, waiting := asyncio.ensure_future(started.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        yield port, stop, serving
    finally:
        stop.set()
        await serving


@contextlib.asynccontextmanager
async def running(
    *,
    config: Config | None = None,
    routes: Routes | None = None,
    secrets: tuple[str, ...] = (),
    credentials: Credentials = nobodys,
) -> AsyncIterator[House]:
    config = config or Config()
    script, lines = Script(), []
    redact = Redactor(secrets)
    router = routes or Routes("sonnet")
    intake = Intake(config.server.body_limit, config.server.bytes_in_flight)

    async def close() -> None:
        lines.append('{"event":"closed"}')

    def tokens(body: Body) -> int:
        return len(body.messages) * 7

    admission = Admission()
    admission.allow(config.server.concurrent, config.server.queue, config.server.queue_timeout)
    hot: dict[str, Endpoint] = {
        "/v1/messages": admission.around(Messages(script, intake, credentials)),
        "/v1/messages/count_tokens": Counting(router, intake, tokens),
    }
    application = Application(
        door=Door(config.server.host, config.server.auth_token),
        hot=hot,
        pages=Pages(config, router).router(),
        log=Log(lines.append, redact=redact),
        redact=redact,
        close=close,
        admission=admission,
    )
    async with listening(application, config.server) as (port, stop, serving):
        yield House(script, lines, port, intake, application, stop, serving)


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


def connections(monkeypatch: pytest.MonkeyPatch) -> list[Protocol]:
    """The server's own ends of all connections that are made from now on."""
    found: list[Protocol] = []
    made = Protocol.connection_made

    def noted(protocol: Protocol, transport: asyncio.Transport) -> None:
        found.append(protocol)
        made(protocol, transport)

    monkeypatch.setattr(Protocol, "connection_made", noted)
    return found


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


def head(method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    fields = {"host": "127.0.0.1", "content-length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value != "-")]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def ask(port: int, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Reply:
    """One request on a connection of its own. A header with the value "-" is left out."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    reader, writer = await connect(port)
    writer.write(head(method, path, raw, headers or {}) + raw)
    try:
        return await read_reply(reader, method)
    finally:
        writer.close()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    status = int((await reader.readline()).split()[1])
    headers = {}
    while (line := (await reader.readline()).strip()) != b"":
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    return status, headers


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readline(), 16)
    return (await reader.readexactly(size + 2))[:-2]


async def read_reply(reader: asyncio.StreamReader, method: str = "POST") -> Reply:
    async with asyncio.timeout(10):
        status, headers = await read_head(reader)
        if method == "HEAD":
            return Reply(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while chunk := await read_chunk(reader):
                body += chunk
        else:
            body = await reader.readexactly(int(headers["content-length"]))
        return Reply(status, headers, body)
