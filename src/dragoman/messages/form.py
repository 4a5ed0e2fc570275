"""What the turns that a conversation began with are in an upstream's language: JSON that is sent again as it is."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar

from msgspec import Raw, Struct, json

from dragoman.messages.beginning import beginning_of
from dragoman.messages.body import Turn
from dragoman.messages.conversation import NOTHING_OPEN, Open
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.pieces import Piece, Pieces

Value = TypeVar("Value")

_PIECES = 32  # texts that a form is made of, before they become one


class Form(Struct, frozen=True):
    """The form of a beginning. It does not depend on the turns behind it."""

    items: tuple[Raw, ...] = ()
    """JSON of the upstream's items, several in each, with commas between them."""
    open: Open = NOTHING_OPEN
    settling: tuple[Note, ...] = ()
    """Notes of `settle_on`."""
    notes: tuple[Note, ...] = ()
    """Notes of what was written."""
    ids: tuple[str, ...] = ()
    """Tool ids, as the caller wrote them."""
    more: Any = None
    """What else of it the dialect needs to go on."""

    def followed_by(
        self, items: list[Any], left: Open, settling: list[Note], notes: list[Note], *, ids: list[str], more: Any = None
    ) -> "Form":
        """The same, with what the turns behind it became, and what they leave open."""
        pieces = (*self.items, Raw(json.encode(items)[1:-1])) if items else self.items
        if len(pieces) > _PIECES:
            pieces = (Raw(b",".join(pieces)),)
        settled = tuple(dict.fromkeys((*self.settling, *settling))) if settling else self.settling
        told = tuple(dict.fromkeys((*self.notes, *notes))) if notes else self.notes
        return Form(pieces, left, settled, told, (*self.ids, *ids), more)


NO_FORM = Form()
"""Of no turns at all."""


def known_form(turns: list[Turn], key: object, longer: Callable[[list[Turn], Form], Form | None]) -> Form | None:
    """The form of what is known of the turns of a body; None when nothing is, or its form depends on what follows.

    `key`: what the form depends on besides the turns. `longer` makes the form of turns, of which the first ones have a
    form already.
    """
    beginning = beginning_of(turns)
    if beginning is None:
        return None
    known = beginning.decoded().turns
    return beginning.value(key, lambda before: longer(known, before or NO_FORM))


def with_form(known: Form | None, notes: list[Note], write: Callable[[Form, list[Note]], Value | None]) -> Value:
    """The conversation behind what is `known`, as `write` says it; all of it where nothing is said behind that.

    `write` gets the form and a list for its notes, and returns None when nothing is said. Raises
    ApiError("invalid_request") when nothing is said at all.
    """
    for form in (NO_FORM,) if known is None else (known, NO_FORM):
        found: list[Note] = []
        said = write(form, found)
        if said is not None:
            notes += found
            return said
    raise ApiError("invalid_request", "messages: at least one message with content is required")


def is_known(items: Sequence[Any]) -> bool:
    """Whether there is a form in a list of items, which is not empty: it is first, or behind the system prompt."""
    return isinstance(items[0], Raw) or (len(items) > 1 and isinstance(items[1], Raw))


def written(first: dict[str, Any], rest: Struct) -> Pieces:
    """The JSON of an object with the members of `first`, as far as they are not None, and then those of `rest`.

    Forms in lists are not copied: an encoder that makes room as it goes copies a large body three times.
    """
    pieces: list[Piece] = []
    for name, value in first.items():
        if value is None:
            continue
        pieces.append(b'%b"%b":' % (b"," if pieces else b"{", name.encode()))
        if isinstance(value, list) and value:
            pieces += _list(value)
        else:
            pieces.append(json.encode(value))
    last = json.encode(rest)
    pieces += (b"}",) if last == b"{}" else (b",", last[1:])
    return Pieces(pieces)


def _list(items: list[Any]) -> list[Piece]:
    pieces: list[Piece] = [b"["]
    for kind, run in groupby(items, type):
        if kind is Raw:
            for item in run:
                pieces += item, b","
        else:
            pieces += json.encode(list(run))[1:-1], b","
    pieces[-1] = b"]"
    return pieces
