"""Arguments for any tool: filled by its JSON schema, from what is known and else from the words of the request."""

import re
from collections.abc import Mapping
from typing import Any

DEPTH = 5  # levels of a schema that are filled

MEANINGS: Mapping[str, tuple[str, ...]] = {
    "path": ("file_path", "path", "filepath", "filename", "file_name", "file", "notebook_path", "target_file"),
    "command": ("command", "cmd", "script"),
    "content": ("content", "contents", "file_text", "text", "body"),
    "old": ("old_string", "old_str", "old_text", "old", "search", "find"),
    "new": ("new_string", "new_str", "new_text", "new", "replace", "replacement"),
    "description": ("description",),
}
"""What a value means -> the names that tools give it."""

_MEANING = {name: meaning for meaning, names in MEANINGS.items() for name in names}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_QUOTED = re.compile(r"`([^`]+)`|\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)")
_OBJECT = re.compile(r"\b(?:in|for|of|about|to|from|at)\s+((?:[A-Z][\w-]*\s?)+|\w[\w-]*)\W*$")


def fill(schema: Mapping[str, Any], known: Mapping[str, str], text: str, depth: int = DEPTH) -> dict[str, Any]:
    """Properties whose meaning is in `known`, and all required ones."""
    properties = schema.get("properties")
    required = schema.get("required") or ()
    found: dict[str, Any] = {}
    for name, row in properties.items() if isinstance(properties, dict) else ():
        meaning = _MEANING.get(str(name).lower(), str(name))
        if meaning in known:
            found[name] = known[meaning]
        elif name in required:
            found[name] = invent(row if isinstance(row, dict) else {}, text, depth - 1)
    return found


def invent(schema: Mapping[str, Any], text: str, depth: int = DEPTH) -> Any:
    """A value that the schema takes, out of `text` where it offers one."""
    for choices in (schema.get("enum"), [schema["const"]] if "const" in schema else None):
        if choices:
            return next((value for value in choices if str(value).lower() in text.lower()), choices[0])
    for union in (schema.get("anyOf"), schema.get("oneOf")):
        if union and depth > 0:
            return invent(next((one for one in union if one.get("type") != "null"), union[0]), text, depth - 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    match kind:
        case "integer" | "number":
            return _number(schema, text, whole=kind == "integer")
        case "boolean":
            return True
        case "array":
            return [invent(schema.get("items") or {}, text, depth - 1)] if depth > 0 else []
        case "object":
            return fill(schema, {}, text, depth) if depth > 0 else {}
        case "null":
            return None
    return subject(text)


def subject(text: str) -> str:
    """What a request is about, as far as a few patterns can tell: the quoted, the place at its end, or all of it."""
    if quoted := _QUOTED.search(text):
        return next(group for group in quoted.groups() if group)
    if found := _OBJECT.search(text.strip()):
        return found[1].strip()
    return text.strip()[:200]


def _number(schema: Mapping[str, Any], text: str, *, whole: bool) -> float:
    found = _NUMBER.search(text)
    value = float(found[0]) if found else 1.0
    value = max(value, schema.get("minimum", value))
    value = min(value, schema.get("maximum", value))
    return int(value) if whole else value
