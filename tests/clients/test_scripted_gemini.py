"""The scripted Gemini and Vertex are right by themselves: the official SDK understands them, and they refuse a lot."""

import base64
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from google.oauth2 import service_account

from clients import wire_client
from clients.gemini_rules import check
from clients.responses_rules import Json, Refused
from clients.scripted_gemini import (
    Host,
    Output,
    called,
    counted,
    failure,
    hosting,
    results,
    retry_after,
    said,
    signatures,
    thought,
    words,
)
from clients.scripted_vertex import SCOPE, Account, Accounts, Vertex, issuing

KEY = "dummy-key"
MODEL = "gemini-3.1-pro-preview"
WEATHER: Json = {
    "name": "weather",
    "description": "The weather.",
    "parametersJsonSchema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOOL = types.Tool(function_declarations=[types.FunctionDeclaration.model_validate(WEATHER)])
ASK: Json = {"role": "user", "parts": [{"text": "Weather in Rhodes and Kos?"}]}
SHOWN: Json = {"thinkingConfig": {"includeThoughts": True}}


def brain(body: Json) -> Output:
    match body["model"]:
        case "gemini-3-flash-limited":
            return failure(429, "Slow down.", details=[retry_after(7)])
        case "gemini-3-flash-blocked":
            return Output(blocked="SAFETY")
        case "gemini-3-flash-malformed":
            return Output(finish="MALFORMED_FUNCTION_CALL", message="print(default_api.weather(")
        case "gemini-3-flash-late":
            return Output(parts=[said("one two")], finish=None, late={"code": 503, "message": "Full.", "status": "X"})
        case "gemini-3-flash-long" if "continuationToken" not in body:
            return Output(parts=[said("one two ")], finish="CONTINUATION", continuation="token-1")
        case "gemini-3-flash-long":
            return words("three four")
    if results(body):
        return Output(parts=[thought("Both are sunny."), said("It is sunny in both.")])
    if body.get("tools"):
        calls = [called("weather", {"city": city}) for city in ("Rhodes", "Kos")]
        return Output(parts=[thought("Two cities. "), thought("Two calls."), said("Let me look."), *calls])
    return words("Kalimera 日本語.")


class Lenient(Host):
    """Takes what Google takes and a gateway need not write: snake_case, and an answer in one content for each chunk."""

    def take(self, target: str, headers: dict[str, str], body: Json) -> tuple[str, Json]:
        body = camel(body)
        contents: list[Json] = []
        for content in body.get("contents", []):
            if contents and contents[-1]["role"] == content["role"]:
                contents[-1]["parts"] += content["parts"]
            else:
                contents.append({**content, "parts": list(content["parts"])})
        for content in contents:
            content["parts"] = [part for part in content["parts"] if part != {"text": ""}]
        return super().take(target, headers, {**body, **({"contents": contents} if contents else {})})


def camel(value: Any) -> Any:
    if isinstance(value, list):
        return [camel(each) for each in value]
    if isinstance(value, dict):
        return {re.sub(r"_(\w)", lambda found: found[1].upper(), name): camel(each) for name, each in value.items()}
    return value


@pytest.fixture
def lenient() -> Iterator[Host]:
    with hosting(Lenient(brain, key=KEY)) as running:
        yield running


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting(Host(brain, key=KEY)) as running:
        yield running


@pytest.fixture
def client(lenient: Host) -> genai.Client:
    options = types.HttpOptions(base_url=lenient.url.removesuffix("/v1beta"), api_version="v1beta")
    return genai.Client(api_key=KEY, vertexai=False, http_options=options)


def ask(host: Host, contents: list[Json] | None = None, model: str = MODEL, **more: Any) -> tuple[int, Any]:
    body = {"contents": contents or [ASK], "generationConfig": SHOWN, **more}
    reply = wire_client.post(f"{host.url}/models/{model}:generateContent", body, x_goog_api_key=KEY)
    return reply.status, reply.body


def first(host: Host) -> list[Any]:
    """The parts of the first answer in the tool loop."""
    status, response = ask(host, tools=[{"functionDeclarations": [WEATHER]}])
    assert status == 200, response
    return list(response["candidates"][0]["content"]["parts"])


def replayed(parts: list[Any], change: Callable[[list[Any]], list[Any]] = lambda parts: parts) -> list[Json]:
    """The history of the second step, as a gateway sends it back: without thoughts."""
    kept = [part for part in parts if not part.get("thought")]
    answers = [
        {
            "functionResponse": {
                **{n: v for n, v in part["functionCall"].items() if n != "args"},
                "response": {"output": 1},
            }
        }
        for part in kept
        if "functionCall" in part
    ]
    return [ASK, {"role": "model", "parts": change(kept)}, {"role": "user", "parts": answers}]


def test_the_sdk_reads_the_stream(client: genai.Client, lenient: Host) -> None:
    config = types.GenerateContentConfig(
        tools=[TOOL],
        thinking_config=types.ThinkingConfig(include_thoughts=True),
    )
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="Weather?", config=config))
    assert {chunk.model_version for chunk in chunks} == {MODEL}
    assert len({chunk.response_id for chunk in chunks}) == 1
    parts = [part for chunk in chunks for part in chunk.parts or []]
    assert "".join(part.text or "" for part in parts if part.thought) == "Two cities. Two calls."
    assert "".join(part.text or "" for part in parts if not part.thought) == "Let me look."
    calls = [part for part in parts if part.function_call]
    assert [part.function_call and part.function_call.args for part in calls] == [{"city": "Rhodes"}, {"city": "Kos"}]
    assert [part.thought_signature is not None for part in calls] == [True, False]
    assert [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates][-1] == types.FinishReason.STOP
    assert all(chunk.usage_metadata and chunk.usage_metadata.thoughts_token_count == 64 for chunk in chunks)
    assert not lenient.complaints


@pytest.mark.parametrize("streamed", [True, False])
def test_the_sdk_sends_a_loop_back(client: genai.Client, lenient: Host, streamed: bool) -> None:
    chat = client.chats.create(model=MODEL, config=types.GenerateContentConfig(tools=[TOOL]))

    def send(message: Any) -> list[types.Part]:
        if streamed:
            return [part for chunk in chat.send_message_stream(message) for part in chunk.parts or []]
        return list(chat.send_message(message).parts or [])

    calls = [part.function_call for part in send("Weather?") if part.function_call]
    answers = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "sunny"}))
        for call in calls
    ]
    assert "".join(part.text or "" for part in send(answers)) == "It is sunny in both."
    assert not lenient.complaints
    assert len(signatures(lenient.requests[1])) == 1


def test_an_answer_without_calls_is_signed_at_its_end(host: Host) -> None:
    asked = urllib.request.Request(
        f"{host.url}/models/{MODEL}:streamGenerateContent?alt=sse",
        json.dumps({"contents": [ASK]}).encode(),
        {"x-goog-api-key": KEY},
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        raw = answer.read()
    frames = raw.split(b"\r\n\r\n")
    assert frames.pop() == b""
    assert all(frame.startswith(b"data: {") for frame in frames)
    chunks = [types.GenerateContentResponse.model_validate_json(frame[6:]) for frame in frames]
    assert chunks[-1].parts is not None
    assert chunks[-1].parts[0].text == ""
    assert chunks[-1].parts[0].thought_signature
    status, response = ask(host)
    assert status == 200
    [part] = response["candidates"][0]["content"]["parts"]
    assert part["text"] == "Kalimera 日本語."
    assert part["thoughtSignature"]
    for parts in ([part], [{"text": "Kalimera 日本語."}]):
        assert ask(host, [ASK, {"role": "model", "parts": parts}, ASK])[0] == 200
    empty = {"text": "", "thoughtSignature": base64.b64encode(chunks[-1].parts[0].thought_signature).decode()}
    assert ask(host, [ASK, {"role": "model", "parts": [{"text": "Kalimera 日本語."}, empty]}, ASK])[0] == 200
    assert not host.complaints


SIGNED = 1  # place of the signed call in the first answer, without its thoughts
SENTINEL = "skip_thought_signature_validator"


def marked(signature: str | None, at: int = SIGNED) -> Callable[[list[Any]], list[Any]]:
    def change(parts: list[Any]) -> list[Any]:
        plain = {name: value for name, value in parts[at].items() if name != "thoughtSignature"}
        parts[at] = plain if signature is None else {**plain, "thoughtSignature": signature}
        return parts

    return change


def moved(parts: list[Any]) -> list[Any]:
    signature = parts[SIGNED]["thoughtSignature"]
    return marked(signature, SIGNED + 1)(marked(None)(parts))


def merged(parts: list[Any]) -> list[Any]:
    return [*parts, {"text": "x", "thoughtSignature": parts[SIGNED]["thoughtSignature"]}]


def changed(parts: list[Any]) -> list[Any]:
    call = parts[SIGNED]["functionCall"]
    return [parts[0], {**parts[SIGNED], "functionCall": {**call, "args": {"city": "Athens"}}}, *parts[2:]]


MISSING = "Function call is missing a thought_signature in functionCall parts."


def test_a_loop_with_its_signature_is_taken(host: Host) -> None:
    status, response = ask(host, replayed(first(host)))
    assert status == 200, response
    assert not host.complaints


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (marked(None), MISSING),
        (marked(SENTINEL), MISSING),
        (marked("c3RvbGVu"), "Thought signature is not valid."),
        (marked("%%"), "Base64 decoding failed"),
        (moved, MISSING),
        (merged, "Corrupted thought signature."),
        (changed, "Corrupted thought signature."),
    ],
)
def test_signatures_that_are_missing_foreign_or_moved(host: Host, change: Any, message: str) -> None:
    status, answer = ask(host, replayed(first(host), change))
    assert (status, message in answer["error"]["message"]) == (400, True), answer
    assert host.complaints == [answer["error"]["message"]]


@pytest.mark.parametrize("sentinel", [SENTINEL, base64.b64encode(SENTINEL.encode()).decode()])
def test_as_strict_as_google_a_sentinel_is_taken(sentinel: str) -> None:
    with hosting(Host(brain, key=KEY, demand="turn")) as host:
        assert ask(host, replayed(first(host), marked(sentinel)))[0] == 200
        history = replayed(first(host), marked(None))
        assert MISSING in ask(host, history)[1]["error"]["message"]
        # In a turn that is over nothing is missed, and models before Gemini 3 miss nothing at all.
        over = [*history, {"role": "model", "parts": [{"text": "Sunny."}]}, ASK]
        assert ask(host, over)[0] == 200


def test_older_models_give_no_ids_and_miss_no_signatures(host: Host) -> None:
    _, response = ask(host, model="gemini-2.5-flash", tools=[{"functionDeclarations": [WEATHER]}])
    parts = response["candidates"][0]["content"]["parts"]
    assert [part["functionCall"].keys() for part in parts if "functionCall" in part] == [{"name", "args"}] * 2
    assert ask(host, replayed(parts), "gemini-2.5-flash")[0] == 200
    named = replayed(first(host))
    status, answer = ask(host, named, "gemini-2.5-flash")
    assert (status, 'Unknown name "id"' in answer["error"]["message"]) == (400, True)


def test_another_host_made_it(host: Host) -> None:
    with hosting(Host(brain, key="another-key")) as other:
        other.key = KEY
        status, answer = ask(other, replayed(first(host)))
    assert (status, answer["error"]["message"]) == (400, "Thought signature is not valid.")


def text(*texts: str) -> list[Json]:
    return [{"text": each} for each in texts]


def user(*parts: Json) -> Json:
    return {"role": "user", "parts": [*parts]}


def model(*parts: Json) -> Json:
    return {"role": "model", "parts": [*parts]}


def function(**more: Any) -> Json:
    return {"tools": [{"functionDeclarations": [{**WEATHER, **more}]}]}


def schema(**inner: Any) -> Json:
    return function(parametersJsonSchema={"type": "object", "properties": {"a": inner}})


def openapi(**inner: Any) -> Json:
    bare = {"name": "n", "parameters": {"type": "OBJECT", "properties": {"a": inner}}}
    return {"tools": [{"functionDeclarations": [bare]}]}


def config(**more: Any) -> Json:
    return {"generationConfig": more}


CALL: Json = {"functionCall": {"name": "f", "id": "1", "args": {}}, "thoughtSignature": SENTINEL}
RESPONSE: Json = {"functionResponse": {"name": "f", "id": "1", "response": {"output": "x"}}}
EMPTY = "required oneof field 'data' must have one initialized field"
NUMBER = "Please ensure that the number of function response parts is equal to the number of function call parts"
BLOB = {"mimeType": "image/png", "data": "AAAA"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maxTokens": 1}, 'Unknown name "maxTokens": Cannot find field.'),
        ({"generation_config": {}}, 'Unknown name "generation_config"'),
        (config(max_tokens=1), "Unknown name \"max_tokens\" at 'generation_config': Cannot find field."),
        (config(maxOutputTokens="many"), "Invalid value at 'generation_config.max_output_tokens'"),
        (config(maxOutputTokens=100_000), "maxOutputTokens value of 100000"),
        (config(temperature=3), "generation_config.temperature"),
        (config(stopSequences=["a"] * 6), "at most 5"),
        (config(presencePenalty=1), "Penalty is not enabled"),
        (config(responseJsonSchema={"type": "object"}), "response_mime_type"),
        (config(thinkingConfig={"thinkingBudget": 1, "thinkingLevel": "LOW"}), "only set only one"),
        (config(thinkingConfig={"thinkingBudget": 1000}), "Thinking budget is not supported"),
        (config(thinkingConfig={"thinkingLevel": "MINIMAL"}), "Thinking level MINIMAL is not supported"),
        (config(thinkingConfig={"thinkingLevel": "HUGE"}), "Invalid value at"),
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"parts": text("x")}]}, "valid role: user, model"),
        ({"contents": [{"role": "tool", "parts": text("x")}]}, "valid role: user, model"),
        ({"contents": [model(*text("x")), ASK]}, "alternate between user and model"),
        ({"contents": [ASK, ASK]}, "alternate between user and model"),
        ({"contents": [ASK, model(*text("x"))]}, "end with a user role"),
        ({"contents": [user()]}, "contents.parts must not be empty"),
        ({"contents": [user({"text": ""})]}, EMPTY),
        ({"contents": [user({})]}, EMPTY),
        ({"contents": [ASK, model({"thoughtSignature": SENTINEL}), ASK]}, EMPTY),
        ({"contents": [user({"text": "x", "inlineData": BLOB})]}, "oneof field 'data' is already set"),
        ({"contents": [user({"text": "x", "cache_control": {}})]}, 'Unknown name "cache_control"'),
        ({"contents": [user({"text": ["x"]})]}, "Proto field is not repeating, cannot start list."),
        ({"contents": [user({"inlineData": {**BLOB, "mimeType": "image/gif"}})]}, "Unsupported MIME type: image/gif"),
        ({"contents": [user({"inlineData": {**BLOB, "data": "%"}})]}, "Base64 decoding failed"),
        ({"contents": [user({"fileData": {"fileUri": "https://example.com/a.png"}})]}, "unsupported file uri"),
        ({"contents": [user({"text": "x", "thoughtSignature": SENTINEL})]}, "only supported in model turns"),
        ({"contents": [model(CALL), user(RESPONSE)]}, "function call turn comes immediately after a user turn"),
        ({"contents": [ASK, model(CALL), ASK]}, NUMBER),
        ({"contents": [ASK, model(CALL), user(RESPONSE, RESPONSE)]}, NUMBER),
        ({"contents": [user(RESPONSE)]}, "function response turn comes immediately after a function call turn"),
        ({"contents": [ASK, model(CALL), user(*text("x"), RESPONSE)]}, "come before all other parts"),
        (
            {"contents": [ASK, model(CALL), user({"functionResponse": {**RESPONSE["functionResponse"], "id": "2"}})]},
            "does not match function call f/1",
        ),
        (
            {"contents": [ASK, model(CALL), user({"functionResponse": {"id": "1", "response": {}}})]},
            "Invalid function name None",
        ),
        (
            {"contents": [ASK, model(CALL), user({"functionResponse": {"name": "f", "id": "1", "response": "x"}})]},
            "Invalid value at 'contents[2].parts[0].function_response.response'",
        ),
        (
            {"contents": [ASK, model(CALL), user({"functionResponse": {"name": "f", "id": "1"}})]},
            "function_response.response: required",
        ),
        (
            {
                "contents": [
                    ASK,
                    model(CALL),
                    user({"functionResponse": {"name": "f", "id": "1", "response": {"a": [{"$ref": "#/a"}]}}}),
                ]
            },
            "references a part that does not exist: #/a",
        ),
        (
            {"contents": [ASK, model(CALL), user(RESPONSE), model(CALL), user(RESPONSE)]},
            "Function call ids must be unique.",
        ),
        ({"tools": [{}]}, "required one_of 'tool_type'"),
        ({"tools": [{"functionDeclarations": []}]}, "required one_of 'tool_type'"),
        ({"tools": [{"functionDeclarations": [WEATHER, WEATHER]}]}, "Duplicate function declaration found: weather"),
        (
            {"tools": [{"functionDeclarations": [WEATHER]}, {"googleSearch": {}}]},
            "Built-in tools ({google_search}) and Function Calling cannot be combined",
        ),
        (function(input_schema={}), "Unknown name \"input_schema\" at 'tools[0].function_declarations[0]'"),
        (function(name="1st"), "Invalid function name '1st'"),
        (function(name="n" * 65), "with a maximum length of 64"),
        (function(parameters={"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}), "only one of"),
        (function(parametersJsonSchema={"type": "string"}), "should be of type object"),
        (schema(const=1), "the keyword const is not supported"),
        (schema(enum=[True]), "only strings and numbers"),
        (schema(type="text"), "unknown type text"),
        ({**schema(**{"$ref": "#/$defs/a", "description": "x"})}, "$ref may only have siblings"),
        (schema(items={"anyOf": [{"not": {}}]}), "properties[a].items.anyOf[0]: the keyword not is not supported"),
        (
            openapi(type="STRING", propertyNames={}),
            "Unknown name \"propertyNames\" at 'tools[0].function_declarations[0].parameters.properties[0].value'",
        ),
        (openapi(type=["string", "null"]), "Proto field is not repeating, cannot start list."),
        (openapi(type="array"), "properties[a].items: missing field."),
        (openapi(type="object"), "properties[a].properties: should be non-empty for OBJECT type"),
        (openapi(type="string", format="uri"), "only 'enum' and 'date-time' are supported"),
        (openapi(type="string", enum=["a", ""]), "enum[1]: cannot be empty"),
        (openapi(type="integer", enum=["1"]), "only allowed for STRING type"),
        (openapi(description="x", anyOf=[{"type": "string"}]), "it must be the only field set"),
        (openapi(), "must be specified"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "without function_declarations"),
        (
            {**function(), "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["f"]}}},
            "should only be set when the function calling mode is ANY",
        ),
        (
            {**function(), "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}},
            "must be names of declared functions: ['f']",
        ),
        ({"safetySettings": [{"category": "HARASSMENT", "threshold": "OFF"}]}, "Invalid value at 'safety_settings[0]"),
        ({"systemInstruction": "Be brief."}, "Invalid value at 'system_instruction'"),
        ({"systemInstruction": {"parts": [{"text": ""}]}}, EMPTY),
        ({"continuationToken": "stolen"}, "Invalid continuation token."),
    ],
)
def test_what_is_refused(host: Host, change: Json, message: str) -> None:
    reply = wire_client.post(
        f"{host.url}/models/{MODEL}:generateContent", {"contents": [ASK], **change}, x_goog_api_key=KEY
    )
    assert (reply.status, reply.body["error"]["status"]) == (400, "INVALID_ARGUMENT"), reply.body
    assert message in reply.body["error"]["message"]
    assert host.complaints == [reply.body["error"]["message"]]


@pytest.mark.parametrize(
    ("name", "thinking", "message"),
    [
        ("gemini-2.5-pro", {"thinkingBudget": 0}, "Budget 0 is invalid."),
        ("gemini-2.5-pro", {"thinkingBudget": 40000}, "between 128 and 32768"),
        ("gemini-2.5-flash", {"thinkingLevel": "LOW"}, "Thinking level is not supported"),
        ("gemini-2.5-flash-lite", {"thinkingBudget": 100}, "between 512 and 24576"),
        ("gemini-3-pro-preview", {"thinkingLevel": "MEDIUM"}, "MEDIUM is not supported"),
        ("gemini-2.5-flash", {"thinkingBudget": 0}, ""),
        ("gemini-2.5-pro", {"thinkingBudget": -1}, ""),
        ("gemini-3.5-flash", {"thinkingLevel": "minimal"}, ""),
        ("gemini-3.8-flash", {"thinkingLevel": "MEDIUM"}, ""),
    ],
)
def test_thinking_of_each_family(name: str, thinking: Json, message: str) -> None:
    body = {"contents": [ASK], "generationConfig": {"thinkingConfig": thinking}}
    if not message:
        check(body, name)
        return
    with pytest.raises(Refused) as refused:
        check(body, name)
    assert message in refused.value.message


def test_what_is_taken(host: Host) -> None:
    nested: Json = {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", 1]},
            "b": {"type": "array", "items": {"$ref": "#/$defs/c"}, "minItems": 1},
            "d": {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "boolean"}]},
        },
        "$defs": {"c": {"type": "object", "additionalProperties": False}},
        "additionalProperties": {"type": "string"},
    }
    older = {"name": "g", "parameters": {"type": "object", "properties": {"a": {"anyOf": [{"type": "STRING"}]}}}}
    picture: Json = {"functionResponse": {**RESPONSE["functionResponse"], "parts": [{"inlineData": BLOB}]}}
    status, answer = ask(
        host,
        [user(*text("x"), {"inlineData": BLOB}), model(*text("y"), CALL), user(picture, *text("z"))],
        systemInstruction={"parts": text("Be kind.")},
        tools=[{"functionDeclarations": [{**WEATHER, "parametersJsonSchema": nested}, older]}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["g"]}},
        safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        generationConfig={
            "maxOutputTokens": 65536,
            "temperature": 1.0,
            "responseMimeType": "application/json",
            "responseJsonSchema": nested,
            "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"},
        },
    )
    assert status == 200, answer
    together: Json = {"toolConfig": {"includeServerSideToolInvocations": True}}
    together["tools"] = [{"functionDeclarations": [WEATHER]}, {"googleSearch": {}}]
    assert ask(host, **together)[0] == 200
    with pytest.raises(Refused, match="includeServerSideToolInvocations"):
        check({"contents": [ASK], **together}, MODEL, shape="Vertex")
    check({"contents": [user({"fileData": {"fileUri": "https://a", "mimeType": "image/png"}})]}, MODEL, urls=True)


def test_counting_says_what_the_usage_says(client: genai.Client, lenient: Host, host: Host) -> None:
    found = client.models.count_tokens(model=MODEL, contents="Hi")
    assert found.total_tokens == counted(lenient.counts[-1])
    body: Json = {"model": f"models/{MODEL}", "contents": [ASK], "systemInstruction": {"parts": text("Be brief.")}}
    url = f"{host.url}/models/{MODEL}:countTokens"
    reply = wire_client.post(url, {"generateContentRequest": body}, x_goog_api_key=KEY)
    used = ask(host, systemInstruction=body["systemInstruction"])[1]["usageMetadata"]["promptTokenCount"]
    assert reply.body == {"totalTokens": used}
    for wrong in ({"contents": [ASK], "systemInstruction": {}}, {"generateContentRequest": {**body, "model": "x"}}, {}):
        assert wire_client.post(url, wrong, x_goog_api_key=KEY).status == 400


def test_the_sdk_sees_its_errors(client: genai.Client, lenient: Host) -> None:
    with pytest.raises(errors.ClientError) as limited:
        client.models.generate_content(model="gemini-3-flash-limited", contents="Hi")
    assert (limited.value.code, limited.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert limited.value.details["error"]["details"][0]["retryDelay"] == "7s"
    blocked = client.models.generate_content(model="gemini-3-flash-blocked", contents="Hi")
    assert blocked.candidates is None
    assert blocked.prompt_feedback is not None
    malformed = client.models.generate_content(model="gemini-3-flash-malformed", contents="Hi")
    assert malformed.candidates is not None
    assert malformed.candidates[0].finish_reason == types.FinishReason.MALFORMED_FUNCTION_CALL
    with pytest.raises(errors.APIError, match="Full"):
        list(client.models.generate_content_stream(model="gemini-3-flash-late", contents="Hi"))
    with pytest.raises(errors.ClientError, match="gpt-5 is not found for API version"):
        client.models.generate_content(model="gpt-5", contents="Hi")
    assert len(lenient.complaints) == 1


def test_an_answer_goes_on(host: Host) -> None:
    _, begun = ask(host, model="gemini-3-flash-long")
    candidate = begun["candidates"][0]
    assert candidate["finishReason"] == "CONTINUATION"
    _, rest = ask(host, model="gemini-3-flash-long", continuationToken=candidate["continuationToken"])
    assert rest["candidates"][0]["content"]["parts"][0]["text"] == "three four"


@pytest.mark.parametrize(
    ("path", "headers", "status", "reason"),
    [
        (":generateContent", {}, 403, None),
        (":generateContent", {"x_goog_api_key": "wrong"}, 400, "API_KEY_INVALID"),
        (":generateContent", {"x_goog_api_key": KEY, "authorization": f"Bearer {KEY}"}, 401, None),
        (f":generateContent?key={KEY}", {"x_goog_api_key": KEY}, 400, None),
        (":streamGenerateContent", {"x_goog_api_key": KEY}, 400, None),
        (":embedContent", {"x_goog_api_key": KEY}, 404, None),
        ("/x:generateContent", {"x_goog_api_key": KEY}, 404, None),
    ],
)
def test_the_door(host: Host, path: str, headers: dict[str, str], status: int, reason: str | None) -> None:
    reply = wire_client.post(f"{host.url}/models/{MODEL}{path}", {"contents": [ASK]}, **headers)
    assert reply.status == status, reply.body
    details = reply.body["error"].get("details", [{}])
    assert details[0].get("reason") == reason


@pytest.fixture
def accounts() -> Iterator[Accounts]:
    with issuing(Accounts(Account("one"), Account("two"))) as running:
        yield running


@pytest.fixture
def vertex(accounts: Accounts) -> Iterator[Vertex]:
    with hosting(Vertex(brain, accounts)) as running:
        assert isinstance(running, Vertex)
        yield running


def token(accounts: Accounts, number: int) -> str:
    account = accounts.accounts[number]
    known = account.authorized_user(accounts.token_url)
    form = {name: known[name] for name in ("client_id", "client_secret", "refresh_token")}
    raw = urllib.parse.urlencode({"grant_type": "refresh_token", **form}).encode()
    with urllib.request.urlopen(accounts.token_url, raw, timeout=20) as answer:
        return str(json.loads(answer.read())["access_token"])


@pytest.mark.parametrize("location", ["global", "europe-west1"])
def test_vertex_with_the_sdk(vertex: Vertex, accounts: Accounts, location: str) -> None:
    file = accounts.accounts[0].service_account(accounts.token_url)
    credentials = service_account.Credentials.from_service_account_info(file, scopes=[SCOPE])  # type: ignore[no-untyped-call]
    client = genai.Client(
        vertexai=True,
        project="one",
        location=location,
        credentials=credentials,
        http_options=types.HttpOptions(base_url=vertex.url, api_version="v1"),
    )
    assert client.models.generate_content(model="gemini-2.5-flash", contents="Hi").text == "Kalimera 日本語."
    if location == "global":
        assert client.models.generate_content(model=MODEL, contents="Hi").text == "Kalimera 日本語."
    else:
        with pytest.raises(errors.ClientError, match="was not found or your project does not have access"):
            client.models.generate_content(model=MODEL, contents="Hi")
    assert client.models.count_tokens(model="gemini-2.5-flash", contents="Hi").total_tokens == counted(
        vertex.counts[-1]
    )
    assert len(accounts.asked) == 1


def test_vertex_refuses_what_is_not_its_own(vertex: Vertex, accounts: Accounts) -> None:
    url = f"{vertex.url}/v1/projects/one/locations/global/publishers/google/models/{MODEL}:generateContent"
    mine, other = token(accounts, 0), token(accounts, 1)

    def post(**headers: str) -> tuple[int, str | None]:
        reply = wire_client.post(url, {"contents": [ASK]}, **headers)
        return reply.status, reply.body.get("error", {}).get("details", [{}])[0].get("reason")

    assert post(authorization=f"Bearer {mine}") == (200, None)
    assert post(authorization=f"Bearer {other}") == (403, "IAM_PERMISSION_DENIED")
    assert post() == (401, "ACCESS_TOKEN_TYPE_UNSUPPORTED")
    assert post(x_goog_api_key=KEY, authorization=f"Bearer {mine}")[0] == 401
    accounts.revoke()
    assert post(authorization=f"Bearer {mine}") == (401, "ACCESS_TOKEN_EXPIRED")


def test_tokens_are_for_who_can_prove_it(accounts: Accounts) -> None:
    stranger = Account("one")
    file = stranger.service_account(accounts.token_url)
    credentials = service_account.Credentials.from_service_account_info(file, scopes=[SCOPE])  # type: ignore[no-untyped-call]
    assertion = credentials._make_authorization_grant_assertion()
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert accounts.issue({"grant_type": grant, "assertion": assertion.decode()})[1]["error"] == "invalid_grant"
    assert accounts.issue({"grant_type": "refresh_token", "refresh_token": "x"})[1]["error"] == "invalid_grant"
    assert accounts.issue({"grant_type": "password"})[1]["error"] == "unsupported_grant_type"
    assert accounts.issue({"grant_type": grant, "assertion": token_of(accounts)})[0] == 200


def token_of(accounts: Accounts) -> str:
    file = accounts.accounts[0].service_account(accounts.token_url)
    credentials = service_account.Credentials.from_service_account_info(file, scopes=[SCOPE])  # type: ignore[no-untyped-call]
    return str(credentials._make_authorization_grant_assertion().decode())


def test_vertex_signatures_are_not_those_of_the_gemini_api(host: Host, vertex: Vertex, accounts: Accounts) -> None:
    url = f"{vertex.url}/v1/projects/one/locations/global/publishers/google/models/{MODEL}:generateContent"
    reply = wire_client.post(url, {"contents": replayed(first(host))}, authorization=f"Bearer {token(accounts, 0)}")
    assert (reply.status, reply.body["error"]["message"]) == (400, "Thought signature is not valid.")
