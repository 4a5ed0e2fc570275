"""P3: one upstream by UPSTREAM_*, a custom name for its model, and a token."""

import json
import stat
import subprocess
from pathlib import Path

import pytest

from cli.test_cli_serve import get, served
from clients import test_claude_code
from predecessors.conftest import OPENAI_KEY, OpenAI, Serve

TOKEN = "a-token-of-mine"


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/chat/completions"])
def test_p3_1_the_custom_name_and_the_upstreams_own(serve: Serve, openai: OpenAI, suffix: str) -> None:
    base = openai.url.removesuffix("/v1") + suffix
    lines = {"UPSTREAM_API_KEY": OPENAI_KEY, "UPSTREAM_MODEL": "own/name", "CUSTOM_MODEL_NAME": "my-model"}
    with serve(UPSTREAM_BASE_URL=base, **lines) as gateway:
        for model in ("my-model", "claude-sonnet-4-5", "haiku", "own/name"):
            answer = gateway.ask(model=model)
            assert (answer.target, answer.json["model"]) == ("upstream/own/name", model)
    assert {body["model"] for body in openai.chats} == {"own/name"}


def test_p3_2_a_token_by_either_header(serve: Serve, tmp_path: Path) -> None:
    with serve(AUTH_TOKEN=TOKEN) as gateway:
        assert gateway.ask().status == 401
        assert gateway.ask(headers={"authorization": f"Bearer {TOKEN}"}).status == 200
        assert gateway.ask(headers={"x-api-key": TOKEN}).status == 200
    with served(tmp_path / "open", "--host", "0.0.0.0", "--port", "0") as running:
        assert get(running.url(), "/v1/models")[0] == 401
        (file,) = (tmp_path / "open").rglob("token")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text("utf-8").strip() in running.said()


def test_p3_3_the_token_is_told_to_this_machine_only(serve: Serve) -> None:
    with serve(AUTH_TOKEN=TOKEN) as gateway:
        answer = gateway.get("/auth-token")
        assert answer.json["auth_token"] == TOKEN
        assert answer.json["note"]
        for header, value in (
            ("x-forwarded-for", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("via", "1.1 proxy"),
            ("origin", "http://localhost:3000"),
            ("x-real-ip", "192.0.2.1"),
        ):
            refused = gateway.get("/auth-token", **{header: value})
            assert refused.status == 403, header
            assert TOKEN not in refused.body.decode()
    with serve() as gateway:
        assert gateway.get("/auth-token").json["auth_token"] == ""
    with serve(AUTH_TOKEN=TOKEN, files={"dragoman.yaml": "server: {show_token: true}\n"}) as gateway:
        assert gateway.get("/auth-token", x_forwarded_for="192.0.2.1").json["auth_token"] == TOKEN


def test_p3_4_health(serve: Serve) -> None:
    with serve(AUTH_TOKEN=TOKEN) as gateway:
        assert gateway.get("/health").json == {"status": "ok"}


def test_p3_5_parameters(serve: Serve, openai: OpenAI) -> None:
    lines = {"UPSTREAM_BASE_URL": openai.url, "UPSTREAM_API_KEY": OPENAI_KEY, "UPSTREAM_MODEL": "m"}
    given = {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "stop_sequences": ["from"], "system": "Be brief."}
    with serve(**lines) as gateway:
        answer = gateway.ask(**given)
    body = openai.chats[-1]
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (1000, 0.5, 0.9)
    # Matched here, so that the caller also learns which one it was.
    assert (answer.json["stop_reason"], answer.json["stop_sequence"]) == ("stop_sequence", "from")
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "top_k" not in body
    assert "top_k" in answer.headers["x-dragoman-notes"]


def test_p3_7_the_switch_for_betas_is_harmless(serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
    """The real Claude Code, with that switch and without: the same work, and the gateway has no need of it."""
    lines = {"UPSTREAM_BASE_URL": openai.url, "UPSTREAM_API_KEY": OPENAI_KEY, "UPSTREAM_MODEL": "own/name"}
    with serve(**lines, AUTH_TOKEN=TOKEN) as gateway:
        for number, switch in enumerate(({"CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1"}, {})):
            how = test_claude_code.invocation(gateway.url, tmp_path / f"home{number}", "Hello", model="sonnet")
            how["env"] |= {"ANTHROPIC_AUTH_TOKEN": TOKEN, **switch}
            done = subprocess.run(**how, capture_output=True, timeout=test_claude_code.LIMIT, check=False)
            assert done.returncode == 0, done.stderr + done.stdout
            assert json.loads(done.stdout.splitlines()[-1])["result"] == "Chat from own/name."
    assert len(openai.chats) >= 2
