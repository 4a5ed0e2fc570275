"""curl and a bare socket against the real server: what is really on the wire."""

import json
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from clients.conftest import program
from clients.scripted import Upstream

ROOT = Path(__file__).parents[2]
BODY = json.dumps(
    {"model": "sonnet", "max_tokens": 50, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
)


def connected(url: str, host: str = "127.0.0.1") -> socket.socket:
    found = socket.create_connection((host, urlsplit(url).port), 20)
    found.settimeout(20)
    return found


def request(body: str = BODY, *, path: str = "/v1/messages", method: str = "POST", more: str = "") -> bytes:
    raw = body.encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{more}"
    return f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw


def until(connection: socket.socket, mark: bytes) -> bytes:
    """Bytes up to and including `mark`."""
    seen = b""
    while mark not in seen:
        chunk = connection.recv(65536)
        assert chunk, f"closed before {mark!r}: {seen!r}"
        seen += chunk
    return seen


@pytest.mark.failure(83, 86, 102)
def test_curl_streams(gateway: str) -> None:
    command = [program("curl"), "-sSNi", f"{gateway}/v1/messages", "-H", "content-type: application/json", "-d", BODY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    head, _, rest = done.stdout.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/1.1 200")
    assert "content-type: text/event-stream" in head.lower()
    assert "cache-control: no-cache" in head.lower()
    assert "x-accel-buffering: no" in head.lower()
    names = re.findall(r"^event: (\S+)$", rest, re.MULTILINE)
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert "[DONE]" not in rest


def readme_curl() -> str:
    """The first curl of the README, as a shell command."""
    text = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"```sh\n(curl .*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_curl_of_the_readme_works(demo: str) -> None:
    program("curl")
    command = readme_curl().replace("http://127.0.0.1:8082", demo)
    assert demo in command
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("event: message_start\n")
    assert "event: message_stop\n" in done.stdout


@pytest.mark.failure(151)
def test_both_loopbacks_answer(gateway: str) -> None:
    hosts = ["127.0.0.1"]
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            hosts.append("::1")
    except OSError:
        pass  # no IPv6 on this machine
    for host in hosts:
        with connected(gateway, host) as connection:
            connection.sendall(request("", path="/health", method="GET"))
            assert until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200"), host


def test_requests_in_a_row_on_one_connection(gateway: str) -> None:
    with connected(gateway) as connection:
        for _ in range(3):
            connection.sendall(request())
            seen = until(connection, b"0\r\n\r\n")
            assert seen.startswith(b"HTTP/1.1 200")
            assert b"event: message_stop" in seen


def test_a_body_in_chunks(gateway: str) -> None:
    raw = BODY.encode()
    with connected(gateway) as connection:
        connection.sendall(
            b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for at in range(0, len(raw), 7):
            piece = raw[at : at + 7]
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        assert b"event: message_stop" in until(connection, b"0\r\n\r\n")


@pytest.mark.failure(101)
def test_a_client_that_goes_away_stops_the_upstream(gateway: str, upstream: Upstream) -> None:
    before = upstream.cut_short
    with connected(gateway) as connection:
        connection.sendall(request(BODY.replace("sonnet", "lab/slow")))
        until(connection, b"content_block_delta")
    end = time.monotonic() + 10
    while upstream.cut_short == before:
        assert time.monotonic() < end, "the upstream was not told"
        time.sleep(0.02)


@pytest.mark.failure(153)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("HEAD", "/"),
        ("GET", "/api/hello"),
        ("POST", "/api/event_logging/batch"),
        ("POST", "/api/event_logging/v2/batch"),
    ],
)
def test_probes(gateway: str, method: str, path: str) -> None:
    with connected(gateway) as connection:
        connection.sendall(request("{}" if method == "POST" else "", path=path, method=method))
        assert re.match(rb"HTTP/1\.1 20[0-9]", until(connection, b"\r\n\r\n"))


@pytest.mark.failure(117)
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request("{"), 400),
        (request("{}"), 400),
        (request(BODY, method="PUT"), 405),
        (request(BODY, path="/v1/nothing"), 404),
    ],
)
def test_errors_have_anthropics_form(gateway: str, raw: bytes, status: int) -> None:
    with connected(gateway) as connection:
        connection.sendall(raw)
        seen = until(connection, b"}")
        while seen.count(b"{") > seen.count(b"}"):
            seen += connection.recv(65536)
    head, _, body = seen.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d" % status)
    envelope = json.loads(body)
    assert envelope["type"] == "error"
    assert set(envelope["error"]) == {"type", "message"}
    assert envelope["request_id"]


def whole(gateway: str, body: Any, path: str) -> Any:
    """Status and JSON of one request that is not streamed."""
    with connected(gateway) as connection:
        connection.sendall(request(json.dumps(body), path=path, more="connection: close\r\n"))
        seen = b""
        while chunk := connection.recv(65536):
            seen += chunk
    head, _, raw = seen.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(raw)


@pytest.mark.failure(107, 108, 110)
def test_counting_takes_everything_into_account_and_never_fails(gateway: str) -> None:
    def count(**more: Any) -> int:
        body = {"model": "sonnet", "messages": [{"role": "user", "content": "Hello"}], **more}
        status, answer = whole(gateway, body, "/v1/messages/count_tokens?beta=true")
        assert status == 200, answer
        assert answer.keys() == {"input_tokens"}
        return int(answer["input_tokens"])

    bare = count()
    prose = "The harbour master wrote the names of all ships into a long book. " * 20
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": prose}}}
    assert bare > 0
    assert count(system=prose) > bare + 200
    assert count(tools=[{"name": "weather", "description": "w", "input_schema": schema}]) > bare + 200
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": prose}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": prose}]}
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": [call]}]
    assert count(messages=[*turns, {"role": "user", "content": [result]}]) > bare + 400
    pixel = {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}
    picture = {"type": "image", "source": pixel}
    assert bare < count(messages=[{"role": "user", "content": [picture]}]) < 10_000
    odd = [{"type": "never_seen", "payload": [1, None]}, {"type": "document", "source": {"type": "odd"}}]
    assert count(messages=[{"role": "user", "content": odd}], novelty={"a": 1}) > 0


@pytest.mark.failure(180)
def test_each_text_goes_up_once(gateway: str, upstream: Upstream) -> None:
    turns = [{"role": ("user", "assistant")[at % 2], "content": f"sentence number {at} ends here"} for at in range(61)]
    body = {"model": "sonnet", "max_tokens": 20, "system": "the only system prompt", "messages": turns}
    status, answer = whole(gateway, body, "/v1/messages")
    assert status == 200, answer
    sent = json.dumps(upstream.requests[-1])
    for text in ["the only system prompt", *(turn["content"] for turn in turns)]:
        assert sent.count(text) == 1, text
