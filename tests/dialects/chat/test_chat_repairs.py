"""Repairs: the 400s that servers really send, and the one change that each asks for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dialects.chat.encoder_chat import ChatEncoder
from dragoman.dialects.chat.errors import error
from dragoman.dialects.chat.repairs import repair
from dragoman.dialects.contract import Call, Repair
from dragoman.messages.errors import ApiError


def refused(call: Call, message: Any, status: int = 400, param: str | None = None) -> Repair | None:
    body = {"error": {"message": message, "param": param}}
    return repair(call, error(status, {}, json.dumps(body).encode(), call))


def call(facts: dict[str, Any] | None = None, **quirks: Any) -> Call:
    return ChatEncoder().call(facts=facts, **quirks)


CASES: list[tuple[str, Call, str, dict[str, Any], dict[str, Any]]] = [
    # message, call, code, quirks after, facts after
    (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        call(),
        "max_tokens_field",
        {"max_tokens_field": "max_completion_tokens"},
        {},
    ),
    (
        "body.max_completion_tokens: Extra inputs are not permitted",
        call(max_tokens_field="max_completion_tokens"),
        "max_tokens_field",
        {"max_tokens_field": "max_tokens"},
        {},
    ),
    (
        "max_tokens is too large: 32000. This model supports at most 16384 completion tokens.",
        call(),
        "max_output",
        {},
        {"max_output": 16384},
    ),
    (
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
        call(),
        "max_output",
        {},
        {"max_output": 8192},
    ),
    (
        "`max_tokens` must be less than or equal to `8192`",
        call({"max_output": 64000}),
        "max_output",
        {},
        {"max_output": 8192},
    ),
    ("Unrecognized request argument supplied: stream_options", call(), "stream_options", {"stream_usage": "never"}, {}),
    (
        "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) is supported.",
        call(),
        "sampling",
        {"sampling": False},
        {},
    ),
    ("Unsupported parameter: 'top_p' is not supported with this model.", call(), "sampling", {"sampling": False}, {}),
    ("top_k: Extra inputs are not permitted", call(top_k=True), "top_k", {"top_k": False}, {}),
    (
        "Unsupported value: 'reasoning_effort' does not support 'minimal'. Supported values are: 'low' and 'high'.",
        call(),
        "reasoning",
        {},
        {"efforts": ("low", "high")},
    ),
    ("Unrecognized request argument supplied: reasoning_effort", call(), "reasoning", {"reasoning_out": "none"}, {}),
    (
        "Function tools with reasoning_effort are not supported for this model in /v1/chat/completions.",
        call(),
        "reasoning",
        {},
        {"tools_with_reasoning": False},
    ),
    (
        "enable_thinking: unknown field",
        call(reasoning_out="enable_thinking"),
        "reasoning",
        {"reasoning_out": "none"},
        {},
    ),
    (
        "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
        call(),
        "parallel_tool_calls",
        {"parallel_tool_calls": False},
        {},
    ),
    (
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        call(),
        "response_format",
        {"response_format": "json_object"},
        {},
    ),
    (
        "response_format json_object is not supported",
        call(response_format="json_object"),
        "response_format",
        {"response_format": "tool"},
        {},
    ),
    (
        "json mode cannot be combined with tool/function calling: response_format is not allowed",
        call(),
        "response_format",
        {"response_format_with_tools": False},
        {},
    ),
    (
        "developer is not one of ['system', 'assistant', 'user', 'function'] - 'messages.0.role' is not valid",
        call({"system_role": "developer"}, system_role="developer"),
        "system_role",
        {"system_role": "system"},
        {"system_role": None},
    ),
    ("System message must be at the beginning.", call(mid_system="keep"), "mid_system", {"mid_system": "fold"}, {}),
    ("tool_choice 'required' is not supported", call(), "tool_choice", {"tool_choice_any": "auto"}, {}),
    (
        "Invalid tool_choice 'required': should be one of 'auto', 'none', 'any'",
        call(),
        "tool_choice",
        {"tool_choice_any": "any"},
        {},
    ),
    ("tool_choice with a function name is not supported", call(), "tool_choice", {"tool_choice_named": False}, {}),
    (
        "named tool_choice is not supported",
        call(tool_choice_named=False),
        "tool_choice",
        {"tool_choice_any": "auto"},
        {},
    ),
    (
        "tool_choice 'required' is not supported in thinking mode",
        call(),
        "tool_choice",
        {"tool_choice_with_thinking": False},
        {},
    ),
    (
        "Failed to deserialize the JSON body: messages[0]: unknown variant `image_url`, expected `text`",
        call(),
        "images",
        {"images": False},
        {"vision": False},
    ),
    ("This model does not support image input", call(), "images", {"images": False}, {"vision": False}),
    (
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
        call(),
        "reasoning_echo",
        {"reasoning_echo": "required"},
        {"reasoning_echo": True},
    ),
    (
        "messages.1.reasoning_content: property is unsupported",
        call(reasoning_echo="optional"),
        "reasoning_echo",
        {"reasoning_echo": "never"},
        {"reasoning_echo": False},
    ),
    ("messages.0.content: Input should be a valid string", call(), "string_content", {"content": "string"}, {}),
    ("prompt_cache_key: Extra inputs are not permitted", call(cache="key"), "cache", {"cache": "none"}, {}),
    ("Unknown parameter: prompt_cache_breakpoint", call(cache="breakpoints"), "cache", {"cache": "key"}, {}),
    ("Unknown parameter: service_tier", call(service_tier=True), "service_tier", {"service_tier": False}, {}),
    (
        "Unknown parameter: safety_identifier",
        call(safety_identifier=True),
        "safety_identifier",
        {"safety_identifier": False},
        {},
    ),
    (
        "tools.0.function.strict is not supported: strict not permitted",
        call(strict_tools=True),
        "strict_tools",
        {"strict_tools": False},
        {},
    ),
    (
        "Unsupported parameter: 'stop' is not supported with this model.",
        call(stop="named"),
        "stop",
        {"stop": "never"},
        {},
    ),
    ("Stream must be set to true", call(), "transport", {"transport": "stream"}, {}),
    ("Streaming is not supported for this model", call(), "transport", {"transport": "unary"}, {}),
]


@pytest.mark.failure(105)
@pytest.mark.parametrize(
    ("message", "sent", "code", "quirks", "facts"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_refusal_that_names_its_field_is_repaired(
    message: str, sent: Call, code: str, quirks: dict[str, Any], facts: dict[str, Any]
) -> None:
    found = refused(sent, message)
    assert found is not None
    assert found.code == code
    before = sent.target
    after = structs.replace(
        before, quirks=structs.replace(before.quirks, **quirks), facts=structs.replace(before.facts, **facts)
    )
    assert found.target == after


@pytest.mark.parametrize(
    "message",
    [
        "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions.",
        "This model needs another endpoint. Please use /v1/responses instead.",
        "This model is only supported in v1/responses and not in v1/chat/completions.",
        "Function tools with reasoning are not supported for this model in chat completions.",
    ],
)
def test_a_model_that_needs_the_other_language_is_asked_in_it(message: str) -> None:
    sent = call()
    other = structs.replace(sent.target, dialect="responses", quirks=None)
    both = structs.replace(sent, target=structs.replace(sent.target, other=other))
    assert refused(both, message) == Repair("responses", other)
    found = refused(sent, message)
    assert found is None or found.code == "reasoning"


def test_the_field_may_stand_beside_the_text() -> None:
    found = refused(call(), "Unknown parameter.", param="stream_options")
    assert found is not None
    assert found.code == "stream_options"


def test_the_field_may_be_a_path_of_fastapi() -> None:
    sent = call()
    body = b'{"detail":[{"loc":["body","reasoning_effort"],"msg":"Extra inputs are not permitted"}]}'
    found = repair(sent, error(422, {}, body, sent))
    assert found is not None
    assert found.target.quirks.reasoning_out == "none"


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("Unrecognized request argument supplied: stream_options", 401),
        ("Unrecognized request argument supplied: stream_options", 429),
        ("messages: at least one message is required", 400),
        ("Unknown parameter: store", 400),
        ("This model's maximum context length is 10 tokens. However, you requested 12 tokens", 400),
        ("response_format is not supported", 429),
        ("", 400),
    ],
)
def test_other_errors_are_not_repaired(message: str, status: int) -> None:
    assert refused(call(), message, status) is None


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("Unknown parameter: stream_options", call(stream_usage="never")),
        ("Unknown parameter: max_tokens", call(max_tokens_field="max_completion_tokens")),
        ("the valid range of max_tokens is [1, 8192]", call({"max_output": 4096})),
        ("Unknown parameter: reasoning_effort", call(reasoning_out="none")),
        ("response_format is not supported", call(response_format="tool")),
        ("reasoning_content is not supported", call()),
        ("Unknown parameter: prompt_cache_key", call()),
        ("tool_choice is not supported", call(tool_choice_named=False, tool_choice_any="auto")),
    ],
)
def test_what_is_not_sent_any_more_is_not_repaired_again(message: str, sent: Call) -> None:
    assert refused(sent, message) is None


def test_an_error_without_a_status_is_not_repaired() -> None:
    assert repair(call(), ApiError("invalid_request", "stream_options is not supported")) is None


def test_the_name_of_the_model_is_not_read_as_a_field() -> None:
    sent = call()
    sent = structs.replace(sent, target=structs.replace(sent.target, model="stream_options"))
    assert refused(sent, "The model `stream_options` does not exist: unknown", 404) is None


@given(st.text(), st.sampled_from([400, 404, 422, 500]))
def test_any_text_is_survived(message: str, status: int) -> None:
    refused(call(), message, status)
