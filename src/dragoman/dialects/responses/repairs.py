"""Repairs: a 400 that names what the server cannot take, and the change of quirks or facts that leaves it out.

Each row is tried on errors that name its field, in the order of the table.
https://platform.openai.com/docs/guides/error-codes
"""

import re

from dragoman.dialects.alike import TRANSPORT, Change, without
from dragoman.dialects.contract import Call, Repair, Target
from dragoman.dialects.responses.quirks import Quirks
from dragoman.messages.complaints import EFFORTS, REFUSED, complaint, names, output_limit, values
from dragoman.messages.errors import ApiError

_FLOOR = re.compile(r"max_output_tokens.{0,80}(?:>=|at least|greater than or equal to|minimum of) ?`?(\d{1,6})")

# That reasoning of earlier turns cannot be read, is not known, or stands in the wrong place.
_HISTORY = re.compile(
    r"invalid_encrypted_content|encrypted[ _]content.{0,120}(?:verified|decrypt|parsed|invalid)"
    r"|item (?:with id )?['\"`]?rs_\w+['\"`]?.{0,60}(?:not found|without its required|duplicate)"
    r"|without its required (?:following|preceding|'reasoning') ?item|unsupported item type.{0,20}reasoning",
    re.DOTALL,
)

# That this language is not spoken there, or not by this model.
_LANGUAGE = re.compile(
    r"not supported (?:in|on|with|by|for) (?:the )?(?:v1/)?[`'\"]?/?responses"
    r"|(?:only|must be) (?:supported|used|available) (?:in|on|with|via) (?:the )?(?:/?v1/)?chat[/ ]completions"
    r"|(?:use|try) (?:the )?(?:/?v1/)?chat[/ ]completions|does not support (?:the )?[`'\"]?/?responses\b"
    r"|responses (?:api|operation|endpoint) (?:is not|does not|isn't)|(?:invalid|unknown) url|unknown_url"
    r"|unrecognized request url|no route matches|cannot post"
)
_PLAIN_404 = re.compile(r"answered 40[45]: (?:not found|404|resource not found|method not allowed|a web page|no expl)")


def repair(call: Call, error: ApiError) -> Repair | None:
    """What to change before one more try, or None. Only errors of the request's form can be repaired."""
    said = complaint(error, call.target.provider, call.target.model)
    if said is None:
        return None
    if error.code:
        said = f"{said} {error.code}"
    for code, change in _TABLE:
        target = change(said, call.target)
        if target is not None and target != call.target:
            return Repair(code, target, lasting=change is not _history)
    return None


def _history(said: str, target: Target) -> Target | None:
    return target.quirked(reasoning_history="drop") if _HISTORY.search(said) else None


def _language(said: str, target: Target) -> Target | None:
    """The same model in its provider's other language. A model or deployment that is missing is missing there too."""
    if re.search(r"deploymentnotfound|model_not_found|model .{0,80}(?:not exist|not found)", said):
        return None
    return target.other if _LANGUAGE.search(said) or _PLAIN_404.search(said) else None


def _summaries(said: str, target: Target) -> Target | None:
    refused = re.search(r"organization must be verified.{0,60}summar|reasoning summar\w+.{0,40}(?:not|verified)", said)
    return target.quirked(summaries=False) if refused or names(said, "reasoning.summary") else None


def _efforts(said: str, target: Target) -> Target | None:
    """The effort's value is refused, or the field."""
    if not re.search(r"reasoning\.effort|reasoning_effort|reasoning effort", said) or not REFUSED.search(said):
        return None
    taken = tuple(each for each in values(said) if each in EFFORTS)
    return target.knowing(efforts=taken) if taken else target.quirked(reasoning_out="none", summaries=False)


def _reasoning(said: str, target: Target) -> Target | None:
    if names(said, "reasoning") and re.search(
        r"(?:parameter|argument|field)s?\W{0,20}reasoning\b|^\W*reasoning\W", said
    ):
        return target.quirked(reasoning_out="none", summaries=False)
    return None


def _include(said: str, target: Target) -> Target | None:
    if not REFUSED.search(said):
        return None
    if "web_search_call.action.sources" in said:
        return target.quirked(web_search_sources=False)
    if re.search(r"reasoning\.encrypted_content|encrypted content is not|(?<!\w)include(?!\w)", said):
        quirks: Quirks = target.quirks
        if quirks.encrypted_reasoning:
            return target.quirked(encrypted_reasoning=False)
        return target.quirked(web_search_sources=False)
    return None


def _floor(said: str, target: Target) -> Target | None:
    found = _FLOOR.search(said)
    quirks: Quirks = target.quirks
    return (
        target.quirked(min_output_tokens=int(found[1])) if found and int(found[1]) > quirks.min_output_tokens else None
    )


def _max_output(said: str, target: Target) -> Target | None:
    """The limit is over what the model gives: the number in the text becomes a fact."""
    limit, known = output_limit(said), target.facts.max_output
    return target.knowing(max_output=limit) if limit and (known is None or limit < known) else None


def _sampling(said: str, target: Target) -> Target | None:
    return target.quirked(sampling=False) if names(said, "temperature") or names(said, "top_p") else None


def _system_role(said: str, target: Target) -> Target | None:
    if re.search(r"(?<!\w)developer(?!\w)", said) and REFUSED.search(said):
        return target.knowing(system_role=None).quirked(system_role="system")
    return None


def _mid_system(said: str, target: Target) -> Target | None:
    if re.search(r"system (?:message|prompt|role).{0,40}(?:beginning|first|start|only one)", said):
        return target.quirked(mid_system="fold")
    return None


def _media(said: str, target: Target) -> Target | None:
    """Pictures and files: in outputs of functions, or at all."""
    if not re.search(
        r"(?:input_image|image_url|input_file|image input|support images?|vision|function_call_output)", said
    ):
        return None
    quirks: Quirks = target.quirks
    if "function_call_output" in said or re.search(r"\boutput\b.{0,60}string", said):
        return target.quirked(result_media=False)
    if not REFUSED.search(said):
        return None
    if "input_file" in said:
        return (
            target.quirked(file_urls=False) if "file_url" in said and quirks.file_urls else target.quirked(files=False)
        )
    return target.knowing(vision=False).quirked(images=False)


def _cache(said: str, target: Target) -> Target | None:
    quirks: Quirks = target.quirks
    if quirks.cache == "breakpoints" and names(said, "prompt_cache_breakpoint"):
        return target.quirked(cache="key")
    if names(said, "prompt_cache_key") or names(said, "prompt_cache_breakpoint"):
        return target.quirked(cache="none")
    return None


def _web_search(said: str, target: Target) -> Target | None:
    if re.search(r"web_search(?!_call)", said) and REFUSED.search(said):
        return target.quirked(web_search=False)
    return None


_TABLE: tuple[tuple[str, Change], ...] = (
    ("reasoning_dropped", _history),
    ("chat", _language),
    ("summaries", _summaries),
    ("max_output", _max_output),
    ("min_output", _floor),
    ("effort", _efforts),
    ("include", _include),
    ("reasoning", _reasoning),
    ("sampling", _sampling),
    ("top_k", without("top_k", top_k=False)),
    ("parallel_tool_calls", without("parallel_tool_calls", parallel_tool_calls=False)),
    ("tool_choice", without("tool_choice", tool_choice=False)),
    ("web_search", _web_search),
    ("cache", _cache),
    ("safety_identifier", without("safety_identifier", safety_identifier=False)),
    ("service_tier", without("service_tier", service_tier=False)),
    ("obfuscation", without("stream_options", obfuscation="unsaid")),
    ("store", without("store", store=False)),
    ("strict_tools", without("strict", strict_tools=False)),
    ("system_role", _system_role),
    ("mid_system", _mid_system),
    ("media", _media),
    *TRANSPORT,
)
