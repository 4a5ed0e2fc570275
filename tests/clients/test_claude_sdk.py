"""The official SDKs, Python current and older, and TypeScript, in front of a Claude that looks at everything."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.claude_rules import EXTRA, NEW, OLD
from clients.conftest import WEATHER, client, program, run_json, started
from clients.responses_rules import Json
from clients.scripted_claude import (
    LIMITS,
    Host,
    Output,
    called,
    counted,
    failure,
    hidden,
    hosting,
    results,
    said,
    searched,
    thought,
    thoughts,
    words,
)
from features import PDF, PNG

PYTHON = str(Path(__file__).with_name("claude_sdk.py"))
NODE = Path(__file__).with_name("claude_sdk.mjs")
MEDIA = json.dumps({"image/png": PNG, "application/pdf": PDF})
KEY = "sk-ant-canary-upstream"
CONFIGURATION = """\
server:
  retries: 0
providers:
  anthropic:
    base_url: {url}
    api_key: "${{CLAUDE_KEY}}"
models:
  swift-tools: anthropic/claude-opus-4-8-tools
"""
TEXT = "Kalimera from the Colossus — 日本語 🎉."
FOUND, HARBOUR = "Ships 🚢 rest in the harbour.", "https://example.org/harbour"
OVERFLOW = "prompt is too long: 1200000 tokens > 1000000 maximum"
LATE: Json = {"type": "overloaded_error", "message": "Overloaded"}
ANSWERS = {
    "text": words(TEXT),
    "json": words(json.dumps(WEATHER)),
    "web": Output(blocks=searched("harbour of Rhodes", {HARBOUR: "Harbour"}, FOUND)),
    "limited": failure(429, "This request would exceed your rate limit.", retry_after="73"),
    "overflow": failure(400, OVERFLOW),
    "late": Output(blocks=[said("Half an answer")], late=LATE, pause=0.05),
    "cut": Output(blocks=[said("Half an answer, and more")], cut_after=4, pause=0.05),
}


def brain(body: Json) -> Output:
    name = body["model"].rpartition("-")[2]
    if name != "tools":
        return ANSWERS[name]
    pair = [called("weather", WEATHER), called("weather", {"city": "Kos"})]
    match len(results(body)):
        case 0:
            return Output(blocks=[thought("Two cities. "), hidden("x"), said("Let me look."), thought("Now."), *pair])
        case 2:
            return Output(blocks=[thought("Once more."), *pair])
        case _:
            return Output(blocks=[thought("Both."), said("It is sunny in both.")])


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with hosting(Host(brain, key=KEY)) as running:
        yield running


@pytest.fixture(scope="module")
def url(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("gateway")
    (home / "dragoman.yaml").write_text(CONFIGURATION.format(url=host.url), "utf-8")
    with started(home, "--config", str(home / "dragoman.yaml"), CLAUDE_KEY=KEY) as running:
        yield running
    assert KEY not in (home / "stdout").read_text("utf-8") + (home / "stderr").read_text("utf-8")


@pytest.fixture(scope="module", params=["python-2", "python-0", "node"])
def seen(request: pytest.FixtureRequest, url: str, host: Host) -> Any:
    name = request.param
    host.asked.clear()
    host.requests.clear()
    host.complaints.clear()
    if name == "node":
        place = client("node", "node_modules", "@anthropic-ai", "sdk").parents[2]
        with NODE.open("rb") as script:
            result = run_json([program("node"), "--input-type=module", "-", url, MEDIA], cwd=place, stdin=script)
    else:
        result = run_json([str(client(name, "bin", "python")), PYTHON, url, MEDIA])
    assert host.complaints == [f"hologram: {EXTRA}"] * 2
    return result


BOTH = pytest.mark.parametrize("way", ["created", "streamed"])
MODELS = pytest.mark.parametrize("model", ["claude-opus-4-8", "claude-opus-5-5", "claude-sonnet-4-6", "swift"])


@BOTH
def test_text(seen: Any, way: str) -> None:
    message = seen["text"][way]
    assert [block["text"] for block in message["content"]] == [TEXT]
    assert message["model"] == "claude-opus-4-8-text"
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["input_tokens"] > 0
    assert seen["text"]["request_id"].startswith("req_01")


@pytest.mark.failure(68, 69, 171)
@MODELS
@pytest.mark.parametrize("way", ["loop", "streamed_loop"])
def test_tools_and_thinking_in_two_rounds(seen: Any, way: str, model: str) -> None:
    first, second, last = seen[way][model]
    kinds = ["thinking", "redacted_thinking", "text", "thinking", "tool_use", "tool_use"]
    assert [block["type"] for block in first["content"]] == kinds
    assert [block["type"] for block in second["content"]] == ["thinking", "tool_use", "tool_use"]
    assert [block["input"] for block in second["content"][1:]] == [WEATHER, {"city": "Kos"}]
    assert first["content"][0]["thinking"] == "Two cities. "
    assert last["content"][-1]["text"] == "It is sunny in both."
    assert {message["model"] for message in (first, second, last)} == {f"{model}-tools"}


@pytest.mark.failure(39, 69)
def test_what_the_sdks_send_arrives(seen: Any, host: Host) -> None:
    loops = [body for body in host.requests if body["model"].endswith("-tools")]
    assert [len(results(body)) for body in loops] == [0, 2, 4] * 8
    assert [len(thoughts(body)) for body in loops] == [0, 3, 4] * 8
    for asked in host.asked:
        headers = asked.named
        assert headers["anthropic-version"] in (OLD, NEW)
        assert headers["x-api-key"] == KEY
        assert "authorization" not in headers
        assert headers["user-agent"].startswith("Anthropic/")
        assert "x-stainless-lang" in headers
    beta = [asked for asked in host.asked if asked.betas]
    assert {asked.betas[0] for asked in beta} == {"context-management-2025-06-27"}
    assert len(beta) == 2


def test_web_search(seen: Any) -> None:
    use, result, text = seen["search"]["streamed"]["content"]
    assert use["input"] == {"query": "harbour of Rhodes"}
    assert result["tool_use_id"] == use["id"]
    assert text["text"] == FOUND
    assert [link["url"] for link in text["citations"]] == [HARBOUR]
    assert seen["search"]["again"]["content"][0]["text"] == TEXT


@BOTH
def test_structured_output(seen: Any, way: str) -> None:
    assert seen["structured"][way] == "Rhodes"


@pytest.mark.failure(38, 39)
@BOTH
def test_betas(seen: Any, way: str) -> None:
    assert seen["beta"][way]["content"][0]["text"] == TEXT


@pytest.mark.failure(107)
def test_counting(seen: Any, host: Host) -> None:
    assert seen["count"] == counted(host.counts[-1])


@pytest.mark.failure(118)
def test_limits_are_told(seen: Any) -> None:
    assert seen["limits"].items() >= LIMITS.items()
    assert seen["limits"]["request-id"].startswith("req_01")


WAYS = pytest.mark.parametrize("way", ["create", "stream"])


@pytest.mark.failure(118)
@WAYS
def test_errors_with_a_status(seen: Any, way: str) -> None:
    limited, unknown, overflow = (seen[name][way] for name in ("limited", "unknown", "overflow"))
    assert (limited["class"], limited["status"], limited["retry-after"]) == ("RateLimitError", 429, "73")
    assert limited["request_id"] == "req_failed"
    assert limited["x-should-retry"] is None
    assert unknown["class"] == overflow["class"] == "BadRequestError"
    assert unknown["body"]["error"]["message"] == f"hologram: {EXTRA}"
    assert overflow["body"]["error"]["message"] == OVERFLOW


@pytest.mark.failure(94, 118)
def test_a_failed_answer_is_an_error(seen: Any) -> None:
    late = seen["late"]["body"]
    assert late.get("error", late) == LATE
    assert seen["cut"]["class"] is not None
