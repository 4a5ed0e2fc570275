"""One answer being read, with everything that came of it."""

from typing import Any, Protocol, Self

from dragoman.dialects.contract import Call, Reader, Recall
from dragoman.messages.estimate import Estimate
from dragoman.messages.events import Event, Message
from dragoman.messages.fold import fold
from dragoman.messages.writer import MessageWriter
from grammar import check
from relayed import typed


class Told(Estimate):
    """An estimate that is told."""

    def __init__(self, tokens: int) -> None:
        super().__init__(None, tokens)
        self._tokens = tokens


def recalled(given: dict[str, Any] | None, **usual: Any) -> Recall:
    """What a test wants to be recalled; `input_tokens` is the estimate."""
    fields = {**usual, **(given or {})}
    tokens = fields.pop("input_tokens", 0)
    return Recall(estimate=Told(tokens), **fields)


def writer_for(call: Call, message_id: str = "msg_1") -> MessageWriter:
    known = call.recall
    return MessageWriter(
        message_id=message_id,
        model=known.model,
        input_tokens=known.estimate.tokens,
        stop_sequences=known.stop_sequences,
        names=known.names,
        ids=known.ids,
        show_thinking=known.show_thinking,
        omit_thinking=known.omit_thinking,
        asked_thinking=known.asked_thinking,
        output_tool=known.output_tool,
    )


class MakesReaders(Protocol):
    def __call__(self, call: Call, writer: MessageWriter) -> Reader: ...


class AnswerReading:
    """What a reader makes of the bytes of an answer to `call`."""

    def __init__(self, reader: MakesReaders, call: Call) -> None:
        self.call = call
        self.writer = writer_for(call)
        self.reader = reader(call, self.writer)
        self.events: list[Event] = []

    def feed(self, *chunks: bytes) -> Self:
        for chunk in chunks:
            self.events += typed(self.reader.feed(chunk))
        return self

    def close(self) -> Message:
        self.events += self.reader.close()
        check(self.events)
        return fold(self.events)

    def stream(self, *chunks: bytes) -> Message:
        return self.feed(*chunks).close()

    def whole(self, body: bytes) -> Message:
        self.events += self.reader.whole(body)
        check(self.events)
        return fold(self.events)

    @property
    def codes(self) -> set[str]:
        return {note.code for note in self.writer.notes}
