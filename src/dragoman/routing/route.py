"""A route: the ordered targets of one requested model, with the reason why."""

from msgspec import Struct

from dragoman.dialects.contract import Target
from dragoman.messages.notes import Note


class Route(Struct, frozen=True, kw_only=True):
    requested: str
    targets: tuple[Target, ...]  # tried in order
    steps: tuple[str, ...]  # how it was found, one sentence each, for `explain` and logs
    notes: tuple[Note, ...] = ()  # e.g. an unmapped family took sonnet's target
