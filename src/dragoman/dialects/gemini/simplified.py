"""A JSON schema with only the keywords that Gemini's `json_schema` form has.

Those are listed at https://ai.google.dev/api/generate-content#FIELDS.response_json_schema
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from dragoman.messages.schema import either, resolved

Node = dict[str, Any]

UNIONS = ("anyOf", "oneOf")

_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_DEFINITIONS = "#/$defs/"

LIMIT = 10_000  # schemas that are written where another one refers to them, or made one with another

# Formats that do not fail: others were refused. https://ai.google.dev/gemini-api/docs/structured-output and
# https://github.com/google-gemini/gemini-cli/issues/2141
_TEXT_FORMATS = frozenset({"date-time", "date", "time"})
_INTEGER_FORMATS = frozenset({"int32", "int64"})

# Rules of JSON Schema that Gemini does not know, and hints for the reader. The rules go into the description while they
# are short; all keywords that are not in any list say nothing about the value, and go.
_RULES = frozenset(
    {"minLength", "maxLength", "pattern", "minProperties", "maxProperties", "multipleOf", "uniqueItems", "contains"}
    | {"minContains", "maxContains", "not", "if", "then", "else", "patternProperties", "propertyNames"}
    | {"dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties", "unevaluatedItems"}
    | {"contentEncoding", "contentMediaType", "contentSchema"}
)
_HINTS = frozenset({"default", "examples", "example", "deprecated"})
_TEXT_RULES = frozenset({"minLength", "maxLength", "pattern"})
_WORDS = ("title", "description")
_STRING = {"type": "string"}
_CLEAR = frozenset({"type", "additionalProperties"})  # what a definition says itself, if it is said at all
_TOLD_LIMIT = 200  # characters of JSON


class Simplified:
    """A schema and all that it refers to, each read once. References go to `$defs` only, and never in a circle: those
    that would close one are written as a plain type, because Gemini takes circles in some places only.
    https://github.com/google-gemini/gemini-cli/pull/5609
    """

    def __init__(self, given: Any, *, keeps_text_rules: bool) -> None:
        """`keeps_text_rules`: the form that is wanted has lengths and patterns of strings."""
        self.codes: dict[str, None] = {}
        self.top: Node = {}
        self._given = given
        self._keeps_text_rules = keeps_text_rules
        self._names: dict[str, str] = {}  # reference -> name in $defs
        self._words: dict[str, int] = {}  # names in $defs, or what they begin with -> how many there are
        self._circles: set[tuple[str, str]] = set()  # (name of a schema, name of the one in it that closes a circle)
        self._defs: dict[str, Node] = {}
        self._here = ""
        self._sizes: dict[str, int] = {}  # name in $defs -> schemas in it
        self._left = LIMIT
        self._readers: dict[str, Callable[[Any], Any]] = {
            "title": _text,
            "description": _text,
            "properties": self._properties,
            "required": _texts,
            "propertyOrdering": _texts,
            "items": self._items,
            "prefixItems": self._list,
            "additionalProperties": self._other_properties,
            "minItems": _count,
            "maxItems": _count,
            "minimum": _number,
            "maximum": _number,
        }
        if keeps_text_rules:
            self._readers |= {"minLength": _count, "maxLength": _count, "pattern": _text}
        for name, node in self._in_order():
            self._here = name
            self._defs[name] = self._schema(node)
            self._sizes[name] = _size(self._defs[name])
        self.top = self._defs.pop("")

    def whole(self) -> Node:
        """The top with the definitions that it needs."""
        needed: dict[str, Node] = {}
        waiting = list(references(self.top))
        for reference in waiting:
            name = reference.removeprefix(_DEFINITIONS)
            if name not in needed:
                needed[name] = self._defs[name]
                waiting += references(needed[name])
        return self.top | {"$defs": needed} if needed else self.top

    def followed(self, node: Node) -> Node:
        """`node`, or the definition that it refers to."""
        while "$ref" in node:
            node = self._defs[node["$ref"].removeprefix(_DEFINITIONS)]
        return node

    def tell(self, node: Node, told: Node) -> None:
        """Put into the description of `node` what it cannot say as a rule; a note where that is too long."""
        words = []
        for key, value in told.items():
            text = msgspec.json.encode(value).decode()
            if len(text) <= _TOLD_LIMIT and '"$ref"' not in text:
                words.append(f"{key}: {text}")
            elif key not in _HINTS:
                self.codes["schema.simplified"] = None
        if words:
            rules = ", ".join(words)
            node["description"] = f"{node['description']} ({rules})" if node.get("description") else rules

    def _in_order(self) -> list[tuple[str, Any]]:
        """All schemas by name, the top as "", each behind those that it refers to. It notes the circles."""
        order: list[tuple[str, Any]] = []
        met, open_ = {""}, {""}
        path: list[tuple[str, Any, Iterator[str]]] = [("", self._given, references(self._given))]
        while path:
            name, node, left = path[-1]
            for reference in left:
                target = resolved(self._given, reference)
                if target is None:
                    continue
                inner = self._name(reference)
                if inner in open_:
                    self._circles.add((name, inner))
                elif inner not in met:
                    met.add(inner)
                    open_.add(inner)
                    path.append((inner, target, references(target)))
                    break
            else:
                path.pop()
                open_.discard(name)
                order.append((name, node))
        return order

    def _name(self, reference: str) -> str:
        if reference not in self._names:
            last = "top" if reference == "#" else reference.rsplit("/", 1)[-1]
            word = name = re.sub(r"[^A-Za-z0-9_.-]", "_", last) or "_"
            while name in self._words:
                self._words[word] += 1
                name = f"{word}_{self._words[word]}"
            self._words[name] = 1
            self._names[reference] = name
        return self._names[reference]

    def _schema(self, found: Any) -> Node:
        """One schema with all that is in it."""
        return self._ended(self._read(found))

    def _read(self, found: Any) -> Node:
        """The same, while names may still be required that another schema of an `allOf` has."""
        if not isinstance(found, dict):
            return {}
        own, is_nullable = self._own(found)
        parts = [self._target(found["$ref"])] if isinstance(found.get("$ref"), str) else []
        parts += [self._read(part) for part in _schemas(found.get("allOf"))]
        for key in UNIONS:
            possible = [part for part in _schemas(found.get(key)) if part != {"not": {}}]
            parts += [{key: [self._read(part) for part in possible]}] if possible else []
            if found.get(key) and not possible:
                self.codes["schema.simplified"] = None
        parts = [part for part in parts if part]
        node = parts[0] if len(parts) == 1 and not own and not _union(parts[0]) else self._all([own, *parts])
        return self._or_null(node) if is_nullable else node

    def _own(self, found: Node) -> tuple[Node, bool]:
        """What the schema says without any other, and whether null is allowed besides."""
        own: Node = {}
        told: Node = {}
        types = types_of(found.get("type"))
        if types:
            own["type"] = types[0] if len(types) == 1 else types
        elif "type" in found:
            self.codes["schema.simplified"] = None
        for key, value in found.items():
            if key in self._readers:
                kept = self._readers[key](value)
                if kept is not None:
                    own[key] = kept
            elif key in _HINTS or key in _RULES:
                told |= {} if _says_nothing(key, value) else {key: value}
        has_null = self._choices(found, own, told)
        _bounds(found, own, told)
        _closed_tuple(found, own)
        given, types = found.get("format"), types_of(own.get("type"))
        if isinstance(given, str) and given != "enum":
            if (given in _TEXT_FORMATS and "string" in types) or (given in _INTEGER_FORMATS and "integer" in types):
                own["format"] = given
            else:
                told["format"] = given
        self.tell(own, told)
        return own, has_null or found.get("nullable") is True

    def _choices(self, found: Node, own: Node, told: Node) -> bool:
        """Put `enum` or `const` into `own`, as far as Gemini has it: strings that are not empty, or numbers. The rest
        is told. Returns whether null is among them.
        """
        values = [found["const"]] if "const" in found else found.get("enum")
        if not isinstance(values, list) or not values:
            return False
        types = types_of(own.get("type"))
        named = list(dict.fromkeys(value for value in values if isinstance(value, str | int | float)))
        if not named and None in values:
            own["type"] = "null"
            return False
        fit = _type_of(named) if len(named) == len({*map(repr, values)} - {"None"}) else None
        declared = [type_ for type_ in types if type_ != "null"]
        if fit in ("integer", "number") and declared == ["string"]:
            fit, named = "string", [msgspec.json.encode(value).decode() for value in named]
        if fit == "integer" and "integer" not in declared and "number" in declared:
            fit = "number"
        if fit is None or fit == "boolean" or "" in named or (declared and fit not in declared):
            told["enum"] = values
            if fit is not None and not types:
                own["type"] = fit
            return None in values and not types
        own["enum"] = named
        own["type"] = fit
        return None in values and (not types or "null" in types)

    def _properties(self, value: Any) -> Node | None:
        return {name: self._schema(inner) for name, inner in value.items()} if isinstance(value, dict) else None

    def _items(self, value: Any) -> Node | None:
        return self._schema(value) if isinstance(value, dict) else None

    def _list(self, value: Any) -> list[Node] | None:
        return [self._schema(inner) for inner in _schemas(value)] or None

    def _other_properties(self, value: Any) -> Node | bool | None:
        return value if isinstance(value, bool) else self._items(value)

    def _target(self, reference: str) -> Node:
        name = self._names.get(reference)
        if name is None:
            self.codes["schema.simplified"] = None
            return {}
        if (self._here, name) not in self._circles:
            return {"$ref": _DEFINITIONS + name}
        self.codes["schema.recursive"] = None
        target = resolved(self._given, reference) or {}
        types = types_of(target.get("type"))
        return {"type": types[0]} if len(types) == 1 else {}

    def _all(self, parts: list[Node]) -> Node:
        """One schema that says what all of `parts` say; what an earlier one says about the value wins."""
        node: Node = {}
        unions: list[tuple[str, list[Node]]] = []
        for part in parts:
            for key, value in (self._inlined(part) if "$ref" in part else part).items():
                if key in UNIONS:
                    unions.append((key, value))
                elif key not in node:
                    node[key] = value
                elif node[key] != value:
                    both = self._both(key, node[key], value)
                    if both is None:
                        del node[key]
                    else:
                        node[key] = both
        if "enum" in node and not _is_among(_type_of(node["enum"]), types_of(node["type"])):
            self.codes["schema.simplified"] = None  # no value can be both
            del node["enum"]
        if not unions:
            return node
        key = unions[0][0] if len(unions) == 1 else "anyOf"
        return self._joined(node, key, [branch for _, branches in unions for branch in branches], len(unions) > 1)

    def _inlined(self, reference: Node) -> Node:
        """What a definition says, while that does not become too much; else its type only."""
        name = reference["$ref"].removeprefix(_DEFINITIONS)
        self._left -= self._sizes[name]
        found = self.followed(reference)
        if self._left < 0:
            self.codes["schema.recursive"] = None
            return {"type": found["type"]} if "type" in found else {}
        return found

    def _both(self, key: str, one: Any, other: Any) -> Any:
        """What two schemas say under one keyword, as one value; None when they say nothing together."""
        match key:
            case "description":
                return one if other in one else f"{one} {other}"
            case "required" | "propertyOrdering":
                return list(dict.fromkeys([*one, *other]))
            case "properties":
                return one | {name: self._pair(one.get(name, {}), node) for name, node in other.items()}
            case "items":
                return self._pair(one, other)
            case "minimum" | "minItems" | "minLength":
                return max(one, other)
            case "maximum" | "maxItems" | "maxLength":
                return min(one, other)
            case "additionalProperties":
                return self._pair(one, other) if isinstance(one, dict) and isinstance(other, dict) else None
            case "title":
                return one
            case "type":
                common = [type_ for type_ in types_of(one) if _is_among(type_, types_of(other))]
                common += [type_ for type_ in types_of(other) if type_ == "integer" and "number" in types_of(one)]
                if common:
                    return common[0] if len(common) == 1 else list(dict.fromkeys(common))
            case "enum":
                if common := [value for value in one if value in other]:
                    return common
        self.codes["schema.simplified"] = None  # two formats, two patterns, or what no value can fulfil
        return one

    def _pair(self, one: Node, other: Node) -> Node:
        if one == other or not one or not other:
            return one or other
        self._left -= 1
        if self._left < 0:
            self.codes["schema.simplified"] = None
            return one
        return self._ended(self._all([one, other]))

    def _joined(self, node: Node, key: str, branches: list[Node], is_several: bool) -> Node:  # noqa: FBT001
        """`node` that is also one of `branches`. `is_several`: they come from several unions, one of each holds."""
        if is_several:
            self.codes["schema.union"] = None
        objects = [branch for branch in branches if _is_object(self.followed(branch))]
        if node.get("properties") or (is_several and len(objects) == len(branches)):
            return self._widened(node, branches)
        if any(keyword in node for keyword in ("items", "prefixItems", "enum")):
            self.codes["schema.union"] = None
            return node
        outside = {keyword: node[keyword] for keyword in _WORDS if keyword in node}
        inside = {key: value for key, value in node.items() if key not in (*_WORDS, "propertyOrdering", "properties")}
        return outside | {key: [self._ended(self._pushed(branch, inside)) for branch in branches]}

    def _or_null(self, node: Node) -> Node:
        """`node` that allows null, too."""
        null = {"type": "null"}
        key = _union(node)
        types = types_of(node.get("type"))
        if key is not None:
            return node if null in node[key] else node | {key: [*node[key], null]}
        if "null" in types:
            return node
        if types and "enum" not in node:
            return node | {"type": [*types, "null"]}
        outside = {keyword: node[keyword] for keyword in _WORDS if keyword in node}
        inside = self._ended({keyword: value for keyword, value in node.items() if keyword not in _WORDS})
        return outside | ({"anyOf": [inside, null]} if inside else {})

    def _pushed(self, branch: Node, inside: Node) -> Node:
        """A branch of a union with what stood beside the union."""
        is_said = not inside or branch.get("type") == "null" or ("$ref" in branch and _CLEAR.issuperset(inside))
        return branch if is_said else self._all([branch, inside])

    def _widened(self, node: Node, branches: list[Node]) -> Node:
        """An object that allows what it allowed with any of `branches`: all their properties."""
        self.codes["schema.union"] = None
        properties = dict(node.get("properties", {}))
        needs: list[list[str]] = []
        waiting, met = list(branches), set()
        for branch in waiting:
            if branch.get("$ref", "") in met:
                continue
            met.update([branch["$ref"]] if "$ref" in branch else [])
            inner = self.followed(branch)
            if further := _union(inner):
                waiting += inner[further]
                continue
            needs.append(inner.get("required", []))
            for name, found in inner.get("properties", {}).items():
                properties[name] = either("anyOf", properties[name], found) if name in properties else found
        always = [name for name in needs[0] if all(name in names for names in needs)] if needs else []
        required = list(dict.fromkeys([*node.get("required", []), *always]))
        return {"type": "object"} | node | {"properties": properties} | ({"required": required} if required else {})

    def _ended(self, node: Node) -> Node:
        """`node` with the rules of every level: arrays have items, only properties that there are can be required."""
        added: Node = {}
        types = types_of(node.get("type"))
        if "array" in types and "items" not in node:
            added["items"] = {}
        if "object" in types and "properties" not in node:
            added["properties"] = {}
        node = node | added if added else node
        properties = node.get("properties", {})
        for key in ("required", "propertyOrdering"):
            names = node.get(key, [])
            missing = [name for name in names if name not in properties]
            if missing:
                node = {keyword: value for keyword, value in node.items() if keyword != key}
                if len(missing) < len(names):
                    node[key] = [name for name in names if name in properties]
                if key == "required":
                    self.tell(node, {"required": missing})
        return node


def references(node: Any) -> Iterator[str]:
    """Every reference in the schema, in its order."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in _inside(node):
            yield from references(inner)


def _inside(node: Node) -> Iterator[Any]:
    """The schemas directly inside."""
    for key, value in node.items():
        if key == "properties" and isinstance(value, dict):
            yield from value.values()
        elif key in ("items", "additionalProperties"):
            yield value
        elif key in ("allOf", "anyOf", "oneOf", "prefixItems"):
            yield from _schemas(value)


def _size(node: Any) -> int:
    return 1 + sum(_size(inner) for inner in _inside(node)) if isinstance(node, dict) else 0


def types_of(found: Any) -> list[str]:
    """The types that `type` names."""
    names = found if isinstance(found, list) else [found]
    lower = [name.lower() for name in names if isinstance(name, str)]
    return [name for name in dict.fromkeys(lower) if name in _TYPES]


def _schemas(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> list[str] | None:
    return [name for name in dict.fromkeys(value) if isinstance(name, str)] or None if _are_names(value) else None


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _says_nothing(key: str, value: Any) -> bool:
    """Whether a rule or a hint allows everything, and tells nothing."""
    if value is None or (value is False and key in ("uniqueItems", "deprecated")):
        return True
    if key.startswith("min"):
        return bool(value == 0)
    if key.startswith("unevaluated"):
        return value is True or value == {}
    return (value in ({}, []) and key not in ("not", "default")) or (key == "propertyNames" and value == _STRING)


def _type_of(values: list[Any]) -> str | None:
    """The one type that all values have."""
    if all(isinstance(value, str) for value in values):
        return "string"
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    if any(isinstance(value, str | bool) for value in values):
        return None
    return "integer" if all(isinstance(value, int) for value in values) else "number"


def _is_among(type_: str | None, types: list[str]) -> bool:
    return type_ in types or (type_ == "integer" and "number" in types)


def _is_object(node: Node) -> bool:
    return "object" in types_of(node.get("type")) or bool(node.get("properties"))


def _union(node: Node) -> str | None:
    return next((key for key in UNIONS if key in node), None)


def _bounds(found: Node, own: Node, told: Node) -> None:
    """Exclusive bounds as the next integer, or as a bound that is one value too wide."""
    for key, exclusive, step in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        given = found.get(exclusive)
        bound = _number(own.get(key) if given is True else given)  # in draft 4 it said how the other bound is meant
        if bound is None:
            continue
        if own.get("type") == "integer" and bound % 1 == 0:
            bound = int(bound) + step
        else:
            told[exclusive] = bound
        own[key] = bound if key not in own else max(own[key], bound) if step == 1 else min(own[key], bound)


def _closed_tuple(found: Node, own: Node) -> None:
    """Nothing may follow the items of a tuple: that is a number of items."""
    if "prefixItems" in own and found.get("items") == {"not": {}}:
        del own["items"]
        own["maxItems"] = min(own.get("maxItems", len(own["prefixItems"])), len(own["prefixItems"]))
