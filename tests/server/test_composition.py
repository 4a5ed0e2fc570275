"""The whole gateway, as it is built for production, between a client and an upstream on real sockets."""

import asyncio
import contextlib
import gc
import json
import re
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from msgspec import structs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from dragoman.config import with_demo
from dragoman.config.settings import Config, Leads, Logs, Provider, Secrets, Server
from dragoman.demo.application import build as build_demo
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.gateway.journey import Journey
from dragoman.gateway.pursuit import Pursuit
from dragoman.server.application import build
from dragoman.server.exchange import Exchange
from freed import all_freed
from server_fixture import BODY, ask, listening

pytestmark = pytest.mark.anyio

UPSTREAM_KEY = "canary-upstream-4711"
GATEWAY_TOKEN = "canary-gateway-4712"
CALLER_KEY = "canary-caller-4713"
CANARIES = (UPSTREAM_KEY, GATEWAY_TOKEN, CALLER_KEY)


def configuration(port: int, **server: Any) -> Config:
    target = Target(
        provider="lab", dialect="chat", base_url=f"http://127.0.0.1:{port}/v1", model="", quirks=Quirks(), key="LAB_KEY"
    )
    lab = Provider(name="lab", title="Lab", ready=True, why="LAB_KEY is set", big="small", template=target)
    return Config(server=Server(**server), providers={"lab": lab}, models=(("sonnet", Leads.to("lab/small")),))


class Indiscreet:
    """An upstream that writes everything that it was sent into its refusals."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.status = 401
        self.inside_a_stream = False

    async def answer(self, request: Request) -> Response:
        self.seen.append(str(request.headers.raw) + (await request.body()).decode())
        error = {"error": {"message": f"Refused, with {UPSTREAM_KEY} in {request.headers.raw!r}", "type": "x"}}
        if self.inside_a_stream:
            begin = {"id": "1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "so"}}]}

            async def frames() -> AsyncIterator[str]:
                yield f"data: {json.dumps(begin)}\n\n"
                await asyncio.sleep(0.1)  # so that the beginning is committed
                yield f"data: {json.dumps(error)}\n\n"

            return StreamingResponse(frames(), media_type="text/event-stream")
        return JSONResponse(error, self.status)


@contextlib.asynccontextmanager
async def demo() -> AsyncIterator[tuple[int, list[str]]]:
    lines: list[str] = []
    async with listening(build_demo(0)) as (port, _, _):
        config = with_demo(Config(demo=True), f"http://127.0.0.1:{port}/v1")
        async with listening(build(config, Secrets({}), write=lines.append)) as (gateway, _, _):
            yield gateway, lines


@pytest.mark.failure(86, 105)
async def test_with_nothing_configured_everything_works() -> None:
    async with demo() as (port, lines):
        whole = await ask(port, "POST", "/v1/messages", BODY)
        streamed = await ask(port, "POST", "/v1/messages", BODY | {"stream": True})
        counted = await ask(port, "POST", "/v1/messages/count_tokens", BODY)
        ready = await ask(port, "GET", "/health/ready")
        listed = await ask(port, "GET", "/v1/models")
    assert whole.json["model"] == "sonnet"
    assert whole.json["stop_reason"] == "max_tokens"
    assert whole.headers["x-dragoman-target"] == "demo/tools"
    assert streamed.body.startswith(b"event: message_start\n")
    assert streamed.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert counted.json["input_tokens"] > 0
    assert ready.json == {"status": "ready", "providers": {"demo": True}}
    assert "claude/demo/echo" in [entry["id"] for entry in listed.json["data"]]
    first, second = [json.loads(line) for line in lines][:2]
    assert (first["provider"], first["upstream_model"], first["attempts"]) == ("demo", "tools", 1)
    assert first["endpoint"].endswith("/v1/chat/completions")
    assert first["usage"]["output_tokens"] == 10
    assert first["first_token_ms"] is None
    assert second["stream"] is True
    assert second["first_token_ms"] is not None


@pytest.mark.failure(106)
async def test_streams_at_the_same_time_do_not_mix() -> None:
    async with demo() as (port, _):

        async def one(number: int) -> bytes:
            said = [{"role": "user", "content": f"word{number}word"}]
            reply = await ask(port, "POST", "/v1/messages", BODY | {"stream": True, "max_tokens": 90, "messages": said})
            deltas = [json.loads(line[6:]) for line in reply.body.split(b"\n") if b"text_delta" in line]
            return "".join(delta["delta"]["text"] for delta in deltas).encode()

        answers = await asyncio.gather(*map(one, range(20)))
    for number, answer in enumerate(answers):
        assert answer.endswith(f"You said: word{number}word".encode())


@pytest.mark.failure(150)
async def test_a_proxy_of_the_environment_does_not_catch_loopback() -> None:
    async with listening(build_demo(0)) as (port, _, _):
        proxies = {"http": "http://127.0.0.1:1", "https": "http://127.0.0.1:1"}
        config = with_demo(Config(demo=True, proxies=proxies), f"http://127.0.0.1:{port}/v1")
        async with listening(build(config, Secrets({}), write=lambda _: None)) as (gateway, _, _):
            assert (await ask(gateway, "POST", "/v1/messages", BODY)).status == 200


@pytest.mark.failure(112)
async def test_a_model_that_nobody_has_is_logged_too() -> None:
    async with demo() as (port, lines):
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            reply = await ask(port, "POST", path, BODY | {"model": "nobody/has-this"})
            assert reply.status == 404
    assert [json.loads(line)["status"] for line in lines] == [404, 404]


@pytest.mark.failure(136, 140, 143)
async def test_keys_go_nowhere_but_where_they_belong() -> None:
    indiscreet = Indiscreet()
    lines: list[str] = []
    told = b""
    upstream = Starlette(routes=[Route("/v1/chat/completions", indiscreet.answer, methods=["POST"])])
    async with listening(upstream) as (upstream_port, _, _):
        config = configuration(upstream_port, auth_token=GATEWAY_TOKEN, retries=0)
        application = build(config, Secrets({"LAB_KEY": UPSTREAM_KEY}), write=lines.append)
        async with listening(application) as (port, _, _):
            headers = {
                "x_dragoman_token": GATEWAY_TOKEN,
                "authorization": f"Bearer {CALLER_KEY}",
                "x_api_key": f"sk-{CALLER_KEY}",
                "x_goog_api_key": CALLER_KEY,
                "cookie": f"key={CALLER_KEY}",
                "x_claude_code_session_id": "session-1",
                "user_agent": CALLER_KEY,
            }
            for indiscreet.status in (400, 401, 403, 404, 429, 500, 503):
                for stream in (True, False):
                    reply = await ask(port, "POST", "/v1/messages", BODY | {"stream": stream}, headers)
                    assert reply.status >= 400
                    told += str(reply.headers).encode() + reply.body
            indiscreet.inside_a_stream = True
            reply = await ask(port, "POST", "/v1/messages", BODY | {"stream": True}, headers)
            assert b"event: error\n" in reply.body
            told += reply.body
            wrong = {"authorization": f"Bearer {CALLER_KEY}"}
            for path in ("/v1/messages", "/v1/models", "/nowhere", "/health", "/health/ready"):
                reply = await ask(port, "POST" if "messages" in path else "GET", path, BODY, wrong)
                told += reply.body
    assert len(indiscreet.seen) == 15
    for seen in indiscreet.seen:
        assert seen.count(UPSTREAM_KEY) == 1
        assert f"Bearer {UPSTREAM_KEY}" in seen
        assert GATEWAY_TOKEN not in seen
        assert CALLER_KEY not in seen
    written = "".join(lines)
    assert len(lines) >= 15
    for canary in CANARIES:
        assert canary not in written
        assert canary.encode() not in told
    assert b"Refused" in told  # the upstream's words themselves are told


@pytest.mark.failure(136)
async def test_a_failure_of_ours_keeps_keys_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    config = configuration(1, auth_token=GATEWAY_TOKEN)

    def broken(*_: object) -> None:
        raise ValueError(f"with {UPSTREAM_KEY}")

    monkeypatch.setattr("dragoman.providers.credentials.headers", broken)
    application = build(config, Secrets({"LAB_KEY": UPSTREAM_KEY}), write=lines.append)
    async with listening(application) as (port, _, _):
        reply = await ask(port, "POST", "/v1/messages", BODY, {"x_api_key": GATEWAY_TOKEN})
    assert reply.status == 500
    assert UPSTREAM_KEY.encode() not in reply.body
    line, failure = (json.loads(text) for text in lines)
    assert line["status"] == 500
    assert failure["request_id"] == line["request_id"] == reply.headers["request-id"]
    assert "ValueError: with [redacted]" in failure["traceback"]


@pytest.mark.failure(144)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_of_ours_is_freed_at_once(monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    def broken(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr("dragoman.providers.credentials.headers", broken)
    application = build(configuration(1), Secrets({"LAB_KEY": UPSTREAM_KEY}), write=lambda _: None)
    async with listening(application) as (port, _, _), all_freed(Exchange, Journey, Pursuit):
        for _ in range(3):
            reply = await ask(port, "POST", "/v1/messages", BODY | {"stream": stream})
            assert reply.status == 500


@pytest.mark.failure(101)
async def test_a_caller_who_leaves_frees_the_upstream() -> None:
    """In all three windows the upstream sees its connection closed."""
    asked, left = asyncio.Queue[bool](), asyncio.Queue[bool]()

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (message := await receive())["more_body"]:
            continue
        if b'"speak"' in message["body"]:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
            )
            begin = b'data: {"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":"so"}}]}\n\n'
            await send({"type": "http.response.body", "body": begin, "more_body": True})
        await asked.put(True)
        while (await receive())["type"] != "http.disconnect":
            continue
        await left.put(True)

    lines: list[str] = []
    async with listening(silent) as (upstream_port, _, _):
        config = configuration(upstream_port)
        application = build(config, Secrets({"LAB_KEY": UPSTREAM_KEY}), write=lines.append)
        async with listening(application) as (port, _, _):
            for words, stream in (("quiet", True), ("speak", True), ("quiet", False)):
                body = BODY | {"stream": stream, "messages": [{"role": "user", "content": words}]}
                asking = asyncio.ensure_future(ask(port, "POST", "/v1/messages", body))
                async with asyncio.timeout(5):
                    await asked.get()
                    asking.cancel()
                    await left.get()
    for line in lines:
        assert json.loads(line)["error"].startswith("caller_left")
    assert [json.loads(line)["status"] for line in lines] == [499, 200, 499]


@pytest.mark.parametrize("form", ["json", "human", "auto"])
async def test_without_a_writer_lines_go_to_standard_output(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(logs=Logs(format=form))
    async with listening(build(config, Secrets({}))) as (port, _, _):
        await ask(port, "GET", "/v1/models")
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert ('"event":"request"' in printed) == (form != "human")
    assert "/v1/models" in printed


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_who_looks_for_a_cause_is_told_each_attempt(level: Literal["info", "debug"]) -> None:
    asked: list[Request] = []

    async def moody(request: Request) -> Response:
        asked.append(request)
        if len(asked) == 1:
            return JSONResponse({"error": {"message": "Later."}}, 503, {"retry-after": "0"})
        return JSONResponse({"choices": [{"message": {"content": "Well."}, "finish_reason": "stop"}]})

    lines: list[str] = []
    upstream = Starlette(routes=[Route("/v1/chat/completions", moody, methods=["POST"])])
    async with listening(upstream) as (upstream_port, _, _):
        config = structs.replace(configuration(upstream_port), logs=Logs(level=level))
        async with listening(build(config, Secrets({"LAB_KEY": UPSTREAM_KEY}), write=lines.append)) as (port, _, _):
            told = await ask(port, "POST", "/v1/messages", {**BODY, "thinking": {"type": "disabled"}})
    assert told.status == 200
    *details, line = map(json.loads, lines)
    assert line["event"] == "request"
    assert {each["request_id"] for each in details} <= {line["request_id"]}
    found = [re.sub(r"\d+ ms", "1 ms", each["message"]) for each in details]
    wanted = [
        "attempt 1: lab/small: 503 after 1 ms, overloaded",
        "attempt 2: lab/small: 200 after 1 ms, taken",
        "left out without effect: thinking.off_unsaid",
    ]
    assert found == (wanted if level == "debug" else [])


@pytest.mark.failure(138)
def test_off_loopback_without_a_token_nothing_is_built() -> None:
    with pytest.raises(ValueError, match="auth_token"):
        build(Config(server=Server(host="0.0.0.0")), Secrets({}), write=print)


@pytest.mark.failure(145)
async def test_connections_of_a_provider_are_bounded_and_the_next_target_stands_in() -> None:
    """One connection is allowed, and in use: the next request waits its time, and then another provider is asked."""
    asked, over = asyncio.Event(), asyncio.Event()
    said = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "so"}, "finish_reason": "stop"}]}

    async def busy(_request: Request) -> Response:
        asked.set()
        await over.wait()
        return JSONResponse(said)

    async def free(_request: Request) -> Response:
        return JSONResponse(said)

    lines: list[str] = []
    upstreams = [Starlette(routes=[Route("/v1/chat/completions", each, methods=["POST"])]) for each in (busy, free)]
    async with listening(upstreams[0]) as (one, _, _), listening(upstreams[1]) as (two, _, _):
        limited, other = (configuration(port).providers["lab"] for port in (one, two))
        config = Config(
            server=Server(queue_timeout=0.05),
            logs=Logs(format="json"),
            providers={
                "lab": structs.replace(limited, connections=1),
                "hall": structs.replace(other, template=structs.replace(other.template, provider="hall")),
            },
            models=(("sonnet", Leads.to("lab/small", "hall/large")),),
        )
        async with listening(build(config, Secrets({"LAB_KEY": "k"}), write=lines.append)) as (gateway, _, _):
            first = asyncio.create_task(ask(gateway, "POST", "/v1/messages", BODY))
            await asked.wait()
            second = await ask(gateway, "POST", "/v1/messages", BODY)
            over.set()
            targets = [reply.headers["x-dragoman-target"] for reply in (await first, second)]
    assert targets == ["lab/small", "hall/large"]
    assert not any("rests" in line for line in lines)  # it was no fault of the provider


@pytest.mark.failure(144)
@pytest.mark.parametrize("model", ["nobody/has-this", "sonnet"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_fails_is_freed_at_once(model: str, stream: bool) -> None:
    """And not when the garbage collector comes: errors that are kept hold no frames."""

    async def broken(_request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield 'data: {"choices":[{"index":0,"delta":{"content":"so"}}]}\n\n'

        return StreamingResponse(pieces(), media_type="text/event-stream")

    def alive() -> int:
        return sum(isinstance(each, Exchange | Journey | Pursuit) for each in gc.get_objects())

    upstream = Starlette(routes=[Route("/v1/chat/completions", broken, methods=["POST"])])
    async with listening(upstream) as (port, _, _):
        application = build(configuration(port, retries=0), Secrets({"LAB_KEY": UPSTREAM_KEY}), write=lambda _: None)
        async with listening(application) as (gateway, _, _):
            await ask(gateway, "POST", "/v1/messages", BODY | {"model": model, "stream": stream})
            gc.collect()
            before = alive()
            gc.disable()
            try:
                for _ in range(5):
                    reply = await ask(gateway, "POST", "/v1/messages", BODY | {"model": model, "stream": stream})
                    assert reply.status == 404 or b"before it was complete" in reply.body
                for _ in range(100):
                    if alive() <= before:
                        break
                    await asyncio.sleep(0.01)
                assert alive() <= before
            finally:
                gc.enable()
