"""Repairs: the 400s that servers really send, and the one change that each asks for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dialects.responses.encoder_responses import ResponsesEncoder
from dragoman.dialects.contract import Call, Repair
from dragoman.dialects.responses import RESPONSES
from dragoman.messages.errors import ApiError


def refused(
    call: Call, message: Any, status: int = 400, param: str | None = None, code: str | None = None
) -> Repair | None:
    body = {"error": {"message": message, "param": param, "code": code}}
    return RESPONSES.repair(call, RESPONSES.error(status, {}, json.dumps(body).encode(), call))


def call(facts: dict[str, Any] | None = None, **quirks: Any) -> Call:
    return ResponsesEncoder().call(facts=facts, **quirks)


def with_other(sent: Call) -> Call:
    other = structs.replace(sent.target, dialect="chat", quirks=None)
    return structs.replace(sent, target=structs.replace(sent.target, other=other))


DROPPED = ("reasoning_dropped", {"reasoning_history": "drop"}, {})

CASES: list[tuple[str, Call, str, dict[str, Any], dict[str, Any]]] = [
    # message, call, code, quirks after, facts after
    (
        "The encrypted content for item rs_0a1b could not be verified. Reason: it could not be decrypted.",
        call(),
        *DROPPED,
    ),
    ("Item 'rs_0a1b' of type 'reasoning' was provided without its required following item.", call(), *DROPPED),
    (
        "Item 'fc_0a1b' of type 'function_call' was provided without its required 'reasoning' item: 'rs_0a1b'.",
        call(),
        *DROPPED,
    ),
    ("Item with id 'rs_0a1b' not found. Items are not persisted when `store` is set to false.", call(), *DROPPED),
    ("Duplicate item found with id rs_0a1b. Item rs_0a1b duplicate", call(), *DROPPED),
    (
        "Your organization must be verified to generate reasoning summaries. Please go to: https://platform.openai.com",
        call(),
        "summaries",
        {"summaries": False},
        {},
    ),
    ("Unsupported parameter: 'reasoning.summary' is not supported.", call(), "summaries", {"summaries": False}, {}),
    (
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 32, but got 16 instead.",
        call(),
        "min_output",
        {"min_output_tokens": 32},
        {},
    ),
    (
        "max_output_tokens is too large: 200000. This model supports at most 128000 completion tokens.",
        call(),
        "max_output",
        {},
        {"max_output": 128000},
    ),
    (
        "Unsupported value: 'reasoning.effort' does not support 'minimal'. Supported values are: 'low' and 'high'.",
        call(),
        "effort",
        {},
        {"efforts": ("low", "high")},
    ),
    (
        "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
        call(),
        "effort",
        {"reasoning_out": "none", "summaries": False},
        {},
    ),
    ("Unknown parameter: 'reasoning'.", call(), "reasoning", {"reasoning_out": "none", "summaries": False}, {}),
    ("Encrypted content is not supported with this model.", call(), "include", {"encrypted_reasoning": False}, {}),
    ("Unknown parameter: 'include'.", call(), "include", {"encrypted_reasoning": False}, {}),
    (
        "Unknown parameter: 'include'.",
        call(encrypted_reasoning=False),
        "include",
        {"web_search_sources": False},
        {},
    ),
    (
        "Invalid value: 'web_search_call.action.sources'. Supported values are: 'reasoning.encrypted_content'.",
        call(),
        "include",
        {"web_search_sources": False},
        {},
    ),
    (
        "Unsupported parameter: 'temperature' is not supported with this model.",
        call(),
        "sampling",
        {"sampling": False},
        {},
    ),
    ("Unsupported parameter: 'top_p' is not supported with this model.", call(), "sampling", {"sampling": False}, {}),
    ("top_k: Extra inputs are not permitted", call(top_k=True), "top_k", {"top_k": False}, {}),
    (
        "Unknown parameter: 'parallel_tool_calls'.",
        call(),
        "parallel_tool_calls",
        {"parallel_tool_calls": False},
        {},
    ),
    ("tool_choice is not supported", call(), "tool_choice", {"tool_choice": False}, {}),
    (
        "Hosted tool 'web_search' is not supported with this model.",
        call(web_search=True),
        "web_search",
        {"web_search": False},
        {},
    ),
    ("Unknown parameter: 'prompt_cache_breakpoint'.", call(cache="breakpoints"), "cache", {"cache": "key"}, {}),
    ("Unknown parameter: 'prompt_cache_key'.", call(cache="key"), "cache", {"cache": "none"}, {}),
    (
        "Unknown parameter: 'safety_identifier'.",
        call(safety_identifier=True),
        "safety_identifier",
        {"safety_identifier": False},
        {},
    ),
    ("Unknown parameter: 'service_tier'.", call(service_tier=True), "service_tier", {"service_tier": False}, {}),
    ("Unknown parameter: 'stream_options'.", call(obfuscation="off"), "obfuscation", {"obfuscation": "unsaid"}, {}),
    ("store: Extra inputs are not permitted", call(), "store", {"store": False}, {}),
    ("tools.0.strict is not supported: strict", call(), "strict_tools", {"strict_tools": False}, {}),
    (
        "Invalid value: 'developer'. Supported values are: 'system', 'assistant', and 'user'.",
        call({"system_role": "developer"}),
        "system_role",
        {"system_role": "system"},
        {"system_role": None},
    ),
    ("System message must be at the beginning.", call(), "mid_system", {"mid_system": "fold"}, {}),
    ("This model does not support image input", call(), "media", {"images": False}, {"vision": False}),
    (
        "Invalid type for 'input[2].output' of function_call_output: expected a string.",
        call(),
        "media",
        {"result_media": False},
        {},
    ),
    ("input_image in output: expected a string", call(), "media", {"result_media": False}, {}),
    ("input_file is not supported", call(files=True), "media", {"files": False}, {}),
    (
        "input_file: file_url is not supported",
        call(files=True, file_urls=True),
        "media",
        {"file_urls": False},
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
    for each in (sent, with_other(sent)):
        found = refused(each, message)
        assert found is not None
        assert found.code == code
        before = each.target
        after = structs.replace(
            before, quirks=structs.replace(before.quirks, **quirks), facts=structs.replace(before.facts, **facts)
        )
        assert found.target == after


@pytest.mark.failure(43, 131)
def test_the_code_alone_says_that_reasoning_cannot_be_read() -> None:
    found = refused(call(), "Bad request.", code="invalid_encrypted_content")
    assert found is not None
    assert found.target.quirks.reasoning_history == "drop"
    assert refused(call(reasoning_history="drop"), "Bad request.", code="invalid_encrypted_content") is None


def test_the_field_may_stand_beside_the_text() -> None:
    message = "Unsupported value: 'minimal' is not supported with this model. Supported values are: 'low' and 'high'."
    found = refused(call(), message, param="reasoning.effort")
    assert found is not None
    assert (found.code, found.target.facts.efforts) == ("effort", ("low", "high"))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"detail": "Not Found"}),
        (404, {"error": {"message": "Invalid URL (POST /v1/responses)", "type": "invalid_request_error"}}),
        (404, {"error": {"code": "404", "message": "Resource not found"}}),
        (404, "<html><title>404 Not Found</title></html>"),
        (404, ""),
        (405, {"detail": "Method Not Allowed"}),
        (400, {"error": {"message": "This model is not supported in the v1/responses endpoint."}}),
        (400, {"error": {"message": "The model is only supported in v1/chat/completions and not in v1/responses."}}),
        (400, {"error": {"message": "The Responses API is not enabled here. Use /v1/chat/completions."}}),
        (501, {"error": {"message": "Responses API is not implemented"}}),
    ],
)
def test_a_server_that_does_not_know_this_language_is_asked_in_its_other_one(status: int, body: Any) -> None:
    sent = with_other(call())
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    found = RESPONSES.repair(sent, RESPONSES.error(status, {}, raw, sent))
    assert found == Repair("chat", sent.target.other)  # type: ignore[arg-type]
    alone = call()
    assert RESPONSES.repair(alone, RESPONSES.error(status, {}, raw, alone)) is None


@pytest.mark.failure(173)
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("The model `some-model` does not exist or you do not have access to it.", "model_not_found"),
        ("The model `some-model` does not exist.", None),
        ("The API deployment for this resource does not exist.", "DeploymentNotFound"),
    ],
)
def test_a_model_that_is_missing_is_missing_in_every_language(message: str, code: str | None) -> None:
    assert refused(with_other(call()), message, 404, code=code) is None


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("Unknown parameter: store", 401),
        ("Unknown parameter: store", 429),
        ("input: at least one item is required", 400),
        ("Your input exceeds the context window of this model.", 400),
        ("The image input could not be read", 400),
        ("Invalid prompt: your prompt was flagged as potentially violating our usage policy.", 400),
        ("", 400),
    ],
)
def test_other_errors_are_not_repaired(message: str, status: int) -> None:
    assert refused(call(), message, status) is None


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("max_output_tokens must be at least 16", call()),
        ("max_output_tokens is too large: supports at most 128000 completion tokens", call({"max_output": 64000})),
        ("Unknown parameter: 'prompt_cache_key'.", call()),
        ("Unknown parameter: 'include'.", call(encrypted_reasoning=False, web_search_sources=False)),
        ("Unknown parameter: 'reasoning'.", call(reasoning_out="none", summaries=False)),
        ("Reasoning is not supported in this region", call(reasoning_out="none", summaries=False)),
    ],
)
def test_what_is_not_sent_any_more_is_not_repaired_again(message: str, sent: Call) -> None:
    assert refused(sent, message) is None


def test_an_error_without_a_status_is_not_repaired() -> None:
    assert RESPONSES.repair(call(), ApiError("invalid_request", "store is not supported")) is None


@given(st.text(), st.sampled_from([400, 404, 422, 500]))
def test_any_text_is_survived(message: str, status: int) -> None:
    refused(call(), message, status)
