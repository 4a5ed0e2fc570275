"""What Anthropic refuses of a Messages request, in its own words where they are known.

https://platform.claude.com/docs/en/api/messages and https://platform.claude.com/docs/en/api/errors
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from clients.responses_rules import Json, Refused

KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
OLD, NEW = "2023-06-01", "2026-10-21"  # values of `anthropic-version`
SAMPLING = ("temperature", "top_p", "top_k")

# Fields at the top, and the beta that each needs, by how its name begins; "": none.
FIELDS = {
    **dict.fromkeys(("model", "max_tokens", "messages", "system", "stream", "stop_sequences", "tools"), ""),
    **dict.fromkeys(("tool_choice", "thinking", "output_config", "metadata", "service_tier", "speed"), ""),
    **dict.fromkeys(("inference_geo", "cache_control", "container", "diagnostics", *SAMPLING), ""),
    "output_format": "structured-outputs-2025-11-13", "context_management": "context-management-",
    "mcp_servers": "mcp-client-", "compaction": "compact-", "fallbacks": "server-side-fallback-",
    "fallback_credit_token": "fallback-credit-", "thread": "message-threads-",
    "billing_policy": "user-profiles-billing-",
    "safeguards": "dangerous-tool-use-", "tags": "request-tags-",
}  # fmt: skip
COUNTED = {
    "messages", "model", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "speed",
    "mcp_servers", "context_management", "compaction", "billing_policy",
}  # fmt: skip
# How the known values of `anthropic-beta` begin.
BETAS = (
    "claude-code-", "interleaved-thinking-", "context-management-", "thinking-token-count-", "advanced-tool-use-",
    "effort-", "mid-conversation-", "per-turn-control-", "structured-outputs-", "context-1m-", "mcp-client-",
    "dangerous-tool-use-", "afk-mode-", "fallback-credit-", "server-side-fallback-", "prompt-caching-", "output-",
    "token-counting-", "message-batches-", "files-api-", "extended-cache-ttl-", "thinking-display-updates-",
    "thinking-binding-controls-", "request-tags-", "compact-", "message-threads-", "task-budgets-", "fast-mode-",
    "redact-thinking-", "pdfs-", "fine-grained-tool-streaming-", "user-profiles-", "advisor-tool-", "skills-",
    "code-execution-", "inline-tools-", "model-context-window-exceeded-", "cache-diagnosis-", "dev-full-thinking-",
)  # fmt: skip

# Blocks: their fields, those that must be there first, and how many of them these are.
BLOCKS: dict[str, tuple[int, tuple[str, ...]]] = {
    "text": (1, ("text", "citations", "cache_control")),
    "image": (1, ("source", "transformations", "cache_control")),
    "document": (1, ("source", "title", "context", "citations", "cache_control")),
    "search_result": (3, ("source", "title", "content", "citations", "cache_control")),
    "thinking": (2, ("thinking", "signature")),
    "redacted_thinking": (1, ("data",)),
    "tool_use": (3, ("id", "name", "input", "caller", "toolset_name", "cache_control")),
    "tool_result": (1, ("tool_use_id", "content", "is_error", "toolset_name", "cache_control")),
    "tool_reference": (1, ("tool_name", "cache_control")),
    "server_tool_use": (3, ("id", "name", "input", "caller", "cache_control")),
    "web_search_tool_result": (2, ("tool_use_id", "content", "caller", "cache_control")),
    "web_fetch_tool_result": (2, ("tool_use_id", "content", "caller", "cache_control")),
    "code_execution_tool_result": (2, ("tool_use_id", "content", "cache_control")),
    "tool_search_tool_result": (2, ("tool_use_id", "content", "cache_control")),
    "container_upload": (1, ("file_id", "cache_control")),
    "tool_addition": (1, ("tool", "cache_control")),
    "tool_removal": (1, ("tool", "cache_control")),
}
IN_RESULTS = ("text", "image", "document", "search_result", "tool_reference")
IN_SYSTEM = ("text", "tool_addition", "tool_removal")
THINKING = ("thinking", "redacted_thinking")
TURN_FIELDS = {
    "user": {"role", "content"},
    "assistant": {"role", "content"},
    "system": {"role", "content", "output_config", "clear_at"},
}
SOURCES = {
    "base64": ("media_type", "data"), "url": ("url",), "file": ("file_id",), "text": ("media_type", "data"),
    "content": ("content",),
}  # fmt: skip
TOOL_FIELDS = {
    "type", "name", "description", "input_schema", "cache_control", "strict", "defer_loading", "input_examples",
    "allowed_callers", "eager_input_streaming",
}  # fmt: skip
THINKING_FIELDS = {
    "enabled": {"type", "budget_tokens", "display", "block_binding"},
    "adaptive": {"type", "display", "block_binding"},
    "disabled": {"type"},
    "between_tools": {"type"},
}
EFFORTS = ("low", "medium", "high", "xhigh", "max")
EDITS = ("clear_tool_uses_20250919", "clear_thinking_20251015", "compact_20260112")
ID = re.compile(r"[a-zA-Z0-9_-]+")
SERVER_ID = re.compile(r"srvtoolu_[a-zA-Z0-9_]+")
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
MODEL = re.compile(r"claude-(opus|sonnet|haiku|fable|mythos)-(?:(\d)(?:-(\d{1,2})(?!\d))?|preview)")

EXTRA = "Extra inputs are not permitted"
REQUIRED = "Field required"
NO_PREFILL = "This model does not support assistant message prefill. The conversation must end with a user message."
NO_ADAPTIVE = "adaptive thinking is not supported on this model"
NO_ENABLED = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" '
    "to control thinking behavior."
)
NO_DISABLED = (
    '"thinking.type.disabled" is not supported for this model. Thinking defaults to adaptive mode when not specified; '
    'use "thinking.type.enabled" with "budget_tokens" for extended thinking.'
)
FIRST_THINKING = (
    "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost "
    "set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To "
    "avoid this requirement, disable `thinking`."
)


class ClaudeRefused(Refused):
    """An error as Anthropic writes it."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message, status=status)

    def told(self, request_id: str) -> Json:
        return {
            "type": "error",
            "error": {"type": KINDS[self.status], "message": self.message},
            "request_id": request_id,
        }


class Family(Struct, frozen=True):
    """What a model takes."""

    forms: tuple[str, ...]  # of thinking
    thinks: bool  # when nothing is said about thinking
    sampling: bool
    prefill: bool
    forced: bool
    efforts: tuple[str, ...]
    most: int  # tokens of output
    system_turns: bool
    shown: bool  # thinking is shown when nothing is said about its display


def family(model: str) -> Family:
    """https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting

    Raises Refused for a model that there is not.
    """
    found = MODEL.match(model)
    if found is None:
        raise ClaudeRefused(f"model: {model}", status=404)
    line, version = found[1], (int(found[2] or 5), int(found[3] or 0))
    always = line in ("fable", "mythos") or (version >= (5, 5) and line == "opus")
    forms: tuple[str, ...] = ("adaptive",) if always else ("adaptive", "disabled")
    if model.startswith("claude-mythos-preview"):
        forms = ("adaptive", "enabled")
    elif version >= (5, 5) and line == "sonnet":
        forms = ("adaptive", "between_tools")
    elif version <= (4, 5):
        forms = ("enabled", "disabled")
    elif version == (4, 6):
        forms = ("adaptive", "enabled", "disabled")
    efforts = EFFORTS if version >= (4, 7) else ("low", "medium", "high", "max")
    if version <= (4, 5):
        efforts = ("low", "medium", "high") if line == "opus" else ()
    if found[2] is None:  # the preview
        efforts = ("low", "medium", "high", "max")
    later = version >= (5, 1) and line in ("fable", "mythos")
    return Family(
        forms=forms,
        thinks=version >= (5, 0),
        sampling=version < (4, 7),
        prefill=version <= (4, 5),
        forced=not (later or (version >= (5, 5) and line in ("opus", "sonnet"))),
        efforts=efforts,
        most=64_000 if version <= (4, 5) else 128_000,
        system_turns=version >= (4, 8),
        shown=version <= (4, 6),
    )


def check(body: Json, *, version: str = OLD, betas: Iterable[str] = (), counting: bool = False) -> None:
    """Raises Refused for what is wrong with a request, but for whose thinking it holds."""
    betas = tuple(betas)
    for name in body:
        needed = FIELDS.get(name)
        allowed = needed is not None and (not needed or any(beta.startswith(needed) for beta in betas))
        if not allowed or (counting and name not in COUNTED) or (version == NEW and name in SAMPLING):
            raise ClaudeRefused(f"{name}: {EXTRA}")
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if name not in body:
            raise ClaudeRefused(f"{name}: {REQUIRED}")
    model = family(body["model"])
    most = body.get("max_tokens", 0)
    _integer(most, "max_tokens", 0)
    if most > model.most and not any(beta.startswith("output-") for beta in betas):
        wrong = f"max_tokens: {most} > {model.most}, which is the maximum allowed number of output tokens for"
        raise ClaudeRefused(f"{wrong} {body['model']}")
    _small_things(body)
    _system(body.get("system"))
    _tools(body, model)
    _thinking(body, model, betas)
    _output(body, model)
    _sampling(body, model)
    _context_management(body)
    _turns(body, model, version)
    _breakpoints(body)


def thinks(body: Json) -> str | None:
    """The form of thinking that is on; None when it is off."""
    form = (body.get("thinking") or {}).get("type", "adaptive" if family(body["model"]).thinks else None)
    return None if form == "disabled" else form


def _integer(value: Any, place: str, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ClaudeRefused(f"{place}: Input should be a valid integer")
    if value < least:
        raise ClaudeRefused(f"{place}: Input should be greater than or equal to {least}")


def _known(value: Any, fields: Iterable[str], place: str) -> None:
    if not isinstance(value, dict):
        raise ClaudeRefused(f"{place}: Input should be a valid dictionary or object to extract fields from")
    for name in value:
        if name not in fields:
            raise ClaudeRefused(f"{place}.{name}: {EXTRA}")


def _one_of(value: Any, allowed: Iterable[str], place: str) -> None:
    allowed = tuple(allowed)
    if value not in allowed:
        quoted = [f"'{each}'" for each in allowed]
        listed = " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))
        raise ClaudeRefused(f"{place}: Input should be {listed}")


def _small_things(body: Json) -> None:
    if body.get("metadata") is not None:
        _known(body["metadata"], {"user_id"}, "metadata")
    if body.get("cache_control") is not None:
        _cache_control(body["cache_control"], "cache_control")
    if not isinstance(body.get("stream", False), bool):
        raise ClaudeRefused("stream: Input should be a valid boolean")
    _one_of(body.get("service_tier") or "auto", ("auto", "standard_only"), "service_tier")
    _one_of(body.get("speed") or "standard", ("standard", "fast"), "speed")
    for text in body.get("stop_sequences") or []:
        if not text.strip():
            raise ClaudeRefused("stop_sequences: each stop sequence must contain non-whitespace")


def _cache_control(value: Any, place: str) -> None:
    _known(value, {"type", "ttl"}, place)
    _one_of(value.get("type"), ("ephemeral",), f"{place}.type")
    _one_of(value.get("ttl", "5m"), ("5m", "1h"), f"{place}.ttl")


def _system(system: Any) -> None:
    if system is None or isinstance(system, str):
        return
    for number, block in enumerate(system):
        _block(block, f"system.{number}", ("text",))
        if not block["text"]:
            raise ClaudeRefused("system: text content blocks must be non-empty")


def _tools(body: Json, model: Family) -> None:
    names = set()
    tools = body.get("tools") or []
    for number, tool in enumerate(tools):
        kind = tool.get("type") or "custom"
        place = f"tools.{number}.{kind}"
        if kind != "custom":
            if not re.fullmatch(r"[a-z_0-9]+_\d{8}|mcp_toolset|tool_search_tool_\w+", kind):
                raise ClaudeRefused(_tag(f"tools.{number}", kind, ("custom", "bash_20250124", "web_search_20250305")))
        else:
            _known(tool, TOOL_FIELDS, place)
            _custom_tool(tool, place)
        name = tool.get("name")
        if name in names:
            raise ClaudeRefused("tools: Tool names must be unique.")
        names.update({name} - {None})
        if tool.get("cache_control") is not None:
            _cache_control(tool["cache_control"], f"{place}.cache_control")
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not tools:
        raise ClaudeRefused("tool_choice may only be specified while providing tools.")
    _one_of(choice.get("type"), ("auto", "any", "tool", "none"), "tool_choice.type")
    forced = choice["type"] in ("any", "tool")
    if choice["type"] == "tool" and choice.get("name") not in names:
        raise ClaudeRefused(f"Tool '{choice.get('name')}' not found in provided tools")
    if forced and not model.forced:
        raise ClaudeRefused("tool_choice forces tool use, which is not supported for this model.")
    if forced and (body.get("thinking") or {}).get("type") == "enabled":
        raise ClaudeRefused("Thinking may not be enabled when tool_choice forces tool use.")


def _custom_tool(tool: Json, place: str) -> None:
    if not NAME.fullmatch(tool.get("name") or ""):
        raise ClaudeRefused(f"{place}.name: String should match pattern '^{NAME.pattern}$'")
    schema = tool.get("input_schema")
    if not isinstance(schema, dict):
        raise ClaudeRefused(f"{place}.input_schema: {REQUIRED}")
    if schema.get("type") != "object":
        raise ClaudeRefused(f"{place}.input_schema.type: Input should be 'object'")
    if schema.keys() & {"oneOf", "allOf", "anyOf"}:
        wrong = "input_schema does not support oneOf, allOf, or anyOf at the top level"
        raise ClaudeRefused(f"{place}.input_schema: {wrong}")


def _thinking(body: Json, model: Family, betas: tuple[str, ...]) -> None:
    asked = body.get("thinking")
    if asked is None:
        return
    form = asked.get("type")
    if form not in THINKING_FIELDS:
        raise ClaudeRefused(_tag("thinking", form, THINKING_FIELDS))
    _known(asked, THINKING_FIELDS[form], f"thinking.{form}")
    if form not in model.forms:
        told = {"adaptive": NO_ADAPTIVE, "enabled": NO_ENABLED, "disabled": NO_DISABLED}
        raise ClaudeRefused(told.get(form, f'"thinking.type.{form}" is not supported for this model.'))
    displays = ["summarized", "omitted", *(["updates"] if _has(betas, "thinking-display-updates-") else [])]
    if asked.get("display") is not None:
        _one_of(asked["display"], displays, f"thinking.{form}.display")
    effort = (body.get("output_config") or {}).get("effort")
    if form == "disabled" and effort in ("xhigh", "max") and re.match(r"claude-(opus-5|haiku-5-5)", body["model"]):
        raise ClaudeRefused(f'"thinking.type.disabled" is not supported with effort {effort}.')
    if form == "enabled":
        budget, most = asked.get("budget_tokens"), body.get("max_tokens")
        if budget is None:
            raise ClaudeRefused(f"thinking.enabled.budget_tokens: {REQUIRED}")
        _integer(budget, "thinking.enabled.budget_tokens", 1024)
        if most is not None and most <= budget and not _has(betas, "interleaved-thinking-"):
            raise ClaudeRefused("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _has(betas: tuple[str, ...], begin: str) -> bool:
    return any(beta.startswith(begin) for beta in betas)


def _output(body: Json, model: Family) -> None:
    asked = body.get("output_config")
    if asked is None:
        return
    _known(asked, {"effort", "format", "task_budget"}, "output_config")
    if asked.get("effort") is not None:
        if not model.efforts:
            raise ClaudeRefused("This model does not support the effort parameter.")
        _one_of(asked["effort"], model.efforts, "output_config.effort")
    form = asked.get("format")
    if form is not None:
        _known(form, {"type", "schema"}, "output_config.format")
        _one_of(form.get("type"), ("json_schema",), "output_config.format.type")
        for schema in _objects(form.get("schema")):
            if schema.get("additionalProperties") is not False:
                raise ClaudeRefused(
                    "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to "
                    "false"
                )


def _objects(schema: Any) -> Iterator[Json]:
    """All schemas of objects inside a schema."""
    if isinstance(schema, list):
        for each in schema:
            yield from _objects(each)
    elif isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for each in schema.values():
            yield from _objects(each)


def _sampling(body: Json, model: Family) -> None:
    for name in SAMPLING:
        value = body.get(name)
        if value is None:
            continue
        if not model.sampling and (name, value) not in (("temperature", 1), ("top_p", 0.99)):
            raise ClaudeRefused(f"`{name}` is deprecated for this model.")
        if thinks(body) and ((name == "temperature" and value != 1) or name == "top_k"):
            raise ClaudeRefused(f"`{name}` may only be set to 1 when thinking is enabled or in adaptive mode.")


def _context_management(body: Json) -> None:
    asked = body.get("context_management")
    if asked is None:
        return
    _known(asked, {"edits"}, "context_management")
    for number, edit in enumerate(asked.get("edits") or []):
        if edit.get("type") not in EDITS:
            raise ClaudeRefused(_tag(f"context_management.edits.{number}", edit.get("type"), EDITS))
        form = (body.get("thinking") or {}).get("type")
        if edit["type"] == "clear_thinking_20251015" and form not in ("enabled", "adaptive"):
            raise ClaudeRefused("`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive")


def _tag(place: str, found: Any, expected: Iterable[str]) -> str:
    quoted = ", ".join(f"'{each}'" for each in expected)
    return f"{place}: Input tag '{found}' found using 'type' does not match any of the expected tags: {quoted}"


def _turns(body: Json, model: Family, version: str) -> None:
    turns = body["messages"]
    if not turns:
        raise ClaudeRefused("messages: at least one message is required")
    for number, turn in enumerate(turns):
        place = f"messages.{number}"
        role = turn.get("role")
        if role == "system" and not model.system_turns:
            raise ClaudeRefused(f"{place}: role 'system' is not supported on this model")
        _one_of(role, TURN_FIELDS, f"{place}.role")
        _known(turn, TURN_FIELDS[role], place)
        content = turn.get("content")
        if not content and (number < len(turns) - 1 or role != "assistant") and "output_config" not in turn:
            raise ClaudeRefused(
                f"{place}: all messages must have non-empty content except for the optional final assistant message"
            )
        if isinstance(content, str):
            _text(content)
            continue
        for at, block in enumerate(content):
            _in_turn(block, f"{place}.content.{at}", role, version)
    _system_turns([turn["role"] for turn in turns])
    _pairs(turns)
    _last(turns[-1], model, body)
    if (body.get("thinking") or {}).get("type") == "enabled":
        _loop(turns)


def _in_turn(block: Any, place: str, role: str, version: str) -> None:
    _block(block, place, IN_SYSTEM if role == "system" else BLOCKS)
    kind = block["type"]
    if kind == "text":
        _text(block["text"])
    if version == NEW and role == "assistant" and kind == "document":
        raise ClaudeRefused(f"{place}: `document` blocks are not permitted in `assistant` messages.")
    if version == NEW and role == "user" and kind == "text" and block.get("citations"):
        raise ClaudeRefused(f"{place}.text.citations: {EXTRA}")
    if role == "user" and kind in ("tool_use", *THINKING):
        raise ClaudeRefused(f"{place}: `{kind}` blocks can only be in `assistant` messages")
    if role == "assistant" and kind in ("tool_result", "image"):
        raise ClaudeRefused(f"{place}: `{kind}` blocks can only be in `user` messages")


def _text(text: str) -> None:
    if not text:
        raise ClaudeRefused("messages: text content blocks must be non-empty")
    if not text.strip():
        raise ClaudeRefused("messages: text content blocks must contain non-whitespace text")


def _block(block: Any, place: str, allowed: Iterable[str]) -> None:
    """The fields of a block, and of what is in it."""
    kind = block.get("type") if isinstance(block, dict) else None
    if kind not in allowed:
        raise ClaudeRefused(_tag(place, kind, allowed))
    needed, fields = BLOCKS[kind]
    _known(block, ("type", *fields), f"{place}.{kind}")
    for name in fields[:needed]:
        if name not in block:
            raise ClaudeRefused(f"{place}.{kind}.{name}: {REQUIRED}")
    if block.get("cache_control") is not None:
        _cache_control(block["cache_control"], f"{place}.{kind}.cache_control")
    pattern = SERVER_ID if kind == "server_tool_use" else ID
    for name in ("id", "tool_use_id"):
        if name in block and not pattern.fullmatch(block[name]):
            raise ClaudeRefused(f"{place}.{kind}.{name}: String should match pattern '^{pattern.pattern}$'")
    if kind == "tool_use" and not NAME.fullmatch(block["name"]):
        raise ClaudeRefused(f"{place}.tool_use.name: String should match pattern '^{NAME.pattern}$'")
    if kind == "tool_use" and not isinstance(block["input"], dict):
        raise ClaudeRefused(f"{place}.tool_use.input: Input should be a valid dictionary")
    if kind in ("image", "document"):
        source = block["source"]
        if not isinstance(source, dict) or source.get("type") not in SOURCES:
            raise ClaudeRefused(_tag(f"{place}.{kind}.source", (source or {}).get("type"), SOURCES))
        _known(source, ("type", *SOURCES[source["type"]]), f"{place}.{kind}.source.{source['type']}")
    if kind == "tool_result" and isinstance(block.get("content"), list):
        for at, inner in enumerate(block["content"]):
            _block(inner, f"{place}.tool_result.content.{at}", IN_RESULTS)
            if inner["type"] == "text":
                _text(inner["text"])


def _system_turns(roles: list[str]) -> None:
    """https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages"""
    for number, role in enumerate(roles):
        if role != "system":
            continue
        before = next((each for each in reversed(roles[:number]) if each != "system"), None)
        behind = next((each for each in roles[number:] if each != "system"), "assistant")
        if (before, behind) != ("user", "assistant"):
            wrong = "`system` messages must stand between a `user` and an `assistant` turn, or at the end"
            raise ClaudeRefused(f"messages.{number}: {wrong}")


def blocks(turn: Json) -> list[Json]:
    content = turn["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def merged(turns: list[Json]) -> list[tuple[int, str, list[Json]]]:
    """The number of the first turn of each run of one role, the role, and the blocks of them all. No system turns."""
    found: list[tuple[int, str, list[Json]]] = []
    for number, turn in enumerate(turns):
        if turn["role"] == "system":
            continue
        if found and found[-1][1] == turn["role"]:
            found[-1][2].extend(blocks(turn))
        else:
            found.append((number, turn["role"], list(blocks(turn))))
    return found


def _pairs(turns: list[Json]) -> None:
    """Each call has its result at once, and each result its call."""
    asked: list[str] = []
    seen: set[str] = set()
    at = 0
    for number, role, content in merged(turns):
        if role == "assistant":
            asked, at = [block["id"] for block in content if block["type"] == "tool_use"], number
            if len(set(asked)) < len(asked) or seen & set(asked):
                raise ClaudeRefused(f"messages.{number}: `tool_use` ids must be unique")
            seen |= set(asked)
            continue
        results = [block for block in content if block["type"] == "tool_result"]
        first = [block["tool_use_id"] for block in content[: len(results)] if block["type"] == "tool_result"]
        missing = [each for each in asked if each not in first]
        if missing:
            raise _unanswered(at, missing)
        for place, block in enumerate(content):
            if block["type"] == "tool_result" and block["tool_use_id"] not in asked:
                raise ClaudeRefused(
                    f"messages.{number}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block['tool_use_id']}. Each `tool_result` block must have a corresponding `tool_use` block in "
                    "the previous message."
                )
        asked = []
    if asked:
        raise _unanswered(at, asked)


def _unanswered(number: int, ids: list[str]) -> ClaudeRefused:
    return ClaudeRefused(
        f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(ids)}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def _last(turn: Json, model: Family, body: Json) -> None:
    if turn["role"] != "assistant":
        return
    content = blocks(turn)
    if content and content[-1]["type"].endswith("_tool_result"):
        return  # a paused answer goes on
    if not model.prefill:
        raise ClaudeRefused(NO_PREFILL)
    if thinks(body) is not None:
        raise ClaudeRefused("When thinking is enabled, the conversation must end with a user message.")
    if content and content[-1].get("text", "x").rstrip() != content[-1].get("text", "x"):
        raise ClaudeRefused("messages: final assistant content cannot end with trailing whitespace")


def _loop(turns: list[Json]) -> None:
    """A running loop of tools begins with thinking, where a budget says that there is some."""
    first = None
    for number, role, content in reversed(merged(turns)):
        if role == "user" and not any(block["type"] == "tool_result" for block in content):
            break
        if role == "assistant":
            first = (number, content)
    if first is None:
        return
    number, content = first
    if content[0]["type"] not in THINKING:
        found = content[0]["type"]
        raise ClaudeRefused(
            f"messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. "
            f"{FIRST_THINKING}"
        )


def _breakpoints(body: Json) -> None:
    """Counted where they mean something: not in the input of a tool, nor in a schema."""
    found = [body, *(body.get("tools") or [])]
    if isinstance(body.get("system"), list):
        found += body["system"]
    for turn in body["messages"]:
        for block in blocks(turn):
            found.append(block)
            if isinstance(block.get("content"), list):
                found += block["content"]
    number = sum(each.get("cache_control") is not None for each in found)
    if number > 4:
        raise ClaudeRefused(f"A maximum of 4 blocks with cache_control may be provided. Found {number}.")
