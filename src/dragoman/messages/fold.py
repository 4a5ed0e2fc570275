"""Events -> Message: what a client that waits for the whole answer gets."""

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from dragoman.messages.arguments import is_object
from dragoman.messages.errors import ApiError
from dragoman.messages.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    CitationsDelta,
    ContentBlock,
    Delta,
    Deltas,
    ErrorEvent,
    Event,
    InputDelta,
    Message,
    MessageDelta,
    MessageStart,
    SignatureDelta,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
    WholeBlock,
)


def fold(events: Iterable[Event]) -> Message:
    """The Message that a whole stream adds up to.

    Raises ApiError for an error event; ApiError("truncated") when the stream had no end.
    """
    start: Message | None = None
    end: MessageDelta | None = None
    content: list[ContentBlock] = []
    block: ContentBlock | None = None
    deltas: list[Delta] = []
    for event in events:
        if type(event) is BlockDelta:
            deltas.append(event.delta)
        elif type(event) is WholeBlock:
            content.append(event.block)
        elif type(event) is Deltas:
            deltas.append(event.kind("".join(event.texts)))
        elif type(event) is BlockStart:
            block = event.content_block
        elif type(event) is BlockStop:
            if block is not None:
                content.append(_filled(block, deltas))
            block, deltas = None, []
        elif type(event) is MessageStart:
            start = event.message
        elif type(event) is MessageDelta:
            end = event
        elif type(event) is ErrorEvent:
            raise ApiError("upstream_failed", event.error.message)
    if start is None or end is None:
        raise ApiError("truncated", "The upstream's answer ended before it was complete.")
    outcome = end.delta
    return Message(
        start.id,
        start.model,
        content,
        end.usage,
        start.role,
        outcome.stop_reason,
        outcome.stop_sequence,
        outcome.stop_details,
    )


def _filled(block: ContentBlock, deltas: list[Delta]) -> ContentBlock:
    if type(block) is TextBlock:
        texts = [part.text for part in deltas if type(part) is TextDelta]
        text = texts[0] if len(texts) == 1 else "".join(texts)
        if len(texts) == len(deltas):
            return TextBlock(block.text + text)
        return TextBlock(block.text + text, [part.citation for part in deltas if type(part) is CitationsDelta] or None)
    if type(block) is ToolUseBlock:
        fragments = "".join([part.partial_json for part in deltas if type(part) is InputDelta])
        return ToolUseBlock(block.id, block.name, _input(fragments)) if fragments else block
    if type(block) is ThinkingBlock:
        text = "".join([part.thinking for part in deltas if type(part) is ThinkingDelta])
        signature = next((part.signature for part in deltas if type(part) is SignatureDelta), block.signature)
        return ThinkingBlock(text, signature)
    return block


def _input(text: str) -> Raw:
    """The input's JSON; a call that the output limit cut is kept as text, because it is no JSON."""
    return Raw(text.encode() if is_object(text) else msgspec.json.encode({"_raw": text}))
