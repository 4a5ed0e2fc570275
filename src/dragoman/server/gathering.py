"""Bodies that come in several reads, read into one room, where they are compared with what was said before."""

from typing import cast

from dragoman.messages.decoding import received
from dragoman.server.cycle import Cycle

LARGEST = 8 * 1024 * 1024  # bytes of a body that is given room before it comes; larger ones get theirs as they come
STEP = 256 * 1024  # bytes: sizes of rooms are multiples of it, so that the next body of a conversation fits, too
KEPT = 4 * 1024 * 1024  # bytes of rooms that wait for the next body, at most


class Rooms:
    """Those that nobody is in. They are used again: a new one is written over with zeros first.

    The one that was left last is taken first: its bytes are still in the caches.
    """

    def __init__(self) -> None:
        self._free: list[bytearray] = []
        self._kept = 0  # bytes

    def take(self, size: int) -> bytearray:
        """A room of at least `size` bytes; what stood in it still does."""
        for index in range(len(self._free) - 1, -1, -1):
            if len(self._free[index]) >= size:
                room = self._free.pop(index)
                self._kept -= len(room)
                return room
        return bytearray(-(-size // STEP) * STEP)

    def give_back(self, room: bytearray) -> None:
        """Nobody is in it any more."""
        if self._kept + len(room) <= KEPT:
            self._free.append(room)
            self._kept += len(room)


class Gathering:
    """One body on its way, of a caller who was let in: it is compared with what others said."""

    __slots__ = ("_cycle", "_own", "_rooms", "size")

    def __init__(self, rooms: Rooms, cycle: Cycle, size: int, begun: bytes | memoryview) -> None:
        """`cycle`: whose body it is; `size`: bytes that it will have; `begun`: all that came of it."""
        self._rooms = rooms
        self._cycle = cycle
        self.size = size
        self._own: memoryview | None = memoryview(rooms.take(size))[:size]
        self._own[: len(begun)] = begun

    def place(self, at: int, elsewhere: memoryview) -> memoryview:
        """Where the bytes from `at` on go, and none that come behind the body: `elsewhere` if nobody waits for it."""
        if self._cycle.over:
            self._own = None
        return elsewhere[: self.size - at] if self._own is None else self._own[at:]

    def end(self) -> None:
        """Hand over the body, all of which is there."""
        if self._own is not None:
            room = cast("bytearray", self._own.obj)
            self._cycle.add(received(room, 0, self.size))
            self._rooms.give_back(room)
