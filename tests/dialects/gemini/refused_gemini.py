"""Calls that were refused, for the tests of errors and repairs."""

from typing import Any, cast

from dragoman.dialects.contract import Call, Dialect, Facts, Target
from dragoman.dialects.gemini import errors
from dragoman.dialects.gemini.quirks import Quirks
from golden_answers import CASES, GoldenAnswers
from reading import recalled


class Caller:
    """Makes calls as the golden cases want them, to no server."""

    def call(self, *, recall: dict[str, Any] | None = None, facts: dict[str, Any] | None = None, **quirks: Any) -> Call:
        target = Target(
            provider="lab",
            dialect="gemini",
            base_url="http://127.0.0.1:9/v1beta",
            model="some-model",
            quirks=Quirks(**quirks),
            facts=Facts(**(facts or {})),
            key="LAB_KEY",
            auth="x-goog-api-key",
            state_scope="lab",
        )
        recalling = recalled(recall, model="claude-opus-4-8", scope="lab")
        url = f"{target.base_url}/models/some-model:streamGenerateContent?alt=sse"
        return Call(url=url, body=b"{}", stream=True, target=target, recall=recalling)


class Refusals(GoldenAnswers):
    """The error cases, whether the rest of the dialect is there or not."""

    def __init__(self) -> None:
        self._encoder = Caller()
        self._dialect = cast("Dialect", errors)  # of the dialect, errors alone are asked for
        self._errors = CASES / "errors" / "gemini"


def call(facts: dict[str, Any] | None = None, **quirks: Any) -> Call:
    return Caller().call(facts=facts, **quirks)
