"""Client-side settings that win over the gateway."""

import json
from pathlib import Path

import pytest

from dragoman.cli import conflicts

URL = "http://127.0.0.1:8082"


def names(environ: dict[str, str]) -> list[str]:
    return [conflict.name for conflict in conflicts.in_environment(environ, URL)]


@pytest.mark.failure(158)
def test_two_credentials() -> None:
    assert names({"ANTHROPIC_API_KEY": "a", "ANTHROPIC_AUTH_TOKEN": "b"}) == ["ANTHROPIC_API_KEY"]
    assert names({"ANTHROPIC_API_KEY": "a"}) == []


@pytest.mark.parametrize("name", conflicts.ELSEWHERE[1:])
def test_variables_that_lead_elsewhere(name: str) -> None:
    assert names({name: "1"}) == [name]
    assert names({name: "0"}) == []


@pytest.mark.failure(161, 179)
def test_a_base_url_that_is_not_this_gateway() -> None:
    assert names({"ANTHROPIC_BASE_URL": URL + "/v1"}) == ["ANTHROPIC_BASE_URL"]
    assert names({"ANTHROPIC_BASE_URL": "https://api.anthropic.com"}) == ["ANTHROPIC_BASE_URL"]
    assert names({"ANTHROPIC_BASE_URL": URL + "/"}) == []
    assert names({"ANTHROPIC_BASE_URL": "http://localhost:8082"}) == []


@pytest.mark.failure(150)
def test_a_proxy_that_catches_this_machine() -> None:
    assert names({"HTTP_PROXY": "http://proxy:3128"}) == ["HTTP_PROXY"]
    assert names({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "localhost,127.0.0.1"}) == []
    assert names({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "*"}) == []


@pytest.mark.failure(160)
def test_settings_files_win(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "project"
    for place in (home / ".claude", folder / ".claude"):
        place.mkdir(parents=True)
    secret = "do-not-show"
    env = {"ANTHROPIC_BASE_URL": secret, "OTHER": "x"}
    (home / ".claude" / "settings.json").write_text(json.dumps({"env": env, "apiKeyHelper": secret}), "utf-8")
    (folder / ".claude" / "settings.local.json").write_text("{", "utf-8")
    (folder / ".claude" / "settings.json").write_text("[]", "utf-8")
    found = conflicts.in_settings(conflicts.settings_files({}, home, folder))
    assert [(Path(each.where).name, each.name) for each in found] == [
        ("settings.json", "env.ANTHROPIC_BASE_URL"),
        ("settings.json", "apiKeyHelper"),
        ("settings.local.json", ""),
    ]
    assert secret not in repr(found)


def test_settings_that_lead_here_are_no_conflict(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    env = {"ANTHROPIC_BASE_URL": URL.replace("127.0.0.1", "localhost") + "/", "ANTHROPIC_AUTH_TOKEN": "a"}
    file.write_text(json.dumps({"env": env}), "utf-8")
    assert conflicts.in_settings([file], URL) == []
    assert len(conflicts.in_settings([file], "http://127.0.0.1:9")) == 2
    assert len(conflicts.in_settings([file])) == 2


@pytest.mark.failure(160)
def test_which_layer_wins(tmp_path: Path) -> None:
    weak, strong = tmp_path / "settings.json", tmp_path / "settings.local.json"
    weak.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "secret", "ANTHROPIC_MODEL": "secret"}}), "utf-8")
    strong.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "secret"}}), "utf-8")
    environ = {"ANTHROPIC_BASE_URL": "secret", "ANTHROPIC_AUTH_TOKEN": "secret", "ANTHROPIC_API_KEY": "", "OTHER": "x"}
    found = conflicts.layers(environ, [weak, strong, tmp_path / "none.json"])
    assert [(each.name, each.wins, each.over) for each in found] == [
        ("ANTHROPIC_AUTH_TOKEN", "the shell", ()),
        ("ANTHROPIC_BASE_URL", str(strong), (str(weak), "the shell")),
        ("ANTHROPIC_MODEL", str(weak), ()),
    ]
    assert "secret" not in repr(found)


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_settings_of_an_administrator_are_the_strongest(system: str) -> None:
    assert conflicts.managed(system).name.endswith("managed-settings.json")
    assert conflicts.settings_files({}, Path("/home/someone"), Path("/project"))[-1] == conflicts.managed()


@pytest.mark.failure(158)
def test_whether_claude_code_asks_for_a_login(tmp_path: Path) -> None:
    assert not conflicts.knows_claude_code({}, tmp_path)
    for text, known in (("{", False), ("[]", False), ("{}", False), ('{"hasCompletedOnboarding": true}', True)):
        (tmp_path / ".claude.json").write_text(text, "utf-8")
        assert conflicts.knows_claude_code({}, tmp_path) is known
        assert conflicts.knows_claude_code({"CLAUDE_CONFIG_DIR": str(tmp_path)}, Path("/nowhere")) is known


def test_settings_folder_of_the_environment(tmp_path: Path) -> None:
    files = conflicts.settings_files({"CLAUDE_CONFIG_DIR": str(tmp_path)}, Path("/home/someone"), Path("/project"))
    assert files[0] == tmp_path / "settings.json"


def test_settings_without_env_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"env": 3}', "utf-8")
    assert conflicts.in_settings([tmp_path / "settings.json"]) == []
