"""Frames that differ in one string only are read without decoding them, and nothing else changes."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import AbstractAnswer, answers
from dialects.chat.encoder_chat import ChatEncoder, Options, options
from dialects.chat.test_chat_answer import Reading
from dragoman.dialects.chat import answer as answer_module
from dragoman.dialects.chat.likeness import likeness
from dragoman.dialects.chat.wire import decode
from dragoman.messages.events import TextBlock
from dragoman.messages.fold import fold


def frame(delta: Any, **more: Any) -> bytes:
    return json.dumps({"id": "c1", "choices": [{"index": 0, "delta": delta, **more}]}).encode()


@pytest.mark.parametrize(
    ("delta", "field"),
    [
        ({"content": "hi"}, "content"),
        ({"role": "assistant", "content": "hi", "reasoning": None, "tool_calls": []}, "content"),
        ({"content": None, "reasoning_content": "hi"}, "reasoning_content"),
        ({"content": "", "reasoning": "hi"}, "reasoning"),
        ({"tool_calls": [{"index": 0, "function": {"arguments": "hi"}}]}, "arguments"),
        ({"content": "", "tool_calls": [{"index": 0, "function": {"arguments": "hi"}}]}, "arguments"),
    ],
)
def test_a_frame_with_one_text_shows_what_surrounds_it(delta: dict[str, Any], field: str) -> None:
    for data in (frame(delta), frame(delta).replace(b": ", b":")):
        found = likeness(data, decode(data))
        assert found is not None
        assert found.field == field
        assert found.head + b'"hi"' + found.tail == data
        assert data[found.start : found.stop] == b'"hi"'


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"choices":[]}',
        b'{"choices":[{}]}',
        frame(None),
        frame({}),
        frame({"content": ["hi"]}),
        frame({"content": "hi", "reasoning": "hm"}),
        frame({"reasoning": "hm", "reasoning_content": "hm"}),
        frame({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "hi"}}]}),
        frame({"tool_calls": [{"index": 0, "function": {"name": "A", "arguments": "hi"}}]}),
        frame({"tool_calls": [{"index": 0, "function": {"arguments": {"a": 1}}}]}),
        frame({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}),
        frame({"tool_calls": [{"index": 0}]}),
        frame({"tool_calls": [{"function": {"arguments": "a"}}, {"function": {"arguments": "b"}}]}),
        frame({"content": "\u00fc"}),  # escaped where our encoder would not
        b'{"choices":[{"delta":{"content":"hi"}}],"usage":{"prompt_tokens":1}}',
        b'{"content":"hi","choices":[{"delta":{"content":"hi"}}]}',  # the first "content" is another one
        b'{"choices":[{"delta":{"content":"hi","content":"hi"}}]}',
    ],
)
def test_a_frame_that_says_more_or_is_ambiguous_has_no_likeness(data: bytes) -> None:
    assert likeness(data, decode(data)) is None


@given(answers(), options(), st.integers(1, 5))
def test_reading_by_likeness_changes_nothing(answer: AbstractAnswer, how: Options, together: int) -> None:
    frames = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", ChatEncoder().stream(answer, how))
    chunks = [b"".join(frames[start : start + together]) for start in range(0, len(frames), together)]
    once, slow = Reading(), Reading()
    once.stream(*chunks)
    slow.reader._tries = 0
    slow.stream(*chunks)
    assert once.events == slow.events
    assert once.writer.notes == slow.writer.notes


def event(literal: str, *, id_: str = "c1") -> bytes:
    return b'data: {"id":"%b","choices":[{"delta":{"content":%b}}]}\n\n' % (id_.encode(), literal.encode())


@pytest.mark.parametrize(
    ("chunk", "texts"),
    [
        (event('"b"'), ["b"]),
        (event('"' + "b" * 500 + '"'), ["b" * 500]),
        (event('"b"') + event('"c\\n"') + event('""'), ["b", "c\n", ""]),
        (event('"b\\"}}"') + event('"\\"}}]}"') + event('"}}]}"'), ['b"}}', '"}}]}', "}}]}"]),
        (event('"b"') + event('"c"', id_="c2"), ["b"]),
        (event('"b"') + b": ping\n\n", ["b"]),
        (b": ping\n\n" + event('"b"'), []),
        (event('"b"') + event('"c"')[:-1], ["b"]),
        (event('"b"') + event('"c","d"'), None),  # no JSON, though a list of such texts would be
        (event('"b"') + event("3"), None),
        (event("3"), None),
        (event('"\\ud83d"'), None),
        (event('"b"')[:50], []),
    ],
)
def test_a_read_of_events_that_are_alike(chunk: bytes, texts: list[str] | None) -> None:
    data = event('"a"')[6:-2]
    found = likeness(data, decode(data))
    assert found is not None
    assert found.texts(chunk) == (
        ([], len(chunk)) if texts is None else (texts, sum(map(len, chunk.splitlines(keepends=True)[: 2 * len(texts)])))
    )
    assert found.text(chunk) == (
        texts[0] if texts and len(chunk) == found.texts(chunk)[1] and len(texts) == 1 else None
    )


@pytest.mark.parametrize("together", [1, 4])
def test_like_events_end_at_a_stop_sequence(together: int) -> None:
    events = [event(f'"{letter}"') for letter in "abcdefgh"]
    reading = Reading(recall={"stop_sequences": ("ef",)})
    reading.feed(*(b"".join(events[at : at + together]) for at in range(0, 8, together)))
    assert reading.writer.ended
    message = fold(reading.events)
    assert (message.stop_sequence, message.content) == ("ef", [TextBlock("abcd")])
    assert reading.feed(event('"x"')).events == reading.events


@pytest.mark.parametrize("together", [1, 4, 9])
def test_like_events_that_are_looked_at_end_at_a_stop_sequence(together: int) -> None:
    events = [event(f'"{text}"') for text in ("a", "b", "", "c", "d", "e", "f", "g", "h")]
    reading = Reading(recall={"stop_sequences": ("ef",)}, think_tags=True)
    reading.feed(*(b"".join(events[at : at + together]) for at in range(0, 9, together)))
    assert reading.writer.ended
    message = fold(reading.events)
    assert (message.stop_sequence, message.content) == ("ef", [TextBlock("abcd")])


def test_it_is_used_and_given_up_where_it_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def counted(data: bytes) -> Any:
        decoded.append(data)
        return decode(data)

    monkeypatch.setattr(answer_module, "decode", counted)
    same = b"".join(b"data: %b\n\n" % frame({"content": f"word {at} "}) for at in range(500))
    Reading().feed(same)
    assert len(decoded) == 1
    reading = Reading()
    reading.feed(b"".join(b"data: %b\n\n" % frame({"content": "x"}, logprobs=at) for at in range(500)))
    assert reading.reader._tries == 0


def test_an_empty_text_in_a_like_frame_ends_no_reasoning() -> None:
    reading = Reading()
    reading.feed(*(b"data: %b\n\n" % frame({"reasoning": text}) for text in ("a", "", "b", "c")))
    assert len([event for event in reading.events if hasattr(event, "delta")]) == 3


def test_a_field_that_is_not_read_stays_unread_in_like_frames() -> None:
    reading = Reading(reasoning_in="reasoning_content")
    reading.feed(*(b"data: %b\n\n" % frame({"reasoning": text}) for text in ("a", "b")))
    assert reading.events == []


def test_arguments_in_like_frames_go_to_the_call_that_was_last() -> None:
    def piece(index: int, arguments: str, **more: Any) -> bytes:
        function = {"arguments": arguments, **({"name": more.pop("name")} if "name" in more else {})}
        return b"data: %b\n\n" % frame({"tool_calls": [{"index": index, **more, "function": function}]})

    reading = Reading()
    pieces = [piece(0, "", id="a", name="A"), piece(1, "", id="b", name="B")]
    reading.reader._tries = 3  # spent on the first fragment of the first call, whose frame a later one resembles
    pieces += [piece(0, '{"x":'), piece(1, '{"y":'), piece(0, "1}"), piece(1, "2}")]
    message = reading.stream(*pieces, b"data: [DONE]\n\n")
    assert [bytes(block.input) for block in message.content] == [b'{"x":1}', b'{"y":2}']  # type: ignore[union-attr]


def test_a_half_character_in_a_like_frame_is_read_the_long_way() -> None:
    reading = Reading()
    texts = ("a", "b\ud83d", "\ude00c", "d")
    message = reading.stream(*(b"data: %b\n\n" % frame({"content": text}) for text in texts), b"data: [DONE]\n\n")
    assert message.content[0].text == "ab😀cd"  # type: ignore[union-attr]
