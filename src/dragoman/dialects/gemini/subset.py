"""Schemas as the `Schema` of Gemini: the older, smaller subset of OpenAPI.

Every level has exactly one type, or is a union that stands alone; references are written out.
https://ai.google.dev/api/caching#Schema
"""

from typing import Any

from dragoman.dialects.gemini.simplified import UNIONS, Node, Simplified, types_of

LIMIT = 10_000  # schemas written, in one schema
DEPTH = (
    32  # levels; there is a limit, but no page that tells it. https://github.com/tanaikech/ToolsForMCPServer/issues/9
)

_ANYTHING = ["string", "number", "boolean", "object", "array"]
_NUMBERS = ("minimum", "maximum", "format")
_KEYWORDS: dict[str, tuple[str, ...]] = {  # of each type; of another one they are refused
    "string": ("format", "enum", "minLength", "maxLength", "pattern"),
    "number": _NUMBERS,
    "integer": _NUMBERS,
    "array": ("minItems", "maxItems"),
    "object": ("required", "propertyOrdering"),
}

# The others are refused. https://github.com/google/adk-python/blob/main/src/google/adk/tools/_gemini_schema_util.py
_FORMATS = {"string": ("date-time",), "integer": ("int32", "int64")}

# An object needs properties. This is for one that may have any, and for one that has none.
# https://github.com/google/adk-js/blob/main/core/src/utils/gemini_schema_util.ts
_ANY_PROPERTIES: Node = {
    "_": {"type": "STRING", "description": "Leave this out. Give the properties that are needed instead of it."}
}


def written(found: Simplified) -> Node:
    """The schema in this form. What is lost is noted in `found`."""
    return _Writer(found).write(found.top, 0)


class _Writer:
    def __init__(self, found: Simplified) -> None:
        self._found = found
        self._left = LIMIT

    def write(self, node: Node, level: int) -> Node:
        node = self._found.followed(node)
        self._left -= 1
        if self._left < 0 or level > DEPTH:
            self._found.codes["schema.recursive"] = None
            node = {key: node[key] for key in ("type", "description") if key in node}
        if any(key in node for key in UNIONS):
            return self._union(node, level)
        given = types_of(node.get("type")) or _guessed(node)
        types = [type_ for type_ in given if type_ != "null"]
        if not types:
            null: Node = {"type": "STRING", "nullable": True}
            null |= {"description": node["description"]} if node.get("description") else {}
            self._found.tell(null, {"const": None})
            return null
        return _one_of([self._typed(node, type_, level) for type_ in types], is_nullable="null" in given)

    def _union(self, node: Node, level: int) -> Node:
        alternatives: list[Node] = []
        is_nullable = False
        for branch in self._branches(node):
            if branch.get("type") == "null":
                is_nullable = True
                continue
            new = self.write(branch, level + 1)
            alternatives += [each for each in new.get("anyOf", [new]) if each not in alternatives]
        if not alternatives:
            return self.write({"type": "null"} | _described(node), level)
        if len(alternatives) == 1:
            words = [text for text in (node.get("description"), alternatives[0].get("description")) if text]
            alternatives = [alternatives[0] | ({"description": " ".join(dict.fromkeys(words))} if words else {})]
        else:
            described = [_described(node) | each for each in alternatives]
            alternatives = [each for number, each in enumerate(described) if each not in described[:number]]
        return _one_of(alternatives, is_nullable=is_nullable)

    def _branches(self, node: Node) -> list[Node]:
        """The alternatives of the union, and of those inside it that say nothing else."""
        found: list[Node] = []
        waiting = [node]
        while waiting:
            inner = self._found.followed(waiting.pop(0))
            key = next((key for key in UNIONS if key in inner), None)
            self._left -= 1
            if key is None or (inner is not node and inner.get("description")):
                found.append(inner)
            elif self._left < 0:
                self._found.codes["schema.recursive"] = None
            else:
                waiting = [*inner[key], *waiting]
        return found

    def _typed(self, node: Node, type_: str, level: int) -> Node:
        """What `node` says about values of one type."""
        new: Node = {"type": type_.upper()} | _described(node)
        new |= {key: node[key] for key in _KEYWORDS.get(type_, ()) if key in node}
        told: Node = {}
        if type_ != "string" and "enum" in node:
            told["enum"] = node["enum"]
        if new.get("format") not in _FORMATS.get(type_, ()):
            told |= {"format": new["format"]} if type_ == "string" and "format" in new else {}
            new.pop("format", None)
        if type_ == "array":
            new["items"] = self._items(node, level)
        if type_ == "object":
            if isinstance(node.get("additionalProperties"), dict) and node["additionalProperties"]:
                told["additionalProperties"] = node["additionalProperties"]
            properties = node.get("properties") or {}
            new["properties"] = {name: self.write(inner, level + 1) for name, inner in properties.items()}
            new["properties"] = new["properties"] or _ANY_PROPERTIES
        self._found.tell(new, told)
        return new

    def _items(self, node: Node, level: int) -> Node:
        tuple_ = node.get("prefixItems", [])
        items = node.get("items")
        if tuple_:
            self._found.codes["schema.simplified"] = None
            items = {"anyOf": [*tuple_, *([items] if items else [])]}
        # Anything but an array: its items could be anything again, without an end.
        return self.write(items or {"type": _ANYTHING[:-1]}, level + 1)


def _guessed(node: Node) -> list[str]:
    """The type of a schema that names none; Gemini wants one. https://github.com/BerriAI/litellm/issues/18442"""
    for type_, keywords in (
        ("object", ("properties", "additionalProperties", "required")),
        ("array", ("items", "prefixItems", "minItems", "maxItems")),
        ("number", ("minimum", "maximum")),
        ("string", ("minLength", "maxLength", "pattern")),
    ):
        if any(keyword in node for keyword in keywords):
            return [type_]
    return _ANYTHING


def _described(node: Node) -> Node:
    return {"description": node["description"]} if node.get("description") else {}


def _one_of(alternatives: list[Node], *, is_nullable: bool) -> Node:
    """A union stands alone: null, too, is said in its branches. https://github.com/anomalyco/opencode/pull/14659"""
    null: dict[str, Any] = {"nullable": True} if is_nullable else {}
    return alternatives[0] | null if len(alternatives) == 1 else {"anyOf": [each | null for each in alternatives]}
