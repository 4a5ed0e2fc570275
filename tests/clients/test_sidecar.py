"""LiteLLM beside the real gateway: a stand-in that can be killed at the right moment, and LiteLLM itself."""

import contextlib
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clients import wire_client
from clients.conftest import ROOT, client, started
from clients.scripted import Upstream
from clients.test_raw_socket import connected, request, until
from dragoman.sidecar.environment import Environment

STAND_IN = ROOT / "tests" / "sidecar" / "stand_in.py"
CANARY = "canary-replicate-key"
TURNS = '[{"role": "user", "content": "x"}]'
SLOW = f'{{"model": "litellm/openai/slow", "max_tokens": 9, "stream": true, "messages": {TURNS}}}'
PROVIDERS = "providers: {{litellm: {{environment: [{}]}}}}\n"


def gone(process: int, limit: float = 20.0) -> bool:
    """Whether the process ends."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


@contextmanager
def beside_a_stand_in(home: Path) -> Iterator[str]:
    """The gateway, with an environment that holds nothing but a stand-in."""
    environment = Environment("litellm", home / "data" / "dragoman" / "litellm")
    environment.python.parent.mkdir(parents=True)
    command = f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -u {shlex.quote(str(STAND_IN))}\n"
    environment.python.write_text(command, "utf-8")
    environment.python.chmod(0o700)
    environment.finish()
    (home / "dragoman.yaml").write_text(PROVIDERS.format("REPLICATE_API_KEY"), "utf-8")
    keys = {"REPLICATE_API_KEY": CANARY, "ANTHROPIC_API_KEY": CANARY, "DRAGOMAN_LOG_LEVEL": "debug"}
    with started(home, "--config", str(home / "dragoman.yaml"), XDG_DATA_HOME=str(home / "data"), **keys) as url:
        yield url
    assert CANARY not in (home / "stdout").read_text("utf-8") + (home / "stderr").read_text("utf-8")


def ask(url: str, model: str) -> tuple[int, list[str]]:
    """Who answers, and the names of the variables that it has."""
    reply = wire_client.message(url, model=f"litellm/{model}", stream=True)
    process, asked, variables = wire_client.said(reply).split(" ")
    assert asked == model
    return int(process), variables.split(",")


def test_a_stream_a_death_in_its_middle_and_the_next_request(tmp_path: Path) -> None:
    with beside_a_stand_in(tmp_path) as url:
        first, variables = ask(url, "replicate/meta/llama")
        assert "REPLICATE_API_KEY" in variables
        assert not [each for each in variables if each.startswith(("ANTHROPIC", "DRAGOMAN", "XDG"))]
        connection = connected(url)
        connection.sendall(request(SLOW))
        begun = until(connection, b"openai/slow")
        assert b"event: content_block_start" in begun
        os.kill(first, signal.SIGKILL)
        rest = until(connection, b'data: {"type":"error"')
        connection.close()
        assert b'"type":"error"' in rest
        assert b"content_block_stop" not in rest
        assert b"message_stop" not in rest
        second, _ = ask(url, "replicate/meta/llama")
        assert second != first
    assert gone(second)


def test_a_gateway_that_is_killed_leaves_nobody_behind(tmp_path: Path) -> None:
    ended = False
    with contextlib.suppress(AssertionError), beside_a_stand_in(tmp_path) as url:  # it ends in no clean way
        process, _ = ask(url, "x/y")
        (gateway,) = (tmp_path / "state" / "dragoman").glob("serve-*.pid")
        os.kill(int(gateway.read_text("ascii")), signal.SIGKILL)
        ended = gone(process)
    assert ended


def test_without_the_environment_the_command_is_said(tmp_path: Path) -> None:
    (tmp_path / "dragoman.yaml").write_text("providers: {litellm: {}}\n", "utf-8")
    with started(tmp_path, "--config", str(tmp_path / "dragoman.yaml"), XDG_DATA_HOME=str(tmp_path)) as url:
        reply = wire_client.message(url, model="litellm/replicate/meta/llama")
        assert reply.status == 401
        assert "dragoman install litellm" in reply.body["error"]["message"]
    with started(tmp_path / "demo") as url:
        reply = wire_client.message(url, model="litellm/replicate/meta/llama")
        assert reply.status == 404
        assert "Run `dragoman install litellm`, and add `litellm: {}`" in reply.body["error"]["message"]


def test_litellm_itself(upstream: Upstream, tmp_path: Path) -> None:
    """It is asked for OpenAI's models, at an upstream that the test scripts."""
    installed = client("litellm", "dragoman")
    (tmp_path / "dragoman.yaml").write_text(PROVIDERS.format("OPENAI_API_KEY, OPENAI_BASE_URL"), "utf-8")
    keys = {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": upstream.url, "XDG_DATA_HOME": str(installed.parent)}
    with started(tmp_path, "--config", str(tmp_path / "dragoman.yaml"), **keys) as url:
        reply = wire_client.message(url, model="litellm/openai/text", stream=True)
        assert wire_client.said(reply) == "Kalimera from the Colossus — 日本語 🎉."
        assert reply.body[-1]["type"] == "message_stop"
        whole = wire_client.message(url, model="litellm/openai/text")
        assert whole.body["usage"]["output_tokens"] > 0
        connection = connected(url)
        connection.sendall(request(SLOW))
        until(connection, b'"text":"2 "')
        os.kill(process_of(tmp_path), signal.SIGKILL)
        assert b'"type":"error"' in until(connection, b'data: {"type":"error"')
        connection.close()
        assert wire_client.said(wire_client.message(url, model="litellm/openai/text")).startswith("Kalimera")
    assert CANARY not in (tmp_path / "stdout").read_text("utf-8") + (tmp_path / "stderr").read_text("utf-8")


def process_of(home: Path) -> int:
    """LiteLLM's process: the only child of the gateway."""
    (file,) = (home / "state" / "dragoman").glob("serve-*.pid")
    gateway = file.read_text("ascii").strip()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        found = re.match(r"(\d+) \(.*\) \S (\d+) ", stat.read_text("utf-8"))
        if found and found[2] == gateway:
            return int(found[1])
    raise AssertionError("LiteLLM does not run")
