"""Golden cases: what comes out for a file, beside the file. `UPDATE_GOLDENS=1` writes it; read the difference.

cases/requests/<case>.json                     a client's body; <case>.<dialect>.golden.json the call, notes included
cases/answers/<dialect>/<case>.{sse,json}      an upstream's answer; <case>.golden.sse the events
cases/errors/<dialect>/<status>-<case>.json    an upstream's error; <case>.golden.json ours

Every request has a golden for every dialect, or a line with the reason in `WITHOUT`.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from dialects.anthropic.encoder_anthropic import AnthropicEncoder
from dialects.anthropic.golden_requests import REQUESTS as ANTHROPIC
from dialects.chat.encoder_chat import ChatEncoder
from dialects.chat.golden_requests import REQUESTS as CHAT
from dialects.gemini.encoder_gemini import GeminiEncoder
from dialects.gemini.golden_requests import REQUESTS as GEMINI
from dialects.responses.encoder_responses import ResponsesEncoder
from dialects.responses.golden_requests import REQUESTS as RESPONSES
from dragoman.dialects import DIALECTS
from golden_answers import GoldenAnswers, check
from golden_calls import GoldenCalls

CASES = Path(__file__).parent / "cases"


class Goldens(NamedTuple):
    """What translates a dialect's cases."""

    requests: GoldenCalls
    answers: GoldenAnswers


GOLDENS = {
    "chat": Goldens(CHAT, GoldenAnswers(ChatEncoder())),
    "responses": Goldens(RESPONSES, GoldenAnswers(ResponsesEncoder())),
    "gemini": Goldens(GEMINI, GoldenAnswers(GeminiEncoder())),
    "anthropic": Goldens(ANTHROPIC, GoldenAnswers(AnthropicEncoder())),
}

# (case, dialect) -> why there is no golden
WITHOUT: dict[tuple[str, str], str] = {}


def cases() -> list[tuple[str, str]]:
    names = sorted(path.stem for path in (CASES / "requests").glob("*.json") if ".golden" not in path.name)
    return [(name, dialect) for name in names for dialect in DIALECTS if (name, dialect) not in WITHOUT]


def inputs(kind: str, suffix: str) -> list[tuple[str, Path]]:
    return [
        (dialect, path)
        for dialect in DIALECTS
        for path in sorted((CASES / kind / dialect).glob(f"*{suffix}"))
        if ".golden" not in path.name
    ]


def name(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(value)


@pytest.mark.parametrize(("case", "dialect"), cases())
def test_request(case: str, dialect: str) -> None:
    requests = GOLDENS[dialect].requests
    assert requests.translated(case) == requests.golden(case)


@pytest.mark.parametrize(("dialect", "case"), inputs("answers", ".sse"), ids=name)
def test_answer(dialect: str, case: Path) -> None:
    check(case.with_suffix(".golden.sse"), GOLDENS[dialect].answers.golden_answer(case))


@pytest.mark.failure(119, 175)
@pytest.mark.parametrize(("dialect", "case"), inputs("errors", ".json"), ids=name)
def test_error(dialect: str, case: Path) -> None:
    check(case.with_suffix(".golden.json"), GOLDENS[dialect].answers.golden_error(case))


def test_no_golden_is_left_over() -> None:
    """A golden whose case is gone checks nothing."""
    for golden in CASES.rglob("*.golden.*"):
        folder, stem = golden.parent, golden.name.partition(".golden.")[0]
        if folder.name == "requests":
            stem = stem.rpartition(".")[0]
        assert any((folder / f"{stem}{suffix}").exists() for suffix in (".json", ".sse")), golden
    assert all(case in {name for name, _ in cases()} for case, _ in WITHOUT)
