"""Repairs: a 400 that names what server or model cannot take, and the change of quirks or facts that leaves it out.

Google's refusals name the field, in the spelling of its protocol buffers as often as in JSON's, or say it in a
sentence; Vertex AI and the Gemini API have sentences of their own. Each row is tried on errors that name its field, in
the order of the table. A refused safety threshold is not repaired: it is the operator's own setting, and is told aloud.
https://ai.google.dev/gemini-api/docs/troubleshooting
"""

import re

from dragoman.dialects.alike import Change, when
from dragoman.dialects.contract import Call, Repair, Target
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.messages.complaints import REFUSED, complaint
from dragoman.messages.errors import ApiError

SECOND_TRY = "second_try"
"""Code of an error of the reader that asks for one more try: no content came, or no valid tool call."""

_SAFE_BUDGET = (512, 24_576)
"""What every model with a budget takes. https://ai.google.dev/gemini-api/docs/thinking#set-budget"""

_LEAST_BUDGET = 128  # of models that cannot stop thinking, from the same page
_DEFAULT_LEVELS = ("low", "high")  # as in thinking.py: what is sent where nothing is known

_SCHEMA = re.compile(
    r"(?:parameters|response)_?json_?schema|response_?schema|function_?declarations?\[\d+\]\.parameters"
    r"|functiondeclaration `parameters|any_of, it must be the only field|invalid (?:json )?schema",
)
_NAME = re.compile(r"maximum length (?:of|is) (\d{1,3})")  # of a function's name

_LEVEL = re.compile(r"(?:thinking[ _]?level\W+(?:is unsupported\W+)?(?:thinking_level_)?)(minimal|low|medium|high)\b")
_BAD_LEVEL = re.compile(r"thinking_?level'? \(type\.[\w./]+\),? ?\W*(minimal|low|medium|high)\b")
_NO_LEVELS = re.compile(
    r"thinking[ _]?level\W{1,3}(?:is )?(?:not supported|not enabled)|unknown name \W*thinking_?level"
)
_BUDGET = re.compile(r"thinking[ _]?budget|\bbudget -?\d+ is invalid")
_ZERO = re.compile(r"\bbudget 0 is invalid|thinking[ _]?budget (?:to|of) 0\b|thinking budget \(0\)")
_RANGE = re.compile(r"(?:between|from|range \[) ?(\d{1,7})(?: and| to|,) (\d{1,7})")
_NO_THINKING = re.compile(
    r"thinking is not (?:enabled|supported|configurable|available)|unknown name \W*thinking_?config\b"
    r"|thinking_?config is not (?:supported|enabled)"
)
_OUTPUT = re.compile(
    r"max_?output_?tokens value of \d+ but .{0,40}range is from \d+ .{0,14}to (\d{1,9}) \((in|ex)clusive"
)
_MIX = re.compile(
    r"tool use with function calling is unsupported|include_?server_?side_?tool_?invocations"
    r"|multiple tools are supported only when|function calling cannot be combined"
)
_FORMAT_MIX = re.compile(r"(?:tool use|function calling) with a? ?response mime type")
_SEARCH = re.compile(
    r"search grounding is not|google search (?:tool )?is not|unknown name \W*google_?search\b|google_?search\W+is not"
)
_PAGES = re.compile(r"url_? ?context\W+is not|unknown name \W*url_?context\b|browse tool is not")


def repair(call: Call, error: ApiError) -> Repair | None:
    """What to change before one more try, or None. Only errors of the request's form can be repaired."""
    target = call.target
    quirks: Quirks = target.quirks
    if error.code == SECOND_TRY:
        return Repair(SECOND_TRY, target.quirked(second_try=False), lasting=False) if quirks.second_try else None
    said = complaint(error, target.provider, target.model)
    if said is None:
        return None
    for code, change in _TABLE:
        changed = change(said, target)
        if changed is not None and changed != target:
            return Repair(code, changed, lasting=code not in _PASSING)
    return None


def _call_signatures(said: str, target: Target) -> Target | None:
    """A call has no signature: from now on the first one of a step gets the sentinel where its own is lost."""
    return target.knowing(call_signatures=True) if re.search(r"missing an? thought_?signature", said) else None


def _signatures(said: str, target: Target) -> Target | None:
    """A signature of this conversation is not this server's."""
    refused = re.search(r"(?:corrupted|invalid) thought[ _]?signature|thought[ _]?signature.{0,60}not valid", said)
    return target.quirked(signatures=False) if refused or _refuses(said, "thought_?signature") else None


def _schema(said: str, target: Target) -> Target | None:
    """Schemas are refused in the newer form, so they go in the older one. There is no third."""
    quirks: Quirks = target.quirks
    if (target.facts.schema or quirks.schema) == "openapi":
        return None
    return target.knowing(schema="openapi") if _SCHEMA.search(said) else None


def _schema_size(said: str, target: Target) -> Target | None:
    """https://ai.google.dev/gemini-api/docs/structured-output#limitations"""
    if "too many states" in said:
        return target.quirked(response_schema=False, strict_tools=False)
    return None


def _tool_names(said: str, target: Target) -> Target | None:
    found = _NAME.search(said) if "function name" in said else None
    quirks: Quirks = target.quirks
    limit = int(found[1]) if found else 0
    return target.quirked(tool_name_limit=limit) if 16 <= limit < quirks.tool_name_limit else None


def _validated(said: str, target: Target) -> Target | None:
    refused = re.search(r"function_?calling_?config\.mode.{0,120}validated", said, re.DOTALL)
    return target.quirked(strict_tools=False) if refused else None


def _call_ids(said: str, target: Target) -> Target | None:
    refused = re.search(r"unknown name \W*id\W+at \S*function_?(?:call|response)", said)
    return target.knowing(call_ids=False) if refused else None


def _result_media(said: str, target: Target) -> Target | None:
    refused = re.search(r"function_?response\.parts\W", said) and REFUSED.search(said)
    unknown = re.search(r"unknown name \W*parts\W+at \S*function_?response", said)
    return target.knowing(result_media=False) if refused or unknown else None


def _levels(said: str, target: Target) -> Target | None:
    """One level is refused; or all of them are, by a model that knows budgets only."""
    found = _LEVEL.search(said) or _BAD_LEVEL.search(said)
    quirks: Quirks = target.quirks
    if found:
        efforts = tuple(each for each in target.facts.efforts or quirks.efforts or _DEFAULT_LEVELS if each != found[1])
        levels = any(each != "none" for each in efforts)
        return target.knowing(efforts=efforts) if levels else target.quirked(thinking=False)
    if _NO_LEVELS.search(said) and target.facts.thinking_budget is None:
        return target.knowing(thinking_budget=_SAFE_BUDGET)
    return None


def _budget(said: str, target: Target) -> Target | None:
    """The number is out of the model's range; or it is none, for a model that cannot stop thinking."""
    if not _BUDGET.search(said):
        return None
    known = target.facts.thinking_budget
    if _ZERO.search(said):
        quirks: Quirks = target.quirks
        target = target.quirked(efforts=_without_none(quirks.efforts))
        target = target.knowing(efforts=_without_none(target.facts.efforts))
        return target.knowing(thinking_budget=(max(known[0], _LEAST_BUDGET), known[1])) if known else target
    if known is None:
        return None
    if re.search(r"unknown name \W*thinking_?budget", said):
        return target.knowing(thinking_budget=None)
    found = _RANGE.search(said)
    least, most = (int(found[1]), int(found[2])) if found else _SAFE_BUDGET
    # Where the upper end was passed, the lower one that is known stays.
    return target.knowing(thinking_budget=(known[0] if most < known[1] else least, most))


def _without_none(efforts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each for each in efforts if each != "none")


def _thinking(said: str, target: Target) -> Target | None:
    return target.quirked(thinking=False) if _NO_THINKING.search(said) else None


def _max_output(said: str, target: Target) -> Target | None:
    """The limit is over what the model gives: the number in the text becomes a fact."""
    found, known = _OUTPUT.search(said), target.facts.max_output
    limit = int(found[1]) - (found[2] == "ex") if found else 0
    return target.knowing(max_output=limit) if limit > 0 and (known is None or limit < known) else None


def _sampling(said: str, target: Target) -> Target | None:
    refused = any(_refuses(said, field) for field in ("temperature", "top_?p", "top_?k"))
    return target.quirked(sampling=False) if refused else None


def _system(said: str, target: Target) -> Target | None:
    refused = re.search(r"(?:developer|system)[ _]?instructions? (?:is|are) not (?:enabled|supported)", said)
    return target.quirked(system="user") if refused or _refuses(said, "system_?instruction") else None


def _search_with_tools(said: str, target: Target) -> Target | None:
    return target.knowing(search_with_tools=False) if _MIX.search(said) else None


def _media(said: str, target: Target) -> Target | None:
    """Pictures or PDF by their kind, not one picture that could not be read."""
    if re.search(r"image input (?:modality )?is not (?:enabled|supported)", said):
        return target.knowing(vision=False).quirked(images=False)
    if re.search(r"(?:unsupported mime ?type|mime ?type\b.{0,20}(?:not|un)\W?supported).{0,20}application/pdf", said):
        return target.knowing(files=False).quirked(files=False)
    if re.search(r"(?:document|pdf|file) input (?:modality )?is not (?:enabled|supported)", said):
        return target.knowing(files=False).quirked(files=False)
    return None


def _service_tier(said: str, target: Target) -> Target | None:
    refused = re.search(r"service[ _]?tier", said) and REFUSED.search(said)
    return target.quirked(service_tier=False) if refused else None


def _refuses(said: str, field: str) -> bool:
    """Whether `field`, a pattern, is what the text has no place for, or no use for."""
    return bool(re.search(rf"unknown name \W*{field}\b|\b{field}\W+is (?:not supported|not enabled|unsupported)", said))


# About this conversation only, or about one value in it.
_PASSING = frozenset({"signatures", "sampling_range", "schema_size"})

_TABLE: tuple[tuple[str, Change], ...] = (
    ("call_signatures", _call_signatures),
    ("signatures", _signatures),
    ("call_ids", _call_ids),
    ("result_media", _result_media),
    ("schema", _schema),
    ("schema_size", _schema_size),
    ("tool_names", _tool_names),
    ("strict_tools", _validated),
    ("thoughts", when(r"include_?thoughts", thoughts=False)),
    ("thinking_level", _levels),
    ("thinking_budget", _budget),
    ("thinking", _thinking),
    ("max_output", _max_output),
    ("sampling", _sampling),
    ("sampling_range", when(r"\b(?:temperature|top_?[pk]) value of \S+ but the supported range", sampling=False)),
    ("system", _system),
    ("search_with_tools", _search_with_tools),
    ("output_with_tools", when(_FORMAT_MIX, output_with_tools=False)),
    ("web_search", when(_SEARCH, web_search=False)),
    ("url_context", when(_PAGES, url_context=False)),
    ("file_urls", when(r"(?:invalid or )?unsupported file uri", file_urls=False)),
    ("media", _media),
    ("service_tier", _service_tier),
    # A model that does not exist is "not supported for streamGenerateContent" either: that is no matter of transport.
    ("transport", when(r"only supports? stream(?:ing|generatecontent)", transport="stream")),
    ("transport", when(r"streaming is not (?:supported|implemented)|not support streaming\b", transport="unary")),
)
