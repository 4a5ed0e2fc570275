"""Errors of Chat Completions servers as ours: from HTTP statuses, and from error bodies under status 200.

https://platform.openai.com/docs/guides/error-codes
"""

from collections.abc import Mapping
from typing import Any

from dragoman.dialects.contract import Call
from dragoman.messages import overflow, refusals
from dragoman.messages.errors import ApiError
from dragoman.messages.overflow import Asked


def error(status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
    """A response with an error status. `headers` are lower-case."""
    return refusals.refusal(status, headers, body, _asked(call))


def embedded(value: Any, call: Call) -> ApiError:
    """An error inside an answer with status 200; `value` is its JSON, decoded."""
    return refusals.embedded(value, _asked(call))


def overflowed(call: Call) -> ApiError:
    """A prompt over the model's window, where the server says nothing at all."""
    return ApiError("context_overflow", overflow.message({}, _asked(call)))


def is_error(value: Any) -> bool:
    """Whether JSON under status 200 is one of the error bodies, and no chunk or completion."""
    return not (isinstance(value, dict) and value.get("choices")) and refusals.is_error(value)


def _asked(call: Call) -> Asked:
    target = call.target
    return Asked(
        provider=target.provider,
        model=target.model,
        key=target.key,
        context=target.facts.context,
        input_tokens=call.recall.input_tokens,
    )
