"""The caller's tools and tool choice as functions of Chat Completions.

Functions of the caller and tools that Anthropic defined and the caller runs go over. Tools that Anthropic runs itself
do not, except web search where the server has one of its own.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-reference
"""

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects.chat.body import ChatBody, Function, FunctionName, FunctionTool, NamedChoice
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.messages import schema
from dragoman.messages.client_tools import client_tool
from dragoman.messages.conversation import loaded_tools
from dragoman.messages.errors import ApiError
from dragoman.messages.names import Names
from dragoman.messages.notes import Grade, Note
from dragoman.messages.request import NO_RAW, Body, Tool, ToolChoice

# Servers that run a tool themselves, by what the type begins with -> the code of the note that says so.
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


class Offered(Struct, frozen=True):
    """One tool that the model will see."""

    name: str  # as the caller wrote it
    description: str | None
    parameters: Raw
    strict: bool | None = None


class Offer(Struct):
    """All tools that the model will see, and the web search of the server in place of Anthropic's."""

    tools: list[Offered]
    search: Tool | None = None
    removed: bool = False  # a tool was asked for that only its own vendor runs


def offer(body: Body, target: Target, notes: list[Note]) -> Offer:
    """What of the caller's tools can be offered. A model without tools gets none, with a note: it can still talk.

    Raises ApiError("invalid_request") when nothing is left of what was asked for, or when the tool that the caller
    forces is not among it.
    """
    found = Offer([])
    for index, tool in loaded_tools(body, notes) if body.tools or _has_system_turn(body) else ():
        place = f"tools.{index}"
        offered = _offered(tool, target.quirks, notes, place)
        if offered is not None:
            found.tools.append(offered)
        elif (tool.type or "").startswith("web_search_") and target.quirks.web_search != "none":
            found.search = tool
        else:
            _remove(tool, found, notes, place)
    if found.tools and not target.facts.tools:
        notes.append(Note("lost", "tools.unsupported", "tools"))
        found.tools.clear()
    _check(body, found)
    return found


def _has_system_turn(body: Body) -> bool:
    """System turns can bring tools of their own."""
    return any(turn.role == "system" and isinstance(turn.content, list) for turn in body.messages)


def _offered(tool: Tool, quirks: Quirks, notes: list[Note], place: str) -> Offered | None:
    _ignored(tool, notes, place)
    known = None if tool.is_function else client_tool(tool)
    if known is not None:
        return Offered(known.name, known.description, known.schema)
    # A type that nobody knows, with a name and a schema, can only be a function.
    if not tool.is_function and (tool.input_schema is NO_RAW or _server_code(tool) is not None):
        return None
    if not tool.name:
        raise ApiError("invalid_request", f"{place}.name: Field required")
    parameters = schema.parameters(
        tool.input_schema, inline=quirks.schema == "inline", notes=notes, place=f"{place}.input_schema"
    )
    strict = None
    if tool.strict:
        if quirks.strict_tools and schema.strict_ready(parameters):
            strict = True
        else:
            notes.append(Note("changed", "tool.strict", f"{place}.strict"))
    description = tool.description
    if tool.input_examples is not NO_RAW:
        description = f"{description or ''}\n\nExamples of its input: {_text(tool.input_examples)}".lstrip()
    return Offered(tool.name, description, parameters, strict)


def _ignored(tool: Tool, notes: list[Note], place: str) -> None:
    if tool.cache_control is not None:
        notes.append(Note("ignored", "cache_control.tools", "tools"))
    if tool.eager_input_streaming:
        notes.append(Note("ignored", "tool.eager_input_streaming", f"{place}.eager_input_streaming"))
    if tool.allowed_callers is not NO_RAW:
        # Nothing but the model can call tools here.
        grade: Grade = "ignored" if b'"direct"' in memoryview(tool.allowed_callers).tobytes() else "changed"
        notes.append(Note(grade, "tool.allowed_callers", f"{place}.allowed_callers"))


def _text(raw: Raw) -> str:
    return str(memoryview(raw), "utf-8")


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
    searched = found.search is not None and found.search.name == forced
    if forced is not None and not searched and all(tool.name != forced for tool in found.tools):
        known = any(tool.name == forced for tool in body.tools or ())
        what = "cannot be run by this upstream" if known else "is not one of the tools"
        raise ApiError("invalid_request", f"tool_choice.name: the tool that is asked for {what}.")
    if found.tools or found.search is not None or not body.tools:
        return
    if kind == "any" or (found.removed and kind != "none"):
        raise ApiError(
            "invalid_request",
            "tools: this upstream can run none of them. Send tools with an input_schema, or use a model that has them.",
        )


def functions(offered: Offer, names: Names) -> list[FunctionTool] | None:
    """The `tools` of the body; None when there are none."""
    return [
        FunctionTool(Function(names.out(tool.name), tool.description, tool.parameters, tool.strict))
        for tool in offered.tools
    ] or None


def choose(
    chat: ChatBody, choice: ToolChoice | None, target: Target, names: Names, notes: list[Note], *, thinks: bool
) -> None:
    """Put tool choice and parallel calls into `chat`, whose tools are there. `thinks`: the model will think."""
    quirks: Quirks = target.quirks
    if choice is None or not chat.tools:
        if choice is not None and choice.type != "none":
            notes.append(Note("ignored", "tool_choice.without_tools", "tool_choice"))
        return
    if choice.disable_parallel_tool_use and choice.type != "none":
        if quirks.parallel_tool_calls:
            chat.parallel_tool_calls = False
        else:
            notes.append(Note("changed", "tool_choice.parallel", "tool_choice.disable_parallel_tool_use"))
    if choice.type in ("auto", "none"):
        chat.tool_choice = choice.type
    elif choice.type not in ("any", "tool"):
        raise ApiError("invalid_request", "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    else:
        only = names.out(choice.name or "") if choice.type == "tool" else None
        force_call(chat, only, quirks, notes, thinks=thinks)


def force_call(chat: ChatBody, only: str | None, quirks: Quirks, notes: list[Note], *, thinks: bool) -> None:
    """A tool must be called: `only` that one, by its upstream name, or any.

    Where a name cannot be given, the tool is offered alone and some tool must be called.
    """
    if thinks and not quirks.tool_choice_with_thinking:
        notes.append(Note("changed", "tool_choice.while_thinking", "tool_choice"))
        chat.tool_choice = "auto"
        return
    if only is not None and quirks.tool_choice_named:
        chat.tool_choice = NamedChoice(FunctionName(only))
        return
    if only is not None:
        notes.append(Note("ignored", "tool_choice.alone", "tool_choice"))
        chat.tools = [tool for tool in chat.tools or () if tool.function.name == only]
    if quirks.tool_choice_any == "auto":
        notes.append(Note("changed", "tool_choice.any", "tool_choice"))
    chat.tool_choice = quirks.tool_choice_any


class _Place(Struct, frozen=True, omit_defaults=True):
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


def search(chat: ChatBody, tool: Tool, quirks: Quirks, notes: list[Note]) -> None:
    """The server's own web search in place of Anthropic's.

    https://platform.openai.com/docs/guides/tools-web-search?api-mode=chat and
    https://openrouter.ai/docs/features/web-search
    """
    if tool.max_uses is not None:
        notes.append(Note("changed", "web_search.max_uses", "tools"))
    if tool.allowed_domains or tool.blocked_domains:
        notes.append(Note("changed", "web_search.domains", "tools"))
    if quirks.web_search == "plugin":
        chat.plugins = [{"id": "web"}]
        if tool.user_location is not NO_RAW:
            notes.append(Note("changed", "web_search.user_location", "tools"))
        return
    chat.web_search_options = {}
    if tool.user_location is not NO_RAW:
        where = msgspec.json.decode(tool.user_location, type=_Place | None)
        if where is not None:
            chat.web_search_options = {"user_location": {"type": "approximate", "approximate": where}}
