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
)


class Fold:
    """Collects events as they come; `message` is what they add up to."""

    __slots__ = ("_content", "_deltas", "_end", "_open", "_start")

    def __init__(self) -> None:
        self._start: MessageStart | None = None
        self._end: MessageDelta | None = None
        self._content: list[ContentBlock] = []
        self._open: ContentBlock | None = None
        self._deltas: list[Delta] = []

    def add(self, events: Iterable[Event]) -> None:
        """Raises ApiError for an error event."""
        for event in events:
            if type(event) is BlockDelta:
                self._deltas.append(event.delta)
            elif type(event) is Deltas:
                self._deltas.append(event.kind("".join(event.texts)))
            elif type(event) is BlockStart:
                self._open = event.content_block
            elif type(event) is BlockStop:
                if self._open is not None:
                    self._content.append(_filled(self._open, self._deltas))
                self._open, self._deltas = None, []
            elif type(event) is MessageStart:
                self._start = event
            elif type(event) is MessageDelta:
                self._end = event
            elif type(event) is ErrorEvent:
                raise ApiError("upstream_failed", event.error.message)

    @property
    def message(self) -> Message:
        """Raises ApiError("truncated") when the stream had no end."""
        if self._start is None or self._end is None:
            raise ApiError("truncated", "The upstream's answer ended before it was complete.")
        begun, outcome = self._start.message, self._end.delta
        return Message(
            begun.id,
            begun.model,
            self._content,
            self._end.usage,
            begun.role,
            outcome.stop_reason,
            outcome.stop_sequence,
            outcome.stop_details,
        )


def fold(events: Iterable[Event]) -> Message:
    """The Message that a whole stream adds up to. Raises ApiError for a stream that failed or was cut."""
    whole = Fold()
    whole.add(events)
    return whole.message


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
