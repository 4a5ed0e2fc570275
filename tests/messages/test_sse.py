"""Frames out of bytes, however they are cut, and the bytes of events."""

import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dragoman.messages import events
from dragoman.messages.errors import ApiError, ErrorBody
from dragoman.messages.sse import FRAME_LIMIT, PING, Frame, FrameReader, encode, encode_all

BOM = b"\xef\xbb\xbf"


def specified(raw: bytes) -> tuple[list[Frame], list[bytes]]:
    """The standard's algorithm on the whole bytes, line by line; a last frame may lack its blank line."""
    frames: list[Frame] = []
    stray: list[bytes] = []
    data: list[bytes] = []
    event = b""
    for line in [*re.split(rb"\r\n|\r|\n", raw.removeprefix(BOM)), b""]:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                frames.append(Frame(b"\n".join(data), event.decode("utf-8", "replace")))
            data, event = [], b""
        elif name == b"data":
            data.append(value)
        elif name == b"event":
            event = value
        elif name not in (b"", b"id", b"retry"):
            stray.append(line)
    return frames, stray


def cut(raw: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(edges)]


def read(chunks: Sequence[bytes]) -> tuple[list[Frame], list[bytes]]:
    reader = FrameReader()
    frames = [frame for chunk in chunks for frame in reader.feed(chunk)] + reader.close()
    return frames, reader.stray.split(b"\n")[:-1]


LINES = st.sampled_from(
    [
        b"",
        b"",
        b"",
        b'data: {"text":"\xe2\x80\xa8 \xe6\xb8\x90 \xf0\x9f\x98\x80"}',
        b"data:no space",
        b"data:  two spaces",
        b"data",
        b"data:",
        b"data: a: b",
        b"event: message_start",
        b"event:\xff",
        b"id: 7",
        b"retry: 100",
        b": OPENROUTER PROCESSING",
        b":",
        b"data: [DONE]",
        b'{"error":"bare"}',
        b"datax: no field",
        BOM + b"data: not at the beginning",
    ]
) | st.binary(max_size=4).filter(lambda line: b"\n" not in line and b"\r" not in line)
ENDS = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])
STREAMS = st.builds(
    lambda head, lines, tail: head + b"".join(line + end for line, end in lines) + tail,
    st.sampled_from([b"", BOM, b"\xef", b"\xef\xbb"]),
    st.lists(st.tuples(LINES, ENDS), max_size=14),
    LINES,
)
PLACES = st.lists(st.integers(0, 400), max_size=12)


@pytest.mark.failure(92, 93)
@given(STREAMS, PLACES)
@example(BOM + BOM + b"data: x\n\n", [3])
@example(b"data: x\r\n\r\n", [9, 10])
@example(b"data: x\r\rdata: y\n\n", [8, 9])
@example(BOM + b"\n\ndata: x\n\n", [1, 2])
@example(b"data: w\n\nevent: x\ndata: y\n\n", [])
@example(b"data: w\n\nevent: x\ndata: y\ndata: z\n\n", [])
@example(b"data: w\n\nevent: \xff\ndata: \n\nevent: x\nid: y\n\n", [])
@example(b"data: x\r\n\r\ndata: y\r\ndata: z\r\n\r\n", [11])
@example(b"data: x\r\n\r\ndata: y\rdata: z\r\n\r\n", [11])
@example(b"data: x\r\n\r\ndata: y\n\ndata: z\r\n\r\n", [11])
@example(b"data: x\r\n\r\n\ndata: z\r\n\r\n", [10])
def test_any_cut_any_line_ending(raw: bytes, places: list[int]) -> None:
    assert read(cut(raw, places)) == specified(raw)


@pytest.mark.failure(92)
@given(STREAMS)
def test_byte_by_byte(raw: bytes) -> None:
    assert read([raw[at : at + 1] for at in range(len(raw))]) == specified(raw)


@pytest.mark.failure(93)
def test_u2028_and_its_kin_do_not_end_a_line() -> None:
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    raw = f"data: {json.dumps({'text': text}, ensure_ascii=False)}\n\n".encode()
    (frame,) = FrameReader().feed(raw)
    assert json.loads(frame.data)["text"] == text


@pytest.mark.failure(93)
def test_frames_come_out_as_soon_as_they_are_whole() -> None:
    reader = FrameReader()
    assert reader.feed(b"data: 1\n\ndata: 2\n\n") == [Frame(b"1"), Frame(b"2")]
    assert reader.feed(b"event: x\ndata: 3\n\ndata: 4") == [Frame(b"3", "x")]
    assert reader.feed(b"\n") == []
    assert reader.feed(b"\n") == [Frame(b"4")]
    assert reader.feed(b"data: 5\r\n\r\n") == [Frame(b"5")]
    assert reader.feed(b"data: 6\n\n") == [Frame(b"6")]
    assert reader.close() == []


@pytest.mark.failure(93)
def test_frames_whose_lines_end_in_both() -> None:
    reader = FrameReader()
    assert not reader.at_border()
    assert reader.feed(b"data: 1\r\n\r\n") == [Frame(b"1")]
    assert reader.at_border()
    assert not reader.between()
    assert reader.feed(b"data: 2\r\n\r\nevent: x\r\ndata: 3\r\n\r\n") == [Frame(b"2"), Frame(b"3", "x")]
    assert reader.feed(b"data: 4\rdata: 5\r\n\r\n") == [Frame(b"4\n5")]
    assert reader.feed(b"data: 6\r\n\r") == []
    assert not reader.at_border()
    assert reader.feed(b"\n") == [Frame(b"6")]
    assert reader.at_border()
    assert reader.feed(b"data: 7") == []
    assert not reader.at_border()
    assert reader.feed(b"\n\r\n\r\n") == [Frame(b"7")]


def test_an_end_without_a_blank_line() -> None:
    reader = FrameReader()
    assert reader.feed(b"data: a\r\ndata: b\r") == []
    assert reader.close() == [Frame(b"a\nb")]
    assert reader.close() == []


@pytest.mark.failure(93)
def test_a_bare_error_is_kept() -> None:
    raw = b': comment\n{"error": {\n  "message": "no: such model"\n}}\n'
    frames, stray = read([raw])
    assert frames == []
    assert json.loads(b"\n".join(stray))["error"]["message"] == "no: such model"


def test_stray_text_is_bounded() -> None:
    reader = FrameReader()
    for _ in range(40):
        reader.feed(b"x" * 100_000 + b"\n\n")
    assert 1_000_000 < len(reader.stray) < 1_200_000


def test_a_frame_without_end_is_refused() -> None:
    reader = FrameReader()
    chunk = b"data: " + b"x" * (1 << 20)
    for _ in range(15):
        assert reader.feed(chunk) == []
    with pytest.raises(ApiError, match="more than 16 MB") as caught:
        reader.feed(chunk + chunk)
    assert caught.value.kind == "bad_answer"


def test_many_frames_may_be_larger_than_one_frame_may() -> None:
    one = b"data: " + b"x" * (FRAME_LIMIT // 4) + b"\n\n"
    assert len(FrameReader().feed(b": begin\n" + one * 5)) == 5


def test_a_large_frame_in_small_pieces_is_not_scanned_again_and_again() -> None:
    reader = FrameReader()
    reader.feed(b"data: ")
    for _ in range(20_000):
        reader.feed(b"x" * 400)
        assert reader._scanned == len(reader._rest)
    assert len(reader.feed(b"\n\n")[0].data) == 8_000_000


# Bytes of events

USAGE = events.Usage(input_tokens=3)
EVENTS: list[events.Event] = [
    events.MessageStart(events.Message("msg_1", "m", [], USAGE)),
    events.BlockStart(0, events.TextBlock("")),
    events.BlockDelta(0, events.TextDelta("line\nbreak \u2028 😀")),
    events.BlockDelta(0, events.InputDelta('{"a":')),
    events.BlockStop(0),
    events.MessageDelta(events.Outcome("end_turn"), USAGE),
    events.MessageStop(),
    events.Ping(),
    events.ErrorEvent(ErrorBody("overloaded_error", "busy"), "req_1"),
]


@pytest.mark.failure(86)
def test_every_event_has_its_name_and_its_json() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(events.Event)) - {
        events.Relayed,
        events.Deltas,
        events.WholeBlock,
    }
    for event in EVENTS:
        raw = encode(event)
        assert raw.endswith(b"\n\n")
        (frame,) = FrameReader().feed(raw)
        assert json.loads(frame.data)["type"] == frame.event
        assert raw.count(b"\n") == 3
    assert encode_all(EVENTS) == b"".join(map(encode, EVENTS))
    assert encode_all([]) == b""


def test_deltas_alone_and_single_events_are_written_as_all_others() -> None:
    deltas = [events.BlockDelta(number, events.TextDelta("a\nb\u2028")) for number in range(3)]
    assert encode_all(deltas) == b"".join(map(encode, deltas))
    for event in EVENTS:
        assert encode_all([event]) == encode(event)


@pytest.mark.parametrize("index", [0, 63, 64, 9_999])
@pytest.mark.parametrize("kind", [events.TextDelta, events.ThinkingDelta, events.InputDelta])
def test_several_deltas_are_written_as_events_of_their_own(index: int, kind: Any) -> None:
    run = events.Deltas(index, kind, ["a", "b\n\n", '\u2028 "}}', "\N{GRINNING FACE}"])
    assert encode(run) == encode_all([run]) == encode_all(run.each())
    for event in run.each():
        assert encode(event) == b"event: content_block_delta\ndata: %b\n\n" % msgspec.json.encode(event)


def test_what_is_passed_on_keeps_its_bytes() -> None:
    one, other = events.Relayed(b": hi\r\n\r\nevent:x\r\n\r\n"), events.Relayed(b"data: {}\n\n")
    assert encode(one) == encode_all([one]) == one.frames
    assert encode_all([one, events.Ping(), other]) == one.frames + PING + other.frames


@pytest.mark.failure(99)
def test_the_ping_is_exactly_this() -> None:
    assert encode(events.Ping()) == PING == b'event: ping\ndata: {"type":"ping"}\n\n'
