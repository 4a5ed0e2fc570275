"""Odd JSON as an answer: what makes sense is kept, and nothing raises."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import AbstractAnswer, answers
from dialects.gemini.encoder_gemini import GeminiEncoder, Options, options
from dragoman.dialects.gemini.wire import Answer, decode, loose

EVERYTHING = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "a", "thought": True, "thoughtSignature": "S"},
                    {"functionCall": {"name": "A", "args": {"b": [1, None]}, "id": "c"}},
                    {"inlineData": {"mimeType": "image/png"}, "fileData": {"mimeType": "image/png"}},
                    {"executableCode": {"language": "PYTHON", "code": "1"}, "codeExecutionResult": {"output": "2"}},
                    {"toolCall": {"id": "x"}, "toolResponse": {"id": "x"}},
                ]
            },
            "finishReason": "STOP",
            "finishMessage": "done",
            "index": 0,
            "safetyRatings": [{"category": "HARM_CATEGORY_JAILBREAK", "blocked": True}],
            "groundingMetadata": {
                "webSearchQueries": ["q"],
                "groundingChunks": [{"web": {"uri": "https://a.b", "title": "A"}}, {}],
                "groundingSupports": [
                    {"segment": {"startIndex": 1, "endIndex": 2, "text": "t"}, "groundingChunkIndices": [0, 1]}
                ],
            },
            "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "https://a.b", "urlRetrievalStatus": "S"}]},
            "citationMetadata": {"citations": []},
            "continuationToken": "t",
        }
    ],
    "promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "no", "safetyRatings": []},
    "usageMetadata": {
        "promptTokenCount": 1,
        "cachedContentTokenCount": 2,
        "toolUsePromptTokenCount": 3,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 5,
        "totalTokenCount": 6,
        "trafficType": "ON_DEMAND",
    },
    "responseId": "r",
    "error": None,
}


def shape(answer: Answer) -> Any:
    return without_nothing(msgspec.to_builtins(msgspec.json.decode(msgspec.json.encode(plain(answer)))))


def plain(value: Any) -> Any:
    """Structs as dicts, raw JSON as values: raw JSON cannot be compared, nor written when there is none."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value) if memoryview(value) else None
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    return [plain(each) for each in value] if isinstance(value, list) else value


def without_nothing(value: Any) -> Any:
    """Absent and empty come to the same."""
    if isinstance(value, dict):
        found = {name: without_nothing(each) for name, each in value.items()}
        return {name: each for name, each in found.items() if each not in (None, False, [], {})}
    return [without_nothing(each) for each in value] if isinstance(value, list) else value


def test_both_ways_of_reading_agree_on_everything() -> None:
    assert shape(loose(EVERYTHING)) == shape(decode(msgspec.json.encode(EVERYTHING)))


@given(answers(free=True), options())
def test_both_ways_of_reading_agree(answer: AbstractAnswer, how: Options) -> None:
    for frame in GeminiEncoder().frames(answer, Options(**{**how.__dict__, "units": False})):
        assert shape(loose(json.loads(frame))) == shape(decode(frame.encode()))


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("\ud83d"),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["text", "uri", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def spoilt(draw: st.DrawFn, value: Any = None) -> Any:
    """`EVERYTHING`, with something else in some places."""
    value = EVERYTHING if value is None else value
    if draw(st.integers(0, 9)) == 0:
        return draw(ODD)
    if isinstance(value, dict):
        return {name: draw(spoilt(each)) if each is not None else None for name, each in value.items()}
    return [draw(spoilt(each)) for each in value] if isinstance(value, list) else value


def test_a_lone_half_in_what_is_run_becomes_one_that_can_be_written() -> None:
    part = {"executableCode": {"language": "\ud83d", "code": "1\ude00"}, "codeExecutionResult": {"output": "\ud83d"}}
    found = loose({"candidates": [{"content": {"parts": [part]}}]})
    assert shape(found)["candidates"][0]["content"]["parts"] == [
        {"executable_code": {"language": "\ufffd", "code": "1\ufffd"}, "code_execution_result": {"output": "\ufffd"}}
    ]


@given(spoilt() | ODD)
def test_whatever_it_is_it_becomes_an_answer_that_can_be_written(value: Any) -> None:
    found = loose(value)
    for candidate in found.candidates or ():
        for part in candidate.content.parts or () if candidate.content is not None else ():
            part.text = None  # not cleaned yet: the other half may be in the next frame
    shape(found)


@pytest.mark.parametrize("value", [None, 3, "x", [], {}])
def test_what_is_no_object_says_nothing(value: Any) -> None:
    assert shape(loose(value)) == {}
