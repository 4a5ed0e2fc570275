"""Texts that come again from body to body, found without reading them.

An agent sends its tools with every request, and they are half of it. They stand as far from the begin of the body as
before, or from its end: two comparisons of memory find them, where decoding would read them all again.
"""

from typing import Generic, TypeVar

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """The texts that were met last, with what was made of them. It changes nothing but the time that things take."""

    def __init__(self, limit: int) -> None:
        """`limit`: texts that are kept."""
        self._limit = limit
        self._places: dict[bytes, tuple[Value, int, int]] = {}  # bytes before its begin, and from there to the end

    def find(self, room: bytes | bytearray, begin: int, end: int) -> tuple[int, int, Value] | None:
        """Where a known text begins and ends in the body that stands in `room` from `begin` to `end`, and its value.

        The one that was met last is tried first.
        """
        size = end - begin
        for text, (value, before, behind) in reversed(self._places.items()):
            for start in (before, size - behind):
                if start >= 0 and room.startswith(text, begin + start, end):
                    return start, start + len(text), value
        return None

    def keep(self, text: bytes, value: Value, raw: bytes) -> None:
        """Remember `text` with its value, where it stands in `raw`; the one that was not met for longest goes."""
        start = raw.find(text[:64])
        self._places.pop(text, None)
        if raw.startswith(text, start):
            self._places[text] = value, start, len(raw) - start
        if len(self._places) > self._limit:
            del self._places[next(iter(self._places))]
