"""What people typed by the READMEs of the older proxies: their lines for a shell, their settings files, their programs.

Only the host and the port are others.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clients.conftest import clean_environment, client, program
from clients.test_claude_code import LIMIT, binary
from predecessors.conftest import GEMINI_KEY, OPENAI_KEY, Gateway, Gemini, OpenAI, Serve

BODY = '{"model": "%s", "max_tokens": 1024, "messages": [{"role": "user", "content": "Hello, Claude"}]}'
STREAMED = BODY.replace("{", '{"stream": true, ', 1)
ASSIGNED = 'TOKEN=$(curl -s http://localhost:8000/auth-token | sed \'s/.*"auth_token": *"\\([^"]*\\)".*/\\1/\')\n'

SDK = """
from anthropic import Anthropic

client = Anthropic(base_url="http://localhost:8082", api_key="any-key")
body = dict(model="claude-3-haiku-20240307", messages=[{"role": "user", "content": "Hello"}])
print(client.messages.create(max_tokens=100, **body).content[0].text)
with client.messages.stream(max_tokens=100, **body) as stream:
    print("".join(stream.text_stream))
print(client.messages.count_tokens(**body).input_tokens)
"""


def here(text: str, gateway: Gateway) -> str:
    """`text` for the gateway of the test: its host and its port, and nothing else."""
    for port in (4000, 8000, 8082):
        text = text.replace(f"http://localhost:{port}", gateway.url)
    return text


def typed(lines: str, gateway: Gateway, home: Path, **environ: str) -> str:
    """The output of lines for a shell."""
    program("curl")
    done = subprocess.run(
        ["sh", "-eu", "-c", here(lines, gateway)],
        cwd=home, env=clean_environment(home, **environ), capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def said(answer: str) -> str:
    message = json.loads(answer)
    assert message.get("type") == "message", answer
    text: str = message["content"][0]["text"]
    return text


def claude(home: Path, *arguments: str, **environ: str) -> Any:
    """The result of a headless Claude Code that knows nothing but `environ` and the settings in `home`."""
    more = {"IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
    home.mkdir(parents=True, exist_ok=True)
    command = [str(binary()), "-p", "Hello", "--output-format", "json", *arguments]
    done = subprocess.run(
        command, cwd=home, env=clean_environment(home, **more, **environ), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def openais(openai: OpenAI) -> dict[str, str]:
    return {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url}


def a2o(serve: Serve, openai: OpenAI) -> Any:
    return serve(**openais(openai), OPENAI_MODEL="gpt-4o-mini", LITELLM_MASTER_KEY="dev-local")


class TestA2o:
    @pytest.mark.parametrize("body", [BODY, STREAMED])
    def test_curl(self, serve: Serve, openai: OpenAI, tmp_path: Path, body: str) -> None:
        lines = (
            "curl -sS -X POST http://localhost:4000/v1/messages \\\n"
            '  -H "Authorization: Bearer dev-local" \\\n'
            '  -H "Content-Type: application/json" \\\n'
            '  -H "anthropic-version: 2023-06-01" \\\n'
            f"  -d '{body % 'gpt-4o-mini'}'"
        )
        with a2o(serve, openai) as gateway:
            answer = typed(lines, gateway, tmp_path)
        if body is STREAMED:
            assert answer.startswith("event: message_start")
            assert "event: message_stop" in answer
        else:
            assert said(answer) == "Chat from gpt-4o-mini."

    def test_the_settings_file_of_claude_code(self, serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
        env = {
            "ANTHROPIC_BASE_URL": "http://localhost:4000",
            "ANTHROPIC_AUTH_TOKEN": "dev-local",
            "ANTHROPIC_MODEL": "gpt-4o-mini",
        }
        home = tmp_path / "home"
        (home / ".claude").mkdir(parents=True)
        with a2o(serve, openai) as gateway:
            (home / ".claude" / "settings.json").write_text(here(json.dumps({"env": env}), gateway), "utf-8")
            result = claude(home)
        assert result["result"] == "Chat from gpt-4o-mini."

    def test_the_variables_of_claude_code(self, serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
        with a2o(serve, openai) as gateway:
            env = {"ANTHROPIC_BASE_URL": gateway.url, "ANTHROPIC_AUTH_TOKEN": "dev-local"}
            result = claude(tmp_path / "work", **env, ANTHROPIC_MODEL="gpt-4o-mini")
        assert result["result"] == "Chat from gpt-4o-mini."


class TestBigAndSmall:
    """The two in Python that map haiku and sonnet, and the one in Go."""

    @pytest.mark.parametrize(
        "model", ["claude-3-haiku-20240307", "claude-3-sonnet-20240229", "claude-sonnet-4-20250514"]
    )
    def test_curl(self, serve: Serve, openai: OpenAI, tmp_path: Path, model: str) -> None:
        lines = (
            "curl -sS http://localhost:8082/v1/messages -H 'Content-Type: application/json' "
            f"-H 'x-api-key: anything' -H 'anthropic-version: 2023-06-01' -d '{BODY % model}'"
        )
        with serve(**openais(openai), PREFERRED_PROVIDER="openai") as gateway:
            wanted = "gpt-4.1-mini" if "haiku" in model else "gpt-4.1"
            assert said(typed(lines, gateway, tmp_path)) == f"Chat from {wanted}."

    def test_curl_with_another_preferred_provider(self, serve: Serve, gemini: Gemini, tmp_path: Path) -> None:
        lines = (
            "curl -sSN http://localhost:8082/v1/messages -H 'Content-Type: application/json' "
            f"-d '{STREAMED % 'claude-sonnet-4-20250514'}'\n"
            "curl -sS http://localhost:8082/v1/messages/count_tokens -H 'Content-Type: application/json' "
            f"-d '{BODY % 'claude-sonnet-4-20250514'}'"
        )
        keys = {"GEMINI_API_KEY": GEMINI_KEY, "GEMINI_BASE_URL": gemini.url}
        with serve(
            **keys, PREFERRED_PROVIDER="google", BIG_MODEL="gemini-2.5-pro", SMALL_MODEL="gemini-2.5-flash"
        ) as on:
            answer = typed(lines, on, tmp_path)
        assert "event: message_stop" in answer
        assert json.loads(answer.splitlines()[-1])["input_tokens"] > 0

    def test_claude_code_by_its_address_alone(self, serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
        """`ANTHROPIC_BASE_URL=http://localhost:8082 claude`, by somebody who has a key for Anthropic."""
        with serve(**openais(openai), BIG_MODEL="gpt-4.1", SMALL_MODEL="gpt-4.1-mini") as gateway:
            result = claude(
                tmp_path / "work", "--model", "sonnet", ANTHROPIC_BASE_URL=gateway.url, ANTHROPIC_API_KEY="canary-own"
            )
        assert result["result"] == "Chat from gpt-4.1."
        assert "canary-own" not in json.dumps(openai.headers)

    def test_the_python_sdk(self, serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
        python = client("python-0", "bin", "python")
        with serve(**openais(openai), PREFERRED_PROVIDER="openai") as gateway:
            done = subprocess.run(
                [python, "-c", here(SDK, gateway)],
                env=clean_environment(tmp_path), capture_output=True, text=True, timeout=LIMIT, check=False,
            )  # fmt: skip
        whole, streamed, counted = done.stdout.splitlines()
        assert whole == streamed == "Chat from gpt-4.1-mini."
        assert int(counted) > 0

    def test_probes(self, serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
        lines = "".join(
            f"curl -sSf http://localhost:8082{path}; echo\n" for path in ("/health", "/health/ready", "/v1/models", "/")
        )
        with serve(**openais(openai)) as gateway:
            health, ready, models, root = map(json.loads, typed(lines, gateway, tmp_path).splitlines())
        assert health["status"] == "ok"
        assert ready["providers"] == {"openai": True}
        assert models["data"]
        assert root


class TestOneUpstream:
    def test_the_token_and_curl(self, serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
        lines = (
            "curl -sSf http://localhost:8000/health; echo\n"
            + ASSIGNED
            + 'curl -sS -X POST http://localhost:8000/v1/messages -H "Content-Type: application/json" '
            f"-H \"Authorization: Bearer $TOKEN\" -d '{BODY % 'my-model'}'; echo\n"
            'curl -sS -X POST http://localhost:8000/v1/messages -H "Content-Type: application/json" '
            f"-H \"x-api-key: $TOKEN\" -d '{BODY % 'my-model'}'; echo\n"
        )
        upstream = {"UPSTREAM_BASE_URL": openai.url, "UPSTREAM_API_KEY": OPENAI_KEY, "UPSTREAM_MODEL": "own/name"}
        with serve(**upstream, CUSTOM_MODEL_NAME="my-model", AUTH_TOKEN="canary-of-mine") as gateway:
            health, *answers = typed(lines, gateway, tmp_path).splitlines()
        assert json.loads(health) == {"status": "ok"}
        assert [said(answer) for answer in answers] == ["Chat from own/name."] * 2

    def test_claude_code(self, serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
        upstream = {"UPSTREAM_BASE_URL": openai.url, "UPSTREAM_API_KEY": OPENAI_KEY, "UPSTREAM_MODEL": "own/name"}
        with serve(**upstream, CUSTOM_MODEL_NAME="my-model", AUTH_TOKEN="canary-of-mine") as gateway:
            env = {"ANTHROPIC_BASE_URL": gateway.url, "ANTHROPIC_AUTH_TOKEN": "canary-of-mine"}
            result = claude(tmp_path / "work", **env, ANTHROPIC_MODEL="my-model")
        assert result["result"] == "Chat from own/name."
