"""A changed configuration is taken over while requests run, and none of them is lost."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.served import Asking, Served, Upstream, get, served, until, upstream
from cli.test_leaving import WORKERS

ROUNDS = 20


def configure(home: Path, lab: Upstream, name: str, model: str = "quick") -> None:
    """A new file in the place of the old one, as editors and Kubernetes do it."""
    fresh = home / "fresh"
    providers = f"{{lab: {{dialect: chat, base_url: '{lab.url}'}}}}"
    fresh.write_text(f"providers: {providers}\nmodels: {{{name}: lab/{model}, sonnet: lab/{model}}}\n", "utf-8")
    fresh.replace(home / "dragoman.yaml")


def models(url: str) -> bytes:
    status, body = get(url, "/v1/models")
    assert status == 200
    return body


def everywhere(url: str, name: bytes) -> bool:
    """Whether every process knows the model."""
    return all(name in models(url) for _ in range(8))


@contextmanager
def gateway(home: Path, workers: str, *more: str) -> Iterator[tuple[Served, str, Upstream]]:
    with upstream() as lab:
        configure(home, lab, "first")
        with served(home, "--port", "0", "--workers", workers, *more) as running:
            yield running, running.url(), lab


@pytest.mark.failure(136)
@WORKERS
def test_no_request_is_lost(tmp_path: Path, workers: str) -> None:
    with gateway(tmp_path, workers) as (running, url, lab):
        over = threading.Event()
        found: list[tuple[int, bytes]] = []

        def ask() -> None:
            number = 0
            while not over.is_set():
                number += 1
                asking = Asking(url, "sonnet", stream=number % 2 == 0).done()
                found.append((asking.status, asking.body))

        callers = [threading.Thread(target=ask) for _ in range(4)]
        for caller in callers:
            caller.start()
        for number in range(ROUNDS):
            configure(tmp_path, lab, f"model-{number}")
            before = len(found)
            running.process.send_signal(signal.SIGHUP)
            until(lambda before=before: len(found) > before + 4)  # type: ignore[misc]
        until(lambda: everywhere(url, b"model-19"))
        over.set()
        for caller in callers:
            caller.join()
        running.process.terminate()
        assert running.process.wait(20) == 0
        wrong = [each for each in found if each[0] != 200 or b"end" not in each[1]]
        assert not wrong, wrong[:3]
        lines = [json.loads(line) for line in (tmp_path / "stdout").read_text("utf-8").splitlines()]
        told = [line for line in lines if line.get("path") == "/v1/messages"]
        assert len(told) == len(found)
        assert "Traceback" not in running.said()


@WORKERS
def test_a_stream_ends_as_it_began_and_the_next_is_new(tmp_path: Path, workers: str) -> None:
    with gateway(tmp_path, workers) as (running, url, lab):
        configure(tmp_path, lab, "second", "held")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: everywhere(url, b"claude/second"))
        before = Asking(url, "sonnet", stream=True)
        assert lab.held.acquire(timeout=20)
        configure(tmp_path, lab, "third")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: everywhere(url, b"claude/third"))
        after = Asking(url, "sonnet", stream=True).done()
        assert after.headers["x-dragoman-target"] == "lab/quick"
        lab.release.set()
        assert before.done().headers["x-dragoman-target"] == "lab/held"
        assert b"event: message_stop" in before.body
        assert running.said().count("read again and is in use") == 2


@WORKERS
def test_what_is_wrong_is_told_and_nothing_changes(tmp_path: Path, workers: str) -> None:
    with gateway(tmp_path, workers) as (running, url, lab):
        (tmp_path / "dragoman.yaml").write_text("nonsense: 1\nserver: {port: x, concurrent: 0}\n", "utf-8")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: "from before stays in use" in running.said())
        assert all(word in running.said() for word in ("3 problems", "nonsense", "server.port", "server.concurrent"))
        assert everywhere(url, b"claude/first")
        (tmp_path / "dragoman.yaml").unlink()
        running.process.send_signal(signal.SIGHUP)
        until(lambda: "No provider is configured any more" in running.said())
        assert everywhere(url, b"claude/first")
        configure(tmp_path, lab, "second")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: everywhere(url, b"claude/second"))


@WORKERS
def test_from_the_demo_to_a_provider_and_back(tmp_path: Path, workers: str) -> None:
    with upstream() as lab, served(tmp_path, "--port", "0", "--workers", workers) as running:
        url = running.url()
        assert Asking(url, "sonnet", stream=False).done().headers["x-dragoman-target"].startswith("demo/")
        configure(tmp_path, lab, "first")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: everywhere(url, b"claude/first"))
        assert Asking(url, "sonnet", stream=False).done().headers["x-dragoman-target"] == "lab/quick"
        (tmp_path / "dragoman.yaml").unlink()
        running.process.send_signal(signal.SIGHUP)
        until(lambda: everywhere(url, b"claude/demo"))
        assert Asking(url, "sonnet", stream=False).done().headers["x-dragoman-target"].startswith("demo/")


@WORKERS
def test_settings_of_the_server_are_taken_over_too(tmp_path: Path, workers: str) -> None:
    with gateway(tmp_path, workers) as (running, url, lab):
        asking = Asking(url, "lab/held", stream=True)
        assert lab.held.acquire(timeout=20)
        with (tmp_path / "dragoman.yaml").open("a", encoding="utf-8") as file:
            file.write("server: {workers: 5, drain_timeout: 0.1, auth_token: a-token-of-the-test}\n")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: all(get(url, "/v1/models")[0] == 401 for _ in range(8)))
        # A worker count of the command line is above that of the file.
        assert "Needs another start" not in running.said()
        running.process.terminate()
        assert running.process.wait(20) == 0
        assert b"event: error" in asking.done().body


def test_a_worker_that_is_started_again_has_what_is_new(tmp_path: Path) -> None:
    with gateway(tmp_path, "2") as (running, url, lab):
        configure(tmp_path, lab, "second")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: everywhere(url, b"claude/second"))
        (tmp_path / "dragoman.yaml").write_text("nonsense: 1\n", "utf-8")
        parent = running.process.pid
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split():
            os.kill(int(child), signal.SIGKILL)
        until(lambda: running.said().count("starting another") == 2)
        assert everywhere(url, b"claude/second")


def test_signals_while_it_starts_wait(tmp_path: Path) -> None:
    with gateway(tmp_path, "2") as (running, url, _):
        for _ in range(5):
            running.process.send_signal(signal.SIGHUP)
        assert everywhere(url, b"claude/first")
        until(lambda: "read again and is in use" in running.said())
