"""The types of a Messages body: every field and block that clients may send."""

import json
from typing import Any

import msgspec
import pytest

from dragoman.messages.body import (
    TYPES,
    Block,
    CacheControl,
    Source,
    Thinking,
    Tool,
    ToolChoice,
    text_block,
)
from dragoman.messages.request import Request, decode
from messages.bodies import EPHEMERAL, TEXT, Json, blocks, body, plain, raw_body

# Fields

EVERYTHING: Json = {
    "model": "claude-opus-5-5",
    "max_tokens": 128000,
    "system": [{**TEXT, "cache_control": EPHEMERAL}],
    "stream": True,
    "stop_sequences": ["</block>"],
    "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "Bash", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 31999, "display": "updates"},
    "output_config": {
        "effort": "xhigh",
        "format": {"type": "json_schema", "schema": {"type": "object"}, "name": "title"},
        "task_budget": {"type": "tokens", "total": 9},
    },
    "output_format": {"type": "json_schema", "schema": {}},
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
    "speed": "fast",
    "inference_geo": "us",
    "cache_control": EPHEMERAL,
    "container": {"id": "c", "skills": [{"type": "anthropic", "skill_id": "pdf"}]},
    "diagnostics": {"previous_message_id": None},
    "temperature": 0.5,
    "top_p": 1,
    "top_k": 40,
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "mcp_servers": [{"type": "url", "name": "s", "url": "https://x.y"}],
    "compaction": {"type": "summarize"},
    "fallbacks": "default",
    "fallback_credit_token": {"token": "t", "mode": "strict"},
    "thread": {"type": "create"},
    "billing_policy": {"type": "billing_policy", "bill_to": "self"},
    "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {}}],
    "tags": {"team": "x"},
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "system", "content": [], "output_config": {"effort": "low"}, "clear_at": "next_user_message"},
    ],
}


@pytest.mark.failure(38)
def test_every_top_level_field() -> None:
    assert plain(decode(msgspec.json.encode(EVERYTHING)).body) == EVERYTHING


@pytest.mark.parametrize("field", [name for name in EVERYTHING if name not in ("model", "messages", "max_tokens")])
def test_null_is_legal_for_every_optional_field(field: str) -> None:
    value = getattr(body(**{field: None}), field)
    assert value is None or bytes(value) == b"null"


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", "2031-01-01", ""])
def test_both_versions_decode_alike(version: str) -> None:
    raw = raw_body(temperature=0.2, messages=[{"role": "assistant", "content": [{"type": "document"}]}])
    request = decode(raw, version=version, betas=("a", "b"), query="beta=true")
    assert request == Request(raw, version=version, betas=("a", "b"), query="beta=true")
    assert request.body.temperature == 0.2
    assert request.raw is raw


BLOCKS: list[Json] = [
    {**TEXT, "citations": [{"type": "char_location", "cited_text": "x"}], "cache_control": {"type": "ephemeral"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
    {"type": "image", "source": {"type": "url", "url": "https://x.y/a.png"}},
    {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "x"},
        "title": "t",
        "context": "c",
        "citations": {"enabled": True},
    },
    {"type": "document", "source": {"type": "content", "content": [TEXT]}},
    {"type": "document", "source": {"type": "content", "content": "x"}},
    {"type": "search_result", "source": "doc/1", "title": "t", "content": [TEXT]},
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "redacted_thinking", "data": "x"},
    {"type": "tool_use", "id": "a", "name": "Bash", "input": {"__unparsedToolInput": {"raw": "{", "len": 1}}},
    {"type": "tool_result", "tool_use_id": "a"},
    {"type": "tool_result", "tool_use_id": "a", "content": "x", "is_error": True},
    {"type": "tool_result", "tool_use_id": "a", "content": [TEXT, {"type": "tool_reference", "tool_name": "WebFetch"}]},
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "s",
        "content": [{"type": "web_search_result", "url": "u", "title": "t"}],
    },
    {
        "type": "web_search_tool_result",
        "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
    },
    {
        "type": "web_fetch_tool_result",
        "content": {"type": "web_fetch_result", "url": "u", "content": {"type": "document"}},
    },
    {
        "type": "code_execution_tool_result",
        "content": {
            "type": "code_execution_result",
            "stdout": "o",
            "stderr": "e",
            "return_code": 1,
            "content": [{"type": "code_execution_output", "file_id": "f"}],
        },
    },
    {
        "type": "tool_search_tool_result",
        "content": {
            "type": "tool_search_tool_search_result",
            "tool_references": [{"type": "tool_reference", "tool_name": "x"}],
        },
    },
    {"type": "container_upload", "file_id": "f"},
    {"type": "mcp_tool_use", "id": "m", "name": "n", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "m", "content": [TEXT], "is_error": False},
    {"type": "compaction", "content": "summary", "signature": "s"},
    {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "x"}},
]


@pytest.mark.parametrize("row", BLOCKS, ids=lambda row: str(row["type"]))
def test_every_block(row: Json) -> None:
    assert [plain(one) for one in blocks(row)] == [row]


def test_the_blocks_above_are_the_known_types() -> None:
    def names(row: Any) -> set[str]:
        inner = row.get("content")
        inside = inner if isinstance(inner, list) else [inner] if isinstance(inner, dict) else []
        return {row["type"]}.union(*map(names, inside))

    seen = set[str]().union(*map(names, BLOCKS))
    others = {"bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_removal"}
    assert seen | others >= TYPES


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
def test_content_is_a_string_a_list_or_nothing(role: str) -> None:
    turns = body(messages=[{"role": role, "content": "x"}, {"role": role, "content": None}, {"role": role}]).messages
    assert [turn.content for turn in turns] == ["x", None, None]


TOOLS: list[Json] = [
    {
        "name": "Bash",
        "type": "custom",
        "description": "d",
        "input_schema": {"$schema": "x", "type": "object"},
        "strict": True,
        "cache_control": EPHEMERAL,
        "defer_loading": True,
        "eager_input_streaming": True,
        "input_examples": [{"a": 1}],
        "allowed_callers": ["direct"],
    },
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 100},
    {
        "type": "computer_20251124",
        "name": "computer",
        "display_width_px": 1,
        "display_height_px": 2,
        "display_number": 0,
    },
    {
        "type": "web_search_20250305",
        "name": "web_search",
        "max_uses": 8,
        "allowed_domains": ["x.y"],
        "blocked_domains": [],
        "user_location": {"type": "approximate", "city": "Bern"},
    },
    {"type": "computer_toolset_20260801"},
    {"type": "mcp_toolset", "mcp_server_name": "s"},
]


@pytest.mark.failure(24, 34, 35)
@pytest.mark.parametrize("row", TOOLS, ids=lambda row: str(row["type"]))
def test_every_tool(row: Json) -> None:
    assert [plain(one) for one in body(tools=[row]).tools or ()] == [row]


@pytest.mark.failure(35)
def test_whose_tool_it_is() -> None:
    for type_ in (None, "custom"):
        assert Tool(name="x", type=type_).is_function
    assert not Tool(name="bash", type="bash_20250124").is_function


def test_schemas_and_inputs_stay_as_they_were_written() -> None:
    schema, arguments = (
        b'{ "type":"object", "maximum":1e400, "b":1,"a":2 }',
        b'{"n": 1.0, "big": 12345678901234567890123}',
    )
    raw = (
        b'{"model":"m","max_tokens":1,"tools":[{"name":"x","input_schema":%b}],'
        b'"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"x","input":%b}]}]}'
    ) % (schema, arguments)
    found = decode(raw).body
    assert found.tools is not None
    assert bytes(found.tools[0].input_schema) == schema
    assert isinstance(found.messages[0].content, list)
    assert bytes(found.messages[0].content[0].input) == arguments


def test_typed_parts() -> None:
    found = body(**EVERYTHING)
    assert found.tool_choice == ToolChoice("tool", "Bash", disable_parallel_tool_use=True)
    assert found.thinking == Thinking("enabled", 31999, "updates")
    assert found.cache_control == CacheControl("ephemeral", "1h")
    assert blocks(BLOCKS[2])[0].source == Source("url", url="https://x.y/a.png")


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u00a0\u3000", "\u2028", None])
def test_blank_texts(text: str | None) -> None:
    (block,) = blocks({"type": "text", "text": text})
    assert block.is_blank
    assert block.text == text
    assert Block("text").is_blank
    assert Block("text").text is None


@pytest.mark.parametrize("text", ["a", "u", "\\", '"', "null", " a", "\n\u00e9", "\u00e9", "\u4e2d", "\x00"])
def test_texts_that_say_something(text: str) -> None:
    assert not text_block(text).is_blank
    for raw in (msgspec.json.encode(text), json.dumps(text).encode()):
        (block,) = blocks({"type": "text", "text": msgspec.Raw(raw)})
        assert not block.is_blank
        assert block.text == text
