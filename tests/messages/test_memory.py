"""Texts that come again, found by where they stood."""

import pytest

from dragoman.messages.memory import Memory


def find(memory: Memory[int], raw: bytes) -> tuple[int, int, int] | None:
    """In a body by itself, and in one that stands somewhere in a room, with what was there before behind it."""
    found = memory.find(raw, 0, len(raw))
    room = bytearray(b"before" + raw + b"[tools]89")
    assert memory.find(room, 6, 6 + len(raw)) == found
    return found


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"0123[tools]89", (4, 11, 1)),
        (b"0123[tools]89 and more", (4, 11, 1)),
        (b"more and 0123[tools]89", (13, 20, 1)),
        (b"0123 [tools] 89", None),
        (b"0123[tolls]89", None),
        (b"0123[tools", None),
        (b"]8", None),
        (b"", None),
    ],
)
def test_a_text_is_found_at_its_distance_from_the_begin_or_the_end(
    raw: bytes, found: tuple[int, int, int] | None
) -> None:
    memory: Memory[int] = Memory(2)
    assert find(memory, raw) is None
    memory.keep(b"[tools]", 1, b"0123[tools]89")
    assert find(memory, raw) == found


def test_the_last_places_and_the_last_texts_are_kept() -> None:
    memory: Memory[int] = Memory(2)
    memory.keep(b"a", 1, b"a___")
    memory.keep(b"b", 2, b"_b__")
    memory.keep(b"a", 1, b"___a__")
    assert find(memory, b"a________") is None
    memory.keep(b"c", 3, b"c")
    assert find(memory, b"_b__") is None
    assert find(memory, b"___a__________") == (3, 4, 1)
    assert find(memory, b"c__") == (0, 1, 3)


def test_a_text_that_cannot_be_placed_is_forgotten() -> None:
    memory: Memory[int] = Memory(2)
    twice = b"x" * 64
    memory.keep(twice + b"a", 1, twice + b"a")
    memory.keep(twice + b"a", 1, twice + b"b" + twice + b"a")
    assert find(memory, twice + b"a") is None
