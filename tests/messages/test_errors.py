"""The taxonomy: what each kind of failure looks like to a caller."""

import json

import pytest

from dragoman.messages.errors import KINDS, ApiError, Verbatim
from dragoman.messages.sse import FrameReader

# https://platform.claude.com/docs/en/api/errors: HTTP status -> error types that belong to it
DOCUMENTED = {
    400: {"invalid_request_error"},
    401: {"authentication_error"},
    402: {"billing_error"},
    403: {"permission_error"},
    404: {"not_found_error"},
    405: {"invalid_request_error"},
    409: {"conflict_error"},
    413: {"request_too_large"},
    415: {"invalid_request_error"},
    429: {"rate_limit_error", "billing_error"},
    500: {"api_error"},
    501: {"not_supported"},
    502: {"api_error"},
    504: {"timeout_error"},
    529: {"overloaded_error"},
}


@pytest.mark.failure(119)
@pytest.mark.parametrize("kind", KINDS)
def test_status_and_type_belong_together(kind: str) -> None:
    assert KINDS[kind].type in DOCUMENTED[KINDS[kind].status]


def test_every_documented_status_has_a_kind() -> None:
    assert {kind.status for kind in KINDS.values()} == set(DOCUMENTED)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_not_the_callers_fault_is_tried_again(kind: str) -> None:
    row = KINDS[kind]
    if row.retryable:
        assert row.fault == "upstream"
        assert row.status in (409, 429) or row.status >= 500
    if row.fault == "client":
        assert row.status in (400, 401, 404, 405, 413, 415, 501)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_every_kind_can_be_told(kind: str) -> None:
    error = ApiError(kind, 'Say "what" to do.')
    row = KINDS[kind]
    assert (error.status, error.type, error.fault, error.retryable) == (row.status, row.type, row.fault, row.retryable)
    assert str(error) == error.message == 'Say "what" to do.'
    assert json.loads(error.envelope("req_1")) == {
        "type": "error",
        "error": {"type": row.type, "message": 'Say "what" to do.'},
        "request_id": "req_1",
    }


@pytest.mark.failure(117)
def test_the_envelope_byte_by_byte() -> None:
    assert ApiError("not_found", "No such model.").envelope("req_7") == (
        b'{"type":"error","error":{"type":"not_found_error","message":"No such model."},"request_id":"req_7"}'
    )


def test_an_upstream_may_say_whether_to_try_again() -> None:
    assert ApiError("rate_limit", "x").retryable
    assert not ApiError("rate_limit", "x", should_retry=False).retryable
    assert ApiError("invalid_request", "x", should_retry=True).retryable


def test_what_an_error_remembers() -> None:
    error = ApiError("rate_limit", "x", retry_after=1.5, upstream_status=429, code="slow_down")
    assert (error.retry_after, error.upstream_status, error.code) == (1.5, 429, "slow_down")
    assert error.should_retry is None


@pytest.mark.failure(119)
def test_our_key_refused_is_our_fault() -> None:
    assert ApiError("upstream_authentication", "x").fault == "ours"
    assert ApiError("authentication", "x").fault == "client"


@pytest.mark.failure(118)
def test_what_is_told_verbatim_has_its_own_status() -> None:
    error = ApiError("upstream_failed", "x", verbatim=Verbatim(520, (), b"{}"))
    assert (error.status, error.type, error.retryable) == (520, "api_error", True)


@pytest.mark.failure(118)
def test_the_event_of_what_is_told_verbatim() -> None:
    came = b"event: error\r\ndata: {}\r\n\r\n"
    assert Verbatim(529, (), b"{}", came).frame == came
    assert Verbatim(529, (), b"{}").frame == b"event: error\ndata: {}\n\n"
    pretty = b'{\n "type": "error"\r\n}'
    (frame,) = FrameReader().feed(Verbatim(529, (), pretty).frame)
    assert frame.event == "error"
    assert json.loads(frame.data) == {"type": "error"}
