"""`dragoman config show`."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Run

KEY = "sk-canary"


@pytest.mark.failure(163)
def test_values_with_their_origins(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:word@proxy.example:3128")
    (folder / ".env").write_text("DRAGOMAN_PORT=9000\n", "utf-8")
    (folder / "dragoman.yaml").write_text("server:\n  auth_token: sesame\n  retries: 1\n", "utf-8")
    result = run("config", "show")
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in result.output.splitlines()}
    assert lines["server.port"] == "9000 DRAGOMAN_PORT in .env"
    assert lines["server.auth_token"] == f"*** {folder}/dragoman.yaml:2"
    assert lines["server.retries"] == f"1 {folder}/dragoman.yaml:3"
    assert lines["server.forward_to"] == '"" default'
    assert lines["strict"] == "false default"
    assert lines["providers.openai.api_key"] == "*** OPENAI_API_KEY in the environment"
    assert " more preset openai" in lines["providers.openai.models"]
    assert "http://proxy.example:3128" in result.output
    for secret in (KEY, "sesame", "word"):
        assert secret not in result.output


def test_moving_from_variables_to_a_file_is_one_command(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("DRAGOMAN_PORT", "9000")
    before = run("models").output
    done = subprocess.run(
        [sys.executable, "-m", "dragoman", "config", "show", "--as-yaml"], capture_output=True, text=True, check=True
    )
    assert KEY not in done.stdout
    (folder / "dragoman.yaml").write_text(done.stdout, "utf-8")
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("DRAGOMAN_PORT")
    assert run("models").output == before
    assert f"9000 {folder}/dragoman.yaml" in " ".join(run("config", "show").output.split())


def test_a_wrong_configuration_is_said(run: Run, folder: Path) -> None:
    (folder / "dragoman.yaml").write_text("nonsense: 1\n", "utf-8")
    assert run("config", "show").exit_code == 3
