"""`dragoman serve` in a process of its own, and an upstream behind it whose answers wait for the test."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clients.conftest import clean_environment, wait_for_url


class Served:
    """One `dragoman serve` in a process of its own."""

    def __init__(self, home: Path, arguments: list[str], stdin: int = subprocess.DEVNULL) -> None:
        """It leads a session of its own: what is typed at the terminal of the tests is not for it."""
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.errors = home / "stderr"
        with (home / "stdout").open("ab") as out, self.errors.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dragoman", *arguments],
                cwd=home,
                env=clean_environment(home),
                stdin=stdin,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def url(self) -> str:
        return wait_for_url(self.process, self.errors)

    def said(self) -> str:
        return self.errors.read_text("utf-8")


@contextmanager
def served(home: Path, *arguments: str, stdin: int = subprocess.DEVNULL) -> Iterator[Served]:
    running = Served(home, ["serve", *arguments], stdin)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()
        if running.process.stdin is not None:
            running.process.stdin.close()


def get(
    url: str, path: str = "/health", headers: dict[str, str] | None = None, body: object = None
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        raw = None if body is None else json.dumps(body)
        connection.request("POST" if raw else "GET", path, raw, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def until(true: Callable[[], bool], limit: float = 20.0) -> None:
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


class Upstream:
    """Speaks Chat Completions. The model `held` sends a beginning and waits for `release`; others answer at once."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.held = threading.Semaphore(0)  # one for each answer that waits
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                streamed = body.get("stream", False)
                self.send_header("content-type", "text/event-stream" if streamed else "application/json")
                if streamed:
                    self.send_header("connection", "close")
                    self.end_headers()
                    self.wfile.write(_frame({"content": "beginning "}))
                upstream.wait(body["model"])
                if streamed:
                    self.wfile.write(_frame({"content": "end"}) + _frame({}, "stop") + b"data: [DONE]\n\n")
                    self.close_connection = True
                    return
                message = {"role": "assistant", "content": "end"}
                whole = json.dumps({"id": "1", "choices": [{"message": message, "finish_reason": "stop"}]}).encode()
                self.send_header("content-length", str(len(whole)))
                self.end_headers()
                self.wfile.write(whole)

            def log_message(self, *_: Any) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                """The gateway closes what it was told to end."""

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def wait(self, model: str) -> None:
        if model == "held":
            self.held.release()
            self.release.wait(60)


def _frame(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "1", "choices": [choice]}).encode() + b"\n\n"


@contextmanager
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield running
    finally:
        running.release.set()
        running.server.shutdown()
        running.server.server_close()
        thread.join()


class Asking:
    """One request in a thread of its own."""

    def __init__(self, url: str, model: str, *, stream: bool) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self._url = urlsplit(url)
        turns = [{"role": "user", "content": "Hello"}]
        self._raw = json.dumps({"model": model, "max_tokens": 50, "messages": turns, "stream": stream})
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=60)
        connection.request("POST", "/v1/messages", self._raw)
        answer = connection.getresponse()
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.status = answer.status
        self.body = answer.read()
        connection.close()

    def done(self) -> "Asking":
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self
