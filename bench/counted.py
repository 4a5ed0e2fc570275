"""What the gate counts: whole requests through dragoman, from the ASGI call to the last byte, without any socket.

Runs inside valgrind, started by `gate.py`, with a folder that it filled. The upstream's answers are canned; everything
else is the application as it serves: token, route, translation, account and log.
"""

import asyncio
import ctypes
import gc
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import uvloop

from dragoman import config
from dragoman.server.application import build
from dragoman.upstream.client import Upstream

WARM = 12  # requests before those that count: the interpreter adapts itself to what it runs
TIMES = {"small": 20, "big": 4, "stream": 1}


class Canned:
    """An answer that is there already, one read an event."""

    status = 200

    def __init__(self, reads: list[bytes], kind: str) -> None:
        self.headers = {"content-type": kind}
        self._left = iter(reads)

    async def read(self) -> bytes:
        return next(self._left, b"")

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


async def ask(application: Any, key: bytes, body: bytes) -> int:
    """One request through the application; how many bytes came back."""
    size = 0
    pieces = iter([{"type": "http.request", "body": body, "more_body": False}])
    away = asyncio.get_running_loop().create_future()

    async def receive() -> Any:
        piece = next(pieces, None)
        return piece if piece is not None else await away

    async def send(message: dict[str, Any]) -> None:
        nonlocal size
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
        else:
            size += len(message["body"])

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"x-api-key", key)]
    headers += [(b"content-length", b"%d" % len(body)), (b"anthropic-version", b"2023-06-01")]
    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "query_string": b"", "headers": headers}
    scope |= {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "scheme": "http", "raw_path": b"/v1/messages"}
    await application(scope, receive, send)
    return size


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

    def asked(body: bytes) -> int:
        try:
            return runner.run(ask(application, plan["key"].encode(), body))
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
