"""Responses bytes -> Messages events: laws over any answer, and what servers really do."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import AbstractAnswer, answers, expected, told
from dialects.responses.encoder_responses import RESPONSE, Options, ResponsesEncoder, options
from dragoman.dialects.responses import RESPONSES, items
from dragoman.dialects.responses import answer as answer_module
from dragoman.dialects.responses.answer import ResponsesReader
from dragoman.dialects.responses.wire import Response, StreamEvent, decode, decode_response, loose, loose_response
from dragoman.messages import state
from dragoman.messages.errors import ApiError
from dragoman.messages.events import (
    Message,
    OutputDetails,
    RedactedThinkingBlock,
    ServerToolUsage,
    ServerToolUseBlock,
    StopDetails,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    WebSearchToolResultBlock,
)
from dragoman.messages.fold import fold
from dragoman.messages.notes import Note
from dragoman.messages.request import decode as decode_request
from golden_answers import GoldenAnswers
from grammar import check
from reading import AnswerReading

GOLDENS = GoldenAnswers(ResponsesEncoder())

ENCODER = ResponsesEncoder()
Json = dict[str, Any]


class Reading(AnswerReading):
    def __init__(self, recall: Json | None = None, facts: Json | None = None) -> None:
        super().__init__(ResponsesReader, ENCODER.call(recall=recall, facts=facts))


@given(answers(free=True), options())
def test_a_stream_folds_to_the_answer(answer: AbstractAnswer, how: Options) -> None:
    assert ENCODER.fits(answer)
    assert told(Reading().stream(ENCODER.stream(answer, how))) == expected(answer)


@given(answers(free=True))
def test_a_response_folds_to_the_answer_and_to_its_stream(answer: AbstractAnswer) -> None:
    whole = Reading().whole(ENCODER.whole(answer))
    assert told(whole) == expected(answer)
    assert whole == Reading().stream(ENCODER.stream(answer))


@pytest.mark.failure(92, 93)
@given(answers(free=True), options(), st.data())
def test_any_cut_of_the_bytes_gives_the_same_events(answer: AbstractAnswer, how: Options, data: st.DataObject) -> None:
    stream = ENCODER.stream(answer, how)
    once = Reading()
    once.stream(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    cut = Reading()
    cut.stream(*pieces)
    assert cut.events == once.events


@pytest.mark.failure(97)
@given(answers(free=True), options(), st.data())
def test_a_cut_before_the_last_event_is_an_error(answer: AbstractAnswer, how: Options, data: st.DataObject) -> None:
    stream, mark = ENCODER.marked(answer, how)
    cut = data.draw(st.integers(0, mark - 1))
    with pytest.raises(ApiError) as caught:
        Reading().stream(stream[:cut])
    assert caught.value.kind in ("truncated", "bad_answer")


def sse(*events: Json | str | tuple[str, Json]) -> bytes:
    """A stream: dicts as JSON, strings as they are."""
    lines = [each if isinstance(each, str) else json.dumps(each) for each in events]
    return b"".join(b"data: %b\n\n" % line.encode() for line in lines)


def last(status: str = "completed", *output: Json, **more: Any) -> Json:
    """The last event of a stream."""
    response = {**RESPONSE, "status": status, "output": [*output], "usage": USAGE, **more}
    return {"type": f"response.{status}", "response": response}


USAGE = {"input_tokens": 5, "output_tokens": 2}


def added(index: int | None, **item: Any) -> Json:
    place = {} if index is None else {"output_index": index}
    return {"type": "response.output_item.added", **place, "item": item}


def done(index: int | None, **item: Any) -> Json:
    return {**added(index, **item), "type": "response.output_item.done"}


def text_item(text: str, item_id: str = "m", **part: Any) -> Json:
    return {
        "type": "message",
        "id": item_id,
        "content": [{"type": "output_text", "text": text, "annotations": [], **part}],
    }


def call_item(name: str, arguments: Any, call_id: str = "call_1", item_id: str = "fc_1") -> Json:
    return {"type": "function_call", "id": item_id, "call_id": call_id, "name": name, "arguments": arguments}


def thought(encrypted: str | None, *summary: str, item_id: str = "rs_1") -> Json:
    parts = [{"type": "summary_text", "text": each} for each in summary]
    return {"type": "reasoning", "id": item_id, "summary": parts, "encrypted_content": encrypted}


def delta(text: str, kind: str = "output_text", **place: Any) -> Json:
    return {"type": f"response.{kind}.delta", "delta": text, **place}


def full(text: str | None = None, kind: str = "output_text", **place: Any) -> Json:
    """A `.done` event with the whole text."""
    field = "refusal" if kind == "refusal" else "text"
    return {"type": f"response.{kind}.done", **({} if text is None else {field: text}), **place}


def part_done(part: Json | None, **place: Any) -> Json:
    return {"type": "response.content_part.done", **place, **({} if part is None else {"part": part})}


def content(message: Message) -> list[tuple[Any, ...]]:
    """Blocks without ids and signatures."""
    return [each[:1] + each[2:] if each[0] == "tool_use" else each for each in told(message)[:-5]]


def payload(block: object) -> Any:
    """What the state of a block holds."""
    assert isinstance(block, ThinkingBlock | RedactedThinkingBlock)
    found = state.unpack(block.signature if isinstance(block, ThinkingBlock) else block.data)
    assert found is not None
    assert found.fits("responses", "lab")
    return found.payload


# Deltas, and the same text once more


@pytest.mark.parametrize(
    "events",
    [
        [delta("Hel"), delta("lo"), full("Hello"), done(0, **text_item("Hello"))],
        [delta("Hel"), full("Hello")],
        [full("Hello")],
        [delta("Hel"), done(None, **text_item("Hello", ""))],
        [done(0, **text_item("Hello"))],
        [added(0, type="message", id="m"), part_done({"text": "Hello"}, item_id="m")],
        [delta("Hello", content_index=1), done(0, **text_item("Hello"))],
        [
            delta("Hello", item_id="m", output_index=0, content_index=1),
            full("Hello", item_id="m", output_index=0, content_index=0),
            done(0, **text_item("Hello")),
        ],
        [delta("Hello"), full("Another")],
        [delta("Hello"), full(""), full()],
        [done(0, type="message", content="Hello")],
        [delta("Hello", item_id="m"), done(None, **text_item("Hello", "n"))],
        [delta("Hello"), part_done(None, item_id="?", output_index=9)],
        [delta("Hello"), part_done({"text": "x"}, item_id="?", output_index=9)],
        [delta("Hello"), {"type": "response.output_item.added"}, {"type": "response.output_item.done"}],
        [delta("Hello"), {"type": "response.output_text.annotation.added"}, delta("")],
    ],
)
def test_a_text_is_said_once(events: list[Json]) -> None:
    assert content(Reading().stream(sse(*events, last()))) == [("text", "Hello")]
    told_again = last("completed", text_item("Hello", "another_id"))
    assert content(Reading().stream(sse(*events, told_again))) == [("text", "Hello")]


def arguments(delta_or_all: str, kind: str = "delta", **place: Any) -> Json:
    field = "delta" if kind == "delta" else "arguments"
    return {"type": f"response.function_call_arguments.{kind}", field: delta_or_all, **place}


@pytest.mark.failure(78)
@pytest.mark.parametrize(
    "events",
    [
        [arguments('{"x"'), arguments(":1}"), arguments('{"x":1}', "done"), done(0, **call_item("A", '{"x":1}'))],
        [added(0, **call_item("A", "")), arguments('{"x":1}', "done")],
        [added(0, **call_item("A", "")), arguments('{"x"'), arguments('{"x":1}', "done")],
        [arguments('{"x":1}', item_id="fc_1"), done(0, **call_item("A", '{"x":1}'))],
        [done(0, **call_item("A", '{"x":1}'))],
        [done(0, **call_item("A", {"x": 1}))],
        [added(0, **call_item("A", "")), arguments('{"x":1}'), arguments("", "done"), done(0, **call_item("A", None))],
        [added(0, **call_item("A", "")), done(0, **call_item("A", '{"x":1}', item_id="other"))],
        [added(0, **call_item("A", "")), added(0, **call_item("A", "")), done(0, **call_item("A", '{"x":1}'))],
        [added(None, **call_item("A", "", item_id="")), arguments('{"x":1}', item_id="call_1")],
        [added(0, **call_item("A", "")), arguments('{"x":1}'), done(0, **call_item("A", '{"x":2}'))],
        [
            added(0, **call_item("A", "")),
            {"type": "response.content_part.done", "item_id": "fc_1", "part": {"text": "x"}},
            arguments('{"x":1}', item_id="fc_1"),
        ],
    ],
)
def test_a_call_is_said_once_and_whole(events: list[Json]) -> None:
    message = Reading().stream(sse(*events, last()))
    assert content(message) == [("tool_use", "A", {"x": 1})]
    assert message.stop_reason == "tool_use"
    assert isinstance(message.content[0], ToolUseBlock)
    assert message.content[0].id == "call_1"


def test_a_call_without_a_name_is_no_answer() -> None:
    with pytest.raises(ApiError, match="without a name") as caught:
        Reading().stream(sse(arguments("{}"), last()))
    assert caught.value.kind == "bad_answer"


def test_arguments_after_the_end_of_their_call_are_a_loss_with_a_note() -> None:
    reading = Reading()
    message = reading.stream(
        sse(
            done(0, **call_item("A", '{"x":1}')),
            delta("and text", output_index=1),
            arguments('{"y":2}', item_id="fc_1"),
            last(),
        )
    )
    assert content(message) == [("tool_use", "A", {"x": 1}), ("text", "and text")]
    assert "arguments.late" in reading.codes


# Which item


def test_items_with_one_place_are_told_apart_by_their_ids() -> None:
    message = Reading().stream(
        sse(
            added(0, **call_item("A", "", "call_1", "fc_1")),
            arguments('{"x":1}', item_id="fc_1", output_index=0),
            added(0, **call_item("B", "", "call_2", "fc_2")),
            arguments('{"y":2}', item_id="fc_2", output_index=0),
            delta("text", item_id="m", output_index=0),
            last(),
        )
    )
    assert content(message) == [("tool_use", "A", {"x": 1}), ("tool_use", "B", {"y": 2}), ("text", "text")]


def test_an_item_that_was_never_announced_ends_where_the_next_begins() -> None:
    reading = Reading()
    reading.feed(sse(delta("hm", "reasoning_text"), delta("yes", item_id="m"), delta(" no", item_id="m")))
    assert [type(event).__name__ for event in reading.events].count("BlockStop") == 1
    late = delta(" more", "reasoning_text")
    assert content(reading.stream(sse(late, last()))) == [("thinking", "hm"), ("text", "yes no"), ("thinking", " more")]


def test_what_comes_late_comes_last() -> None:
    message = Reading().stream(
        sse(
            done(0, **text_item("one", "m1")),
            delta("two", item_id="m2", output_index=1),
            delta(" three", item_id="m1", output_index=0),
            last(),
        )
    )
    assert content(message) == [("text", "one"), ("text", "two"), ("text", " three")]
    place = {"item_id": "m1", "output_index": 0}
    again = Reading().stream(
        sse(delta("one", **place), done(0, **text_item("one", "m1")), delta("two", **place), last())
    )
    assert content(again) == [("text", "one"), ("text", "two")]
    empty = part_done({"type": "output_text"}, **place)
    parts = [delta("a", **place), delta("b", **place, content_index=1), delta("c", **place), empty]
    assert content(Reading().stream(sse(*parts, last()))) == [("text", "a"), ("text", "b"), ("text", "c")]


def test_state_that_comes_after_its_item_is_a_loss_with_a_note() -> None:
    reading = Reading({"asked_thinking": True})
    message = reading.stream(
        sse(
            delta("hm", "reasoning_text", item_id="rs_1", output_index=0),
            delta("yes", item_id="m", output_index=1),
            done(0, **thought("gAAA")),
            last(),
        )
    )
    assert content(message) == [("thinking", "hm"), ("text", "yes")]
    assert Note("lost", "state.late") in reading.writer.notes


@pytest.mark.failure(80, 82)
def test_what_two_items_say_in_turns_is_told_one_after_the_other() -> None:
    reading = Reading()
    reading.feed(
        sse(
            added(0, type="message", id="m1"),
            added(1, type="message", id="m2"),
            delta("a", item_id="m1", output_index=0),
            delta("c", item_id="m2", output_index=1),
            delta("b", item_id="m1", output_index=0),
        )
    )
    shown = [event.delta.text for event in reading.events if hasattr(getattr(event, "delta", None), "text")]
    assert shown == ["a", "b"]
    message = reading.stream(sse(done(1, **text_item("c", "m2")), done(0, **text_item("ab", "m1")), last()))
    assert content(message) == [("text", "ab"), ("text", "c")]


def test_the_last_event_may_tell_more_than_was_seen() -> None:
    message = Reading().stream(
        sse(
            delta("one", item_id="m1", output_index=0),
            last("completed", text_item("one", "m1"), text_item("two", "m2"), call_item("A", "{}")),
        )
    )
    assert content(message) == [("text", "one"), ("text", "two"), ("tool_use", "A", {})]


def test_one_id_for_items_of_two_kinds() -> None:
    message = Reading().stream(
        sse(
            delta("hm", "reasoning_text", item_id="x", output_index=0),
            delta("yes", item_id="x", output_index=1),
            last("completed", text_item("yes", "x")),
        )
    )
    assert content(message) == [("thinking", "hm"), ("text", "yes")]


def test_the_type_may_stand_in_the_event_line_alone() -> None:
    stream = b'event: response.output_text.delta\ndata: {"delta":"hi"}\n\n'
    stream += b'event: response.completed\ndata: {"response":{}}\n\n'
    assert content(Reading().stream(stream)) == [("text", "hi")]


# Reasoning


@pytest.mark.failure(43, 65)
def test_each_reasoning_item_is_a_block_with_its_own_state() -> None:
    for way in ("stream", "whole"):
        output = [thought("g1", "One", "Two"), thought("g2", "Three", item_id="rs_2"), call_item("A", "{}")]
        events = [done(index, **item) for index, item in enumerate(output)]
        reading = Reading()
        response = json.dumps(last("completed", *output)["response"]).encode()
        message = reading.stream(sse(*events, last())) if way == "stream" else reading.whole(response)
        assert content(message) == [("thinking", "One\n\nTwo"), ("thinking", "Three"), ("tool_use", "A", {})]
        assert [payload(block) for block in message.content[:2]] == [
            {"e": "g1", "id": "rs_1"},
            {"e": "g2", "id": "rs_2"},
        ]


def test_reasoning_that_the_server_did_not_read_is_a_note() -> None:
    reading = Reading()
    removed = [{"id": "rs_1", "type": "reasoning", "action": "removed", "reason": "model_mismatch"}]
    reading.stream(sse(delta("hi"), last(input_transformations=removed)))
    assert Note("changed", "reasoning.not_read") in reading.writer.notes


def test_the_state_is_that_of_the_finished_item() -> None:
    message = Reading().stream(
        sse(added(0, **thought("partial")), delta("hm", "reasoning_summary_text"), done(0, **thought("whole")), last())
    )
    assert payload(message.content[0])["e"] == "whole"
    nameless = Reading().stream(sse(done(0, **thought("whole", "hm", item_id="")), last()))
    assert payload(nameless.content[0]) == {"e": "whole"}


def test_reasoning_without_text_travels_in_a_redacted_block_when_the_caller_asked() -> None:
    stream = sse(done(0, **thought("g1", "hm")), done(1, **thought("g2", item_id="rs_2")), delta("yes"), last())
    message = Reading({"asked_thinking": True}).stream(stream)
    assert isinstance(message.content[1], RedactedThinkingBlock)
    assert [payload(block)["e"] for block in message.content[:2]] == ["g1", "g2"]
    reading = Reading()
    assert content(reading.stream(stream)) == [("thinking", "hm"), ("text", "yes")]
    assert Note("lost", "state.no_thinking_block") in reading.writer.notes


def test_state_that_is_too_large_is_a_loss_with_a_note() -> None:
    reading = Reading()
    reading.stream(sse(done(0, **thought("x" * (state.LIMIT + 1), "hm")), last()))
    assert Note("lost", "state.too_large") in reading.writer.notes


def test_the_second_text_of_one_reasoning_is_passed_over() -> None:
    reading = Reading()
    both = {**thought("g", "Short."), "content": [{"type": "reasoning_text", "text": "Long."}]}
    message = reading.stream(
        sse(
            added(0, **thought("g")),
            delta("Long.", "reasoning_text"),
            delta("Short.", "reasoning_summary_text"),
            full("Short.", "reasoning_summary_text"),
            done(0, **both),
            last(),
        )
    )
    assert content(message) == [("thinking", "Long.")]
    assert Note("ignored", "reasoning.second_form") in reading.writer.notes
    assert content(Reading().stream(sse(done(0, **both), last()))) == [("thinking", "Short.")]
    alone = {**both, "summary": [], "content": "Long."}
    assert content(Reading().stream(sse(done(0, **alone), last()))) == [("thinking", "Long.")]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.reasoning_summary_text.done", "text": "hm"},
        {"type": "response.reasoning_summary_part.done", "part": {"text": "hm"}},
        {"type": "response.reasoning_text.done", "text": "hm"},
        delta("hm", "reasoning"),
    ],
)
def test_reasoning_that_comes_whole(event: Json) -> None:
    empty = [{"type": "response.reasoning_text.done"}, {"type": "response.reasoning_summary_text.done"}]
    empty += [delta("", kind) for kind in ("reasoning_text", "reasoning_summary_text")]
    assert content(Reading().stream(sse(*empty, event, last()))) == [("thinking", "hm")]


def test_reasoning_whose_parts_are_called_text() -> None:
    part = {"type": "output_text", "text": "hm"}
    message = Reading().stream(
        sse(
            added(0, **thought(None)),
            {"type": "response.content_part.done", "item_id": "rs_1", "part": part},
            {"type": "response.content_part.done", "output_index": 0, "part": {"type": "reasoning_text", "text": "hm"}},
            last(),
        )
    )
    assert content(message) == [("thinking", "hm")]


# Refusals


@pytest.mark.failure(72)
@pytest.mark.parametrize(
    "events",
    [
        [delta("I can", "refusal"), delta("not.", "refusal"), full("I cannot.", "refusal")],
        [full("I cannot.", "refusal"), delta("", "refusal"), full(kind="refusal")],
        [
            added(0, type="message", id="m"),
            {"type": "response.content_part.done", "item_id": "m", "part": {"type": "refusal", "refusal": "I cannot."}},
        ],
        [done(0, type="message", content=[{"type": "refusal", "refusal": "I cannot."}])],
    ],
)
def test_a_refusal_is_text_and_a_reason(events: list[Json]) -> None:
    message = Reading().stream(sse(*events, last()))
    assert content(message) == [("text", "I cannot.")]
    assert (message.stop_reason, message.stop_details) == ("refusal", StopDetails())


@pytest.mark.failure(72, 98)
def test_a_content_filter_says_which_category() -> None:
    filters = [{"content_filter_results": {"violence": {"filtered": True}, "hate": {"filtered": False}}}, {}]
    why = {"incomplete_details": {"reason": "content_filter"}, "content_filters": filters}
    message = Reading().stream(sse(delta("hi"), last("incomplete", **why)))
    assert message.stop_reason == "refusal"
    assert message.stop_details == StopDetails(
        explanation="The provider's content filter stopped the answer: violence."
    )


@pytest.mark.failure(72)
@pytest.mark.parametrize(
    ("code", "category"), [("bio_policy", "bio"), ("cyber_policy", "cyber"), ("misalignment_policy_violation", None)]
)
def test_a_policy_that_stops_the_answer_is_a_refusal(code: str, category: str | None) -> None:
    error = {"code": code, "message": "Stopped."}
    failed = last("failed", error=error)
    message = Reading().stream(sse(delta("hi"), failed))
    assert (message.stop_reason, message.stop_details) == ("refusal", StopDetails(category, "Stopped."))
    assert Reading().whole(json.dumps(failed["response"]).encode()).stop_details == message.stop_details
    for other in (sse({"type": "error", **error}), json.dumps({"error": error}).encode()):
        assert Reading().stream(other).stop_details == message.stop_details
    silent = Reading().stream(sse(last("failed", error={"code": code})))
    assert silent.stop_reason == "refusal"


# Web search


def searched(number: int = 1, **action: Any) -> Json:
    return {"type": "web_search_call", "id": f"ws_{number}", "status": "completed", "action": action}


def test_a_search_is_its_use_and_its_result() -> None:
    sources = [{"type": "url", "url": "https://a.example", "title": "A"}, {"url": 3}, {"url": "https://b.example"}]
    output = [
        searched(1, type="search", query="cats", sources=sources),
        searched(2, queries=["dogs", 3, "birds"]),
        searched(3, type="open_page", url="https://a.example"),
        searched(4, type="search"),
        text_item("Cats."),
    ]
    reading = Reading()
    message = reading.stream(sse(*(done(index, **item) for index, item in enumerate(output)), last()))
    uses = [block for block in message.content if isinstance(block, ServerToolUseBlock)]
    assert [(block.name, bytes(block.input)) for block in uses] == [
        ("web_search", b'{"query":"cats"}'),
        ("web_search", b'{"query":"dogs; birds"}'),
        ("web_search", b'{"query":""}'),
    ]
    results = [block for block in message.content if isinstance(block, WebSearchToolResultBlock)]
    assert [[(each.url, each.title) for each in block.content] for block in results] == [
        [("https://a.example", "A"), ("https://b.example", "https://b.example")],
        [],
        [],
    ]
    assert [block.tool_use_id for block in results] == [block.id for block in uses]
    assert all(block.id.startswith("srvtoolu_") for block in uses)
    assert message.usage.server_tool_use == ServerToolUsage(web_search_requests=3)
    assert message.stop_reason == "end_turn"
    assert Note("ignored", "web_search.page") in reading.writer.notes
    whole = Reading().whole(json.dumps(last("completed", *output)["response"]).encode())
    assert whole == message


def test_the_servers_own_number_of_searches_counts() -> None:
    used = {"tool_usage": {"web_search": {"num_requests": 7}}}
    message = Reading().stream(sse(delta("hi"), last("completed", searched(query="x"), **used)))
    assert message.usage.server_tool_use == ServerToolUsage(web_search_requests=7)


def test_annotations_are_citations_said_once() -> None:
    cited = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}
    bare = {"type": "url_citation", "url": "https://b.example"}
    others = [{"type": "file_citation", "file_id": "f"}, {"type": "url_citation", "url": 3}]
    item = text_item("hi there", annotations=[cited, *others, bare])
    one = {"type": "response.output_text.annotation.added", "item_id": "m", "output_index": 0, "annotation": cited}
    expected_citations = [
        {
            "type": "web_search_result_location",
            "url": "https://a.example",
            "title": "A",
            "cited_text": "hi",
            "encrypted_index": "",
        },
        {
            "type": "web_search_result_location",
            "url": "https://b.example",
            "title": None,
            "cited_text": "",
            "encrypted_index": "",
        },
    ]
    place = {"item_id": "m", "output_index": 0}
    for events in ([delta("hi there", **place), one, done(0, **item)], [done(0, **item)], [one, done(0, **item)]):
        block = Reading().stream(sse(*events, last())).content[0]
        assert isinstance(block, TextBlock)
        assert block.citations == expected_citations


# Halves of characters, odd types


def test_half_characters_are_joined_over_deltas_of_one_item() -> None:
    reading = Reading()
    message = reading.stream(
        sse(
            added(0, type="reasoning", id="r"),
            delta("a\ud83d", "reasoning_summary_text", item_id="r", output_index=0),
            delta("\ude00b", "reasoning_summary_text", item_id="r", output_index=0),
            done(0, type="reasoning", id="r", summary=[{"text": "a😀b"}]),
            added(1, **call_item("A", "")),
            arguments('{"x":"\ud83d', item_id="fc_1", output_index=1),
            arguments("", item_id="fc_1", output_index=1),
            arguments('\ude00"}', item_id="fc_1", output_index=1),
            done(1, **call_item("A", '{"x":"😀"}')),
            last(),
        )
    )
    assert content(message) == [("thinking", "a😀b"), ("tool_use", "A", {"x": "😀"})]
    assert "surrogate.replaced" not in reading.codes


def test_half_characters_that_stay_alone_are_replaced_with_a_note() -> None:
    reading = Reading()
    message = reading.stream(
        sse(
            done(0, **call_item("A", '{"x":"\ud83d')),
            delta("b\ud83d", output_index=1),
            delta("c", output_index=1),
            delta("d\ud83d", output_index=1),
            last(),
        )
    )
    assert content(message)[1] == ("text", "b\ufffdcd\ufffd")
    assert "surrogate.replaced" in reading.codes
    half = arguments('{"x":"\ud83d', item_id="fc_1", output_index=0)
    cut = last("incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert json.loads(
        bytes(Reading().stream(sse(added(0, **call_item("A", "")), half, cut)).content[0].input)  # type: ignore[union-attr]
    ) == {"_raw": '{"x":"\ufffd'}
    whole = json.dumps(last("completed", text_item("a\ud83d"))["response"]).encode()
    assert content(Reading().whole(whole)) == [("text", "a\ufffd")]


@pytest.mark.parametrize(
    "odd",
    [
        {"output_index": "0", "content_index": None, "logprobs": 3},
        {"output_index": 0.0, "item_id": 7},
        {"item": 3, "part": "x", "response": [], "annotation": 1},
        {"part": {"type": 3, "annotations": {"type": "x"}}, "annotation": {}},
        {"response": {"status": 3, "output": {}, "usage": "none", "incomplete_details": [], "tool_usage": {}}},
        {"response": {"usage": {"input_tokens": "3", "input_tokens_details": [], "output_tokens_details": 1}}},
        {"item": {"content": {"text": 3}, "summary": "x", "arguments": [1], "action": "x"}},
        {"item": {"content": "x", "action": {}, "arguments": True}, "arguments": 3},
        {"response": {"tool_usage": {"web_search": {}}, "incomplete_details": {}, "service_tier": []}},
    ],
)
def test_an_odd_field_does_not_cost_the_answer(odd: Json) -> None:
    assert content(Reading().stream(sse({**delta("hi"), **odd}, last()))) == [("text", "hi")]


def test_the_loose_reading_of_a_good_event_is_the_typed_one() -> None:
    event = {
        "type": "response.output_item.done",
        "delta": "a",
        "item_id": "b",
        "output_index": 1,
        "content_index": 2,
        "summary_index": 3,
        "text": "c",
        "refusal": "d",
        "arguments": "{}",
        "name": "e",
        "part": {"type": "output_text", "text": "f", "annotations": [{}]},
        "annotation": {"type": "x"},
        "item": {**call_item("A", {"x": 1}), "content": [], "summary": [], "action": {}, "encrypted_content": "g"},
        "response": last("completed", text_item("a") | {"summary": []}, tool_usage={"web_search": {"num_requests": 1}})[
            "response"
        ]
        | {"content_filters": [], "incomplete_details": {"reason": "x"}, "input_transformations": []},
        "error": {"code": "h"},
    }
    body = json.dumps(event).encode()
    assert loose(json.loads(body)) == decode(body)
    usage = {**USAGE, "input_tokens_details": {"cached_tokens": 1}, "output_tokens_details": {"reasoning_tokens": 1}}
    response = json.dumps({**event["response"], "usage": usage}).encode()  # type: ignore[dict-item]
    assert loose_response(json.loads(response)) == decode_response(response)
    assert (loose(3), loose_response(3)) == (StreamEvent(), Response())


def test_items_that_nobody_asked_for_are_a_loss_with_a_note() -> None:
    reading = Reading()
    picture = {"type": "image_generation_call", "id": "ig", "result": "…"}
    assert content(reading.stream(sse(added(0, **picture), delta("hi"), last("completed", picture)))) == [
        ("text", "hi")
    ]
    assert Note("lost", "output_item.unsupported") in reading.writer.notes


def test_unknown_events_and_comments_are_passed_over() -> None:
    odd: list[Json | str] = [
        {"type": "response.hologram", "x": 1},
        "",
        ": ping",
        "[DONE]",
        "7",
        "{}",
        {"type": "keepalive"},
    ]
    assert content(Reading().stream(sse(*odd, delta("hi"), *odd, last(), "[DONE]"))) == [("text", "hi")]


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "BLOCK_LIMIT", 3)
    monkeypatch.setattr(answer_module, "ANSWER_LIMIT", 1000)
    many = [done(index, **text_item("a", f"m{index}")) for index in range(4)]
    for stream in ([sse(*many)], [sse(delta("x" * 500))] * 2):
        with pytest.raises(ApiError, match="more than") as caught:
            Reading().stream(*stream, sse(last()))
        assert caught.value.kind == "bad_answer"


# Usage


@pytest.mark.failure(58)
@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (
            {"input_tokens": 240403, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 229504}},
            [10899, 9, 0, 229504],
        ),
        (
            {
                "input_tokens": 10,
                "output_tokens": 9,
                "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
            },
            [3, 9, 3, 4],
        ),
        ({"input_tokens": 10, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 99}}, [0, 9, 0, 10]),
        ({"input_tokens": -5, "output_tokens": -1, "input_tokens_details": {"cached_tokens": -7}}, [0, 0, 0, 0]),
        ({"input_tokens": 10, "output_tokens": None, "input_tokens_details": None}, [10, 0, 0, 0]),
        ({"output_tokens": 9}, [77, 9, 0, 0]),
    ],
)
def test_the_counters_are_disjoint_and_never_null(usage: Json, counts: list[int]) -> None:
    assert told(Reading({"input_tokens": 77}).stream(sse(delta("hi"), last(usage=usage))))[-4:] == counts


@pytest.mark.failure(57, 89)
@pytest.mark.parametrize("usage", [None, {"input_tokens": 0, "output_tokens": 0}])
def test_without_usage_the_output_is_estimated_with_a_note(usage: Any) -> None:
    reading = Reading({"input_tokens": 12})
    message = reading.stream(sse(delta("hello there"), last(usage=usage)))
    assert message.usage.input_tokens == 12
    assert message.usage.output_tokens > 0
    assert "usage.estimated" in reading.codes


def test_reasoning_tokens_and_the_service_tier() -> None:
    usage = {**USAGE, "output_tokens_details": {"reasoning_tokens": 2}}
    message = Reading().stream(sse(delta("hi"), last(usage=usage, service_tier="priority")))
    assert message.usage.output_tokens_details == OutputDetails(2)
    assert message.usage.service_tier == "priority"
    assert Reading().stream(sse(delta("hi"), last())).usage.service_tier == "standard"
    assert Reading().stream(sse(delta("hi"), last(service_tier=None))).usage.service_tier is None


# The end


@pytest.mark.failure(61, 98)
@pytest.mark.parametrize(
    ("reason", "told_as"),
    [
        ("max_output_tokens", "max_tokens"),
        ("content_filter", "refusal"),
        ("max_messages", "pause_turn"),
        ("steered", "pause_turn"),
        ("because", "max_tokens"),
        (None, "max_tokens"),
    ],
)
def test_incomplete_answers_say_why(reason: str | None, told_as: str) -> None:
    reading = Reading()
    details = {"reason": reason} if reason else None
    assert reading.stream(sse(delta("hi"), last("incomplete", incomplete_details=details))).stop_reason == told_as
    assert ("incomplete_reason.unknown" in reading.codes) is (reason in (None, "because"))


@pytest.mark.failure(62)
def test_a_call_cut_by_the_limit_stays_cut() -> None:
    reading = Reading()
    cut = call_item("A", '{"x": "unfin')
    reading.feed(sse(added(0, **call_item("A", "")), arguments('{"x": "unfin'), done(0, **cut)))
    reading.feed(sse(last("incomplete", cut, incomplete_details={"reason": "max_output_tokens"})))
    pieces = [
        event.delta.partial_json for event in reading.events if hasattr(getattr(event, "delta", None), "partial_json")
    ]
    assert "".join(pieces) == '{"x": "unfin'
    assert fold(reading.events).stop_reason == "max_tokens"


def test_the_limit_at_the_end_of_the_window_says_so() -> None:
    usage = {"input_tokens": 90, "output_tokens": 10}
    stream = sse(delta("hi"), last("incomplete", usage=usage, incomplete_details={"reason": "max_output_tokens"}))
    assert Reading(facts={"context": 100}).stream(stream).stop_reason == "model_context_window_exceeded"
    assert Reading(facts={"context": 200}).stream(stream).stop_reason == "max_tokens"
    assert Reading().stream(stream).stop_reason == "max_tokens"


@pytest.mark.failure(83)
def test_nothing_is_read_after_the_end() -> None:
    reading = Reading()
    reading.stream(sse(delta("hi"), last(), delta("more"), last()))
    count = len(reading.events)
    reading.feed(sse(delta("more")))
    assert reading.reader.close() == []
    assert len(reading.events) == count


@pytest.mark.failure(76)
def test_a_stop_sequence_in_the_text_ends_the_message_at_once() -> None:
    reading = Reading({"stop_sequences": ("END",)})
    reading.feed(sse(delta("one EN"), delta("D two")))
    assert reading.writer.ended
    message = fold(reading.events)
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")
    assert content(message) == [("text", "one ")]
    reading.feed(sse(last()))
    assert fold(reading.events) == message
    assert reading.reader.close() == []


@pytest.mark.failure(97)
@pytest.mark.parametrize(
    "stream",
    [
        sse(delta("hi")),
        sse(delta("hi"), "[DONE]"),
        sse(delta("hi"), full("hi"), done(0, **text_item("hi"))),
        sse(delta("hi"), last("cancelled")),
        sse(delta("hi"), {"type": "response.completed", "response": {"status": "in_progress"}}),
        sse(delta("hi")) + b'{"erro',
        sse(delta("hi")) + b"event: response.completed\n",
        sse(delta("hi")) + b'data: {"type":"response.completed","respo',
    ],
)
def test_an_answer_without_its_last_event_is_cut(stream: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        Reading().stream(stream)
    assert caught.value.kind == "truncated"


@pytest.mark.parametrize("error", [b'{"error":{"code":429}}', b'{"error":"rate limit exceeded","code":429}'])
def test_an_error_behind_the_events_that_is_no_event(error: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        Reading().stream(sse(delta("hi")) + error)
    assert caught.value.kind == "rate_limit"


def test_the_last_event_may_lack_its_blank_line() -> None:
    assert content(Reading().stream(sse(delta("hi"), last())[:-2])) == [("text", "hi")]


# Errors under status 200


@pytest.mark.failure(74, 94, 98)
@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (last("failed", error={"code": "server_error", "message": "boom"}), "upstream_failed"),
        (last("failed", error={"code": "rate_limit_exceeded", "message": "boom"}), "rate_limit"),
        (last("failed", error={"code": "image_parse_error", "message": "boom"}), "invalid_request"),
        (last("failed", error={"code": "context_length_exceeded", "message": "boom"}), "context_overflow"),
        (last("failed", error="boom"), "upstream_failed"),
        (last("failed"), "upstream_failed"),
        (last("cancelled", error={"message": "boom"}), "upstream_failed"),
        ({"type": "response.failed", "error": {"message": "boom"}}, "upstream_failed"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "boom", "param": None}, "rate_limit"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "boom"}}, "overloaded"),
        ({"type": "response.error", "error": {"message": "boom"}}, "upstream_failed"),
        ({"error": {"message": "boom", "code": 429}}, "rate_limit"),
        ({"detail": "boom"}, "upstream_failed"),
        ("[DONE", "bad_answer"),
        ("[" * 100_000, "bad_answer"),
    ],
)
def test_an_error_in_the_stream(event: Json | str, kind: str) -> None:
    for before in ((), (delta("hi"),)):
        with pytest.raises(ApiError) as caught:
            Reading().stream(sse(*before, event, last()))
        assert caught.value.kind == kind


def test_an_event_named_error() -> None:
    for text in ('{"message": "boom"}', '"boom"'):
        with pytest.raises(ApiError, match="boom"):
            Reading().feed(b"event: error\ndata: %b\n\n" % text.encode())


@pytest.mark.failure(74, 175)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"message":"boom","code":429}}', "rate_limit"),
        (b'{"status":500,"error":"boom"}', "upstream_failed"),
        (b'{"object":"response","status":"failed","error":{"code":"server_error","message":"x"}}', "upstream_failed"),
        (b'{"object":"response","status":"queued","output":[]}', "truncated"),
        (b"{}", "bad_answer"),
        (b'{"output":[{"type":"mess', "bad_answer"),
        (b"[" * 100_000, "bad_answer"),
        (b"<html><title>Sign in</title></html>", "bad_answer"),
        (b"", "bad_answer"),
        (b"null", "bad_answer"),
        (b'[{"error":{"message":"boom","code":400}}]', "invalid_request"),
        (b"data: nonsense\n\n", "bad_answer"),
    ],
)
def test_a_body_that_is_no_response(body: bytes, kind: str) -> None:
    for way in (Reading().whole, Reading().stream):
        with pytest.raises(ApiError) as caught:
            way(body)
        assert caught.value.kind == kind


def test_a_bare_response_instead_of_a_stream_is_played() -> None:
    response = last("completed", text_item("hi"))["response"]
    for body in (json.dumps(response, indent=2).encode(), sse(response), b"data: " + json.dumps(response).encode()):
        assert content(Reading().stream(body)) == [("text", "hi")]
    assert content(Reading().whole(sse(delta("hi"), last()))) == [("text", "hi")]
    old = {name: value for name, value in response.items() if name != "status"}
    assert content(Reading().whole(json.dumps(old).encode())) == [("text", "hi")]


def test_an_error_behind_a_cut_stream_is_told() -> None:
    with pytest.raises(ApiError, match="CUDA"):
        Reading().stream(sse(delta("hi")) + b'{"error": {"message": "CUDA out of memory"}}')


@pytest.mark.failure(96, 115)
def test_an_empty_stream_after_a_prompt_over_the_window_is_an_overflow() -> None:
    with pytest.raises(ApiError) as caught:
        Reading({"input_tokens": 5000}, {"context": 4096}).stream(b"")
    assert caught.value.message.startswith("prompt is too long: 5000 tokens > 4096 maximum")


@pytest.mark.failure(71)
def test_the_model_is_the_one_that_was_asked_for() -> None:
    assert Reading().stream(sse(delta("hi"), last())).model == "claude-opus-4-8"


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_an_error(body: bytes) -> None:
    for way in (Reading().stream, Reading().whole):
        try:
            way(body)
        except ApiError as error:
            assert error.kind in ("bad_answer", "truncated", "upstream_failed")  # noqa: PT017 - no error is fine, too


_WORDS = (
    "type",
    "delta",
    "item",
    "item_id",
    "id",
    "call_id",
    "name",
    "arguments",
    "content",
    "summary",
    "text",
    "part",
)
_MORE = ("response", "output", "status", "usage", "input_tokens", "error", "code", "annotations", "url", "action")
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud83d"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*_WORDS, *_MORE, "output_index"]), inner, max_size=5)
    ),
    max_leaves=20,
)
_TYPES = st.sampled_from(
    [
        *(
            f"response.{each}.{end}"
            for each in ("output_text", "refusal", "reasoning_text")
            for end in ("delta", "done")
        ),
        *("response.output_item.added", "response.output_item.done", "response.completed", "response.failed", "error"),
        *("response.function_call_arguments.delta", "response.function_call_arguments.done", "response.incomplete"),
        *(
            "response.content_part.done",
            "response.output_text.annotation.added",
            "response.reasoning_summary_part.done",
        ),
    ]
)
_KINDS = st.sampled_from(["message", "reasoning", "function_call", "web_search_call", "other"])


@given(st.lists(st.tuples(_TYPES, _JSON, _KINDS), max_size=5))
def test_any_json_in_any_field_is_an_answer_or_an_error(told_as: list[tuple[str, Any, str]]) -> None:
    events = []
    for kind, value, item_type in told_as:
        event = {**value, "type": kind} if isinstance(value, dict) else {"type": kind, "delta": value, "text": value}
        for name in ("item", "part"):
            if isinstance(event.get(name), dict):
                event[name] = {**event[name], "type": item_type}
        events.append(event)
    reading = Reading()
    try:
        reading.stream(sse(*events, last()))
    except ApiError:
        check(reading.events, whole=False)


# Counting


def test_the_count_of_input_tokens() -> None:
    assert RESPONSES.counted(b'{"object":"response.input_tokens","input_tokens":11}') == 11


def test_the_call_that_counts() -> None:
    asked = decode_request(b'{"model":"claude-opus-4-8","max_tokens":10,"messages":[{"role":"user","content":"Hi"}]}')
    made = RESPONSES.count(asked, ENCODER.call(counts=True).target)
    assert made.url == "http://127.0.0.1:9/v1/responses/input_tokens"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"input_tokens":-1}', b'{"input_tokens":null}', b'{"input'])
def test_a_body_that_counts_nothing(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        RESPONSES.counted(body)
    assert caught.value.kind == "bad_answer"


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
def test_a_golden_response_is_its_stream(case: Path) -> None:
    whole = fold(GOLDENS.read(case, case.with_suffix(".json").read_bytes(), whole=True)[0])
    assert whole == fold(GOLDENS.read(case, case.read_bytes())[0])
