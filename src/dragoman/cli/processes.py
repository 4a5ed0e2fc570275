"""Processes: one that serves, or a parent with workers that inherit its sockets.

Children are made by fork before any event loop or thread exists. Nothing secret is in arguments or titles.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from dragoman.cli.failure import FAILED, Failure
from dragoman.cli.terminal import say

DEATHS = 5  # unplanned ends of workers within
WITHIN = 60.0  # seconds, after which the parent gives up
SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE = 30.0  # seconds that workers get to finish their streams


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a child process and return its id. The child ends when `work` returns."""
    child = os.fork()
    if child:
        return child
    code = FAILED
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        work()
        code = 0
    except KeyboardInterrupt:
        code = 0
    except Failure as error:
        error.show()
    except BaseException:  # noqa: BLE001 - the last frame of a child: report, never return into the parent's code
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Supervisor:
    """Keeps a set of child processes running until it is told to stop, or until they die too often."""

    def __init__(self, works: Sequence[Callable[[], None]], clock: Callable[[], float] = time.monotonic) -> None:
        self._works = works
        self._clock = clock
        self._children: dict[int, Callable[[], None]] = {}
        self._deaths: list[float] = []
        self._stopping = False

    def run(self) -> int:
        """Start all, wait for all. Returns the exit code: 0 after SIGTERM or SIGINT."""
        previous = {number: signal.signal(number, self._stop) for number in SIGNALS}
        try:
            for work in self._works:
                self._start(work)
            while self._children:
                self._wait()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        return FAILED if len(self._deaths) >= DEATHS else 0

    def _wait(self) -> None:
        child, status = os.wait()
        work = self._children.pop(child, None)
        if work is None or self._stopping:
            return
        now = self._clock()
        self._deaths = [death for death in self._deaths if now - death < WITHIN] + [now]
        reason = os.waitstatus_to_exitcode(status)
        if len(self._deaths) >= DEATHS:
            say(f"Workers ended {DEATHS} times within {WITHIN:.0f} seconds (last: {reason}); giving up.", error=True)
            self._stop(signal.SIGTERM, None)
            return
        say(f"A worker ended ({reason}); starting another.", error=True)
        self._start(work)

    def _start(self, work: Callable[[], None]) -> None:
        # A signal that comes between the fork and the entry in the table would miss the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            if not self._stopping:
                self._children[fork(work)] = work
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._stopping = True
        for child in list(self._children):
            try:
                os.kill(child, number)
            except ProcessLookupError:
                continue


def remember(folder: Path, port: int) -> Path:
    """Write the id of this process to the state folder, for `dragoman stop`. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / f"serve-{port}.pid"
    file.write_text(f"{os.getpid()}\n", "ascii")
    return file


def remembered(folder: Path) -> dict[int, int]:
    """Port -> process id of every gateway that still runs. Files of dead processes are removed."""
    found = {}
    for file in sorted(folder.glob("serve-*.pid")):
        try:
            port, process = int(file.stem.removeprefix("serve-")), int(file.read_text("ascii"))
        except (OSError, ValueError):
            continue
        if is_ours(process):
            found[port] = process
        else:
            file.unlink(missing_ok=True)
    return found


def is_ours(process: int) -> bool:
    """Whether the process runs and is a dragoman: a process id may have been given to another program since."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError, OverflowError):
        return False
    arguments = Path(f"/proc/{process}/cmdline")
    if not arguments.parent.parent.exists():
        return True  # no /proc on this system; the id has to do
    try:
        line = arguments.read_bytes()
    except OSError:
        return False
    return b"dragoman" in line and (b"serve" in line or b"proxy" in line)


def stop(process: int, grace: float = GRACE) -> None:
    """Ask a process to end and wait for it. Raises Failure when it does not within `grace` seconds."""
    os.kill(process, signal.SIGTERM)
    end = time.monotonic() + grace
    while is_ours(process):
        if time.monotonic() > end:
            raise Failure(
                f"Process {process} still finishes its streams after {grace:.0f} s. End it with: kill -9 {process}"
            )
        time.sleep(0.05)
