"""The whole way there: goldens, laws, and that nothing disappears without a note."""

import copy
import json

import msgspec
import pytest
from hypothesis import given

from dialects.chat.asking import IMAGE, WEATHER, Json, ask, called, notes, sent, target, text, user
from dialects.chat.golden_requests import REQUESTS
from dialects.chat.openai_types import problem
from dragoman.dialects.chat.request import call
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.request import decode
from everything import EVERYTHING, untold
from histories import bodies


@pytest.mark.parametrize("case", REQUESTS.cases())
def test_goldens_are_what_the_official_types_allow(case: str) -> None:
    assert problem(REQUESTS.golden(case)["body"]) is None


OPENAI = target(
    facts={"reasoning": True, "efforts": ("none", "low", "medium", "high"), "sampling": "without_reasoning"},
    max_tokens_field="max_completion_tokens",
    system_role="developer",
    mid_system="keep",
    empty_content="null",
    files=True,
    strict_tools=True,
    cache="breakpoints",
    safety_identifier=True,
    service_tier=True,
    web_search="options",
)


@pytest.mark.parametrize("to", [target(files=True), OPENAI], ids=["plain", "openai"])
@given(made=bodies())
def test_any_body_is_what_the_official_types_allow(to: Target, made: tuple[Json, list[str]]) -> None:
    body, texts = made
    if any(each in str(body["messages"]) for each in texts):  # a conversation without any text is refused
        assert problem(json.loads(call(decode(msgspec.json.encode(body)), to).body)) is None


def test_a_minimal_request() -> None:
    made = called(system="Be brief.", stream=True)
    assert made.method == "POST"
    assert made.url == "http://127.0.0.1:9/v1/chat/completions"
    assert made.headers == (("content-type", "application/json"),)
    assert made.notes == ()
    assert made.body == (
        b'{"model":"some-model","messages":[{"role":"system","content":"Be brief."},'
        b'{"role":"user","content":"Hello."}],"max_tokens":1000,"stream":true,"stream_options":{"include_usage":true}}'
    )
    assert made.recall.model == "claude-sonnet-4-5"
    assert made.recall.scope == "lab"
    assert 0 < made.recall.estimate.tokens() < 30


def test_where_it_goes_is_the_targets_business() -> None:
    to = msgspec.structs.replace(target(chat_path="/api/chat"), headers=(("x-title", "dragoman"),))
    made = called(to)
    assert made.url == "http://127.0.0.1:9/v1/api/chat"
    assert ("x-title", "dragoman") in made.headers


@pytest.mark.failure(173)
def test_the_url_carries_the_targets_query() -> None:
    to = msgspec.structs.replace(target(), query="api-version=2024-10-21")
    assert called(to).url == "http://127.0.0.1:9/v1/chat/completions?api-version=2024-10-21"


def test_notes_of_decoding_come_along() -> None:
    raw = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"\\ud83d"}]}'
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


@pytest.mark.failure(39)
def test_betas_and_query_do_not_reach_the_upstream() -> None:
    raw = ask().raw
    request = decode(raw, betas=("context-1m-2025-08-07",), query="beta=true", version="2023-06-01")
    made = call(request, target())
    assert made.body == call(decode(raw), target()).body
    assert "anthropic" not in str(made.headers)


@pytest.mark.failure(34, 38)
def test_unknown_fields_do_not_reach_the_upstream() -> None:
    odd = {"role": "user", "content": [text("x", novelty="n1")], "novelty": "n2"}
    body = json.dumps(sent(messages=[odd], novelty="n3", tools=[WEATHER | {"novelty": "n4"}]))
    assert "novelty" not in body


# Nothing disappears

# A link to a document is refused here, for who sent it can still do something about it.
WITHOUT_LINK: Json = copy.deepcopy(EVERYTHING)
del WITHOUT_LINK["messages"][0]["content"][3]

# Leaves that are neither in the body nor in a note of this language, and why.
ELSEWHERE = {
    "stream": "a word of both languages",
    "messages.0.content.3.source.media_type": "plain text is text",
    "messages.*.role": "a word of both languages",
}


# Notes about the whole request, and which leaves they speak of.
ANYWHERE = {
    "cache_control": r"\bcache_control\b",
    "cache_control.ttl": r"\bcache_control\.ttl$",
    "text.citations": r"\bcitations\b",
    "thinking.dropped": r"^messages\.2\.content\.[01]\.",
}


def test_nothing_in_a_request_disappears_without_a_note() -> None:
    request = ask(**WITHOUT_LINK)
    made = call(request, target(files=True))
    assert untold(request, made, elsewhere=ELSEWHERE, anywhere=ANYWHERE, everything=WITHOUT_LINK) == []
    assert problem(json.loads(made.body)) is None
    assert problem(sent(OPENAI, **WITHOUT_LINK)) is None


def test_every_note_of_everything() -> None:
    """The whole list: a change here is a change of what callers are told."""
    assert notes(target(files=True), **WITHOUT_LINK) == [
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
        ("lost", "tool.web_search", "tools.7"),
        ("lost", "tool.web_fetch", "tools.8"),
        ("lost", "tool.code_execution", "tools.9"),
        ("changed", "tool.tool_search", "tools.10"),
        ("lost", "tool.advisor", "tools.11"),
        ("lost", "tool.mcp_toolset", "tools.12"),
        ("ignored", "cache_control", ""),
        ("ignored", "text.citations", ""),
        ("changed", "system.clear_at", "messages.1.clear_at"),
        ("changed", "system.folded", "messages.1"),
        ("changed", "document.citations", "messages.0.content.2"),
        ("changed", "block.as_text", "messages.0.content.4"),
        ("changed", "block.as_text", "messages.0.content.5"),
        ("lost", "block.as_text", "messages.0.content.6"),
        ("ignored", "thinking.dropped", ""),
        ("changed", "block.as_text", "messages.2.content.3"),
        ("changed", "block.as_text", "messages.2.content.4"),
        ("changed", "block.as_text", "messages.2.content.5"),
        ("changed", "block.as_text", "messages.2.content.6"),
        ("ignored", "tool_result.media_moved", "messages.3.content.0.content.1"),
        ("ignored", "thinking.budget", "thinking.budget_tokens"),
        ("changed", "effort.nearest", "output_config.effort"),
        ("changed", "top_k.unsupported", "top_k"),
        ("ignored", "metadata.user_id", "metadata.user_id"),
        ("ignored", "service_tier", "service_tier"),
    ]
