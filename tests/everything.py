"""Every field of a Messages request and of its blocks at once: what a dialect makes of it is in the body or noted.

https://platform.claude.com/docs/en/api/messages
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dialects.chat.asking import IMAGE, PDF, Json, text, user
from dragoman.dialects.contract import Call
from dragoman.messages import unknown
from dragoman.messages.request import Request

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
            "blocked_domains": ["b.example"],
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
            {"type": "document", "title": "LINK", "source": {"type": "url", "url": "https://example.org/LINK.pdf"}},
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

ELSEWHERE = {
    "stop_sequences.0": "matched by the writer",
    "thinking.type": "becomes an effort",
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
"""Leaves that are neither in the body nor in a note, in no language, and why."""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The path and value of everything in `value` that is no object and no list."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{number}".lstrip("."))
    else:
        yield path, value


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns, in which `*` is any text, is the whole path."""
    spelled = (
        "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", each)) for each in patterns
    )
    return any(re.fullmatch(each, path) for each in spelled)


def untold(
    request: Request,
    made: Call,
    *,
    elsewhere: Mapping[str, str],
    anywhere: Mapping[str, str],
    everything: Json = EVERYTHING,
) -> list[str]:
    """Paths whose value is neither in the body of the call nor in a note.

    `elsewhere`: those that need not be, besides `ELSEWHERE`, and why. `anywhere`: codes of notes that speak of more
    than one place, and of which leaves.
    """
    found = [*made.notes, *unknown.fields(request.raw)]

    def is_told(path: str) -> bool:
        return matches(path, (*ELSEWHERE, *elsewhere)) or any(
            re.search(anywhere[note.code], path)
            if note.code in anywhere
            else path == note.place or path.startswith(f"{note.place}.")
            for note in found
        )

    return missing(made.body.decode().replace("\\", ""), is_told, everything)


def missing(body: str, is_told: Callable[[str], bool], everything: Json = EVERYTHING) -> list[str]:
    """Paths whose value is not spelled in `body`, and that nobody was told of."""
    found = []
    for path, value in leaves(everything):
        spelled = json.dumps(value).strip('"') if not isinstance(value, bool) else f'":{json.dumps(value)}'
        if spelled not in body and not is_told(path):
            found.append(path)
    return found
