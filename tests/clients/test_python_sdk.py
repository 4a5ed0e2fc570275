"""The official Python SDK, current and older, against the real server."""

import json
from pathlib import Path
from typing import Any

import pytest

from clients.conftest import OVERFLOW, WEATHER, client, run_json
from clients.scripted import Upstream

SCRIPT = str(Path(__file__).with_name("python_sdk.py"))


@pytest.fixture(scope="module", params=["python-2", "python-0"])
def seen(request: pytest.FixtureRequest, gateway: str, upstream: Upstream) -> Any:
    python = client(request.param, "bin", "python")
    result = run_json([str(python), SCRIPT, gateway])
    assert not upstream.complaints
    assert result["version"].startswith(request.param[-1] + ".")
    return result


@pytest.mark.failure(57, 71)
def test_create(seen: Any) -> None:
    message = seen["create"]["message"]
    assert message["content"] == [{"type": "text", "text": "Kalimera from the Colossus — 日本語 🎉."}]
    assert message["model"] == "sonnet"
    assert message["stop_reason"] == "end_turn"
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (120, 30)
    assert seen["create"]["request_id"]


@pytest.mark.failure(80)
def test_tools_in_parallel_and_back(seen: Any) -> None:
    first = seen["tool_loop"]["first"]
    assert first["stop_reason"] == "tool_use"
    assert [block["input"] for block in first["content"] if block["type"] == "tool_use"] == [WEATHER, {"city": "Kos"}]
    assert seen["tool_loop"]["second"]["content"][0]["text"] == "It is sunny in both."


@pytest.mark.failure(83, 105)
def test_streams_fold_to_the_same_message(seen: Any) -> None:
    streamed, created = seen["stream_text"]["message"], seen["create"]["message"]
    assert streamed["content"] == created["content"]
    assert seen["events"][0] == "message_start"
    assert seen["events"][-2:] == ["message_delta", "message_stop"]


@pytest.mark.failure(80, 167)
def test_streamed_tools(seen: Any) -> None:
    message = seen["stream_tools"]["message"]
    assert [block["type"] for block in message["content"]] == ["text", "tool_use", "tool_use"]
    assert [block["input"] for block in message["content"][1:]] == [WEATHER, {"city": "Kos"}]
    assert message["stop_reason"] == "tool_use"
    assert len({block["id"] for block in message["content"][1:]}) == 2


@pytest.mark.failure(65, 68)
def test_streamed_thinking(seen: Any) -> None:
    thinking, text = seen["stream_thinking"]["message"]["content"]
    assert thinking["thinking"] == "The caller greets; greet back."
    assert thinking["signature"].startswith("dragoman1.chat.")
    assert text["text"] == "Hello there."


@pytest.mark.failure(107, 111, 114)
def test_counting_and_models(seen: Any) -> None:
    assert 10 < seen["count"] < 400
    assert seen["models"]["listed"]
    assert seen["models"]["one"] == seen["models"]["listed"][0]
    assert "lab/text" in seen["models"]["odd"]


@pytest.mark.failure(119, 121, 175)
@pytest.mark.parametrize("way", ["create", "stream"])
def test_rate_limit(seen: Any, way: str) -> None:
    error = seen["limited"][way]
    assert (error["class"], error["status"], error["retry_after"]) == ("RateLimitError", 429, "11")
    assert error["body"]["error"]["type"] == "rate_limit_error"
    assert error["request_id"]


@pytest.mark.failure(95, 115)
@pytest.mark.parametrize("way", ["create", "stream"])
def test_overflow(seen: Any, way: str) -> None:
    error = seen["overflow"][way]
    assert (error["class"], error["status"]) == ("BadRequestError", 400)
    assert "exceed context limit: 99645 + 8192 > 102400" in error["body"]["error"]["message"] or (
        "prompt is too long: " in error["body"]["error"]["message"]
    )
    assert OVERFLOW not in error["body"]["error"]["message"]


@pytest.mark.failure(112, 117)
@pytest.mark.parametrize("way", ["create", "stream"])
def test_unknown_model(seen: Any, way: str) -> None:
    error = seen["unknown"][way]
    assert (error["class"], error["status"]) == ("NotFoundError", 404)
    assert "sonnet" in json.dumps(error["body"])
    assert "lab/*" in json.dumps(error["body"])


@pytest.mark.parametrize("way", ["create", "stream"])
def test_refused_key(seen: Any, way: str) -> None:
    assert seen["locked"][way]["class"] == "AuthenticationError"


@pytest.mark.failure(94, 97, 127)
def test_a_cut_stream_is_an_error(seen: Any) -> None:
    assert seen["broken"]["class"] is not None
    assert seen["broken"]["body"]["error"]["type"] == "api_error"


def test_no_messages(seen: Any) -> None:
    assert seen["empty"]["class"] == "BadRequestError"
