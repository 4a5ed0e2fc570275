"""P0.7, P1.8 and P2.1: the providers behind the older proxies, by their own variables and files."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import scripted
from clients.conftest import ROOT
from clients.scripted import Upstream
from clients.scripted_azure import Resource
from clients.scripted_responses import hosting, words
from dragoman.sidecar.environment import Environment
from predecessors.conftest import CLAUDE_KEY, OPENAI_KEY, Claude, OpenAI, Serve

AZURE_KEY, REPLICATE_KEY = "canary-azure", "canary-replicate"
HAIKU = "claude-3-5-haiku-20241022"
ROW = "- {{model_name: {}, litellm_params: {{model: {}, api_base: {}, api_key: os.environ/{}}}}}\n"
REPLICATE = "{model: replicate/meta/llama-3-70b, api_key: os.environ/REPLICATE_API_KEY}"
VERSION = "2025-04-01-preview"


@pytest.fixture
def azure() -> Iterator[Resource]:
    def chat(body: scripted.Json) -> scripted.Answer:
        return scripted.words(f"Chat from {body['model']}.")

    deployments = {"my-gpt": "gpt-5.5", "old-gpt": "gpt-4.1"}
    made = Resource(lambda body: words(f"From {body['model']}."), chat, deployments=deployments, key=AZURE_KEY)
    with hosting(made):
        yield made
    assert not made.complaints


@pytest.fixture
def fast() -> Iterator[Upstream]:
    """Stands for the hosts that speak Chat Completions."""
    with scripted.serving(lambda body: scripted.words(f"Fast from {body['model']}.")) as upstream:
        yield upstream
    assert not upstream.complaints


@pytest.fixture
def beside(tmp_path: Path) -> str:
    """A folder of data in which something stands for LiteLLM: it says its process, the model, and its variables."""
    environment = Environment("litellm", tmp_path / "data" / "dragoman" / "litellm")
    environment.python.parent.mkdir(parents=True)
    stand_in = ROOT / "tests" / "sidecar" / "stand_in.py"
    command = f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -u {shlex.quote(str(stand_in))}\n"
    environment.python.write_text(command, "utf-8")
    environment.python.chmod(0o700)
    environment.finish()
    return str(tmp_path / "data")


def test_p0_7_every_provider_of_the_list(  # noqa: PLR0917 - one fixture for each vendor
    serve: Serve, openai: OpenAI, azure: Resource, claude: Claude, fast: Upstream, beside: str
) -> None:
    rows = (
        ("gpt-4o-mini", "openai/gpt-4o-mini", openai.url, "OPENAI_API_KEY"),
        ("on-azure", "azure/my-gpt", f"{azure.url}, api_version: {VERSION}", "AZURE_API_KEY"),
        ("of-anthropic", "anthropic/claude-sonnet-4-5", claude.url, "ANTHROPIC_API_KEY"),
        ("qwen-3-coder-480b", "cerebras/qwen-3-coder-480b", fast.url, "CEREBRAS_API_KEY"),
        ("on-groq", "groq/llama-3.3-70b-versatile", fast.url, "GROQ_API_KEY"),
        ("on-together", "together_ai/meta-llama/Llama-3-70b", fast.url, "TOGETHERAI_API_KEY"),
    )
    config = "model_list:\n" + "".join(ROW.format(*row) for row in rows)
    config += f"- {{model_name: on-replicate, litellm_params: {REPLICATE}}}\n"
    keys = {
        "OPENAI_API_KEY": OPENAI_KEY, "AZURE_API_KEY": AZURE_KEY, "ANTHROPIC_API_KEY": CLAUDE_KEY,
        "CEREBRAS_API_KEY": "canary-cerebras", "GROQ_API_KEY": "canary-groq", "TOGETHERAI_API_KEY": "canary-together",
        "REPLICATE_API_KEY": REPLICATE_KEY, "XDG_DATA_HOME": beside,
    }  # fmt: skip
    with serve("--config", "config.yaml", files={"config.yaml": config}, **keys) as gateway:
        told = {name: gateway.ask(model=name).text for name in [*(row[0] for row in rows), "on-replicate"]}
        assert "event: message_stop" in gateway.ask(model="on-replicate", stream=True).body.decode()
    replicate = told.pop("on-replicate").split(" ")
    assert told == {
        "gpt-4o-mini": "Chat from gpt-4o-mini.",
        "on-azure": "From gpt-5.5.",
        "of-anthropic": "From Claude.",
        "qwen-3-coder-480b": "Fast from qwen-3-coder-480b.",
        "on-groq": "Fast from llama-3.3-70b-versatile.",
        "on-together": "Fast from meta-llama/Llama-3-70b.",
    }
    assert [headers["authorization"] for headers in fast.headers] == [
        "Bearer canary-cerebras", "Bearer canary-groq", "Bearer canary-together",
    ]  # fmt: skip
    assert replicate[1] == "replicate/meta/llama-3-70b"
    given = set(replicate[2].split(","))
    assert "REPLICATE_API_KEY" in given
    assert not given & {"OPENAI_API_KEY", "AZURE_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY"}


def test_p1_8_any_model_that_litellm_supports(serve: Serve, openai: OpenAI, beside: str) -> None:
    lines = {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url, "BIG_MODEL": "openai/gpt-4.1"}
    more = {"SMALL_MODEL": "litellm/replicate/meta/llama-3-70b", "XDG_DATA_HOME": beside}
    keys = {"REPLICATE_API_KEY": REPLICATE_KEY, "LITELLM_ENVIRONMENT": "REPLICATE_API_KEY"}
    with serve(**lines, **more, **keys) as gateway:
        assert gateway.ask().target == "openai/gpt-4.1"
        small = gateway.ask(model=HAIKU)
        assert small.target == "litellm/replicate/meta/llama-3-70b"
        assert small.text.split(" ")[1] == "replicate/meta/llama-3-70b"
        assert "REPLICATE_API_KEY" in small.text
        assert gateway.ask(model="litellm/cohere/command-r", stream=True).status == 200


@pytest.mark.parametrize(
    "variables",
    [
        ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_VERSION"),
        ("AZURE_API_KEY", "AZURE_API_BASE", "AZURE_API_VERSION"),
    ],
)
def test_p2_1_azure(serve: Serve, azure: Resource, variables: tuple[str, str, str]) -> None:
    lines = dict(zip(variables, (AZURE_KEY, azure.url, VERSION), strict=True))
    models = {"PREFERRED_PROVIDER": "azure", "BIG_MODEL": "my-gpt", "SMALL_MODEL": "old-gpt"}
    with serve(**lines, **models) as gateway:
        big, small = gateway.ask(), gateway.ask(model=HAIKU, stream=True)
        assert (big.target, big.text) == ("azure/my-gpt", "From gpt-5.5.")
        assert small.target == "azure/old-gpt"
        assert "event: message_stop" in small.body.decode()
        assert gateway.ask(model="azure/old-gpt").target == "azure/old-gpt"
        assert gateway.ask(model="old-gpt").target == "azure/old-gpt"
        counted = gateway.ask(to="/v1/messages/count_tokens")
        assert counted.json["input_tokens"] > 0
    assert {headers["api-key"] for headers in azure.headers} == {AZURE_KEY}
    assert all(f"api-version={VERSION}" in path for path in azure.asked)
