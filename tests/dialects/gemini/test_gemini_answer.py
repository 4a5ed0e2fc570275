"""Gemini's bytes -> Messages events: laws over any answer, and what servers really do."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import AbstractAnswer, answers, expected, told
from dialects.gemini.encoder_gemini import END, GeminiEncoder, Options, options
from dragoman.dialects.gemini import answer as answer_module
from dragoman.dialects.gemini.answer import BROKEN, ODD, STOP_REASON, GeminiReader
from dragoman.dialects.gemini.repairs import SECOND_TRY, repair
from dragoman.dialects.gemini.signatures import Mark, marks
from dragoman.messages import state
from dragoman.messages.errors import ApiError
from dragoman.messages.events import (
    ContentBlock,
    ErrorEvent,
    Message,
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
from grammar import check
from reading import AnswerReading

GOLDENS = GoldenAnswers(GeminiEncoder())
ENCODER = GeminiEncoder()
Json = dict[str, Any]


class Reading(AnswerReading):
    def __init__(self, recall: Json | None = None, facts: Json | None = None, **quirks: Any) -> None:
        super().__init__(GeminiReader, ENCODER.call(recall=recall, facts=facts, **quirks))

    def fails(self, *chunks: bytes) -> ApiError:
        with pytest.raises(ApiError) as caught:
            self.stream(*chunks)
        self.events += self.writer.take()
        check(self.events, whole=False)
        return caught.value


THOUGHTFUL = {"asked_thinking": True}


def frame(*parts: Json, reason: str | None = None, usage: Json | None = None, **more: Any) -> Json:
    candidate = {
        "content": {"parts": [*parts], "role": "model"},
        **({"finishReason": reason} if reason else {}),
        **more,
    }
    return {"candidates": [candidate], **({"usageMetadata": usage} if usage else {}), **END}


def sse(*frames: Json | str, newline: str = "\r\n") -> bytes:
    """A stream: dicts as JSON, strings as they are."""
    lines = [each if isinstance(each, str) else json.dumps(each) for each in frames]
    return "".join(f"data: {line}{newline * 2}" for line in lines).encode()


def text(said: str, signature: str | None = None, **more: Any) -> Json:
    return {"text": said, **({"thoughtSignature": signature} if signature else {}), **more}


def thought(said: str, signature: str | None = None) -> Json:
    return text(said, signature, thought=True)


def calls(name: str, args: Any = None, signature: str | None = None, **more: Any) -> Json:
    call = {"name": name, **({} if args is None else {"args": args}), **more}
    return {"functionCall": call, **({"thoughtSignature": signature} if signature else {})}


STOP = frame(reason="STOP", usage={"promptTokenCount": 5, "candidatesTokenCount": 2})


def content(message: Message) -> list[tuple[Any, ...]]:
    """Blocks without ids and signatures."""
    return [each[:1] + each[2:] if each[0] == "tool_use" else each for each in told(message)[:-5]]


def marks_in(block: ContentBlock) -> list[Mark]:
    assert isinstance(block, ThinkingBlock | RedactedThinkingBlock)
    found = state.unpack(block.signature if isinstance(block, ThinkingBlock) else block.data)
    return marks(found, "lab")


# Laws


@given(answers(free=True), options())
def test_a_stream_folds_to_the_answer(answer: AbstractAnswer, how: Options) -> None:
    assert ENCODER.fits(answer)
    assert told(Reading().stream(ENCODER.stream(answer, how))) == expected(ENCODER.said(answer))


@given(answers(free=True), options())
def test_a_whole_answer_and_a_list_of_frames_fold_to_it_too(answer: AbstractAnswer, how: Options) -> None:
    assert told(Reading().whole(ENCODER.whole(answer))) == expected(ENCODER.said(answer))
    assert told(Reading().whole(ENCODER.array(answer, how))) == expected(ENCODER.said(answer))
    assert told(Reading().stream(ENCODER.array(answer, how))) == expected(ENCODER.said(answer))
    assert told(Reading().whole(ENCODER.stream(answer, how))) == expected(ENCODER.said(answer))


@pytest.mark.failure(92, 93)
@given(answers(free=True), options(), st.data())
def test_any_cut_of_the_bytes_gives_the_same_events(answer: AbstractAnswer, how: Options, data: st.DataObject) -> None:
    stream = ENCODER.stream(answer, how)
    once = Reading(THOUGHTFUL)
    once.stream(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    cut = Reading(THOUGHTFUL)
    cut.stream(*pieces)
    assert cut.events == once.events
    assert cut.writer.notes == once.writer.notes


@pytest.mark.failure(97)
@given(answers(free=True), options(), st.data())
def test_a_cut_before_the_finish_reason_is_an_error(answer: AbstractAnswer, how: Options, data: st.DataObject) -> None:
    stream, mark = ENCODER.marked(answer, how)
    cut = data.draw(st.integers(0, mark - 1))
    assert Reading().fails(stream[:cut]).kind in ("truncated", "bad_answer")


@pytest.mark.parametrize("case", GOLDENS.answer_cases(), ids=lambda case: case.stem)
def test_golden_answers_do_not_depend_on_line_ends(case: Path) -> None:
    body = case.read_bytes().replace(b"\r\n", b"\n")
    once = GOLDENS.read(case, body)
    for newline in (b"\r\n", b"\r"):
        assert GOLDENS.read(case, body.replace(b"\n", newline))[0] == once[0]


# A search is told in front of a text that has not begun, and behind one that has.
OTHERWISE = {"google-search"}


@pytest.mark.parametrize(
    "case", [case for case in GOLDENS.answer_cases() if case.with_suffix(".json").exists()], ids=lambda case: case.stem
)
def test_a_golden_whole_answer_is_its_stream(case: Path) -> None:
    streamed, _ = GOLDENS.read(case, case.read_bytes())
    whole, _ = GOLDENS.read(case, case.with_suffix(".json").read_bytes(), whole=True)
    if isinstance(streamed[-1], ErrorEvent):
        assert streamed == whole
        return
    first, second = (json.loads(msgspec.json.encode(fold(events))) for events in (streamed, whole))
    if case.stem in OTHERWISE:
        for message in (first, second):
            message["content"].sort(key=json.dumps)
    assert first == second


# Calls


@pytest.mark.failure(53, 64, 78)
def test_every_part_with_a_call_is_a_call_of_its_own() -> None:
    """They all come at position 0, in a frame each, and without ids."""
    reading = Reading({"ids": frozenset({"used"})})
    message = reading.stream(
        sse(
            frame(calls("Read", {"a": 1}), index=0),
            frame(calls("Read", {"a": 2}), index=0),
            frame(calls("Read", {"a": 3}, id="used"), calls("Read", {"a": 4}, id="call.1"), calls("Read", id="mine")),
            STOP,
        )
    )
    assert content(message) == [("tool_use", "Read", {"a": each}) for each in (1, 2, 3, 4)] + [("tool_use", "Read", {})]
    assert message.stop_reason == "tool_use"
    ids = [block.id for block in message.content if isinstance(block, ToolUseBlock)]
    assert len(set(ids)) == 5
    assert ids[-1] == "mine"
    assert all(each.startswith("toolu_") for each in ids[:-1])


@pytest.mark.failure(63)
@pytest.mark.parametrize(
    ("args", "read"),
    [
        ('{"a": 1.50}', '{"a": 1.50}'),
        ("null", ""),
        ("{}", ""),
        ('"{\\"a\\": 1}"', '{"a": 1}'),
        ('"ls"', '{"_raw":"ls"}'),
        ('["ls"]', '{"_raw":["ls"]}'),
        ("3", '{"_raw":3}'),
    ],
)
def test_arguments_are_an_object_whatever_a_server_sends(args: str, read: str) -> None:
    reading = Reading()
    reading.feed(
        b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"A","args":%b}}]}}]}\r\n\r\n'
        % args.encode()
    )
    said = [event.delta.partial_json for event in reading.events if hasattr(event, "delta")]  # type: ignore[union-attr]
    assert "".join(said) == read
    assert reading.writer._must_wait() is False


def test_arguments_in_broken_utf8_are_mended() -> None:
    body = json.dumps(frame(calls("A", {"a": "?"}), reason="STOP")).encode().replace(b"?", b"\xff")
    assert content(Reading().whole(body)) == [("tool_use", "A", {"a": "\ufffd"})]


def test_a_call_without_a_name_is_an_error() -> None:
    failure = Reading().fails(sse(frame({"functionCall": {"args": {}}})))
    assert (failure.kind, failure.message) == ("bad_answer", "lab/some-model sent a tool call without a name.")


def test_names_are_the_callers() -> None:
    message = Reading({"names": {"short": "a long name"}}).stream(sse(frame(calls("short")), STOP))
    assert content(message) == [("tool_use", "a long name", {})]


def test_a_forced_tool_becomes_text_and_its_signature_stays_behind() -> None:
    reading = Reading({**THOUGHTFUL, "output_tool": "answer"})
    message = reading.stream(
        sse(frame(calls("answer", {"a": 1}, "S1")), frame(text(" more", "S2"), text("", "S3")), STOP)
    )
    assert message.content == [TextBlock('{"a": 1} more')]
    assert reading.codes == {"signature.output", "signature.behind_text"}
    unsigned = Reading({"output_tool": "answer"})
    assert unsigned.stream(sse(frame(calls("answer", {"a": 1})), STOP)).content == [TextBlock('{"a": 1}')]
    assert not unsigned.codes


# Thoughts and signatures


@pytest.mark.failure(65, 70)
def test_thoughts_are_thinking() -> None:
    message = Reading().stream(sse(frame(thought("**A**\n")), frame(thought("b")), frame(text("\n"), text("c")), STOP))
    assert content(message) == [("thinking", "**A**\nb"), ("text", "\nc")]


@pytest.mark.failure(48)
def test_the_signature_of_a_call_rides_in_front_of_it() -> None:
    reading = Reading(THOUGHTFUL)
    message = reading.stream(
        sse(frame(thought("hm")), frame(calls("A", {}, "S1")), frame(calls("B")), frame(calls("C", {}, "S2")), STOP)
    )
    kinds = [type(block) for block in message.content]
    assert kinds == [ThinkingBlock, ToolUseBlock, ToolUseBlock, RedactedThinkingBlock, ToolUseBlock]
    assert marks_in(message.content[0]) == [Mark("call", "S1")]
    assert marks_in(message.content[3]) == [Mark("call", "S2")]


def test_signed_text_that_begins_a_block_rides_in_front_of_it() -> None:
    message = Reading(THOUGHTFUL).stream(
        sse(frame(thought("hm", "S0")), frame(text("abc", "S1")), frame(text("d")), STOP)
    )
    assert content(message) == [("thinking", "hm"), ("text", "abcd")]
    assert marks_in(message.content[0]) == [Mark("empty", "S0"), Mark("text", "S1", 0, 3)]


def test_signatures_inside_a_text_ride_in_front_of_the_next_call() -> None:
    reading = Reading(THOUGHTFUL)
    message = reading.stream(
        sse(
            frame(text("\n")),
            frame(text("ab")),
            frame(text("cde", "S1")),
            frame(text("", "S2")),
            frame(text("f")),
            frame(calls("A", {}, "S3")),
            STOP,
        )
    )
    assert message.content[0] == TextBlock("\nabcdef")
    assert marks_in(message.content[1]) == [Mark("back", "S1", 3, 3), Mark("back", "S2", 6), Mark("call", "S3")]
    assert not reading.codes


def test_signatures_inside_a_text_ride_in_the_next_thinking_block() -> None:
    message = Reading(THOUGHTFUL).stream(sse(frame(text("ab", "S1"), text("c", "S2")), frame(thought("hm")), STOP))
    assert content(message)[-2:] == [("text", "abc"), ("thinking", "hm")]
    assert marks_in(message.content[0]) == [Mark("text", "S1", 0, 2)]
    assert marks_in(message.content[2]) == [Mark("back", "S2", 2, 1)]


def test_nothing_stands_behind_the_last_text() -> None:
    """Clients take the last block for the answer, if it is text."""
    reading = Reading(THOUGHTFUL)
    message = reading.stream(sse(frame(text("abc")), frame(text("", "S1"), reason="STOP")))
    assert message.content == [TextBlock("abc")]
    assert Note("ignored", "signature.behind_text") in reading.writer.notes


def test_empty_and_white_parts_that_are_signed_are_empty() -> None:
    message = Reading(THOUGHTFUL).stream(
        sse(frame(text("", "S1")), frame(text("\n", "S2")), frame(calls("A"), text("", "S3"), calls("B")), STOP)
    )
    assert marks_in(message.content[0]) == [Mark("empty", "S1"), Mark("empty", "S2")]
    assert marks_in(message.content[2]) == [Mark("empty", "S3")]


def test_signatures_that_are_too_large_are_noted() -> None:
    reading = Reading(THOUGHTFUL)
    reading.stream(sse(frame(calls("A", {}, "S" * (state.LIMIT + 1))), STOP))
    assert Note("lost", "state.too_large") in reading.writer.notes


def test_without_thinking_signatures_are_lost_and_noted() -> None:
    reading = Reading()
    message = reading.stream(sse(frame(calls("A", {}, "S1")), STOP))
    assert content(message) == [("tool_use", "A", {})]
    assert reading.codes == {"state.no_thinking_block"}


# Other parts


def test_code_that_ran_upstream_is_text_and_media_are_lost() -> None:
    reading = Reading()
    message = reading.stream(
        sse(
            frame({"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "S"}),
            frame({"codeExecutionResult": {"outcome": "OUTCOME_OK"}}, {"executableCode": {}}),
            frame({"inlineData": {"mimeType": "image/png", "data": ""}}, {"fileData": {"fileUri": "x"}}),
            frame({"toolCall": {"toolType": "GOOGLE_SEARCH_WEB"}, "thoughtSignature": "S"}),
            frame({"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB"}}),
            STOP,
        )
    )
    assert content(message) == [("text", "\n```python\n1\n```\n\n```\n\n```\n\n```\n\n```\n")]
    assert set(reading.writer.notes) == {
        Note("changed", "code_execution.text"),
        Note("lost", "output.media"),
        Note("ignored", "server_tool.part"),
    }


def test_only_the_first_candidate_is_told() -> None:
    reading = Reading()
    first, second = frame(text("a"), index=0), frame(text("b"), index=1)
    message = reading.stream(sse({"candidates": [*first["candidates"], *second["candidates"]]}, STOP))
    assert content(message) == [("text", "a")]
    assert reading.codes == {"candidate.other"}


# The end


@pytest.mark.failure(61, 77)
@pytest.mark.parametrize("reason", [*STOP_REASON, *sorted(ODD), "BRAND_NEW"])
def test_every_reason_has_a_place(reason: str) -> None:
    reading = Reading()
    message = reading.stream(sse(frame(text("a"), reason=reason)))
    assert message.stop_reason == STOP_REASON.get(reason, "end_turn")
    codes = {"finish_reason.other"} if reason in ODD else set() if reason in STOP_REASON else {"finish_reason.unknown"}
    assert reading.codes - {"usage.estimated"} == codes
    if message.stop_reason == "refusal":
        assert message.stop_details == StopDetails(explanation=f"The provider's filter stopped the answer ({reason}).")


@pytest.mark.failure(72)
def test_a_filter_is_explained() -> None:
    ratings = [
        {"category": "HARM_CATEGORY_HARASSMENT", "blocked": True},
        {"category": "HARM_CATEGORY_JAILBREAK"},
        {"blocked": True},
    ]
    message = Reading().stream(sse(frame(reason="SAFETY", safetyRatings=ratings, finishMessage="Not this.")))
    assert message.stop_reason == "refusal"
    assert message.stop_details == StopDetails(
        explanation="The provider's filter stopped the answer (SAFETY, harassment): Not this."
    )
    blocked = {
        "promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "No."},
        "usageMetadata": {"promptTokenCount": 3},
    }
    for message in (Reading().stream(sse(blocked)), Reading().whole(json.dumps(blocked).encode())):
        assert message.content == []
        assert message.stop_reason == "refusal"
        assert message.stop_details == StopDetails(explanation="The provider's filter stopped the prompt (OTHER): No.")
        assert message.usage.input_tokens == 3


@pytest.mark.parametrize(
    ("context", "reason"), [(None, "max_tokens"), (100, "model_context_window_exceeded"), (101, "max_tokens")]
)
def test_a_full_window_is_told(context: int | None, reason: str) -> None:
    usage = {"promptTokenCount": 90, "cachedContentTokenCount": 50, "candidatesTokenCount": 10}
    message = Reading(facts={"context": context}).stream(sse(frame(text("a"), reason="MAX_TOKENS", usage=usage)))
    assert message.stop_reason == reason


def test_a_full_window_needs_counters() -> None:
    assert Reading(facts={"context": 1}).stream(sse(frame(text("a"), reason="MAX_TOKENS"))).stop_reason == "max_tokens"


@pytest.mark.failure(73)
@pytest.mark.parametrize("reason", [*BROKEN, *sorted(ODD), "STOP"])
def test_an_answer_with_nothing_in_it_is_asked_for_once_more(reason: str) -> None:
    first = Reading(second_try=True)
    failure = first.fails(sse(frame(reason=reason, finishMessage="Malformed function call: print(x)")))
    assert (failure.kind, failure.code) == ("bad_answer", SECOND_TRY)
    change = repair(first.call, failure)
    assert change is not None
    assert change.code == SECOND_TRY
    assert change.target.quirks.second_try is False


@pytest.mark.failure(73)
def test_the_second_time_it_is_told() -> None:
    message = Reading().stream(sse(frame(reason="STOP")))
    assert (message.content, message.stop_reason) == ([], "end_turn")
    for reason, advice in BROKEN.items():
        failure = Reading().fails(sse(frame(reason=reason, finishMessage="Malformed function call: print(x).")))
        assert failure.code is None
        assert failure.message == (
            f"lab/some-model could not finish its answer ({reason}: Malformed function call: print(x)). {advice}"
        )
    failure = Reading().fails(sse(frame(reason="OTHER")))
    assert (
        failure.message == "lab/some-model sent an answer without content (OTHER). Send the request again, or another."
    )


def test_a_broken_answer_that_was_begun_is_an_error_at_once() -> None:
    failure = Reading(second_try=True).fails(sse(frame(text("a")), frame(reason="MALFORMED_FUNCTION_CALL")))
    assert (failure.kind, failure.code) == ("bad_answer", None)


@pytest.mark.parametrize(
    ("parts", "recall"),
    [([text("\n")], {}), ([text("", "S")], {}), ([thought("hm")], {"show_thinking": False}), ([], {})],
)
def test_what_no_caller_would_see_is_nothing(parts: list[Json], recall: Json) -> None:
    assert Reading(recall, second_try=True).fails(sse(frame(*parts), STOP)).code == SECOND_TRY
    assert Reading(recall).stream(sse(frame(*parts), STOP)).content == []


@pytest.mark.parametrize("reason", ["MAX_TOKENS", "SAFETY"])
def test_nothing_with_a_reason_is_an_answer(reason: str) -> None:
    message = Reading(second_try=True).stream(sse(frame(reason=reason)))
    assert message.stop_reason == STOP_REASON[reason]


def test_text_that_waits_for_a_stop_sequence_is_something() -> None:
    message = Reading({"stop_sequences": ("abc",)}, second_try=True).stream(sse(frame(text("ab"), reason="STOP")))
    assert message.content == [TextBlock("ab")]


@pytest.mark.failure(76)
@pytest.mark.parametrize("sequence", ["c", "\n\n"])
def test_a_stop_sequence_ends_the_message(sequence: str) -> None:
    """What the upstream says afterwards is not read: whatever it is, however it ends."""
    stream = sse(frame(text("ab")), frame(text("c")), frame(calls("A")), frame(text("\n\n")), "no JSON")
    if sequence == "\n\n":
        stream = sse(frame(text("\n\n")), frame(calls("A")), "no JSON")
    for chunks in ([stream], [stream[at : at + 40] for at in range(0, len(stream), 40)]):
        reading = Reading({"stop_sequences": (sequence,)})
        reading.feed(*chunks)
        assert reading.reader.next_call() is None
        message = reading.close()
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", sequence)
        assert reading.feed(sse(frame(text("x")))).close() == message


def test_a_stop_sequence_in_a_list_of_frames() -> None:
    body = json.dumps([frame(text("abc")), frame(calls("A")), STOP]).encode()
    assert Reading({"stop_sequences": ("b",)}).whole(body).content == [TextBlock("a")]


def test_an_answer_without_a_reason_is_whole_when_its_json_is() -> None:
    reading = Reading()
    message = reading.whole(json.dumps(frame(text("a"))).encode())
    assert (content(message), message.stop_reason) == ([("text", "a")], "end_turn")
    assert Note("ignored", "finish_reason.missing") in reading.writer.notes


# Going on


def hops(reading: Reading) -> Reading:
    """The reading of the answer that goes on where this one stopped."""
    call = reading.reader.next_call()
    assert call is not None
    following = Reading()
    following.call, following.writer = call, reading.writer
    following.reader = GeminiReader(call, reading.writer)
    following.events = [*reading.events, *reading.writer.take()]
    return following


def stopped(*parts: Json, token: str | None = "more", **usage: int) -> Json:
    more = {} if token is None else {"continuationToken": token}
    return frame(*parts, reason="CONTINUATION", usage=usage, **more)


def test_an_answer_that_stops_in_its_middle_goes_on() -> None:
    first = Reading(THOUGHTFUL).feed(
        sse(
            frame(thought("hm")),
            stopped(
                text("ab", "S1"), promptTokenCount=10, candidatesTokenCount=3, thoughtsTokenCount=4, totalTokenCount=17
            ),
        )
    )
    second = hops(first)
    assert json.loads(second.call.body) == {"contents": [], "continuationToken": "more"}
    assert first.reader.close() == []
    second.feed(sse(stopped(text("cd", "S2"), promptTokenCount=20, candidatesTokenCount=2, totalTokenCount=22)))
    third = hops(second)
    message = third.stream(
        sse(
            frame(
                text("e", "S3"),
                reason="STOP",
                usage={"promptTokenCount": 30, "candidatesTokenCount": 1, "thoughtsTokenCount": 1},
            )
        )
    )
    assert content(message) == [("thinking", "hm"), ("text", "abcde")]
    assert marks_in(message.content[0]) == [Mark("text", "S1", 0, 2)]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (10, 11)
    assert third.codes == {"signature.behind_text"}


def test_the_last_frame_of_an_answer_that_stops_may_lack_its_blank_line() -> None:
    reading = Reading().feed(sse(stopped(text("a"))).rstrip())
    message = hops(reading).stream(sse(frame(text("b"), calls("A"), reason="STOP")))
    assert content(message) == [("text", "ab"), ("tool_use", "A", {})]


def test_a_whole_answer_that_stops_is_left_open() -> None:
    first = Reading()
    first.events += first.reader.whole(json.dumps(stopped(text("a"))).encode())
    assert not first.writer.ended
    second = hops(first)
    assert content(second.whole(json.dumps(frame(text("b"), reason="STOP")).encode())) == [("text", "ab")]


@pytest.mark.parametrize("chunk", [sse(stopped(text("a"), token=None)), sse(STOP), sse(frame(text("a")))])
def test_what_has_no_token_does_not_go_on(chunk: bytes) -> None:
    assert Reading().feed(chunk).reader.next_call() is None


# Errors, and what is no answer


OVERLOADED = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


@pytest.mark.failure(74)
@pytest.mark.parametrize(
    "chunk",
    [
        sse(OVERLOADED),
        sse(frame(text("a")), OVERLOADED),
        sse(json.dumps([OVERLOADED])),
        json.dumps([OVERLOADED]).encode(),
        json.dumps(OVERLOADED, indent=2).encode(),
        sse(frame(text("a"))) + json.dumps(OVERLOADED).encode(),
        b"event: error\n" + sse(OVERLOADED),
        sse(json.dumps({**OVERLOADED, "candidates": 3})),
    ],
)
def test_an_error_under_status_200(chunk: bytes) -> None:
    failure = Reading().fails(chunk)
    assert (failure.kind, failure.upstream_status) == ("overloaded", 503)
    assert "The model is overloaded" in failure.message


@pytest.mark.parametrize("body", [OVERLOADED, [OVERLOADED]])
def test_an_error_as_a_whole_body(body: Any) -> None:
    with pytest.raises(ApiError) as caught:
        Reading().whole(json.dumps(body).encode())
    assert caught.value.kind == "overloaded"


@pytest.mark.parametrize(
    ("chunk", "kind", "said"),
    [
        (sse("{"), "bad_answer", "no JSON: {"),
        (b"<html><title>502 Bad Gateway</title></html>", "bad_answer", "no stream but 'a web page (502 Bad Gateway)'"),
        (b"", "bad_answer", "an empty answer"),
        (sse("[DONE]"), "bad_answer", "an empty answer"),
        (sse({"foo": 1}), "bad_answer", "an empty answer"),
        (sse({"message": "no"}), "upstream_failed", "no"),
        (sse(frame(text("a"))), "truncated", "before it was complete"),
        (sse(frame(text("a"))) + b"[1", "truncated", "before it was complete"),
        (sse(frame(text("a"))) + b"[1]", "truncated", "before it was complete"),
        (sse({"usageMetadata": {"promptTokenCount": 3}}), "truncated", "before it was complete"),
        (sse({"candidates": []}), "truncated", "before it was complete"),
        (sse({"responseId": "x"}), "truncated", "before it was complete"),
        (sse(frame(text("a"), reason="FINISH_REASON_UNSPECIFIED")), "truncated", "before it was complete"),
        (b"[{}", "bad_answer", "no JSON: [{}"),
    ],
)
def test_what_is_no_answer(chunk: bytes, kind: str, said: str) -> None:
    failure = Reading().fails(chunk)
    assert failure.kind == kind
    assert said in failure.message


@pytest.mark.failure(115)
def test_an_empty_answer_to_a_prompt_over_the_window_is_an_overflow() -> None:
    failure = Reading({"input_tokens": 200}, {"context": 100}).fails(b"")
    assert failure.kind == "context_overflow"
    assert "prompt is too long" in failure.message


def test_a_stream_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_module, "ANSWER_LIMIT", 1000)
    assert Reading().fails(*[sse(frame(text("a")))] * 20).message == "lab/some-model sent more than 1000 bytes."


def test_comments_and_done_marks_say_nothing() -> None:
    stream = sse(": keep-alive", frame(text("a")), "", STOP, "[DONE]")
    assert content(Reading().stream(stream)) == [("text", "a")]


# Lone surrogates


def test_halves_of_characters_find_each_other() -> None:
    frames = [
        text("a\ud83d"),
        text("\ude00"),
        thought("b\ud83d"),
        thought("\ude00c"),
        text("\ud83d"),
        thought("d\ud83d"),
    ]
    reading = Reading()
    message = reading.stream(sse(*map(frame, frames), STOP))
    assert content(message) == [("text", "a😀"), ("thinking", "b😀cd"), ("text", "\ufffd"), ("thinking", "\ufffd")]
    assert reading.codes == {"surrogate.replaced"}


def test_a_half_in_the_middle_of_a_piece_is_replaced() -> None:
    reading = Reading()
    assert content(reading.stream(sse(frame(text("a\ud83db")), STOP))) == [("text", "a\ufffdb")]
    assert reading.codes == {"surrogate.replaced"}


def test_a_half_before_a_call_is_replaced() -> None:
    message = Reading().stream(sse(frame(text("a\ud83d")), frame(calls("A")), STOP))
    assert content(message) == [("text", "a\ufffd"), ("tool_use", "A", {})]
    message = Reading().stream(sse(frame(thought("a\ud83d")), frame(text("b")), STOP))
    assert content(message) == [("thinking", "a\ufffd"), ("text", "b")]


# Counters


def test_the_message_begins_with_the_counted_prompt() -> None:
    reading = Reading({"input_tokens": 99}).feed(
        sse(frame(text("a"), usage={"promptTokenCount": 7, "candidatesTokenCount": 1}))
    )
    assert reading.events[0].message.usage == Usage(input_tokens=7, output_tokens=1)  # type: ignore[union-attr]


def test_the_last_counters_that_came_count() -> None:
    frames = [frame(text("a"), usage={"promptTokenCount": 7, "candidatesTokenCount": each}) for each in range(1, 30)]
    message = Reading().stream(sse(*frames, frame(reason="STOP")))
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 29)
    failing = Reading()
    failing.fails(sse(*frames))
    assert failing.writer.usage_seen == message.usage


def test_without_counters_the_output_is_estimated() -> None:
    reading = Reading()
    reading.stream(sse(frame(text("abcdefgh"), usage={"promptTokenCount": 0}), frame(reason="STOP")))
    assert "usage.estimated" in reading.codes


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"foo": [1]}', b'[{"foo": 1}]'])
def test_json_that_says_nothing_of_an_answer_is_none(body: bytes) -> None:
    """It was told as an empty answer: a success that nobody had."""
    with pytest.raises(ApiError, match="sent no answer but") as caught:
        Reading().reader.whole(body)
    assert caught.value.kind == "bad_answer"
