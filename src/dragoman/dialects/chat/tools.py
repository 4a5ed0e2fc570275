"""The caller's tools and tool choice as functions of Chat Completions.

What can be offered at all is in `messages.offer`.
https://platform.openai.com/docs/guides/function-calling?api-mode=chat
"""

from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects.chat.body import ChatBody, Function, FunctionName, FunctionTool, NamedChoice
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.messages.body import NO_RAW, Tool, ToolChoice
from dragoman.messages.errors import ApiError
from dragoman.messages.names import Names
from dragoman.messages.notes import Note
from dragoman.messages.offer import Means, Offer, Offered, usual


def means(target: Target) -> Means:
    """What the target can do with tools."""
    quirks: Quirks = target.quirks
    return Means(
        tools=target.facts.tools,
        strict=quirks.strict_tools,
        inline=quirks.schema == "inline",
        search=quirks.web_search != "none",
    )


def functions(offered: Offer, names: Names, quirks: Quirks) -> list[FunctionTool | Raw] | None:
    """The `tools` of the body, in the order of `offered`; None when there are none."""
    written: list[FunctionTool | Raw] = []
    if offered.json and not names.back:
        written += _remembered(offered.json, inline=quirks.schema == "inline", strict=quirks.strict_tools)
    return written + [_function(tool, names.out(tool.name)) for tool in offered.tools[len(written) :]] or None


@lru_cache(maxsize=64)  # agents send the same tools with every request, and they are half of it
def _remembered(json: bytes, *, inline: bool, strict: bool) -> tuple[Raw, ...]:
    """The tools of `Offer.json`, under the names that the caller gave them."""
    known = usual(json, inline=inline, strict=strict)
    return tuple([Raw(msgspec.json.encode(_function(tool, tool.name))) for tool in known.tools]) if known else ()


def _function(tool: Offered, name: str) -> FunctionTool:
    return FunctionTool(Function(name, tool.description, tool.parameters, tool.strict or None))


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
        chat.tools = [tool for tool in chat.tools or () if _name(tool) == only]
    if quirks.tool_choice_any == "auto":
        notes.append(Note("changed", "tool_choice.any", "tool_choice"))
    chat.tool_choice = quirks.tool_choice_any


class _Named(Struct, frozen=True):
    function: FunctionName


def _name(tool: FunctionTool | Raw) -> str:
    if isinstance(tool, FunctionTool):
        return tool.function.name
    return msgspec.json.decode(tool, type=_Named).function.name


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
