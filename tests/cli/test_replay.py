"""`dragoman replay`: what the real gateway did between a client and a scripted upstream, done again without them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from cli import recorded as lab
from cli.recorded import (
    BEGIN,
    CASES,
    REFUSAL,
    STREAM,
    TEXT,
    Play,
    cut_everywhere,
    plays,
    record,
    refuses,
)
from dragoman.telemetry import bundle as form
from dragoman.telemetry.bundle import bytes_of
from server_fixture import BODY, ask, connect, head
from upstream.wire import Connection, Server

pytestmark = [pytest.mark.anyio, pytest.mark.failure(166)]


@pytest.mark.parametrize(
    "case",
    [
        "chat/openai-parallel-tools",
        "chat/think-tags",
        "chat/half-characters",
        "chat/cut-in-a-call",
        "responses/interleaved-items",
        "responses/half-characters",
        "responses/cut-in-a-call",
        "gemini/google-search",
        "gemini/cut-in-a-frame",
        "gemini/code-and-picture",
        "anthropic/anthropic-thinking-and-tools",
        "anthropic/cut-in-a-call",
        "anthropic/anthropic-overloaded-inside",
    ],
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
    [
        "chat/openai-parallel-tools",
        "responses/interleaved-items",
        "gemini/google-search",
        "anthropic/anthropic-thinking-and-tools",
    ],
)
async def test_a_whole_answer_of_every_language_is_the_same_again(case: str, tmp_path: Path) -> None:
    script = plays(*cut_everywhere((CASES / f"{case}.json").read_bytes()), content_type="application/json")
    reply = await record(tmp_path, script, BODY | {"max_tokens": 1000}, target={"dialect": case.partition("/")[0]})
    assert reply.status == 200
    path, _ = await lab.recorded(tmp_path)
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("body", [BODY, STREAM])
async def test_a_refusal_is_the_same_again(body: Any, tmp_path: Path) -> None:
    reply = await record(tmp_path, refuses("429 Too Many Requests", REFUSAL), body)
    assert reply.status == 429
    path, bundle = await lab.recorded(tmp_path)
    assert bundle.outcome.error == "rate_limit"
    assert bundle.outcome.attempts[0]["status"] == 429
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output


async def test_a_refusal_and_a_second_try(tmp_path: Path) -> None:
    async with Server(refuses("503 Service Unavailable", b"{}"), plays(TEXT)) as upstream:
        config = lab.configuration(lab.target(upstream.port), retries=1)
        async with lab.running(config, tmp_path) as port:
            assert (await ask(port, "POST", "/v1/messages", STREAM)).status == 200
            path, bundle = await lab.recorded(tmp_path)
    assert [each.answer and each.answer.status for each in bundle.calls] == [503, 200]
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output
    assert "2 upstream calls" in done.output


async def test_a_refusal_and_a_repair(tmp_path: Path) -> None:
    refusal = b'{"error":{"message":"Unsupported parameter: \'temperature\' is not supported with this model.","code":"unsupported_parameter","param":"temperature","type":"invalid_request_error"}}'  # noqa: E501

    async def particular(connection: Connection) -> None:
        if b"temperature" in (await connection.request()).body:
            await connection.answer(refusal, status="400 Bad Request")
            await connection.request()
        await connection.answer(TEXT, content_type="text/event-stream")

    async with Server(particular) as upstream, lab.playing(upstream, tmp_path) as port:
        body = STREAM | {"temperature": 0.5}
        assert (await ask(port, "POST", "/v1/messages", body)).status == 200
        await lab.bundles(tmp_path)
        assert (await ask(port, "POST", "/v1/messages", body)).status == 200
        paths = await lab.bundles(tmp_path, 2)
    for path in paths:  # nothing is remembered: the second one begins as the first one did, and tells everything
        bundle = form.decode(path.read_bytes())
        assert bundle.outcome.repairs == ["sampling"]
        assert ["temperature" in each.body.text for each in bundle.calls] == [True, False]
        done = await lab.replayed(path)
        assert done.exit_code == 0, done.output


async def test_another_target_after_one_that_is_not_there(tmp_path: Path) -> None:
    async with Server(plays(TEXT)) as gone:
        port_of_nobody = gone.port
    async with Server(plays(TEXT)) as upstream:
        config = lab.configuration(lab.target(port_of_nobody), lab.target(upstream.port, "responses"))
        async with lab.running(config, tmp_path) as port:
            await ask(port, "POST", "/v1/messages", STREAM)
            path, bundle = await lab.recorded(tmp_path)
    assert bundle.calls[0].error is not None
    assert bundle.calls[0].error.kind == "unreachable"
    assert bundle.route is not None
    assert [each["provider"] for each in bundle.route.targets] == ["lab", "lab1"]
    assert bundle.route.steps
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output


async def test_another_key_after_one_that_has_no_more(tmp_path: Path) -> None:
    """The lot that chose the key falls the same again."""
    async with Server(refuses("429 Too Many Requests", REFUSAL), plays(TEXT)) as upstream:
        config = lab.configuration(lab.target(upstream.port))
        provider = structs.replace(config.providers["lab"], keys=("LAB_KEY", "OTHER_KEY"))
        async with lab.running(structs.replace(config, providers={"lab": provider}), tmp_path) as port:
            assert (await ask(port, "POST", "/v1/messages", STREAM)).status == 200
            path, bundle = await lab.recorded(tmp_path)
    assert len(bundle.calls) == 2
    assert bundle.route is not None
    assert {each["key"] for each in bundle.route.groups[0][0].slots} == {"LAB_KEY", "OTHER_KEY"}
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output


async def test_an_answer_that_breaks_in_its_middle(tmp_path: Path) -> None:
    reply = await record(tmp_path, plays(BEGIN, cut=True))
    assert b"event: error" in reply.body
    path, bundle = await lab.recorded(tmp_path)
    answer = bundle.calls[0].answer
    assert answer is not None
    assert answer.end == "broken"
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output


async def silent(connection: Connection) -> None:
    await connection.request()
    await connection.lost()


async def silent_after_the_beginning(connection: Connection) -> None:
    await connection.request()
    await connection.open_stream()
    await connection.chunk(BEGIN)
    await connection.lost()


@pytest.mark.parametrize("script", [silent, silent_after_the_beginning])
async def test_an_upstream_that_falls_silent(script: Play, tmp_path: Path) -> None:
    reply = await record(tmp_path, script, read_idle=0.3, ping_every=0.1)
    assert b"The upstream was silent for 0.3 s." in reply.body
    path, _ = await lab.recorded(tmp_path)
    patient = form.decode(path.read_bytes())
    patient.settings["read_idle"] = 300.0  # nobody waits for so long
    patient.reply.body = form.body_of(bytes_of(patient.reply.body).replace(b"0.3 s", b"300 s"))
    path.write_bytes(form.encode(patient))
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output


async def test_a_stream_that_was_opened_by_silence(tmp_path: Path) -> None:
    async def late(connection: Connection) -> None:
        await connection.request()
        async with asyncio.timeout(20):
            await opened.wait()
        await connection.answer(REFUSAL, status="429 Too Many Requests")

    opened = asyncio.Event()
    async with Server(late) as upstream:
        config = lab.configuration(lab.target(upstream.port), open_after=0.05)
        async with lab.running(config, tmp_path) as port:
            reader, writer = await connect(port)
            raw = json.dumps(STREAM).encode()
            writer.write(head("POST", "/v1/messages", raw, {}) + raw)
            await reader.readuntil(b"event: ping")
            opened.set()
            path, bundle = await lab.recorded(tmp_path)
            writer.close()
    assert bundle.reply.status == 200
    assert b"rate_limit_error" in bytes_of(bundle.reply.body)
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("script", [silent, silent_after_the_beginning])
async def test_a_caller_that_leaves(script: Play, tmp_path: Path) -> None:
    came = asyncio.Event()

    async def told(connection: Connection) -> None:
        came.set()
        await script(connection)

    async with Server(told) as upstream, lab.playing(upstream, tmp_path) as port:
        reader, writer = await connect(port)
        raw = json.dumps(STREAM).encode()
        writer.write(head("POST", "/v1/messages", raw, {}) + raw)
        async with asyncio.timeout(20):
            await came.wait()
        if script is silent_after_the_beginning:
            await reader.readuntil(b"text_delta")
        writer.close()
        path, bundle = await lab.recorded(tmp_path)
    assert bundle.outcome.caller_left
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("body", [b"{", BODY | {"model": "nobody/none"}, BODY | {"messages": 1}])
async def test_a_request_that_is_refused_here(body: Any, tmp_path: Path) -> None:
    reply = await record(tmp_path, plays(), body)
    assert reply.status in (400, 404)
    path, bundle = await lab.recorded(tmp_path)
    assert not bundle.calls
    done = await lab.replayed(path)
    assert done.exit_code == 0, done.output
    assert "0 upstream calls" in done.output


# What is not the same


async def changed(tmp_path: Path, change: Callable[[form.Bundle], None]) -> str:
    """What `dragoman replay` says about a bundle that somebody changed."""
    await record(tmp_path, plays(*cut_everywhere(TEXT)))
    path, bundle = await lab.recorded(tmp_path)
    change(bundle)
    path.write_bytes(form.encode(bundle))
    done = await lab.replayed(path)
    assert done.exit_code == 1, done.output
    assert "The same" not in done.output
    return done.output


async def test_a_reply_that_is_not_the_same(tmp_path: Path) -> None:
    def change(bundle: form.Bundle) -> None:
        told = bytes_of(bundle.reply.body).replace(b'"stop_reason":"tool_use"', b'"stop_reason":"end_turn"')
        bundle.reply.body = form.body_of(told)

    said = await changed(tmp_path, change)
    assert "The client is told something else." in said
    assert '-data: {"type":"message_delta","delta":{"stop_reason":"end_turn"' in said
    assert '+data: {"type":"message_delta","delta":{"stop_reason":"tool_use"' in said
    assert "Upstream call" not in said


async def test_a_call_that_is_not_the_same(tmp_path: Path) -> None:
    def change(bundle: form.Bundle) -> None:
        bundle.calls[0].body = form.body_of(bytes_of(bundle.calls[0].body).replace(b'"hi"', b'"ha"'))

    said = await changed(tmp_path, change)
    assert "Upstream call 1 is not the same." in said
    assert '-   "content": "ha"' in said
    assert '+   "content": "hi"' in said
    assert "The client" not in said


async def test_notes_that_are_not_the_same(tmp_path: Path) -> None:
    def change(bundle: form.Bundle) -> None:
        bundle.outcome.repairs.append("none.such")

    assert "-repair none.such" in await changed(tmp_path, change)


async def test_a_call_that_was_not_made(tmp_path: Path) -> None:
    def change(bundle: form.Bundle) -> None:
        bundle.calls.append(bundle.calls[0])

    assert "Upstream call 2 is not the same." in await changed(tmp_path, change)


async def test_a_call_that_nobody_recorded(tmp_path: Path) -> None:
    def change(bundle: form.Bundle) -> None:
        bundle.calls.clear()

    said = await changed(tmp_path, change)
    assert "It made one more call than the recorded gateway" in said
    assert "The client is told something else." not in said  # nobody can know


async def test_a_request_that_was_refused_and_is_not_any_more(tmp_path: Path) -> None:
    await record(tmp_path, plays(), b"{")
    path, bundle = await lab.recorded(tmp_path)
    bundle.request.body = form.body_of(json.dumps(BODY).encode())
    path.write_bytes(form.encode(bundle))
    done = await lab.replayed(path)
    assert (done.exit_code, "-status 400" in done.output) == (1, True)


async def test_a_token_that_is_fetched_again(tmp_path: Path) -> None:
    """As a gateway that fetches tokens does after a refusal, and one with a key does not."""
    await record(tmp_path, refuses("401 Unauthorized", b"{}"))
    path, bundle = await lab.recorded(tmp_path)
    assert (await lab.replayed(path)).exit_code == 0
    assert bundle.route is not None
    bundle.route.targets[0]["auth"] = "entra"
    path.write_bytes(form.encode(bundle))
    done = await lab.replayed(path)
    assert (done.exit_code, "It made one more call" in done.output) == (1, True)


async def test_a_long_difference_is_cut(tmp_path: Path) -> None:
    def change(bundle: form.Bundle) -> None:
        bundle.reply.body = form.body_of(b"a\n" * 300)

    assert "lines more" in await changed(tmp_path, change)


async def test_an_answer_that_is_read_further(tmp_path: Path) -> None:
    def change(bundle: form.Bundle) -> None:
        answer = bundle.calls[0].answer
        assert answer is not None
        answer.end = "open"
        del answer.pieces[len(answer.pieces) // 2 :]

    assert "It read on in an answer" in await changed(tmp_path, change)


# What cannot be replayed


async def test_files_that_are_no_bundles(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    for raw, said in [
        (b"{}", "It is no bundle of `dragoman record`"),
        (b"\xff", "It is no bundle of `dragoman record`"),
    ]:
        path.write_bytes(raw)
        done = await lab.replayed(path)
        assert done.exit_code == 2
        assert said in done.output


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("format", 99, "It has format 99, and this version of dragoman reads format 1."),
        ("gaps", ["it has more than 16 MB"], "It was not recorded whole: it has more than 16 MB."),
        ("settings", {"retries": 99}, "This version of dragoman does not know what is in it"),
        ("request", {"method": "POST", "path": "/v1/files", "query": "", "headers": []}, "no request to /v1/messages"),
        ("request", {"method": "GET", "path": "/v1/messages", "query": "", "headers": []}, "no request to"),
        (
            "request",
            {"method": "POST", "path": "/v1/messages", "query": "", "headers": [["origin", "http://x"]]},
            "door",
        ),
    ],
)
async def test_bundles_that_cannot_be_replayed(name: str, value: Any, said: str, tmp_path: Path) -> None:
    await record(tmp_path, plays(TEXT))
    path, _ = await lab.recorded(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {name: value}), "utf-8")
    done = await lab.replayed(path)
    assert done.exit_code == 2, done.output
    assert said in done.output


async def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    done = await lab.replayed(path)
    assert (done.exit_code, "is over 128 MB" in done.output) == (2, True)


async def test_a_language_that_this_version_does_not_speak(tmp_path: Path) -> None:
    await record(tmp_path, plays(TEXT))
    path, bundle = await lab.recorded(tmp_path)
    assert bundle.route is not None
    bundle.route.targets[0]["dialect"] = "volapuek"
    path.write_bytes(form.encode(bundle))
    done = await lab.replayed(path)
    assert (done.exit_code, "does not know what is in it" in done.output) == (2, True)
