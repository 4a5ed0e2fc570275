"""Chat Completions bytes -> Messages events: laws over any answer, and what servers really do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import AbstractAnswer, answers, expected, told
from dialects.chat.encoder_chat import ChatEncoder, Options, options
from dragoman.dialects.chat.answer import ChatReader
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event, Message, Usage
from dragoman.messages.fold import fold
from dragoman.messages.writer import MessageWriter

ENCODER = ChatEncoder()


class Reading:
    """One answer being read, with everything that came of it."""

    def __init__(
        self, recall: dict[str, Any] | None = None, facts: dict[str, Any] | None = None, **quirks: Any
    ) -> None:
        call = ENCODER.call(recall=recall, facts=facts, **quirks)
        known = call.recall
        self.writer = MessageWriter(
            message_id="msg_1",
            model=known.model,
            input_tokens=known.input_tokens,
            stop_sequences=known.stop_sequences,
            names=known.names,
            ids=known.ids,
            show_thinking=known.show_thinking,
            omit_thinking=known.omit_thinking,
            asked_thinking=known.asked_thinking,
            output_tool=known.output_tool,
        )
        self.reader = ChatReader(call, self.writer)
        self.events: list[Event] = []

    def feed(self, *chunks: bytes) -> "Reading":
        for chunk in chunks:
            self.events += self.reader.feed(chunk)
        return self

    def close(self) -> Message:
        self.events += self.reader.close()
        return fold(self.events)

    def stream(self, *chunks: bytes) -> Message:
        return self.feed(*chunks).close()

    def whole(self, body: bytes) -> Message:
        self.events += self.reader.whole(body)
        return fold(self.events)

    @property
    def codes(self) -> set[str]:
        return {note.code for note in self.writer.notes}


@given(answers(), options())
def test_a_stream_folds_to_the_answer(answer: AbstractAnswer, how: Options) -> None:
    assert told(Reading().stream(ENCODER.stream(answer, how))) == expected(answer)


@given(answers())
def test_a_completion_folds_to_the_answer_and_to_its_stream(answer: AbstractAnswer) -> None:
    whole = Reading().whole(ENCODER.whole(answer))
    assert told(whole) == expected(answer)
    assert whole == Reading().stream(ENCODER.stream(answer))


@pytest.mark.failure(92, 93)
@given(answers(), options(), st.data())
def test_any_cut_of_the_bytes_gives_the_same_events(answer: AbstractAnswer, how: Options, data: st.DataObject) -> None:
    stream = ENCODER.stream(answer, how)
    once = Reading()
    once.stream(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    cut = Reading()
    cut.stream(*pieces)
    assert cut.events == once.events


@given(answers(), options())
def test_one_byte_at_a_time_gives_the_same_events(answer: AbstractAnswer, how: Options) -> None:
    stream = ENCODER.stream(answer, how)
    once, bytewise = Reading(), Reading()
    once.stream(stream)
    bytewise.stream(*(stream[at : at + 1] for at in range(len(stream))))
    assert bytewise.events == once.events


@pytest.mark.failure(97)
@given(answers(), options(), st.data())
def test_a_cut_before_the_finish_mark_is_an_error(answer: AbstractAnswer, how: Options, data: st.DataObject) -> None:
    stream, finish = ENCODER.marked(answer, how)
    cut = data.draw(st.integers(0, finish - 1))
    with pytest.raises(ApiError) as caught:
        Reading().stream(stream[:cut])
    assert caught.value.kind in ("truncated", "bad_answer")


@pytest.mark.failure(97)
def test_every_cut_before_the_finish_mark_is_an_error_and_every_cut_after_it_is_an_answer() -> None:
    answer = AbstractAnswer((), "end_turn", Usage(input_tokens=3, output_tokens=2))
    stream, finish = ENCODER.marked(answer, Options(usage="finish"))
    for cut in range(len(stream) + 1):
        if cut < finish:
            with pytest.raises(ApiError):
                Reading().stream(stream[:cut])
        else:
            assert told(Reading().stream(stream[:cut])) == expected(answer)


