"""`GET /auth-token` on the real server: whom the token is told, and whom not."""

import pytest

from dragoman.config.settings import Config, Server
from dragoman.server import pages
from server_fixture import ask, connect, head, read_reply, running

pytestmark = pytest.mark.anyio

CONFIG = Config(server=Server(auth_token="canary-t0ken"))


async def test_the_user_of_this_machine_is_told() -> None:
    async with running(config=CONFIG) as house:
        reply = await house.ask("GET", "/auth-token")
        assert (reply.status, reply.json["auth_token"]) == (200, "canary-t0ken")


@pytest.mark.failure(138)
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
async def test_not_through_nginx_as_it_comes(version: str) -> None:
    """`proxy_pass http://127.0.0.1:8082;` and nothing else, up to nginx 1.29.6: it tells nothing of its own caller.
    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_set_header
    """
    async with running(config=CONFIG) as house:
        reader, writer = await connect(house.port)
        asked = head("GET", "/auth-token", b"", {"host": f"127.0.0.1:{house.port}", "connection": "close"})
        writer.write(asked.replace(b"HTTP/1.1", version.encode()))
        try:
            reply = await read_reply(reader)
        finally:
            writer.close()
        assert reply.status == 403
        assert b"canary-t0ken" not in reply.body
        assert "server.show_token" in reply.json["error"]["message"]


@pytest.mark.failure(138)
async def test_not_through_a_proxy_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Since 1.29.7 nginx looks like curl in every header; but it runs as www-data."""
    monkeypatch.setattr(pages, "is_mine", lambda _other, _here: False)
    async with running(config=CONFIG) as house:
        reply = await house.ask("GET", "/auth-token")
        assert reply.status == 403
        assert b"canary-t0ken" not in reply.body


async def test_an_open_door_has_no_token() -> None:
    async with running(config=Config(server=Server(open=True))) as house:
        reply = await ask(house.port, "GET", "/auth-token")
        assert reply.json == {"auth_token": "", "note": "No token is set: callers need none."}
