"""Bodies in pieces that others hold, too: put together only for who needs them in one.

What a caller sends is mostly what it sent before, and that is here already. So it is compared where it was read to,
and is neither copied from there, nor put together once more for an upstream.
"""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Raw

Piece: TypeAlias = bytes | memoryview | Raw
Cut: TypeAlias = tuple[int, int, bytes, Sequence[Piece]]
"""What is known of a body: where it stands, from and to; the sign in its place; and the same text in pieces."""


class Pieces:
    """A body in pieces. `len` and `bytes` are those of the whole."""

    __slots__ = ("_size", "parts")

    def __init__(self, parts: list[Piece]) -> None:
        self.parts = parts
        self._size = sum(map(len, parts))

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)


class Cutting:
    """A body without what is known of it.

    `rest`: the other bytes, and a sign in the place of each of the `cuts`; `spots`: where the signs are in there.
    """

    __slots__ = ("cuts", "rest", "spots")

    def __init__(self, cuts: list[Cut], rest: bytes, spots: list[int]) -> None:
        self.cuts = cuts
        self.rest = rest
        self.spots = spots

    def pieces(self) -> Pieces:
        """The body, with what is known in place of each sign."""
        rest = memoryview(self.rest)
        parts: list[Piece] = []
        at = 0
        for (_, _, sign, texts), spot in zip(self.cuts, self.spots, strict=True):
            parts.append(rest[at:spot])
            parts += texts
            at = spot + len(sign)
        parts.append(rest[at:])
        return Pieces(parts)

    def behind(self, sign: bytes) -> int:
        """Where the rest goes on behind one of the signs."""
        return self.spots[[each[2] for each in self.cuts].index(sign)] + len(sign)

    def place(self, at: int) -> int:
        """Where in the body that is what stands at `at` in the rest, which is no place inside a sign."""
        found = at
        for (start, end, sign, _), spot in zip(self.cuts, self.spots, strict=True):
            if spot < at:
                found += end - start - len(sign)
        return found


def cut(room: bytes | bytearray, begin: int, end: int, cuts: list[Cut]) -> Cutting | None:
    """The body in `room`, from `begin` to `end`, without `cuts`, which are in order; None if they overlap."""
    whole = memoryview(room)
    pieces: list[Piece] = []
    spots: list[int] = []
    at, size = begin, 0
    for start, stop, sign, _ in cuts:
        if begin + start < at:
            return None
        pieces += whole[at : begin + start], sign
        size += begin + start - at
        spots.append(size)
        size += len(sign)
        at = begin + stop
    pieces.append(whole[at:end])
    return Cutting(cuts, b"".join(pieces), spots)
