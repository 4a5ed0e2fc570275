"""No key in a bundle, and every byte still in its place."""

import pytest

from dragoman.telemetry.blackout import Blackout, found_in, is_credential, is_harmless, secrets_in

pytestmark = pytest.mark.failure(136)

KEY = "canary/4711+key"


@pytest.mark.parametrize(
    "text",
    [
        f"the key {KEY} is here",
        '{"key":"canary\\/4711+key"}',
        "https://host/?key=canary%2F4711%2Bkey",
        "https://host/canary/4711%2Bkey",
    ],
)
def test_a_key_is_found_in_every_form(text: str) -> None:
    clean = Blackout([KEY]).body(text.encode())
    assert b"4711" not in clean
    assert b"redacted" in clean
    assert len(clean) == len(text)


def test_characters_of_json_in_a_key() -> None:
    black = Blackout(['say "ü" 4711'])
    assert b"4711" not in black.body(b'{"a":"say \\"\\u00fc\\" 4711"}')
    assert b"4711" not in black.body('{"a":"say \\"ü\\" 4711"}'.encode())


def test_the_longest_key_first_and_the_same_again() -> None:
    black = Blackout(["hunter2hunter2", "hunter2hunter2-and-more"])
    once = black.body(b"a hunter2hunter2-and-more b")
    assert once == b"a redacted-redacted-reda b"[:2] + (b"redacted-" * 3)[:23] + b" b"
    assert black.body(once) == once


def test_short_values_and_none() -> None:
    assert Blackout(["ab"]).body(b"ab \xff") == b"ab \xff"
    assert Blackout(()).text("x") == "x"


def test_users_of_addresses() -> None:
    assert Blackout(()).text("no way over http://me:pass@proxy:3128/ today") == "no way over http://proxy:3128/ today"


def test_headers() -> None:
    rows = [
        ("Content-Type", "text/plain"),
        ("x-mine", "me"),
        ("authorization", "Bearer x"),
        ("anthropic-beta", "a-4711"),
    ]
    black = Blackout(["a-4711"])
    assert black.asked(rows) == [
        ("Content-Type", "text/plain"),
        ("x-mine", "[redacted]"),
        ("authorization", "[redacted]"),
        ("anthropic-beta", "redact"),
    ]
    told = [("retry-after", "3"), ("set-cookie", "a=b"), ("openai-organization", "us"), ("x-ratelimit-tokens", "7")]
    assert [value for _, value in black.told(told)] == ["3", "[redacted]", "[redacted]", "7"]


def test_names_of_headers() -> None:
    assert all(map(is_credential, ("Authorization", "x-api-key", "x-dragoman-token", "cookie", "x-amz-signature")))
    assert not any(map(is_credential, ("anthropic-ratelimit-tokens-limit", "content-type")))
    assert is_harmless("x-stainless-lang")
    assert not is_harmless("anthropic-organization-id")
    assert not is_harmless("x-goog-user-project")


def test_what_headers_give_away() -> None:
    rows = [
        ("authorization", "Bearer sk-4711-4712"),
        ("x-api-key", "dragoman"),  # any word does for an open gateway, and it is no secret
        ("cookie", "theme=dark; session=abc-4713-def"),
        ("x-corporate", "0123456789abcdef"),
        ("x-words", "these are many words"),
        ("x-short", "abc4711"),
        ("user-agent", "a-very-long-name/1.0.0"),
    ]
    assert set(secrets_in(rows)) == {
        "Bearer sk-4711-4712",
        "sk-4711-4712",
        "abc-4713-def",
        "0123456789abcdef",
    }


def test_what_bodies_give_away() -> None:
    body = b'{"a":"AIzaSyA-1234567","api_key":{"type":"x"},"t":"Authorization: Bearer abc4711xyz\\n"}'
    assert set(found_in(body)) == {"AIzaSyA-1234567", "abc4711xyz"}
