"""`dragoman init`: keys are found and not shown, models are picked, nothing is overwritten unasked."""

import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Run
from dragoman.config import Config, load

KEY = "sk-canary-of-a-provider"


@pytest.fixture
def keyed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (folder / ".env").write_text(f"DEEPSEEK_API_KEY={KEY}2\n", "utf-8")
    return folder


def loaded(folder: Path, name: str = "dragoman.yaml") -> Config:
    return load(path=folder / name, environ={"OPENAI_API_KEY": KEY}, folder=folder, home=folder)[0]


def test_answers_that_are_only_enter(run: Run, keyed: Path) -> None:
    result = run("init", stdin="\n" * 5)
    assert result.exit_code == 0, result.output
    assert "OPENAI_API_KEY is set" in result.output
    assert "DEEPSEEK_API_KEY is set" in result.output
    assert KEY not in result.output
    assert result.stdout.splitlines()[-1].startswith("Next: dragoman serve, and")
    assert KEY not in (keyed / "dragoman.yaml").read_text("utf-8")
    made = loaded(keyed)
    assert list(made.providers) == ["openai", "deepseek"]
    assert [name for name, _ in made.models] == ["opus", "sonnet", "haiku"]
    assert made.server.port == 8082


def test_own_answers(run: Run, keyed: Path) -> None:
    answers = "nonsense/x\ndeepseek/deepseek-v4-pro\nopenai/\nopenai/gpt-5.5\n\n\n9000\n"
    result = run("init", "--config", "other.yaml", stdin=answers)
    assert result.exit_code == 0, result.output
    assert result.output.count("Write provider/model, with one of: openai, deepseek.") == 2
    assert "Next: dragoman serve --config other.yaml" in result.output
    made = loaded(keyed, "other.yaml")
    assert dict(made.models)["opus"].names == ("deepseek/deepseek-v4-pro",)
    assert dict(made.models)["sonnet"].names == ("openai/gpt-5.5",)
    assert made.server.port == 9000


def test_other_machines_need_a_token(run: Run, keyed: Path) -> None:
    result = run("init", stdin="\n\n\n0.0.0.0\n\n")
    assert "readable by you alone" in result.output
    file = keyed / "dragoman.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = loaded(keyed).server.auth_token
    assert token.startswith("dragoman-")
    assert token not in result.output


def test_a_file_is_replaced_only_when_asked(run: Run, keyed: Path) -> None:
    file = keyed / "dragoman.yaml"
    file.write_text("strict: true\n", "utf-8")
    assert "Left as it is" in run("init", stdin="n\n").output
    assert run("init").exit_code == 1
    assert file.read_text("utf-8") == "strict: true\n"
    assert run("init", stdin="y\n" + "\n" * 5).exit_code == 0
    assert loaded(keyed).strict is False


def test_without_a_key(run: Run, folder: Path) -> None:
    result = run("init")
    assert result.exit_code == 1
    assert "No key was found. Set one in the environment or in" in result.output
    assert not list(folder.iterdir())


def test_without_a_terminal(run: Run, keyed: Path) -> None:
    result = run("init")
    assert result.exit_code == 1
    assert "nothing was changed. Run this command in a terminal" in result.output
    assert not (keyed / "dragoman.yaml").exists()


def test_a_provider_without_known_models(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    result = run("init", stdin="ollama/a\nollama/b\nollama/c\n\n\n")
    assert "none is known; write one" in result.output
    assert dict(loaded(folder).models)["haiku"].names == ("ollama/c",)


def test_in_a_terminal(keyed: Path) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "dragoman", "init"], stdin=slave, stdout=slave, stderr=slave, env=os.environ
    ) as process:
        os.close(slave)
        os.write(master, b"\n" * 5)
        assert process.wait(30) == 0
    os.close(master)
    assert list(loaded(keyed).providers) == ["openai", "deepseek"]
