"""The configuration of nginx in docs/operations.md, in front of two gateways."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from clients.conftest import started
from deploy.documentation import blocks

AROUND = """\
{user}
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {documented}
}}
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextlib.contextmanager
def balancer(folder: Path, *gateways: str) -> Iterator[str]:
    """nginx as documented, but for its port and what is behind it."""
    (documented,) = blocks("operations.md", "nginx")
    port = free_port()
    lines = [line for line in documented.splitlines() if not line.strip().startswith("server 10.")]
    behind = "".join(f"    server {gateway.removeprefix('http://')};\n" for gateway in gateways)
    assert len(documented.splitlines()) - len(lines) == 3
    text = "\n".join(lines).replace("upstream dragoman {\n", "upstream dragoman {\n" + behind)
    assert "listen 443 ssl;" in text
    with nginx(folder, text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};"), port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def nginx(folder: Path, text: str, port: int) -> Iterator[None]:
    """nginx with `text` in its `http` block, once it listens on `port`."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    user = "user root;" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(AROUND.format(folder=folder, documented=text, user=user), "utf-8")
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(file), "-e", str(folder / "errors")], stdin=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 20
        while True:
            assert process.poll() is None, (folder / "errors").read_text("utf-8")
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            assert time.monotonic() < end
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(20)


def ask(url: str, session: str) -> str:
    """One streamed answer, whole."""
    body = {
        "model": "sonnet",
        "max_tokens": 4,
        "stream": True,
        "messages": [{"role": "user", "content": "Hello! " * 20_000}],  # larger than what nginx keeps in memory
    }
    headers = {"content-type": "application/json", "x-claude-code-session-id": session}
    request = urllib.request.Request(f"{url}/v1/messages", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert reply.status == 200
        said: str = reply.read().decode()
        return said


def answered(homes: Sequence[Path], total: int) -> list[int]:
    """How many requests each of the gateways that run in `homes` has logged, when it is `total` of all."""
    end = time.monotonic() + 20
    while True:
        logs = [(home / "stdout").read_text("utf-8").splitlines(keepends=True) for home in homes]
        whole = [[json.loads(line) for line in log if line.endswith("}\n")] for log in logs]
        counts = [sum(line["event"] == "request" for line in log) for log in whole]
        if sum(counts) == total:
            return counts
        assert time.monotonic() < end, counts
        time.sleep(0.02)


def test_a_conversation_stays_with_one_gateway_and_moves_when_that_is_gone(tmp_path: Path) -> None:
    homes = (tmp_path / "one", tmp_path / "two")
    stacks = (contextlib.ExitStack(), contextlib.ExitStack())
    with stacks[0], stacks[1]:
        urls = [stack.enter_context(started(home)) for stack, home in zip(stacks, homes, strict=True)]
        with balancer(tmp_path, *urls) as url:
            for _ in range(4):
                assert "event: message_stop" in ask(url, "a-session")
            counts = answered(homes, 4)
            assert sorted(counts) == [0, 4]
            stacks[counts.index(4)].close()
            assert "event: message_stop" in ask(url, "a-session")
            assert sorted(answered(homes, 5)) == [1, 4]


def test_other_conversations_go_to_other_gateways(tmp_path: Path) -> None:
    homes = (tmp_path / "one", tmp_path / "two")
    with started(homes[0]) as first, started(homes[1]) as second, balancer(tmp_path, first, second) as url:
        for number in range(20):
            assert "event: message_stop" in ask(url, f"session-{number}")
        assert min(answered(homes, 20)) >= 1


@pytest.mark.failure(138)
def test_a_proxy_that_says_nothing_of_its_caller_is_not_told_the_token(tmp_path: Path) -> None:
    """`proxy_pass` and nothing else: up to 1.29.6 nginx tells by its HTTP/1.0 that it is no person at this machine."""
    port = free_port()
    with started(tmp_path / "gateway", DRAGOMAN_AUTH_TOKEN="canary-token") as gateway:
        text = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {gateway}; proxy_http_version 1.0; }} }}"
        with nginx(tmp_path, text, port), pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/auth-token", timeout=20)
        with refused.value:
            assert refused.value.code == 403
            assert "canary-token" not in refused.value.read().decode()
