"""Which tools are sent: clients defer the definitions of some until the conversation loads them.

Notes made here: `tools.deferred`, `tools.removed` (ignored); `tool_addition.unknown`, `tool_removal.unknown` (lost).
https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from dragoman.messages.body import Block, Body, Tool
from dragoman.messages.notes import Note

PLACEHOLDER = "DeferredToolPlaceholder"
"""Claude Code's stub that keeps the tool list from being empty of deferred tools; it is never a tool."""


class _Reference(Struct, frozen=True):
    """`tool` of a tool_addition or tool_removal."""

    type: str = ""
    name: str | None = None
    tool_name: str | None = None
    definition: Tool | None = None


_REFERENCE = msgspec.json.Decoder(_Reference)


def loaded_tools(body: Body, notes: list[Note] | None = None) -> list[tuple[int, Tool]]:
    """The tools to send, each with its index in `body.tools`, in the caller's order.

    A deferred tool is sent once the history loads it, by a `tool_reference` in a tool result or by a `tool_addition`;
    a `tool_removal` takes a tool away. A tool that the caller forces is sent. When the search for tools is a server
    tool, which no foreign upstream runs, all deferred tools are sent. Tools that a `tool_addition` defines itself come
    behind the list, with indexes that go on from it. `notes` receives what is not sent.
    """
    notes = [] if notes is None else notes
    tools = body.tools or []
    loaded: dict[str, bool] = {}
    defined: dict[str, Tool] = {}
    deferred = any(tool.defer_loading for tool in tools)
    for index, turn in enumerate(body.messages):
        if not isinstance(turn.content, list):
            continue
        if turn.role == "system":
            _change_tools(index, turn.content, loaded, defined, notes)
        elif deferred:
            _load_referenced(turn.content, loaded)
    if body.tool_choice and body.tool_choice.name:
        loaded[body.tool_choice.name] = True
    searched = any((tool.type or "").startswith("tool_search_tool") for tool in tools)
    sent: list[tuple[int, Tool]] = []
    for index, tool in enumerate(tools):
        wanted = loaded.get(tool.name or "", searched or not tool.defer_loading)
        if wanted and not (tool.defer_loading and tool.name == PLACEHOLDER):
            sent.append((index, tool))
        else:
            notes.append(Note("ignored", "tools.deferred" if tool.defer_loading else "tools.removed", f"tools.{index}"))
    known = {tool.name for tool in tools}
    new = [tool for name, tool in defined.items() if loaded[name] and name not in known]
    return sent + list(enumerate(new, len(tools)))


def _change_tools(
    index: int, blocks: list[Block], loaded: dict[str, bool], defined: dict[str, Tool], notes: list[Note]
) -> None:
    for number, block in enumerate(blocks):
        if block.type not in ("tool_addition", "tool_removal"):
            continue
        try:
            reference = _REFERENCE.decode(block.tool)
        except (msgspec.DecodeError, RecursionError):
            reference = _Reference()
        name = reference.definition.name if reference.definition else reference.name or reference.tool_name
        if not name or reference.type.startswith("mcp_"):
            notes.append(Note("lost", f"{block.type}.unknown", f"messages.{index}.content.{number}"))
            continue
        loaded[name] = block.type == "tool_addition"
        if reference.definition:
            defined[name] = reference.definition


_NO_REFERENCES = frozenset(("text", "thinking", "tool_use", "image"))


def _load_referenced(blocks: Iterable[Block], loaded: dict[str, bool]) -> None:
    for block in blocks:
        if block.type in _NO_REFERENCES:
            continue
        if block.tool_name and block.type == "tool_reference":
            loaded[block.tool_name] = True
        if block.tool_references:
            _load_referenced(block.tool_references, loaded)
        content = block.content
        if isinstance(content, list):
            _load_referenced(content, loaded)
        elif isinstance(content, Block):
            _load_referenced((content,), loaded)
