"""The whole way there: goldens, laws, and that nothing disappears without a note."""

import json
import re

import msgspec
import pytest
from hypothesis import given

from dialects.chat.asking import IMAGE, PDF, WEATHER, Json, ask, called, notes, sent, target, text, user
from dialects.chat.golden_requests import REQUESTS
from dialects.chat.openai_types import problem
from dragoman.dialects.chat.request import call
from dragoman.dialects.contract import Target
from dragoman.messages import unknown
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.request import decode
from everything import matches, missing
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
    assert 0 < made.recall.input_tokens < 30


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

EVERYTHING: Json = {
    "max_tokens": 4242,
    "system": [
        text("x-anthropic-billing-header: cc_version=1;"),
        text("SYSTEM", cache_control={"type": "ephemeral", "ttl": "1h"}, citations=[{"type": "char_location"}]),
    ],
    "stream": True,
    "stop_sequences": ["STOP"],
    "temperature": 0.125,
    "top_p": 0.25,
    "top_k": 77,
    "thinking": {"type": "enabled", "budget_tokens": 3131, "display": "updates", "block_binding": {"x": "BINDING"}},
    "output_config": {
        "effort": "max",
        "format": {"type": "json_schema", "schema": {"type": "object", "properties": {"SCHEMA": {"type": "string"}}}},
        "task_budget": {"type": "tokens", "total": 23_456},
    },
    "metadata": {"user_id": "USER"},
    "service_tier": "auto",
    "speed": "fast",
    "inference_geo": "us",
    "cache_control": {"type": "ephemeral"},
    "diagnostics": {"previous_message_id": "DIAGNOSTICS"},
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "fallbacks": [{"model": "FALLBACK"}],
    "fallback_credit_token": "CREDIT",
    "thread": {"type": "create"},
    "billing_policy": {"type": "billing_policy", "bill_to": "self"},
    "safeguards": [{"type": "dangerous_tool_use"}],
    "tags": {"TAG": "tag"},
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "tools": [
        {
            "name": "CUSTOM",
            "type": "custom",
            "description": "DESCRIPTION",
            "input_schema": {"$schema": "x", "type": "object", "properties": {"PARAMETER": {"type": "string"}}},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
            "defer_loading": False,
            "eager_input_streaming": True,
            "input_examples": [{"PARAMETER": "EXAMPLE"}],
            "allowed_callers": ["code_execution_20260521"],
        },
        {"name": "HIDDEN", "defer_loading": True, "input_schema": {"type": "object"}},
        {"type": "bash_20250124", "name": "bash", "cache_control": {"type": "ephemeral"}},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 9876},
        {"type": "memory_20250818", "name": "memory"},
        {
            "type": "computer_20251124",
            "name": "computer",
            "display_width_px": 1234,
            "display_height_px": 765,
            "display_number": 3,
            "enable_zoom": True,
        },
        {"type": "computer_toolset_20260801", "configs": {"zoom": {"enabled": False}}},
        {
            "type": "web_search_20260318",
            "name": "web_search",
            "max_uses": 8,
            "allowed_domains": ["a.example"],
            "user_location": {"type": "approximate", "city": "Rome"},
            "response_inclusion": "full",
        },
        {"type": "web_fetch_20260318", "name": "web_fetch", "max_content_tokens": 555, "use_cache": True},
        {"type": "code_execution_20260521", "name": "code_execution"},
        {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
        {"type": "advisor_20260301", "name": "advisor", "model": "ADVISOR"},
        {"type": "mcp_toolset", "mcp_server_name": "SERVER"},
    ],
    "messages": [
        user(
            text("TEXT", cache_control={"type": "ephemeral"}),
            IMAGE | {"transformations": {"oversized_image": "downsize"}},
            PDF | {"context": "CONTEXT", "citations": {"enabled": True}},
            {
                "type": "document",
                "title": "TITLE",
                "source": {"type": "text", "media_type": "text/plain", "data": "DATA"},
            },
            {"type": "search_result", "source": "SOURCE", "title": "FOUND", "content": [text("RESULT")]},
            {"type": "container_upload", "file_id": "FILE"},
            {"type": "hologram", "depth": "DEPTH"},
        ),
        {
            "role": "system",
            "content": [
                text("REMINDER"),
                {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "memory"}},
            ],
            "output_config": {"effort": "max"},
            "clear_at": "next_user_message",
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "THOUGHT", "signature": "SIGNATURE"},
                {"type": "redacted_thinking", "data": "REDACTED"},
                text("ANSWER", citations=[{"type": "char_location", "cited_text": "CITED"}]),
                {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "QUERY"}},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "srv_1",
                    "content": [
                        {"type": "web_search_result", "url": "URL", "title": "PAGE", "encrypted_content": "ENC"}
                    ],
                },
                {"type": "mcp_tool_use", "id": "mcp_1", "name": "MCPTOOL", "server_name": "SRV", "input": {}},
                {"type": "mcp_tool_result", "tool_use_id": "mcp_1", "is_error": False, "content": [text("MCPRESULT")]},
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "CUSTOM",
                    "input": {"PARAMETER": "VALUE"},
                    "caller": {"type": "direct"},
                    "cache_control": {"type": "ephemeral"},
                },
            ],
        },
        user(
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "is_error": True,
                "toolset_name": "TOOLSET",
                "cache_control": {"type": "ephemeral"},
                "content": [text("OUTPUT"), IMAGE, {"type": "tool_reference", "tool_name": "LOADED"}],
            },
            text("LAST"),
        ),
    ],
}

# Leaves that are neither in the body nor in a note, and why.
ELSEWHERE = {
    "stop_sequences.0": "matched by the writer",
    "thinking.type": "becomes an effort",
    "stream": "a word of both languages",
    "messages.0.content.3.source.media_type": "plain text is text",
    "messages.*.role": "a word of both languages",
    "tools.*.defer_loading": "a tool that is not deferred, or one that a note says is hidden",
    "messages.2.content.*.tool_use_id": "calls of servers and their results stand beside each other",
    "messages.2.content.6.is_error": "no error",
    "messages.2.content.3.id": "see tool_use_id",
    "messages.2.content.5.id": "see tool_use_id",
    "output_config.effort": "the last system turn's holds",
    "*.type": "the shape of what is there",
    "system.0.text": "means nothing to other models",
    "messages.1.output_config.effort": "becomes an effort, with a note on output_config.effort",
}


# Notes about the whole request, and which leaves they speak of.
ANYWHERE = {
    "cache_control": r"\bcache_control\b",
    "cache_control.ttl": r"\bcache_control\.ttl$",
    "text.citations": r"\bcitations\b",
    "thinking.dropped": r"^messages\.2\.content\.[01]\.",
}


def test_nothing_in_a_request_disappears_without_a_note() -> None:
    request = ask(**EVERYTHING)
    made = call(request, target(files=True))
    found = [*made.notes, *unknown.fields(request.raw)]
    body = made.body.decode().replace("\\", "")

    def noted(path: str) -> bool:
        return any(
            path == note.place or path.startswith(f"{note.place}.")
            if note.place
            else re.search(ANYWHERE[note.code], path)
            for note in found
        )

    assert not missing(body, lambda path: noted(path) or matches(path, ELSEWHERE), EVERYTHING)
    assert problem(json.loads(made.body)) is None
    assert problem(sent(OPENAI, **EVERYTHING)) is None


def test_every_note_of_everything() -> None:
    """The whole list: a change here is a change of what callers are told."""
    assert notes(target(files=True), **EVERYTHING) == [
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
