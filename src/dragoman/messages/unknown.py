"""Names in a request that no type here reads: decoding passes over them, `explain` and `strict` list them.

Clients send fields that nobody documented; they are legal, but nothing may get lost in silence. This pass reads keys
only, once more from the raw bytes, so it is no part of serving an ordinary request.
https://platform.claude.com/docs/en/api/messages
"""

import re
from typing import Any, get_args

import msgspec
from msgspec import Raw, Struct, structs

from dragoman.messages.body import TYPES, Block, Body
from dragoman.messages.lenient import repair_surrogates
from dragoman.messages.notes import Note

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_TYPE = msgspec.json.Decoder(str)
# A key is the caller's text too: one that cannot be a field's name is not repeated.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,63}")
_IN_TURN = re.compile(r"messages\.\d+\.content\.\d+")


def fields(raw: bytes) -> list[Note]:
    """A note `unknown_field` (ignored) with its path for every field that is not read; never a value.

    `raw`: a body that `request.decode` takes. A name that cannot be a field's stands as `*`. The fields of a block in a
    turn whose type is not known are left out: the dialect names the whole block.
    """
    found: list[Note] = []
    known: dict[type[Struct], dict[str, type[Struct] | None]] = {}
    todo: list[tuple[bytes | Raw, type[Struct], str]] = [(_mended(raw), Body, "")]
    while todo:  # no recursion: blocks may nest as deep as decoding allows
        value, type_, place = todo.pop()
        first = bytes(memoryview(value)[:1])
        if first == b"[":
            inner = _LIST.decode(value)
            todo += [(inner[number], type_, f"{place}.{number}") for number in reversed(range(len(inner)))]
        elif first == b"{":
            names = _OBJECT.decode(value)
            if type_ is Block and _IN_TURN.fullmatch(place) and _TYPE.decode(names["type"]) not in TYPES:
                continue
            if type_ not in known:
                known[type_] = {field.encode_name: _struct(field.type) for field in structs.fields(type_)}
            for name, value_of in names.items():
                path = f"{place}.{name if _NAME.fullmatch(name) else '*'}".lstrip(".")
                if name not in known[type_]:
                    found.append(Note("ignored", "unknown_field", path))
                elif inside := known[type_][name]:
                    todo.append((value_of, inside, path))
    return found


def _mended(raw: bytes) -> bytes:
    """As `request.decode` mends it: no bytes that are not UTF-8, no lone surrogates."""
    try:
        raw.decode()
        _OBJECT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raw = repair_surrogates(raw.decode("utf-8", "replace").encode())
    return raw.strip()


def _struct(annotation: Any) -> type[Struct] | None:
    """The type of the objects in a field, through unions and lists."""
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return annotation
    return next(filter(None, map(_struct, get_args(annotation))), None)
