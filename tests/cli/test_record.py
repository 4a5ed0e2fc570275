"""`dragoman record` and `dragoman replay`: the real gateway between a client and a scripted upstream, and again without."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cli import recorded as lab
from cli.recorded import CALLER_KEY, CANARIES, COOKIE, GATEWAY_TOKEN, UPSTREAM_KEY
from dragoman.telemetry import bundle as form
from dragoman.telemetry.bundle import bytes_of
from server_fixture import BODY, Reply, ask, connect, head
from upstream.wire import Connection, Server

pytestmark = [pytest.mark.anyio, pytest.mark.failure(166)]

CASES = Path(__file__).parent.parent / "cases" / "answers"
STREAM = BODY | {"stream": True, "max_tokens": 1000}
TYPES = {".sse": "text/event-stream", ".json": "application/json"}

Play = Callable[[Connection], Awaitable[None]]


def plays(*pieces: bytes, content_type: str = "text/event-stream", cut: bool = False) -> Play:
    """A streamed answer in these pieces; each waits until it is alone on the wire."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.open_stream(content_type)
        for piece in pieces:
            await connection.chunk(piece)
            await asyncio.sleep(0.002)  # so that most of them are read alone; which of them is not what is tested
        if not cut:
            await connection.chunk(b"")
            await connection.lost()

    return script


def refuses(status: str, body: bytes) -> Play:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.answer(body, status=status)

    return script


def cut_everywhere(raw: bytes) -> list[bytes]:
    """Inside words, escapes and characters."""
    size = max(7, len(raw) // 60)
    return [raw[at : at + size] for at in range(0, len(raw), size)]


async def record(folder: Path, script: Play, body: Any = STREAM, **changes: Any) -> Reply:
    """One request, recorded into `folder`."""
    async with Server(script) as upstream:
        config = lab.configuration(lab.target(upstream.port, **changes.pop("target", {})), **changes)
        async with lab.running(config, folder) as port:
            reply = await ask(port, "POST", "/v1/messages", body)
            await lab.bundles(folder)
    return reply


@pytest.mark.parametrize(
    "case",
    ["chat/openai-parallel-tools", "chat/think-tags", "chat/half-characters", "chat/cut-in-a-call"]
    + ["responses/interleaved-items", "responses/half-characters", "responses/cut-in-a-call"]
    + ["gemini/google-search", "gemini/cut-in-a-frame", "gemini/code-and-picture"]
    + ["anthropic/anthropic-thinking-and-tools", "anthropic/cut-in-a-call", "anthropic/anthropic-overloaded-inside"],
)
async def test_a_stream_of_every_language_is_the_same_again(case: str, tmp_path: Path) -> None:
    raw = (CASES / f"{case}.sse").read_bytes()
    target = {"dialect": case.partition("/")[0]}
    reply = await record(tmp_path, plays(*cut_everywhere(raw)), target=target)
    path, bundle = await lab.recorded(tmp_path)
    answer = bundle.calls[0].answer
    assert answer is not None
    assert bytes_of(answer.body) == raw[: answer.pieces[-1][0]]  # a message that is over is not read to the last byte
    assert len(answer.pieces) > 3
    assert bytes_of(bundle.reply.body) == reply.body
    assert bundle.reply.status == reply.status
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output
    assert "The same: 1 upstream call, and what the client was told." in done.output


@pytest.mark.parametrize(
    "case",
    ["chat/openai-parallel-tools", "gemini/google-search", "anthropic/anthropic-thinking-and-tools"]
    + ["responses/interleaved-items"],
)
async def test_a_whole_answer_of_every_language_is_the_same_again(case: str, tmp_path: Path) -> None:
    script = plays(*cut_everywhere((CASES / f"{case}.json").read_bytes()), content_type="application/json")
    reply = await record(tmp_path, script, BODY | {"max_tokens": 1000}, target={"dialect": case.partition("/")[0]})
    assert reply.status == 200
    path, _ = await lab.recorded(tmp_path)
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output
