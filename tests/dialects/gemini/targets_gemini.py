"""Targets and calls for the tests of the way there."""

import json
from typing import Any

from dialects.chat.asking import Json, ask, told
from dragoman.dialects.contract import Call, Facts, Target
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.dialects.gemini.request import call

BUDGET_FACTS: Json = {
    "context": 1_048_576,
    "max_output": 65_536,
    "reasoning": True,
    "reasons_by_default": True,
    "efforts": ("none", "low", "medium", "high"),
    "thinking_budget": (1, 24_576),
}
LEVEL_FACTS: Json = {
    "context": 1_048_576,
    "max_output": 65_536,
    "reasoning": True,
    "reasons_by_default": True,
    "efforts": ("low", "medium", "high"),
    "call_ids": True,
    "call_signatures": True,
    "result_media": True,
    "search_with_tools": True,
}


def target(
    *, facts: Json | None = None, strict: bool = False, scope: str = "lab", model: str = "some-model", **quirks: Any
) -> Target:
    return Target(
        provider="lab",
        dialect="gemini",
        base_url="http://127.0.0.1:9/v1beta",
        model=model,
        quirks=Quirks(**quirks),
        facts=Facts(**(facts or {})),
        state_scope=scope,
        strict=strict,
        auth="x-goog-api-key",
    )


def older(*, facts: Json | None = None, **quirks: Any) -> Target:
    """A model whose thinking is a number of tokens, on AI Studio."""
    return target(facts=BUDGET_FACTS | (facts or {}), model="gemini-2.5-flash", **{"count": "wrapped"} | quirks)


def newer(*, facts: Json | None = None, **quirks: Any) -> Target:
    """A model whose thinking has levels, on AI Studio."""
    own: Json = {"count": "wrapped", "search_with_tools": True, "output_with_tools": True, "service_tier": True}
    return target(facts=LEVEL_FACTS | (facts or {}), model="gemini-3.1-pro-preview", **own | quirks)


def called(to: Target | None = None, *, session: str | None = None, **fields: Any) -> Call:
    return call(ask(session=session, **fields), to or target())


def sent(to: Target | None = None, **fields: Any) -> Json:
    """The body of the call."""
    return json.loads(called(to, **fields).body)


def config(to: Target | None = None, **fields: Any) -> Json:
    """Its `generationConfig`."""
    return sent(to, **fields)["generationConfig"]


def said(to: Target | None = None, **fields: Any) -> list[Json]:
    """The contents of the call."""
    return sent(to, **fields)["contents"]


def notes(to: Target | None = None, **fields: Any) -> list[tuple[str, str, str]]:
    return [told(note) for note in called(to, **fields).notes]
