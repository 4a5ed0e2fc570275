"""The same journeys over real sockets, with the Chat dialect: what the network can do to them."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from msgspec import structs

from dragoman.config.settings import Server as Settings
from dragoman.dialects.chat import CHAT
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.gateway.gateway import Gateway
from dragoman.gateway.record import Record
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode
from dragoman.routing.route import Route
from dragoman.upstream.client import Upstream
from playbook.transcript import KeySigner, short
from upstream.wire import Connection, Server

pytestmark = pytest.mark.anyio


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"choices": choices} | more
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def call(**function: str) -> dict[str, Any]:
    named = {"id": "call_1", "type": "function"} if "name" in function else {}
    return {"tool_calls": [{"index": 0, **named, "function": function}]}


BEGIN = chunk({"role": "assistant", "content": ""}) + chunk({"content": "Hel"})
REST = (
    chunk({"content": "lo \u2028 é 𝄞"})
    + chunk(call(name="write", arguments=""))
    + chunk(call(arguments='{"path": "'))
    + chunk(call(arguments='a"}'))
)
FINISH = chunk({}, "tool_calls")
USAGE = chunk(None, usage={"prompt_tokens": 9, "completion_tokens": 5})
DONE = b"data: [DONE]\n\n"
STREAM = BEGIN + REST + FINISH + USAGE + DONE
COMPLETION = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 5},
}


def lab(server: Server, provider: str = "lab", **quirks: Any) -> Target:
    return Target(
        provider=provider,
        dialect="chat",
        base_url=server.url + "/v1",
        model="small",
        quirks=Quirks(**quirks),
        key="KEY",
    )


class Caller:
    """Asks the gateway as the server does, and keeps every byte."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.sent: list[bytes] = []
        self.opened: bool | None = None
        self.got = asyncio.Event()
        self.record: Record | None = None

    async def ask(self, *, stream: bool = True, **fields: Any) -> bytes:
        body: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
        body |= fields
        if stream:
            body["stream"] = True
        journey = self.gateway.begin(decode(json.dumps(body).encode()), "req_1")
        self.record = journey.record
        try:
            if not stream:
                return await journey.message()
            self.opened = not await journey.hold()
            await journey.stream(self.write)
            return b"".join(self.sent)
        finally:
            journey.close()

    async def write(self, frames: bytes) -> None:
        self.sent.append(frames)
        self.got.set()

    @property
    def frames(self) -> list[str]:
        return [short(frame) for frame in b"".join(self.sent).decode().split("\n\n")[:-1]]


@asynccontextmanager
async def gateway(*targets: Target, limit: int = 0, **settings: Any) -> AsyncIterator[Gateway]:
    upstream = Upstream(connect_timeout=5, proxies={}, no_proxy=(), connections=lambda _host, _port: limit)
    ids = itertools.count()

    class Router:
        def route(self, name: str, *, thinking: bool = False) -> Route:
            return Route(requested=name, targets=targets, steps=())

    try:
        yield Gateway(
            router=Router(),
            dialects={"chat": CHAT},
            upstream=upstream,
            signer=KeySigner(),
            settings=structs.replace(Settings(retries=0), **settings),
            watch=lambda _record: None,
            new_id=lambda: f"{next(ids):06d}",
        )
    finally:
        await upstream.close()


async def streamed(connection: Connection, *chunks: bytes) -> None:
    await connection.request()
    await connection.open_stream()
    for part in chunks:
        await connection.chunk(part)


async def whole(connection: Connection) -> None:
    """Serves streams, for as long as the client likes."""
    while True:
        await streamed(connection, STREAM, b"")


async def uncut() -> bytes:
    async with Server(whole) as server, gateway(lab(server)) as one:
        return await Caller(one).ask()


async def test_a_whole_stream() -> None:
    async with Server(whole) as server, gateway(lab(server)) as one:
        caller = Caller(one)
        await caller.ask()
    assert caller.frames == [
        "message_start",
        "start 0 text",
        "delta 0 Hel",
        "delta 0 lo \u2028 é 𝄞",
        "stop 0",
        "start 1 tool_use",
        'delta 1 {"path": "',
        'delta 1 a"}',
        "stop 1",
        "message_delta tool_use",
        "message_stop",
    ]
    assert caller.record is not None
    assert caller.record.usage is not None
    assert (caller.record.usage.input_tokens, caller.record.usage.output_tokens) == (9, 5)


async def test_a_message() -> None:
    async def complete(connection: Connection) -> None:
        received = await connection.request()
        assert received.path == "/v1/chat/completions"
        assert received.headers["authorization"] == "Bearer KEY"
        await connection.answer(json.dumps(COMPLETION).encode())

    async with Server(complete) as server, gateway(lab(server)) as one:
        message = json.loads(await Caller(one).ask(stream=False))
    assert message["content"] == [{"type": "text", "text": "Hello"}]
    assert message["id"] == "msg_000000"


@pytest.mark.failure(94, 97)
async def test_cut_at_any_byte() -> None:
    """A stream that is cut: its beginning and an error, or all of it when the finish mark had come."""
    full = await uncut()
    frames = full.split(b"\n\n")[:-1]
    marked = len(BEGIN + REST + FINISH.rstrip())  # from here on the upstream has said that it is finished
    offset = 0

    async def cut(connection: Connection) -> None:
        await streamed(connection, STREAM[:offset]) if offset else await streamed(connection)
        connection.cut()

    async with Server(cut) as server, gateway(lab(server)) as one:
        for offset in range(len(STREAM) + 1):
            caller = Caller(one)
            if offset < len(BEGIN):
                with pytest.raises(ApiError) as caught:
                    await caller.ask()
                assert (caught.value.status, caller.sent) == (502, [])
                continue
            told = (await caller.ask()).split(b"\n\n")[:-1]
            if told[-1].startswith(b"event: error"):
                assert offset < marked
                assert renumbered(told[:-1]) == renumbered(frames[: len(told) - 1])
                assert b"message_stop" not in b"".join(told)
            else:
                assert offset >= marked
                assert [frame.split(b"\n")[0] for frame in told] == [frame.split(b"\n")[0] for frame in frames]


def renumbered(frames: list[bytes]) -> list[bytes]:
    """Without the message's own id, and the ids made from it."""
    return [frame if b'"id":"' not in frame else frame.partition(b'"id":"')[0] for frame in frames]


@pytest.mark.failure(94)
@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_the_upstream_is_killed_in_the_middle(how: str) -> None:
    caller: Caller

    async def killed(connection: Connection) -> None:
        await streamed(connection, BEGIN)
        await caller.got.wait()
        getattr(connection, how)()

    async with Server(killed) as server, gateway(lab(server)) as one:
        caller = Caller(one)
        await caller.ask()
    assert caller.frames[:3] == ["message_start", "start 0 text", "delta 0 Hel"]
    assert caller.frames[3].startswith("error api_error: ")
    assert len(caller.frames) == 4
    assert caller.record is not None
    assert caller.record.error_kind == "truncated"


@pytest.mark.failure(95, 119)
async def test_failures_before_the_first_byte_are_real_statuses() -> None:
    async def garbage(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"220 smtp.test ESMTP\r\n\r\n")

    async def half(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
        connection.cut()

    async def mute(connection: Connection) -> None:
        await connection.request()
        connection.cut()

    for script, kind in ((garbage, "bad_answer"), (half, "unreachable"), (mute, "unreachable")):
        for stream in (True, False):
            async with Server(script) as server, gateway(lab(server)) as one:
                caller = Caller(one)
                with pytest.raises(ApiError) as caught:
                    await caller.ask(stream=stream)
            assert (caught.value.kind, caught.value.status) == (kind, 502)
            assert caller.sent == []


async def test_nobody_listens() -> None:
    async with Server(whole) as server:
        target = lab(server)
    async with gateway(target) as one:
        with pytest.raises(ApiError) as caught:
            await Caller(one).ask()
    assert caught.value.status == 502


@pytest.mark.failure(95, 129)
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
async def test_an_error_under_status_200_is_a_real_status(content_type: str) -> None:
    body = json.dumps({"error": {"message": "Rate limit reached", "type": "rate_limit_error", "code": 429}}).encode()
    if content_type == "text/event-stream":
        body = b"data: " + body + b"\n\n"

    async def pretender(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer(body, content_type=content_type)

    async with Server(pretender) as server, gateway(lab(server)) as one:
        for stream in (True, False):
            with pytest.raises(ApiError) as caught:
                await Caller(one).ask(stream=stream)
            assert caught.value.status == 429


@pytest.mark.failure(100)
@pytest.mark.parametrize("said", [b"", BEGIN])
async def test_silence_ends_in_an_error_and_a_closed_connection(said: bytes) -> None:
    closed = asyncio.Event()

    async def silent(connection: Connection) -> None:
        await streamed(connection, *([said] if said else []))
        assert await connection.gone()
        closed.set()

    async with Server(silent) as server, gateway(lab(server), read_idle=0.05, ping_every=0.02) as one:
        caller = Caller(one)
        if said:
            await caller.ask()
            assert "ping" in caller.frames
            assert caller.frames[-1].startswith("error timeout_error: ")
        else:
            with pytest.raises(ApiError) as caught:
                await caller.ask()
            assert caught.value.status == 504
        await asyncio.wait_for(closed.wait(), 5)


@pytest.mark.failure(99)
async def test_slow_headers_open_the_stream_with_pings() -> None:
    caller: Caller

    async def slow(connection: Connection) -> None:
        await connection.request()
        await caller.got.wait()
        await connection.open_stream()
        await connection.chunk(STREAM)
        await connection.chunk(b"")

    async with Server(slow) as server, gateway(lab(server), open_after=0.02) as one:
        caller = Caller(one)
        await caller.ask()
    assert caller.opened
    assert caller.frames[0] == "ping"
    assert caller.frames[1] == "message_start"
    assert caller.frames[-1] == "message_stop"


@pytest.mark.failure(101, 145)
@pytest.mark.parametrize("window", ["headers", "held", "streaming", "message"])
async def test_a_caller_that_leaves_closes_the_upstream_and_frees_its_place(window: str) -> None:
    """In every window, with a pool of one connection that serves the next caller."""
    reached, closed = asyncio.Event(), asyncio.Event()

    async def endless(connection: Connection) -> None:
        await connection.request()
        if window == "message":
            await connection.send(b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"choices"')
        elif window != "headers":
            await connection.open_stream()
            await connection.chunk(BEGIN if window == "streaming" else b": wait\n\n")
        reached.set()
        assert await connection.gone()
        closed.set()

    async with Server(endless, whole) as server, gateway(lab(server), limit=1) as one:
        caller = Caller(one)
        before = len(asyncio.all_tasks())
        asking = asyncio.create_task(caller.ask(stream=window != "message"))
        await reached.wait()
        if window == "streaming":
            await caller.got.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(closed.wait(), 5)
        assert caller.record is not None
        assert caller.record.caller_left
        assert (await Caller(one).ask()).endswith(b'"message_stop"}\n\n')
        await settled(before)


async def settled(before: int) -> None:
    """Until no more tasks run than before, besides the server's own."""
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > before + 1:
            await asyncio.sleep(0.001)


@pytest.mark.failure(122)
async def test_retry_then_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.gateway.decision.FIRST_PAUSE", 0.001)

    async def mute(connection: Connection) -> None:
        await connection.request()
        connection.cut()

    async def busy(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b'{"error":{"message":"overloaded"}}', status="503 Service Unavailable")

    async with Server(mute, busy, whole) as server, gateway(lab(server), retries=2) as one:
        caller = Caller(one)
        assert (await caller.ask()).endswith(b'"message_stop"}\n\n')
    assert caller.record is not None
    assert [attempt.status for attempt in caller.record.attempts][0::2] == [None, 200]


@pytest.mark.failure(128, 130)
async def test_fallback_to_another_server() -> None:
    async def refuses(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b'{"error":{"message":"bad key"}}', status="401 Unauthorized")

    async with Server(refuses) as first, Server(whole) as second, gateway(lab(first), lab(second, "other")) as one:
        caller = Caller(one)
        told = await caller.ask()
    assert told.count(b"event: message_start") == 1
    assert caller.record is not None
    assert caller.record.provider == "other"


async def test_a_refused_field_is_repaired_and_remembered() -> None:
    bodies: list[dict[str, Any]] = []

    async def picky(connection: Connection) -> None:
        while True:
            received = await connection.request()
            bodies.append(json.loads(received.body))
            if "max_tokens" in bodies[-1]:
                message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
                refusal = {"error": {"message": message, "code": "unsupported_parameter", "param": "max_tokens"}}
                await connection.answer(json.dumps(refusal).encode(), status="400 Bad Request")
            else:
                await connection.answer(json.dumps(COMPLETION).encode())

    async with Server(picky) as server, gateway(lab(server)) as one:
        first, second = Caller(one), Caller(one)
        await first.ask(stream=False)
        await second.ask(stream=False)
        assert server.connections == 1
    assert ["max_tokens" in body for body in bodies] == [True, False, False]
    assert first.record is not None
    assert second.record is not None
    assert first.record.repairs == second.record.repairs == ["max_tokens_field"]
    assert [len(record.attempts) for record in (first.record, second.record)] == [2, 1]


async def test_a_stop_sequence_closes_the_upstream() -> None:
    closed = asyncio.Event()

    async def endless(connection: Connection) -> None:
        await streamed(connection, chunk({"content": "go HALT on"}))
        assert await connection.gone()
        closed.set()

    async with Server(endless) as server, gateway(lab(server)) as one:
        for stream in (True, False):
            closed.clear()
            told = await Caller(one).ask(stream=stream, stop_sequences=["HALT"])
            assert b'"stop_sequence":"HALT"' in told
            await asyncio.wait_for(closed.wait(), 5)


@pytest.mark.failure(145)
async def test_connections_are_used_again() -> None:
    async with Server(whole) as server, gateway(lab(server)) as one:
        for _ in range(5):
            await Caller(one).ask()
            while server.open == 0:
                await asyncio.sleep(0)
        assert server.connections == 1


@pytest.mark.failure(144)
async def test_a_slow_caller_stops_the_upstream() -> None:
    sent = 0
    reading = asyncio.Event()

    async def fast(connection: Connection) -> None:
        nonlocal sent
        await streamed(connection, BEGIN)
        for _ in range(2000):
            await connection.chunk(chunk({"content": "x" * 16_000}))
            sent += 16_000

    class Slow(Caller):
        async def write(self, frames: bytes) -> None:
            await super().write(frames)
            await reading.wait()

    async with Server(fast) as server, gateway(lab(server)) as one:
        caller = Slow(one)
        asking = asyncio.create_task(caller.ask())
        await caller.got.wait()
        before = -1
        while before != sent:  # until the upstream cannot send any more
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 16_000_000  # of 32 million; the rest of it are the kernel's buffers
        assert len(caller.sent) == 1
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking


@pytest.mark.failure(106, 144)
async def test_many_streams_at_the_same_time_do_not_mix() -> None:
    async def named(connection: Connection) -> None:
        while True:
            name = json.loads((await connection.request()).body)["messages"][0]["content"]
            await connection.open_stream()
            for _ in range(20):
                await connection.chunk(chunk({"content": f"<{name}>"}))
                await asyncio.sleep(0)
            await connection.chunk(chunk({}, "stop") + DONE)
            await connection.chunk(b"")

    async with Server(named) as server, gateway(lab(server)) as one:

        async def ask(number: int) -> None:
            told = await Caller(one).ask(messages=[{"role": "user", "content": f"n{number}"}])
            assert told.count(f"<n{number}>".encode()) == 20
            assert told.count(b"<n") == 20

        await asyncio.gather(*(ask(number) for number in range(50)))
