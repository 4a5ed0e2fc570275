"""The caller's tools and tool choice, and the server's own web search in place of Anthropic's.

https://platform.openai.com/docs/guides/function-calling and https://platform.openai.com/docs/guides/tools-web-search
"""

from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects.contract import Target
from dragoman.dialects.responses.body import (
    AllowedChoice,
    Filters,
    FunctionChoice,
    FunctionTool,
    Place,
    ResponsesBody,
    WebSearchTool,
)
from dragoman.dialects.responses.quirks import Quirks
from dragoman.messages.body import NO_RAW, Tool, ToolChoice
from dragoman.messages.errors import ApiError
from dragoman.messages.names import Names
from dragoman.messages.notes import Note
from dragoman.messages.offer import Means, Offer, Offered, usual

SOURCES = "web_search_call.action.sources"


class _Where(Struct, frozen=True):
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


_PLACE = msgspec.json.Decoder(_Where | None)


def means(target: Target) -> Means:
    """What the target can do with tools."""
    quirks: Quirks = target.quirks
    return Means(
        tools=target.facts.tools,
        strict=quirks.strict_tools,
        inline=quirks.schema == "inline",
        search=quirks.web_search,
    )


def write(body: ResponsesBody, offered: Offer, names: Names, quirks: Quirks, notes: list[Note]) -> None:
    """Put the tools into `body`."""
    tools: list[FunctionTool | WebSearchTool | Raw] = []
    if offered.json and not names.back:
        tools += _remembered(offered.json, inline=quirks.schema == "inline", strict=quirks.strict_tools)
    tools += [_function(tool, names.out(tool.name)) for tool in offered.tools[len(tools) :]]
    if offered.search is not None:
        tools.append(_search(offered.search, notes))
        if offered.search.max_uses is not None:
            # It counts the calls of all tools that the server runs; here there is no other.
            body.max_tool_calls = offered.search.max_uses
            notes.append(Note("changed", "web_search.max_uses", "tools"))
        if quirks.web_search_sources:
            body.include = [*(body.include or ()), SOURCES]
    body.tools = tools or None


@lru_cache(maxsize=64)  # agents send the same tools with every request, and they are half of it
def _remembered(json: bytes, *, inline: bool, strict: bool) -> tuple[Raw, ...]:
    """The tools of `Offer.json`, under the names that the caller gave them."""
    known = usual(json, inline=inline, strict=strict)
    return tuple([Raw(msgspec.json.encode(_function(tool, tool.name))) for tool in known.tools]) if known else ()


def _function(tool: Offered, name: str) -> FunctionTool:
    return FunctionTool(name, tool.parameters, tool.strict, tool.description)


def _search(tool: Tool, notes: list[Note]) -> WebSearchTool:
    if tool.blocked_domains:
        notes.append(Note("changed", "web_search.domains", "tools"))
    filters = Filters(tool.allowed_domains) if tool.allowed_domains else None
    where = None
    if tool.user_location is not NO_RAW:
        try:
            found = _PLACE.decode(tool.user_location)
        except msgspec.ValidationError:
            raise ApiError("invalid_request", "tools: the user_location of web search must be an object.") from None
        if found is not None:
            where = Place(found.city, found.region, found.country, found.timezone)
    return WebSearchTool(filters, where)


def choose(
    body: ResponsesBody, choice: ToolChoice | None, offered: Offer, names: Names, notes: list[Note], *, quirks: Quirks
) -> None:
    """Put tool choice and parallel calls into `body`, whose tools are there."""
    if choice is None or not body.tools:
        if choice is not None and choice.type != "none":
            notes.append(Note("ignored", "tool_choice.without_tools", "tool_choice"))
        return
    if choice.disable_parallel_tool_use and choice.type != "none":
        if quirks.parallel_tool_calls:
            body.parallel_tool_calls = False
        else:
            notes.append(Note("changed", "tool_choice.parallel", "tool_choice.disable_parallel_tool_use"))
    wanted = _choice(choice, offered, names)
    if quirks.tool_choice:
        body.tool_choice = wanted
    elif wanted != "auto":
        if wanted == "none":
            body.tools = None
        notes.append(Note("changed", f"tool_choice.{choice.type}", "tool_choice"))


def _choice(choice: ToolChoice, offered: Offer, names: Names) -> str | FunctionChoice | AllowedChoice:
    match choice.type:
        case "auto" | "none":
            return choice.type
        case "any":
            return "required"
        case "tool":
            if offered.search is None or offered.search.name != choice.name:
                return FunctionChoice(names.out(choice.name or ""))
            # There is no word that forces this one tool: it is offered alone, or named as the only one allowed.
            return AllowedChoice("required", [{"type": "web_search"}]) if offered.tools else "required"
        case _:
            raise ApiError("invalid_request", "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
