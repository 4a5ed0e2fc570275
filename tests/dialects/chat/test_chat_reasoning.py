"""Thinking and effort."""

from typing import Any

import pytest

from dialects.chat.asking import WEATHER, Json, called, notes, sent, target, user
from dialects.tables import check_thinking_is_recalled
from dragoman.messages.effort import LADDER, nearest
from dragoman.messages.errors import ApiError

KNOBS = ("reasoning_effort", "thinking", "enable_thinking", "thinking_budget", "reasoning", "chat_template_kwargs")
ON: Json = {"thinking": {"type": "adaptive"}}
OFF: Json = {"thinking": {"type": "disabled"}}
HIGH: Json = {"output_config": {"effort": "high"}}
LOW: Json = {"output_config": {"effort": "low"}}


def budget(tokens: int) -> Json:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def knobs(quirks: Json, fields: Json, facts: Json | None = None) -> Json:
    body = sent(target(facts=facts, **quirks), **fields)
    return {name: body[name] for name in KNOBS if name in body}


def codes(quirks: Json, fields: Json, facts: Json | None = None) -> list[tuple[str, str]]:
    return [(grade, code) for grade, code, _ in notes(target(facts=facts, **quirks), **fields)]


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    ("tokens", "effort"),
    [(1024, "low"), (3999, "low"), (4000, "medium"), (15_999, "medium"), (31_999, "high"), (32_000, "xhigh")],
)
def test_a_budget_becomes_an_effort(tokens: int, effort: str) -> None:
    assert knobs({"efforts": list(LADDER)}, budget(tokens)) == {"reasoning_effort": effort}


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    ("quirks", "fields", "expected"),
    [
        ({}, {}, {}),
        ({}, ON, {}),
        ({}, ON | HIGH, {"reasoning_effort": "high"}),
        ({}, budget(1024) | HIGH, {"reasoning_effort": "high"}),
        ({}, {"thinking": {"type": "between_tools"}} | LOW, {"reasoning_effort": "low"}),
        ({}, OFF | HIGH, {}),
        ({"efforts": ["none", "low"]}, OFF, {"reasoning_effort": "none"}),
        ({"reasoning_out": "none"}, ON | HIGH, {}),
        ({"reasoning_out": "thinking_type"}, ON, {"thinking": {"type": "enabled"}}),
        ({"reasoning_out": "thinking_type"}, OFF | HIGH, {"thinking": {"type": "disabled"}}),
        (
            {"reasoning_out": "thinking_type", "efforts": ["low", "high", "max"]},
            ON | {"output_config": {"effort": "medium"}},
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
        ),
        ({"reasoning_out": "enable_thinking"}, ON, {"enable_thinking": True}),
        ({"reasoning_out": "enable_thinking"}, OFF, {"enable_thinking": False}),
        (
            {"reasoning_out": "enable_thinking"},
            budget(9000),
            {"enable_thinking": True, "thinking_budget": 9000},
        ),
        ({"reasoning_out": "enable_thinking"}, ON | LOW, {"enable_thinking": True, "thinking_budget": 4000}),
        ({"reasoning_out": "enable_thinking"}, ON | HIGH, {"enable_thinking": True}),
        ({"reasoning_out": "reasoning_object"}, ON, {"reasoning": {"enabled": True}}),
        ({"reasoning_out": "reasoning_object"}, OFF, {"reasoning": {"enabled": False}}),
        ({"reasoning_out": "reasoning_object"}, budget(9000), {"reasoning": {"max_tokens": 9000}}),
        ({"reasoning_out": "reasoning_object"}, budget(9000) | LOW, {"reasoning": {"effort": "low"}}),
        ({"reasoning_out": "chat_template"}, ON, {"chat_template_kwargs": {"enable_thinking": True}}),
        ({"reasoning_out": "chat_template"}, OFF, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"reasoning_out": "reasoning_enabled"}, ON, {"reasoning": {"enabled": True}}),
        ({"reasoning_out": "reasoning_enabled"}, OFF, {"reasoning": {"enabled": False}}),
    ],
)
def test_each_family_is_asked_in_its_own_way(quirks: Json, fields: Json, expected: Json) -> None:
    assert knobs(quirks, fields) == expected


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    ("wanted", "accepted", "got"),
    [
        ("max", ("low", "medium", "high"), "high"),
        ("xhigh", ("none", "low", "medium", "high", "xhigh"), "xhigh"),
        ("medium", ("low", "high", "max"), "high"),
        ("low", ("none", "high"), "high"),
        ("low", ("none", "medium"), "medium"),
        ("high", ("none", "default"), "default"),
        ("high", ("none",), "none"),
        ("whatever", ("low", "medium", "high", "max"), "high"),
    ],
)
def test_the_nearest_effort_is_taken_and_thinking_stays_on(wanted: str, accepted: Any, got: str) -> None:
    assert nearest(wanted, accepted) == got


def test_a_change_of_effort_is_noted() -> None:
    assert codes({}, ON | {"output_config": {"effort": "max"}}) == [("changed", "effort.nearest")]
    assert notes(**budget(32_000)) == [("changed", "effort.nearest", "thinking.budget_tokens")]
    assert codes({"reasoning_out": "thinking_type"}, ON | HIGH) == [("changed", "effort.unsupported")]
    assert codes({"reasoning_out": "enable_thinking"}, ON | HIGH) == [("changed", "effort.unsupported")]
    assert codes({"reasoning_out": "enable_thinking"}, ON | LOW) == []
    assert codes({"reasoning_out": "none"}, ON | HIGH) == [
        ("changed", "thinking.unsupported"),
        ("changed", "effort.unsupported"),
    ]
    assert codes({"reasoning_out": "thinking_type"}, OFF | HIGH) == [("ignored", "effort.without_thinking")]


def test_facts_of_the_model_win_over_quirks() -> None:
    facts = {"efforts": ("minimal", "low"), "reasoning": True}
    assert knobs({"efforts": ["high"]}, ON | HIGH, facts) == {"reasoning_effort": "low"}
    assert knobs({}, ON | HIGH, {"reasoning": False}) == {}
    assert codes({}, ON | HIGH, {"reasoning": False}) == [
        ("changed", "thinking.unsupported"),
        ("changed", "effort.unsupported"),
    ]
    assert codes({}, OFF, {"reasoning": False}) == []


def test_a_model_that_thinks_only_when_told_how_hard_is_told() -> None:
    facts = {"reasoning": True, "efforts": ("none", "low", "medium", "high")}
    assert knobs({}, ON, facts) == {"reasoning_effort": "medium"}
    assert knobs({}, ON, facts | {"reasons_by_default": True}) == {}
    assert knobs({}, {}, facts) == {}
    assert knobs({}, LOW, facts) == {"reasoning_effort": "low"}


def test_effort_alone_is_not_sent_to_a_model_that_may_have_no_knobs() -> None:
    assert knobs({}, HIGH) == {}
    assert codes({}, HIGH) == [("ignored", "effort.without_thinking")]


@pytest.mark.failure(29)
def test_thinking_off() -> None:
    always = {"reasoning": True, "reasons_by_default": True}
    assert knobs({}, OFF, always | {"efforts": ("low", "high")}) == {"reasoning_effort": "low"}
    assert codes({}, OFF, always | {"efforts": ("low", "high")}) == [("changed", "thinking.always_on")]
    assert knobs({}, OFF, always | {"efforts": ("none", "low")}) == {"reasoning_effort": "none"}
    assert codes({}, OFF, always | {"efforts": ("none", "low")}) == []
    assert codes({"reasoning_out": "none"}, OFF, always) == [("changed", "thinking.always_on")]
    assert codes({}, OFF) == [("ignored", "thinking.off_unsaid")]
    assert codes({}, OFF, {"reasoning": True, "efforts": ("low",)}) == [("ignored", "thinking.off_unsaid")]


def test_the_effort_of_the_last_system_turn_holds() -> None:
    system = {"role": "system", "content": [], "output_config": {"effort": "low"}}
    fields = ON | HIGH | {"messages": [user({"type": "text", "text": "x"}), system]}
    assert knobs({}, fields) == {"reasoning_effort": "low"}


NO_TOOLS = {"reasoning": True, "tools_with_reasoning": False, "sampling": "without_reasoning"}


def test_models_that_take_tools_only_while_they_do_not_think() -> None:
    facts = NO_TOOLS | {"efforts": ("none", "low", "medium", "high"), "reasons_by_default": True}
    body = sent(target(facts=facts), tools=[WEATHER], temperature=0.5, **ON)
    assert body["reasoning_effort"] == "none"
    assert body["temperature"] == 0.5, "sampling is taken while it does not think"
    assert codes({}, {"tools": [WEATHER], **ON}, facts) == [("changed", "thinking.off_with_tools")]
    assert codes({}, {"tools": [WEATHER]}, facts) == [("changed", "thinking.off_with_tools")]
    assert knobs({}, {"tools": [WEATHER]}, facts | {"reasons_by_default": False}) == {"reasoning_effort": "none"}
    assert codes({}, {"tools": [WEATHER]}, facts | {"reasons_by_default": False}) == []
    assert knobs({}, ON | HIGH, facts) == {"reasoning_effort": "high"}, "without tools it thinks"


def test_models_that_take_no_tools_at_all_on_this_api_are_refused_with_advice() -> None:
    to = target(facts=NO_TOOLS | {"efforts": ("low", "medium", "high")})
    with pytest.raises(ApiError, match=r"some-model takes no tools on Chat Completions.*gpt-5\.2") as caught:
        called(to, tools=[WEATHER], **ON)
    assert caught.value.status == 400


def test_what_the_way_back_needs_to_know() -> None:
    check_thinking_is_recalled(called)
    assert notes(thinking={"type": "adaptive", "display": "updates"}) == [
        ("ignored", "thinking.display", "thinking.display")
    ]
