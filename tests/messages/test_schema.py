"""Schemas of tools: what servers refuse is mended, meaning is kept, and what needs no change keeps its bytes."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dragoman.messages import schema
from dragoman.messages.body import NO_RAW
from dragoman.messages.notes import Note

Json = dict[str, Any]


def tidy(node: Any, *, inline: bool = False) -> tuple[Any, list[Note]]:
    notes: list[Note] = []
    raw = schema.parameters(Raw(msgspec.json.encode(node)), inline=inline, notes=notes, place="tools.0.input_schema")
    return msgspec.json.decode(raw), notes


def text(raw: Raw) -> bytes:
    return memoryview(raw).tobytes()


PLAIN = (
    b'{"type":"object","properties":{"path":{"type":"string","description":"a \\"quoted\\" word: true"},'
    b'"modes":{"type":"array","items":{"type":"string","enum":["r","w"]}},'
    b'"more":{"type":"object","properties":{"n":{"type":"integer","default":true}},"additionalProperties":false}},'
    b'"required":["path"],"additionalProperties":false}'
)


@pytest.mark.failure(33)
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        (True, {"type": "object", "properties": {}}),
        (None, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"properties": {"a": 7}}, {"type": "object", "properties": {"a": 7}}),
        ({"type": ["object", "null"]}, {"type": "object", "properties": {}}),
        ({"type": "object", "properties": None, "required": None}, {"type": "object", "properties": {}}),
        (
            {"type": "object", "properties": {"a": {"type": "array"}}},
            {"type": "object", "properties": {"a": {"type": "array", "items": {}}}},
        ),
        (
            {"type": "object", "properties": {"a": {"type": ["array", "null"], "items": True}}},
            {"type": "object", "properties": {"a": {"type": ["array", "null"], "items": {}}}},
        ),
        (
            {"type": "object", "properties": {"a": {"anyOf": [{"type": "array"}, {"type": "object"}]}}},
            {
                "type": "object",
                "properties": {"a": {"anyOf": [{"type": "array", "items": {}}, {"type": "object", "properties": {}}]}},
            },
        ),
        (
            {"type": "object", "properties": {"a": True, "b": False}},
            {"type": "object", "properties": {"a": {}, "b": {"not": {}}}},
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": [{"type": "string"}]}}},
            {
                "type": "object",
                "properties": {"a": {"type": "array", "items": {}, "prefixItems": [{"type": "string"}]}},
            },
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"items": [True], "additionalItems": {"type": "array"}}},
            },
            {
                "type": "object",
                "properties": {"a": {"items": {"type": "array", "items": {}}, "prefixItems": [{}]}},
            },
        ),
    ],
)
def test_what_servers_refuse_is_mended(given: Any, sent: Json) -> None:
    assert tidy(given) == (sent, [])


def test_a_schema_without_need_keeps_its_bytes() -> None:
    raw = Raw(PLAIN)
    assert text(schema.parameters(raw, inline=True, notes=[], place="")) == PLAIN


@pytest.mark.parametrize(
    "spelled",
    [
        b'{"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": []}',
        b'{"properties":{"a":{"title":"A","type":"string"}},"title":"In","type":"object"}',
        b'{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}}}',
        b'{\n  "type": "object",\n  "properties": {"a": {"enum": [true, false], "default": false}}\n}',
        b'{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"string"}}}',
    ],
)
def test_a_second_look_that_finds_nothing_keeps_the_bytes_too(spelled: bytes) -> None:
    assert text(schema.parameters(Raw(spelled), inline=False, notes=[], place="")) == spelled


@pytest.mark.failure(33)
@pytest.mark.parametrize(
    "spelled",
    [
        b'{"$schema":"http://json-schema.org/draft-07/schema#",' + PLAIN[1:],
        b'{ "$schema" : "http://json-schema.org/draft-07/schema#" , ' + PLAIN[1:],
        PLAIN[:-1] + b',"$schema":"https://json-schema.org/draft/2020-12/schema"}',
    ],
)
def test_the_name_of_the_dialect_is_cut_out_and_the_rest_keeps_its_bytes(spelled: bytes) -> None:
    assert text(schema.parameters(Raw(spelled), inline=False, notes=[], place="")) == PLAIN


def test_the_name_of_the_dialect_goes_wherever_it_stands() -> None:
    inner = {"type": "object", "$schema": "x", "$id": "y", "properties": {"$schema": {"type": "string"}}}
    sent, notes = tidy({"type": "object", "properties": {"a": inner}, "$id": "z", "$schema": 7, "required": []})
    assert sent == {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {"$schema": {"type": "string"}}}},
        "required": [],
    }
    assert notes == []


def test_no_schema_is_an_empty_object() -> None:
    assert schema.parameters(NO_RAW, inline=False, notes=[], place="") is schema.EMPTY


@pytest.mark.failure(33, 37)
def test_properties_named_like_keywords_are_not_touched() -> None:
    names = ["$schema", "$id", "$ref", "default", "format", "anyOf", "items", "enum", "type", "properties", "not"]
    names += ["additionalProperties", "cache_control", "$defs", "required"]
    node = {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}
    assert tidy(node) == (node, [])
    assert tidy(node, inline=True) == (node, [])


def test_data_inside_a_schema_is_not_touched() -> None:
    data = {"type": "array", "$schema": True, "anyOf": [True]}
    node = {
        "type": "object",
        "properties": {"a": {"default": data, "enum": [data], "const": data, "examples": [data, True]}},
    }
    assert tidy(node) == (node, [])


@pytest.mark.failure(33)
@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_a_union_at_the_top_becomes_one_object(keyword: str) -> None:
    sent, notes = tidy(
        {
            "type": "object",
            "description": "Finds.",
            "properties": {"where": {"type": "string"}},
            "required": ["where"],
            keyword: [
                {"properties": {"id": {"type": "integer"}, "how": {"const": "id"}}, "required": ["id", "how"]},
                {"properties": {"name": {"type": "string"}, "how": {"const": "name"}}, "required": ["name", "how"]},
                {"$ref": "#/$defs/All"},
            ],
            "$defs": {"All": {"type": "object", "properties": {"how": {"enum": ["all"]}}, "required": ["how"]}},
        }
    )
    assert notes == [Note("changed", "schema.union", "tools.0.input_schema")]
    assert sent["type"] == "object"
    assert sent["properties"] == {
        "where": {"type": "string"},
        "id": {"type": "integer"},
        "how": {"type": "string", "enum": ["id", "name", "all"]},
        "name": {"type": "string"},
    }
    assert sent["required"] == ["where", "how"]
    assert sent["description"] == "Finds. Give the parameters of one of: (id, how); (name, how); (how)."
    assert not {"anyOf", "oneOf", "allOf"} & sent.keys()


def test_different_types_of_one_parameter_become_a_choice() -> None:
    branches = [{"properties": {"a": {"type": kind}}} for kind in ("string", "integer", "string", "array")]
    sent, _ = tidy({"oneOf": branches})
    assert sent == {
        "type": "object",
        "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {}}]}},
    }


def test_one_parameter_of_two_branches_stays_one() -> None:
    branches = [
        {"properties": {"a": {"type": "string"}, "b": True}},
        {"properties": {"a": {"type": "string"}, "b": {}}},
    ]
    sent, _ = tidy({"anyOf": branches})
    assert sent["properties"] == {"a": {"type": "string"}, "b": {"anyOf": [{}, {}]}}


def test_all_of_at_the_top_requires_everything() -> None:
    sent, _ = tidy(
        {
            "allOf": [
                {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"a": {"minLength": 1}, "b": {"type": "string"}}, "required": ["b"]},
                {"anyOf": [{"required": ["c"]}, {"required": ["d"]}], "properties": {"c": {}, "d": {}}},
            ]
        }
    )
    assert sent["properties"] == {
        "a": {"allOf": [{"type": "string"}, {"minLength": 1}]},
        "b": {"type": "string"},
        "c": {},
        "d": {},
    }
    assert sent["required"] == ["a", "b"]
    assert sent["description"] == "Give the parameters of one of: (c); (d)."


def test_an_enumeration_or_a_negation_at_the_top_is_left_out() -> None:
    sent, notes = tidy({"type": "object", "properties": {"a": {}}, "not": {"required": ["a"]}, "enum": [{}]})
    assert sent == {"type": "object", "properties": {"a": {}}}
    assert notes == [Note("changed", "schema.union", "tools.0.input_schema")]


def test_a_union_of_nonsense_is_an_empty_object() -> None:
    assert tidy({"anyOf": 7, "oneOf": ["x"], "properties": 3})[0] == {"type": "object", "properties": {}}


def test_a_reference_at_the_top_is_followed() -> None:
    defined = {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "title": "inner"}}
    sent, notes = tidy({"$ref": "#/$defs/Node", "$defs": defined, "title": "outer"})
    assert sent == {**defined["Node"], "$defs": defined, "title": "outer"}
    assert notes == []
    assert tidy({"$ref": "#"})[0]["type"] == "object", "a circle ends"


def test_references_are_written_out_where_servers_do_not_follow_them() -> None:
    node = {
        "type": "object",
        "properties": {
            "one": {"$ref": "#/$defs/a~1b", "description": "mine"},
            "two": {"type": "array", "items": {"$ref": "#/$defs/Two"}},
            "three": {"$ref": "#/properties/list/anyOf/1"},
            "list": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
            "far": {"$ref": "https://example.org/schema"},
            "yes": True,
            "no": {"$ref": "#/$defs/no"},
            "coded": {"$ref": "#/$defs/List%3Cint%3E"},
        },
        "$defs": {
            "List<int>": {"type": "number"},
            "a/b": {"type": "string", "description": "theirs"},
            "Two": {"$ref": "#/$defs/a~1b"},
            "no": False,
        },
    }
    assert tidy(node)[0]["properties"] == node["properties"] | {"yes": {}}
    sent, notes = tidy(node, inline=True)
    assert sent == {
        "type": "object",
        "properties": {
            "one": {"type": "string", "description": "mine"},
            "two": {"type": "array", "items": {"type": "string", "description": "theirs"}},
            "three": {"type": "boolean"},
            "list": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
            "far": {"$ref": "https://example.org/schema"},
            "yes": {},
            "no": {"not": {}},
            "coded": {"type": "number"},
        },
    }
    assert notes == []


@pytest.mark.parametrize(
    "reference", ["#/$defs/Node", "#/$defs/missing", "#/$defs/Node/type/x", "#/required/9", "#here"]
)
def test_what_cannot_be_written_out_is_anything(reference: str) -> None:
    node = {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/Node"}},
        "required": ["root"],
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": reference, "title": "n"}}}},
    }
    sent, notes = tidy(node, inline=True)
    assert sent["properties"]["root"] == {"type": "object", "properties": {"next": {"title": "n"}}}
    assert set(notes) == {Note("changed", "schema.recursive", "tools.0.input_schema")}


def test_references_that_multiply_are_bounded() -> None:
    defined: Json = {"d0": {"type": "string"}}
    for level in range(1, 40):
        defined[f"d{level}"] = {"anyOf": [{"$ref": f"#/$defs/d{level - 1}"}, {"$ref": f"#/$defs/d{level - 1}"}]}
    sent, notes = tidy({"type": "object", "properties": {"a": {"$ref": "#/$defs/d39"}}, "$defs": defined}, inline=True)
    assert Note("changed", "schema.recursive", "tools.0.input_schema") in notes
    assert len(msgspec.json.encode(sent)) < 2_000_000


def test_the_schema_of_an_output_may_be_a_union() -> None:
    node = {"anyOf": [{"type": "array"}, {"$ref": "#/$defs/A"}], "$schema": "x", "$defs": {"A": {"type": "string"}}}
    raw = schema.output(Raw(msgspec.json.encode(node)), inline=True, notes=[], place="")
    assert msgspec.json.decode(raw) == {"anyOf": [{"type": "array", "items": {}}, {"type": "string"}]}
    assert text(schema.output(Raw(PLAIN), inline=False, notes=[], place="")) == PLAIN
    assert text(schema.output(Raw(b"true"), inline=True, notes=[], place="")) == b"{}"


STRICT = {
    "type": "object",
    "properties": {
        "a": {"type": ["string", "null"], "format": "date-time"},
        "b": {"type": "array", "items": {"$ref": "#/$defs/B"}},
        "c": {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "x"}]},
    },
    "required": ["c", "b", "a"],
    "additionalProperties": False,
    "$defs": {"B": {"type": "object", "properties": {}, "additionalProperties": False, "required": []}},
}


@pytest.mark.failure(33, 41)
@pytest.mark.parametrize(
    ("change", "ready"),
    [
        ({}, True),
        ({"required": ["a", "b"]}, False),
        ({"additionalProperties": True}, False),
        ({"additionalProperties": {"type": "string"}}, False),
        ({"oneOf": []}, False),
        ({"anyOf": [STRICT]}, False),
        ({"type": "array"}, False),
        ({"properties": {"a": {"type": "string", "minLength": 3}}, "required": ["a"]}, False),
        ({"properties": {"a": {"type": "string", "format": "uri"}}, "required": ["a"]}, False),
        ({"properties": {"a": {"type": "object"}}, "required": ["a"]}, False),
        ({"properties": {"a": {"anyOf": [{"default": 1}]}}, "required": ["a"]}, False),
        ({"properties": {"a": True}, "required": ["a"]}, False),
        ({"$defs": {"B": {"patternProperties": {}}}}, False),
        ({"properties": None, "required": None}, False),
    ],
)
def test_strict_only_without_change_of_meaning(change: Json, ready: bool) -> None:
    assert schema.strict_ready(Raw(msgspec.json.encode(STRICT | change))) is ready


# Laws

NAMES = st.sampled_from(["a", "b", "items", "type", "properties", "$schema", "$ref", "anyOf", "default", "not", "enum"])
DATA = st.sampled_from([True, None, 1, "x", {"type": "array"}, [True, {"$schema": 1}]])


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keywords = {
        "type": st.sampled_from(
            ["object", "array", "string", "integer", "number", "boolean", ["array", "null"], ["object"], "null"]
        ),
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "items": inner | st.lists(inner, max_size=2),
        "additionalProperties": st.booleans() | inner,
        "required": st.lists(NAMES, max_size=2, unique=True) | st.none(),
        "anyOf": st.lists(inner, min_size=1, max_size=3),
        "oneOf": st.lists(inner, max_size=2),
        "allOf": st.lists(inner, max_size=2),
        "not": inner,
        "propertyNames": inner,
        "patternProperties": st.dictionaries(st.just("^x"), inner, max_size=1),
        "enum": st.lists(DATA, min_size=1, max_size=2),
        "const": DATA,
        "default": DATA,
        "description": st.sampled_from(['"$schema":"x"', '"type":"array"', "true", '{"anyOf":[true]}']),
        "$schema": st.just("http://json-schema.org/draft-07/schema#"),
        "$id": st.just("x"),
        "$ref": st.sampled_from(["#", "#/$defs/a", "#/properties/a", "https://example.org"]),
        "$defs": st.dictionaries(NAMES, inner, max_size=2),
    }
    return st.lists(st.sampled_from(sorted(keywords)), max_size=5, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({key: keywords[key] for key in chosen})
    )


ANY = st.recursive(st.booleans() | st.just({}) | st.just({"type": "string"}), schemas, max_leaves=8)


def inside(node: Any) -> Iterator[Any]:
    """Every schema in a schema, itself included."""
    yield node
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        found: list[Any] = []
        if key in ("properties", "patternProperties", "$defs") and isinstance(value, dict):
            found = list(value.values())
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            found = value
        elif key in ("items", "not", "propertyNames") or (key == "additionalProperties" and isinstance(value, dict)):
            found = [value]
        for one in found:
            yield from inside(one)


def check(node: Any) -> None:
    assert isinstance(node, dict), "no boolean schemas"
    types = node.get("type", [])
    types = [types] if isinstance(types, str) else types
    assert "object" not in types or isinstance(node["properties"], dict)
    assert "array" not in types or isinstance(node["items"], dict)
    assert not isinstance(node.get("items"), list)
    assert not {"$schema", "$id"} & node.keys()
    assert isinstance(node.get("required", []), list)


@given(node=ANY, inline=st.booleans(), spaces=st.sampled_from([0, 2]))
def test_any_schema_becomes_one_that_servers_take(node: Any, inline: bool, spaces: int) -> None:
    raw = Raw(msgspec.json.format(msgspec.json.encode(node), indent=spaces))
    sent = schema.parameters(raw, inline=inline, notes=[], place="")
    found = msgspec.json.decode(sent)
    assert found["type"] == "object"
    assert not {"anyOf", "oneOf", "allOf", "enum", "not", "const"} & found.keys()
    for one in inside(found):
        check(one)
    assert text(schema.parameters(sent, inline=inline, notes=[], place="")) == text(sent), (
        "a second time changes nothing"
    )


@given(node=ANY)
def test_no_property_at_the_top_is_lost(node: Any) -> None:
    sent, _ = tidy(node)
    if isinstance(node, dict) and "$ref" not in node and isinstance(node.get("properties"), dict):
        assert set(node["properties"]) <= set(sent["properties"])


@given(node=ANY)
def test_the_quick_look_is_never_wrong(node: Any) -> None:
    """What it calls plain is what a full look would leave alone."""
    spelled = msgspec.json.encode(node)
    if schema._plain(spelled):
        notes: list[Note] = []
        assert schema._tidy(schema._object(node, notes, "")) == node
        assert notes == []
