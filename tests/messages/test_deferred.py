"""Which tools are sent: those that the conversation has loaded."""

from typing import Any

import pytest

from dragoman.messages.deferred import loaded_tools
from dragoman.messages.notes import Note
from messages.conversations import Json, assistant, body, call, result, system, text, user


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
