"""The real server in a process of its own, a scripted upstream behind it, and the real clients that are installed."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients import scripted
from clients.scripted import Answer, Json, Upstream

ROOT = Path(__file__).parents[2]
INSTALLED = Path(os.environ.get("DRAGOMAN_CLIENTS", ROOT / ".clients"))
KEY = "canary-upstream-key"

CONFIGURATION = """\
providers:
  lab:
    dialect: chat
    base_url: {url}
    api_key: "${{LAB_KEY}}"
    quirks: {{reasoning_in: reasoning_content}}
models:
  sonnet: lab/text
  opus: lab/agent
"""

WEATHER = {"city": "Rhodes"}
OVERFLOW = (
    "This model's maximum context length is 102400 tokens. However, you requested 107837 tokens "
    "(99645 in the messages, 8192 in the completion). Please reduce the length of the messages or completion."
)


def brain(body: Json) -> Answer:
    """Answers by the name of the model."""
    match body["model"]:
        case "text":
            return scripted.words("Kalimera from the Colossus — 日本語 🎉.")
        case "think":
            thoughts = [{"reasoning_content": piece} for piece in ("The caller ", "greets; ", "greet back.")]
            return Answer(deltas=[*thoughts, {"content": "Hello "}, {"content": "there."}])
        case "tools":
            if body["messages"][-1]["role"] == "tool":
                return scripted.words("It is sunny in both.")
            return scripted.calls(
                scripted.call(0, "call_a", "weather", WEATHER),
                scripted.call(1, "call_b", "weather", {"city": "Kos"}),
                before=[{"content": "Let me look."}],
            )
        case "limited":
            # Longer than the gateway waits for by itself.
            return scripted.failure(429, "Slow down.", code="rate_limit_exceeded", retry_after="11")
        case "overflow":
            return scripted.failure(400, OVERFLOW, code="context_length_exceeded")
        case "locked":
            return scripted.failure(401, "Incorrect API key provided.", code="invalid_api_key")
        case "broken":
            return Answer(deltas=[{"content": "Half an "}, {"content": "answer"}], cut_after=3)
        case "slow":
            return Answer(deltas=[{"content": f"{number} "} for number in range(400)], pause=0.05)
        case other:
            return scripted.failure(404, f"The model {other} does not exist.", code="model_not_found")


def client(name: str, *parts: str) -> Path:
    """Path of an installed real client; skips the test when it is not there."""
    found = INSTALLED / name / Path(*parts)
    if not found.exists():
        pytest.skip(f"the client {name} is not installed: make clients")
    return found


def program(name: str) -> str:
    """Path of a program of this machine; skips the test when it is not there."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """An environment with nothing of the machine's own settings in it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "LANG", "TMPDIR") or name.startswith("COVERAGE_")
    }
    return {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_STATE_HOME": str(home / "state"), **more}


@contextmanager
def started(home: Path, *arguments: str, **environ: str) -> Iterator[str]:
    """`dragoman serve` on a free port; yields its URL and ends it with SIGTERM."""
    home.mkdir(parents=True, exist_ok=True)
    output, errors = home / "stdout", home / "stderr"
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "dragoman", "serve", "--port", "0", *arguments],
            cwd=home, env=clean_environment(home, **environ), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
        )  # fmt: skip
    try:
        yield wait_for_url(process, errors)
        process.terminate()
        assert process.wait(20) == 0, errors.read_text("utf-8")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_for_url(process: subprocess.Popen[bytes], errors: Path, limit: float = 20.0) -> str:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found = re.search(r"listens on (http://\S+)", errors.read_text("utf-8"))
        if found:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"the server did not start: {errors.read_text('utf-8')}")


def logged(home: Path, number: int, limit: float = 10.0) -> list[Any]:
    """The first `number` lines about requests in the log of the gateway that runs in `home`."""
    end = time.monotonic() + limit
    while True:
        text = (home / "stdout").read_text("utf-8")
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("}\n")]
        found = [line for line in lines if line["event"] == "request"]
        if len(found) >= number:
            return found[:number]
        assert time.monotonic() < end, text
        time.sleep(0.02)


def run_json(command: list[str], **options: Any) -> Any:
    """Run a client that prints one JSON value, and return it."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with scripted.serving(brain) as running:
        yield running


@pytest.fixture(scope="session")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("gateway")
    (home / "dragoman.yaml").write_text(CONFIGURATION.format(url=upstream.url), "utf-8")
    with started(home, "--config", str(home / "dragoman.yaml"), LAB_KEY=KEY) as url:
        yield url
    assert KEY not in (home / "stdout").read_text("utf-8") + (home / "stderr").read_text("utf-8")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The gateway with nothing configured."""
    with started(tmp_path_factory.mktemp("demo")) as url:
        yield url
