"""JSON schemas in the form that OpenAI-type servers take.

One odd schema fails the whole request: an object without `properties`, an array without `items`, a union at the top.
Meaning is kept: nothing is required or forbidden that was not, except where a note says so. A schema that needs no
change keeps its bytes.
https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct

from dragoman.messages.body import NO_RAW
from dragoman.messages.notes import Note

EMPTY = Raw(b'{"type":"object","properties":{}}')

INLINE_LIMIT = 10_000  # schemas written out in the place of references, in one schema

# Where schemas are inside a schema. Everything else (enum, const, default, examples) is data and is never looked into.
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_ONE = frozenset({"items", "contains", "not", "if", "then", "else", "propertyNames"})
_OPEN = frozenset({"additionalProperties", "unevaluatedProperties", "unevaluatedItems", "additionalItems"})
_NAMES_A_DIALECT = frozenset({"$schema", "$id"})
_UNIONS = ("allOf", "anyOf", "oneOf")

# What strict mode knows; anything else would be refused there.
_STRICT = frozenset(
    {"$defs", "$ref", "additionalProperties", "anyOf", "const", "definitions", "description", "enum"}
    | {"exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum"}
    | {"multipleOf", "pattern", "properties", "required", "title", "type"}
)
_STRICT_FORMATS = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"})

_FIRST = re.compile(rb'\A\{\s*"\$schema"\s*:\s*"[^"\\]*"\s*,\s*')
_LAST = re.compile(rb',\s*"\$schema"\s*:\s*"[^"\\]*"\s*\}\s*\Z')

Absent = Literal["\0"]
"""The type of a keyword that is not there: no schema has this value."""


def _keyword(attribute: str) -> str:
    return f"${attribute[1:]}" if attribute.startswith("_") else attribute.removesuffix("_")


class _Node(Struct, gc=False, kw_only=True, tag_field="type", rename=_keyword):
    """A schema without any of the keywords that hold other schemas, or that may have to change."""

    _schema: Absent = "\0"
    _id: Absent = "\0"
    _ref: Absent = "\0"
    _defs: Absent = "\0"
    definitions: Absent = "\0"
    anyOf: Absent = "\0"  # noqa: N815 - the keyword's own name, here and below
    oneOf: Absent = "\0"  # noqa: N815
    allOf: Absent = "\0"  # noqa: N815
    prefixItems: Absent = "\0"  # noqa: N815
    patternProperties: Absent = "\0"  # noqa: N815
    dependentSchemas: Absent = "\0"  # noqa: N815
    contains: Absent = "\0"
    not_: Absent = "\0"
    if_: Absent = "\0"
    then: Absent = "\0"
    else_: Absent = "\0"
    propertyNames: Absent = "\0"  # noqa: N815
    additionalItems: Absent = "\0"  # noqa: N815
    unevaluatedProperties: Absent = "\0"  # noqa: N815
    unevaluatedItems: Absent = "\0"  # noqa: N815


class _String(_Node, gc=False, tag="string"):
    pass


class _Number(_Node, gc=False, tag="number"):
    pass


class _Integer(_Node, gc=False, tag="integer"):
    pass


class _Boolean(_Node, gc=False, tag="boolean"):
    pass


class _Array(_Node, gc=False, kw_only=True, tag="array"):
    items: "_String | _Number | _Integer | _Boolean | _Array | _Object"


class _Object(_Node, gc=False, kw_only=True, tag="object"):
    properties: "dict[str, _String | _Number | _Integer | _Boolean | _Array | _Object]"
    required: list[str] = []
    additionalProperties: "bool | _String | _Number | _Integer | _Boolean | _Array | _Object" = True  # noqa: N815


class _Plain(_Object, gc=False, tag="object"):
    """What decodes as this needs no change. Decoding is a tenth of the work of looking at the schema itself."""

    enum: Absent = "\0"
    const: Absent = "\0"


_MEMO_LIMIT = 16 * 1024  # bytes of a schema that is remembered
_PLAIN = msgspec.json.Decoder(_Plain | _String)  # a type alone would do without its tag


def parameters(raw: Raw, *, inline: bool, notes: list[Note], place: str) -> Raw:
    """`raw` as the parameters of a function: an object at the top, without a union.

    `inline`: references into the schema are written out. `place` is for the notes: `schema.union` (a union at the
    top is widened to all its properties), `schema.recursive` (a reference to itself became "anything").
    """
    if raw is NO_RAW:
        return EMPTY
    text = memoryview(raw).tobytes()
    plain = _known_plain(text) if len(text) <= _MEMO_LIMIT else _as_plain(text)
    if plain is not None:
        return plain
    text = _without_dialect(text)
    given = msgspec.json.decode(text)
    node = _object(given, notes, place)
    if inline:
        node = _written_out(node, notes, place)
    node = _tidy(node)
    return Raw(text) if node == given else Raw(msgspec.json.encode(node))


def output(raw: Raw, *, inline: bool, notes: list[Note], place: str) -> Raw:
    """`raw` as the schema of a structured output; the top may be anything."""
    found = msgspec.json.decode(raw)
    node = _written_out(found, notes, place) if inline else found
    node = _tidy(node)
    return raw if node == found else Raw(msgspec.json.encode(node))


def is_object(raw: Raw) -> bool:
    """Whether the schema describes objects, so that it can be the parameters of a function as it is."""
    found = msgspec.json.decode(raw)
    return isinstance(found, dict) and found.get("type") == "object" and not any(key in found for key in _UNIONS)


def strict_ready(raw: Raw) -> bool:
    """Whether strict mode takes the schema without any change of meaning.

    Every object must require all its properties and forbid others, and only the keywords of strict mode are used.
    """
    return is_object(raw) and _strict(msgspec.json.decode(raw))


def _without_dialect(text: bytes) -> bytes:
    """The schema without a `$schema` at its beginning or end, where it mostly is."""
    if b'"$schema"' not in text:
        return text
    found = _FIRST.match(text)
    return b"{" + text[found.end() :] if found else _LAST.sub(b"}", text)


def _as_plain(text: bytes) -> Raw | None:
    text = _without_dialect(text)
    return Raw(text) if _plain(text) else None


# Agents send the same tools with every request; the same bytes give the same schema, remembered or not.
_known_plain = lru_cache(maxsize=512)(_as_plain)


def _plain(text: bytes) -> bool:
    """A cheap test; True only if nothing needs a change. Most schemas of real clients pass it."""
    try:
        return isinstance(_PLAIN.decode(text), _Plain)
    except msgspec.ValidationError:
        return False


def _object(found: Any, notes: list[Note], place: str) -> dict[str, Any]:
    """The top level: an object with properties."""
    if not isinstance(found, dict):
        return {"type": "object", "properties": {}}
    node = _followed(found, found)
    if any(key in node for key in _UNIONS):
        notes.append(Note("changed", "schema.union", place))
        node = _merged(node)
    if any(key in node for key in ("enum", "not", "const")):
        notes.append(Note("changed", "schema.union", place))
        node = {key: value for key, value in node.items() if key not in ("enum", "not", "const")}
    if node.get("type") != "object":
        node = {"type": "object"} | {key: value for key, value in node.items() if key != "type"}
    return node


def _followed(node: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`node` without a reference at its own top; what stands beside a reference wins."""
    for left in reversed(range(10)):
        reference = node.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        beside = {key: value for key, value in node.items() if key != "$ref"}
        node = ((resolved(top, reference) or {}) if left else {}) | beside  # in the end a circle is anything
    return node


def resolved(top: Any, reference: str) -> dict[str, Any] | None:
    """The schema that a reference within this document points to; None when there is none, or for one by a name.

    https://datatracker.ietf.org/doc/html/rfc6901#section-6
    """
    if reference != "#" and not reference.startswith("#/"):
        return None
    found = top
    for word in reference[1:].split("/")[1:]:
        key = word.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key, found.get(unquote(key)))
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    if isinstance(found, bool):
        return {} if found else {"not": {}}
    return found if isinstance(found, dict) else None


def _merged(top: dict[str, Any]) -> dict[str, Any]:
    """A union at the top as one object with the properties of all branches: what was valid stays valid."""
    properties, required, choices = _gathered(top, top, 0)
    node = {key: value for key, value in top.items() if key not in _UNIONS}
    node["properties"] = properties
    if required:
        node["required"] = required
    else:
        node.pop("required", None)
    words = "; ".join(dict.fromkeys(f"({', '.join(names)})" for names in choices if names))
    if len(choices) > 1 and words:
        node["description"] = f"{node.get('description') or ''} Give the parameters of one of: {words}.".strip()
    return node


def _gathered(
    node: dict[str, Any], top: dict[str, Any], level: int
) -> tuple[dict[str, Any], list[str], list[list[str]]]:
    """Properties of the node and its branches, names that are always required, and each branch's required names."""
    node = _followed(node, top)
    properties = dict(found) if isinstance(found := node.get("properties"), dict) else {}
    required = _strings(node.get("required"))
    choices: list[list[str]] = []
    for keyword in _UNIONS if level < 10 else ():
        found = node.get(keyword)
        branches = [branch for branch in found if isinstance(branch, dict)] if isinstance(found, list) else []
        needs = []
        for branch in branches:
            inner, names, deeper = _gathered(branch, top, level + 1)
            needs.append(names)
            for name, schema in inner.items():
                properties[name] = either(keyword, properties[name], schema) if name in properties else schema
            choices += deeper
        if keyword == "allOf":
            required += [name for names in needs for name in names]
        elif needs:
            required += [name for name in needs[0] if all(name in names for names in needs)]
            choices += needs
    return properties, list(dict.fromkeys(required)), choices


def either(keyword: str, one: Any, other: Any) -> Any:
    """One schema for a property that two branches describe."""
    if one == other:
        return one
    if keyword == "allOf":
        return {"allOf": [one, other]}
    values = [*_values(one), *_values(other)]
    if _values(one) and _values(other) and all(isinstance(value, str) for value in values):
        return {"type": "string", "enum": list(dict.fromkeys(values))}
    earlier = one["anyOf"] if isinstance(one, dict) and list(one) == ["anyOf"] else [one]
    return {"anyOf": earlier if other in earlier else [*earlier, other]}


def _values(schema: Any) -> list[Any]:
    if not isinstance(schema, dict):
        return []
    if "const" in schema:
        return [schema["const"]]
    found = schema.get("enum")
    return found if isinstance(found, list) else []


def _strings(found: Any) -> list[str]:
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _within(node: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """`node` with `change` done to every schema directly inside; `node` itself when none changed."""
    found = node
    for key, value in node.items():
        new = value
        if key in _MAPS and isinstance(value, dict):
            new = {name: change(schema) for name, schema in value.items()}
        elif isinstance(value, list) and (key in _LISTS or key == "items"):
            new = [change(schema) for schema in value]
        elif (key in _ONE and isinstance(value, dict | bool)) or (key in _OPEN and isinstance(value, dict)):
            new = change(value)
        if new is not value:
            if found is node:
                found = dict(node)
            found[key] = new
    return found


def _tidy(node: Any) -> Any:
    """The rules for every level: no boolean schemas, objects have properties, arrays have items."""
    if isinstance(node, bool):
        return {} if node else {"not": {}}
    if not isinstance(node, dict):
        return node
    types = node.get("type")
    is_array = types == "array" or (isinstance(types, list) and "array" in types)
    is_object = types == "object" or (isinstance(types, list) and "object" in types)
    added: dict[str, Any] = {}
    if is_object and not isinstance(node.get("properties"), dict):
        added["properties"] = {}
    if isinstance(node.get("items"), list):  # the tuples of draft 7
        added |= {"prefixItems": node["items"], "items": node.get("additionalItems", {})}
    elif is_array and not isinstance(node.get("items"), dict | bool):
        added["items"] = {}
    if (
        added
        or not _NAMES_A_DIALECT.isdisjoint(node)
        or ("required" in node and not isinstance(node["required"], list))
    ):
        node = {key: value for key, value in node.items() if key not in _NAMES_A_DIALECT} | added
        if not isinstance(node.get("required", []), list):
            del node["required"]
        if "prefixItems" in added:
            node.pop("additionalItems", None)
    return _within(node, _tidy)


def _written_out(top: Any, notes: list[Note], place: str) -> Any:
    """`top` with every reference replaced by what it points to."""
    if not isinstance(top, dict):
        return top
    left = INLINE_LIMIT
    trail: list[str] = []

    def write(node: Any) -> Any:
        nonlocal left
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            return _within(node, write)
        beside = {key: value for key, value in node.items() if key != "$ref"}
        target = resolved(top, reference)
        left -= 1
        if target is None or reference in trail or left < 0:
            notes.append(Note("changed", "schema.recursive", place))
            return _within(beside, write)
        trail.append(reference)
        written = write(target | beside)
        trail.pop()
        return written

    return write({key: value for key, value in top.items() if key not in ("$defs", "definitions")})


def _strict(node: Any) -> bool:
    if not isinstance(node, dict) or not _STRICT.issuperset(node):
        return False
    if node.get("format", "date") not in _STRICT_FORMATS:
        return False
    types = node.get("type")
    if types == "object" or (isinstance(types, list) and "object" in types):
        properties = node.get("properties")
        if node.get("additionalProperties") is not False or not isinstance(properties, dict):
            return False
        if set(_strings(node.get("required"))) != set(properties):
            return False
    inner = [*(node.get("anyOf") or ()), *([node["items"]] if "items" in node else ())]
    for key in ("properties", "$defs", "definitions"):
        found = node.get(key)
        inner += found.values() if isinstance(found, dict) else ()
    return all(_strict(schema) for schema in inner)
