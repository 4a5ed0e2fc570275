"""Whole responses: the usual ones are played at once, and nothing of the others."""

from typing import Any

import msgspec
import pytest

from dragoman.dialects.responses.completion import play
from dragoman.dialects.responses.wire import Item
from dragoman.messages.events import TextBlock, ToolUseBlock
from dragoman.messages.fold import fold
from dragoman.messages.writer import MessageWriter

SAID = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "so"}]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "ls", "arguments": '{"a":1}'}


def played(*items: dict[str, Any]) -> tuple[bool, MessageWriter]:
    writer = MessageWriter("msg_1", "m")
    return play(msgspec.convert(list(items), list[Item]), writer), writer


def test_messages_and_calls_are_blocks() -> None:
    done, writer = played(SAID, CALL, CALL | {"id": "fc_2", "call_id": None, "arguments": {"b": 2}})
    writer.end()
    text, one, other = fold(writer.take()).content
    assert done
    assert text == TextBlock("so")
    assert isinstance(one, ToolUseBlock)
    assert isinstance(other, ToolUseBlock)
    assert [(call.id, bytes(call.input)) for call in (one, other)] == [("call_1", b'{"a":1}'), ("fc_2", b'{"b":2}')]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "content": "so"},
        {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "so", "annotations": [{"type": "x"}]}]},
        {"type": "message", "content": [{"type": "output_text", "text": " "}]},
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": [], "encrypted_content": "x"},
        {"type": "function_call", "call_id": "call_2"},
        {"type": "function_call", "call_id": "call_1", "name": "again"},
    ],
)
def test_of_an_unusual_item_nothing_is_played(item: dict[str, Any]) -> None:
    done, writer = played(SAID, CALL, item)
    assert not done
    assert writer.take() == []
