"""The web search that a Responses server runs itself -> the blocks that Messages has for it.

The pages' own text stays there: results are addresses and titles, and their `encrypted_content` is empty.
https://platform.openai.com/docs/guides/tools-web-search
"""

from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw

from dragoman.dialects.responses.wire import Item
from dragoman.messages.events import ContentBlock, ServerToolUseBlock, WebSearchResult, WebSearchToolResultBlock


def blocks(item: Item, number: int) -> list[ContentBlock]:
    """A finished search as its use and its result; [] for a page that was opened or looked through.

    `number`: of the item in its answer, for servers that give no id.
    """
    action = item.action or {}
    if action.get("type", "search") != "search":
        return []
    digest = sha256((item.id or str(number)).encode("utf-8", "replace")).hexdigest()
    use_id = f"srvtoolu_{digest[:24]}"
    sources = action.get("sources")
    found = [_result(each) for each in sources if _address(each)] if isinstance(sources, list) else []
    asked = Raw(msgspec.json.encode({"query": _query(action)}))
    return [ServerToolUseBlock(use_id, "web_search", asked), WebSearchToolResultBlock(use_id, found)]


def citation(annotation: dict[str, Any], said: str) -> dict[str, Any] | None:
    """A citation for `url_citation`; None for the other annotations. `said`: the text that it points into."""
    url = _address(annotation)
    if annotation.get("type") != "url_citation" or url is None:
        return None
    start, end, title = annotation.get("start_index"), annotation.get("end_index"), annotation.get("title")
    cited = said[max(start, 0) : max(end, 0)] if isinstance(start, int) and isinstance(end, int) else ""
    return {
        "type": "web_search_result_location",
        "url": url,
        "title": title if isinstance(title, str) else None,
        "cited_text": cited,
        "encrypted_index": "",
    }


def _query(action: dict[str, Any]) -> str:
    query, queries = action.get("query"), action.get("queries")
    if isinstance(query, str) and query:
        return query
    return "; ".join(each for each in queries if isinstance(each, str)) if isinstance(queries, list) else ""


def _address(source: Any) -> str | None:
    url = source.get("url") if isinstance(source, dict) else None
    return url if isinstance(url, str) else None


def _result(source: dict[str, Any]) -> WebSearchResult:
    title = source.get("title")
    return WebSearchResult(url=source["url"], title=title if isinstance(title, str) else source["url"])
