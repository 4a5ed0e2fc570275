"""What a client may ask for, one thing a body: the rows of the compatibility page."""

from typing import Any

Json = dict[str, Any]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKMSAwIG9iago8PC9UeXBlL0NhdGFsb2c+PgplbmRvYmoKdHJhaWxlcgo8PC9Sb290IDEgMCBSPj4K"
SCHEMA: Json = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOL: Json = {"name": "Read", "description": "Reads a file.", "input_schema": SCHEMA}
CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a.txt"}}
IMAGE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
PDF_BLOCK: Json = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}
FORMAT: Json = {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}


def _user(*content: Json) -> Json:
    return {"role": "user", "content": [*content] or [{"type": "text", "text": "Hello"}]}


def _text(text: str, **more: Any) -> Json:
    return {"type": "text", "text": text, **more}


def _assistant(*content: Json) -> Json:
    return {"role": "assistant", "content": [*content]}


def _result(content: Any, **more: Any) -> list[Json]:
    answered = _user({"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more})
    return [_user(_text("Go")), _assistant(CALL), answered]


def _with_image(source: Json) -> list[Json]:
    return [_user({"type": "image", "source": source})]


# Title -> the fields beside model and max_tokens; `messages` is "Hello" unless given.
FEATURES: dict[str, Json] = {
    "system prompt": {"system": "Be brief."},
    "system prompt in blocks": {"system": [_text("Be brief."), _text("Be kind.")]},
    "Claude Code's attribution line (removed)": {
        "system": [_text("x-anthropic-billing-header: cc_version=2.1.0; cc_entrypoint=cli;"), _text("Be brief.")]
    },
    "system turn inside the conversation": {"messages": [_user(), {"role": "system", "content": "Hurry."}]},
    "answer that the caller began (prefill)": {"messages": [_user(), _assistant(_text("Once upon"))]},
    "streaming": {"stream": True},
    "image, base64": {"messages": [_user(IMAGE)]},
    "image, URL": {"messages": _with_image({"type": "url", "url": "https://example.com/a.png"})},
    "image, uploaded file": {"messages": _with_image({"type": "file", "file_id": "file_1"})},
    "PDF": {"messages": [_user(PDF_BLOCK, _text("What is it?"))]},
    "text document": {
        "messages": [
            _user({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Notes"}})
        ]
    },
    "search result block": {
        "messages": [_user({"type": "search_result", "source": "a", "title": "b", "content": [_text("c")]})]
    },
    "unknown block type": {"messages": [_user({"type": "hologram", "text": "there"}, _text("What is it?"))]},
    "tools": {"tools": [TOOL]},
    "tool with strict input": {"tools": [{**TOOL, "strict": True}]},
    "tool name over 64 characters": {"tools": [{**TOOL, "name": "mcp__" + "long" * 20}]},
    "deferred tool, loaded by a tool_reference": {
        "tools": [TOOL, {**TOOL, "name": "Fetch", "defer_loading": True}],
        "messages": _result([{"type": "tool_reference", "tool_name": "Fetch"}]),
    },
    "tool result": {"tools": [TOOL], "messages": _result("done")},
    "tool result that is an error": {"tools": [TOOL], "messages": _result("failed", is_error=True)},
    "image in a tool result": {"tools": [TOOL], "messages": _result([IMAGE])},
    "PDF in a tool result": {"tools": [TOOL], "messages": _result([PDF_BLOCK])},
    "call without its result (interrupted)": {
        "tools": [TOOL],
        "messages": [_user(_text("Go")), _assistant(CALL), _user(_text("Stop"))],
    },
    "tool_choice any": {"tools": [TOOL], "tool_choice": {"type": "any"}},
    "tool_choice by name": {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "Read"}},
    "tool_choice none": {"tools": [TOOL], "tool_choice": {"type": "none"}},
    "no parallel calls": {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    "bash tool": {"tools": [{"type": "bash_20250124", "name": "bash"}]},
    "text editor tool": {"tools": [{"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}]},
    "memory tool": {"tools": [{"type": "memory_20250818", "name": "memory"}]},
    "computer tool": {
        "tools": [{"type": "computer_20250124", "name": "computer", "display_width_px": 1024, "display_height_px": 768}]
    },
    "web search, the only tool": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "web search beside other tools": {"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]},
    "web fetch beside other tools": {"tools": [TOOL, {"type": "web_fetch_20250910", "name": "web_fetch"}]},
    "code execution beside other tools": {
        "tools": [TOOL, {"type": "code_execution_20250825", "name": "code_execution"}]
    },
    "MCP servers": {"mcp_servers": [{"type": "url", "name": "a", "url": "https://example.com/mcp"}]},
    "thinking, adaptive": {"thinking": {"type": "adaptive"}},
    "thinking with a budget": {"thinking": {"type": "enabled", "budget_tokens": 4096}, "max_tokens": 8192},
    "thinking off": {"thinking": {"type": "disabled"}},
    "effort": {"output_config": {"effort": "medium"}, "thinking": {"type": "adaptive"}},
    "effort of one turn": {
        "messages": [_user(), {"role": "system", "content": [], "output_config": {"effort": "low"}}],
        "thinking": {"type": "adaptive"},
    },
    "thinking of another vendor in the history (removed)": {
        "messages": [
            _user(),
            _assistant({"type": "thinking", "thinking": "Hm.", "signature": "EqoBCkYIBxgC"}, _text("Yes.")),
            _user(_text("Why?")),
        ]
    },
    "structured output": {"output_config": {"format": FORMAT}},
    "structured output beside tools": {"output_config": {"format": FORMAT}, "tools": [TOOL]},
    "temperature and top_p": {"temperature": 0.5, "top_p": 0.9},
    "top_k": {"top_k": 40},
    "stop sequences": {"stop_sequences": ["END"]},
    "prompt caching (cache_control)": {"system": [_text("Be brief.", cache_control={"type": "ephemeral"})]},
    "metadata.user_id": {"metadata": {"user_id": "user_1_session_2"}},
    "service_tier": {"service_tier": "standard_only"},
    "speed": {"speed": "fast"},
    "context_management": {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
    "safeguards": {"safeguards": [{"type": "dangerous_tool_use"}]},
    "container": {"container": "container_1"},
    "thread, continued": {"thread": {"type": "continue", "previous_message_id": "msg_1"}},
    "unknown field": {"brand_new": True},
}


def body(title: str) -> Json:
    """The whole body of a feature."""
    return {"model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": [_user()], **FEATURES[title]}
