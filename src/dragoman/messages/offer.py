"""The caller's tools as plain functions, for upstreams that know nothing else.

Functions of the caller and tools that Anthropic defined and the caller runs go over. Tools that Anthropic runs itself
do not, except web search and web fetch where the upstream has its own.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-reference
"""

from functools import lru_cache
from typing import Literal

from msgspec import Raw, Struct

from dragoman.messages import schema
from dragoman.messages.beginning import all_called, system_turns
from dragoman.messages.body import NO_RAW, Body, KnownTools, Tool
from dragoman.messages.client_tools import client_tool
from dragoman.messages.deferred import loaded_tools
from dragoman.messages.errors import ApiError
from dragoman.messages.known import known_tools
from dragoman.messages.names import Names
from dragoman.messages.notes import Grade, Note

# Tools that a server runs itself, by what the type begins with -> the code of the note that says so.
SERVER_TOOLS = {
    "web_search_": "tool.web_search",
    "web_fetch_": "tool.web_fetch",
    "code_execution_": "tool.code_execution",
    "tool_search_tool": "tool.tool_search",
    "advisor_": "tool.advisor",
    "mcp_toolset": "tool.mcp_toolset",
    "computer_toolset_": "tool.computer_toolset",
    "browser_toolset_": "tool.browser_toolset",
}


Strict = bool | Literal["any_schema"]
"""Whether `strict` on a function is understood, and whether that holds for any schema or for exact ones only."""


class Means(Struct, frozen=True, kw_only=True):
    """What the upstream can do with tools."""

    tools: bool  # the model takes tools at all
    strict: Strict
    inline: bool  # references inside schemas must be written out
    search: bool  # it has a web search of its own
    fetch: bool = False  # it reads web pages itself


class Offered(Struct, frozen=True):
    """One tool that the model will see."""

    name: str  # as the caller wrote it
    description: str | None
    parameters: Raw
    strict: bool = False  # asked for, and possible without any change of meaning
    place: str = "tools"  # in the caller's body, for notes


class Offer(Struct):
    """All tools that the model will see, and those of the server in place of Anthropic's."""

    tools: list[Offered]
    search: Tool | None = None
    fetch: Tool | None = None
    removed: bool = False  # a tool was asked for that only its own vendor runs
    json: bytes = b""  # of `KnownTools`, where `tools` are what `usual` says of it, and perhaps more
    usual_names: frozenset[str] = frozenset()  # of those that `usual` says

    def names(self, body: Body, *, limit: int, begins: bool = False) -> Names:
        """The names of all tools that are offered now or were called before. `limit` and `begins`: see `Names.of`."""
        called = all_called(body.messages)
        if len(self.tools) == len(self.usual_names) and called <= self.usual_names:
            return _names(self.usual_names, limit=limit, begins=begins)
        return _names(called.union([tool.name for tool in self.tools]), limit=limit, begins=begins)


@lru_cache(maxsize=64)  # agents have the same tools with every request
def _names(names: frozenset[str], *, limit: int, begins: bool) -> Names:
    return Names.of(names, limit=limit, begins=begins)


class Usual(Struct, frozen=True):
    """What can be offered of tools that are all functions, or run by the caller, and none of them deferred."""

    tools: tuple[Offered, ...]
    notes: tuple[Note, ...]
    names: frozenset[str]


def offer(body: Body, means: Means, notes: list[Note]) -> Offer:
    """What of the caller's tools can be offered. A model without tools gets none, with a note: it can still talk.

    Raises ApiError("invalid_request") when nothing is left of what was asked for, or when the tool that the caller
    forces is not among it.
    """
    if not body.tools and not _has_system_turn(body):
        found = Offer([])
    else:
        found = _remembered(body, means, notes) or _looked_through(body, means, notes)
    if found.tools and not means.tools:
        notes.append(Note("lost", "tools.unsupported", "tools"))
        found = Offer([], found.search, found.fetch, found.removed)
    if body.tools or body.tool_choice is not None:
        _check(body, found)
    return found


def _looked_through(body: Body, means: Means, notes: list[Note]) -> Offer:
    found = Offer([])
    for index, tool in loaded_tools(body, notes):
        place = f"tools.{index}"
        offered = _offered(tool, notes, place, inline=means.inline, strict=means.strict)
        if offered is not None:
            found.tools.append(offered)
        elif means.search and (tool.type or "").startswith("web_search_"):
            found.search = tool
        elif means.fetch and (tool.type or "").startswith("web_fetch_"):
            found.fetch = tool
        else:
            _remove(tool, found, notes, place)
    return found


def _remembered(body: Body, means: Means, notes: list[Note]) -> Offer | None:
    """The same for usual tools that are known, where no system turn changes them."""
    if not isinstance(body.tools, KnownTools) or _has_system_turn(body):
        return None
    known = usual(body.tools.json, inline=means.inline, strict=means.strict)
    if known is None:
        return None
    notes += known.notes
    return Offer(list(known.tools), json=body.tools.json, usual_names=known.names)


@lru_cache(maxsize=64)  # agents send the same tools with every request, and they are half of it
def usual(json: bytes, *, inline: bool, strict: Strict) -> Usual | None:
    """What can be offered of the tools in `json`, in their order; None when it is not all of them, or depends on more.

    `inline` and `strict` as in `Means`. Raises ApiError("invalid_request") for a tool without a name.
    """
    tools: list[Offered] = []
    notes: list[Note] = []
    for index, tool in enumerate(known_tools(json) or ()):
        offered = None if tool.defer_loading else _offered(tool, notes, f"tools.{index}", inline=inline, strict=strict)
        if offered is None:
            return None
        tools.append(offered)
    return Usual(tuple(tools), tuple(notes), frozenset([tool.name for tool in tools]))


def _has_system_turn(body: Body) -> bool:
    """System turns can bring tools of their own."""
    turns = system_turns(body.messages)
    return bool(turns) and any(isinstance(turn.content, list) for turn in turns)


def _offered(tool: Tool, notes: list[Note], place: str, *, inline: bool, strict: Strict) -> Offered | None:
    _ignored(tool, notes, place)
    known = None if tool.is_function else client_tool(tool)
    if known is not None:
        return Offered(known.name, known.description, known.schema, place=place)
    # A type that nobody knows, with a name and a schema, can only be a function.
    if not tool.is_function and (tool.input_schema is NO_RAW or _server_code(tool) is not None):
        return None
    if not tool.name:
        raise ApiError("invalid_request", f"{place}.name: Field required")
    parameters = schema.parameters(tool.input_schema, inline=inline, notes=notes, place=f"{place}.input_schema")
    is_strict = bool(tool.strict and strict) and (strict == "any_schema" or schema.strict_ready(parameters))
    if tool.strict and not is_strict:
        notes.append(Note("changed", "tool.strict", f"{place}.strict"))
    description = tool.description
    if tool.input_examples is not NO_RAW:
        examples = str(memoryview(tool.input_examples), "utf-8")
        description = f"{description or ''}\n\nExamples of its input: {examples}".lstrip()
    return Offered(tool.name, description, parameters, is_strict, place)


def _ignored(tool: Tool, notes: list[Note], place: str) -> None:
    if tool.cache_control is not None:
        notes.append(Note("ignored", "cache_control.tools", "tools"))
    if tool.eager_input_streaming:
        notes.append(Note("ignored", "tool.eager_input_streaming", f"{place}.eager_input_streaming"))
    if tool.allowed_callers is not NO_RAW:
        # Nothing but the model can call tools here.
        grade: Grade = "ignored" if b'"direct"' in memoryview(tool.allowed_callers).tobytes() else "changed"
        notes.append(Note(grade, "tool.allowed_callers", f"{place}.allowed_callers"))


def _server_code(tool: Tool) -> str | None:
    return next((code for start, code in SERVER_TOOLS.items() if (tool.type or "").startswith(start)), None)


def _remove(tool: Tool, found: Offer, notes: list[Note], place: str) -> None:
    code = _server_code(tool) or "tool.unknown"
    if code == "tool.tool_search":
        notes.append(Note("changed", code, place))  # `loaded_tools` offers everything that could have been found
        return
    notes.append(Note("lost", code, place))
    found.removed = True


def _check(body: Body, found: Offer) -> None:
    choice = body.tool_choice
    kind = choice.type if choice else "auto"
    forced = choice.name if choice and kind == "tool" else None
    servers = [tool.name for tool in (found.search, found.fetch) if tool is not None]
    if forced is not None and forced not in servers and all(tool.name != forced for tool in found.tools):
        known = any(tool.name == forced for tool in body.tools or ())
        what = "cannot be run by this upstream" if known else "is not one of the tools"
        raise ApiError("invalid_request", f"tool_choice.name: the tool that is asked for {what}.")
    if found.tools or servers or not body.tools:
        return
    if kind == "any" or (found.removed and kind != "none"):
        raise ApiError(
            "invalid_request",
            "tools: this upstream can run none of them. Send tools with an input_schema, or use a model that has them.",
        )
