"""upstream/connection: what is an answer, what is none, and what is too much of it; over real sockets."""

import asyncio

import pytest

from dragoman.messages.errors import ApiError
from dragoman.upstream import connection as connection_
from dragoman.upstream.answer import Answer
from dragoman.upstream.client import Upstream
from upstream.test_upstream_client import echo, upstream
from upstream.wire import Connection, Script, Server

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


def says(*parts: bytes, how: str = "cut") -> Script:
    """Sends these bytes to the first call, piece by piece, and hangs up."""

    async def script(connection: Connection) -> None:
        await connection.request()
        for part in parts:
            await connection.send(part)
            await asyncio.sleep(0)
        if how == "stay":
            await connection.lost()
        else:
            getattr(connection, how)()

    return script


async def ask(client: Upstream, url: str, method: str = "POST") -> Answer:
    return await client.send(method, url, (), b"{}")


async def drain(answer: Answer, told: list[bytes]) -> None:
    while piece := await answer.read():
        told.append(piece)


@pytest.mark.parametrize(
    "said",
    [
        b"hello, this is no web server at all\n",
        b"<html>HTTP/0.9</html>",
        b"\x15\x03\x01\x00\x02\x02\x16",  # an alert of TLS
        b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
        OK + b"content-length: 2, 3\r\n\r\nhi!",
        OK + b"content-length: -2\r\n\r\n",
        OK + b"content-length: two\r\n\r\n",
        OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"bad name: a\r\n\r\n",
        OK + b"x: \x00\r\n\r\n",
    ],
)
async def test_what_is_not_an_answer(said: bytes) -> None:
    async with Server(says(said)) as server, upstream() as client:
        with pytest.raises(ApiError) as caught:
            await ask(client, server.url)
    assert caught.value.kind == "bad_answer"
    assert caught.value.message == f"127.0.0.1:{server.port} sent an answer that is not HTTP. Check base_url."


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nhi", b"hi"),
        (OK + b"content-length: 2\r\nx:\r\ny: \xff\r\n\r\nhi", b"hi"),
        (OK + b"connection: close\r\n\r\nhi", b"hi"),
        (OK + b"transfer-encoding: identity\r\n\r\nhi", b"hi"),
        (CHUNKED + b"1 \r\nh\r\n1;a=b\r\ni\r\n0\r\ntrailer: 1\r\n\r\n", b"hi"),
        (OK + b"content-length: 2\r\n\r\nhi and more", b"hi"),
        (OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi and more", b"hi"),
        (CHUNKED + b"2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmore", b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", b""),
    ],
)
async def test_what_is_an_answer(said: bytes, body: bytes) -> None:
    for parts in ([said], [said[at : at + 1] for at in range(len(said))]):
        async with Server(says(*parts)) as server, upstream() as client:
            answer = await ask(client, server.url)
            assert await answer.whole(100) == body
            assert answer.headers.get("trailer") is None


@pytest.mark.parametrize(
    "said",
    [
        OK + b"content-length: 2\r\n\r\nhi and more",
        CHUNKED + b"2\r\nhi\r\n0\r\n\r\n" + OK + b"content-length: 4\r\n\r\nmore",
    ],
)
async def test_a_connection_that_said_too_much_is_not_used_again(said: bytes) -> None:
    async with Server(says(said, how="stay"), echo) as server, upstream() as client:
        assert await (await ask(client, server.url)).whole(10) == b"hi"
        assert await (await ask(client, server.url)).whole(10) == b"{}"
        assert server.connections == 2


async def test_what_nobody_asked_for_closes_a_kept_connection() -> None:
    closed = asyncio.Event()

    async def chatty(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b"one")
        await asyncio.sleep(0.01)
        await connection.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        await connection.lost()
        closed.set()

    async with Server(chatty, echo) as server, upstream() as client:
        assert await (await ask(client, server.url)).whole(10) == b"one"
        await asyncio.wait_for(closed.wait(), 5)
        answer = await ask(client, server.url)
        assert (answer.status, await answer.whole(10)) == (200, b"{}")


@pytest.mark.parametrize("stays", [True, False])
async def test_a_refusal_that_comes_before_the_call(stays: bool) -> None:
    """Of a balancer that has no room: it says so to whoever comes, and does not read."""

    async def busy(connection: Connection) -> None:
        await connection.send(b"HTTP/1.0 503 Service Unavailable\r\n\r\nno room")
        connection.cut()

    async with Server(busy) as server, upstream() as client:
        made = await client._dialler.dial(client._place(server.url))
        while not made.gone if stays is False else not made._early:
            await asyncio.sleep(0)
        answer = Answer(made, "model.test")
        made.ask(answer, b"POST / HTTP/1.1\r\n\r\n")
        await answer.begin()
        assert (answer.status, await answer.whole(100)) == (503, b"no room")
        made.abort()


async def test_too_much_before_the_call() -> None:
    async def flood(connection: Connection) -> None:
        while True:
            await connection.send(b"x" * 65536)

    async with Server(flood) as server, upstream() as client:
        made = await client._dialler.dial(client._place(server.url))
        while not made.gone:
            await asyncio.sleep(0)
        assert len(made._early) < 2 * connection_.HEAD_LIMIT + 256 * 1024


@pytest.mark.parametrize(
    "said",
    [
        OK + b"".join(b"x-%d: y\r\n" % number for number in range(300)) + b"\r\n",
        OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        OK + b"".join(b"x-%d: %b\r\n" % (number, b"y" * 60_000) for number in range(5)) + b"\r\n",
        OK + b"x: " + b"y" * 600_000,
        b"HTTP/1.1 200 " + b"y" * 600_000,
        b"HTTP/1.1 102 Processing\r\n\r\n" * 1001,
        b"\r\n" * 300_000,
    ],
    ids=["fields", "field", "head", "endless field", "endless line", "heads", "nothing"],
)
async def test_a_head_that_is_too_large(said: bytes) -> None:
    async with Server(says(said, how="stay")) as server, upstream() as client:
        with pytest.raises(ApiError) as caught:
            await ask(client, server.url)
    assert caught.value.kind == "bad_answer"


async def test_many_heads_before_the_answer() -> None:
    """A server may say for minutes that it still works."""
    said = b"HTTP/1.1 102 Processing\r\nx: y\r\n\r\n" * 900
    async with Server(says(said, OK + b"content-length: 2\r\n\r\nhi")) as server, upstream() as client:
        answer = await ask(client, server.url)
        assert await answer.whole(10) == b"hi"
        assert list(answer.headers) == ["content-length"]


@pytest.mark.parametrize(
    "said",
    [
        b"zz\r\n",
        b"2\r\nhi and more\r\n",
        b"fffffffffffffffffff\r\n",
        b"2;" + b"x" * 600_000,
        b"0\r\nx: " + b"y" * 600_000,
        b"0\r\n" + b"x: y\r\n" * 300,
    ],
    ids=["size", "end", "overflow", "extension", "trailer", "trailers"],
)
async def test_chunks_that_are_none(said: bytes) -> None:
    """What came before them is given out."""
    async with Server(says(CHUNKED + b"5\r\nfirst\r\n", said, how="stay")) as server, upstream() as client:
        answer = await ask(client, server.url)
        told = [await answer.read()]
        with pytest.raises(ApiError) as caught:
            await drain(answer, told)
        assert b"".join(told).startswith(b"first")
        assert caught.value.kind == "bad_answer"


@pytest.mark.parametrize("how", ["cut", "reset"])
@pytest.mark.parametrize(
    "said",
    [
        OK + b"content-length: 100\r\n\r\nabc",
        CHUNKED + b"3\r\nabc\r\n",
        OK + b"transfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
async def test_an_end_inside_a_body(said: bytes, how: str) -> None:
    async with Server(says(said, how=how)) as server, upstream() as client:
        answer = await ask(client, server.url)
        with pytest.raises(ApiError) as caught:
            await answer.whole(100)
    assert caught.value.kind == "truncated"


async def test_a_reset_is_no_end_of_a_body_without_length() -> None:
    read = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK + b"\r\nabc")
        await read.wait()
        connection.reset()

    async with Server(script) as server, upstream() as client:
        answer = await ask(client, server.url)
        assert await answer.read() == b"abc"
        read.set()
        with pytest.raises(ApiError) as caught:
            await answer.read()
    assert caught.value.kind == "truncated"


@pytest.mark.parametrize(
    ("head", "again"),
    [
        (OK + b"content-length: 5\r\n\r\n", True),
        (CHUNKED, True),
        (OK + b"content-length: 0\r\n\r\n", True),
        (OK + b"content-length: 5\r\n\r\nhello", False),
        (CHUNKED + b"5\r\nhe", False),
        (OK + b"connection: close\r\n\r\n", False),
        (OK + b"\r\n", False),
    ],
)
async def test_the_answer_to_a_question_for_the_head(head: bytes, again: bool) -> None:
    async def script(connection: Connection) -> None:
        for _ in range(2):
            await connection.request()
            await connection.send(head)

    async with Server(script) as server, upstream() as client:
        for _ in range(2):
            answer = await client.send("HEAD", server.url, (), b"")
            assert (answer.status, await answer.whole(10)) == (200, b"")
        assert server.connections == (1 if again else 2)


async def test_what_waits_at_the_end_is_read_by_nobody_else() -> None:
    """A whole answer that was larger than the buffer; the next call reads as fast as it can."""
    large = b"x" * 400_000

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer(large)

    async with Server(script) as server, upstream() as client:
        for _ in range(3):
            answer = await ask(client, server.url)
            assert await answer.whole(len(large)) == large
        assert server.connections == 1


async def test_cancelling_a_read_closes_the_connection() -> None:
    closed = asyncio.Event()

    async def silent(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.lost()
        closed.set()

    async with Server(silent) as server, upstream() as client:
        answer = await ask(client, server.url)
        reading = asyncio.ensure_future(answer.read())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert answer.ended
        await asyncio.wait_for(closed.wait(), 5)


async def test_closing_the_client_ends_an_answer_that_is_read() -> None:
    async def silent(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.lost()

    async with Server(silent) as server, upstream() as client:
        answer = await ask(client, server.url)
        reading = asyncio.ensure_future(answer.read())
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ApiError) as caught:
            await reading
        assert caught.value.kind == "truncated"
