"""Frames that differ in their text and their counters are read without decoding them, and nothing else changes."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import AbstractAnswer, answers
from dialects.gemini.encoder_gemini import GeminiEncoder, Options, options
from dialects.gemini.test_gemini_answer import (
    STOP,
    THOUGHTFUL,
    Reading,
    calls,
    content,
    frame,
    marks_in,
    sse,
    text,
    thought,
)
from dragoman.dialects.gemini import answer as answer_module
from dragoman.dialects.gemini.likeness import Likeness, likeness
from dragoman.dialects.gemini.signatures import Mark
from dragoman.dialects.gemini.wire import decode
from dragoman.messages.events import TextBlock
from dragoman.messages.fold import fold

Json = dict[str, Any]


def usage(said: int, **more: Any) -> Json:
    return {
        "promptTokenCount": 12,
        "candidatesTokenCount": said,
        "totalTokenCount": 12 + said,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
        **more,
    }


def data_of(value: Json, *, spaced: bool = True) -> bytes:
    return json.dumps(value, separators=(",", ": " if spaced else ":")).encode()


def learnt(value: Json | bytes, newline: bytes = b"\r\n") -> Likeness | None:
    data = value if isinstance(value, bytes) else data_of(value)
    return likeness(data, decode(data), newline)


def event(said: str, count: int = 1, newline: bytes = b"\r\n", **more: Any) -> bytes:
    return b"data: " + data_of(frame(text(said), usage=usage(count), **more)) + newline * 2


def like(newline: bytes = b"\r\n") -> Likeness:
    found = learnt(frame(text("a"), usage=usage(1)), newline)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "value",
    [
        frame(text("hi")),
        frame(text("hi"), usage=usage(1)),
        frame(text("hi"), usage={"trafficType": "ON_DEMAND"}),
        frame(thought("hi"), usage=usage(1)),
        frame(text("hi"), usage=usage(1), index=0, groundingMetadata={}, safetyRatings=[{"category": "X"}]),
        {"candidates": [{"content": {"parts": [{"text": "hi"}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "hi"}]}}], "usageMetadata": None},
        {"modelVersion": "x", "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}}]},
    ],
)
def test_a_frame_with_one_text_shows_what_surrounds_it(value: Json) -> None:
    for spaced in (True, False):
        data = data_of(value, spaced=spaced)
        found = learnt(data)
        assert found is not None
        assert found.thought is ("thought" in value["candidates"][0]["content"]["parts"][0])
        assert found.text_of(data) == "hi"
        assert (
            found.text_of(data.replace(b'"hi"', b'"\\u003cb\\u003e }],\\"role\\" \\u2028"')) == '<b> }],"role" \u2028'
        )
        assert json.loads(found.usage or b"null") == value.get("usageMetadata")


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"candidates": []},
        {"candidates": [{}]},
        {"candidates": [{"content": {}}]},
        {"candidates": [{"content": {"parts": []}}]},
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}}]},
        frame(text("")),
        frame(text("a"), text("b")),
        frame(text("a", "S")),
        frame(text("a"), reason="STOP"),
        frame(text("a"), finishMessage="x"),
        frame(text("a"), index=0, groundingMetadata={"webSearchQueries": ["q"]}),
        frame(text("a"), urlContextMetadata={}),
        frame(text("a"), citationMetadata={}),
        frame(text("a"), continuationToken="t"),
        frame(calls("A")),
        frame({"inlineData": {}}),
        {**frame(text("a")), "promptFeedback": {"blockReason": "X"}},
        {**frame(text("a")), "error": {"code": 3}},
        {"usageMetadata": usage(1), **frame(text("a"))},
        {"text": "a", **frame(text("a"))},  # the first "text" is another one
        b'{"candidates":[{"content":{"parts":[{"text":"a","text":"a"}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"x":{"a":1},"usageMetadata":{"a":1}}',
        b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]\n}',
    ],
)
def test_a_frame_that_says_more_or_is_ambiguous_has_no_likeness(value: Json | bytes) -> None:
    assert learnt(value) is None


@given(answers(free=True), options(), st.integers(1, 40), st.integers(1, 3))
def test_reading_by_likeness_changes_nothing(answer: AbstractAnswer, how: Options, together: int, many: int) -> None:
    frames = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", GeminiEncoder().stream(answer, how))
    chunks = [b"".join(frames[start : start + together]) for start in range(0, len(frames), together)]
    once, slow = Reading(THOUGHTFUL), Reading(THOUGHTFUL)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("dragoman.dialects.gemini.likeness._MANY", many)
        once.stream(*chunks)
    slow.reader._tries = 0
    slow.stream(*chunks)
    assert once.events == slow.events
    assert once.writer.notes == slow.writer.notes
    assert once.writer.usage_seen == slow.writer.usage_seen


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("together", [1, 3, 40, 500])
def test_counters_may_grow(newline: bytes, together: int) -> None:
    """In their digits as in their number of digits."""
    found = like(newline)
    events = [event(f"w{count} ", count, newline) for count in (*range(2, 300), 9990, 10_000, 10_001, 123_456)]
    texts: list[str] = []
    for at in range(0, len(events), together):
        piece = b"".join(events[at : at + together])
        done = 0
        while done < len(piece):
            more, end = found.texts(piece, done)
            assert more
            assert end > done
            texts += more
            done = end
        last = json.loads(events[min(at + together, len(events)) - 1][6:])
        assert json.loads(found.usage) == last["usageMetadata"]
    assert texts == [f"w{count} " for count in (*range(2, 300), 9990, 10_000, 10_001, 123_456)]


SOME = [event("b", each) for each in range(2, 40)]
C = event("c", 40)


@pytest.mark.parametrize(
    ("alike", "rest"),
    [
        ([], b""),
        ([], C[:-1]),
        ([], C[:60]),
        ([], C[:30]),
        ([event("", 40), event("c\n", 41)], b""),
        ([event("c", 100), event("d", 101)], event("e", 102)[:-5]),
        ([], b": keep-alive\r\n\r\n" + C),
        ([], event("c", 40, b"\n")),
        ([], event("c", 40, finishReason="STOP")),
        ([], event("c", 40, index=1)),
        ([], C.replace(b": 40", b": -40")),
        ([], C.replace(b": 40", b": 4x")),
        ([], C.replace(b": 40", b": ")),
        ([], C.replace(b": 40", b": ").replace(b": 52", b": ") + C),
        ([], C.replace(b'"c"', b'"c","d"')),
        ([], C.replace(b'"c"', b"3")),
        ([], C.replace(b'"c"', b'"\\ud83d"') + event("c", 41)),
        ([], C.replace(b'"c"', b'"\xff"')),
        ([], C.replace(b'"c"', b'"c')),
        ([], C.replace(b"data: ", b"data:") + event("d", 41)),
    ],
)
def test_a_run_ends_where_something_else_begins(alike: list[bytes], rest: bytes) -> None:
    """However many events there are, and wherever in a read they begin."""
    for count in (0, 1, 2, len(SOME)):
        found, done, texts = like(), 0, []
        events = [*SOME[:count], *alike]
        while True:
            more, end = found.texts(b"".join(events) + rest, done)
            if not more:
                break
            texts += more
            done = end
        assert texts == [decode(each[6:]).candidates[0].content.parts[0].text for each in events]  # type: ignore[index, union-attr]
        assert done == len(b"".join(events))


def test_one_that_is_no_string_among_many_is_found() -> None:
    found = like()
    lines = b"".join([*SOME, event("c", 40).replace(b'"c"', b'"c","d"'), *SOME])
    texts, end = found.texts(lines)
    assert set(texts) == {"b"}
    assert end == len(b"".join(SOME[: len(texts)]))


@pytest.mark.parametrize("together", [1, 4, 100])
def test_like_events_end_at_a_stop_sequence(together: int) -> None:
    events = [event(letter, count) for count, letter in enumerate("abcdefgh" * 20)]
    reading = Reading(recall={"stop_sequences": ("ef",)})
    reading.feed(*(b"".join(events[at : at + together]) for at in range(0, len(events), together)))
    assert reading.writer.ended
    message = fold(reading.events)
    assert (message.stop_sequence, message.content) == ("ef", [TextBlock("abcd")])
    assert reading.feed(event("x")).close() == message


def test_it_is_used_and_given_up_where_it_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def counted(data: bytes) -> Any:
        decoded.append(data)
        return decode(data)

    monkeypatch.setattr(answer_module, "decode", counted)
    events = [event(f"word {at} ", at) for at in range(1, 500)]
    for chunks in (events, [b"".join(events)], [b"".join(events)[at : at + 1000] for at in range(0, 200_000, 1000)]):
        decoded.clear()
        Reading().feed(*chunks)
        assert len(decoded) == 1
    reading = Reading()
    reading.feed(*[sse(frame(text("x"), safetyRatings=[{"category": str(at)}])) for at in range(500)])
    assert reading.reader._tries == 0


def test_texts_and_thoughts_in_turns() -> None:
    frames = [frame(thought("t")), frame(thought("u"))] * 20 + [frame(text("a")), frame(text("b"))] * 20
    message = Reading().stream(sse(*frames, STOP))
    assert content(message) == [("thinking", "tu" * 20), ("text", "ab" * 20)]


@pytest.mark.parametrize("first", [[text("\n")], [thought("\n")], [text("a"), thought("\n")]])
def test_white_space_begins_no_run(first: list[Json]) -> None:
    for said in (text, thought):
        frames = [*map(frame, first), *[frame(said("\n"))] * 3, *[frame(said("b"))] * 3]
        once, slow = Reading(), Reading()
        once.feed(*[sse(each) for each in frames])
        slow.reader._tries = 0
        slow.feed(sse(*frames))
        assert once.stream(sse(STOP)) == slow.stream(sse(STOP))


def test_a_named_event_is_no_like_frame() -> None:
    named = b"event: message\r\n" + event("b", 3)
    reading = Reading().feed(event("a", 1), event("a", 2), named[:20], named[20:], event("c", 4))
    assert content(reading.stream(sse(STOP))) == [("text", "aabc")]


def test_signatures_count_what_came_in_like_frames() -> None:
    reading = Reading(THOUGHTFUL).feed(*SOME, b"".join(SOME), b"".join(SOME)[:-30], b"".join(SOME)[-30:])
    message = reading.stream(sse(frame(text("cd", "S")), frame(calls("A")), STOP))
    assert marks_in(message.content[1]) == [Mark("back", "S", 3 * len(SOME), 2)]
