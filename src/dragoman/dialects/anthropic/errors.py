"""Errors of upstreams that speak Messages: told as they are, and understood well enough to decide what follows.

Clients recover by the words of an error, so an envelope of Anthropic's own form goes on unchanged.
https://platform.claude.com/docs/en/api/errors and https://code.claude.com/docs/en/llm-gateway-protocol
"""

from collections.abc import Mapping

from dragoman.dialects.anthropic.wire import Seen, seen
from dragoman.dialects.contract import Call
from dragoman.messages import refusals
from dragoman.messages.errors import KINDS, ApiError, Verbatim
from dragoman.messages.headers import passed_on
from dragoman.messages.overflow import Asked

# Types of Anthropic's envelope that arrive inside a stream, and the status that they would have had before it.
KIND = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "upstream_authentication",
    "billing_error": "billing",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
    "api_error": "upstream_failed",
}


def error(status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
    """A response with an error status. `headers` are lower-case."""
    found = refusals.refusal(status, headers, body, _asked(call))
    told = headers.get("x-should-retry")
    if told in ("true", "false"):
        found.should_retry = told == "true"
    if _is_envelope(seen(body)):
        passed = (("content-type", headers.get("content-type", "application/json")), *passed_on(headers))
        found.verbatim = Verbatim(status, passed, body)
    return found


def embedded(found: Seen, data: bytes, call: Call) -> ApiError:
    """An error inside an answer with status 200: an error event, or an error body."""
    type_ = found.error.get("type") if isinstance(found.error, dict) else None
    kind = KIND.get(type_) if isinstance(type_, str) else None
    told = refusals.embedded({"error": found.error}, _asked(call))
    if kind is not None and told.kind not in ("context_overflow", kind):
        told = ApiError(kind, told.message, retry_after=told.retry_after, code=told.code)
    if _is_envelope(found):
        told.verbatim = Verbatim(KINDS[told.kind].status, (("content-type", "application/json"),), data)
    return told


def _is_envelope(found: Seen | None) -> bool:
    inner = found.error if found is not None else None
    return (
        isinstance(inner, dict) and isinstance(inner.get("type"), str) and isinstance(inner.get("message"), str)
        and found is not None and found.type == "error"
    )  # fmt: skip


def _asked(call: Call) -> Asked:
    target = call.target
    return Asked(
        provider=target.provider,
        model=target.model,
        key=target.key,
        context=target.facts.context,
        input_tokens=call.recall.input_tokens,
    )
