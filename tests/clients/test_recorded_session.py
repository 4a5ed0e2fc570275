"""A session of the real Claude Code, recorded and replayed."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.test_cli_serve import Served
from clients.conftest import clean_environment
from clients.test_claude_code import invocation

TOKEN = "canary-gateway-4712"


@pytest.mark.failure(136, 166)
def test_every_request_of_a_session_is_the_same_again(tmp_path: Path) -> None:
    home = tmp_path / "gateway"
    home.mkdir()
    (home / "dragoman.yaml").write_text(f"server: {{auth_token: {TOKEN}}}\n", "utf-8")
    session = invocation("", tmp_path / "claude", "Use the Bash tool.", model="sonnet")  # skips without the client
    running = Served(home, ["record", "--port", "0"])
    try:
        session["env"] |= {"ANTHROPIC_BASE_URL": running.url(), "ANTHROPIC_AUTH_TOKEN": TOKEN}
        done = subprocess.run(**session, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        running.process.terminate()
        assert running.process.wait(30) == 0
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
    bundles = sorted((home / "state" / "dragoman" / "bundles").iterdir())
    assert len(bundles) > 1, running.said()
    for path in bundles:
        assert TOKEN not in path.read_text("utf-8")
        command = [sys.executable, "-m", "dragoman", "replay", str(path)]
        done = subprocess.run(
            command, env=clean_environment(home), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
