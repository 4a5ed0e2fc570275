"""upstream/answer: what comes back, over real sockets. Most of it is in test_upstream_client.py, beside the calls."""

import asyncio

import pytest

from dragoman.messages.errors import ApiError
from dragoman.upstream.client import Upstream
from upstream.wire import Connection, Server

pytestmark = pytest.mark.anyio


def upstream() -> Upstream:
    return Upstream(connect_timeout=5.0, proxies={}, no_proxy=())


async def test_an_answer_without_a_body() -> None:
    async def script(connection: Connection) -> None:
        for _ in range(2):
            await connection.request()
            await connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    client = upstream()
    async with Server(script) as server:
        for _ in range(2):
            answer = await client.send("POST", server.url, (), b"{}")
            assert (answer.status, await answer.read(), await answer.read()) == (204, b"", b"")
            answer.close()
        assert server.connections == 1
        await client.close()


async def test_chunks_that_came_together_are_read_together() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"
        )
        await connection.gone()

    client = upstream()
    async with Server(script) as server:
        answer = await client.send("POST", server.url, (), b"{}")
        while not answer.ended:
            await asyncio.sleep(0)
        assert await answer.read() == b"abc"
        assert await answer.read() == b""
        await client.close()


@pytest.mark.parametrize("leave", ["close", "release"])
async def test_an_answer_that_broke_unseen_is_left_at_once(leave: str) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.chunk(b"data: 1\n\n")
        connection.cut()

    client = upstream()
    async with Server(script) as server:
        answer = await client.send("POST", server.url, (), b"{}")
        while not answer.ended:
            await asyncio.sleep(0)
        getattr(answer, leave)()
        assert answer.ended
        with pytest.raises(ApiError) as caught:
            await answer.whole(100)
        assert caught.value.kind == "unreachable"
        await client.close()
