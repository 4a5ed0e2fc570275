"""Conversations that were met, found again in a body without reading it.

What a conversation began with stands where it stood. So each has a landmark: a few bytes at a place that only its size
decides, and places are few. However many conversations are known, a body is looked at in these places, and compared
with who has the same bytes there.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable
from itertools import islice

from dragoman.messages.beginning import LANDMARK, Beginning
from dragoman.messages.body import KnownBlock

_PLACES = [1 << power for power in range(12, 25)]
_PLACES = sorted([*_PLACES, *(each * 5 // 4 for each in _PLACES), *(each * 3 // 2 for each in _PLACES)])
"""Bytes from the begin of a body, where landmarks are."""

_LIKE = 64  # conversations that are like a body, there or in their first words, and are compared with it

Prompt = list[tuple[int, KnownBlock]]
"""Blocks of a system prompt, in their order, and where each stands."""


class Met:
    """A conversation that was met, and where its parts stood. It goes on: hold its beginning, not it."""

    __slots__ = ("beginning", "cost", "landmark", "place", "prompt", "start")

    def __init__(self, beginning: Beginning, start: int, prompt: Prompt | None = None) -> None:
        """`start`: bytes before it. `prompt`: None where nobody looked at it yet."""
        self.beginning = beginning
        self.start = start
        self.prompt = prompt
        self.place = _place(start, beginning)
        self.landmark: bytes = beginning.part(self.place - start, LANDMARK)
        self.cost: int = beginning.cost + 2 * sum([len(block.text) for _, block in prompt or ()])  # bytes, about


class Conversations:
    """Those that were met last. They change nothing but the time that things take."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes that they may have, about."""
        self._limit = limit
        self.cost = 0
        self.met: dict[Met, None] = {}  # the one that was met last is the last
        self._places: list[int] = []  # of landmarks, in order
        self._at: dict[int, dict[bytes, dict[Met, None]]] = {}  # place -> what stands there -> whose it is
        self._first: dict[bytes, dict[Met, None]] = {}  # their first words -> whose they are

    def find(self, room: bytes | bytearray, begin: int, end: int) -> Met | None:
        """One that stands in the body in `room`, from `begin` to `end`, where it stood before.

        The newest of all is tried first; of the others about the longest will do.
        """
        newest = next(reversed(self.met), None)  # mostly one caller at a time talks with a model
        if newest is not None and newest.beginning.begins(room, begin + newest.start, end):
            return newest
        for place in reversed(self._places):
            at = begin + place
            found = self._at[place].get(bytes(room[at : min(at + LANDMARK, end)])) if at < end else None
            for met in _newest(found) if found else ():
                if met.beginning.begins(room, begin + met.start, end):
                    self.met[met] = self.met.pop(met)
                    return met
        return None

    def fork(self, room: bytes | bytearray, begin: int, start: int, end: int) -> Met | None:
        """The same of one whose first turn begins at `start` in `room`, wherever that was before.

        The longest beginning of any conversation will do, too: a caller may go back, and on in another way.
        """
        longest: Beginning | None = None
        for met in _newest(self._first.get(bytes(room[start : min(start + LANDMARK, end)]), {})):
            found = met.beginning.in_common(room, start, end, longest)
            if found is met.beginning:
                return self.keep(Met(found, start - begin), met)
            if found is not None and (longest is None or found.size > longest.size):
                longest = found
        return None if longest is None else self.keep(Met(longest, start - begin))

    def keep(self, met: Met, instead_of: Met | None = None) -> Met:
        """Remember a conversation; those that were not met for longest go."""
        if instead_of in self.met:
            self._drop(instead_of)
        self.met[met] = None
        self.cost += met.cost
        self._first.setdefault(met.beginning.first, {})[met] = None
        self._mark(met)
        self._forget()
        return met

    def grow(self, met: Met, before: Beginning, longer: Beginning) -> None:
        """The conversation that `met` was while it began with `before` begins with `longer`, which goes on from that.

        Somebody else may have gone on from there meanwhile in another way: then these are two.
        """
        if met.beginning is not before or met not in self.met:
            self.keep(Met(longer, met.start, met.prompt))
            return
        more = longer.cost - before.cost
        met.beginning = longer
        met.cost += more
        self.cost += more
        place = _place(met.start, longer)
        if place != met.place:
            self._unmark(met)
            met.place, met.landmark = place, longer.part(place - met.start, LANDMARK)
            self._mark(met)
        self._forget()

    def _forget(self) -> None:
        while self.cost > self._limit:
            self._drop(next(iter(self.met)))

    def _drop(self, met: Met) -> None:
        del self.met[met]
        self.cost -= met.cost
        _without(self._first, met.beginning.first, met)
        self._unmark(met)

    def _mark(self, met: Met) -> None:
        texts = self._at.get(met.place)
        if texts is None:
            texts = self._at[met.place] = {}
            insort(self._places, met.place)
        texts.setdefault(met.landmark, {})[met] = None

    def _unmark(self, met: Met) -> None:
        texts = self._at[met.place]
        _without(texts, met.landmark, met)
        if not texts:
            del self._at[met.place]
            self._places.remove(met.place)


def _place(start: int, beginning: Beginning) -> int:
    """Where the landmark is of a beginning that stands at `start`: as far behind as there is a place for it."""
    last = start + beginning.end_at
    place = _PLACES[bisect_right(_PLACES, last) - 1]
    return place if start <= place <= last else last


def _newest(found: dict[Met, None]) -> Iterable[Met]:
    return islice(reversed(found), _LIKE)


def _without(known: dict[bytes, dict[Met, None]], text: bytes, met: Met) -> None:
    del known[text][met]
    if not known[text]:
        del known[text]
