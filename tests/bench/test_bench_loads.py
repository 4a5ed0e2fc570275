"""The load generator and the canned upstream, as programs: no body is sent twice, and every language streams."""

import json
import shutil
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

built = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("gcc") is None, reason="needs Linux and gcc (apt install gcc)"
)


@pytest.fixture
def mock(bench):
    """The port of a canned upstream that runs."""
    processes = bench("processes")
    port = processes.free_port()
    with subprocess.Popen([str(processes.built("mock")), str(port)]) as process:
        processes.wait_for(port, "/set?events=20&pace=0&text=50")
        yield port
        process.terminate()


def test_bodies_differ_and_conversations_grow(bench):
    bodies = bench("bodies")
    first, later = bodies.Session(3, rounds=6), bodies.Session(4, rounds=6)
    shorter, longer = first.request(4, stream=False), first.request(5, stream=False)
    assert longer["messages"][: len(shorter["messages"]) - 1] == shorter["messages"][:-1]
    assert longer["tools"] == shorter["tools"]
    assert later.request(4, stream=False)["messages"] != shorter["messages"]
    assert bodies.STAMP in bodies.encoded(shorter).decode()


@pytest.mark.parametrize("size", [1_000, 10_000, 100_000])
def test_bodies_have_the_size_that_is_asked_for(bench, size):
    bodies = bench("bodies")
    for request in bodies.sized(size)[:2]:
        assert 0.9 * size <= len(bodies.encoded(request)) <= 1.1 * size


class Keeping(BaseHTTPRequestHandler):
    """Answers every request, and keeps its key and body."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self):
        self.seen.append((self.headers["x-api-key"], self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        """Quiet."""


@built
def test_no_body_is_sent_twice(bench, tmp_path):
    processes, bodies = bench("processes"), bench("bodies")
    Keeping.seen.clear()
    file = bodies.lines(tmp_path / "bodies.jsonl", [bodies.small(stream=False)])
    with ThreadingHTTPServer(("127.0.0.1", 0), Keeping) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [str(processes.built("loadgen")), "-p", str(server.server_address[1]), "-c", "1", "-d", "0.5"]
        command += ["-f", str(file), "-k", "a-key", "-w", "0.05"]
        found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
        server.shutdown()
    assert found["errors"] == 0
    assert found["requests"] > 0
    assert {key for key, _ in Keeping.seen} == {"a-key"}
    said = [json.loads(body)["messages"][0]["content"] for _, body in Keeping.seen]
    assert said == [f"Say {number:010d} in one line." for number in range(len(said))]


@built
@pytest.mark.parametrize("dialect", ["chat", "responses", "gemini", "anthropic"])
def test_every_language_streams_text_and_arguments(bench, mock, dialect):
    gate = bench("gate")
    pieces, kind = gate.canned(mock, dialect, stream=True)
    assert kind.startswith("text/event-stream")
    assert len(pieces) >= 20
    assert "Write" in "".join(pieces)
    with urllib.request.urlopen(f"http://127.0.0.1:{mock}/set?text=0", timeout=20) as answer:
        answer.read()
    assert " model" not in "".join(gate.canned(mock, dialect, stream=True)[0]) or dialect == "gemini"
    assert len(gate.canned(mock, dialect, stream=False)[0]) == 1
