"""Knobs that a model or a server refuses, and what it gets instead."""

from typing import Any

import pytest

from dialects.anthropic.asking_messages import NEWEST, OLD, asked, body, called, notes, said, sent, target, thinking
from dialects.chat.asking import assistant, text, use, user
from dragoman.dialects.anthropic.conversion import BUDGETS, EFFORT_BUDGET
from dragoman.dialects.anthropic.request import call
from dragoman.messages.instructions import CONTINUE

ADAPTIVE = {"type": "adaptive"}
OFF = {"type": "disabled"}


def enabled(budget: Any = 4096, **more: Any) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": budget, **more}


FULL = {
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 5,
    "thinking": enabled(),
    "output_config": {"effort": "xhigh"},
    "tool_choice": {"type": "any"},
    "messages": [user(text("Go")), assistant(text("So"))],
}


def test_where_nothing_is_known_nothing_changes() -> None:
    request = asked(**FULL)
    assert call(request, target()).body is request.raw


def test_what_fits_stays_as_it_is() -> None:
    for facts, fields in (
        (NEWEST, {"thinking": ADAPTIVE, "output_config": {"effort": "max"}, "tool_choice": {"type": "auto"}}),
        (OLD, {"thinking": enabled(), "temperature": 0.2, "tool_choice": {"type": "tool", "name": "x"}}),
        (OLD, {"thinking": OFF, "output_config": {"format": {"type": "json_schema"}}}),
    ):
        request = asked(**fields)
        made = call(request, target(facts=facts))
        assert (made.body, made.notes) == (request.raw, ())


def test_odd_values_are_left_to_the_upstream() -> None:
    odd: dict[str, Any] = {"thinking": "on", "output_config": [1], "tool_choice": "any", "context_management": 7}
    for fields in (odd, {"thinking": {"type": 7}, "output_config": {"effort": 7}}, {"thinking": {"type": "new"}}):
        request = asked(**fields)
        assert call(request, target(facts=NEWEST)).body is request.raw


class TestSampling:
    def test_models_that_take_none(self) -> None:
        found = sent(target(facts=NEWEST), temperature=0.5, top_p=0.9, top_k=5)
        assert found == body()
        assert notes(target(facts=NEWEST), temperature=0.5, top_p=0.9, top_k=5) == [
            ("changed", "temperature.unsupported", "temperature"),
            ("changed", "top_p.unsupported", "top_p"),
            ("changed", "top_k.unsupported", "top_k"),
        ]

    @pytest.mark.parametrize("value", [1, 1.0])
    def test_the_usual_temperature_is_no_loss(self, value: float) -> None:
        assert notes(target(facts=NEWEST), temperature=value) == [("ignored", "temperature.unsupported", "temperature")]


class TestMaxTokens:
    CLAMPED = ("changed", "max_tokens.clamped", "max_tokens")

    def test_more_than_the_model_gives(self) -> None:
        assert sent(target(facts=OLD), max_tokens=128_000)["max_tokens"] == 64_000
        assert notes(target(facts=OLD), max_tokens=128_000) == [self.CLAMPED]
        assert sent(target(facts=OLD), max_tokens=64_000)["max_tokens"] == 64_000
        assert sent(target(facts=OLD), max_tokens=0)["max_tokens"] == 0

    def test_a_budget_must_be_less(self) -> None:
        asked = {"max_tokens": 128_000, "thinking": enabled(100_000, display="omitted")}
        assert sent(target(facts=OLD), **asked)["thinking"] == enabled(32_000, display="omitted")
        assert notes(target(facts=OLD), **asked) == [self.CLAMPED, ("changed", "thinking.budget", "thinking")]
        assert notes(target(facts=OLD), max_tokens=128_000, thinking=enabled(31_999)) == [self.CLAMPED]

    def test_a_beta_lets_the_model_say_more(self) -> None:
        headers = {"anthropic-beta": "output-300k-2026-03-24"}
        assert sent(target(facts=OLD), max_tokens=300_000, headers=headers)["max_tokens"] == 300_000


class TestThinking:
    @pytest.mark.parametrize(
        ("facts", "given", "made", "note"),
        [
            (NEWEST, enabled(display="omitted"), {**ADAPTIVE, "display": "omitted"}, "thinking.enabled"),
            (NEWEST, OFF, ADAPTIVE, "thinking.always_on"),
            (OLD, ADAPTIVE, enabled(4000), "thinking.adaptive"),
            (OLD, {**ADAPTIVE, "display": "omitted"}, enabled(4000, display="omitted"), "thinking.adaptive"),
            (OLD, {**ADAPTIVE, "display": "updates", "block_binding": {}}, enabled(4000), "thinking.adaptive"),
            (OLD, {"type": "between_tools"}, OFF, "thinking.between_tools"),
            (NEWEST, {"type": "between_tools"}, ADAPTIVE, "thinking.between_tools"),
            ({"thinking_forms": ("adaptive", "between_tools")}, OFF, {"type": "between_tools"}, "thinking.disabled"),
            ({"thinking_forms": ("disabled",)}, enabled(), OFF, "thinking.enabled"),
            ({"thinking_forms": ("disabled",)}, ADAPTIVE, OFF, "thinking.adaptive"),
            ({"thinking_forms": ("between_tools",)}, ADAPTIVE, None, "thinking.adaptive"),
        ],
    )
    def test_forms(self, facts: dict[str, Any], given: Any, made: Any, note: str) -> None:
        assert sent(target(facts=facts), thinking=given).get("thinking") == made
        assert notes(target(facts=facts), thinking=given) == [("changed", note, "thinking")]

    @pytest.mark.parametrize(
        ("given", "effort"),
        [
            (enabled(1024), "low"),
            (enabled(8000), "medium"),
            (enabled(31_999), "high"),
            (enabled(32_000), "xhigh"),
            (enabled("many"), "high"),
            (OFF, "low"),
        ],
    )
    def test_a_budget_becomes_an_effort(self, given: Any, effort: str) -> None:
        to = target(facts=NEWEST)
        assert sent(to, thinking=given)["output_config"] == {"effort": effort}
        kept = sent(to, thinking=given, output_config={"format": {}})["output_config"]
        assert kept == {"format": {}, "effort": effort}
        assert sent(to, thinking=given, output_config={"effort": "max"})["output_config"] == {"effort": "max"}

    def test_no_effort_where_none_is_taken(self) -> None:
        facts = {"thinking_forms": ("adaptive",), "takes_effort": False}
        assert "output_config" not in sent(target(facts=facts), thinking=enabled())
        facts = {"thinking_forms": ("adaptive",)}
        assert sent(target(facts=facts), thinking=enabled(1024))["output_config"] == {"effort": "low"}
        assert sent(target(facts=facts), thinking=OFF)["output_config"] == {"effort": "low"}

    @pytest.mark.parametrize(
        ("effort", "limit", "budget"),
        [
            ("low", 64_000, 2048),
            ("medium", 64_000, 8192),
            ("high", 64_000, 24_576),
            ("max", 64_000, 32_000),
            ("high", 8000, 4000),
            ("high", 1500, 1024),
            ("odd", 64_000, 24_576),
            (7, 64_000, 24_576),
        ],
    )
    def test_an_effort_becomes_a_budget(self, effort: Any, limit: int, budget: int) -> None:
        found = sent(target(facts=OLD), thinking=ADAPTIVE, max_tokens=limit, output_config={"effort": effort})
        assert found["thinking"] == enabled(budget)

    def test_a_count_needs_no_room(self) -> None:
        assert sent(target(facts=OLD), thinking=ADAPTIVE, max_tokens=None)["thinking"] == enabled(24_576)

    def test_the_budgets_lead_back_to_their_efforts(self) -> None:
        for effort in ("low", "medium", "high"):
            assert next(name for limit, name in BUDGETS if EFFORT_BUDGET[effort] < limit) == effort

    def test_no_room_to_think(self) -> None:
        asked: dict[str, Any] = {
            "thinking": ADAPTIVE,
            "max_tokens": 1024,
            "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
        }
        assert sent(target(facts=OLD), **asked) == body(thinking=OFF, max_tokens=1024)
        assert ("changed", "thinking.no_room", "thinking") in notes(target(facts=OLD), **asked)

    def test_a_forced_tool_and_a_budget_exclude_each_other(self) -> None:
        found = sent(target(facts=OLD), thinking=ADAPTIVE, tool_choice={"type": "any"})
        assert (found["thinking"], found["tool_choice"]) == (OFF, {"type": "any"})

    def test_servers_that_take_one_form(self) -> None:
        assert sent(target(thinking="enabled"), thinking=ADAPTIVE)["thinking"] == enabled(4000)
        assert sent(target(thinking="enabled"), thinking=OFF)["thinking"] == OFF
        assert sent(target(thinking="enabled"), thinking=enabled())["thinking"] == enabled()
        assert sent(target(thinking="adaptive"), thinking=enabled())["thinking"] == ADAPTIVE
        neither = target(thinking="enabled", facts={"thinking_forms": ("adaptive", "disabled")})
        assert sent(neither, thinking=ADAPTIVE)["thinking"] == OFF


class TestEffort:
    def test_models_without_one(self) -> None:
        assert sent(target(facts=OLD), output_config={"effort": "high"}) == body()
        both = {"format": {"type": "json_schema"}, "effort": "high"}
        assert sent(target(facts=OLD), output_config=both)["output_config"] == {"format": {"type": "json_schema"}}
        assert notes(target(facts=OLD), output_config=both) == [
            ("changed", "effort.unsupported", "output_config.effort")
        ]

    def test_the_nearest_one(self) -> None:
        to = target(facts={"efforts": ("low", "medium", "high")})
        assert sent(to, output_config={"effort": "xhigh", "x": 1})["output_config"] == {"effort": "high", "x": 1}
        assert notes(to, output_config={"effort": "max"}) == [("changed", "effort.nearest", "output_config.effort")]

    def test_the_strongest_without_thinking(self) -> None:
        to = target(facts={"efforts": ("low", "high", "max"), "efforts_without_thinking": ("low", "high")})
        output = {"output_config": {"effort": "max"}}
        assert sent(to, thinking=OFF, **output)["output_config"] == {"effort": "high"}
        assert notes(to, thinking=OFF, **output) == [("changed", "effort.nearest", "output_config.effort")]
        for thought in (ADAPTIVE, None):
            assert sent(to, thinking=thought, **output)["output_config"] == {"effort": "max"}


class TestForcedTools:
    @pytest.mark.parametrize(
        ("choice", "words"),
        [
            ({"type": "any"}, "Answer with a call of one of the tools."),
            ({"type": "tool"}, "Answer with a call of one of the tools."),
            ({"type": "tool", "name": "Read"}, "Answer with a call of the tool Read."),
        ],
    )
    def test_an_instruction_instead(self, choice: dict[str, Any], words: str) -> None:
        choice = {**choice, "disable_parallel_tool_use": True}
        found = sent(target(facts=NEWEST), tool_choice=choice)
        assert found["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
        assert found["messages"] == [*body()["messages"], {"role": "user", "content": words}]
        assert notes(target(facts=NEWEST), tool_choice=choice) == [("changed", "tool_choice.forced", "tool_choice")]

    @pytest.mark.failure(4)
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("Hurry.", "Hurry.\n\nAnswer with a call of one of the tools."),
            ([text("Hurry.")], [text("Hurry."), text("Answer with a call of one of the tools.")]),
            ([], [text("Answer with a call of one of the tools.")]),
            (None, "Answer with a call of one of the tools."),
        ],
    )
    def test_behind_a_system_turn(self, content: Any, expected: Any) -> None:
        """No turn of the caller may stand behind it."""
        turns = [user(text("Go")), {"role": "system", "content": content, "output_config": {"effort": "low"}}]
        found = said(target(facts=NEWEST), messages=turns, tool_choice={"type": "any"})
        assert found == [turns[0], {**turns[1], "content": expected}]
        folded = said(target(facts={**NEWEST, "system_turns": False}), messages=turns, tool_choice={"type": "any"})
        assert folded[-1] == {"role": "user", "content": "Answer with a call of one of the tools."}


class TestPrefill:
    TO = target(facts={"prefill": False})

    @pytest.mark.parametrize("begun", [assistant(text("So")), {"role": "assistant", "content": "So"}])
    def test_an_instruction_to_go_on(self, begun: dict[str, Any]) -> None:
        turns = [user(text("Go")), begun]
        assert said(self.TO, messages=turns) == [*turns, {"role": "user", "content": CONTINUE}]
        assert notes(self.TO, messages=turns) == [("changed", "prefill.instructed", "messages.1")]

    @pytest.mark.parametrize("content", ["", [], None])
    def test_nothing_was_begun(self, content: Any) -> None:
        turns = [user(text("Go")), {"role": "assistant", "content": content}]
        assert said(self.TO, messages=turns) == turns[:1]

    def test_what_was_begun_by_another_vendor_alone(self) -> None:
        assert said(self.TO, messages=[user(text("Go")), assistant(thinking())]) == [user(text("Go"))]

    def test_answers_that_go_on_are_no_prefill(self) -> None:
        search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
        for last in (assistant(text("I look."), search), assistant(use("toolu_1"))):
            turns = [user(text("Go")), last]
            assert said(self.TO, messages=turns) == turns

    def test_with_a_forced_tool(self) -> None:
        facts = {"prefill": False, "forced_tool_choice": False}
        turns = [user(text("Go")), assistant(text("So"))]
        found = said(target(facts=facts), messages=turns, tool_choice={"type": "any"})
        assert found[2]["content"] == f"{CONTINUE}\n\nAnswer with a call of one of the tools."

    def test_no_turns_at_all(self) -> None:
        assert said(self.TO, messages=[]) == []


def test_all_at_once_is_still_the_same_body_elsewhere() -> None:
    made = called(target(facts=NEWEST, model="claude-opus-5-5"), metadata={"user_id": "é"}, **FULL)
    assert made.recall.model == "claude-opus-4-6"
    assert sent(target(facts=NEWEST, model="claude-opus-5-5"), metadata={"user_id": "é"}, **FULL) == body(
        model="claude-opus-5-5",
        metadata={"user_id": "é"},
        thinking=ADAPTIVE,
        output_config={"effort": "xhigh"},
        tool_choice={"type": "auto"},
        messages=[
            *FULL["messages"],  # type: ignore[misc]
            {"role": "user", "content": f"{CONTINUE}\n\nAnswer with a call of one of the tools."},
        ],
    )
