"""Histories made well-formed: the cases that upstreams refuse, and the laws."""

import re
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.messages import state
from dragoman.messages.body import Block, Body, Turn
from dragoman.messages.conversation import NO_RESULT, Settled, settle, system_text, thinking_owner
from dragoman.messages.deferred import loaded_tools
from dragoman.messages.effort import last_effort
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.rendering import as_text, content_of
from dragoman.messages.request import decode

Json = dict[str, Any]


def body(**fields: Any) -> Body:
    fields = {"model": "m", "max_tokens": 1, "messages": [], **fields}
    return decode(msgspec.json.encode(fields)).body


def block(**fields: Any) -> Block:
    return msgspec.json.decode(msgspec.json.encode(fields), type=Block)


def settled(*turns: Json, fold: bool = True) -> tuple[list[Settled], list[Note]]:
    notes: list[Note] = []
    return settle(body(messages=list(turns)).messages, notes, fold_system=fold), notes


def user(*content: Any) -> Json:
    return {"role": "user", "content": content[0] if content and isinstance(content[0], str) else list(content)}


def assistant(*content: Any) -> Json:
    return {**user(*content), "role": "assistant"}


def system(*content: Any, **fields: Any) -> Json:
    return {**user(*content), "role": "system", **fields}


def text(said: str) -> Json:
    return {"type": "text", "text": said}


def call(id_: str, name: str = "Bash") -> Json:
    return {"type": "tool_use", "id": id_, "name": name, "input": {}}


def result(id_: str, content: Any = "out", **fields: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **fields}


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}


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


# Tools


def tools(*rows: Json) -> list[Json]:
    return [{"input_schema": {"type": "object"}, **row} for row in rows]


DEFERRED = tools(
    {"name": "ToolSearch"},
    {"name": "WebFetch", "defer_loading": True},
    {"name": "DeferredToolPlaceholder", "defer_loading": True},
    {"name": "Edit", "defer_loading": True},
    {"name": "Bash", "defer_loading": False},
)


def loaded(*turns: Json, rows: list[Json] = DEFERRED, **fields: Any) -> list[tuple[int, str | None]]:
    return [(index, tool.name) for index, tool in loaded_tools(body(messages=list(turns), tools=rows, **fields))]


def change(kind: str, **tool: Any) -> Json:
    return {"type": kind, "tool": tool}


@pytest.mark.failure(15)
def test_deferred_tools_wait_until_they_are_named() -> None:
    reference = {"type": "tool_reference", "tool_name": "WebFetch"}
    assert loaded(user("q")) == [(0, "ToolSearch"), (4, "Bash")]
    searched = user(result("a", [reference, text("ok")]))
    assert loaded(user("q"), assistant(call("a")), searched) == [(0, "ToolSearch"), (1, "WebFetch"), (4, "Bash")]
    notes: list[Note] = []
    loaded_tools(body(messages=[user("q")], tools=DEFERRED), notes)
    assert notes == [Note("ignored", "tools.deferred", f"tools.{index}") for index in (1, 2, 3)]


@pytest.mark.failure(15)
def test_results_of_a_server_search_load_tools() -> None:
    found = {
        "type": "tool_search_tool_search_result",
        "tool_references": [{"type": "tool_reference", "tool_name": "Edit"}],
    }
    turn = assistant({"type": "tool_search_tool_result", "tool_use_id": "s", "content": found})
    assert loaded(user("q"), turn) == [(0, "ToolSearch"), (3, "Edit"), (4, "Bash")]


def test_the_stub_is_never_sent() -> None:
    named = user(result("a", [{"type": "tool_reference", "tool_name": "DeferredToolPlaceholder"}]))
    assert loaded(named) == [(0, "ToolSearch"), (4, "Bash")]
    assert loaded(rows=tools({"name": "DeferredToolPlaceholder"})) == [(0, "DeferredToolPlaceholder")]


def test_additions_and_removals_in_their_order() -> None:
    add = change("tool_addition", type="tool_reference", name="Edit")
    remove = change("tool_removal", type="tool_reference", name="Edit")
    assert (3, "Edit") in loaded(user("q"), system(text("you may edit"), add))
    assert (3, "Edit") not in loaded(user("q"), system(add), assistant("a"), user("q"), system(remove))
    assert (3, "Edit") in loaded(user("q"), system(remove), assistant("a"), user("q"), system(add))
    gone = system(change("tool_removal", type="tool_reference", tool_name="Bash"))
    assert (4, "Bash") not in loaded(user("q"), gone)
    notes: list[Note] = []
    loaded_tools(body(messages=[user("q"), gone], tools=DEFERRED[4:]), notes)
    assert notes == [Note("ignored", "tools.removed", "tools.0")]


def test_tools_that_an_addition_defines() -> None:
    add = change("tool_addition", type="tool_definition", definition={"name": "New", "input_schema": {}})
    known = change("tool_addition", type="tool_definition", definition={"name": "Edit", "input_schema": {}})
    assert loaded(user("q"), system(add, known)) == [(0, "ToolSearch"), (3, "Edit"), (4, "Bash"), (5, "New")]
    remove = change("tool_removal", type="tool_reference", name="New")
    assert loaded(user("q"), system(add), assistant("a"), user("q"), system(remove), rows=[]) == []


@pytest.mark.parametrize(
    "tool",
    [{"type": "mcp_tool_reference", "server_name": "s", "name": "x"}, {"type": "tool_reference"}, "Edit", None, 5],
)
@pytest.mark.parametrize("kind", ["tool_addition", "tool_removal"])
def test_changes_that_name_no_tool_of_ours(kind: str, tool: Any) -> None:
    notes: list[Note] = []
    turn = system(text("t"), {"type": kind, "tool": tool})
    loaded_tools(body(messages=[user("q"), turn], tools=DEFERRED[:1]), notes)
    assert notes == [Note("lost", f"{kind}.unknown", "messages.1.content.1")]


def test_a_change_without_a_tool() -> None:
    notes: list[Note] = []
    loaded_tools(body(messages=[system({"type": "tool_addition"})]), notes)
    assert [note.code for note in notes] == ["tool_addition.unknown"]


def test_a_forced_tool_is_sent() -> None:
    assert (1, "WebFetch") in loaded(user("q"), tool_choice={"type": "tool", "name": "WebFetch"})


def test_a_server_tool_search_cannot_load_so_all_are_sent() -> None:
    search = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
    assert loaded(user("q"), rows=[*DEFERRED, search]) == [
        (0, "ToolSearch"),
        (1, "WebFetch"),
        (3, "Edit"),
        (4, "Bash"),
        (5, "tool_search_tool_regex"),
    ]


def test_no_tools_and_toolsets() -> None:
    assert loaded_tools(body()) == []
    assert loaded(user(text("q")), rows=DEFERRED[4:]) == [(0, "Bash")]
    assert loaded(user("q"), rows=[{"type": "mcp_toolset", "mcp_server_name": "s"}]) == [(0, None)]


# Effort and thinking


def test_effort_of_the_last_system_turn_wins() -> None:
    low, null = ({"output_config": {"effort": effort}} for effort in ("low", None))
    assert last_effort(body()) is None
    assert last_effort(body(output_config={})) is None
    assert last_effort(body(output_config={"effort": "high"}, messages=[user("q"), system("s")])) == "high"
    assert last_effort(body(output_config={"effort": "high"}, messages=[system("s", **low), user("q")])) == "low"
    assert last_effort(body(messages=[system(**low), user("q"), system("s", **null)])) == "low"


@pytest.mark.failure(131)
def test_only_our_own_state_has_an_owner() -> None:
    packed = state.pack("chat", "openai", {"id": "rs_1"})
    thought = block(type="thinking", thinking="hm", signature=packed)
    assert thinking_owner(thought) == state.State("chat", "openai", {"id": "rs_1"})
    assert thinking_owner(block(type="redacted_thinking", data=packed)) == thinking_owner(thought)
    for foreign in ("", "EqQBCkYIBxgCKkB", packed[:-1]):
        assert thinking_owner(block(type="thinking", thinking="hm", signature=foreign)) is None
    assert thinking_owner(block(type="redacted_thinking")) is None


# Blocks as text

PAGE = {"type": "document", "title": "Home", "source": {"type": "text", "media_type": "text/plain", "data": "hello"}}


@pytest.mark.failure(15)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (text("plain"), "plain"),
        ({"type": "text"}, ""),
        (IMAGE, "[image]"),
        ({"type": "thinking", "thinking": "secret", "signature": "s"}, ""),
        ({"type": "redacted_thinking", "data": "x"}, ""),
        (
            {"type": "search_result", "source": "doc/1", "title": "One", "content": [text("found"), text("more")]},
            "[Search result: One (doc/1)]\nfound\nmore",
        ),
        ({"type": "search_result"}, "[Search result: untitled]"),
        ({"type": "tool_reference", "tool_name": "mcp__x__y"}, "[Loaded tool: mcp__x__y]"),
        ({"type": "tool_reference"}, "[Loaded tool: unnamed]"),
        (PAGE, "[Document: Home]\nhello"),
        ({**PAGE, "title": None, "context": "of 2020"}, "[Document]\n[Context: of 2020]\nhello"),
        ({"type": "document", "source": {"type": "text"}}, "[Document]"),
        ({"type": "document", "source": {"type": "content", "content": "inner"}}, "[Document]\ninner"),
        (
            {"type": "document", "source": {"type": "content", "content": [text("one"), IMAGE]}},
            "[Document]\none\n[image]",
        ),
        (
            {
                "type": "document",
                "title": "P",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "x"},
            },
            "[Document: P]\n[application/pdf]",
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://x.y"}}, "[Document]\n[https://x.y]"),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, "[Document]\n[f]"),
        ({"type": "document"}, "[Document]\n[no content]"),
        (
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "ä"}},
            '[Called web_search: {"query":"ä"}]',
        ),
        ({"type": "mcp_tool_use"}, "[Called a tool: {}]"),
        ({"type": "mcp_tool_result", "content": [text("out")], "is_error": True}, "[Error result of a tool]\nout"),
        (
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s",
                "content": [
                    {"type": "web_search_result", "url": "https://x.y", "title": "X", "encrypted_content": "z"},
                    {"type": "web_search_result"},
                ],
            },
            "[Web search results]\n- X: https://x.y\n- untitled: ",
        ),
        (
            {
                "type": "web_search_tool_result",
                "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
            },
            "[Web search results]\n[web_search_tool_result_error: max_uses_exceeded]",
        ),
        (
            {
                "type": "web_fetch_tool_result",
                "content": {"type": "web_fetch_result", "url": "https://x.y", "content": PAGE},
            },
            "[Fetched https://x.y]\n[Document: Home]\nhello",
        ),
        ({"type": "web_fetch_tool_result", "content": {"type": "web_fetch_result"}}, "[Fetched a page]"),
        ({"type": "web_fetch_tool_result"}, "[web_fetch_tool_result]"),
        (
            {
                "type": "code_execution_tool_result",
                "content": {
                    "type": "code_execution_result",
                    "stdout": "1\n",
                    "stderr": "warn",
                    "return_code": 0,
                    "content": [{"type": "code_execution_output", "file_id": "file_1"}],
                },
            },
            "[Ran code, return code 0]\n1\n\nwarn\n[code_execution_output: file_1]",
        ),
        (
            {
                "type": "bash_code_execution_tool_result",
                "content": {"type": "bash_code_execution_result", "content": []},
            },
            "[Ran code]",
        ),
        (
            {
                "type": "text_editor_code_execution_tool_result",
                "content": {"type": "text_editor_code_execution_view_result", "content": "line", "file_type": "text"},
            },
            "[text_editor_code_execution_view_result]\nline",
        ),
        (
            {
                "type": "tool_search_tool_result",
                "content": {
                    "type": "tool_search_tool_search_result",
                    "tool_references": [{"type": "tool_reference", "tool_name": name} for name in ("A", "B")],
                },
            },
            "[Loaded tool: A]\n[Loaded tool: B]",
        ),
        (
            {"type": "tool_search_tool_result", "content": {"type": "tool_search_tool_search_result"}},
            "[Loaded no tool]",
        ),
        ({"type": "compaction", "content": "so far"}, "[Summary of the conversation so far]\nso far"),
        ({"type": "container_upload", "file_id": "file_1"}, "[Uploaded file: file_1]"),
        ({"type": "advisor_tool_result", "content": {"type": "advisor_result", "text": "do"}}, "[advisor_result]\ndo"),
        (
            {"type": "no\nvel", "title": "T", "content": "c", "tool_references": [{"type": "tool_reference"}]},
            "[no_vel: T]\nc\n[Loaded tool: unnamed]",
        ),
        ({"type": "x" * 100}, f"[{'x' * 64}]"),
    ],
)
def test_every_block_has_a_text(fields: Json, expected: str) -> None:
    assert as_text(block(**fields)) == expected


def test_content_in_every_form() -> None:
    assert content_of(block(type="tool_result")) == []
    assert content_of(block(type="tool_result", content=" ")) == []
    assert content_of(block(type="tool_result", content="x")) == [block(type="text", text="x")]
    assert content_of(block(type="web_fetch_tool_result", content={"type": "a"})) == [block(type="a")]
    assert content_of(block(type="tool_result", content=[text(""), IMAGE])) == [block(**IMAGE)]
