"""The whole way there: goldens, laws, addresses, counting, and that nothing disappears without a note."""

import copy
import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clients.gemini_rules import check
from dialects.chat.asking import IMAGE, PNG, WEATHER, Json, ask, assistant, result, text, use, user
from dialects.gemini.golden_requests import REQUESTS
from dialects.gemini.google_types import check_body
from dialects.gemini.targets_gemini import called, newer, notes, older, sent, target
from dialects.gemini.view_gemini import GeminiView
from dialects.tables import check_thinking_is_recalled, transports
from dragoman.dialects.contract import Target
from dragoman.dialects.gemini import GEMINI
from dragoman.dialects.gemini.request import call, count
from dragoman.dialects.gemini.signatures import Mark, seal
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.request import decode
from everything import EVERYTHING, untold
from histories import bodies, growing

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])
SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}
targets = pytest.mark.parametrize(
    "to", [older(), newer(), older(schema="openapi", system="user")], ids=["older", "newer", "openapi"]
)


@pytest.mark.parametrize("case", REQUESTS.cases())
def test_goldens(case: str) -> None:
    found = REQUESTS.golden(case)
    assert REQUESTS.translated(case) == found
    check(found["body"], found["url"].rpartition("/")[2].partition(":")[0], urls=True)
    check_body(json.dumps(found["body"]).encode())


# Laws


def with_our_thoughts(body: Json) -> Json:
    """The same body, each thinking block signed with a state that the target can read."""
    made = copy.deepcopy(body)
    blocks = [block for turn in made["messages"] if isinstance(turn["content"], list) for block in turn["content"]]
    for block in blocks:
        if block["type"] == "thinking":
            block["signature"] = seal([Mark("empty", "c2ln"), Mark("call", "b3RoZXI=")], "lab")
    return made


@pytest.mark.failure(13, 18, 48, 52, 183)
@targets
@slow
@given(made=bodies(), ours=st.booleans())
def test_any_body_is_taken(to: Target, made: tuple[Json, list[str]], *, ours: bool) -> None:
    """What Google's rules allow, one response a call, each text once."""
    body = with_our_thoughts(made[0]) if ours else made[0]
    spelled = json.dumps(body, ensure_ascii=False)
    request = decode(msgspec.json.encode(body))
    before = copy.deepcopy(request)
    made_call = call(request, to)
    assert request == before, "the input was changed"
    assert call(request, to) == made_call, "the same request gave another call"
    check(json.loads(made_call.body), to.model)
    check(json.loads(count(request, to).body), to.model, shape="StudioCount")
    view = GeminiView(made_call.body)
    view.check_pairs()
    for each in made[1]:
        assert view.text.count(each) == (1 if each in spelled else 0), each
    assert "<thought" not in made_call.body.decode(), "thinking became visible text"


@targets
@slow
@given(pair=growing(), ours=st.booleans())
def test_contents_are_only_added(to: Target, pair: tuple[Json, Json], *, ours: bool) -> None:
    before, after = (
        GeminiView(call(decode(msgspec.json.encode(with_our_thoughts(body) if ours else body)), to).body)
        for body in pair
    )
    assert after.items[: len(before.history)] == before.history
    assert after.around == before.around


# The call


def test_a_minimal_request() -> None:
    made = called(system="Be brief.")
    assert made.method == "POST"
    assert made.url == "http://127.0.0.1:9/v1beta/models/some-model:generateContent"
    assert made.headers == (("content-type", "application/json"),)
    assert made.notes == ()
    assert made.body == (
        b'{"systemInstruction":{"parts":[{"text":"Be brief."}]},'
        b'"contents":[{"parts":[{"text":"Hello."}],"role":"user"}],'
        b'"generationConfig":{"maxOutputTokens":1000}}'
    )
    assert made.recall.model == "claude-sonnet-4-5"
    assert made.recall.scope == "lab"
    assert 0 < made.recall.estimate.tokens() < 30


@pytest.mark.failure(54, 56)
def test_where_it_goes_is_the_targets_business() -> None:
    vertex = "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google"
    to = replace(target(), base_url=vertex, model="gemini-3-pro@001", headers=(("x-goog-user-project", "p"),))
    assert called(to, stream=True).url == f"{vertex}/models/gemini-3-pro@001:streamGenerateContent?alt=sse"
    assert ("x-goog-user-project", "p") in called(to).headers
    assert called(replace(to, query="a=b")).url == f"{vertex}/models/gemini-3-pro@001:generateContent?a=b"
    assert called(replace(to, query="a=b"), stream=True).url.endswith(":streamGenerateContent?alt=sse&a=b")
    assert called(target(model="models/gemini-x")).url.endswith("/v1beta/models/gemini-x:generateContent")
    odd = called(target(model="a/b?c:d e")).url
    assert odd.endswith("/models/a%2Fb%3Fc%3Ad%20e:generateContent")


def test_notes_of_decoding_come_along() -> None:
    raw = b'{"model":"m","max_tokens":16,"messages":[{"role":"user","content":"\\ud83d"}]}'
    assert call(decode(raw), target()).notes == (Note("changed", "unicode.repaired"),)


@pytest.mark.failure(37)
def test_a_note_is_told_once() -> None:
    marked = text("x", cache_control={"type": "ephemeral"})
    told = notes(messages=[user(marked, marked)], system=[marked], cache_control={"type": "ephemeral"})
    assert told == [("ignored", "cache_control", "")]


@pytest.mark.failure(20)
def test_strict_refuses_what_would_be_lost_and_names_it() -> None:
    to = target(strict=True, images=False)
    with pytest.raises(ApiError, match=r"messages\.0\.content\.1 \(image\.no_vision\)") as caught:
        called(to, messages=[user(text("x"), IMAGE)])
    assert caught.value.status == 400
    assert called(to, top_k=500).notes[0].grade == "changed", "other notes are no reason"


@pytest.mark.failure(34, 38, 39)
def test_what_nobody_knows_does_not_reach_the_upstream() -> None:
    raw = ask().raw
    request = decode(raw, betas=("context-1m-2025-08-07",), query="beta=true", version="2023-06-01")
    made = call(request, target())
    assert made.body == call(decode(raw), target()).body
    assert "anthropic" not in str(made.headers)
    odd = {"role": "user", "content": [text("x", novelty="n1")], "novelty": "n2"}
    assert "novelty" not in json.dumps(sent(messages=[odd], novelty="n3", tools=[WEATHER | {"novelty": "n4"}]))


def test_what_cannot_be_honoured_is_refused() -> None:
    for asks in (call, count):
        with pytest.raises(ApiError, match=r"^container: "):
            asks(ask(container="c"), target())


def test_what_the_way_back_needs_to_know() -> None:
    check_thinking_is_recalled(called)
    history = [user(text("x")), assistant(use("toolu_1")), user(result("toolu_1"))]
    assert called(messages=history).recall.ids == {"toolu_1"}
    assert called().recall.output_tool is None


# Streams


@pytest.mark.failure(40, 105)
@transports
def test_whether_the_upstream_streams(transport: str, fields: Json, streams: bool) -> None:
    made = called(target(transport=transport), **fields)
    assert made.stream is streams
    assert made.url.endswith(":streamGenerateContent?alt=sse" if streams else ":generateContent")
    assert "stream" not in json.loads(made.body)


@pytest.mark.failure(40)
def test_stop_sequences_are_matched_here() -> None:
    made = called(stop_sequences=["a", "b", "c", "d", "e", "a", ""])
    assert b"stop" not in made.body
    assert made.recall.stop_sequences == ("a", "b", "c", "d", "e")
    assert [note.code for note in made.notes] == ["stop_sequences.empty"]


# Counting

COUNTED: Json = {
    "system": "Be brief.",
    "tools": [WEATHER],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "thinking": {"type": "adaptive"},
    "stream": True,
    "temperature": 1,
}
FORMAT: Json = {"output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}}}


@pytest.mark.failure(107)
def test_counting_asks_with_what_counts() -> None:
    for to, shape, names in (
        (newer(count="plain"), "VertexCount", ["systemInstruction", "tools", "contents"]),
        (newer(), "StudioCount", ["systemInstruction", "tools", "toolConfig", "contents"]),
    ):
        whole, asked = sent(to, **COUNTED), count(ask(**COUNTED), replace(to, query="a=b"))
        assert asked.url == "http://127.0.0.1:9/v1beta/models/gemini-3.1-pro-preview:countTokens?a=b"
        assert asked.stream is False
        assert asked.headers == (("content-type", "application/json"),)
        body = json.loads(asked.body)
        check(body, to.model, shape=shape)
        if shape == "StudioCount":
            assert list(body) == ["generateContentRequest"]
            body = body["generateContentRequest"]
            assert body.pop("model") == "models/gemini-3.1-pro-preview"
        assert list(body) == names
        assert body == {name: value for name, value in whole.items() if name in names}
    raw = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    bare = GEMINI.count(decode(raw, counting=True), target())
    assert json.loads(bare.body) == {"contents": [{"parts": [{"text": "x"}], "role": "user"}]}
    assert json.loads(call(decode(raw, counting=True), target()).body)["generationConfig"] == {}


@pytest.mark.failure(107)
def test_the_schema_of_structured_output_counts() -> None:
    for to in (newer(), newer(count="plain")):
        body = json.loads(count(ask(**COUNTED, **FORMAT), to).body)
        config = body.get("generateContentRequest", body)["generationConfig"]
        assert sorted(config) == ["responseJsonSchema", "responseMimeType"]


@pytest.mark.failure(107)
def test_what_was_counted() -> None:
    assert GEMINI.counted(b'{"totalTokens": 31, "promptTokensDetails": []}') == 31
    assert GEMINI.counted(b'{"totalTokens": "31"}') == 31
    for odd in (b"", b"[]", b"{}", b'{"totalTokens": -1}', b'{"totalTokens": null}', b"<html>"):
        with pytest.raises(ApiError, match="counted no input tokens") as caught:
            GEMINI.counted(odd)
        assert caught.value.kind == "bad_answer"


# Nothing disappears

# Leaves that are neither in the body nor in a note of this language, and why.
ELSEWHERE = {
    "stream": "a word of the address",
    "messages.0.content.4.source.media_type": "plain text is text",
    "messages.*.role": "another word for it",
    "tools.*.strict": "a mode of all calls, where one is asked for",
    "messages.1.content.1.tool.name": "takes the tool away, with a note on the tool",
    "tools.7.name": "the server's own search has no name",
    "tools.8.name": "the server's own reader of pages has no name",
    "messages.3.content.0.is_error": "the name of the response's text",
    "messages.3.content.0.tool_use_id": "the id of the call",
}

# Notes about the whole request or all tools, and which leaves they speak of.
ANYWHERE = {
    "cache_control": r"\bcache_control\b",
    "cache_control.tools": r"^tools\.\d+\.cache_control\.",
    "web_search.domains": r"^tools\.7\.(allowed|blocked)_domains\.",
    "web_search.max_uses": r"^tools\.7\.max_uses$",
    "web_search.user_location": r"^tools\.7\.user_location\.",
    "text.citations": r"\bcitations\b",
    "thinking.dropped": r"^messages\.2\.content\.[01]\.",
}


def test_nothing_in_a_request_disappears_without_a_note() -> None:
    to = newer(file_urls=True)
    request = ask(**EVERYTHING)
    made = call(request, to)
    assert untold(request, made, elsewhere=ELSEWHERE, anywhere=ANYWHERE) == []
    check(json.loads(made.body), to.model, urls=True)
    assert PNG in made.body.decode()


def test_every_note_of_everything() -> None:
    """The whole list: a change here is a change of what callers are told."""
    assert notes(newer(file_urls=True), **EVERYTHING) == [
        ("ignored", "diagnostics", "diagnostics"),
        ("ignored", "context_management", "context_management"),
        ("ignored", "fallbacks", "fallbacks"),
        ("ignored", "fallback_credit_token", "fallback_credit_token"),
        ("ignored", "billing_policy", "billing_policy"),
        ("ignored", "safeguards", "safeguards"),
        ("ignored", "tags", "tags"),
        ("ignored", "thread", "thread"),
        ("ignored", "speed", "speed"),
        ("ignored", "inference_geo", "inference_geo"),
        ("changed", "task_budget", "output_config.task_budget"),
        ("ignored", "thinking.display", "thinking.display"),
        ("ignored", "tools.removed", "tools.4"),
        ("ignored", "cache_control.tools", "tools"),
        ("ignored", "tool.eager_input_streaming", "tools.0.eager_input_streaming"),
        ("changed", "tool.allowed_callers", "tools.0.allowed_callers"),
        ("lost", "tool.computer_toolset", "tools.6"),
        ("lost", "tool.code_execution", "tools.9"),
        ("changed", "tool.tool_search", "tools.10"),
        ("lost", "tool.advisor", "tools.11"),
        ("lost", "tool.mcp_toolset", "tools.12"),
        ("ignored", "cache_control", ""),
        ("ignored", "text.citations", ""),
        ("changed", "system.clear_at", "messages.1.clear_at"),
        ("changed", "system.folded", "messages.1"),
        ("changed", "document.citations", "messages.0.content.2"),
        ("changed", "block.as_text", "messages.0.content.5"),
        ("changed", "block.as_text", "messages.0.content.6"),
        ("lost", "block.as_text", "messages.0.content.7"),
        ("ignored", "thinking.dropped", ""),
        ("changed", "block.as_text", "messages.2.content.3"),
        ("changed", "block.as_text", "messages.2.content.4"),
        ("changed", "block.as_text", "messages.2.content.5"),
        ("changed", "block.as_text", "messages.2.content.6"),
        ("changed", "web_search.domains", "tools"),
        ("changed", "web_search.max_uses", "tools"),
        ("changed", "web_search.user_location", "tools"),
        ("changed", "tool_choice.parallel", "tool_choice.disable_parallel_tool_use"),
        ("ignored", "thinking.budget", "thinking.budget_tokens"),
        ("changed", "effort.nearest", "output_config.effort"),
        ("changed", "top_k.clamped", "top_k"),
        ("ignored", "metadata.user_id", "metadata.user_id"),
        ("ignored", "service_tier", "service_tier"),
    ]
