"""Whole answers: the usual ones are played at once, as the reader would tell them, and nothing of the others."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.gemini.encoder_gemini import GeminiEncoder
from dragoman.dialects.contract import Recall
from dragoman.dialects.gemini.answer import GeminiReader
from dragoman.dialects.gemini.completion import play
from dragoman.dialects.gemini.signatures import Mark, marks, seal
from dragoman.dialects.gemini.wire import Candidate
from dragoman.messages import state
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event, Message, RedactedThinkingBlock, TextBlock, ToolUseBlock, WholeBlock
from dragoman.messages.fold import fold
from dragoman.messages.notes import Note
from dragoman.messages.writer import MessageWriter
from grammar import check

Json = dict[str, Any]

SAID = {"text": "so"}
CALL = {"functionCall": {"name": "ls", "args": {"a": 1}, "id": "call_1"}}
SIGNED = {"thoughtSignature": "c2ln"}


def played(*parts: Json, recall: Recall | None = None, **more: Any) -> tuple[bool, MessageWriter]:
    found = {"content": {"parts": [*parts]}, "finishReason": "STOP", **more}
    writer = MessageWriter("msg_1", "m", asked_thinking=recall is not None and recall.asked_thinking)
    candidate = msgspec.json.decode(json.dumps(found), type=Candidate)
    return play(candidate, recall or Recall("m"), writer), writer


def test_texts_and_calls_are_blocks() -> None:
    done, writer = played(SAID, CALL, {"functionCall": {"name": "pwd"}}, SAID)
    writer.end()
    text, one, other, last = fold(writer.take()).content
    assert done
    assert (text, last) == (TextBlock("so"), TextBlock("so"))
    assert isinstance(one, ToolUseBlock)
    assert isinstance(other, ToolUseBlock)
    assert (one.id, one.name, bytes(one.input)) == ("call_1", "ls", b'{"a": 1}')
    assert (other.name, bytes(other.input)) == ("pwd", b"{}")
    assert other.id.startswith("toolu_")


def test_each_signature_rides_in_front_of_its_block() -> None:
    recall = Recall("m", asked_thinking=True, scope="lab")
    done, writer = played({**SAID, **SIGNED}, {**CALL, **SIGNED}, recall=recall)
    writer.end()
    blocks = fold(writer.take()).content
    assert done
    assert [type(block) for block in blocks] == [RedactedThinkingBlock, TextBlock, RedactedThinkingBlock, ToolUseBlock]
    found = [marks(state.unpack(each.data), "lab") for each in blocks if isinstance(each, RedactedThinkingBlock)]
    assert found == [[Mark("text", "c2ln", 0, 2)], [Mark("call", "c2ln")]]


def test_a_signature_that_nobody_asked_for_is_noted() -> None:
    done, writer = played(SAID, {**CALL, **SIGNED})
    assert done
    assert writer.notes == [Note("lost", "state.no_thinking_block")]


def test_a_signature_as_long_as_can_be_has_a_state() -> None:
    assert state.ours(seal([Mark("call", "\x01" * 100_000)], "lab"))
    done, _ = played(CALL | {"thoughtSignature": "A" * 100_000})
    assert done


@pytest.mark.parametrize(
    "part",
    [
        {"text": "hm", "thought": True},
        {"text": ""},
        {"text": " \n"},
        {"text": "", **SIGNED},
        {"text": "so", "inlineData": {"mimeType": "image/png"}},
        {"text": "so", "fileData": {"mimeType": "image/png"}},
        {"executableCode": {"code": "1"}},
        {"codeExecutionResult": {"output": "1"}},
        {"toolCall": {"id": "1"}},
        {"toolResponse": {"id": "1"}},
        {"functionCall": {"args": {}}},
        {"functionCall": {"name": "ls", "args": '{"a":1}'}},
        {**CALL, "thoughtSignature": "A" * 100_001},
    ],
)
def test_of_an_unusual_part_nothing_is_played(part: Json) -> None:
    done, writer = played(SAID, CALL, part)
    assert not done
    assert writer.take() == []
    assert writer.notes == []


def test_texts_that_follow_each_other_are_left_to_the_reader() -> None:
    done, writer = played(SAID, SAID)
    assert not done
    assert writer.take() == []


@pytest.mark.parametrize(
    "more",
    [
        {"finishReason": "MAX_TOKENS"},
        {"finishReason": None},
        {"index": 1},
        {"content": None},
        {"content": {"parts": []}},
        {"groundingMetadata": {}},
        {"urlContextMetadata": {}},
        {"citationMetadata": {"citations": []}},
    ],
)
def test_of_an_unusual_candidate_nothing_is_played(more: Json) -> None:
    done, writer = played(SAID, **more)
    assert not done
    assert writer.take() == []


@pytest.mark.parametrize("recall", [Recall("m", stop_sequences=("END",)), Recall("m", output_tool="form")])
def test_for_an_unusual_caller_nothing_is_played(recall: Recall) -> None:
    done, writer = played(SAID, recall=recall)
    assert not done
    assert writer.take() == []


# Both ways

SIGNATURES = st.sampled_from([None, None, "", "c2ln", "b3RoZXI="])
NAMES = st.sampled_from(["ls", "Read", "", "no name at all"])
IDS = st.sampled_from([None, None, "", "call_1", "call_2", "used", "not legal"])
ARGUMENTS = st.sampled_from(
    ["absent", None, {}, {"a": 1}, {"a": {"b": [1, "ü"]}}, {"": 0}, [1], "{}", '{"a":', "no", 5, {"x": "\ud83d"}]
)
USUAL_ARGUMENTS = st.sampled_from(["absent", None, {}, {"a": 1}, {"a": {"b": [1, "ü"]}}])
TEXTS = st.sampled_from(["so", "so\n", "", " ", "\n", "END of it", "half \ud83d", "ü"])


@st.composite
def some_parts(draw: st.DrawFn, *, usual: bool) -> list[Json]:
    parts: list[Json] = []
    kinds = ["text", "call", "call"] if usual else ["text", "call", "thought", "empty"]
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=5)):
        part: Json = {}
        if kind == "call":
            arguments = draw(USUAL_ARGUMENTS if usual else ARGUMENTS)
            part["functionCall"] = {"name": "ls" if usual else draw(NAMES), "id": draw(IDS)}
            part["functionCall"] |= {} if arguments == "absent" else {"args": arguments}
        elif kind != "empty":
            part["text"] = "so" if usual else draw(TEXTS)
            part |= {"thought": True} if kind == "thought" else {}
        signature = draw(SIGNATURES)
        parts.append(part | ({} if signature is None else {"thoughtSignature": signature}))
    return parts


TOKENS = st.sampled_from([0, 0, 7, 12, -3, None])


@st.composite
def some_answers(draw: st.DrawFn) -> Json:
    usual = draw(st.booleans())
    found: Json = {"content": {"role": "model", "parts": draw(some_parts(usual=usual))}, "index": 0}
    found["finishReason"] = "STOP" if usual else draw(st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "ODD", None]))
    answer: Json = {"candidates": [found], "responseId": "r1"}
    if draw(st.booleans()):
        names = ("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
        answer["usageMetadata"] = {name: draw(TOKENS) for name in names} | {"totalTokenCount": draw(TOKENS)}
    return answer


RECALLS = st.fixed_dictionaries(
    {
        "asked_thinking": st.booleans(),
        "show_thinking": st.booleans(),
        "stop_sequences": st.sampled_from([(), (), ("END",)]),
        "ids": st.just(frozenset({"used"})),
        "names": st.just({"ls": "list_the_files"}),
    }
)


def read(body: str, recall: Json) -> tuple[Message | str, Event | None, list[Note], object]:
    call = GeminiEncoder().call(recall=recall)
    writer = call.recall.writer("msg_1")
    try:
        events = GeminiReader(call, writer).whole(body.encode())
    except ApiError as error:
        return str(error), None, writer.notes, writer.outcome
    check(events)
    return fold(events), events[0], writer.notes, writer.outcome


@given(some_answers(), RECALLS, st.sampled_from([None, 1]))
def test_at_once_is_what_the_reader_tells(answer: Json, recall: Json, indent: int | None) -> None:
    body = json.dumps(answer, indent=indent)
    assert read(body, recall) == read(f"[{body}]", recall)  # a list of frames is told part by part


def test_the_usual_answer_is_played_at_once() -> None:
    answer = {"candidates": [{"content": {"parts": [SAID, {**CALL, **SIGNED}]}, "finishReason": "STOP"}]}
    call = GeminiEncoder().call()
    writer = call.recall.writer("msg_1")
    events = GeminiReader(call, writer).whole(json.dumps(answer).encode())
    assert [type(event) for event in events[1:3]] == [WholeBlock, WholeBlock]
    assert writer.ended
