"""Processes: one that serves, or a parent with workers that inherit its sockets.

Children are made by fork before any event loop or thread exists. Nothing secret is in arguments or titles.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from dragoman.cli.failure import FAILED, Failure
from dragoman.cli.reloading import PAUSE, TAKEN, Files, Hangup, hold, refused
from dragoman.cli.terminal import say

Works = Sequence[Callable[[], None]]

DEATHS = 5  # unplanned ends of workers within
WITHIN = 60.0  # seconds, after which the parent gives up
SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE = 30.0  # seconds that workers get to finish their streams


Lifeline = tuple[int, int]
"""The ends of a pipe. Nothing is written into it: a child that reads learns that its parent is gone."""


def fork(work: Callable[[], None], lifeline: Lifeline | None = None) -> int:
    """Run `work` in a child process and return its id. The child ends when `work` returns.

    SIGHUP waits in it until `work` takes it. SIGINT, which a terminal sends to all, is its parent's business.
    `lifeline`: the child is told to end, as by SIGTERM, when its parent is gone.
    """
    child = os.fork()
    if child:
        return child
    code = FAILED
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if lifeline is not None:
            _hold_on_to(lifeline)
        work()
        code = 0
    except Failure as error:
        error.show()
    except BaseException:  # noqa: BLE001 - the last frame of a child: report, never return into the parent's code
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _hold_on_to(lifeline: Lifeline) -> None:
    """A parent that is killed says nothing, and its orphans would keep the port for ever."""
    ear, mouth = lifeline
    os.close(mouth)  # the parent's alone

    def listen() -> None:
        os.read(ear, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, name="lifeline", daemon=True).start()


class Supervisor:
    """Keeps a set of child processes running until it is told to stop, or until they die too often.

    On SIGHUP, and when one of `files` has changed, it asks `again` what they do from now on, and tells them to take
    that over; when `again` raises Failure all stays as it is. `sockets` are closed when it stops: callers must not wait
    for a process that takes nobody any more.
    """

    def __init__(
        self,
        works: Works,
        again: Callable[[], Works] | None = None,
        files: Files | None = None,
        sockets: Sequence[socket.socket] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._works = works
        self._again = again
        self._files = files
        self._sockets = sockets
        self._clock = clock
        self._lifeline: Lifeline | None = None  # while it runs
        self._children: dict[int, int] = {}  # process -> its place in `works`
        self._deaths: list[float] = []
        self._stopping = False
        self._wanted = False  # to read the configuration again

    def run(self) -> int:
        """Start all, wait for all. Returns the exit code: 0 after SIGTERM or SIGINT."""
        previous = {number: signal.signal(number, self._stop) for number in SIGNALS}
        previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it wakes us
        ear, mouth = os.pipe()
        os.set_blocking(ear, False)
        os.set_blocking(mouth, False)
        signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
        lifeline = self._lifeline = os.pipe()
        try:
            for place in range(len(self._works)):
                self._start(place)
            Hangup(self._want, alone=True).take()
            while self._children:
                self._wait(ear)
        finally:
            hold()
            signal.set_wakeup_fd(-1)
            for end in (ear, mouth, *lifeline):
                os.close(end)
            for number, handler in previous.items():
                signal.signal(number, handler)
        return FAILED if len(self._deaths) >= DEATHS else 0

    def _wait(self, ear: int) -> None:
        """For a signal, or the next look at the files; then do what there is to do."""
        if select.select([ear], [], [], None if self._files is None else PAUSE)[0]:
            os.read(ear, 1024)
        self._reap()
        if self._stopping:
            for each in self._sockets:
                each.close()
        elif self._wanted or (self._files is not None and self._files.changed()):
            self._wanted = False
            self._change()

    def _reap(self) -> None:
        for child in list(self._children):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                self._bury(self._children.pop(child), os.waitstatus_to_exitcode(status))

    def _bury(self, place: int, reason: int) -> None:
        if self._stopping:
            return
        now = self._clock()
        self._deaths = [death for death in self._deaths if now - death < WITHIN] + [now]
        if len(self._deaths) >= DEATHS:
            say(f"Workers ended {DEATHS} times within {WITHIN:.0f} seconds (last: {reason}); giving up.", error=True)
            self._stop(signal.SIGTERM, None)
            return
        say(f"A worker ended ({reason}); starting another.", error=True)
        self._start(place)

    def _start(self, place: int) -> None:
        # A signal that comes between the fork and the entry in the table would miss the child.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {*SIGNALS, signal.SIGHUP})
        try:
            if not self._stopping:
                self._children[fork(self._works[place], self._lifeline)] = place
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _change(self) -> None:
        if self._again is None:
            return
        try:
            self._works = self._again()
        except Failure as error:
            refused(error)
            return
        for child in list(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGHUP)
        say(TAKEN, error=True)

    def _want(self) -> None:
        self._wanted = True

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Each signal is passed on: a worker takes a second one for a wish to be quicker."""
        del number, frame
        self._stopping = True
        for child in list(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)


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
