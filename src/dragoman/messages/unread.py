"""Names in a request that no type here has: decoding passes over them, `explain` lists them.

Clients send fields that nobody documented, and newer ones every week; they are legal. But nothing may get lost in
silence. This pass decodes the body once more, so it is not part of serving a request.
https://platform.claude.com/docs/en/api/messages
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.messages.notes import Note
from dragoman.messages.request import (
    Block,
    Body,
    CacheControl,
    Effort,
    Format,
    Metadata,
    Source,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
)

_INSIDE: dict[type[Struct], dict[str, type[Struct]]] = {
    Body: {
        "messages": Turn,
        "system": Block,
        "tools": Tool,
        "tool_choice": ToolChoice,
        "thinking": Thinking,
        "output_config": Effort,
        "output_format": Format,
        "metadata": Metadata,
        "cache_control": CacheControl,
    },
    Turn: {"content": Block, "output_config": Effort},
    Block: {"source": Source, "content": Block, "tool_references": Block, "cache_control": CacheControl},
    Source: {"content": Block},
    Effort: {"format": Format},
    Tool: {"cache_control": CacheControl},
}
"""Which type is behind which field; what is not here is raw JSON or a plain value."""

_NAME = re.compile(r"\A[a-zA-Z0-9_$.-]{1,64}\Z")


def notes(raw: bytes) -> list[Note]:
    """A note `field.unread` (ignored) for every field that is not read, with its path.

    `raw`: a body that `request.decode` takes. A name that cannot stand in a path is written as `*`.
    """
    found: list[Note] = []
    _look(msgspec.json.decode(raw), Body, "", found)
    return found


def _look(value: Any, type_: type[Struct], place: str, found: list[Note]) -> None:
    if isinstance(value, list):
        for number, inner in enumerate(value):
            _look(inner, type_, f"{place}.{number}", found)
    if not isinstance(value, dict):
        return
    inside = _INSIDE.get(type_, {})
    for name, inner in value.items():
        path = f"{place}.{name if _NAME.match(name) else '*'}".lstrip(".")
        if name not in type_.__struct_fields__:
            found.append(Note("ignored", "field.unread", path))
        elif name in inside:
            _look(inner, inside[name], path, found)
