"""Thinking and effort."""

from typing import Any

import pytest

from dialects.chat.asking import Json
from dialects.gemini.targets_gemini import config, newer, notes, older, target
from dragoman.dialects.alike import thinks_unasked
from dragoman.dialects.gemini import thinking
from dragoman.messages.effort import UNASKED
from dragoman.messages.notes import Note

ON: Json = {"thinking": {"type": "adaptive"}}
OFF: Json = {"thinking": {"type": "disabled"}}
HIGH: Json = {"output_config": {"effort": "high"}}
THINKER: Json = {"reasoning": True, "efforts": ("low", "medium", "high")}
ALWAYS: Json = THINKER | {"reasons_by_default": True}
PRO: Json = {"reasoning": True, "reasons_by_default": True, "thinking_budget": (128, 32_768)}
FLASH: Json = PRO | {"efforts": ("none", "low", "medium", "high"), "thinking_budget": (1, 24_576)}
LITE: Json = FLASH | {"reasons_by_default": False, "thinking_budget": (512, 24_576)}


def effort(value: str) -> Json:
    return {"output_config": {"effort": value}}


def enabled(tokens: int) -> Json:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def knobs(fields: Json, facts: Json | None = None, **quirks: Any) -> Json | None:
    return config(target(facts=facts, **quirks), **fields).get("thinkingConfig")


def codes(fields: Json, facts: Json | None = None, **quirks: Any) -> list[tuple[str, str]]:
    found = notes(target(facts=facts, **quirks), **fields)
    return [(grade, code) for grade, code, place in found if place != "max_tokens"]


def budget(tokens: int) -> Json:
    return {"includeThoughts": True, "thinkingBudget": tokens}


def level(word: str) -> Json:
    return {"includeThoughts": True, "thinkingLevel": word}


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    ("fields", "facts", "expected"),
    [
        ({}, PRO, None),
        (ON, PRO, budget(-1)),
        (ON, LITE, budget(-1)),
        (ON | effort("low"), PRO, budget(4_096)),
        (ON | effort("medium"), PRO, budget(8_192)),
        (ON | HIGH, PRO, budget(24_576)),
        (ON | effort("xhigh"), PRO, budget(32_768)),
        (ON | effort("max"), FLASH, budget(24_576)),
        (ON | effort("minimal"), LITE, budget(512)),
        (ON | HIGH, PRO | {"thinking_budget": (128, 8_000)}, budget(8_000)),
        (HIGH, PRO, {"thinkingBudget": 24_576}),
        (HIGH, {"thinking_budget": (1, 2)}, None),
        (enabled(5_000), FLASH, budget(5_000)),
        (enabled(31_999), FLASH, budget(24_576)),
        (enabled(1_024), PRO | {"thinking_budget": (2_048, 4_096)}, budget(2_048)),
        (enabled(31_999) | effort("low"), FLASH, budget(4_096)),
        (OFF, FLASH, {"thinkingBudget": 0}),
        (OFF | HIGH, LITE, {"thinkingBudget": 0}),
        (OFF, PRO, {"thinkingBudget": 128}),
    ],
)
def test_thinking_as_a_number_of_tokens(fields: Json, facts: Json, expected: Json | None) -> None:
    assert knobs(fields, facts) == expected


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    ("fields", "facts", "expected"),
    [
        ({}, {}, None),
        ({}, ALWAYS, None),
        (ON, {}, {"includeThoughts": True}),
        (ON, ALWAYS, {"includeThoughts": True}),
        (ON, THINKER, level("MEDIUM")),
        (ON | HIGH, {}, level("HIGH")),
        (ON | effort("medium"), {}, level("HIGH")),
        (ON | effort("max"), ALWAYS, level("HIGH")),
        (HIGH, ALWAYS, {"thinkingLevel": "HIGH"}),
        (HIGH, {}, None),
        (enabled(3_000), ALWAYS, level("LOW")),
        (enabled(31_999), ALWAYS, level("HIGH")),
        (OFF, ALWAYS, {"thinkingLevel": "LOW"}),
        (OFF, ALWAYS | {"efforts": ("minimal", "low", "high")}, {"thinkingLevel": "MINIMAL"}),
        (OFF, ALWAYS | {"efforts": ("none", "low", "high")}, {"thinkingBudget": 0}),
        (ON | effort("low"), ALWAYS | {"efforts": ("none",)}, level("LOW")),
        (OFF, THINKER, None),
        (OFF, {}, None),
    ],
)
def test_thinking_as_a_level(fields: Json, facts: Json, expected: Json | None) -> None:
    assert knobs(fields, facts) == expected


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    ("fields", "facts", "expected"),
    [
        (ON, ALWAYS, []),
        (ON, PRO, []),
        (ON | HIGH, PRO, []),
        (HIGH, {}, [("ignored", "effort.without_thinking")]),
        (OFF | HIGH, FLASH, [("ignored", "effort.without_thinking")]),
        (OFF, FLASH, []),
        (OFF, PRO, [("changed", "thinking.always_on")]),
        (OFF, ALWAYS, [("changed", "thinking.always_on")]),
        (OFF, THINKER, [("ignored", "thinking.off_unsaid")]),
        (OFF, {}, [("ignored", "thinking.off_unsaid")]),
        (OFF, {"reasoning": False}, []),
        (ON | effort("max"), ALWAYS, [("changed", "effort.nearest")]),
        (ON | effort("max"), PRO, []),
        (ON | HIGH, {"reasoning": False}, [("changed", "thinking.unsupported"), ("changed", "effort.unsupported")]),
    ],
)
def test_what_changes_is_noted(fields: Json, facts: Json, expected: list[tuple[str, str]]) -> None:
    assert codes(fields, facts) == expected


@pytest.mark.failure(29)
def test_a_change_names_what_was_asked() -> None:
    assert notes(older(), **enabled(31_999)) == [("changed", "thinking.budget_clamped", "thinking.budget_tokens")]
    assert notes(newer(), **enabled(32_000)) == [("changed", "effort.nearest", "thinking.budget_tokens")]
    assert notes(newer(), **ON, **effort("max")) == [("changed", "effort.nearest", "output_config.effort")]
    assert notes(older(), **enabled(5_000)) == []


def test_levels_of_the_model_win_over_those_of_the_server() -> None:
    assert knobs(ON | HIGH, {"efforts": ("low",)}, efforts=("high",)) == level("LOW")
    assert knobs(ON | HIGH, efforts=("medium",)) == level("MEDIUM")


def test_servers_without_knobs() -> None:
    assert knobs(ON | HIGH, ALWAYS, thinking=False) is None
    assert codes(ON, ALWAYS, thinking=False) == [("changed", "thinking.unsupported")]
    assert codes(OFF, ALWAYS, thinking=False) == [("changed", "thinking.always_on")]
    assert codes(OFF, THINKER, thinking=False) == []


def test_thoughts_are_asked_for_only_when_they_are_shown() -> None:
    hidden = {"thinking": {"type": "adaptive", "display": "omitted"}}
    assert knobs(hidden, PRO) == {"thinkingBudget": -1}
    assert knobs(hidden, ALWAYS) is None
    assert knobs(ON, ALWAYS, thoughts=False) is None
    assert knobs(ON | HIGH, ALWAYS, thoughts=False) == {"thinkingLevel": "HIGH"}


@pytest.mark.parametrize("facts", [{}, THINKER, ALWAYS, PRO, FLASH, LITE, ALWAYS | {"reasoning": False}])
@pytest.mark.parametrize("understood", [True, False])
def test_of_a_caller_who_asks_nothing_only_whether_the_model_thinks_is_to_be_known(
    facts: Json, *, understood: bool
) -> None:
    asked = target(facts=facts, thinking=understood)
    found: list[Note] = []
    written = thinking.write(UNASKED, asked, found, shown=False)
    assert (written.config, written.unwanted, found) == (None, 0, [])
    assert written.thinks == thinks_unasked(asked)
