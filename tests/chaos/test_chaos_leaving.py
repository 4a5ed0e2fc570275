"""Upstreams that never end, and callers that leave them: everything is closed behind the caller."""

import asyncio
import json
from collections.abc import Callable

import pytest

from chaos.farm import CHUNKED, EVENTS, HEAD, JSON, Place, asks_for_stream
from chaos.languages import LANGUAGES, Language, spoken
from chaos.scene import Route, inventory, left_behind, playing
from chaos.verdict import posted
from upstream.wire import Connection

pytestmark = pytest.mark.anyio

ENDLESS: dict[str, Callable[[Language], bytes]] = {
    "no head": lambda _: b"",
    "silence": lambda _: b"",
    "comments": lambda _: b": still here\n\n",
    "pings": lambda _: b'event: ping\ndata: {"type": "ping"}\n\n',
    "empty lines": lambda _: b"\n\n\n\n",
    "content": lambda language: language.delta,
}
ENOUGH = 50  # pieces until the caller leaves


@pytest.mark.failure(99, 100, 101, 144, 145)
@pytest.mark.parametrize("opened", [False, True], ids=["held", "opened"])
@pytest.mark.parametrize("name", ENDLESS)
async def test_the_caller_leaves(name: str, opened: bool) -> None:
    before = inventory()
    reached: asyncio.Queue[str] = asyncio.Queue()

    async def endless(connection: Connection) -> None:
        received = await connection.request()
        language = spoken(received.path)
        piece = ENDLESS[name](language)
        if name == "no head":
            pass
        elif asks_for_stream(received):
            await connection.send(HEAD, EVENTS, CHUNKED)
            if name == "content":
                await connection.chunk(language.opening)
        else:
            await connection.send(HEAD, JSON, CHUNKED)
            piece = b" " if piece else b""
        sent = 0
        while piece:
            await connection.chunk(piece)
            await asyncio.sleep(0)
            sent += 1
            if sent == ENOUGH:
                reached.put_nowait(received.path)
        reached.put_nowait(received.path)
        await connection.lost()

    async with Place(endless) as bad:
        routes = [Route(language, ((language, bad.url + "/v1"),)) for language in LANGUAGES]
        settings = {"open_after": 0.0, "ping_every": 0.01} if opened else {}
        async with playing(routes, read_idle=60.0, **settings) as scene, asyncio.timeout(30):
            callers = []
            for language in LANGUAGES:
                for stream in (True, False):
                    said = [{"role": "user", "content": "hi"}]
                    body = {"model": language, "max_tokens": 9, "stream": stream, "messages": said}
                    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
                    writer.write(posted(json.dumps(body).encode()))
                    if stream and (opened or name == "content"):
                        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
                    callers.append(writer)
            for _ in callers:
                await reached.get()
            assert bad.open == len(callers)
            for writer in callers:
                writer.close()
            while bad.open:
                await asyncio.sleep(0.005)
            assert scene.failures == []
    assert await left_behind(before) == []
