"""What the gate counts: whole requests through dragoman, from their head to the last byte, without any socket.

Runs inside valgrind, started by `gate.py`, with a folder that it filled. The upstream's answers are canned; everything
else is the application as it serves: token, route, translation, account and log.
"""

import asyncio
import ctypes
import gc
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import uvloop

from dragoman import config
from dragoman.server.application import build
from dragoman.server.cycle import Cycle, Facts
from dragoman.upstream.client import Upstream

WARM = 12  # requests before those that count: the interpreter adapts itself to what it runs
TIMES = {"small": 20, "big": 4, "stream": 1}


class Canned:
    """An answer that is there already, one read an event."""

    status = 200

    def __init__(self, reads: list[bytes], kind: str) -> None:
        self.headers = {"content-type": kind}
        self._reads = reads
        self._left = iter(reads)

    def document(self) -> bytes | None:
        return self._reads[0] if len(self._reads) == 1 else None

    async def read(self) -> bytes:
        return next(self._left, b"")

    async def pour(self, take: Callable[[bytes], bool]) -> None:
        for chunk in self._left:
            if not take(chunk):
                return

    def close(self) -> None:
        """There is nothing to close."""

    def release(self) -> None:
        """There is nothing to keep."""


class Upstreams:
    """Takes the place of the network."""

    def __init__(self) -> None:
        self.answer: Callable[[], Canned] = lambda: Canned([], "")

    async def send(self, *_call: object, **_more: object) -> Canned:
        return self.answer()


class Wire:
    """A connection whose caller reads everything at once. It is its own transport."""

    full = False
    is_closing = staticmethod(lambda: False)

    def __init__(self) -> None:
        self.transport: Any = self
        self.size = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def write(self, piece: bytes) -> None:
        if not self.size:
            assert piece.startswith(b"HTTP/1.1 200"), piece
        self.size += len(piece)

    def writelines(self, pieces: Sequence[bytes]) -> None:
        self.write(b"".join(pieces))

    def first(self, status: int) -> bytes:
        return b"HTTP/1.1 %d\r\n" % status

    def soon(self, call: Callable[[], None]) -> None:
        self._loop.call_soon(call)

    def room(self) -> Awaitable[None]:
        raise AssertionError("There is always room.")

    def gather(self, size: int, begun: bytes) -> None:
        raise AssertionError("All of it is there.")

    def resume_reading(self) -> None:
        """Nobody was stopped."""

    answered = resume_reading


def head(key: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a request, but for its length."""
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"x-api-key", key)]
    return [*headers, (b"anthropic-version", b"2023-06-01")]


async def ask(application: Any, facts: Facts, key: bytes, body: bytes) -> int:
    """One request through the application, whose head came before; how many bytes came back."""
    headers = [*head(key), (b"content-length", b"%d" % len(body))]
    facts.headers[b"content-length"] = headers[-1][1]
    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "query_string": b"", "headers": headers}
    scope |= {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "scheme": "http", "raw_path": b"/v1/messages"}
    scope |= {"http_version": "1.1"}
    wire = Wire()
    cycle = Cycle(wire, scope, body, facts)
    await application(scope, cycle.receive, cycle)
    return wire.size


def reference(body: bytes) -> int:
    """Work that has nothing to do with dragoman: reading JSON, walking over it, writing it."""
    found = 0
    waiting = [msgspec.json.decode(body)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for name, each in value.items():
                found += len(name)
                waiting.append(each)
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str):
            found += value.count("e")
    return found + len(json.dumps(found))


def main() -> None:
    folder, library = Path(sys.argv[1]), ctypes.CDLL(sys.argv[2])
    upstreams = Upstreams()
    gc.disable()
    with (
        patch.object(Upstream, "send", lambda _self, *call, **more: upstreams.send(*call, **more)),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        for plan in json.loads((folder / "plan.json").read_text()):
            bodies = (folder / plan["bodies"]).read_bytes().splitlines()
            one = reference if plan["name"] == "reference" else asking(runner, upstreams, folder, plan)
            count(library, plan["name"], [partial(one, body) for body in bodies], TIMES[plan["size"]])


def asking(runner: asyncio.Runner, upstreams: Upstreams, folder: Path, plan: dict[str, str]) -> Callable[[bytes], int]:
    """Sends a body through an application of its own, as the plan configures it."""
    loaded, secrets = config.load(path=folder / plan["config"], environ={}, folder=folder, home=folder)
    lines: list[str] = []
    application = build(loaded, secrets, write=lines.append)
    reads = [each.encode() for each in json.loads((folder / plan["answer"]).read_text())]
    upstreams.answer = lambda: Canned(reads, plan["kind"])

    key = plan["key"].encode()
    facts = Facts(dict(head(key)))

    def asked(body: bytes) -> int:
        try:
            return runner.run(ask(application, facts, key, body))
        except AssertionError:
            print("\n".join(lines[-3:]), file=sys.stderr)
            raise

    return asked


def count(library: ctypes.CDLL, name: str, work: Sequence[Callable[[], int]], times: int) -> None:
    """Does the first of the work until the interpreter is warm, then counts the rest."""
    for number in range(WARM if times > 1 else 3):
        assert work[number % (len(work) - times)]() > 0
    library.begin()
    for each in work[-times:]:
        each()
    library.end(name.encode())


if __name__ == "__main__":
    main()
