"""What servers send of their reasoning beside its text: OpenRouter's details, lists of text parts, Gemini's signatures.

https://openrouter.ai/docs/use-cases/reasoning-tokens
"""

from typing import Any


def keep(kept: list[dict[str, Any]], details: list[dict[str, Any]]) -> None:
    """Add to what is kept. OpenRouter wants details back as they were; the pieces of one item become one again."""
    for item in details:
        last = kept[-1] if kept else None
        if last is None or not _continues(last, item):
            kept.append(dict(item))
            continue
        for name, value in item.items():
            if name in ("text", "summary") and isinstance(last.get(name), str) and isinstance(value, str):
                last[name] += value
            elif value is not None:
                last[name] = value


def plain(value: Any) -> str:
    """The text of a string, or of a list of text parts."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    return "".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))


def thought_signature(extra: dict[str, Any]) -> str | None:
    """Gemini's, of a call, in the extra content of its compatible endpoint."""
    google = extra.get("google")
    found = google.get("thought_signature") if isinstance(google, dict) else None
    return found if isinstance(found, str) else None


def _continues(last: dict[str, Any], item: dict[str, Any]) -> bool:
    """Whether a reasoning detail is the next piece of the last one."""
    kind = item.get("type")
    if kind not in ("reasoning.text", "reasoning.summary") or kind != last.get("type"):
        return False
    if item.get("index") != last.get("index"):
        return False
    return item.get("id") in (None, last.get("id")) or last.get("id") is None
