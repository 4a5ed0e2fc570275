"""Gemini's counters -> Messages usage."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.gemini.encoder_gemini import GeminiEncoder
from dragoman.dialects.gemini.usage import counted
from dragoman.dialects.gemini.wire import Tokens, decode_tokens
from dragoman.messages.events import OutputDetails, ServerToolUsage, Usage


def usage(before: Usage | None = None, estimate: int = 0, searches: int = 0, fetches: int = 0, **tokens: Any) -> Usage:
    call = GeminiEncoder().call(recall={"input_tokens": estimate})
    return counted(Tokens(**tokens), call, before, searches=searches, fetches=fetches)


@pytest.mark.failure(58)
def test_what_the_cache_gave_is_counted_apart() -> None:
    found = usage(prompt_token_count=240403, cached_content_token_count=229504, candidates_token_count=7)
    assert (found.input_tokens, found.cache_read_input_tokens, found.output_tokens) == (10899, 229504, 7)


def test_what_its_tools_put_into_the_prompt_is_input() -> None:
    found = usage(prompt_token_count=10, tool_use_prompt_token_count=900, cached_content_token_count=4)
    assert (found.input_tokens, found.cache_read_input_tokens) == (906, 4)


@pytest.mark.parametrize(
    ("candidates", "thoughts", "tools", "total", "output"),
    [
        (5, 20, None, 35, 25),
        (5, 20, None, None, 25),
        (25, 20, None, 35, 25),  # the thoughts are among the candidates
        (25, 20, 3, 38, 25),
        (5, None, None, 15, 5),
        (None, 20, None, 30, 20),
        (-5, -20, None, 0, 0),
    ],
)
def test_thoughts_are_output_once(
    candidates: int | None, thoughts: int | None, tools: int | None, total: int | None, output: int
) -> None:
    found = usage(
        prompt_token_count=10,
        candidates_token_count=candidates,
        thoughts_token_count=thoughts,
        tool_use_prompt_token_count=tools,
        total_token_count=total,
    )
    assert found.output_tokens == output
    assert found.output_tokens_details == (OutputDetails(20) if thoughts == 20 else None)


def test_a_prompt_that_nobody_counted_is_estimated() -> None:
    assert usage(estimate=77, candidates_token_count=1).input_tokens == 77


@pytest.mark.parametrize(
    ("traffic", "tier"),
    [
        (None, None),
        ("TRAFFIC_TYPE_UNSPECIFIED", None),
        ("ON_DEMAND", "standard"),
        ("ON_DEMAND_PRIORITY", "priority"),
        ("PROVISIONED_THROUGHPUT", "standard"),
    ],
)
def test_the_tier(traffic: str | None, tier: str | None) -> None:
    assert usage(prompt_token_count=1, traffic_type=traffic).service_tier == tier


def test_an_answer_that_goes_on_has_one_prompt() -> None:
    first = usage(
        prompt_token_count=10,
        cached_content_token_count=4,
        candidates_token_count=3,
        thoughts_token_count=2,
        searches=1,
    )
    second = usage(first, prompt_token_count=99, candidates_token_count=5, thoughts_token_count=1, fetches=2)
    assert (second.input_tokens, second.cache_read_input_tokens, second.output_tokens) == (6, 4, 11)
    assert second.output_tokens_details == OutputDetails(3)
    assert second.server_tool_use == ServerToolUsage(1, 2)
    third = usage(usage(prompt_token_count=1), prompt_token_count=99, candidates_token_count=5)
    assert third == Usage(input_tokens=1, output_tokens=5)


@pytest.mark.failure(57)
@given(
    st.fixed_dictionaries({name: st.none() | st.integers(-(2**40), 2**40) for name in Tokens.__struct_fields__[:-1]})
)
def test_nothing_is_ever_negative(tokens: dict[str, int | None]) -> None:
    found = usage(**tokens)
    assert min(found.input_tokens, found.output_tokens, found.cache_read_input_tokens) >= 0


def test_counters_alone() -> None:
    assert decode_tokens(b'{"promptTokenCount": 3}') == Tokens(prompt_token_count=3)
    assert decode_tokens(b'{"promptTokenCount": }') is None
    assert decode_tokens(b'{"trafficType": "\xff"}') is None
