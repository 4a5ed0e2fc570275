"""Whether hosts can be reached, and what is said when they cannot."""

import asyncio
import errno
import socket
import ssl
from typing import Any

import pytest

from dragoman.cli.reach import Reached, reach
from dragoman.config.settings import Config, Provider
from dragoman.dialects.contract import Target

pytestmark = pytest.mark.anyio


def provider(base_url: str) -> Provider:
    target = Target(provider="lab", dialect="chat", base_url=base_url, model="", quirks=None)
    return Provider(name="lab", title="lab", ready=True, why="", template=target)


async def one(base_url: str, config: Config | None = None, limit: float = 5) -> Reached:
    (found,) = await reach(config or Config(), [provider(base_url)], limit)
    return found


async def test_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert await one(f"http://127.0.0.1:{port}/v1") == Reached("lab", True, f"127.0.0.1:{port}")


async def test_silence() -> None:
    """Something takes the connection and never speaks TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = await one(f"https://127.0.0.1:{server.getsockname()[1]}", limit=0.1)
    assert not found.good
    assert "did not answer within" in found.why


@pytest.mark.failure(150)
async def test_through_the_proxy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        config = Config(proxies={"https": f"http://user:secret@127.0.0.1:{port}"})
        found = await one("https://api.example/v1", config)
    assert found == Reached("lab", True, f"127.0.0.1:{port}, the proxy")


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), "SSL_CERT_FILE"),
        (ssl.SSLError(1, "wrong version number"), "speaks no TLS"),
        (OSError(errno.ENETUNREACH, "x"), "unreachable"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
    ],
)
async def test_problems(monkeypatch: pytest.MonkeyPatch, problem: OSError, says: str) -> None:
    if isinstance(problem, ssl.SSLCertVerificationError):
        problem.verify_message = "self-signed certificate"

    async def fail(*_: Any, **__: Any) -> Any:
        raise problem

    monkeypatch.setattr(asyncio, "open_connection", fail)
    found = await one("https://api.example/v1")
    assert not found.good
    assert says in found.why
    assert found.why.startswith("api.example:443")
