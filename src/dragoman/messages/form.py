"""What the turns that a conversation began with are in an upstream's language: JSON that is sent again as it is."""

from typing import Any

from msgspec import Raw, Struct, json

from dragoman.messages.conversation import NOTHING_OPEN, Open
from dragoman.messages.notes import Note

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
        return Form(pieces, left, (*self.settling, *settling), (*self.notes, *notes), (*self.ids, *ids), more)


NO_FORM = Form()
"""Of no turns at all."""
