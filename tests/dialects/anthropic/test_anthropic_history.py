"""Earlier turns, where Anthropic would refuse them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.asking_messages import (
    NEWEST,
    OURS,
    asked,
    body,
    by_claude,
    called,
    notes,
    redacted,
    said,
    sent,
    target,
    thinking,
)
from dialects.chat.asking import assistant, result, text, use, user
from dragoman.dialects.anthropic.request import call

DROPPED = ("ignored", "thinking.dropped", "")
MANUAL = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
CLEARING = {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}
CALL, DONE = use("toolu_1"), user(result("toolu_1"))
MINE = thinking(by_claude())


@pytest.mark.failure(69)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("more", [{}, {"seed": 7}])
def test_claudes_own_stays_byte_for_byte(indent: int | None, more: dict[str, int]) -> None:
    blocks = [MINE, thinking(by_claude(envelope=2), ""), redacted(by_claude(3, twice=True)), text("é"), CALL]
    raw = json.dumps(body(messages=[user(text("Go")), assistant(*blocks), DONE], **MANUAL, **more), indent=indent)
    made = call(asked(raw.encode()), target())
    assert made.body is asked(raw.encode()).raw or made.body == raw.encode()
    assert made.notes == ()


@pytest.mark.failure(68)
@pytest.mark.parametrize(
    "block", [thinking(), thinking(""), thinking(None), thinking("3f1c7a52-1f0e-4a36-9f39-4f6c1a4b3c11"), redacted()]
)
def test_all_foreign_thinking_goes(block: dict[str, Any]) -> None:
    turns = [
        user(text("One")),
        assistant(block, text("1"), block),
        user(text("Two")),
        assistant(MINE, text("2")),
        user(text("Three")),
        assistant(block, text("3")),
        user(text("Four")),
    ]
    made = called(messages=turns)
    found = json.loads(made.body)["messages"]
    assert [turn["content"] for turn in found if turn["role"] == "assistant"] == [
        [text("1")],
        [MINE, text("2")],
        [text("3")],
    ]
    assert [(note.grade, note.code, note.place) for note in made.notes] == [DROPPED]


def test_every_other_byte_stays() -> None:
    raw = (
        b'{ "model" : "claude-opus-4-6","max_tokens":1000, "x":"\\ud83d",\n'
        b'"messages":[ {"role":"user","content":"\\u0041"},'
        b'{"content":[ {"type":"thinking","thinking":"a","signature":""} , {"type":"text", "text":"\\/"}],"role":'
        b'"assistant"},{"role":"user","content":[]} ] }'
    )
    made = call(asked(raw), target())
    assert made.body == raw.replace(b'{"type":"thinking","thinking":"a","signature":""} , ', b"")


def test_a_turn_that_holds_nothing_else_goes() -> None:
    turns = [user(text("One")), assistant(thinking(), redacted()), user(text("Two"))]
    assert said(messages=turns) == [turns[0], turns[2]]


def test_an_empty_answer_of_ours_goes_too() -> None:
    turns = [user(text("One")), assistant(thinking(), text("")), user(text("Two"))]
    assert said(messages=turns) == [turns[0], turns[2]]
    odd = [user(text("One")), assistant(thinking(), {"type": "text"}, {"type": "text", "text": 7}), user(text("Two"))]
    assert said(messages=odd) == [odd[0], odd[2]]
    untouched = [user(text("One")), assistant(text("")), user(text("Two"))]
    assert said(messages=untouched) == untouched


def test_other_vendors_get_their_own_back_and_never_ours() -> None:
    theirs = [thinking(""), thinking("3f1c7a52"), thinking(None), redacted("abc")]
    turns = [user(text("One")), assistant(*theirs, thinking(OURS), redacted(OURS), text("1")), user(text("Two"))]
    found = said(target(signatures="own"), messages=turns)
    assert found[1]["content"] == [*theirs, text("1")]


def test_thinking_of_a_caller_is_the_callers_mistake() -> None:
    turns = [user(thinking(), text("One"))]
    assert said(messages=turns) == turns


def test_after_a_refusal_all_thinking_goes() -> None:
    turns = [user(text("One")), assistant(MINE, redacted(by_claude()), text("1")), user(text("Two"))]
    assert said(target(thinking_history="drop"), messages=turns)[1]["content"] == [text("1")]
    assert notes(target(thinking_history="drop"), messages=turns) == [DROPPED]


class TestToolLoop:
    OFF = ("changed", "thinking.off_in_loop", "thinking")

    @pytest.mark.failure(170)
    def test_manual_thinking_goes_off_when_the_loop_lost_its_thinking(self) -> None:
        turns = [user(text("Go")), assistant(thinking(), CALL), DONE]
        found = sent(messages=turns, **MANUAL, **CLEARING)
        assert found["thinking"] == {"type": "disabled"}
        assert "context_management" not in found
        assert notes(messages=turns, **MANUAL, **CLEARING) == [
            DROPPED,
            self.OFF,
            ("changed", "clear_thinking.without_thinking", "context_management.edits"),
        ]

    def test_other_edits_of_the_context_stay(self) -> None:
        turns = [user(text("Go")), assistant(thinking(), CALL), DONE]
        edits = [*CLEARING["context_management"]["edits"], {"type": "clear_tool_uses_20250919"}]
        found = sent(messages=turns, **MANUAL, context_management={"edits": edits})
        assert found["context_management"] == {"edits": edits[1:]}
        found = sent(messages=turns, **MANUAL, context_management={"edits": edits[:1], "more": 1})
        assert found["context_management"] == {"more": 1}
        for odd in ({"edits": 7}, {"edits": [7, {"type": "compact_20260112"}]}, 7):
            assert sent(messages=turns, **MANUAL, context_management=odd)["context_management"] == odd

    def test_adaptive_thinking_needs_no_thinking_in_the_loop(self) -> None:
        turns = [user(text("Go")), assistant(thinking(), CALL), DONE]
        found = sent(messages=turns, thinking={"type": "adaptive"}, **CLEARING)
        assert found["thinking"] == {"type": "adaptive"}
        assert "context_management" in found

    @pytest.mark.parametrize(
        ("turns", "goes_off"),
        [
            # The loop is over, or there is none.
            ([user(text("Go")), assistant(thinking(), CALL), DONE, assistant(text("So.")), user(text("Ah"))], False),
            ([user(text("Go")), assistant(thinking(), text("So."))], False),
            # It begins with Claude's own.
            ([assistant(thinking(), text("So.")), user(text("Go")), assistant(MINE, CALL), DONE], False),
            ([user(text("Go")), assistant(MINE, thinking(), CALL), DONE], False),
            ([user(text("Go")), assistant(MINE, CALL), DONE, assistant(text("x"), thinking(), CALL), DONE], False),
            # The last turn lost what it began with; or the first has none, by a model that does not think.
            ([user(text("Go")), assistant(MINE, CALL), DONE, assistant(thinking(), CALL), DONE], True),
            ([user(text("Go")), assistant(thinking(), CALL), DONE, assistant(MINE, CALL), DONE], True),
            ([assistant(thinking(), text("So.")), user(text("Go")), assistant(CALL), DONE], True),
            ([user(text("Go")), assistant(thinking(), CALL), DONE, {"role": "system", "content": "x"}], True),
            ([assistant(thinking(), CALL), DONE], True),
            # A turn that goes as a whole is no part of it.
            ([user(text("Go")), assistant(MINE, CALL), DONE, assistant(thinking()), DONE], False),
        ],
    )
    def test_which_loops(self, turns: list[dict[str, Any]], goes_off: bool) -> None:
        assert (self.OFF in notes(messages=turns, **MANUAL)) is goes_off

    def test_after_a_refusal_it_goes_off_whatever_was_there(self) -> None:
        turns = [user(text("Go")), assistant(CALL), DONE]
        assert sent(messages=turns, **MANUAL)["thinking"] == MANUAL["thinking"]
        assert sent(target(thinking_history="drop"), messages=turns, **MANUAL)["thinking"] == {"type": "disabled"}

    def test_thinking_that_was_made_manual_here_does_too(self) -> None:
        turns = [user(text("Go")), assistant(CALL), DONE]
        found = sent(target(thinking="enabled"), messages=turns, thinking={"type": "adaptive"})
        assert found["thinking"] == {"type": "disabled"}


SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}


class TestSearches:
    def found(self, sealed: str) -> dict[str, Any]:
        page = {"type": "web_search_result", "url": "https://x.example", "title": "X", "encrypted_content": sealed}
        return {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [page]}

    def cited(self, sealed: str) -> dict[str, Any]:
        row = {"type": "web_search_result_location", "url": "https://x.example", "encrypted_index": sealed}
        return text("So.", citations=[row])

    def test_what_another_server_found_goes(self) -> None:
        turns = [user(text("Go")), assistant(SEARCH, self.found(""), self.cited("")), user(text("And?"))]
        assert said(messages=turns)[1]["content"] == [text("So.")]
        assert notes(messages=turns) == [
            ("lost", "web_search_tool_result.foreign", "messages.1.content.1"),
            ("changed", "citations.foreign", "messages.1.content.2.citations"),
        ]
        assert said(target(signatures="own"), messages=turns) == turns

    def test_anthropics_own_stays(self) -> None:
        error = {**self.found(""), "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"}}
        kept = [SEARCH, self.found("Eo8C"), self.cited("Eo8B"), SEARCH, error]
        turns = [user(text("Go")), assistant(*kept, text("x", citations=None)), user(text("And?"))]
        assert said(messages=turns) == turns


SIGNATURES = st.sampled_from([by_claude(), by_claude(envelope=2), OURS, "", "sig"])


@given(
    turns=st.lists(st.lists(SIGNATURES, max_size=3), max_size=5),
    more=st.lists(SIGNATURES, max_size=2),
)
def test_what_was_sent_stays_the_beginning(turns: list[list[str]], more: list[str]) -> None:
    def history(rows: list[list[str]]) -> list[dict[str, Any]]:
        return [turn for row in rows for turn in (user(text("x")), assistant(*map(thinking, row), text("y")))]

    before = said(target(facts=NEWEST), messages=[*history(turns), user(text("x"))])
    after = said(target(facts=NEWEST), messages=[*history([*turns, more]), user(text("x"))])
    assert after[: len(before)] == before
