"""The laws, for every dialect in DIALECTS.

A dialect takes part with an encoder (abstract answer -> its bytes) and a view of its requests.
"""

import copy
import itertools
import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from answers import AbstractAnswer, answers, expected, told
from dialects.anthropic.encoder_anthropic import AnthropicEncoder
from dialects.anthropic.view_anthropic import AnthropicView
from dialects.chat.encoder_chat import ChatEncoder
from dialects.chat.view_chat import ChatView
from dialects.gemini.encoder_gemini import GeminiEncoder
from dialects.gemini.view_gemini import GeminiView
from dialects.responses.encoder_responses import ResponsesEncoder
from dialects.responses.view_responses import ResponsesView
from dragoman.dialects import DIALECTS
from dragoman.dialects.contract import Call
from dragoman.messages import decoding
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event
from dragoman.messages.fold import fold
from dragoman.messages.known import Known
from dragoman.messages.names import Names
from dragoman.messages.request import decode
from dragoman.messages.state import pack
from dragoman.messages.writer import MessageWriter
from grammar import check
from histories import bodies, conversations, growing
from relayed import played, typed

ENCODERS = {
    "chat": ChatEncoder(),
    "responses": ResponsesEncoder(),
    "gemini": GeminiEncoder(),
    "anthropic": AnthropicEncoder(),
}
VIEWS = {"chat": ChatView, "responses": ResponsesView, "gemini": GeminiView, "anthropic": AnthropicView}

dialects = pytest.mark.parametrize("name", DIALECTS)
TRANSLATING = [name for name, dialect in DIALECTS.items() if not getattr(dialect, "relays", False)]
translating = pytest.mark.parametrize("name", TRANSLATING)
slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])


def test_every_dialect_takes_part() -> None:
    assert set(ENCODERS) == set(VIEWS) == set(DIALECTS)


def writer_for(call: Call) -> MessageWriter:
    return MessageWriter(message_id="msg_law", model=call.recall.model, input_tokens=call.recall.estimate.tokens)


def read(name: str, chunks: Iterable[bytes]) -> list[Event]:
    """Every event of a stream. Raises ApiError; then `events` of the error holds what came before."""
    call = ENCODERS[name].call()
    reader = DIALECTS[name].reader(call, writer_for(call))
    events: list[Event] = []
    for chunk in chunks:
        events += typed(reader.feed(chunk))
        check(events, whole=False)
    events += typed(reader.close())
    return events


def read_whole(name: str, body: bytes) -> list[Event]:
    call = structs.replace(ENCODERS[name].call(), stream=False)
    reader = DIALECTS[name].reader(call, writer_for(call))
    events = reader.whole(body)
    passed_on: bytes | None = getattr(reader, "body", None)
    return events if passed_on is None else played(passed_on)


def pieces(data: st.DataObject, stream: bytes) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@dialects
@slow
@given(answer=answers(), data=st.data())
def test_split(name: str, answer: AbstractAnswer, data: st.DataObject) -> None:
    """Any cut of the bytes gives the same events."""
    stream = ENCODERS[name].stream(answer, data.draw(ENCODERS[name].options()))
    assert read(name, pieces(data, stream)) == read(name, [stream])


@dialects
@slow
@given(answer=answers(), data=st.data())
def test_grammar(name: str, answer: AbstractAnswer, data: st.DataObject) -> None:
    """The stream is legal."""
    check(read(name, [ENCODERS[name].stream(answer, data.draw(ENCODERS[name].options()))]))
    check(read_whole(name, ENCODERS[name].whole(answer)))


@dialects
@slow
@given(answer=answers(), data=st.data())
def test_fold(name: str, answer: AbstractAnswer, data: st.DataObject) -> None:
    """The stream and the whole answer add up to what the model said."""
    streamed = fold(read(name, [ENCODERS[name].stream(answer, data.draw(ENCODERS[name].options()))]))
    meant = expected(ENCODERS[name].said(answer))
    assert told(streamed) == meant
    assert told(fold(read_whole(name, ENCODERS[name].whole(answer)))) == meant


@dialects
@slow
@given(answer=answers(), data=st.data())
def test_truncation(name: str, answer: AbstractAnswer, data: st.DataObject) -> None:
    """A cut before the upstream's finish mark is an error, never a clean stop."""
    stream, mark = ENCODERS[name].marked(answer, data.draw(ENCODERS[name].options()))
    cut = data.draw(st.integers(0, mark - 1))
    with pytest.raises(ApiError) as caught:
        read(name, [stream[:cut]])
    assert caught.value.kind in ("truncated", "bad_answer")


def whole(call: Call) -> Call:
    """The same, with its body in one: in how many pieces that is made is nobody's business."""
    return structs.replace(call, body=bytes(call.body))


def call_for(name: str, body: dict[str, Any]) -> Call:
    return whole(DIALECTS[name].call(decode(msgspec.json.encode(body)), ENCODERS[name].call().target))


@dialects
@slow
@given(made=bodies())
def test_request(name: str, made: tuple[dict[str, Any], list[str]]) -> None:
    """Deterministic, one result a call, no text twice and none out of nowhere."""
    body, texts = made
    request = decode(msgspec.json.encode(body))
    before = copy.deepcopy(request)
    target = ENCODERS[name].call().target
    call = whole(DIALECTS[name].call(request, target))
    assert request == before, "the input was changed"
    assert whole(DIALECTS[name].call(request, target)) == call, "the same request gave another call"
    view = VIEWS[name](call.body)
    view.check_pairs()
    for text in texts:
        assert view.text.count(text) == (1 if text in json.dumps(body, ensure_ascii=False) else 0), text
    blocks = sum(len(turn["content"]) for turn in body["messages"] if isinstance(turn["content"], list))
    assert len(view.text) <= len(json.dumps(body, ensure_ascii=False)) + 200 * blocks
    assert "<thought" not in view.text, "reasoning became visible text"


@dialects
@slow
@given(pair=growing())
def test_append_only(name: str, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """All up to the last assistant turn that two requests share is the same bytes in both; tools and knobs are, too.

    A history that *ends* in an assistant turn is not compared: that is a prefill, which is put in other words for
    servers that cannot continue an answer.
    """
    before, after = (VIEWS[name](call_for(name, body).body) for body in pair)
    assert after.items[: len(before.history)] == before.history
    assert after.around == before.around


# Where the form of a turn depends on more than the turn.
QUIRKS: dict[str, list[dict[str, Any]]] = {
    "chat": [
        {},
        {"cache": "cache_control", "content": "parts"},
        {"mid_system": "fold"},
        {"reasoning_echo": "required"},
    ],
    "responses": [{}, {"cache": "breakpoints"}, {"mid_system": "fold"}],
    "gemini": [{}, {"system": "user"}],
}


def answered(
    name: str, body: dict[str, Any], quirks: dict[str, Any], room: bytearray | None = None
) -> Call | tuple[str, str]:
    """The call, or what the caller is told. `room`: the body is read there, over what was there before."""
    raw = msgspec.json.encode(body)
    try:
        if room is None:
            request = decode(raw)
        else:
            room[9 : 9 + len(raw)] = raw
            seen = decoding.received(room, 9, 9 + len(raw))
            room[9:19] = b"?" * 10  # nobody looks there again
            request = decode(seen)
        return whole(DIALECTS[name].call(request, ENCODERS[name].call().target.quirked(**quirks)))
    except ApiError as error:
        return error.kind, error.message


@translating
@slow
@given(data=st.data(), talks=st.lists(conversations(), min_size=1, max_size=2))
def test_a_memory_changes_nothing(name: str, data: st.DataObject, talks: list[list[dict[str, Any]]]) -> None:
    """Conversations that grow, one beside the other: each request gives the call that it gives without a memory."""
    quirks = data.draw(st.sampled_from(QUIRKS[name]))
    bodies_ = [body for row in itertools.zip_longest(*talks) for body in row if body is not None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "_LARGE", 0)
        patch.setattr(decoding, "_KNOWN", Known(0))
        without = [answered(name, body, quirks) for body in bodies_]
        patch.setattr(decoding, "_KNOWN", Known(data.draw(st.sampled_from([20_000, 2**20])), least=1))
        room = bytearray(9)
        assert [answered(name, body, quirks, room) for body in bodies_] == without
        again = data.draw(st.permutations(range(len(bodies_))))
        assert [answered(name, bodies_[index], quirks) for index in again] == [without[index] for index in again]
        assert [answered(name, bodies_[index], quirks, room) for index in again] == [without[index] for index in again]


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def wrote(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def called(id_: str, name: str = "Read", *thoughts: str) -> dict[str, Any]:
    """An answer that calls a tool, with states of reasoning."""
    blocks = [{"type": "thinking", "thinking": "", "signature": state} for state in thoughts]
    return {"role": "assistant", "content": [*blocks, {"type": "tool_use", "id": id_, "name": name, "input": {}}]}


def result(id_: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id_, "content": "ok"}], **more}


_SHORT = Names.of(["odd.name"], limit=64).out("odd.name")
_BLANK = {"role": "user", "content": [{"type": "text", "text": " ", "cache_control": {"type": "ephemeral"}}]}
_BEGUN = [said("a"), called("t1", "odd.name"), result("t1")]
_THOUGHT = {name: pack(name, ENCODERS[name].call().target.state_scope, {"e": "x", "t": "x"}) for name in ENCODERS}

GROWN: dict[str, list[list[dict[str, Any]]]] = {
    "an id again": [_BEGUN, [*_BEGUN, called("t1"), result("t1")]],
    "the short name is taken": [_BEGUN, [*_BEGUN, called("t2", _SHORT), result("t2")]],
    "an answer in two parts": [_BEGUN, [*_BEGUN[:2], called("t2"), said("b")], [*_BEGUN[:2], called("t2"), said("b")]],
    "nothing said since": [_BEGUN, [*_BEGUN[:2], said(" ")], [*_BEGUN[:2], {"role": "user", "content": []}]],
    "nothing said, and an answer": [
        [said("a"), wrote("b"), said("c")],
        [said("a"), wrote("b"), said(" "), wrote("d"), said("e")],
        [said("a"), wrote("b"), said(" "), wrote("d"), said("f"), wrote("g"), said("h")],
    ],
    "nothing said, with a breakpoint": [[said("a"), wrote("b"), _BLANK, wrote("d"), said(text)] for text in "ef"],
    "an empty answer": [
        [said("a"), wrote(" "), said("c")],
        [said("a"), wrote(" "), said("c"), called("t1"), result("t1")],
    ],
    "a call without an id": [[said("a"), called(""), said("b")], [said("a"), called(""), said("b"), said("c")]],
}


@translating
@pytest.mark.parametrize("case", GROWN)
def test_a_memory_changes_nothing_where_much_depends_on_much(name: str, case: str) -> None:
    bodies_ = [{"model": "m", "max_tokens": 9, "messages": turns} for turns in GROWN[case]]
    bodies_ += same_thoughts(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "_LARGE", 0)
        patch.setattr(decoding, "_KNOWN", Known(0))
        without = [answered(name, body, {}) for body in bodies_]
        patch.setattr(decoding, "_KNOWN", Known(2**20, least=1))
        for room in (None, bytearray(9), bytearray(9)):
            assert [answered(name, body, {}, room) for body in bodies_] == without


def same_thoughts(name: str) -> list[dict[str, Any]]:
    """The same state of reasoning again, far from its first place."""
    turns = [said("a"), called("t1", "Read", _THOUGHT[name]), result("t1")]
    longer = [*turns, called("t2", "Read", _THOUGHT[name]), result("t2")]
    return [{"model": "m", "max_tokens": 9, "messages": messages} for messages in (turns, longer)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@translating
@slow
@given(made=bodies(), unknown=st.dictionaries(st.text(min_size=1, max_size=8).map("x_".__add__), JSON, max_size=3))
def test_unknown_fields_change_nothing(
    name: str, made: tuple[dict[str, Any], list[str]], unknown: dict[str, Any]
) -> None:
    """Fields that nobody knows, anywhere, are legal and do not reach the upstream."""
    body, _ = made
    plain = call_for(name, body)
    odd = {**body, **unknown, "messages": [{**turn, **unknown} for turn in body["messages"]]}
    odd["messages"] = [
        {**turn, "content": [{**block, **unknown} for block in turn["content"]]}
        if isinstance(turn["content"], list)
        else turn
        for turn in odd["messages"]
    ]
    assert call_for(name, odd).body == plain.body


@dialects
@given(
    chunks=st.lists(st.binary(max_size=60) | st.sampled_from([b"data: ", b"\n\n", b"{}", b"[DONE]", b'{"choices":']))
)
def test_any_bytes_are_an_answer_or_an_error(name: str, chunks: list[bytes]) -> None:
    """Whatever comes off the wire, nothing but ApiError is raised, and the events so far are legal."""
    try:
        events = read(name, chunks)
    except ApiError:
        return
    check(events)
