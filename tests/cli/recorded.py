"""A recording gateway on a real socket, with a scripted upstream behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from msgspec import structs

from dragoman.cli.main import main
from dragoman.cli.record import recording
from dragoman.config.settings import Config, Provider, Secrets, Server
from dragoman.dialects.contract import Target
from dragoman.providers.presets import QUIRKS
from dragoman.telemetry import bundle as form
from dragoman.telemetry.bundle import Bundle, Folder
from server_fixture import listening

UPSTREAM_KEY = "canary-upstream-4711"
GATEWAY_TOKEN = "canary-gateway-4712"
CALLER_KEY = "canary-caller-4713"
COOKIE = "canary-cookie-4714"
CANARIES = (UPSTREAM_KEY, GATEWAY_TOKEN, CALLER_KEY, COOKIE)
KEYS = Secrets({"LAB_KEY": UPSTREAM_KEY})


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
    return Config(server=Server(**({"retries": 0} | server)), providers=providers, models=(("sonnet", route),))


@contextlib.asynccontextmanager
async def running(config: Config, folder: Path, *, texts: bool = True, limit: int = 20) -> AsyncIterator[int]:
    """The port of a gateway that records into `folder`."""
    application = recording(config, KEYS, folder=Folder(folder, limit), texts=texts)
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
