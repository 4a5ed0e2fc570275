"""The laws about requests, as far as they hold for what is passed on, and the goldens."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from dialects.anthropic.asking_messages import OWN_SERVER, target
from dialects.anthropic.golden_requests import CLAUDE, REQUESTS, STRICTEST
from dialects.anthropic.view_anthropic import AnthropicView
from dragoman.dialects.anthropic.request import call
from dragoman.messages.request import decode
from histories import bodies, growing

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])
TARGETS = pytest.mark.parametrize("to", [target(), target(**OWN_SERVER), CLAUDE, STRICTEST])


@TARGETS
@slow
@given(made=bodies())
def test_texts_stay(to: Any, made: tuple[dict[str, Any], list[str]]) -> None:
    body, texts = made
    request = decode(msgspec.json.encode(body))
    sent = call(request, to)
    assert call(request, to) == sent
    view = AnthropicView(sent.body)
    view.check_pairs()
    for text in texts:
        assert view.text.count(text) == (1 if text in json.dumps(body, ensure_ascii=False) else 0)
    assert "<thought" not in view.text


@TARGETS
@slow
@given(pair=growing())
def test_append_only(to: Any, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = (AnthropicView(call(decode(msgspec.json.encode(body)), to).body) for body in pair)
    assert after.items[: len(before.history)] == before.history
    assert after.around == before.around


@pytest.mark.parametrize("case", REQUESTS.cases())
def test_golden(case: str) -> None:
    assert REQUESTS.translated(case) == REQUESTS.golden(case)
