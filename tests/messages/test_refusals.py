"""What upstreams say when they refuse; the error cases of each dialect hold the forms of many servers."""

from typing import Any

import pytest

from dragoman.messages import overflow, refusals
from dragoman.messages.overflow import Asked

ASKED = Asked(provider="lab", model="some-model", key="LAB_KEY", context=1000, input_tokens=2000)


@pytest.mark.failure(121, 122)
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m2s", 62.0),
        ("6ms", 0.006),
        ("34s", 34.0),
        ("24h0m0s", 86400.0),
        ("2m59.56s", 179.56),
        ("1.5", 1.5),
        ("1d", 86400.0),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("nan", None),
        ("1e400", None),
        ("1m tomorrow", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert refusals.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ({"error": {"message": "x"}}, True),
        ({"errors": [{"message": "x"}]}, True),
        ({"detail": "x"}, True),
        ({"message": "x", "id": "c1"}, False),
        ([{"error": "x"}], True),
        ([], False),
        (None, False),
    ],
)
def test_what_counts_as_an_error(value: Any, *, is_one: bool) -> None:
    assert refusals.is_error(value) is is_one


@pytest.mark.failure(115)
def test_an_overflow_under_status_200() -> None:
    found = refusals.embedded({"error": {"code": "context_length_exceeded", "message": "too long"}}, ASKED)
    assert (found.kind, found.message) == (
        "context_overflow",
        "prompt is too long: 2000 tokens > 1000 maximum (lab/some-model)",
    )
    assert overflow.message({}, ASKED) == found.message


def test_a_refused_key_is_named() -> None:
    found = refusals.refusal(401, {}, b"", ASKED)
    assert (found.kind, found.message) == (
        "upstream_authentication",
        "lab/some-model answered 401: no explanation. Check the key LAB_KEY: it was refused.",
    )
