"""YAML with line numbers: a small tree of values, each of which knows where it stands. Duplicate keys are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dragoman.config.problems import Problem

if TYPE_CHECKING:
    import yaml

NESTING_LIMIT = 20
SIZE_LIMIT = 100_000  # values; aliases count each time they are used


class Node(Struct, frozen=True):
    """A value and the line of its key, or its own line where it has no key."""

    line: int
    value: str | int | float | bool | list[Node] | dict[str, Node] | None

    @property
    def kind(self) -> str:
        """What it is, for people."""
        value = self.value
        if isinstance(value, bool):
            return "true or false"
        names = {str: "a text", int: "a whole number", float: "a number", list: "a list", dict: "a mapping"}
        return names.get(type(value), "nothing")


def parse(raw: bytes, file: str, problems: list[Problem]) -> Node | None:
    """The tree of the YAML document `raw`; None when it is empty or cannot be read. Appends to `problems`."""
    # Imported here because it takes 30 ms and 3 MB, and most starts have no file.
    import yaml  # noqa: PLC0415

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(raw.decode("utf-8-sig"), Loader=loader)
    except UnicodeDecodeError:
        problems.append(Problem(file, 0, "", "is not UTF-8. Save it as UTF-8."))
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(Problem(file, mark.line + 1 if mark else 0, "", _explained(error.problem or "")))
        return None
    except yaml.YAMLError:
        problems.append(Problem(file, 0, "", "is not YAML: it has a character that YAML does not allow."))
        return None
    if root is None:
        return None
    return _Walk(file, problems, yaml.constructor.SafeConstructor()).node(root, root.start_mark.line + 1, "", 0)


def _explained(problem: str) -> str:
    """The parser's complaint, which names what it expected, and of the text at most a character."""
    if "alias" in problem:
        return "a text that begins with `*` must stand in quotes."
    if "cannot start any token" in problem:
        return "is not YAML: a tab stands where spaces are needed, or a text must stand in quotes."
    return f"is not YAML: {problem}."


class _Walk:
    """Turns the parser's nodes into ours."""

    def __init__(self, file: str, problems: list[Problem], constructor: yaml.constructor.SafeConstructor) -> None:
        self._file = file
        self._problems = problems
        self._constructor = constructor
        self._seen = 0

    def node(self, node: yaml.Node, line: int, path: str, depth: int) -> Node:
        import yaml  # noqa: PLC0415 - see parse

        self._seen += 1
        if depth > NESTING_LIMIT or self._seen > SIZE_LIMIT:
            if self._seen <= SIZE_LIMIT + 1:
                self._refuse(line, path, "is nested too deep, or too large.")
                self._seen = SIZE_LIMIT + 1
            return Node(line, None)
        if isinstance(node, yaml.MappingNode):
            return Node(line, self._mapping(node, path, depth))
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return Node(
                line, [self.node(item, item.start_mark.line + 1, f"{path}[{n}]", depth + 1) for n, item in items]
            )
        return Node(line, self._scalar(node))

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key.value, str):
                self._refuse(line, path, "a key must be a text.")
                continue
            name = key.value
            place = f"{path}.{name}" if path else name
            if name in found:
                self._refuse(line, place, f"stands here twice; the first time in line {found[name].line}.")
                continue
            found[name] = self.node(value, line, place, depth + 1)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        """Numbers, true, false and null as such; everything else, dates too, as the text that it is."""
        if node.tag.rpartition(":")[2] in ("int", "float", "bool", "null"):
            return self._constructor.construct_object(node)
        return node.value

    def _refuse(self, line: int, path: str, text: str) -> None:
        self._problems.append(Problem(self._file, line, path, text))
