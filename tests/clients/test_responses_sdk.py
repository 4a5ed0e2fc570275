"""The official SDKs, Python current and older, and TypeScript, in front of OpenAI Responses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.conftest import WEATHER, client, program, run_json, started
from clients.responses_rules import Json
from clients.scripted_responses import (
    Host,
    Output,
    called,
    citation,
    counted,
    declined,
    failure,
    hosting,
    opened,
    said,
    searched,
    thought,
    words,
)

PYTHON = str(Path(__file__).with_name("responses_sdk.py"))
NODE = Path(__file__).with_name("responses_sdk.mjs")
KEY = "canary-openai-key"
CONFIGURATION = """\
server:
  count_tokens: upstream
  retries: 0
providers:
  openai:
    base_url: {url}
    api_key: "${{OPENAI_KEY}}"
"""
TEXT = "Kalimera from the Colossus — 日本語 🎉."
FOUND = "Ships 🚢 rest in the harbour, since 408 BC."
HARBOUR, ISLAND = "https://example.org/harbour", "https://example.org/island"
TOO_LONG = "Your input exceeds the context window of this model. Please adjust your input and try again."
OVERFLOW = {"code": "context_length_exceeded", "message": TOO_LONG}


LINKS = [citation(FOUND, "the harbour", HARBOUR, "Harbour"), citation(FOUND, "408 BC", ISLAND, "Island")]
BROKEN = {"code": "server_error", "message": "Out of luck."}
ANSWERS = {
    "text": words(TEXT),
    "think": Output(items=[thought("**Greeting**\n\nThe caller greets.", "Greet back."), said("Hello there.")]),
    "web": Output(
        items=[
            thought("I must search."),
            searched("harbour of Rhodes", HARBOUR, ISLAND),
            thought("I read it."),
            opened(HARBOUR),
            thought("Found."),
            said(FOUND, *LINKS),
        ]
    ),
    "count": words("one two three four five six"),
    "refuse": Output(items=[declined("I cannot help with that.")]),
    "long": Output(items=[said("Half an answer")], incomplete="max_output_tokens"),
    "limited": failure(429, "Slow down.", code="rate_limit_exceeded"),
    "overflow": failure(400, TOO_LONG, code="context_length_exceeded"),
    "late-overflow": Output(failed=OVERFLOW),
    "failed": Output(items=[said("Half an answer")], failed=BROKEN),
    "error-event": Output(items=[said("Half")], event=BROKEN),
    "cut": Output(items=[said("Half an answer")], cut_after=6),
}


def brain(body: Json) -> Output:
    """Answers by the name of the model."""
    name = body["model"].removeprefix("gpt-5.5-")
    if name == "json":
        return words(json.dumps({"city": body["text"]["format"]["type"]}))
    if name == "tools":
        if any(item.get("type") == "function_call_output" for item in body["input"]):
            return Output(items=[thought("Both."), said("It is sunny in both.")])
        calls = [called("weather", WEATHER), called("weather", {"city": "Kos"})]
        return Output(items=[thought("Two cities."), said("Let me look."), thought(), *calls])
    missing = failure(404, f"The model `{name}` does not exist.", code="model_not_found")
    return ANSWERS.get(name, missing)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with hosting(Host(brain, key=KEY)) as running:
        yield running


@pytest.fixture(scope="module")
def url(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("gateway")
    (home / "dragoman.yaml").write_text(CONFIGURATION.format(url=host.url), "utf-8")
    with started(home, "--config", str(home / "dragoman.yaml"), OPENAI_KEY=KEY) as running:
        yield running
    assert KEY not in (home / "stdout").read_text("utf-8") + (home / "stderr").read_text("utf-8")


@pytest.fixture(scope="module", params=["python-2", "python-0", "node"])
def seen(request: pytest.FixtureRequest, url: str, host: Host) -> Any:
    name = request.param
    if name == "node":
        place = client("node", "node_modules", "@anthropic-ai", "sdk").parents[2]
        with NODE.open("rb") as script:
            result = run_json([program("node"), "--input-type=module", "-", url], cwd=place, stdin=script)
    else:
        result = run_json([str(client(name, "bin", "python")), PYTHON, url])
    assert not host.complaints
    return result


def blocks(message: Any, *kinds: str) -> list[Any]:
    return [block for block in message["content"] if block["type"] in kinds]


@pytest.mark.failure(57, 71)
@pytest.mark.parametrize("way", ["created", "streamed"])
def test_text(seen: Any, way: str) -> None:
    message = seen["text"][way]
    assert [block["text"] for block in message["content"]] == [TEXT]
    assert message["model"] == "openai/gpt-5.5-text"
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["input_tokens"] > 0
    assert message["usage"]["output_tokens"] > 0


@pytest.mark.failure(43, 80)
def test_tools_and_thinking_in_a_loop(seen: Any) -> None:
    first = seen["tool_loop"]["first"]
    kinds = [block["type"] for block in first["content"]]
    assert kinds == ["thinking", "text", "redacted_thinking", "tool_use", "tool_use"]
    assert [block["input"] for block in blocks(first, "tool_use")] == [WEATHER, {"city": "Kos"}]
    assert first["stop_reason"] == "tool_use"
    second = seen["tool_loop"]["second"]
    assert [block["type"] for block in second["content"]] == ["thinking", "text"]
    assert second["content"][-1]["text"] == "It is sunny in both."


@pytest.mark.failure(65, 68)
@pytest.mark.parametrize("way", ["created", "streamed"])
def test_thinking(seen: Any, way: str) -> None:
    thinking, text = seen["thinking"][way]["content"]
    assert thinking["thinking"] == "**Greeting**\n\nThe caller greets.\n\nGreet back."
    assert thinking["signature"].startswith("dragoman1.responses.")
    assert text["text"] == "Hello there."
    assert [block["type"] for block in seen["unasked"][way]["content"]] == ["text"]


@pytest.mark.failure(41)
@pytest.mark.parametrize("way", ["created", "streamed"])
def test_structured_output(seen: Any, way: str) -> None:
    message = seen["structured"][way]
    assert json.loads(message["content"][0]["text"]) == {"city": "json_schema"}
    assert message["stop_reason"] == "end_turn"


@pytest.mark.parametrize("way", ["created", "streamed"])
def test_web_search(seen: Any, way: str) -> None:
    message = seen["search"][way]
    use, result = blocks(message, "server_tool_use", "web_search_tool_result")
    assert use["name"] == "web_search"
    assert use["input"] == {"query": "harbour of Rhodes"}
    assert result["tool_use_id"] == use["id"]
    assert [found["url"] for found in result["content"]] == [HARBOUR, ISLAND]
    texts = blocks(message, "text")
    assert "".join(block["text"] for block in texts) == FOUND
    cited = [link for block in texts for link in block.get("citations") or []]
    assert [(link["url"], link["cited_text"]) for link in cited] == [(HARBOUR, "the harbour"), (ISLAND, "408 BC")]
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["server_tool_use"]["web_search_requests"] == 1


def test_a_history_with_a_search_is_taken(seen: Any) -> None:
    assert seen["search"]["again"]["content"][0]["text"] == TEXT


@pytest.mark.failure(40)
@pytest.mark.parametrize("way", ["created", "streamed"])
def test_stop_sequences(seen: Any, way: str) -> None:
    message = seen["stop"][way]
    assert message["content"][0]["text"] == "one two three four "
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "five")


@pytest.mark.failure(72, 98)
@pytest.mark.parametrize("way", ["created", "streamed"])
def test_refused_and_cut_answers(seen: Any, way: str) -> None:
    refused, cut = seen["refusal"][way], seen["long"][way]
    assert (refused["content"][0]["text"], refused["stop_reason"]) == ("I cannot help with that.", "refusal")
    assert (cut["content"][0]["text"], cut["stop_reason"]) == ("Half an answer", "max_tokens")


@pytest.mark.failure(107)
def test_counting_is_exact(seen: Any, host: Host) -> None:
    assert seen["count"] == counted(host.counts[-1])


def text_of(error: Any) -> str:
    return error["message"] if "message" in error else error["body"]["error"]["message"]


@pytest.mark.failure(119)
@pytest.mark.parametrize("way", ["create", "stream"])
def test_errors_with_a_status(seen: Any, way: str) -> None:
    assert (seen["limited"][way]["class"], seen["limited"][way]["status"]) == ("RateLimitError", 429)
    assert (seen["unknown"][way]["class"], seen["unknown"][way]["status"]) == ("NotFoundError", 404)


@pytest.mark.failure(95, 115)
@pytest.mark.parametrize("case", ["overflow", "late_overflow"])
@pytest.mark.parametrize("way", ["create", "stream"])
def test_overflow(seen: Any, case: str, way: str) -> None:
    error = seen[case][way]
    assert (error["class"], error["status"]) == ("BadRequestError", 400)
    assert "prompt is too long" in text_of(error)


@pytest.mark.failure(94, 97, 98)
def test_a_failed_answer_is_an_error(seen: Any) -> None:
    for error in (seen["failed"]["create"], seen["failed"]["stream"], seen["error_event"], seen["cut"]):
        assert error["class"] is not None
    assert seen["failed"]["create"]["status"] >= 500
    assert "Out of luck." in text_of(seen["failed"]["stream"])
    assert "Out of luck." in text_of(seen["error_event"])
