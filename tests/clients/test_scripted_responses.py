"""The scripted OpenAI and Azure are right by themselves: the official SDK understands them, and they refuse a lot."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from clients import scripted, wire_client
from clients.responses_rules import Json
from clients.scripted_azure import Directory, Filtered, Resource, issuing
from clients.scripted_responses import (
    Host,
    Output,
    called,
    citation,
    counted,
    declined,
    failure,
    hosting,
    said,
    searched,
    thought,
    words,
)

KEY = "dummy-key"
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
ASK: Json = {"role": "user", "content": "Weather in Rhodes and Kos?"}
SEALED = ["reasoning.encrypted_content"]
TEXT = "Ships rest in the harbour."


def brain(body: Json) -> Output:
    match body["model"]:
        case "gpt-5.5":
            if any(item.get("type") == "function_call_output" for item in body["input"]):
                return Output(items=[thought("Both are sunny."), said("It is sunny in both.")])
            calls = [called("weather", {"city": city}) for city in ("Rhodes", "Kos")]
            return Output(items=[thought("Two cities.", "Two calls."), said("Let me look."), thought(), *calls])
        case "gpt-5.5-search":
            link = citation(TEXT, "the harbour", "https://example.org/harbour", "Harbour")
            return Output(
                items=[thought("Search."), searched("harbour", "https://example.org/harbour"), said(TEXT, link)]
            )
        case "cut":
            return Output(items=[said("one two three")], incomplete="max_output_tokens")
        case "failing":
            return Output(
                items=[said("one two")], failed={"code": "server_error", "message": "The server had an error."}
            )
        case "erring":
            return Output(items=[said("one")], event={"code": "rate_limit_exceeded", "message": "Slow down."})
        case "refusing":
            return Output(items=[declined("I cannot help with that.")])
        case "limited":
            return failure(429, "Slow down.", code="rate_limit_exceeded", retry_after="7")
        case _:
            return words("Kalimera 日本語.")


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting(Host(brain, lambda body: scripted.words("From chat."), key=KEY)) as running:
        yield running


@pytest.fixture
def client(host: Host) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=host.url, api_key=KEY, max_retries=0, timeout=20) as made:
        yield made


def post(url: str, body: Json, **headers: str) -> tuple[int, Any]:
    reply = wire_client.post(url, body, **headers)
    return reply.status, reply.body


def ask(host: Host, turns: Any = "Hi", **more: Any) -> tuple[int, Any]:
    body = {"model": "gpt-5.5", "input": turns, "store": False, "include": SEALED, **more}
    return post(f"{host.url}/responses", body, authorization=f"Bearer {KEY}")


def first(host: Host) -> list[Any]:
    """The output items of the first answer in the tool loop."""
    status, response = ask(host, [ASK], tools=[WEATHER], reasoning={"summary": "auto"})
    assert status == 200, response
    return list(response["output"])


def replayed(items: list[Any]) -> list[Any]:
    """As a gateway sends them back: without ids, except for reasoning."""
    kept = {"message": ("type", "role", "content"), "function_call": ("type", "call_id", "name", "arguments")}
    return [{name: item[name] for name in kept.get(item["type"], item)} for item in items]


def outputs(items: list[Any]) -> list[Json]:
    return [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"}
        for item in items
        if item["type"] == "function_call"
    ]


def test_the_sdk_folds_the_stream_to_the_response(client: openai.OpenAI) -> None:
    with client.responses.stream(
        model="gpt-5.5", input=[ASK], store=False, include=SEALED, tools=[WEATHER], reasoning={"summary": "auto"}
    ) as stream:
        seen = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert [item.type for item in final.output] == [
        "reasoning",
        "message",
        "reasoning",
        "function_call",
        "function_call",
    ]
    assert final.output_text == "Let me look."
    assert [part.text for part in final.output[0].summary] == ["Two cities.", "Two calls."]
    assert final.output[0].encrypted_content.startswith("gAAAAA")
    added = [event.item for event in seen if event.type == "response.output_item.added"]
    assert added[0].encrypted_content != final.output[0].encrypted_content


@pytest.mark.parametrize(
    "model", ["gpt-5.5", "gpt-5.5-search", "cut", "failing", "erring", "refusing", "gpt-4.1", "gpt-5.5-again"]
)
def test_every_event_and_response_fits_the_official_types(host: Host, model: str) -> None:
    tools = [WEATHER, {"type": "web_search"}]
    body = {"model": model, "input": [ASK], "store": False, "include": [*SEALED, "web_search_call.action.sources"]}
    body |= {"tools": tools, "stream": True}
    asked = urllib.request.Request(
        f"{host.url}/responses", json.dumps(body).encode(), {"authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        frames = answer.read().decode().split("\n\n")
    event_type: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for frame in frames[:-1]:
        name, raw = frame.split("\n")
        parsed = event_type.validate_json(raw.removeprefix("data: "), strict=True)
        assert name == f"event: {parsed.type}"
    status, response = post(f"{host.url}/responses", {**body, "stream": False}, authorization=f"Bearer {KEY}")
    assert status == 200
    TypeAdapter(Response).validate_json(json.dumps(response), strict=True)


def test_a_loop_with_its_reasoning_is_taken(host: Host) -> None:
    items = first(host)
    status, response = ask(host, [ASK, *replayed(items), *outputs(items)], tools=[WEATHER])
    assert status == 200, response
    assert response["output"][-1]["content"][0]["text"] == "It is sunny in both."
    assert response["output"][0]["summary"] == [], "a summary that nobody asked for"
    assert not host.complaints


def test_reasoning_may_come_without_its_id(host: Host) -> None:
    items = first(host)
    turns = [ASK, *replayed(items), *outputs(items)]
    bare = [{name: value for name, value in item.items() if name != "id"} for item in turns]
    assert ask(host, bare)[0] == 200


def swapped(items: list[Any]) -> list[Any]:
    return [items[2], items[1], items[0], *items[3:]]


def pairs_moved(items: list[Any]) -> list[Any]:
    return [items[2], items[3], items[0], items[1], *items[4:]]


@pytest.mark.parametrize(
    ("change", "said_back", "status"),
    [
        (lambda items: items[1:], "of type 'message' was provided without its required 'reasoning' item: 'rs_", 400),
        (
            lambda items: [*items[:2], *items[3:]],
            "of type 'function_call' was provided without its required 'reasoning' item: 'rs_",
            400,
        ),
        (
            lambda items: [items[0], *items[2:]],
            "of type 'reasoning' was provided without its required following item.",
            400,
        ),
        (swapped, "of type 'reasoning' was provided without its required following item.", 400),
        (pairs_moved, "No tool output found for function call", 400),
        (
            lambda items: [{**items[0], "encrypted_content": "gAAAAAforeign="}, *items[1:]],
            "could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
            400,
        ),
        (
            lambda items: [{**items[0], "encrypted_content": items[2]["encrypted_content"]}, *items[1:]],
            "Encrypted content item_id did not match the target item id.",
            400,
        ),
        (
            lambda items: [{**items[0], "encrypted_content": None}, *items[1:]],
            "not found. Items are not persisted when `store` is set to false.",
            404,
        ),
        (lambda items: [items[0], *items], "Duplicate item found with id rs_", 400),
        (lambda items: [{**items[0], "summary": None}, *items[1:]], "Missing required parameter", 400),
    ],
)
def test_reasoning_that_is_missing_foreign_or_reordered(host: Host, change: Any, said_back: str, status: int) -> None:
    items = first(host)
    found, answer = ask(host, [ASK, *change(replayed(items)), *outputs(items)])
    assert (found, said_back in answer["error"]["message"]) == (status, True), answer
    assert host.complaints


def test_two_pairs_in_the_wrong_order(host: Host) -> None:
    """Each reasoning item before what it led to, but the turns changed places."""
    items = first(host)
    turns = [ASK, *replayed(items), *outputs(items)]
    more = ask(host, turns)[1]["output"]
    found, answer = ask(host, [ASK, *replayed(more), *turns[1:]])
    assert found == 400
    assert answer["error"]["code"] == "invalid_encrypted_content"


def test_another_key_cannot_read_it(host: Host) -> None:
    items = first(host)
    host.seals.secret = b"another organisation"
    found, answer = ask(host, [ASK, *replayed(items), *outputs(items)])
    assert (found, answer["error"]["code"]) == (400, "invalid_encrypted_content")


def test_as_strict_as_openai_only_ids_are_missed() -> None:
    with hosting(Host(brain, key=KEY, demand="ids")) as host:
        items = first(host)
        bare = [item for item in replayed(items) if item["type"] != "reasoning"]
        assert ask(host, [ASK, *bare, *outputs(items)])[0] == 200
        named = [item for item in items if item["type"] != "reasoning"]
        found, answer = ask(host, [ASK, *named, *outputs(items)])
        assert found == 400
        assert "without its required 'reasoning' item" in answer["error"]["message"]


CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}


def function(**more: Any) -> Json:
    return {"tools": [{**WEATHER, **more}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stop": ["x"]}, "Unknown parameter: 'stop'."),
        ({"max_output_tokens": 15}, "Expected a value >= 16, but got 15 instead."),
        ({"temperature": 0.5}, "Unsupported parameter: 'temperature' is not supported with this model."),
        ({"model": "gpt-4.1", "reasoning": {"effort": "low"}}, "'reasoning.effort' is not supported with this model."),
        ({"reasoning": {"budget": 1}}, "Unknown parameter: 'reasoning.budget'."),
        ({"reasoning": {"effort": "huge"}}, "Invalid value: 'huge'."),
        ({"include": ["everything"]}, "Invalid value: 'everything'."),
        ({"stream_options": {}}, "only allowed when 'stream' is enabled"),
        ({"service_tier": "standard_only"}, "Invalid value: 'standard_only'."),
        ({"store": True}, "store: false"),
        ({"previous_response_id": "resp_1"}, "Previous response with id 'resp_1' not found."),
        ({"prompt_cache_key": "k" * 65}, "string too long. Expected a string with maximum length 64"),
        ({"tool_choice": "required"}, "must be specified with 'tools' parameter"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "Tool choice 'x' not found in 'tools' parameter."),
        (function(name="n" * 65), "Expected a string with maximum length 64, but got a string with length 65"),
        (function(name="a.b"), "'^[a-zA-Z0-9_-]+$'"),
        (function(input_schema={}), "Unknown parameter: 'tools[0].input_schema'."),
        (function(parameters={}), "schema must be a JSON Schema of 'type: \"object\"'"),
        (function(parameters={"type": "object"}), "object schema missing properties"),
        (function(parameters={"type": "object", "properties": {}, "anyOf": []}), "'anyOf'"),
        (function(strict=True), "'additionalProperties' is required to be supplied and to be false."),
        (
            function(
                strict=True,
                parameters={"type": "object", "properties": {"a": {}}, "additionalProperties": False},
            ),
            "Missing 'a'.",
        ),
        ({"tools": [{"type": "web_search", "max_uses": 1}]}, "Unknown parameter: 'tools[0].max_uses'."),
        ({"tools": [{"type": "bash"}]}, "Invalid value: 'bash'."),
        (
            {"text": {"format": {"type": "json_schema", "schema": {}}}},
            "Missing required parameter: 'text.format.name'.",
        ),
        (
            {"text": {"format": {"type": "json_schema", "json_schema": {}}}},
            "Unknown parameter: 'text.format.json_schema'.",
        ),
        ({"input": []}, 'One of "input"'),
        ({"input": [{**ASK, "cache_control": {}}]}, "Unknown parameter: 'input[0].cache_control'."),
        ({"input": [{"role": "tool", "content": "x"}]}, "Invalid value: 'tool'."),
        ({"input": [{"type": "thinking"}]}, "Invalid value: 'thinking'."),
        ({"input": [ASK, {"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}, "'input_text'"),
        ({"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]}, "'output_text'"),
        ({"input": [{"role": "user", "content": []}]}, "empty array"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "Expected a valid URL"),
        ({"input": [ASK, CALL]}, "No tool output found for function call call_1."),
        ({"input": [ASK, CALL, ASK, RESULT]}, "No tool output found for function call call_1."),
        ({"input": [ASK, RESULT]}, "No tool call found for function call output with call_id call_1."),
        ({"input": [ASK, CALL, RESULT, RESULT]}, "No tool call found for function call output with call_id call_1."),
        ({"input": [ASK, {**CALL, "arguments": {}}, RESULT]}, "expected a string, but got an object"),
        ({"input": [ASK, {**CALL, "id": "toolu_1"}, RESULT]}, "Expected an ID that begins with 'fc'."),
        ({"input": [ASK, CALL, {**RESULT, "output": []}]}, "empty array"),
        ({"input": [{"type": "item_reference", "id": "rs_1"}]}, "Item with id 'rs_1' not found."),
    ],
)
def test_what_is_refused(host: Host, change: Json, message: str) -> None:
    status, answer = ask(
        host, **{"turns": change.get("input", [ASK]), **{k: v for k, v in change.items() if k != "input"}}
    )
    assert status in (400, 404)
    assert message in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"


def test_what_is_taken(host: Host) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
    paper = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}
    turns = [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "x"}, picture, paper]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "y"}]},
        CALL,
        {**RESULT, "output": [{"type": "input_text", "text": "z"}, picture]},
    ]
    strict = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    status, answer = ask(
        host,
        turns,
        model="gpt-5.5-again",
        instructions="Be kind.",
        max_output_tokens=16,
        tools=[{**WEATHER, "strict": True, "parameters": strict}, {"type": "web_search", "filters": None}],
        tool_choice={"type": "function", "name": "weather"},
        text={"format": {"type": "json_schema", "name": "n", "schema": strict, "strict": True}, "verbosity": "low"},
        reasoning={"effort": "none"},
        temperature=0.5,
        prompt_cache_key="k",
    )
    assert status == 200, answer


def test_counting_says_what_the_usage_says(host: Host, client: openai.OpenAI) -> None:
    body: Json = {"model": "gpt-5.5", "input": [ASK], "instructions": "Be brief.", "tools": [WEATHER]}
    found = client.responses.input_tokens.count(**body)
    assert found.input_tokens == ask(host, [ASK], instructions="Be brief.", tools=[WEATHER])[1]["usage"]["input_tokens"]
    assert found.input_tokens == counted(body)
    status, answer = post(f"{host.url}/responses/input_tokens", {**body, "store": False}, authorization=f"Bearer {KEY}")
    assert (status, answer["error"]["message"]) == (400, "Unknown parameter: 'store'.")


def test_the_sdk_sees_its_errors(host: Host, client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        client.responses.create(model="limited", input="x", store=False)
    assert limited.value.response.headers["retry-after"] == "7"
    host.key = "another"
    with pytest.raises(openai.AuthenticationError):
        client.responses.create(model="gpt-5.5", input="x", store=False)
    host.key = KEY
    with pytest.raises(openai.NotFoundError):
        client.post("/nothing", body={}, cast_to=object)


def test_chat_refuses_tools_with_reasoning(host: Host, client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": WEATHER["parameters"]}}
    with pytest.raises(
        openai.BadRequestError, match="To use function tools, use /v1/responses or set reasoning_effort"
    ):
        client.chat.completions.create(model="gpt-5.6", messages=[ASK], tools=[tool])
    answer = client.chat.completions.create(model="gpt-5.6", messages=[ASK], tools=[tool], reasoning_effort="none")
    assert answer.choices[0].message.content == "From chat."


@pytest.fixture
def directory() -> Iterator[Directory]:
    with issuing(Directory()) as running:
        yield running


@pytest.fixture
def resource(directory: Directory) -> Iterator[Resource]:
    def azure_brain(body: Json) -> Output:
        if "bomb" in json.dumps(body["input"]):
            raise Filtered
        return words(f"From {body['model']}.")

    made = Resource(
        azure_brain,
        lambda body: scripted.words(f"Chat from {body['model']}."),
        deployments={"my-deployment": "gpt-5.5", "old": "gpt-4.1"},
        directory=directory,
        key=KEY,
    )
    with hosting(made):
        yield made


def entra(directory: Directory) -> str:
    form = {
        "client_id": directory.client,
        "client_secret": directory.password,
        "scope": "https://cognitiveservices.azure.com/.default",
        "grant_type": "client_credentials",
    }
    asked = urllib.request.Request(
        f"{directory.url}/{directory.tenant}/oauth2/v2.0/token", urllib.parse.urlencode(form).encode()
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return str(json.loads(answer.read())["access_token"])


def test_azure_v1_with_the_plain_sdk(resource: Resource, directory: Directory) -> None:
    for key in (KEY, entra(directory)):
        with openai.OpenAI(base_url=f"{resource.url}/openai/v1", api_key=key, max_retries=0) as client:
            assert client.responses.create(model="my-deployment", input="x", store=False).output_text == "From gpt-5.5."
            chunks = list(
                client.chat.completions.create(model="old", messages=[{"role": "user", "content": "x"}], stream=True)
            )
            assert chunks[0].choices == []
            assert chunks[0].model_dump()["prompt_filter_results"]
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[1:]) == "Chat from gpt-4.1."
            with pytest.raises(openai.NotFoundError) as missing:
                client.responses.create(model="gpt-5.5", input="x", store=False)
            assert missing.value.code == "DeploymentNotFound"
            with pytest.raises(openai.BadRequestError) as filtered:
                client.responses.create(model="my-deployment", input="a bomb", store=False)
            assert filtered.value.body["innererror"]["content_filter_result"]["violence"]["filtered"]  # type: ignore[index]


def test_azure_with_deployment_urls(resource: Resource, directory: Directory) -> None:
    def made(**how: Any) -> openai.AzureOpenAI:
        return openai.AzureOpenAI(azure_endpoint=resource.url, max_retries=0, **how)

    for how in ({"api_key": KEY}, {"azure_ad_token": entra(directory)}):
        with made(api_version="2024-10-21", **how) as client:
            answer = client.chat.completions.create(model="old", messages=[{"role": "user", "content": "x"}])
            assert answer.choices[0].message.content == "Chat from gpt-4.1."
            with pytest.raises(openai.BadRequestError, match="enabled only for api-version 2025-03-01-preview"):
                client.responses.create(model="my-deployment", input="x", store=False)
        with made(api_version="2025-04-01-preview", **how) as client:
            assert client.responses.create(model="my-deployment", input="x", store=False).output_text == "From gpt-5.5."
    assert resource.asked[0] == "/openai/deployments/old/chat/completions?api-version=2024-10-21"


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/openai/v1/responses", {}, 401, "401"),
        ("/openai/v1/responses", {"api_key": "wrong"}, 401, "401"),
        ("/openai/v1/responses?api-version=2024-10-21", {"api_key": KEY}, 400, "BadRequest"),
        ("/openai/responses", {"api_key": KEY}, 404, "404"),
        ("/openai/deployments/old/responses?api-version=2025-04-01-preview", {"api_key": KEY}, 404, "404"),
        ("/v1/responses", {"api_key": KEY}, 404, "404"),
        (
            "/openai/deployments/none/chat/completions?api-version=2024-10-21",
            {"api_key": KEY},
            404,
            "DeploymentNotFound",
        ),
    ],
)
def test_azure_refuses(resource: Resource, path: str, headers: dict[str, str], status: int, code: str) -> None:
    found, answer = post(resource.url + path, {"model": "old", "input": "x", "store": False}, **headers)
    assert (found, answer["error"]["code"]) == (status, code)


def test_tokens_end(resource: Resource, directory: Directory) -> None:
    token = entra(directory)
    body = {"model": "my-deployment", "input": "x", "store": False}
    url = f"{resource.url}/openai/v1/responses"
    assert post(url, body, authorization=f"Bearer {token}")[0] == 200
    directory.revoke()
    status, answer = post(url, body, authorization=f"Bearer {token}")
    assert status == 401
    assert "have expired" in answer["message"]
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": directory.client}).encode()
    with pytest.raises(urllib.error.HTTPError) as denied:
        urllib.request.urlopen(f"{directory.url}/{directory.tenant}/oauth2/v2.0/token", form, timeout=20)
    with denied.value as error:
        assert json.loads(error.read())["error"] == "invalid_client"
