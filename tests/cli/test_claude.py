"""`dragoman claude`: the child's environment, exit codes and signals, and the gateway that it starts.

The real Claude Code is in `tests/clients`; here a small script stands for it.
"""

import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cli.conftest import Run
from dragoman.cli import claude, variables
from dragoman.config import Config, load

TELL = """#!/bin/sh
printf '%s\\n' "$ANTHROPIC_BASE_URL" "$ANTHROPIC_AUTH_TOKEN" "${ANTHROPIC_API_KEY-unset}" "$NO_PROXY" "$@" > told
exit 7
"""


@pytest.fixture
def program(folder: Path) -> Path:
    """Writes what it was given into the file `told`, and ends with 7."""
    made = folder / "fake-claude"
    made.write_text(TELL, "utf-8")
    made.chmod(made.stat().st_mode | stat.S_IXUSR)
    return made


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


class _Gateway(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        raw = json.dumps({"name": "dragoman"}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Quiet."""


@pytest.fixture
def running() -> Iterator[int]:
    """The port of something that answers as a dragoman does."""
    with HTTPServer(("127.0.0.1", 0), _Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(5)


@pytest.mark.failure(158)
def test_a_running_gateway_is_used(
    run: Run, folder: Path, program: Path, running: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "dragoman.yaml").write_text(f"server: {{port: {running}}}\n", "utf-8")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "leftover")
    result = run("claude", "--binary", str(program), "-p", "hello", "--model", "opus", "--port", "1")
    assert result.exit_code == 7
    told = (folder / "told").read_text("utf-8").splitlines()
    assert told[:3] == [f"http://127.0.0.1:{running}", "dragoman", "unset"]
    assert "127.0.0.1" in told[3]
    assert told[4:] == ["-p", "hello", "--model", "opus", "--port", "1"]
    assert "ANTHROPIC_API_KEY is set" in result.output
    assert "leftover" not in result.output


def test_the_configured_token_is_sent(run: Run, folder: Path, program: Path, running: int) -> None:
    (folder / "dragoman.yaml").write_text(f"server: {{port: {running}, auth_token: sesame}}\n", "utf-8")
    run("claude", "--binary", str(program))
    assert (folder / "told").read_text("utf-8").splitlines()[1] == "sesame"


def test_a_fresh_gateway_lives_as_long(run: Run, folder: Path, program: Path) -> None:
    (folder / "dragoman.yaml").write_text(f"server: {{port: {free_port()}}}\n", "utf-8")
    result = run("claude", "--binary", str(program))
    assert result.exit_code == 7, result.output
    url = (folder / "told").read_text("utf-8").splitlines()[0]
    assert url.startswith("http://127.0.0.1:")
    assert not claude.answers(url)
    assert not list(folder.parent.rglob("*.pid"))
    assert not list(folder.parent.rglob("*.log"))


def test_a_gateway_that_does_not_start_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(claude.Failure, match="did not start"), claude.fresh(log, tmp_path / "absent.yaml"):
        raise AssertionError("not reached")
    assert "absent.yaml" in log.read_text("utf-8")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_claude_code_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("claude")
    assert result.exit_code == 1
    assert "npm install -g @anthropic-ai/claude-code" in result.output
    assert "is not a program" in run("claude", "--binary", "/nowhere/claude").output


def test_settings_that_win_are_named(run: Run, folder: Path, program: Path, running: int) -> None:
    (folder / "dragoman.yaml").write_text(f"server: {{port: {running}}}\n", "utf-8")
    (folder / ".claude").mkdir()
    (folder / ".claude" / "settings.json").write_text('{"env": {"ANTHROPIC_BASE_URL": "x"}}', "utf-8")
    assert "env.ANTHROPIC_BASE_URL wins" in run("claude", "--binary", str(program)).output


@pytest.mark.failure(150)
def test_the_environment_of_the_child() -> None:
    given = {"PATH": "/bin", "CLAUDE_CODE_USE_BEDROCK": "1", "NO_PROXY": "*", "no_proxy": "corp.example"}
    child = variables.environment(given, Config(), "http://127.0.0.1:1", "token")
    assert child["PATH"] == "/bin"
    assert "CLAUDE_CODE_USE_BEDROCK" not in child
    assert child["NO_PROXY"] == "*"
    assert child["no_proxy"] == "corp.example,127.0.0.1,localhost,::1"
    kept = variables.environment({"CLAUDE_CODE_ATTRIBUTION_HEADER": "1"}, Config(), "u", "t")
    assert kept["CLAUDE_CODE_ATTRIBUTION_HEADER"] == "1"
    assert given["NO_PROXY"] == "*"


def test_ended_by_a_signal() -> None:
    assert claude.run(["/bin/sh", "-c", "kill -9 $$"], os.environ) == 128 + 9


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense"])
def test_nobody_answers(url: str) -> None:
    assert not claude.answers(url)


class TestCallers:
    """An upstream that is asked with the user's own key or login."""

    OWN: ClassVar = {
        "ANTHROPIC_API_KEY": "mine", "CLAUDE_CODE_OAUTH_TOKEN": "login", "CLAUDE_CODE_USE_BEDROCK": "1",
    }  # fmt: skip

    @pytest.fixture
    def asked(self, tmp_path: Path) -> Config:
        (tmp_path / "dragoman.yaml").write_text("providers: {anthropic: {api_key: caller}}", "utf-8")
        return load(path=None, environ={}, folder=tmp_path, home=tmp_path)[0]

    def test_the_users_own_key_stays(self, asked: Config) -> None:
        child = variables.environment(self.OWN, asked, "http://x", variables.ANY_TOKEN)
        assert child["ANTHROPIC_BASE_URL"] == "http://x"
        assert (child["ANTHROPIC_API_KEY"], child["CLAUDE_CODE_OAUTH_TOKEN"]) == ("mine", "login")
        assert not {"ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CODE_USE_BEDROCK"} & child.keys()
        others = variables.environment(self.OWN, Config(), "u", "t")
        assert not {"ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"} & others.keys()

    @pytest.mark.failure(140)
    def test_the_gateways_token_goes_in_a_header_of_its_own(self, asked: Config) -> None:
        environ = {"ANTHROPIC_AUTH_TOKEN": "ours", "ANTHROPIC_CUSTOM_HEADERS": "a: b\nX-Dragoman-Token: old"}
        child = variables.environment(environ, asked, "http://x", "ours")
        assert child["ANTHROPIC_CUSTOM_HEADERS"] == "a: b\nx-dragoman-token: ours"
        assert "ANTHROPIC_AUTH_TOKEN" not in child
        kept = variables.environment({"ANTHROPIC_AUTH_TOKEN": "mine"}, asked, "http://x", "ours")
        assert kept["ANTHROPIC_AUTH_TOKEN"] == "mine"

    def test_claude_itself_gets_what_claude_code_says_of_itself(self, asked: Config) -> None:
        assert "CLAUDE_CODE_ATTRIBUTION_HEADER" not in variables.environment({}, asked, "u", "t")
        assert variables.environment({}, Config(), "u", "t")["CLAUDE_CODE_ATTRIBUTION_HEADER"] == "0"

    def test_the_command_knows(self, run: Run, folder: Path, program: Path, running: int) -> None:
        text = f"server: {{port: {running}}}\nproviders: {{anthropic: {{api_key: caller}}}}\n"
        (folder / "dragoman.yaml").write_text(text, "utf-8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ANTHROPIC_API_KEY", "mine")
            result = run("claude", "--binary", str(program))
        assert result.exit_code == 7, result.output
        told = (folder / "told").read_text("utf-8").split("\n")
        assert told[:3] == [f"http://127.0.0.1:{running}", "", "mine"]
        assert "started without it" not in result.output
