"""Bytes -> body: wrong ones are told by the name of the field, and what nobody could read later is found here.

Lone surrogates, bytes that are no UTF-8, JSON that nests too deeply, and block types that are not known here and give
our fields other shapes.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Raw

from dragoman.messages.body import TYPES, Block, Body
from dragoman.messages.checks import check, check_blocks
from dragoman.messages.errors import ApiError
from dragoman.messages.known import Known, Parts, Seen
from dragoman.messages.lenient import check_utf8, repair_surrogates
from dragoman.messages.notes import Note
from dragoman.messages.outline import Head, Outline

_HEAD = msgspec.json.Decoder(Head)
_OUTLINE = msgspec.json.Decoder(Outline)
_BODY = msgspec.json.Decoder(Body)
_LARGE = 8192  # bytes of a body whose parts are worth being remembered
_KNOWN = Known()
_BLOCK = msgspec.json.Decoder(Block)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ROWS = msgspec.json.Decoder(list[dict[str, Raw]])
_RAWS = msgspec.json.Decoder(list[Raw])
_MISSING = "Object missing required field `"


_Found = TypeVar("_Found")
_Text = bytes | Seen


def received(room: bytes | bytearray, begin: int, end: int) -> bytes | Seen:
    """The body that stands in `room` from `begin` to `end`; of what was seen before nothing is copied from there."""
    found = _KNOWN.seen(room, begin, end) if end - begin > _LARGE else None
    return bytes(memoryview(room)[begin:end]) if found is None else found


def head(raw: _Text) -> Head:
    """The few fields that say where a request goes. Raises ApiError("invalid_request")."""
    try:
        return _HEAD.decode(bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_json(raw, lambda text: (_HEAD.decode(bytes(text)), ()))[0]


def parts(raw: _Text) -> Parts | None:
    """The parts of a long body; None for a short one, and where something is wrong or unusual."""
    return _KNOWN.read(raw) if len(raw) > _LARGE else None


def outline(raw: _Text, found: Parts | None = None) -> Outline:
    """What a body is made of. `found`: its parts. Raises ApiError("invalid_request")."""
    known = None if found is None else found.outline()
    if known is not None:
        return known
    try:
        return _OUTLINE.decode(bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_json(raw, lambda text: (_OUTLINE.decode(bytes(text)), ()))[0]


def body(raw: _Text, found: Parts | None = None) -> tuple[Body, tuple[Note, ...]]:
    """A whole body, and what had to be repaired or left out of it. `found`: its parts.

    Raises ApiError("invalid_request").
    """
    if found is None and len(raw) <= _LARGE:
        try:
            return _whole(bytes(raw)), ()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # what is wrong is told, or mended, below
    return _read_json(raw, lambda text: _body(text, found if text is raw else parts(text)))


def _read_json(
    raw: _Text, read: "Callable[[_Text], tuple[_Found, tuple[Note, ...]]]"
) -> "tuple[_Found, tuple[Note, ...]]":
    """What `read` finds in `raw`, with lone surrogates repaired. Raises ApiError("invalid_request")."""
    try:
        try:
            return read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if isinstance(error, msgspec.ValidationError):
                raise
            text = bytes(raw)
            repaired = repair_surrogates(text.decode("utf-8", "replace").encode())
            if repaired == text:
                raise
            found, notes = read(repaired)
            return found, (Note("changed", "unicode.repaired"), *notes)
    except msgspec.ValidationError as error:
        raise ApiError("invalid_request", _field_message(str(error))) from None
    except RecursionError:
        raise ApiError("invalid_request", "The JSON body is nested too deeply.") from None
    except msgspec.DecodeError as error:
        raise ApiError("invalid_request", f"The request body is not valid JSON: {error}") from None


def _body(raw: _Text, found: Parts | None) -> tuple[Body, tuple[Note, ...]]:
    try:
        body = None if found is None else found.body()
        if body is None:
            body = _whole(bytes(raw))
        else:
            check(body)
    except msgspec.ValidationError:
        # A block type that is not known here may give our fields other shapes. Looked at only when decoding failed.
        known, notes = _with_known_shapes(bytes(raw))
        if not notes:
            raise
        return _whole(known), notes
    return body, ()


def _whole(raw: bytes) -> Body:
    if not raw.isascii():
        check_utf8(raw)
    body = _BODY.decode(raw)
    check(body)
    return body


def _with_known_shapes(raw: bytes) -> tuple[bytes, tuple[Note, ...]]:
    notes: list[Note] = []
    try:
        fields = _FIELDS.decode(raw)
        turns = _ROWS.decode(fields.get("messages", b"[]"))
    except msgspec.ValidationError:
        return raw, ()
    for index, turn in enumerate(turns):
        if "content" in turn:
            turn["content"] = _known_shapes(turn["content"], f"messages.{index}.content", notes)
    fields["messages"] = Raw(msgspec.json.encode(turns))
    return msgspec.json.encode(fields), tuple(notes)


def _read(raw: Raw) -> None:
    """Raises msgspec.ValidationError for a block whose fields are of a foreign shape."""
    check_blocks([_BLOCK.decode(raw)], "", 1)


def _known_shapes(content: Raw, place: str, notes: list[Note]) -> Raw:
    """The same blocks; those that are of a foreign shape and of an unknown type are left with their type alone."""
    try:
        blocks = _RAWS.decode(content)
    except msgspec.ValidationError:
        return content
    for number, raw in enumerate(blocks):
        try:
            _read(raw)
        except msgspec.ValidationError:
            try:
                fields = _FIELDS.decode(raw)
            except msgspec.ValidationError:
                continue  # no object at all
            type_ = msgspec.json.decode(fields.get("type", b"null"))
            if type_ == "tool_result" and "content" in fields:
                fields["content"] = _known_shapes(fields["content"], f"{place}.{number}.content", notes)
            elif isinstance(type_, str) and type_ not in TYPES:
                fields = {"type": fields["type"]}
                notes.append(Note("lost", "block.unreadable", f"{place}.{number}"))
            blocks[number] = Raw(msgspec.json.encode(fields))
    return Raw(msgspec.json.encode(blocks))


def _field_message(text: str) -> str:
    """msgspec's "Expected `str`, got `int` - at `$.a[0].b`" as "a.0.b: Expected `str`, got `int`"."""
    problem, _, path = text.partition(" - at `$")
    path = path.rstrip("`").replace("[...]", ".*").replace("[", ".").replace("]", "").strip(".")
    if problem.startswith(_MISSING):
        path = f"{path}.{problem.removeprefix(_MISSING).rstrip('`')}".strip(".")
        problem = "Field required"
    return f"{path}: {problem}" if path else problem
