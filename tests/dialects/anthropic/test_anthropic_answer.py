"""Answers that are passed on: every byte, but for the model's name and a missing `event:` line."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from answers import AbstractAnswer, Text, answers, expected, told
from dialects.anthropic.encoder_anthropic import MODEL, AnthropicEncoder, Options
from dragoman.dialects.anthropic import answer as answer_module
from dragoman.dialects.anthropic.answer import STOP, AnthropicReader
from dragoman.messages.errors import ApiError
from dragoman.messages.events import CacheCreation, Event, Outcome, OutputDetails, Usage
from dragoman.messages.fold import fold
from dragoman.messages.notes import Note
from dragoman.messages.writer import MessageWriter
from golden_answers import GoldenAnswers
from grammar import check
from relayed import frames_of, played, typed

ENCODER = AnthropicEncoder()
GOLDENS = GoldenAnswers(ENCODER)
ALIAS = 'my "own" model é'
slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])

START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"model":"%b","content":[],"stop_reason":null,"usage":{"input_tokens":7,"output_tokens":1}}}\n\n' % MODEL.encode()
)
BEGIN = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
)
DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"Hi"}}\n\n'
)
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
FINISH = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":9}}\n\n'
)
OVERLOADED = b'event: error\ndata: {"type": "error", "error": {"type":"overloaded_error","message":"Overloaded"}}\n\n'


def reader(*, stream: bool = True, model: str = MODEL) -> tuple[AnthropicReader, MessageWriter]:
    call = structs.replace(ENCODER.call(recall={"model": model}), stream=stream)
    writer = MessageWriter(message_id="msg_test", model=model)
    return AnthropicReader(call, writer), writer


def passed_on(chunks: Iterable[bytes], *, model: str = MODEL) -> list[Event]:
    made, writer = reader(model=model)
    events: list[Event] = []
    for chunk in chunks:
        events += made.feed(chunk)
    events += made.close()
    assert writer.ended
    return events


def failure(*chunks: bytes, stream: bool = True) -> ApiError:
    made, _ = reader(stream=stream)
    try:
        for chunk in chunks:
            made.feed(chunk)
        made.close()
    except ApiError as error:
        return error
    raise AssertionError("no failure")


def refused(body: bytes, *, stream: bool = False) -> ApiError:
    made, _ = reader(stream=stream)
    with pytest.raises(ApiError) as caught:
        made.whole(body)
    assert made.body is None
    return caught.value


def pieces(data: st.DataObject, stream: bytes) -> Sequence[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


# Laws


@pytest.mark.failure(69, 86, 93)
@slow
@given(answer=answers(free=True), how=ENCODER.options(), alias=st.booleans(), data=st.data())
def test_bytes_out_are_bytes_in(answer: AbstractAnswer, how: Options, alias: bool, data: st.DataObject) -> None:
    """However they were cut; but for the model's name, when the caller asked for another one."""
    model = ALIAS if alias else MODEL
    came = frames_of(passed_on(pieces(data, ENCODER.stream(answer, how)), model=model))
    want = ENCODER.passed_on(answer, how, model)
    if alias and not how.ascii_only:  # the name that is put in is in UTF-8, whatever stands around it
        assert came == want
    else:
        assert came.replace(ALIAS.replace('"', r"\"").encode(), json.dumps(ALIAS)[1:-1].encode()) == want


@slow
@given(answer=answers(free=True), how=ENCODER.options(), data=st.data())
def test_a_client_understands_it(answer: AbstractAnswer, how: Options, data: st.DataObject) -> None:
    events = typed(passed_on(pieces(data, ENCODER.stream(answer, how))))
    check(events)
    assert told(fold(events)) == expected(answer)


@slow
@given(answer=answers(), how=ENCODER.options(), data=st.data())
def test_a_cut_is_no_end(answer: AbstractAnswer, how: Options, data: st.DataObject) -> None:
    stream, mark = ENCODER.marked(answer, how)
    cut = stream[: data.draw(st.integers(0, mark - 1))]
    assert failure(*pieces(data, cut)).kind in ("truncated", "bad_answer")


@given(answer=answers(free=True), alias=st.booleans())
def test_a_whole_message_is_the_same_bytes(answer: AbstractAnswer, alias: bool) -> None:
    body = ENCODER.whole(answer)
    made, writer = reader(stream=False, model="other" if alias else MODEL)
    assert made.whole(body) == []
    assert made.body == ENCODER.whole(answer, "other" if alias else MODEL)
    assert writer.ended
    assert writer.outcome == Outcome(answer.stop)
    assert told(fold(played(made.body))) == expected(answer)


@slow
@given(answer=answers(free=True), how=ENCODER.options())
def test_what_is_seen_on_the_way(answer: AbstractAnswer, how: Options) -> None:
    made, writer = reader()
    made.feed(ENCODER.stream(answer, how))
    made.close()
    assert writer.outcome == Outcome(answer.stop)
    created = CacheCreation(ephemeral_5m_input_tokens=answer.usage.cache_creation_input_tokens)
    assert writer.usage_seen == structs.replace(answer.usage, cache_creation=created, service_tier="standard")
    assert writer.notes == ([] if how.stop else [Note("changed", "message_stop.missing")])


@given(
    st.lists(
        st.binary(max_size=40)
        | st.sampled_from([START, BEGIN, DELTA, PING, FINISH, STOP, OVERLOADED])
        | st.sampled_from([b"data: ", b"\n\n", b'{"type":', b"\r"]),
        max_size=12,
    ),
    st.booleans(),
)
def test_any_bytes_are_an_answer_or_an_error(chunks: list[bytes], alias: bool) -> None:
    made, writer = reader(model="other" if alias else MODEL)
    try:
        for chunk in chunks:
            made.feed(chunk)
        made.close()
    except ApiError:
        return
    assert writer.ended


@given(st.binary(max_size=60) | st.sampled_from([b'{"content":[]}', b'{"content":[],"usage":7,"stop_reason":7}']))
def test_any_body_is_a_message_or_an_error(body: bytes) -> None:
    made, _ = reader(stream=False, model="other")
    try:
        made.whole(body)
    except ApiError:
        assert made.body is None
    else:
        assert made.body == body


# Byte for byte


def test_every_read_goes_on_at_once() -> None:
    made, writer = reader()
    assert made.feed(START[:30]) == []
    assert frames_of(made.feed(START[30:] + PING)) == START + PING
    assert (writer.started, writer.committed) == (True, False)
    assert frames_of(made.feed(BEGIN)) == BEGIN
    assert writer.committed
    many = DELTA * 60
    assert [event.frames for event in made.feed(many + DELTA[:9])] == [many]
    assert frames_of(made.feed(DELTA[9:] + PING + DELTA)) == DELTA + PING + DELTA
    assert not writer.finished
    assert frames_of(made.feed(FINISH)) == FINISH
    assert writer.finished
    assert not writer.ended
    assert frames_of(made.feed(STOP + b"data: [DONE]\n\n")) == STOP
    assert writer.ended
    assert made.feed(DELTA) == made.close() == []


@pytest.mark.parametrize(
    "frame",
    [
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"\\ud83d"}}',
        b'event: x_new\ndata: {"text":"\\ud83d","type":"x_new"}',
        b"event: content_block_delta\ndata: {broken",
        b'event: content_block_delta\ndata: {"text":"\xff"}',
        b"event: x_new\ndata: not JSON",
        b"event: x_new\ndata: [1]",
        b"event: x_new",
        b": a comment",
        b"id: 7\nretry: 10",
        b"data: [DONE]",
        b"data",
        b"words that are no field",
        b'data: {"type": 5}',
        b'data: {"type": ""}',
    ],
)
def test_what_only_the_caller_may_understand(frame: bytes) -> None:
    stream = START + BEGIN + frame + b"\n\n" + FINISH + STOP
    assert frames_of(passed_on([stream])) == stream


@pytest.mark.failure(86)
@pytest.mark.parametrize("text", ["Hi", r"\ud83d", "é", r"\ud83d\ude00"])
def test_a_stream_without_names_gets_them(text: str) -> None:
    data = b'data: {"type":"content_block_delta","index":0,"delta":{"text":"%b"}}\r\n\r\n' % text.encode()
    nameless = [frame.split(b"\n", 1)[1] for frame in (START, BEGIN, FINISH, STOP)]
    start, begin, finish, stop = nameless
    came = frames_of(passed_on([start, b": hi\n\n\n", begin, data, b"\r\n", finish, stop]))
    assert came == START + b": hi\n\n\n" + BEGIN + b"event: content_block_delta\n" + data + b"\r\n" + FINISH + STOP


def test_only_the_models_name_is_changed() -> None:
    odd = START.replace(b'"content":[]', b'"content":[],"x":{"model":"%b"},"y":"\\"model\\":\\"z\\""' % MODEL.encode())
    came = frames_of(passed_on([odd + BEGIN + FINISH + STOP], model="mine"))
    before, name, after = odd.partition(b'"model":"%b"' % MODEL.encode())
    assert name
    assert came == before + b'"model":"mine"' + after + BEGIN + FINISH + STOP


@pytest.mark.parametrize(
    "start",
    [
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"1"}}\n\n',
        b'event: message_start\ndata: {"type":"message_start","message":"?"}\n\n',
        b'event: message_start\ndata: {"type":"message_start"}\n\n',
        b"event: message_start\ndata: {\n\n",
        b"event: message_start\n\n",
    ],
)
def test_a_start_that_names_no_model(start: bytes) -> None:
    stream = start + FINISH + STOP
    assert frames_of(passed_on([stream], model="mine")) == stream


def test_a_message_that_names_no_model() -> None:
    made, _ = reader(stream=False, model="mine")
    made.whole(b'{"content": []}')
    assert made.body == b'{"content": []}'


def test_half_a_character_in_a_whole_message() -> None:
    body = rb'{"model":"%b","content":[{"type":"text","text":"\ud83d"}],"stop_reason":"max_tokens"}' % MODEL.encode()
    made, writer = reader(stream=False)
    made.whole(body)
    assert made.body == body
    assert writer.outcome == Outcome("max_tokens")
    made, _ = reader(stream=False, model="mine")
    made.whole(body)
    assert made.body == body.replace(MODEL.encode(), b"mine")


# What is seen


def test_counters_are_totals_so_far() -> None:
    made, writer = reader()
    made.feed(START)
    assert writer.usage_seen == Usage(input_tokens=7, output_tokens=1)
    details = b'"usage":{"output_tokens":9,"input_tokens":null,"output_tokens_details":{"thinking_tokens":4},"speed":3}'
    made.feed(FINISH.replace(b'"usage":{"output_tokens":9}', details))
    assert writer.usage_seen == Usage(
        input_tokens=7, output_tokens=9, output_tokens_details=OutputDetails(thinking_tokens=4)
    )


@pytest.mark.parametrize("usage", [b"{}", b"null", b'"many"', b"[1]"])
def test_usage_may_be_missing(usage: bytes) -> None:
    made, writer = reader()
    start = START.replace(b'{"input_tokens":7,"output_tokens":1}', usage)
    finish = FINISH.replace(b'{"output_tokens":9}', usage)
    assert frames_of(made.feed(start + finish + STOP)) == start + finish + STOP
    assert writer.usage_seen is None
    assert writer.outcome == Outcome("end_turn")


def test_a_stop_reason_may_be_any_word() -> None:
    made, writer = reader()
    made.feed(START + FINISH.replace(b'"end_turn","stop_sequence":null', b'"eos","stop_sequence":"END"') + STOP)
    assert writer.outcome == Outcome("eos", "END")  # type: ignore[arg-type]


@pytest.mark.parametrize("delta", [b'{"stop_reason":null}', b'"?"', b"{}"])
def test_a_message_delta_without_a_reason_is_no_finish(delta: bytes) -> None:
    frame = b'event: message_delta\ndata: {"type":"message_delta","delta":%b}\n\n' % delta
    assert failure(START, frame).kind == "truncated"
    assert frames_of(passed_on([START + frame + STOP])) == START + frame + STOP


# The end


def test_a_message_stop_may_be_missing_behind_a_reason() -> None:
    made, writer = reader()
    made.feed(START + BEGIN + FINISH)
    assert frames_of(made.close()) == STOP
    assert writer.notes == [Note("changed", "message_stop.missing")]


@pytest.mark.parametrize("left", [b"", b"\n"])
def test_the_last_empty_line_may_be_missing(left: bytes) -> None:
    stream = START + BEGIN + FINISH + STOP
    assert frames_of(passed_on([stream.rstrip() + left])) == stream


@pytest.mark.failure(94, 97)
@pytest.mark.parametrize("end", [b"", BEGIN[:40], DELTA.strip()[:-1], b"event: message_stop", b"data: {"])
def test_cut(end: bytes) -> None:
    error = failure(START + BEGIN + end)
    assert (error.kind, error.verbatim) == ("truncated", None)
    assert "lab/claude-opus-4-8 ended its answer before it was complete" in error.message


def test_content_without_a_beginning_was_an_answer() -> None:
    assert failure(BEGIN).kind == failure(BEGIN.split(b"\n", 1)[1]).kind == "truncated"


# Failures


@pytest.mark.failure(95, 118)
def test_an_error_event() -> None:
    for before in (b"", START, START + BEGIN + DELTA):
        error = failure(before + OVERLOADED)
        assert (error.kind, error.status) == ("overloaded", 529)
        assert error.verbatim is not None
        assert error.verbatim.frame == OVERLOADED
        assert error.verbatim.headers == (("content-type", "application/json"),)
        assert json.loads(error.verbatim.body)["error"]["message"] == "Overloaded"


def test_what_came_before_an_error_in_the_same_read_is_kept() -> None:
    made, writer = reader()
    with pytest.raises(ApiError):
        made.feed(START + BEGIN + OVERLOADED + DELTA)
    assert frames_of(writer.take()) == START + BEGIN


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b'data: {"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}\r\n\r\n', "rate_limit"),
        (b'data: {"error":{"message":"Slow down","type":"rate_limit_error"}}\n\n', "rate_limit"),
        (b'data: {"error":"overloaded"}\n\n', "overloaded"),
        (b"event: error\ndata: overloaded\n\n", "overloaded"),
        (b"event: error\n\n", "upstream_failed"),
        (b'event: error\ndata: {"type":"error"}', "upstream_failed"),
        (b'event:error\ndata:{"type":"error","error":{"type":"billing_error","message":"No credit"}}\n\n', "billing"),
    ],
)
def test_error_events_of_others(frame: bytes, kind: str) -> None:
    error = failure(START + BEGIN + frame)
    assert error.kind == kind
    if error.verbatim is not None:
        assert error.verbatim.frame.startswith(b"event: error\n")


@pytest.mark.failure(94, 95)
@pytest.mark.parametrize("form", ["stream", "whole"])
@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"type":"error","error":{"type":"permission_error","message":"Not here"}}', "permission", "Not here"),
        (b'{"type":"error",\n\n"error":{"type":"api_error","message":"Broken"}}', "upstream_failed", "Broken"),
        (b'{"error":{"message":"No such model","code":"model_not_found"}}', "not_found", "No such model"),
        (b'{"detail":"Not authenticated"}', "upstream_failed", "Not authenticated"),
        (b"<html><title>Sign in</title>\n\n<p>x</html>", "bad_answer", "a web page (Sign in)"),
        (b"upstream connect error", "bad_answer", "upstream connect error"),
        (b'{"ok":true}', "bad_answer", "Check base_url and the model"),
        (b'{"content":"text"}', "bad_answer", "Check base_url and the model"),
        (b"[1]", "bad_answer", "Check base_url and the model"),
        (b"", "bad_answer", "an empty answer"),
    ],
)
def test_what_is_no_message_under_status_200(form: str, body: bytes, kind: str, words: str) -> None:
    error = refused(body) if form == "whole" else failure(body)
    assert error.kind == kind
    assert words in error.message
    assert error.message.startswith("lab/claude-opus-4-8 ")


def test_comments_are_no_reason() -> None:
    error = failure(b": PROCESSING\n\n", b'{"type":"error","error":{"type":"api_error","message":"Broken"}}')
    assert "Broken" in error.message


def test_nobody_asked_for_this_form() -> None:
    """Asking again would cost again."""
    whole = refused(ENCODER.whole(AbstractAnswer((Text("Hi"),), "end_turn", Usage())), stream=True)
    streamed = failure(START, stream=False)
    for error in (whole, streamed):
        assert (error.kind, error.retryable) == ("bad_answer", False)
    assert "a whole message where a stream was asked for" in whole.message
    assert "a stream where a whole message was asked for" in streamed.message
    assert failure(OVERLOADED, stream=False).kind == "overloaded"


def test_what_waits_for_content_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_module, "HELD_LIMIT", 1000)
    assert "before any content" in failure(START, *([PING] * 50)).message
    passed_on([START, BEGIN, *([DELTA, PING] * 50), FINISH, STOP])


def test_a_stream_of_one_kind_of_server_in_full() -> None:
    """As Anthropic writes it, in one read and in two."""
    answer = AbstractAnswer((Text("Hello, 渐"),), "end_turn", Usage(input_tokens=3, output_tokens=5))
    stream = ENCODER.stream(answer, replace(Options(), comments=True))
    for at in range(0, len(stream), 7):
        assert frames_of(passed_on([stream[:at], stream[at:]])) == stream


# Golden answers, in the style of each server


@pytest.mark.parametrize("case", GOLDENS.answer_cases(), ids=lambda case: case.stem)
def test_golden_answers_do_not_depend_on_cuts(case: Path) -> None:
    body = case.read_bytes()
    once = frames_of(GOLDENS.read(case, body)[0])
    alias = case.with_suffix(".toml").exists()
    for size in (1, 2, 3, 17, 256):
        chunks = [body[at : at + size] for at in range(0, len(body), size)]
        try:
            told = frames_of(passed_on(chunks, model="sonnet" if alias else MODEL))
        except ApiError:
            continue
        assert told == once


@pytest.mark.parametrize("case", ["anthropic-thinking-and-tools", "anthropic-web-search", "anthropic-new-things"])
def test_what_anthropic_writes_is_what_the_caller_gets(case: str) -> None:
    (path,) = [each for each in GOLDENS.answer_cases() if each.stem == case]
    assert GOLDENS.golden_answer(path) == path.read_bytes()


def test_a_golden_message_is_its_stream() -> None:
    (case,) = [each for each in GOLDENS.answer_cases() if each.with_suffix(".json").exists()]
    whole = fold(GOLDENS.read(case, case.with_suffix(".json").read_bytes(), whole=True)[0])
    assert whole == fold(typed(GOLDENS.read(case, case.read_bytes())[0]))
