"""Places for requests: so many at the same time, so many that wait for their turn, and the others come again later."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from dragoman.messages.errors import ApiError
from dragoman.server.exchange import Exchange
from dragoman.server.intake import Gone, again

RETRY_AFTER = 5.0  # seconds that callers are told to wait

Endpoint = Callable[[Exchange], Awaitable[None]]


class Admission:
    """Hands out places, first come first served. One for a process: applications that follow each other share it."""

    def __init__(self) -> None:
        self.running = 0  # places that are taken
        self._places = 1
        self._queue = 0
        self._patience = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def allow(self, places: int, queue: int, patience: float) -> None:
        """How many may run, how many may wait, and for how many seconds. Those who have a place keep it."""
        self._places, self._queue, self._patience = places, queue, patience
        while self._waiting and self.running < places:
            self.running += 1
            self._give_back()

    def around(self, endpoint: Endpoint) -> Endpoint:
        """`endpoint`, with a place for each of its requests."""

        async def admitted(exchange: Exchange) -> None:
            if self.running < self._places:
                self.running += 1
            else:
                await self._wait(exchange)
            try:
                await endpoint(exchange)
            finally:
                if self._waiting:
                    self._give_back()
                else:
                    self.running -= 1

        return admitted

    async def _wait(self, exchange: Exchange) -> None:
        """Returns with a place. Raises ApiError ("overloaded") and Gone."""
        if len(self._waiting) >= self._queue:
            raise _full("No more requests can wait here (server.queue).")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        leaving = asyncio.ensure_future(_left(exchange))
        try:
            await asyncio.wait((turn, leaving), timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._withdraw(turn)
            raise
        finally:
            leaving.cancel()
        if turn.done():
            return
        self._withdraw(turn)
        if leaving.done():
            raise Gone
        raise _full(f"No request ended for this one to begin within {self._patience:g} s (server.queue_timeout).")

    def _withdraw(self, turn: asyncio.Future[None]) -> None:
        """A place may have come in the same moment; then it is the next one's."""
        if turn.done():
            self._give_back()
        else:
            self._waiting.remove(turn)

    def _give_back(self) -> None:
        """The place of one goes to who waits longest; with fewer places than before, to nobody."""
        if self._waiting and self.running <= self._places:
            self._waiting.popleft().set_result(None)
        else:
            self.running -= 1


def _full(reason: str) -> ApiError:
    return ApiError(
        "overloaded",
        f"Too many requests at the same time. {reason} Try again in {RETRY_AFTER:g} s.",
        retry_after=RETRY_AFTER,
    )


async def _left(exchange: Exchange) -> None:
    """Ends when the caller has left. What is heard meanwhile is kept for the endpoint.

    A body of more than one piece is not read on before its turn, and while it is not read nobody can tell.
    """
    receive = exchange.receive
    message = await receive()
    exchange.receive = again(message, receive)
    if message["type"] != "http.disconnect":
        if message.get("more_body", False):
            await asyncio.get_running_loop().create_future()  # until it is cancelled
        while (await receive())["type"] != "http.disconnect":
            continue
