"""One timer for all journeys of a gateway: most are over before anybody has to look at them.

A timer of their own would cost each request as much as its route.
"""

import asyncio
from math import inf
from typing import Protocol
from weakref import ref

PART = 20  # a look may come late by this part of the shortest time that journeys wait for
SHORTEST = 0.001  # seconds: timers may fire a little early


class Waits(Protocol):
    """Who is looked at: `gateway.journey.Journey`."""

    def look(self) -> float:
        """Do what is due. Returns the seconds after which to look again."""
        ...


class Rounds:
    """Looks at each one `soonest` seconds after it began, and then whenever it asked for. Inside a running loop."""

    def __init__(self, soonest: float) -> None:
        self._soonest = soonest
        self._late = max(soonest / PART, SHORTEST)
        self._due: dict[Waits, float] = {}  # by the loop's clock
        self._next = inf  # when the timer fires; inf: there is none
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, one: Waits) -> None:
        """Look at this one from now on. Whom it is told of again, it looks at anew."""
        loop = asyncio.get_running_loop()
        due = self._due[one] = loop.time() + self._soonest
        if due < self._next:
            self._set(loop, due)

    def end(self, one: Waits) -> None:
        """Look no more. The timer may fire once for nobody."""
        self._due.pop(one, None)

    def _set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = due
        self._timer = loop.call_at(due, _fire, ref(self))

    def go(self) -> None:
        """The timer's: one round. Each look is a call of its own, so that one that fails stops no others."""
        loop = asyncio.get_running_loop()
        self._timer, self._next = None, inf
        now = loop.time() + SHORTEST
        for one, due in self._due.items():
            if due <= now:
                self._due[one] = now + self._soonest
                loop.call_soon(self._look, one)
        if self._due:
            self._set(loop, max(min(self._due.values()), now + self._late))

    def _look(self, one: Waits) -> None:
        if one not in self._due:  # it ended just now
            return
        after = one.look()
        loop = asyncio.get_running_loop()
        due = self._due[one] = loop.time() + max(after, self._late)
        if due < self._next:
            self._set(loop, due)


def _fire(rounds: "ref[Rounds]") -> None:
    """A timer that is left over keeps no gateway that is gone."""
    found = rounds()
    if found is not None:
        found.go()
