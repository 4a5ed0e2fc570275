"""Whole completions: the usual ones are played at once, and nothing of the others."""

from typing import Any

import msgspec
import pytest

from dragoman.dialects.chat.completion import play
from dragoman.dialects.chat.wire import Choice
from dragoman.messages.events import TextBlock, ToolUseBlock
from dragoman.messages.fold import fold
from dragoman.messages.writer import MessageWriter

CALL = {"id": "call_1", "function": {"name": "ls", "arguments": '{"a":1}'}}


def played(message: dict[str, Any], **more: Any) -> tuple[bool, MessageWriter]:
    choice = msgspec.convert({"message": message, "finish_reason": "stop", **more}, Choice)
    writer = MessageWriter("msg_1", "m")
    assert choice.message is not None
    return play(choice, choice.message, writer), writer


def test_text_and_calls_are_blocks() -> None:
    done, writer = played({"content": "so", "tool_calls": [CALL]})
    writer.end()
    text, call = fold(writer.take()).content
    assert done
    assert text == TextBlock("so")
    assert isinstance(call, ToolUseBlock)
    assert (call.id, call.name, bytes(call.input)) == ("call_1", "ls", b'{"a":1}')


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "text", "text": "so"}]},
        {"content": "so", "reasoning": "hm"},
        {"content": "so", "refusal": "no"},
        {"content": "so", "tool_calls": [CALL, {"id": "call_2"}]},
        {"content": "so", "tool_calls": [CALL, {"id": "call_2", "function": {"arguments": "{}"}}]},
        {"content": "so", "tool_calls": [CALL | {"extra_content": {"google": {"thought_signature": "s"}}}]},
    ],
)
def test_of_an_unusual_message_nothing_is_played(message: dict[str, Any]) -> None:
    done, writer = played(message)
    assert not done
    assert writer.take() == []


@pytest.mark.parametrize(
    "more", [{"finish_reason": "content_filter"}, {"stop_reason": "END"}, {"error": {"code": 500}}]
)
def test_of_an_unusual_end_nothing_is_played(more: dict[str, Any]) -> None:
    done, writer = played({"content": "so"}, **more)
    assert not done
    assert writer.take() == []
