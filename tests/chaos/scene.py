"""A gateway between a farm and a caller, in one event loop: what it did, and that nothing of it is left."""

import asyncio
import contextlib
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.languages import LANGUAGES
from chaos.verdict import Verdict, ask
from dragoman.config.settings import Config, Leads, Provider, Secrets, Server
from dragoman.dialects.contract import Target
from dragoman.gateway.forwarding import Forwarding
from dragoman.gateway.signing import Signing
from dragoman.server.application import build
from dragoman.upstream.client import Upstream
from dragoman.upstream.dialling import Dialler
from dragoman.upstream.pool import Pool
from server_fixture import listening

READ_IDLE = 3.0  # seconds; tests that are not about silence must not meet it, on a busy machine either
OURS = ('"traceback":"', '"message":"uvicorn', '"message":"asyncio')
ROOMS = (
    "dragoman.gateway.",
    "dragoman.upstream.",
    "dragoman.messages.writer",
    "dragoman.server.exchange",
    "dragoman.server.presence",
    "dragoman.server.protocol",
    "uvicorn.protocols.",
)
OF_SERVERS = frozenset(map(str, (Dialler, Forwarding, Pool, Signing, Upstream)))  # one each; its router is a circle


@dataclass(frozen=True)
class Route:
    """A name to ask for: the addresses that are tried in order, and the language of each."""

    name: str
    places: tuple[tuple[str, str], ...]  # (language, base URL)


def configuration(routes: Iterable[Route], **settings: Any) -> Config:
    """A provider of its own for every place of every route, so that what is known of one says nothing of another."""
    providers: dict[str, Provider] = {}
    models: list[tuple[str, Leads]] = []
    for route in routes:
        names = []
        for number, (language, url) in enumerate(route.places):
            name = f"{route.name}-{number}"
            target = Target(
                provider=name,
                dialect=language,
                base_url=url,
                model="",
                quirks=LANGUAGES[language].quirks,
                auth="none",
            )
            providers[name] = Provider(name=name, title=name, ready=True, why="it is there", template=target)
            names.append(f"{name}/m")
        models.append((route.name, Leads.to(*names)))
    defaults: dict[str, Any] = {"retries": 0, "read_idle": READ_IDLE, "connect_timeout": 5.0}
    return Config(server=Server(**(defaults | settings)), providers=providers, models=tuple(models))


class Scene:
    """A running gateway."""

    def __init__(self, port: int, lines: list[str]) -> None:
        self.port = port
        self._lines = lines

    async def ask(self, model: str, *, stream: bool) -> Verdict:
        """A legal answer. Raises IllegalError."""
        return await ask(self.port, model=model, stream=stream)

    def provider(self, verdict: Verdict) -> str:
        """Who answered, by the log."""
        for line in map(json.loads, reversed(self._lines)):
            if line.get("request_id") == verdict.request_id and line.get("event") == "request":
                return str(line["provider"])
        raise AssertionError(f"no line of {verdict.request_id} in the log")

    @property
    def failures(self) -> list[str]:
        """Lines that say that something of ours went wrong: with a traceback, or in the words of a library."""
        return [line for line in self._lines if '"event":"failure"' in line and any(word in line for word in OURS)]

    def taken_failures(self) -> list[str]:
        """The same, once; and the log begins anew."""
        found = self.failures
        self._lines.clear()
        return found


@contextlib.asynccontextmanager
async def playing(routes: Iterable[Route], **settings: Any) -> AsyncIterator[Scene]:
    config = configuration(routes, **settings)
    lines: list[str] = []
    async with listening(build(config, Secrets({}), write=lines.append), config.server) as (port, _, _):
        scene = Scene(port, lines)
        yield scene
    assert scene.failures == []


@dataclass(frozen=True)
class Inventory:
    """What there is of tasks, of files and sockets, and of the gateway's objects."""

    tasks: int
    files: frozenset[str]
    objects: Counter[str]

    def more_than(self, before: "Inventory") -> list[str]:
        found = []
        if self.tasks > before.tasks:
            found.append(f"{self.tasks - before.tasks} tasks: {asyncio.all_tasks()}")
        found += [f"open file {name}" for name in self.files - before.files]
        return found + [f"{count} objects {name}" for name, count in (self.objects - before.objects).items()]

    def without_servers(self) -> "Inventory":
        """What is made for each request or connection."""
        kinds = Counter({name: count for name, count in self.objects.items() if name not in OF_SERVERS})
        return Inventory(self.tasks, self.files, kinds)


def inventory(*, collected: bool = True) -> Inventory:
    """`collected`: without what only the garbage collector frees."""
    if collected:
        gc.collect()
    kinds = Counter(map(type, gc.get_objects()))
    objects = Counter({str(kind): count for kind, count in kinds.items() if str(kind.__module__).startswith(ROOMS)})
    return Inventory(len(asyncio.all_tasks()), _files(), objects)


def _files() -> frozenset[str]:
    """What is open: number and name, as `7 socket:[4711]`; without the spare file of libuv, which every loop keeps."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the directory's own
            found.add(f"{entry.name} {entry.readlink()}")
    return frozenset(name for name in found if not name.endswith(" /dev/null"))


async def left_behind(before: Inventory) -> list[str]:
    """What is there that was not before, after everything has had the time to end.

    A request leaves nothing to the garbage collector, however it ends: that comes late where much is going on, and
    sockets are large.
    """
    found: list[str] = []
    for _ in range(20):
        found = inventory(collected=False).without_servers().more_than(before)
        if not found:
            return inventory().more_than(before)
        await asyncio.sleep(0.05)
    return found


async def together(work: Sequence[Any], *, at_once: int) -> list[Any]:
    """Await all, so many at the same time; results in order, exceptions among them."""
    gate = asyncio.Semaphore(at_once)

    async def one(each: Any) -> Any:
        async with gate:
            return await each

    return await asyncio.gather(*map(one, work), return_exceptions=True)
