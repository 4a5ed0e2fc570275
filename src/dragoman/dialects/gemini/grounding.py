"""What Gemini looked up on the web itself -> the blocks that Messages has for it, and citations of the text.

The metadata comes with the last frames of a stream, sometimes in pieces, sometimes again and again. The pages' own text
stays with the upstream: results are addresses and titles, and their `encrypted_content` is empty. Addresses are links
of Google that lead to the page.
https://ai.google.dev/gemini-api/docs/google-search and https://ai.google.dev/gemini-api/docs/url-context
"""

from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw

from dragoman.dialects.gemini.wire import Grounding, Segment, Source, Support, UrlContext
from dragoman.messages.events import (
    ContentBlock,
    ServerToolUseBlock,
    WebFetchError,
    WebFetchResult,
    WebFetchToolResultBlock,
    WebSearchResult,
    WebSearchToolResultBlock,
)

# https://ai.google.dev/api/generate-content#UrlRetrievalStatus
FETCH_ERROR = {
    "URL_RETRIEVAL_STATUS_ERROR": "url_not_accessible",
    "URL_RETRIEVAL_STATUS_PAYWALL": "url_not_accessible",
    "URL_RETRIEVAL_STATUS_UNSAFE": "url_not_allowed",
}


class Sources:
    """The searches and pages of one answer, and which text rests on them."""

    def __init__(self) -> None:
        self._queries: list[str] = []
        self._results: dict[str, WebSearchResult] = {}  # by address, in the order of the first mention
        self._pages: dict[str, str] = {}  # address -> how reading it went
        self._citations: dict[tuple[str, str], dict[str, Any]] = {}  # by address and text
        self._chunks: list[Source] = []  # what the numbers in supports mean
        # How many of each were told
        self._told_queries = 0
        self._told_results = 0
        self._told_pages = 0
        self._told_citations = 0

    @property
    def searches(self) -> int:
        return len(self._queries)

    @property
    def fetches(self) -> int:
        return len(self._pages)

    def add(self, grounding: Grounding | None, pages: UrlContext | None, said: list[str]) -> None:
        """The metadata of one frame. `said`: the pieces of the whole text so far."""
        for page in (pages.url_metadata if pages is not None else None) or ():
            if page.retrieved_url:
                self._pages[page.retrieved_url] = page.url_retrieval_status or ""
        if grounding is None:
            return
        self._queries += [each for each in grounding.web_search_queries or () if each not in self._queries]
        if grounding.grounding_chunks:
            self._chunks = grounding.grounding_chunks
            for result in filter(None, map(_result, self._chunks)):
                self._results.setdefault(result.url, result)
        if grounding.grounding_supports:
            text = "".join(said).encode("utf-8", "replace")
            for support in grounding.grounding_supports:
                self._cite(support, text)

    def blocks(self, seed: str, *, final: bool) -> list[ContentBlock]:
        """What was looked up and not told yet, as uses and results.

        `seed`: what makes their ids differ from those of other answers. `final`: a search that found nothing is told,
        too: its results do not come any more.
        """
        blocks: list[ContentBlock] = []
        if not self._results and not self._queries and not self._pages:
            return blocks
        results = list(self._results.values())[self._told_results :]
        queries = self._queries[self._told_queries :]
        if results or (queries and final):
            # Nothing says which query found what.
            use_id = _use_id(seed, "search", str(self._told_results), *queries)
            blocks.append(ServerToolUseBlock(use_id, "web_search", _json({"query": "; ".join(queries)})))
            blocks.append(WebSearchToolResultBlock(use_id, results))
            self._told_queries, self._told_results = len(self._queries), len(self._results)
        for number, (url, status) in enumerate(self._pages.items()):
            if number < self._told_pages:
                continue
            use_id = _use_id(seed, "fetch", str(number), url)
            error = FETCH_ERROR.get(status)
            blocks.append(ServerToolUseBlock(use_id, "web_fetch", _json({"url": url})))
            result = WebFetchError(error) if error is not None else WebFetchResult(url)
            blocks.append(WebFetchToolResultBlock(use_id, result))
        self._told_pages = len(self._pages)
        return blocks

    def citations(self) -> list[dict[str, Any]]:
        """Those that were not told yet."""
        if not self._citations:
            return []
        new = list(self._citations.values())[self._told_citations :]
        self._told_citations += len(new)
        return new

    def _cite(self, support: Support, text: bytes) -> None:
        cited = _cited_text(support.segment or Segment(), text)
        for number in support.grounding_chunk_indices or ():
            result = _result(self._chunks[number]) if 0 <= number < len(self._chunks) else None
            if result is not None:
                citation = {
                    "type": "web_search_result_location",
                    "url": result.url,
                    "title": result.title,
                    "cited_text": cited,
                    "encrypted_index": "",
                }
                self._citations.setdefault((result.url, cited), citation)


def _cited_text(segment: Segment, text: bytes) -> str:
    """What a segment is about: it says so itself, and where it does not, its offsets count the bytes of the text."""
    if segment.text:
        return segment.text
    start, end = max(segment.start_index or 0, 0), max(segment.end_index or 0, 0)
    return text[start:end].decode("utf-8", "ignore")


def _result(source: Source) -> WebSearchResult | None:
    page = source.web
    if page is None or not page.uri:
        return None
    return WebSearchResult(url=page.uri, title=page.title or page.uri)


def _use_id(*parts: str) -> str:
    digest = sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
    return f"srvtoolu_{digest[:24]}"


def _json(value: dict[str, str]) -> Raw:
    return Raw(msgspec.json.encode(value))
