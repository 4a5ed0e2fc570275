"""The whole gateway, as it is built for production, before an upstream that speaks Messages: what comes goes on."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec import structs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dragoman.config.settings import Config, Leads, Logs, Provider, Secrets
from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.server.application import build
from gateway.relay import BEGIN, FINISH, HI, MESSAGE, PING, START, STOP, STREAM, envelope
from server_fixture import BODY, Reply, ask, connect, head, listening, read_chunk, read_head

pytestmark = pytest.mark.anyio

KEY = "canary-upstream-4711"
TOLD = {"request-id": "req_up", "anthropic-ratelimit-requests-remaining": "4", "retry-after": "30"}


class Upstream:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.status = 200
        self.pieces: Sequence[bytes] = ()
        self.kind = "application/json"
        self.seen: asyncio.Event | None = None  # after the first piece, until the caller has got it
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    def say(self, *pieces: bytes, status: int = 200) -> None:
        self.status, self.pieces = status, pieces

    async def answer(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        self.headers.append(dict(request.headers))
        if b'"stream": true' not in self.bodies[-1] or self.status != 200:
            return Response(b"".join(self.pieces), self.status, {**TOLD, "x-accel-redirect": "/"}, self.kind)

        async def stream() -> AsyncIterator[bytes]:
            for number, piece in enumerate(self.pieces):
                if number and self.seen is not None:
                    await self.seen.wait()
                yield piece

        return StreamingResponse(stream(), headers=TOLD, media_type="text/event-stream")


@contextlib.asynccontextmanager
async def passing(**target: Any) -> AsyncIterator[tuple[Upstream, int, list[str]]]:
    upstream, lines = Upstream(), []
    routes = [Route("/v1/messages", upstream.answer, methods=["POST"])]
    async with listening(Starlette(routes=routes)) as (port, _, _):
        template = Target(
            provider="lab",
            dialect="anthropic",
            base_url=f"http://127.0.0.1:{port}",
            model="",
            quirks=Quirks(),
            key="LAB_KEY",
            auth="x-api-key",
        )
        lab = Provider(
            name="lab",
            title="Lab",
            ready=True,
            why="LAB_KEY is set",
            big="big",
            template=structs.replace(template, **target),
        )
        models = (("sonnet", Leads.to("lab/big")), ("big", Leads.to("lab/big")))
        config = Config(providers={"lab": lab}, models=models, logs=Logs(format="json"))
        application = build(config, Secrets({"LAB_KEY": KEY}), write=lines.append)
        async with listening(application) as (gateway, _, _):
            yield upstream, gateway, lines


async def asked(port: int, model: str = "big", *, stream: bool = False, **headers: str) -> Reply:
    return await ask(port, "POST", "/v1/messages", BODY | {"model": model, "stream": stream, "new": [1.0]}, headers)


@pytest.mark.failure(69, 118)
@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
async def test_a_stream_through_the_whole_gateway(size: int) -> None:
    async with passing() as (upstream, port, lines):
        upstream.say(*(STREAM[at : at + size] for at in range(0, len(STREAM), size)))
        same = await asked(port, stream=True, anthropic_beta="a,b", anthropic_version="2023-06-01")
        alias = await asked(port, "sonnet", stream=True)
    assert same.body == STREAM
    assert alias.body == STREAM.replace(b'"big"', b'"sonnet"')
    assert upstream.bodies[0] == json.dumps(BODY | {"model": "big", "stream": True, "new": [1.0]}).encode()
    assert upstream.bodies[1] == upstream.bodies[0]
    sent = upstream.headers[0]
    assert (sent["anthropic-beta"], sent["anthropic-version"], sent["x-api-key"]) == ("a,b", "2023-06-01", KEY)
    for reply in (same, alias):
        assert {name: reply.headers[name] for name in TOLD} == TOLD
        assert reply.headers["x-dragoman-request-id"].startswith("req_")
        assert reply.headers["x-dragoman-target"] == "lab/big"
    line = json.loads(lines[0])
    assert (line["status"], line["usage"]["input_tokens"], line["usage"]["output_tokens"]) == (200, 7, 2)
    assert line["first_token_ms"] is not None


async def test_a_whole_message_through_the_whole_gateway() -> None:
    message = MESSAGE.replace(b'"id":', b'"model" : "big", "id":')
    async with passing() as (upstream, port, _):
        upstream.say(message)
        same, alias = await asked(port), await asked(port, "sonnet")
    assert same.body == message
    assert alias.body == message.replace(b"big", b"sonnet")
    assert same.headers["content-type"] == "application/json"
    assert same.headers["request-id"] == "req_up"
    assert "x-accel-redirect" not in same.headers


@pytest.mark.failure(118)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_through_the_whole_gateway(stream: bool) -> None:
    body = b" " + envelope("invalid_request_error", "thinking.type: Input should be 'adaptive'")
    async with passing() as (upstream, port, lines):
        upstream.say(body, status=400)
        reply = await asked(port, stream=stream)
        upstream.say(body.replace(b"adaptive", KEY.encode()), status=400)
        quoted = await asked(port, stream=stream)
    assert (reply.status, reply.body) == (400, body)
    assert {name: reply.headers[name] for name in TOLD} == TOLD
    assert quoted.status == 400
    assert KEY.encode() not in quoted.body
    assert len(quoted.body) == int(quoted.headers["content-length"])
    assert KEY not in "".join(lines)


async def begun(upstream: Upstream, port: int) -> bytes:
    """The body of a stream whose second piece is not said before the caller has the first one."""
    upstream.seen = asyncio.Event()
    body = json.dumps(BODY | {"model": "big", "stream": True}).encode()
    reader, writer = await connect(port)
    writer.write(head("POST", "/v1/messages", body, {}) + body)
    async with asyncio.timeout(10):
        assert (await read_head(reader))[0] == 200
        told = await read_chunk(reader)
        upstream.seen.set()
        while piece := await read_chunk(reader):
            told += piece
    writer.close()
    return told


@pytest.mark.failure(94, 95)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
async def test_an_error_event_through_the_whole_gateway(end: bytes) -> None:
    event = b"event: error\ndata: " + envelope("invalid_request_error", "No.") + b"\n\n"
    event = event.replace(b"\n", end)
    async with passing() as (upstream, port, lines):
        upstream.say(PING, event)
        before = await asked(port, stream=True)
        upstream.say(START + BEGIN + HI, event)
        after = await begun(upstream, port)
        upstream.say(START + BEGIN + HI, event.replace(b"No.", KEY.encode()))
        quoted = await begun(upstream, port)
    assert (before.status, before.headers["request-id"]) == (400, "req_up")
    assert before.body == envelope("invalid_request_error", "No.")
    assert after == START + BEGIN + HI + event
    assert quoted.startswith(START + BEGIN + HI + b"event: error" + end)
    assert KEY.encode() not in quoted
    assert [json.loads(line)["error"][:21] for line in lines] == ["invalid_request_error"] * 3
    assert KEY not in "".join(lines)


@pytest.mark.failure(103)
async def test_a_packed_refusal_of_an_upstream_that_was_asked_for_none() -> None:
    async with passing() as (upstream, port, _):
        upstream.say(gzip.compress(envelope("invalid_request_error", "No.")), status=400)
        upstream.kind = "application/octet-stream"
        reply = await asked(port)
    assert reply.status == 400
    assert "No." in reply.json["error"]["message"]


async def test_what_is_missing_at_the_end_is_put_there() -> None:
    async with passing() as (upstream, port, _):
        upstream.say(START + BEGIN + HI + FINISH)
        reply = await asked(port, stream=True)
        upstream.say(START + BEGIN + HI)
        cut = await asked(port, stream=True)
    assert reply.body == START + BEGIN + HI + FINISH + STOP.replace(b': "', b':"')
    assert cut.body.startswith(START + BEGIN + HI + b"event: error\n")
