"""The whole way there: goldens, laws, counting, and that nothing disappears without a note."""

import copy
import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dialects.chat.asking import IMAGE, PNG, WEATHER, Json, ask, result, text, use, user
from dialects.responses.asking import called, message, notes, openai, sent, signed, target, thought
from dialects.responses.golden_requests import REQUESTS
from dialects.responses.responses_types import problem, problem_of_count
from dialects.responses.view_responses import ResponsesView
from dialects.tables import check_thinking_is_recalled, transports
from dragoman.dialects.contract import Target
from dragoman.dialects.responses.request import call, count
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.request import decode
from everything import EVERYTHING, untold
from histories import bodies, growing


@pytest.mark.parametrize("case", REQUESTS.cases())
def test_goldens(case: str) -> None:
    found = REQUESTS.golden(case)
    assert REQUESTS.translated(case) == found
    assert problem(found["body"]) is None


# Laws

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])
targets = pytest.mark.parametrize(
    "to",
    [target(), openai(), replace(openai(), quirks=replace(openai().quirks, cache="breakpoints", result_media=False))],
    ids=["plain", "openai", "breakpoints"],
)


def with_our_thoughts(body: Json) -> Json:
    """The same body, each thinking block signed with a state that the target can read."""
    made = copy.deepcopy(body)
    blocks = [block for turn in made["messages"] if isinstance(turn["content"], list) for block in turn["content"]]
    for block in blocks:
        if block["type"] == "thinking":
            block["signature"] = signed({"e": block["thinking"], "id": f"rs_{len(block['thinking'])}"})
    return made


def translate(body: Json, to: Target) -> ResponsesView:
    return ResponsesView(call(decode(msgspec.json.encode(body)), to).body)


@pytest.mark.failure(13, 18, 43, 183)
@targets
@slow
@given(made=bodies(), ours=st.booleans())
def test_any_body_is_legal(to: Target, made: tuple[Json, list[str]], *, ours: bool) -> None:
    """What the official types allow, one output a call, reasoning before what it led to, each text once."""
    body = with_our_thoughts(made[0]) if ours else made[0]
    spelled = json.dumps(body, ensure_ascii=False)
    request = decode(msgspec.json.encode(body))
    before = copy.deepcopy(request)
    made_call = call(request, to)
    assert request == before, "the input was changed"
    assert call(request, to) == made_call, "the same request gave another call"
    assert problem(json.loads(made_call.body)) is None
    view = ResponsesView(made_call.body)
    view.check_pairs()
    for each in made[1]:
        assert view.text.count(each) == (1 if each in spelled else 0), each
    assert "<thought" not in view.text, "reasoning became visible text"


@pytest.mark.failure(43)
@targets
@slow
@given(pair=growing(), ours=st.booleans())
def test_items_are_only_added(to: Target, pair: tuple[Json, Json], *, ours: bool) -> None:
    if to.quirks.cache == "breakpoints":  # where they are is the caller's choice, and it moves
        pair = tuple(json.loads(json.dumps(body).replace("cache_control", "x_cache_control")) for body in pair)  # type: ignore[assignment]
    before, after = (translate(with_our_thoughts(body) if ours else body, to) for body in pair)
    assert after.items[: len(before.history)] == before.history
    assert after.around == before.around


# The call


def test_a_minimal_request() -> None:
    made = called(system="Be brief.", stream=True)
    assert made.method == "POST"
    assert made.url == "http://127.0.0.1:9/v1/responses"
    assert made.headers == (("content-type", "application/json"),)
    assert made.notes == ()
    assert made.body == (
        b'{"model":"some-model","input":[{"type":"message","role":"user","content":"Hello."}],'
        b'"instructions":"Be brief.","max_output_tokens":1000,"store":false,"stream":true}'
    )
    assert made.recall.model == "claude-sonnet-4-5"
    assert made.recall.scope == "lab"
    assert 0 < made.recall.estimate.tokens() < 30


@pytest.mark.failure(173)
def test_where_it_goes_is_the_targets_business() -> None:
    to = replace(target(responses_path="/api/responses"), headers=(("x-title", "dragoman"),))
    assert called(to).url == "http://127.0.0.1:9/v1/api/responses"
    assert ("x-title", "dragoman") in called(to).headers
    assert called(replace(target(), query="api-version=v")).url == "http://127.0.0.1:9/v1/responses?api-version=v"


def test_notes_of_decoding_come_along() -> None:
    raw = b'{"model":"m","max_tokens":16,"messages":[{"role":"user","content":"\\ud83d"}]}'
    assert call(decode(raw), target()).notes == (Note("changed", "unicode.repaired"),)


def test_a_note_is_told_once() -> None:
    marked = text("x", cache_control={"type": "ephemeral"})
    assert notes(messages=[user(marked, marked)], system=[marked]) == [("ignored", "cache_control", "")]


@pytest.mark.failure(20)
def test_strict_refuses_what_would_be_lost_and_names_it() -> None:
    to = target(strict=True, images=False)
    with pytest.raises(ApiError, match=r"messages\.0\.content\.1 \(image\.no_vision\)") as caught:
        called(to, messages=[user(text("x"), IMAGE)])
    assert caught.value.status == 400
    assert called(to, top_k=5).notes[0].grade == "changed", "other notes are no reason"


@pytest.mark.failure(34, 38, 39)
def test_what_nobody_knows_does_not_reach_the_upstream() -> None:
    raw = ask().raw
    request = decode(raw, betas=("context-1m-2025-08-07",), query="beta=true", version="2023-06-01")
    made = call(request, target())
    assert made.body == call(decode(raw), target()).body
    assert "anthropic" not in str(made.headers)
    odd = {"role": "user", "content": [text("x", novelty="n1")], "novelty": "n2"}
    assert "novelty" not in json.dumps(sent(messages=[odd], novelty="n3", tools=[WEATHER | {"novelty": "n4"}]))


@pytest.mark.failure(42)
def test_nothing_is_stored_and_nothing_that_this_language_lacks_is_sent() -> None:
    body = sent(openai(), stream=True, stop_sequences=["x"], top_k=5, session="s1")
    assert body["store"] is False
    assert not {"stop", "max_tokens", "top_k", "previous_response_id", "metadata", "user"} & body.keys()
    assert body["prompt_cache_key"] == sent(openai(), session="s1")["prompt_cache_key"]
    assert "store" not in sent(target(store=False))


def test_what_the_way_back_needs_to_know() -> None:
    check_thinking_is_recalled(called)
    assert called().recall.output_tool is None


# Streams


@pytest.mark.failure(40, 105)
@transports
def test_whether_the_upstream_streams(transport: str, fields: Json, streams: bool) -> None:
    made = called(target(transport=transport, obfuscation="off"), **fields)
    body = json.loads(made.body)
    assert made.stream is streams
    assert body.get("stream") == (True if streams else None)
    assert body.get("stream_options") == ({"include_obfuscation": False} if streams else None)
    assert "stream_options" not in sent(target(transport=transport), **fields)


@pytest.mark.failure(40)
def test_stop_sequences_are_matched_here() -> None:
    made = called(stop_sequences=["a", "b", "c", "d", "e", "a", ""])
    assert b"stop" not in made.body
    assert made.recall.stop_sequences == ("a", "b", "c", "d", "e")
    assert [note.code for note in made.notes] == ["stop_sequences.empty"]


# Counting


def test_counting_asks_with_what_counts() -> None:
    fields: Json = {
        "system": "Be brief.",
        "tools": [WEATHER],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "stream": True,
        "temperature": 1,
        "messages": [
            user(text("x")),
            {"role": "assistant", "content": [thought("ENC", "rs_1"), use("a")]},
            user(result("a")),
        ],
    }
    to = replace(openai(), query="api-version=v")
    whole, counted = called(to, **fields), count(ask(**fields), to)
    assert counted.url == "http://127.0.0.1:9/v1/responses/input_tokens?api-version=v"
    assert counted.stream is False
    assert counted.target is to
    expected = ["model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text"]
    body = json.loads(counted.body)
    assert list(body) == expected
    assert body == {name: value for name, value in json.loads(whole.body).items() if name in expected}
    assert problem_of_count(body) is None
    raw = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    bare = count(decode(raw, counting=True), target(counts=True))
    assert json.loads(bare.body) == {"model": "some-model", "input": [message("user", "x")]}
    assert "max_output_tokens" not in json.loads(call(decode(raw, counting=True), target()).body)


def test_counting_refuses_what_a_call_refuses() -> None:
    with pytest.raises(ApiError, match=r"^container: "):
        count(ask(container="c"), target(counts=True))


def test_a_server_that_does_not_count_is_not_asked() -> None:
    with pytest.raises(ApiError, match="lab does not count"):
        count(ask(), target())


# Nothing disappears

# Leaves that are neither in the body nor in a note of this language, and why.
ELSEWHERE = {
    "stream": "a word of both languages",
    "messages.0.content.4.source.media_type": "plain text is text",
    "messages.*.role": "a word of both languages",
    "metadata.user_id": "a hash of it",
    "messages.1.content.1.tool.name": "takes the tool away, with a note on the tool",
    "tools.7.name": "the server's own search has no name",
    "tools.7.blocked_domains.0": "a note on the tools",
}


# Notes about the whole request, and which leaves they speak of.
ANYWHERE = {
    "cache_control": r"\bcache_control\b",
    "text.citations": r"\bcitations\b",
    "thinking.dropped": r"^messages\.2\.content\.[01]\.",
}


def test_nothing_in_a_request_disappears_without_a_note() -> None:
    request = ask(**EVERYTHING)
    made = call(request, openai())
    assert untold(request, made, elsewhere=ELSEWHERE, anywhere=ANYWHERE) == []
    assert problem(json.loads(made.body)) is None
    assert problem(sent(target(files=True, file_urls=True), **EVERYTHING)) is None
    assert PNG in made.body.decode()


def test_every_note_of_everything() -> None:
    """The whole list: a change here is a change of what callers are told."""
    assert notes(openai(), **EVERYTHING) == [
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
        ("changed", "tool.strict", "tools.0.strict"),
        ("lost", "tool.computer_toolset", "tools.6"),
        ("lost", "tool.web_fetch", "tools.8"),
        ("lost", "tool.code_execution", "tools.9"),
        ("changed", "tool.tool_search", "tools.10"),
        ("lost", "tool.advisor", "tools.11"),
        ("lost", "tool.mcp_toolset", "tools.12"),
        ("ignored", "cache_control", ""),
        ("ignored", "text.citations", ""),
        ("changed", "system.clear_at", "messages.1.clear_at"),
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
        ("ignored", "thinking.budget", "thinking.budget_tokens"),
        ("changed", "effort.nearest", "output_config.effort"),
        ("changed", "temperature.unsupported", "temperature"),
        ("changed", "top_p.unsupported", "top_p"),
        ("changed", "top_k.unsupported", "top_k"),
    ]
