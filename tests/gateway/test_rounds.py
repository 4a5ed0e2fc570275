"""gateway/rounds: one timer for all who wait."""

import asyncio
import gc
from collections.abc import Callable
from weakref import ref

import pytest

from dragoman.gateway.rounds import Rounds

pytestmark = pytest.mark.anyio


class Waiting:
    """Asks to be looked at after these times, one after the other, and tells of each look."""

    def __init__(self, *after: float, looked: Callable[[], None] = lambda: None) -> None:
        self.looks = 0
        self._after = list(after)
        self._looked = looked

    def look(self) -> float:
        self.looks += 1
        self._looked()
        return self._after.pop(0) if self._after else 60.0


async def test_one_is_looked_at_when_it_asked_for_it() -> None:
    over = asyncio.Event()
    waiting = Waiting(0.001, 0.002, looked=lambda: over.set() if waiting.looks == 3 else None)
    rounds = Rounds(0.001)
    rounds.begin(waiting)
    async with asyncio.timeout(5):
        await over.wait()
    assert waiting.looks == 3


async def test_one_timer_serves_all_and_who_ended_is_left_alone() -> None:
    over = asyncio.Event()
    first, second = Waiting(), Waiting(looked=over.set)
    rounds = Rounds(0.005)
    rounds.begin(first)
    rounds.begin(second)
    rounds.end(first)
    rounds.end(first)
    async with asyncio.timeout(5):
        await over.wait()
    assert (first.looks, second.looks) == (0, 1)


async def test_who_begins_anew_is_looked_at_by_the_new_time() -> None:
    over = asyncio.Event()
    patient = Waiting()
    rounds = Rounds(0.001)
    rounds.begin(patient)
    while not patient.looks:  # and then not for a minute
        await asyncio.sleep(0)
    patient._looked = over.set
    rounds.begin(patient)
    async with asyncio.timeout(5):
        await over.wait()
    assert patient.looks == 2


async def test_a_look_that_fails_stops_no_others() -> None:
    def fail() -> None:
        raise ZeroDivisionError("a bug")

    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: failures.append(context["exception"]))
    over = asyncio.Event()
    rounds = Rounds(0.001)
    rounds.begin(Waiting(looked=fail))
    rounds.begin(Waiting(looked=over.set))
    try:
        async with asyncio.timeout(5):
            await over.wait()
    finally:
        loop.set_exception_handler(None)
    assert isinstance(failures[0], ZeroDivisionError)


async def test_who_ends_in_the_same_round_is_not_looked_at() -> None:
    over = asyncio.Event()
    second = Waiting()
    rounds = Rounds(0.001)

    def look() -> None:
        rounds.end(second)
        asyncio.get_running_loop().call_soon(over.set)

    rounds.begin(Waiting(looked=look))
    rounds.begin(second)
    rounds._due[second] = 0.0  # in the same round, by all means
    async with asyncio.timeout(5):
        await over.wait()
    assert second.looks == 0


async def test_a_timer_that_is_left_over_keeps_nobody() -> None:
    rounds = Rounds(0.01)
    rounds.begin(Waiting())
    gone = ref(rounds)
    del rounds
    gc.collect()
    assert gone() is None
    await asyncio.sleep(0.02)  # it fires, for nobody


async def test_a_round_for_nobody_is_the_last_one() -> None:
    rounds = Rounds(0.001)
    waiting = Waiting()
    rounds.begin(waiting)
    rounds.end(waiting)
    while rounds._timer is not None:
        await asyncio.sleep(0)
    assert waiting.looks == 0
