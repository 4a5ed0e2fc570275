"""Counts of tokens by the upstream."""

import json

import pytest

from dialects.anthropic.asking_messages import NEWEST, asked, body, target
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.request import count
from dragoman.messages.errors import ApiError


def test_the_same_body_is_counted() -> None:
    request = asked(max_tokens=None, headers={"anthropic-beta": "token-counting-2024-11-01"})
    made = ANTHROPIC.count(request, target())
    assert made.url == "http://127.0.0.1:9/v1/messages/count_tokens"
    assert made.body is request.raw
    assert not made.stream
    assert ("anthropic-beta", "token-counting-2024-11-01") in made.headers


def test_what_would_be_refused_is_not_counted_either() -> None:
    request = asked(max_tokens=None, thinking={"type": "disabled"}, stream=True)
    made = count(request, target(facts=NEWEST, extra_body={"user": "x"}))
    assert json.loads(made.body) == body(
        max_tokens=None, thinking={"type": "adaptive"}, stream=True, output_config={"effort": "low"}
    )


def test_vertex() -> None:
    made = count(asked(max_tokens=None), target(form="vertex", model="claude-opus-4-5@20251101"))
    assert made.url == "http://127.0.0.1:9/models/count-tokens:rawPredict"
    assert json.loads(made.body) == body(
        model="claude-opus-4-5@20251101", max_tokens=None, anthropic_version="vertex-2023-10-16"
    )


def test_servers_without_a_count() -> None:
    with pytest.raises(ApiError) as caught:
        count(asked(), target(counts=False))
    assert caught.value.kind == "unsupported"


def test_the_answer() -> None:
    assert ANTHROPIC.counted(b'{"input_tokens":7,"context_management":null}') == 7
    for wrong in (b"", b"[]", b"{}", b'{"input_tokens":-7}', b'{"input_tokens":"\xff"}'):
        with pytest.raises(ApiError) as caught:
            ANTHROPIC.counted(wrong)
        assert caught.value.kind == "bad_answer"
