"""Events -> Message."""

import pytest
from msgspec import Raw

from dragoman.messages.errors import ApiError, ErrorBody
from dragoman.messages.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    ErrorEvent,
    InputDelta,
    Message,
    MessageDelta,
    MessageStart,
    MessageStop,
    Outcome,
    Ping,
    ServerToolUseBlock,
    ToolUseBlock,
    Usage,
)
from dragoman.messages.fold import fold

START = MessageStart(Message("msg_1", "m", [], Usage()))
END = [MessageDelta(Outcome("end_turn"), Usage(output_tokens=3)), MessageStop()]


def test_blocks_that_come_whole_stay_whole() -> None:
    block = ServerToolUseBlock("srvtoolu_1", "web_search", Raw(b'{"query":"x"}'))
    message = fold([START, Ping(), BlockStart(0, block), BlockStop(0), *END])
    assert message.content == [block]
    assert message.usage.output_tokens == 3
    assert START.message.content == []


def test_input_of_a_cut_call_is_kept_as_text() -> None:
    events = [START, BlockStart(0, ToolUseBlock("t", "n")), BlockDelta(0, InputDelta('{"a')), BlockStop(0), *END]
    block = fold(events).content[0]
    assert isinstance(block, ToolUseBlock)
    assert bytes(block.input) == b'{"_raw":"{\\"a"}'


def test_a_stop_without_a_block_is_nothing() -> None:
    assert fold([START, BlockStop(0), *END]).content == []


@pytest.mark.parametrize("events", [[], [START]])
def test_a_stream_without_an_end_is_truncated(events: list[MessageStart]) -> None:
    with pytest.raises(ApiError) as caught:
        fold(events)
    assert caught.value.kind == "truncated"


def test_an_error_event_is_an_error() -> None:
    with pytest.raises(ApiError, match="down"):
        fold([START, ErrorEvent(ErrorBody("overloaded_error", "down"))])
