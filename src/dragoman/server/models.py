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

_NOTHING: Mapping[str, msgspec.Raw] = {}

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
    data: list[ModelInfo | msgspec.Raw]
    has_more: bool
    first_id: str | None
    last_id: str | None


class _Theirs(Struct):
    data: list[msgspec.Raw]


class _Named(Struct):
    id: str


_THEIRS = msgspec.json.Decoder(_Theirs)
_NAMED = msgspec.json.Decoder(_Named)


def page(listing: Sequence[Listed], query: Mapping[str, str], theirs: Mapping[str, msgspec.Raw] = _NOTHING) -> bytes:
    """One page of `listing`, and of the entries of `theirs` as their provider wrote them, by id.

    The entries after `after_id`, or those just before `before_id`, at most `limit`.

    Raises ApiError("invalid_request") for a limit that is no number from 1 to 1000 and for an unknown id.
    """
    limit = _limit(query.get("limit"))
    known: dict[str, ModelInfo | msgspec.Raw] = {listed.id: _entry(listed) for listed in listing}
    known.update(theirs)
    ids, entries = list(known), list(known.values())
    if after := query.get("after_id"):
        first = _position(ids, "after_id", after) + 1
        last = first + limit
        more = last < len(ids)
    elif before := query.get("before_id"):
        last = _position(ids, "before_id", before)
        first = max(0, last - limit)
        more = first > 0
    else:
        first, last = 0, limit
        more = last < len(ids)
    ids = ids[first:last]
    ends = (ids[0], ids[-1]) if ids else (None, None)
    return _encode(_Page(entries[first:last], more, *ends))


def theirs(body: bytes) -> dict[str, msgspec.Raw]:
    """The entries of a provider's own list, by id. Raises ApiError("bad_answer")."""
    try:
        return {_NAMED.decode(entry).id: msgspec.Raw(bytes(entry)) for entry in _THEIRS.decode(body).data}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError("bad_answer", "The provider's list of models is not in the form of Anthropic's.") from None


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
