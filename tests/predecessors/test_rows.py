"""Every row of docs/migrating.md has a test that carries its number."""

import re
from pathlib import Path

from dragoman.config import predecessors

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "migrating.md").read_text("utf-8")


def test_every_row_has_a_test() -> None:
    rows = re.findall(r"^\| (P\d\.\d) \|", PAGE, re.MULTILINE)
    texts = [path.read_text("utf-8") for path in HERE.glob("test_*.py")]
    tested = {f"P{a}.{b}" for text in texts for a, b in re.findall(r"^def test_p(\d)_(\d)_", text, re.MULTILINE)}
    assert len(rows) == len(set(rows)) == 37
    assert tested == set(rows)


def test_every_variable_is_documented() -> None:
    assert not [name for name in predecessors.VARIABLES if f"`{name}`" not in PAGE]
