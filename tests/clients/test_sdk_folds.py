"""The official SDKs fold every golden stream to the message that our own fold makes."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Union, get_args

import msgspec
import pytest

from clients.conftest import client, program, run_json
from dragoman.messages.events import Deltas, ErrorEvent, Event, Relayed, WholeBlock
from dragoman.messages.fold import fold
from dragoman.messages.sse import FrameReader

GOLDEN = Path(__file__).parents[1] / "cases" / "answers"
# Those of Messages are passed on: nothing in them is ours.
CASES = {
    path.relative_to(GOLDEN).as_posix(): path
    for path in sorted(GOLDEN.rglob("*.golden.sse"))
    if path.parent.name != "anthropic"
}
TOLD: Any = Union[tuple(kind for kind in get_args(Event) if kind not in {Deltas, Relayed, WholeBlock})]  # noqa: UP007 - a list
COUNTERS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
NEW_REASON = b"model_context_window_exceeded"  # a stop reason that the oldest SDK refuses in its strict mode
NODE = Path(__file__).with_name("fold_sdk.mjs")


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("request-id", "req_golden")
        self.end_headers()
        self.wfile.write(CASES[body["model"]].read_bytes())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Quiet."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(5)


def events(raw: bytes) -> list[Event]:
    reader = FrameReader()
    return [msgspec.json.decode(frame.data, type=TOLD) for frame in [*reader.feed(raw), *reader.close()]]


def bare(value: Any) -> Any:
    """Without nulls and without empty counters, which the SDKs fill in or leave out as they like."""
    if isinstance(value, dict):
        return {name: bare(inner) for name, inner in value.items() if inner not in (None, 0)}
    return [bare(inner) for inner in value] if isinstance(value, list) else value


def comparable(message: dict[str, Any]) -> Any:
    """The message with the counters that SDKs take from `message_delta`; the rest of its usage is that of the start."""
    return bare({**message, "usage": {name: message["usage"].get(name) for name in COUNTERS}})


def compare(folded: dict[str, Any], *, unknown: tuple[str, ...] = ()) -> None:
    """`unknown`: fields of a message that an older SDK does not fold yet."""
    for case, theirs in folded.items():
        ours = events(CASES[case].read_bytes())
        if any(isinstance(event, ErrorEvent) for event in ours):
            assert "error" in theirs, case
        else:
            whole = json.loads(msgspec.json.encode(fold(ours)))
            wanted = {name: value for name, value in whole.items() if name not in unknown}
            assert "error" not in theirs, (case, theirs)
            found = theirs["message"]
            for block, same in zip(wanted["content"], found["content"], strict=True):
                # Cut by the limit: SDKs read what there is as far as it goes.
                if isinstance(block.get("input", {}).get("_raw"), str):
                    assert wanted["stop_reason"] == "max_tokens", case
                    same["input"] = block["input"]
            assert comparable(found) == comparable(wanted), case


@pytest.mark.failure(82, 83, 85, 86, 167, 168)
@pytest.mark.parametrize("version", ["python-2", "python-0"])
def test_python(url: str, version: str) -> None:
    python = client(version, "bin", "python")
    cases = [case for case, path in CASES.items() if version != "python-0" or NEW_REASON not in path.read_bytes()]
    folded = run_json([str(python), str(Path(__file__).with_name("fold_sdk.py")), url, *cases])
    assert list(folded) == cases
    compare(folded, unknown=("stop_details",) if version == "python-0" else ())


@pytest.mark.failure(82, 83, 85, 86, 167, 168)
def test_typescript(url: str) -> None:
    place = client("node", "node_modules", "@anthropic-ai", "sdk").parents[2]
    with NODE.open("rb") as script:
        folded = run_json([program("node"), "--input-type=module", "-", url, *CASES], cwd=place, stdin=script)
    assert list(folded) == list(CASES)
    compare(folded)
