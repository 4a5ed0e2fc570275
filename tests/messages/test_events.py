"""The shapes of events and blocks, as clients read them."""

import json
from typing import Any, get_args

import msgspec
import pytest

from dragoman.messages import events
from dragoman.messages.errors import ErrorBody


def shape(value: msgspec.Struct) -> Any:
    return json.loads(msgspec.json.encode(value))


@pytest.mark.failure(85)
@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (events.TextBlock(""), {"type": "text", "text": ""}),
        (events.ThinkingBlock("", ""), {"type": "thinking", "thinking": "", "signature": ""}),
        (events.RedactedThinkingBlock("x"), {"type": "redacted_thinking", "data": "x"}),
        (events.ToolUseBlock("toolu_1", "Bash"), {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}),
        (
            events.ServerToolUseBlock("srv", "web_search", msgspec.Raw(b'{"query":"q"}')),
            {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "q"}},
        ),
        (
            events.WebSearchToolResultBlock("srv", [events.WebSearchResult("https://x.y", "X")]),
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srv",
                "content": [
                    {
                        "type": "web_search_result",
                        "url": "https://x.y",
                        "title": "X",
                        "encrypted_content": "",
                        "page_age": None,
                    }
                ],
            },
        ),
        (
            events.WebFetchToolResultBlock("srv", events.WebFetchResult("https://x.y")),
            {
                "type": "web_fetch_tool_result",
                "tool_use_id": "srv",
                "content": {
                    "type": "web_fetch_result",
                    "url": "https://x.y",
                    "content": {
                        "type": "document",
                        "source": {"type": "text", "data": "", "media_type": "text/plain"},
                        "title": None,
                        "citations": None,
                    },
                    "retrieved_at": None,
                },
            },
        ),
        (
            events.WebFetchToolResultBlock("srv", events.WebFetchError("url_not_accessible")),
            {
                "type": "web_fetch_tool_result",
                "tool_use_id": "srv",
                "content": {"type": "web_fetch_tool_result_error", "error_code": "url_not_accessible"},
            },
        ),
    ],
)
def test_a_block_is_complete_from_its_start(block: events.ContentBlock, expected: Any) -> None:
    assert shape(block) == expected
    start = shape(events.BlockStart(0, block))
    assert start == {"type": "content_block_start", "index": 0, "content_block": expected}


@pytest.mark.failure(85)
def test_the_message_has_every_field_from_its_start() -> None:
    start = shape(events.MessageStart(events.Message("msg_1", "m", [], events.Usage(input_tokens=5))))
    assert start["type"] == "message_start"
    message = start["message"]
    assert message["usage"]["input_tokens"] == 5
    assert message["usage"]["output_tokens"] == 0
    del message["usage"]
    assert message == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "diagnostics": None,
    }


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        (events.TextDelta("a"), {"type": "text_delta", "text": "a"}),
        (events.ThinkingDelta("a"), {"type": "thinking_delta", "thinking": "a"}),
        (events.SignatureDelta("a"), {"type": "signature_delta", "signature": "a"}),
        (events.InputDelta("{"), {"type": "input_json_delta", "partial_json": "{"}),
        (events.CitationsDelta({"url": "u"}), {"type": "citations_delta", "citation": {"url": "u"}}),
    ],
)
def test_deltas(delta: events.Delta, expected: Any) -> None:
    assert shape(events.BlockDelta(2, delta)) == {"type": "content_block_delta", "index": 2, "delta": expected}


def test_the_end_of_a_message() -> None:
    details = events.StopDetails("cyber", "no")
    delta = shape(events.MessageDelta(events.Outcome("refusal", None, details), events.Usage(output_tokens=7)))
    assert delta["delta"] == {
        "stop_reason": "refusal",
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": "no"},
        "container": None,
    }
    assert delta["usage"]["output_tokens"] == 7
    assert shape(events.BlockStop(1)) == {"type": "content_block_stop", "index": 1}
    assert shape(events.MessageStop()) == {"type": "message_stop"}
    assert shape(events.Ping()) == {"type": "ping"}


@pytest.mark.failure(94)
def test_the_error_event() -> None:
    body = ErrorBody("overloaded_error", "busy")
    assert shape(events.ErrorEvent(body)) == {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    assert shape(events.ErrorEvent(body, "req_1"))["request_id"] == "req_1"


def test_the_tag_of_every_event_is_its_name() -> None:
    # What is passed on has the names that its upstream wrote; several deltas are written as what they stand for.
    kinds = set(get_args(events.Event)) - {events.Relayed, events.Deltas, events.WholeBlock}
    tags = {str(kind.__struct_config__.tag) for kind in kinds}
    assert tags == {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    }


def test_usage_counters_are_disjoint_totals() -> None:
    usage = shape(
        events.Usage(
            10,
            5,
            2,
            3,
            events.CacheCreation(1, 1),
            events.OutputDetails(4),
            events.ServerToolUsage(1, 0),
            "standard",
        )
    )
    assert usage == {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_creation_input_tokens": 2,
        "cache_read_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 1},
        "output_tokens_details": {"thinking_tokens": 4},
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
        "service_tier": "standard",
        "inference_geo": None,
        "speed": None,
    }
