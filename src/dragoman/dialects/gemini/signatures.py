"""Thought signatures, and how they travel with the caller.

Gemini signs parts of its answer, and wants each signature back on the very part it came with: on calls (refused without
it from Gemini 3 on), on text, and on empty parts. Messages has a place for them in thinking blocks only, so a state
holds one or more marks, each of which says which part beside its block was signed. What comes behind the last text of
an answer finds no block to ride in and stays behind: clients take the last block of an answer for what it says.
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from typing import Any, Literal

from msgspec import Struct

from dragoman.messages import state

DIALECT = "gemini"

SENTINEL = "skip_thought_signature_validator"
"""Stands for a signature that is lost, or that another upstream made.
https://ai.google.dev/gemini-api/docs/thought-signatures#faqs"""


class Mark(Struct, frozen=True, array_like=True):
    """One signature and the part that it was on.

    `call`: the tool_use that follows the block. `text`: the first `size` characters of the text block that follows.
    `back`: `size` characters from `start` on in the text block before it; 0 is an empty part behind `start` characters.
    `empty`: an empty part in the place of the block itself.
    """

    part: Literal["call", "text", "back", "empty"]
    signature: str
    start: int = 0
    size: int = 0


def seal(marks: list[Mark], scope: str) -> str:
    """The marks as a state; "" when they are too large to travel."""
    return state.pack(DIALECT, scope, marks)


def marks(found: state.State | None, scope: str) -> list[Mark]:
    """The marks in a state that this deployment made, as far as they are well-formed; [] for any other."""
    if found is None or not found.fits(DIALECT, scope) or not isinstance(found.payload, list):
        return []
    return [mark for each in found.payload if (mark := _mark(each)) is not None]


def _mark(found: Any) -> Mark | None:
    match found:
        case ["call" | "text" | "back" | "empty" as part, str(signature), int(start), int(size)] if (
            signature and start >= 0 and size >= 0
        ):
            return Mark(part, signature, start, size)
    return None
