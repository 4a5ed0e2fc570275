"""What Google refuses of a generateContent request, in its own words where they are known.

Where Google is known to be lenient (fields in snake_case, two contents of one role) this is not: nobody needs it.
https://ai.google.dev/api/generate-content
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from clients.responses_rules import Json, Refused

STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
REQUEST = {
    "contents": "[Content]", "systemInstruction": "Content", "tools": "[Tool]", "toolConfig": "ToolConfig",
    "safetySettings": "[SafetySetting]", "generationConfig": "GenerationConfig", "cachedContent": "string",
    "serviceTier": "ServiceTier", "continuationToken": "string",
}  # fmt: skip
_SCHEMA = {
    "type": "Type", "format": "string", "title": "string", "description": "string", "nullable": "boolean",
    "enum": "[string]", "items": "Schema", "minItems": "integer", "maxItems": "integer", "properties": "{Schema}",
    "propertyOrdering": "[string]", "required": "[string]", "minProperties": "integer", "maxProperties": "integer",
    "minimum": "number", "maximum": "number", "minLength": "integer", "maxLength": "integer", "pattern": "string",
    "example": "any", "default": "any", "anyOf": "[Schema]",
}  # fmt: skip
# Messages by name. "[X]" is a list of X, "{X}" a map to X.
SHAPES: dict[str, dict[str, str]] = {
    "Studio": {**REQUEST, "model": "string", "store": "boolean"},
    "Vertex": {**REQUEST, "labels": "{string}", "toolConfig": "VertexToolConfig"},
    "StudioCount": {"contents": "[Content]", "generateContentRequest": "Studio"},
    "VertexCount": {
        "contents": "[Content]", "systemInstruction": "Content", "tools": "[Tool]", "model": "string",
        "generationConfig": "GenerationConfig",
    },
    "Content": {"role": "string", "parts": "[Part]"},
    "Part": {
        "text": "string", "inlineData": "Blob", "fileData": "FileData", "functionCall": "FunctionCall",
        "functionResponse": "FunctionResponse", "executableCode": "struct", "codeExecutionResult": "struct",
        "thought": "boolean", "thoughtSignature": "bytes", "videoMetadata": "struct", "mediaResolution": "struct",
    },
    "Blob": {"mimeType": "string", "data": "bytes", "displayName": "string"},
    "FileData": {"mimeType": "string", "fileUri": "string", "displayName": "string"},
    "FunctionCall": {"id": "string", "name": "string", "args": "struct"},
    "FunctionResponse": {
        "id": "string", "name": "string", "response": "struct", "parts": "[FunctionResponsePart]",
        "willContinue": "boolean", "scheduling": "string",
    },
    "FunctionResponsePart": {"inlineData": "Blob", "fileData": "FileData"},
    "Tool": {
        "functionDeclarations": "[FunctionDeclaration]", "googleSearch": "struct", "googleSearchRetrieval": "struct",
        "codeExecution": "struct", "urlContext": "struct", "computerUse": "struct", "fileSearch": "struct",
    },
    "FunctionDeclaration": {
        "name": "string", "description": "string", "behavior": "string", "parameters": "Schema",
        "parametersJsonSchema": "any", "response": "Schema", "responseJsonSchema": "any",
    },
    "Schema": _SCHEMA,
    "ToolConfig": {
        "functionCallingConfig": "FunctionCallingConfig", "retrievalConfig": "struct",
        "includeServerSideToolInvocations": "boolean",
    },
    "VertexToolConfig": {"functionCallingConfig": "FunctionCallingConfig", "retrievalConfig": "struct"},
    "FunctionCallingConfig": {"mode": "Mode", "allowedFunctionNames": "[string]"},
    "SafetySetting": {"category": "HarmCategory", "threshold": "HarmBlockThreshold"},
    "GenerationConfig": {
        "candidateCount": "integer", "stopSequences": "[string]", "maxOutputTokens": "integer", "temperature": "number",
        "topP": "number", "topK": "integer", "seed": "integer", "presencePenalty": "number",
        "frequencyPenalty": "number", "responseMimeType": "string", "responseSchema": "Schema",
        "responseJsonSchema": "any", "responseLogprobs": "boolean", "logprobs": "integer",
        "responseModalities": "[string]", "mediaResolution": "string", "speechConfig": "struct",
        "imageConfig": "struct", "thinkingConfig": "ThinkingConfig",
    },
    "ThinkingConfig": {"includeThoughts": "boolean", "thinkingBudget": "integer", "thinkingLevel": "ThinkingLevel"},
}  # fmt: skip
ENUMS = {
    "Type": {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"},
    "Mode": {"AUTO", "ANY", "NONE", "VALIDATED"},
    "ThinkingLevel": {"MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"},
    "ServiceTier": {"UNSPECIFIED", "FLEX", "STANDARD", "PRIORITY"},
    "HarmCategory": {
        f"HARM_CATEGORY_{name}"
        for name in ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY")
    },
    "HarmBlockThreshold": {"OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"},
}
SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,), "bytes": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "struct": (dict,),
    "any": (object,),
}  # fmt: skip
# https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support
JSON_SCHEMA = {
    "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems",
    "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required",
    "propertyOrdering",
}  # fmt: skip
TYPES = {"string", "number", "integer", "boolean", "array", "object", "null"}
DATA = (
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
)  # fmt: skip
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
PICTURES = {"image/png", "image/jpeg", "image/webp"}
MEDIA = PICTURES | {"image/heic", "image/heif", "application/pdf", "text/plain"}
RESULT_MEDIA = PICTURES | {"application/pdf", "text/plain"}
BUDGETS = {"gemini-2.5-pro": (128, 32768), "gemini-2.5-flash-lite": (512, 24576), "gemini-2.5-flash": (1, 24576)}
OFF = {"gemini-2.5-flash", "gemini-2.5-flash-lite"}
# https://ai.google.dev/gemini-api/docs/thinking#thinking-levels
LEVELS = (
    (r"gemini-3-pro", {"LOW", "HIGH"}),
    (r"gemini-3(\.[156])?-flash", {"MINIMAL", "LOW", "MEDIUM", "HIGH"}),
    (r"gemini-", {"LOW", "MEDIUM", "HIGH"}),
)
MOST = 65536  # tokens of output


class GoogleRefused(Refused):
    """An error as Google writes it. `reason`: of an `ErrorInfo` in its details."""

    def __init__(self, message: str, *, reason: str | None = None, status: int = 400, name: str | None = None) -> None:
        super().__init__(message, code=reason, status=status)
        self.name = name or STATUS[status]

    @property
    def body(self) -> Json:
        error: Json = {"code": self.status, "message": self.message, "status": self.name}
        if self.code:
            kind = "type.googleapis.com/google.rpc.ErrorInfo"
            error["details"] = [{"@type": kind, "reason": self.code, "domain": "googleapis.com"}]
        return {"error": error}


def version(model: str) -> tuple[int, int]:
    """(3, 1) for "gemini-3.1-pro-preview"."""
    found = re.match(r"gemini-(\d+)(?:\.(\d+))?", model)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def check(body: Json, model: str, *, shape: str = "Studio", urls: bool = False) -> None:
    """Raises Refused for what is wrong with the form of a request.

    `shape`: the kind of request, a key of `SHAPES`. `urls`: the host fetches files from anywhere.
    """
    _fits(body, shape, "")
    body = body.get("generateContentRequest", body)
    _contents(body.get("contents") or [], model, urls=urls)
    for part in body.get("systemInstruction", {}).get("parts", []):
        if not part.get("text"):
            raise _no_data("system_instruction.parts[0]")
    _tools(body, model)
    _tool_choice(body)
    _generation(body.get("generationConfig") or {}, body, model)


def _fits(value: Any, shape: str, place: str) -> None:
    """Raises Refused when a value does not decode as the message, list, map, enum or scalar of this name."""
    if isinstance(value, list) and shape[0] != "[" and shape != "any":
        outer, _, name = place.rpartition(".")
        raise GoogleRefused(
            f"Invalid JSON payload received. Unknown name \"{name}\" at '{outer}': Proto field is not repeating, "
            "cannot start list."
        )
    if shape[0] == "[":
        if not isinstance(value, list):
            raise _invalid(place, shape, value)
        for number, each in enumerate(value):
            _fits(each, shape[1:-1], f"{place}[{number}]")
    elif shape[0] == "{":
        if not isinstance(value, dict):
            raise _invalid(place, shape, value)
        for number, each in enumerate(value.values()):
            _fits(each, shape[1:-1], f"{place}[{number}].value")
    elif shape in SHAPES:
        _message(value, shape, place)
    else:
        _scalar(value, shape, place)


def _message(value: Any, shape: str, place: str) -> None:
    if not isinstance(value, dict):
        raise _invalid(place, shape, value)
    for name, inner in value.items():
        if name not in SHAPES[shape]:
            where = f" at '{place}'" if place else ""
            raise GoogleRefused(f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.')
        _fits(inner, SHAPES[shape][name], f"{place}.{_snake(name)}" if place else _snake(name))


def _scalar(value: Any, shape: str, place: str) -> None:
    if shape in ENUMS:
        if not isinstance(value, str) or value.upper() not in ENUMS[shape]:
            raise _invalid(place, shape, value)
    elif not isinstance(value, SCALARS[shape]) or (isinstance(value, bool) and shape in ("integer", "number")):
        raise _invalid(place, shape, value)
    elif shape == "bytes":
        decoded(value, place)


def decoded(value: str, place: str) -> bytes:
    """The bytes of a field. Either alphabet of base64 is taken, padded or not. Raises Refused."""
    plain = value.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        message = f"Invalid value at '{place}' (TYPE_BYTES), Base64 decoding failed for \"{value[:40]}\""
        raise GoogleRefused(message) from None


def _contents(contents: list[Json], model: str, *, urls: bool) -> None:
    if not contents:
        raise GoogleRefused("* GenerateContentRequest.contents: contents is not specified\n")
    role = "model"
    for number, content in enumerate(contents):
        place = f"contents[{number}]"
        if content.get("role") not in ("user", "model"):
            raise GoogleRefused("Please use a valid role: user, model.")
        if content["role"] == role:
            if any("functionCall" in part for part in content.get("parts", [])):
                raise GoogleRefused(
                    "Please ensure that function call turn comes immediately after a user turn or after a function "
                    "response turn."
                )
            raise GoogleRefused("Please ensure that multiturn requests alternate between user and model.")
        role = content["role"]
        if not content.get("parts"):
            raise GoogleRefused(f"* GenerateContentRequest.{place}.parts: contents.parts must not be empty.\n")
        for at, part in enumerate(content["parts"]):
            _part(part, f"{place}.parts[{at}]", model, role, urls=urls)
    if role == "model":
        raise GoogleRefused("Please ensure that multiturn requests end with a user role or a function response.")
    _pairs(contents)


def _part(part: Json, place: str, model: str, role: str, *, urls: bool) -> None:
    kinds = [name for name in DATA if name in part]
    if len(kinds) > 1:
        message = f"Invalid value at '{place}' (oneof), oneof field 'data' is already set. Cannot set '{kinds[1]}'"
        raise GoogleRefused(message)
    # Empty text is text that is not there; beside a signature it is taken.
    # https://ai.google.dev/gemini-api/docs/thought-signatures#streaming
    if not kinds or (part.get("text") == "" and "thoughtSignature" not in part):
        raise _no_data(place)
    if "functionCall" in part:
        if role != "model":
            raise GoogleRefused("Please ensure that function call turns have the role model.")
        _function_name(part["functionCall"].get("name"), f"{place}.function_call.name")
        _identity(part["functionCall"], f"{place}.function_call", model)
    elif role == "user" and "thoughtSignature" in part:
        raise GoogleRefused("Thought signatures are only supported in model turns.")
    if "functionResponse" in part:
        _function_response(part["functionResponse"], f"{place}.function_response", model)
    if "inlineData" in part:
        _blob(part["inlineData"], f"{place}.inline_data", MEDIA)
    if "fileData" in part:
        _file(part["fileData"], urls=urls)


def _function_response(response: Json, place: str, model: str) -> None:
    _function_name(response.get("name"), f"{place}.name")
    _identity(response, place, model)
    if not isinstance(response.get("response"), dict):
        raise GoogleRefused(f"* GenerateContentRequest.{place}.response: required field is not set\n")
    parts = response.get("parts", [])
    if parts and version(model) < (3, 0):
        raise GoogleRefused("Multimodal function response is not supported by this model.")
    for number, part in enumerate(parts):
        if len(part) != 1:
            raise _no_data(f"{place}.parts[{number}]")
        if "inlineData" in part:
            _blob(part["inlineData"], f"{place}.parts[{number}].inline_data", RESULT_MEDIA)
    named = {part["inlineData"].get("displayName") for part in parts if "inlineData" in part}
    for pointer in _pointers(response["response"]):
        if pointer not in named:
            raise GoogleRefused(f"Function response references a part that does not exist: {pointer}")


def _pointers(value: Any) -> Iterator[Any]:
    """What `$ref` names: a picture of the same response.

    https://ai.google.dev/gemini-api/docs/function-calling#multimodal
    """
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    for each in value if isinstance(value, list) else []:
        yield from _pointers(each)


def _identity(named: Json, place: str, model: str) -> None:
    if "id" in named and version(model) < (3, 0):
        raise GoogleRefused(f"Invalid JSON payload received. Unknown name \"id\" at '{place}': Cannot find field.")
    if named.get("id") == "":
        raise GoogleRefused(f"* GenerateContentRequest.{place}.id: must not be empty\n")


def _blob(blob: Json, place: str, allowed: set[str]) -> None:
    if blob.get("mimeType") not in allowed:
        raise GoogleRefused(f"Unsupported MIME type: {blob.get('mimeType')}")
    if not blob.get("data"):
        raise GoogleRefused(f"* GenerateContentRequest.{place}.data: must not be empty\n")


def _file(file: Json, *, urls: bool) -> None:
    uri = file.get("fileUri", "")
    if not urls and not uri.startswith("https://generativelanguage.googleapis.com/"):
        raise GoogleRefused(f"Invalid or unsupported file uri: {uri}")
    if urls and not file.get("mimeType"):
        raise GoogleRefused("Unable to submit request because it has an empty mimeType parameter in fileData.")


def _pairs(contents: list[Json]) -> None:
    """Calls are answered in the next content, by as many responses, in their order, before anything else."""
    waiting: list[Json] = []
    for content in contents:
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        kinds = ["functionResponse" in part for part in content["parts"]]
        responses = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        if responses and not waiting:
            raise GoogleRefused(
                "Please ensure that function response turn comes immediately after a function call turn."
            )
        if len(responses) != len(waiting):
            raise GoogleRefused(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        if kinds != sorted(kinds, reverse=True):
            raise GoogleRefused("Please ensure that function responses come before all other parts.")
        for call, response in zip(waiting, responses, strict=True):
            if (call["name"], call.get("id")) != (response["name"], response.get("id")):
                raise GoogleRefused(
                    f"Function response {response['name']}/{response.get('id')} does not match function call "
                    f"{call['name']}/{call.get('id')}."
                )
        waiting = calls
    given = [
        part["functionCall"]["id"]
        for content in contents
        for part in content["parts"]
        if part.get("functionCall", {}).get("id")
    ]
    if len(set(given)) != len(given):
        raise GoogleRefused("Function call ids must be unique.")


def _tools(body: Json, model: str) -> None:
    tools = body.get("tools") or []
    names: set[str] = set()
    kinds: set[str] = set()
    for number, tool in enumerate(tools):
        if len(tool) != 1 or tool.get("functionDeclarations") == []:
            raise GoogleRefused(
                f"* GenerateContentRequest.tools[{number}].tool_type: required one_of 'tool_type' must have one "
                "initialized field\n"
            )
        kinds |= tool.keys()
        for at, function in enumerate(tool.get("functionDeclarations", [])):
            place = f"tools[{number}].function_declarations[{at}]"
            _function_name(function.get("name"), f"{place}.name")
            if function["name"] in names:
                raise GoogleRefused(f"Duplicate function declaration found: {function['name']}")
            names.add(function["name"])
            _declaration(function, place)
    together = body.get("toolConfig", {}).get("includeServerSideToolInvocations") is True
    if "functionDeclarations" in kinds and len(kinds) > 1 and not (together and version(model) >= (3, 0)):
        found = min(kinds - {"functionDeclarations"})
        raise GoogleRefused(
            f"Built-in tools ({{{_snake(found)}}}) and Function Calling cannot be combined in the same request. Please "
            "choose one tool to get started."
        )


def _declaration(function: Json, place: str) -> None:
    if "parameters" in function and "parametersJsonSchema" in function:
        raise GoogleRefused(f"{place}: only one of parameters and parameters_json_schema may be set.")
    if "parameters" in function:
        if function["parameters"].get("type", "").upper() != "OBJECT":
            raise GoogleRefused(f"* GenerateContentRequest.{place}.parameters: schema should be of type OBJECT.\n")
        _openapi(function["parameters"], f"{place}.parameters")
    if "parametersJsonSchema" in function:
        schema = function["parametersJsonSchema"]
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise GoogleRefused(f"{place}.parameters_json_schema: schema should be of type object.")
        _json_schema(schema, f"{place}.parameters_json_schema")


def _openapi(schema: Json, place: str) -> None:
    """The older form. https://ai.google.dev/api/caching#Schema"""
    at = f"* GenerateContentRequest.{place}"
    if "anyOf" in schema and len(schema) > 1:
        raise GoogleRefused(f"{at}: when using any_of, it must be the only field set.\n")
    if "anyOf" not in schema and "type" not in schema:
        raise GoogleRefused(f"{at}.type: must be specified\n")
    kind = schema.get("type", "").upper()
    if kind == "OBJECT" and not schema.get("properties"):
        raise GoogleRefused(f"{at}.properties: should be non-empty for OBJECT type\n")
    if kind == "ARRAY" and "items" not in schema:
        raise GoogleRefused(f"{at}.items: missing field.\n")
    if "enum" in schema and kind != "STRING":
        raise GoogleRefused(f"{at}.enum: only allowed for STRING type\n")
    if "" in schema.get("enum", []):
        raise GoogleRefused(f"{at}.enum[{schema['enum'].index('')}]: cannot be empty\n")
    if kind == "STRING" and schema.get("format") not in (None, "enum", "date-time"):
        raise GoogleRefused(f"{at}.format: only 'enum' and 'date-time' are supported for STRING type\n")
    for number, name in enumerate(schema.get("required", [])):
        if name not in schema.get("properties", {}):
            raise GoogleRefused(f"{at}.required[{number}]: property is not defined\n")
    for name, inner in schema.get("properties", {}).items():
        _openapi(inner, f"{place}.properties[{name}]")
    if "items" in schema:
        _openapi(schema["items"], f"{place}.items")
    for number, inner in enumerate(schema.get("anyOf", [])):
        _openapi(inner, f"{place}.any_of[{number}]")


def _json_schema(schema: Any, place: str) -> None:
    """JSON Schema, as much of it as Google takes."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise GoogleRefused(f"{place}: a schema must be an object.")
    unknown = sorted(schema.keys() - JSON_SCHEMA)
    if unknown:
        raise GoogleRefused(f"{place}: the keyword {unknown[0]} is not supported.")
    if "$ref" in schema and any(name[0] != "$" for name in schema):
        raise GoogleRefused(f"{place}: $ref may only have siblings that begin with $.")
    kinds = schema.get("type", [])
    if not {kinds} <= TYPES if isinstance(kinds, str) else not set(kinds) <= TYPES:
        raise GoogleRefused(f"{place}: unknown type {kinds}.")
    if not all(isinstance(each, str | int | float) and not isinstance(each, bool) for each in schema.get("enum", [])):
        raise GoogleRefused(f"{place}.enum: only strings and numbers are supported.")
    for name in ("properties", "$defs"):
        for key, inner in schema.get(name, {}).items():
            _json_schema(inner, f"{place}.{name}[{key}]")
    for name in ("items", "additionalProperties"):
        if name in schema:
            _json_schema(schema[name], f"{place}.{name}")
    for name in ("anyOf", "oneOf", "prefixItems"):
        for number, inner in enumerate(schema.get(name, [])):
            _json_schema(inner, f"{place}.{name}[{number}]")


def _tool_choice(body: Json) -> None:
    choice = (body.get("toolConfig") or {}).get("functionCallingConfig")
    if choice is None:
        return
    declared = {
        function["name"] for tool in body.get("tools") or [] for function in tool.get("functionDeclarations", [])
    }
    if not declared:
        raise GoogleRefused("Function calling config is set without function_declarations.")
    allowed = choice.get("allowedFunctionNames")
    if allowed is None:
        return
    if choice.get("mode") not in ("ANY", "VALIDATED"):
        raise GoogleRefused("allowed_function_names should only be set when the function calling mode is ANY.")
    missing = sorted(set(allowed) - declared)
    if missing or not allowed:
        raise GoogleRefused(f"allowed_function_names must be names of declared functions: {missing}")


def _generation(config: Json, body: Json, model: str) -> None:
    most = config.get("maxOutputTokens")
    if most is not None and not 1 <= most <= MOST:
        raise GoogleRefused(
            f"Unable to submit request because it has a maxOutputTokens value of {most} but the supported range is "
            f"from 1 (inclusive) to {MOST + 1} (exclusive). Update the value and try again."
        )
    for name, low, high in (("temperature", 0, 2), ("topP", 0, 1), ("topK", 1, 1000)):
        if not low <= config.get(name, low) <= high:
            raise GoogleRefused(f"* GenerateContentRequest.generation_config.{_snake(name)}: must be in the range\n")
    if len(config.get("stopSequences", [])) > 5:
        raise GoogleRefused("* GenerateContentRequest.generation_config.stop_sequences: at most 5 are supported\n")
    if version(model) >= (3, 0) and config.keys() & {"presencePenalty", "frequencyPenalty"}:
        raise GoogleRefused("Penalty is not enabled for this model")
    _thinking(config.get("thinkingConfig") or {}, model)
    schemas = config.keys() & {"responseSchema", "responseJsonSchema"}
    if schemas and config.get("responseMimeType") != "application/json":
        raise GoogleRefused("Function calling config: response_schema requires response_mime_type application/json")
    if len(schemas) > 1:
        raise GoogleRefused("Only one of response_schema and response_json_schema may be set.")
    if "responseSchema" in config:
        _openapi(config["responseSchema"], "generation_config.response_schema")
    if "responseJsonSchema" in config:
        _json_schema(config["responseJsonSchema"], "generation_config.response_json_schema")
    if config.get("responseMimeType") == "application/json" and body.get("tools") and version(model) < (3, 0):
        raise GoogleRefused("Function calling with a response mime type: 'application/json' is unsupported")


def _thinking(config: Json, model: str) -> None:
    budget, level = config.get("thinkingBudget"), config.get("thinkingLevel")
    if budget is not None and level is not None:
        raise GoogleRefused("You can only set only one of thinking budget and thinking level.")
    if level is not None:
        allowed = next(levels for pattern, levels in LEVELS if re.match(pattern, model))
        if version(model) < (3, 0):
            raise GoogleRefused("Thinking level is not supported for this model.")
        if level.upper() not in allowed:
            raise GoogleRefused(f"Thinking level {level} is not supported for this model.")
    if budget is not None:
        name = next((name for name in sorted(BUDGETS, key=len, reverse=True) if model.startswith(name)), None)
        if name is None:
            raise GoogleRefused("Thinking budget is not supported for this model.")
        low, high = BUDGETS[name]
        if budget != -1 and not (budget == 0 and name in OFF) and not low <= budget <= high:
            if budget == 0:
                raise GoogleRefused("Budget 0 is invalid. This model only works in thinking mode.")
            raise GoogleRefused(
                f"The thinking budget {budget} is invalid. Please choose a value between {low} and {high}."
            )


def _function_name(name: Any, place: str) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise GoogleRefused(
            f"* GenerateContentRequest.{place}: [Function name] Invalid function name {name!r}. Must start with a "
            "letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or "
            "dashes (-), with a maximum length of 64.\n"
        )


def _no_data(place: str) -> GoogleRefused:
    message = f"* GenerateContentRequest.{place}.data: required oneof field 'data' must have one initialized field\n"
    return GoogleRefused(message)


def _invalid(place: str, shape: str, value: Any) -> GoogleRefused:
    return GoogleRefused(f"Invalid value at '{place}' ({shape}), {str(value)[:60]!r}")


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), name)
