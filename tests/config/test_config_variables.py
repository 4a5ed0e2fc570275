"""`${NAME}`, and the `.env` file."""

import os
from pathlib import Path

import pytest

from dragoman.config.problems import Problem
from dragoman.config.variables import ExpansionError, dotenv, expand, names


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain $5 {x}", "plain $5 {x}"),
        ("${A}", "1"),
        ("x${A}y${A}", "x1y1"),
        ("${B:-no}", "no"),
        ("${EMPTY:-no}", "no"),
        ("${EMPTY}", ""),
        ("${B:-}", ""),
        ("${A:-no}", "1"),
        ("${B:-http://x:1}", "http://x:1"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "EMPTY": ""}) == expanded


def test_what_is_expanded_is_not_expanded_again() -> None:
    assert expand("${A}", {"A": "${B}", "B": "canary"}) == "${B}"


def test_missing_variables_are_all_named() -> None:
    with pytest.raises(ExpansionError, match="B and C is not set") as caught:
        expand("${A}${B}${C}${B}", {"A": "canary"})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["${", "${}", "${1X}", "${A-b}", "a ${A"])
def test_a_broken_variable(text: str) -> None:
    with pytest.raises(ExpansionError, match="write a variable as"):
        expand(text, {"A": "canary"})


def test_names() -> None:
    assert names("https://${A}/${B:-x}/${") == ["A", "B"]


def env(tmp_path: Path, text: str | bytes, **environ: str) -> tuple[dict[str, str], list[str]]:
    problems: list[Problem] = []
    (tmp_path / ".env").write_bytes(text if isinstance(text, bytes) else text.encode())
    return dotenv(tmp_path / ".env", environ, problems), [str(problem) for problem in problems]


def test_dotenv(tmp_path: Path) -> None:
    before = dict(os.environ)
    text = "\ufeff# note\nA=1\nexport B='two words'\nC=\"${A}x${HOME_OF}\"\nD\nE=\nF=pa$$w${ord\n"
    found, problems = env(tmp_path, text, HOME_OF="y", A="9")
    assert not problems
    assert found == {"A": "1", "B": "two words", "C": "9xy", "E": "", "F": "pa$$w${ord"}
    assert dict(os.environ) == before


def test_no_file(tmp_path: Path) -> None:
    assert dotenv(tmp_path / ".env", {}, []) == {}
    assert dotenv(tmp_path, {}, []) == {}


def test_lines_that_cannot_be_read_are_told_without_their_text(tmp_path: Path) -> None:
    found, problems = env(tmp_path, "A=1\n=canary\n'canary\nB=2\n")
    assert found["A"] == "1"
    assert problems
    assert all(".env:" in problem and "canary" not in problem for problem in problems)


def test_another_encoding(tmp_path: Path) -> None:
    assert env(tmp_path, "A=1".encode("utf-16"))[1] == [f"{tmp_path / '.env'}: is not UTF-8. Save it as UTF-8."]


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    problems: list[Problem] = []
    assert dotenv(tmp_path / ".env", {}, problems) == {}
    assert str(problems[0]).endswith("cannot be read: Permission denied.")
