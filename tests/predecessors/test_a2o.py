"""P0: a LiteLLM `config.yaml`, OPENAI_MODEL, LITELLM_MASTER_KEY, and the log of that proxy."""

import json
from pathlib import Path

from cli.test_cli_serve import get, served
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


def test_p0_3_the_model_names_in_use(serve: Serve, openai: OpenAI) -> None:
    lines = {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url, "OPENAI_MODEL": "gpt-4o-mini"}
    with serve(**lines) as gateway:
        assert gateway.ask(model="gpt-4o-mini").target == "openai/gpt-4o-mini"
        assert gateway.ask(model="qwen-3-coder-480b").target == "openai/qwen-3-coder-480b"


def test_p0_4_a_config_in_litellms_form(serve: Serve, openai: OpenAI) -> None:
    token = {"authorization": "Bearer sk-master"}
    files = {"config.yaml": CONFIG.format(url=openai.url)}
    arguments = ("--config", "config.yaml")
    with serve(*arguments, files=files, MY_KEY=OPENAI_KEY, LITELLM_MASTER_KEY="sk-master") as gateway:
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
