"""P4.7: what makes a proxy fast, as far as it shows without a clock. `make bench` measures it."""

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from clients import scripted
from predecessors.conftest import ASK, Serve

STREAMS = 24
LIMIT = 20.0  # seconds to wait for what comes at once


class Waiting(scripted.Handler):
    """Chat Completions that send half an answer, and the rest when the test says so. Counts its connections."""

    connections: set[object]
    go_on: threading.Event
    lengths: list[int]

    def post(self) -> None:
        self.connections.add(self.client_address)
        raw = self.body()
        self.lengths.append(len(raw))
        body = json.loads(raw)
        answer = scripted.words("First second.")
        if body.get("stream"):
            self.stream(self._halves(answer, body["model"]), pause=0, cut_after=None)
        else:
            self.whole(200, {}, scripted.unary(answer, body["model"]))

    def _halves(self, answer: scripted.Answer, model: str) -> Iterator[bytes]:
        for piece in scripted.frames(answer, model, usage=True):
            if b"second" in piece:
                assert self.go_on.wait(LIMIT)
            yield piece


@contextmanager
def waiting() -> Iterator[tuple[type[Waiting], str]]:
    kept = {"connections": set(), "go_on": threading.Event(), "lengths": []}
    kind = type("Kept", (Waiting,), kept)
    with scripted.listening(kind) as url:
        yield kind, url


class Stream:
    """One streamed request, read as far as it has come."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=LIMIT)
        self.connection.request("POST", "/v1/messages", json.dumps({**ASK, "stream": True}))
        self.answer = self.connection.getresponse()

    def until(self, text: bytes) -> bytes:
        found = b""
        while text not in found:
            piece = self.answer.read1()
            assert piece, found
            found += piece
        return found


def test_p4_7_pieces_at_once_many_at_a_time_and_one_connection(serve: Serve) -> None:
    with waiting() as (host, url):
        lines: dict[str, Any] = {"OPENAI_API_KEY": "canary", "OPENAI_BASE_URL": f"{url}/v1", "BIG_MODEL": "gpt-4.1"}
        with serve(**lines) as gateway:
            for _ in range(10):
                assert gateway.ask().text == "First second."
            assert len(host.connections) == 1
            # The same bytes go up for the same request: nothing grows from one to the next.
            assert len(set(host.lengths)) == 1
            with ThreadPoolExecutor(STREAMS) as pool:
                streams = list(pool.map(lambda _: Stream(gateway.url), range(STREAMS)))
                # The second half has not been sent to anybody yet, and all have the first.
                begun = list(pool.map(lambda each: each.until(b"First"), streams))
                assert not any(b"second" in each for each in begun)
                host.go_on.set()
                rest = list(pool.map(lambda each: each.until(b"message_stop"), streams))
            assert all(b"second" in each for each in rest)
            assert len(host.connections) <= STREAMS + 1
            for _ in range(5):
                assert gateway.ask().status == 200
            assert len(host.connections) <= STREAMS + 1
            for each in streams:
                each.connection.close()
