"""upstream/answer: what comes back, over real sockets. Most of it is in test_upstream_client.py, beside the calls."""

import asyncio

import pytest

from dragoman.messages.errors import ApiError
from dragoman.upstream.client import Upstream
from upstream.wire import Connection, Server, until

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
        await until(lambda: answer.ended)
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
        await until(lambda: answer.ended)
        getattr(answer, leave)()
        assert answer.ended
        with pytest.raises(ApiError) as caught:
            await answer.whole(100)
        assert caught.value.kind == "unreachable"
        await client.close()


async def test_an_answer_pours_until_it_is_told_to_stop_and_the_rest_is_read() -> None:
    step = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        for piece in (b"a", b"b", b"c", b"d", b""):
            await connection.chunk(piece)
            await step.wait()
            step.clear()
        await connection.gone()

    client = upstream()
    async with Server(script) as server:
        answer = await client.send("POST", server.url, (), b"{}")
        taken: list[bytes] = []

        def take(chunk: bytes) -> bool:
            taken.append(chunk)
            step.set()
            return len(taken) % 3 != 0

        async with asyncio.timeout(5):
            await answer.pour(take)
            assert taken == [b"a", b"b", b"c"]
            await until(lambda: bool(answer._connection.parts))  # it waits for who comes next
            await answer.pour(take)
            assert taken[3:] == [b"d"]
            assert answer.ended
            await answer.pour(take)
            assert await answer.read() == b""
        assert len(client._pool._homes) == 1
        await client.close()


async def test_what_waits_already_is_poured_first_and_may_be_enough() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.chunk(b"a")
        await connection.gone()

    client = upstream()
    async with Server(script) as server:
        answer = await client.send("POST", server.url, (), b"{}")
        await until(lambda: bool(answer._connection.parts))
        await answer.pour(lambda _chunk: False)
        answer.close()
        await client.close()


async def test_an_answer_that_has_ended_pours_nothing_of_the_next_one() -> None:
    """Its connection answers another call already, maybe another caller's."""

    async def script(connection: Connection) -> None:
        for pieces in ((b"a", b"b", b""), (b"theirs",)):
            await connection.request()
            await connection.open_stream()
            for piece in pieces:
                await connection.chunk(piece)
        await connection.gone()

    client = upstream()
    async with Server(script) as server:
        first = await client.send("POST", server.url, (), b"{}")
        await until(lambda: first.ended)
        second = await client.send("POST", server.url, (), b"{}")
        await until(lambda: bool(second._connection.parts))
        taken: list[bytes] = []
        await first.pour(lambda chunk: taken.append(chunk) is None)
        assert taken == []
        assert (await first.read(), await first.read()) == (b"ab", b"")
        assert await second.read() == b"theirs"
        assert server.connections == 1
        second.close()
        await client.close()


async def test_an_answer_that_breaks_while_it_pours() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.send(b"1\r\na\r\n1")  # the last byte is the size of a chunk
        await asyncio.sleep(0)
        connection.cut()

    client = upstream()
    async with Server(script) as server:
        answer = await client.send("POST", server.url, (), b"{}")
        taken: list[bytes] = []
        async with asyncio.timeout(5):
            await answer.pour(lambda chunk: taken.append(chunk) is None)
        with pytest.raises(ApiError) as caught:
            await answer.whole(100)
        assert taken in ([], [b"a"])  # a reset may overtake what was sent before
        assert caught.value.kind == "truncated"
        await client.close()


@pytest.mark.failure(101)
async def test_leaving_while_an_answer_pours_closes_its_connection() -> None:
    gone = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.gone()
        gone.set()

    client = upstream()
    async with Server(script) as server:
        answer = await client.send("POST", server.url, (), b"{}")
        pouring = asyncio.create_task(answer.pour(lambda _chunk: True))
        await asyncio.sleep(0)
        pouring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        async with asyncio.timeout(5):
            await gone.wait()
        await client.close()


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (b"Content-Type: application/json; charset=utf-8\r\ncontent-length: 2\r\n\r\n{}", b"{}"),
        (b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"{}"),
        (b"content-type: text/event-stream\r\ncontent-length: 2\r\n\r\n{}", None),
        (b"content-length: 2\r\n\r\n{}", None),
        (b"content-type: application/json\r\ncontent-length: 3\r\n\r\n{}", None),
    ],
    ids=["json", "chunks", "a stream", "of no kind", "cut"],
)
async def test_a_document_is_json_that_is_here_whole(sent: bytes, found: bytes | None) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n" + sent)
        connection.cut()

    client = upstream()
    async with Server(script) as server:
        answer = await client.send("POST", server.url, (), b"{}")
        await until(lambda: answer.ended)
        assert answer.document() == found
        await client.close()


async def test_what_is_still_coming_is_no_document() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{")
        await connection.gone()

    client = upstream()
    async with Server(script) as server:
        answer = await client.send("POST", server.url, (), b"{}")
        assert answer.document() is None
        answer.close()
        await client.close()
