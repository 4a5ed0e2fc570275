"""What the models behind the families cannot do that clients ask for, so that nobody looks for it in the gateway.

Each language is asked for the call that it would make; nothing is sent.
"""

from typing import Any

import msgspec

from dragoman.config.names import FAMILIES
from dragoman.config.settings import Config
from dragoman.dialects import DIALECTS
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode
from dragoman.routing import Router

_PICTURE = (  # one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_PDF = "JVBERi0xLjQKMSAwIG9iago8PC9UeXBlL0NhdGFsb2c+PgplbmRvYmoKdHJhaWxlcgo8PC9Sb290IDEgMCBSPj4K"


def _attached(kind: str, media_type: str, content: str) -> dict[str, Any]:
    block = {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": content}}
    return {"messages": [{"role": "user", "content": [block, {"type": "text", "text": "What is it?"}]}]}


ASKED: dict[str, dict[str, Any]] = {
    "tools": {"tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}]},
    "images": _attached("image", "image/png", _PICTURE),
    "PDF": _attached("document", "application/pdf", _PDF),
    "web search": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "web fetch": {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]},
    "code execution": {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
}
"""What people know it as -> the fields of a request that asks for it."""


def lacks(target: Target) -> list[str]:
    """What of `ASKED` the target refuses, or would never see."""
    found = []
    for name, fields in ASKED.items():
        body = {"model": "x", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}], **fields}
        try:
            call = DIALECTS[target.dialect].call(decode(msgspec.json.encode(body)), target)
        except ApiError:
            found.append(name)
            continue
        if any(note.grade == "lost" for note in call.notes):
            found.append(name)
    return found


def lines(config: Config) -> list[str]:
    """One for each model behind a family that lacks something; none for the simulated one."""
    if config.demo:
        return []
    router = Router(config)
    found: dict[str, list[str]] = {}
    for family in FAMILIES:
        try:
            route = router.route(family)
        except ApiError:
            continue  # the table of models says why
        longer = [choice.slots[0] for group in route.overflow for choice in group]
        for target in (*route.targets, *longer):
            place = f"{target.provider}/{target.model}"
            if place not in found:
                found[place] = lacks(target)
    return [f"{place} has no {', '.join(missing)}" for place, missing in found.items() if missing]
