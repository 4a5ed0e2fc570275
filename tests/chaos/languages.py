"""What an upstream says when all is well, in each language: recordings, and the pieces to make endless ones of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragoman.dialects.anthropic.quirks import Quirks as AnthropicQuirks
from dragoman.dialects.chat.quirks import Quirks as ChatQuirks
from dragoman.dialects.gemini.quirks import Quirks as GeminiQuirks
from dragoman.dialects.responses.quirks import Quirks as ResponsesQuirks

ANSWERS = Path(__file__).parents[1] / "cases" / "answers"


@dataclass(frozen=True)
class Language:
    """One upstream language. `opening`: frames of `stream` until content flows; `delta`: the frame that may repeat."""

    name: str
    mark: str  # in the path of its calls
    stream: bytes
    whole: bytes
    quirks: Any
    opening: bytes
    delta: bytes


def _language(name: str, mark: str, quirks: Any, *, stream: str, whole: str, opening: int) -> Language:
    recorded = (ANSWERS / name / stream).read_bytes().replace(b"\r\n", b"\n")
    frames = [frame + b"\n\n" for frame in recorded.split(b"\n\n") if frame.strip()]
    return Language(
        name=name,
        mark=mark,
        stream=recorded,
        whole=(ANSWERS / name / whole).read_bytes(),
        quirks=quirks,
        opening=b"".join(frames[: opening + 1]),
        delta=frames[opening],
    )


LANGUAGES = {
    each.name: each
    for each in (
        _language(
            "chat",
            "/chat/completions",
            ChatQuirks(),
            stream="groq-usage-aside.sse",
            whole="groq-usage-aside.json",
            opening=2,
        ),
        _language(
            "responses",
            "/responses",
            ResponsesQuirks(),
            stream="openrouter-done.sse",
            whole="azure-text.json",
            opening=4,
        ),
        _language(
            "gemini", "enerateContent", GeminiQuirks(), stream="studio-text.sse", whole="studio-text.json", opening=0
        ),
        _language(
            "anthropic",
            "/messages",
            AnthropicQuirks(),
            stream="alias.sse",
            whole="anthropic-thinking-and-tools.json",
            opening=2,
        ),
    )
}


def spoken(path: str) -> Language:
    """The language of a call, by its path; what is none of them is forwarded to an upstream of Messages."""
    return next((each for each in LANGUAGES.values() if each.mark in path), LANGUAGES["anthropic"])
