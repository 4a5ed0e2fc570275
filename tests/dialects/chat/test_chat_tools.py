"""Tools and tool choice."""

import json
from typing import Any

import pytest

from dialects.chat.asking import (
    WEATHER,
    Json,
    assistant,
    called,
    notes,
    result,
    sent,
    target,
    text,
    use,
    user,
)
from dragoman.dialects.chat.request import call
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode

SEARCH: Json = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
LONG = "mcp__plugin_oh-my-claudecode_omc-tools__lsp_diagnostics_directory"


def function(body: Json, number: int = 0) -> Json:
    return body["tools"][number]["function"]


@pytest.mark.failure(35)
def test_a_function_of_the_caller_goes_over() -> None:
    body = sent(tools=[WEATHER, {"type": "custom", "name": "now", "input_schema": {"type": "object"}}])
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tells the weather.",
                "parameters": WEATHER["input_schema"],
            },
        },
        {
            "type": "function",
            "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
        },
    ]
    assert notes(tools=[WEATHER]) == []


def test_schemas_travel_as_they_are_written() -> None:
    spelled = b'{"type":"object","properties":{"b":{"type":"number","default":1e2},"a":{"type":"string"}}}'
    raw = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"t","input_schema":'
    assert spelled in call(decode(raw + spelled + b"}]}"), target()).body


@pytest.mark.failure(34, 37)
def test_newer_fields_of_tools_do_not_leak() -> None:
    tool = WEATHER | {
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "defer_loading": False,
        "strict": False,
        "eager_input_streaming": True,
        "allowed_callers": ["direct", "code_execution_20260120"],
    }
    assert function(sent(tools=[tool])).keys() == {"name", "description", "parameters"}
    assert notes(tools=[tool]) == [
        ("ignored", "cache_control.tools", "tools"),
        ("ignored", "tool.eager_input_streaming", "tools.0.eager_input_streaming"),
        ("ignored", "tool.allowed_callers", "tools.0.allowed_callers"),
    ]
    hidden = WEATHER | {"allowed_callers": ["code_execution_20260120"]}
    assert notes(tools=[hidden]) == [("changed", "tool.allowed_callers", "tools.0.allowed_callers")]


@pytest.mark.failure(34)
def test_examples_of_input_stay_readable() -> None:
    examples = [{"city": "Rome"}]
    body = sent(tools=[WEATHER | {"input_examples": examples}, {"name": "x", "input_examples": examples}])
    assert function(body)["description"] == (f"Tells the weather.\n\nExamples of its input: {json.dumps(examples)}")
    assert function(body, 1)["description"] == f"Examples of its input: {json.dumps(examples)}"


@pytest.mark.failure(33)
def test_strict_only_when_asked_understood_and_lossless() -> None:
    exact = WEATHER | {"input_schema": WEATHER["input_schema"] | {"additionalProperties": False}, "strict": True}
    assert function(sent(target(strict_tools=True), tools=[exact]))["strict"] is True
    assert "strict" not in function(sent(target(strict_tools=True), tools=[exact | {"strict": False}]))
    refused = [("changed", "tool.strict", "tools.0.strict")]
    for to, tool in ((target(), exact), (target(strict_tools=True), WEATHER | {"strict": True})):
        assert "strict" not in function(sent(to, tools=[tool]))
        assert notes(to, tools=[tool]) == refused


@pytest.mark.failure(32)
def test_long_and_illegal_names_are_shortened_everywhere_and_restored() -> None:
    call = called(
        tools=[WEATHER | {"name": LONG}, WEATHER | {"name": "a.b"}],
        tool_choice={"type": "tool", "name": LONG},
        messages=[user(text("x")), assistant(use("1", LONG), use("2", "gone:tool")), user(result("1"), result("2"))],
    )
    body = json.loads(call.body)
    short = function(body)["name"]
    assert len(short) == 64
    assert body["tool_choice"] == {"type": "function", "function": {"name": short}}
    made, gone = (each["function"]["name"] for each in body["messages"][1]["tool_calls"])
    assert made == short
    assert call.recall.names == {short: LONG, function(body, 1)["name"]: "a.b", gone: "gone:tool"}


# Tools that Anthropic defined


@pytest.mark.failure(24)
@pytest.mark.parametrize(
    ("tool", "name", "parameters"),
    [
        ({"type": "bash_20250124", "name": "bash"}, "bash", ["command", "restart"]),
        ({"type": "bash_20241022"}, "bash", ["command", "restart"]),
        (
            {"type": "text_editor_20250728"},
            "str_replace_based_edit_tool",
            ["command", "path", "view_range", "file_text", "old_str", "new_str", "insert_line", "insert_text"],
        ),
        (
            {"type": "text_editor_20241022"},
            "str_replace_editor",
            ["command", "path", "view_range", "file_text", "old_str", "new_str", "insert_line"],
        ),
        (
            {"type": "memory_20250818", "name": "memory"},
            "memory",
            [
                "command",
                "path",
                "view_range",
                "file_text",
                "old_str",
                "new_str",
                "insert_line",
                "insert_text",
                "old_path",
                "new_path",
            ],
        ),
        ({"type": "computer_20241022"}, "computer", ["action", "coordinate", "text"]),
        (
            {"type": "computer_20250124", "enable_zoom": True},
            "computer",
            [
                "action",
                "coordinate",
                "start_coordinate",
                "scroll_direction",
                "scroll_amount",
                "duration",
                "text",
                "region",
            ],
        ),
        (
            {"type": "computer_20990101"},
            "computer",
            ["action", "coordinate", "start_coordinate", "scroll_direction", "scroll_amount", "duration", "text"],
        ),
    ],
)
def test_tools_that_the_caller_runs_get_the_schema_of_their_version(
    tool: Json, name: str, parameters: list[str]
) -> None:
    made = function(sent(tools=[tool]))
    assert made["name"] == name
    assert made["description"]
    assert list(made["parameters"]["properties"]) == parameters
    assert notes(tools=[tool]) == []


def test_undo_is_in_the_older_editor_only() -> None:
    for version, expected in (("20250124", True), ("20250429", False), ("20250728", False)):
        made = function(sent(tools=[{"type": f"text_editor_{version}"}]))
        assert ("undo_edit" in made["parameters"]["properties"]["command"]["enum"]) is expected
        assert ("undo_edit" in made["description"]) is expected


def test_what_the_caller_says_about_its_screen_and_editor_is_told() -> None:
    tools = [
        {"type": "computer_20251124", "display_width_px": 800, "display_height_px": 600, "display_number": 1},
        {"type": "text_editor_20250728", "max_characters": 5000},
    ]
    body = sent(tools=tools)
    assert "800 pixels wide and 600 high. It is display :1." in function(body)["description"]
    assert "at most 5000 characters" in function(body, 1)["description"]


@pytest.mark.failure(24)
@pytest.mark.parametrize(
    ("type_", "code"),
    [
        ("web_search_20260318", "tool.web_search"),
        ("web_fetch_20250910", "tool.web_fetch"),
        ("code_execution_20260521", "tool.code_execution"),
        ("advisor_20260301", "tool.advisor"),
        ("mcp_toolset", "tool.mcp_toolset"),
        ("computer_toolset_20260801", "tool.computer_toolset"),
        ("browser_toolset_20260801", "tool.browser_toolset"),
        ("something_20270101", "tool.unknown"),
    ],
)
def test_tools_that_anthropic_runs_are_removed_or_refused(type_: str, code: str) -> None:
    tool: Json = {"type": type_, "name": "x"}
    assert len(sent(tools=[tool, WEATHER])["tools"]) == 1
    assert notes(tools=[WEATHER, tool]) == [("lost", code, "tools.1")]
    for fields in ({"tools": [tool]}, {"tools": [tool, WEATHER], "tool_choice": {"type": "tool", "name": "x"}}):
        with pytest.raises(ApiError, match=r"^tool") as caught:
            called(**fields)
        assert caught.value.status == 400
    assert "tools" not in sent(tools=[tool], tool_choice={"type": "none"})
    with pytest.raises(ApiError, match=r"tools\.1 \(tool"):
        called(target(strict=True), tools=[WEATHER, tool])


def test_a_type_that_nobody_knows_with_a_schema_is_a_function() -> None:
    tool = WEATHER | {"type": "future_20280101"}
    assert function(sent(tools=[tool]))["name"] == "weather"


def test_a_function_needs_a_name() -> None:
    with pytest.raises(ApiError, match=r"tools\.1\.name: Field required"):
        called(tools=[WEATHER, {"input_schema": {"type": "object"}}])


def test_a_server_side_search_for_tools_offers_them_all() -> None:
    tools = [{"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}, WEATHER]
    tools[1] = WEATHER | {"defer_loading": True}
    assert [tool["function"]["name"] for tool in sent(tools=tools)["tools"]] == ["weather"]
    assert notes(tools=tools) == [("changed", "tool.tool_search", "tools.0")]


def test_deferred_tools_are_offered_once_they_are_loaded() -> None:
    tools = [WEATHER, WEATHER | {"name": "Later", "defer_loading": True}]
    assert len(sent(tools=tools)["tools"]) == 1
    assert notes(tools=tools) == [("ignored", "tools.deferred", "tools.1")]
    loaded = [
        user(text("x")),
        assistant(use("1", "ToolSearch")),
        user(result("1", [{"type": "tool_reference", "tool_name": "Later"}])),
    ]
    body = sent(tools=tools, messages=loaded)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["weather", "Later"]


def test_a_tool_that_a_system_turn_defines_is_offered() -> None:
    addition = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": WEATHER}}
    body = sent(messages=[user(text("x")), {"role": "system", "content": [addition]}])
    assert function(body)["name"] == "weather"


# Web search of the server


@pytest.mark.failure(24)
def test_web_search_becomes_the_servers_own() -> None:
    where = {"type": "approximate", "city": "Rome", "country": "IT", "timezone": None}
    tool = SEARCH | {"user_location": where, "allowed_domains": ["example.org"]}
    body = sent(target(web_search="options"), tools=[tool], tool_choice={"type": "tool", "name": "web_search"})
    assert body["web_search_options"] == {
        "user_location": {"type": "approximate", "approximate": {"city": "Rome", "country": "IT"}}
    }
    assert "tools" not in body
    assert "tool_choice" not in body
    body = sent(target(web_search="plugin"), tools=[tool, WEATHER])
    assert body["plugins"] == [{"id": "web"}]
    assert len(body["tools"]) == 1
    assert notes(target(web_search="plugin"), tools=[tool]) == [
        ("changed", "web_search.max_uses", "tools"),
        ("changed", "web_search.domains", "tools"),
        ("changed", "web_search.user_location", "tools"),
    ]
    plain = {"type": "web_search_20250305", "name": "web_search"}
    assert sent(target(web_search="options"), tools=[plain])["web_search_options"] == {}
    assert sent(target(web_search="plugin"), tools=[plain])["plugins"] == [{"id": "web"}]
    assert notes(target(web_search="options"), tools=[plain | {"user_location": None}]) == []


# Models without tools


def test_a_model_without_tools_can_still_talk() -> None:
    to = target(facts={"tools": False})
    body = sent(
        to,
        tools=[WEATHER],
        messages=[user(text("x")), assistant(text("Let me see."), use("1")), user(result("1", "Sun."))],
    )
    assert "tools" not in body
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [text("Let me see."), text("[Called weather: {}]")],
        },
        {"role": "user", "content": "[Result of a tool]\nSun."},
    ]
    assert notes(to, tools=[WEATHER]) == [("lost", "tools.unsupported", "tools")]
    for choice in ({"type": "any"}, {"type": "tool", "name": "weather"}):
        with pytest.raises(ApiError, match="tool"):
            called(to, tools=[WEATHER], tool_choice=choice)


# Tool choice


@pytest.mark.failure(31)
@pytest.mark.parametrize(
    ("choice", "form"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_tool_choice(choice: Json, form: Any) -> None:
    body = sent(tools=[WEATHER], tool_choice=choice)
    assert body["tool_choice"] == form
    assert "parallel_tool_calls" not in body
    assert notes(tools=[WEATHER], tool_choice=choice) == []


@pytest.mark.failure(31)
def test_tool_choice_without_tools_is_left_out() -> None:
    for choice in ({"type": "auto", "disable_parallel_tool_use": True}, {"type": "none"}):
        body = sent(tool_choice=choice, tools=[])
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()
    assert notes(tool_choice={"type": "any"}) == [("ignored", "tool_choice.without_tools", "tool_choice")]


@pytest.mark.failure(31)
def test_one_call_at_a_time() -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    body = sent(tools=[WEATHER], tool_choice=choice)
    assert body["parallel_tool_calls"] is False
    assert body["tool_choice"] == "auto", "it does not turn into must"
    to = target(parallel_tool_calls=False)
    assert "parallel_tool_calls" not in sent(to, tools=[WEATHER], tool_choice=choice)
    place = "tool_choice.disable_parallel_tool_use"
    assert notes(to, tools=[WEATHER], tool_choice=choice) == [("changed", "tool_choice.parallel", place)]


def test_servers_with_other_words_for_must() -> None:
    other = WEATHER | {"name": "other"}
    forced = {"type": "tool", "name": "weather"}
    assert sent(target(tool_choice_any="any"), tools=[WEATHER], tool_choice={"type": "any"})["tool_choice"] == "any"
    to = target(tool_choice_any="auto")
    assert sent(to, tools=[WEATHER], tool_choice={"type": "any"})["tool_choice"] == "auto"
    assert notes(to, tools=[WEATHER], tool_choice={"type": "any"}) == [("changed", "tool_choice.any", "tool_choice")]
    to = target(tool_choice_named=False)
    body = sent(to, tools=[other, WEATHER], tool_choice=forced)
    assert body["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in body["tools"]] == ["weather"], "the only one that can be called"
    assert notes(to, tools=[other, WEATHER], tool_choice=forced) == [("ignored", "tool_choice.alone", "tool_choice")]


def test_a_call_that_must_be_made_wins_over_thinking() -> None:
    fields: Json = {"tools": [WEATHER], "tool_choice": {"type": "any"}, "thinking": {"type": "adaptive"}}
    to = target(tool_choice_with_thinking=False, reasoning_out="thinking_type")
    body = sent(to, **fields)
    assert (body["tool_choice"], body["thinking"]) == ("required", {"type": "disabled"})
    assert notes(to, **fields) == [("changed", "thinking.off_for_tool_choice", "thinking")]
    to = target(tool_choice_with_thinking=False, reasoning_out="none", facts={"reasons_by_default": True})
    assert sent(to, **fields)["tool_choice"] == "auto"
    assert ("changed", "tool_choice.while_thinking", "tool_choice") in notes(to, **fields)
    to = target(tool_choice_with_thinking=False, reasoning_out="thinking_type", facts={"reasoning": False})
    assert sent(to, **fields)["tool_choice"] == "required"
    assert notes(to, **fields) == [("changed", "thinking.unsupported", "thinking")]
    calm = fields | {"thinking": {"type": "disabled"}}
    assert sent(target(tool_choice_with_thinking=False), **calm)["tool_choice"] == "required"


def test_what_is_wrong_with_a_choice_is_said() -> None:
    with pytest.raises(ApiError, match=r"tool_choice\.name: .* is not one of the tools"):
        called(tools=[WEATHER], tool_choice={"type": "tool", "name": "wether"})
    with pytest.raises(ApiError, match=r"tool_choice\.type"):
        called(tools=[WEATHER], tool_choice={"type": "whatever"})


@pytest.mark.parametrize("fields", [{}, {"tool_choice": {"type": "tool", "name": "now"}}])
@pytest.mark.parametrize("quirks", [{}, {"tool_choice_named": False}, {"tool_name_limit": 16}])
def test_tools_that_are_remembered_are_written_as_others_are(quirks: Json, fields: Json) -> None:
    tools = [WEATHER | {"name": "weather_of_tomorrow"}, WEATHER | {"name": "now"}]
    small = sent(target(**quirks), tools=[tool | {"description": "x"} for tool in tools], **fields)
    large = sent(target(**quirks), tools=[tool | {"description": "x" * 9000} for tool in tools], **fields)
    for tool in large["tools"]:
        tool["function"]["description"] = "x"
    assert large == small
