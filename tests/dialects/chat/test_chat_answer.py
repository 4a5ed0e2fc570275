"""Chat Completions bytes -> Messages events: laws over any answer, and what servers really do."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import AbstractAnswer, answers, expected, told
from dialects.chat.encoder_chat import ChatEncoder, Options, options
from dragoman.dialects.chat.answer import ChatReader
from dragoman.messages import state
from dragoman.messages.errors import ApiError
from dragoman.messages.events import (
    Message,
    OutputDetails,
    RedactedThinkingBlock,
    StopDetails,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    Usage,
)
from dragoman.messages.fold import fold
from dragoman.messages.notes import Note
from golden_answers import GoldenAnswers
from reading import AnswerReading

GOLDENS = GoldenAnswers(ChatEncoder())

ENCODER = ChatEncoder()


class Reading(AnswerReading):
    def __init__(
        self, recall: dict[str, Any] | None = None, facts: dict[str, Any] | None = None, **quirks: Any
    ) -> None:
        super().__init__(ChatReader, ENCODER.call(recall=recall, facts=facts, **quirks))


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


def frames(*payloads: Any, done: bool = True) -> bytes:
    """A stream: dicts as JSON, strings as they are."""
    lines = [each if isinstance(each, str) else json.dumps(each) for each in payloads]
    return b"".join(b"data: %b\n\n" % line.encode() for line in [*lines, *(["[DONE]"] if done else [])])


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def call_delta(index: int | None = 0, *, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    piece = {**({} if index is None else {"index": index}), **fields, "function": function}
    return delta(finish, tool_calls=[piece])


STOP = delta("stop")
CALLS = delta("tool_calls")


def content(message: Message) -> list[tuple[Any, ...]]:
    """Blocks without ids and signatures."""
    return [each[:1] + each[2:] if each[0] == "tool_use" else each for each in told(message)[:-5]]


def seal(message: Message, at: int = 0) -> Any:
    """The payload of a block's state."""
    block = message.content[at]
    found = state.unpack(block.signature if isinstance(block, ThinkingBlock) else block.data)  # type: ignore[union-attr]
    assert found is not None
    assert found.fits("chat", "lab")
    return found.payload


# Tool calls


@pytest.mark.failure(78)
def test_a_call_that_comes_whole_in_one_delta_keeps_its_arguments() -> None:
    message = Reading().stream(
        frames(delta(content="Let me look."), call_delta(id="a", name="Bash", arguments='{"command":"ls"}'), CALLS)
    )
    assert content(message) == [("text", "Let me look."), ("tool_use", "Bash", {"command": "ls"})]
    assert message.stop_reason == "tool_use"


@pytest.mark.failure(80, 82)
def test_interleaved_calls_are_told_apart_by_index() -> None:
    message = Reading().stream(
        frames(
            call_delta(0, id="a", name="Read", arguments=""),
            call_delta(1, id="b", name="Grep", arguments=""),
            call_delta(0, arguments='{"path":'),
            call_delta(1, arguments='{"pattern":'),
            call_delta(0, arguments='"x"}'),
            call_delta(1, arguments='"y"}'),
            CALLS,
        )
    )
    assert content(message) == [("tool_use", "Read", {"path": "x"}), ("tool_use", "Grep", {"pattern": "y"})]
    assert [block.id for block in message.content if isinstance(block, ToolUseBlock)] == ["a", "b"]


@pytest.mark.parametrize(
    ("pieces", "told_as"),
    [
        pytest.param(
            [call_delta(0, id="a", name="A", arguments="{}"), call_delta(0, id="b", name="B", arguments='{"x":1}')],
            [("A", {}), ("B", {"x": 1})],
            id="index 0 again with a new id",
        ),
        pytest.param(
            [call_delta(None, id="a", name="A", arguments='{"x":'), call_delta(None, id="a", arguments="1}")],
            [("A", {"x": 1})],
            id="no index, the id in each piece",
        ),
        pytest.param(
            [
                call_delta(None, id="a", name="A", arguments='{"x":'),
                call_delta(None, id="b", name="B", arguments='{"y":'),
                call_delta(None, id="a", arguments="1}"),
                call_delta(None, id="b", arguments="2}"),
            ],
            [("A", {"x": 1}), ("B", {"y": 2})],
            id="no index, two calls in turns",
        ),
        pytest.param(
            [call_delta(None, id="a", name="A", arguments='{"x":'), call_delta(None, id="z", arguments="1}")],
            [("A", {"x": 1})],
            id="no index, a new id in each piece",
        ),
        pytest.param(
            [call_delta(None, id="a", name="A", arguments='{"x":'), call_delta(None, arguments="1}")],
            [("A", {"x": 1})],
            id="no index, a continuation without anything",
        ),
        pytest.param(
            [call_delta(None, name="A", arguments='{"x":1}'), call_delta(None, name="A", arguments='{"x":2}')],
            [("A", {"x": 1}), ("A", {"x": 2})],
            id="neither index nor id, two whole calls of one tool",
        ),
        pytest.param(
            [call_delta(None, name="A", arguments='{"x":1}'), call_delta(None, name="B", arguments="{}")],
            [("A", {"x": 1}), ("B", {})],
            id="neither index nor id, two tools",
        ),
        pytest.param(
            [call_delta(None, name="A", arguments='{"x"'), call_delta(None, name="A", arguments=":1}")],
            [("A", {"x": 1})],
            id="neither index nor id, the name in each piece",
        ),
        pytest.param(
            [call_delta(0, name="A", arguments='{"x":1}'), call_delta(0, name="B", arguments='{"y":1}')],
            [("A", {"x": 1}), ("B", {"y": 1})],
            id="index 0 for all, no ids, two tools",
        ),
        pytest.param(
            [call_delta(0, name="A", arguments='{"x":1}'), call_delta(0, name="A", arguments='{"x":2}')],
            [("A", {"x": 1}), ("A", {"x": 2})],
            id="index 0 for all, no ids, one tool twice",
        ),
        pytest.param(
            [call_delta(0, id="a", name="A", arguments=""), call_delta(0, id="z", arguments='{"x":1}')],
            [("A", {"x": 1})],
            id="a new id in each piece of one call",
        ),
        pytest.param(
            [call_delta(None, id="a", name="A", arguments=""), call_delta(0, arguments='{"x":1}')],
            [("A", {"x": 1})],
            id="the index only later",
        ),
        pytest.param(
            [call_delta(0, name="A"), call_delta(0, id="late", arguments='{"x":1}')],
            [("A", {"x": 1})],
            id="the id only later",
        ),
        pytest.param(
            [call_delta(0, id="a", name="A", arguments='{"x":'), call_delta(0, id="a", name="A", arguments="1}")],
            [("A", {"x": 1})],
            id="id and name in each piece",
        ),
        pytest.param(
            [call_delta(0, id="a", name="get_"), call_delta(0, name="weather"), call_delta(0, arguments="{}")],
            [("get_weather", {})],
            id="the name in pieces",
        ),
        pytest.param(
            [call_delta(0, id="a", name="A", arguments=None), call_delta(0, arguments=None)],
            [("A", {})],
            id="arguments null",
        ),
        pytest.param([call_delta(0, id="a", name="A", arguments={"x": "ü"})], [("A", {"x": "ü"})], id="an object"),
        pytest.param([call_delta(0, id="a", name="A", arguments=[1])], [("A", {"_raw": [1]})], id="a list"),
        pytest.param([call_delta("0", id=7, name="A", arguments="{}")], [("A", {})], id="index a string, id a number"),  # type: ignore[arg-type]
        pytest.param(
            [delta(function_call={"name": "A", "arguments": '{"x"'}), delta(function_call={"arguments": ":1}"})],
            [("A", {"x": 1})],
            id="the legacy function_call",
        ),
        pytest.param(
            [call_delta(0, id="a", name="A"), call_delta(1, id="b", name="B")], [("A", {}), ("B", {})], id="bare"
        ),
        pytest.param([delta(tool_calls={"id": "a", "function": {"name": "A"}})], [("A", {})], id="no list around it"),
    ],
)
@pytest.mark.failure(63, 64)
def test_calls_in_every_shape(pieces: list[dict[str, Any]], told_as: list[tuple[str, Any]]) -> None:
    message = Reading().stream(frames(*pieces, STOP))
    assert [each[1:] for each in content(message)] == told_as
    assert message.stop_reason == "tool_use"


@pytest.mark.failure(63)
def test_llama_cpp_python_says_everything_twice() -> None:
    both = [
        {
            **delta(
                role=None,
                content=None,
                function_call={"name": "A", "arguments": piece},
                tool_calls=[
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "A", "arguments": piece}}
                ],
            )
        }
        for piece in ("", '{"x":', "1}")
    ]
    reading = Reading()
    message = reading.stream(frames(*both, delta("tool_calls")))
    assert content(message) == [("tool_use", "A", {"x": 1})]
    assert "usage.estimated" in reading.codes


def test_a_call_without_a_name_is_no_answer() -> None:
    with pytest.raises(ApiError, match="without a name") as caught:
        Reading().stream(frames(call_delta(0, id="a", arguments="{}"), CALLS))
    assert caught.value.kind == "bad_answer"


def test_the_pieces_before_the_name_does_not_settle_wait_for_text_too() -> None:
    message = Reading().stream(frames(call_delta(0, id="a", name="A"), delta(content="and text"), STOP))
    assert content(message) == [("tool_use", "A", {}), ("text", "and text")]


@pytest.mark.failure(62)
def test_a_call_cut_by_the_limit_stays_cut() -> None:
    reading = Reading()
    reading.feed(frames(call_delta(0, id="a", name="A", arguments='{"x": "unfin'), delta("length")))
    deltas = [
        event.delta.partial_json for event in reading.events if hasattr(getattr(event, "delta", None), "partial_json")
    ]
    assert "".join(deltas) == '{"x": "unfin'
    assert fold(reading.events).stop_reason == "max_tokens"


# Reasoning


@pytest.mark.failure(65)
@pytest.mark.parametrize(
    ("fields", "came_from"),
    [
        ({"reasoning_content": "hm"}, "reasoning_content"),
        ({"reasoning": "hm"}, "reasoning"),
        ({"reasoning": "hm", "reasoning_content": "hm"}, "reasoning_content"),
        ({"reasoning_content": "", "reasoning": "hm"}, "reasoning"),
        ({"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]}, "reasoning_details"),
        ({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}, "thinking_blocks"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, "parts"),
        ({"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}]}, "parts"),
    ],
)
def test_reasoning_from_every_field(fields: dict[str, Any], came_from: str) -> None:
    streamed = Reading().stream(frames(delta(**fields), delta(content="yes"), STOP))
    assert content(streamed) == [("thinking", "hm"), ("text", "yes")]
    assert seal(streamed)["f"] == came_from


def test_reasoning_and_content_in_one_delta_come_in_order() -> None:
    message = Reading().stream(frames(delta(content="yes", reasoning="hm"), STOP))
    assert content(message) == [("thinking", "hm"), ("text", "yes")]


@pytest.mark.failure(70)
def test_white_space_before_reasoning_opens_no_text_block() -> None:
    message = Reading().stream(frames(delta(content="\n"), delta(reasoning="hm"), delta(content="yes"), STOP))
    assert content(message) == [("thinking", "hm"), ("text", "yes")]


def test_white_space_among_reasoning_does_not_split_its_state() -> None:
    details = [{"type": "reasoning.text", "text": "a", "index": 0}]
    more = [{"type": "reasoning.text", "text": "b", "signature": "sig", "index": 0}]
    message = Reading().stream(
        frames(
            delta(reasoning="a", content="\n", reasoning_details=details),
            delta(reasoning="b", content="\n", reasoning_details=more),
            delta(content="yes"),
            STOP,
        )
    )
    assert content(message)[0] == ("thinking", "ab")
    assert seal(message)["d"] == [{"type": "reasoning.text", "text": "ab", "signature": "sig", "index": 0}]


def test_pieces_of_reasoning_details_become_items_again() -> None:
    items = [
        {"type": "reasoning.summary", "summary": "a", "id": "r1", "index": 0},
        {"type": "reasoning.summary", "summary": "b", "id": None, "index": 0},
        {"type": "reasoning.encrypted", "data": "xx", "index": 0},
        {"type": "reasoning.encrypted", "data": "yy", "index": 1},
        {"type": "reasoning.text", "text": "c", "index": 2},
        {"type": "reasoning.text", "text": "d", "index": 3},
        {"type": "reasoning.text", "text": "e", "id": "other", "index": 3},
        {"type": "reasoning.text", "text": "f", "id": "one more", "index": 3},
    ]
    message = Reading().stream(frames(*(delta(reasoning_details=[item]) for item in items), delta(content="yes"), STOP))
    assert [item.get("summary") or item.get("data") or item["text"] for item in seal(message)["d"]] == [
        "ab",
        "xx",
        "yy",
        "c",
        "de",
        "f",
    ]


def test_encrypted_reasoning_without_text_travels_in_a_redacted_block_when_the_caller_asked() -> None:
    stream = frames(delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "xx"}]), delta(content="y"), STOP)
    asked = Reading({"asked_thinking": True}).stream(stream)
    assert isinstance(asked.content[0], RedactedThinkingBlock)
    assert seal(asked)["d"] == [{"type": "reasoning.encrypted", "data": "xx"}]
    reading = Reading()
    assert content(reading.stream(stream)) == [("text", "y")]
    assert "state.no_thinking_block" in reading.codes


def test_state_that_is_too_large_is_a_loss_with_a_note() -> None:
    reading = Reading()
    huge = [{"type": "reasoning.encrypted", "data": "x" * (state.LIMIT + 1)}]
    reading.stream(frames(delta(reasoning="hm", reasoning_details=huge), delta(content="y"), STOP))
    assert Note("lost", "state.too_large") in reading.writer.notes


def test_omitted_thinking_keeps_its_text_in_the_state_where_it_must_go_back() -> None:
    stream = frames(delta(reasoning_content="a"), delta(reasoning_content="b"), delta(content="y"), STOP)
    kept = Reading({"omit_thinking": True}, reasoning_echo="required").stream(stream)
    assert content(kept)[0] == ("thinking", "")
    assert seal(kept) == {"f": "reasoning_content", "t": "ab"}
    by_fact = Reading({"omit_thinking": True}, {"reasoning_echo": True}).stream(stream)
    assert seal(by_fact)["t"] == "ab"
    assert "t" not in seal(Reading({"omit_thinking": True}).stream(stream))


def test_reasoning_that_no_quirk_names_is_not_read() -> None:
    details = [{"type": "reasoning.text", "text": "hm"}]
    message = Reading(reasoning_in=()).stream(
        frames(delta(reasoning="hm", reasoning_details=details, content="y"), STOP)
    )
    assert content(message) == [("text", "y")]


def test_a_reasoning_field_with_a_name_of_its_own() -> None:
    reading = Reading(reasoning_in=("thought", "reasoning"))
    message = reading.stream(frames(delta(thought="h"), delta(thought="m"), delta(content="y"), STOP))
    assert content(message) == [("thinking", "hm"), ("text", "y")]
    assert seal(message)["f"] == "thought"
    whole = {"choices": [{"message": {"thought": "hm", "content": "y"}, "finish_reason": "stop"}]}
    assert content(Reading(reasoning_in="thought").whole(json.dumps(whole).encode())) == content(message)


def test_a_thought_signature_of_gemini_goes_into_the_state_before_its_call() -> None:
    sealed = {"google": {"thought_signature": "abc"}}
    piece = call_delta(0, id="a", name="A", arguments="{}", extra_content=sealed)
    message = Reading({"asked_thinking": True}).stream(frames(piece, CALLS))
    assert seal(message) == {"g": "abc"}
    assert isinstance(message.content[1], ToolUseBlock)
    thought = Reading().stream(frames(delta(reasoning="hm"), piece, CALLS))
    assert seal(thought) == {"f": "reasoning", "g": "abc"}


@pytest.mark.failure(66)
@pytest.mark.parametrize(
    ("text", "told_as"),
    [
        ("<think>hm</think>\n\nyes", [("thinking", "hm"), ("text", "yes")]),
        ("\n<think>\nhm</think>yes", [("thinking", "\nhm"), ("text", "yes")]),
        ("</think>\n\nyes", [("text", "yes")]),
        ("a < b <think>c", [("text", "a < b <think>c")]),
        ("<think>a</think>b</think>c<think>d", [("thinking", "a"), ("text", "b</think>c<think>d")]),
        ("<think>only", [("thinking", "only")]),
        ("<thin", [("text", "<thin")]),
        ("<think>a</thin", [("thinking", "a</thin")]),
    ],
)
def test_think_tags_wherever_they_are_cut(text: str, told_as: list[tuple[str, str]]) -> None:
    for size in (1, 2, 3, 5, 100):
        pieces = [delta(content=text[at : at + size]) for at in range(0, len(text), size)]
        assert content(Reading(think_tags=True).stream(frames(*pieces, STOP))) == told_as
    whole = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    assert content(Reading(think_tags=True).whole(json.dumps(whole).encode())) == told_as


def test_a_closing_tag_without_its_opening_after_text_is_removed_with_a_note() -> None:
    reading = Reading(think_tags=True)
    assert content(reading.stream(frames(delta(content="hm"), delta(content="</think>yes"), STOP))) == [
        ("text", "hmyes")
    ]
    assert "think_tags.unopened" in reading.codes


def test_tags_are_text_unless_the_quirk_says_so() -> None:
    assert content(Reading().stream(frames(delta(content="<think>a</think>"), STOP))) == [("text", "<think>a</think>")]


# Odd types, lone surrogates, broken bytes


def test_half_characters_are_joined_over_deltas_of_one_stream() -> None:
    reading = Reading()
    message = reading.stream(
        frames(
            delta(reasoning="a\ud83d"),
            delta(reasoning="\ude00b"),
            delta(content="c\ud83d"),
            delta(content="\ude00d"),
            call_delta(0, id="a", name="A", arguments='{"x":"\ud83d'),
            call_delta(1, id="b", name="B", arguments='{"y":"\ud83d'),
            call_delta(1, arguments='\ude01"}'),
            call_delta(0, arguments="\ude00"),
            call_delta(0, arguments="\ud83d"),  # nothing can be told of it yet
            call_delta(0, arguments='\ude00"}'),
            CALLS,
        )
    )
    assert content(message) == [
        ("thinking", "a😀b"),
        ("text", "c😀d"),
        ("tool_use", "A", {"x": "😀😀"}),
        ("tool_use", "B", {"y": "😁"}),
    ]
    assert "surrogate.replaced" not in reading.codes


def test_half_characters_that_stay_alone_are_replaced_with_a_note() -> None:
    reading = Reading()
    message = reading.stream(
        frames(
            delta(reasoning="a\ud83d"),
            delta(content="b\ud83d"),
            delta(content="c\ude00"),
            call_delta(0, id="a\ud83d", name="A", arguments='{"x":"\ud83d'),
            STOP,
        )
    )
    assert content(message)[1] == ("text", "b\ufffdc\ufffd")
    assert "surrogate.replaced" in reading.codes
    message_two = Reading().stream(frames(delta(content="b\ud83d"), STOP))
    assert content(message_two) == [("text", "b\ufffd")]


def test_an_escaped_half_inside_arguments_is_text_and_passes_untouched() -> None:
    arguments = '{"x":"\\ud83d\\ude00 \\\\ud83d"}'
    message = Reading().stream(frames(call_delta(0, id="a", name="A", arguments=arguments), CALLS))
    assert isinstance(message.content[0], ToolUseBlock)
    assert bytes(message.content[0].input) == arguments.encode()


def test_half_characters_in_a_completion() -> None:
    whole = {"choices": [{"message": {"content": "a\ud83d"}, "finish_reason": "stop"}]}
    assert content(Reading().whole(json.dumps(whole).encode())) == [("text", "a\ufffd")]


@pytest.mark.failure(92)
def test_bytes_that_are_no_utf8_cost_one_character_not_the_answer() -> None:
    broken = frames(delta(content="aXb"), STOP).replace(b"X", b"\xff")
    assert content(Reading().stream(broken)) == [("text", "a\ufffdb")]
    raw_halves = frames(delta(content="aXb"), STOP).replace(b"X", b"\xed\xa0\xbd\xed\xb8\x80")
    assert content(Reading().stream(raw_halves)) == [("text", "a😀b")]


@pytest.mark.parametrize(
    "odd",
    [
        {"created": "yesterday", "model": None, "id": 7},
        {"service_tier": 3},
        {"usage": "none"},
        {"usage": {"prompt_tokens": "12", "completion_tokens": 3.0, "prompt_tokens_details": [1]}},
        {"x_groq": "odd"},
        {"prompt_filter_results": [{}]},
    ],
)
def test_an_odd_field_does_not_cost_the_answer(odd: dict[str, Any]) -> None:
    assert content(Reading().stream(frames({**delta(content="hi"), **odd}, STOP))) == [("text", "hi")]


@pytest.mark.parametrize(
    "choice",
    [
        {"delta": {"content": "hi", "tool_calls": "none", "reasoning": 5, "refusal": [], "annotations": "x"}},
        {"delta": {"content": "hi", "tool_calls": [None, 3], "function_call": []}},
        {"delta": {"content": "hi"}, "finish_reason": 3},
        {"delta": {"content": {"type": "text", "text": "hi"}}},
        {"delta": {"content": ["hi"]}},
        {"delta": {"content": [{"type": "text", "text": "hi"}]}, "stop_reason": []},
        {"message": {"content": "hi"}},
    ],
)
def test_an_odd_choice_does_not_cost_the_answer(choice: dict[str, Any]) -> None:
    assert content(Reading().stream(frames({"choices": [choice]}, STOP))) == [("text", "hi")]


def test_a_content_part_that_nobody_knows_is_a_loss_with_a_note() -> None:
    reading = Reading()
    reading.stream(frames(delta(content=[{"type": "reference", "reference_ids": [1]}, 5]), delta(content="y"), STOP))
    assert Note("lost", "content_part.unknown") in reading.writer.notes


@pytest.mark.failure(88)
def test_choices_that_are_missing_null_or_empty_are_survived() -> None:
    preambles = ({"choices": []}, {"choices": None}, {}, {"choices": [{"delta": None}]}, {"choices": [{}]}, "null", "7")
    assert content(Reading().stream(frames(*preambles, delta(content="hi"), STOP, {"choices": []}))) == [("text", "hi")]


def test_comments_that_somebody_wrapped_as_data_are_skipped() -> None:
    assert content(Reading().stream(frames(": OPENROUTER PROCESSING", "", delta(content="hi"), STOP))) == [
        ("text", "hi")
    ]


@pytest.mark.parametrize("frame", ["Internal Server Error", "{", '{"a":', "[" * 100_000])
def test_a_frame_that_is_no_json_is_an_error(frame: str) -> None:
    with pytest.raises(ApiError) as caught:
        Reading().stream(frames(delta(content="hi"), frame, STOP))
    assert caught.value.kind == "bad_answer"


# Usage


def usage_of(reading: Reading, *payloads: Any) -> list[int]:
    return told(reading.stream(frames(*payloads)))[-4:]


@pytest.mark.failure(58)
@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (
            {"prompt_tokens": 240403, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 229504}},
            [10899, 9, 0, 229504],
        ),
        ({"prompt_tokens": 10, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 99}}, [0, 9, 0, 10]),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
            },
            [3, 9, 3, 4],
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 9, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6},
            [6, 9, 0, 4],
        ),
        ({"prompt_tokens": 10, "completion_tokens": 9, "cached_tokens": 4}, [6, 9, 0, 4]),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 9,
                "cache_read_input_tokens": 4,
                "cache_creation_input_tokens": 1,
            },
            [5, 9, 1, 4],
        ),
        ({"prompt_tokens": 10, "completion_tokens": None, "prompt_tokens_details": None}, [10, 0, 0, 0]),
        ({"prompt_tokens": -5, "completion_tokens": -1, "prompt_tokens_details": {"cached_tokens": -7}}, [0, 0, 0, 0]),
        ({"completion_tokens": 9}, [77, 9, 0, 0]),
    ],
)
def test_the_counters_are_disjoint_and_never_null(usage: dict[str, Any], counts: list[int]) -> None:
    reading = Reading({"input_tokens": 77})
    assert usage_of(reading, delta(content="hi"), STOP, {"choices": [], "usage": usage}) == counts


@pytest.mark.failure(57, 60, 89)
def test_usage_wherever_it_comes() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    early = {"prompt_tokens": 5, "completion_tokens": 1}
    counts = [5, 2, 0, 0]
    assert usage_of(Reading(), delta(content="hi"), {**STOP, "usage": usage}) == counts
    assert usage_of(Reading(), {**delta(content="hi"), "usage": early}, STOP, {"choices": [], "usage": usage}) == counts
    assert usage_of(Reading(), delta(content="hi"), {**STOP, "x_groq": {"id": "r", "usage": usage}}) == counts
    inside = {"choices": [{"delta": {}, "finish_reason": "stop", "usage": usage}]}
    assert usage_of(Reading(), delta(content="hi"), inside) == counts
    alone = {"choices": [{"delta": {"content": ""}, "usage": usage}]}
    assert usage_of(Reading(), delta(content="hi"), alone, STOP) == counts
    after = {"choices": [], "usage": usage}
    assert usage_of(Reading(), delta(content="hi"), {**STOP, "usage": early}, after) == counts


@pytest.mark.failure(57, 89)
def test_without_usage_the_output_is_estimated_with_a_note() -> None:
    for payloads in ([STOP], [STOP, {"choices": [], "usage": None}], [{**STOP, "usage": {"prompt_tokens": 0}}]):
        reading = Reading({"input_tokens": 12})
        counts = usage_of(reading, delta(content="hello there"), *payloads)
        assert counts[0] == 12
        assert counts[1] > 0
        assert "usage.estimated" in reading.codes


def test_reasoning_outside_the_completion_is_added() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 30}}
    message = Reading(reasoning_outside_completion=True).stream(frames(delta(content="hi"), {**STOP, "usage": usage}))
    assert message.usage.output_tokens == 32
    assert message.usage.output_tokens_details == OutputDetails(30)
    assert Reading().stream(frames({**STOP, "usage": usage})).usage.output_tokens == 2


@pytest.mark.parametrize(("tier", "told_as"), [("priority", "priority"), ("default", "standard"), (None, None)])
def test_the_service_tier(tier: str | None, told_as: str | None) -> None:
    usage = {"usage": {"prompt_tokens": 5, "completion_tokens": 2}, "service_tier": tier}
    assert Reading().stream(frames(delta(content="hi"), {**STOP, **usage})).usage.service_tier == told_as


# The end


@pytest.mark.failure(61, 77)
@pytest.mark.parametrize(
    ("reason", "told_as"),
    [
        ("stop", "end_turn"),
        ("eos", "end_turn"),
        ("length", "max_tokens"),
        ("LENGTH", "max_tokens"),
        ("model_length", "model_context_window_exceeded"),
        ("insufficient_system_resource", "max_tokens"),
        ("content_filter", "refusal"),
        ("sensitive", "refusal"),
        ("tool_calls", "end_turn"),
    ],
)
def test_finish_reasons(reason: str, told_as: str) -> None:
    reading = Reading()
    assert reading.stream(frames(delta(content="hi"), delta(reason))).stop_reason == told_as
    assert "finish_reason.unknown" not in reading.codes


@pytest.mark.failure(61)
def test_any_other_finish_reason_ends_the_turn_with_a_note() -> None:
    reading = Reading()
    assert reading.stream(frames(delta(content="hi"), delta("because"))).stop_reason == "end_turn"
    assert "finish_reason.unknown" in reading.codes


@pytest.mark.parametrize("reason", ["error", "network_error", "malformed_function_call"])
def test_a_finish_reason_that_says_failure_is_an_error(reason: str) -> None:
    with pytest.raises(ApiError) as caught:
        Reading().stream(frames(delta(content="hi"), delta(reason)))
    assert caught.value.kind == "upstream_failed"
    assert reason in caught.value.message


@pytest.mark.failure(87, 97)
def test_done_without_a_finish_reason_is_an_end_and_the_end_of_bytes_alone_is_not() -> None:
    reading = Reading()
    assert reading.stream(frames(delta(content="hi"), delta(""))).stop_reason == "end_turn"
    assert "finish_reason.missing" in reading.codes
    with pytest.raises(ApiError) as caught:
        Reading().stream(frames(delta(content="hi"), delta(""), done=False))
    assert caught.value.kind == "truncated"
    assert Reading().stream(frames(delta(content="hi"), STOP, done=False)).stop_reason == "end_turn"
    assert content(Reading().stream(frames(delta(content="hi"), STOP, done=False)[:-2])) == [("text", "hi")]
    assert Reading().stream(frames(delta(content="hi"), done=False) + b"data: [DONE]").stop_reason == "end_turn"


@pytest.mark.failure(83)
def test_nothing_is_read_after_the_end() -> None:
    reading = Reading()
    reading.stream(frames(delta(content="hi"), STOP) + frames(delta(content="more"), STOP))
    count = len(reading.events)
    reading.feed(frames(delta(content="more")))
    assert reading.reader.close() == []
    assert len(reading.events) == count


@pytest.mark.failure(76)
def test_a_stop_sequence_in_the_text_ends_the_message_at_once() -> None:
    reading = Reading({"stop_sequences": ("END",)})
    reading.feed(frames(delta(content="one EN"), delta(content="D two"), done=False))
    assert reading.writer.ended
    message = fold(reading.events)
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")
    assert content(message) == [("text", "one ")]
    reading.feed(frames(delta("stop", content="three")))
    assert fold(reading.events) == message
    assert reading.reader.close() == []


@pytest.mark.failure(76)
def test_vllm_names_the_stop_sequence_that_matched() -> None:
    last = {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}
    message = Reading({"stop_sequences": ("END",)}).stream(frames(delta(content="one "), last))
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")
    assert Reading().stream(frames(delta(content="one "), last)).stop_reason == "end_turn"
    token = {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": 128009}]}
    assert Reading({"stop_sequences": ("END",)}).stream(frames(delta(content="x"), token)).stop_reason == "end_turn"


def test_length_at_the_end_of_the_window_says_so() -> None:
    usage = {"prompt_tokens": 90, "completion_tokens": 10}
    stream = frames(delta(content="hi"), {**delta("length"), "usage": usage})
    assert Reading(facts={"context": 100}).stream(stream).stop_reason == "model_context_window_exceeded"
    assert Reading(facts={"context": 200}).stream(stream).stop_reason == "max_tokens"
    assert Reading(facts={"context": 100}).stream(frames(delta("length"))).stop_reason == "max_tokens"


@pytest.mark.failure(154)
def test_a_prompt_that_was_cut_without_a_word() -> None:
    """Of 9,000 tokens the server read 2,050, and said nothing."""
    stream = frames(delta(content="What tools?"), {**STOP, "usage": {"prompt_tokens": 2050, "completion_tokens": 9}})
    reading = Reading({"input_tokens": 9000}, silent_window=4096)
    reading.stream(stream)
    assert Note("lost", "prompt.cut") in reading.writer.notes
    for recall, quirks in (({"input_tokens": 9000}, {}), ({"input_tokens": 3000}, {"silent_window": 4096})):
        reading = Reading(recall, **quirks)
        reading.stream(stream)
        assert "prompt.cut" not in reading.codes
    uncounted = Reading({"input_tokens": 9000}, silent_window=4096)
    uncounted.stream(frames(delta(content="hi"), STOP))
    assert "prompt.cut" not in uncounted.codes


@pytest.mark.failure(154)
@pytest.mark.parametrize(("output", "reason"), [(3903, "model_context_window_exceeded"), (3900, "max_tokens")])
def test_an_answer_that_ends_where_the_default_window_does(output: int, reason: str) -> None:
    usage = {"prompt_tokens": 193, "completion_tokens": output}
    stream = frames(delta(content="hi"), {**delta("length"), "usage": usage})
    assert Reading(silent_window=4096).stream(stream).stop_reason == reason
    assert Reading().stream(stream).stop_reason == "max_tokens"


@pytest.mark.failure(72)
def test_a_refusal_is_text_and_a_reason() -> None:
    message = Reading().stream(frames(delta(refusal="I can"), delta(refusal="not."), STOP))
    assert content(message) == [("text", "I cannot.")]
    assert (message.stop_reason, message.stop_details) == ("refusal", StopDetails())


@pytest.mark.failure(72)
def test_a_content_filter_says_which_category() -> None:
    results = {"violence": {"filtered": True, "severity": "high"}, "hate": {"filtered": False}}
    last = {"choices": [{"delta": {}, "finish_reason": "content_filter", "content_filter_results": results}]}
    message = Reading().stream(frames(delta(content="hi"), last))
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    assert "violence" in (message.stop_details.explanation or "")
    assert "hate" not in (message.stop_details.explanation or "")


def test_annotations_are_citations() -> None:
    citation = {"url": "https://example.com", "title": "Example", "start_index": 0, "end_index": 2}
    annotations = [{"type": "url_citation", "url_citation": citation}, {"type": "other"}, {"url_citation": {"url": 3}}]
    stream = frames(delta(content="hi there"), delta(annotations=annotations), STOP)
    block = Reading(web_search="options").stream(stream).content[0]
    assert isinstance(block, TextBlock)
    told_as = {"type": "web_search_result_location", "url": "https://example.com", "title": "Example"}
    assert block.citations == [{**told_as, "cited_text": "hi", "encrypted_index": ""}]
    unknown = Reading().stream(stream).content[0]
    assert isinstance(unknown, TextBlock)
    assert unknown.citations == [{**told_as, "cited_text": "", "encrypted_index": ""}]


# Errors under status 200


@pytest.mark.failure(74, 94)
@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ({"error": {"message": "boom", "code": 502}}, "upstream_failed"),
        ({"error": {"message": "slow down", "code": 429}}, "rate_limit"),
        ({"error": {"message": "busy", "type": "overloaded_error"}}, "overloaded"),
        ({"error": "boom"}, "upstream_failed"),
        ({"detail": "boom"}, "upstream_failed"),
        ({"object": "error", "message": "boom", "type": "BadRequestError", "code": 400}, "invalid_request"),
        ({"message": "boom"}, "upstream_failed"),
        (
            {"choices": [{"delta": {}, "finish_reason": "error", "error": {"message": "boom", "code": 503}}]},
            "overloaded",
        ),
        ({"choices": [{"delta": {}, "error": {"message": "boom", "code": 400}}]}, "invalid_request"),
        ({"x_groq": {"error": "boom"}}, "upstream_failed"),
        ([{"error": {"message": "boom", "code": 400}}], "invalid_request"),
        ({"object": "error", "message": "maximum context length is 10 tokens."}, "context_overflow"),
    ],
)
def test_an_error_in_the_stream(payload: Any, kind: str) -> None:
    for before in ((), (delta(content="hi"),)):
        with pytest.raises(ApiError) as caught:
            Reading().stream(frames(*before, payload, STOP))
        assert caught.value.kind == kind
        assert "choices" not in caught.value.message


@pytest.mark.failure(94)
def test_an_event_named_error() -> None:
    with pytest.raises(ApiError, match="boom"):
        Reading().feed(b'event: error\ndata: {"code": 500, "text": "x", "message": "boom"}\n\n')


@pytest.mark.failure(74, 175)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"message":"boom","code":429}}', "rate_limit"),
        (b'{"detail":"boom"}', "upstream_failed"),
        (b'{"object":"error","message":"boom"}', "upstream_failed"),
        (b'{"choices":[]}', "bad_answer"),
        (b'{"choices":[{"message":{"content":"hi"},"finish_reason":"error"}]}', "upstream_failed"),
        (b'{"choices":[{"message":{"content":"h', "bad_answer"),
        (b"[" * 100_000, "bad_answer"),
        (b"<html><title>Sign in</title></html>", "bad_answer"),
        (b"", "bad_answer"),
        (b"null", "bad_answer"),
        (b'[{"error":{"message":"boom","code":400}}]', "invalid_request"),
        (b"data: nonsense\n\n", "bad_answer"),
    ],
)
def test_a_body_that_is_no_completion(body: bytes, kind: str) -> None:
    with pytest.raises(ApiError) as caught:
        Reading().whole(body)
    assert caught.value.kind == kind
    with pytest.raises(ApiError) as caught:
        Reading().stream(body)
    assert caught.value.kind == kind


def test_a_bare_completion_instead_of_a_stream_is_played() -> None:
    body = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}, indent=2).encode()
    assert content(Reading().stream(body)) == [("text", "hi")]
    assert content(Reading().stream(body + b"\n\ndata: [DONE]\n\n")) == [("text", "hi")]


@pytest.mark.failure(93, 105)
def test_a_stream_or_comments_instead_of_a_bare_completion_are_read() -> None:
    body = b'{"choices":[{"message":{"content":"hi"}}]}'
    assert content(Reading().whole(b": OPENROUTER PROCESSING\n\n" + body)) == [("text", "hi")]
    assert content(Reading().whole(frames(delta(content="hi"), STOP))) == [("text", "hi")]


def test_an_error_behind_a_cut_stream_is_told() -> None:
    with pytest.raises(ApiError, match="CUDA"):
        Reading().stream(frames(delta(content="hi"), done=False) + b'{"error": {"message": "CUDA out of memory"}}')
    with pytest.raises(ApiError) as caught:
        Reading().stream(frames(delta(content="hi"), done=False) + b'{"erro')
    assert caught.value.kind == "truncated"


@pytest.mark.parametrize("mark", ["[DONE]", '"[DONE]"', "[done]", " [DONE] "])
def test_every_spelling_of_the_end_mark(mark: str) -> None:
    body = frames(delta(content="hi"), done=False) + f"data: {mark}\n\n".encode()
    assert content(Reading().stream(body)) == [("text", "hi")]


@pytest.mark.failure(96)
@pytest.mark.parametrize("body", [b"", b"\n\n", b": ping\n\n", b"data: [DONE]\n\n", frames({"choices": []})])
def test_an_empty_stream_is_an_error(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        Reading().stream(body)
    assert caught.value.kind == "bad_answer"


@pytest.mark.failure(96, 115)
def test_an_empty_stream_after_a_prompt_over_the_window_is_an_overflow() -> None:
    with pytest.raises(ApiError) as caught:
        Reading({"input_tokens": 5000}, {"context": 4096}).stream(b"")
    assert caught.value.kind == "context_overflow"
    assert caught.value.message.startswith("prompt is too long: 5000 tokens > 4096 maximum")


@pytest.mark.failure(73)
def test_an_answer_of_thinking_alone_at_the_limit_is_an_answer() -> None:
    message = Reading().stream(frames(delta(reasoning="hm"), delta("length")))
    assert (content(message), message.stop_reason) == ([("thinking", "hm")], "max_tokens")


@pytest.mark.failure(84)
def test_empty_deltas_open_no_block() -> None:
    message = Reading().stream(
        frames(delta(role="assistant", content=""), delta(content=""), call_delta(name="A"), CALLS)
    )
    assert content(message) == [("tool_use", "A", {})]


@pytest.mark.failure(71)
def test_the_model_is_the_one_that_was_asked_for() -> None:
    assert Reading().stream(frames({**delta(content="hi"), "model": "upstream"}, STOP)).model == "claude-opus-4-8"


@pytest.mark.failure(106)
def test_two_answers_share_nothing() -> None:
    first, second = Reading(), Reading()
    for piece in ("a", "b"):
        first.feed(frames(delta(content=piece), done=False))
        second.feed(frames(delta(content=piece.upper()), done=False))
    assert content(first.stream(frames(STOP))) == [("text", "ab")]
    assert content(second.stream(frames(STOP))) == [("text", "AB")]


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_an_error(body: bytes) -> None:
    kinds: set[str] = set()
    for way in (Reading().stream, Reading().whole, Reading(think_tags=True, reasoning_in="x").stream):
        try:
            way(body)
        except ApiError as error:
            kinds.add(error.kind)
    assert kinds <= {"bad_answer", "truncated", "upstream_failed"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud83d") | st.just("stop"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "error",
                    "usage",
                    "prompt_tokens",
                    "finish_reason",
                    "reasoning_details",
                    "type",
                    "text",
                    "annotations",
                    "url_citation",
                    "index",
                    "id",
                    "x_groq",
                    "reasoning",
                    "code",
                    "extra_content",
                    "google",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def test_a_field_nested_too_deeply_costs_the_answer_and_not_the_process() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    with pytest.raises(ApiError):
        Reading().stream(frames(f'{{"choices":[{{"delta":{{"content":"hi"}}}}],"odd":{deep}}}', STOP))
    with pytest.raises(ApiError):
        Reading().stream(frames(f'{{"choices":[{{"delta":{{"content":"\\ud83d"}}}}],"odd":{deep}}}', STOP))


@given(st.lists(_JSON, max_size=3), st.lists(_JSON, max_size=3))
def test_any_json_in_any_field_is_an_answer_or_an_error(choices: list[Any], deltas: list[Any]) -> None:
    payloads = [*({"choices": [each]} for each in choices), *({"choices": [{"delta": each}]} for each in deltas)]
    try:
        Reading().stream(frames(*payloads))
        for payload in payloads:
            Reading().whole(json.dumps(payload).encode())
    except ApiError:
        pass


# Golden answers, in the style of each server


@pytest.mark.failure(93)
@pytest.mark.parametrize("case", GOLDENS.answer_cases(), ids=lambda case: case.stem)
def test_golden_answers_do_not_depend_on_line_ends(case: Path) -> None:
    body = case.read_bytes().replace(b"\r\n", b"\n")
    once = GOLDENS.read(case, body)
    for newline in (b"\r\n", b"\r"):
        assert GOLDENS.read(case, body.replace(b"\n", newline))[0] == once[0]


@pytest.mark.parametrize(
    "case", [case for case in GOLDENS.answer_cases() if case.with_suffix(".json").exists()], ids=lambda case: case.stem
)
def test_a_golden_completion_is_its_stream(case: Path) -> None:
    whole = fold(GOLDENS.read(case, case.with_suffix(".json").read_bytes(), whole=True)[0])
    assert whole == fold(GOLDENS.read(case, case.read_bytes())[0])
