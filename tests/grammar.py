"""The grammar of a Messages stream, as a check that raises AssertionError with the reason."""

from collections.abc import Iterable

from dragoman.messages.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    CitationsDelta,
    Event,
    InputDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    SignatureDelta,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
)
from relayed import singly

DELTAS = {
    TextBlock: (TextDelta, CitationsDelta),
    ThinkingBlock: (ThinkingDelta, SignatureDelta),
    ToolUseBlock: (InputDelta,),
}


def check(events: Iterable[Event], *, whole: bool = True) -> None:
    """Assert that events are a legal stream; with `whole=False` a legal beginning of one."""
    started = stopped = delta = False
    block: object = None
    signed = False
    index = -1
    ids: set[str] = set()
    for event in singly(events):
        assert not stopped, f"{event} after message_stop"
        if isinstance(event, MessageStart):
            assert not started, "a second message_start"
            started = True
            continue
        assert started, f"{event} before message_start"
        if isinstance(event, BlockStart):
            assert block is None, "a block starts inside a block"
            assert not delta, "a block after message_delta"
            index += 1
            assert event.index == index, f"block {event.index} instead of {index}"
            block, signed = event.content_block, False
            if isinstance(block, ToolUseBlock):
                assert block.id not in ids, f"id {block.id} twice"
                ids.add(block.id)
        elif isinstance(event, BlockDelta):
            assert block is not None, "a delta without a block"
            assert event.index == index
            assert isinstance(event.delta, DELTAS.get(type(block), ())), f"{event.delta} in {block}"
            assert not signed, "a delta after the signature"
            signed = isinstance(event.delta, SignatureDelta)
            if isinstance(event.delta, TextDelta):
                assert event.delta.text, "an empty text delta"
        elif isinstance(event, BlockStop):
            assert block is not None, "a stop without a block"
            assert event.index == index
            assert signed or not isinstance(block, ThinkingBlock), "thinking without a signature"
            block = None
        elif isinstance(event, MessageDelta):
            assert block is None, "message_delta inside a block"
            assert not delta, "a second message_delta"
            delta = True
        elif isinstance(event, MessageStop):
            assert delta, "message_stop without message_delta"
            stopped = True
    assert stopped or not whole, "no message_stop"
