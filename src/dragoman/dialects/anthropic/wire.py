"""What is looked at in answers that are passed on: the few fields that accounts and decisions need.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from typing import Any

import msgspec
from msgspec import Struct

from dragoman.messages.events import Outcome, StopDetails, Usage
from dragoman.messages.lenient import count


class Reason(Struct):
    """`delta` of a message_delta, or the same fields of a whole message."""

    stop_reason: Any = None
    stop_sequence: Any = None
    stop_details: Any = None


class Started(Struct):
    """`message` of a message_start."""

    model: Any = None
    usage: Any = None


class Seen(Reason):
    """An event, a whole message, or an error body."""

    type: Any = None
    message: Any = None
    delta: Any = None
    usage: Any = None
    error: Any = None
    model: Any = None
    content: Any = None


_SEEN = msgspec.json.Decoder(Seen)


def seen(data: bytes) -> Seen | None:
    """What is in `data`; None for what is no JSON object, or holds half a character."""
    try:
        return _SEEN.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


_COUNTERS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def usage(found: Any, before: Usage | None) -> Usage | None:
    """The counters in `found`, and those that were known `before` where it says nothing. They are totals so far."""
    if not isinstance(found, dict):
        return before
    known = {name: value for name in _COUNTERS if (value := count(found.get(name))) is not None}
    if not known and before is None:
        return None
    earlier = {name: getattr(before, name) for name in _COUNTERS} if before is not None else {}
    return Usage(**{**earlier, **known})


def outcome(found: Any) -> Outcome | None:
    """Why an answer stopped; None when that is not said."""
    reason = found.get("stop_reason") if isinstance(found, dict) else None
    if not isinstance(reason, str):
        return None
    sequence, details = found.get("stop_sequence"), found.get("stop_details")
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return Outcome(
        reason,  # type: ignore[arg-type]  # of another Messages server it may be any word
        sequence if isinstance(sequence, str) else None,
        StopDetails(explanation=explanation) if isinstance(explanation, str) else None,
    )
