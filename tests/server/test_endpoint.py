"""The header `a2o-endpoint` on the whole house: where the caller's key goes, and where it does not."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from msgspec import structs

from dragoman.config import load
from dragoman.config.settings import Server
from dragoman.server.application import build
from dragoman.upstream import dialling
from server_fixture import BODY, Reply, ask, listening, running
from upstream.wire import Connection, Received
from upstream.wire import Server as Upstream

pytestmark = pytest.mark.anyio

OURS, TOKEN, OWN = "canary-ours", "canary-gateway-token", "canary-callers-own"
FILE = """
providers: {{lab: {{base_url: "{url}/v1", api_key: "${{LAB_KEY}}"}}}}
models: {{sonnet: lab/m}}
"""
TEXT = {"id": "1", "model": "m", "choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}


@dataclass
class Place:
    """A gateway, and a host that callers choose."""

    port: int
    url: str
    lines: list[str]
    seen: list[Received] = field(default_factory=list)

    async def ask(self, path: str = "/v1/messages", changed: dict[str, Any] | None = None, **headers: str) -> Reply:
        return await ask(self.port, "POST", path, BODY | (changed or {}), headers)

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@asynccontextmanager
async def placed(*, listed: bool = True, token: str = TOKEN, **settings: Any) -> AsyncIterator[Place]:
    seen: list[Received] = []

    async def script(connection: Connection) -> None:
        while True:
            seen.append(await connection.request())
            if seen[-1].path.endswith("/count_tokens"):
                await connection.answer(b'{"input_tokens":77}')
            elif b'"stream":true' in seen[-1].body:
                chunk = {"choices": [{"delta": {"content": "Hello."}, "finish_reason": "stop"}]}
                await connection.open_stream()
                await connection.chunk(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")
                await connection.chunk(b"")
            else:
                await connection.answer(json.dumps(TEXT).encode())

    async with Upstream(script) as upstream:
        hosts = (f"127.0.0.1:{upstream.port}",) if listed else ()
        server = Server(**{"auth_token": token, "endpoints": hosts} | settings)
        with TemporaryDirectory() as folder:
            file = Path(folder, "dragoman.yaml")
            file.write_text(FILE.format(url=upstream.url), "utf-8")
            found, secrets = load(path=file, environ={"LAB_KEY": OURS}, folder=file.parent, home=file.parent)
        config = structs.replace(found, server=server)
        lines: list[str] = []
        application = build(config, secrets, write=lines.append)
        async with listening(application, server) as (port, _, _):
            place = Place(port, upstream.url + "/v1", lines, seen)
            yield place
            known = "".join(lines)
            assert not [key for key in (OURS, TOKEN, OWN) if key in known]


@pytest.mark.failure(137, 140)
@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {OWN}", "x-dragoman-token": TOKEN},
        {"authorization": f"Bearer {OWN}", "x-api-key": TOKEN},
        {"authorization": f"Bearer {TOKEN}", "x-api-key": OWN},
    ],
)
async def test_the_callers_key_goes_there_and_nothing_of_ours(headers: dict[str, str]) -> None:
    async with placed() as place:
        reply = await place.ask(changed={"model": "gpt-4o-mini"}, a2o_endpoint=place.url, **headers)
        assert reply.status == 200
        assert reply.json["content"][0]["text"] == "Hello."
        sent = place.seen[0]
        assert sent.path == "/v1/chat/completions"
        assert json.loads(sent.body)["model"] == "gpt-4o-mini"
        assert sent.headers["authorization"] == f"Bearer {OWN}"
        assert not sent.headers.keys() & {"x-api-key", "x-dragoman-token", "a2o-endpoint"}
        assert OURS not in sent.head.decode()
        assert TOKEN not in sent.head.decode()


async def test_a_stream() -> None:
    async with placed() as place:
        reply = await place.ask(changed={"stream": True}, a2o_endpoint=place.url, x_api_key=OWN, x_dragoman_token=TOKEN)
        assert reply.body.startswith(b"event: message_start")
        assert b"event: message_stop" in reply.body
        # A name that `models:` leads elsewhere is asked for as it is.
        assert json.loads(place.seen[0].body)["model"] == "sonnet"
        host = place.url.partition("://")[2]
        assert reply.headers["x-dragoman-target"] == f"endpoint:{host.partition('/')[0]}/sonnet"
        line = place.log[-1]
        assert line["endpoint"] == f"{host}/chat/completions"
        assert line["provider"] == f"endpoint:{host.partition('/')[0]}"


@pytest.mark.failure(137)
async def test_what_one_learned_of_it_is_not_used_for_the_other() -> None:
    """A configured provider at the same address keeps its key to itself, and the caller's goes to the chosen one."""
    async with placed() as place:
        await place.ask(x_dragoman_token=TOKEN)
        await place.ask(changed={"model": "m"}, a2o_endpoint=place.url, x_api_key=OWN, x_dragoman_token=TOKEN)
        await place.ask(x_dragoman_token=TOKEN, authorization=f"Bearer {OWN}")
        assert [each.headers["authorization"] for each in place.seen] == [
            f"Bearer {OURS}",
            f"Bearer {OWN}",
            f"Bearer {OURS}",
        ]


async def test_messages_is_passed_on_with_the_key_as_it_came() -> None:
    async with placed() as place:
        address = place.url.removesuffix("/v1") + "/anthropic"
        reply = await place.ask(
            "/v1/messages/count_tokens", a2o_endpoint=address, x_api_key=OWN, x_dragoman_token=TOKEN
        )
        assert reply.json == {"input_tokens": 77}
        assert place.seen[0].path == "/anthropic/v1/messages/count_tokens"
        assert place.seen[0].headers["x-api-key"] == OWN
        assert "authorization" not in place.seen[0].headers


async def test_counting_for_a_host_that_cannot_count_is_an_estimate() -> None:
    async with placed() as place:
        asked = {"a2o_endpoint": place.url, "x_api_key": OWN, "x_dragoman_token": TOKEN}
        reply = await place.ask("/v1/messages/count_tokens", {"model": "unknown-here"}, **asked)
        assert reply.json["input_tokens"] > 0
        assert place.seen == []


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    "headers",
    [
        {"x_dragoman_token": TOKEN},
        {"authorization": f"Bearer {TOKEN}"},
        {"x_api_key": "dragoman", "authorization": f"Bearer {TOKEN}"},
    ],
)
async def test_without_a_key_of_ones_own(path: str, headers: dict[str, str]) -> None:
    async with placed() as place:
        reply = await place.ask(path, a2o_endpoint=place.url, **headers)
        assert reply.status == 401
        assert "Authorization: Bearer" in reply.json["error"]["message"]
        assert "x-dragoman-token" in reply.json["error"]["message"]
        assert reply.headers["x-should-retry"] == "false"
        assert place.seen == []


async def test_a_key_alone_does_not_open_the_door() -> None:
    async with placed() as place:
        reply = await place.ask(a2o_endpoint=place.url, authorization=f"Bearer {OWN}")
        assert reply.status == 401
        assert "x-dragoman-token" in reply.json["error"]["message"]


async def test_what_is_no_key() -> None:
    async with placed() as place:
        for value in ("Basic canary", "Bearer two canary words"):
            reply = await place.ask(a2o_endpoint=place.url, authorization=value, x_dragoman_token=TOKEN)
            assert reply.status == 401
        assert place.seen == []


async def test_on_an_open_gateway_the_credential_is_the_callers_own() -> None:
    async with placed(token="") as place:
        reply = await place.ask(a2o_endpoint=place.url, authorization=f"Bearer {OWN}")
        assert reply.status == 200
        assert place.seen[0].headers["authorization"] == f"Bearer {OWN}"


@pytest.mark.failure(137)
async def test_hosts_that_nobody_allowed() -> None:
    async with placed(listed=False) as place:
        asked = {"x_api_key": OWN, "x_dragoman_token": TOKEN}
        reply = await place.ask(a2o_endpoint=place.url, **asked)
        assert reply.status == 403
        assert reply.json["error"]["type"] == "permission_error"
        assert "server: {endpoints:" in reply.json["error"]["message"]
        assert (await place.ask(a2o_endpoint="nonsense", **asked)).status == 400
        assert place.seen == []
    async with placed(endpoints="none") as place:
        assert (
            await place.ask(a2o_endpoint="https://api.cerebras.ai/v1", x_api_key=OWN, x_dragoman_token=TOKEN)
        ).status == 403


async def test_other_endpoints_do_not_take_it() -> None:
    async with placed() as place:
        asked = {"a2o_endpoint": place.url, "x_api_key": OWN, "x_dragoman_token": TOKEN}
        reply = await place.ask("/v1/messages/batches", **asked)
        assert reply.status == 400
        assert "a2o-endpoint" in reply.json["error"]["message"]
        listing = await ask(place.port, "GET", "/v1/models", None, asked)
        assert listing.status == 200


@pytest.mark.failure(137)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_a_known_host_that_leads_into_the_own_network(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Somebody has the name answered otherwise: what it resolves to is what counts."""

    async def resolve(host: str, port: int) -> list[dialling.Address]:
        asked.append(host)
        return [(socket.AF_INET, 0, ("127.0.0.1", port))]

    asked: list[str] = []
    monkeypatch.setattr(dialling, "resolve", resolve)
    async with placed() as place:
        reply = await place.ask(path, a2o_endpoint="https://api.anthropic.com", x_api_key=OWN, x_dragoman_token=TOKEN)
        assert asked == ["api.anthropic.com"]
        if path.endswith("count_tokens"):  # an estimate, as when any upstream cannot count
            assert reply.json["input_tokens"] > 0
        else:
            assert reply.status == 403
            assert "not public" in reply.json["error"]["message"]
        assert place.seen == []


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_where_nobody_decides_the_header_is_refused(path: str) -> None:
    async with running() as house:
        reply = await house.ask("POST", path, BODY, a2o_endpoint="https://api.cerebras.ai/v1", x_api_key=OWN)
        assert reply.status == 403
        assert house.script.journeys == []
