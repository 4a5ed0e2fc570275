"""Bytes -> body: wrong ones are told by the name of the field, and what nobody could read later is found here.

Lone surrogates, bytes that are no UTF-8, JSON that nests too deeply, and block types that are not known here and give
our fields other shapes.
"""

import re
from codecs import utf_8_decode
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from dragoman.messages.beginning import Beginning, Beginnings, KnownTurns
from dragoman.messages.body import NO_RAW, NULL, TYPES, Block, Body, KnownTools, Source, Tool, Turn
from dragoman.messages.errors import ApiError
from dragoman.messages.known import Known
from dragoman.messages.lenient import repair_surrogates
from dragoman.messages.memory import Memory
from dragoman.messages.notes import Note
from dragoman.messages.outline import Head, Outline

NESTING_LIMIT = 100  # levels of JSON that a tool schema or a tool input may have

_QUOTE = ord('"')

_HEAD = msgspec.json.Decoder(Head)
_OUTLINE = msgspec.json.Decoder(Outline)
_BODY = msgspec.json.Decoder(Body)
_TOOLS = msgspec.json.Decoder(list[Tool] | None)
_LARGE = 8192  # bytes of a body whose tools are worth being decoded apart
_PIECE = 16 * 1024  # bytes that are checked at once
_MEMO_LIMIT = 512 * 1024  # bytes of a tool list that is remembered


class _Role(Struct, gc=False):
    role: str


# A body whose tools and turns are still JSON: agents send most of them again with every request.
_STILL_JSON: dict[str, Any] = {"tools": Raw, "messages": list[Raw]}
_APART = msgspec.json.Decoder(
    msgspec.defstruct(
        "_Apart",
        [
            (field.name, _STILL_JSON.get(field.name, field.type), NO_RAW if field.name == "tools" else field.default)
            for field in msgspec.structs.fields(Body)
        ],
        frozen=True,
        gc=False,
    )
)
_parts = attrgetter(*Body.__struct_fields__)
_MET: Memory[KnownTools] = Memory(16)
_KNOWN = Known()
_BEGINNINGS = Beginnings(32 * 1024 * 1024)
# What stands for known tools and for the turns of a known beginning while the rest is decoded.
_TOOLS_ELSEWHERE = b'"\\u0000tools"'
_TURNS_ELSEWHERE = b'"\\u0000turns"'
_TOOLS_ELSEWHERE_RAW, _TURNS_ELSEWHERE_RAW = Raw(_TOOLS_ELSEWHERE), Raw(_TURNS_ELSEWHERE)
_MESSAGES = b'"messages"'
_FIRST_TURN = re.compile(rb"\s*:\s*\[\s*")
_TURNS_AT, _TOOLS_AT = map(Body.__struct_fields__.index, ("messages", "tools"))
_TURNS = msgspec.json.Decoder(list[Turn])
_BEFORE_A_COMMA = b'[{"role":""}'  # in place of the turns before
_ROLE = msgspec.json.Decoder(_Role)
_MARK = b'"cache_control"'
_MOVING = 6  # turns at the end in which clients move their cache breakpoints on: two of the user's, with two answers
_LEAST = 4096  # bytes of a beginning that is worth being remembered
_BLOCK = msgspec.json.Decoder(Block)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ROWS = msgspec.json.Decoder(list[dict[str, Raw]])
_RAWS = msgspec.json.Decoder(list[Raw])
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SHALLOW = 2 * NESTING_LIMIT  # bytes of JSON that cannot nest deeper: each level takes two brackets
_MISSING = "Object missing required field `"


_Found = TypeVar("_Found")


def head(raw: bytes) -> Head:
    """The few fields that say where a request goes. Raises ApiError("invalid_request")."""
    return _read_json(raw, lambda text: (_HEAD.decode(text), ()))[0]


def outline(raw: bytes) -> Outline:
    """What a body is made of. Raises ApiError("invalid_request")."""
    return _read_json(raw, lambda text: (_KNOWN.outline(text) if len(text) > _LARGE else _OUTLINE.decode(text), ()))[0]


def body(raw: bytes) -> tuple[Body, tuple[Note, ...]]:
    """A whole body, and what had to be repaired or left out of it. Raises ApiError("invalid_request")."""
    return _read_json(raw, _body)


def _read_json(
    raw: bytes, read: "Callable[[bytes], tuple[_Found, tuple[Note, ...]]]"
) -> "tuple[_Found, tuple[Note, ...]]":
    """What `read` finds in `raw`, with lone surrogates repaired. Raises ApiError("invalid_request")."""
    try:
        try:
            return read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if isinstance(error, msgspec.ValidationError):
                raise
            repaired = repair_surrogates(raw.decode("utf-8", "replace").encode())
            if repaired == raw:
                raise
            found, notes = read(repaired)
            return found, (Note("changed", "unicode.repaired"), *notes)
    except msgspec.ValidationError as error:
        raise ApiError("invalid_request", _field_message(str(error))) from None
    except RecursionError:
        raise ApiError("invalid_request", "The JSON body is nested too deeply.") from None
    except msgspec.DecodeError as error:
        raise ApiError("invalid_request", f"The request body is not valid JSON: {error}") from None


def _body(raw: bytes) -> tuple[Body, tuple[Note, ...]]:
    try:
        body = (_with_known_parts(raw) if len(raw) > _LARGE else None) or _whole(raw)
        _check(body)
    except msgspec.ValidationError:
        # A block type that is not known here may give our fields other shapes. Looked at only when decoding failed.
        known, notes = _with_known_shapes(raw)
        if not notes:
            raise
        body = _whole(known)
        _check(body)
        return body, notes
    return body, ()


def _whole(raw: bytes) -> Body:
    _check_utf8(raw)
    return _BODY.decode(raw)


def _with_known_parts(raw: bytes) -> Body | None:
    """The same as `_whole`, without the work for what was met before. None where something is wrong or unusual.

    What is known is taken out of the text, and a sign put in its place. That must have become the tools of the body,
    or its first turn: a text is not known by its bytes alone, but also by where it stands.
    """
    tools = _MET.find(raw)
    start = _first_turn(raw)
    beginning = _BEGINNINGS.find(raw, start) if start else None
    cuts = [] if tools is None else [(tools[0], tools[1], _TOOLS_ELSEWHERE)]
    if beginning is not None:
        cuts.append((start, start + beginning.size, _TURNS_ELSEWHERE))
    rest = _without(raw, sorted(cuts))
    try:
        _check_utf8(rest)
        values = list(_parts(_APART.decode(rest)))
        found: list[Raw] = values[_TURNS_AT]
        if beginning is not None:
            if rest.count(_TURNS_ELSEWHERE) > 1 or found[:1] != [_TURNS_ELSEWHERE_RAW]:
                return None
            del found[0]
        if tools is None:
            values[_TOOLS_AT] = _new_tools(raw, bytes(values[_TOOLS_AT]) or b"null")
        elif values[_TOOLS_AT] == _TOOLS_ELSEWHERE_RAW:
            values[_TOOLS_AT] = tools[2]
        else:
            return None
        values[_TURNS_AT] = _turns(raw, start, found, beginning)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Body(*values)


def _without(raw: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    """`raw` with a sign in place of each cut, in their order. Cuts that overlap leave what is no JSON."""
    if not cuts:
        return raw
    pieces: list[bytes] = []
    at = 0
    for start, end, sign in cuts:
        pieces += raw[at:start], sign
        at = end
    return b"".join((*pieces, raw[at:]))


def _new_tools(raw: bytes, text: bytes) -> list[Tool] | None:
    """The tools in the JSON `text`, which are known from now on by where they stand in `raw`."""
    if len(text) > _MEMO_LIMIT:
        return _checked_tools(text)
    tools = known_tools(text)
    if tools is not None:
        _MET.keep(tools.json, tools, raw)
    return tools


def _first_turn(raw: bytes) -> int:
    """Where the first turn seems to begin; 0 for nowhere."""
    at = raw.find(_MESSAGES)
    found = _FIRST_TURN.match(raw, at + len(_MESSAGES)) if at > 0 else None
    return found.end() if found else 0


def _turns(raw: bytes, start: int, found: list[Raw], beginning: Beginning | None) -> list[Turn]:
    """All turns: those that are `found` behind a known beginning, if any, and that. It becomes longer by some of them.

    `start`: where the first turn begins in `raw`. Raises msgspec.DecodeError, also when there is something else.
    """
    if not start or not found or (beginning is not None and _is_answer(found[0])):
        return (beginning.turns if beginning is not None else []) + _TURNS.decode(b"[%b]" % b",".join(found))
    count = _lasting(found)
    size = sum(map(len, found[:count])) + (beginning.size if beginning is not None else 0)
    if count and _LEAST <= size <= _BEGINNINGS.limit // 8:
        beginning = _longer(raw, start, found[:count], beginning)
        del found[:count]
    more = _TURNS.decode(b"[%b]" % b",".join(found))
    if beginning is None:
        return more
    _check_turns(more, len(beginning.turns))
    return KnownTurns(beginning, more)


def _is_answer(turn: Raw) -> bool:
    return _ROLE.decode(turn).role == "assistant"


def _lasting(turns: list[Raw]) -> int:
    """How many of the turns will come again as they are: all up to an answer that the user replied to.

    Cache breakpoints move on with the conversation, so the turns in which they stand now will look otherwise.
    """
    count = len(turns) - 1
    for index in range(max(0, len(turns) - _MOVING), count):
        if _MARK in bytes(turns[index]):
            count = index
            break
    follows = _is_answer(turns[count])
    while count > 0:
        is_answer = _is_answer(turns[count - 1])
        if is_answer and not follows:
            break
        follows = is_answer
        count -= 1
    return count


def _longer(raw: bytes, start: int, turns: list[Raw], beginning: Beginning | None) -> Beginning:
    """A beginning with these turns at its end; it is remembered. Raises msgspec.DecodeError when they are not there."""
    known = len(beginning.turns) if beginning is not None else 0
    begin = end = start + (beginning.size if beginning is not None else 0)
    for turn in turns:
        while raw[end] in b", \n\t\r":
            end += 1
        if not raw.startswith(turn, end):
            raise msgspec.DecodeError("These are no turns.")
        end += len(turn)
    # Blocks keep the text alive that they were decoded from, so it is that of these turns alone.
    head = b"[" if beginning is None else _BEFORE_A_COMMA
    text = b"".join((head, raw[begin:end], b"]"))
    decoded = _TURNS.decode(text)[min(known, 1) :]
    _check_turns(decoded, known)
    piece = memoryview(text)[len(head) : -1]
    longer = Beginning.of(piece, decoded) if beginning is None else beginning.followed_by(piece, decoded)
    _BEGINNINGS.keep(longer, beginning)
    return longer


def _check_utf8(raw: bytes) -> None:
    """Raises UnicodeDecodeError. The decoder of JSON checks only what it decodes, and raw parts go on as they are."""
    if raw.isascii():
        return
    size = len(raw)
    done = 0
    while done < size:  # in pieces that stay in the processor's cache
        piece = raw[done : done + _PIECE]
        done += utf_8_decode(piece, "strict", done + _PIECE >= size)[1]


def _checked_tools(text: bytes) -> list[Tool] | None:
    tools: list[Tool] | None = _TOOLS.decode(text)
    _check_tools(tools)
    return tools


@lru_cache(maxsize=64)  # the same bytes give the same tools, so a memory of them changes nothing but the time it takes
def known_tools(text: bytes) -> KnownTools | None:
    """The tools in the JSON `text`. Raises msgspec.ValidationError, and ApiError for schemas that nest too deeply."""
    tools = _checked_tools(text)
    return None if tools is None else KnownTools(tools, text)


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
    _check_blocks([_BLOCK.decode(raw)], "", 1)


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


def depth(raw: bytes) -> int:
    """Levels of arrays and objects in a valid JSON text."""
    level = deepest = 0
    for mark in _STRINGS.sub(b"", raw).translate(None, _NO_BRACKETS):
        if mark in b"[{":
            level += 1
            deepest = max(deepest, level)
        else:
            level -= 1
    return deepest


def _check_tools(tools: list[Tool] | None) -> None:
    for index, tool in enumerate(tools or ()):
        _check_raw(tool.input_schema, f"tools.{index}.input_schema")


def _check(body: Body) -> None:
    """What decoding does not tell: raises ApiError for JSON that nests too deeply, msgspec.ValidationError for texts
    that are no strings.
    """
    if not isinstance(body.tools, KnownTools):
        _check_tools(body.tools)
    if body.output_config and body.output_config.format:
        _check_raw(body.output_config.format.schema, "output_config.format.schema")
    if body.output_format:
        _check_raw(body.output_format.schema, "output_format.schema")
    if isinstance(body.system, list):
        _check_blocks(body.system, "system", 1)
    if not isinstance(body.messages, KnownTurns):
        _check_turns(body.messages, 0)


def _check_turns(turns: list[Turn], first: int) -> None:
    """The same for turns, which are those from number `first` on."""
    for index, turn in enumerate(turns, first):
        if isinstance(turn.content, list) and not _are_flat(turn.content):
            _check_blocks(turn.content, f"messages.{index}.content", 1)


def _are_flat(blocks: list[Block]) -> bool:
    """A quick look at what nearly all blocks are: text, small inputs, results with text in them."""
    for block in blocks:
        kind = block.type
        if kind == "text":
            if memoryview(block.text_json)[0] != _QUOTE:
                return False
        elif block.text_json is not NULL:
            return False
        elif kind == "tool_use":
            if len(block.input) > _SHALLOW:
                text = memoryview(block.input).tobytes()
                if text.count(b"{") + text.count(b"[") > NESTING_LIMIT:
                    return False
        elif kind == "tool_result":
            content = block.content
            if content is not None and not isinstance(content, str):
                if not isinstance(content, list):
                    return False
                for inner in content:
                    if inner.type != "text" or memoryview(inner.text_json)[0] != _QUOTE:
                        return False
        else:
            return False
    return True


_KINDS = {b"{": "object", b"[": "array", b"t": "bool", b"f": "bool"}


def _check_text(raw: Raw, place: str) -> None:
    if memoryview(raw)[0] != _QUOTE and raw != NULL:
        first = memoryview(raw).tobytes()
        kind = _KINDS.get(first[:1]) or ("int" if first.lstrip(b"-").isdigit() else "float")
        raise msgspec.ValidationError(f"Expected `str | null`, got `{kind}` - at `$.{place}`")


def _check_blocks(blocks: list[Block], place: str, level: int) -> None:
    if level > NESTING_LIMIT // 2:
        turn = place.split(".content", maxsplit=1)[0]
        raise ApiError("invalid_request", f"{turn}: nested more than {NESTING_LIMIT} levels deep.")
    for index, block in enumerate(blocks):
        _check_text(block.text_json, f"{place}.{index}.text")
        if block.type == "text":  # nobody looks for more in it
            continue
        if len(block.input) > _SHALLOW:
            _check_raw(block.input, f"{place}.{index}.input")
        if len(block.tool) > _SHALLOW:
            _check_raw(block.tool, f"{place}.{index}.tool")
        source = block.source
        if isinstance(source, Source):
            _check_content(source.content, f"{place}.{index}.source.content", level)
        if block.tool_references:
            _check_blocks(block.tool_references, f"{place}.{index}.tool_references", level + 1)
        content = block.content
        if content is not None and not isinstance(content, str):
            _check_content(content, f"{place}.{index}.content", level)


def _check_content(inner: "str | list[Block] | Block | None", place: str, level: int) -> None:
    if inner is not None and not isinstance(inner, str):
        _check_blocks(inner if isinstance(inner, list) else [inner], place, level + 1)


def _check_raw(raw: Raw, place: str) -> None:
    text = memoryview(raw).tobytes()
    # Few brackets cannot nest deeply, and counting them is much cheaper than walking.
    if text.count(b"{") + text.count(b"[") > NESTING_LIMIT and depth(text) > NESTING_LIMIT:
        raise ApiError("invalid_request", f"{place}: nested more than {NESTING_LIMIT} levels deep.")
