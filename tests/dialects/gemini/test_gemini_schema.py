"""Schemas for Gemini: at every level only what it knows, in both forms, and as much of the meaning as goes."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dialects.gemini.google_types import inner_schemas, schema_problem
from dragoman.dialects.gemini import schema
from dragoman.dialects.gemini.schema import Form
from dragoman.messages.body import NO_RAW
from dragoman.messages.notes import Note

Json = dict[str, Any]

FORMS: list[Form] = ["json_schema", "openapi"]
ANY_OBJECT = {
    "type": "OBJECT",
    "properties": {
        "_": {"type": "STRING", "description": "Leave this out. Give the properties that are needed instead of it."}
    },
}
ANY_ITEM = {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}, {"type": "BOOLEAN"}, ANY_OBJECT]}
ANYTHING = {"anyOf": [*ANY_ITEM["anyOf"], {"type": "ARRAY", "items": ANY_ITEM}]}


def made(node: Any, form: Form = "json_schema") -> tuple[Any, list[str]]:
    """The parameters of a function, and the codes of the notes."""
    notes: list[Note] = []
    raw = schema.parameters(Raw(msgspec.json.encode(node)), form, notes, "tools.0.input_schema")
    assert all(note.grade == "changed" and note.place == "tools.0.input_schema" for note in notes)
    return None if raw is NO_RAW else msgspec.json.decode(raw), [note.code for note in notes]


def answered(node: Any, form: Form = "json_schema") -> tuple[Any, list[str]]:
    """The schema of a structured output, and the codes of the notes."""
    notes: list[Note] = []
    raw = schema.output(Raw(msgspec.json.encode(node)), form, notes, "output_config.format.schema")
    return msgspec.json.decode(raw), [note.code for note in notes]


def one(node: Any, form: Form = "json_schema") -> tuple[Any, list[str]]:
    """What becomes of a schema as one property of the parameters."""
    found, codes = made({"type": "object", "properties": {"a": node}}, form)
    return found["properties"]["a"], codes


PLAIN = (
    b'{"type":"object","properties":{"path":{"type":"string","description":"a \\"quoted\\" word"},'
    b'"modes":{"type":"array","items":{"type":"string","enum":["r","w"]},"minItems":1,"maxItems":4},'
    b'"limit":{"type":"integer","minimum":0,"maximum":9007199254740991},'
    b'"when":{"anyOf":[{"type":"string","format":"date-time"},{"type":"null"}],"title":"When"},'
    b'"node":{"$ref":"#/$defs/Node"}},"required":["path"],"additionalProperties":false,'
    b'"$defs":{"Node":{"type":"object","properties":{"default":{"type":["number","null"]}}}}}'
)


def test_a_schema_without_need_keeps_its_bytes() -> None:
    for _ in range(2):  # the second time it is remembered
        assert bytes(schema.parameters(Raw(PLAIN), "json_schema", [], "")) == PLAIN
    assert bytes(schema.output(Raw(PLAIN), "json_schema", [], "")) == PLAIN
    spelled = b'{"$schema":"http://json-schema.org/draft-07/schema#",' + PLAIN[1:]
    notes: list[Note] = []
    assert bytes(schema.parameters(Raw(spelled), "json_schema", notes, "")) == PLAIN
    assert notes == []


def test_large_schemas_are_not_remembered_but_come_out_the_same() -> None:
    spelled = PLAIN.replace(b"word", b"word" * 20_000)
    assert bytes(schema.parameters(Raw(spelled), "json_schema", [], "")) == spelled


@pytest.mark.failure(45)
def test_a_function_without_parameters() -> None:
    """https://github.com/agno-agi/agno/issues/2112"""
    empty = {"type": "object", "properties": {}}
    assert bytes(schema.parameters(NO_RAW, "json_schema", [], "")) == b'{"type":"object","properties":{}}'
    assert schema.parameters(NO_RAW, "openapi", [], "") is NO_RAW
    assert made({"type": "object", "additionalProperties": False}) == (empty | {"additionalProperties": False}, [])
    assert made({"type": "object", "additionalProperties": False}, "openapi") == (None, [])
    assert made({"type": "object", "nullable": True, "properties": {"a": {}}})[0]["type"] == "object"


# What Claude Code's own tools have, and what it has broken.
# https://github.com/diegosouzapw/OmniRoute/pull/12540 and https://github.com/automazeio/vibeproxy/issues/338
CLAUDE_CODE = [
    (
        {"type": "string", "format": "uri", "description": "The URL"},
        {"type": "string", "description": 'The URL (format: "uri")'},
        {"type": "STRING", "description": 'The URL (format: "uri")'},
    ),
    (
        {"type": "string", "minLength": 2},
        {"type": "string", "description": "minLength: 2"},
        {"type": "STRING", "minLength": 2},
    ),
    (
        {"type": "integer", "exclusiveMinimum": 0, "maximum": 9007199254740991},
        {"type": "integer", "minimum": 1, "maximum": 9007199254740991},
        {"type": "INTEGER", "minimum": 1, "maximum": 9007199254740991},
    ),
    (
        {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
        ANY_OBJECT | {"description": 'additionalProperties: {"type":"string"}'},
    ),
    (
        {"type": "boolean", "default": False, "description": "All of them"},
        {"type": "boolean", "description": "All of them (default: false)"},
        {"type": "BOOLEAN", "description": "All of them (default: false)"},
    ),
    ({"const": "always"}, {"type": "string", "enum": ["always"]}, {"type": "STRING", "enum": ["always"]}),
    ({}, {}, ANYTHING),
]


@pytest.mark.failure(45)
@pytest.mark.parametrize(("given_", "json_schema", "openapi"), CLAUDE_CODE)
def test_the_schemas_of_claude_code(given_: Json, json_schema: Json, openapi: Json) -> None:
    assert one(given_) == (json_schema, [])
    assert one(given_, "openapi") == (openapi, [])


@pytest.mark.failure(45)
@pytest.mark.parametrize("form", FORMS)
def test_properties_named_like_keywords_are_not_touched(form: Form) -> None:
    names = ["default", "format", "type", "properties", "$schema", "$ref", "anyOf", "const", "not", "required"]
    node = {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}
    found, codes = made({"type": "object", "properties": {"inner": node}, "required": ["inner"]}, form)
    inner = found["properties"]["inner"]
    assert list(inner["properties"]) == names
    assert inner["required"] == names
    assert codes == []


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("given_", "json_schema", "openapi"),
    [
        (  # numbers are no values of an enum there
            {"enum": [1, 2]},
            {"type": "integer", "enum": [1, 2]},
            {"type": "INTEGER", "description": "enum: [1,2]"},
        ),
        (
            {"type": "number", "enum": [1, 2.5], "description": "Rate"},
            {"type": "number", "enum": [1, 2.5], "description": "Rate"},
            {"type": "NUMBER", "description": "Rate (enum: [1,2.5])"},
        ),
        (
            {"type": "number", "enum": [1, 2]},
            {"type": "number", "enum": [1, 2]},
            {"type": "NUMBER", "description": "enum: [1,2]"},
        ),
        (
            {"type": "string", "enum": [1, 2.5]},
            {"type": "string", "enum": ["1", "2.5"]},
            {"type": "STRING", "enum": ["1", "2.5"]},
        ),
        (
            {"type": "string", "enum": ["", "asc"]},
            {"type": "string", "description": 'enum: ["","asc"]'},
            {"type": "STRING", "description": 'enum: ["","asc"]'},
        ),
        ({"enum": [True]}, {"type": "boolean", "description": "enum: [true]"}, None),
        ({"enum": ["a", 1]}, {"description": 'enum: ["a",1]'}, None),
        ({"enum": ["a", {"b": 1}]}, {"description": 'enum: ["a",{"b":1}]'}, None),
        ({"type": "integer", "enum": ["1"]}, {"type": "integer", "description": 'enum: ["1"]'}, None),
        ({"enum": []}, {}, ANYTHING),
        ({"enum": "a"}, {}, ANYTHING),
        ({"const": None}, {"type": "null"}, {"type": "STRING", "nullable": True, "description": "const: null"}),
        (
            {"const": None, "type": "string", "format": "date-time"},
            {"type": "null", "description": 'format: "date-time"'},
            None,
        ),
        (  # null is no value of an enum
            {"type": ["string", "null"], "enum": ["a", None], "description": "A"},
            {"description": "A", "anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
            {"type": "STRING", "enum": ["a"], "description": "A", "nullable": True},
        ),
        ({"type": ["string", "null"], "enum": ["a"]}, {"type": "string", "enum": ["a"]}, None),
        ({"enum": ["a", None, "a"]}, {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}, None),
        ({"type": "string", "enum": ["a", None]}, {"type": "string", "enum": ["a"]}, None),
    ],
)
def test_enumerations(given_: Json, json_schema: Json, openapi: Json | None) -> None:
    assert one(given_) == (json_schema, [])
    assert one(given_, "openapi")[1] == []
    if openapi is not None:
        assert one(given_, "openapi")[0] == openapi


@pytest.mark.failure(46)
@pytest.mark.parametrize(
    ("given_", "json_schema", "openapi"),
    [
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
        (
            {"type": ["string", "boolean"], "minLength": 1, "description": "A"},
            {"type": ["string", "boolean"], "description": "A (minLength: 1)"},
            {
                "anyOf": [
                    {"type": "STRING", "minLength": 1, "description": "A"},
                    {"type": "BOOLEAN", "description": "A"},
                ]
            },
        ),
        (  # https://github.com/anomalyco/opencode/pull/43495
            {"type": ["object", "array", "null"], "properties": {"a": {"type": "string"}}, "items": {"type": "number"}},
            {"type": ["object", "array", "null"], "properties": {"a": {"type": "string"}}, "items": {"type": "number"}},
            {
                "anyOf": [
                    {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "nullable": True},
                    {"type": "ARRAY", "items": {"type": "NUMBER"}, "nullable": True},
                ]
            },
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "description": "A"},
            {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "A"},
            {"type": "STRING", "description": "A", "nullable": True},
        ),
        (
            {"anyOf": [{"type": "string", "description": "B"}, {"type": "null"}], "description": "A"},
            {"anyOf": [{"type": "string", "description": "B"}, {"type": "null"}], "description": "A"},
            {"type": "STRING", "description": "A B", "nullable": True},
        ),
        (  # the union stands alone
            {"oneOf": [{"type": "string"}, {"type": "number", "description": "B"}], "description": "A"},
            {"oneOf": [{"type": "string"}, {"type": "number", "description": "B"}], "description": "A"},
            {"anyOf": [{"type": "STRING", "description": "A"}, {"type": "NUMBER", "description": "B"}]},
        ),
        (
            {"anyOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}, {"type": "boolean"}]},
            {"anyOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}, {"type": "boolean"}]},
            {"anyOf": [{"type": "STRING", "nullable": True}, {"type": "BOOLEAN", "nullable": True}]},
        ),
        (
            {"anyOf": [{"anyOf": [{"type": "string"}], "description": "A"}, {"type": ["number", "boolean"]}]},
            {"anyOf": [{"anyOf": [{"type": "string"}], "description": "A"}, {"type": ["number", "boolean"]}]},
            {"anyOf": [{"type": "STRING", "description": "A"}, {"type": "NUMBER"}, {"type": "BOOLEAN"}]},
        ),
        (
            {"anyOf": [{"type": "null"}], "description": "Nothing"},
            {"anyOf": [{"type": "null"}], "description": "Nothing"},
            {"type": "STRING", "nullable": True, "description": "Nothing (const: null)"},
        ),
        (  # the same in the end
            {"anyOf": [{"type": "string", "description": "A"}, {"type": "string"}], "description": "A"},
            {"anyOf": [{"type": "string", "description": "A"}, {"type": "string"}], "description": "A"},
            {"type": "STRING", "description": "A"},
        ),
        (  # the type of all branches, said once
            {
                "type": "object",
                "required": ["b"],
                "oneOf": [{"properties": {"b": {"type": "string"}}}, {"properties": {"b": {"type": "number"}}}],
            },
            {
                "oneOf": [
                    {"properties": {"b": {"type": "string"}}, "type": "object", "required": ["b"]},
                    {"properties": {"b": {"type": "number"}}, "type": "object", "required": ["b"]},
                ]
            },
            {
                "anyOf": [
                    {"type": "OBJECT", "required": ["b"], "properties": {"b": {"type": "STRING"}}},
                    {"type": "OBJECT", "required": ["b"], "properties": {"b": {"type": "NUMBER"}}},
                ]
            },
        ),
        (
            {"type": "string", "anyOf": [{"enum": ["a"]}, {"type": "null"}, {"minLength": 3}]},
            {
                "anyOf": [
                    {"type": "string", "enum": ["a"]},
                    {"type": "null"},
                    {"type": "string", "description": "minLength: 3"},
                ]
            },
            {
                "anyOf": [
                    {"type": "STRING", "enum": ["a"], "nullable": True},
                    {"type": "STRING", "minLength": 3, "nullable": True},
                ]
            },
        ),
        ({"anyOf": [{"type": "string"}, False]}, {"anyOf": [{"type": "string"}]}, {"type": "STRING"}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
        ({"nullable": True}, {}, ANYTHING),
        (
            {"anyOf": [{"type": "string"}, {"type": "number"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
            {"anyOf": [{"type": "STRING", "nullable": True}, {"type": "NUMBER", "nullable": True}]},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            {"type": "STRING", "nullable": True},
        ),
        ({"type": "NULL", "nullable": True, "title": "A"}, {"type": "null", "title": "A"}, None),
    ],
)
def test_unions_of_types(given_: Json, json_schema: Json, openapi: Json | None) -> None:
    assert one(given_) == (json_schema, [])
    if openapi is not None:
        assert one(given_, "openapi") == (openapi, [])


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("given_", "json_schema"),
    [
        (  # an object that is one of several is an object with the properties of all
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "c": {"const": "x"}},
                "required": ["a"],
                "anyOf": [
                    {"properties": {"b": {"type": "number"}, "c": {"const": "y"}}, "required": ["b", "a"]},
                    {"oneOf": [{"required": ["d"], "properties": {"d": {}}}]},
                    {"type": "null"},
                ],
            },
            {
                "type": "object",
                "properties": {
                    "a": {"type": "string"},
                    "c": {"type": "string", "enum": ["x", "y"]},
                    "b": {"type": "number"},
                    "d": {},
                },
                "required": ["a"],
            },
        ),
        (
            {"properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a", "b"]}, {"required": ["a"]}]},
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]},
        ),
        (
            {"properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}, {"properties": {"b": {"title": "B"}}}]},
            {"type": "object", "properties": {"a": {}, "b": {"anyOf": [{}, {"title": "B"}]}}},
        ),
        (  # one of each union holds
            {
                "anyOf": [{"type": "object", "properties": {"a": {}}}],
                "oneOf": [{"type": "object", "properties": {"b": {}}}],
            },
            {"type": "object", "properties": {"a": {}, "b": {}}},
        ),
        (
            {"anyOf": [{"type": "string"}], "oneOf": [{"type": "number"}]},
            {"anyOf": [{"type": "string"}, {"type": "number"}]},
        ),
        (
            {"type": "array", "items": {"type": "string"}, "anyOf": [{"minItems": 1}, {"maxItems": 0}]},
            {"type": "array", "items": {"type": "string"}},
        ),
        ({"enum": ["a", "b"], "oneOf": [{"title": "A"}]}, {"type": "string", "enum": ["a", "b"]}),
    ],
)
def test_unions_that_are_widened(given_: Json, json_schema: Json) -> None:
    assert one(given_) == (json_schema, ["schema.union"])


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("given_", "json_schema"),
    [
        (
            {
                "allOf": [
                    {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
                    {"properties": {"b": {}, "a": {"maxLength": 9}}, "additionalProperties": {}, "title": "B"},
                    {"required": ["a", "b"], "title": "C"},
                ],
                "required": ["b"],
            },
            {
                "required": ["b", "a"],
                "type": "object",
                "properties": {"a": {"type": "string", "description": "maxLength: 9"}, "b": {}},
                "title": "B",
            },
        ),
        (
            {
                "allOf": [
                    {"type": "number", "minimum": 1, "maximum": 9},
                    {"type": "integer", "minimum": 3, "maximum": 7},
                ]
            },
            {"type": "integer", "minimum": 3, "maximum": 7},
        ),
        (
            {"allOf": [{"type": ["integer", "null"]}, {"type": ["number", "string", "null"]}]},
            {"type": ["integer", "null"]},
        ),
        ({"allOf": [{"enum": ["a", "b"]}, {"enum": ["c", "b"]}]}, {"type": "string", "enum": ["b"]}),
        (
            {"allOf": [{"description": "A"}, {"description": "B"}, {"description": "A"}], "description": "C"},
            {"description": "C A B"},
        ),
        (
            {"allOf": [{"items": {"type": "string"}, "minItems": 1}, {"items": {"minLength": 1}, "minItems": 2}]},
            {"items": {"type": "string", "description": "minLength: 1"}, "minItems": 2},
        ),
        (
            {
                "allOf": [
                    {"additionalProperties": {"type": "string"}, "propertyOrdering": ["a"]},
                    {"additionalProperties": {"title": "B"}, "properties": {"a": {}, "b": {}}},
                    {"propertyOrdering": ["b", "a", "c"]},
                ]
            },
            {
                "additionalProperties": {"type": "string", "title": "B"},
                "propertyOrdering": ["a", "b"],
                "properties": {"a": {}, "b": {}},
            },
        ),
        ({"allOf": [{"type": "string"}]}, {"type": "string"}),
        ({"allOf": [{"anyOf": [{"type": "string"}]}]}, {"anyOf": [{"type": "string"}]}),
        ({"allOf": 7, "anyOf": {}, "oneOf": []}, {}),
    ],
)
def test_all_of_is_made_one(given_: Json, json_schema: Json) -> None:
    assert one(given_) == (json_schema, [])


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("given_", "json_schema"),
    [
        ({"allOf": [{"type": "string"}, {"type": "number"}]}, {"type": "string"}),
        ({"allOf": [{"enum": ["a"]}, {"enum": ["b"]}]}, {"type": "string", "enum": ["a"]}),
        (
            {"type": "string", "allOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "time"}]},
            {"type": "string", "format": "date"},
        ),
        ({"allOf": [{"type": ["object", "string"]}, {"enum": [1]}]}, {"type": ["object", "string"], "properties": {}}),
        ({"type": "text"}, {}),
        ({"type": "string", "pattern": "x" * 201}, {"type": "string"}),
        ({"type": "object", "patternProperties": {"^a": {"$ref": "#"}}}, {"type": "object", "properties": {}}),
        ({"$ref": "https://example.org/schema", "title": "far"}, {"title": "far"}),
        ({"$ref": "#/$defs/missing"}, {}),
        ({"anyOf": [False]}, {}),
    ],
)
def test_what_is_lost_is_noted(given_: Json, json_schema: Json) -> None:
    assert one(given_) == (json_schema, ["schema.simplified"])


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("given_", "described"),
    [
        ({"type": "number", "exclusiveMinimum": 0}, "exclusiveMinimum: 0"),
        ({"type": "integer", "exclusiveMaximum": 2.5}, "exclusiveMaximum: 2.5"),
        ({"multipleOf": 5, "description": ""}, "multipleOf: 5"),
        ({"not": {"type": "string"}}, 'not: {"type":"string"}'),
        (False, "not: {}"),
        ({"pattern": "^a$", "maxLength": 0}, 'pattern: "^a$", maxLength: 0'),
        ({"propertyNames": {"pattern": "^x"}}, 'propertyNames: {"pattern":"^x"}'),
        ({"unevaluatedProperties": False}, "unevaluatedProperties: false"),
        ({"uniqueItems": True, "minContains": 2}, "uniqueItems: true, minContains: 2"),
        ({"default": [], "examples": ["a"]}, 'default: [], examples: ["a"]'),
        ({"format": "ipv4"}, 'format: "ipv4"'),
        ({"type": "number", "format": "float"}, 'format: "float"'),
        ({"required": ["z"]}, 'required: ["z"]'),
    ],
)
def test_rules_that_gemini_does_not_know_are_told(given_: Any, described: str) -> None:
    found, codes = one(given_)
    assert found["description"] == described
    assert codes == []


@pytest.mark.parametrize(
    "given_",
    [
        {"uniqueItems": False, "minLength": 0, "deprecated": False, "default": None},
        {"unevaluatedItems": True, "unevaluatedProperties": {}, "propertyNames": {}, "dependentRequired": {}},
        {"$comment": "x", "readOnly": True, "x-order": 3, "$anchor": "here", "format": "enum"},
        {"examples": ["x" * 200]},
    ],
)
def test_what_says_nothing_about_the_value_goes(given_: Json) -> None:
    assert one(given_) == ({}, [])


@pytest.mark.parametrize(
    ("given_", "json_schema"),
    [
        (
            {"type": "integer", "exclusiveMinimum": 3, "minimum": 1, "exclusiveMaximum": 9, "maximum": 7},
            {"type": "integer", "minimum": 4, "maximum": 7},
        ),
        (
            {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "exclusiveMaximum": False},
            {"type": "integer", "minimum": 4},
        ),
        (
            {"type": "integer", "exclusiveMaximum": 3, "format": "int32"},
            {"type": "integer", "maximum": 2, "format": "int32"},
        ),
        (
            {"type": "array", "items": [{"type": "string"}], "additionalItems": False},
            {"type": "array", "prefixItems": [{"type": "string"}], "maxItems": 1, "items": {}},
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {}], "maxItems": 1, "items": False},
            {"type": "array", "prefixItems": [{"type": "string"}, {}], "maxItems": 1, "items": {}},
        ),
        ({"type": ["string"]}, {"type": "string"}),
        ({"type": "ARRAY"}, {"type": "array", "items": {}}),
        ({"type": "OBJECT"}, {"type": "object", "properties": {}}),
        (
            {"type": "object", "properties": {"a": 7, "b": True}, "propertyOrdering": ["z"]},
            {"type": "object", "properties": {"a": {}, "b": {}}},
        ),
        ({"minimum": True, "maximum": "9", "minItems": -1, "maxItems": 1.5}, {}),
        ({"title": 7, "description": None, "required": [7], "prefixItems": {}, "additionalProperties": 3}, {}),
        (
            {"type": "array", "items": 7, "additionalProperties": True},
            {"type": "array", "items": {}, "additionalProperties": True},
        ),
    ],
)
def test_other_spellings(given_: Json, json_schema: Json) -> None:
    assert one(given_) == (json_schema, [])


@pytest.mark.failure(45)
def test_references_go_to_definitions_that_are_there() -> None:
    found, codes = made(
        {
            "type": "object",
            "properties": {
                "old": {"$ref": "#/definitions/Name"},
                "new": {"$ref": "#/$defs/Name"},
                "place": {"type": "object", "properties": {"start": {"type": "string"}}},
                "end": {"$ref": "#/properties/place/properties/start"},
                "odd": {"$ref": "#/$defs/a~1b%3Cc%3E"},
                "alone": {"allOf": [{"$ref": "#/$defs/Alias"}]},
                "described": {"$ref": "#/$defs/Alias", "description": "mine", "minLength": 1},
                "maybe": {"$ref": "#/$defs/Name", "nullable": True},
            },
            "definitions": {"Name": {"type": "string", "title": "old"}},
            "$defs": {
                "Name": {"type": "string", "description": "theirs"},
                "Alias": {"$ref": "#/$defs/Name"},
                "a/b<c>": {"type": "number"},
                "Unused": {"type": "object", "not": {}},
            },
        }
    )
    assert found["properties"] == {
        "old": {"$ref": "#/$defs/Name"},
        "new": {"$ref": "#/$defs/Name_2"},
        "place": {"type": "object", "properties": {"start": {"type": "string"}}},
        "end": {"$ref": "#/$defs/start"},
        "odd": {"$ref": "#/$defs/a_1b_3Cc_3E"},
        "alone": {"$ref": "#/$defs/Alias"},
        "described": {"type": "string", "description": "mine (minLength: 1) theirs"},
        "maybe": {"anyOf": [{"$ref": "#/$defs/Name_2"}, {"type": "null"}]},
    }
    assert found["$defs"] == {
        "Name": {"type": "string", "title": "old"},
        "Name_2": {"type": "string", "description": "theirs"},
        "start": {"type": "string"},
        "a_1b_3Cc_3E": {"type": "number"},
        "Alias": {"$ref": "#/$defs/Name_2"},
    }
    assert "definitions" not in found
    assert codes == []


def test_a_reference_in_a_union_that_has_more_to_say() -> None:
    found, codes = made(
        {
            "type": "object",
            "properties": {
                "kept": {"type": "object", "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]},
                "merged": {"type": "object", "required": ["k"], "anyOf": [{"$ref": "#/$defs/A"}]},
                "wide": {"properties": {"z": {}}, "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]},
            },
            "$defs": {"A": {"type": "object", "properties": {"k": {}}}, "B": {"type": "object", "properties": {}}},
        }
    )
    assert found["properties"] == {
        "kept": {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]},
        "merged": {"anyOf": [{"type": "object", "properties": {"k": {}}, "required": ["k"]}]},
        "wide": {"type": "object", "properties": {"z": {}, "k": {}}},
    }
    assert codes == ["schema.union"]


@pytest.mark.failure(45)
@pytest.mark.parametrize("reference", ["#/$defs/Node", "#"])
def test_a_schema_in_itself_ends(reference: str) -> None:
    """Gemini takes circles only where a property is not required.
    https://github.com/google-gemini/gemini-cli/issues/14945
    """
    children = {"type": "array", "items": {"$ref": reference}}
    node = {"type": "object", "properties": {"children": children}, "required": ["children"]}
    found, codes = made(node | {"$defs": {"Node": node}})
    assert codes == ["schema.recursive"]
    name = "top" if reference == "#" else "Node"
    assert found["properties"]["children"]["items"] == {"$ref": f"#/$defs/{name}"}
    assert found["$defs"][name]["properties"]["children"]["items"] == {"type": "object", "properties": {}}
    found, codes = made(node | {"$defs": {"Node": node}}, "openapi")
    assert codes == ["schema.recursive"]
    level = found["properties"]["children"]
    while "items" in level or "children" in level["properties"]:
        level = level["items"] if "items" in level else level["properties"]["children"]
    assert level == ANY_OBJECT


def test_circles_without_a_type() -> None:
    defined = {"A": {"$ref": "#/$defs/B"}, "B": {"allOf": [{"$ref": "#/$defs/A"}], "title": "b"}}
    found, codes = made({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": defined})
    assert found["properties"] == {"a": {"$ref": "#/$defs/A"}}
    assert found["$defs"] == {"A": {"$ref": "#/$defs/B"}, "B": {"title": "b"}}
    assert codes == ["schema.recursive"]


def test_long_chains_of_references() -> None:
    defined: Json = {"d0": {"type": "string"}}
    for number in range(1, 3000):
        defined[f"d{number}"] = {"type": "object", "properties": {"a": {"$ref": f"#/$defs/d{number - 1}"}}}
    node = {"type": "object", "properties": {"a": {"$ref": "#/$defs/d2999"}}, "$defs": defined}
    assert made(node) == (node, [])
    assert made(node, "openapi")[1] == ["schema.recursive"], "there is a limit of levels"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "beside",
    [{"description": "x"}, {"required": ["a"]}, {"properties": {"a": {"description": "y"}, "b": {"title": "z"}}}, {}],
)
def test_references_that_multiply_are_bounded(form: Form, beside: Json) -> None:
    defined: Json = {"d0": {"type": "string"}}
    for number in range(1, 40):
        inner = {"allOf": [{"$ref": f"#/$defs/d{number - 1}"}]} | beside
        both = {"type": "object", "properties": {"a": inner, "b": inner}}
        defined[f"d{number}"] = both if number % 5 else {"anyOf": [inner, inner, both]}
    found, codes = made({"type": "object", "properties": {"a": {"$ref": "#/$defs/d39"}}, "$defs": defined}, form)
    assert len(msgspec.json.encode(found)) < 3_000_000
    if beside or form == "openapi":
        assert codes


def test_unions_that_multiply_are_bounded() -> None:
    defined: Json = {"d0": {"type": "string"}}
    for number in range(1, 40):
        defined[f"d{number}"] = {"anyOf": [{"$ref": f"#/$defs/d{number - 1}"}, {"$ref": f"#/$defs/d{number - 1}"}]}
    found, codes = made({"type": "object", "properties": {"a": {"$ref": "#/$defs/d39"}}, "$defs": defined}, "openapi")
    assert found["properties"] == {"a": {"type": "STRING"}}
    assert codes == ["schema.recursive"]


def test_pairs_that_multiply_are_bounded() -> None:
    defined: Json = {}
    for name, other in (("a", "b"), ("b", "a")):
        for number in range(40):
            inner = {"$ref": f"#/$defs/{name}{number + 1}"}
            defined[f"{name}{number}"] = {"type": "object", "properties": {"p": inner, "q": inner, other: {}}}
        defined[f"{name}40"] = {"type": "string"}
    both = {"allOf": [{"$ref": "#/$defs/a0"}, {"$ref": "#/$defs/b0"}]}
    found, codes = made({"type": "object", "properties": {"x": both}, "$defs": defined})
    assert len(msgspec.json.encode(found)) < 3_000_000
    assert codes


def test_pairs_are_bounded_without_references_too() -> None:
    names = [f"p{number}" for number in range(10_001)]
    parts = [
        {"properties": {name: {"type": "string"} for name in names}},
        {"properties": {name: {"title": "T"} for name in names}},
    ]
    found, codes = one({"allOf": parts})
    assert found["properties"]["p0"] == {"type": "string", "title": "T"}
    assert found["properties"]["p10000"] == {"type": "string"}
    assert codes == ["schema.simplified"]


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("given_", "openapi", "codes"),
    [
        ({"type": "array"}, {"type": "ARRAY", "items": ANY_ITEM}, []),
        (
            {"type": "array", "items": {"type": "array"}},
            {"type": "ARRAY", "items": {"type": "ARRAY", "items": ANY_ITEM}},
            [],
        ),
        (
            {"prefixItems": [{"type": "string"}, {"type": "null"}], "items": {"type": "number"}},
            {
                "type": "ARRAY",
                "items": {"anyOf": [{"type": "STRING", "nullable": True}, {"type": "NUMBER", "nullable": True}]},
            },
            ["schema.simplified"],
        ),
        ({"properties": {"a": {}}, "title": "A"}, {"type": "OBJECT", "properties": {"a": ANYTHING}}, []),
        ({"minimum": 3}, {"type": "NUMBER", "minimum": 3}, []),
        ({"pattern": "^a"}, {"type": "STRING", "pattern": "^a"}, []),
        ({"minLength": "x"}, ANYTHING, []),
        ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}, []),
        ({"type": "string", "format": "date"}, {"type": "STRING", "description": 'format: "date"'}, []),
        ({"type": "integer", "format": "int64"}, {"type": "INTEGER", "format": "int64"}, []),
        (
            {"type": ["string", "integer"], "format": "date-time"},
            {
                "anyOf": [
                    {"type": "STRING", "format": "date-time"},
                    {"type": "INTEGER"},
                ]
            },
            [],
        ),
        (
            {"type": ["string", "integer"], "format": "int32"},
            {"anyOf": [{"type": "STRING", "description": 'format: "int32"'}, {"type": "INTEGER", "format": "int32"}]},
            [],
        ),
        ({"type": "boolean", "required": ["a"]}, {"type": "BOOLEAN", "description": 'required: ["a"]'}, []),
        ({"additionalProperties": False}, ANY_OBJECT, []),
        (
            {"properties": {"b": {"type": "string"}, "a": {"type": "string"}}, "propertyOrdering": ["a", "b"]},
            {
                "type": "OBJECT",
                "propertyOrdering": ["a", "b"],
                "properties": {"b": {"type": "STRING"}, "a": {"type": "STRING"}},
            },
            [],
        ),
    ],
)
def test_the_subset_of_openapi(given_: Json, openapi: Json, codes: list[str]) -> None:
    assert one(given_, "openapi") == (openapi, codes)


def test_an_output_may_be_anything() -> None:
    assert answered(True) == ({}, [])
    assert answered([7]) == ({}, [])
    assert answered({"type": "string", "enum": ["a", "b"]}, "openapi") == ({"type": "STRING", "enum": ["a", "b"]}, [])
    assert answered({"type": "object"}, "openapi") == (ANY_OBJECT, [])
    recursive = {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/A"}]}}}
    assert answered(recursive) == (
        {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"type": "string"}, {}]}}},
        ["schema.recursive"],
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_hundred_levels(form: Form) -> None:
    node: Json = {"type": "string"}
    for number in range(48):
        node = {"type": "object", "properties": {"a": node}} if number % 2 else {"anyOf": [node]}
    made({"type": "object", "properties": {"a": node}}, form)


# Laws

NAMES = st.sampled_from(["a", "b", "items", "type", "properties", "$ref", "anyOf", "default", "format", "enum", "x y"])
DATA = st.sampled_from([True, None, 1, 2.5, "", "x", "y", {"type": "array"}, [True, {"$ref": 1}]])
KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null", "any", 7, []])
    | st.lists(st.sampled_from(["object", "array", "string", "integer", "boolean", "null"]), min_size=2, max_size=3),
    "required": st.lists(NAMES, max_size=3) | st.none(),
    "enum": st.lists(DATA, max_size=3),
    "const": DATA,
    "default": DATA,
    "description": st.sampled_from(["", "words", '"$ref":"#"']),
    "format": st.sampled_from(["date-time", "date", "uri", "int32", "enum", 7]),
    "minimum": st.sampled_from([0, 2.5, "x"]),
    "exclusiveMinimum": st.sampled_from([0, 2.5, True]),
    "exclusiveMaximum": st.sampled_from([9, False]),
    "minLength": st.integers(-1, 3),
    "maxItems": st.integers(-1, 3),
    "pattern": st.sampled_from(["^a", "x" * 300]),
    "uniqueItems": st.booleans(),
    "nullable": st.booleans(),
    "title": st.just("T"),
    "$schema": st.just("http://json-schema.org/draft-07/schema#"),
    "$ref": st.sampled_from(
        ["#", "#/$defs/a", "#/$defs/b", "#/definitions/a", "#/properties/a", "#here", "https://example.org"]
    ),
    "propertyOrdering": st.lists(NAMES, max_size=2),
}


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    maps = st.dictionaries(NAMES, inner, max_size=3)
    keywords = KEYWORDS | {
        "properties": maps | st.just(7),
        "items": inner | st.lists(inner, max_size=2),
        "prefixItems": st.lists(inner, max_size=2),
        "additionalProperties": st.booleans() | inner,
        "anyOf": st.lists(inner, max_size=3),
        "oneOf": st.lists(inner, max_size=2),
        "allOf": st.lists(inner, max_size=2),
        "not": inner,
        "if": inner,
        "propertyNames": inner,
        "patternProperties": maps,
        "$defs": maps,
        "definitions": maps,
    }
    return st.lists(st.sampled_from(sorted(keywords)), max_size=5, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({key: keywords[key] for key in chosen})
    )


ODD = st.booleans() | st.just({}) | st.just({"type": "string"}) | st.just(7)
ANY = st.recursive(ODD, schemas, max_leaves=10)


def every(node: Any) -> Iterator[Json]:
    yield node
    for _, inner in inner_schemas(node):
        yield from every(inner)


def check_openapi(node: Json) -> None:
    """What the servers say of `Schema` in their refusals."""
    types.Schema.model_validate(node, strict=False, by_alias=True, by_name=False)
    for inner in every(node):
        if "anyOf" in inner:
            assert set(inner) == {"anyOf"}
            assert len(inner["anyOf"]) > 1
            continue
        type_ = inner["type"]
        assert type_ in ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT")
        assert ("items" in inner) == (type_ == "ARRAY")
        assert bool(inner.get("properties")) == (type_ == "OBJECT")
        assert "required" not in inner or set(inner["required"]) <= set(inner["properties"])
        assert all(value and isinstance(value, str) for value in inner.get("enum", []))
        assert "enum" not in inner or type_ == "STRING"
        assert inner.get("format") in (None, {"STRING": "date-time"}.get(type_), *(["int32"] * (type_ == "INTEGER")))


def check_json_schema(node: Json) -> None:
    assert schema_problem(node, "schema") is None
    defined = node.get("$defs", {})
    for inner in every(node):
        assert "$ref" not in inner or inner["$ref"].removeprefix("#/$defs/") in defined
        assert set(inner.get("required", [])) <= set(inner.get("properties", {}))
        assert "const" not in inner


@pytest.mark.failure(45, 46)
@given(ANY)
def test_only_what_gemini_knows_is_left_of_parameters(node: Any) -> None:
    found, _ = made(node)
    check_json_schema(found)
    assert found["type"] == "object"
    assert isinstance(found["properties"], dict)
    small, _ = made(node, "openapi")
    if small is not None:
        check_openapi(small)
        assert small["type"] == "OBJECT"


@pytest.mark.failure(45, 46)
@given(ANY)
def test_only_what_gemini_knows_is_left_of_outputs(node: Any) -> None:
    check_json_schema(answered(node)[0])
    check_openapi(answered(node, "openapi")[0])


@given(ANY, st.sampled_from(FORMS))
def test_a_second_time_changes_nothing(node: Any, form: Form) -> None:
    found, _ = made(node, form)
    if found is not None:
        assert made(found, form) == (found, [])
    found, _ = answered(node, form)
    assert answered(found, form) == (found, [])


PLAIN_TREES = st.recursive(
    st.sampled_from([{}, True, {"type": "string"}, {"type": ["integer", "null"]}, {"const": 1}]),
    lambda inner: (
        st.dictionaries(NAMES, inner, min_size=1, max_size=3).flatmap(
            lambda properties: st.fixed_dictionaries(
                {
                    "type": st.just("object"),
                    "properties": st.just(properties),
                    "required": st.lists(st.sampled_from(sorted(properties)), unique=True),
                }
            )
        )
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        | st.fixed_dictionaries({"allOf": st.tuples(inner).map(list)})
        | st.fixed_dictionaries({"oneOf": st.tuples(inner, st.just({"type": "null"})).map(list)})
    ),
    max_leaves=12,
)


def requirements(node: Any, path: str = "") -> Iterator[tuple[str, bool]]:
    """Each property by its path, and whether it is required."""
    if not isinstance(node, dict):
        return
    for name, inner in node.get("properties", {}).items():
        if name != "_":
            yield f"{path}/{name}", name in node.get("required", [])
            yield from requirements(inner, f"{path}/{name}")
    for key in ("allOf", "anyOf", "oneOf"):
        for inner in node.get(key, []):
            yield from requirements(inner, path)
    yield from requirements(node.get("items"), f"{path}/*")


@given(st.dictionaries(NAMES, PLAIN_TREES, min_size=1), st.sampled_from(FORMS))
def test_no_property_and_no_required_name_is_lost(properties: Json, form: Form) -> None:
    node = {"type": "object", "properties": properties, "required": sorted(properties)}
    found, codes = made(node, form)
    anything = {pair for pair in requirements(found) if pair not in set(requirements(node))}
    assert set(requirements(node)) <= set(requirements(found))
    assert anything == set()
    assert codes == []
