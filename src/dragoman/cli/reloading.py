"""Taking a changed configuration over while serving: on SIGHUP, and when a file has changed."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import FrameType

from dragoman.cli.failure import Failure
from dragoman.cli.terminal import say

HANGUP = getattr(signal, "SIGHUP", None)  # None on Windows
PAUSE = 0.3  # seconds between two looks

KEPT = "The configuration from before stays in use."
TAKEN = "The configuration was read again and is in use."


class Files:
    """Tells whether some files have changed since it was asked before."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._seen = self._look()

    def changed(self) -> bool:
        before, self._seen = self._seen, self._look()
        return self._seen != before

    def _look(self) -> list[tuple[int, int, int] | None]:
        """What tells one state of the files from another."""
        found: list[tuple[int, int, int] | None] = []
        for path in self._paths:
            try:
                state = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((state.st_ino, state.st_mtime_ns, state.st_size))
        return found


class Hangup:
    """SIGHUP, which has two meanings: somebody wants the configuration read again, or the terminal was closed.

    A program that was started in a terminal ends with it, as if this signal were not taken; under nohup it does not.
    """

    def __init__(self, again: Callable[[], object], *, alone: bool) -> None:
        """`again` is called on the signal, at any time. `alone`: no parent of ours looks after the terminal."""
        self._again = again
        self._ends = alone and HANGUP is not None and signal.getsignal(HANGUP) != signal.SIG_IGN and has_terminal()

    def take(self) -> None:
        """Take the signal from now on, and one that came before, since `hold`."""
        if HANGUP is not None:
            signal.signal(HANGUP, self._heard)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {HANGUP})

    def _heard(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._ends and not has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self._again()


def hold() -> None:
    """Let the signal wait until somebody takes it. Children that this process makes inherit that."""
    if HANGUP is not None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {HANGUP})


def has_terminal() -> bool:
    """Whether this process belongs to a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True


async def keep_current(wanted: asyncio.Event, files: Files | None, take_over: Callable[[], Awaitable[None]]) -> None:
    """Runs `take_over` whenever it is wanted, or one of the files has changed. Never returns.

    A Failure is shown, and everything stays as it is.
    """
    while True:
        try:
            async with asyncio.timeout(None if files is None else PAUSE):
                await wanted.wait()
        except TimeoutError:
            if files is not None and not files.changed():
                continue
        wanted.clear()
        try:
            await take_over()
        except Failure as error:
            refused(error)
        except Exception:  # noqa: BLE001 whatever it is: the gateway serves on, and its people must know
            sys.excepthook(*sys.exc_info())
            say(KEPT, error=True)


def refused(error: Failure) -> None:
    """Say it loudly, for people who look at the log and expect their change."""
    error.show()
    say(KEPT, error=True)
