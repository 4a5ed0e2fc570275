"""What is looked at in answers that are passed on: the few fields that accounts and decisions need.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from dragoman.messages.events import CacheCreation, Outcome, OutputDetails, ServerToolUsage, Usage
from dragoman.messages.lenient import count, repair_surrogates

_COUNTERS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_DETAILS: dict[str, Any] = {
    "cache_creation": CacheCreation,
    "output_tokens_details": OutputDetails,
    "server_tool_use": ServerToolUsage,
    "service_tier": str,
    "inference_geo": str,
    "speed": str,
}


class Seen(Struct):
    """An event of a stream, a whole message, or an error body. Any field may hold anything."""

    type: Any = None
    message: Any = None
    model: Any = None
    delta: Any = None
    usage: Any = None
    error: Any = None
    content: Raw = Raw()
    stop_reason: Any = None
    stop_sequence: Any = None


_MOST = 10**15  # tokens; what is beyond is no count

_SEEN = msgspec.json.Decoder(Seen)


def seen(data: bytes) -> Seen | None:
    """What is in `data`; None for what is no JSON object."""
    try:
        try:
            return _SEEN.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _SEEN.decode(repair_surrogates(data.decode("utf-8", "replace").encode()))
    except (msgspec.DecodeError, RecursionError):
        return None


def usage(found: Any, before: Usage | None) -> Usage | None:
    """The counters in `found`, and those that were known `before` where it says nothing. They are totals so far."""
    if not isinstance(found, dict):
        return before
    if before is None and (usual := _usual(found)) is not None:
        return usual
    known = {name: value for name in _COUNTERS if (value := count(found.get(name))) is not None}
    for name, kind in _DETAILS.items():
        if (value := found.get(name)) is not None:
            with suppress(msgspec.ValidationError):
                known[name] = msgspec.convert(value, kind)
    if not known:
        return before
    return structs.replace(before or Usage(), **known)


def _usual(found: dict[str, Any]) -> Usage | None:
    """The counters, when all of them are as documented."""
    try:
        usage = msgspec.convert(found, Usage)
    except msgspec.ValidationError:
        return None
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
    return usage if any(counts) and min(counts) > -_MOST and max(counts) < _MOST else None


def outcome(reason: Any, sequence: Any) -> Outcome | None:
    """Why an answer stopped; None when that is not said."""
    if not isinstance(reason, str):
        return None
    # Of another Messages server it may be any word.
    return Outcome(reason, sequence if isinstance(sequence, str) else None)  # type: ignore[arg-type]
