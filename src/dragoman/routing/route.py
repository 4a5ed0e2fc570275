"""A route: where a requested model leads, in order, with the reason why."""

from msgspec import Struct

from dragoman.dialects.contract import Target
from dragoman.messages.notes import Note


class Choice(Struct, frozen=True):
    """One destination among those that share the work of a group."""

    slots: tuple[Target, ...]  # the same target, once with each of its keys
    weight: float = 1.0  # its part of the work, beside the others


Group = tuple[Choice, ...]
"""Destinations that share the work. A session sticks to one of them; see `affinity`."""


class Route(Struct, frozen=True, kw_only=True):
    requested: str
    targets: tuple[Target, ...]  # each destination once, with its first key, in the order of the configuration
    steps: tuple[str, ...]  # how it was found, one sentence each, for `explain` and logs
    groups: tuple[Group, ...] = ()  # where there is something to choose: tried in order; (): `targets`, one by one
    overflow: tuple[Group, ...] = ()  # asked instead when a conversation is too long for the others
    notes: tuple[Note, ...] = ()  # e.g. an unmapped family took sonnet's target
