"""Reading a Messages body: what is odd is read, and errors name the field."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.messages.body import Block, Body, KnownTools, text_block
from dragoman.messages.checks import NESTING_LIMIT, depth
from dragoman.messages.errors import ApiError
from dragoman.messages.lenient import repair_surrogates
from dragoman.messages.notes import Note
from dragoman.messages.request import decode
from messages.bodies import TEXT, Json, blocks, body, plain, raw_body, refused

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


def test_an_input_of_many_objects_may_be_shallow() -> None:
    many = {"type": "tool_use", "id": "a", "name": "b", "input": {"rows": [{"n": n} for n in range(NESTING_LIMIT)]}}
    (block,) = blocks(many, role="assistant")
    assert plain(block) == many
