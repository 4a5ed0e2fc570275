"""A model that is asked in the wrong language: the upstream's refusal shows it, and the next request knows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients import scripted, wire_client
from clients.conftest import logged, started
from clients.responses_rules import Json, Refused
from clients.scripted_responses import Host, Output, called, hosting, said, thought

KEY = "canary-openai-key"
CONFIGURATION = """\
providers:
  openai:
    base_url: {url}
    api_key: "${{OPENAI_KEY}}"
    facts:
      "{model}": {facts}
models:
  sonnet: openai/{model}
"""
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@contextmanager
def gateway(home: Path, host: Host, model: str, facts: Json) -> Iterator[str]:
    configuration = CONFIGURATION.format(url=host.url, model=model, facts=json.dumps(facts))
    (home / "dragoman.yaml").write_text(configuration, "utf-8")
    with started(home / "gateway", "--config", str(home / "dragoman.yaml"), OPENAI_KEY=KEY) as url:
        yield url


def ways(host: Host) -> list[str]:
    """What was asked, in order."""
    return [path.removeprefix("/v1/") for path in host.asked]


def thinks(body: Json) -> Output:
    return Output(items=[thought("Where?"), said("Let me look."), called("weather", {"city": "Rhodes"})])


@pytest.mark.parametrize("stream", [True, False])
def test_chat_that_should_be_responses(tmp_path: Path, stream: bool) -> None:
    """The refusal of tools with reasoning, https://github.com/openai/openai-openapi/issues/541"""
    with hosting(Host(thinks, lambda body: scripted.words("From chat."), key=KEY)) as host:
        wrong = {"dialect": "chat", "tools_with_reasoning": True}
        more: Json = {"tools": [WEATHER], "thinking": {"type": "enabled", "budget_tokens": 4000}, "stream": stream}
        with gateway(tmp_path, host, "gpt-5.6", wrong) as url:
            first = wire_client.message(url, **more)
            assert ways(host) == ["chat/completions", "responses"]
            second = wire_client.message(url, **more)
    assert wire_client.said(first) == wire_client.said(second) == "Let me look."
    assert ways(host) == ["chat/completions", "responses", "responses"]
    assert len(host.complaints) == 1
    told = logged(tmp_path / "gateway", 2)
    assert [line["attempts"] for line in told] == [2, 1]
    assert all("responses" in line["repairs"] for line in told)


def test_responses_that_should_be_chat(tmp_path: Path) -> None:
    def knows_no_such_model(body: Json) -> Output:
        raise Refused(f"The model '{body['model']}' is not supported with the Responses API.", param="model")

    host = Host(knows_no_such_model, lambda body: scripted.words("From chat."), key=KEY)
    with hosting(host), gateway(tmp_path, host, "gpt-4.1", {"dialect": "responses"}) as url:
        assert [wire_client.said(wire_client.message(url)) for _ in range(2)] == ["From chat.", "From chat."]
    assert ways(host) == ["responses", "chat/completions", "chat/completions"]


def test_a_server_without_the_endpoint(tmp_path: Path) -> None:
    host = Host(None, lambda body: scripted.words("From chat."), key=KEY)
    with hosting(host), gateway(tmp_path, host, "gpt-4.1", {"dialect": "responses"}) as url:
        assert wire_client.said(wire_client.message(url)) == "From chat."
    assert ways(host) == ["responses", "chat/completions"]
