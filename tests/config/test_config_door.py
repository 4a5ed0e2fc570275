"""Settings that say who may come in, and where callers may go by themselves."""

from pathlib import Path

import pytest

from dragoman import config
from dragoman.config import Config, ConfigError

CANARY = "sk-canary-0123456789"


def loaded(folder: Path, text: str = "", **environ: str) -> Config:
    (folder / "dragoman.yaml").write_text(text, "utf-8")
    return config.load(path=None, environ=environ, folder=folder, home=folder)[0]


def problem(folder: Path, text: str = "", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **environ)
    assert len(caught.value.problems) == 1
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_the_door_is_closed_unless_said(tmp_path: Path) -> None:
    assert not loaded(tmp_path).server.open
    assert loaded(tmp_path, "server: {open: true}").server.open
    assert loaded(tmp_path, DRAGOMAN_OPEN="true").server.open
    assert not loaded(tmp_path, "server: {open: true}", DRAGOMAN_OPEN="false").server.open


@pytest.mark.failure(138)
@pytest.mark.parametrize("variable", ["DRAGOMAN_AUTH_TOKEN", "AUTH_TOKEN", "LITELLM_MASTER_KEY"])
def test_an_open_door_goes_not_with_a_token(tmp_path: Path, variable: str) -> None:
    told = problem(tmp_path, "server:\n  open: true\n", **{variable: CANARY})
    assert "dragoman.yaml:2: server.open: goes not with a token" in told
    assert variable in told
    assert "server.open" in problem(tmp_path, DRAGOMAN_OPEN="1", **{variable: CANARY})


def test_hosts_that_callers_may_choose(tmp_path: Path) -> None:
    assert loaded(tmp_path).server.endpoints == ()
    found = loaded(tmp_path, 'server: {endpoints: [lab, "10.0.0.5:8000", "[::1]:80"]}')
    assert found.server.endpoints == ("lab", "10.0.0.5:8000", "[::1]:80")
    assert loaded(tmp_path, "server: {endpoints: none}").server.endpoints == "none"


@pytest.mark.parametrize("entry", ["https://lab", "lab/v1", "*", "lab:99999"])
def test_what_is_no_host(tmp_path: Path, entry: str) -> None:
    told = problem(tmp_path, f'server: {{endpoints: ["{entry}"]}}')
    assert "dragoman.yaml:1: server.endpoints: expected `host` or `host:port`" in told


def test_one_word_is_no_list(tmp_path: Path) -> None:
    assert "`none`" in problem(tmp_path, "server: {endpoints: lab}")
