"""Errors of Responses servers as ours: from HTTP statuses, from responses that failed, and from error events.

https://platform.openai.com/docs/guides/error-codes
"""

import re
from collections.abc import Mapping
from typing import Any

from dragoman.dialects.contract import Call
from dragoman.messages import refusals
from dragoman.messages.errors import ApiError
from dragoman.messages.events import StopDetails

# Codes of a failed response that mean "the model may not answer this", and the category that Messages has for them.
POLICY: dict[str, str | None] = {
    "bio_policy": "bio",
    "cyber_policy": "cyber",
    "cyber_policy_violation": "cyber",
    "misalignment_policy_violation": None,
    "content_policy_violation": None,
    "content_filter": None,
}


# "Your prompt was flagged as potentially violating our usage policy": the one invalid prompt that is a refusal.
_FLAGGED = re.compile(r"flagged as potentially violating|usage polic", re.IGNORECASE)


def error(status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
    """A response with an error status. `headers` are lower-case."""
    return refusals.refusal(status, headers, body, call.asked)


def embedded(value: Any, call: Call) -> ApiError:
    """An error inside an answer with status 200: `error` of a failed response, an error event, an error body."""
    if not value:
        return ApiError("upstream_failed", f"{call.target.name} failed without saying why.")
    return refusals.embedded(value if isinstance(value, dict | list) else {"error": value}, call.asked)


def refused(value: Any) -> StopDetails | None:
    """A failure that is the provider's refusal to answer; None for any other."""
    inner = (value.get("error") or value) if isinstance(value, dict) else None
    code = inner.get("code") if isinstance(inner, dict) else None
    explanation = refusals.said(value)
    if code == "invalid_prompt" and _FLAGGED.search(explanation):
        return StopDetails(explanation=explanation)
    if not isinstance(code, str) or code not in POLICY:
        return None
    return StopDetails(category=POLICY[code], explanation=explanation or None)


def is_error(value: Any) -> bool:
    """Whether JSON under status 200 is one of the error bodies, and no response."""
    answer = isinstance(value, dict) and (value.get("object") == "response" or isinstance(value.get("output"), list))
    return not answer and refusals.is_error(value)
