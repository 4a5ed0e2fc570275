"""Events that differ in their text and number alone: what is read without decoding is what decoding reads."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import PROVOKING, AbstractAnswer, answers
from dialects.responses.encoder_responses import Options, ResponsesEncoder, options
from dragoman.dialects.responses import likeness as module
from dragoman.dialects.responses.answer import ResponsesReader
from dragoman.dialects.responses.likeness import Likeness
from dragoman.dialects.responses.wire import decode
from dragoman.messages.events import Event
from dragoman.messages.sse import Frame
from dragoman.messages.writer import MessageWriter
from relayed import typed

ENCODER = ResponsesEncoder()
OPENAI = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%d,'
    b'"item_id":"msg_1","output_index":0,"content_index":0,"delta":%b,"logprobs":[]}\n\n'
)
SORTED = b'data: {"content_index": 0, "delta": %b, "sequence_number": %d, "type": "response.output_text.delta"}\n\n'


def learned(raw: bytes) -> Likeness | None:
    lines = raw.decode().splitlines()
    event = next((line[7:] for line in lines if line.startswith("event: ")), "")
    data = "\n".join(line[6:] for line in lines if line.startswith("data: ")).encode()
    return module.likeness(Frame(data, event), decode(data))


def known(raw: bytes) -> Likeness:
    found = learned(raw)
    assert found is not None
    return found


def read(stream: list[bytes], stop_sequences: tuple[str, ...] = ()) -> tuple[list[Event], list[Any]]:
    writer = MessageWriter(message_id="msg_1", model="m", stop_sequences=stop_sequences)
    reader = ResponsesReader(ENCODER.call(), writer)
    events = [event for chunk in stream for event in typed(reader.feed(chunk))]
    return [*events, *typed(reader.close())], writer.notes


def by_events(stream: bytes, size: int) -> list[bytes]:
    whole = [part + b"\n\n" for part in stream.split(b"\n\n") if part]
    return [b"".join(whole[start : start + size]) for start in range(0, len(whole), size)]


@given(answers(free=True), options(), st.integers(1, 9) | st.just(1000), st.sampled_from([(), ("a",), ("0",)]))
def test_reading_event_by_event_is_reading_byte_by_byte(
    answer: AbstractAnswer, how: Options, size: int, stops: tuple[str, ...]
) -> None:
    stream = ENCODER.stream(answer, how)
    assert read(by_events(stream, size), stops) == read([stream[at : at + 1] for at in range(len(stream))], stops)


@given(st.lists(st.text() | st.sampled_from(PROVOKING), min_size=1, max_size=4), st.booleans())
def test_the_texts_of_a_read(texts: list[str], ascii_only: bool) -> None:
    literals = [json.dumps(text, ensure_ascii=ascii_only).encode("utf-8", "replace") for text in texts]
    halves = any("\ud800" <= letter <= "\udfff" for text in texts for letter in text)
    first = b"".join(OPENAI % (7 + number, literal) for number, literal in enumerate(literals))
    second = b"".join(SORTED % (literal, 7 + number) for number, literal in enumerate(literals))
    for raw, chunk in ((OPENAI % (3, b'"x"'), first), (SORTED % (b'"x"', 3), second)):
        assert known(raw).texts(chunk) == (([], 0) if halves else (texts, len(chunk)))


@pytest.mark.parametrize(
    "chunk",
    [
        b"",
        OPENAI % (4, b'"a'),
        OPENAI % (4, b'"a","b"'),
        OPENAI % (4, b'"a","item":{}'),
        OPENAI % (4, b'"\\ud83d"'),
        OPENAI % (4, b'"\xff"'),
        OPENAI % (4, b"null"),
        OPENAI.replace(b"%d", b"%b") % (b"4.5", b'"a"'),
        OPENAI.replace(b"%d", b"%b") % (b'4,"item":{}', b'"a"'),
        OPENAI.replace(b"msg_1", b"msg_2") % (4, b'"a"'),
        (OPENAI % (4, b'"a"'))[:-1],
        b" " + OPENAI % (4, b'"a"'),
        OPENAI % (4, b'"a') + OPENAI % (5, b'b"'),
        b"event: response.output_text.delta\ndata: {}\n\n",
        OPENAI % (4, b'"a"') + OPENAI.replace(b"%d", b"%b") % (b"x", b'"b"'),
        OPENAI % (4, b'"a"') + OPENAI.replace(b"msg_1", b"msg_2") % (5, b'"b"') + OPENAI % (6, b'"c"'),
        OPENAI % (4, b'"%b"' % (b"a" * 20_000)) + OPENAI % (5, b'"b"'),  # longer than what is looked at at once
        OPENAI % (4, b'"a","b"') + OPENAI % (5, b'"c"'),
        OPENAI % (4, b'"a') + OPENAI % (5, b'b"') + OPENAI % (6, b'"c","d"'),
        OPENAI.replace(b"%d", b"%b") % (b"", b'"a"'),
        OPENAI.replace(b"%d", b"%b") % (b"007", b'"a"'),
        OPENAI % (4, b'"a"') + OPENAI.replace(b"%d", b"%b") % (b"", b'"b"'),
    ],
)
def test_what_is_not_alike_is_not_taken_for_it(chunk: bytes) -> None:
    like = known(OPENAI % (3, b'"x"'))
    assert like.texts(chunk) == ([], 0)
    assert like.text(chunk) is None


@pytest.mark.parametrize(
    "rest",
    [
        b": comment\n\n" + OPENAI % (5, b'"b"'),
        b'event: response.output_text.done\ndata: {"type":"response.output_text.done"}\n\n',
        (OPENAI % (5, b'"b"'))[:-1],
        (OPENAI % (5, b'"b"'))[:-10],
        (OPENAI % (5, b'"b"'))[:20],
        b"\n" + OPENAI % (5, b'"b"'),
    ],
)
@pytest.mark.parametrize("before", [b"", b": comment\n\n"])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_run_ends_where_the_likeness_ends(before: bytes, number: int, rest: bytes) -> None:
    run = (OPENAI % (4, b'"a"')) * number
    assert known(OPENAI % (3, b'"x"')).texts(before + run + rest, len(before)) == (["a"] * number, len(before + run))


def test_a_read_of_many_runs() -> None:
    """However it is cut: runs are longer than what is looked at at once, and begin anywhere in a read."""
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": ""}
    added = {"type": "response.output_item.added", "output_index": 1, "item": call}
    arguments = (
        b'data: {"type":"response.function_call_arguments.delta","item_id":"fc_1","delta":%b,"sequence_number":%d}\n\n'
    )
    last = {"type": "response.completed", "response": {"usage": {"input_tokens": 1, "output_tokens": 1}}}
    frames = [OPENAI % (number, b'"a%d"' % number) for number in range(150)]
    frames.append(b"data: %b\n\n" % json.dumps(added).encode())
    frames += [arguments % (piece, 7) for piece in (b'"{\\"a\\":\\""', *[b'"b"'] * 150, b'"\\"}"')]
    frames.append(b"data: %b\n\n" % json.dumps(last).encode())
    whole = b"".join(frames)
    expected = read([whole[at : at + 1] for at in range(len(whole))])
    assert expected == read([whole]) == read([whole + OPENAI % (9, b'"late"')]) == read([whole.replace(b"\n", b"\r\n")])
    for size in (100, 1000, 5000):
        assert read([whole[at : at + size] for at in range(0, len(whole), size)]) == expected


def test_a_stream_that_never_repeats_itself() -> None:
    """After some events nobody looks for likeness any more; all that is left of a read is read at once."""
    frame = b'data: {"type":"response.output_text.delta","delta":%b}\n\n'
    frames = [frame % b'"a"'] * 150 + [b'data: {"type":"response.completed","response":{}}\n\n', frame % b'"late"']
    events, _ = read([b"".join(frames)])
    assert events == read(frames)[0]


@pytest.mark.parametrize(
    "raw",
    [
        b'data: {"type":"response.output_text.delta","delta":"x"}\n\n',
        OPENAI % (3, b'"\\u0041"'),
        b'data: {"type":"response.output_text.delta","sequence_number":1,\ndata: "delta":"y"}\n\n',
        b'data: {"type":"response.output_text.delta","sequence_number":1,"x":{"delta":"y"},"delta":"y"}\n\n',
        b'data: {"type":"response.output_text.delta","response":{"sequence_number":1,"delta":"y"},"delta":"z"}\n\n',
    ],
)
def test_what_cannot_be_told(raw: bytes) -> None:
    assert learned(raw) is None


def test_an_event_of_another_kind_ends_the_likeness() -> None:
    """The same bytes mean another item after an event that changed what is open."""
    done = {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "id": "msg_1"}}
    other = {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_2"}}
    last = {"type": "response.completed", "response": {"usage": {"input_tokens": 1, "output_tokens": 1}}}
    frames = [OPENAI % (number, b'"a"') for number in range(3)]
    frames += [b"data: %b\n\n" % json.dumps(each).encode() for each in (done, other)]
    frames += [OPENAI % (number, b'"b"') for number in range(3)]
    frames.append(b"data: %b\n\n" % json.dumps(last).encode())
    whole = b"".join(frames)
    assert read(frames) == read([whole[at : at + 1] for at in range(len(whole))])
