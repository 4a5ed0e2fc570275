"""What a request asks to be done, step by step: a few verbs of English, files, commands, and tools by name.

This is no understanding. It is enough for a newcomer, and for a client that wants to see tools work.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from dragoman.demo.arguments import fill
from dragoman.demo.wire import Function

ACTIONS = {
    "read": ("read", "read_file", "view", "view_file", "open_file", "cat", "get_file_contents"),
    "write": ("write", "write_file", "create_file", "save_file"),
    "edit": ("edit", "edit_file", "str_replace", "replace_in_file", "multi_edit"),
    "run": ("bash", "run", "shell", "run_command", "run_shell_command", "execute", "execute_command", "terminal"),
}
"""What is to be done -> how tools for it are called, whatever their case and their server's prefix."""

FEW = 5  # tools; with more of them a mere word in common is no request

_VERB = re.compile(
    r"\b(?P<read>read|open|view|show|look\s+at|print)\b|\b(?P<write>write|create|save)\b"
    r"|\b(?P<edit>change|replace|edit|substitute|rename)\b|\b(?P<run>run|execute)\b|\b(?P<list>list)\b"
    r"|\b(?P<call>call|use|invoke)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|“([^”\n]+)”|(?<!\w)'([^'\n]+)'(?!\w)")
_MARK = re.compile("\x00(\\d+)\x00")
_PATH = re.compile(
    r"(?<![\w./~:-])(?:~?/|\.{1,2}/)?(?:[\w.@-]+/)*[\w@-][\w.@-]*\.[A-Za-z]\w{0,7}\b"  # with an ending
    r"|(?<![\w.:/])/[\w./-]+"  # or from the root
)
_OPERAND = "\x00\\d+\x00|[^\\s,;]+"
_CHANGE = re.compile(
    r"\w+\s+(?:(?:every|all|any|each|the\s+(?:word|text|line|string|value)|the)\s+)?"
    rf"(?P<old>{_OPERAND})\s+(?:to|with|by|into|for)\s+(?:the\s+(?:word|text|line|string)\s+)?(?P<new>{_OPERAND})",
    re.IGNORECASE,
)
_BARE_COMMAND = re.compile(r"\w+\s+(?:the\s+command\s+)?(?P<command>.+?)(?=,|;|\bthen\b|\band\b|[.?!:](?:\s|$)|\n|$)")
_BARE_CONTENT = re.compile(
    r"\b(?:with|containing|saying|that\s+says)\s+(?:the\s+(?:content|text|words?)\s+)?(?P<content>.+)"
)
_NAME_COMES = re.compile(r"\w+\s+(?:the\s+)?(?:tool\s+)?")
_NO_COMMAND = {"the", "a", "an", "it", "this", "that", "them", "all", "my", "your", "some", "through", "into", "out"}
_NO_PATH = {"e.g", "i.e"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_SMALL = {"get", "set", "the", "find", "make", "run", "use", "call", "fetch", "query", "tool", "current", "new", "do"}


class Step(Struct, frozen=True):
    """One thing to do. `action` is a key of ACTIONS, or "call" with the tool's name."""

    action: str
    values: dict[str, str] = {}
    tool: str = ""
    arguments: dict[str, Any] | None = None  # when the request wrote them out


class Clause(NamedTuple):
    verb: str
    text: str  # with marks instead of what was quoted


class Reading:
    """One request, cut into clauses. What was quoted is kept aside, so that no verb is found in it."""

    def __init__(self, text: str) -> None:
        self._kept: list[Any] = []
        self._masked = _QUOTED.sub(lambda m: self._keep(next(filter(None, m.groups()))), self._without_json(text))

    def clauses(self) -> Iterator[Clause]:
        verbs = list(_VERB.finditer(self._masked))
        while verbs:
            verb = verbs.pop(0)
            if (
                verb.lastgroup == "call"
                and verbs
                and _NAME_COMES.fullmatch(self._masked, verb.start(), verbs[0].start())
            ):
                verbs.pop(0)  # "call Read with ...": the name of a tool and no verb
            end = verbs[0].start() if verbs else len(self._masked)
            yield Clause(verb.lastgroup or "", self._masked[verb.start() : end])

    def first_path(self) -> str:
        """A file that is named before anything is said about it: "In a.txt, replace ..."."""
        verb = _VERB.search(self._masked)
        paths = self.paths(self._masked[: verb.start()]) if verb else []
        return paths[-1] if paths else ""

    def quoted(self, clause: str) -> list[str]:
        kept = [self._kept[int(mark)] for mark in _MARK.findall(clause)]
        return [value for value in kept if isinstance(value, str)]

    def objects(self, clause: str) -> list[dict[str, Any]]:
        kept = [self._kept[int(mark)] for mark in _MARK.findall(clause)]
        return [value for value in kept if isinstance(value, dict)]

    def plain(self, clause: str) -> str:
        """With what was quoted in its place."""
        return _MARK.sub(lambda m: str(self._kept[int(m[1])]), clause).strip()

    def paths(self, clause: str) -> list[str]:
        bare = _MARK.sub(lambda m: f" {self._kept[int(m[1])]} ", clause)
        return [path for path in dict.fromkeys(_PATH.findall(bare)) if path not in _NO_PATH]

    def _keep(self, value: Any) -> str:
        self._kept.append(value)
        return f"\x00{len(self._kept) - 1}\x00"

    def _without_json(self, text: str) -> str:
        text = text.replace("\x00", "")
        start = text.find("{")
        while start >= 0:
            try:
                value, length = json.JSONDecoder().raw_decode(text[start:])
            except (ValueError, RecursionError):
                start = text.find("{", start + 1)
                continue
            text = text[:start] + self._keep(value) + text[start + length :]
            start = text.find("{", start)
        return text


def rounds(text: str, tools: Sequence[Function]) -> list[list[Step]]:
    """What to do in each turn, in order; the steps of one round do not need each other."""
    reading = Reading(text)
    found: list[list[Step]] = []
    last = reading.first_path()  # the file that "it" means
    known: set[str] = set()  # files that were read or written on the way
    for verb, clause in reading.clauses():
        paths = reading.paths(clause)
        if not paths and last and re.search(r"\bit\b", clause):
            paths = [last]
        last = paths[-1] if paths else last
        steps = _named(clause, reading, tools) if verb == "call" else _steps(verb, clause, reading, paths, last)
        for step in steps:
            path = step.values.get("path", "")
            if step.action == "edit" and path not in known:
                found.append([Step("read", {"path": path})])  # editors refuse files that nobody has looked at
            known.add(path)
        if steps:
            found.append(steps)
    return found or _loose(text, tools)


def tool_for(step: Step, tools: Sequence[Function]) -> Function | None:
    """The offered tool that does a step."""
    names = ACTIONS.get(step.action, (step.tool.lower(),))
    for name in names:
        for tool in tools:
            if name in (tool.name.lower(), tool.name.lower().rpartition("__")[2]):
                return tool
    return None


def call_arguments(step: Step, tool: Function, text: str, here: str) -> dict[str, Any]:
    """Arguments for a step; relative files are put into the folder `here`, if it is known."""
    if step.arguments is not None:
        return step.arguments
    values = dict(step.values)
    path = values.get("path", "")
    if here and path and not path.startswith(("/", "~")) and ":" not in path[:3]:
        values["path"] = f"{here.rstrip('/')}/{path.removeprefix('./')}"
    return fill(tool.parameters, values, text)


def _steps(verb: str, clause: str, reading: Reading, paths: list[str], file: str) -> list[Step]:
    match verb:
        case "read":
            return [Step("read", {"path": path}) for path in paths]
        case "write":
            return _write(clause, reading, file) if paths else []
        case "edit":
            return _edit(clause, reading, file)
        case "run":
            return _run(clause, reading)
        case "list" if re.search(r"\b(?:files|director(?:y|ies)|folders?)\b", clause):
            folder = next((path for path in paths if path.endswith("/") or "." not in path), "")
            return [Step("run", {"command": f"ls {folder}".strip(), "description": "List files"})]
    return []


def _write(clause: str, reading: Reading, file: str) -> list[Step]:
    quoted = [value for value in reading.quoted(clause) if value != file]
    bare = _BARE_CONTENT.search(clause) or re.search(
        rf"\w+\s+(?P<content>.+?)\s+(?:to|into)\s+\S*{re.escape(file)}", clause
    )
    if quoted:
        content = quoted[0]
    elif bare:
        content = _trimmed(reading.plain(bare["content"]))
    else:
        content = "Written by dragoman's simulated demo model."
    return [Step("write", {"path": file, "content": content + "\n"})]


def _edit(clause: str, reading: Reading, file: str) -> list[Step]:
    change = _CHANGE.match(clause)
    if change is None or not file:
        return []
    old, new = (_trimmed(reading.plain(change[side])) for side in ("old", "new"))
    return [Step("edit", {"path": file, "old": old, "new": new})] if old != new else []


def _run(clause: str, reading: Reading) -> list[Step]:
    quoted = reading.quoted(clause)
    if quoted:
        command = quoted[0]
    else:
        bare = _BARE_COMMAND.match(clause)
        command = bare["command"].strip() if bare else ""
        if not command or command.split()[0].lower() in _NO_COMMAND:
            return []
    return [Step("run", {"command": command, "description": f"Run {command.split()[0]}"})]


def _named(clause: str, reading: Reading, tools: Sequence[Function]) -> list[Step]:
    words = reading.plain(clause)
    if re.search(r"\bto$", words):  # "use Bash to run ...": the verb that follows says it all
        return []
    for tool in sorted(tools, key=lambda tool: len(tool.name), reverse=True):
        if re.search(rf"\b{re.escape(tool.name)}\b", words, re.IGNORECASE):
            objects = reading.objects(clause)
            return [Step("call", tool=tool.name, arguments=objects[0] if objects else None)]
    return []


def _loose(text: str, tools: Sequence[Function]) -> list[list[Step]]:
    """A tool whose name is spoken of: "what is the weather in Paris?" and `get_weather`."""
    if len(tools) > FEW:
        return []
    spoken = {word.lower() for word in re.findall(r"\w+", text)}
    calls = []
    for tool in tools:
        words = {word.lower() for word in _WORD.findall(tool.name)} - _SMALL
        if words and words <= spoken:
            calls.append(Step("call", tool=tool.name))
    return [calls] if calls else []


def _trimmed(text: str) -> str:
    return text.strip().rstrip(",.;:!?").strip()
