"""Histories made well-formed: the cases that upstreams refuse, and the laws."""

import re
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.messages import state
from dragoman.messages.body import Block, Turn
from dragoman.messages.conversation import NO_RESULT, Settled, settle, system_text, thinking_owner
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.rendering import as_text, content_of
from dragoman.messages.request import decode
from messages.conversations import IMAGE, Json, assistant, block, body, call, result, system, text, user


def settled(*turns: Json, fold: bool = True) -> tuple[list[Settled], list[Note]]:
    notes: list[Note] = []
    return settle(body(messages=list(turns)).messages, notes, fold_system=fold), notes


def seen(turns: list[Settled]) -> list[tuple[str, list[tuple[str | None, Any]], list[str]]]:
    """Role, results, and the text (or type) of the blocks."""
    return [
        (
            turn.role,
            [(one.tool_use_id, one.content) for one in turn.results],
            [one.text if one.type == "text" and one.text else one.type for one in turn.blocks],
        )
        for turn in turns
    ]


# The system prompt


@pytest.mark.failure(1, 3)
def test_the_attribution_block_is_dropped() -> None:
    prompts = [
        [
            text(f"x-anthropic-billing-header: cc_version=2.1.329.{mark}; cc_entrypoint=cli; cch={mark};"),
            text("You are Claude Code."),
            {**text("Be brief."), "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ]
        for mark in ("48f", "71f")
    ]
    first, second = (system_text(body(system=prompt).system) for prompt in prompts)
    assert first == second
    assert [one.text for one in first] == ["You are Claude Code.", "Be brief."]
    assert first[1].cache_control is not None


@pytest.mark.failure(1, 3)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_the_attribution_line_of_a_string_swallows_nothing(end: str) -> None:
    line = f"x-anthropic-billing-header: cch=71fea;{end}"
    assert [one.text for one in system_text(line + "You are helpful.\nBe brief.")] == ["You are helpful.\nBe brief."]
    assert system_text(line) == []
    assert system_text(line + " \n") == []


@pytest.mark.failure(3, 6)
def test_system_in_every_form() -> None:
    assert system_text(None) == []
    assert system_text("") == []
    assert system_text([]) == []
    assert [one.text for one in system_text("plain")] == ["plain"]
    mixed = body(system=[text(""), text(" \n"), text("kept"), {"type": "container_upload", "file_id": "file_1"}]).system
    assert [one.text for one in system_text(mixed)] == ["kept", "[Uploaded file: file_1]"]
    quoted = "What is x-anthropic-billing-header: for?"
    assert [one.text for one in system_text(quoted)] == [quoted]


# Turns


@pytest.mark.failure(4)
def test_system_turns_fold_into_the_user_turn_before() -> None:
    turns, notes = settled(
        user("question"), system("reminder"), assistant("answer"), user("next"), system(text("one"), text("two"))
    )
    assert seen(turns) == [
        ("user", [], ["question", "<system-reminder>\nreminder\n</system-reminder>"]),
        ("assistant", [], ["answer"]),
        ("user", [], ["next", "<system-reminder>\none\n\ntwo\n</system-reminder>"]),
    ]
    assert turns[0].places == ("messages.0.content", "messages.1.content")
    assert notes == [Note("changed", "system.folded", "messages.1"), Note("changed", "system.folded", "messages.4")]


@pytest.mark.failure(4)
def test_system_turns_without_a_user_turn_before() -> None:
    assert seen(settled(system("first"), user("question"))[0]) == [
        ("user", [], ["<system-reminder>\nfirst\n</system-reminder>", "question"])
    ]
    turns, _ = settled(user("q"), assistant("a"), system("alone"), assistant("b"))
    assert seen(turns)[2] == ("user", [], ["<system-reminder>\nalone\n</system-reminder>"])
    assert turns[2].place == "messages.2"


def test_a_reminder_is_wrapped_once_and_keeps_its_breakpoint() -> None:
    wrapped = "<system-reminder>\nx\n</system-reminder>"
    turns, _ = settled(user("q"), system({**text(wrapped), "cache_control": {"type": "ephemeral"}}, text("more")))
    assert turns[0].blocks[1].text == wrapped + "\n\nmore"
    assert turns[0].blocks[1].cache_control is not None


@pytest.mark.failure(4)
def test_system_turns_that_are_kept_stay_in_place_behind_results() -> None:
    turns, notes = settled(
        user("q"),
        system("one"),
        system("two"),
        assistant(call("a")),
        system("between"),
        user(text("more"), result("a")),
        fold=False,
    )
    assert seen(turns) == [
        ("user", [], ["q"]),
        ("system", [], ["one", "two"]),
        ("assistant", [], ["tool_use"]),
        ("user", [("a", "out")], []),
        ("system", [], ["between"]),
        ("user", [], ["more"]),
    ]
    assert [turn.place for turn in turns] == [f"messages.{index}" for index in (0, 1, 3, 4, 4, 5)]
    assert notes == []


def test_results_before_a_kept_system_turn_share_the_user_turn() -> None:
    turns, _ = settled(assistant(call("a")), user(result("a"), text("t")), system("s"), user("u"), fold=False)
    assert seen(turns)[1:] == [("user", [("a", "out")], ["t"]), ("system", [], ["s"]), ("user", [], ["u"])]


@pytest.mark.parametrize("fold", [True, False])
def test_system_turns_without_text_leave_nothing(fold: bool) -> None:
    for content in ([], "", None, [text(" ")], [{"type": "tool_addition", "tool": {"type": "tool_reference"}}]):
        turns, notes = settled(
            user("q"), {"role": "system", "content": content, "output_config": {"effort": "low"}}, user("r"), fold=fold
        )
        assert seen(turns) == [("user", [], ["q", "r"])]
        assert [note.code for note in notes] == (["text.empty"] if content and content[0] == text(" ") else [])


def test_other_blocks_in_system_turns_become_text() -> None:
    turns, notes = settled(user("q"), system(text("look"), IMAGE), fold=False)
    assert seen(turns)[1] == ("system", [], ["look", "[image]"])
    assert notes == [Note("changed", "system.block", "messages.1.content.1")]
    turns, notes = settled(user("q"), system({"type": "thinking", "thinking": "hm", "signature": ""}))
    assert seen(turns) == [("user", [], ["q"])]
    assert notes == [Note("changed", "system.block", "messages.1.content.0")]


def test_a_system_turn_that_should_be_cleared_stays() -> None:
    _, notes = settled(user("q"), system("now", clear_at="next_user_message"), fold=False)
    assert notes == [Note("changed", "system.clear_at", "messages.1.clear_at")]
    _, notes = settled(user("q"), system("now", clear_at="never"), fold=False)
    assert notes == []


@pytest.mark.failure(6)
def test_empty_text_is_dropped() -> None:
    turns, notes = settled(
        user(text(""), text("q")),
        assistant({"type": "thinking", "thinking": "", "signature": ""}, text(""), call("a")),
        user(result("a"), text(" \n\t")),
        assistant("\n"),
    )
    assert seen(turns) == [
        ("user", [], ["q"]),
        ("assistant", [], ["thinking", "tool_use"]),
        ("user", [("a", "out")], []),
    ]
    assert turns[0].places == ("messages.0.content.1",)
    assert notes == [
        Note("ignored", "text.empty", "messages.0.content.0"),
        Note("ignored", "text.empty", "messages.1.content.1"),
        Note("ignored", "text.empty", "messages.2.content.1"),
        Note("ignored", "text.empty", "messages.3.content"),
    ]


def test_neighbours_of_one_role_are_merged_and_empty_turns_dropped() -> None:
    turns, notes = settled(
        user("a"),
        user(),
        user(text("b"), IMAGE),
        assistant("c"),
        {"role": "assistant", "content": None},
        assistant("d"),
    )
    assert seen(turns) == [("user", [], ["a", "b", "image"]), ("assistant", [], ["c", "d"])]
    assert turns[0].places == ("messages.0.content", "messages.2.content.0", "messages.2.content.1")
    assert notes == [Note("ignored", "turn.empty", "messages.1"), Note("ignored", "turn.empty", "messages.4")]
    assert settled() == ([], [])


def test_what_was_sent_does_not_merge_with_what_follows_an_empty_turn() -> None:
    """Else the upstream's first item would change when the conversation goes on."""
    assert seen(settled(user("a"), assistant())[0]) == [("user", [], ["a"])]
    assert seen(settled(user("a"), assistant(), user("b"))[0]) == [("user", [], ["a"]), ("user", [], ["b"])]


@pytest.mark.parametrize("role", ["developer", "tool", "", "User"])
def test_unknown_roles_are_named(role: str) -> None:
    with pytest.raises(ApiError, match=r"^messages\.1\.role: ") as caught:
        settled(user("q"), {"role": role, "content": "x"})
    assert caught.value.kind == "invalid_request"


@pytest.mark.parametrize(
    ("turn", "place"),
    [
        (assistant({"type": "tool_use", "name": "x", "input": {}}), "messages.0.content.0.id"),
        (assistant(text("t"), {"type": "tool_use", "id": "x", "name": "", "input": {}}), "messages.0.content.1.name"),
        (user({"type": "tool_result", "content": "x"}), "messages.0.content.0.tool_use_id"),
    ],
)
def test_calls_and_results_need_their_ids(turn: Json, place: str) -> None:
    with pytest.raises(ApiError, match=rf"^{re.escape(place)}: Field required$"):
        settled(turn)


# Calls and results


@pytest.mark.failure(13)
def test_results_come_first_in_the_order_of_the_calls() -> None:
    turns, notes = settled(
        user("q"),
        assistant(text("let me"), call("a"), call("b")),
        user(result("b", "B"), text("note"), IMAGE, result("a", "A"), text("end")),
    )
    assert seen(turns)[2] == ("user", [("a", "A"), ("b", "B")], ["note", "image", "end"])
    assert turns[2].result_places == ("messages.2.content.3", "messages.2.content.0")
    assert turns[2].places == ("messages.2.content.1", "messages.2.content.2", "messages.2.content.4")
    assert [one.id for one in turns[1].calls] == ["a", "b"]
    assert notes == []


@pytest.mark.failure(14)
@pytest.mark.parametrize("content", [[], None, "", [text("a"), text("b"), IMAGE], [{"type": "browser_state"}]])
def test_one_result_whatever_is_in_it(content: Any) -> None:
    turns, notes = settled(assistant(call("a")), user(result("a", content)))
    assert len(turns[1].results) == 1
    assert notes == []


@pytest.mark.failure(14)
def test_several_results_for_one_call_become_one() -> None:
    turns, notes = settled(
        assistant(call("a")),
        user(result("a", "one"), result("a", [text("two"), IMAGE], is_error=True)),
        user({**result("a", ""), "cache_control": {"type": "ephemeral"}}),
    )
    merged = turns[1].results[0]
    assert [one.text or one.type for one in content_of(merged)] == ["one", "two", "image"]
    assert merged.is_error is True
    assert merged.cache_control is not None
    assert notes == [
        Note("changed", "tool_result.merged", "messages.1.content.1"),
        Note("changed", "tool_result.merged", "messages.2.content.0"),
    ]


def test_merged_results_are_no_error_when_none_was() -> None:
    turns, _ = settled(assistant(call("a")), user(result("a", "1"), result("a", "2", is_error=False)))
    assert not turns[1].results[0].is_error


@pytest.mark.failure(18)
@pytest.mark.parametrize(
    "following",
    [
        [user("go on")],
        [user("go on"), assistant("b"), user(result("b"))],
        [user(text(" "))],
        [system("s")],
        [system(), assistant("b")],
        [user(result("b", "B"), text("stopped"))],
    ],
)
@pytest.mark.parametrize("fold", [True, False])
def test_missing_results_are_made_up(following: list[Json], fold: bool) -> None:
    turns, notes = settled(user("q"), assistant(call("a"), call("b")), *following, fold=fold)
    assert (turns[2].results[0].tool_use_id, turns[2].results[0].content) == ("a", NO_RESULT)
    assert turns[2].results[1].tool_use_id == "b"
    assert turns[2].result_places[0] == "messages.1.content.0"
    assert Note("changed", "tool_result.missing", "messages.1.content.0") in notes


@pytest.mark.failure(18)
def test_a_call_at_the_very_end_waits_for_its_result() -> None:
    turns, notes = settled(user("q"), assistant(call("a")))
    assert seen(turns) == [("user", [], ["q"]), ("assistant", [], ["tool_use"])]
    assert notes == []


def test_assistant_turns_in_a_row_share_the_results_that_follow() -> None:
    turns, notes = settled(assistant(call("a")), assistant(text("and"), call("b")), user(result("a"), result("b")))
    assert seen(turns) == [
        ("assistant", [], ["tool_use", "and", "tool_use"]),
        ("user", [("a", "out"), ("b", "out")], []),
    ]
    assert turns[0].places == ("messages.0.content.0", "messages.1.content.0", "messages.1.content.1")
    assert notes == []


@pytest.mark.failure(18)
def test_orphan_results_become_text_of_the_user() -> None:
    turns, notes = settled(
        user("q"),
        assistant("a"),
        user(
            text("before"),
            result("gone", "output"),
            {
                **result("gone2", [text("failed"), text(""), IMAGE], is_error=True),
                "cache_control": {"type": "ephemeral"},
            },
            result("gone3", None),
        ),
    )
    assert seen(turns)[2] == (
        "user",
        [],
        [
            "before",
            "[Result of a tool]\noutput",
            "[Error result of a tool]",
            "failed",
            "image",
            "[Result of a tool]",
        ],
    )
    assert turns[2].places[3:5] == ("messages.2.content.2.content.0", "messages.2.content.2.content.2")
    assert turns[2].blocks[2].cache_control is not None
    assert [note.code for note in notes] == ["tool_result.orphan"] * 3


def test_a_result_that_comes_too_late_is_an_orphan() -> None:
    turns, notes = settled(assistant(call("a")), user("x"), assistant("b"), user(result("a", "late")))
    assert turns[1].results[0].content == NO_RESULT
    assert seen(turns)[3] == ("user", [], ["[Result of a tool]\nlate"])
    assert {note.code for note in notes} == {"tool_result.missing", "tool_result.orphan"}


def test_calls_and_results_in_the_wrong_role_become_text() -> None:
    turns, notes = settled(user(call("a", "Bash")), assistant(result("a", "out")))
    assert seen(turns) == [
        ("user", [], ["[Called Bash: {}]"]),
        ("assistant", [], ["[Result of a tool]\nout"]),
    ]
    assert [note.code for note in notes] == ["tool_use.misplaced", "tool_result.misplaced"]


@pytest.mark.failure(64)
def test_ids_that_come_again_are_told_apart() -> None:
    turns, notes = settled(
        user("q"),
        assistant(call("a"), call("a_2")),
        user(result("a", "1"), result("a_2", "2")),
        assistant(call("a")),
        user(result("a", "3")),
    )
    assert [one.id for turn in turns for one in turn.calls] == ["a", "a_2", "a_3"]
    assert seen(turns)[4] == ("user", [("a_3", "3")], [])
    assert notes == [Note("ignored", "tool_id.duplicate", "messages.3.content.0.id")]


@pytest.mark.failure(64)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["1", "2"], ["1", "2"]),
        (["1"], ["1", NO_RESULT]),
        (["1", "2", "3"], ["1", "2\n3"]),
        ([], [NO_RESULT, NO_RESULT]),
    ],
)
def test_one_id_twice_in_one_turn(given: list[str], expected: list[str]) -> None:
    turns, _ = settled(assistant(call("a"), call("a")), user(*(result("a", said) for said in given), text("t")))
    assert [one.id for one in turns[0].calls] == ["a", "a_2"]
    assert [one.tool_use_id for one in turns[1].results] == ["a", "a_2"]
    assert ["\n".join(inner.text or "" for inner in content_of(one)) for one in turns[1].results] == expected


def test_blocks_that_need_no_change_are_the_same_objects() -> None:
    turns = body(messages=[user(text("q"), IMAGE), assistant(call("a")), user(result("a", [IMAGE]))]).messages
    out = settle(turns, [], fold_system=True)
    assert all(isinstance(turn.content, list) for turn in turns)
    assert out[0].blocks[0] is turns[0].content[0]  # type: ignore[index]
    assert out[1].blocks[0] is turns[1].content[0]  # type: ignore[index]
    assert out[2].results[0] is turns[2].content[0]  # type: ignore[index]


# Laws: any history

IDS = st.sampled_from(["a", "b", "a_2", "call.1"])
WORDS = st.sampled_from(["<w>", "<w> and <w>", "", " \n", "<system-reminder><w>"])
TEXTS = st.builds(text, WORDS)
INNER = TEXTS | st.just(IMAGE) | st.just({"type": "tool_reference", "tool_name": "<w>"})
CONTENT = st.none() | WORDS | st.lists(INNER, max_size=3)
BLOCKS = (
    TEXTS
    | st.builds(call, IDS)
    | st.builds(result, IDS, CONTENT)
    | st.builds(result, IDS, CONTENT, is_error=st.just(True))
    | st.sampled_from(
        [
            IMAGE,
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}},
            {"type": "novelty", "shape": [1]},
        ]
    )
)
TURNS = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["user", "assistant", "user", "assistant", "system"]),
    st.none() | WORDS | st.lists(BLOCKS, max_size=4),
)
HISTORIES = st.lists(TURNS, max_size=8)


def with_unique_words(turns: list[Json]) -> list[Turn]:
    """Every `<w>` gets a number of its own, so that each word can be followed."""
    parts = msgspec.json.encode({"model": "m", "max_tokens": 1, "messages": turns}).split(b"<w>")
    raw = b"".join(part + b"w%d." % number for number, part in enumerate(parts[:-1])) + parts[-1]
    return decode(raw).body.messages


def words(*turns: Settled) -> list[str]:
    shown = "\n".join(as_text(one) for turn in turns for one in (*turn.results, *turn.blocks))
    return re.findall(r"w\d+\.", shown)


@given(HISTORIES, st.booleans())
def test_every_call_has_one_result_right_behind_it(history: list[Json], fold: bool) -> None:
    out = settle(with_unique_words(history), [], fold_system=fold)
    calls: tuple[Block, ...] = ()
    for turn in out:
        assert [one.tool_use_id for one in turn.results] == [one.id for one in calls]
        assert not turn.results or turn.role == "user"
        calls = turn.calls
        assert not calls or turn.role == "assistant"
    ids = [one.id for turn in out for one in turn.calls]
    assert len(set(ids)) == len(ids)


@given(HISTORIES, st.booleans())
def test_text_is_kept_and_nothing_is_said_twice(history: list[Json], fold: bool) -> None:
    turns = with_unique_words(history)
    given_words = re.findall(r"w\d+\.", msgspec.json.encode(turns).decode())
    assert sorted(words(*settle(turns, [], fold_system=fold))) == sorted(given_words)


@given(HISTORIES, st.booleans())
def test_what_comes_out_is_well_formed(history: list[Json], fold: bool) -> None:
    turns = with_unique_words(history)
    out = settle(turns, [], fold_system=fold)
    for turn in out:
        assert turn.results or turn.blocks
        assert len(turn.places) == len(turn.blocks)
        assert len(turn.result_places) == len(turn.results)
        assert all(one.type != "text" or (one.text and not one.text.isspace()) for one in turn.blocks)
        assert all(one.type != "tool_result" for one in turn.blocks)
        assert turn.role != "system" or (not fold and all(one.type == "text" for one in turn.blocks))
    empty = {index for index, turn in enumerate(turns) if not settle([turn], [], fold_system=fold)}
    for before, after in pairwise(out):
        if before.role == after.role:  # only across turns that had nothing to say
            assert empty & set(range(number(before), number(after)))


def number(turn: Settled) -> int:
    return int(turn.place.split(".")[1])


ANSWERS = st.builds(lambda turn: {**turn, "role": "assistant"}, TURNS)
NEXT = st.builds(lambda turn, role: {**turn, "role": role}, TURNS, st.sampled_from(["user", "system"]))


@given(HISTORIES, ANSWERS, NEXT, HISTORIES, st.booleans())
def test_append_only(history: list[Json], answer: Json, following: Json, later: list[Json], fold: bool) -> None:
    turns = with_unique_words([*history, answer, following, *later])
    notes: list[Note] = []
    longer_notes: list[Note] = []
    short = settle(turns[: len(history) + 1], notes, fold_system=fold)
    assert settle(turns, longer_notes, fold_system=fold)[: len(short)] == short
    assert longer_notes[: len(notes)] == notes


@given(HISTORIES, st.booleans())
def test_deterministic_and_the_input_unchanged(history: list[Json], fold: bool) -> None:
    turns = with_unique_words(history)
    was = msgspec.json.encode(turns)
    first: list[Note] = []
    second: list[Note] = []
    assert settle(turns, first, fold_system=fold) == settle(turns, second, fold_system=fold)
    assert first == second
    assert msgspec.json.encode(turns) == was


@given(HISTORIES)
def test_notes_name_places_and_hold_no_text(history: list[Json]) -> None:
    notes: list[Note] = []
    settle(with_unique_words(history), notes, fold_system=True)
    for note in notes:
        assert re.fullmatch(r"[a-z_.]+", note.code)
        assert re.fullmatch(r"messages\.\d+(\.content(\.\d+)?)?(\.id|\.clear_at)?", note.place)


@pytest.mark.failure(131)
def test_only_our_own_state_has_an_owner() -> None:
    packed = state.pack("chat", "openai", {"id": "rs_1"})
    thought = block(type="thinking", thinking="hm", signature=packed)
    assert thinking_owner(thought) == state.State("chat", "openai", {"id": "rs_1"})
    assert thinking_owner(block(type="redacted_thinking", data=packed)) == thinking_owner(thought)
    for foreign in ("", "EqQBCkYIBxgCKkB", packed[:-1]):
        assert thinking_owner(block(type="thinking", thinking="hm", signature=foreign)) is None
    assert thinking_owner(block(type="redacted_thinking")) is None
