"""Errors of Gemini servers as ours: from HTTP statuses, and from error bodies under status 200.

The Gemini API and Vertex AI share one form, alone or as the only entry of a list, also in the middle of a stream.
https://ai.google.dev/gemini-api/docs/troubleshooting and https://google.aip.dev/193
"""

from collections.abc import Mapping
from typing import Any

from dragoman.dialects.contract import Call
from dragoman.messages import refusals
from dragoman.messages.errors import ApiError


def error(status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
    """A response with an error status. `headers` are lower-case."""
    return refusals.refusal(status, headers, body, call.asked)


def embedded(value: Any, call: Call) -> ApiError:
    """An error inside an answer with status 200; `value` is its JSON, decoded."""
    if not value:
        return ApiError("upstream_failed", f"{call.target.name} failed without saying why.")
    return refusals.embedded(value, call.asked)


def is_error(value: Any) -> bool:
    """Whether JSON under status 200 is one of the error bodies, and no part of an answer."""
    first = value[0] if isinstance(value, list) and value else value
    answer = isinstance(first, dict) and bool(first.get("candidates") or first.get("promptFeedback"))
    return not answer and refusals.is_error(first)
