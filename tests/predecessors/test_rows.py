"""Every row of docs/migrating.md has a test that carries its number, or a reason why there is none here."""

import re
from pathlib import Path

from dragoman.config import predecessors

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "migrating.md").read_text("utf-8")

ELSEWHERE = {
    "P0.7": "not built yet: LiteLLM as a child process; the other providers are in tests/providers and tests/clients",
    "P0.8": "the targets of make are checked in tests/test_house.py; not built yet: the Docker image",
    "P1.6": "tests/cli/test_claude.py; not built yet: `dragoman serve --reload`",
    "P1.8": "not built yet: LiteLLM as a child process",
    "P2.1": "tests/clients/test_azure.py and tests/config/test_config_loading.py",
    "P2.5": "tests/clients/test_claude_passthrough.py compares bytes; no test has the internet",
    "P3.6": "not built yet: the specification of the app",
    "P3.7": "tests/clients/test_claude_code.py",
    "P4.5": "not built yet: the command `dragoman proxy`",
    "P4.6": "not built yet: the files for Docker and Kubernetes",
    "P4.7": "bench/",
}


def test_every_row_has_a_test_or_a_reason() -> None:
    rows = re.findall(r"^\| (P\d\.\d) \|", PAGE, re.MULTILINE)
    texts = [path.read_text("utf-8") for path in HERE.glob("test_*.py")]
    tested = {f"P{a}.{b}" for text in texts for a, b in re.findall(r"^def test_p(\d)_(\d)_", text, re.MULTILINE)}
    assert len(rows) == len(set(rows)) == 37
    assert tested | ELSEWHERE.keys() == set(rows)
    assert not tested & ELSEWHERE.keys(), "a row with a test here needs no reason"


def test_every_variable_is_documented() -> None:
    assert not [name for name in predecessors.VARIABLES if f"`{name}`" not in PAGE]
