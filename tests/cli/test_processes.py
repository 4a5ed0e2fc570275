"""Supervision of worker processes, and the files that `dragoman stop` reads."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dragoman.cli import processes
from dragoman.cli.failure import Failure


def note(file: Path) -> None:
    with file.open("a") as out:
        out.write(f"{os.getpid()}\n")


def work(file: Path) -> None:
    note(file)
    signal.pause()


def fail(file: Path) -> None:
    note(file)
    raise RuntimeError("broken worker")


def until(check: Callable[[], bool], limit: float = 20) -> None:
    end = time.monotonic() + limit
    while not check():
        assert time.monotonic() < end
        time.sleep(0.01)


def lines(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def supervised(file: Path, *works: Callable[[], None]) -> int:
    """A supervisor in a child process of this one; returns its id."""

    def run() -> None:
        sys.stderr = (file.parent / "stderr").open("w")
        os._exit(processes.Supervisor(works).run())

    return processes.fork(run)


def ended(process: int) -> int:
    """The exit code, once the process has ended; after 20 s it is killed and that is an error."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    raise AssertionError(f"process {process} did not end")


def test_workers_are_started_again_and_stopped(tmp_path: Path) -> None:
    file = tmp_path / "workers"
    parent = supervised(file, partial(work, file), partial(work, file))
    until(lambda: len(lines(file)) == 2)
    os.kill(lines(file)[0], signal.SIGKILL)
    until(lambda: len(lines(file)) == 3)
    os.kill(parent, signal.SIGTERM)
    assert ended(parent) == 0
    for process in lines(file):
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_workers_that_always_die_end_the_parent(tmp_path: Path) -> None:
    file = tmp_path / "workers"
    parent = supervised(file, partial(fail, file))
    assert ended(parent) == 1
    assert len(lines(file)) == processes.DEATHS
    said = (tmp_path / "stderr").read_text()
    assert "giving up" in said
    assert "broken worker" in said


def test_remembering_and_forgetting(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert processes.remembered(folder) == {}
    file = processes.remember(folder, 8082)
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "serve-9000.pid").write_text("999999999")
    (folder / "serve-odd.pid").write_text("x")
    # The tests are no dragoman, unless their path says so: what counts is the command line.
    assert set(processes.remembered(folder)) <= {8082}
    assert not (folder / "serve-9000.pid").exists()
    assert file.name == "serve-8082.pid"


def test_only_a_dragoman_counts_as_ours() -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd="/")
    named = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)  # dragoman serve"], cwd="/")
    try:
        until(lambda: processes.is_ours(named.pid))
        assert processes.is_ours(named.pid)
        assert not processes.is_ours(other.pid)
        assert not processes.is_ours(999999999)
    finally:
        for process in (other, named):
            process.kill()
            process.wait()


def test_stop_waits_for_the_end() -> None:
    program = (
        "import signal, sys  # dragoman serve\n"
        "signal.signal(15, lambda *_: sys.exit(0))\nprint(1, flush=True)\nsignal.pause()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    reaper = processes.fork(lambda: processes.stop(process.pid, 20))
    assert process.wait(20) == 0
    process.stdout.close()
    assert ended(reaper) == 0


def test_stop_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _process, number: sent.append(number))
    monkeypatch.setattr(processes, "is_ours", lambda _process: True)
    with pytest.raises(Failure, match="kill -9 12345"):
        processes.stop(12345, 0.1)
    assert sent == [signal.SIGTERM]


def test_a_worker_that_fails_plainly_shows_no_traceback(tmp_path: Path) -> None:
    def work() -> None:
        sys.stderr = (tmp_path / "stderr").open("w")
        raise Failure("No luck.")

    assert ended(processes.fork(work)) == 1
    assert (tmp_path / "stderr").read_text() == "Error: No luck.\n"
