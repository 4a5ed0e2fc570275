"""Tools, tool choice, web search and web fetch."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.gemini_rules import check
from dialects.chat.asking import WEATHER, Json, assistant, result, text, use, user
from dialects.gemini.targets_gemini import called, newer, notes, older, sent, target
from dragoman.dialects.contract import Target
from dragoman.dialects.gemini.request import call
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode

SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}
FETCH: Json = {"type": "web_fetch_20250910", "name": "web_fetch"}
LONG = "mcp__plugin_oh-my-claudecode_omc-tools__lsp_diagnostics_directory"
BASH: Json = {"type": "bash_20250124", "name": "bash"}
SHARED = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}


def functions(body: Json) -> list[Json]:
    found: list[Json] = body["tools"][0]["functionDeclarations"]
    return found


@pytest.mark.failure(35)
def test_functions() -> None:
    body = sent(tools=[WEATHER, {"type": "custom", "name": "now", "input_schema": {"type": "object"}}, BASH])
    weather, now, bash = functions(body)
    assert weather == {
        "name": "weather",
        "description": "Tells the weather.",
        "parametersJsonSchema": WEATHER["input_schema"],
    }
    assert "description" not in now
    assert bash["name"] == "bash"
    assert list(bash["parametersJsonSchema"]["properties"]) == ["command", "restart"]
    assert len(body["tools"]) == 1
    assert "toolConfig" not in body, "it would say nothing"
    assert notes(tools=[WEATHER, BASH]) == []


@pytest.mark.failure(45)
def test_the_form_of_schemas_is_the_models_or_else_the_servers() -> None:
    empty = {"name": "now", "input_schema": {"type": "object", "properties": {}}}
    for to in (target(schema="openapi"), target(facts={"schema": "openapi"})):
        weather, now = functions(sent(to, tools=[WEATHER, empty]))
        assert list(weather) == ["name", "description", "parameters"]
        assert now == {"name": "now"}, "no parameters at all"
    to = target(facts={"schema": "json_schema"}, schema="openapi")
    assert list(functions(sent(to, tools=[WEATHER]))[0])[-1] == "parametersJsonSchema"


def test_schemas_travel_as_they_are_written() -> None:
    spelled = b'{"type":"object","properties":{"b":{"type":"number","maximum":1e2},"a":{"type":"string"}}}'
    raw = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"t","input_schema":'
    assert spelled in call(decode(raw + spelled + b"}]}"), target()).body


@pytest.mark.failure(33)
def test_strict_holds_all_calls_to_their_schemas() -> None:
    validated = {"functionCallingConfig": {"mode": "VALIDATED"}}
    tools = [WEATHER, WEATHER | {"name": "exact", "strict": True}]
    for fields in ({}, {"tool_choice": {"type": "auto"}}):
        assert sent(tools=tools, **fields)["toolConfig"] == validated
        assert notes(tools=tools, **fields) == []
    assert sent(tools=tools, tool_choice={"type": "any"})["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    assert "toolConfig" not in sent(tools=[WEATHER | {"strict": False}])
    to = target(strict_tools=False)
    assert "toolConfig" not in sent(to, tools=tools)
    assert notes(to, tools=tools) == [("changed", "tool.strict", "tools.1.strict")]


@pytest.mark.failure(32)
def test_long_and_illegal_names_are_changed_everywhere_and_restored() -> None:
    made = called(
        tools=[WEATHER | {"name": LONG}, WEATHER | {"name": "3d"}],
        tool_choice={"type": "tool", "name": LONG},
        messages=[user(text("x")), assistant(use("1", LONG), use("2", "gone:tool")), user(result("1"), result("2"))],
    )
    body = json.loads(made.body)
    short, view = (tool["name"] for tool in functions(body))
    assert len(short) == 64
    assert view.startswith("_3d_")
    assert body["toolConfig"]["functionCallingConfig"] == {"mode": "ANY", "allowedFunctionNames": [short]}
    first, gone = (part["functionCall"]["name"] for part in body["contents"][1]["parts"])
    assert first == short
    assert [part["functionResponse"]["name"] for part in body["contents"][2]["parts"]] == [short, gone]
    assert made.recall.names == {short: LONG, view: "3d", gone: "gone:tool"}
    wide = called(target(tool_name_limit=128), tools=[WEATHER | {"name": LONG}])
    assert wide.recall.names == {}


def test_many_tools_are_written_as_few_are() -> None:
    """Large requests take another way, which remembers the tools of a session."""
    tools = [WEATHER | {"name": f"tool_{number}", "description": "long " * 50} for number in range(58)]
    tools += [{"name": "now", "input_schema": SHARED}, {"name": LONG, "strict": True, "input_schema": SHARED}]
    for to in (target(), target(strict_tools=False), target(schema="openapi")):
        expected = [functions(sent(to, tools=[tool]))[0] for tool in tools]
        small = [note for number, tool in enumerate(tools) for note in placed(notes(to, tools=[tool]), number)]
        for _ in range(2):
            made = called(to, tools=tools)
            assert functions(json.loads(made.body)) == expected
            assert notes(to, tools=tools) == small
            assert list(made.recall.names.values()) == [LONG]
    addition = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": WEATHER}}
    added = functions(sent(tools=tools, messages=[user(text("x")), {"role": "system", "content": [addition]}]))
    assert [tool["name"] for tool in added][-1] == "weather"
    assert len(added) == 61


def placed(told: list[tuple[str, str, str]], number: int) -> list[tuple[str, str, str]]:
    return [(grade, code, place.replace("tools.0", f"tools.{number}")) for grade, code, place in told]


# Tool choice


@pytest.mark.failure(31)
@pytest.mark.parametrize(
    ("choice", "form"),
    [
        ({"type": "auto"}, None),
        ({"type": "any"}, {"mode": "ANY"}),
        ({"type": "none"}, {"mode": "NONE"}),
        ({"type": "tool", "name": "weather"}, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_tool_choice(choice: Json, form: Any) -> None:
    body = sent(tools=[WEATHER], tool_choice=choice)
    assert body.get("toolConfig") == ({"functionCallingConfig": form} if form else None)
    assert notes(tools=[WEATHER], tool_choice=choice) == []


@pytest.mark.failure(31)
def test_tool_choice_without_tools_is_left_out() -> None:
    for choice in ({"type": "auto", "disable_parallel_tool_use": True}, {"type": "none"}):
        assert not {"tools", "toolConfig"} & sent(tool_choice=choice, tools=[]).keys()
    assert notes(tool_choice={"type": "none"}) == []
    assert notes(tool_choice={"type": "any", "disable_parallel_tool_use": True}) == [
        ("ignored", "tool_choice.without_tools", "tool_choice")
    ]


@pytest.mark.failure(31)
def test_one_call_at_a_time_has_no_words() -> None:
    place = "tool_choice.disable_parallel_tool_use"
    for kind in ("auto", "any"):
        choice = {"type": kind, "disable_parallel_tool_use": True}
        assert notes(tools=[WEATHER], tool_choice=choice) == [("changed", "tool_choice.parallel", place)]
    assert notes(tools=[WEATHER], tool_choice={"type": "none", "disable_parallel_tool_use": True}) == []


def test_an_unknown_tool_choice_is_refused() -> None:
    with pytest.raises(ApiError, match=r"^tool_choice\.type: "):
        called(tools=[WEATHER], tool_choice={"type": "some"})


def test_a_model_without_tools_is_offered_none() -> None:
    to = target(facts={"tools": False})
    assert "tools" not in sent(to, tools=[WEATHER])
    assert notes(to, tools=[WEATHER]) == [("lost", "tools.unsupported", "tools")]


# Web search and web fetch


@pytest.mark.failure(24)
def test_web_search_and_web_fetch_become_the_servers_own() -> None:
    for to in (older(), newer()):
        assert sent(to, tools=[SEARCH])["tools"] == [{"googleSearch": {}}]
        assert sent(to, tools=[FETCH])["tools"] == [{"urlContext": {}}]
        body = sent(to, tools=[FETCH, SEARCH])
        assert body["tools"] == [{"googleSearch": {}}, {"urlContext": {}}]
        assert "toolConfig" not in body
        assert notes(to, tools=[FETCH, SEARCH]) == []


@pytest.mark.failure(24)
def test_what_the_servers_own_tools_lack_is_noted() -> None:
    limits: Json = {"max_uses": 8, "blocked_domains": ["example.com"]}
    where: Json = {"type": "approximate", "city": "Rome"}
    assert notes(tools=[SEARCH | limits | {"user_location": where}, FETCH | limits]) == [
        ("changed", "web_search.domains", "tools"),
        ("changed", "web_search.max_uses", "tools"),
        ("changed", "web_search.user_location", "tools"),
        ("changed", "web_fetch.domains", "tools"),
        ("changed", "web_fetch.max_uses", "tools"),
    ]
    assert notes(tools=[SEARCH | {"allowed_domains": ["example.org"], "user_location": None}]) == [
        ("changed", "web_search.domains", "tools")
    ]


@pytest.mark.failure(24)
def test_functions_beside_the_servers_own_tools() -> None:
    body = sent(newer(), tools=[SEARCH, WEATHER])
    assert [list(tool) for tool in body["tools"]] == [["functionDeclarations"], ["googleSearch"]]
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}, "AUTO is refused here"
    assert notes(newer(), tools=[SEARCH, WEATHER]) == []
    body = sent(newer(), tools=[FETCH, WEATHER], tool_choice={"type": "tool", "name": "weather"})
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]},
        "includeServerSideToolInvocations": True,
    }


@pytest.mark.failure(24)
@pytest.mark.parametrize("to", [older(), newer(search_with_tools=False), older(search_with_tools=True)])
def test_functions_alone_where_both_are_refused(to: Target) -> None:
    for fields in ({}, {"tool_choice": {"type": "any"}}, {"tool_choice": {"type": "tool", "name": "weather"}}):
        body = sent(to, tools=[SEARCH, WEATHER, FETCH], **fields)
        assert [list(tool) for tool in body["tools"]] == [["functionDeclarations"]]
        assert "includeServerSideToolInvocations" not in body.get("toolConfig", {})
        assert notes(to, tools=[SEARCH, WEATHER, FETCH], **fields) == [
            ("lost", "tool.web_search", "tools"),
            ("lost", "tool.web_fetch", "tools"),
        ]
    assert notes(to, tools=[WEATHER, FETCH]) == [("lost", "tool.web_fetch", "tools")]
    assert notes(to, tools=[WEATHER, SEARCH]) == [("lost", "tool.web_search", "tools")]


@pytest.mark.failure(24)
@pytest.mark.parametrize("to", [older(), newer()])
def test_a_server_tool_that_is_forced_stands_alone(to: Target) -> None:
    choice: Json = {"type": "tool", "name": "web_search"}
    body = sent(to, tools=[SEARCH], tool_choice=choice)
    assert body["tools"] == [{"googleSearch": {}}]
    assert "toolConfig" not in body, "it is refused without functions"
    up_to_the_model = ("changed", "tool_choice.tool", "tool_choice")
    alone = ("ignored", "tool_choice.alone", "tool_choice")
    assert notes(to, tools=[SEARCH], tool_choice=choice) == [up_to_the_model]
    for others in ([WEATHER], [FETCH], [WEATHER, FETCH]):
        assert sent(to, tools=[SEARCH, *others], tool_choice=choice)["tools"] == [{"googleSearch": {}}]
        assert notes(to, tools=[SEARCH, *others], tool_choice=choice) == [alone, up_to_the_model]
    choice = {"type": "tool", "name": "web_fetch"}
    assert sent(to, tools=[SEARCH, WEATHER, FETCH], tool_choice=choice)["tools"] == [{"urlContext": {}}]
    assert notes(to, tools=[FETCH], tool_choice=choice) == [up_to_the_model]


@pytest.mark.failure(24)
def test_any_and_none_of_the_servers_own_tools() -> None:
    assert "toolConfig" not in sent(tools=[SEARCH], tool_choice={"type": "any"})
    assert notes(tools=[SEARCH], tool_choice={"type": "any"}) == [("changed", "tool_choice.any", "tool_choice")]
    assert not {"tools", "toolConfig"} & sent(tools=[SEARCH], tool_choice={"type": "none"}).keys()
    assert notes(tools=[SEARCH], tool_choice={"type": "none"}) == []
    body = sent(newer(), tools=[SEARCH, WEATHER], tool_choice={"type": "none"})
    assert [list(tool) for tool in body["tools"]] == [["functionDeclarations"]]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}}


@pytest.mark.failure(24)
def test_they_are_removed_or_refused_where_the_server_has_none() -> None:
    to = target(web_search=False, url_context=False)
    assert notes(to, tools=[SEARCH, WEATHER]) == [("lost", "tool.web_search", "tools.0")]
    assert notes(to, tools=[FETCH, WEATHER]) == [("lost", "tool.web_fetch", "tools.0")]
    with pytest.raises(ApiError, match=r"^tools: this upstream can run none of them"):
        called(to, tools=[SEARCH])


@pytest.mark.failure(20, 24)
def test_strict_refuses_to_lose_a_server_tool() -> None:
    to = target(strict=True)
    with pytest.raises(ApiError, match=r"tools \(tool\.web_search\)"):
        called(to, tools=[SEARCH, WEATHER])


FORMAT: Json = {"format": {"type": "json_schema", "schema": SHARED}}


@pytest.mark.failure(24, 31, 41)
@given(
    to=st.sampled_from([older(), older(schema="openapi"), older(search_with_tools=True), newer()]),
    tools=st.lists(st.sampled_from(["weather", "web_search", "web_fetch", "bash", "3d"]), min_size=1, unique=True),
    kind=st.sampled_from(["auto", "any", "tool", "none"]),
    exact=st.booleans(),
    formed=st.booleans(),
    data=st.data(),
)
def test_every_mix_of_tools_is_taken(
    to: Target, tools: list[str], kind: str, *, exact: bool, formed: bool, data: st.DataObject
) -> None:
    known = {"web_search": SEARCH, "web_fetch": FETCH, "bash": BASH}
    offered = [known.get(name, WEATHER | {"name": name, "strict": exact}) for name in tools]
    choice: Json = {"type": kind}
    if kind == "tool":
        choice["name"] = data.draw(st.sampled_from(tools))
    fields: Json = {"tools": offered, "tool_choice": choice} | ({"output_config": FORMAT} if formed else {})
    body = sent(to, **fields)
    check(body, to.model)
    if kind == "tool":
        assert len(body["tools"]) == 1 or "allowedFunctionNames" in body["toolConfig"]["functionCallingConfig"]
    assert bool(body.get("tools")) or kind == "none"
