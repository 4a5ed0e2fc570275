"""Odd bytes and odd types: everything that makes sense is kept, and nothing raises but ValueError."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.chat.wire import Chunk, decode, loose
from dragoman.messages.lenient import parse

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


@given(_JSON)
def test_any_value_is_a_chunk(value: Any) -> None:
    assert isinstance(loose(value), Chunk)


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
