"""System turns inside the conversation, told with the caller's words."""

from typing import Any

import pytest

from dialects.anthropic.asking_messages import called, notes, said, target
from dialects.chat.asking import assistant, result, text, use, user
from dragoman.messages.request import decode

FOLDING = target(mid_system="fold")


def system(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "system", "content": content, **more}


def reminder(words: str, **more: Any) -> dict[str, Any]:
    return text(f"<system-reminder>\n{words}\n</system-reminder>", **more)


CALL, DONE = use("toolu_1"), result("toolu_1")


@pytest.mark.parametrize(
    ("turns", "made"),
    [
        ([user(text("Go")), system("Hurry.")], [user(text("Go"), reminder("Hurry."))]),
        (
            [{"role": "user", "content": "Gé"}, system("A"), system("B")],
            [user(text("Gé"), reminder("A"), reminder("B"))],
        ),
        ([{"role": "user", "content": ""}, system("A")], [user(reminder("A"))]),
        (
            [user(text("Go")), assistant(CALL), system("A"), user(DONE)],
            [user(text("Go")), assistant(CALL), user(DONE, reminder("A"))],
        ),
        ([system("A"), assistant(text("x"))], [user(reminder("A")), assistant(text("x"))]),
        (
            [user(text("Go")), system([text("A", cache_control={"type": "ephemeral"}), {"type": "tool_addition"}])],
            [user(text("Go"), reminder("A", cache_control={"type": "ephemeral"}))],
        ),
        ([user(text("Go")), system("<system-reminder>A")], [user(text("Go"), text("<system-reminder>A"))]),
        ([user(text("Go")), system([], output_config={"effort": "low"}), system(" ")], [user(text("Go"))]),
        ([assistant(text("x")), system([]), assistant(text("y"))], [assistant(text("x")), assistant(text("y"))]),
    ],
)
def test_fold(turns: list[dict[str, Any]], made: list[dict[str, Any]]) -> None:
    assert said(FOLDING, messages=turns) == made
    assert said(target(facts={"system_turns": False}), messages=turns) == made
    assert said(messages=turns) == turns
    assert decode(called(FOLDING, messages=turns).body).body.messages


def test_it_is_noted() -> None:
    assert notes(FOLDING, messages=[user(text("Go")), system("A")]) == [("changed", "system.folded", "messages.1")]
