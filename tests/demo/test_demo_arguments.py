"""Arguments by schema."""

from typing import Any

import pytest

from dragoman.demo.arguments import fill, invent, subject


def test_claude_codes_edit() -> None:
    schema = {
        "type": "object",
        "properties": {
            "file_path": {"type": "string"},
            "old_string": {"type": "string"},
            "new_string": {"type": "string"},
            "replace_all": {"type": "boolean"},
        },
        "required": ["file_path", "old_string", "new_string"],
    }
    known = {"path": "/a", "old": "x", "new": "y"}
    assert fill(schema, known, "") == {"file_path": "/a", "old_string": "x", "new_string": "y"}


def test_what_is_known_is_given_and_what_is_required_is_invented() -> None:
    schema = {
        "properties": {
            "command": {"type": "string"},
            "timeout": {"type": "number"},
            "city": {"type": "string"},
            "x": True,
        },
        "required": ["city", "x"],
    }
    assert fill(schema, {"command": "ls"}, "weather in Paris") == {"command": "ls", "city": "Paris", "x": "Paris"}
    assert fill({"properties": None}, {}, "") == {}


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        ({"type": "string"}, "What is the weather in New York?", "New York"),
        ({"type": "string", "enum": ["celsius", "fahrenheit"]}, "in Fahrenheit", "fahrenheit"),
        ({"type": "string", "enum": ["celsius", "fahrenheit"]}, "now", "celsius"),
        ({"const": 7}, "", 7),
        ({"type": "integer"}, "the first 12 lines", 12),
        ({"type": "integer", "maximum": 5}, "the first 12 lines", 5),
        ({"type": "number", "minimum": 3}, "1.5", 3),
        ({"type": "number"}, "-1.5", -1.5),
        ({"type": "integer"}, "none", 1),
        ({"type": "boolean"}, "", True),
        ({"type": "null"}, "", None),
        ({"type": ["integer", "null"]}, "4", 4),
        ({"type": ["null"]}, "4", None),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "4", 4),
        ({"oneOf": [{"type": "null"}]}, "4", None),
        ({"type": "array", "items": {"type": "integer"}}, "4", [4]),
        ({"type": "array"}, "only this", ["only this"]),
        ({"properties": {"a": {"type": "integer"}}, "required": ["a"]}, "4", {"a": 4}),
        ({}, "only this", "only this"),
    ],
)
def test_inventions(schema: dict[str, Any], text: str, expected: Any) -> None:
    assert invent(schema, text) == expected


def test_schemas_that_never_end_are_ended() -> None:
    endless: dict[str, Any] = {"type": "object", "required": ["a"]}
    endless["properties"] = {"a": endless}
    array: dict[str, Any] = {"type": "array"}
    array["items"] = array
    union: dict[str, Any] = {}
    union["anyOf"] = [union]
    assert str(invent(endless, "")).count("a") < 10
    assert str(invent(array, "")).count("[") < 10
    assert invent(union, "x") == "x"


def test_the_subject() -> None:
    assert subject('look for "the needle" in it') == "the needle"
    assert subject("tell me about Rome") == "Rome"
    assert subject("just this") == "just this"
