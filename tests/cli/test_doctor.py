"""`dragoman doctor`: layers, keys, reachability, live calls, conflicts."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Run

KEY = "canary-key-of-the-lab"


class _Model(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        good = asked["model"] == "good"
        body: Any = {"error": {"message": "No such model.", "code": "model_not_found"}}
        if good:
            choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 8, "completion_tokens": 1}
            body = {"id": "c", "object": "chat.completion", "model": "good", "choices": [choice], "usage": usage}
        raw = json.dumps(body).encode()
        self.send_response(200 if good else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Quiet."""


@pytest.fixture
def server() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Model) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join(5)


def configure(folder: Path, port: int, model: str = "good", *, scheme: str = "http", more: str = "") -> None:
    (folder / "dragoman.yaml").write_text(
        "server: {port: 1}\n"
        f"providers:\n  lab: {{dialect: chat, base_url: '{scheme}://127.0.0.1:{port}/v1', api_key: '${{LAB_KEY}}', "
        f"small: {model}}}\n{more}",
        "utf-8",
    )


@pytest.fixture(autouse=True)
def _key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del folder
    monkeypatch.setenv("LAB_KEY", KEY)


def test_all_is_well(run: Run, folder: Path, server: int) -> None:
    configure(folder, server)
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert str(folder / "dragoman.yaml") in result.output
    assert "key present" in result.output
    assert "reached" in result.output
    assert "not running" in result.output
    assert "nothing conflicts" in result.output
    assert "No problem found" in result.output
    assert KEY not in result.output


def test_live(run: Run, folder: Path, server: int) -> None:
    configure(folder, server)
    result = run("doctor", "--live")
    assert result.exit_code == 0, result.output
    assert "lab/good  works  answered with 1 tokens, 8 in" in result.output
    assert KEY not in result.output


def test_live_that_fails(run: Run, folder: Path, server: int) -> None:
    configure(folder, server, model="absent")
    result = run("doctor", "--live")
    assert result.exit_code == 1
    assert "lab/absent  404" in result.output
    assert "No such model." in result.output


@pytest.mark.failure(161)
def test_an_upstream_that_is_not_there(run: Run, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    configure(folder, port)
    result = run("doctor")
    assert result.exit_code == 1
    assert "not reached" in result.output
    assert "1 problem found" in result.output


def test_no_tls_there(run: Run, folder: Path, server: int) -> None:
    configure(folder, server, scheme="https")
    result = run("doctor")
    assert "speaks no TLS" in result.output


def test_a_missing_key_is_a_problem(run: Run, folder: Path, server: int) -> None:
    configure(folder, server, more="  deepseek: {}\n")
    result = run("doctor")
    assert result.exit_code == 1
    assert "key missing" in result.output
    assert "DEEPSEEK_API_KEY" in result.output


def test_the_demo_is_no_problem(run: Run) -> None:
    result = run("doctor", "--live")
    assert result.exit_code == 0, result.output
    assert "simulated" in result.output


@pytest.mark.failure(158, 160)
def test_conflicts_are_named_and_counted(run: Run, folder: Path, server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(folder, server)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret-one")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "secret-two")
    result = run("doctor")
    assert result.exit_code == 1
    assert "ANTHROPIC_API_KEY" in result.output
    assert "secret-" not in result.output


@pytest.mark.failure(158, 160, 161)
def test_the_client_side_is_told(run: Run, folder: Path, server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which layer wins, a line to try, and whether a login is to be expected."""
    configure(folder, server)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    (folder / ".claude").mkdir()
    (folder / ".claude" / "settings.json").write_text('{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}}', "utf-8")
    result = run("doctor")
    assert result.exit_code == 0, result.output
    file = folder / ".claude" / "settings.json"
    assert f"ANTHROPIC_BASE_URL  counts from {file}  not from the shell" in result.output
    assert 'try it: curl http://127.0.0.1:1/v1/models -H "x-dragoman-token: dragoman"' in result.output
    assert "a new Claude Code begins with a login" in result.output
    (Path.home() / ".claude.json").write_text('{"hasCompletedOnboarding": true}', "utf-8")
    assert "begins with a login" not in run("doctor").output


@pytest.mark.failure(164)
def test_what_a_model_cannot_do_is_told(run: Run, folder: Path, server: int) -> None:
    configure(folder, server, more="models: {sonnet: lab/good}\n")
    assert "lab/good has no PDF, web search, web fetch, code execution" in run("doctor").output


@pytest.mark.failure(150)
def test_the_proxy_is_shown_without_its_password(
    run: Run, folder: Path, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(folder, server)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy.example:3128")
    result = run("doctor")
    assert "http://proxy.example:3128" in result.output
    assert "password" not in result.output


def _vertex(folder: Path, entry: str) -> None:
    (folder / "dragoman.yaml").write_text(f"server: {{port: 1}}\nproviders:\n  vertex: {entry}\n", "utf-8")


def test_google_without_credentials_is_told_the_command(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{taken.getsockname()[1]}")
    _vertex(folder, "{project: my-project, location: eu, base_url: 'http://127.0.0.1:1'}")
    result = run("doctor")
    assert result.exit_code == 1
    assert "project my-project, location eu" in result.output
    assert "http://127.0.0.1:1/v1/projects/my-project/locations/eu/publishers/google" in result.output
    assert "no credentials" in result.output
    assert "run: gcloud auth application-default login" in result.output


def test_google_on_google_cloud(run: Run, folder: Path, server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server}")
    _vertex(folder, f"{{project: my-project, base_url: 'http://127.0.0.1:{server}'}}")
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "metadata server" in result.output


def test_google_by_a_file_and_by_a_key(run: Run, folder: Path, server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "robot.json"
    file.write_text(json.dumps({"type": "service_account", "private_key": KEY, "project_id": "robots"}), "utf-8")
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("GEMINI_BASE_URL", f"http://127.0.0.1:{server}")
    _vertex(folder, f"{{credentials_file: robot.json, base_url: 'http://127.0.0.1:{server}'}}\n  gemini: {{}}")
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "signs as the service account in robot.json (credentials_file)" in result.output
    assert "project robots, location global" in result.output
    assert "GEMINI_API_KEY is set" in result.output
    assert f"http://127.0.0.1:{server}/v1beta" in result.output
    assert KEY not in result.output


def test_google_without_a_project(run: Run, folder: Path) -> None:
    _vertex(folder, "{}")
    result = run("doctor")
    assert result.exit_code == 1
    assert "set VERTEX_PROJECT or GOOGLE_CLOUD_PROJECT" in result.output


class TestClaude:
    def test_whose_key_is_used_and_where_names_go(self, run: Run, folder: Path, server: int) -> None:
        text = (
            "server: {port: 1}\nproviders:\n"
            f"  anthropic: {{base_url: 'http://127.0.0.1:{server}', api_key: '${{LAB_KEY}}'}}\n"
            f"  lab: {{base_url: 'http://127.0.0.1:{server}/v1', api_key: '${{LAB_KEY}}'}}\n"
        )
        (folder / "dragoman.yaml").write_text(text, "utf-8")
        result = run("doctor")
        assert result.exit_code == 0, result.output
        assert f"anthropic  your key anthropic.api_key  http://127.0.0.1:{server}" in result.output
        assert "names of Claude that `models:` does not map go to anthropic, untranslated" in result.output
        assert "files, batches and skills are forwarded to anthropic" in result.output
        assert KEY not in result.output

    def test_callers_with_their_own(self, run: Run, folder: Path, server: int) -> None:
        text = (
            "server: {port: 1, forward_to: none}\n"
            f"providers: {{anthropic: {{base_url: 'http://127.0.0.1:{server}', api_key: caller}}}}\n"
        )
        (folder / "dragoman.yaml").write_text(text, "utf-8")
        result = run("doctor", "--live")
        assert result.exit_code == 0, result.output
        assert "anthropic  each caller's own key, never one of yours" in result.output
        assert "files, batches and skills are not forwarded: Nothing is forwarded here" in result.output
        assert "anthropic  not asked: it is asked with callers' own keys" in result.output

    @pytest.mark.failure(140)
    def test_a_gateway_that_would_call_itself(self, run: Run, folder: Path, server: int) -> None:
        text = (
            f"server: {{port: {server}}}\n"
            f"providers: {{anthropic: {{base_url: 'http://localhost:{server}', api_key: '${{LAB_KEY}}'}}}}\n"
        )
        (folder / "dragoman.yaml").write_text(text, "utf-8")
        result = run("doctor")
        assert result.exit_code == 1
        assert "anthropic  calls this gateway itself  set its base_url to the upstream's" in result.output

    def test_a_key_that_is_missing(self, run: Run, folder: Path, server: int) -> None:
        configure(folder, server, more="  anthropic: {}\n")
        result = run("doctor")
        assert result.exit_code == 1
        assert "anthropic  not ready  https://api.anthropic.com" in result.output
        assert "go to anthropic, untranslated" not in result.output

    def test_tokens(self, run: Run, folder: Path, server: int) -> None:
        more = "  foundry: {base_url: 'http://127.0.0.1:1', auth: entra}\n"
        configure(folder, server, more=more)
        assert "foundry  your identity's tokens  http://127.0.0.1:1" in run("doctor").output
