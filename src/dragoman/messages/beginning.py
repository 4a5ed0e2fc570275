"""What a conversation began with: turns that an earlier request had, too, so that only what came since is work.

An agent sends its whole conversation with every request, and one or two turns more than before. What follows from the
turns of a beginning alone (the turns themselves, their tokens, their form in an upstream's language) is remembered by
their text, and made longer as the conversation grows. The same text gives the same values, remembered or not; nothing
but time changes.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar, cast, overload

import msgspec
from msgspec import Struct

from dragoman.messages.body import Turn
from dragoman.messages.checks import check_turns
from dragoman.messages.lenient import check_utf8
from dragoman.messages.outline import TurnOutline, odd

Value = TypeVar("Value")

LANDMARK = 64  # bytes of a beginning that tell it from most others, at either end and somewhere in it

_PIECES = 32  # texts that a beginning is made of, before they become one
_VALUES = 8  # values of one beginning that are kept
_COPIES = 3  # of a text: itself, and what two upstreams are sent of it
_TURN = 1024  # bytes that a decoded turn takes beside its text, about
_STEP = 16  # bytes for each turn, of the lists of those that a longer beginning has in common with a shorter one
_BEFORE = b'[{"role":""}'  # in place of the turns before
_TURNS = msgspec.json.Decoder(list[Turn])
_OUTLINES = msgspec.json.Decoder(list[TurnOutline])


class Decoded(Struct, frozen=True):
    """The turns of a beginning, and what is asked of them often."""

    turns: list[Turn] = []
    names: frozenset[str] = frozenset()
    """Of the tools that were called."""
    system: list[Turn] = []
    """The system turns among them."""


class Outlined(Struct, frozen=True):
    """The same of a body that is passed on. Few look at the turns, so nobody puts them together before that."""

    parts: tuple[list[TurnOutline], ...] = ()
    """The turns."""
    odd: list[int] = []
    """Numbers of those that a server could refuse; see `outline.odd`."""


class Beginning:
    """The first turns of a conversation. They end with a turn of the assistant."""

    __slots__ = (
        "_newest",
        "_values",
        "before",
        "cost",
        "count",
        "end",
        "end_at",
        "first",
        "is_text",
        "outlines",
        "pieces",
        "size",
        "turns",
    )

    def __init__(self, text: bytes | memoryview, count: int, before: "Beginning | None" = None) -> None:
        """`text`: JSON of `count` turns, from the comma in front of them, if they come behind those of `before`."""
        # Decoded blocks keep the text alive that they were decoded from, so it is that of these turns alone.
        head = b"[" if before is None else _BEFORE
        self._newest = b"".join((head, text, b"]"))
        piece = memoryview(self._newest)[len(head) : -1]
        pieces: tuple[memoryview, ...] = (piece,)
        if before is not None:
            pieces = (*before.pieces, piece)
            count += before.count
            if len(before.pieces) == 1:
                before.before = None  # its text was put together anew: the shorter ones have it a second time
        if len(pieces) > _PIECES:
            pieces = (memoryview(b"[%b]" % b"".join(pieces))[1:-1],)
        self.turns: Decoded | None = None
        self.outlines: Outlined | None = None
        self._values: tuple[tuple[object, tuple[Any]], ...] = ()
        self.is_text = False  # whether all of it is known to be UTF-8
        self.before: Beginning | None = before
        self.pieces: tuple[memoryview, ...] = pieces
        self.count: int = count  # turns
        self.size: int = len(piece) + (0 if before is None else before.size)  # bytes of JSON
        self.first: bytes = bytes(piece[:LANDMARK]) if before is None else before.first
        self.end = bytes(piece[-LANDMARK:])  # of its text
        self.end_at: int = self.size - len(self.end)
        self.cost: int = self.size * _COPIES + count * (_TURN + _STEP * len(pieces))  # bytes of memory, about

    def part(self, at: int, size: int) -> bytes:
        """So many bytes of its text."""
        found = b""
        for piece in self.pieces:
            if at < len(piece):
                found += piece[at : at + size - len(found)]
                if len(found) == size:
                    break
            at = max(0, at - len(piece))
        return found

    def begins(self, raw: bytes | bytearray, start: int, end: int) -> bool:
        """Whether its text stands between `start` and `end`."""
        if not raw.startswith(self.end, start + self.end_at, end):
            return False
        for piece in self.pieces:
            if not raw.startswith(piece, start):
                return False
            start += len(piece)
        return True

    def in_common(
        self, raw: bytes | bytearray, start: int, end: int, other: "Beginning | None" = None
    ) -> "Beginning | None":
        """The longest beginning of this conversation whose text stands between `start` and `end`: callers go back, and
        fork.

        `other`: one whose text stands there, so that what both have in common is not compared once more.
        """
        size = count = 0
        if other is not None:
            for piece, known in zip(self.pieces, other.pieces, strict=False):
                if piece is not known:
                    break
                size += len(piece)
                count += 1
        for piece in self.pieces[count:]:
            if not raw.startswith(piece, start + size, end):
                break
            size += len(piece)
        found: Beginning | None = self
        while found is not None and found.size > size:
            found = found.before
        return found

    def value(self, key: object, made: Callable[[Value | None], Value]) -> Value:
        """What follows from the turns and from `key`, remembered. Nobody may change it.

        `made` makes it of the value of a shorter beginning, or of None.
        """
        kept = self.kept(key)
        if kept is None:
            shorter = self.before.kept(key) if self.before is not None else None
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

    def has_new_text(self) -> None:
        """Its newest turns were just found to be UTF-8."""
        self.is_text = self.before is None or self.before.is_text

    def decoded(self) -> "Decoded":
        """Its turns.

        Raises msgspec.DecodeError when its text is something else, UnicodeDecodeError when it is none, and ApiError
        for what nests too deeply.
        """
        if self.turns is None:
            self.turns = self._decode(None if self.before is None else self.before.turns)
        return self.turns

    def outlined(self) -> "Outlined":
        """The same for a body that is passed on. Raises msgspec.DecodeError and UnicodeDecodeError."""
        if self.outlines is None:
            self.outlines = self._outline(None if self.before is None else self.before.outlines)
        return self.outlines

    def _decode(self, before: "Decoded | None") -> "Decoded":
        known = before or Decoded()
        text = self._text(before)
        if not self.is_text:
            check_utf8(text)
            self.is_text = True
        new = _TURNS.decode(text)[before is not None :]
        check_turns(new, len(known.turns))
        names, system = called(new), [turn for turn in new if turn.role == "system"]
        return Decoded(
            known.turns + new,
            known.names if names <= known.names else known.names | names,
            known.system + system if system else known.system,
        )

    def _outline(self, before: "Outlined | None") -> "Outlined":
        known = before or Outlined()
        new = _OUTLINES.decode(self._text(before))[before is not None :]
        parts = (*known.parts, new)
        found = odd(new, self.count - len(new))
        return Outlined(
            parts if len(parts) <= _PIECES else ([*chain(*parts)],), known.odd + found if found else known.odd
        )

    def _text(self, before: object) -> bytes:
        """JSON of all turns; of a turn without words and the newest ones, if those `before` them are known."""
        if before is not None:
            return self._newest
        if len(self.pieces) > 1:
            return b"[%b]" % b"".join(self.pieces)
        return cast("bytes", self.pieces[0].obj)


class KnownTurns(list[Turn]):
    """The turns of a body, the first of which are a known beginning. No turn of the assistant comes right behind it."""

    __slots__ = ("beginning",)

    def __init__(self, beginning: Beginning, more: list[Turn]) -> None:
        super().__init__(beginning.decoded().turns)
        self += more
        self.beginning = beginning


class KnownOutlines(Sequence[TurnOutline]):
    """The same of a body that is passed on. Of the turns of its beginning most are not even touched."""

    __slots__ = ("_all", "known", "more")

    def __init__(self, beginning: Beginning, more: list[TurnOutline]) -> None:
        """`more`: the turns behind it. Raises msgspec.DecodeError and UnicodeDecodeError."""
        self.known = beginning.outlined()
        self.more = more
        self._all: list[TurnOutline] | None = None

    def __len__(self) -> int:
        return sum(map(len, self.known.parts)) + len(self.more)

    @overload
    def __getitem__(self, index: int) -> TurnOutline: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[TurnOutline]: ...

    def __getitem__(self, index: int | slice) -> TurnOutline | Sequence[TurnOutline]:
        if index == -1 and self.more:
            return self.more[-1]
        if self._all is None:
            self._all = [*chain(*self.known.parts, self.more)]
        return self._all[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self[:] == other[:]

    __hash__ = None  # type: ignore[assignment]


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


def all_called(turns: list[Turn]) -> frozenset[str]:
    """The same for all turns of a body."""
    beginning = beginning_of(turns)
    if beginning is None:
        return called(turns)
    known, new = beginning.decoded().names, called(turns[beginning.count :])
    return known | new if new else known


def system_turns(turns: list[Turn]) -> list[Turn]:
    """The system turns inside the conversation of a body."""
    beginning = beginning_of(turns)
    if beginning is None:
        return [turn for turn in turns if turn.role == "system"]
    return beginning.decoded().system + [turn for turn in turns[beginning.count :] if turn.role == "system"]


def odd_turns(turns: Sequence[TurnOutline]) -> list[int]:
    """Numbers of the turns of a body that a server could refuse; see `outline.odd`."""
    if not isinstance(turns, KnownOutlines):
        return odd(turns, 0)
    return turns.known.odd + odd(turns.more, len(turns) - len(turns.more))
