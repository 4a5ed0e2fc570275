"""The end of `dragoman serve`: requests are taken for a while, get time to end, and are told when it is over."""

import contextlib
import json
import os
import pty
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.served import Asking, Served, Upstream, get, served, until, upstream
from clients.conftest import clean_environment, wait_for_url
from dragoman.cli.processes import is_ours

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@contextmanager
def gateway(home: Path, workers: str = "1", server: str = "") -> Iterator[tuple[Served, str, Upstream]]:
    with upstream() as lab:
        (home / "dragoman.yaml").write_text(
            f"server: {{{server}}}\nproviders: {{lab: {{dialect: chat, base_url: '{lab.url}'}}}}\n", "utf-8"
        )
        with served(home, "--port", "0", "--workers", workers) as running:
            yield running, running.url(), lab


def refuses(url: str) -> bool:
    """Whether nobody listens there any more."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), 5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.failure(156)
@WORKERS
def test_load_balancers_hear_of_it_first(tmp_path: Path, workers: str) -> None:
    with gateway(tmp_path, workers, "drain_delay: 60") as (running, url, lab):
        begun = [Asking(url, "lab/held", stream=stream) for stream in (True, False)]
        for _ in begun:
            assert lab.held.acquire(timeout=20)
        assert get(url, "/health/ready")[0] == 200
        running.process.terminate()
        until(lambda: get(url, "/health/ready")[0] == 503)
        until(lambda: all(json.loads(get(url, "/health/ready")[1])["status"] == "draining" for _ in range(8)))
        for stream in (True, False):  # everything is still taken, on connections that end with it
            taken = Asking(url, "lab/quick", stream=stream).done()
            assert taken.status == 200
            assert taken.headers["connection"] == "close"
        assert get(url, "/health")[0] == 200
        running.process.terminate()  # quicker
        until(lambda: refuses(url))
        assert running.process.poll() is None
        lab.release.set()
        for asking in begun:
            assert asking.done().status == 200
            assert b"end" in asking.body
        assert b"event: message_stop" in begun[0].body
        assert running.process.wait(20) == 0
        assert "Traceback" not in running.said()


@WORKERS
def test_what_does_not_end_in_time_is_told(tmp_path: Path, workers: str) -> None:
    with gateway(tmp_path, workers, "drain_timeout: 0.5") as (running, url, lab):
        check_cut_off(running, url, lab, signals=1)


@WORKERS
def test_a_further_signal_ends_what_still_runs(tmp_path: Path, workers: str) -> None:
    with gateway(tmp_path, workers, "drain_timeout: 300") as (running, url, lab):
        check_cut_off(running, url, lab, signals=2)


def check_cut_off(running: Served, url: str, lab: Upstream, *, signals: int) -> None:
    streamed, whole = Asking(url, "lab/held", stream=True), Asking(url, "lab/held", stream=False)
    for _ in range(2):
        assert lab.held.acquire(timeout=20)
    running.process.terminate()
    until(lambda: refuses(url))
    for _ in range(signals - 1):
        running.process.terminate()
    assert running.process.wait(20) == 0
    assert streamed.done().status == 200
    assert b"event: error" in streamed.body
    assert b"overloaded_error" in streamed.body
    assert b"event: message_stop" not in streamed.body
    assert whole.done().status == 529
    assert json.loads(whole.body)["error"]["type"] == "overloaded_error"
    assert "Traceback" not in running.said()


@WORKERS
def test_a_key_that_interrupts_all_processes_is_one_signal(tmp_path: Path, workers: str) -> None:
    """A terminal sends SIGINT to the workers, too, and their parent tells them again."""
    with gateway(tmp_path, workers) as (running, url, lab):
        asking = Asking(url, "lab/held", stream=True)
        assert lab.held.acquire(timeout=20)
        os.killpg(running.process.pid, signal.SIGINT)
        until(lambda: refuses(url))
        lab.release.set()
        assert b"event: message_stop" in asking.done().body
        assert running.process.wait(20) == 0
        assert "Traceback" not in running.said()


def test_no_worker_stays_behind_a_parent_that_was_killed(tmp_path: Path) -> None:
    """It would keep the port, and no `dragoman stop` would find it."""
    with gateway(tmp_path, "2") as (running, url, lab):
        parent = running.process.pid
        born = Path(f"/proc/{parent}/task/{parent}/children")
        until(lambda: len(born.read_text("ascii").split()) == 2)
        children = [int(each) for each in born.read_text("ascii").split()]
        asking = Asking(url, "lab/held", stream=True)
        assert lab.held.acquire(timeout=20)
        running.process.kill()
        until(lambda: refuses(url))
        lab.release.set()
        assert b"event: message_stop" in asking.done().body
        until(lambda: not any(is_ours(child) for child in children))
        assert "Traceback" not in running.said()


@pytest.mark.failure(145)
def test_idle_connections_do_not_hold_the_end_up(tmp_path: Path) -> None:
    with gateway(tmp_path, server="drain_timeout: 300") as (running, url, _):
        parts = urlsplit(url)
        with contextlib.ExitStack() as stack:
            for sent in (b"", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /hea"):
                connection = socket.create_connection((parts.hostname or "", parts.port or 0), 20)
                stack.enter_context(connection)
                connection.sendall(sent)
                if sent.endswith(b"\r\n\r\n"):
                    assert connection.recv(1000)
            running.process.terminate()
            assert running.process.wait(100) == 0


@pytest.mark.parametrize("hangup", ["taken", "ignored"])
@WORKERS
def test_it_ends_with_its_terminal(tmp_path: Path, workers: str, hangup: str) -> None:
    """As every program does that knows nothing of SIGHUP; and as all of them, it stays under nohup."""
    errors = tmp_path / "stderr"
    errors.touch()
    process, terminal = pty.fork()
    if process == 0:
        if hangup == "ignored":
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(tmp_path / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), number)
        os.chdir(tmp_path)
        command = [sys.executable, "-m", "dragoman", "serve", "--port", "0", "--workers", workers]
        os.execve(sys.executable, command, clean_environment(tmp_path))
    ended: list[int] = []

    def is_over() -> bool:
        found, status = os.waitpid(process, os.WNOHANG)
        ended.extend([os.waitstatus_to_exitcode(status)] if found else [])
        return bool(found)

    class Waited:
        def poll(self) -> int | None:
            return None

    try:
        url = wait_for_url(Waited(), errors)  # type: ignore[arg-type]
        until(lambda: get(url)[0] == 200)
        os.close(terminal)
        if hangup == "ignored":
            until(lambda: "read again and is in use" in errors.read_text("utf-8"))
            assert get(url)[0] == 200
            os.kill(process, signal.SIGTERM)
        until(is_over)
        assert ended == [0]
    finally:
        if not ended:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
