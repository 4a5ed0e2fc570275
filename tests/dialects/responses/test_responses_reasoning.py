"""Thinking and effort."""

from typing import Any

import pytest

from dialects.chat.asking import Json
from dialects.responses.asking import notes, openai, sent, target

ON: Json = {"thinking": {"type": "adaptive"}}
OFF: Json = {"thinking": {"type": "disabled"}}
HIGH: Json = {"output_config": {"effort": "high"}}
ENCRYPTED = ["reasoning.encrypted_content"]
THINKER: Json = {"reasoning": True, "efforts": ("low", "medium", "high")}
SEARCH: Json = {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}


def effort(value: str) -> Json:
    return {"output_config": {"effort": value}}


def knobs(fields: Json, facts: Json | None = None, **quirks: Any) -> Json | None:
    return sent(target(facts=facts, **quirks), **fields).get("reasoning")


def codes(fields: Json, facts: Json | None = None, **quirks: Any) -> list[tuple[str, str]]:
    return [(grade, code) for grade, code, _ in notes(target(facts=facts, **quirks), **fields)]


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    ("fields", "facts", "expected"),
    [
        ({}, {}, None),
        ({}, THINKER, None),
        (ON, {}, {"summary": "auto"}),
        (ON, THINKER, {"effort": "medium", "summary": "auto"}),
        (ON, THINKER | {"reasons_by_default": True}, {"summary": "auto"}),
        (ON | HIGH, {}, {"effort": "high", "summary": "auto"}),
        (ON | effort("max"), THINKER, {"effort": "high", "summary": "auto"}),
        (ON | effort("max"), {"reasoning": True, "efforts": ("high", "max")}, {"effort": "max", "summary": "auto"}),
        (HIGH, {}, None),
        (HIGH, THINKER, {"effort": "high"}),
        (HIGH, {"reasoning": False}, None),
        (OFF, {}, None),
        (OFF, THINKER, None),
        (OFF | HIGH, {"reasoning": True, "efforts": ("none", "high")}, {"effort": "none"}),
        (OFF, THINKER | {"efforts": ("minimal", "low"), "reasons_by_default": True}, {"effort": "minimal"}),
        (OFF, THINKER | {"reasons_by_default": True}, {"effort": "low"}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 31_999}},
            THINKER,
            {"effort": "high", "summary": "auto"},
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 31_999}} | effort("low"),
            {},
            {"effort": "low", "summary": "auto"},
        ),
        (HIGH, {"reasoning": True, "efforts": ("none",)}, {"effort": "none"}),
    ],
)
def test_how_thinking_is_asked_for(fields: Json, facts: Json, expected: Json | None) -> None:
    assert knobs(fields, facts) == expected


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    ("fields", "facts", "expected"),
    [
        (ON, THINKER, []),
        (ON | effort("max"), {}, [("changed", "effort.nearest")]),
        (HIGH, {}, [("ignored", "effort.without_thinking")]),
        (OFF | HIGH, {"efforts": ("none",)}, [("ignored", "effort.without_thinking")]),
        (OFF, {}, [("ignored", "thinking.off_unsaid")]),
        (OFF, THINKER, [("ignored", "thinking.off_unsaid")]),
        (OFF, THINKER | {"reasons_by_default": True}, [("changed", "thinking.always_on")]),
        (OFF, {"reasoning": False}, []),
        (ON | HIGH, {"reasoning": False}, [("changed", "thinking.unsupported"), ("changed", "effort.unsupported")]),
    ],
)
def test_what_changes_is_noted(fields: Json, facts: Json, expected: list[tuple[str, str]]) -> None:
    assert codes(fields, facts) == expected


@pytest.mark.failure(29)
def test_a_change_of_effort_names_what_was_asked() -> None:
    budget = {"thinking": {"type": "enabled", "budget_tokens": 32_000}}
    assert notes(**budget) == [("changed", "effort.nearest", "thinking.budget_tokens")]
    assert notes(**ON, **effort("max")) == [("changed", "effort.nearest", "output_config.effort")]


def test_efforts_of_the_model_win_over_those_of_the_server() -> None:
    assert knobs(ON | HIGH, {"efforts": ("low",)}, efforts=("max",)) == {"effort": "low", "summary": "auto"}
    assert knobs(ON | HIGH, efforts=("max",)) == {"effort": "max", "summary": "auto"}


def test_servers_without_knobs() -> None:
    assert knobs(ON | HIGH, THINKER, reasoning_out="none") is None
    assert codes(ON, THINKER, reasoning_out="none") == [("changed", "thinking.unsupported")]
    always = THINKER | {"reasons_by_default": True}
    assert codes(OFF, always, reasoning_out="none") == [("changed", "thinking.always_on")]
    assert codes(OFF, THINKER, reasoning_out="none") == []


def test_summaries_are_asked_for_only_when_they_are_shown() -> None:
    hidden = {"thinking": {"type": "adaptive", "display": "omitted"}}
    assert knobs(hidden, THINKER) == {"effort": "medium"}
    assert knobs(ON, THINKER, summaries=False) == {"effort": "medium"}
    assert knobs({}, THINKER | {"reasons_by_default": True}) is None
    assert "reasoning" not in sent(openai(), **hidden)


@pytest.mark.failure(42, 43)
@pytest.mark.parametrize(
    ("fields", "facts", "asked"),
    [
        (ON, {}, True),
        (ON, THINKER, True),
        (HIGH, THINKER, True),
        ({}, THINKER, False),
        ({}, THINKER | {"reasons_by_default": True}, True),
        (OFF, THINKER | {"reasons_by_default": True, "efforts": ("none", "low")}, False),
        (OFF, THINKER | {"reasons_by_default": True}, True),
        (ON, {"reasoning": False}, False),
        ({}, {}, False),
        (HIGH, {"reasoning": True, "efforts": ("none",)}, False),
    ],
)
def test_reasoning_is_asked_for_in_a_form_that_can_travel(fields: Json, facts: Json, *, asked: bool) -> None:
    assert sent(target(facts=facts), **fields).get("include") == (ENCRYPTED if asked else None)
    assert "include" not in sent(target(facts=facts, encrypted_reasoning=False), **fields)


def test_web_search_needs_more_than_minimal_effort() -> None:
    facts = {"reasoning": True, "reasons_by_default": True, "efforts": ("minimal", "low", "high")}
    to = target(facts=facts, web_search=True)
    assert sent(to, **OFF)["reasoning"] == {"effort": "minimal"}
    assert sent(to, **OFF, **SEARCH)["reasoning"] == {"effort": "low"}
    assert ("changed", "effort.nearest", "tools") in notes(to, **OFF, **SEARCH)
    assert sent(to, **ON, **HIGH, **SEARCH)["reasoning"]["effort"] == "high"
    only = target(facts=facts | {"efforts": ("minimal",)}, web_search=True)
    assert sent(only, **OFF, **SEARCH)["reasoning"] == {"effort": "low"}
