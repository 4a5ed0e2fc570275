"""A user with an empty home, an empty folder and a clean environment."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dragoman.cli import conflicts
from dragoman.cli.main import main
from dragoman.config import predecessors

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the user."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_PROXY", "_proxy", "_BASE_URL")) or name.startswith(
            (
                "DRAGOMAN_",
                "ANTHROPIC_",
                "AWS_",
                "CLAUDE",
                "GOOGLE_",
                "VERTEX_",
                "USE_VERTEX_AUTH",
                "GCE_",
                "CLOUD_ML_REGION",
                "CLOUDSDK_",
                *predecessors.VARIABLES,
            )
        ):
            monkeypatch.delenv(name)
    home, place = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    place.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setattr(conflicts, "managed", lambda: home / "managed-settings.json")
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs `dragoman` with arguments, inside this process."""
    del folder

    def invoke(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, list(arguments), input=stdin)

    return invoke
