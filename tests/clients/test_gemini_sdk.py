"""The official SDKs, Python current and older, and TypeScript, in front of Gemini."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.conftest import WEATHER, client, program, run_json, started
from clients.responses_rules import Json
from clients.scripted_gemini import (
    Host,
    Output,
    called,
    counted,
    failure,
    hosting,
    results,
    retry_after,
    said,
    signatures,
    thought,
    words,
)
from features import PDF, PNG

PYTHON = str(Path(__file__).with_name("gemini_sdk.py"))
NODE = Path(__file__).with_name("gemini_sdk.mjs")
MEDIA = json.dumps({"image/png": PNG, "application/pdf": PDF})
KEY = "canary-gemini-key"
CONFIGURATION = """\
server:
  count_tokens: upstream
  retries: 0
providers:
  gemini:
    base_url: {url}
    api_key: "${{GEMINI_KEY}}"
"""
TEXT = "Kalimera from the Colossus — 日本語 🎉."
FOUND = "Ships 🚢 rest in the harbour, since 408 BC."
HARBOUR, ISLAND = "https://example.org/harbour", "https://example.org/island"
OVERFLOW = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."


def support(phrase: str, chunk: int) -> Json:
    """`phrase` of the text is from this source. Places are in bytes of UTF-8."""
    start = len(FOUND[: FOUND.index(phrase)].encode())
    segment = {"startIndex": start, "endIndex": start + len(phrase.encode()), "text": phrase}
    return {"segment": segment, "groundingChunkIndices": [chunk]}


GROUNDING = {
    "webSearchQueries": ["harbour of Rhodes"],
    "groundingChunks": [
        {"web": {"uri": uri, "title": title}} for uri, title in ((HARBOUR, "Harbour"), (ISLAND, "Island"))
    ],
    "groundingSupports": [support("the harbour", 0), support("408 BC", 1)],
}
ANSWERS = {
    "text": words(TEXT),
    "think": Output(
        parts=[thought("**Greeting**\n\nThe caller greets. "), thought("Greet back."), said("Hello there.")]
    ),
    "web": Output(parts=[thought("I must search."), said(FOUND)], grounding=GROUNDING),
    "count": words("one two three four five six"),
    "refuse": Output(parts=[said("First take a ")], finish="SAFETY"),
    "blocked": Output(blocked="PROHIBITED_CONTENT"),
    "long": Output(parts=[said("Half an answer")], finish="MAX_TOKENS"),
    "empty": Output(),
    "malformed": Output(finish="MALFORMED_FUNCTION_CALL", message="Malformed function call: print(weather("),
    "limited": failure(429, "Resource has been exhausted (e.g. check quota).", details=[retry_after(37)]),
    "overflow": failure(400, OVERFLOW),
    "late": Output(
        parts=[said("Half an answer")], finish=None, late={"code": 500, "message": "Out of luck.", "status": "INTERNAL"}
    ),
    "cut": Output(parts=[said("Half an answer, and more")], cut_after=2),
    "unfinished": Output(parts=[said("Half an answer")], finish=None),
}


class Brain:
    """Answers by what follows the family in the name of the model."""

    def __init__(self) -> None:
        self.empty = False

    def __call__(self, body: Json) -> Output:
        name = body["model"].removeprefix("gemini-3.1-pro-preview-").removeprefix("gemini-2.5-flash-")
        match name:
            case "json":
                return words(json.dumps({"city": body["generationConfig"]["responseMimeType"]}))
            case "see":
                parts = [part for content in body["contents"] for part in content["parts"]]
                return words(" ".join(part["inlineData"]["mimeType"] for part in parts if "inlineData" in part))
            case "tools":
                return tools(body)
            case "hops":
                if body.get("continuationToken") == "on":
                    return Output(parts=[said("the ends "), said("meet.")])
                return Output(
                    parts=[thought("A long way."), said("In the end ")], finish="CONTINUATION", continuation="on"
                )
            case "empty-once":
                self.empty = not self.empty
                return Output() if self.empty else words(TEXT)
        missing = failure(404, f"models/{name} is not found for API version v1beta.")
        return ANSWERS.get(name, missing)


def tools(body: Json) -> Output:
    """Two calls, two more, then words."""
    pair = [called("weather", WEATHER), called("weather", {"city": "Kos"})]
    match len(results(body)):
        case 0:
            return Output(parts=[thought("Two cities."), said("Let me look."), *pair])
        case 2:
            return Output(parts=[thought("Once more."), *pair])
        case _:
            return Output(parts=[thought("Both."), said("It is sunny in both.")])


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with hosting(Host(Brain(), key=KEY)) as running:
        yield running


@pytest.fixture(scope="module")
def url(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("gateway")
    (home / "dragoman.yaml").write_text(CONFIGURATION.format(url=host.url), "utf-8")
    with started(home, "--config", str(home / "dragoman.yaml"), GEMINI_KEY=KEY) as running:
        yield running
    assert KEY not in (home / "stdout").read_text("utf-8") + (home / "stderr").read_text("utf-8")


@pytest.fixture(scope="module", params=["python-2", "python-0", "node"])
def seen(request: pytest.FixtureRequest, url: str, host: Host) -> Any:
    name = request.param
    if name == "node":
        place = client("node", "node_modules", "@anthropic-ai", "sdk").parents[2]
        with NODE.open("rb") as script:
            result = run_json([program("node"), "--input-type=module", "-", url, MEDIA], cwd=place, stdin=script)
    else:
        result = run_json([str(client(name, "bin", "python")), PYTHON, url, MEDIA])
    assert not host.complaints
    return result


def blocks(message: Any, *kinds: str) -> list[Any]:
    return [block for block in message["content"] if block["type"] in kinds]


BOTH = pytest.mark.parametrize("way", ["created", "streamed"])


@pytest.mark.failure(57, 71)
@BOTH
def test_text(seen: Any, way: str) -> None:
    message = seen["text"][way]
    assert [block["text"] for block in message["content"]] == [TEXT]
    assert message["model"] == "gemini/gemini-3.1-pro-preview-text"
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["input_tokens"] > 0
    assert message["usage"]["output_tokens"] > 0


@pytest.mark.failure(48, 49, 52, 53, 78)
@BOTH
def test_tools_and_thinking_in_two_rounds(seen: Any, host: Host, way: str) -> None:
    first, second, last = seen["loop"][way]
    assert [block["type"] for block in first["content"]] == [
        "thinking", "text", "redacted_thinking", "tool_use", "tool_use",
    ]  # fmt: skip
    assert [block["type"] for block in second["content"]] == ["thinking", "tool_use", "tool_use"]
    assert [block["type"] for block in last["content"]] == ["thinking", "text"]
    assert [block["input"] for block in blocks(first, "tool_use")] == [WEATHER, {"city": "Kos"}]
    assert [message["stop_reason"] for message in (first, second, last)] == ["tool_use", "tool_use", "end_turn"]
    assert last["content"][-1]["text"] == "It is sunny in both."
    ids = [block["id"] for message in (first, second) for block in blocks(message, "tool_use")]
    assert len(set(ids)) == 4


@pytest.mark.failure(48, 52)
def test_what_the_loops_sent(seen: Any, host: Host) -> None:
    """Of each loop the last request: four results in their places, a signature for each step."""
    assert seen["loop"]
    loops = [body for body in host.requests if body["model"].endswith("-tools") and len(results(body)) == 4]
    assert loops
    for body in loops:
        three = body["model"].startswith("gemini-3")
        assert len(signatures(body)) == (2 if three else 0)
        answers = results(body)
        assert [answer["response"].keys() for answer in answers[:2]] == [{"error"}] * 2
        assert [[part["inlineData"]["mimeType"] for part in answer.get("parts", [])] for answer in answers[2:]] == (
            [["image/png", "application/pdf"]] * 2 if three else [[], []]
        )
        media = [part["inlineData"]["mimeType"] for part in body["contents"][-1]["parts"] if "inlineData" in part]
        assert media == ([] if three else ["image/png", "application/pdf"] * 2)
        assert body["contents"][-1]["parts"][-1] == {"text": "Go on."}


def test_an_older_model_in_a_loop(seen: Any) -> None:
    first, second, last = seen["older_loop"]
    assert [block["type"] for block in first["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert len(blocks(second, "tool_use")) == 2
    assert last["content"][-1]["text"] == "It is sunny in both."


@pytest.mark.failure(65, 68)
@BOTH
def test_thinking(seen: Any, way: str) -> None:
    thinking, text = seen["thinking"][way]["content"]
    assert thinking["thinking"] == "**Greeting**\n\nThe caller greets. Greet back."
    assert text["text"] == "Hello there."
    assert [block["type"] for block in seen["unasked"][way]["content"]] == ["text"]


@pytest.mark.failure(21)
@BOTH
def test_pictures_and_pdf(seen: Any, way: str) -> None:
    assert seen["media"][way]["content"][0]["text"] == "image/png application/pdf"


@pytest.mark.failure(41)
@BOTH
def test_structured_output(seen: Any, way: str) -> None:
    message = seen["structured"][way]
    assert json.loads(message["content"][0]["text"]) == {"city": "application/json"}
    assert message["stop_reason"] == "end_turn"


@BOTH
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
    assert seen["search"]["again"]["content"][-1]["text"] == TEXT


@pytest.mark.failure(40)
@BOTH
def test_stop_sequences(seen: Any, way: str) -> None:
    message = seen["stop"][way]
    assert message["content"][0]["text"] == "one two three four "
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "five")


@pytest.mark.failure(72, 98)
@BOTH
def test_refused_and_cut_answers(seen: Any, way: str) -> None:
    refused, blocked, cut = (seen[name][way] for name in ("refusal", "blocked", "long"))
    assert (refused["content"][0]["text"], refused["stop_reason"]) == ("First take a ", "refusal")
    assert blocked["stop_reason"] == "refusal"
    assert (cut["content"][0]["text"], cut["stop_reason"]) == ("Half an answer", "max_tokens")


@BOTH
def test_an_answer_in_two_hops(seen: Any, way: str) -> None:
    message = seen["hops"][way]
    assert "".join(block["text"] for block in blocks(message, "text")) == "In the end the ends meet."
    assert message["stop_reason"] == "end_turn"


@pytest.mark.failure(73)
@BOTH
def test_empty_answers_are_asked_for_again(seen: Any, way: str) -> None:
    assert seen["empty_once"][way]["content"][0]["text"] == TEXT
    assert seen["empty"][way]["content"] == []
    assert seen["empty"][way]["stop_reason"] == "end_turn"


@pytest.mark.failure(107)
def test_counting_is_exact(seen: Any, host: Host) -> None:
    assert seen["count"] == counted(host.counts[-1])
    assert "systemInstruction" in host.counts[-1]["generateContentRequest"]


def text_of(error: Any) -> str:
    return error["message"] if "message" in error else error["body"]["error"]["message"]


@pytest.mark.failure(119)
@pytest.mark.parametrize("way", ["create", "stream"])
def test_errors_with_a_status(seen: Any, way: str) -> None:
    assert (seen["limited"][way]["class"], seen["limited"][way]["status"]) == ("RateLimitError", 429)
    assert (seen["unknown"][way]["class"], seen["unknown"][way]["status"]) == ("NotFoundError", 404)


@pytest.mark.failure(95, 115)
@pytest.mark.parametrize("way", ["create", "stream"])
def test_overflow(seen: Any, way: str) -> None:
    error = seen["overflow"][way]
    assert (error["class"], error["status"]) == ("BadRequestError", 400)
    assert "prompt is too long: 1200000 tokens > 1048576 maximum" in text_of(error)


@pytest.mark.failure(73)
@pytest.mark.parametrize("way", ["create", "stream"])
def test_a_malformed_call_is_told(seen: Any, way: str) -> None:
    error = seen["malformed"][way]
    assert error["status"] >= 500
    assert "MALFORMED_FUNCTION_CALL" in text_of(error)


@pytest.mark.failure(94, 97, 98)
def test_a_failed_answer_is_an_error(seen: Any) -> None:
    for error in (seen["late"], seen["cut"], seen["unfinished"]):
        assert error["class"] is not None
    assert "Out of luck." in text_of(seen["late"])
