"""Tools, tool choice and web search."""

import json
from typing import Any

import pytest

from dialects.chat.asking import WEATHER, Json, assistant, result, text, use, user
from dialects.responses.asking import called, notes, openai, sent, target
from dragoman.dialects.responses.request import call
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode

SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}
LONG = "mcp__plugin_oh-my-claudecode_omc-tools__lsp_diagnostics_directory"
BASH: Json = {"type": "bash_20250124", "name": "bash"}


@pytest.mark.failure(35)
def test_functions_are_flat_and_never_strict_by_silence() -> None:
    tools = sent(tools=[WEATHER, {"type": "custom", "name": "now", "input_schema": {"type": "object"}}, BASH])["tools"]
    assert tools[:2] == [
        {
            "type": "function",
            "name": "weather",
            "parameters": WEATHER["input_schema"],
            "strict": False,
            "description": "Tells the weather.",
        },
        {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False},
    ]
    assert tools[2]["name"] == "bash"
    assert list(tools[2]["parameters"]["properties"]) == ["command", "restart"]
    assert notes(tools=[WEATHER, BASH]) == []


@pytest.mark.failure(33)
def test_strict_only_when_asked_understood_and_lossless() -> None:
    exact = WEATHER | {"input_schema": WEATHER["input_schema"] | {"additionalProperties": False}, "strict": True}
    assert sent(tools=[exact])["tools"][0]["strict"] is True
    assert sent(tools=[exact | {"strict": False}])["tools"][0]["strict"] is False
    for to, tool in ((target(strict_tools=False), exact), (target(), WEATHER | {"strict": True})):
        assert sent(to, tools=[tool])["tools"][0]["strict"] is False
        assert notes(to, tools=[tool]) == [("changed", "tool.strict", "tools.0.strict")]


def test_schemas_travel_as_they_are_written() -> None:
    spelled = b'{"type":"object","properties":{"b":{"type":"number","default":1e2},"a":{"type":"string"}}}'
    raw = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"t","input_schema":'
    assert spelled in call(decode(raw + spelled + b"}]}"), target()).body


def test_many_tools_are_written_as_few_are() -> None:
    """Large requests take another way, which remembers the tools of a session."""
    exact = WEATHER | {"input_schema": WEATHER["input_schema"] | {"additionalProperties": False}, "strict": True}
    tools = [exact | {"name": f"tool_{number}", "description": "long " * 50} for number in range(60)]
    expected = [sent(tools=[tool])["tools"][0] for tool in tools]
    for _ in range(2):
        assert sent(tools=tools)["tools"] == expected
        assert [tool["strict"] for tool in sent(target(strict_tools=False), tools=tools)["tools"]] == [False] * 60
    named = called(tools=[*tools, WEATHER | {"name": LONG}])
    assert len(named.recall.names) == 1
    assert json.loads(named.body)["tools"][:60] == expected
    addition = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": WEATHER}}
    added = sent(tools=tools, messages=[user(text("x")), {"role": "system", "content": [addition]}])["tools"]
    assert added[:60] == expected
    assert added[60]["name"] == "weather"


def test_references_are_written_out_for_servers_that_do_not_follow_them() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}
    made = sent(target(schema="inline"), tools=[{"name": "t", "input_schema": schema}])["tools"][0]["parameters"]
    assert made["properties"] == {"a": {"type": "string"}}


@pytest.mark.failure(32)
def test_long_and_illegal_names_are_shortened_everywhere_and_restored() -> None:
    made = called(
        tools=[WEATHER | {"name": LONG}, WEATHER | {"name": "a.b"}],
        tool_choice={"type": "tool", "name": LONG},
        messages=[user(text("x")), assistant(use("1", LONG), use("2", "gone:tool")), user(result("1"), result("2"))],
    )
    body = json.loads(made.body)
    short = body["tools"][0]["name"]
    assert len(short) == 64
    assert body["tool_choice"] == {"type": "function", "name": short}
    first, gone = (item["name"] for item in body["input"] if item["type"] == "function_call")
    assert first == short
    assert made.recall.names == {short: LONG, body["tools"][1]["name"]: "a.b", gone: "gone:tool"}


# Tool choice


@pytest.mark.failure(31)
@pytest.mark.parametrize(
    ("choice", "form"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "weather"}, {"type": "function", "name": "weather"}),
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
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & sent(tool_choice=choice, tools=[]).keys()
    assert notes(tool_choice={"type": "any"}) == [("ignored", "tool_choice.without_tools", "tool_choice")]


@pytest.mark.failure(31)
def test_one_call_at_a_time() -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    body = sent(tools=[WEATHER], tool_choice=choice)
    assert body["parallel_tool_calls"] is False
    assert body["tool_choice"] == "auto", "it does not turn into must"
    quiet = {"type": "none", "disable_parallel_tool_use": True}
    assert "parallel_tool_calls" not in sent(tools=[WEATHER], tool_choice=quiet)
    to = target(parallel_tool_calls=False)
    assert "parallel_tool_calls" not in sent(to, tools=[WEATHER], tool_choice=choice)
    place = "tool_choice.disable_parallel_tool_use"
    assert notes(to, tools=[WEATHER], tool_choice=choice) == [("changed", "tool_choice.parallel", place)]


def test_servers_without_tool_choice() -> None:
    to = target(tool_choice=False)
    assert "tool_choice" not in sent(to, tools=[WEATHER], tool_choice={"type": "auto"})
    assert notes(to, tools=[WEATHER], tool_choice={"type": "auto"}) == []
    assert "tools" not in sent(to, tools=[WEATHER], tool_choice={"type": "none"})
    for choice in ({"type": "none"}, {"type": "any"}, {"type": "tool", "name": "weather"}):
        assert "tool_choice" not in sent(to, tools=[WEATHER], tool_choice=choice)
        assert notes(to, tools=[WEATHER], tool_choice=choice) == [
            ("changed", f"tool_choice.{choice['type']}", "tool_choice")
        ]


def test_an_unknown_tool_choice_is_refused() -> None:
    with pytest.raises(ApiError, match=r"^tool_choice\.type: "):
        called(tools=[WEATHER], tool_choice={"type": "some"})


def test_a_model_without_tools_is_offered_none() -> None:
    to = target(facts={"tools": False})
    assert "tools" not in sent(to, tools=[WEATHER])
    assert notes(to, tools=[WEATHER]) == [("lost", "tools.unsupported", "tools")]


# Web search


@pytest.mark.failure(24)
def test_web_search_becomes_the_servers_own() -> None:
    where = {"type": "approximate", "city": "Rome", "country": "IT", "timezone": None, "street": "x"}
    tool = SEARCH | {"user_location": where, "allowed_domains": ["example.org"]}
    body = sent(openai(), tools=[tool], tool_choice={"type": "tool", "name": "web_search"})
    assert body["tools"] == [
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["example.org"]},
            "user_location": {"type": "approximate", "city": "Rome", "country": "IT"},
        }
    ]
    assert body["tool_choice"] == "required", "it is the only tool"
    assert body["include"][0] == "web_search_call.action.sources"
    assert "max_tool_calls" not in body
    assert notes(openai(), tools=[tool]) == []
    plain = sent(target(web_search=True, web_search_sources=False), tools=[SEARCH | {"user_location": None}])
    assert plain["tools"] == [{"type": "web_search"}]
    assert "include" not in plain


@pytest.mark.failure(24)
def test_web_search_among_other_tools() -> None:
    body = sent(openai(), tools=[SEARCH, WEATHER], tool_choice={"type": "tool", "name": "web_search"})
    assert [tool["type"] for tool in body["tools"]] == ["function", "web_search"]
    assert body["tool_choice"] == {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]}
    body = sent(openai(), tools=[SEARCH, WEATHER], tool_choice={"type": "tool", "name": "weather"})
    assert body["tool_choice"] == {"type": "function", "name": "weather"}


@pytest.mark.failure(24)
def test_what_the_servers_search_lacks_is_noted() -> None:
    tool = SEARCH | {"max_uses": 8, "blocked_domains": ["example.com"]}
    assert sent(openai(), tools=[tool])["max_tool_calls"] == 8
    assert notes(openai(), tools=[tool]) == [
        ("changed", "web_search.domains", "tools"),
        ("changed", "web_search.max_uses", "tools"),
    ]
    with pytest.raises(ApiError, match="user_location"):
        called(openai(), tools=[SEARCH | {"user_location": ["Rome"]}])


@pytest.mark.failure(24)
def test_web_search_is_removed_or_refused_where_the_server_has_none() -> None:
    assert notes(tools=[SEARCH, WEATHER]) == [("lost", "tool.web_search", "tools.0")]
    with pytest.raises(ApiError, match=r"^tools: this upstream can run none of them"):
        called(tools=[SEARCH])
