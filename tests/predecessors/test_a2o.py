"""P0: a LiteLLM `config.yaml`, OPENAI_MODEL, LITELLM_MASTER_KEY, and the log of that proxy."""

import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.test_cli_serve import get, served
from clients import scripted
from clients.test_claude_code import LIMIT, invocation
from predecessors.conftest import OPENAI_KEY, OpenAI, Serve

CONFIG = """\
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: gpt-4o-mini
      custom_llm_provider: openai
      api_base: {url}
      api_key: os.environ/MY_KEY
  - model_name: claude-sonnet-4-5
    litellm_params: {{model: openai/gpt-4.1, api_base: {url}, api_key: os.environ/MY_KEY, rpm: 6}}
  - model_name: qwen-3-coder-480b
    litellm_params: {{model: cerebras/qwen-3-coder-480b, api_key: os.environ/CEREBRAS_API_KEY}}
litellm_settings: {{drop_params: true}}
general_settings: {{master_key: os.environ/LITELLM_MASTER_KEY}}
"""


def test_p0_1_messages_from_a_chat_server(serve: Serve, openai: OpenAI) -> None:
    lines = {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url, "OPENAI_MODEL": "gpt-4o-mini"}
    with serve(**lines) as gateway:
        assert gateway.ask(model="gpt-4o-mini").json["type"] == "message"
        assert "event: message_stop" in gateway.ask(model="gpt-4o-mini", stream=True).body.decode()


OWN = "canary-callers-own"


@pytest.mark.failure(137, 140)
@pytest.mark.parametrize("master", [{}, {"LITELLM_MASTER_KEY": "canary-master"}], ids=["open", "with a master key"])
def test_p0_2_the_upstream_by_a_header(serve: Serve, openai: OpenAI, tmp_path: Path, master: dict[str, str]) -> None:
    with scripted.serving(lambda body: scripted.words(f"Chosen {body['model']}.")) as chosen:
        # The host is on this machine here, so it has to be listed; those of the presets need no entry.
        lines = {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url, "OPENAI_MODEL": "gpt-4o-mini", **master}
        files = {"dragoman.yaml": f'server: {{endpoints: ["{urlsplit(chosen.url).netloc}"]}}\nlogs: {{format: a2o}}\n'}
        asked = {"a2o-endpoint": chosen.url, "authorization": f"Bearer {OWN}"}
        token = {"x-dragoman-token": "canary-master"} if master else {}
        with serve(files=files, **lines) as gateway:
            answer = gateway.ask(model="qwen-3-coder-480b", headers={**asked, **token})
            assert answer.json["content"][0]["text"] == "Chosen qwen-3-coder-480b."
            streamed = gateway.ask(model="gpt-4o-mini", stream=True, headers={**asked, **token})
            assert "event: message_stop" in streamed.body.decode()
            counted = gateway.ask(to="/v1/messages/count_tokens", headers={**asked, **token})
            assert counted.json["input_tokens"] > 0
            for header, status, words in (
                ({}, 401, "x-dragoman-token"),
                ({"a2o-endpoint": "https://attacker.example/v1"}, 403, "endpoints"),
                ({"a2o-endpoint": "http://169.254.169.254/v1"}, 403, "endpoints"),
                ({"a2o-endpoint": "api.cerebras.ai"}, 400, "https://api.cerebras.ai/v1"),
            ):
                own = {"authorization": f"Bearer {OWN}"} if header else {}
                refused = gateway.ask(headers={**asked, "authorization": "", **own, **header, **token})
                assert refused.status == status
                assert words in refused.json["error"]["message"]
            if master:
                refused = gateway.ask(headers=asked)
                assert refused.status == 401
                assert "x-dragoman-token" in refused.json["error"]["message"]
            assert not chosen.complaints
            assert [each["authorization"] for each in chosen.headers] == [f"Bearer {OWN}"] * 2
            assert not [each for each in chosen.headers if OPENAI_KEY in str(each) or "canary-master" in str(each)]
            assert not openai.chats
            assert not openai.requests
    log = (tmp_path / "stdout").read_text("utf-8")
    assert OWN not in log
    first = json.loads(log.splitlines()[0])
    assert first["endpoint"] == chosen.url.partition("://")[2] + "/chat/completions"
    assert (first["event"], first["model"]) == ("proxy.success", "qwen-3-coder-480b")


def test_p0_3_the_model_names_in_use(serve: Serve, openai: OpenAI) -> None:
    lines = {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url, "OPENAI_MODEL": "gpt-4o-mini"}
    with serve(**lines) as gateway:
        assert gateway.ask(model="gpt-4o-mini").target == "openai/gpt-4o-mini"
        assert gateway.ask(model="qwen-3-coder-480b").target == "openai/qwen-3-coder-480b"


def test_p0_4_a_config_in_litellms_form(serve: Serve, openai: OpenAI) -> None:
    token = {"authorization": "Bearer canary-master"}
    files = {"config.yaml": CONFIG.format(url=openai.url)}
    arguments = ("--config", "config.yaml")
    with serve(*arguments, files=files, MY_KEY=OPENAI_KEY, LITELLM_MASTER_KEY="canary-master") as gateway:
        assert gateway.ask(model="gpt-4o-mini").status == 401
        assert gateway.ask(model="gpt-4o-mini", headers=token).json["content"][0]["text"] == "Chat from gpt-4o-mini."
        assert gateway.ask(headers=token).json["content"][0]["text"] == "Chat from gpt-4.1."
        refused = gateway.ask(model="qwen-3-coder-480b", headers=token)
        assert "CEREBRAS_API_KEY" in refused.json["error"]["message"]


def test_p0_5_the_environment(serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
    lines = {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url, "OPENAI_MODEL": "gpt-4o-mini"}
    with serve(**lines, LITELLM_MASTER_KEY="dev-local") as gateway:
        assert gateway.ask().status == 401
        assert gateway.ask(headers={"x-api-key": "dev-local"}).target == "openai/gpt-4o-mini"
    # Everybody knows that one: other machines need another.
    there = tmp_path / "there"
    there.mkdir()
    (there / ".env").write_text("LITELLM_MASTER_KEY=dev-local\n", "utf-8")
    with served(there, "--host", "0.0.0.0", "--port", "0") as running:
        assert get(running.url(), "/v1/models", {"x-api-key": "dev-local"})[0] == 401
        token = next(there.rglob("token")).read_text("utf-8").strip()
        assert get(running.url(), "/v1/models", {"x-api-key": token})[0] == 200


def test_p0_6_one_object_a_request(serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
    lines = {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url, "OPENAI_MODEL": "gpt-4o-mini"}
    with serve(**lines, files={"dragoman.yaml": "logs: {format: a2o}\n"}) as gateway:
        gateway.ask()
        gateway.ask(model="groq/missing")
    done, failed = map(json.loads, (tmp_path / "stdout").read_text("utf-8").splitlines())
    assert (done["event"], done["path"], done["model"]) == ("proxy.success", "/v1/messages", "gpt-4o-mini")
    assert done["usage"] == {"completion_tokens": 30, "prompt_tokens": 120, "total_tokens": 150}
    assert done["ts"] > 1_700_000_000_000
    assert done["stream"] is False
    assert done["endpoint"].endswith("/v1/chat/completions")
    assert (failed["event"], failed["usage"]) == ("proxy.failure", None)


def test_p0_9_claude_code_by_its_settings_file(serve: Serve, tmp_path: Path) -> None:
    """ANTHROPIC_AUTH_TOKEN is the provider's key, and the endpoint is in a header."""
    with scripted.serving(lambda body: scripted.words(f"Chosen {body['model']}.")) as chosen:
        files = {"dragoman.yaml": f'server: {{endpoints: ["{urlsplit(chosen.url).netloc}"]}}\n'}
        with serve(files=files) as gateway:
            home = tmp_path / "user"
            how = invocation(gateway.url, home, "Say hello.", model="qwen-3-coder-480b")
            settings = {
                "ANTHROPIC_BASE_URL": how["env"].pop("ANTHROPIC_BASE_URL"),
                "ANTHROPIC_AUTH_TOKEN": how["env"].pop("ANTHROPIC_AUTH_TOKEN") and OWN,
                "ANTHROPIC_MODEL": "qwen-3-coder-480b",
                "ANTHROPIC_SMALL_FAST_MODEL": "gpt-4o-mini",
                "ANTHROPIC_CUSTOM_HEADERS": f"a2o-endpoint: {chosen.url}",
            }
            (home / "claude").mkdir()
            (home / "claude" / "settings.json").write_text(json.dumps({"env": settings}), "utf-8")
            done = subprocess.run(**how, capture_output=True, timeout=LIMIT, check=False)
            assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
            assert "Chosen qwen-3-coder-480b." in done.stdout
    assert {each["authorization"] for each in chosen.headers} == {f"Bearer {OWN}"}


def test_p0_9_a_default_endpoint(serve: Serve, openai: OpenAI) -> None:
    """For clients that cannot send the header: the operator's address, and the operator's key."""
    lines = {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url, "OPENAI_MODEL": "gpt-4o-mini"}
    with serve(**lines, LITELLM_MASTER_KEY="dev-local") as gateway:
        answer = gateway.ask(headers={"authorization": "Bearer dev-local"})
        assert answer.json["content"][0]["text"] == "Chat from gpt-4o-mini."
