"""`GET /v1/models` in Anthropic's shape: what callers may ask for.

https://platform.claude.com/docs/en/api/models-list
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from dragoman.messages.errors import ApiError
from dragoman.routing.router import Listed

_LINES = ("haiku", "sonnet", "opus", "fable", "mythos")
_DEFAULT_LIMIT = 20
_HIGHEST_LIMIT = 1000

_encode = msgspec.json.Encoder().encode


class ModelInfo(Struct, frozen=True, tag="model"):
    """One entry. Capabilities are unknown until an upstream is asked, so they are null, as the shape allows."""

    id: str
    display_name: str
    created_at: str  # RFC 3339
    max_input_tokens: int | None
    max_tokens: int | None
    line: str | None
    lifecycle: str = "active"
    deprecated_at: None = None
    retires_at: None = None
    capabilities: None = None


class _Page(Struct, frozen=True):
    data: list[ModelInfo]
    has_more: bool
    first_id: str | None
    last_id: str | None


def page(listing: Sequence[Listed], query: Mapping[str, str]) -> bytes:
    """The entries after `after_id`, or those just before `before_id`, at most `limit`.

    Raises ApiError("invalid_request") for a limit that is no number from 1 to 1000 and for an unknown id.
    """
    limit = _limit(query.get("limit"))
    ids = [listed.id for listed in listing]
    if after := query.get("after_id"):
        rest = listing[_position(ids, "after_id", after) + 1 :]
        chosen, more = rest[:limit], len(rest) > limit
    elif before := query.get("before_id"):
        rest = listing[: _position(ids, "before_id", before)]
        chosen, more = rest[-limit:], len(rest) > limit
    else:
        chosen, more = listing[:limit], len(listing) > limit
    entries = [_entry(listed) for listed in chosen]
    first, last = (entries[0].id, entries[-1].id) if entries else (None, None)
    return _encode(_Page(entries, more, first, last))


def one(listed: Listed) -> bytes:
    return _encode(_entry(listed))


def _entry(listed: Listed) -> ModelInfo:
    return ModelInfo(
        listed.id,
        listed.display_name,
        listed.created_at,
        listed.max_input_tokens,
        listed.max_tokens,
        next((line for line in _LINES if line in listed.id.lower()), None),
    )


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LIMIT
    if not text.isdecimal() or not 1 <= int(text[:9]) <= _HIGHEST_LIMIT:
        raise ApiError("invalid_request", f"limit: must be a number from 1 to {_HIGHEST_LIMIT}.")
    return int(text)


def _position(ids: list[str], name: str, value: str) -> int:
    try:
        return ids.index(value)
    except ValueError:
        raise ApiError("invalid_request", f"{name}: no model has this id. Start again without it.") from None
