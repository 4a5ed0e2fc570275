"""What OpenAI refuses of a Responses request, in its own words.

https://platform.openai.com/docs/api-reference/responses/create
"""

import re
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

FIELDS = {
    "access_programs", "background", "context_management", "conversation", "image", "include", "input", "instructions",
    "max_output_tokens", "max_tool_calls", "metadata", "model", "moderation", "parallel_tool_calls",
    "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning",
    "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice",
    "tools", "top_logprobs", "top_p", "truncation", "user",
}  # fmt: skip
# https://platform.openai.com/docs/api-reference/responses/input-tokens
COUNTED_FIELDS = {
    "conversation", "input", "instructions", "model", "parallel_tool_calls", "personality", "previous_response_id",
    "reasoning", "text", "tool_choice", "tools", "truncation",
}  # fmt: skip
INCLUDES = {
    "reasoning.encrypted_content", "web_search_call.action.sources", "web_search_call.results",
    "code_interpreter_call.outputs", "file_search_call.results", "computer_call_output.output.image_url",
    "message.input_image.image_url", "message.output_text.logprobs",
}  # fmt: skip
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
ITEM_FIELDS = {
    "message": {"type", "id", "role", "content", "status", "phase"},
    "reasoning": {"type", "id", "summary", "content", "encrypted_content", "status"},
    "function_call": {"type", "id", "call_id", "name", "arguments", "status", "namespace", "caller", "async"},
    "function_call_output": {"type", "id", "call_id", "output", "status", "name", "namespace", "caller"},
    "web_search_call": {"type", "id", "status", "action"},
    "item_reference": {"type", "id"},
}
REQUIRED = {
    "message": ("role", "content"),
    "reasoning": ("summary",),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "web_search_call": ("id", "status", "action"),
    "item_reference": ("id",),
}
ID_PREFIX = {"message": "msg", "reasoning": "rs", "function_call": "fc", "web_search_call": "ws"}
INPUT_PARTS = {
    "input_text": {"type", "text", "prompt_cache_breakpoint"},
    "input_image": {"type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"},
    "input_file": {"type", "file_data", "file_url", "file_id", "filename", "detail", "prompt_cache_breakpoint"},
}
OUTPUT_PARTS = {
    "output_text": {"type", "text", "annotations", "logprobs"},
    "refusal": {"type", "refusal"},
}
TOOL_FIELDS = {
    "function": {
        "type", "name", "description", "parameters", "strict", "defer_loading", "output_schema", "allowed_callers",
        "async",
    },
    "web_search": {"type", "filters", "search_context_size", "user_location", "external_web_access"},
}  # fmt: skip
NAME = re.compile(r"[a-zA-Z0-9_-]+")
IMAGE = re.compile(r"https?://|data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*$")
FILE = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+=*$")


class Refused(Exception):  # noqa: N818 - it is an answer, not a failure of the test
    """An answer with a status of 400 and over."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status

    @property
    def body(self) -> Json:
        kind = "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def reasons(model: str) -> bool:
    """Whether the model thinks: gpt-5 and later, and the o-series."""
    return re.match(r"gpt-[5-9]|o[1-9]", model) is not None


def check(body: Json, *, fields: set[str] = FIELDS) -> None:
    """Raises Refused for what is wrong with the form of a request."""
    _known(body, fields, "")
    if not isinstance(body.get("model"), str):
        raise _missing("model")
    for name, limit in (("user", 64), ("prompt_cache_key", 64), ("safety_identifier", 64)):
        _short(body.get(name), limit, name)
    if body.get("previous_response_id") is not None:
        raise Refused(
            f"Previous response with id '{body['previous_response_id']}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    if "stream_options" in body:
        if not body.get("stream"):
            raise Refused(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
            )
        _known(body["stream_options"], {"include_obfuscation"}, "stream_options")
    for value in body.get("include") or []:
        _one_of(value, INCLUDES, "include")
    _one_of(
        body.get("service_tier") or "auto", {"auto", "default", "flex", "scale", "priority", "fast"}, "service_tier"
    )
    _numbers(body)
    _reasoning(body)
    _tools(body)
    _tool_choice(body)
    _text(body)
    turns = body.get("input")
    if not turns or not isinstance(turns, str | list):
        raise Refused('One of "input" or "previous_response_id" or "prompt" or "conversation_id" must be provided.')
    if isinstance(turns, list):
        for number, item in enumerate(turns):
            _item(item, f"input[{number}]")
        _pairs(turns)


def _numbers(body: Json) -> None:
    most = body.get("max_output_tokens")
    if most is not None and most < 16:
        raise Refused(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got "
            f"{most} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )
    thinks = reasons(body["model"]) and (body.get("reasoning") or {}).get("effort") != "none"
    for name in ("temperature", "top_p", "top_logprobs"):
        if body.get(name) is not None and thinks:
            raise Refused(f"Unsupported parameter: '{name}' is not supported with this model.", param=name)


def _reasoning(body: Json) -> None:
    asked = body.get("reasoning")
    if asked is None:
        return
    _known(asked, {"effort", "summary", "generate_summary", "context", "mode"}, "reasoning")
    if not reasons(body["model"]):
        raise Refused(
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            param="reasoning.effort",
            code="unsupported_parameter",
        )
    _one_of(asked.get("effort") or "low", EFFORTS, "reasoning.effort")
    _one_of(asked.get("summary") or "auto", ("auto", "concise", "detailed"), "reasoning.summary")


def _tools(body: Json) -> None:
    for number, tool in enumerate(body.get("tools") or []):
        place = f"tools[{number}]"
        kind = tool.get("type")
        _one_of(kind, TOOL_FIELDS, f"{place}.type")
        _known(tool, TOOL_FIELDS[kind], place)
        if kind == "web_search":
            _known(tool.get("filters") or {}, {"allowed_domains"}, f"{place}.filters")
            where = tool.get("user_location") or {}
            _known(where, {"type", "city", "country", "region", "timezone"}, f"{place}.user_location")
            continue
        if not tool.get("name"):
            raise _missing(f"{place}.name")
        _name(tool["name"], f"{place}.name")
        schema = tool.get("parameters")
        where = f"Invalid schema for function '{tool['name']}'"
        code = "invalid_function_parameters"
        if schema is None:
            if "parameters" not in tool:
                raise _missing(f"{place}.parameters")
        elif schema.get("type") != "object":
            raise Refused(
                f"{where}: schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'.",
                param=f"{place}.parameters",
                code=code,
            )
        elif schema.keys() & {"anyOf", "oneOf", "allOf", "enum", "not"}:
            raise Refused(
                f"{where}: schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the "
                "top level.",
                param=f"{place}.parameters",
                code=code,
            )
        elif not isinstance(schema.get("properties"), dict):
            raise Refused(
                f"{where}: In context=(), object schema missing properties.", param=f"{place}.parameters", code=code
            )
        if tool.get("strict"):
            _strict(schema or {}, where, f"{place}.parameters", code)


def _strict(schema: Any, where: str, place: str, code: str, context: tuple[str, ...] = ()) -> None:
    """Strict mode: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas"""
    if not isinstance(schema, dict):
        return
    at = f"{where}: In context={context!r}"
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            raise Refused(
                f"{at}, 'additionalProperties' is required to be supplied and to be false.", param=place, code=code
            )
        properties = schema.get("properties", {})
        left = properties.keys() - set(schema.get("required", []))
        if left:
            raise Refused(
                f"{at}, 'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{min(left)}'.",
                param=place,
                code=code,
            )
        for name, inner in properties.items():
            _strict(inner, where, place, code, (*context, "properties", name))
    for word in ("oneOf", "allOf", "not", "if", "patternProperties", "uniqueItems"):
        if word in schema:
            raise Refused(f"{at}, '{word}' is not permitted.", param=place, code=code)
    if "items" in schema:
        _strict(schema["items"], where, place, code, (*context, "items"))
    for number, inner in enumerate(schema.get("anyOf", [])):
        _strict(inner, where, place, code, (*context, "anyOf", str(number)))
    for name, inner in schema.get("$defs", {}).items():
        _strict(inner, where, place, code, (*context, "$defs", name))


def _tool_choice(body: Json) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    if isinstance(choice, str):
        _one_of(choice, ("none", "auto", "required"), "tool_choice")
        if choice == "required" and not body.get("tools"):
            raise Refused(
                "Tool choice 'required' must be specified with 'tools' parameter.",
                param="tool_choice",
                code="missing_required_parameter",
            )
        return
    kind = choice.get("type")
    if kind == "allowed_tools":
        _known(choice, {"type", "mode", "tools"}, "tool_choice")
        return
    _known(choice, {"type", "name"} if kind == "function" else {"type"}, "tool_choice")
    _one_of(kind, TOOL_FIELDS, "tool_choice.type")
    if not any(
        tool["type"] == kind and (kind != "function" or tool["name"] == choice.get("name"))
        for tool in body.get("tools") or []
    ):
        raise Refused(f"Tool choice '{choice.get('name', kind)}' not found in 'tools' parameter.", param="tool_choice")


def _text(body: Json) -> None:
    text = body.get("text") or {}
    _known(text, {"format", "verbosity"}, "text")
    form = text.get("format") or {"type": "text"}
    kind = form.get("type")
    _one_of(kind, ("text", "json_object", "json_schema"), "text.format.type")
    if kind != "json_schema":
        _known(form, {"type"}, "text.format")
        return
    _known(form, {"type", "name", "schema", "strict", "description"}, "text.format")
    for name in ("name", "schema"):
        if name not in form:
            raise _missing(f"text.format.{name}")
    _name(form["name"], "text.format.name")
    if form.get("strict"):
        _strict(
            form["schema"], f"Invalid schema for response_format '{form['name']}'", "text.format.schema",
            "invalid_json_schema",
        )  # fmt: skip


def _item(item: Json, place: str) -> None:
    kind: Any = item.get("type", "message" if "role" in item else None)
    _one_of(kind, ITEM_FIELDS, f"{place}.type" if "type" in item else place)
    _known(item, ITEM_FIELDS[kind], place)
    for name in REQUIRED[kind]:
        if item.get(name) is None:
            raise _missing(f"{place}.{name}")
    identity, prefix = item.get("id"), ID_PREFIX.get(kind)
    if identity is not None and prefix is not None and not identity.startswith(prefix):
        raise Refused(
            f"Invalid '{place}.id': '{identity}'. Expected an ID that begins with '{prefix}'.",
            param=f"{place}.id",
            code="invalid_value",
        )
    if kind == "item_reference" or (kind == "reasoning" and identity and not item.get("encrypted_content")):
        raise Refused(
            f"Item with id '{identity}' not found. Items are not persisted when `store` is set to false. Try again "
            "with `store` set to true, or remove this item from your input.",
            param="input",
            status=404,
        )
    if kind == "message":
        _message(item, place)
    elif kind == "reasoning":
        for number, part in enumerate(item["summary"]):
            _known(part, {"type", "text"}, f"{place}.summary[{number}]")
            _one_of(part.get("type"), ("summary_text",), f"{place}.summary[{number}].type")
            if not isinstance(part.get("text"), str):
                raise _missing(f"{place}.summary[{number}].text")
    elif kind == "function_call":
        _short(item["call_id"], 64, f"{place}.call_id")
        _name(item["name"], f"{place}.name")
        if not isinstance(item["arguments"], str):
            raise Refused(
                f"Invalid type for '{place}.arguments': expected a string, but got an object instead.",
                param=f"{place}.arguments",
                code="invalid_type",
            )
    elif kind == "function_call_output":
        _short(item["call_id"], 64, f"{place}.call_id")
        if not isinstance(item["output"], str):
            _parts(item["output"], INPUT_PARTS, f"{place}.output")


def _message(item: Json, place: str) -> None:
    role = item["role"]
    _one_of(role, ("assistant", "system", "developer", "user"), f"{place}.role")
    if isinstance(item["content"], str):
        return
    _parts(item["content"], OUTPUT_PARTS if role == "assistant" else INPUT_PARTS, f"{place}.content")


def _parts(parts: Any, allowed: dict[str, set[str]], place: str) -> None:
    if not isinstance(parts, list):
        raise Refused(
            f"Invalid type for '{place}': expected one of an array of objects or string, but got an object instead.",
            param=place,
            code="invalid_type",
        )
    if not parts:
        raise Refused(
            f"Invalid '{place}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param=place,
            code="empty_array",
        )
    for number, part in enumerate(parts):
        at = f"{place}[{number}]"
        kind = part.get("type")
        _one_of(kind, allowed, at)
        _known(part, allowed[kind], at)
        if kind in ("input_text", "output_text") and not isinstance(part.get("text"), str):
            raise _missing(f"{at}.text")
        if kind == "input_image" and not IMAGE.match(part.get("image_url") or ""):
            raise Refused(
                f"Invalid '{at}.image_url'. Expected a valid URL, but got a value with an invalid format.",
                param=f"{at}.image_url",
                code="invalid_value",
            )
        if kind == "input_file":
            if "file_data" in part and "filename" not in part:
                raise _missing(f"{at}.filename")
            if "file_data" in part and not FILE.match(part["file_data"]):
                raise Refused(
                    f"Invalid '{at}.file_data'. Expected a base64-encoded data URL with a MIME type.",
                    param=f"{at}.file_data",
                    code="invalid_value",
                )
            if not part.keys() & {"file_data", "file_url", "file_id"}:
                raise _missing(f"{at}.file_id")


def _pairs(turns: list[Json]) -> None:
    """Every call has its output and every output its call, with no message in between; no item comes twice."""
    waiting: list[str] = []
    seen: set[str] = set()
    for item in turns:
        kind = item.get("type", "message")
        identity = item.get("id")
        if identity is not None:
            if identity in seen:
                raise Refused(
                    f"Duplicate item found with id {identity}. Remove duplicate items from your input and try again.",
                    param="input",
                )
            seen.add(identity)
        if kind == "function_call":
            waiting.append(item["call_id"])
        elif kind == "function_call_output":
            if item["call_id"] not in waiting:
                raise Refused(
                    f"No tool call found for function call output with call_id {item['call_id']}.", param="input"
                )
            waiting.remove(item["call_id"])
        elif kind == "message" and waiting:
            break
    if waiting:
        raise Refused(f"No tool output found for function call {waiting[0]}.", param="input")


def _known(value: Json, fields: set[str], place: str) -> None:
    unknown = sorted(value.keys() - fields)
    if unknown:
        name = f"{place}.{unknown[0]}" if place else unknown[0]
        raise Refused(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def _one_of(value: Any, allowed: Iterable[str], place: str) -> None:
    names = sorted(allowed)
    if value not in names:
        listed = ", ".join(f"'{name}'" for name in names[:-1])
        listed = f"{listed}, and '{names[-1]}'" if listed else f"'{names[-1]}'"
        raise Refused(f"Invalid value: {value!r}. Supported values are: {listed}.", param=place, code="invalid_value")


def _name(name: str, place: str) -> None:
    if not NAME.fullmatch(name):
        raise Refused(
            f"Invalid '{place}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            param=place,
            code="invalid_value",
        )
    _short(name, 64, place)


def _short(value: str | None, limit: int, place: str) -> None:
    if value is not None and len(value) > limit:
        raise Refused(
            f"Invalid '{place}': string too long. Expected a string with maximum length {limit}, but got a string with "
            f"length {len(value)} instead.",
            param=place,
            code="string_above_max_length",
        )


def _missing(place: str) -> Refused:
    return Refused(f"Missing required parameter: '{place}'.", param=place, code="missing_required_parameter")
