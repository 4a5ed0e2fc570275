"""What a caller asks of thinking, and how that becomes an effort."""

import json
from typing import Any

import pytest

from dragoman.messages.effort import LADDER, Wish, last_effort, nearest, wish
from dragoman.messages.notes import Note
from dragoman.messages.request import decode
from messages.conversations import body, system, user


def wished(**fields: Any) -> tuple[Wish, list[Note]]:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]} | fields
    notes: list[Note] = []
    return wish(decode(json.dumps(body).encode()).body, notes), notes


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Wish("unsaid", None, None)),
        ({"output_config": {"effort": "low"}}, Wish("unsaid", "low", None)),
        ({"thinking": {"type": "disabled"}}, Wish("off", None, None)),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, Wish("off", "low", None)),
        ({"thinking": {"type": "adaptive"}}, Wish("on", None, None)),
        ({"thinking": {"type": "adaptive", "budget_tokens": 9}}, Wish("on", None, None)),
        ({"thinking": {"type": "between_tools"}, "output_config": {"effort": "max"}}, Wish("on", "max", None)),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Wish("on", "low", 1024)),
        ({"thinking": {"type": "enabled", "budget_tokens": 3999}}, Wish("on", "low", 3999)),
        ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, Wish("on", "medium", 4000)),
        ({"thinking": {"type": "enabled", "budget_tokens": 16_000}}, Wish("on", "high", 16_000)),
        ({"thinking": {"type": "enabled", "budget_tokens": 31_999}}, Wish("on", "high", 31_999)),
        ({"thinking": {"type": "enabled", "budget_tokens": 32_000}}, Wish("on", "xhigh", 32_000)),
    ],
)
def test_wishes(fields: Any, expected: Wish) -> None:
    assert wished(**fields) == (expected, [])


def test_an_effort_wins_over_a_budget() -> None:
    found, notes = wished(thinking={"type": "enabled", "budget_tokens": 1024}, output_config={"effort": "max"})
    assert found == Wish("on", "max", None)
    assert notes == [Note("ignored", "thinking.budget", "thinking.budget_tokens")]


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    ("wanted", "accepted", "got"),
    [
        *((effort, LADDER, effort) for effort in LADDER),
        ("max", ("low", "medium", "high"), "high"),
        ("medium", ("low", "high", "max"), "high"),
        ("low", ("none", "high"), "high"),
        ("high", ("none", "default"), "default"),
        ("high", ("none",), "none"),
        ("whatever", ("low", "medium", "high", "max"), "high"),
    ],
)
def test_the_nearest_effort_is_taken_and_thinking_stays_on(wanted: str, accepted: Any, got: str) -> None:
    assert nearest(wanted, accepted) == got


def test_effort_of_the_last_system_turn_wins() -> None:
    low, null = ({"output_config": {"effort": effort}} for effort in ("low", None))
    assert last_effort(body()) is None
    assert last_effort(body(output_config={})) is None
    assert last_effort(body(output_config={"effort": "high"}, messages=[user("q"), system("s")])) == "high"
    assert last_effort(body(output_config={"effort": "high"}, messages=[system("s", **low), user("q")])) == "low"
    assert last_effort(body(messages=[system(**low), user("q"), system("s", **null)])) == "low"
