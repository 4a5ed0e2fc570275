"""Names that no type reads."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.messages import unknown
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode

BODY: dict[str, Any] = {"model": "m", "max_tokens": 1, "messages": []}


def places(body: dict[str, Any]) -> list[str]:
    raw = json.dumps(BODY | body).encode()
    decode(raw)
    found = unknown.fields(raw)
    assert {(note.grade, note.code) for note in found} <= {("ignored", "unknown_field")}
    return sorted(note.place for note in found)


def in_block(**fields: Any) -> list[str]:
    prefix = "messages.0.content.0."
    found = places({"messages": [{"role": "user", "content": [fields]}]})
    assert all(place.startswith(prefix) for place in found)
    return [place.removeprefix(prefix) for place in found]


def test_a_body_of_known_names_has_no_notes() -> None:
    assert places({}) == []
    assert places({"messages": [{"role": "user", "content": "x"}], "system": "x", "metadata": {"user_id": "u"}}) == []


# Every documented field, section by section. What is listed under `unread` is documented and has no type.
TOP: dict[str, Any] = {
    "system": [{"type": "text", "text": "x"}],
    "stream": True,
    "stop_sequences": ["x"],
    "tools": [],
    "tool_choice": {"type": "tool", "name": "x", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
    "output_config": {
        "effort": "low",
        "format": {"type": "json_schema", "schema": {"x": {"y": 1}}},
        "task_budget": {"type": "tokens", "total": 1, "remaining": 1},
    },
    "output_format": {"type": "json_schema", "schema": {}, "name": "x"},
    "metadata": {"user_id": "x"},
    "service_tier": "auto",
    "speed": "fast",
    "inference_geo": "us",
    "cache_control": {"type": "ephemeral", "ttl": "1h"},
    "container": {"id": "x", "skills": []},
    "diagnostics": {"previous_message_id": None},
    "temperature": 1,
    "top_p": 1,
    "top_k": 1,
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "mcp_servers": [{"type": "url", "name": "x", "url": "x"}],
    "compaction": {"type": "summarize"},
    "fallbacks": [{"model": "x"}],
    "fallback_credit_token": "x",
    "thread": {"type": "create"},
    "billing_policy": {"type": "billing_policy", "bill_to": "self"},
    "safeguards": [{"type": "dangerous_tool_use"}],
    "tags": {"x": "y"},
}


def test_every_documented_top_level_field_is_read() -> None:
    assert places(TOP) == []
    assert places({"thinking": {"type": "adaptive", "block_binding": {}}}) == ["thinking.block_binding"]


@pytest.mark.parametrize(
    ("block", "unread"),
    [
        ({"type": "text", "text": "x", "citations": [{"cited_text": "x"}], "cache_control": {"type": "ephemeral"}}, []),
        (
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": ""},
                "transformations": {"oversized_image": "error"},
            },
            ["transformations"],
        ),
        (
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "text", "text": "x", "mood": 1}]},
                "title": "x",
                "context": "x",
                "citations": {"enabled": True},
            },
            ["source.content.0.mood"],
        ),
        ({"type": "search_result", "source": "x", "title": "x", "content": [{"type": "text", "text": "x"}]}, []),
        ({"type": "thinking", "thinking": "x", "signature": "x"}, []),
        ({"type": "redacted_thinking", "data": "x"}, []),
        (
            {"type": "tool_use", "id": "x", "name": "x", "input": {"y": 1}, "caller": {}, "toolset_name": "x"},
            ["caller", "toolset_name"],
        ),
        (
            {
                "type": "tool_result",
                "tool_use_id": "x",
                "is_error": False,
                "toolset_name": "x",
                "content": [{"type": "tool_reference", "tool_name": "x"}, {"type": "browser_state", "page": "x"}],
            },
            ["content.1.page", "toolset_name"],
        ),
        ({"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}, "caller": {}}, ["caller"]),
        (
            {
                "type": "web_search_tool_result",
                "tool_use_id": "x",
                "content": [
                    {
                        "type": "web_search_result",
                        "url": "x",
                        "title": "x",
                        "encrypted_content": "x",
                        "page_age": "x",
                    }
                ],
            },
            ["content.0.encrypted_content", "content.0.page_age"],
        ),
        (
            {
                "type": "web_fetch_tool_result",
                "tool_use_id": "x",
                "content": {
                    "type": "web_fetch_result",
                    "url": "x",
                    "retrieved_at": "x",
                    "content": {"type": "document", "source": {"type": "text", "data": "x", "etag": "x"}},
                },
            },
            ["content.content.source.etag", "content.retrieved_at"],
        ),
        (
            {
                "type": "code_execution_tool_result",
                "tool_use_id": "x",
                "content": {
                    "type": "code_execution_result",
                    "stdout": "",
                    "stderr": "",
                    "return_code": 0,
                    "content": [{"type": "code_execution_output", "file_id": "x"}],
                },
            },
            [],
        ),
        (
            {
                "type": "tool_search_tool_result",
                "tool_use_id": "x",
                "content": {
                    "type": "tool_search_tool_search_result",
                    "tool_references": [{"type": "tool_reference", "tool_name": "x", "score": 1}],
                },
            },
            ["content.tool_references.0.score"],
        ),
        ({"type": "container_upload", "file_id": "x"}, []),
        ({"type": "mcp_tool_use", "id": "x", "name": "x", "server_name": "x", "input": {}}, ["server_name"]),
        ({"type": "tool_addition", "tool": {"type": "tool_reference", "name": "x"}}, []),
        ({"type": "from_the_future", "novelty": 1, "content": [{"type": "text", "novelty": 1}]}, []),
        ({"type": "from_the_future", "text": {"of": "another shape"}}, []),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_every_documented_field_of_a_block_is_read_or_named(block: dict[str, Any], unread: list[str]) -> None:
    assert in_block(**block) == unread


def test_turns_and_tools() -> None:
    turn = {
        "role": "system",
        "content": "x",
        "output_config": {"effort": "low", "tone": 1},
        "clear_at": "never",
        "mood": 1,
    }
    assert places({"messages": [turn]}) == ["messages.0.mood", "messages.0.output_config.tone"]
    tools = [
        {"name": "x", "description": "x", "input_schema": {"x": 1}, "strict": True, "input_examples": [{}]},
        {"name": "x", "input_schema": {}, "defer_loading": True, "eager_input_streaming": True, "allowed_callers": []},
        {
            "type": "text_editor_20250728",
            "name": "x",
            "max_characters": 1,
            "cache_control": {"type": "x", "scope": "x"},
        },
        {"type": "computer_20251124", "name": "x", "display_width_px": 1, "display_height_px": 1, "display_number": 1},
        {
            "type": "web_search_20260318",
            "name": "x",
            "max_uses": 1,
            "allowed_domains": [],
            "response_inclusion": "full",
        },
        {"type": "mcp_toolset", "mcp_server_name": "x", "default_config": {}, "configs": {}},
    ]
    assert places({"tools": tools}) == [
        "tools.2.cache_control.scope",
        "tools.4.response_inclusion",
        "tools.5.configs",
        "tools.5.default_config",
    ]


@pytest.mark.failure(38, 183)
def test_unknown_names_are_named_at_every_level() -> None:
    body = {
        "novelty": 1,
        "tool_choice": {"type": "auto", "mood": 1},
        "metadata": {"user_id": "x", "team": "y"},
        "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "scope": "global"}}],
    }
    assert places(body) == ["metadata.team", "novelty", "system.0.cache_control.scope", "tool_choice.mood"]


def test_a_name_that_is_a_text_is_not_repeated() -> None:
    assert places({"my secret words": 1, "x" * 80: 2, "naïve": 3, "": 4}) == ["*", "*", "*", "*"]


def test_mended_bodies_are_read() -> None:
    lone = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\\ud83d","mood":1}]}'
    cut = b' {"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x","m\xffood":1}]} '
    for raw in (lone, cut):
        decode(raw)
    assert [note.place for note in unknown.fields(lone)] == ["messages.0.mood"]
    assert [note.place for note in unknown.fields(cut)] == ["messages.0.*"]


def test_blocks_may_nest_deeply() -> None:
    block: dict[str, Any] = {"type": "text", "text": "x", "mood": 1}
    for _ in range(40):
        block = {"type": "tool_result", "tool_use_id": "x", "content": [block]}
    assert in_block(**block) == ["content.0." * 40 + "mood"]


NAMES = st.sampled_from(
    ["type", "role", "content", "text", "source", "tools", "messages", "system", "thinking", "cache_control", "novelty"]
) | st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["text", "tool_result", "user"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)

BLOCKS = st.fixed_dictionaries(
    {"type": st.text(max_size=9)}, optional={"content": VALUES, "source": VALUES, "x": VALUES}
)


@given(
    st.dictionaries(NAMES, VALUES, max_size=5),
    st.lists(
        st.dictionaries(NAMES, VALUES, max_size=4)
        | st.fixed_dictionaries(
            {"type": st.text(max_size=9)}, optional={"content": VALUES, "source": VALUES, "x": VALUES}
        )
    ),
    st.booleans(),
)
@pytest.mark.failure(183)
def test_no_body_that_is_taken_raises(extra: dict[str, Any], blocks: list[dict[str, Any]], escaped: bool) -> None:
    turns = [{"role": "user", "content": blocks}]
    raw = json.dumps({**extra, "model": "m", "max_tokens": 1, "messages": turns}, ensure_ascii=escaped).encode(
        "utf-8", "surrogatepass"
    )
    try:
        decode(raw)
    except ApiError:
        return
    places = [note.place for note in unknown.fields(raw)]
    assert all(place.isascii() and " " not in place for place in places)
    read = set(TOP) | set(BODY)
    assert len([place for place in places if "." not in place]) == len(set(extra) - read)
