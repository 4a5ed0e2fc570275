"""Errors of Chat Completions servers as ours: from HTTP statuses, and from error bodies under status 200.

https://platform.openai.com/docs/guides/error-codes
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
    return refusals.embedded(value, call.asked)


def is_error(value: Any) -> bool:
    """Whether JSON under status 200 is one of the error bodies, and no chunk or completion."""
    return not (isinstance(value, dict) and value.get("choices")) and refusals.is_error(value)
