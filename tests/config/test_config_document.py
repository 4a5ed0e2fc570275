"""YAML with line numbers."""

import pytest

from dragoman.config.document import Node, parse
from dragoman.config.problems import Problem


def read(text: str | bytes) -> tuple[Node | None, list[str]]:
    problems: list[Problem] = []
    raw = text if isinstance(text, bytes) else text.encode()
    return parse(raw, "f.yaml", problems), [str(problem) for problem in problems]


def test_values_know_their_lines() -> None:
    node, problems = read("a: 1\nb:\n  - x\n  - {c: true}\nd: 2026-11-20\ne: null\nf: 1.5\n4: y\n")
    assert not problems
    assert node is not None
    assert isinstance(node.value, dict)
    flat = {name: (child.line, child.value, child.kind) for name, child in node.value.items() if name != "b"}
    assert flat == {
        "a": (1, 1, "a whole number"),
        "d": (5, "2026-11-20", "a text"),
        "e": (6, None, "nothing"),
        "f": (7, 1.5, "a number"),
        "4": (8, "y", "a text"),
    }
    items = node.value["b"].value
    assert isinstance(items, list)
    assert [item.line for item in items] == [3, 4]
    assert (node.value["b"].kind, items[1].kind, node.value["b"].line) == ("a list", "a mapping", 2)
    assert isinstance(items[1].value, dict)
    assert items[1].value["c"].kind == "true or false"


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_an_empty_file(text: str) -> None:
    assert read(text) == (None, [])


@pytest.mark.failure(157)
def test_a_byte_order_mark_is_no_harm() -> None:
    node, problems = read("\ufeffa: ü".encode())
    assert node is not None
    assert isinstance(node.value, dict)
    assert node.value["a"].value == "ü"
    assert not problems


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2\n", "f.yaml:2: a: stands here twice; the first time in line 1."),
        ("b:\n  a: 1\n  a: 2\n", "f.yaml:3: b.a: stands here twice; the first time in line 2."),
        ("a:\n\tb: 1\n", "f.yaml:2: is not YAML: "),
        ("a: [1\nb: 2\n", "f.yaml:2: is not YAML: "),
        ("a: *canary\n", "f.yaml:1: a text that begins with `*` must stand in quotes."),
        ("a: 1\n---\nb: 2\n", "f.yaml:"),
        ("a: @canary\n", "f.yaml:1: is not YAML: "),
        ("[a]: 1\n", "f.yaml:1: a key must be a text."),
        ("a: \x07canary\n", "f.yaml: is not YAML: it has a character that YAML does not allow."),
        ("a: canary: b\n", "f.yaml:1: is not YAML: "),
        ("\xfc".encode("latin-1"), "f.yaml: is not UTF-8. Save it as UTF-8."),
        ("a: 1".encode("utf-16"), "f.yaml: is not UTF-8. Save it as UTF-8."),
        ("[" * 40 + "]" * 40, "is nested too deep, or too large."),
        ("[" * 5000 + "]" * 5000, "is nested too deep, or too large."),
    ],
)
def test_what_is_refused_and_where(text: str | bytes, told: str) -> None:
    _, problems = read(text)
    assert len(problems) == 1
    assert told in problems[0]
    assert "canary" not in problems[0]


def test_aliases_do_not_explode() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    _, problems = read("\n".join(lines))
    assert len(problems) == 1
    assert "too large" in problems[0]


def test_tags_of_others_are_text() -> None:
    node, problems = read("a: !secret abc\nb: !!binary aGk=\n")
    assert not problems
    assert node is not None
    assert isinstance(node.value, dict)
    assert [child.value for child in node.value.values()] == ["abc", "aGk="]
