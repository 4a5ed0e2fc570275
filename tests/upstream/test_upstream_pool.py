"""upstream/pool: connections between calls, and who waits for one."""

import asyncio

import pytest

from dragoman.messages.errors import ApiError
from dragoman.upstream import pool as pool_
from dragoman.upstream.client import Upstream
from dragoman.upstream.connection import Connection as Connection_
from dragoman.upstream.place import Place
from dragoman.upstream.pool import Pool
from upstream.test_upstream_client import echo, upstream
from upstream.wire import Connection, Server, until

pytestmark = pytest.mark.anyio


async def say(client: Upstream, url: str, body: bytes) -> bytes:
    return await (await client.send("POST", url, (), body)).whole(100)


def waiting(client: Upstream) -> int:
    return sum(len(shelf.waiting) for shelf in client._pool._shelves.values())


class Gate:
    """A server that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.turns = asyncio.Semaphore(0)

    async def __call__(self, connection: Connection) -> None:
        while True:
            received = await connection.request()
            self.asked.append(received.body)
            await self.turns.acquire()
            await connection.answer(received.body)


async def twice(client: Upstream, url: str, gate: Gate) -> None:
    """Two calls at the same time, so that there are two connections."""
    calls = [asyncio.ensure_future(say(client, url, b"x")) for _ in range(2)]
    await until(lambda: len(gate.asked) == 2)
    gate.turns.release()
    gate.turns.release()
    await asyncio.gather(*calls)


async def test_the_connection_that_was_used_last_is_used_next() -> None:
    used = []

    async def script(connection: Connection) -> None:
        while True:
            received = await connection.request()
            used.append((received.body, id(connection)))
            await connection.answer(received.body)

    async with Server(script) as server, upstream() as client:
        first, second = [await client.send("POST", server.url, (), body) for body in (b"1", b"2")]
        await until(lambda: first.ended and second.ended)
        for _ in range(3):
            assert await say(client, server.url, b"3") == b"3"
        last = {connection for body, connection in used if body == b"3"}
        assert len(last) == 1
        assert server.connections <= 2


async def test_places_with_another_scheme_host_port_or_proxy_share_nothing() -> None:
    async with Server(echo) as one, Server(echo) as two, upstream() as client:
        for server in (one, two, one, two):
            assert await say(client, server.url + "/a", b"x") == b"x"
        assert await say(client, one.url.replace("127.0.0.1", "localhost"), b"x") == b"x"
        assert (one.connections, two.connections) == (2, 1)
        assert len(client._pool._shelves) == 3


async def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_, "KEEP_ALIVE", 0.05)
    async with Server(echo) as server, upstream() as client:
        assert await say(client, server.url, b"1") == b"1"
        await until(lambda: server.open == 0)
        assert client._pool._sweep is None
        assert client._pool._shelves == {}
        assert await say(client, server.url, b"2") == b"2"
        assert server.connections == 2


async def test_younger_connections_are_looked_at_later(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    async with Server(gate) as server, upstream() as client:
        await twice(client, server.url, gate)
        shelf = next(iter(client._pool._shelves.values()))
        first, second = shelf.idle
        monkeypatch.setattr(pool_, "KEEP_ALIVE", 50.0)
        shelf.idle[first] -= 51
        client._pool._close_idle()
        assert (first.gone, second.gone) == (True, False)
        assert client._pool._sweep is not None


async def test_a_kept_connection_that_is_about_to_close_is_passed_over() -> None:
    gate = Gate()
    async with Server(gate) as server, upstream() as client:
        await twice(client, server.url, gate)
        for connection in next(iter(client._pool._shelves.values())).idle:
            connection.transport.abort()
        gate.turns.release()
        assert await say(client, server.url, b"y") == b"y"
        assert server.connections == 3


async def test_a_connection_that_was_lost_before_it_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Server(echo) as server, upstream() as client:
        dial = client._pool._dial

        async def lose(place: Place) -> Connection_:
            made = await dial(place)
            made.abort()
            return made

        monkeypatch.setattr(client._pool, "_dial", lose)
        with pytest.raises(ApiError) as caught:
            await say(client, server.url, b"x")
        assert caught.value.kind == "unreachable"
        assert client._pool._shelves == {}


async def test_a_connection_that_died_in_the_pool_is_forgotten() -> None:
    async def once(connection: Connection) -> None:
        received = await connection.request()
        await connection.answer(received.body)
        connection.cut()

    async with Server(once) as server, upstream() as client:
        for _ in range(2):
            assert await say(client, server.url, b"x") == b"x"
            await until(lambda: not client._pool._shelves)
        assert server.connections == 2


async def test_who_waits_for_a_connection_gets_one_in_turn() -> None:
    gate = Gate()
    bodies = [b"%d" % number for number in range(6)]
    async with Server(gate) as server, upstream(connections=2) as client:
        calls = []
        for body in bodies:
            calls.append(asyncio.ensure_future(say(client, server.url, body)))
            await asyncio.sleep(0)
        await until(lambda: len(gate.asked) == 2)
        assert waiting(client) == 4
        for _ in bodies:
            gate.turns.release()
        assert await asyncio.gather(*calls) == bodies
        assert sorted(gate.asked[:2]) == bodies[:2]
        assert gate.asked[2:] == bodies[2:]
        assert server.connections == 2


async def test_a_limit_is_of_one_upstream() -> None:
    gate = Gate()
    async with Server(gate) as busy, Server(echo) as other, upstream(connections=1) as client:
        call = asyncio.ensure_future(say(client, busy.url, b"1"))
        await until(lambda: len(gate.asked) == 1)
        assert await say(client, other.url, b"2") == b"2"
        gate.turns.release()
        assert await call == b"1"


async def test_a_wait_ends() -> None:
    gate = Gate()
    async with Server(gate) as server:
        client = Upstream(connect_timeout=5, proxies={}, no_proxy=(), connections=lambda _host, _port: 1, patience=0.05)
        call = asyncio.ensure_future(say(client, server.url, b"1"))
        await until(lambda: len(gate.asked) == 1)
        with pytest.raises(ApiError) as caught:
            await say(client, server.url, b"2")
        assert (caught.value.kind, caught.value.status, caught.value.retryable) == ("busy", 529, False)
        assert "raise `connections`" in caught.value.message
        gate.turns.release()
        assert await call == b"1"
        gate.turns.release()
        assert await say(client, server.url, b"3") == b"3"
        await client.close()


async def test_those_who_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_, "WAITING_LIMIT", 1)
    gate = Gate()
    async with Server(gate) as server, upstream(connections=1) as client:
        calls = [asyncio.ensure_future(say(client, server.url, b"x")) for _ in range(2)]
        await until(lambda: waiting(client) == 1)
        with pytest.raises(ApiError) as caught:
            await say(client, server.url, b"x")
        assert caught.value.kind == "busy"
        assert f"127.0.0.1:{server.port}" in caught.value.message
        gate.turns.release()
        gate.turns.release()
        assert await asyncio.gather(*calls) == [b"x", b"x"]


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("cut", [True, False])
async def test_a_wait_that_is_cancelled_in_the_moment_of_its_turn(
    cut: bool, early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn goes to the next: a kept connection, or leave to make one."""
    gate = Gate()
    async with Server(gate) as server, upstream(connections=1) as client:
        first = asyncio.ensure_future(client.send("POST", server.url, (), b"1"))
        await until(lambda: len(gate.asked) == 1)
        second = asyncio.ensure_future(say(client, server.url, b"2"))
        await until(lambda: waiting(client) == 1)
        third = asyncio.ensure_future(say(client, server.url, b"3"))
        await until(lambda: waiting(client) == 2)
        name = "lost" if cut else "give_back"
        given = getattr(Pool, name)

        def give(pool: Pool, connection: Connection_) -> None:
            if early:
                second.cancel()
            given(pool, connection)
            second.cancel()

        monkeypatch.setattr(Pool, name, give)
        if cut:
            first.cancel()
        gate.turns.release()
        gate.turns.release()
        assert await asyncio.wait_for(third, 5) == b"3"
        assert second.cancelled()
        assert gate.asked == [b"1", b"3"]
        assert server.connections == (2 if cut else 1)
        shelf = next(iter(client._pool._shelves.values()))
        assert (shelf.count, len(shelf.idle)) == (1, 1)


async def test_a_wait_that_was_cancelled_is_passed_over() -> None:
    gate = Gate()
    async with Server(gate) as server, upstream(connections=1) as client:
        first = asyncio.ensure_future(say(client, server.url, b"1"))
        await until(lambda: len(gate.asked) == 1)
        second = asyncio.ensure_future(say(client, server.url, b"2"))
        await until(lambda: waiting(client) == 1)
        third = asyncio.ensure_future(say(client, server.url, b"3"))
        await until(lambda: waiting(client) == 2)
        second.cancel()
        for _ in range(2):
            gate.turns.release()
        assert (await first, await third) == (b"1", b"3")
        assert gate.asked == [b"1", b"3"]


async def test_a_connection_that_cannot_be_made_leaves_its_place_to_others() -> None:
    async with Server(echo) as server:
        url = server.url
    async with upstream(connections=1) as client:
        for _ in range(3):
            with pytest.raises(ApiError) as caught:
                await say(client, url, b"x")
            assert caught.value.kind == "unreachable"
        assert client._pool._shelves == {}


async def test_who_needs_a_new_connection_gets_it_for_a_kept_one() -> None:
    async def pieces():  # type: ignore[no-untyped-def]
        yield b"2"

    gate = Gate()
    headers = [("content-length", "1")]
    async with Server(gate) as server, upstream(connections=1) as client:
        gate.turns.release()
        assert await say(client, server.url, b"1") == b"1"
        gate.turns.release()
        answer = await client.send("POST", server.url, headers, pieces())
        assert await answer.whole(10) == b"2"
        assert server.connections == 2
        # and after one that is in use
        call = asyncio.ensure_future(say(client, server.url, b"3"))
        await until(lambda: len(gate.asked) == 3)
        upload = asyncio.ensure_future(client.send("POST", server.url, headers, pieces()))
        await until(lambda: waiting(client) == 1)
        gate.turns.release()
        gate.turns.release()
        assert await call == b"3"
        assert await (await upload).whole(10) == b"2"
        assert server.connections == 4


async def test_calls_that_need_new_connections_do_not_hold_up_others() -> None:
    async def pieces():  # type: ignore[no-untyped-def]
        yield b"2"

    gate = Gate()
    headers = [("content-length", "1")]
    async with Server(gate) as server, upstream(connections=2) as client:
        await twice(client, server.url, gate)
        upload = asyncio.ensure_future(client.send("POST", server.url, headers, pieces()))
        await until(lambda: waiting(client) == 1)
        gate.turns.release()
        assert await asyncio.wait_for(say(client, server.url, b"3"), 5) == b"3"
        gate.turns.release()
        assert await (await upload).whole(10) == b"2"
        assert server.connections == 3


async def test_a_wait_that_was_given_up_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_, "WAITING_LIMIT", 1)
    gate = Gate()
    async with Server(gate) as server, upstream(connections=1) as client:
        first = asyncio.ensure_future(say(client, server.url, b"1"))
        await until(lambda: len(gate.asked) == 1)
        for _ in range(3):
            call = asyncio.ensure_future(say(client, server.url, b"2"))
            await until(lambda: waiting(client) == 1)
            call.cancel()
            await until(call.done)
        assert waiting(client) == 0
        gate.turns.release()
        assert await first == b"1"


async def test_closing_ends_every_wait_and_every_connection() -> None:
    gate = Gate()
    async with Server(gate) as server, upstream(connections=1) as client:
        calls = [asyncio.ensure_future(say(client, server.url, b"x")) for _ in range(2)]
        await until(lambda: waiting(client) == 1 and len(gate.asked) == 1)
        pool = client._pool
        await client.close()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(end, ApiError) and end.kind for end in ends] == ["unreachable", "unreachable"]
        assert (pool._homes, pool._shelves) == ({}, {})
        gate.turns.release()
        await until(lambda: server.open == 0)


async def test_a_connection_that_is_made_while_the_client_closes_is_closed_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Server(echo) as server, upstream() as client:
        dialled, go = asyncio.Event(), asyncio.Event()
        dial = client._pool._dial

        async def slow(place: Place) -> Connection_:
            made = await dial(place)
            dialled.set()
            await go.wait()
            return made

        monkeypatch.setattr(client._pool, "_dial", slow)
        call = asyncio.ensure_future(say(client, server.url, b"x"))
        await dialled.wait()
        await client.close()
        go.set()
        with pytest.raises(ApiError) as caught:
            await call
        assert caught.value.kind == "unreachable"
        await until(lambda: server.open == 0)
