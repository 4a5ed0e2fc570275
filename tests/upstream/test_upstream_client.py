"""upstream/client: one pooled HTTP client, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from msgspec import Raw

from dragoman import __version__
from dragoman.messages.errors import ApiError
from dragoman.messages.pieces import Pieces
from dragoman.upstream import answer as answer_
from dragoman.upstream import client
from dragoman.upstream.client import Upstream
from dragoman.upstream.connection import READ_BUFFER
from dragoman.upstream.connection import Connection as Connection_
from dragoman.upstream.place import Place
from dragoman.upstream.pool import Pool
from freed import all_freed
from upstream.wire import Connection, Server

pytestmark = pytest.mark.anyio  # synchronous tests ignore it


@asynccontextmanager
async def upstream(*, connections: int = 0, proxies: dict[str, str] | None = None) -> AsyncIterator[Upstream]:
    made = Upstream(
        connect_timeout=5.0, proxies=proxies or {}, no_proxy=(), connections=lambda _host, _port: connections
    )
    try:
        yield made
    finally:
        await made.close()


async def echo(connection: Connection) -> None:
    """Answers every request with its own body, for as long as the client likes."""
    while True:
        received = await connection.request()
        await connection.answer(received.body)


async def test_a_call_and_its_answer() -> None:
    seen = []

    async def script(connection: Connection) -> None:
        seen.append(await connection.request())
        await connection.answer(b'{"a":1}', head=b"X-Twice: 1\r\nx-twice: 2\r\n")

    async with Server(script) as server, upstream() as client_:
        answer = await client_.send(
            "POST", server.url + "/v1/chat?x=1", [("Authorization", "Bearer dummy")], b'{"b":2}'
        )
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-twice"] == "1, 2"
        assert answer.headers is answer.headers
        assert await answer.whole(100) == b'{"a":1}'
        answer.close()
        answer.close()
    received = seen[0]
    assert (received.method, received.path, received.body) == ("POST", "/v1/chat?x=1", b'{"b":2}')
    assert received.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": f"dragoman/{__version__}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "authorization": "Bearer dummy",
        "content-type": "application/json",
        "content-length": "7",
    }


async def test_a_call_without_a_body() -> None:
    seen = []

    async def script(connection: Connection) -> None:
        seen.append(await connection.request())
        await connection.answer(b"[]")

    async with Server(script) as server, upstream() as client_:
        answer = await client_.send("GET", server.url + "/models", (), b"")
        assert await answer.whole(100) == b"[]"
    assert seen[0].method == "GET"
    assert "content-type" not in seen[0].headers


async def test_a_finished_answer_gives_its_connection_back() -> None:
    async with Server(echo) as server, upstream(connections=1) as client_:
        for number in range(3):
            answer = await client_.send("POST", server.url, (), b"%d" % number)
            assert await answer.whole(10) == b"%d" % number
            answer.close()
        assert server.connections == 1


async def test_a_body_of_many_megabytes_goes_out_without_a_warning() -> None:
    body = b"x" * (3 * 1024 * 1024)
    async with Server(echo) as server, upstream() as client_:
        # the body is over asyncio's own limit of a line, so the server's reader takes it by its length
        answer = await client_.send("POST", server.url, (), body)
        assert len(await answer.whole(len(body))) == len(body)


@pytest.mark.failure(145)
async def test_an_unfinished_answer_closes_its_connection_and_frees_the_pool() -> None:
    closed = asyncio.Event()

    async def endless(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.chunk(b"data: 1\n\n")
        assert await connection.gone()
        closed.set()

    async with Server(endless, echo) as server, upstream(connections=1) as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        assert await answer.read() == b"data: 1\n\n"
        answer.close()
        await asyncio.wait_for(closed.wait(), 5)
        second = await client_.send("POST", server.url, (), b"again")
        assert await second.whole(10) == b"again"


@pytest.mark.failure(101, 145)
async def test_cancelling_while_waiting_for_the_head_closes_the_connection() -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def silent(connection: Connection) -> None:
        await connection.request()
        asked.set()
        assert await connection.gone()
        closed.set()

    async with Server(silent, echo) as server, upstream(connections=1) as client_:
        task = asyncio.create_task(client_.send("POST", server.url, (), b"{}"))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(closed.wait(), 5)
        answer = await client_.send("POST", server.url, (), b"again")
        assert await answer.whole(10) == b"again"


async def test_closing_wakes_a_read_that_waits() -> None:
    async def silent(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.gone()

    async with Server(silent) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        reading = asyncio.create_task(answer.read())
        await asyncio.sleep(0)
        answer.close()
        with pytest.raises(ApiError) as caught:
            await reading
        assert caught.value.kind == "unreachable"


async def test_a_released_answer_that_ends_soon_returns_to_the_pool() -> None:
    async def late(connection: Connection) -> None:
        for _ in range(2):
            await connection.request()
            await connection.open_stream()
            await connection.chunk(b"done")
            await connection.chunk(b"")

    async with Server(late) as server, upstream() as client_:
        for _ in range(2):
            answer = await client_.send("POST", server.url, (), b"{}")
            assert (await answer.read()).startswith(b"done")
            answer.release()
            answer.release()
            answer.close()
            while not answer.ended:
                await asyncio.sleep(0)
        assert server.connections == 1


async def test_a_released_answer_that_does_not_end_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_, "LINGER", 0.01)
    closed = asyncio.Event()

    async def endless(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.chunk(b"done")
        assert await connection.gone()
        closed.set()

    async with Server(endless) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        await answer.read()
        answer.release()
        await asyncio.wait_for(closed.wait(), 5)


async def test_a_body_in_pieces() -> None:
    """More of them than are written at once (IOV_MAX), of all kinds, and one that is written in several goes."""
    async with Server(echo) as server, upstream() as client_:
        for pieces in (
            Pieces([b"{", b"}"]),
            Pieces([b"a" * 100, memoryview(b"bc")[1:], Raw(b"[]")] * 1500),
            Pieces([b"a" * 3_000_000, b"", Raw(b"[]"), b"b" * 3_000_000]),
        ):
            answer = await client_.send("POST", server.url, (), pieces)
            assert await answer.whole(len(pieces)) == bytes(pieces)
        assert server.connections == 1


@pytest.mark.failure(122)
async def test_a_call_on_a_dead_kept_connection_is_sent_again_once() -> None:
    async def once(connection: Connection) -> None:
        received = await connection.request()
        await connection.answer(received.body)
        await connection.request()  # read, and dropped without a word: the keep-alive race
        connection.cut()

    async with Server(once, echo) as server, upstream() as client_:
        first = await client_.send("POST", server.url, (), b"one")
        assert await first.whole(10) == b"one"
        second = await client_.send("POST", server.url, (), Pieces([b"t", b"wo"]))
        assert await second.whole(10) == b"two"
        assert server.connections == 2


async def test_a_call_on_a_fresh_connection_that_dies_is_not_sent_again() -> None:
    async def rude(connection: Connection) -> None:
        await connection.request()
        connection.cut()

    async with Server(rude) as server, upstream() as client_:
        with pytest.raises(ApiError) as caught:
            await client_.send("POST", server.url, (), b"{}")
        assert caught.value.kind == "unreachable"
        assert "closed the connection before it answered" in caught.value.message
        assert server.connections == 1


async def test_a_call_is_sent_again_once_only() -> None:
    async def once(connection: Connection) -> None:
        received = await connection.request()
        await connection.answer(received.body)
        await connection.request()
        connection.reset()

    async def rude(connection: Connection) -> None:
        await connection.request()
        connection.reset()

    async with Server(once, rude) as server, upstream() as client_:
        first = await client_.send("POST", server.url, (), b"one")
        assert await first.whole(10) == b"one"
        with pytest.raises(ApiError) as caught:
            await client_.send("POST", server.url, (), b"two")
        assert caught.value.kind == "unreachable"
        assert server.connections == 2


@pytest.mark.failure(144)
async def test_what_died_is_freed_at_once() -> None:
    """The call that is sent again, the one that is not, and the one that met nobody."""

    async def rude(connection: Connection) -> None:
        received = await connection.request()
        await connection.answer(received.body)
        await connection.request()
        connection.cut()

    async with all_freed(Connection_, answer_.Answer):
        async with Server(rude, rude) as server, upstream() as client_:
            for _ in range(3):
                answer = await client_.send("POST", server.url, (), b"one")
                assert await answer.whole(10) == b"one"
            url = server.url
            del answer
        async with upstream() as client_:
            for _ in range(3):
                with suppress(ApiError):
                    await client_.send("POST", url, (), b"one")
                    raise AssertionError("nobody listens there")


async def test_half_a_head_is_not_asked_for_again() -> None:
    async def once(connection: Connection) -> None:
        received = await connection.request()
        await connection.answer(received.body)
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: te")
        connection.cut()

    async with Server(once) as server, upstream() as client_:
        first = await client_.send("POST", server.url, (), b"one")
        assert await first.whole(10) == b"one"
        with pytest.raises(ApiError) as caught:
            await client_.send("POST", server.url, (), b"two")
        assert caught.value.kind == "unreachable"


@pytest.mark.failure(97)
async def test_a_body_that_breaks_gives_its_bytes_first_and_then_an_error() -> None:
    async def broken(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.chunk(b"data: [DONE]\n\n")
        connection.cut()

    async with Server(broken) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        while not answer.ended:  # until the cut is here, behind the bytes before it
            await asyncio.sleep(0)
        assert await answer.read() == b"data: [DONE]\n\n"
        for _ in range(2):
            with pytest.raises(ApiError) as caught:
                await answer.read()
            assert caught.value.kind == "truncated"


@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_a_body_shorter_than_its_length_is_truncated(how: str) -> None:
    async def short(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
        getattr(connection, how)()

    async with Server(short) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        with pytest.raises(ApiError) as caught:
            await answer.whole(1000)
        assert caught.value.kind == "truncated"


async def test_an_answer_over_the_limit_is_refused_and_closed() -> None:
    closed = asyncio.Event()

    async def endless(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.chunk(b"x" * 1000)
        assert await connection.gone()
        closed.set()

    async with Server(endless) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        with pytest.raises(ApiError) as caught:
            await answer.whole(999)
        assert caught.value.kind == "bad_answer"
        await asyncio.wait_for(closed.wait(), 5)


async def test_bytes_in_many_pieces_are_one_body() -> None:
    async def pieces(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.0 200 OK\r\n\r\n")
        for piece in (b"a", b"b", b"c"):
            await connection.send(piece)
            await asyncio.sleep(0.005)
        connection.cut()

    async with Server(pieces) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        assert await answer.whole(3) == b"abc"


async def test_redirects_come_back_as_answers() -> None:
    async def moved(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b"", status="307 Temporary Redirect", head=b"location: http://elsewhere.invalid/\r\n")

    async with Server(moved) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        assert (answer.status, answer.headers["location"]) == (307, "http://elsewhere.invalid/")
        answer.close()


async def test_cookies_and_content_encoding_are_left_alone() -> None:
    seen = []

    async def baker(connection: Connection) -> None:
        for _ in range(2):
            seen.append(await connection.request())
            await connection.answer(b"\x1f\x8b", head=b"set-cookie: a=b\r\ncontent-encoding: gzip\r\n")

    async with Server(baker) as server, upstream() as client_:
        for _ in range(2):
            answer = await client_.send("POST", server.url, (), b"{}")
            assert await answer.whole(10) == b"\x1f\x8b"
    assert "cookie" not in seen[1].headers


async def test_long_header_fields_are_accepted() -> None:
    async def wordy(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b"{}", head=b"x-long: " + b"y" * 20_000 + b"\r\n")

    async with Server(wordy) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        assert len(answer.headers["x-long"]) == 20_000
        assert await answer.whole(10) == b"{}"


async def test_nobody_listens() -> None:
    async with Server(echo) as server:
        url = server.url
    async with upstream() as client_:
        with pytest.raises(ApiError) as caught:
            await client_.send("POST", url, (), b"{}")
    assert caught.value.kind == "unreachable"
    assert url.removeprefix("http://") in caught.value.message
    assert caught.value.retryable


async def test_garbage_instead_of_a_status_line() -> None:
    async def garbage(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    async with Server(garbage) as server, upstream() as client_:
        with pytest.raises(ApiError) as caught:
            await client_.send("POST", server.url, (), b"{}")
    assert caught.value.kind == "bad_answer"


async def test_a_secure_call_to_a_plain_server() -> None:
    async def plain(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with Server(plain) as server, upstream() as client_:
        with pytest.raises(ApiError) as caught:
            await client_.send("POST", server.url.replace("http:", "https:"), (), b"{}")
    assert caught.value.kind == "unreachable"
    assert caught.value.retryable is False


async def test_a_url_without_a_host() -> None:
    async with upstream() as client_:
        with pytest.raises(ApiError) as caught:
            await client_.send("POST", "http:///v1", (), b"{}")
    assert caught.value.retryable is False
    assert "base_url" in caught.value.message


async def test_a_header_with_a_line_break_is_refused_without_its_value() -> None:
    async with Server(echo) as server, upstream() as client_:
        with pytest.raises(ApiError) as caught:
            await client_.send("POST", server.url, [("Authorization", "Bearer dummy\r\nx: y")], b"{}")
    assert caught.value.kind == "internal"
    assert "dummy" not in caught.value.message


@pytest.mark.failure(150)
async def test_a_proxy_gets_the_calls_of_its_scheme_and_its_own_credentials() -> None:
    seen = []

    async def proxy(connection: Connection) -> None:
        seen.append(await connection.request())
        await connection.answer(b"{}")

    async with Server(proxy) as server:
        address = server.url.replace("http://", "http://user:dummy@")
        async with upstream(proxies={"http": address}) as client_:
            answer = await client_.send("POST", "http://model.test/v1", (), b"{}")
            assert await answer.whole(10) == b"{}"
    assert seen[0].path == "http://model.test/v1"
    assert seen[0].headers["proxy-authorization"] == "Basic dXNlcjpkdW1teQ=="


@pytest.mark.failure(150)
async def test_loopback_is_reached_directly() -> None:
    async with Server(echo) as server, upstream(proxies={"http": "http://127.0.0.1:1"}) as client_:
        answer = await client_.send("POST", server.url, (), b"direct")
        assert await answer.whole(10) == b"direct"


async def test_a_proxy_of_another_kind_is_named_without_its_credentials() -> None:
    async with upstream(proxies={"all": "socks5://user:dummy@127.0.0.1:1"}) as client_:
        with pytest.raises(ApiError) as caught:
            await client_.send("POST", "http://[fd00::1]:80/", (), b"{}")
    assert "socks5" in caught.value.message
    assert "dummy" not in caught.value.message
    assert caught.value.retryable is False


async def test_closing_before_any_call_and_calling_after_a_close() -> None:
    async with Server(echo) as server, upstream() as client_:
        await client_.close()
        answer = await client_.send("POST", server.url, (), b"x")
        assert await answer.whole(10) == b"x"
        await client_.close()
        answer = await client_.send("POST", server.url, (), b"y")
        assert await answer.whole(10) == b"y"


@pytest.mark.failure(144)
async def test_a_slow_caller_stops_the_upstream() -> None:
    sent = 0

    async def fast(connection: Connection) -> None:
        nonlocal sent
        await connection.request()
        await connection.open_stream()
        for _ in range(1000):
            await connection.chunk(b"x" * 64 * 1024)
            sent += 64 * 1024

    async with Server(fast) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        await answer.read()
        before = -1
        while before != sent:  # until the upstream cannot send any more
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 32 * 1024 * 1024
        assert sum(map(len, answer._connection.parts)) <= 2 * READ_BUFFER + 256 * 1024
        answer.close()


async def test_fields_of_a_call_replace_those_that_every_call_has() -> None:
    seen = []

    async def script(connection: Connection) -> None:
        for _ in range(2):
            seen.append(await connection.request())
            await connection.answer(b"")

    async with Server(script) as server, upstream() as client_:
        for method in ("POST", "GET"):
            sent = [("user-agent", "me"), ("Content-Type", "text/plain"), ("Host", "other.test")]
            await (await client_.send(method, server.url, sent, b"" if method == "GET" else b"x")).read()
    assert seen[0].headers["user-agent"] == "me"
    assert seen[0].headers["content-type"] == "text/plain"
    assert seen[0].headers["host"] == "other.test"
    assert seen[0].headers["accept-encoding"] == "identity"
    assert (seen[1].method, "content-length" in seen[1].headers) == ("GET", False)


async def test_a_post_without_a_body_says_so() -> None:
    seen = []

    async def script(connection: Connection) -> None:
        seen.append(await connection.request())
        await connection.answer(b"")

    async with Server(script) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"")
        assert await answer.whole(10) == b""
        answer.release()
    assert seen[0].headers["content-length"] == "0"
    assert "content-type" not in seen[0].headers


async def test_what_only_says_that_an_answer_will_come_is_passed_over() -> None:
    async def patient(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n")
        await connection.answer(b"{}")

    async with Server(patient) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"{}")
        assert (answer.status, await answer.whole(10)) == (200, b"{}")


async def test_places_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PLACES_LIMIT", 2)
    async with Server(echo) as server, upstream() as client_:
        for number in (1, 2, 3, 1):
            answer = await client_.send("POST", f"{server.url}/{number}", (), b"x")
            assert await answer.whole(10) == b"x"
        assert list(client_._places) == [f"{server.url}/3", f"{server.url}/1"]
        assert server.connections == 1


async def test_a_kept_connection_that_has_just_gone_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It went between the pool's look at it and ours."""
    kept = Pool.kept

    def gone(pool: Pool, place: Place) -> Connection_ | None:
        connection = kept(pool, place)
        if connection is not None:
            connection.abort()
        return connection

    async with Server(echo, echo) as server, upstream() as client_:
        assert await (await client_.send("POST", server.url, (), b"1")).whole(10) == b"1"
        monkeypatch.setattr(Pool, "kept", gone)
        assert await (await client_.send("POST", server.url, (), b"2")).whole(10) == b"2"
        assert server.connections == 2


async def test_an_answer_that_comes_before_the_call_was_read_costs_its_connection() -> None:
    async def hasty(connection: Connection) -> None:
        await connection.answer(b"{}")
        await connection.gone()

    async with Server(hasty, echo) as server, upstream() as client_:
        answer = await client_.send("POST", server.url, (), b"x" * 32 * 1024 * 1024)
        assert await answer.whole(10) == b"{}"
        answer = await client_.send("POST", server.url, (), b"next")
        assert await answer.whole(10) == b"next"
        assert server.connections == 2


async def test_credentials_in_a_url_sign_the_call_and_stay_out_of_sight() -> None:
    seen = []

    async def script(connection: Connection) -> None:
        seen.append(await connection.request())
        await connection.answer(b"{}")

    async with Server(script) as server, upstream() as client_:
        url = server.url.replace("http://", "http://user:dummy@")
        assert await (await client_.send("POST", url + "/v1", (), b"{}")).whole(10) == b"{}"
    assert seen[0].headers["authorization"] == "Basic dXNlcjpkdW1teQ=="
    assert seen[0].path == "/v1"
