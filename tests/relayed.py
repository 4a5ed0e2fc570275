"""A look into answers that are passed on: their frames, and whole messages, as typed events for the laws."""

from collections.abc import Iterable

import msgspec

from dragoman.messages.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Deltas,
    ErrorEvent,
    Event,
    InputDelta,
    Message,
    MessageDelta,
    MessageStart,
    MessageStop,
    Outcome,
    Relayed,
    SignatureDelta,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
    WholeBlock,
)
from dragoman.messages.sse import Frame, FrameReader

TYPES = {
    "message_start": MessageStart,
    "content_block_start": BlockStart,
    "content_block_delta": BlockDelta,
    "content_block_stop": BlockStop,
    "message_delta": MessageDelta,
    "message_stop": MessageStop,
    "error": ErrorEvent,
}


def frames_of(events: Iterable[Event]) -> bytes:
    """The bytes that were passed on."""
    return b"".join(event.frames for event in events if isinstance(event, Relayed))


def singly(events: Iterable[Event]) -> list[Event]:
    """The same events, each as an object of its own."""
    return [one for event in events for one in (event.each() if isinstance(event, Deltas | WholeBlock) else [event])]


def typed(events: Iterable[Event]) -> list[Event]:
    """The same events, singly, with all that is passed on as an SDK sees it: by the names of frames, without what it
    skips."""
    found: list[Event] = []
    for event in singly(events):
        if isinstance(event, Relayed):
            reader = FrameReader()
            frames = reader.feed(event.frames + b"\n")  # behind a carriage return it is no empty line
            assert reader.close() == [], "the last frame is not whole"
            found += [each for frame in frames if (each := _event(frame)) is not None]
        else:
            found.append(event)
    return found


def played(body: bytes) -> list[Event]:
    """A whole message as its stream would be."""
    message = msgspec.json.decode(body, type=Message)
    events: list[Event] = [MessageStart(msgspec.structs.replace(message, content=[], stop_reason=None))]
    for index, block in enumerate(message.content):
        match block:
            case TextBlock(text):
                events += [BlockStart(index, TextBlock("")), BlockDelta(index, TextDelta(text))]
            case ThinkingBlock(thinking, signature):
                events += [BlockStart(index, ThinkingBlock("", "")), BlockDelta(index, ThinkingDelta(thinking))]
                events += [BlockDelta(index, SignatureDelta(signature))]
            case ToolUseBlock(identity, name, given):
                events += [BlockStart(index, ToolUseBlock(identity, name))]
                events += [BlockDelta(index, InputDelta(bytes(given).decode()))]
            case _:
                events += [BlockStart(index, block)]
        events += [BlockStop(index)]
    assert message.stop_reason is not None
    outcome = Outcome(message.stop_reason, message.stop_sequence, message.stop_details)
    return [*events, MessageDelta(outcome, message.usage), MessageStop()]


def _event(frame: Frame) -> Event | None:
    try:
        return msgspec.json.decode(frame.data, type=TYPES[frame.event])
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError):
        return None
