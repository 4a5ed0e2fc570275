"""Which of several equal destinations a session gets: by rendezvous hashing, so that nothing has to be remembered.

Every process comes to the same order, and a destination that goes or comes moves only the sessions that it has.
Prompt caches of upstreams keep hitting. https://en.wikipedia.org/wiki/Rendezvous_hashing#Weighted_rendezvous_hash
"""

from collections.abc import Iterable
from hashlib import blake2b
from math import log

from dragoman.dialects.contract import Target
from dragoman.routing.route import Choice, Group, Route


def slots(route: Route, who: str) -> tuple[Target, ...]:
    """What `who` tries, in order."""
    return ordered(route.groups, who) if route.groups else route.targets


def ordered(groups: Iterable[Group], who: str) -> tuple[Target, ...]:
    """All slots in the order in which `who` tries them: groups as they stand, inside them by lot.

    `who`: a session; or a single request, whose lot is then as good as random. All keys of one destination stand
    together.
    """
    found: list[Target] = []
    for group in groups:
        choices = group if len(group) == 1 else sorted(group, key=lambda each: _draw(who, _place(each), each.weight))
        for choice in choices:
            slots = choice.slots
            if len(slots) > 1:
                slots = tuple(sorted(slots, key=lambda slot: _draw(who, f"{slot.provider} {slot.key}", 1.0)))
            found += slots
    return tuple(found)


def _place(choice: Choice) -> str:
    target = choice.slots[0]
    return f"{target.provider}/{target.model}"


def _draw(who: str, place: str, weight: float) -> float:
    """The lot of one place; the smallest wins, as often as its weight says."""
    digest = blake2b(f"{who}\0{place}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return -log((int.from_bytes(digest) + 1) / (2**64 + 1)) / weight
