"""Errors of Responses servers as ours."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.responses.encoder_responses import ResponsesEncoder
from dragoman.dialects.responses import RESPONSES, errors
from dragoman.messages.errors import KINDS
from dragoman.messages.events import StopDetails
from golden_answers import GoldenAnswers

GOLDENS = GoldenAnswers(ResponsesEncoder())

CALL = ResponsesEncoder().call()


@pytest.mark.failure(115, 116)
@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("openai", "prompt is too long: 500000 tokens > 400000 maximum"),
        ("vllm", "prompt is too long: 140000 tokens > 131072 maximum"),
    ],
)
def test_an_overflow_is_said_in_the_words_that_make_a_client_compact(case: str, message: str) -> None:
    (path,) = [each for each in GOLDENS.error_cases() if each.stem == f"400-overflow-{case}"]
    found = GOLDENS.error_of(path)
    assert (found.kind, found.status, found.type) == ("context_overflow", 400, "invalid_request_error")
    assert found.message.startswith(message)


def test_no_other_error_is_taken_for_an_overflow() -> None:
    others = [case for case in GOLDENS.error_cases() if "-overflow-" not in case.name]
    assert others
    for case in others:
        assert GOLDENS.error_of(case).kind != "context_overflow", case.name


@pytest.mark.failure(173)
def test_a_missing_deployment_is_named() -> None:
    body = b'{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}'
    found = RESPONSES.error(404, {}, body, CALL)
    assert (found.kind, found.status) == ("not_found", 404)
    assert "deployment that was asked for is 'some-model'" in found.message


@pytest.mark.failure(72)
def test_a_prompt_that_azure_filters_says_which_category() -> None:
    (path,) = [each for each in GOLDENS.error_cases() if each.stem == "400-content-filter-azure"]
    found = GOLDENS.error_of(path)
    assert (found.status, found.type) == (400, "invalid_request_error")
    assert "jailbreak" in found.message
    assert "hate" not in found.message


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"code": "server_error", "message": "x"}, "upstream_failed"),
        ({"code": "rate_limit_exceeded", "message": "x"}, "rate_limit"),
        ({"code": "invalid_prompt", "message": "x"}, "invalid_request"),
        ({"code": "vector_store_timeout", "message": "x"}, "timeout"),
        ({"code": "data_residency_mismatch", "message": "x"}, "permission"),
        ({"code": "image_too_large", "message": "x"}, "invalid_request"),
        ({"code": "invalid_encrypted_content", "message": "x"}, "invalid_request"),
        ("boom", "upstream_failed"),
        (None, "upstream_failed"),
        ({}, "upstream_failed"),
    ],
)
def test_what_a_failed_response_says(value: Any, kind: str) -> None:
    found = errors.embedded(value, CALL)
    assert found.kind == kind
    assert found.message.startswith("lab/some-model ")


@pytest.mark.parametrize(
    ("value", "details"),
    [
        ({"code": "bio_policy", "message": "Stopped."}, StopDetails("bio", "Stopped.")),
        ({"type": "error", "error": {"code": "content_filter"}}, StopDetails(None, "content_filter")),
        ({"code": "server_error", "message": "bio_policy"}, None),
        (
            {"code": "invalid_prompt", "message": "It violates our usage policy."},
            StopDetails(None, "It violates our usage policy."),
        ),
        ({"code": "invalid_prompt", "message": "It is empty."}, None),
        ({"code": 3}, None),
        ("bio_policy", None),
        (None, None),
        ({"error": "bio_policy"}, None),
    ],
)
def test_failures_that_are_refusals(value: Any, details: StopDetails | None) -> None:
    assert errors.refused(value) == details


@pytest.mark.failure(136)
def test_a_refusals_explanation_passes_no_key_on() -> None:
    details = errors.refused({"code": "bio_policy", "message": "Stopped for sk-abcdefghijklmnop1234."})
    assert details is not None
    assert "abcdefghijklmnop" not in (details.explanation or "")


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ({"error": {"message": "x"}}, True),
        ({"type": "error", "message": "x"}, True),
        ({"detail": "x"}, True),
        ({"object": "response", "error": {"message": "x"}}, False),
        ({"output": [], "error": {"message": "x"}}, False),
        ({"object": "response"}, False),
        ([{"error": "x"}], True),
        (None, False),
    ],
)
def test_what_counts_as_an_error_under_status_200(value: Any, *, is_one: bool) -> None:
    assert errors.is_error(value) is is_one


@given(st.integers(100, 999), st.binary())
def test_any_bytes_are_an_error_and_nothing_raises(status: int, body: bytes) -> None:
    found = errors.error(status, {}, body, CALL)
    assert found.kind in KINDS
    found.envelope("req_1")
