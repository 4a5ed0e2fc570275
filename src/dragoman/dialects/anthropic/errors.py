"""Errors of upstreams that speak Messages: told as they are, and understood well enough to decide what follows.

Clients recover by the words of an error, so an envelope of Anthropic's own form goes on unchanged.
https://platform.claude.com/docs/en/api/errors and https://code.claude.com/docs/en/llm-gateway-protocol
"""

from collections.abc import Mapping

from dragoman.dialects.anthropic.wire import seen
from dragoman.dialects.contract import Call
from dragoman.messages import refusals
from dragoman.messages.errors import KINDS, ApiError, Verbatim
from dragoman.messages.headers import passed_on
from dragoman.messages.lenient import parse

_JSON = ("content-type", "application/json")
_NAME = b"event: error"

# Words of an overflow that Claude Code makes room after; an overflow in other words is told in ours.
_UNDERSTOOD = (b"prompt is too long", b"input length and `max_tokens` exceed", b"input is too long")


def error(status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
    """A response with an error status. `headers` are lower-case."""
    found = refusals.refusal(status, headers, body, call.asked)
    if found.kind == "upstream_authentication" and call.target.auth == "caller":
        said = refusals.report(body[: refusals.BODY_LIMIT]).text or "no explanation"
        text = f"{call.target.provider} refused the caller's own key: {said[: refusals.TEXT_LIMIT]}"
        found = ApiError("authentication", text, upstream_status=status, code=found.code)
    if _is_to_be_told(found, body):
        kind = ("content-type", headers["content-type"]) if "content-type" in headers else _JSON
        found.verbatim = Verbatim(status, (kind, *passed_on(headers)), body)
    return found


def embedded(body: bytes, call: Call, frame: bytes = b"") -> ApiError:
    """An error inside an answer with status 200: its body, or the data of the event `frame`."""
    found = refusals.embedded(_value(body), call.asked)
    if _is_to_be_told(found, body):
        event = frame if frame.startswith(_NAME) else b""
        found.verbatim = Verbatim(KINDS[found.kind].status, (_JSON,), body, event)
    return found


def is_error(body: bytes) -> bool:
    """Whether what came instead of an answer is an error in some server's form."""
    value = _value(body)
    return not isinstance(value, str) and refusals.is_error(value)


def _value(body: bytes) -> object:
    try:
        return parse(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _is_to_be_told(found: ApiError, body: bytes) -> bool:
    """Whether clients know what to do by the upstream's own words: an envelope of Anthropic's form."""
    if found.kind == "context_overflow" and not any(words in body.lower() for words in _UNDERSTOOD):
        return False
    envelope = seen(body)
    if envelope is None or envelope.type != "error" or not isinstance(envelope.error, dict):
        return False
    return all(isinstance(envelope.error.get(name), str) for name in ("type", "message"))
