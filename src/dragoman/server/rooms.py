"""Rooms that bodies are gathered in, used again: a new one is written over with zeros first."""

STEP = 256 * 1024  # bytes: sizes are multiples of it, so that the next body of a conversation fits, too
KEPT = 4 * 1024 * 1024  # bytes that wait for the next body, at most


class Rooms:
    """Those that nobody is in. The one that was left last is taken first: its bytes are still in the caches."""

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
