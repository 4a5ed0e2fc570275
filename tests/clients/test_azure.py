"""Azure over real sockets: both kinds of URLs, keys and tokens, deployments that are not there, filters."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients import scripted, wire_client
from clients.conftest import client, run_json, started
from clients.responses_rules import Json
from clients.scripted import Answer
from clients.scripted_azure import Directory, Filtered, Resource, issuing
from clients.scripted_responses import Output, called, hosting, said, thought

KEY = "canary-azure-key"
TURNS = str(Path(__file__).with_name("turns_sdk.py"))
DEPLOYMENTS = {"my-gpt": "gpt-5.5", "old-gpt": "gpt-4.1"}
CONFIGURATION = """\
server: {{retries: 0}}
providers:
  azure:
    deployments: {{my-gpt: gpt-5.5, old-gpt: gpt-4.1}}
    {more}
models:
  sonnet: azure/my-gpt
  haiku: azure/old-gpt
  opus: azure/not-deployed
"""
LOOK = {
    "name": "look",
    "description": "Looks something up.",
    "input_schema": {"type": "object", "properties": {"answer": {"type": "string"}}},
}


def brain(body: Json) -> Output:
    if "bomb" in json.dumps(body["input"]):
        raise Filtered
    made = sum(item.get("type") == "function_call_output" for item in body["input"])
    calls = [called("look", {"answer": f"found {made}"})] if body.get("tools") and made < 5 else []
    return Output(
        items=[thought(f"Thought {made}."), said(f"From {body['model']}."), *([thought(), *calls] if calls else [])]
    )


def slowly(body: Json) -> Output:
    """The same, taking half a second."""
    output = brain(body)
    output.pause = 0.025
    return output


def chat(body: Json) -> Answer:
    if "knife" in json.dumps(body["messages"]):
        return Answer(deltas=[{"content": "First take a "}], finish="content_filter")
    return scripted.words(f"Chat from {body['model']}.")


@pytest.fixture
def directory() -> Iterator[Directory]:
    with issuing(Directory()) as running:
        yield running


@pytest.fixture
def resource(directory: Directory) -> Iterator[Resource]:
    with hosting(Resource(brain, chat, deployments=DEPLOYMENTS, directory=directory, key=KEY)) as made:
        assert isinstance(made, Resource)
        yield made


@contextmanager
def gateway(home: Path, more: str = "", **environ: str) -> Iterator[str]:
    (home / "dragoman.yaml").write_text(CONFIGURATION.format(more=more), "utf-8")
    with started(home / "gateway", "--config", str(home / "dragoman.yaml"), **environ) as url:
        yield url
    output = "".join((home / "gateway" / name).read_text("utf-8") for name in ("stdout", "stderr"))
    assert KEY not in output
    assert Directory.password not in output


PASTED = ("{url}", "{url}/", "{url}/openai", "{url}/openai/v1/", "{url}/openai/v1/responses?api-version=preview")


@pytest.mark.failure(173)
@pytest.mark.parametrize("pasted", PASTED)
def test_the_v1_api_with_a_key(tmp_path: Path, resource: Resource, pasted: str) -> None:
    endpoint = pasted.format(url=resource.url)
    with gateway(tmp_path, AZURE_OPENAI_ENDPOINT=endpoint, AZURE_OPENAI_API_KEY=KEY) as url:
        assert wire_client.said(wire_client.message(url)) == "From gpt-5.5."
        assert wire_client.said(wire_client.message(url, model="haiku", stream=True)) == "Chat from gpt-4.1."
    assert resource.asked == ["/openai/v1/responses", "/openai/v1/chat/completions"]
    assert [headers.get("api-key") for headers in resource.headers] == [KEY, KEY]
    assert resource.requests[0]["model"] == "my-gpt"
    assert not resource.complaints


@pytest.mark.failure(88, 173)
@pytest.mark.parametrize("pasted", ["{url}/?api-version=2025-04-01-preview", "{url}"])
def test_deployment_urls_with_a_version(tmp_path: Path, resource: Resource, pasted: str) -> None:
    more = {} if "?" in pasted else {"AZURE_OPENAI_API_VERSION": "2025-04-01-preview"}
    endpoint = pasted.format(url=resource.url)
    with gateway(tmp_path, AZURE_OPENAI_ENDPOINT=endpoint, AZURE_OPENAI_API_KEY=KEY, **more) as url:
        assert wire_client.said(wire_client.message(url, stream=True)) == "From gpt-5.5."
        # The first chunk of this answer has no choices, but `prompt_filter_results`.
        assert wire_client.said(wire_client.message(url, model="haiku", stream=True)) == "Chat from gpt-4.1."
    assert resource.asked == [
        "/openai/responses?api-version=2025-04-01-preview",
        "/openai/deployments/old-gpt/chat/completions?api-version=2025-04-01-preview",
    ]
    assert not resource.complaints


@pytest.mark.failure(173)
@pytest.mark.parametrize("version", ["", "2025-04-01-preview"])
@pytest.mark.parametrize("stream", [True, False])
def test_the_answer_names_the_deployment_that_is_not_there(
    tmp_path: Path, resource: Resource, version: str, stream: bool
) -> None:
    environ = {"AZURE_OPENAI_API_VERSION": version} if version else {}
    with gateway(tmp_path, AZURE_OPENAI_ENDPOINT=resource.url, AZURE_OPENAI_API_KEY=KEY, **environ) as url:
        reply = wire_client.message(url, model="opus", stream=stream)
    assert reply.status == 404
    assert reply.body["error"]["type"] == "not_found_error"
    assert "not-deployed" in reply.body["error"]["message"]


@pytest.mark.failure(72)
def test_a_prompt_that_the_filter_takes(tmp_path: Path, resource: Resource) -> None:
    with gateway(tmp_path, AZURE_OPENAI_ENDPOINT=resource.url, AZURE_OPENAI_API_KEY=KEY) as url:
        reply = wire_client.message(url, "How to build a bomb?")
    assert reply.status == 400
    assert reply.body["error"]["type"] == "invalid_request_error"
    assert "violence" in reply.body["error"]["message"]


@pytest.mark.failure(72, 88)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_the_filter_cuts(tmp_path: Path, resource: Resource, stream: bool) -> None:
    with gateway(tmp_path, AZURE_OPENAI_ENDPOINT=resource.url, AZURE_OPENAI_API_KEY=KEY) as url:
        reply = wire_client.message(url, "How to make a knife?", model="haiku", stream=stream)
    assert wire_client.said(reply) == "First take a "
    outcome = reply.body[-2]["delta"] if stream else reply.body
    assert outcome["stop_reason"] == "refusal"


def test_a_version_without_responses(tmp_path: Path, resource: Resource) -> None:
    """The model wants Responses for tools with reasoning; this version has none, so it does not reason."""
    version = {"AZURE_OPENAI_API_VERSION": "2024-10-21"}
    with gateway(tmp_path, AZURE_OPENAI_ENDPOINT=resource.url, AZURE_OPENAI_API_KEY=KEY, **version) as url:
        more: Json = {"tools": [LOOK], "thinking": {"type": "enabled", "budget_tokens": 2000}}
        reply = wire_client.message(url, **more)
    assert wire_client.said(reply) == "Chat from gpt-5.5."
    assert resource.asked == ["/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"]
    assert reply.headers["x-dragoman-notes"]


def entra(directory: Directory) -> dict[str, str]:
    return {
        "AZURE_TENANT_ID": directory.tenant,
        "AZURE_CLIENT_ID": directory.client,
        "AZURE_CLIENT_SECRET": directory.password,
        "AZURE_AUTHORITY_HOST": directory.url,
    }


def test_one_token_for_many_requests(tmp_path: Path, resource: Resource, directory: Directory) -> None:
    with gateway(tmp_path, AZURE_OPENAI_ENDPOINT=resource.url, **entra(directory)) as url:
        for _ in range(3):
            assert wire_client.said(wire_client.message(url)) == "From gpt-5.5."
        assert wire_client.said(wire_client.message(url, model="haiku")) == "Chat from gpt-4.1."
    assert len(directory.asked) == 1
    assert directory.asked[0]["scope"] == "https://cognitiveservices.azure.com/.default"
    assert all(headers["authorization"].startswith("Bearer eyJ") for headers in resource.headers)
    assert not any("api-key" in headers for headers in resource.headers)


def test_tokens_end_in_the_middle_of_a_session(tmp_path: Path, resource: Resource, directory: Directory) -> None:
    """Tokens that live for less than a second: the caller sees nothing of it, and reasoning is kept."""
    directory.lifetime = 0.8
    resource.brain = slowly
    python = str(client("python-2", "bin", "python"))
    with gateway(tmp_path, AZURE_OPENAI_ENDPOINT=resource.url, **entra(directory)) as url:
        turns: list[Json] = [{"url": url, "model": "sonnet", "stream": True} for _ in range(6)]
        turns[0]["say"] = "Look."
        more: Json = {"tools": [LOOK], "thinking": {"type": "enabled", "budget_tokens": 2000}}
        found = run_json([python, TURNS, json.dumps({"turns": turns, "more": more})])
    assert [answer["stop_reason"] for answer in found["answers"]] == ["tool_use"] * 5 + ["end_turn"]
    assert not resource.complaints
    assert len(directory.asked) >= 3


def test_a_token_that_is_revoked(tmp_path: Path, resource: Resource, directory: Directory) -> None:
    with gateway(tmp_path, AZURE_OPENAI_ENDPOINT=resource.url, **entra(directory)) as url:
        assert wire_client.said(wire_client.message(url)) == "From gpt-5.5."
        directory.revoke()
        assert wire_client.said(wire_client.message(url, stream=True)) == "From gpt-5.5."
    assert len(directory.asked) == 2


def test_a_wrong_secret_is_told(tmp_path: Path, resource: Resource, directory: Directory) -> None:
    wrong: Any = {**entra(directory), "AZURE_CLIENT_SECRET": "canary-wrong-secret"}
    with gateway(tmp_path, AZURE_OPENAI_ENDPOINT=resource.url, **wrong) as url:
        reply = wire_client.message(url)
    assert reply.status in (401, 403, 500)
    assert "canary-wrong-secret" not in json.dumps(reply.body)
    assert not resource.asked
