"""The door from outside: paths, replies, errors, and what is written about them, over a real socket."""

import asyncio
import gzip
import json

import pytest

from dragoman.config.settings import Config, Provider, Server
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.server.paths import canonical
from server_fixture import BODY, House, Routes, connect, head, read_chunk, read_head, read_reply, running

pytestmark = pytest.mark.anyio


def provider(name: str, *, ready: bool) -> Provider:
    target = Target(provider=name, dialect="chat", base_url="http://127.0.0.1:1", model="", quirks=None)
    return Provider(name=name, title=name, ready=ready, why="a key is set", template=target)


async def test_a_whole_answer() -> None:
    async with running() as house:
        house.script.record.notes = [Note("changed", "a.b"), Note("ignored", "c"), Note("lost", "d")]
        reply = await house.ask(
            "POST",
            "/v1/messages?beta=true",
            BODY,
            anthropic_version="2026-10-21",
            anthropic_beta="one, two",
            x_claude_code_session_id="session-1",
        )
    assert (reply.status, reply.body) == (200, b'{"type":"message"}')
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["request-id"].startswith("req_")
    assert reply.headers["x-dragoman-target"] == "lab/small"
    assert reply.headers["x-dragoman-notes"] == "a.b,d"
    assert "server" not in reply.headers
    (journey,) = house.script.journeys
    assert journey.closed.is_set()
    assert journey.request.body.model == "sonnet"
    assert journey.request.raw == json.dumps(BODY).encode()
    assert journey.request.version == "2026-10-21"
    assert journey.request.betas == ("one", "two")
    assert journey.request.query == "beta=true"
    assert journey.request.session == "session-1"
    assert house.log == [{"event": "closed"}]  # the line of a journey is the gateway's to write


async def test_several_beta_headers_are_joined() -> None:
    async with running() as house:
        raw = json.dumps(BODY).encode()
        reader, writer = await connect(house.port)
        start = head("POST", "/v1/messages", raw, {"anthropic-beta": "one"})
        writer.write(start.replace(b"\r\n\r\n", b"\r\nAnthropic-Beta: two,,three\r\n\r\n") + raw)
        assert (await read_reply(reader)).status == 200
        writer.close()
        assert house.script.journeys[0].request.betas == ("one", "two", "three")


@pytest.mark.failure(102)
async def test_a_stream_is_not_held_back_by_anything() -> None:
    async with running() as house:
        release = asyncio.Event()

        async def stream(send) -> None:
            await send(b"first")
            await release.wait()
            await send(b"second")

        house.script.stream = stream
        house.script.record.upstream_model = "mod\u00e8le\n"
        raw = json.dumps(BODY | {"stream": True}).encode()
        reader, writer = await connect(house.port)
        writer.write(head("POST", "/v1/messages", raw, {}) + raw)
        status, headers = await read_head(reader)
        assert status == 200
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert headers["cache-control"] == "no-cache"
        assert headers["x-accel-buffering"] == "no"
        assert headers["x-dragoman-target"] == "lab/mod?le?"
        assert "content-encoding" not in headers
        assert await read_chunk(reader) == b"first"  # while the rest is not even made
        release.set()
        assert await read_chunk(reader) == b"second"
        assert await read_chunk(reader) == b""
        writer.close()


@pytest.mark.failure(179)
async def test_path_prefixes() -> None:
    async with running() as house:
        for prefix in ("/v1", "/v1/v1", "/anthropic/v1", "//v1", "/anthropic/v1/v1"):
            for tail in ("", "/", "?beta=true", "/?beta=true"):
                assert (await house.ask("POST", f"{prefix}/messages{tail}", BODY)).status == 200
                counted = await house.ask("POST", f"{prefix}/messages/count_tokens{tail}", BODY)
                assert counted.json == {"input_tokens": 7}
            assert (await house.ask("GET", f"{prefix}/models")).status == 200


def test_canonical_paths() -> None:
    assert canonical("/") == "/"
    assert canonical("///") == "/"
    assert canonical("/anthropic") == "/anthropic"
    assert canonical("/v1/v1/v1/models/") == "/v1/models"


@pytest.mark.failure(95, 117)
async def test_an_error_before_the_first_byte_is_a_real_status() -> None:
    async with running() as house:

        async def hold() -> bool:
            raise ApiError("rate_limit", "slow down", retry_after=1.2)

        house.script.hold = house.script.message = hold
        for stream in (True, False):
            reply = await house.ask("POST", "/v1/messages", BODY | {"stream": stream})
            assert reply.status == 429
            assert reply.headers["content-type"] == "application/json"
            assert reply.headers["retry-after"] == "2"
            assert reply.headers["x-dragoman-target"] == "lab/small"
            assert reply.json == {
                "type": "error",
                "error": {"type": "rate_limit_error", "message": "slow down"},
                "request_id": reply.headers["request-id"],
            }
        assert all(journey.closed.is_set() for journey in house.script.journeys)


WHETHER_TO_RETRY = [
    (ApiError("billing", "no money", should_retry=False), "false"),
    (ApiError("overloaded", "busy", should_retry=True), "true"),
    (ApiError("upstream_authentication", "our key"), "false"),
    (ApiError("unsupported", "cannot"), "false"),
    (ApiError("upstream_failed", "broken"), None),
]


async def test_whether_to_retry() -> None:
    async with running() as house:
        for error, told in WHETHER_TO_RETRY:
            house.script.refuse = error
            reply = await house.ask("POST", "/v1/messages", BODY)
            assert reply.status == error.status
            assert reply.headers.get("x-should-retry") == told
            assert house.log[-1]["error"] == f"{error.type}: {error.message}"
            assert house.log[-1]["model"] == "sonnet"
            assert house.log[-1]["stream"] is None


BAD_BODIES = [
    (b"{", "not valid JSON"),
    (b"", "not valid JSON"),
    (b"[]", "Expected `object`"),
    (b'{"model": 1}', "model: Expected `str`"),
    (b'{"model":"m","messages":[]}', "max_tokens: Field required"),
]


async def test_bad_bodies() -> None:
    async with running() as house:
        for body, words in BAD_BODIES:
            reply = await house.ask("POST", "/v1/messages", body)
            assert reply.status == 400
            assert reply.json["error"]["type"] == "invalid_request_error"
            assert words in reply.json["error"]["message"]
            assert house.log[-1]["status"] == 400


UNKNOWN_PATHS = ["/v1/complete", "/v1/chat/completions", "/v1/files", "/nothing", "/v1"]


@pytest.mark.failure(117)
async def test_unknown_paths() -> None:
    async with running() as house:
        for path in UNKNOWN_PATHS:
            reply = await house.ask("POST", path, {})
            assert reply.status == 404
            assert reply.json["error"]["type"] == "not_found_error"
            assert "POST /v1/messages" in reply.json["error"]["message"]
            assert reply.json["request_id"] == reply.headers["request-id"]


WRONG_METHODS = [
    ("GET", "/v1/messages", "POST"),
    ("OPTIONS", "/v1/messages", "POST"),
    ("PUT", "/v1/messages/count_tokens", "POST"),
    ("POST", "/v1/models", "GET, HEAD"),
    ("DELETE", "/v1/models/sonnet", "GET, HEAD"),
    ("GET", "/api/event_logging/batch", "POST"),
]


@pytest.mark.failure(117)
async def test_wrong_methods() -> None:
    async with running() as house:
        for method, path, allowed in WRONG_METHODS:
            reply = await house.ask(method, path)
            assert reply.status == 405
            assert reply.headers["allow"] == allowed
            assert reply.json["error"]["type"] == "invalid_request_error"
            assert allowed in reply.json["error"]["message"]
            assert not any(name.startswith("access-control") for name in reply.headers)


async def test_a_failure_of_ours_shows_no_traceback() -> None:
    async with running() as house:
        house.script.refuse = KeyError("internal detail")
        reply = await house.ask("POST", "/v1/messages", BODY)
        assert reply.status == 500
        assert b"internal detail" not in reply.body
        assert b"Traceback" not in reply.body
        failure, line = house.log
        assert failure["event"] == "failure"
        assert failure["request_id"] == line["request_id"] == reply.headers["request-id"]
        assert "KeyError: 'internal detail'" in failure["traceback"]


@pytest.mark.failure(94)
async def test_a_failure_of_ours_inside_a_stream_is_one_error_event() -> None:
    async with running() as house:

        async def stream(send) -> None:
            await send(b"event: ping\ndata: {}\n\n")
            raise KeyError("internal detail")

        house.script.stream = stream
        reply = await house.ask("POST", "/v1/messages", BODY | {"stream": True})
        assert reply.status == 200
        ping, error, rest = reply.body.split(b"\n\n")
        assert (ping, rest) == (b"event: ping\ndata: {}", b"")
        name, data = error.split(b"\n")
        assert name == b"event: error"
        told = json.loads(data.removeprefix(b"data: "))
        assert told["error"]["type"] == "api_error"
        assert told["request_id"] == reply.headers["request-id"]


@pytest.mark.failure(136)
async def test_a_key_that_an_upstream_quotes_reaches_nobody() -> None:
    async with running(secrets=("canary-upstream-key",)) as house:
        house.script.refuse = ApiError(
            "upstream_authentication", "refused: canary-upstream-key", retry_after=3, should_retry=False, code="bad_key"
        )
        reply = await house.ask("POST", "/v1/messages", BODY)
        assert reply.status == 401
        assert reply.headers["retry-after"] == "3"
        assert reply.headers["x-should-retry"] == "false"
        assert reply.json["error"]["message"] == "refused: [redacted]"
        house.script.refuse = None

        async def stream(send) -> None:
            await send(b'event: a\ndata: {}\n\nevent: error\ndata: {"message":"canary-upstream-key"}\n\n')

        house.script.stream = stream
        reply = await house.ask("POST", "/v1/messages", BODY | {"stream": True})
        assert reply.body == b'event: a\ndata: {}\n\nevent: error\ndata: {"message":"[redacted]"}\n\n'
        assert "canary-upstream-key" not in "".join(house.lines)


@pytest.mark.failure(107, 109)
async def test_counting_is_local_and_stateless() -> None:
    async with running() as house:
        body = {"model": "sonnet", "messages": [{"role": "user", "content": "a"}] * 3}
        replies = await asyncio.gather(*(house.ask("POST", "/v1/messages/count_tokens", body) for _ in range(26)))
        assert [reply.json for reply in replies] == [{"input_tokens": 21}] * 26
        assert house.script.journeys == []
        assert house.log[-1]["path"] == "/v1/messages/count_tokens"
        assert (house.log[-1]["model"], house.log[-1]["stream"], house.log[-1]["error"]) == ("sonnet", None, None)


@pytest.mark.failure(112)
async def test_counting_for_an_unknown_model_is_not_found() -> None:
    async with running() as house:
        reply = await house.ask("POST", "/v1/messages/count_tokens", BODY | {"model": "gpt-0"})
        assert reply.status == 404
        assert reply.json["error"]["message"] == "no model gpt-0"


PROBES_NEED_NO_TOKEN_AND_ARE_NOT_LOGGED = [
    ("HEAD", "/"),
    ("GET", "/"),
    ("HEAD", "/api/hello"),
    ("GET", "/api/hello"),
    ("POST", "/api/event_logging/batch"),
    ("POST", "/api/event_logging/v2/batch"),
    ("GET", "/health"),
]


@pytest.mark.failure(153)
async def test_probes_need_no_token_and_are_not_logged() -> None:
    async with running(config=Config(server=Server(auth_token="canary-t0ken"))) as house:
        for method, path in PROBES_NEED_NO_TOKEN_AND_ARE_NOT_LOGGED:
            reply = await house.ask(method, path, b'{"events":[]}' if method == "POST" else None)
            assert reply.status == 200
            assert reply.headers["request-id"].startswith("req_")
            assert house.lines == []


async def test_the_token_is_told_on_this_machine() -> None:
    config = Config(server=Server(auth_token="canary-t0ken"))
    async with running(config=config) as house:
        assert (await house.ask("GET", "/auth-token")).json["auth_token"] == "canary-t0ken"
        refused = await house.ask("GET", "/auth-token", x_forwarded_for="192.0.2.1")
        assert (refused.status, b"canary-t0ken" in refused.body) == (403, False)
    async with running(config=Config(server=Server(auth_token="canary-t0ken", show_token=True))) as house:
        assert (await house.ask("GET", "/auth-token", x_forwarded_for="192.0.2.1")).json["auth_token"] == "canary-t0ken"
    async with running() as house:
        assert (await house.ask("GET", "/auth-token")).json["auth_token"] == ""


async def test_health_says_who_is_ready() -> None:
    some = {"lab": provider("lab", ready=True), "far": provider("far", ready=False)}
    async with running(config=Config(providers=some)) as house:
        assert (await house.ask("GET", "/health")).json == {"status": "ok"}
        reply = await house.ask("GET", "/health/ready")
        assert (reply.status, reply.json) == (200, {"status": "ready", "providers": {"lab": True, "far": False}})
    async with running(config=Config(providers={"far": provider("far", ready=False)})) as house:
        reply = await house.ask("GET", "/health/ready")
        assert (reply.status, reply.json) == (503, {"status": "not ready", "providers": {"far": False}})
    async with running(config=Config(demo=True)) as house:
        assert (await house.ask("GET", "/health/ready")).status == 200


@pytest.mark.failure(111, 114)
async def test_models_over_the_wire() -> None:
    async with running(routes=Routes("claude/lab/small", "qwen3:8b", "openrouter/anthropic/claude-x")) as house:
        listing = (await house.ask("GET", "/v1/models?limit=1000")).json
        assert [entry["id"] for entry in listing["data"]] == [
            "claude/lab/small",
            "qwen3:8b",
            "openrouter/anthropic/claude-x",
        ]
        for path in ("openrouter/anthropic/claude-x", "openrouter%2Fanthropic%2Fclaude-x", "qwen3:8b", "qwen3%3A8b"):
            assert (await house.ask("GET", f"/v1/models/{path}")).status == 200
        missing = await house.ask("GET", "/v1/models/gpt-0")
        assert missing.status == 404
        assert "gpt-0" in missing.json["error"]["message"]
        assert house.log[-1]["status"] == 404


ANY_ONE_HEADER_OPENS = [
    {"authorization": "Bearer canary-t0ken"},
    {"authorization": "bearer  canary-t0ken"},
    {"x_api_key": "canary-t0ken"},
    {"x_dragoman_token": "canary-t0ken"},
    {"x_api_key": "canary-t0ken", "authorization": "Bearer sk-ant-left-over"},
]


@pytest.mark.failure(139)
async def test_any_one_header_opens() -> None:
    async with running(config=Config(server=Server(auth_token="canary-t0ken"))) as house:
        for headers in ANY_ONE_HEADER_OPENS:
            assert (await house.ask("POST", "/v1/messages", BODY, **headers)).status == 200


@pytest.mark.failure(139)
async def test_without_the_token_nothing_is_read() -> None:
    async with running(config=Config(server=Server(auth_token="canary-t0ken"))) as house:
        wrong: list[dict[str, str]] = [
            {},
            {"x_api_key": "wrong-wrong"},
            {"authorization": "Basic canary-t0ken"},
        ]
        for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/models", "/unknown"):
            for headers in wrong:
                reply = await house.ask("POST", path, BODY, **headers)
                assert reply.status == 401
                assert reply.headers["x-should-retry"] == "false"
                assert reply.json["error"]["type"] == "authentication_error"
                assert "server.auth_token" in reply.json["error"]["message"]
        assert house.script.journeys == []
        assert [line["status"] for line in house.log] == [401] * 12


@pytest.mark.failure(138)
async def test_web_pages_are_kept_out() -> None:
    async with running() as house:
        rebound = await house.ask("POST", "/v1/messages", BODY, host=f"evil.example:{house.port}")
        blind = await house.ask("POST", "/v1/messages", BODY, origin="https://evil.example")
        assert (rebound.status, blind.status) == (403, 403)
        assert house.script.journeys == []
        assert (await house.ask("POST", "/v1/messages", BODY, host=f"localhost:{house.port}")).status == 200


@pytest.mark.failure(124)
async def test_too_large_is_said_before_it_is_read() -> None:
    async with running(config=Config(server=Server(body_limit=1000))) as house:
        reader, writer = await connect(house.port)
        writer.write(head("POST", "/v1/messages", b"x" * 1001, {}))  # and no byte of the body
        reply = await read_reply(reader)
        assert reply.status == 413
        assert reply.json["error"]["type"] == "request_too_large"
        writer.write(b"x" * 1001)  # what the client was sending all the while is swallowed
        writer.write(head("GET", "/health", b"", {}))
        assert (await read_reply(reader)).status == 200
        writer.close()


@pytest.mark.failure(124)
async def test_a_real_session_fits() -> None:
    async with running() as house:
        body = BODY | {"messages": [{"role": "user", "content": "x" * 33_000_000}]}
        assert (await house.ask("POST", "/v1/messages", body)).status == 200
        assert house.intake.held == 0


async def test_packed_bodies_over_the_wire() -> None:
    async with running() as house:
        packed = gzip.compress(json.dumps(BODY).encode())
        assert (await house.ask("POST", "/v1/messages", packed, content_encoding="gzip")).status == 200
        assert house.script.journeys[0].request.raw == json.dumps(BODY).encode()
        refused = await house.ask("POST", "/v1/messages", packed, content_encoding="br")
        assert refused.status == 415
        assert refused.headers["accept-encoding"] == "gzip"


async def left_early(house: House, raw: bytes) -> None:
    reader, writer = await connect(house.port)
    writer.write(raw)
    async with asyncio.timeout(5):
        await house.script.entered.wait()
        writer.close()
        (journey,) = house.script.journeys
        await journey.closed.wait()
    assert journey.cancelled
    del reader


@pytest.mark.failure(101)
@pytest.mark.parametrize("window", ["first byte", "streaming", "whole"])
async def test_a_caller_who_leaves_stops_the_work(window: str) -> None:
    async with running() as house:

        async def forever(*_args: object) -> bytes:
            await asyncio.Event().wait()
            return b""

        async def endless(send) -> None:
            while True:  # uvicorn's `send` says nothing when the caller has gone
                await send(b"x" * 100)
                await asyncio.sleep(0.001)

        house.script.hold = forever if window == "first byte" else house.script.hold
        house.script.stream = endless
        house.script.message = forever
        raw = json.dumps(BODY | {"stream": window != "whole"}).encode()
        await left_early(house, head("POST", "/v1/messages", raw, {}) + raw)
        assert house.lines == []  # nobody failed


async def test_a_caller_who_leaves_inside_the_body() -> None:
    async with running() as house:
        reader, writer = await connect(house.port)
        writer.write(head("POST", "/v1/messages", b"x" * 100, {}) + b'{"mod')
        await writer.drain()
        writer.close()
        async with asyncio.timeout(5):
            while not house.lines:
                await asyncio.sleep(0.01)
        assert house.log[-1]["status"] == 499
        assert house.intake.held == 0
        del reader


async def test_stopping_ends_open_streams_with_an_error_event() -> None:
    async with running(config=Config(server=Server(drain_timeout=0))) as house:

        async def stream(send) -> None:
            await send(b"event: ping\ndata: {}\n\n")
            await asyncio.Event().wait()

        house.script.stream = stream
        asking = asyncio.ensure_future(house.ask("POST", "/v1/messages", BODY | {"stream": True}))
        async with asyncio.timeout(5):
            await house.script.entered.wait()
        house.stop.set()
        reply = await asking
        assert b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"' in reply.body
        assert reply.body.endswith(b"\n\n")


async def test_stopping_waits_for_open_streams() -> None:
    async with running() as house:
        release = asyncio.Event()

        async def message() -> bytes:
            await release.wait()
            return b"{}"

        house.script.message = message
        asking = asyncio.ensure_future(house.ask("POST", "/v1/messages", BODY))
        async with asyncio.timeout(5):
            await house.script.entered.wait()
            house.stop.set()
            asyncio.get_running_loop().call_later(0.2, release.set)
            reply = await asking
            await house.serving
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert house.log[-1] == {"event": "closed"}


async def test_an_upgrade_to_a_websocket_is_not_taken() -> None:
    async with running() as house:
        headers = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec_websocket_key": "x",
            "sec_websocket_version": "13",
        }
        reply = await house.ask("GET", "/v1/messages", None, **headers)
        assert reply.status == 405


async def test_other_protocols_are_left_alone() -> None:
    async with running() as house:
        assert await house.application({"type": "websocket"}, None, None) is None  # type: ignore[arg-type]


async def test_a_page_knows_no_target_until_there_is_one() -> None:
    async with running() as house:
        house.script.record.provider = None

        async def hold() -> bool:
            raise ApiError("not_found", "nobody")

        house.script.hold = hold
        reply = await house.ask("POST", "/v1/messages", BODY | {"stream": True})
        assert reply.status == 404
        assert "x-dragoman-target" not in reply.headers


async def test_lines_of_libraries_come_through_the_log() -> None:
    async with running() as house:
        reader, writer = await connect(house.port)
        writer.write(b"NONSENSE\r\n\r\n")
        reply = await read_reply(reader)
        assert reply.status == 400
        assert reply.json["error"]["type"] == "invalid_request_error"
        assert "https" in reply.json["error"]["message"]
        assert await reader.read() == b""
        writer.close()
        assert house.log[-1]["level"] == "warning"
        assert "Invalid HTTP request" in house.log[-1]["message"]


@pytest.mark.failure(39, 140)
async def test_a_request_holds_the_callers_headers_and_no_credentials() -> None:
    async with running() as house:
        await house.ask(
            "POST",
            "/v1/messages",
            BODY,
            anthropic_beta="a,b",
            authorization="Bearer x",
            x_api_key="x",
            cookie="x",
            x_nobody_knows="1",
            connection="x-hop, keep-alive",
            x_hop="1",
        )
    (journey,) = house.script.journeys
    assert journey.request.headers == ((b"anthropic-beta", b"a,b"), (b"x-nobody-knows", b"1"))
    assert house.script.callers == [()]


@pytest.mark.failure(136)
@pytest.mark.shows_keys("to the caller, whose own it is")
async def test_a_refusal_that_quotes_the_callers_key_is_not_logged_so() -> None:
    async with running(credentials=lambda headers: (("authorization", headers[b"authorization"].decode()),)) as house:
        seen: list[ApiError | None] = []

        async def refused() -> bytes:
            record = house.script.record
            record.error = ApiError("billing", "key canary-unusual-word has no money", upstream_status=402)
            raise record.error

        house.script.message = refused
        house.script.closed = lambda journey: seen.append(journey.record.error)
        reply = await house.ask("POST", "/v1/messages", BODY, authorization="Bearer canary-unusual-word")
        assert "canary-unusual-word" in reply.json["error"]["message"]  # it is the caller's own
        assert house.script.callers == [(("authorization", "Bearer canary-unusual-word"),)]
    (error,) = seen
    assert error is not None
    assert (error.kind, error.message) == ("billing", "key [redacted] has no money")
