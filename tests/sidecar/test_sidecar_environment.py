"""Environments of sidecars: made from a lock with hashes, and no part of dragoman's own packages."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from dragoman.sidecar.environment import SIDECARS, Environment

ROOT = Path(__file__).parents[2]


@pytest.mark.failure(141)
@pytest.mark.parametrize("name", SIDECARS)
def test_every_package_of_a_lock_has_one_version_and_hashes(name: str) -> None:
    text = Environment(name, Path()).lock.read_text("utf-8")
    packages = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert any(package.startswith(f"{name}==") for package in packages)
    assert all(re.match(r"\S+==\S+", package) and "--hash=sha256:" in package for package in packages)
    assert "://" not in text


@pytest.mark.failure(141)
def test_our_own_packages_know_nothing_of_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"], *chain(*extras.values())]
    assert not [each for each in wanted if "litellm" in each.lower()]
    assert "litellm" not in (ROOT / "uv.lock").read_text("utf-8").lower()


def test_it_is_ready_when_it_was_made_from_this_lock(tmp_path: Path) -> None:
    made = Environment("litellm", tmp_path)
    assert not made.ready()
    made.finish()
    assert made.ready()
    (tmp_path / ".ready").write_text("another lock", "ascii")
    assert not made.ready()
    made.spoil()
    made.spoil()
    assert not any(tmp_path.iterdir())


def test_its_python_is_its_own(tmp_path: Path) -> None:
    made = Environment("litellm", tmp_path)
    assert made.command()[:3] == (str(tmp_path / "bin" / "python"), "-I", "-u")
    (tmp_path / "Scripts").mkdir()
    (tmp_path / "Scripts" / "python.exe").touch()
    assert made.python == tmp_path / "Scripts" / "python.exe"
    assert Path(made.command()[3]).is_file()
