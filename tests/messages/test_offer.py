"""The caller's tools as plain functions."""

import json
from typing import Any

import msgspec
import pytest

from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.offer import SERVER_TOOLS, Means, Offer, Strict, offer
from dragoman.messages.request import decode

Json = dict[str, Any]

WEATHER: Json = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
EXACT = WEATHER | {"input_schema": WEATHER["input_schema"] | {"additionalProperties": False}, "strict": True}
SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}
FETCH: Json = {"type": "web_fetch_20250910", "name": "web_fetch"}


def offered(
    *tools: Json,
    can_call: bool = True,
    strict: Strict = True,
    inline: bool = False,
    search: bool = False,
    fetch: bool = False,
    **fields: Any,
) -> tuple[Offer, list[Note]]:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], "tools": tools} | fields
    notes: list[Note] = []
    means = Means(tools=can_call, strict=strict, inline=inline, search=search, fetch=fetch)
    return offer(decode(json.dumps(body).encode()).body, means, notes), notes


def names(*tools: Json, **fields: Any) -> list[str]:
    return [tool.name for tool in offered(*tools, **fields)[0].tools]


@pytest.mark.failure(35)
def test_functions_of_the_caller() -> None:
    found, notes = offered(WEATHER, {"type": "custom", "name": "now", "input_schema": {"type": "object"}})
    weather, now = found.tools
    assert (weather.name, weather.description, weather.strict) == ("weather", "Tells the weather.", False)
    assert msgspec.json.decode(weather.parameters) == WEATHER["input_schema"]
    assert (now.name, now.description) == ("now", None)
    assert msgspec.json.decode(now.parameters) == {"type": "object", "properties": {}}
    assert (found.search, found.removed, notes) == (None, False, [])


@pytest.mark.failure(33)
def test_strict_only_when_asked_understood_and_lossless() -> None:
    assert offered(EXACT)[0].tools[0].strict is True
    refused = [Note("changed", "tool.strict", "tools.0.strict")]
    for tool, understood in ((EXACT, False), (WEATHER | {"strict": True}, True)):
        found, notes = offered(tool, strict=understood)
        assert found.tools[0].strict is False
        assert notes == refused
    assert offered(EXACT | {"strict": False})[1] == []
    for strict in (True, False):
        found, notes = offered(WEATHER | {"strict": strict}, strict="any_schema")
        assert (found.tools[0].strict, notes) == (strict, [])


def test_references_are_written_out_where_they_must() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}
    found, _ = offered({"name": "t", "input_schema": schema}, inline=True)
    assert msgspec.json.decode(found.tools[0].parameters)["properties"] == {"a": {"type": "string"}}


@pytest.mark.failure(34, 37)
def test_fields_that_others_do_not_know_are_noted() -> None:
    tool = WEATHER | {
        "cache_control": {"type": "ephemeral"},
        "eager_input_streaming": True,
        "allowed_callers": ["direct", "code_execution_20260120"],
    }
    assert offered(tool)[1] == [
        Note("ignored", "cache_control.tools", "tools"),
        Note("ignored", "tool.eager_input_streaming", "tools.0.eager_input_streaming"),
        Note("ignored", "tool.allowed_callers", "tools.0.allowed_callers"),
    ]
    hidden = WEATHER | {"allowed_callers": ["code_execution_20260120"]}
    assert offered(hidden)[1] == [Note("changed", "tool.allowed_callers", "tools.0.allowed_callers")]


@pytest.mark.failure(34)
def test_examples_of_input_stay_readable() -> None:
    examples = [{"city": "Rome"}]
    found, _ = offered(WEATHER | {"input_examples": examples}, {"name": "x", "input_examples": examples})
    words = f"Examples of its input: {json.dumps(examples)}"
    assert [tool.description for tool in found.tools] == [f"Tells the weather.\n\n{words}", words]


def test_tools_that_the_caller_runs_by_a_known_type() -> None:
    assert names({"type": "bash_20250124"}, {"type": "memory_20250818", "name": "notes"}) == ["bash", "notes"]


@pytest.mark.failure(24)
@pytest.mark.parametrize(("start", "code"), [*SERVER_TOOLS.items(), ("something_", "tool.unknown")])
def test_tools_that_anthropic_runs_are_removed_or_refused(start: str, code: str) -> None:
    tool: Json = {"type": f"{start}20270101", "name": "x", "input_schema": {"type": "object"}}
    if code == "tool.unknown":
        assert names(tool) == ["x"], "with a name and a schema it can only be a function"
        del tool["input_schema"]
    found, notes = offered(tool, WEATHER)
    assert [each.name for each in found.tools] == ["weather"]
    assert notes == [Note("changed" if code == "tool.tool_search" else "lost", code, "tools.0")]
    with pytest.raises(ApiError, match="cannot be run by this upstream"):
        offered(tool, WEATHER, tool_choice={"type": "tool", "name": "x"})
    assert names(tool, tool_choice={"type": "none"}) == []
    if code != "tool.tool_search":
        with pytest.raises(ApiError, match=r"^tools: this upstream can run none of them") as caught:
            offered(tool)
        assert caught.value.status == 400


def test_web_search_of_the_server() -> None:
    found, notes = offered(SEARCH, WEATHER, search=True, tool_choice={"type": "tool", "name": "web_search"})
    assert found.search is not None
    assert found.search.name == "web_search"
    assert notes == []
    assert offered(SEARCH, search=True)[0].tools == []


def test_web_fetch_of_the_server() -> None:
    found, notes = offered(FETCH, SEARCH, fetch=True, search=True, tool_choice={"type": "tool", "name": "web_fetch"})
    assert found.fetch is not None
    assert found.search is not None
    assert (found.fetch.name, found.tools, notes) == ("web_fetch", [], [])
    assert offered(FETCH, fetch=True)[0].tools == []
    found, notes = offered(FETCH, WEATHER, fetch=True, can_call=False)
    assert found.fetch is not None
    assert notes == [Note("lost", "tools.unsupported", "tools")]
    assert offered(FETCH, WEATHER)[1] == [Note("lost", "tool.web_fetch", "tools.0")]


def test_where_each_tool_is_in_the_body() -> None:
    places = [tool.place for tool in offered(WEATHER, SEARCH, {"type": "bash_20250124"}, search=True)[0].tools]
    assert places == ["tools.0", "tools.2"]


def test_what_is_forced_must_be_there() -> None:
    with pytest.raises(ApiError, match=r"^tool_choice\.name: .* is not one of the tools"):
        offered(WEATHER, tool_choice={"type": "tool", "name": "other"})
    assert names(WEATHER, tool_choice={"type": "tool", "name": "weather"}) == ["weather"]
    with pytest.raises(ApiError, match=r"tools\.1\.name: Field required"):
        offered(WEATHER, {"input_schema": {"type": "object"}})


def test_a_model_without_tools_gets_none() -> None:
    found, notes = offered(WEATHER, can_call=False)
    assert found.tools == []
    assert notes == [Note("lost", "tools.unsupported", "tools")]
    with pytest.raises(ApiError, match="tool"):
        offered(WEATHER, can_call=False, tool_choice={"type": "any"})


def test_deferred_tools_and_tools_of_system_turns() -> None:
    later = WEATHER | {"name": "Later", "defer_loading": True}
    found, notes = offered(WEATHER, later)
    assert [tool.name for tool in found.tools] == ["weather"]
    assert notes == [Note("ignored", "tools.deferred", "tools.1")]
    addition = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": WEATHER}}
    messages = [{"role": "user", "content": "x"}, {"role": "system", "content": [addition]}]
    assert names(messages=messages) == ["weather"]
    assert names(messages=messages, tools=None) == ["weather"]
    assert names(messages=[{"role": "system", "content": "x"}, {"role": "user", "content": "x"}]) == []


def test_tools_that_are_remembered_are_offered_as_others_are() -> None:
    def told(*tools: Json, words: str, **fields: Any) -> tuple[list[tuple[str, bytes, bool]], list[Note], bool]:
        found, notes = offered(*[tool | {"description": words} for tool in tools], **fields)
        return [(tool.name, bytes(tool.parameters), tool.strict) for tool in found.tools], notes, bool(found.json)

    late = WEATHER | {"name": "late", "defer_loading": True}
    said: Json = {"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": [{"type": "text"}]}]}
    cases: list[tuple[list[Json], Json, bool]] = [
        ([EXACT, WEATHER | {"cache_control": {"type": "ephemeral"}}], {}, True),
        ([EXACT], {"strict": False}, True),
        ([EXACT], {"can_call": False}, False),
        ([EXACT], said, False),
        ([EXACT, late], {}, False),
        ([EXACT, SEARCH], {}, False),
    ]
    for tools, fields, remembered in cases:
        small, large = (told(*tools, words="x" * size, **fields) for size in (1, 9000))
        assert large[:2] == small[:2]
        assert (small[2], large[2]) == (False, remembered)
