"""Errors of upstreams that speak Messages: their own words, and what we make of them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dialects.anthropic.encoder_anthropic import AnthropicEncoder
from dragoman.dialects.anthropic import errors
from dragoman.dialects.contract import Call
from dragoman.messages.errors import ApiError

ENCODER = AnthropicEncoder()


def envelope(kind: str = "invalid_request_error", message: Any = "No.", **more: Any) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, **more}).encode()


def told(status: int, body: bytes, *, auth: str = "x-api-key", **headers: str) -> ApiError:
    call = ENCODER.call()
    call = structs.replace(call, target=structs.replace(call.target, auth=auth))
    return errors.error(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, call)


@pytest.mark.failure(118)
@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_request_error", "invalid_request"),
        (401, "authentication_error", "upstream_authentication"),
        (402, "billing_error", "billing"),
        (403, "permission_error", "permission"),
        (404, "not_found_error", "not_found"),
        (409, "conflict_error", "conflict"),
        (413, "request_too_large", "too_large"),
        (429, "rate_limit_error", "rate_limit"),
        (500, "api_error", "upstream_failed"),
        (504, "timeout_error", "timeout"),
        (529, "overloaded_error", "overloaded"),
        (418, "teapot_error", "invalid_request"),
        (520, "api_error", "upstream_failed"),
    ],
)
def test_an_envelope_goes_on_as_it_is(status: int, kind: str, expected: str) -> None:
    body = envelope(kind, "thinking: \ud83d é", request_id="req_1")
    error = told(
        status,
        body,
        content_type="application/json; charset=utf-8",
        content_length="99",
        request_id="req_1",
        retry_after="3",
        anthropic_ratelimit_requests_remaining="0",
    )
    assert (error.kind, error.status, error.upstream_status, error.retry_after) == (expected, status, status, 3)
    assert error.verbatim is not None
    assert error.verbatim.body is body
    assert error.verbatim.headers == (
        ("content-type", "application/json; charset=utf-8"),
        ("request-id", "req_1"),
        ("retry-after", "3"),
        ("anthropic-ratelimit-requests-remaining", "0"),
    )


def test_json_is_what_an_envelope_is() -> None:
    error = told(400, envelope())
    assert error.verbatim is not None
    assert error.verbatim.headers == (("content-type", "application/json"),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[1]",
        b'{"type":"error"}',
        b'{"type":"error","error":"x"}',
        b'{"type":"error","error":{"type":"x"}}',
        b'{"type":"error","error":{"type":"x","message":5}}',
        b'{"error":{"type":"x","message":"No."}}',
    ],
)
def test_another_form_is_told_in_ours(body: bytes) -> None:
    error = told(400, body, request_id="req_1")
    assert (error.kind, error.verbatim) == ("invalid_request", None)
    assert error.message.startswith("lab/claude-opus-4-8 answered 400: ")


@pytest.mark.parametrize(("word", "expected"), [("true", True), ("false", False), ("maybe", None)])
def test_whether_to_retry_is_the_upstreams_own_word(word: str, expected: bool | None) -> None:
    assert told(429, envelope("rate_limit_error"), x_should_retry=word).should_retry is expected


@pytest.mark.parametrize(
    ("message", "verbatim"),
    [
        ("prompt is too long: 207000 tokens > 200000 maximum", True),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", True),
        ("Input is too long.", True),
        ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens", False),
    ],
)
def test_an_overflow_is_told_in_words_that_clients_know(message: str, verbatim: bool) -> None:
    error = told(400, envelope(message=message))
    assert (error.kind, error.status) == ("context_overflow", 400)
    assert (error.verbatim is not None) == verbatim
    assert verbatim or error.message.startswith("prompt is too long: 9000 tokens > 8192 maximum")


@pytest.mark.failure(140)
def test_the_callers_own_key_is_the_callers_matter() -> None:
    """Neither is our key to be checked, nor may another provider, asked with our key, answer instead."""
    error = told(401, envelope("authentication_error", "invalid x-api-key"), auth="caller")
    assert (error.kind, error.fault, error.status, error.should_retry) == ("authentication", "client", 401, None)
    assert error.message == "lab refused the caller's own key: invalid x-api-key"
    assert error.verbatim is not None
    assert told(401, b"", auth="caller").message == "lab refused the caller's own key: no explanation"
    assert told(403, envelope("permission_error"), auth="caller").kind == "permission"


def test_where_google_signs_there_is_no_key_to_be_checked() -> None:
    error = told(401, b"{}", auth="google")
    assert error.kind == "upstream_authentication"
    assert "gcloud auth application-default login" in error.message
    assert "key" not in error.message


# Under status 200


def embedded(body: bytes, frame: bytes = b"") -> ApiError:
    return errors.embedded(body, ENCODER.call(), frame)


@pytest.mark.failure(95)
@pytest.mark.parametrize(
    ("kind", "expected", "status"),
    [
        ("invalid_request_error", "invalid_request", 400),
        ("authentication_error", "upstream_authentication", 401),
        ("billing_error", "billing", 402),
        ("permission_error", "permission", 403),
        ("not_found_error", "not_found", 404),
        ("conflict_error", "conflict", 409),
        ("request_too_large", "too_large", 413),
        ("rate_limit_error", "rate_limit", 429),
        ("api_error", "upstream_failed", 500),
        ("timeout_error", "timeout", 504),
        ("overloaded_error", "overloaded", 529),
        ("new_error", "upstream_failed", 500),
    ],
)
def test_an_error_event_has_the_status_that_it_would_have_had(kind: str, expected: str, status: int) -> None:
    body = envelope(kind)
    frame = b"event: error\r\ndata: %b\r\n\r\n" % body
    error = embedded(body, frame)
    assert (error.kind, error.status, error.upstream_status) == (expected, status, None)
    assert error.verbatim is not None
    assert (error.verbatim.body, error.verbatim.frame) == (body, frame)


def test_an_event_that_is_written_otherwise_gets_its_usual_form() -> None:
    body = envelope()
    for frame in (b"", b"event:error\ndata:%b\n\n" % body, b"data: %b\nevent: error\n\n" % body):
        error = embedded(body, frame)
        assert error.verbatim is not None
        assert error.verbatim.frame == b"event: error\ndata: %b\n\n" % body


def test_an_overflow_inside_a_stream() -> None:
    error = embedded(envelope(message="maximum context length is 10 tokens"))
    assert (error.kind, error.verbatim) == ("context_overflow", None)


@given(st.binary(max_size=40) | st.sampled_from([envelope(), b'{"error":[]}', b'{"error":{"message":[1]}}', b"[[]]"]))
def test_any_bytes_are_an_error(body: bytes) -> None:
    assert embedded(body).message
    assert told(500, body).message
    assert isinstance(errors.is_error(body), bool)


def test_what_is_an_error_and_what_is_not() -> None:
    assert errors.is_error(envelope())
    assert errors.is_error(b'{"error":"x"}')
    assert not errors.is_error(b'{"type":"message"}')
    assert not errors.is_error(b"error")


def call_of(key: str | None) -> Call:
    call = ENCODER.call()
    return structs.replace(call, target=structs.replace(call.target, key=key))


def test_the_name_of_the_key_is_told() -> None:
    error = errors.error(401, {}, b"", call_of("LAB_KEY"))
    assert "Check the key LAB_KEY" in error.message
