"""Keys are blacked out by shape and by value; ordinary words stay."""

import pytest

from dragoman.telemetry.redaction import BLACKED, Redactor, redact, suspects

pytestmark = pytest.mark.failure(136)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Incorrect API key provided: sk-proj-abc123DEF456.", "sk-proj-abc123DEF456"),
        ("Authorization: Bearer abcdefghij", "abcdefghij"),
        ("{'authorization': 'Bearer abcdefghij'}", "abcdefghij"),
        ('{"x-api-key": "plain-secret-1"}', "plain-secret-1"),
        ("(b'x-api-key', b'plain-secret-1')", "plain-secret-1"),
        ("x-goog-api-key: AIzaSyA-1234567", "AIzaSyA-1234567"),
        ("GET https://host/v1?key=AIzaSyA-1234567&alt=sse", "AIzaSyA-1234567"),
        ("the key AQ.Ab8RN6K-abcdef is not valid", "AQ.Ab8RN6K-abcdef"),
        ("GET https://host/v1?a=b&key=other-secret", "other-secret"),
        ("token ya29.a0AfH6SMBxyz was refused", "ya29.a0AfH6SMBxyz"),
        ("gsk_abcdefghijklmnopqrstuvwxyz", "gsk_abcdefghijklmnopqrstuvwxyz"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "eyJhbGciOiJI"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("bearer abcdef123456", "abcdef123456"),
    ],
)
def test_a_key_is_known_by_its_shape(text: str, key: str) -> None:
    assert key not in redact(text)
    assert BLACKED in redact(text)
    assert any(value.startswith(key[:12]) for value in suspects("x" * 50 + " " + text))


@pytest.mark.parametrize(
    "text",
    [
        "claude-sonnet-4-5",
        "xai/xai-grok-beta",
        "The model is overloaded, try again in 3 s.",
        "prompt is too long: 300000 tokens > 200000 maximum",
        "risk-free and desk-bound",
        "openrouter/anthropic/claude-sonnet-4",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text
    assert not list(suspects(text))


def test_the_name_of_the_header_stays() -> None:
    assert redact("authorization: Bearer abcdefghij rest") == f"authorization: Bearer {BLACKED} rest"


def test_configured_secrets_are_known_by_value() -> None:
    clean = Redactor(["hunter2canary", "hunter2canary-and-more", "ab"])
    assert clean("a hunter2canary-and-more b hunter2canary ab") == f"a {BLACKED} b {BLACKED} ab"


def test_no_secret_at_all() -> None:
    assert Redactor()("nothing here, sk-live-123456") == f"nothing here, {BLACKED}"
