"""The check of golden bodies itself: it takes what Google documents, and names what Google does not know."""

import json
from typing import Any

import pytest

from dialects.gemini.google_types import check_body, check_count, problem_of

Json = dict[str, Any]

BODY: Json = {
    "systemInstruction": {"parts": [{"text": "Be kind."}]},
    "tools": [
        {
            "functionDeclarations": [
                {"name": "look", "description": "Looks.", "parametersJsonSchema": {"type": "object", "properties": {}}},
                {"name": "find", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}},
            ]
        },
        {"googleSearch": {}},
        {"urlContext": {}},
    ],
    "toolConfig": {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]},
        "includeServerSideToolInvocations": True,
    },
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "What is this?"},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"fileData": {"fileUri": "gs://a/b.pdf", "mimeType": "application/pdf"}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "", "thoughtSignature": "c2lnbmVk"},
                {
                    "functionCall": {"name": "look", "args": {"at": 1}, "id": "1"},
                    "thoughtSignature": "skip_thought_signature_validator",
                },
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "name": "look",
                        "response": {"output": "a cat"},
                        "id": "1",
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
                    }
                }
            ],
        },
    ],
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
    "generationConfig": {
        "maxOutputTokens": 100,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "array", "items": {"$ref": "#/$defs/A"}, "$defs": {"A": {"type": "string"}}},
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
    },
    "serviceTier": "flex",
    "continuationToken": "t",
}


def changed(path: str, value: Any) -> bytes:
    """BODY with `value` at `path`."""
    body = json.loads(json.dumps(BODY))
    *way, last = path.split(".")
    inner = body
    for word in way:
        inner = inner[int(word) if isinstance(inner, list) else word]
    inner[int(last) if isinstance(inner, list) else last] = value
    return json.dumps(body).encode()


def test_a_body_with_all_that_is_written_is_taken() -> None:
    check_body(json.dumps(BODY).encode())


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("model", "gemini-3-pro", "model"),
        ("max_tokens", 1, "max_tokens"),
        ("contents", [], "contents.0: the first"),
        ("contents.0.role", "model", "contents.0: the first"),
        ("contents.1.parts.0", {"functionCall": {"name": "look", "args": {}}}, "contents.2: 1 results for 2 calls"),
        ("contents.2.parts", [{"text": "a cat"}], "contents.2: 0 results for 1 calls"),
        ("contents.0.cache_control", {}, "contents.0.cache_control"),
        ("contents.0.parts.0.type", "text", "contents.0.parts.0.type"),
        ("contents.0.parts.0.cache_control", {}, "cache_control"),
        ("contents.0.parts.1.inlineData.mime_type", "image/png", "mime_type"),
        ("contents.0.parts.1.inlineData.data", "?", "data"),
        ("contents.0.parts.0.text", 7, "contents.0.parts.0.text"),
        ("contents.0.parts.0.text", "", "contents.0.parts.0.text: empty"),
        ("contents.0.parts.0", {}, "contents.0.parts.0: one kind"),
        ("contents.0.parts.0", {"text": "a", "functionCall": {"name": "a"}}, "contents.0.parts.0: one kind"),
        ("contents.0.parts", [], "contents.0.parts: empty"),
        ("contents.0.role", "assistant", "contents.0.role"),
        ("contents.1.parts.1.functionCall.arguments", "{}", "arguments"),
        ("contents.1.parts.1.functionCall.args", "{}", "args"),
        ("contents.1.parts.1.thoughtSignature", 7, "thoughtSignature"),
        ("contents.2.parts.0.functionResponse.response", "a cat", "response"),
        ("systemInstruction", "Be kind.", "systemInstruction"),
        ("systemInstruction.parts", [{"text": ""}], "systemInstruction.parts.0.text: empty"),
        ("tools.0.functionDeclarations.0.input_schema", {}, "input_schema"),
        ("tools.0.functionDeclarations.0.name", "", "tools.0.functionDeclarations.0.name"),
        ("tools.0.functionDeclarations.0.parameters", {"type": "OBJECT"}, "functionDeclarations.0: two schemas"),
        ("tools.0.functionDeclarations.0.parametersJsonSchema.$schema", "x", "parametersJsonSchema.$schema: unknown"),
        ("tools.0.functionDeclarations.0.parametersJsonSchema.properties", {"a": {"const": 1}}, "properties.a.const"),
        ("tools.0.functionDeclarations.0.parametersJsonSchema.properties", {"a": True}, "properties.a: no schema"),
        (
            "tools.0.functionDeclarations.0.parametersJsonSchema.additionalProperties",
            {"$ref": "#", "title": "x"},
            "beside $ref",
        ),
        ("tools.0.functionDeclarations.1.parameters.properties.a.const", 1, "const"),
        ("tools.0.functionDeclarations.1.parameters.properties.a.type", ["string", "null"], "list"),
        ("tools.0.functionDeclarations.1.parameters.properties.a.type", "TEXT", "TEXT"),
        ("tools.0.functionDeclarations.1.parameters.properties.a.enum", [1], "enum"),
        ("tools.1.urlContext", {}, "tools.1: one kind of tool"),
        ("tools.1", {"webSearch": {}}, "tools.1.webSearch"),
        ("toolConfig.functionCallingConfig.mode", "REQUIRED", "REQUIRED"),
        ("toolConfig.functionCallingConfig.allowed_function_names", ["look"], "allowed_function_names"),
        ("safetySettings.0.threshold", "NEVER", "NEVER"),
        ("generationConfig.max_tokens", 1, "max_tokens"),
        ("generationConfig.maxOutputTokens", "100", "maxOutputTokens"),
        ("generationConfig.responseSchema", {"type": "STRING"}, "two schemas of the answer"),
        ("generationConfig.responseMimeType", "text/plain", "needs application/json"),
        ("generationConfig.responseJsonSchema.items.oneOf", [], "beside $ref"),
        ("generationConfig.thinkingConfig.thinkingLevel", "HUGE", "HUGE"),
        ("generationConfig.thinkingConfig.budget_tokens", 1, "budget_tokens"),
        ("serviceTier", "fast", "serviceTier"),
    ],
)
def test_what_google_does_not_take_is_named(path: str, value: Any, named: str) -> None:
    assert named in (problem_of(changed(path, value)) or "")


def test_a_refused_body_fails_with_what_is_wrong() -> None:
    with pytest.raises(AssertionError, match=r"Google refuses this: contents\.0\.role"):
        check_body(changed("contents.0.role", "system"))


def test_a_body_of_count_tokens_has_two_forms() -> None:
    contents = [{"role": "user", "parts": [{"text": "Hello"}]}]
    check_count(json.dumps({"contents": contents}).encode())
    check_count(json.dumps({"generateContentRequest": {"model": "models/m", "contents": contents}}).encode())
    for wrong in (
        {"generateContentRequest": {"contents": contents}},
        {"generateContentRequest": {"model": "models/m", "contents": contents}, "contents": contents},
        {"generateContentRequest": {"model": "models/m", "contents": contents, "stream": True}},
    ):
        with pytest.raises(AssertionError):
            check_count(json.dumps(wrong).encode())
