"""What Gemini looked up -> blocks and citations."""

import json
from typing import Any

import msgspec
import pytest

from dialects.gemini.test_gemini_answer import STOP, THOUGHTFUL, Reading, calls, frame, sse, text, thought
from dragoman.dialects.gemini.grounding import Sources
from dragoman.dialects.gemini.wire import Grounding, UrlContext
from dragoman.messages.events import (
    Message,
    RedactedThinkingBlock,
    ServerToolUsage,
    ServerToolUseBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    WebFetchError,
    WebFetchResult,
    WebFetchToolResultBlock,
    WebSearchResult,
    WebSearchToolResultBlock,
)

Json = dict[str, Any]
USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 2}


def chunk(url: str, title: str | None = None) -> Json:
    return {"web": {"uri": url, **({"title": title} if title else {})}}


def support(*numbers: int, said: str | None = None, start: int | None = None, end: int | None = None) -> Json:
    segment = {"startIndex": start, "endIndex": end, "text": said}
    return {"segment": segment, "groundingChunkIndices": [*numbers]}


def found(*chunks: Json, queries: tuple[str, ...] = (), supports: tuple[Json, ...] = ()) -> Json:
    names = {"webSearchQueries": queries, "groundingChunks": chunks, "groundingSupports": supports}
    return {"groundingMetadata": {name: [*each] for name, each in names.items() if each}}


A, B = chunk("https://a.b/", "A"), chunk("https://c.d/")
RESULT_A, RESULT_B = WebSearchResult("https://a.b/", "A"), WebSearchResult("https://c.d/", "https://c.d/")


def kinds(message: Message) -> list[type]:
    return [type(block) for block in message.content]


def cited(message: Message) -> list[tuple[str, str]]:
    return [
        (citation["url"], citation["cited_text"])
        for block in message.content
        if isinstance(block, TextBlock)
        for citation in block.citations or ()
    ]


def results(message: Message) -> list[WebSearchResult]:
    return [each for block in message.content if isinstance(block, WebSearchToolResultBlock) for each in block.content]


def asked(message: Message) -> list[Any]:
    return [json.loads(bytes(block.input)) for block in message.content if isinstance(block, ServerToolUseBlock)]


@pytest.mark.failure(24)
def test_a_search_is_told_behind_the_text_that_it_is_about() -> None:
    metadata = found(A, B, queries=("q", "r"), supports=(support(0, 1, said="größte"),))
    message = Reading().stream(sse(frame(text("Die größte.")), frame(reason="STOP", usage=USAGE, **metadata)))
    assert kinds(message) == [TextBlock, ServerToolUseBlock, WebSearchToolResultBlock]
    assert asked(message) == [{"query": "q; r"}]
    assert results(message) == [RESULT_A, RESULT_B]
    assert cited(message) == [("https://a.b/", "größte"), ("https://c.d/", "größte")]
    assert message.usage.server_tool_use == ServerToolUsage(web_search_requests=2)
    use, result = message.content[1:]
    assert isinstance(use, ServerToolUseBlock)
    assert isinstance(result, WebSearchToolResultBlock)
    assert use.id == result.tool_use_id
    assert use.id.startswith("srvtoolu_")


def test_it_is_told_in_front_of_a_text_that_has_not_begun() -> None:
    metadata = found(A, queries=("q",), supports=(support(0, said="a"),))
    one = frame(thought("hm", "S"), **metadata), frame(text("a"), text("b")), STOP
    message = Reading(THOUGHTFUL).stream(sse(*one))
    assert kinds(message) == [ServerToolUseBlock, WebSearchToolResultBlock, ThinkingBlock, TextBlock]
    assert cited(message) == [("https://a.b/", "a")]
    same = Reading().whole(json.dumps(frame(text("ab"), reason="STOP", **metadata)).encode())
    assert kinds(same) == [ServerToolUseBlock, WebSearchToolResultBlock, TextBlock]
    assert cited(same) == [("https://a.b/", "a")]


def test_signatures_that_wait_ride_in_front_of_it() -> None:
    message = Reading(THOUGHTFUL).stream(sse(frame(text("", "S")), frame(text("a"), **found(A)), STOP))
    assert kinds(message) == [RedactedThinkingBlock, ServerToolUseBlock, WebSearchToolResultBlock, TextBlock]


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (None, 11, "Die größt"),
        (4, 12, "größte"),
        (5, 7, "r"),  # and half an "ö"
        (20, 30, ""),
        (-5, -1, ""),
        (None, None, ""),
    ],
)
def test_offsets_count_bytes(start: int | None, end: int | None, said: str) -> None:
    metadata = found(A, supports=(support(0, start=start, end=end),))
    message = Reading().stream(sse(frame(text("Die grö")), frame(text("ßte.")), frame(reason="STOP", **metadata)))
    assert cited(message) == [("https://a.b/", said)]


def test_pieces_of_the_metadata_belong_together_and_repetitions_say_nothing() -> None:
    message = Reading().stream(
        sse(
            frame(text("ab"), groundingMetadata={}),
            frame(text("c"), **found(queries=("q",))),
            frame(text("d"), **found(A, B, queries=("q",))),
            frame(**found(A, B, supports=(support(1, said="b"),))),
            frame(**found(supports=(support(1, said="b"), support(0, 2, -1, said="c")))),
            frame(reason="STOP", usage=USAGE),
        )
    )
    assert asked(message) == [{"query": "q"}]
    assert results(message) == [RESULT_A, RESULT_B]
    assert cited(message) == [("https://c.d/", "b"), ("https://a.b/", "c")]
    assert message.usage.server_tool_use == ServerToolUsage(web_search_requests=1)


def test_what_is_found_later_is_told_later() -> None:
    message = Reading().stream(
        sse(frame(**found(A, queries=("q",))), frame(text("a")), frame(**found(A, B, queries=("q", "r"))), STOP)
    )
    assert asked(message) == [{"query": "q"}, {"query": "r"}]
    assert kinds(message)[2] is TextBlock
    assert results(message) == [RESULT_A, RESULT_B]


def test_a_search_without_results_is_told_at_the_end() -> None:
    message = Reading().stream(sse(frame(**found(queries=("q",))), frame(text("a")), STOP))
    assert kinds(message) == [TextBlock, ServerToolUseBlock, WebSearchToolResultBlock]
    assert results(message) == []


def test_what_is_no_page_is_passed_over() -> None:
    metadata = {
        "groundingMetadata": {"groundingChunks": [{"maps": {}}, {"web": {}}], "groundingSupports": [support(0), {}]}
    }
    message = Reading().stream(sse(frame(text("a"), reason="STOP", **metadata)))
    assert kinds(message) == [TextBlock]
    assert cited(message) == []


def test_citations_come_before_the_call_that_ends_their_text() -> None:
    metadata = found(A, supports=(support(0, said="a"),))
    message = Reading().stream(sse(frame(text("a")), frame(**metadata), frame(calls("A")), STOP))
    assert cited(message) == [("https://a.b/", "a")]
    assert kinds(message) == [TextBlock, ToolUseBlock, ServerToolUseBlock, WebSearchToolResultBlock]


def test_citations_behind_their_text_are_lost_and_noted() -> None:
    reading = Reading()
    metadata = found(A, supports=(support(0, said="a"),))
    message = reading.stream(sse(frame(text("a")), frame(calls("A")), frame(reason="STOP", **metadata)))
    assert cited(message) == []
    assert "citation.without_text" in reading.codes


def test_pages_that_were_read() -> None:
    pages = {
        "https://a.b/1": "URL_RETRIEVAL_STATUS_SUCCESS",
        "https://a.b/2": "URL_RETRIEVAL_STATUS_ERROR",
        "https://a.b/3": "URL_RETRIEVAL_STATUS_PAYWALL",
        "https://a.b/4": "URL_RETRIEVAL_STATUS_UNSAFE",
        "https://a.b/5": None,
    }
    told = [{"retrievedUrl": url, "urlRetrievalStatus": status} for url, status in pages.items()]
    metadata = {"urlContextMetadata": {"urlMetadata": [*told, {}]}}
    message = Reading().stream(
        sse(frame(text("a"), urlContextMetadata={}), frame(**metadata), frame(reason="STOP", usage=USAGE, **metadata))
    )
    assert asked(message) == [{"url": url} for url in pages]
    read = [block.content for block in message.content if isinstance(block, WebFetchToolResultBlock)]
    assert read == [
        WebFetchResult("https://a.b/1"),
        WebFetchError("url_not_accessible"),
        WebFetchError("url_not_accessible"),
        WebFetchError("url_not_allowed"),
        WebFetchResult("https://a.b/5"),
    ]
    assert message.usage.server_tool_use == ServerToolUsage(web_fetch_requests=5)
    names = [block.name for block in message.content if isinstance(block, ServerToolUseBlock)]
    assert names == ["web_fetch"] * 5


def test_pages_that_were_read_later_are_told_later() -> None:
    first, second = {"retrievedUrl": "https://a.b/1"}, {"retrievedUrl": "https://a.b/2"}
    message = Reading().stream(
        sse(
            frame(urlContextMetadata={"urlMetadata": [first]}),
            frame(text("a")),
            frame(reason="STOP", urlContextMetadata={"urlMetadata": [first, second]}),
        )
    )
    assert asked(message) == [{"url": "https://a.b/1"}, {"url": "https://a.b/2"}]
    assert kinds(message)[2] is TextBlock


def test_ids_differ_between_answers_and_blocks() -> None:
    metadata = msgspec.convert(found(A, queries=("q",))["groundingMetadata"], Grounding)
    pages = msgspec.convert({"urlMetadata": [{"retrievedUrl": "https://a.b/"}]}, UrlContext)
    ids: list[str] = []
    for seed in ("one", "two"):
        sources = Sources()
        sources.add(metadata, pages, [])
        ids += [block.id for block in sources.blocks(seed, final=True) if isinstance(block, ServerToolUseBlock)]
    assert len(set(ids)) == len(ids) == 4


def test_recitations_are_noted() -> None:
    reading = Reading()
    reading.stream(sse(frame(text("a"), reason="STOP", citationMetadata={"citationSources": [{"uri": "https://a.b"}]})))
    assert "citation_metadata" in reading.codes
    reading = Reading()
    reading.stream(sse(frame(text("a"), reason="STOP", citationMetadata={})))
    assert "citation_metadata" not in reading.codes
