"""What a server says it does not take: a refusal that names a field, read so that a dialect can leave it out.

https://platform.openai.com/docs/guides/error-codes
"""

import re
from collections.abc import Iterator

from dragoman.messages.errors import ApiError

_STATUSES = frozenset({400, 404, 405, 415, 422, 500, 501})


# That something is not taken at all, in the words of OpenAI, FastAPI, serde, vLLM and others.
REFUSED = re.compile(
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
        r"valid range of max_\w*tokens is \[\d+, ?(\d+)\]",
        r"range of max_\w*tokens should be \[\d+, ?(\d+)\]",
        (
            r"max_\w*tokens`?'?\"? ?(?:\(\d+\) )?(?:must be|should be|is limited to|has to be|cannot be)"
            r" ?(?:less than or equal to|smaller than or equal to|at most|<=|more than|greater than)? ?`?(\d[\d,]*)"
        ),
        r"max_\w*tokens.{0,80}maximum (?:value |allowed )?(?:is|of|for max_tokens is)? ?`?(\d[\d,]*)",
    )
)
EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})


def complaint(error: ApiError, provider: str, model: str) -> str | None:
    """The upstream's own words, lower-case, without the names that our message begins with.

    None when the error is not about the form of a request: nothing can be left out then.
    """
    if error.kind not in ("invalid_request", "not_found", "upstream_failed") or error.upstream_status not in _STATUSES:
        return None
    return error.message.removeprefix(f"{provider}/{model} ").replace(model, "the model").lower()


def names(said: str, field: str) -> bool:
    """Whether the text refuses `field`, named as a word of its own."""
    return bool(re.search(rf"(?<!\w){re.escape(field)}(?!\w)", said)) and bool(REFUSED.search(said))


def values(said: str) -> Iterator[str]:
    """The values that the text says are taken."""
    found = _VALUES.search(said)
    return (each[1] for each in _VALUE.finditer(found[0])) if found else iter(())


def output_limit(said: str) -> int | None:
    """The largest output that the text says the model gives, in tokens."""
    for pattern in _LIMITS:
        found = pattern.search(said)
        if found:
            return int(found[1].replace(",", "")[:9]) or None
    return None
