"""`dragoman install litellm`: by uv, else by pip; whole, or not at all."""

import sys
from pathlib import Path

import pytest

from cli.conftest import Run
from dragoman.sidecar.environment import Environment

PRETEND = """#!/bin/sh
echo "$0 $*" >> "$HOME/asked"
exit ${PRETEND_CODE:-0}
"""


@pytest.fixture
def environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Where it would be; nothing on the PATH."""
    monkeypatch.setenv("XDG_DATA_HOME", str(folder.parent / "data"))
    monkeypatch.setenv("PATH", str(folder / "bin"))
    monkeypatch.delenv("PRETEND_CODE", raising=False)
    return Environment("litellm", folder.parent / "data" / "dragoman" / "litellm")


def pretend(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PRETEND, "ascii")
    path.chmod(0o700)


def asked(folder: Path) -> list[str]:
    return (folder.parent / "home" / "asked").read_text("utf-8").splitlines()


def test_with_uv(run: Run, folder: Path, environment: Environment) -> None:
    pretend(folder / "bin" / "uv")
    environment.folder.mkdir(parents=True)  # of a release before
    result = run("install", "litellm")
    assert result.exit_code == 0, result.output
    made, filled = asked(folder)
    assert f"uv venv --quiet --clear --no-project --python {sys.executable} {environment.folder}" in made
    assert "uv pip install --quiet --require-hashes --only-binary :all:" in filled
    assert filled.endswith(f"--python {environment.python} -r {environment.lock}")
    assert environment.ready()
    assert f"installed already, in {environment.folder}" in run("install", "litellm").output
    assert len(asked(folder)) == 2


def test_with_pip(run: Run, folder: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    python = folder / "python"
    pretend(python)
    monkeypatch.setattr(sys, "executable", str(python))
    pretend(environment.folder / "bin" / "python")
    assert run("install", "litellm").exit_code == 0
    made, filled = asked(folder)
    assert made.endswith(f"python -m venv --clear {environment.folder}")
    assert "-m pip --disable-pip-version-check install --quiet --require-hashes --only-binary :all: -r " in filled


def test_a_failure_leaves_nothing_that_looks_whole(
    run: Run, folder: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(folder / "bin" / "uv")
    environment.folder.mkdir(parents=True)
    (environment.folder / ".ready").write_text("an older lock", "ascii")
    monkeypatch.setenv("PRETEND_CODE", "2")
    result = run("install", "litellm")
    assert result.exit_code == 1
    assert "This failed, see above" in result.output
    assert not (environment.folder / ".ready").exists()


def test_a_folder_that_cannot_be_made(run: Run, folder: Path, environment: Environment) -> None:
    (folder.parent / "data").write_text("a file", "ascii")
    result = run("install", "litellm")
    assert result.exit_code == 1
    assert "Not a directory" in result.output or "File exists" in result.output
    assert not environment.ready()


def test_only_what_there_is(run: Run) -> None:
    assert "'litellm'" in run("install", "vllm").output
