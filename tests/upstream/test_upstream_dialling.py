"""upstream/dialling: names, addresses, TLS and proxies, with real sockets and real certificates."""

import asyncio
import base64
import contextlib
import datetime as dt
import socket
import ssl
from pathlib import Path

import pytest
import trustme
from msgspec import Raw

from dragoman.messages.errors import ApiError
from dragoman.messages.pieces import Pieces
from dragoman.upstream import dialling
from dragoman.upstream.client import Upstream
from dragoman.upstream.connection import Connection as Connection_
from dragoman.upstream.dialling import Dialler, resolve
from dragoman.upstream.place import place_of
from freed import all_freed
from upstream.test_upstream_client import echo, upstream
from upstream.wire import Connection, Script, Server

pytestmark = pytest.mark.anyio

YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a company with certificates of its own does."""
    path = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


def certified(authority: trustme.CA, *names: str, expired: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2", "http/1.1"])
    issued = authority.issue_cert(*names, not_after=YESTERDAY if expired else None)
    issued.configure_cert(context)
    return context


@pytest.fixture
def secure(authority: trustme.CA) -> ssl.SSLContext:
    return certified(authority, "127.0.0.1")


async def refusal(client: Upstream, url: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await client.send("POST", url, (), b"{}")
    return caught.value


def names(monkeypatch: pytest.MonkeyPatch, *ports: int, host: str = "127.0.0.1") -> list[str]:
    """Every name leads to these ports. Returns the names that were asked for."""
    asked = []

    async def found(name: str, port: int) -> list[dialling.Address]:
        asked.append(f"{name}:{port}")
        return [(socket.AF_INET, socket.IPPROTO_TCP, (host, each)) for each in ports]

    monkeypatch.setattr(dialling, "resolve", found)
    return asked


# TLS


@pytest.mark.usefixtures("trusted")
async def test_a_secure_call_and_its_answer(secure: ssl.SSLContext) -> None:
    spoken = []

    async def script(connection: Connection) -> None:
        spoken.append(connection.secure.selected_alpn_protocol())
        await echo(connection)

    async with Server(script, secure=secure) as server, upstream() as client:
        for body in (b"one", b"x" * 1024 * 1024, b"three"):
            answer = await client.send("POST", server.url, (), body)
            assert await answer.whole(len(body)) == body
        pieces = Pieces([b"a" * 1000, memoryview(b"b"), Raw(b"[]")] * 1500)
        assert await (await client.send("POST", server.url, (), pieces)).whole(len(pieces)) == bytes(pieces)
        assert server.connections == 1
    assert spoken == ["http/1.1"]


@pytest.mark.usefixtures("trusted")
async def test_a_secure_stream_that_is_cut(secure: ssl.SSLContext) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream()
        await connection.chunk(b"data: 1\n\n")
        connection.cut()

    async with Server(script, secure=secure) as server, upstream() as client:
        answer = await client.send("POST", server.url, (), b"{}")
        assert await answer.read() == b"data: 1\n\n"
        with pytest.raises(ApiError) as caught:
            await answer.read()
        assert caught.value.kind == "truncated"


@pytest.mark.usefixtures("trusted")
async def test_a_secure_caller_that_is_slow_stops_the_upstream(secure: ssl.SSLContext) -> None:
    total = 32 * 1024 * 1024
    sent = 0

    async def fast(connection: Connection) -> None:
        nonlocal sent
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while sent < total:
            await connection.send(b"x" * 65536)
            sent += 65536

    async with Server(fast, secure=secure) as server, upstream() as client:
        answer = await client.send("POST", server.url, (), b"{}")
        before = -1
        while before != sent:  # until nothing moves
            before = sent
            await asyncio.sleep(0.05)
        assert sent < total
        assert len(await answer.whole(total)) == total


async def test_a_certificate_of_an_unknown_authority(secure: ssl.SSLContext) -> None:
    async with Server(echo, secure=secure) as server, upstream() as client:
        error = await refusal(client, server.url)
    assert (error.kind, error.retryable) == ("unreachable", False)
    assert f"No secure connection to 127.0.0.1:{server.port}: " in error.message
    assert "certificate" in error.message.partition(": ")[2].lower()
    assert "Check its certificate" in error.message


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_of_another_host(authority: trustme.CA) -> None:
    async with Server(echo, secure=certified(authority, "other.test")) as server, upstream() as client:
        error = await refusal(client, server.url)
    assert (error.kind, error.retryable) == ("unreachable", False)
    assert "not valid for '127.0.0.1'" in error.message


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_that_has_expired(authority: trustme.CA) -> None:
    async with Server(echo, secure=certified(authority, "127.0.0.1", expired=True)) as server, upstream() as client:
        error = await refusal(client, server.url)
    assert error.kind == "unreachable"
    assert "expired" in error.message


@pytest.mark.usefixtures("trusted")
async def test_the_name_of_the_host_is_told_in_the_greeting(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = certified(authority, "model.test")
    told = []
    context.sni_callback = lambda _connection, name, _context: told.append(name)
    async with Server(echo, secure=context) as server, upstream() as client:
        asked = names(monkeypatch, server.port)
        for host in ("model.test", "model.test."):
            answer = await client.send("POST", f"https://{host}:1234/", (), b"hi")
            assert await answer.whole(10) == b"hi"
    assert told == ["model.test", "model.test"]
    assert asked == ["model.test:1234", "model.test.:1234"]


async def test_a_server_that_does_not_greet() -> None:
    async def mute(connection: Connection) -> None:
        await connection.lost()

    async with Server(mute) as server:
        client = Upstream(connect_timeout=0.05, proxies={}, no_proxy=())
        error = await refusal(client, server.url.replace("http:", "https:"))
        await client.close()
    assert (error.kind, error.message) == ("timeout", f"No connection to 127.0.0.1:{server.port} within 0.05 s.")


async def test_a_server_that_hangs_up_instead_of_a_greeting() -> None:
    async def rude(connection: Connection) -> None:
        await connection.until(b"\x01")
        connection.reset()

    async with Server(rude) as server, upstream() as client:
        error = await refusal(client, server.url.replace("http:", "https:"))
    assert error.kind == "unreachable"
    assert "Cannot connect to" in error.message


# Names and addresses


async def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(_host: str, _port: int) -> list[dialling.Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(dialling, "resolve", unknown)
    async with upstream() as client:
        error = await refusal(client, "http://host.test:81/v1")
    assert error.kind == "unreachable"
    assert error.message == "The name of host.test:81 cannot be resolved. Check base_url and the network."


@pytest.mark.failure(144)
@pytest.mark.parametrize("known", [True, False])
async def test_a_call_that_reached_nobody_is_freed_at_once(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    class NobodyError(OSError):
        pass

    async def found(_host: str, _port: int) -> list[dialling.Address]:
        if not known:
            raise NobodyError
        return [(socket.AF_INET, socket.IPPROTO_TCP, ("127.0.0.1", number)) for number in (1, 2)]

    async def refused(_address: dialling.Address) -> socket.socket:
        raise NobodyError

    monkeypatch.setattr(dialling, "resolve", found)
    monkeypatch.setattr(dialling, "_attempt", refused)
    async with all_freed(Connection_, NobodyError), upstream() as client:
        with contextlib.suppress(ApiError):
            await client.send("POST", "http://model.test/", (), b"{}")
            raise AssertionError("nobody is there")


@pytest.mark.failure(144)
async def test_a_call_that_left_while_its_name_is_looked_up_is_freed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    async def silent(_host: str, _port: int) -> list[dialling.Address]:
        asked.set()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    monkeypatch.setattr(dialling, "resolve", silent)
    async with upstream() as client, all_freed(Connection_):
        call = asyncio.create_task(client.send("POST", "http://model.test/", (), b"{}"))
        await asked.wait()
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        del call


async def test_a_name_is_looked_up_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Server(echo) as server, upstream() as client:
        asked = names(monkeypatch, server.port)
        calls = [client.send("POST", "http://model.test/", (), b"%d" % number) for number in range(5)]
        for answer in await asyncio.gather(*calls):
            await answer.whole(10)
        assert asked == ["model.test:80"]
        assert server.connections == 5


async def test_a_name_that_led_nowhere_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Server(echo) as server:
        port = server.port
    async with upstream() as client:
        asked = names(monkeypatch, port)
        for _ in range(2):
            error = await refusal(client, "http://model.test/")
            assert "Cannot connect to model.test: " in error.message
        assert len(asked) == 2


async def test_a_name_is_forgotten_after_a_while_and_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    dialler = Dialler()
    asked = names(monkeypatch, 1)
    for name in ("a", "a"):
        await dialler._addresses(name, 80)
    monkeypatch.setattr(dialling, "NAME_LIFE", -1.0)
    monkeypatch.setattr(dialling, "NAMES_LIMIT", 2)
    for name in ("b", "b", "c", "a"):
        await dialler._addresses(name, 80)
    assert asked == ["a:80", "b:80", "b:80", "c:80", "a:80"]
    assert len(dialler._names) == 2


async def test_a_lookup_outlives_a_call_that_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    go = asyncio.Event()

    async def slow(_host: str, _port: int) -> list[dialling.Address]:
        await go.wait()
        return [(socket.AF_INET, 0, ("127.0.0.1", 1))]

    monkeypatch.setattr(dialling, "resolve", slow)
    dialler = Dialler()
    first, second = (asyncio.ensure_future(dialler._addresses("a", 1)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    go.set()
    assert len(await second) == 1
    assert first.cancelled()


async def test_closing_ends_a_lookup_that_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()

    async def slow(_host: str, _port: int) -> list[dialling.Address]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    monkeypatch.setattr(dialling, "resolve", slow)
    client = Upstream(connect_timeout=0.01, proxies={}, no_proxy=())
    assert (await refusal(client, "http://model.test/")).kind == "timeout"
    await client.close()
    await asyncio.wait_for(ended.wait(), 5)


async def test_closing_ends_a_call_whose_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    async def slow(_host: str, _port: int) -> list[dialling.Address]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(dialling, "resolve", slow)
    async with upstream() as client:
        call = asyncio.ensure_future(refusal(client, "http://model.test/"))
        await asked.wait()
        await client.close()
        assert (await call).kind == "unreachable"


async def test_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, "a"), (socket.AF_INET6, "b"), (socket.AF_INET, "c"), (socket.AF_INET6, "d")]
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_args, **_named: [(family, socket.SOCK_STREAM, 6, "", (name, 80)) for family, name in found],
    )
    loop = asyncio.new_event_loop()  # plain asyncio asks Python's own `getaddrinfo`
    try:
        every = await asyncio.to_thread(loop.run_until_complete, resolve("model.test", 80))
    finally:
        loop.close()
    assert [address[0] for _, _, address in every] == ["a", "c", "b", "d"]


async def test_localhost_has_an_address() -> None:
    assert ("127.0.0.1", 80) in [address[:2] for _, _, address in await resolve("localhost", 80)]


async def test_the_next_address_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Server(echo) as server:
        closed = server.port
    async with Server(echo) as server, upstream() as client:
        names(monkeypatch, closed, closed, server.port)
        answer = await client.send("POST", "http://model.test/", (), b"hi")
        assert await answer.whole(10) == b"hi"


async def test_the_next_address_is_tried_when_one_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what comes too late is closed."""
    late, closed = asyncio.Event(), asyncio.Event()
    attempt = dialling._attempt
    slow: list[socket.socket] = []

    async def attempts(address: dialling.Address) -> socket.socket:
        if not slow:
            slow.append(await attempt(address))
            try:
                await late.wait()
            except asyncio.CancelledError:
                slow[0].close()
                closed.set()
                raise
        return await attempt(address)

    monkeypatch.setattr(dialling, "STAGGER", 0.01)
    monkeypatch.setattr(dialling, "_attempt", attempts)
    async with Server(echo) as server, upstream() as client:
        names(monkeypatch, server.port, server.port)
        answer = await client.send("POST", "http://model.test/", (), b"hi")
        assert await answer.whole(10) == b"hi"
        await asyncio.wait_for(closed.wait(), 5)


async def test_of_two_sockets_that_connect_at_once_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    both = asyncio.Event()
    made: list[socket.socket] = []
    attempt = dialling._attempt

    async def together(address: dialling.Address) -> socket.socket:
        opened = await attempt(address)
        made.append(opened)
        if len(made) == 2:
            both.set()
        await both.wait()
        return opened

    monkeypatch.setattr(dialling, "STAGGER", 0.01)
    monkeypatch.setattr(dialling, "_attempt", together)
    async with Server(echo) as server:
        address: dialling.Address = (socket.AF_INET, 0, ("127.0.0.1", server.port))
        kept = await asyncio.wait_for(dialling._race([address, address]), 5)
        while sorted(each.fileno() == -1 for each in made) != [False, True]:
            await asyncio.sleep(0)
        assert kept.fileno() != -1
        kept.close()


async def test_a_connection_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_address: dialling.Address) -> socket.socket:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(dialling, "_attempt", never)
    names(monkeypatch, 1, 2)
    client = Upstream(connect_timeout=0.05, proxies={}, no_proxy=())
    error = await refusal(client, "http://model.test:81/")
    assert (error.kind, error.message) == ("timeout", "No connection to model.test:81 within 0.05 s.")
    await client.close()


async def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch)
    async with upstream() as client:
        error = await refusal(client, "http://model.test/")
    assert error.kind == "unreachable"


@pytest.mark.usefixtures("trusted")
async def test_an_address_of_the_newer_family(authority: trustme.CA) -> None:
    heads = []

    async def script(connection: Connection) -> None:
        received = await connection.request()
        heads.append(received.headers["host"])
        await connection.answer(received.body)

    for secure in (None, certified(authority, "::1")):
        async with Server(script, secure=secure, host="::1") as server, upstream() as client:
            answer = await client.send("POST", server.url + "/v1", (), b"six")
            assert await answer.whole(10) == b"six"
            assert heads.pop() == f"[::1]:{server.port}"


# Proxies


def tunnel(port: int, seen: list[str]) -> Script:
    async def script(connection: Connection) -> None:
        received = await connection.request()
        seen.append(received.head.decode())
        await connection.send(b"HTTP/1.1 200 Connection established\r\n")
        await asyncio.sleep(0.01)
        await connection.send(b"via: 1.1 proxy\r\n\r\n")
        await connection.splice(port)

    return script


@pytest.mark.failure(150)
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("kind", ["http", "https"])
async def test_a_secure_call_goes_through_a_tunnel(authority: trustme.CA, kind: str) -> None:
    seen: list[str] = []
    heads = []

    async def script(connection: Connection) -> None:
        while True:
            received = await connection.request()
            heads.append(received.headers)
            await connection.answer(received.body)

    async with Server(script, secure=certified(authority, "model.test")) as model:
        around = certified(authority, "127.0.0.1") if kind == "https" else None
        async with Server(tunnel(model.port, seen), secure=around) as proxy:
            address = proxy.url.replace("://", "://user:d%40mmy@")
            async with upstream(proxies={"https": address}) as client:
                for body in (b"one", b"two"):
                    answer = await client.send("POST", "https://model.test/v1", (), body)
                    assert await answer.whole(10) == body
            assert proxy.connections == 1
    expected = base64.b64encode(b"user:d@mmy").decode()
    assert seen == [
        f"CONNECT model.test:443 HTTP/1.1\r\nHost: model.test:443\r\nProxy-Authorization: Basic {expected}\r\n\r\n"
    ]
    assert [head["host"] for head in heads] == ["model.test", "model.test"]
    assert not [head for head in heads if "proxy-authorization" in head]


@pytest.mark.usefixtures("trusted")
async def test_a_proxy_that_speaks_tls_itself(secure: ssl.SSLContext) -> None:
    seen = []

    async def script(connection: Connection) -> None:
        received = await connection.request()
        seen.append(received.path)
        await connection.answer(b"{}")

    async with Server(script, secure=secure) as proxy, upstream(proxies={"http": proxy.url}) as client:
        answer = await client.send("POST", "http://model.test:81/v1?a=b", (), b"{}")
        assert await answer.whole(10) == b"{}"
    assert seen == ["http://model.test:81/v1?a=b"]


async def test_a_proxy_whose_certificate_is_not_trusted(secure: ssl.SSLContext) -> None:
    async with Server(echo, secure=secure) as proxy, upstream(proxies={"http": proxy.url}) as client:
        error = await refusal(client, "http://model.test:81/")
    assert (error.kind, error.retryable) == ("unreachable", False)
    assert "the proxy for model.test:81" in error.message
    assert "Check the proxy settings" in error.message


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_behind_a_tunnel_is_checked_too(authority: trustme.CA) -> None:
    async with Server(echo, secure=certified(authority, "other.test")) as model:
        script = tunnel(model.port, [])
        async with Server(script) as proxy, upstream(proxies={"https": proxy.url}) as client:
            error = await refusal(client, "https://model.test/")
    assert "not valid for 'model.test'" in error.message


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there(scheme: str) -> None:
    async with Server(echo) as server:
        address = server.url
    async with upstream(proxies={"all": address}) as client:
        error = await refusal(client, f"{scheme}://model.test:81/")
    assert error.kind == "unreachable"
    assert error.message == "The proxy for model.test:81 cannot be reached. Check the proxy settings."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 3\r\n\r\nno\n", "(status 407)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "(no answer in HTTP)"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore than was asked for", "(no answer in HTTP)"),
        (b"", "(no answer in HTTP)"),
        (b"x" * 70_000, "(no answer in HTTP)"),
    ],
)
async def test_a_proxy_that_refuses(said: bytes, told: str) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(said)
        connection.cut()

    async with Server(script) as proxy, upstream(proxies={"https": proxy.url}) as client:
        error = await refusal(client, "https://[fd00::1]:81/")
    assert error.kind == "unreachable"
    assert error.message == f"The proxy refused a connection to [fd00::1]:81 {told}."


async def test_a_proxy_that_is_silent() -> None:
    gone = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.lost()
        gone.set()

    async with Server(script) as proxy:
        client = Upstream(connect_timeout=0.05, proxies={"https": proxy.url}, no_proxy=())
        error = await refusal(client, "https://model.test/")
        assert error.kind == "timeout"
        await asyncio.wait_for(gone.wait(), 5)
        await client.close()


async def test_a_proxy_with_a_name_that_is_none() -> None:
    place = place_of("http://model.test/", {"all": "http://" + "a" * 70 + ".test:1"}, ())
    with pytest.raises(ApiError) as caught:
        await Dialler().dial(place)
    assert "The proxy for model.test cannot be reached" in caught.value.message


async def test_a_name_that_is_none() -> None:
    with pytest.raises(ApiError) as caught:
        await Dialler().dial(place_of("http://" + "a" * 70 + ".test/", {}, ()))
    assert caught.value.kind == "unreachable"
