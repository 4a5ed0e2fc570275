"""upstream/public: calls whose host a caller chose reach the internet, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dragoman.messages.errors import ApiError
from dragoman.upstream import public
from dragoman.upstream.client import Upstream
from dragoman.upstream.public import is_public
from upstream.wire import Connection, Server

pytestmark = pytest.mark.anyio  # synchronous tests ignore it


@asynccontextmanager
async def upstream(proxy: str = "") -> AsyncIterator[Upstream]:
    made = Upstream(connect_timeout=5.0, proxies={"http": proxy} if proxy else {}, no_proxy=())
    try:
        yield made
    finally:
        await made.close()


async def echo(connection: Connection) -> None:
    while True:
        received = await connection.request()
        await connection.answer(received.body)


async def pieces() -> AsyncIterator[bytes]:
    yield b"{"
    yield b"}"


@pytest.mark.failure(137)
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "100.100.100.200",  # Alibaba's metadata
        "169.254.169.254",  # everybody's
        "168.63.129.16",  # Azure's
        "192.0.0.192",  # Oracle's
        "192.0.2.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",  # Amazon's
        "ff0e::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:102:304::80ff:fffe",
        "",
        "localhost",
    ],
)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::6810:1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_what_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.failure(137)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_local_address_is_refused_before_anything_is_sent(host: str, *, streamed: bool) -> None:
    async with Server(echo) as server, upstream() as client_:
        with pytest.raises(ApiError, match=r"not public.*server\.endpoints") as refused:
            await client_.send(
                "POST", f"http://{host}:{server.port}/", (), pieces() if streamed else b"{}", public=True
            )
        assert (refused.value.kind, refused.value.status) == ("permission", 403)
        assert server.connections == 0
        answer = await client_.send("POST", f"http://{host}:{server.port}/", (), b"{}")
        assert await answer.whole(10) == b"{}"


@pytest.mark.failure(137)
async def test_a_connection_of_others_is_not_taken() -> None:
    async with Server(echo) as server, upstream() as client_:
        url = f"http://localhost:{server.port}/"
        answer = await client_.send("POST", url, (), b"{}")
        assert await answer.whole(10) == b"{}"
        answer.close()
        with pytest.raises(ApiError, match="not public"):
            await client_.send("POST", url, (), b"{}", public=True)


@pytest.mark.failure(137)
async def test_the_name_is_judged_by_what_it_resolves_to_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that led to the internet a moment ago leads to this machine now."""
    told: list[str] = []

    def judge(address: str) -> bool:
        told.append(address)
        return len(told) > 10

    monkeypatch.setattr(public, "is_public", judge)
    async with Server(echo) as server, upstream() as client_:
        url = f"http://localhost:{server.port}/"
        calls = [client_.send("POST", url, (), b"{}", public=True) for _ in range(3)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, ApiError) and each.kind == "permission" for each in found)
        assert set(told) <= {"127.0.0.1", "::1"}
        told[:] = [""] * 20
        answer = await client_.send("POST", url, (), b"{}", public=True)  # no refusal is remembered
        assert await answer.whole(10) == b"{}"
        answer.close()


async def test_a_public_address_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "is_public", lambda _address: True)
    async with Server(echo) as server, upstream() as client_:
        for _ in range(2):
            answer = await client_.send("POST", server.url, (), b"{}", public=True)
            assert await answer.whole(10) == b"{}"
        assert server.connections == 1


async def test_behind_a_proxy_the_proxy_decides() -> None:
    """It resolves the name, and its own address may be of a local network."""
    async with Server(echo) as server, upstream(proxy=server.url) as client_:
        answer = await client_.send("POST", "http://api.example/v1", (), b"{}", public=True)
        assert await answer.whole(10) == b"{}"
