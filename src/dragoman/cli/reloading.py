"""Serving on while the configuration changes: new processes on the same sockets, and the old ones finish their work."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dragoman.cli.failure import Failure
from dragoman.cli.processes import SIGNALS, fork
from dragoman.cli.terminal import say

PAUSE = 0.3  # seconds between two looks

Works = Sequence[Callable[[], None]]


class Reloader:
    """Runs `works`, and those that `again` returns when a file has changed."""

    def __init__(self, works: Works, again: Callable[[], Works], files: Sequence[Path]) -> None:
        """`again` raises Failure when the change is wrong; then everything stays as it is."""
        self._works = works
        self._again = again
        self._files = files
        self._serving: list[int] = []
        self._ending: list[int] = []
        self._stopping = False

    def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns the exit code."""
        previous = {number: signal.signal(number, self._stop) for number in SIGNALS}
        try:
            seen = self._look()
            self._start(self._works)
            while not self._stopping:
                time.sleep(PAUSE)
                self._reap()
                now = self._look()
                if now != seen:
                    seen = now
                    self._change()
        finally:
            self._end([*self._serving, *self._ending])
            for child in (*self._serving, *self._ending):
                os.waitpid(child, 0)
            for number, handler in previous.items():
                signal.signal(number, handler)
        return 0

    def _look(self) -> list[tuple[int, int, int] | None]:
        """What tells one state of the files from another."""
        found: list[tuple[int, int, int] | None] = []
        for file in self._files:
            try:
                state = file.stat()
            except OSError:
                found.append(None)
            else:
                found.append((state.st_ino, state.st_mtime_ns, state.st_size))
        return found

    def _change(self) -> None:
        try:
            works = self._again()
        except Failure as error:
            error.show()
            say("The configuration from before stays in use.", error=True)
            return
        before, self._serving = self._serving, []
        self._start(works)
        self._end(before)
        self._ending += before
        say("The configuration has changed and is in use.", error=True)

    def _start(self, works: Works) -> None:
        # A signal that comes between the fork and the entry in the list would miss the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self._serving += [fork(work) for work in works]
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _reap(self) -> None:
        for children in (self._serving, self._ending):
            for child in list(children):
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    children.remove(child)
                    if children is self._serving:
                        code = os.waitstatus_to_exitcode(status)
                        say(f"A process ended ({code}); the next change starts another.", error=True)

    @staticmethod
    def _end(children: Sequence[int]) -> None:
        for child in children:
            os.kill(child, signal.SIGTERM)

    def _stop(self, *_: object) -> None:
        self._stopping = True
