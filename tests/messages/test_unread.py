"""Names that no type has."""

import json
from typing import Any

import pytest

from dragoman.messages import unread
from dragoman.messages.request import decode


def places(body: dict[str, Any]) -> list[str]:
    raw = json.dumps({"model": "m", "max_tokens": 1, "messages": []} | body).encode()
    decode(raw)
    found = unread.notes(raw)
    assert {(note.grade, note.code) for note in found} <= {("ignored", "field.unread")}
    return [note.place for note in found]


def test_what_is_read_is_not_named() -> None:
    assert places({}) == []
    assert places({"system": "x", "tools": None, "metadata": {"user_id": "u"}, "thinking": {"type": "adaptive"}}) == []


@pytest.mark.failure(38)
def test_every_field_that_is_not_read_is_named() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "u", "etag": 1}, "transformations": {"a": 1}}
    expected = [
        "novelty",
        "system.0.cache_control.scope",
        "messages.0.content.0.source.etag",
        "messages.0.content.0.transformations",
        "messages.0.mood",
        "messages.1.content.0.content.0.source.etag",
        "messages.1.content.0.content.0.transformations",
        "messages.1.content.0.toolset_name",
        "tools.0.configs",
        "thinking.block_binding",
        "output_config.format.strict",
        "output_config.tone",
    ]
    found = places(
        {
            "novelty": 1,
            "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "scope": "global"}}],
            "messages": [
                {"role": "user", "content": [image], "mood": "good"},
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "a", "content": [image], "toolset_name": "x"}],
                },
            ],
            "tools": [{"name": "t", "input_schema": {"type": "object", "novelty": 1}, "configs": {}}],
            "thinking": {"type": "adaptive", "block_binding": {}},
            "output_config": {"format": {"type": "json_schema", "schema": {"novelty": 1}, "strict": True}, "tone": 1},
        }
    )
    assert sorted(found) == sorted(expected)


def test_names_that_are_texts_are_not_repeated() -> None:
    assert places({"my secret words": 1, "x" * 80: 2}) == ["*", "*"]
