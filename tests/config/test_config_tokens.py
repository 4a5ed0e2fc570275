"""The token that dragoman made for itself."""

import os
import stat
from pathlib import Path

import pytest

from dragoman.config import in_kubernetes, kept_token, save_token, state_folder


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_it_is_kept_for_the_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "dragoman"
    assert kept_token(folder) is None
    file = save_token(folder, "canary")
    assert kept_token(folder) == "canary"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    save_token(folder, "second")
    assert kept_token(folder) == "second"
    assert [each.name for each in folder.iterdir()] == ["token"]


def test_an_empty_file_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n", "utf-8")
    assert kept_token(tmp_path) is None


def test_nothing_is_left_behind_when_it_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    with pytest.raises(OSError, match="token"):
        save_token(tmp_path, "canary")
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


@pytest.mark.failure(157)
def test_where() -> None:
    home = Path("/home/u")
    assert state_folder({}, home, windows=False) == home / ".local/state/dragoman"
    assert state_folder({"XDG_STATE_HOME": "/s"}, home, windows=False) == Path("/s/dragoman")
    assert state_folder({"XDG_STATE_HOME": "s"}, home, windows=False) == home / ".local/state/dragoman"
    assert state_folder({"LOCALAPPDATA": "/l"}, home, windows=True) == Path("/l/dragoman")
    assert state_folder({}, home, windows=True) == home / "AppData/Local/dragoman"


def test_a_pod_is_known_by_the_variable_that_every_pod_has() -> None:
    assert in_kubernetes({"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert not in_kubernetes({"KUBERNETES_SERVICE_HOST": ""})
    assert not in_kubernetes({})
