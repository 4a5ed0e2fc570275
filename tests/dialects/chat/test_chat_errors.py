"""Errors of Chat Completions servers as ours."""

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.encoder_chat import ChatEncoder
from dragoman.dialects.chat import errors
from dragoman.messages import refusals
from dragoman.messages.errors import KINDS
from golden_answers import GoldenAnswers

GOLDENS = GoldenAnswers(ChatEncoder())

CALL = ChatEncoder().call()

# The two forms on which Claude Code recovers by itself.
RECOVERABLE = re.compile(
    r"prompt is too long(: \d+ tokens > \d+ maximum)?"
    r"|input length and `max_tokens` exceed context limit: \d+ \+ \d+ > \d+"
)


@pytest.mark.failure(115, 116)
@pytest.mark.parametrize(
    "case", [case for case in GOLDENS.error_cases() if "-overflow-" in case.name], ids=lambda case: case.stem
)
def test_every_overflow_is_said_in_the_words_that_make_a_client_compact(case: Path) -> None:
    found = GOLDENS.error_of(case)
    assert (found.kind, found.status, found.type) == ("context_overflow", 400, "invalid_request_error")
    assert RECOVERABLE.match(found.message)


def test_no_other_error_is_taken_for_an_overflow() -> None:
    others = [case for case in GOLDENS.error_cases() if "-overflow-" not in case.name]
    assert others
    for case in others:
        assert GOLDENS.error_of(case).kind != "context_overflow", case.name
        assert not RECOVERABLE.search(GOLDENS.error_of(case).message), case.name


@pytest.mark.failure(115)
@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("openai", "input length and `max_tokens` exceed context limit: 99645 + 8192 > 102400"),
        ("openai-input", "prompt is too long: 130521 tokens > 128000 maximum"),
        ("sglang", "input length and `max_tokens` exceed context limit: 230462 + 32000 > 262144"),
        ("vllm", "prompt is too long: 32836 tokens > 32768 maximum"),
        ("vllm-output", "input length and `max_tokens` exceed context limit: 5000 + 32000 > 32768"),
        ("vllm-no-room", "prompt is too long: 64000 tokens > 32768 maximum"),
        ("copilot-sum", "input length and `max_tokens` exceed context limit: 189727 + 16000 > 200000"),
        ("llama-cpp", "prompt is too long: 9024 tokens > 4096 maximum"),
        ("gemini", "prompt is too long: 1200000 tokens > 1048576 maximum"),
        ("commas", "prompt is too long: 140000 tokens > 131072 maximum"),
        ("window-known", "prompt is too long: 210000 tokens > 200000 maximum"),
    ],
)
def test_the_numbers_of_an_overflow(case: str, message: str) -> None:
    (path,) = [each for each in GOLDENS.error_cases() if each.stem == f"400-overflow-{case}"]
    assert GOLDENS.error_of(path).message.startswith(message)


@pytest.mark.failure(136)
def test_keys_are_never_passed_on() -> None:
    secrets = (
        "sk-abcdefghijklmnop1234",
        "abc.def-ghi",
        "topsecret123",
        "AIzaSy",
        "gsk_abc",
        "0123456789abcdef0123456789abcdef ",
    )
    for case in GOLDENS.error_cases():
        assert not any(secret in GOLDENS.error_of(case).message for secret in secrets), case.name


@pytest.mark.failure(103)
def test_packed_bytes_are_read_or_named() -> None:
    packed = gzip.compress(b'{"error":{"message":"boom"}}')
    assert errors.error(500, {}, packed, CALL).message.endswith("boom")
    assert "cannot be read" in errors.error(500, {}, packed[:10] + b"garbage", CALL).message
    bomb = gzip.compress(b"a" * 10_000_000)
    assert len(errors.error(500, {}, bomb, CALL).message) < 2000


@pytest.mark.failure(117)
def test_the_message_names_provider_model_status_and_says_what_the_upstream_said() -> None:
    found = errors.error(400, {}, b'{"error":{"message":"tools[0] is odd"}}', CALL)
    assert found.message == "lab/some-model answered 400: tools[0] is odd"
    assert found.envelope("req_1").startswith(b'{"type":"error","error":{"type":"invalid_request_error"')


def test_long_texts_are_cut_and_control_characters_removed() -> None:
    found = errors.error(400, {}, b'{"error":{"message":"a\\u0000b\\r\\nc' + b"x" * 50_000 + b'"}}', CALL)
    assert "a b c" in found.message
    assert len(found.message) < refusals.TEXT_LIMIT + 100
    assert found.message.isprintable()


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ({"error": {"message": "x"}}, True),
        ({"error": None, "choices": []}, False),
        ({"choices": [{}], "error": "late"}, False),
        ({"object": "error"}, True),
        ({"type": "error"}, True),
        ({"errors": [{"message": "x"}]}, True),
        ({"detail": "x"}, True),
        ({"message": "x"}, True),
        ({"message": "x", "id": "c1"}, False),
        ({"message": {"content": "x"}}, False),
        ([{"error": "x"}], True),
        ([], False),
        ("x", False),
        (None, False),
    ],
)
def test_what_counts_as_an_error_under_status_200(value: Any, *, is_one: bool) -> None:
    assert errors.is_error(value) is is_one


@given(
    st.integers(100, 999),
    st.dictionaries(st.sampled_from(["retry-after", "date", "retry-after-ms"]), st.text()),
    st.binary(),
)
def test_any_bytes_are_an_error_and_nothing_raises(status: int, headers: dict[str, str], body: bytes) -> None:
    for each in (body, b"\x1f\x8b" + body, b"<title>" + body):
        found = errors.error(status, headers, each, CALL)
        assert found.kind in KINDS
        found.envelope("req_1")
        assert found.retry_after is None or found.retry_after >= 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud83d"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("error", "errors", "message", "code", "type", "detail", "details", "metadata", "raw", "param"),
                    *("innererror", "status", "content_filter_result", "retryDelay", "reason", "n_ctx", "loc"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(_JSON)
def test_any_json_is_an_error_and_nothing_raises(value: Any) -> None:
    errors.is_error(value)
    found = errors.embedded(value, CALL)
    assert found.kind in KINDS
    found.envelope("req_1")


def test_a_body_nested_too_deeply_is_an_error_like_any_other() -> None:
    assert errors.error(500, {}, b"[" * 60_000, CALL).kind == "upstream_failed"
    assert errors.error(500, {}, b'{"error":' * 50 + b'"x"' + b"}" * 50, CALL).kind == "upstream_failed"
