"""Frames: cut where they end, kept byte for byte."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dragoman.dialects.anthropic.frames import Frames, each, edited, named, read
from dragoman.messages.errors import ApiError
from dragoman.messages.sse import FRAME_LIMIT, Frame, FrameReader

# Everything that a border may be mistaken for, or hide in.
BYTES = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b": x", b"data: {}", b"event: ping", b"\xef\xbb\xbf", b"\xc3"]),
    max_size=30,
).map(b"".join)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(place % (len(stream) + 1) for place in cuts)
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


def alike(stream: bytes) -> list[Frame]:
    """The events in a stream, as a client reads them."""
    reader = FrameReader()
    return reader.feed(stream) + reader.close()


@pytest.mark.failure(93)
@given(BYTES, st.lists(st.integers(0, 200), max_size=12))
@example(b"\xef\xbb\xbf" * 2 + b"data: {}\n\n", [])
def test_any_cut_gives_whole_frames_and_every_byte(stream: bytes, cuts: list[int]) -> None:
    frames = Frames()
    parts = [whole for piece in cut(stream, cuts) if (whole := frames.whole(piece))]
    told = b"".join(parts)
    rest = frames.rest()
    text = stream.removeprefix(b"\xef\xbb\xbf")
    assert text.startswith(told)
    assert rest.startswith(text[len(told) :]) or text[len(told) :].strip(b"\r\n") == b""
    assert rest[len(text) - len(told) :].strip(b"\n") == b""
    # A ping of ours between any two parts leaves every event as it was.
    # The empty line in front keeps a second mark from being taken for the first one.
    ping = b"event: ping\ndata: {}\n\n"
    assert [frame for frame in alike(ping.join([b"", *parts])) if frame != Frame(b"{}", "ping")] == [
        frame for frame in alike(b"\n" + told) if frame != Frame(b"{}", "ping")
    ]
    assert alike(b"\n" + told + rest) == alike(b"\n" + text)


@given(BYTES)
def test_each_frame_is_one_event_at_most(stream: bytes) -> None:
    whole = Frames().whole(stream)
    found = list(each(whole))
    assert b"".join(found) == whole
    for frame in found:
        name, data = read(frame)
        assert [event for event in alike(b"\n" + frame) if event.data] == ([Frame(data, name)] if data else [])


def test_a_read_of_whole_frames_is_the_same_object() -> None:
    frames = Frames()
    frames.whole(b"event: a\ndata: 1\n\n")
    chunk = b"event: a\ndata: 2\n\n"
    assert frames.whole(chunk) is chunk
    assert frames.plain


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_stream_byte_by_byte(end: bytes) -> None:
    stream = b"\xef\xbb\xbf" + end.join([b"event: a", b"data: 1", b"", b": hi", b"", b"data: 2", b"", b""])
    frames = Frames()
    told = b"".join(frames.whole(bytes([each])) for each in stream)
    assert told + frames.rest() == stream.removeprefix(b"\xef\xbb\xbf")
    assert frames.plain == (end == b"\n")


def test_a_mark_that_never_comes() -> None:
    frames = Frames()
    assert frames.whole(b"") == frames.whole(b"\xef") == frames.whole(b"\xbb") == b""
    assert frames.whole(b"\n\n") == b"\xef\xbb\n\n"
    only = Frames()
    assert only.whole(b"\xef\xbb\xbf") == b""
    assert only.whole(b"\n\n") == b"\n\n"


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (b"", b""),
        (b"\n", b""),
        (b"data: 1", b"data: 1\n\n"),
        (b"data: 1\n", b"data: 1\n\n"),
        (b"data: 1\r\n", b"data: 1\r\n\n"),
        (b"data: 1\r", b"data: 1\r\n\n"),
        (b"data: 1\r\r", b"data: 1\r\r"),
        (b"data: 1\r\n\r", b"data: 1\r\n\r"),
    ],
)
def test_what_is_left_at_the_end(left: bytes, told: bytes) -> None:
    frames = Frames()
    assert frames.whole(left) == b""
    assert frames.rest() == told
    assert frames.rest() == b""


def test_a_frame_has_a_limit() -> None:
    frames = Frames()
    chunk = b"data: " + b"x" * (1 << 20)
    for _ in range(15):
        assert frames.whole(chunk) == b""
    with pytest.raises(ApiError, match="more than 16 MB") as caught:
        frames.whole(chunk + chunk)
    assert caught.value.kind == "bad_answer"
    one = b"data: " + b"x" * (FRAME_LIMIT // 4) + b"\n\n"
    assert Frames().whole(one * 5) == one * 5


@pytest.mark.parametrize("begin", [b"", b"\r\n"])
def test_a_large_frame_in_small_pieces_is_not_scanned_again_and_again(begin: bytes) -> None:
    frames = Frames()
    frames.whole(begin + b"data: ")
    for _ in range(20_000):
        frames.whole(b"x" * 400)
        assert frames._scanned == len(frames.held)
    assert len(frames.whole(b"\n\nd")) > 8_000_000


def test_the_name_and_the_data_of_a_frame() -> None:
    assert read(b"event: ping\ndata: {}\n\n") == ("ping", b"{}")
    assert read(b"\r\n: hi\rdata:{\rdata: }\revent:a:b\r\n\r\n") == ("a:b", b"{\n}")
    assert read(b"id: 7\nretry: 10\n\n") == ("", b"")
    assert read(b"event: \xff\ndata\ndatas: 1\n\n") == ("\ufffd", b"")


@pytest.mark.failure(86)
def test_a_name_stands_behind_empty_lines() -> None:
    assert named(b"data: 1\n\n", "a") == b"event: a\ndata: 1\n\n"
    assert named(b"\r\n\n: hi\ndata: 1\n\n", "a") == b"\r\n\nevent: a\n: hi\ndata: 1\n\n"


@given(st.sampled_from([b"\n", b"\r\n", b"\r"]), st.sampled_from([None, 1]), st.text(max_size=9), st.text(max_size=9))
def test_an_edit_of_json_on_any_number_of_lines(end: bytes, indent: int | None, old: str, new: str) -> None:
    def frame(model: str) -> bytes:
        made = json.dumps({"before": "é", "a": {"model": model}, "model": 1}, indent=indent, ensure_ascii=False)
        lines = [b": model", b"event: x", *(b"data:" + line.encode() for line in made.split("\n")), b"id: 1", b"", b""]
        return end.join(lines)

    assert edited(frame(old), {"a": {"model": json.dumps(new, ensure_ascii=False).encode()}}) == frame(new)
