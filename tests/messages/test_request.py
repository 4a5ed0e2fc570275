"""Decoding a Messages body: everything that clients may send, and errors that name the field."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.messages.body import (
    NO_RAW,
    NULL,
    TYPES,
    Block,
    Body,
    CacheControl,
    KnownTools,
    Source,
    Thinking,
    Tool,
    ToolChoice,
    text_block,
)
from dragoman.messages.decoding import NESTING_LIMIT, depth
from dragoman.messages.errors import ApiError
from dragoman.messages.lenient import repair_surrogates
from dragoman.messages.notes import Note
from dragoman.messages.request import Request, decode

Json = dict[str, Any]
EPHEMERAL = {"type": "ephemeral", "ttl": "1h"}
TEXT = {"type": "text", "text": "hi"}


def raw_body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "max_tokens": 1, "messages": [], **fields})


def body(**fields: Any) -> Body:
    return decode(raw_body(**fields)).body


def blocks(*rows: Any, role: str = "user") -> list[Block]:
    content = body(messages=[{"role": role, "content": list(rows)}]).messages[0].content
    assert isinstance(content, list)
    return content


def plain(value: Any) -> Any:
    """A struct as JSON without the fields at their default; raw fields decoded."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        fields = {name: getattr(value, attribute) for name, attribute in names}
        return {name: plain(one) for name, one in fields.items() if one not in (None, NO_RAW, NULL)}
    return [plain(one) for one in value] if isinstance(value, list) else value


def refused(raw: bytes, **options: Any) -> str:
    with pytest.raises(ApiError) as caught:
        decode(raw, **options)
    assert caught.value.kind == "invalid_request"
    return caught.value.message


# Fields

EVERYTHING: Json = {
    "model": "claude-opus-5-5",
    "max_tokens": 128000,
    "system": [{**TEXT, "cache_control": EPHEMERAL}],
    "stream": True,
    "stop_sequences": ["</block>"],
    "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "Bash", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 31999, "display": "updates"},
    "output_config": {
        "effort": "xhigh",
        "format": {"type": "json_schema", "schema": {"type": "object"}, "name": "title"},
        "task_budget": {"type": "tokens", "total": 9},
    },
    "output_format": {"type": "json_schema", "schema": {}},
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
    "speed": "fast",
    "inference_geo": "us",
    "cache_control": EPHEMERAL,
    "container": {"id": "c", "skills": [{"type": "anthropic", "skill_id": "pdf"}]},
    "diagnostics": {"previous_message_id": None},
    "temperature": 0.5,
    "top_p": 1,
    "top_k": 40,
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "mcp_servers": [{"type": "url", "name": "s", "url": "https://x.y"}],
    "compaction": {"type": "summarize"},
    "fallbacks": "default",
    "fallback_credit_token": {"token": "t", "mode": "strict"},
    "thread": {"type": "create"},
    "billing_policy": {"type": "billing_policy", "bill_to": "self"},
    "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {}}],
    "tags": {"team": "x"},
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "system", "content": [], "output_config": {"effort": "low"}, "clear_at": "next_user_message"},
    ],
}


@pytest.mark.failure(38)
def test_every_top_level_field() -> None:
    assert plain(decode(msgspec.json.encode(EVERYTHING)).body) == EVERYTHING


@pytest.mark.parametrize("field", [name for name in EVERYTHING if name not in ("model", "messages", "max_tokens")])
def test_null_is_legal_for_every_optional_field(field: str) -> None:
    value = getattr(body(**{field: None}), field)
    assert value is None or bytes(value) == b"null"


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", "2031-01-01", ""])
def test_both_versions_decode_alike(version: str) -> None:
    raw = raw_body(temperature=0.2, messages=[{"role": "assistant", "content": [{"type": "document"}]}])
    request = decode(raw, version=version, betas=("a", "b"), query="beta=true")
    assert request == Request(raw, version=version, betas=("a", "b"), query="beta=true")
    assert request.body.temperature == 0.2
    assert request.raw is raw


BLOCKS: list[Json] = [
    {**TEXT, "citations": [{"type": "char_location", "cited_text": "x"}], "cache_control": {"type": "ephemeral"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
    {"type": "image", "source": {"type": "url", "url": "https://x.y/a.png"}},
    {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "x"},
        "title": "t",
        "context": "c",
        "citations": {"enabled": True},
    },
    {"type": "document", "source": {"type": "content", "content": [TEXT]}},
    {"type": "document", "source": {"type": "content", "content": "x"}},
    {"type": "search_result", "source": "doc/1", "title": "t", "content": [TEXT]},
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "redacted_thinking", "data": "x"},
    {"type": "tool_use", "id": "a", "name": "Bash", "input": {"__unparsedToolInput": {"raw": "{", "len": 1}}},
    {"type": "tool_result", "tool_use_id": "a"},
    {"type": "tool_result", "tool_use_id": "a", "content": "x", "is_error": True},
    {"type": "tool_result", "tool_use_id": "a", "content": [TEXT, {"type": "tool_reference", "tool_name": "WebFetch"}]},
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "s",
        "content": [{"type": "web_search_result", "url": "u", "title": "t"}],
    },
    {
        "type": "web_search_tool_result",
        "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
    },
    {
        "type": "web_fetch_tool_result",
        "content": {"type": "web_fetch_result", "url": "u", "content": {"type": "document"}},
    },
    {
        "type": "code_execution_tool_result",
        "content": {
            "type": "code_execution_result",
            "stdout": "o",
            "stderr": "e",
            "return_code": 1,
            "content": [{"type": "code_execution_output", "file_id": "f"}],
        },
    },
    {
        "type": "tool_search_tool_result",
        "content": {
            "type": "tool_search_tool_search_result",
            "tool_references": [{"type": "tool_reference", "tool_name": "x"}],
        },
    },
    {"type": "container_upload", "file_id": "f"},
    {"type": "mcp_tool_use", "id": "m", "name": "n", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "m", "content": [TEXT], "is_error": False},
    {"type": "compaction", "content": "summary", "signature": "s"},
    {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "x"}},
]


@pytest.mark.parametrize("row", BLOCKS, ids=lambda row: str(row["type"]))
def test_every_block(row: Json) -> None:
    assert [plain(one) for one in blocks(row)] == [row]


def test_the_blocks_above_are_the_known_types() -> None:
    def names(row: Any) -> set[str]:
        inner = row.get("content")
        inside = inner if isinstance(inner, list) else [inner] if isinstance(inner, dict) else []
        return {row["type"]}.union(*map(names, inside))

    seen = set[str]().union(*map(names, BLOCKS))
    others = {"bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_removal"}
    assert seen | others >= TYPES


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
def test_content_is_a_string_a_list_or_nothing(role: str) -> None:
    turns = body(messages=[{"role": role, "content": "x"}, {"role": role, "content": None}, {"role": role}]).messages
    assert [turn.content for turn in turns] == ["x", None, None]


TOOLS: list[Json] = [
    {
        "name": "Bash",
        "type": "custom",
        "description": "d",
        "input_schema": {"$schema": "x", "type": "object"},
        "strict": True,
        "cache_control": EPHEMERAL,
        "defer_loading": True,
        "eager_input_streaming": True,
        "input_examples": [{"a": 1}],
        "allowed_callers": ["direct"],
    },
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 100},
    {
        "type": "computer_20251124",
        "name": "computer",
        "display_width_px": 1,
        "display_height_px": 2,
        "display_number": 0,
    },
    {
        "type": "web_search_20250305",
        "name": "web_search",
        "max_uses": 8,
        "allowed_domains": ["x.y"],
        "blocked_domains": [],
        "user_location": {"type": "approximate", "city": "Bern"},
    },
    {"type": "computer_toolset_20260801"},
    {"type": "mcp_toolset", "mcp_server_name": "s"},
]


@pytest.mark.failure(24, 34, 35)
@pytest.mark.parametrize("row", TOOLS, ids=lambda row: str(row["type"]))
def test_every_tool(row: Json) -> None:
    assert [plain(one) for one in body(tools=[row]).tools or ()] == [row]


@pytest.mark.failure(35)
def test_whose_tool_it_is() -> None:
    for type_ in (None, "custom"):
        assert Tool(name="x", type=type_).is_function
    assert not Tool(name="bash", type="bash_20250124").is_function


def test_schemas_and_inputs_stay_as_they_were_written() -> None:
    schema, arguments = (
        b'{ "type":"object", "maximum":1e400, "b":1,"a":2 }',
        b'{"n": 1.0, "big": 12345678901234567890123}',
    )
    raw = (
        b'{"model":"m","max_tokens":1,"tools":[{"name":"x","input_schema":%b}],'
        b'"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"x","input":%b}]}]}'
    ) % (schema, arguments)
    found = decode(raw).body
    assert found.tools is not None
    assert bytes(found.tools[0].input_schema) == schema
    assert isinstance(found.messages[0].content, list)
    assert bytes(found.messages[0].content[0].input) == arguments


def test_typed_parts() -> None:
    found = body(**EVERYTHING)
    assert found.tool_choice == ToolChoice("tool", "Bash", disable_parallel_tool_use=True)
    assert found.thinking == Thinking("enabled", 31999, "updates")
    assert found.cache_control == CacheControl("ephemeral", "1h")
    assert blocks(BLOCKS[2])[0].source == Source("url", url="https://x.y/a.png")


# What is not known


@pytest.mark.failure(34, 38)
def test_unknown_fields_are_legal_everywhere() -> None:
    odd = {"future": {"deep": [1, None]}, "n": 1}
    found = body(
        **odd,
        system=[{**TEXT, **odd}],
        tools=[{"name": "x", "input_schema": {}, **odd}],
        tool_choice={"type": "auto", **odd},
        thinking={"type": "adaptive", **odd},
        output_config={"effort": "low", **odd},
        metadata={"user_id": "u", **odd},
        messages=[{"role": "user", "content": [{**TEXT, **odd}], **odd}],
    )
    assert found.messages[0].content == [text_block("hi")]


def test_unknown_block_types_keep_the_fields_that_are_known() -> None:
    assert blocks({"type": "novelty", "text": "t", "shape": [1]}) == [Block("novelty", msgspec.Raw(b'"t"'))]


@pytest.mark.parametrize("odd", [{"text": {"a": 1}}, {"source": [1]}, {"content": 7}, {"title": {}}, {"name": 5}])
def test_unknown_block_types_may_have_other_shapes(odd: Json) -> None:
    stranger = {"type": "novelty", **odd}
    result = {"type": "tool_result", "tool_use_id": "a", "content": [TEXT, stranger]}
    raw = raw_body(messages=[{"role": "user", "content": "x"}, {"role": "user", "content": [TEXT, stranger, result]}])
    request = decode(raw)
    assert request.notes == (
        Note("lost", "block.unreadable", "messages.1.content.1"),
        Note("lost", "block.unreadable", "messages.1.content.2.content.1"),
    )
    assert request.raw is raw
    content = request.body.messages[1].content
    assert isinstance(content, list)
    assert content[:2] == [text_block("hi"), Block("novelty")]
    assert content[2].content == [text_block("hi"), Block("novelty")]


def test_a_strange_block_does_not_excuse_a_wrong_one() -> None:
    turn = {"role": "user", "content": [{"type": "novelty", "text": 1}, {"type": "text", "text": 2}]}
    assert refused(raw_body(messages=[turn])).startswith("messages.0.content.1.text: ")


# Errors


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": 5}, "model: Expected `str`, got `int`"),
        ({"model": ""}, "model: Expected `str` of length >= 1"),
        ({"max_tokens": "many"}, "max_tokens: Expected `int | null`, got `str`"),
        ({"max_tokens": -1}, "max_tokens: Expected `int` >= 0"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": {}}, "messages: Expected `array`, got `object`"),
        ({"messages": ["x"]}, "messages.0: Expected `object`, got `str`"),
        ({"messages": [{"content": "x"}]}, "messages.0.role: Field required"),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages.0.content: Expected `str | array | null`, got `int`",
        ),
        (
            {"messages": [{"role": "user", "content": [5]}]},
            "messages.0.content.0: Expected `object`, got `int`",
        ),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages.0.content.0.type: Field required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
            "messages.0.content.0.text: Expected `str | null`, got `int`",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": 5}]}]}
                ]
            },
            "messages.0.content.0.content.0.text: Expected `str | null`, got `int`",
        ),
        ({"messages": [{"role": "user"}, {"role": None}]}, "messages.1.role: Expected `str`, got `null`"),
        ({"system": 5}, "system: Expected `str | array | null`, got `int`"),
        ({"tools": [{"name": "x"}, {"name": 5}]}, "tools.1.name: Expected `str | null`, got `int`"),
        ({"tool_choice": "auto"}, "tool_choice: Expected `object | null`, got `str`"),
        ({"tool_choice": {}}, "tool_choice.type: Field required"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": "x"}},
            "thinking.budget_tokens: Expected `int | null`, got `str`",
        ),
        ({"output_config": {"effort": 3}}, "output_config.effort: Expected `str | null`, got `int`"),
        ({"stop_sequences": "x"}, "stop_sequences: Expected `array | null`, got `str`"),
        ({"temperature": "hot"}, "temperature: Expected `float | null`, got `str`"),
        ({"stream": "yes"}, "stream: Expected `bool | null`, got `str`"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id: Expected `str | null`, got `int`"),
    ],
)
def test_a_wrong_type_names_the_field(fields: Json, message: str) -> None:
    assert refused(raw_body(**fields)) == message


@pytest.mark.parametrize("missing", ["model", "messages", "max_tokens"])
def test_required_fields(missing: str) -> None:
    fields = {"model": "m", "max_tokens": 1, "messages": []}
    del fields[missing]
    assert refused(msgspec.json.encode(fields)) == f"{missing}: Field required"


def test_counting_needs_no_max_tokens() -> None:
    assert decode(b'{"model":"m","messages":[]}', counting=True).body.max_tokens is None
    assert decode(b'{"model":"m","max_tokens":0,"messages":[]}').body.max_tokens == 0


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"not json", b'{"model":"m",}', raw_body() + b" x", b'{"model":NaN}', b"{'a':1}"]
)
def test_what_is_not_json(raw: bytes) -> None:
    assert refused(raw).startswith("The request body is not valid JSON: ")


@pytest.mark.parametrize(("raw", "found"), [(b"[]", "array"), (b"null", "null"), (b'"x"', "str"), (b"5", "int")])
def test_what_is_no_object(raw: bytes, found: str) -> None:
    assert refused(raw) == f"Expected `object`, got `{found}`"


# Unicode


@pytest.mark.parametrize("escape", [rb"\ud83d", rb"\uDE00", rb"\udfff\ud800", rb"\ud83d \ude00", rb"\\\ud83d"])
def test_lone_surrogates_are_repaired(escape: bytes) -> None:
    for raw in (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a%bz"}]}' % escape,
        b'{"model":"m","max_tokens":1,"messages":[],"unknown":{"%b":1}}' % escape,
        b'{"model":"m","max_tokens":1,"messages":[],"tools":[{"input_schema":{"x":"%b"}}]}' % escape,
    ):
        request = decode(raw)
        assert request.notes == (Note("changed", "unicode.repaired"),)
        repaired = decode(repair_surrogates(raw))
        assert request.body == repaired.body
        assert repaired.notes == ()
        assert request.raw is raw  # who passes it on leaves it to the upstream


def test_pairs_and_escaped_backslashes_are_left_alone() -> None:
    for text in (rb"\ud83d\ude00", rb"\\ud83d", rb"\\\\ude00", "😀".encode()):
        raw = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"%b"}]}' % text
        request = decode(raw)
        assert request.raw is raw
        assert request.notes == ()
        assert repair_surrogates(raw) == raw


HALVES = st.sampled_from([r"\ud83d", r"\ude00", r"\\", r"\n", r"\"", "a", "u", "d83d", r"\u00e9", "é"])


@given(st.lists(HALVES, max_size=12))
def test_any_mix_of_halves_can_be_decoded(parts: list[str]) -> None:
    text = "".join(parts)
    repaired = repair_surrogates(b'"%b"' % text.encode())
    whole: str = msgspec.json.decode(repaired)
    pairs = re.sub(r"\\\\|(\\ud83d\\ude00)", lambda m: "😀" if m[1] else m[0], text)
    assert whole.count("😀") == pairs.count("😀")
    assert len(whole) == len(re.findall(r"😀|\\u[0-9a-f]{4}|\\.|.", pairs))


def test_bytes_that_are_not_utf8() -> None:
    request = decode(b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a\xffb"}]}')
    assert request.body.messages[0].content == "a\ufffdb"
    assert request.notes == (Note("changed", "unicode.repaired"),)


def test_a_lone_surrogate_beside_a_strange_block() -> None:
    raw = rb'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"new","text":["\ud83d"]}]}]}'
    assert [note.code for note in decode(raw).notes] == ["unicode.repaired", "block.unreadable"]


# Nesting


def nested(levels: int, inner: bytes = b"1") -> bytes:
    return b'{"a":[' * (levels // 2) + inner + b"]}" * (levels // 2)


NESTED_PLACES = {
    "tools.0.input_schema": b'"tools":[{"name":"x","input_schema":%b}],"messages":[]',
    "messages.0.content.1.input": (
        b'"messages":[{"role":"assistant","content":[{"type":"text"},{"type":"tool_use","id":"a","input":%b}]}]'
    ),
    "messages.0.content.0.tool": b'"messages":[{"role":"system","content":[{"type":"tool_addition","tool":%b}]}]',
    "messages.0.content.0.content.0.input": (
        b'"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"x","input":%b}]}]}]'
    ),
    "output_config.format.schema": b'"messages":[],"output_config":{"format":{"type":"json_schema","schema":%b}}',
    "output_format.schema": b'"messages":[],"output_format":{"type":"json_schema","schema":%b}',
    "system.0.input": b'"messages":[],"system":[{"type":"x","input":%b}]',
}


@pytest.mark.parametrize("place", NESTED_PLACES)
def test_nesting_over_100_names_the_place(place: str) -> None:
    raw = b'{"model":"m","max_tokens":1,' + NESTED_PLACES[place] + b"}"
    assert decode(raw % nested(NESTING_LIMIT)).notes == ()
    assert refused(raw % nested(NESTING_LIMIT + 2)) == f"{place}: nested more than 100 levels deep."
    assert decode(raw % (b'{"a":"' + b"[" * 500 + b'","b":[' + b"[]," * 500 + b"1]}")).notes == ()
    assert refused(raw % nested(5000)) == "The JSON body is nested too deeply."


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (b'{"type":"tool_result","content":[', b"]}"),
        (b'{"type":"web_fetch_tool_result","content":', b"}"),
        (b'{"type":"document","source":{"type":"content","content":[', b"]}}"),
        (b'{"type":"x","tool_references":[', b"]}"),
    ],
)
def test_blocks_inside_blocks(head: bytes, tail: bytes) -> None:
    raw = b'{"model":"m","max_tokens":1,"messages":[{"role":"user"},{"role":"user","content":[%b]}]}'

    def inside(levels: int) -> bytes:
        return raw % (head * levels + b'{"type":"text","text":"x"}' + tail * levels)

    assert decode(inside(40)).notes == ()
    assert refused(inside(60)) == "messages.1: nested more than 100 levels deep."
    assert refused(inside(5000)) == "The JSON body is nested too deeply."


@pytest.mark.parametrize("field", ["unknown", "mcp_servers", "metadata", "thinking"])
def test_5000_levels_anywhere_are_refused(field: str) -> None:
    value = b'{"type":"x","user_id":null,"new":%b}' % nested(5000)
    raw = b'{"model":"m","max_tokens":1,"messages":[],"%b":%b}' % (field.encode(), value)
    assert refused(raw) == "The JSON body is nested too deeply."


NAMES = st.sampled_from(["", "[", "]", "{", '"', "\\", '\\"]'])
TREES = st.recursive(
    st.none() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=8,
)


@given(TREES)
def test_depth_counts_levels(value: Any) -> None:
    def levels(one: Any) -> int:
        if isinstance(one, dict):
            return 1 + max(map(levels, one.values()), default=0)
        return 1 + max(map(levels, one), default=0) if isinstance(one, list) else 0

    assert depth(msgspec.json.encode(value)) == levels(value)


# Sessions


@pytest.mark.failure(36)
@pytest.mark.parametrize(
    ("user_id", "session"),
    [
        ('{"device_id":"d","account_uuid":"","session_id":"3f2a"}', "3f2a"),
        ('{"session_id":5}', None),
        ('{"session_id":""}', None),
        ("{}", None),
        ("{broken", None),
        ('{"session_id":' + "[" * 5000 + "]" * 5000 + "}", None),
        ('{"session_id":"\\ud83d"}', None),
        ("user_0f_account_1a_session_3f2a", "3f2a"),
        ("user_0f_account_1a_session_", None),
        ("someone", None),
        ("", None),
        (None, None),
    ],
)
def test_the_session_in_the_user_id(user_id: str | None, session: str | None) -> None:
    assert decode(raw_body(metadata={"user_id": user_id})).session == session


def test_the_header_wins_over_the_user_id() -> None:
    raw = raw_body(metadata={"user_id": '{"session_id":"body"}'})
    assert decode(raw, session="header").session == "header"
    assert decode(raw_body()).session is None
    assert decode(raw_body(metadata={})).session is None


def test_the_tools_of_a_large_body_are_the_same_object_again() -> None:
    tools = [{"name": "Write", "description": "x" * 9000, "input_schema": {"type": "object"}}]
    first, again = (body(tools=tools, max_tokens=number).tools for number in (1, 2))
    assert isinstance(first, KnownTools)
    assert first is again
    assert msgspec.json.decode(first.json) == tools
    assert first == msgspec.json.decode(raw_body(tools=tools), type=Body).tools
    assert body(tools=None, system="x" * 9000).tools is None


def test_a_wrong_tool_of_a_large_body_is_named_too() -> None:
    with pytest.raises(ApiError, match=r"tools\.0\.name: Expected `str \| null`, got `int`"):
        decode(raw_body(system="x" * 9000, tools=[{"name": 1}]))


def test_a_single_block_inside_a_result_is_looked_into() -> None:
    deep = {"type": "text", "text": "hi"}
    (result,) = blocks({"type": "tool_result", "tool_use_id": "a", "content": deep})
    assert result.content == text_block("hi")


TOOLS = [{"name": "Write", "description": "x" * 9000, "input_schema": {"type": "object"}}]


def test_tools_are_known_by_where_they_stood_and_by_nothing_else() -> None:
    known = body(tools=TOOLS).tools
    assert isinstance(known, KnownTools)
    for fields in ({"max_tokens": 2}, {"system": "x"}, {"messages": [{"role": "user", "content": "é" * 50}]}):
        found = body(tools=TOOLS, **fields)
        assert found.tools is known
        assert {name: plain(getattr(found, name)) for name in fields} == fields
    raw = raw_body(tools=TOOLS)
    start = raw.index(known.json)
    nested = raw.replace(b'"tools":', b'"extra":')  # the same bytes at the same place, and no tools
    assert decode(nested).body.tools is None
    inside = raw[:start] + known.json + b',"tools":[]}'
    assert decode(inside).body.tools == []
    with pytest.raises(ApiError, match=r"max_tokens: Expected `int \| null`, got `str`"):
        decode(raw_body(tools=TOOLS).replace(b'"max_tokens":1', b'"max_tokens":"1"'))
    with pytest.raises(ApiError, match="not valid JSON"):
        decode(raw[:-1] + b"]")


def test_nothing_that_is_no_utf8_goes_on() -> None:
    note = Note("changed", "unicode.repaired")
    for size in (1, 9000, 40_000):
        text = "é" * size
        for fields in (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": f"{text}@"}]}]},
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": {"a": f"{text}@"}}]}]},
            {"tools": [{"name": "t", "input_schema": {"title": f"{text}@"}}]},
            {"tools": TOOLS, "system": f"{text}@"},
        ):
            raw = raw_body(**fields)
            assert decode(raw).raw == raw
            repaired = decode(raw.replace(b"@", b"\xc3"))
            assert repaired.notes == (note,)
            assert repaired.body == decode(raw.replace(b"@", "\ufffd".encode())).body


@pytest.mark.parametrize(
    ("value", "kind"), [(5, "int"), (-1.5, "float"), (True, "bool"), ([], "array"), ({}, "object")]
)
def test_a_text_is_a_string(value: Any, kind: str) -> None:
    def told(*rows: Any) -> str:
        return refused(raw_body(messages=[{"role": "user", "content": [TEXT, *rows]}]))

    wrong = {"type": "text", "text": value}
    problem = f"text: Expected `str | null`, got `{kind}`"
    source = {"type": "content", "content": [wrong]}
    references = {"type": "tool_search_tool_result", "tool_references": [wrong]}
    result = {"type": "tool_result", "tool_use_id": "a"}
    assert told(wrong) == f"messages.0.content.1.{problem}"
    assert told(result | {"content": [TEXT, wrong]}) == f"messages.0.content.1.content.1.{problem}"
    assert told(result | {"content": wrong}) == f"messages.0.content.1.content.0.{problem}"
    assert told({"type": "tool_use", "text": value}) == f"messages.0.content.1.{problem}"
    assert told({"type": "document", "source": source}) == f"messages.0.content.1.source.content.0.{problem}"
    assert told(references) == f"messages.0.content.1.tool_references.0.{problem}"
    assert refused(raw_body(system=[wrong])) == f"system.0.{problem}"


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u00a0\u3000", "\u2028", None])
def test_blank_texts(text: str | None) -> None:
    (block,) = blocks({"type": "text", "text": text})
    assert block.is_blank
    assert block.text == text
    assert Block("text").is_blank
    assert Block("text").text is None


@pytest.mark.parametrize("text", ["a", "u", "\\", '"', "null", " a", "\n\u00e9", "\u00e9", "\u4e2d", "\x00"])
def test_texts_that_say_something(text: str) -> None:
    assert not text_block(text).is_blank
    for raw in (msgspec.json.encode(text), json.dumps(text).encode()):
        (block,) = blocks({"type": "text", "text": msgspec.Raw(raw)})
        assert not block.is_blank
        assert block.text == text


def test_an_input_of_many_objects_may_be_shallow() -> None:
    many = {"type": "tool_use", "id": "a", "name": "b", "input": {"rows": [{"n": n} for n in range(NESTING_LIMIT)]}}
    (block,) = blocks(many, role="assistant")
    assert plain(block) == many


# Looked at only where somebody has to


@pytest.mark.failure(69)
def test_who_passes_it_on_needs_only_its_head() -> None:
    request = Request(
        raw_body(stream=True, metadata={"user_id": "user_session_1"}, messages="a text where turns belong")
    )
    assert (request.model, request.stream, request.max_tokens, request.session) == ("m", True, 1, "1")
    assert request.notes == ()
    with pytest.raises(ApiError, match="messages: Expected `array`, got `str`") as caught:
        request.body  # noqa: B018 looking is what raises
    assert caught.value.kind == "invalid_request"


def test_a_head_is_the_same_before_and_after_the_body_was_looked_at() -> None:
    raw = raw_body(stream=True)
    for request in (Request(raw), decode(raw)):
        assert (request.model, request.stream, request.max_tokens, request.session) == ("m", True, 1, None)
    assert Request(raw, named_session="s").session == "s"
    assert Request(raw_body()).stream is False


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"model":5}', b'{"model":""}', b'{"model":"m","stream":"yes"}'])
def test_a_head_that_says_nothing_is_told_at_once(raw: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        Request(raw).model  # noqa: B018 looking is what raises
    assert caught.value.kind == "invalid_request"


def test_a_head_is_read_with_half_a_character_beside_it() -> None:
    assert Request(raw_body(system="hi").replace(b"hi", rb"\ud83d")).model == "m"
