"""The caller's tools and tool choice, and the server's own search and page reader in place of Anthropic's.

https://ai.google.dev/gemini-api/docs/function-calling and https://ai.google.dev/gemini-api/docs/tool-combination
"""

from functools import lru_cache

import msgspec
from msgspec import Raw

from dragoman.dialects.contract import Target
from dragoman.dialects.gemini import schema
from dragoman.dialects.gemini.body import FunctionCallingConfig, FunctionDeclaration, GeminiBody, Tool, ToolConfig
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.messages.body import Tool as AskedTool
from dragoman.messages.body import ToolChoice
from dragoman.messages.errors import ApiError
from dragoman.messages.fields import given
from dragoman.messages.names import Names
from dragoman.messages.notes import Note
from dragoman.messages.offer import Means, Offer, Offered, Strict, usual

_MODES = {"auto": "AUTO", "any": "ANY", "tool": "ANY", "none": "NONE"}


def means(target: Target) -> Means:
    """What the target can do with tools."""
    quirks: Quirks = target.quirks
    return Means(
        tools=target.facts.tools,
        strict=_strict(quirks),
        inline=False,
        search=quirks.web_search,
        fetch=quirks.url_context,
    )


def _strict(quirks: Quirks) -> Strict:
    return "any_schema" if quirks.strict_tools else False


def write(
    body: GeminiBody, choice: ToolChoice | None, offered: Offer, names: Names, *, target: Target, notes: list[Note]
) -> None:
    """Put tools and tool choice into `body`. Raises ApiError("invalid_request") for an unknown tool choice."""
    kind = choice.type if choice is not None else "auto"
    if kind not in _MODES:
        raise ApiError("invalid_request", "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    left = _left(choice, offered, target, notes)
    tools: list[Tool] = []
    if left.tools:
        tools.append(Tool(function_declarations=_functions(left, names, target, notes)))
    if left.search is not None:
        _lacks("web_search", left.search, notes)
        tools.append(Tool(google_search={}))
    if left.fetch is not None:
        _lacks("web_fetch", left.fetch, notes)
        tools.append(Tool(url_context={}))
    body.tools = tools or None
    has_servers = left.search is not None or left.fetch is not None
    calling = _calling(choice, left, names)
    mixed = True if left.tools and has_servers else None
    if calling is not None or mixed:
        body.tool_config = ToolConfig(calling, mixed)
    if choice is None or kind == "none":
        return
    if not tools:
        notes.append(Note("ignored", "tool_choice.without_tools", "tool_choice"))
    elif kind != "auto" and not left.tools:
        # "Function calling config is set without function_declarations": whether it searches is up to the model.
        notes.append(Note("changed", f"tool_choice.{kind}", "tool_choice"))
    if tools and choice.disable_parallel_tool_use:
        notes.append(Note("changed", "tool_choice.parallel", "tool_choice.disable_parallel_tool_use"))


def _left(choice: ToolChoice | None, offered: Offer, target: Target, notes: list[Note]) -> Offer:
    """What of the offer can stand in one request: functions beside the server's own tools are refused by most models.

    https://ai.google.dev/gemini-api/docs/tool-combination: from Gemini 3 on, and not on Vertex AI.
    """
    search, fetch = offered.search, offered.fetch
    if search is None and fetch is None:
        return offered
    kind = choice.type if choice is not None else "auto"
    if kind == "none":  # there is no mode that forbids these
        return Offer(offered.tools, json=offered.json)
    forced = choice.name if choice is not None and kind == "tool" else None
    if forced is not None and all(tool.name != forced for tool in offered.tools):
        if offered.tools or (search is not None and fetch is not None):
            notes.append(Note("ignored", "tool_choice.alone", "tool_choice"))
        is_search = search is not None and search.name == forced
        return Offer([], search) if is_search else Offer([], fetch=fetch)
    quirks: Quirks = target.quirks
    if not offered.tools or (target.facts.search_with_tools and quirks.search_with_tools):
        return offered
    if search is not None:
        notes.append(Note("lost", "tool.web_search", "tools"))
    if fetch is not None:
        notes.append(Note("lost", "tool.web_fetch", "tools"))
    return Offer(offered.tools, json=offered.json)


def _calling(choice: ToolChoice | None, left: Offer, names: Names) -> FunctionCallingConfig | None:
    """The mode, where it is not the one that Gemini takes by itself."""
    if not left.tools:
        return None
    if choice is None or choice.type == "auto":
        # Like AUTO, but calls are held to their schemas; of all tools, since there is no such word for one of them.
        return FunctionCallingConfig("VALIDATED") if any(tool.strict for tool in left.tools) else None
    only = (names.out(choice.name or ""),) if choice.type == "tool" else None
    return FunctionCallingConfig(_MODES[choice.type], only)


def _lacks(kind: str, tool: AskedTool, notes: list[Note]) -> None:
    """What the server's own tool has no words for."""
    if tool.allowed_domains or tool.blocked_domains:
        notes.append(Note("changed", f"{kind}.domains", "tools"))
    if tool.max_uses is not None:
        notes.append(Note("changed", f"{kind}.max_uses", "tools"))
    if given(tool.user_location):
        notes.append(Note("changed", f"{kind}.user_location", "tools"))


def _functions(offered: Offer, names: Names, target: Target, notes: list[Note]) -> list[FunctionDeclaration] | Raw:
    quirks: Quirks = target.quirks
    form: schema.Form = target.facts.schema or quirks.schema
    if offered.json:
        renamed = tuple(names.back.items()) if names.back else ()
        written, found = _remembered(offered.json, form, renamed, strict=_strict(quirks))
        notes += found
        return written
    return [_function(tool, names.out(tool.name), form, notes) for tool in offered.tools]


@lru_cache(maxsize=64)  # agents send the same tools with every request, and they are half of it
def _remembered(
    json: bytes, form: schema.Form, renamed: tuple[tuple[str, str], ...], *, strict: Strict
) -> tuple[Raw, tuple[Note, ...]]:
    """The declarations of `Offer.json`. `renamed`: the upstream's names and the caller's, where they differ."""
    known = usual(json, inline=False, strict=strict)
    notes: list[Note] = []
    names = {name: short for short, name in renamed}
    tools = known.tools if known else ()
    written = [_function(tool, names.get(tool.name, tool.name), form, notes) for tool in tools]
    return Raw(msgspec.json.encode(written)), tuple(notes)


def _function(tool: Offered, name: str, form: schema.Form, notes: list[Note]) -> FunctionDeclaration:
    raw = schema.parameters(tool.parameters, form, notes, f"{tool.place}.input_schema")
    if form == "json_schema":
        return FunctionDeclaration(name, tool.description, parameters_json_schema=raw)
    return FunctionDeclaration(name, tool.description, parameters=raw)
