"""The command and its group."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Run
from dragoman import __version__
from dragoman.cli.main import COMMANDS


def test_version(run: Run) -> None:
    assert run("--version").output == f"dragoman, version {__version__}\n"


def test_help_lists_every_command(run: Run) -> None:
    text = run("--help").output
    for name in COMMANDS:
        assert f"\n  {name} " in text


def test_unknown_commands(run: Run) -> None:
    result = run("sevre")
    assert result.exit_code == 2
    assert "No such command" in result.output


def test_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "dragoman", "--version"], capture_output=True, text=True, check=True)
    assert __version__ in done.stdout


@pytest.mark.failure(163)
@pytest.mark.parametrize("command", ["serve", "models", "doctor", "claude"])
def test_a_wrong_configuration_names_every_problem(run: Run, folder: Path, command: str) -> None:
    (folder / "dragoman.yaml").write_text("server: {prot: 1}\nnonsense: true\n", "utf-8")
    arguments = ["--binary", sys.executable] if command == "claude" else []
    result = run(command, *arguments)
    assert result.exit_code == 3
    assert "2 problems" in result.output
    assert "prot" in result.output
    assert "nonsense" in result.output
    assert "Traceback" not in result.output
