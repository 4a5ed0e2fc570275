"""Holds a body against the types of Google's own SDK, strictly: no unknown name, no wrong value, and what its servers
refuse besides.
"""

import json
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from google.genai import types
from pydantic import ConfigDict, ValidationError, create_model

Json = dict[str, Any]

SERVICE_TIERS = ("unspecified", "flex", "standard", "priority")

# https://ai.google.dev/api/generate-content#request-body; the SDK has no class for it.
Body = create_model(
    "Body",
    __config__=ConfigDict(extra="forbid", val_json_bytes="base64"),
    contents=(list[types.Content], ...),
    systemInstruction=(types.Content, None),
    tools=(list[types.Tool], None),
    toolConfig=(types.ToolConfig, None),
    safetySettings=(list[types.SafetySetting], None),
    generationConfig=(types.GenerationConfig, None),
    cachedContent=(str, None),
    serviceTier=(str, None),
    labels=(dict[str, str], None),
    store=(bool, None),
    continuationToken=(str, None),
)

# https://ai.google.dev/api/generate-content#FIELDS.response_json_schema
KEYWORDS = frozenset(
    {"$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems"}
    | {"minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties"}
    | {"required", "propertyOrdering"}
)

# https://ai.google.dev/api/caching#Part: a part has one of these.
DATA = frozenset(
    {"text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"}
)


def check_body(body: bytes) -> None:
    """Raises AssertionError, with the path of what is wrong, for a body of generateContent that Google refuses."""
    problem = problem_of(body)
    assert problem is None, f"Google refuses this: {problem}"


def check_count(body: bytes) -> None:
    """The same for a body of countTokens: the request inside another object, or its fields as they are.

    https://ai.google.dev/api/tokens#method:-models.counttokens
    """
    found = json.loads(body)
    inner = found.get("generateContentRequest")
    if inner is None:
        check_body(body)
        return
    assert set(found) == {"generateContentRequest"}, f"Google takes nothing beside it: {sorted(found)}"
    assert inner.pop("model", "").startswith("models/"), "generateContentRequest.model: models/..., and it is required"
    check_body(json.dumps(inner).encode())


def problem_of(body: bytes) -> str | None:
    """What is wrong, by its path; None when the SDK's types allow it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an unknown value of an enumeration is only warned of
        try:
            Body.model_validate_json(body, strict=True, by_alias=True, by_name=False)
        except ValidationError as error:
            first = min(error.errors(), key=lambda each: -len(each["loc"]))
            return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except (UserWarning, AttributeError) as error:  # the latter: no string where a name is wanted
            return str(error)
    return next(_rules(json.loads(body)), None)


def schema_problem(schema: Any, path: str) -> str | None:
    """What the json_schema form of `schema` has that Google does not list; None when there is nothing."""
    return next(_schema_rules(schema, path), None)


def inner_schemas(schema: Json) -> Iterator[tuple[str, Any]]:
    """The schemas directly inside one, by their paths."""
    for key in ("properties", "$defs"):
        for name, inner in schema.get(key, {}).items():
            yield f"{key}.{name}", inner
    for key in ("anyOf", "oneOf", "prefixItems"):
        for number, inner in enumerate(schema.get(key, [])):
            yield f"{key}.{number}", inner
    if "items" in schema:
        yield "items", schema["items"]
    if not isinstance(schema.get("additionalProperties", True), bool):
        yield "additionalProperties", schema["additionalProperties"]


def _schema_rules(schema: Any, path: str) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{path}: no schema"
        return
    for key in schema.keys() - KEYWORDS:
        yield f"{path}.{key}: unknown"
    if "$ref" in schema and any(not key.startswith("$") for key in schema):
        yield f"{path}: there is something beside $ref"
    for inner, found in inner_schemas(schema):
        yield from _schema_rules(found, f"{path}.{inner}")


def _rules(body: Json) -> Iterator[str]:
    """What the types do not say."""
    tier = body.get("serviceTier")
    if tier is not None and tier not in SERVICE_TIERS:
        yield f"serviceTier: {tier!r} is none of {SERVICE_TIERS}"
    for number, content in enumerate(body["contents"]):
        path = f"contents.{number}"
        if content.get("role") not in ("user", "model"):
            yield f"{path}.role: user or model"
        yield from _content_rules(content, path)
    yield from _turn_rules(body["contents"])
    if "systemInstruction" in body:
        yield from _content_rules(body["systemInstruction"], "systemInstruction")
    for number, tool in enumerate(body.get("tools", [])):
        yield from _tool_rules(tool, f"tools.{number}")
    config = body.get("generationConfig", {})
    if "responseJsonSchema" in config:
        yield from _schema_rules(config["responseJsonSchema"], "generationConfig.responseJsonSchema")
    if {"responseJsonSchema", "responseSchema"} <= set(config):
        yield "generationConfig: two schemas of the answer"
    if {"responseJsonSchema", "responseSchema"} & set(config) and config.get("responseMimeType") != "application/json":
        yield "generationConfig.responseMimeType: a schema needs application/json"


def _turn_rules(contents: list[Json]) -> Iterator[str]:
    """https://ai.google.dev/gemini-api/docs/function-calling"""
    if not contents or contents[0].get("role") != "user":
        yield "contents.0: the first turn is the user's"
    for number, (content, after) in enumerate(pairwise(contents)):
        calls = sum("functionCall" in part for part in content.get("parts", []))
        results = sum("functionResponse" in part for part in after.get("parts", []))
        if calls != results:
            yield f"contents.{number + 1}: {results} results for {calls} calls"


def _content_rules(content: Json, path: str) -> Iterator[str]:
    if not content.get("parts"):
        yield f"{path}.parts: empty"
    for number, part in enumerate(content.get("parts") or []):
        kinds = DATA & set(part)
        if len(kinds) > 1 or (not kinds and "thoughtSignature" not in part):
            yield f"{path}.parts.{number}: one kind of data, not {sorted(kinds)}"
        if part.get("text") == "" and "thoughtSignature" not in part:
            yield f"{path}.parts.{number}.text: empty"


def _tool_rules(tool: Json, path: str) -> Iterator[str]:
    if len(tool) != 1:
        yield f"{path}: one kind of tool, not {sorted(tool)}"
    for number, declared in enumerate(tool.get("functionDeclarations", [])):
        where = f"{path}.functionDeclarations.{number}"
        if not declared.get("name"):
            yield f"{where}.name: missing"
        if {"parameters", "parametersJsonSchema"} <= set(declared):
            yield f"{where}: two schemas"
        if "parametersJsonSchema" in declared:
            yield from _schema_rules(declared["parametersJsonSchema"], f"{where}.parametersJsonSchema")
