"""Errors of Gemini servers as ours."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.gemini.refused_gemini import Refusals, call
from dragoman.dialects.gemini import errors
from dragoman.messages.errors import KINDS, ApiError
from golden_answers import check

REFUSALS = Refusals()
CALL = call()


def case(stem: str) -> ApiError:
    (path,) = [each for each in REFUSALS.error_cases() if each.stem == stem]
    return REFUSALS.error_of(path)


@pytest.mark.parametrize("path", REFUSALS.error_cases(), ids=lambda path: path.stem)
def test_golden_errors(path: Path) -> None:
    check(path.with_suffix(".golden.json"), REFUSALS.golden_error(path))


@pytest.mark.failure(115, 116)
@pytest.mark.parametrize(
    ("stem", "message"),
    [
        ("400-overflow", "prompt is too long: 1200000 tokens > 1048576 maximum"),
        ("400-overflow-list", "prompt is too long: 1200000 tokens > 1048576 maximum"),
        ("400-overflow-vertex", "prompt is too long: 1200000 tokens > 1048576 maximum"),
        ("400-overflow-limit-only", "prompt is too long: 1300000 tokens > 1048576 maximum"),
    ],
)
def test_an_overflow_is_said_in_the_words_that_make_a_client_compact(stem: str, message: str) -> None:
    found = case(stem)
    assert (found.kind, found.status, found.type) == ("context_overflow", 400, "invalid_request_error")
    assert found.message.startswith(message)


def test_no_other_error_is_taken_for_an_overflow() -> None:
    others = [path for path in REFUSALS.error_cases() if "-overflow" not in path.name]
    assert others
    for path in others:
        assert REFUSALS.error_of(path).kind != "context_overflow", path.name


@pytest.mark.failure(119)
@pytest.mark.parametrize(
    ("stem", "kind"),
    [
        ("400-payload", "too_large"),
        ("400-field", "invalid_request"),
        ("404-model", "not_found"),
        ("429-vertex", "rate_limit"),
        ("499-cancelled", "upstream_failed"),
        ("500-internal", "upstream_failed"),
        ("503-overloaded", "overloaded"),
        ("503-empty", "overloaded"),
        ("504-deadline", "timeout"),
    ],
)
def test_statuses(stem: str, kind: str) -> None:
    assert case(stem).kind == kind


@pytest.mark.parametrize("stem", ["400-key", "400-key-expired", "401-token-type", "403-key-leaked"])
def test_a_key_that_is_refused_is_named_and_not_tried_again(stem: str) -> None:
    found = case(stem)
    assert (found.kind, found.status, found.should_retry) == ("upstream_authentication", 401, False)
    assert "Check the key LAB_KEY" in found.message


def test_a_key_that_is_missing() -> None:
    assert case("403-no-key").message.endswith("No key is configured for provider 'lab'.")


@pytest.mark.failure(55)
def test_a_token_that_has_expired_says_how_to_log_in() -> None:
    found = case("401-token-expired")
    assert (found.kind, found.upstream_status) == ("upstream_authentication", 401)  # so that it is fetched anew, once
    assert "gcloud auth application-default login" in found.message
    assert "key" not in found.message


@pytest.mark.failure(54)
def test_a_model_that_is_only_global_says_so() -> None:
    assert "in the location global only, and not in us-central1" in case("404-publisher-region").message
    assert "location global only" not in case("404-publisher-global").message


def test_an_api_that_is_off_says_where_to_enable_it() -> None:
    told = case("403-service-disabled").message
    assert told.count("https://console.developers.google.com/") == 1
    assert told.endswith("Enable the API, then wait some minutes.")
    assert case("403-service-disabled-bare").message.endswith(
        "Enable the API at https://console.developers.google.com/apis/api/aiplatform.googleapis.com/overview?project=lab"
        ", then wait some minutes."
    )


@pytest.mark.failure(121)
@pytest.mark.parametrize(
    ("stem", "seconds"), [("429-minute", 37.0), ("429-half-a-second", 0.5), ("429-text-only", 20.04466179)]
)
def test_the_seconds_to_wait(stem: str, seconds: float) -> None:
    found = case(stem)
    assert (found.kind, found.retry_after) == ("rate_limit", pytest.approx(seconds))
    assert found.retryable


@pytest.mark.failure(122)
@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("429-day", "used up (GenerateRequestsPerDayPerProjectPerModel-FreeTier)"),
        ("429-not-included", "The free tier does not include this model"),
    ],
)
def test_a_quota_that_minutes_do_not_fill_is_not_worth_another_try(stem: str, words: str) -> None:
    found = case(stem)
    assert (found.kind, found.should_retry, found.retry_after) == ("rate_limit", False, None)
    assert words in found.message


@pytest.mark.failure(122)
@pytest.mark.parametrize("stem", ["429-prepaid", "429-spending-cap", "403-billing-disabled"])
def test_an_account_without_credit(stem: str) -> None:
    assert (case(stem).kind, case(stem).should_retry) == ("billing", False)


@pytest.mark.failure(56, 136)
def test_keys_are_never_passed_on() -> None:
    for path in REFUSALS.error_cases():
        assert not any(secret in REFUSALS.error_of(path).message for secret in ("AIza", "dummy-not-a-real")), path.name
    for secret in ("AQ.Ab8RN6dummydummydummy", "ya29.a0dummydummydummy", "AIzaSyDummyDummyDummy"):
        body = f'{{"error":{{"code":400,"status":"INVALID_ARGUMENT","message":"Bad key {secret}, sorry"}}}}'
        found = errors.error(400, {}, body.encode(), CALL)
        assert secret not in found.message
        assert "[redacted], sorry" in found.message


@pytest.mark.failure(74)
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}}, "overloaded"),
        ([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x"}}], "rate_limit"),
        ({"error": {"status": "DEADLINE_EXCEEDED", "message": "x"}}, "timeout"),
        ({"error": {"status": "UNAUTHENTICATED", "message": "x"}}, "upstream_authentication"),
        ({"error": {"status": "INTERNAL", "message": "x"}}, "upstream_failed"),
        ({"code": 400, "status": "INVALID_ARGUMENT", "message": "x"}, "invalid_request"),
        ({}, "upstream_failed"),
        (None, "upstream_failed"),
    ],
)
def test_errors_under_status_200(value: Any, kind: str) -> None:
    found = errors.embedded(value, CALL)
    assert found.kind == kind
    assert found.message.startswith("lab/some-model ")


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ({"error": {"message": "x"}}, True),
        ([{"error": {"message": "x"}}], True),
        ({"candidates": [{}], "error": {"message": "x"}}, False),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, False),
        ([{"candidates": [{}]}], False),
        ({"usageMetadata": {}, "modelVersion": "some-model", "responseId": "r1"}, False),
        ([], False),
        (None, False),
        ("error", False),
    ],
)
def test_what_counts_as_an_error_under_status_200(value: Any, *, is_one: bool) -> None:
    assert errors.is_error(value) is is_one


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.integers(100, 999), st.binary())
def test_any_bytes_are_an_error_and_nothing_raises(status: int, body: bytes) -> None:
    found = errors.error(status, {}, body, CALL)
    assert found.kind in KINDS
    found.envelope("req_1")


@given(
    st.fixed_dictionaries(
        {"status": st.just("PERMISSION_DENIED") | JSON, "message": JSON},
        optional={
            "details": st.lists(
                st.dictionaries(
                    st.sampled_from(["reason", "metadata", "links", "violations", "fieldViolations", "retryDelay"]),
                    JSON,
                )
            )
            | JSON
        },
    )
)
def test_any_details_are_survived(inner: Any) -> None:
    assert errors.embedded({"error": inner}, CALL).kind in KINDS
