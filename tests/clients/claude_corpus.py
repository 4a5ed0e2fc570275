"""Requests as callers write them: every kind of block and tool, odd JSON, and a lot of it."""

import json
from typing import Any

from clients.responses_rules import Json
from clients.scripted_claude import Seals, packed
from features import PDF, PNG

OPUS = "claude-opus-4-8"
SEALS = Seals("anybody")
SIGNED: Json = {"type": "thinking", "thinking": "Hm — 日本語.", "signature": SEALS.seal("Hm", b"")}
SIGNED_NEWER: Json = {"type": "thinking", "thinking": "", "signature": SEALS.seal("", b"", newer=True)}
REDACTED: Json = {"type": "redacted_thinking", "data": SEALS.seal("", b"")}
ONE_HOUR: Json = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
ATTRIBUTION = "x-anthropic-billing-header: cc_version=2.1.329.abc; cc_entrypoint=cli; cch=00000;"


def result(identity: str, content: Any, **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": identity, "content": content, **more}


def source(kind: str, **more: str) -> Json:
    return {"source": {"type": kind, **more}}


EVERY_BLOCK: Json = {
    "model": OPUS,
    "max_tokens": 32000,
    "stream": False,
    "system": [
        {"type": "text", "text": ATTRIBUTION},
        {"type": "text", "text": "You are Claude Code.", **ONE_HOUR},
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", **source("base64", media_type="image/png", data=PNG)},
                {"type": "image", **source("url", url="https://example.org/a.png")},
                {"type": "document", **source("base64", media_type="application/pdf", data=PDF), "title": "A"},
                {
                    "type": "document",
                    **source("text", media_type="text/plain", data="b"),
                    "citations": {"enabled": True},
                },
                {"type": "search_result", "source": "a", "title": "b", "content": [{"type": "text", "text": "c"}]},
                {"type": "container_upload", "file_id": "file_1"},
                {"type": "hologram", "depth": 3},
                {"type": "text", "text": "What is it?", **ONE_HOUR},
            ],
        },
        {
            "role": "assistant",
            "content": [
                SIGNED,
                REDACTED,
                {"type": "text", "text": "Look."},
                SIGNED_NEWER,
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "a"}},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "srvtoolu_1",
                    "content": [
                        {
                            "type": "web_search_result",
                            "url": "u",
                            "title": "t",
                            "encrypted_content": "EqQB",
                            "page_age": None,
                        }
                    ],
                },
                {
                    "type": "text",
                    "text": "There.",
                    "citations": [
                        {
                            "type": "web_search_result_location",
                            "url": "u",
                            "title": "t",
                            "encrypted_index": "Eo8B",
                            "cited_text": "x",
                        }
                    ],
                },
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"cache_control": {"ttl": "1h"}}},
                {"type": "tool_use", "id": "toolu_2", "name": "mcp__a__b", "input": {}, "caller": {"type": "direct"}},
            ],
        },
        {
            "role": "user",
            "content": [
                result("toolu_1", [{"type": "text", "text": "a"}, {"type": "tool_reference", "tool_name": "Grep"}]),
                result("toolu_2", "", is_error=True),
                {"type": "text", "text": "<system-reminder>x</system-reminder>"},
            ],
        },
        {"role": "system", "content": "Hurry.", "output_config": {"effort": "low"}},
    ],
    "tools": [
        {
            "name": "Read",
            "input_schema": {"$schema": "x", "type": "object", "properties": {"cache_control": {"type": "object"}}},
            "input_examples": [{"path": "a"}],
            "defer_loading": True,
            "strict": True,
            "eager_input_streaming": True,
            "allowed_callers": ["direct"],
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "web_search_20260318", "name": "web_search", "max_uses": 8, "response_inclusion": "excluded"},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "computer_toolset_20260801", "configs": {"zoom": {"enabled": True}}},
        {"type": "mcp_toolset", "mcp_server_name": "s"},
    ],
    "thinking": {"type": "adaptive", "display": "updates", "block_binding": {"prefix_mismatch_behavior": "drop_block"}},
    "output_config": {"effort": "xhigh", "task_budget": {"type": "tokens", "total": 9}},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "mcp_servers": [{"type": "url", "name": "s", "url": "https://example.org/mcp", "authorization_token": "t"}],
    "metadata": {"user_id": '{"session_id":"s"}'},
    "service_tier": "auto",
    "speed": "standard",
    "inference_geo": None,
    "container": {"id": "c", "skills": []},
    "diagnostics": {"previous_message_id": None},
    "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {}}],
    "tags": {"team": "a"},
    "fallbacks": "default",
    "hologram": {"depth": [1, 2.50, -0.0, 1e3]},
}
SHORT = b'{"model":"claude-opus-4-8","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]%b}'
CORPUS = {
    "every block": json.dumps(EVERY_BLOCK).encode(),
    "every block, packed": packed(EVERY_BLOCK),
    "indented": json.dumps(EVERY_BLOCK, indent="\t", ensure_ascii=False).replace("\n", "\r\n").encode() + b"\r\n \n",
    "odd escapes": SHORT % rb',"x":"\u0068\/\uD83D\uDE00 \ud800 \u0000 \udfff\"\\","\u0073tream":false',
    "a model in escapes": SHORT.replace(b"claude-opus", rb"cl\u0061ude\u002dopus") % b"",
    "unicode": SHORT % ',"x":"日本語 🎉 \u2028\u2029 \u00a0 é e\u0301 \x7f","é":1'.encode(),
    "names that stand twice": SHORT % b',"metadata":{"user_id":"a"},"metadata":{"user_id":"b"},"y":{"z":1,"z":2}',
    "big numbers": SHORT % b',"a":123456789012345678901234567890,"b":1E400,"c":0.10000000000000000555,"d":-0,"e":1.50',
    "300 KB": SHORT % (b',"x":"' + "a\\n☃ ".encode() * 50_000 + b'"'),
    "newer version": SHORT % b',"thinking":{"type":"adaptive"}',
}
