"""upstream/sending: bodies that go up piece by piece, over real sockets."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Self

import pytest

from dragoman.messages.errors import ApiError
from dragoman.upstream.answer import Answer
from dragoman.upstream.client import Upstream
from dragoman.upstream.sending import Sending
from freed import all_freed
from upstream.test_upstream_client import upstream
from upstream.wire import Connection, Server

pytestmark = pytest.mark.anyio

LONG = 32 * 1024 * 1024  # more than every buffer on the way


class Pieces:
    """A body whose pieces the test gives out; `taken` are those that were asked for."""

    def __init__(self, *pieces: bytes, last: BaseException | None = None, more: bool = False) -> None:
        self._pieces = list(pieces)
        self._last = last
        self._more = more
        self.taken = 0
        self.cancelled = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self.taken < len(self._pieces):
            self.taken += 1
            return self._pieces[self.taken - 1]
        if self._last is not None:
            raise self._last
        if self._more:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        raise StopAsyncIteration


async def endless(piece: bytes) -> AsyncIterator[bytes]:
    while True:
        yield piece


async def echo(connection: Connection) -> None:
    while True:
        received = await connection.request()
        await connection.answer(received.body)


async def say(client: Upstream, url: str) -> bytes:
    return await (await client.send("POST", url, (), b"next")).whole(100)


async def test_a_body_with_its_length() -> None:
    heads = []

    async def script(connection: Connection) -> None:
        received = await connection.request()
        heads.append(received.headers)
        await connection.answer(received.body)

    async with Server(script) as server, upstream() as client:
        headers = [("Content-Length", "6"), ("content-type", "a/b")]
        answer = await client.send("POST", server.url + "/v1/files", headers, Pieces(b"ab", b"", b"cdef"))
        assert await answer.whole(100) == b"abcdef"
        answer.close()
    (head,) = heads
    assert (head["content-length"], head["content-type"]) == ("6", "a/b")
    assert "transfer-encoding" not in head


async def test_a_body_without_a_length_goes_in_chunks() -> None:
    async def script(connection: Connection) -> None:
        head = await connection.until(b"\r\n\r\n")
        assert b"\r\nTransfer-Encoding: chunked\r\n" in head
        assert b"ontent-" not in head  # neither a length nor a type of our own
        await connection.answer(await connection.until(b"0\r\n\r\n"))

    async with Server(script) as server, upstream() as client:
        answer = await client.send("POST", server.url, (), Pieces(b"abc", b"", b"d" * 17))
        assert await answer.whole(100) == b"3\r\nabc\r\n11\r\n" + b"d" * 17 + b"\r\n0\r\n\r\n"


async def test_a_body_that_is_read_once_has_a_connection_of_its_own() -> None:
    """A kept connection may be dead already, and nobody could send the body again."""
    async with Server(echo) as server, upstream() as client:
        assert await say(client, server.url) == b"next"
        for _ in range(2):
            answer = await client.send("PUT", server.url, [("content-length", "1")], Pieces(b"x"))
            assert await answer.whole(100) == b"x"
            answer.close()
        assert await say(client, server.url) == b"next"
        assert server.connections == 3


async def test_what_the_pieces_raise_breaks_the_call_off() -> None:
    broken = asyncio.Event()

    async def script(connection: Connection) -> None:
        with pytest.raises(asyncio.IncompleteReadError):
            await connection.request()
        broken.set()

    async with Server(script) as server, upstream() as client:
        failure = ApiError("invalid_request", "the caller stopped")
        with pytest.raises(ApiError) as raised:
            await client.send("POST", server.url, [("content-length", "9")], Pieces(b"abc", last=failure))
        assert raised.value is failure
        await asyncio.wait_for(broken.wait(), 5)


@pytest.mark.failure(144)
async def test_it_is_freed_at_once() -> None:
    """After its end, after a failure of its own, and when its answer came before its end."""

    async def early(connection: Connection) -> None:
        await connection.until(b"\r\n\r\n")
        await connection.answer(b"too much")

    class StoppedError(ApiError):
        pass

    async def stopped() -> AsyncIterator[bytes]:
        yield b"ab"
        raise StoppedError("invalid_request", "the caller stopped")

    async with all_freed(Sending, Answer, StoppedError), Server(echo, echo, early) as server, upstream() as client:
        for pieces in (Pieces(b"abc"), stopped(), Pieces(more=True)):
            with suppress(StoppedError):
                answer = await client.send("POST", server.url, [("content-length", "3")], pieces)
                await answer.whole(100)
                answer.close()
                del answer
            del pieces


async def test_a_failure_while_the_answer_is_read_ends_the_answer_too() -> None:
    go = asyncio.Event()

    class Late(Pieces):
        async def __anext__(self) -> bytes:
            await go.wait()
            return await super().__anext__()

    async def script(connection: Connection) -> None:
        await connection.until(b"\r\n\r\n")
        await connection.open_stream()
        await connection.chunk(b"early")
        await connection.gone()

    async with Server(script) as server, upstream() as client:
        answer = await client.send("POST", server.url, (), Late(last=ApiError("invalid_request", "gone")))
        assert await answer.read() == b"early"
        go.set()
        with pytest.raises(ApiError) as raised:
            await answer.read()
        assert raised.value.kind == "truncated"


async def test_cancelling_stops_the_body_and_closes_the_connection() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.until(b"abc")
        asked.set()
        assert await connection.gone()
        gone.set()

    body = Pieces(b"abc", more=True)
    async with Server(script) as server, upstream() as client:
        call = asyncio.ensure_future(client.send("POST", server.url, [("content-length", "9")], body))
        await asyncio.wait_for(asked.wait(), 5)
        call.cancel()
        await asyncio.wait_for(gone.wait(), 5)
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(body.cancelled.wait(), 5)


async def test_a_stalled_upstream_is_closed_at_once_too() -> None:
    """Bytes that wait to be written are not waited for."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.until(b"\r\n\r\n")
        asked.set()
        await connection.lost()
        gone.set()

    async with Server(script) as server, upstream() as client:
        call = asyncio.ensure_future(client.send("POST", server.url, (), endless(b"x" * 65536)))
        await asyncio.wait_for(asked.wait(), 5)
        call.cancel()
        await asyncio.wait_for(gone.wait(), 5)


async def test_an_answer_before_the_end_of_the_body() -> None:
    """A refusal: nobody wants the rest."""

    async def script(connection: Connection) -> None:
        await connection.until(b"\r\n\r\n")
        await connection.answer(b"too large", status="413 Too Large")
        await connection.lost()

    body = Pieces(b"abc", more=True)
    async with Server(script, echo) as server, upstream() as client:
        answer = await client.send("POST", server.url, [("content-length", "9")], body)
        assert answer.status == 413
        assert await answer.whole(100) == b"too large"
        await asyncio.wait_for(body.cancelled.wait(), 5)
        assert await say(client, server.url) == b"next"


async def test_an_upstream_that_closes_in_the_middle() -> None:
    async def script(connection: Connection) -> None:
        await connection.until(b"\r\n\r\n")
        connection.reset()

    async with Server(script) as server, upstream() as client:
        with pytest.raises(ApiError) as raised:
            await client.send("POST", server.url, (), endless(b"x" * 65536))
        assert raised.value.kind == "unreachable"


async def test_an_upstream_that_is_not_there() -> None:
    async with Server(echo) as server:
        url = server.url
    async with upstream() as client:
        with pytest.raises(ApiError) as raised:
            await client.send("POST", url, (), Pieces(b"abc"))
        assert raised.value.kind == "unreachable"


async def test_the_upstream_sets_the_pace() -> None:
    """200 MB through a reader that waits: what is not read is not taken, and memory stays flat."""
    piece = b"x" * 65536
    total = 200 * 1024 * 1024 // len(piece)
    go = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.until(b"\r\n\r\n")
        await go.wait()
        assert await connection.count(total * len(piece)) == total * len(piece)
        await connection.answer(b"all")

    body = Pieces(*[piece] * total)
    async with Server(script) as server, upstream() as client:
        headers = [("content-length", str(total * len(piece)))]
        call = asyncio.ensure_future(client.send("POST", server.url, headers, body))
        before = 0
        while before == 0 or body.taken != before:  # until nothing moves
            before = body.taken
            await asyncio.wait([call], timeout=0.05)
        assert 0 < body.taken < LONG // len(piece)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        go.set()
        assert await (await call).whole(100) == b"all"
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        assert grown < 8 * 1024 * (1024 if sys.platform == "darwin" else 1)


async def test_both_ways_at_the_same_time() -> None:
    async def script(connection: Connection) -> None:
        await connection.until(b"\r\n\r\n")
        await connection.open_stream()
        for _ in range(3):
            await connection.chunk(await connection.until(b"\n"))
        await connection.chunk(b"")

    heard = asyncio.Queue[bytes]()

    class Turns(Pieces):
        async def __anext__(self) -> bytes:
            if self.taken:
                await heard.get()
            return await super().__anext__()

    async with Server(script) as server, upstream() as client:
        answer = await client.send("POST", server.url, [("content-length", "6")], Turns(b"a\n", b"b\n", b"c\n"))
        for line in (b"a\n", b"b\n", b"c\n"):
            assert await answer.read() == line
            await heard.put(line)
        assert await answer.read() == b""


async def test_an_answer_that_has_only_a_head() -> None:
    async def script(connection: Connection) -> None:
        while True:
            received = await connection.request()
            assert received.method == "HEAD"
            await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")

    async with Server(script) as server, upstream() as client:
        for _ in range(2):
            answer = await client.send("HEAD", server.url, (), b"")
            assert answer.headers["content-length"] == "5"
            assert await answer.whole(10) == b""
        assert server.connections == 1


async def test_a_header_that_http_does_not_allow() -> None:
    async with Server(echo) as server, upstream() as client:
        with pytest.raises(ApiError) as raised:
            await client.send("POST", server.url, [("x-a", "b\r\nc: d")], Pieces(b"abc"))
        assert raised.value.kind == "internal"


async def test_pieces_that_fail_in_the_moment_of_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = asyncio.Event()
    begin = Answer.begin

    async def later(answer: Answer) -> None:
        await begin(answer)
        failed.set()
        for _ in range(5):
            await asyncio.sleep(0)

    class Late(Pieces):
        async def __anext__(self) -> bytes:
            await failed.wait()
            return await super().__anext__()

    async def script(connection: Connection) -> None:
        await connection.until(b"\r\n\r\n")
        await connection.open_stream()
        await connection.lost()

    monkeypatch.setattr(Answer, "begin", later)
    async with Server(script) as server, upstream() as client:
        answer = await client.send("POST", server.url, (), Late(last=ApiError("invalid_request", "gone")))
        with pytest.raises(ApiError) as raised:
            await answer.read()
        assert raised.value.kind == "truncated"


@pytest.mark.parametrize("paused", [False, True])
async def test_an_upstream_that_closes_between_two_pieces(paused: bool) -> None:
    """Nobody reads any more: the rest is not asked for."""
    gone = asyncio.Event()

    class Late(Pieces):
        async def __anext__(self) -> bytes:
            if self.taken == 1 and not paused:
                await gone.wait()
            return await super().__anext__()

    async def script(connection: Connection) -> None:
        await connection.until(b"x")
        connection.reset()

    body = Late(b"x" * (LONG if paused else 1), b"x", b"x")
    async with Server(script) as server, upstream() as client:
        call = asyncio.ensure_future(client.send("POST", server.url, (), body))
        with pytest.raises(ApiError) as raised:
            await asyncio.wait_for(call, 5)
        assert raised.value.kind == "unreachable"
        gone.set()
        await asyncio.sleep(0)
        assert body.taken == 1


@pytest.mark.parametrize("paused", [False, True])
async def test_an_upstream_that_dies_while_nobody_reads_its_answer(paused: bool) -> None:
    reset, go = asyncio.Event(), asyncio.Event()

    class Late(Pieces):
        async def __anext__(self) -> bytes:
            if self.taken == 1 and not paused:
                await go.wait()
            return await super().__anext__()

    async def script(connection: Connection) -> None:
        await connection.until(b"x")
        await connection.open_stream()
        await connection.chunk(b"early")
        await reset.wait()
        connection.reset()

    body = Late(b"x" * (LONG if paused else 1), b"x", b"x")
    async with Server(script) as server, upstream() as client:
        answer = await client.send("POST", server.url, (), body)
        assert await answer.read() == b"early"
        reset.set()
        while not answer.ended:
            await asyncio.sleep(0)
        go.set()
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as raised:
            await answer.read()
        assert raised.value.kind == "truncated"
        assert body.taken <= 2  # the rest is not asked for


async def test_a_connection_that_is_about_to_close_takes_no_more() -> None:
    async with Server(echo) as server, upstream() as client:
        made = await client._dialler.dial(client._place(server.url))
        made.transport.abort()
        body = Pieces(b"x", b"y")
        sending = Sending(made, body, chunked=True)
        while not sending.over:
            await asyncio.sleep(0)
        assert (body.taken, sending.failure) == (1, None)
