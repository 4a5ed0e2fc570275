"""Notes: what a translation lost or changed, as values.

A note never holds the caller's text: `code` and `place` are safe for logs and for an ASCII header.
"""

from typing import Literal

from msgspec import Struct

Grade = Literal["lost", "changed", "ignored"]


class Note(Struct, frozen=True, order=True, gc=False):
    """One thing that a translation could not carry over as it was.

    `lost`: content that the model will not see. `changed`: the answer may behave differently.
    `ignored`: no effect on the answer.
    """

    grade: Grade
    code: str  # lower-case words joined by "_" and ".", e.g. "top_k.unsupported"
    place: str = ""  # path in the caller's body, e.g. "messages.3.content.0"; "" is the whole request


def header(notes: list[Note] | tuple[Note, ...]) -> str:
    """The `lost` and `changed` codes, each once, in order of appearance: the value of `x-dragoman-notes`."""
    return ",".join(dict.fromkeys(note.code for note in notes if note.grade != "ignored"))
