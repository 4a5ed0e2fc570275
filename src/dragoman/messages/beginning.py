"""What a conversation began with: turns that an earlier request had, too, so that only what came since is work.

An agent sends its whole conversation with every request, and one or two turns more than before. What follows from the
turns of a beginning alone (the turns themselves, their tokens, their form in an upstream's language) is remembered by
their text, and made longer as the conversation grows. The same text gives the same values, remembered or not; nothing
but time changes.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, TypeVar

from dragoman.messages.body import Turn

Value = TypeVar("Value")

_END = 64  # bytes at the end of a beginning that are compared before all others
_PIECES = 32  # texts that a beginning is made of, before they become one
_VALUES = 6  # values of one beginning that are kept
_COPIES = 3  # of a text: itself, and what two upstreams are sent of it
_TURN = 1024  # bytes that a decoded turn takes beside its text, about


class Beginning:
    """The first turns of a conversation. They end with a turn of the assistant."""

    __slots__ = ("_before", "_pieces", "_values", "cost", "end", "end_at", "names", "size", "turns")

    def __init__(
        self, pieces: tuple[memoryview, ...], turns: list[Turn], names: frozenset[str], before: "Beginning | None"
    ) -> None:
        """`pieces`: the JSON of `turns`, with what stands between them. `names`: of the tools that they call.
        `before`: a shorter beginning of the same conversation.
        """
        self._before = before
        self._pieces = pieces if len(pieces) <= _PIECES else (memoryview(b"".join(pieces)),)
        self._values: tuple[tuple[object, tuple[Any]], ...] = ()
        self.turns = turns
        self.names = names
        self.size: int = sum(map(len, pieces))  # bytes of JSON
        self.end = bytes(pieces[-1][-_END:])  # of its text
        self.end_at: int = self.size - len(self.end)
        self.cost: int = self.size * _COPIES + len(turns) * _TURN  # bytes of memory, about

    @classmethod
    def of(cls, text: memoryview, turns: list[Turn]) -> "Beginning":
        """`text`: the JSON of `turns`, with what stands between them."""
        return cls((text,), turns, called(turns), None)

    def followed_by(self, text: memoryview, turns: list[Turn]) -> "Beginning":
        """The same with more turns. `text`: their JSON, from the comma before them."""
        self._before = None  # one step back is enough to go on from
        return Beginning((*self._pieces, text), self.turns + turns, self.names | called(turns), self)

    def begins(self, raw: bytes, start: int) -> bool:
        """Whether its text stands at `start`."""
        for piece in self._pieces:
            if not raw.startswith(piece, start):
                return False
            start += len(piece)
        return True

    def value(self, key: object, made: Callable[[Value | None], Value]) -> Value:
        """What follows from the turns and from `key`, remembered. Nobody may change it.

        `made` makes it of the value of a shorter beginning, or of None.
        """
        kept = self.kept(key)
        if kept is None:
            shorter = self._before.kept(key) if self._before is not None else None
            kept = (made(None if shorter is None else shorter[0]),)
            self._values = (*self._values[1 - _VALUES :], (key, kept))
        value: Value = kept[0]
        return value

    def kept(self, key: object) -> tuple[Any] | None:
        """The value of `key`, if it was made."""
        for known, value in self._values:
            if known == key:
                return value
        return None


class KnownTurns(list[Turn]):
    """The turns of a body, the first of which are a known beginning. No turn of the assistant comes right behind it."""

    __slots__ = ("beginning",)

    def __init__(self, beginning: Beginning, more: list[Turn]) -> None:
        super().__init__(chain(beginning.turns, more))
        self.beginning = beginning


def beginning_of(turns: list[Turn]) -> Beginning | None:
    """What is known of the turns of a body."""
    return turns.beginning if isinstance(turns, KnownTurns) else None


def called(turns: Iterable[Turn]) -> frozenset[str]:
    """Names of the tools that were called in these turns."""
    return frozenset(
        [
            block.name
            for turn in turns
            if turn.role == "assistant" and isinstance(turn.content, list)
            for block in turn.content
            if block.type == "tool_use" and block.name
        ]
    )


class Beginnings:
    """The beginnings that were met last, within a limit of memory."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of memory, about."""
        self.limit = limit
        self._kept: dict[Beginning, None] = {}
        self._cost = 0

    def __iter__(self) -> Iterator[Beginning]:
        """The one that was met last is the last."""
        return iter(self._kept)

    def find(self, raw: bytes, start: int) -> Beginning | None:
        """The beginning whose text stands at `start`; the one that was met last is tried first."""
        for beginning in reversed(list(self._kept)):
            if raw.startswith(beginning.end, start + beginning.end_at) and beginning.begins(raw, start):
                self._kept[beginning] = self._kept.pop(beginning)
                return beginning
        return None

    def keep(self, beginning: Beginning, instead_of: Beginning | None) -> None:
        """Remember a new beginning; those that were not met for longest go."""
        if instead_of in self._kept:
            self._drop(instead_of)
        self._kept[beginning] = None
        self._cost += beginning.cost
        while self._cost > self.limit:
            self._drop(next(iter(self._kept)))

    def _drop(self, beginning: Beginning) -> None:
        del self._kept[beginning]
        self._cost -= beginning.cost
