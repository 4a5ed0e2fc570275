"""Odd bytes and odd types: everything that makes sense is kept, and nothing raises but ValueError."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.chat.wire import Chunk, Tokens, clean, decode, join_halves, loose, parse

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_value_error(body: bytes) -> None:
    try:
        parse(body)
    except ValueError:
        return
    json.loads(body.decode("utf-8", "replace"))


@given(_JSON)
def test_clean_values_can_be_written(value: Any) -> None:
    json.dumps(clean(value), ensure_ascii=False).encode()
    assert isinstance(loose(value), Chunk)


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("a", "a"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d", "\ufffd"),
        ("\ude00a", "\ufffda"),
        ("\ud83d\ud83d\ude00x", "\ufffd😀x"),
    ],
)
def test_halves_are_joined_or_replaced(text: str, joined: str) -> None:
    assert join_halves(text) == joined


def test_the_loose_reading_of_a_good_chunk_is_the_typed_one() -> None:
    chunk = {
        "choices": [
            {
                "delta": {
                    "content": "a",
                    "reasoning": "b",
                    "tool_calls": [{"index": 0, "id": "c", "function": {"name": "d", "arguments": "{}"}}],
                    "refusal": "e",
                },
                "finish_reason": "stop",
                "stop_reason": "x",
                "usage": {"prompt_tokens": 1},
            }
        ],
        "usage": {"completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1}},
        "service_tier": "default",
        "x_groq": {"usage": {"prompt_tokens": 3}},
    }
    body = json.dumps(chunk).encode()
    assert loose(parse(body)) == decode(body)


@pytest.mark.parametrize(
    ("value", "count"),
    [(3, 3), (3.7, 3), ("12", 12), ("1e3", None), (True, None), (None, None), ([], None), (1e300, None)],
)
def test_counts(value: Any, count: int | None) -> None:
    found = loose({"usage": {"prompt_tokens": value}}).usage
    assert isinstance(found, Tokens)
    assert found.prompt_tokens == count
