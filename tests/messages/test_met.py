"""Conversations are found by a few bytes of them, however many are known."""

import random
from typing import Any

import pytest

from dragoman.messages.beginning import Beginning
from dragoman.messages.met import Conversations, Met

BEFORE = b'{"model":"m","messages":['
LIMIT = 2**24


def turns(number: int, size: int = 3000) -> bytes:
    """Two turns, in words that no other number has."""
    said = b"%d " % number + random.Random(number).randbytes(size // 2).hex().encode()
    return b'{"role":"user","content":"%b"},{"role":"assistant","content":"%b"}' % (said, said[::-1])


def met(number: int, more: int = 0, before: bytes = BEFORE) -> tuple[Met, bytes]:
    """A conversation of two turns and two each for `more`, and a body that goes on with it."""
    text = turns(number)
    beginning = Beginning(text, 2)
    for each in range(more):
        longer = b"," + turns(1000 * (1 + each) + number)
        beginning = Beginning(longer, 2, beginning)
        text += longer
    return Met(beginning, len(before)), before + text + b',{"role":"user","content":"and now"}]}'


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[Beginning]:
    """Beginnings that were compared with a body, from their first byte on."""
    found: list[Beginning] = []
    for name in ("begins", "in_common"):
        real = getattr(Beginning, name)

        def counted(self: Beginning, *given: Any, real: Any = real) -> Any:
            found.append(self)
            return real(self, *given)

        monkeypatch.setattr(Beginning, name, counted)
    return found


@pytest.mark.parametrize("more", [0, 1, 5, 40])
def test_it_is_found_without_a_look_at_all_others(more: int, compared: list[Beginning]) -> None:
    known = Conversations(LIMIT * 10)
    bodies = [(known.keep(each), body) for each, body in (met(number, more) for number in range(100))]
    for each, body in bodies:
        compared.clear()
        room = bytearray(b"something else" + body + body)
        assert known.find(room, 14, 14 + len(body)) is each
        assert compared[-1] is each.beginning
        assert len(compared) <= 2  # the one before is tried first
        compared.clear()
        assert known.find(room, 14, 14 + len(body)) is each
        assert compared == [each.beginning]
    compared.clear()
    _, new = met(777, more)
    assert known.find(new, 0, len(new)) is None
    assert known.fork(new, 0, len(BEFORE), len(new)) is None
    assert len(compared) == 1


def test_what_stands_behind_the_end_is_no_part_of_it() -> None:
    known = Conversations(LIMIT)
    each, body = met(1)
    known.keep(each)
    whole = len(BEFORE) + each.beginning.size
    assert known.find(body, 0, whole) is each
    assert known.find(body, 0, whole - 1) is None


def test_it_is_found_where_it_stands_now() -> None:
    known = Conversations(LIMIT)
    each, body = met(1, 3)
    known.keep(each)
    moved = b" " * 5000 + body
    assert known.find(moved, 0, len(moved)) is None
    found = known.fork(moved, 0, 5000 + len(BEFORE), len(moved))
    assert found is not None
    assert found.beginning is each.beginning
    assert list(known.met) == [found]
    assert known.find(moved, 0, len(moved)) is found


def test_of_many_that_begin_alike_the_newest_are_compared(compared: list[Beginning]) -> None:
    known = Conversations(LIMIT * 10)
    same = b'{"role":"user","content":"%b' % (b"the same reminder " * 300)
    for number in range(200):
        known.keep(Met(Beginning(same + turns(number), 2), len(BEFORE)))
    body = BEFORE + same + turns(777)
    assert known.find(body, 0, len(body)) is None
    assert known.fork(body, 0, len(BEFORE), len(body)) is None
    assert 0 < len(compared) < 150


def test_it_is_found_when_it_has_grown() -> None:
    known = Conversations(LIMIT)
    each, body = met(1)
    known.keep(each)
    text = body[len(BEFORE) : len(BEFORE) + each.beginning.size]
    for number in range(2, 30):
        more = b"," + turns(number)
        text += more
        known.grow(each, each.beginning, Beginning(more, 2, each.beginning))
        body = BEFORE + text + b"]}"
        assert known.find(body, 0, len(body)) is each
        assert list(known.met) == [each]
        assert each.beginning.count == 2 * number


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    known = Conversations(200_000)
    for number in range(50):
        each = known.keep(met(number, number % 4)[0])
        for more in range(number % 7):
            known.grow(each, each.beginning, Beginning(b"," + turns(more), 2, each.beginning))
    assert known.cost == sum(each.cost for each in known.met) <= 200_000
    places = {each.place for each in known.met}
    assert set(known._at) == set(known._places) == places
    assert known._places == sorted(places)
    at = {(place, text, each) for place, texts in known._at.items() for text, found in texts.items() for each in found}
    assert at == {(each.place, each.landmark, each) for each in known.met}
    assert {each for found in known._first.values() for each in found} == set(known.met)
