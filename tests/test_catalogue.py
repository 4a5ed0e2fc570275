"""The catalogue of gateway failures: each case of the required sections has a test, and docs/failures.md says which.

`UPDATE_DOCS=1 pytest tests/test_catalogue.py` writes the page again.
"""

import ast
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PAGE = ROOT / "docs" / "failures.md"


def catalogue() -> dict[str, Any]:
    return tomllib.loads((TESTS / "failures.toml").read_text("utf-8"))


def cases(found: dict[str, Any]) -> dict[str, dict[int, str]]:
    """Section -> number -> what happens."""
    return {section: {int(number): text for number, text in found[section].items()} for section in found["titles"]}


def marked(node: ast.AST) -> Iterator[int]:
    """Numbers of every `pytest.mark.failure(...)` inside `node`."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "failure":
            for argument in call.args:
                assert isinstance(argument, ast.Constant), f"failure() takes plain numbers, line {call.lineno}"
                yield int(argument.value)


def covered(tree: ast.Module, name: str) -> Iterator[tuple[int, str]]:
    """(number, test) for one test file."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            yield from ((number, name) for number in marked(node.value))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                yield from ((number, f"{name}::{node.name}") for number in marked(decorator))
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    for decorator in inner.decorator_list:
                        yield from ((number, f"{name}::{node.name}::{inner.name}") for number in marked(decorator))


def coverage() -> dict[int, list[str]]:
    """Number -> tests, in a stable order."""
    found: dict[int, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for number, test in covered(ast.parse(path.read_text("utf-8")), path.relative_to(ROOT).as_posix()):
            if test not in found.setdefault(number, []):
                found[number].append(test)
    return found


def told(tests: list[str]) -> str:
    """The tests' names; more than two are folded up, where a page can do that."""
    names = ", ".join(f"`{test}`" for test in tests)
    if len(tests) <= 2:
        return names
    folded = "".join(f"<br><code>{test}</code>" for test in tests)
    return f"<details><summary>{len(tests)} tests</summary>{folded}</details>"


def page(found: dict[str, Any], tests: dict[int, list[str]]) -> str:
    lines = [found["introduction"].strip()]
    for section, title in found["titles"].items():
        lines += ["", f"## {section}. {title}", "", "| number | what happens | tests |", "|---|---|---|"]
        for number, text in cases(found)[section].items():
            proof = told([test.removeprefix("tests/") for test in tests.get(number, [])])
            if not proof:
                where = found["documented"].get(str(number))
                proof = f"see [{where}]({where.removeprefix('docs/')})" if where else ""
            if not proof:
                proof = found["not_yet"].get(str(number), "not yet")
            lines.append(f"| {number} | {text} | {proof} |")
    return "\n".join(lines) + "\n"


def test_every_marked_number_is_in_the_catalogue() -> None:
    known = {number for section in cases(catalogue()).values() for number in section}
    strangers = {number: tests for number, tests in coverage().items() if number not in known}
    assert not strangers, f"describe these in tests/failures.toml: {strangers}"


def test_every_required_case_has_a_test() -> None:
    found, tests = catalogue(), coverage()
    excused = {int(number) for group in ("not_yet", "documented") for number in found[group]}
    missing = {
        number: text
        for section in found["required"]
        for number, text in cases(found)[section].items()
        if number not in tests and number not in excused
    }
    assert not missing, "mark a test with @pytest.mark.failure(number):\n" + "\n".join(
        f"  {number}: {text}" for number, text in missing.items()
    )


def test_documented_cases_are_documented() -> None:
    for number, place in catalogue()["documented"].items():
        name, _, anchor = place.partition("#")
        headings = [
            line.lstrip("# ").strip().lower().replace(" ", "-")
            for line in (ROOT / name).read_text("utf-8").splitlines()
            if line.startswith("#")
        ]
        assert anchor in headings, f"failure {number}: {name} has no heading for #{anchor}"


def test_the_page_is_current() -> None:
    wanted = page(catalogue(), coverage())
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(wanted, "utf-8")
    current = PAGE.read_text("utf-8") if PAGE.exists() else ""
    assert current == wanted, "docs/failures.md is stale: UPDATE_DOCS=1 .venv/bin/pytest tests/test_catalogue.py"
