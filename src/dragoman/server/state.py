"""What all connections of a server share: settings, the room that they read into, and the lines of every answer."""

from collections.abc import Callable

from uvicorn.server import ServerState

from dragoman.config.settings import Server
from dragoman.server.cycle import status_line
from dragoman.server.gathering import Rooms

ROOM = 256 * 1024  # bytes that are read at once


class State(ServerState):
    """What all connections of a server share. `settings` tells those of now."""

    def __init__(self, settings: Callable[[], Server]) -> None:
        super().__init__()
        self.settings = settings
        self.draining = False
        self.room = bytearray(ROOM)
        """Where a connection finds what it was just sent, which stands there for as long as that call takes."""
        self.view = memoryview(self.room)
        self.rooms = Rooms()
        self._date = b""
        self._firsts: dict[int, bytes] = {}

    def tick(self, date: bytes) -> None:
        """`date`: lines of every answer; told once a second."""
        self._date = date
        self._firsts = {}

    def first(self, status: int) -> bytes:
        """The lines that an answer begins with."""
        found = self._firsts.get(status)
        if found is None:
            found = self._firsts[status] = b"%b%b" % (status_line(status), self._date)
        return found
