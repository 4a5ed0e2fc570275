"""Annotations of an answer that searched the web -> Messages citations.

https://platform.openai.com/docs/guides/tools-web-search?api-mode=chat
"""

from typing import Any


def citation(annotation: dict[str, Any], said: list[str] | None) -> dict[str, Any] | None:
    """None for an annotation of another kind. `said`: the text so far, where it is known; annotations are offsets."""
    found = annotation.get("url_citation")
    if not isinstance(found, dict) or not isinstance(found.get("url"), str):
        return None
    start, end = found.get("start_index"), found.get("end_index")
    cited = found.get("content")
    if said is not None and isinstance(start, int) and isinstance(end, int):
        cited = "".join(said)[max(start, 0) : max(end, 0)]
    return {
        "type": "web_search_result_location",
        "url": found["url"],
        "title": found.get("title") if isinstance(found.get("title"), str) else None,
        "cited_text": cited if isinstance(cited, str) else "",
        "encrypted_index": "",
    }
