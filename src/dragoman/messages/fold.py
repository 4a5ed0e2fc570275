"""Events -> Message: what a client that waits for the whole answer gets."""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, structs

from dragoman.messages.errors import ApiError
from dragoman.messages.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    CitationsDelta,
    ContentBlock,
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
)


class Fold:
    """Collects events as they come; `message` is what they add up to."""

    def __init__(self) -> None:
        self._start: MessageStart | None = None
        self._end: MessageDelta | None = None
        self._content: list[ContentBlock] = []
        self._open: ContentBlock | None = None
        self._deltas: list[BlockDelta] = []

    def add(self, events: Iterable[Event]) -> None:
        """Raises ApiError for an error event."""
        for event in events:
            if isinstance(event, BlockDelta):
                self._deltas.append(event)
            elif isinstance(event, BlockStart):
                self._open = event.content_block
            elif isinstance(event, BlockStop):
                if self._open is not None:
                    self._content.append(_filled(self._open, self._deltas))
                self._open, self._deltas = None, []
            elif isinstance(event, MessageStart):
                self._start = event
            elif isinstance(event, MessageDelta):
                self._end = event
            elif isinstance(event, ErrorEvent):
                raise ApiError("upstream_failed", event.error.message)

    @property
    def message(self) -> Message:
        """Raises ApiError("truncated") when the stream had no end."""
        if self._start is None or self._end is None:
            raise ApiError("truncated", "The upstream's answer ended before it was complete.")
        outcome = self._end.delta
        return structs.replace(
            self._start.message,
            content=self._content,
            stop_reason=outcome.stop_reason,
            stop_sequence=outcome.stop_sequence,
            stop_details=outcome.stop_details,
            usage=self._end.usage,
        )


def fold(events: Iterable[Event]) -> Message:
    """The Message that a whole stream adds up to. Raises ApiError for a stream that failed or was cut."""
    whole = Fold()
    whole.add(events)
    return whole.message


def _filled(block: ContentBlock, deltas: list[BlockDelta]) -> ContentBlock:
    parts = [event.delta for event in deltas]
    if isinstance(block, TextBlock):
        text = "".join([part.text for part in parts if isinstance(part, TextDelta)])
        citations = [part.citation for part in parts if isinstance(part, CitationsDelta)]
        return TextBlock(block.text + text, citations or None)
    if isinstance(block, ThinkingBlock):
        text = "".join([part.thinking for part in parts if isinstance(part, ThinkingDelta)])
        signature = next((part.signature for part in parts if isinstance(part, SignatureDelta)), block.signature)
        return ThinkingBlock(text, signature)
    if isinstance(block, ToolUseBlock):
        fragments = "".join([part.partial_json for part in parts if isinstance(part, InputDelta)])
        return structs.replace(block, input=_input(fragments)) if fragments else block
    return block


def _input(text: str) -> Raw:
    """The input's JSON; a call that the output limit cut is kept as text, because it is no JSON."""
    try:
        msgspec.json.decode(text, type=dict[str, Raw])
    except msgspec.DecodeError:
        return Raw(msgspec.json.encode({"_raw": text}))
    return Raw(text.encode())
