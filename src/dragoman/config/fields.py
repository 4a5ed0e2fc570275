"""Filling typed settings from the tree of a document. Problems are collected, so that all are told at once."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct, inspect, structs

from dragoman.config.document import Node
from dragoman.config.problems import Problem, did_you_mean
from dragoman.config.variables import ExpansionError, expand

NOTHING = object()
"""What is left of a value that cannot be used: a problem tells why."""


class Sheet:
    """One source of settings: its name, the variables that it may use, and the problems found so far."""

    def __init__(self, file: str, variables: Mapping[str, str], problems: list[Problem]) -> None:
        self.file = file
        self.variables = variables
        self.problems = problems

    def refuse(self, node: Node | None, path: str, text: str) -> None:
        """Note a problem at `node`."""
        self.problems.append(Problem(self.file, node.line if node else 0, path, text))

    def unknown(self, node: Node, path: str, what: str, allowed: Iterable[str]) -> None:
        """Note that the last name of `path` is not one of `allowed`."""
        allowed = list(allowed)
        hint = did_you_mean(path.rpartition(".")[2], allowed)
        self.refuse(node, path, f"{what}.{hint} Allowed: {', '.join(allowed)}.")

    def mapping(self, node: Node, path: str) -> dict[str, Node]:
        """The entries of a mapping; nothing counts as an empty one."""
        if isinstance(node.value, dict):
            return node.value
        if node.value is not None:
            self.refuse(node, path, f"expected a mapping (`name: value` lines), found {node.kind}.")
        return {}

    def plain(self, node: Node, path: str) -> Any:
        """The value with its variables expanded. Raises ExpansionError."""
        value = node.value
        if isinstance(value, str):
            return expand(value, self.variables)
        if isinstance(value, list):
            return [self.plain(item, path) for item in value]
        if isinstance(value, dict):
            return {name: self.plain(item, f"{path}.{name}") for name, item in value.items()}
        return value

    def value(self, node: Node, kind: Any, path: str) -> Any:
        """The value, expanded, as `kind`; `NOTHING` after a problem. A text may stand for a number."""
        try:
            found = self.plain(node, path)
        except ExpansionError as error:
            self.refuse(node, path, str(error))
            return NOTHING
        return self.converted(node, found, kind, path)

    def converted(self, node: Node, found: Any, kind: Any, path: str) -> Any:
        """`found`, the value of `node`, as `kind`; `NOTHING` after a problem."""
        try:
            return msgspec.convert(found, kind)
        except msgspec.ValidationError:
            if isinstance(found, str) and found.lower() not in ("null", "none", "nan", "inf"):
                try:
                    return msgspec.convert(found, kind, strict=False)
                except msgspec.ValidationError:
                    pass  # the same problem, told below
        hint = ""
        if isinstance(node.value, str) and (words := _words(kind)):
            hint = did_you_mean(node.value, words)
        wanted = allowed(kind)
        other = "another one" if wanted.startswith(node.kind) else node.kind
        self.refuse(node, path, f"expected {wanted}, found {other}.{hint}")
        return NOTHING

    def fill(self, kind: type[Struct], node: Node, path: str, *, extra: Iterable[str] = ()) -> dict[str, Any]:
        """The fields of `kind` that stand in the mapping `node`. Names in `extra` are left to the caller."""
        fields = {field.name: field for field in structs.fields(kind)}
        found: dict[str, Any] = {}
        for name, child in self.mapping(node, path).items():
            place = f"{path}.{name}"
            if name in extra:
                continue
            if name not in fields:
                self.unknown(child, place, "there is no such setting", fields)
            elif child.value is not None:  # nothing after the colon: not set
                value = self.value(child, fields[name].type, place)
                if value is not NOTHING:
                    found[name] = value
        return found


def allowed(kind: Any) -> str:
    """What `kind` takes, for people."""
    return _allowed(inspect.type_info(kind))


def _allowed(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            word = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            if kind.ge is not None and kind.le is not None:
                return f"{word} from {kind.ge} to {kind.le}"
            return word if kind.ge is None else f"{word}, {kind.ge} or more"
        case inspect.LiteralType():
            return "one of " + ", ".join(f"`{value}`" for value in kind.values)
        case inspect.VarTupleType() | inspect.ListType():
            return f"a list, each {_allowed(kind.item_type)}"
        case inspect.TupleType():
            return f"a list of {len(kind.item_types)}, each {_allowed(kind.item_types[0])}"
        case inspect.DictType():
            return "a mapping"
        case inspect.UnionType():
            return " or ".join(_allowed(item) for item in kind.types if not isinstance(item, inspect.NoneType))
        case inspect.StrType(pattern=str()):
            return "a text of letters, digits, `-` and `_`"
        case _:
            return "a text (numbers and dates in quotes)"


def _words(kind: Any) -> list[str]:
    """The words that `kind` takes, when it takes a choice of words."""
    info = inspect.type_info(kind)
    choices = info.types if isinstance(info, inspect.UnionType) else (info,)
    return [
        cast("str", word) for choice in choices if isinstance(choice, inspect.LiteralType) for word in choice.values
    ]
