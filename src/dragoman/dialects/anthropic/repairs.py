"""Repairs: a 400 that names what the server cannot take, and the change of quirks that leaves it out.

Anthropic's own clients mend their requests by its words, so for Anthropic only what came from elsewhere is mended: the
thinking of earlier turns. Other servers refuse fields that they do not know, and clients do not understand those words.
https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting and
https://code.claude.com/docs/en/llm-gateway-protocol
"""

import re
from collections.abc import Iterator

from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.contract import Call, Repair, Target
from dragoman.messages.body import TYPES
from dragoman.messages.complaints import REFUSED, complaint, names
from dragoman.messages.errors import ApiError

# That thinking of earlier turns is not the server's own, was changed, is missing, or may not be there.
_THINKING = re.compile(
    r"invalid `?signature`? in `?(?:redacted_)?thinking|thinking\.signature|redacted_thinking\.data"
    r"|thinking`? blocks?.{0,80}(?:cannot be modified|invalid|corrupt|bound to)"
    r"|expected `?thinking`?|must start with a thinking block|each thinking block must contain"
    r"|cannot contain `?(?:redacted_)?thinking",
    re.DOTALL,
)
_BETAS = re.compile(r"anthropic[-_]beta|invalid beta flag")
_PATH = re.compile(r"([a-z_]\w*(?:\.\w+)*)['\"`]?: (?:extra inputs are not permitted|extra fields not permitted)")
_SYSTEM = re.compile(
    r"messages\.\d+\.role: input should be 'user' or 'assistant'|role ['\"`]?system['\"`]? (?:is )?not supported"
    r"|(?:unexpected|invalid|unknown|unsupported) role:? ['\"`]?system"
)
_TAG = re.compile(r"custom|\w+_\d{8}")

# Fields that only say more about the same request, by the words that servers refuse them with.
_FIELDS = (
    "context_management", "output_config", "output_format", "safeguards", "tags", "diagnostics", "speed", "metadata",
    "inference_geo", "service_tier", "billing_policy", "fallbacks", "fallback_credit_token", "cache_control", "top_k",
)  # fmt: skip
_TOOL_FIELDS = ("defer_loading", "eager_input_streaming", "input_examples", "allowed_callers", "strict")

# Names that a request cannot do without; a refusal that ends in one, or in a number, is about something else.
_NEEDED = frozenset(
    {"model", "messages", "max_tokens", "system", "tools", "stream", "role", "content", "text", "name", "input", "id"}
    | {"input_schema", "tool_use_id", "source", "*"}
)


def repair(call: Call, error: ApiError) -> Repair | None:
    """What to change before one more try, or None. Only errors of the request's form can be repaired."""
    said = complaint(error, call.target.provider, call.target.model)
    if said is None:
        return None
    quirks: Quirks = call.target.quirks
    if _THINKING.search(said):
        if quirks.thinking_history == "drop":
            return None
        return Repair("thinking_dropped", call.target.quirked(thinking_history="drop"), lasting=False)
    if quirks.repairs == "fields":
        for code, target in _fields(said, call.target):
            if target != call.target:
                return Repair(code, target)
    return None


def _fields(said: str, target: Target) -> Iterator[tuple[str, Target]]:
    """Every change that the words suggest, the surest first."""
    if _BETAS.search(said) and REFUSED.search(said):
        yield "betas", target.quirked(betas="none")
    if _SYSTEM.search(said):
        yield "mid_system", target.quirked(mid_system="fold")
    if re.search(r"cache_control.{0,40}ttl", said) and (REFUSED.search(said) or "extra" in said):
        yield "cache_ttl", target.quirked(cache_ttl=False)
    if found := _PATH.search(said):
        yield from _stripped(_pattern(found[1]), target)
    if re.search(r"thinking|adaptive", said) and (REFUSED.search(said) or "input tag" in said):
        yield from _thinking(said, target)
    for field in _FIELDS:
        if names(said, field):
            yield from _stripped(field, target)
    for field in _TOOL_FIELDS:
        if names(said, field):
            yield from _stripped(f"tools.*.{field}", target)


def _thinking(said: str, target: Target) -> Iterator[tuple[str, Target]]:
    """One of the forms of thinking is refused, or all of it."""
    quirks: Quirks = target.quirks
    refused = re.search(
        r"thinking\.type\.(adaptive|enabled)|(?:tag|value|type):? ['\"`]?(adaptive|enabled)\b|(adaptive) thinking", said
    )
    if refused is not None and quirks.thinking == "both":
        form = next(filter(None, refused.groups()))
        yield "thinking_form", target.quirked(thinking="enabled" if form == "adaptive" else "adaptive")
    elif names(said, "thinking"):
        yield from _stripped("thinking", target)


def _stripped(path: str, target: Target) -> Iterator[tuple[str, Target]]:
    quirks: Quirks = target.quirks
    if path.rpartition(".")[2] not in _NEEDED and path not in quirks.strip:
        yield f"strip:{path}", target.quirked(strip=(*quirks.strip, path))


def _pattern(path: str) -> str:
    """A path of the refusal as a pattern of `Quirks.strip`: numbers become `*`, and the names of types go.

    Anthropic writes "tools.0.custom.strict" for the field `strict` of a tool of the type `custom`.
    """
    words = path.split(".")
    found = []
    for number, word in enumerate(words):
        after_number = number > 0 and words[number - 1].isdigit()
        if after_number and number + 1 < len(words) and (word in TYPES or _TAG.fullmatch(word)):
            continue
        found.append("*" if word.isdigit() else word)
    return ".".join(found)
