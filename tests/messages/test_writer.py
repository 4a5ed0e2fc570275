"""MessageWriter: whatever is said in whatever order, the stream is legal and nothing is lost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.messages import writer as writer_module
from dragoman.messages.errors import ApiError, Verbatim
from dragoman.messages.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    InputDelta,
    Message,
    MessageDelta,
    MessageStart,
    MessageStop,
    Outcome,
    RedactedThinkingBlock,
    Relayed,
    SignatureDelta,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
    Usage,
    WholeBlock,
)
from dragoman.messages.fold import fold
from dragoman.messages.notes import Note
from dragoman.messages.sse import encode_all
from dragoman.messages.writer import NO_STATE, MessageWriter
from grammar import check
from relayed import singly


def writer(**options: Any) -> MessageWriter:
    return MessageWriter(message_id="msg_1", model="claude-sonnet-4-5", **options)


def finished(made: MessageWriter, reason: Any = "end_turn") -> Message:
    made.finish(reason)
    made.end()
    events = made.take()
    check(events)
    return fold(events)


def inputs(message: Message) -> list[Any]:
    return [json.loads(bytes(block.input)) for block in message.content if isinstance(block, ToolUseBlock)]


def test_text_is_one_block_in_the_legal_order() -> None:
    made = writer(input_tokens=lambda: 7)
    made.text("Hel")
    made.text("")
    made.text("lo")
    made.usage(Usage(input_tokens=5, output_tokens=2))
    made.finish("end_turn")
    made.end()
    assert made.take() == [
        MessageStart(Message("msg_1", "claude-sonnet-4-5", [], Usage(input_tokens=7))),
        BlockStart(0, TextBlock("")),
        BlockDelta(0, TextDelta("Hel")),
        BlockDelta(0, TextDelta("lo")),
        BlockStop(0),
        MessageDelta(writer_module.Outcome("end_turn"), Usage(input_tokens=5, output_tokens=2)),
        MessageStop(),
    ]
    assert made.take() == []


@pytest.mark.failure(70, 84)
def test_white_space_before_thinking_opens_no_block() -> None:
    made = writer()
    made.text("\n")
    assert not made.committed
    made.thinking("hm")
    made.text(" \n")
    made.text("so")
    message = finished(made)
    assert message.content == [ThinkingBlock("hm", NO_STATE), TextBlock(" \nso")]


def test_white_space_alone_is_no_block() -> None:
    made = writer()
    made.thinking("\n")
    made.text("  ")
    made.tool(0, "ls")
    made.text("\n")
    assert [type(block) for block in finished(made).content] == [ToolUseBlock]


@pytest.mark.failure(82, 83)
def test_each_change_of_type_closes_the_block() -> None:
    made = writer()
    made.thinking("a")
    made.sign("s1")
    made.text("b")
    made.thinking("c")
    made.text("d")
    message = finished(made)
    assert message.content == [
        ThinkingBlock("a", "s1"),
        TextBlock("b"),
        ThinkingBlock("c", NO_STATE),
        TextBlock("d"),
    ]


@pytest.mark.failure(80)
def test_interleaved_calls_become_blocks_in_a_row() -> None:
    made = writer()
    made.tool(0, "read")
    made.tool(1, "write")
    made.arguments(0, '{"path":')
    made.arguments(1, '{"path":')
    made.arguments(0, '"a"}')
    made.arguments(1, '"b"}')
    message = finished(made)
    assert inputs(message) == [{"path": "a"}, {"path": "b"}]
    assert message.stop_reason == "tool_use"
    assert made.tool_calls == 2


def test_a_finished_call_lets_the_next_one_stream() -> None:
    made = writer()
    made.tool(0, "read")
    made.arguments(0, '{"path":"a"}')
    made.tool(1, "write")
    made.arguments(1, '{"path":')
    assert [type(event) for event in made.take()] == [
        MessageStart,
        BlockStart,
        BlockDelta,
        BlockStop,
        BlockStart,
        BlockDelta,
    ]
    made.arguments(1, '"b"}')
    assert made.take() == [BlockDelta(1, InputDelta('"b"}'))]


def test_a_waiting_call_streams_as_soon_as_the_first_is_whole() -> None:
    made = writer()
    made.tool("a", "read")
    made.arguments("a", '{"x":')
    made.tool("b", "write")
    made.arguments("b", '{"y":')
    made.take()
    made.arguments("a", "1}")
    assert [type(event) for event in made.take()] == [BlockDelta, BlockStop, BlockStart, BlockDelta]
    made.arguments("b", "2}")
    assert made.take() == [BlockDelta(1, InputDelta("2}"))]


def test_three_interleaved_calls_are_played_one_by_one() -> None:
    made = writer()
    for key in range(3):
        made.tool(key, "read")
        made.arguments(key, '{"n":')
    made.arguments(0, "0}")
    events = made.take()
    assert [event.index for event in events if isinstance(event, BlockStart)] == [0, 1]
    made.arguments(2, "2}")
    made.arguments(1, "1}")
    made.end()
    events += made.take()
    check(events)
    assert inputs(fold(events)) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_white_space_that_waits_opens_no_thinking() -> None:
    made = writer()
    made.tool(0, "read")
    made.thinking(" ")
    assert [type(block) for block in finished(made).content] == [ToolUseBlock]


def test_content_waits_for_an_unfinished_call() -> None:
    made = writer(asked_thinking=True)
    made.tool(0, "read")
    made.arguments(0, '{"a":')
    made.text("one ")
    made.text("two")
    made.thinking("hm")
    made.sign("mine")
    made.block(RedactedThinkingBlock("opaque"))
    made.arguments(0, "1}")
    message = finished(made)
    assert message.content[1:] == [
        TextBlock("one two"),
        ThinkingBlock("hm", "mine"),
        RedactedThinkingBlock("opaque"),
    ]


def test_what_waits_is_played_at_the_end_even_behind_a_cut_call() -> None:
    made = writer()
    made.tool(0, "read")
    made.arguments(0, '{"a":')
    made.text("after")
    message = finished(made, "max_tokens")
    assert message.stop_reason == "max_tokens"
    assert message.content[1] == TextBlock("after")


def test_late_arguments_of_a_closed_call_are_a_note() -> None:
    made = writer()
    made.tool(0, "read")
    made.arguments(0, '{"a":1}')
    made.text("done")
    made.arguments(0, " ")
    assert made.notes == []
    made.arguments(0, "x")
    assert made.notes == [Note("lost", "arguments.late")]
    assert inputs(finished(made)) == [{"a": 1}]


@pytest.mark.failure(64)
@pytest.mark.parametrize("given_id", [None, "", "call.1", "x" * 65, "old"])
def test_an_id_that_is_missing_illegal_or_used_is_minted(given_id: str | None) -> None:
    made = writer(ids={"old"})
    made.tool(0, "read", given_id)
    block = finished(made).content[0]
    assert isinstance(block, ToolUseBlock)
    assert block.id.startswith("toolu_")
    again = writer(ids={"old"})
    again.tool(0, "read", given_id)
    assert finished(again).content[0] == block


def test_a_legal_new_id_is_kept_once() -> None:
    made = writer()
    made.tool(0, "read", "call_1")
    made.tool(0, "read", "call_1")
    made.arguments(0, "{}")
    made.tool(1, "read", "call_1")
    ids = [block.id for block in finished(made).content if isinstance(block, ToolUseBlock)]
    assert ids[0] == "call_1"
    assert ids[1].startswith("toolu_")


@pytest.mark.failure(32)
def test_names_come_back_as_the_caller_wrote_them() -> None:
    made = writer(names={"short_1a": "a.very.long.name"})
    made.tool(0, "short_1a")
    block = finished(made).content[0]
    assert isinstance(block, ToolUseBlock)
    assert block.name == "a.very.long.name"


@pytest.mark.parametrize("stops", [(), ("cd",)])
@given(st.lists(st.sampled_from(["", "a", "b", "c", "d", " "]), max_size=9), st.integers(0, 9))
def test_several_texts_are_as_good_as_one_by_one(stops: tuple[str, ...], texts: list[str], cut: int) -> None:
    once, single = (writer(stop_sequences=stops) for _ in range(2))
    for part in (texts[:cut], texts[cut:]):
        once.texts(part)
    for text in texts:
        single.text(text)
    assert finished(once) == finished(single)


WHOLE = st.sampled_from(["", "a", "b END c", "a longer text"])
INPUTS = st.sampled_from(
    ["", "{}", '{"a":1}', '{"a": [1, "END"]}', ' {"a":1}', '{"a":', "null", "{'a': 1}", '{"a":"\ud83d"}']
)
NAMES = st.sampled_from(["ls", "output", "mcp_1"])
CALLED = st.tuples(NAMES, st.sampled_from([None, "t 1", "t1"]), INPUTS)


@given(
    stops=st.sampled_from([(), ("END",)]),
    output_tool=st.sampled_from([None, "output"]),
    begins=st.booleans(),
    said=st.lists(WHOLE | CALLED, max_size=6),
)
def test_what_is_there_whole_is_as_good_as_its_pieces(
    stops: tuple[str, ...], output_tool: str | None, begins: bool, said: list[Any]
) -> None:
    options: dict[str, Any] = {"stop_sequences": stops, "output_tool": output_tool, "names": {"mcp_1": "mcp__one"}}
    whole, pieces = writer(**options), writer(**options)
    if begins:
        whole.thinking("hm")
        pieces.thinking("hm")
    for number, each in enumerate(said):
        if isinstance(each, str):
            whole.whole_text(each)
            pieces.border()
            pieces.text(each)
            pieces.border()
        else:
            whole.whole_call(*each)
            pieces.tool(number, *each[:2])
            pieces.arguments(number, each[2])
    for made in (whole, pieces):
        made.finish("end_turn")
        made.end()
    events = whole.take()
    check(events)
    assert singly(events) == pieces.take()
    assert whole.notes == pieces.notes


def test_what_is_there_whole_is_written_as_its_pieces() -> None:
    made = writer()
    made.whole_text("so")
    made.whole_call("ls", "t1", '{"a":"\u00e9"}')
    events = made.take()
    assert [type(event) for event in events] == [MessageStart, WholeBlock, WholeBlock]
    assert encode_all(events) == encode_all(singly(events))


def test_the_output_tool_becomes_text() -> None:
    made = writer(output_tool="answer")
    made.tool(0, "answer", "call_1")
    made.tool(0, "answer", "call_1")
    made.arguments(0, '{"a":')
    made.arguments(0, "1}")
    message = finished(made, "tool_use")
    assert message.content == [TextBlock('{"a":1}')]
    assert message.stop_reason == "end_turn"


@pytest.mark.failure(76)
def test_a_stop_sequence_ends_the_message() -> None:
    made = writer(stop_sequences=("</block>",))
    made.text("<block>yes</bl")
    made.text("ock> more")
    assert made.ended
    made.text("never")
    made.thinking("never")
    made.sign("never")
    made.tool(0, "never")
    made.arguments(0, "never")
    made.block(RedactedThinkingBlock("never"))
    made.cite({})
    made.finish("end_turn")
    made.end()
    events = made.take()
    check(events)
    message = fold(events)
    assert message.content == [TextBlock("<block>yes")]
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "</block>")
    assert message.usage.output_tokens > 0
    assert made.notes == [Note("changed", "usage.estimated")]


def test_a_stop_sequence_before_any_text_leaves_no_block() -> None:
    made = writer(stop_sequences=("END",))
    made.text("  END")
    assert made.ended
    assert made.committed
    assert fold(made.take()).content == []


def test_a_stop_sequence_in_text_that_waited() -> None:
    made = writer(stop_sequences=("END",))
    made.tool(0, "read")
    made.arguments(0, '{"a":')
    made.text("so END and")
    made.thinking("dropped")
    message = finished(made)
    assert message.stop_reason == "stop_sequence"
    assert message.content[1:] == [TextBlock("so ")]


def test_a_possible_stop_sequence_is_shown_when_its_block_ends() -> None:
    made = writer(stop_sequences=("END",))
    made.text("the E")
    made.thinking("hm")
    made.text("E")
    made.tool(0, "read")
    made.text("EN")
    message = finished(made)
    assert [block.text for block in message.content if isinstance(block, TextBlock)] == ["the E", "E", "EN"]


@pytest.mark.parametrize("then", ["thinking", "tool", "block", "cite", "end"])
def test_a_stop_sequence_inside_what_was_held_back(then: str) -> None:
    """ "abcd" may still come, so "abc" holds "b" back; when the block ends, "b" has matched."""
    made = writer(stop_sequences=("abcd", "b"))
    made.text("x abc")
    match then:
        case "thinking":
            made.thinking("hm")
        case "tool":
            made.tool(0, "read")
        case "block":
            made.block(RedactedThinkingBlock("x"))
        case "cite":
            made.cite({})
    message = finished(made)
    assert message.content == [TextBlock("x a")]
    assert message.stop_sequence == "b"


def test_stop_sequences_are_not_looked_for_in_thinking_or_input() -> None:
    made = writer(stop_sequences=("END",))
    made.thinking("END")
    made.tool(0, "read")
    made.arguments(0, '{"a":"END"}')
    message = finished(made)
    assert message.stop_reason == "tool_use"
    assert message.content[0] == ThinkingBlock("END", NO_STATE)


def test_thinking_that_was_not_asked_for_is_a_note() -> None:
    made = writer(show_thinking=False)
    made.thinking("a")
    made.thinking("b")
    made.sign("s")
    made.text("c")
    assert finished(made).content == [TextBlock("c")]
    assert Note("lost", "thinking.not_requested") in made.notes


def test_omitted_thinking_is_a_signature() -> None:
    made = writer(omit_thinking=True)
    made.thinking("secret")
    made.sign("state")
    events = [type(event.delta) for event in made.take() if isinstance(event, BlockDelta)]
    assert ThinkingDelta not in events
    message = finished_rest(made)
    assert SignatureDelta("state") in [event.delta for event in message if isinstance(event, BlockDelta)]


def finished_rest(made: MessageWriter) -> list[Event]:
    made.finish("end_turn")
    made.end()
    return made.take()


@pytest.mark.parametrize("asked", [True, False])
def test_state_without_thinking(asked: bool) -> None:
    made = writer(asked_thinking=asked)
    made.sign("state")
    made.text("x")
    message = finished(made)
    assert (message.content[0] == RedactedThinkingBlock("state")) is asked
    assert (Note("lost", "state.no_thinking_block") in made.notes) is not asked


def test_a_border_parts_blocks_of_one_kind() -> None:
    made = writer(stop_sequences=("!!",))
    made.border()
    made.thinking("a")
    made.sign("s1")
    made.border()
    made.border()
    made.thinking("b")
    made.text("c!")
    made.border()
    made.text("!d")
    assert finished(made).content == [
        ThinkingBlock("a", "s1"),
        ThinkingBlock("b", NO_STATE),
        TextBlock("c!"),
        TextBlock("!d"),
    ]
    made.border()
    assert made.take() == []


def test_a_border_waits_with_what_stands_around_it() -> None:
    made = writer()
    made.tool(0, "A")
    made.border()
    made.arguments(0, '{"x"')
    made.border()
    made.text("a")
    made.border()
    made.text("b")
    made.thinking("c")
    made.sign("s1")
    made.border()
    made.thinking("d")
    made.sign("s2")
    made.arguments(0, ":1}")
    message = finished(made)
    assert message.content[1:] == [TextBlock("a"), TextBlock("b"), ThinkingBlock("c", "s1"), ThinkingBlock("d", "s2")]
    assert inputs(message) == [{"x": 1}]


def test_citations_belong_to_open_text() -> None:
    made = writer(stop_sequences=("!!",))
    made.cite({"type": "x"})
    made.text("fact!")
    made.cite({"type": "y"})
    assert finished(made).content == [TextBlock("fact!", [{"type": "y"}])]
    assert made.notes[0] == Note("lost", "citation.without_text")


def test_an_answer_without_content_is_legal() -> None:
    message = finished(writer())
    assert message.content == []
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 0


def test_tool_use_needs_a_call() -> None:
    assert finished(writer(), "tool_use").stop_reason == "end_turn"


def test_a_refusal_keeps_its_reason() -> None:
    made = writer()
    made.tool(0, "x")
    assert finished(made, "refusal").stop_reason == "refusal"


def test_usage_known_before_the_start_is_in_message_start() -> None:
    made = writer(input_tokens=lambda: 3)
    made.usage(Usage(input_tokens=9))
    made.text("x")
    start = made.take()[0]
    assert isinstance(start, MessageStart)
    assert start.message.usage.input_tokens == 9


@pytest.mark.failure(94, 97)
def test_a_failure_leaves_the_block_open() -> None:
    made = writer()
    made.tool(0, "rm")
    made.arguments(0, '{"path":"/')
    event = made.fail(ApiError("overloaded", "Try again."), "req_1")
    assert (event.error.type, event.error.message, event.request_id) == ("overloaded_error", "Try again.", "req_1")
    made.end()
    events = made.take()
    check(events, whole=False)
    assert not any(isinstance(made_event, BlockStop | MessageStop) for made_event in events)


@pytest.mark.failure(118)
def test_a_failure_in_words_of_the_upstream_is_told_in_them() -> None:
    made = writer()
    told = ApiError("overloaded", "x", verbatim=Verbatim(529, (), b'{"type":"error"}'))
    assert made.fail(told) == Relayed(b'event: error\ndata: {"type":"error"}\n\n')
    assert made.ended


def test_frames_that_are_passed_on() -> None:
    made = writer()
    assert made.outcome is None
    made.relay(b"one")
    assert (made.started, made.committed, made.finished, made.ended) == (True, False, False, False)
    made.relay(b"two", content=True)
    assert (made.committed, made.finished, made.ended) == (True, False, False)
    made.relay(b"three", outcome=Outcome("max_tokens"))
    assert (made.finished, made.ended, made.outcome) == (True, False, Outcome("max_tokens"))
    made.relay(b"four", end=True)
    assert made.ended
    assert made.take() == [Relayed(b"one"), Relayed(b"two"), Relayed(b"three"), Relayed(b"four")]


def test_a_whole_answer_that_is_passed_on_has_no_frames() -> None:
    made = writer()
    made.relay(b"", outcome=Outcome("end_turn"), end=True)
    assert (made.started, made.committed, made.finished, made.ended) == (False, True, True, True)
    assert made.take() == []


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "WAITING_LIMIT", 10)
    made = writer()
    made.tool(0, "x")
    with pytest.raises(ApiError, match="64 MB"):
        made.arguments(0, "x" * 11)
    made = writer()
    made.tool(0, "x")
    made.arguments(0, '{"a":1')
    with pytest.raises(ApiError, match="64 MB"):
        made.arguments(0, "1" * 5)
    monkeypatch.setattr(writer_module, "BLOCK_LIMIT", 1)
    made = writer()
    made.text("a")
    with pytest.raises(ApiError, match="blocks"):
        made.thinking("b")


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.text(max_size=5)),
        st.tuples(st.just("thinking"), st.text(max_size=5)),
        st.tuples(st.just("sign"), st.just("s")),
        st.tuples(st.just("tool"), st.integers(0, 2)),
        st.tuples(st.just("arguments"), st.integers(0, 2), st.sampled_from(["", "{", "}", '{"a":', "1}", "null", "x"])),
        st.tuples(st.just("block"), st.just(0)),
        st.tuples(st.just("cite"), st.just(0)),
        st.tuples(st.just("border"), st.just(0)),
    ),
    max_size=20,
)


@given(OPERATIONS, st.lists(st.text(max_size=2), max_size=2), st.booleans(), st.booleans())
def test_no_order_of_words_makes_an_illegal_stream(
    operations: list[Any], stops: list[str], asked: bool, cut: bool
) -> None:
    made = writer(stop_sequences=stops, asked_thinking=asked)
    known: set[int] = set()
    events: list[Event] = []
    said = ""
    for operation in operations:
        match operation:
            case ("text", text):
                made.text(text)
                said += text
            case ("thinking", text):
                made.thinking(text)
            case ("sign", text):
                made.sign(text)
            case ("tool", key):
                made.tool(key, "name")
                known.add(key)
            case ("arguments", key, text) if key in known and not made.ended:
                made.arguments(key, text)
            case ("block", _):
                made.block(RedactedThinkingBlock("x"))
            case ("border", _):
                made.border()
            case ("cite", _):
                made.cite({"type": "c"})
        events += made.take()
        check(events, whole=False)
        assert made.committed == (any(isinstance(event, BlockStart) for event in events) or made.ended)
    if not cut:
        made.finish("end_turn")
        made.end()
        events += made.take()
        check(events)
        message = fold(events)
        shown = "".join(block.text for block in message.content if isinstance(block, TextBlock))
        if message.stop_reason != "stop_sequence":
            assert "".join(shown.split()) == "".join(said.split())
            assert sum(isinstance(block, ToolUseBlock) for block in message.content) == len(known)
        for block in message.content:
            if isinstance(block, ToolUseBlock):
                assert isinstance(json.loads(bytes(block.input)), dict)
