"""The way out for lines: a bounded queue and one thread, so that a slow pipe never stops the event loop."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

GATHER = 0.05  # seconds in which lines are gathered into one write
ATOMIC = 4000  # characters of one write: pipes mix longer ones with those of other processes
LIMIT = 10_000  # lines that may wait


class Outlet:
    """Takes lines, writes them in order from a thread of its own. Lines over `limit` are dropped and counted.

    `write` may be called from any thread, before and after `close`.
    """

    def __init__(self, stream: TextIO, *, limit: int = LIMIT, gather: float = GATHER) -> None:
        _tolerate_every_character(stream)
        self.dropped = 0  # lines that were lost since the start
        self._stream = stream
        self._gather = gather
        self._lines: deque[str] = deque()
        self._limit = limit
        self._told = 0
        self._wake = threading.Event()
        self._woken = False  # it is set, or about to be; to look there would be a call, and setting it takes a lock
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def write(self, line: str) -> None:
        """Hand over one line, without its line feed. Never blocks."""
        if len(self._lines) >= self._limit:
            self.dropped += 1
            return
        self._lines.append(line)
        if not self._woken:
            self._woken = True
            self._wake.set()
        if self._thread is None:
            self._start()

    def close(self, timeout: float = 2.0) -> None:
        """Write what is waiting; after `timeout` seconds the pipe counts as dead."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _start(self) -> None:
        # Not in the constructor: a process that forks after making an outlet must not lose the thread.
        with self._starting:
            thread = self._thread or threading.Thread(target=self._run, name="outlet", daemon=True)
            if thread.ident is None:
                thread.start()
            self._thread = thread

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if not self._closing.is_set():
                time.sleep(self._gather)
            self._wake.clear()
            self._woken = False  # after clearing, so that no word is lost, and before the lines are taken
            self._drain()
            if self._closing.is_set() and not self._lines:
                return

    def _drain(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        lost = self.dropped - self._told
        told = [f'{{"event":"dropped","lines":{lost}}}'] if lost else []
        try:
            self._put_all([*lines, *told])
        except (OSError, ValueError):  # the reader of our pipe has gone, or the stream is closed
            self.dropped += len(lines)
        else:
            self._told += lost

    def _put_all(self, lines: list[str]) -> None:
        piece: list[str] = []
        size = 0
        for line in lines:
            if size + len(line) > ATOMIC:
                self._put(piece)
                piece, size = [], 0
            piece.append(line + "\n")
            size += len(line) + 1
        self._put(piece)

    def _put(self, piece: list[str]) -> None:
        self._stream.write("".join(piece))
        self._stream.flush()


def human(form: str, stream: TextIO | None) -> bool:
    """Whether lines are for people: `form` is `logs.format`; "auto" looks whether `stream` is a terminal."""
    if form == "auto":
        return stream is not None and stream.isatty()
    return form == "human"


def standard() -> Outlet:
    """The outlet on standard output."""
    return Outlet(sys.stdout)


def _tolerate_every_character(stream: TextIO) -> None:
    """A console with a small code page gets escapes instead of an exception."""
    change: Callable[..., None] | None = getattr(stream, "reconfigure", None)
    if change is not None:
        change(errors="backslashreplace")
