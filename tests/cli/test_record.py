"""`dragoman record`: the real gateway between a client and a scripted upstream, and what it writes down."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli import recorded as lab
from cli.recorded import (
    CALLER_KEY,
    CANARIES,
    COOKIE,
    GATEWAY_TOKEN,
    STREAM,
    TEXT,
    UPSTREAM_KEY,
    cut_everywhere,
    plays,
)
from cli.test_cli_serve import Served, get
from clients.conftest import clean_environment
from dragoman.telemetry.bundle import bytes_of
from server_fixture import BODY, ask
from upstream.wire import Connection, Server

pytestmark = [pytest.mark.anyio, pytest.mark.failure(166)]


async def quoting(connection: Connection) -> None:
    """An upstream that tells everything that it was sent."""
    received = await connection.request()
    words = f"You are {received.headers!r}, and asked {received.body.decode()!r}."
    chunk = {"id": "1", "choices": [{"index": 0, "delta": {"content": words}, "finish_reason": "stop"}]}
    await connection.send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        b"set-cookie: session=" + COOKIE.encode() + b"\r\nx-note: " + UPSTREAM_KEY.encode() + b"\r\n\r\n"
    )
    raw = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()
    middle = raw.index(UPSTREAM_KEY.encode()) + 8
    await connection.chunk(raw[:middle])
    await connection.chunk(raw[middle:])
    await connection.chunk(b"")
    await connection.lost()


@pytest.mark.failure(136)
@pytest.mark.parametrize("texts", [True, False])
async def test_no_key_is_in_a_bundle(texts: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = f"keys: {CALLER_KEY} {GATEWAY_TOKEN} {UPSTREAM_KEY} and sk-proj-canary0815abc"
    body = BODY | {"stream": True, "messages": [{"role": "user", "content": said}]}
    headers = {"authorization": f"Bearer {GATEWAY_TOKEN}", "x_api_key": CALLER_KEY, "cookie": f"a=b; c={COOKIE}"}
    headers |= {"x_corporate_login": "canary-0123456789abcdef"}
    async with Server(quoting) as upstream:
        target = lab.target(upstream.port, headers=(("x-private", "canary-fixed-0123456789"),))
        config = lab.configuration(target, auth_token=GATEWAY_TOKEN)
        async with lab.running(config, tmp_path, texts=texts) as port:
            reply = await ask(port, "POST", f"/v1/messages?key={CALLER_KEY}", body, headers)
            assert UPSTREAM_KEY.encode() in reply.body  # the model's own words are not ours to change
            path, bundle = await lab.recorded(tmp_path)
    written = path.read_text("utf-8")
    assert [each for each in (*CANARIES, "canary") if each in written] == []
    assert "Bearer" not in str(bundle.request.headers) + str(bundle.calls[0].headers)
    assert ("authorization", "[redacted]") in bundle.request.headers
    assert ("x-private", "[redacted]") in bundle.calls[0].headers
    seen = capsys.readouterr()
    assert str(path) in seen.err
    assert "canary" not in seen.err + seen.out.replace(str(path), "")
    done = await lab.replayed(path)
    assert done.exit_code == (0 if texts else 2), done.output


@pytest.mark.failure(142)
async def test_without_texts(tmp_path: Path) -> None:
    tools = [{"name": "weather", "description": "Tells the weather.", "input_schema": {"type": "object"}}]
    body = STREAM | {"tools": tools, "system": "Be nice to Penelope.", "temperature": 0.25}
    async with Server(plays(*cut_everywhere(TEXT))) as upstream:
        config = lab.configuration(lab.target(upstream.port))
        async with lab.running(config, tmp_path, texts=False) as port:
            reply = await ask(port, "POST", "/v1/messages", body)
            path, bundle = await lab.recorded(tmp_path)
    assert "Penelope" not in path.read_text("utf-8")
    assert '"system":"xx xxxx xx xxxxxxxx."' in bundle.request.body.text.replace('": "', '":"')
    assert '"name":"weather"' in bundle.calls[0].body.text
    answer = bundle.calls[0].answer
    assert answer is not None
    assert len(bytes_of(answer.body)) == answer.pieces[-1][0]
    assert len(bytes_of(bundle.reply.body)) == len(reply.body)
    assert '"stop_reason":"tool_use"' in bundle.reply.body.text
    done = await lab.replayed(path)
    assert done.exit_code == 2
    assert "It was not recorded whole: the texts were left out." in done.output


async def test_who_may_not_come_in_fills_no_folder(tmp_path: Path) -> None:
    async with Server(plays(TEXT)) as upstream:
        config = lab.configuration(lab.target(upstream.port), auth_token=GATEWAY_TOKEN)
        async with lab.running(config, tmp_path) as port:
            assert (await ask(port, "POST", "/v1/messages", STREAM)).status == 401
            assert (await ask(port, "POST", "/v1/messages", STREAM, {"x-api-key": GATEWAY_TOKEN})).status == 200
            await lab.recorded(tmp_path)


async def test_other_paths_are_not_recorded(tmp_path: Path) -> None:
    async with lab.running(lab.configuration(lab.target(1)), tmp_path) as port:
        assert (await ask(port, "GET", "/health")).status == 200
        assert (await ask(port, "POST", "/v1/messages/count_tokens", BODY)).status == 200
        await ask(port, "POST", "/anthropic/v1/messages", BODY)
        _, bundle = await lab.recorded(tmp_path)
    assert bundle.request.path == "/anthropic/v1/messages"


async def test_the_newest_are_kept_for_the_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "bundles"
    async with lab.running(lab.configuration(lab.target(1)), folder, limit=2) as port:
        (tmp_path / "deep").mkdir()
        told = []
        for _ in range(3):
            told.append((await ask(port, "POST", "/v1/messages", BODY)).headers["request-id"])
            async with asyncio.timeout(20):
                while not list(folder.glob(f"*{told[-1]}.json")):
                    await asyncio.sleep(0.005)
        async with asyncio.timeout(20):
            while len(list(folder.iterdir())) > 2:
                await asyncio.sleep(0.005)
    assert {path.stem.rpartition("-")[2] for path in folder.iterdir()} == set(told[1:])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())


async def test_a_folder_that_cannot_be_written_breaks_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "file"
    place.write_text("in the way", "utf-8")
    said = ""
    async with Server(plays(TEXT)) as upstream, lab.playing(upstream, place) as port:
        reply = await ask(port, "POST", "/v1/messages", STREAM)
        async with asyncio.timeout(20):
            while "could not be written" not in (said := said + capsys.readouterr().err):
                await asyncio.sleep(0.005)
    assert reply.status == 200
    assert reply.body.endswith(b'data: {"type":"message_stop"}\n\n')
    assert place.read_text("utf-8") == "in the way"


# As processes


def test_the_commands_as_they_are_typed(tmp_path: Path) -> None:
    """The demo model answers; the bundle is in the user's state folder; nothing but its path is needed."""
    running = Served(tmp_path, ["record", "--port", "0"])
    try:
        status, body = get(running.url(), "/v1/messages", {"content-type": "application/json"}, STREAM)
        assert (status, body[-2:]) == (200, b"\n\n")
        running.process.terminate()
        assert running.process.wait(20) == 0
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
    said = running.said()
    assert "Bundles hold whole conversations; only keys are taken out." in said
    found = re.search(r"^Recorded: (.*)$", said, re.MULTILINE)
    assert found is not None, said
    assert Path(found[1]).parent == tmp_path / "state" / "dragoman" / "bundles"
    done = subprocess.run(
        [sys.executable, "-m", "dragoman", "replay", found[1]],
        cwd=tmp_path, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The same: 1 upstream call, and what the client was told." in done.stdout
