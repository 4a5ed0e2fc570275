"""The official TypeScript SDK against the real server."""

from pathlib import Path
from typing import Any

import pytest

from clients.conftest import WEATHER, client, program, run_json
from clients.scripted import Upstream

SCRIPT = Path(__file__).with_name("node_sdk.mjs")


@pytest.fixture(scope="module")
def seen(gateway: str, upstream: Upstream) -> Any:
    place = client("node", "node_modules", "@anthropic-ai", "sdk").parents[2]
    # From stdin, so that the SDK is found from the working directory.
    with SCRIPT.open("rb") as script:
        result = run_json([program("node"), "--input-type=module", "-", gateway], cwd=place, stdin=script)
    assert not upstream.complaints
    return result


@pytest.mark.failure(105)
def test_create_and_stream(seen: Any) -> None:
    assert seen["created"]["content"] == [{"type": "text", "text": "Kalimera from the Colossus — 日本語 🎉."}]
    assert [block["text"] for block in seen["text"]["content"]] == [seen["created"]["content"][0]["text"]]
    assert seen["created"]["usage"]["input_tokens"] == seen["text"]["usage"]["input_tokens"] == 120


@pytest.mark.failure(80, 167)
def test_tool_loop(seen: Any) -> None:
    assert [block["input"] for block in seen["called"]["content"] if block["type"] == "tool_use"] == [
        WEATHER,
        {"city": "Kos"},
    ]
    assert seen["called"]["stop_reason"] == "tool_use"
    assert seen["followed"]["content"][0]["text"] == "It is sunny in both."


@pytest.mark.failure(65)
def test_thinking(seen: Any) -> None:
    assert [block["type"] for block in seen["thought"]["content"]] == ["thinking", "text"]
    assert seen["thought"]["content"][0]["signature"]


def test_counting_and_models(seen: Any) -> None:
    assert 10 < seen["counted"] < 400
    assert seen["listed"]


@pytest.mark.failure(94, 115, 119)
def test_errors(seen: Any) -> None:
    assert seen["limited"]["status"] == 429
    assert seen["overflow"]["status"] == 400
    assert seen["unknown"]["status"] == 404
    assert seen["broken"]["class"] is not None
