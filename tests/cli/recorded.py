"""A recording gateway on a real socket, with a scripted upstream behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from msgspec import structs

from dragoman.cli.main import main
from dragoman.cli.record import Recording
from dragoman.config import settings
from dragoman.config.settings import Config, Leads, Provider, Secrets
from dragoman.dialects.contract import Target
from dragoman.providers.presets import QUIRKS
from dragoman.server.application import build
from dragoman.telemetry import bundle as form
from dragoman.telemetry.bundle import Bundle, Folder
from server_fixture import BODY, Reply, ask, listening
from upstream.wire import Connection, Server

UPSTREAM_KEY = "canary-upstream-4711"
GATEWAY_TOKEN = "canary-gateway-4712"
CALLER_KEY = "canary-caller-4713"
COOKIE = "canary-cookie-4714"
CANARIES = (UPSTREAM_KEY, GATEWAY_TOKEN, CALLER_KEY, COOKIE)
KEYS = Secrets({"LAB_KEY": UPSTREAM_KEY, "OTHER_KEY": "canary-other-4715"})


def target(port: int, dialect: str = "chat", **more: Any) -> Target:
    return Target(
        provider="lab",
        dialect=dialect,
        base_url=f"http://127.0.0.1:{port}/v1",
        model="",
        quirks=QUIRKS[dialect](),
        key="LAB_KEY",
        **more,
    )


def configuration(*targets: Target, **server: Any) -> Config:
    """Each target is a provider of its own; the route tries them in this order."""
    providers = {}
    for number, each in enumerate(targets):
        name = f"lab{number}" if number else "lab"
        template = structs.replace(each, provider=name)
        providers[name] = Provider(name=name, title=name, ready=True, why="", big="small", template=template)
    route = tuple(f"{name}/small" for name in providers)
    return Config(
        server=settings.Server(**({"retries": 0} | server)), providers=providers, models=(("sonnet", Leads.to(*route)),)
    )


@contextlib.asynccontextmanager
async def running(config: Config, folder: Path, *, texts: bool = True, limit: int = 20) -> AsyncIterator[int]:
    """The port of a gateway that records into `folder`."""
    recording = Recording(Folder(folder, limit), texts=texts)
    application = recording.outside(build(config, KEYS, change=recording.change(config, KEYS)))
    async with listening(application, config.server) as (port, _, _):
        yield port


async def bundles(folder: Path, count: int = 1) -> list[Path]:
    """The files, when `count` of them are there: they are written after the reply was told."""
    async with asyncio.timeout(20):
        while len(found := sorted(folder.glob("*.json"))) < count:
            await asyncio.sleep(0.005)
    return found


async def recorded(folder: Path) -> tuple[Path, Bundle]:
    (path,) = await bundles(folder)
    return path, form.decode(path.read_bytes())


async def replayed(path: Path) -> Result:
    """`dragoman replay`, with an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["replay", str(path)])


@contextlib.asynccontextmanager
async def playing(upstream: Server, folder: Path) -> AsyncIterator[int]:
    """The port of a gateway that asks `upstream`, in Chat Completions."""
    async with running(configuration(target(upstream.port)), folder) as port:
        yield port


CASES = Path(__file__).parent.parent / "cases" / "answers"
STREAM = BODY | {"stream": True, "max_tokens": 1000}
TYPES = {".sse": "text/event-stream", ".json": "application/json"}

Play = Callable[[Connection], Awaitable[None]]


def plays(*pieces: bytes, content_type: str = "text/event-stream", cut: bool = False) -> Play:
    """A streamed answer in these pieces; each waits until it is alone on the wire."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream(content_type)
        for piece in pieces:
            await connection.chunk(piece)
            await asyncio.sleep(0.002)  # so that most of them are read alone; which of them is not what is tested
        if not cut:
            await connection.chunk(b"")
            await connection.lost()

    return script


def refuses(status: str, body: bytes) -> Play:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.answer(body, status=status)

    return script


def cut_everywhere(raw: bytes) -> list[bytes]:
    """Inside words, escapes and characters."""
    size = max(7, len(raw) // 60)
    return [raw[at : at + size] for at in range(0, len(raw), size)]


async def record(folder: Path, script: Play, body: Any = STREAM, **changes: Any) -> Reply:
    """One request, recorded into `folder`."""
    async with Server(script) as upstream:
        config = configuration(target(upstream.port, **changes.pop("target", {})), **changes)
        async with running(config, folder) as port:
            reply = await ask(port, "POST", "/v1/messages", body)
            await bundles(folder)
    return reply


TEXT = (CASES / "chat" / "openai-parallel-tools.sse").read_bytes()
BEGIN = b'data: {"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":"so"}}]}\n\n'
REFUSAL = b'{"error":{"message":"Slow down.","type":"requests","code":"rate_limit_exceeded"}}'
