"""Repairs: the 400s that Google really sends, and the one change that each asks for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dialects.gemini.refused_gemini import call
from dragoman.dialects.contract import Call, Repair
from dragoman.dialects.gemini import errors, repairs
from dragoman.messages.errors import ApiError

VERTEX = "Learn more: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini"
UNKNOWN = "Invalid JSON payload received. Unknown name "
BUDGET = {"thinking_budget": (1, 24_576), "efforts": ("none", "low", "medium", "high")}

Changes = dict[str, Any]


def refused(sent: Call, message: str, status: int = 400, name: str = "INVALID_ARGUMENT") -> Repair | None:
    body = [{"error": {"code": status, "message": message, "status": name}}]
    return repairs.repair(sent, errors.error(status, {}, json.dumps(body).encode(), sent))


CASES: list[tuple[str, Call, str, Changes, Changes]] = [
    # message, call, code, quirks after, facts after
    (
        (
            "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
            "correctly, and missing thought_signature may lead to degraded model performance. Additional data, "
            "function call `default_api:Bash` , position 2. Please refer to "
            "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
        ),
        call(),
        "call_signatures",
        {},
        {"call_signatures": True},
    ),
    (
        UNKNOWN + "\"id\" at 'contents[3].parts[1].function_call': Cannot find field.",
        call({"call_ids": True}),
        "call_ids",
        {},
        {"call_ids": False},
    ),
    (
        UNKNOWN + "\"id\" at 'contents[7].parts[0].function_response': Cannot find field.",
        call({"call_ids": True}),
        "call_ids",
        {},
        {"call_ids": False},
    ),
    (
        (
            "Unable to submit request because `function_response.parts` is not supported for this model. Learn more: "
            "https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling"
        ),
        call({"result_media": True}),
        "result_media",
        {},
        {"result_media": False},
    ),
    (
        UNKNOWN + "\"parts\" at 'contents[2].parts[0].function_response': Cannot find field.",
        call({"result_media": True}),
        "result_media",
        {},
        {"result_media": False},
    ),
    (
        UNKNOWN + "\"parametersJsonSchema\" at 'tools[0].function_declarations[0]': Cannot find field.",
        call(),
        "schema",
        {},
        {"schema": "openapi"},
    ),
    (
        UNKNOWN + "\"responseJsonSchema\" at 'generation_config': Cannot find field.",
        call(),
        "schema",
        {},
        {"schema": "openapi"},
    ),
    (
        "Unable to submit request because `graphenium_add_edge` functionDeclaration `parameters.weight` schema "
        "specified other fields alongside any_of. When using any_of, it must be the only field set. " + VERTEX,
        call(),
        "schema",
        {},
        {"schema": "openapi"},
    ),
    (
        (
            "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties: should be non-empty for "
            "OBJECT type\n"
        ),
        call(schema="json_schema"),
        "schema",
        {},
        {"schema": "openapi"},
    ),
    (
        (
            "* GenerateContentRequest.tools[0].function_declarations[0].name: [FIELD_INVALID]: Invalid function name. "
            "Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots "
            "(.) or dashes (-), with a maximum length of 64."
        ),
        call(tool_name_limit=128),
        "tool_names",
        {"tool_name_limit": 64},
        {},
    ),
    (
        (
            "Invalid value at 'tool_config.function_calling_config.mode' "
            '(type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode), "VALIDATED"'
        ),
        call(),
        "strict_tools",
        {"strict_tools": False},
        {},
    ),
    (
        "Unable to submit request because Thinking_config.include_thoughts is only enabled when thinking is enabled.. "
        + VERTEX,
        call(),
        "thoughts",
        {"thoughts": False},
        {},
    ),
    (
        UNKNOWN + "\"includeThoughts\" at 'generation_config.thinking_config': Cannot find field.",
        call(),
        "thoughts",
        {"thoughts": False},
        {},
    ),
    (
        "Thinking level MINIMAL is not supported for this model. Please retry with other thinking level.",
        call({"efforts": ("minimal", "low", "medium", "high")}),
        "thinking_level",
        {},
        {"efforts": ("low", "medium", "high")},
    ),
    (
        "Thinking level is unsupported: THINKING_LEVEL_MINIMAL",
        call(efforts=("minimal", "low", "high")),
        "thinking_level",
        {},
        {"efforts": ("low", "high")},
    ),
    (
        "Thinking level LOW is not supported for this model. Please retry with other thinking level.",
        call(),
        "thinking_level",
        {},
        {"efforts": ("high",)},
    ),
    (
        "Thinking level HIGH is not supported for this model. Please retry with other thinking level.",
        call({"efforts": ("none", "high")}),
        "thinking_level",
        {"thinking": False},
        {},
    ),
    (
        (
            "Invalid value at 'generation_config.thinking_config.thinking_level' "
            '(type.googleapis.com/google.ai.generativelanguage.v1beta.ThinkingConfig.ThinkingLevel), "MEDIUM"'
        ),
        call({"efforts": ("low", "medium", "high")}),
        "thinking_level",
        {},
        {"efforts": ("low", "high")},
    ),
    (
        "Thinking level is not supported for this model.",
        call(),
        "thinking_level",
        {},
        {"thinking_budget": (512, 24_576)},
    ),
    (
        "Unable to submit request because thinking_level is not supported by this model.. " + VERTEX,
        call(),
        "thinking_level",
        {},
        {"thinking_budget": (512, 24_576)},
    ),
    (
        UNKNOWN + "\"thinkingLevel\" at 'generation_config.thinking_config': Cannot find field.",
        call(),
        "thinking_level",
        {},
        {"thinking_budget": (512, 24_576)},
    ),
    (
        "Budget 0 is invalid. This model only works in thinking mode.",
        call(BUDGET),
        "thinking_budget",
        {},
        {"thinking_budget": (128, 24_576), "efforts": ("low", "medium", "high")},
    ),
    (
        "Unable to submit request because The model does not support setting thinking_budget to 0. " + VERTEX,
        call(efforts=("none", "low", "high")),
        "thinking_budget",
        {"efforts": ("low", "high")},
        {},
    ),
    (
        "The thinking budget 256 is invalid. Please choose a value between 512 and 24576.",
        call(BUDGET),
        "thinking_budget",
        {},
        {"thinking_budget": (512, 24_576)},
    ),
    (
        "Unable to submit request because thinking_budget is out of range; supported values are integers from 1 to "
        "24576. " + VERTEX,
        call({"thinking_budget": (128, 32_768)}),
        "thinking_budget",
        {},
        {"thinking_budget": (128, 24_576)},
    ),
    (
        "The thinking budget (52428) is invalid.",
        call({"thinking_budget": (1, 65_536)}),
        "thinking_budget",
        {},
        {"thinking_budget": (1, 24_576)},
    ),
    (
        UNKNOWN + "\"thinkingBudget\" at 'generation_config.thinking_config': Cannot find field.",
        call(BUDGET),
        "thinking_budget",
        {},
        {"thinking_budget": None},
    ),
    ("Thinking is not enabled for models/some-model", call(), "thinking", {"thinking": False}, {}),
    (
        "Unable to submit request because thinking is not supported by this model. " + VERTEX,
        call(),
        "thinking",
        {"thinking": False},
        {},
    ),
    (
        "Unable to submit request because thinking is not configurable in this model; please remove the "
        "thinking_config setting and try it again. " + VERTEX,
        call(),
        "thinking",
        {"thinking": False},
        {},
    ),
    (
        UNKNOWN + "\"thinkingConfig\" at 'generation_config': Cannot find field.",
        call(),
        "thinking",
        {"thinking": False},
        {},
    ),
    (
        (
            "Unable to submit request because it has a maxOutputTokens value of 100000 but the supported range is from "
            "1 (inclusive) to 65537 (exclusive). Update the value and try again."
        ),
        call(),
        "max_output",
        {},
        {"max_output": 65_536},
    ),
    (UNKNOWN + "\"topK\" at 'generation_config': Cannot find field.", call(), "sampling", {"sampling": False}, {}),
    (
        "Unable to submit request because temperature is not supported by this model. " + VERTEX,
        call(),
        "sampling",
        {"sampling": False},
        {},
    ),
    ("Developer instruction is not enabled for models/some-model", call(), "system", {"system": "user"}, {}),
    (UNKNOWN + '"systemInstruction": Cannot find field.', call(), "system", {"system": "user"}, {}),
    (
        "Tool use with function calling is unsupported by the model.",
        call({"search_with_tools": True}),
        "search_with_tools",
        {},
        {"search_with_tools": False},
    ),
    (
        "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function calling.",
        call({"search_with_tools": True}),
        "search_with_tools",
        {},
        {"search_with_tools": False},
    ),
    (
        "Multiple tools are supported only when they are all search tools.",
        call({"search_with_tools": True}),
        "search_with_tools",
        {},
        {"search_with_tools": False},
    ),
    (
        "Built-in tools ({google_search}) and Function Calling cannot be combined in the same request.",
        call({"search_with_tools": True}),
        "search_with_tools",
        {},
        {"search_with_tools": False},
    ),
    (
        "Function calling with a response mime type: 'application/json' is unsupported",
        call(output_with_tools=True),
        "output_with_tools",
        {"output_with_tools": False},
        {},
    ),
    (
        "Tool use with a response mime type: 'application/json' is unsupported",
        call(output_with_tools=True),
        "output_with_tools",
        {"output_with_tools": False},
        {},
    ),
    ("Search Grounding is not supported for models/some-model", call(), "web_search", {"web_search": False}, {}),
    (UNKNOWN + "\"googleSearch\" at 'tools[0]': Cannot find field.", call(), "web_search", {"web_search": False}, {}),
    ("Url context is not supported for models/some-model", call(), "url_context", {"url_context": False}, {}),
    (UNKNOWN + "\"urlContext\" at 'tools[1]': Cannot find field.", call(), "url_context", {"url_context": False}, {}),
    (
        "Invalid or unsupported file uri: https://upload.wikimedia.org/wikipedia/commons/4/4d/Cat.jpg",
        call(file_urls=True),
        "file_urls",
        {"file_urls": False},
        {},
    ),
    ("Unsupported file uri: https://example.com/a.pdf", call(file_urls=True), "file_urls", {"file_urls": False}, {}),
    (
        "Image input modality is not enabled for models/some-model",
        call(),
        "media",
        {"images": False},
        {"vision": False},
    ),
    ("Unsupported MIME type: application/pdf", call(), "media", {"files": False}, {"files": False}),
    ("Document input modality is not enabled for this model", call(), "media", {"files": False}, {"files": False}),
    (
        UNKNOWN + '"serviceTier": Cannot find field.',
        call(service_tier=True),
        "service_tier",
        {"service_tier": False},
        {},
    ),
    ("Streaming is not supported for this model.", call(), "transport", {"transport": "unary"}, {}),
    ("This model only supports streamGenerateContent.", call(), "transport", {"transport": "stream"}, {}),
]


@pytest.mark.parametrize(("message", "sent", "code", "quirks", "facts"), CASES)
def test_what_the_server_refuses_is_left_out_from_now_on(
    message: str, sent: Call, code: str, quirks: Changes, facts: Changes
) -> None:
    before = sent.target
    expected = structs.replace(
        before, quirks=structs.replace(before.quirks, **quirks), facts=structs.replace(before.facts, **facts)
    )
    assert refused(sent, message) == Repair(code, expected)


@pytest.mark.failure(48, 50)
@pytest.mark.parametrize(
    "message",
    [
        "Corrupted thought signature.",
        "Invalid thought signature.",
        "Thought signature is not valid",
        "Unable to submit request because Thought signature is not valid.. " + VERTEX,
        UNKNOWN + "\"thoughtSignature\" at 'contents[1].parts[0]': Cannot find field.",
    ],
)
def test_signatures_of_another_server_stay_behind_in_this_conversation(message: str) -> None:
    sent = call({"call_signatures": True})
    found = refused(sent, message)
    assert found is not None
    assert (found.code, found.lasting) == ("signatures", False)
    assert found.target.quirks.signatures is False
    assert found.target.facts == sent.target.facts


@pytest.mark.failure(48)
def test_signatures_that_are_refused_and_then_missed_become_the_sentinel() -> None:
    sent = call()
    first = refused(sent, "Corrupted thought signature.")
    assert first is not None
    second = refused(structs.replace(sent, target=first.target), CASES[0][0])
    assert second is not None
    assert (second.target.quirks.signatures, second.target.facts.call_signatures) == (False, True)


@pytest.mark.parametrize(
    ("message", "code", "quirks"),
    [
        (
            (
                "The specified schema produces a constraint that has too many states for serving. Typical causes of "
                "this error are schemas with lots of text (for example, very long property or enum names)."
            ),
            "schema_size",
            {"response_schema": False, "strict_tools": False},
        ),
        (
            (
                "Unable to submit request because it has a topK value of 64 but the supported range is from 1 "
                "(inclusive) to 41 (exclusive). Update the value and try again."
            ),
            "sampling_range",
            {"sampling": False},
        ),
    ],
)
def test_what_is_about_one_conversation_is_not_remembered(message: str, code: str, quirks: Changes) -> None:
    sent = call()
    expected = structs.replace(sent.target, quirks=structs.replace(sent.target.quirks, **quirks))
    assert refused(sent, message) == Repair(code, expected, lasting=False)


@pytest.mark.failure(73)
def test_an_answer_without_content_is_asked_for_once_more() -> None:
    sent = call()
    empty = ApiError("bad_answer", "lab/some-model answered without any content.", code="second_try")
    found = repairs.repair(sent, empty)
    assert found is not None
    assert (found.code, found.lasting) == ("second_try", False)
    assert found.target == structs.replace(sent.target, quirks=structs.replace(sent.target.quirks, second_try=False))
    assert repairs.repair(structs.replace(sent, target=found.target), empty) is None


@pytest.mark.failure(45)
def test_a_schema_is_written_in_two_forms_and_no_third() -> None:
    message = (
        UNKNOWN + "\"const\" at 'tools[0].function_declarations[0].parameters.properties[3].value': Cannot find field."
    )
    assert refused(call(), message) is not None
    assert refused(call({"schema": "openapi"}), message) is None
    assert refused(call(schema="openapi"), message) is None


@pytest.mark.parametrize(
    ("message", "status", "name"),
    [
        ("Corrupted thought signature.", 401, "UNAUTHENTICATED"),
        ("Thinking is not enabled for models/some-model", 429, "RESOURCE_EXHAUSTED"),
        ("Request contains an invalid argument.", 400, "INVALID_ARGUMENT"),
        ("API key not valid. Please pass a valid API key.", 400, "INVALID_ARGUMENT"),
        ("Unable to process input image. Please retry or report in https://example.com", 400, "INVALID_ARGUMENT"),
        ("Unsupported MIME type: image/gif", 400, "INVALID_ARGUMENT"),
        ("Cannot fetch content from the provided URL.", 400, "INVALID_ARGUMENT"),
        ("Function calling is not enabled for models/some-model", 400, "INVALID_ARGUMENT"),
        (
            (
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            ),
            400,
            "INVALID_ARGUMENT",
        ),
        (
            (
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            ),
            400,
            "INVALID_ARGUMENT",
        ),
        (
            "Unable to submit request because it must have a text parameter. Add a text parameter and try again.",
            400,
            "INVALID_ARGUMENT",
        ),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            400,
            "INVALID_ARGUMENT",
        ),
        (
            (
                "models/some-model is not found for API version v1beta, or is not supported for streamGenerateContent. "
                "Call ListModels to see the list of available models and their supported methods."
            ),
            404,
            "NOT_FOUND",
        ),
        ("User location is not supported for the API use.", 400, "FAILED_PRECONDITION"),
        ("", 400, "INVALID_ARGUMENT"),
    ],
)
def test_other_errors_are_not_repaired(message: str, status: int, name: str) -> None:
    sent = call({"call_ids": True, "result_media": True, "search_with_tools": True}, service_tier=True, file_urls=True)
    assert refused(sent, message, status, name) is None


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (CASES[0][0], call({"call_signatures": True})),
        ("Corrupted thought signature.", call(signatures=False)),
        (UNKNOWN + "\"id\" at 'contents[3].parts[1].function_call': Cannot find field.", call()),
        ("Thinking level is not supported for this model.", call(BUDGET)),
        ("The thinking budget (52428) is invalid.", call()),
        ("The thinking budget (52428) is invalid.", call({"thinking_budget": (512, 24_576)})),
        ("Budget 0 is invalid. This model only works in thinking mode.", call()),
        (
            "it has a maxOutputTokens value of 9 but the supported range is from 1 (inclusive) to 8192 (inclusive)",
            call({"max_output": 8192}),
        ),
        ("Invalid function name. Must be alphanumeric, with a maximum length of 64.", call()),
        ("Multiple tools are supported only when they are all search tools.", call()),
    ],
)
def test_what_is_not_sent_any_more_is_not_repaired_again(message: str, sent: Call) -> None:
    assert refused(sent, message) is None


def test_an_error_without_a_status_is_not_repaired() -> None:
    assert repairs.repair(call(), ApiError("invalid_request", "Corrupted thought signature.")) is None


def test_an_error_in_the_middle_of_a_stream_is_repaired_too() -> None:
    sent = call()
    value = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Corrupted thought signature."}}
    found = repairs.repair(sent, errors.embedded([value], sent))
    assert found is not None
    assert found.code == "signatures"


@given(st.text(), st.sampled_from([400, 404, 422, 500]))
def test_any_text_is_survived(message: str, status: int) -> None:
    refused(call(BUDGET), message, status)
