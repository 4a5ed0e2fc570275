"""Connections between calls: which are open, which are free, and who waits for one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from dragoman.messages.errors import ApiError
from dragoman.upstream.connection import Connection
from dragoman.upstream.place import Place

KEEP_ALIVE = 55.0  # seconds an idle connection is kept; load balancers drop theirs after 60
WAITING_LIMIT = 1000  # calls that wait for a connection to one upstream

CLOSED = "The connections to upstreams are closed."

Key = tuple[object, ...]


class _Waiter:
    """A call that waits. It gets a connection, or None: leave to make one."""

    __slots__ = ("fresh", "turn")

    def __init__(self, *, fresh: bool) -> None:
        self.fresh = fresh
        self.turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()


class _Shelf:
    """The connections to one upstream."""

    __slots__ = ("count", "idle", "key", "limit", "waiting")

    def __init__(self, key: Key, limit: int) -> None:
        self.key = key
        self.limit = limit  # connections; 0: none
        self.count = 0  # connections that are open, or about to be
        self.idle: dict[Connection, float] = {}  # since when; the one that was used last is last
        self.waiting: deque[_Waiter] = deque()


class Pool:
    """Keeps connections. `limit`: how many may be open to a host and port at the same time, 0 is no limit; who wants
    one more waits in turn, at most `patience` seconds. `dial` makes a connection.
    """

    def __init__(
        self, dial: Callable[[Place], Awaitable[Connection]], *, limit: Callable[[str, int], int], patience: float
    ) -> None:
        self._dial = dial
        self._limit = limit
        self._patience = patience
        self._shelves: dict[Key, _Shelf] = {}
        self._homes: dict[Connection, _Shelf] = {}  # every connection that is open
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self._empty: asyncio.Future[None] | None = None

    def kept(self, place: Place) -> Connection | None:
        """A connection that was used before and is free: the last one used, which is the likeliest to be alive."""
        shelf = self._shelves.get(place.key)
        while shelf is not None and shelf.idle:  # those who wait, if any, need one that was never used
            connection, _ = shelf.idle.popitem()
            if not connection.gone and not connection.transport.is_closing():
                return connection
        return None

    async def take(self, place: Place, *, fresh: bool = False) -> Connection:
        """A connection when none is `kept`, maybe after a wait; `fresh`: one that was never used. Raises ApiError."""
        shelf = self._shelves.get(place.key)
        if shelf is None:
            shelf = self._shelves[place.key] = _Shelf(place.key, self._limit(place.host, place.port))
        if shelf.limit and (shelf.waiting or shelf.count >= shelf.limit):
            handed = await self._wait(shelf, place, fresh=fresh)
            if handed is not None:
                return handed
        else:
            shelf.count += 1
        try:
            connection = await self._dial(place)
        except BaseException:
            self._free(shelf)
            raise
        if self._closed:
            connection.abort()
            self._free(shelf)
            raise ApiError("unreachable", CLOSED)
        if connection.gone:
            self._free(shelf)
        else:
            connection.keeper = self
            self._homes[connection] = shelf
        return connection

    async def close(self) -> None:
        """Close every connection, and wait until they are closed. Calls that wait for one fail."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for shelf in self._shelves.values():
            for waiter in shelf.waiting:
                if not waiter.turn.done():
                    waiter.turn.set_exception(ApiError("unreachable", CLOSED))
            shelf.waiting.clear()
        if self._homes:
            self._empty = asyncio.get_running_loop().create_future()
            for connection in list(self._homes):
                connection.end()
            await self._empty

    # The connection's

    def give_back(self, connection: Connection) -> None:
        shelf = self._homes[connection]
        while shelf.waiting:
            waiter = shelf.waiting[0]
            if waiter.turn.done():  # cancelled just now
                shelf.waiting.popleft()
                continue
            if waiter.fresh:
                connection.abort()  # `lost` lets that one make its own
            else:
                shelf.waiting.popleft()
                waiter.turn.set_result(connection)
            return
        loop = asyncio.get_running_loop()
        shelf.idle[connection] = loop.time()
        if self._sweep is None:
            self._sweep = loop.call_later(KEEP_ALIVE, self._close_idle)

    def lost(self, connection: Connection) -> None:
        shelf = self._homes.pop(connection)
        shelf.idle.pop(connection, None)
        self._free(shelf)
        if self._empty is not None and not self._homes and not self._empty.done():
            self._empty.set_result(None)

    async def _wait(self, shelf: _Shelf, place: Place, *, fresh: bool) -> Connection | None:
        if len(shelf.waiting) >= WAITING_LIMIT:
            text = f"{len(shelf.waiting)} calls wait for a connection to {place.name} already. Try again later."
            raise ApiError("busy", text)
        waiter = _Waiter(fresh=fresh)
        shelf.waiting.append(waiter)
        useless = next((connection for connection in shelf.idle if not connection.gone), None)
        if useless is not None:  # kept, and not what this one needs: `lost` lets it make its own
            useless.abort()
        try:
            async with asyncio.timeout(self._patience):
                try:
                    return await waiter.turn
                except asyncio.CancelledError:
                    self._withdraw(shelf, waiter)
                    raise
        except TimeoutError:
            limit = f"All {shelf.limit} connections to {place.name} are in use, for {self._patience:g} s."
            text = f"{limit} Try again later, or raise `connections` of its provider."
            raise ApiError("busy", text) from None

    def _withdraw(self, shelf: _Shelf, waiter: _Waiter) -> None:
        """Who waits goes away. A turn that came in the same moment is the next one's."""
        if waiter in shelf.waiting:
            shelf.waiting.remove(waiter)
        elif not waiter.turn.cancelled() and waiter.turn.exception() is None:
            handed = waiter.turn.result()
            if handed is None:
                self._free(shelf)
            elif not handed.gone:
                self.give_back(handed)

    def _free(self, shelf: _Shelf) -> None:
        """One connection less: whoever waits may make one."""
        while shelf.waiting:
            waiter = shelf.waiting.popleft()
            if not waiter.turn.done():
                waiter.turn.set_result(None)
                return
        shelf.count -= 1
        if shelf.count == 0:
            self._shelves.pop(shelf.key, None)

    def _close_idle(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time()
        for shelf in self._shelves.values():
            for connection, since in list(shelf.idle.items()):
                if since + KEEP_ALIVE > loop.time():
                    oldest = min(oldest, since)
                    break
                del shelf.idle[connection]
                connection.abort()
        idle = any(shelf.idle for shelf in self._shelves.values())
        self._sweep = loop.call_at(oldest + KEEP_ALIVE, self._close_idle) if idle else None
