"""Notices that a caller has left, and cancels the work that is done for them.

Our own connections tell it at once. An ASGI server tells it only to who asks (`receive`), and asking costs a task. So
nobody asks in the first moments: a short answer never pays, and who leaves meanwhile is noticed when the asking begins.
"""

import asyncio

from starlette.types import Receive

PATIENCE = 0.05  # seconds


class Presence:
    """Watches one caller on behalf of the current task, from its making until `stop`. `Cycle.watch` does without."""

    __slots__ = ("_receive", "_task", "_timer", "_watching", "gone")

    def __init__(self, receive: Receive, patience: float = PATIENCE) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A caller is watched on behalf of a task.")
        self.gone = False
        self._receive = receive
        self._task = task
        self._watching: asyncio.Task[None] | None = None
        self._timer = task.get_loop().call_later(patience, self._start)

    def stop(self) -> None:
        """The work is over; who leaves now has got everything."""
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None  # it will hold its own end, and through it this: a circle, for each stream

    def _start(self) -> None:
        self._watching = self._task.get_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self.gone = True
        self._task.cancel()
