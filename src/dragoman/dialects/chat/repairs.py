"""Repairs: a 400 that names what the server cannot take, and the change of quirks or facts that leaves it out.

A quirk in a preset can be wrong, and servers change; the refusal itself is the best documentation. Each row is tried on
errors that name its field, in the order of the table.
https://platform.openai.com/docs/guides/error-codes
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import structs

from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Call, Repair, Target
from dragoman.messages.errors import ApiError

_STATUSES = frozenset({400, 404, 405, 415, 422, 500, 501})

# That something is not taken at all, in the words of OpenAI, FastAPI, serde, vLLM and others.
_REFUSED = re.compile(
    r"unsupported|not supported|(?:does|do)(?: not|n't|n’t) (?:support|allow|accept)|unrecognized|unrecognised|unknown"
    r"|unexpected|extra (?:inputs|fields|input)|not permitted|not allowed|no longer (?:supported|available)"
    r"|cannot be (?:used|set|specified)|not (?:a )?valid|invalid|not implemented|deprecated|is not available"
    r"|only supported|incompatible|no endpoints found that support|not enabled|must be|should be|too large|at most"
)
_VALUES = re.compile(
    r"supported values are:?([^.]*)|(?:one of|must be|should be|expected)[^'\"`]*((?:['\"`]\w+['\"`][, or]*)+)"
)
_VALUE = re.compile(r"['\"`](\w+)['\"`]")
_LIMITS = tuple(
    re.compile(pattern)
    for pattern in (
        r"supports at most (\d[\d,]*) completion tokens",
        r"valid range of max_(?:completion_)?tokens is \[\d+, ?(\d+)\]",
        r"range of max_(?:completion_)?tokens should be \[\d+, ?(\d+)\]",
        (
            r"max_(?:completion_)?tokens`?'?\"? ?(?:\(\d+\) )?(?:must be|should be|is limited to|has to be|cannot be)"
            r" ?(?:less than or equal to|smaller than or equal to|at most|<=|more than|greater than)? ?`?(\d[\d,]*)"
        ),
        r"max_(?:completion_)?tokens.{0,80}maximum (?:value |allowed )?(?:is|of|for max_tokens is)? ?`?(\d[\d,]*)",
    )
)
_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_REASONING_FIELD = {
    "effort": "reasoning_effort",
    "thinking_type": "thinking",
    "enable_thinking": "enable_thinking",
    "reasoning_object": "reasoning",
    "chat_template": "chat_template_kwargs",
    "reasoning_enabled": "reasoning",
}


def repair(call: Call, error: ApiError) -> Repair | None:
    """What to change before one more try, or None. Only errors of the request's form can be repaired."""
    if error.kind not in ("invalid_request", "not_found", "upstream_failed"):
        return None
    if error.upstream_status not in _STATUSES:
        return None
    said = _said(error.message, call.target)
    for code, change in _TABLE:
        target = change(said, call.target)
        if target is not None and target != call.target:
            return Repair(code, target)
    return None


def _said(message: str, target: Target) -> str:
    """The upstream's own words, lower-case, without the names that our message begins with."""
    return message.removeprefix(f"{target.provider}/{target.model} ").replace(target.model, "the model").lower()


def _names(said: str, field: str) -> bool:
    """Whether the text refuses `field`, named as a word of its own."""
    return bool(re.search(rf"(?<!\w){re.escape(field)}(?!\w)", said)) and bool(_REFUSED.search(said))


def _with(target: Target, **quirks: Any) -> Target:
    return structs.replace(target, quirks=structs.replace(target.quirks, **quirks))


def _knowing(target: Target, **facts: Any) -> Target:
    return structs.replace(target, facts=structs.replace(target.facts, **facts))


def _max_output(said: str, target: Target) -> Target | None:
    """The limit is over what the model gives: the number in the text becomes a fact."""
    for pattern in _LIMITS:
        found = pattern.search(said)
        if found:
            limit = int(found[1].replace(",", "")[:9])
            known = target.facts.max_output
            return _knowing(target, max_output=limit) if limit and (known is None or limit < known) else None
    return None


def _max_tokens_field(said: str, target: Target) -> Target | None:
    quirks: Quirks = target.quirks
    field = quirks.max_tokens_field
    other = "max_tokens" if field == "max_completion_tokens" else "max_completion_tokens"
    if not _names(said, field) or re.search(r"too large|greater|less than|at most|must be|range", said):
        return None
    return _with(target, max_tokens_field=other)


def _effort(said: str, target: Target) -> Target | None:
    """The effort's value is refused, or the field, or the field together with tools."""
    quirks: Quirks = target.quirks
    field = _REASONING_FIELD.get(quirks.reasoning_out)
    if field is None or not _names(said, field):
        return None
    if re.search(r"\btools?\b", said) and target.facts.tools_with_reasoning:
        return _knowing(target, tools_with_reasoning=False)
    values = tuple(each for each in _values(said) if each in _EFFORTS)
    if values and field == "reasoning_effort":
        return _knowing(target, efforts=values)
    return _with(target, reasoning_out="none")


def _values(said: str) -> Iterator[str]:
    found = _VALUES.search(said)
    return (each[1] for each in _VALUE.finditer(found[0])) if found else iter(())


def _sampling(said: str, target: Target) -> Target | None:
    if _names(said, "temperature") or _names(said, "top_p"):
        return _with(target, sampling=False)
    return None


def _response_format(said: str, target: Target) -> Target | None:
    """One step down: schema, then plain JSON, then a forced tool."""
    quirks: Quirks = target.quirks
    if not re.search(r"response_format|json_schema|json_object|structured output", said) or not _REFUSED.search(said):
        return None
    if re.search(r"\btools?\b|function call", said) and quirks.response_format_with_tools:
        return _with(target, response_format_with_tools=False)
    lower = {"json_schema": "json_object", "json_object": "tool"}.get(quirks.response_format)
    return _with(target, response_format=lower) if lower else None


def _system_role(said: str, target: Target) -> Target | None:
    if not re.search(r"(?<!\w)developer(?!\w)", said) or not _REFUSED.search(said):
        return None
    return _with(_knowing(target, system_role=None), system_role="system")


def _mid_system(said: str, target: Target) -> Target | None:
    if re.search(r"system (?:message|prompt|role).{0,40}(?:beginning|first|start|only one)", said):
        return _with(target, mid_system="fold")
    return None


def _tool_choice(said: str, target: Target) -> Target | None:
    quirks: Quirks = target.quirks
    if not _names(said, "tool_choice"):
        return None
    if re.search(r"thinking|reasoning", said) and quirks.tool_choice_with_thinking:
        return _with(target, tool_choice_with_thinking=False)
    if "required" in said and quirks.tool_choice_any == "required":
        takes_any = "any" in tuple(_values(said))
        return _with(target, tool_choice_any="any" if takes_any else "auto")
    if quirks.tool_choice_named:
        return _with(target, tool_choice_named=False)
    return _with(target, tool_choice_any="auto")


def _images(said: str, target: Target) -> Target | None:
    names = re.search(r"image_url|image input|images? (?:are|is) not|support images?|multimodal|vision", said)
    if not names or not (_REFUSED.search(said) or "image_url" in said):
        return None
    return _with(_knowing(target, vision=False), images=False)


def _echo(said: str, target: Target) -> Target | None:
    """Reasoning of earlier turns is missed, or not wanted."""
    quirks: Quirks = target.quirks
    if not re.search(r"reasoning_content|thinking_blocks|reasoning_details", said):
        return None
    if re.search(r"missing|must be (?:passed|provided|included|present)|is required|passed back", said):
        return _with(_knowing(target, reasoning_echo=True), reasoning_echo="required")
    if _REFUSED.search(said) and quirks.reasoning_echo != "never":
        return _with(_knowing(target, reasoning_echo=False), reasoning_echo="never")
    return None


def _string_content(said: str, target: Target) -> Target | None:
    if re.search(r"content.{0,80}(?:should be a valid string|must be a string|expected a string)", said):
        return _with(target, content="string")
    return None


def _transport(said: str, target: Target) -> Target | None:
    if re.search(r"\bstream\b.{0,30}must be (?:set to )?true|only supports? (?:the )?stream|enable the stream", said):
        return _with(target, transport="stream")
    if re.search(r"stream(?:ing)?\b.{0,30}not (?:supported|implemented)|not support stream(?:ing)?\b(?!_)", said):
        return _with(target, transport="unary")
    return None


def _cache(said: str, target: Target) -> Target | None:
    quirks: Quirks = target.quirks
    if quirks.cache == "breakpoints" and _names(said, "prompt_cache_breakpoint"):
        return _with(target, cache="key")
    if any(_names(said, field) for field in ("prompt_cache_key", "cache_control", "prompt_cache_breakpoint")):
        return _with(target, cache="none")
    return None


def _without(field: str, **quirks: Any) -> Callable[[str, Target], Target | None]:
    """A field that is simply not sent any more."""

    def change(said: str, target: Target) -> Target | None:
        return _with(target, **quirks) if _names(said, field) else None

    return change


_TABLE: tuple[tuple[str, Callable[[str, Target], Target | None]], ...] = (
    ("stream_options", _without("stream_options", stream_usage="never")),
    ("max_output", _max_output),
    ("max_tokens_field", _max_tokens_field),
    ("reasoning_echo", _echo),
    ("reasoning", _effort),
    ("tool_choice", _tool_choice),
    ("parallel_tool_calls", _without("parallel_tool_calls", parallel_tool_calls=False)),
    ("response_format", _response_format),
    ("sampling", _sampling),
    ("top_k", _without("top_k", top_k=False)),
    ("system_role", _system_role),
    ("mid_system", _mid_system),
    ("images", _images),
    ("string_content", _string_content),
    ("cache", _cache),
    ("service_tier", _without("service_tier", service_tier=False)),
    ("safety_identifier", _without("safety_identifier", safety_identifier=False)),
    ("strict_tools", _without("strict", strict_tools=False)),
    ("stop", _without("stop", stop="never")),
    ("transport", _transport),
)
