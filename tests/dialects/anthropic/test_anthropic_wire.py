"""What is looked at in answers that are passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.anthropic.wire import outcome, seen, usage
from dragoman.messages.events import CacheCreation, Outcome, ServerToolUsage, Usage

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(list(Usage.__struct_fields__))


def test_any_field_may_hold_anything() -> None:
    found = seen(b'{"type":5,"usage":"x","delta":[],"content":{"a":1},"error":0,"new":[[]]}')
    assert found is not None
    assert (found.type, found.usage, found.delta, found.error) == (5, "x", [], 0)
    assert bytes(found.content) == b'{"a":1}'


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'"x"', b"{", b"[" * 100_000, b'{"type":' + b"[" * 100_000])
def test_what_is_no_object(data: bytes) -> None:
    assert seen(data) is None


@pytest.mark.parametrize("text", [rb"\ud83d", rb"\udc00\ud800", b"\xff", b"\xed\xa0\x80"])
def test_half_a_character_hides_nothing(text: bytes) -> None:
    found = seen(b'{"delta":{"text":"%b"},"type":"content_block_delta"}' % text)
    assert found is not None
    assert found.type == "content_block_delta"


def test_counters_replace_what_was_known() -> None:
    first = usage({"input_tokens": 7, "output_tokens": 1, "cache_read_input_tokens": "5", "new": 1}, None)
    assert first == Usage(input_tokens=7, output_tokens=1, cache_read_input_tokens=5)
    more = {
        "input_tokens": None,
        "output_tokens": 9.0,
        "cache_creation": {"ephemeral_1h_input_tokens": 3},
        "server_tool_use": {"web_search_requests": 2},
        "output_tokens_details": None,
        "service_tier": "priority",
        "speed": 5,
    }
    assert usage(more, first) == Usage(
        input_tokens=7,
        output_tokens=9,
        cache_read_input_tokens=5,
        cache_creation=CacheCreation(ephemeral_1h_input_tokens=3),
        server_tool_use=ServerToolUsage(web_search_requests=2),
        service_tier="priority",
    )


@given(st.dictionaries(FIELDS, JSON) | JSON)
def test_usage_of_any_kind(found: object) -> None:
    for before in (None, Usage(input_tokens=7)):
        after = usage(found, before)
        assert after is before or isinstance(after, Usage)


def test_why_an_answer_stopped() -> None:
    assert outcome("end_turn", None) == Outcome("end_turn")
    assert outcome("stop_sequence", "END") == Outcome("stop_sequence", "END")
    assert outcome("eos", 5) == Outcome("eos")  # type: ignore[arg-type]
    assert outcome(None, "x") is outcome(5, None) is None
