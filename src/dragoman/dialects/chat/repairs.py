"""Repairs: a 400 that names what the server cannot take, and the change of quirks or facts that leaves it out.

A quirk in a preset can be wrong, and servers change; the refusal itself is the best documentation. Each row is tried on
errors that name its field, in the order of the table.
https://platform.openai.com/docs/guides/error-codes
"""

import re

from dragoman.dialects.alike import TRANSPORT, Change, without
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Call, Repair, Target
from dragoman.messages.complaints import EFFORTS, REFUSED, complaint, names, output_limit, values
from dragoman.messages.errors import ApiError

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
    said = complaint(error, call.target.provider, call.target.model)
    if said is None:
        return None
    for code, change in _TABLE:
        target = change(said, call.target)
        if target is not None and target != call.target:
            return Repair(code, target)
    return None


def _responses(said: str, target: Target) -> Target | None:
    """The same model in its provider's other language, where this one cannot do what is asked.

    https://platform.openai.com/docs/guides/migrate-to-responses
    """
    told = re.search(
        r"tools?\b.{0,60}reasoning.{0,60}not supported.{0,80}chat[/ ]completions"
        r"|(?:only|must be) (?:supported|used|available) (?:in|on|with|via) (?:the )?(?:/?v1/)?responses"
        r"|(?:use|try) (?:the )?(?:/?v1/)?responses\b",
        said,
        re.DOTALL,
    )
    return target.other if told else None


def _max_output(said: str, target: Target) -> Target | None:
    """The limit is over what the model gives: the number in the text becomes a fact."""
    limit, known = output_limit(said), target.facts.max_output
    return target.knowing(max_output=limit) if limit and (known is None or limit < known) else None


def _max_tokens_field(said: str, target: Target) -> Target | None:
    quirks: Quirks = target.quirks
    field = quirks.max_tokens_field
    other = "max_tokens" if field == "max_completion_tokens" else "max_completion_tokens"
    if not names(said, field) or re.search(r"too large|greater|less than|at most|must be|range", said):
        return None
    return target.quirked(max_tokens_field=other)


def _effort(said: str, target: Target) -> Target | None:
    """The effort's value is refused, or the field, or the field together with tools."""
    quirks: Quirks = target.quirks
    field = _REASONING_FIELD.get(quirks.reasoning_out)
    if field is None or not names(said, field):
        return None
    if re.search(r"\btools?\b", said) and target.facts.tools_with_reasoning:
        return target.knowing(tools_with_reasoning=False)
    taken = tuple(each for each in values(said) if each in EFFORTS)
    if taken and field == "reasoning_effort":
        return target.knowing(efforts=taken)
    return target.quirked(reasoning_out="none")


def _sampling(said: str, target: Target) -> Target | None:
    if names(said, "temperature") or names(said, "top_p"):
        return target.quirked(sampling=False)
    return None


def _response_format(said: str, target: Target) -> Target | None:
    """One step down: schema, then plain JSON, then a forced tool."""
    quirks: Quirks = target.quirks
    if not re.search(r"response_format|json_schema|json_object|structured output", said) or not REFUSED.search(said):
        return None
    if re.search(r"\btools?\b|function call", said) and quirks.response_format_with_tools:
        return target.quirked(response_format_with_tools=False)
    lower = {"json_schema": "json_object", "json_object": "tool"}.get(quirks.response_format)
    return target.quirked(response_format=lower) if lower else None


def _system_role(said: str, target: Target) -> Target | None:
    if not re.search(r"(?<!\w)developer(?!\w)", said) or not REFUSED.search(said):
        return None
    return target.knowing(system_role=None).quirked(system_role="system")


def _mid_system(said: str, target: Target) -> Target | None:
    if re.search(r"system (?:message|prompt|role).{0,40}(?:beginning|first|start|only one)", said):
        return target.quirked(mid_system="fold")
    return None


def _tool_choice(said: str, target: Target) -> Target | None:
    quirks: Quirks = target.quirks
    if not names(said, "tool_choice"):
        return None
    if re.search(r"thinking|reasoning", said) and quirks.tool_choice_with_thinking:
        return target.quirked(tool_choice_with_thinking=False)
    if "required" in said and quirks.tool_choice_any == "required":
        takes_any = "any" in tuple(values(said))
        return target.quirked(tool_choice_any="any" if takes_any else "auto")
    if quirks.tool_choice_named:
        return target.quirked(tool_choice_named=False)
    return target.quirked(tool_choice_any="auto")


def _images(said: str, target: Target) -> Target | None:
    names = re.search(r"image_url|image input|images? (?:are|is) not|support images?|multimodal|vision", said)
    if not names or not (REFUSED.search(said) or "image_url" in said):
        return None
    return target.knowing(vision=False).quirked(images=False)


def _echo(said: str, target: Target) -> Target | None:
    """Reasoning of earlier turns is missed, or not wanted."""
    quirks: Quirks = target.quirks
    if not re.search(r"reasoning_content|thinking_blocks|reasoning_details", said):
        return None
    if re.search(r"missing|must be (?:passed|provided|included|present)|is required|passed back", said):
        return target.knowing(reasoning_echo=True).quirked(reasoning_echo="required")
    if REFUSED.search(said) and quirks.reasoning_echo != "never":
        return target.knowing(reasoning_echo=False).quirked(reasoning_echo="never")
    return None


def _string_content(said: str, target: Target) -> Target | None:
    if re.search(r"content.{0,80}(?:should be a valid string|must be a string|expected a string)", said):
        return target.quirked(content="string")
    return None


def _cache(said: str, target: Target) -> Target | None:
    quirks: Quirks = target.quirks
    if quirks.cache == "breakpoints" and names(said, "prompt_cache_breakpoint"):
        return target.quirked(cache="key")
    if any(names(said, field) for field in ("prompt_cache_key", "cache_control", "prompt_cache_breakpoint")):
        return target.quirked(cache="none")
    return None


_TABLE: tuple[tuple[str, Change], ...] = (
    ("responses", _responses),
    ("stream_options", without("stream_options", stream_usage="never")),
    ("max_output", _max_output),
    ("max_tokens_field", _max_tokens_field),
    ("reasoning_echo", _echo),
    ("reasoning", _effort),
    ("tool_choice", _tool_choice),
    ("parallel_tool_calls", without("parallel_tool_calls", parallel_tool_calls=False)),
    ("response_format", _response_format),
    ("sampling", _sampling),
    ("top_k", without("top_k", top_k=False)),
    ("system_role", _system_role),
    ("mid_system", _mid_system),
    ("images", _images),
    ("string_content", _string_content),
    ("cache", _cache),
    ("service_tier", without("service_tier", service_tier=False)),
    ("safety_identifier", without("safety_identifier", safety_identifier=False)),
    ("strict_tools", without("strict", strict_tools=False)),
    ("stop", without("stop", stop="never")),
    *TRANSPORT,
)
