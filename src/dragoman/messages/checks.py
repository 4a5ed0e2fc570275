"""What decoding does not tell: JSON that nests too deeply, texts that are no strings, bytes that are no UTF-8."""

import re
import struct
from codecs import utf_8_decode

import msgspec
from msgspec import Raw

from dragoman.messages.body import NULL, Block, Body, KnownTools, Source, Tool, Turn
from dragoman.messages.errors import ApiError

NESTING_LIMIT = 100  # levels of JSON that a tool schema or a tool input may have

_QUOTE = ord('"')
_first = struct.Struct("B").unpack_from  # cheaper than a memoryview
_PIECE = 16 * 1024  # bytes that are checked at once
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SHALLOW = 2 * NESTING_LIMIT  # bytes of JSON that cannot nest deeper: each level takes two brackets


def check_utf8(raw: bytes) -> None:
    """Raises UnicodeDecodeError. The decoder of JSON checks only what it decodes, and raw parts go on as they are."""
    if raw.isascii():
        return
    size = len(raw)
    view = memoryview(raw)
    done = 0
    while done < size:  # in pieces that stay in the processor's cache
        done += utf_8_decode(view[done : done + _PIECE], "strict", done + _PIECE >= size)[1]


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


def check_tools(tools: list[Tool] | None) -> None:
    for index, tool in enumerate(tools or ()):
        _check_raw(tool.input_schema, f"tools.{index}.input_schema")


def check(body: Body) -> None:
    """What decoding does not tell: raises ApiError for JSON that nests too deeply, msgspec.ValidationError for texts
    that are no strings.
    """
    if not isinstance(body.tools, KnownTools):
        check_tools(body.tools)
    if body.output_config and body.output_config.format:
        _check_raw(body.output_config.format.schema, "output_config.format.schema")
    if body.output_format:
        _check_raw(body.output_format.schema, "output_format.schema")
    if isinstance(body.system, list):
        check_blocks(body.system, "system", 1)
    if type(body.messages) is list:  # others were checked when they were first met
        check_turns(body.messages, 0)


def check_turns(turns: list[Turn], first: int) -> None:
    """The same for turns, which are those from number `first` on."""
    for index, turn in enumerate(turns, first):
        if isinstance(turn.content, list) and not _are_flat(turn.content):
            check_blocks(turn.content, f"messages.{index}.content", 1)


def _are_flat(blocks: list[Block]) -> bool:
    """A quick look at what nearly all blocks are: text, small inputs, results with text in them."""
    for block in blocks:
        kind = block.type
        if kind == "text":
            if _first(block.text_json)[0] != _QUOTE:
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
                    if inner.type != "text" or _first(inner.text_json)[0] != _QUOTE:
                        return False
        else:
            return False
    return True


_KINDS = {b"{": "object", b"[": "array", b"t": "bool", b"f": "bool"}


def _check_text(raw: Raw, place: str) -> None:
    if _first(raw)[0] != _QUOTE and raw != NULL:
        first = memoryview(raw).tobytes()
        kind = _KINDS.get(first[:1]) or ("int" if first.lstrip(b"-").isdigit() else "float")
        raise msgspec.ValidationError(f"Expected `str | null`, got `{kind}` - at `$.{place}`")


def check_blocks(blocks: list[Block], place: str, level: int) -> None:
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
            check_blocks(block.tool_references, f"{place}.{index}.tool_references", level + 1)
        content = block.content
        if content is not None and not isinstance(content, str):
            _check_content(content, f"{place}.{index}.content", level)


def _check_content(inner: "str | list[Block] | Block | None", place: str, level: int) -> None:
    if inner is not None and not isinstance(inner, str):
        check_blocks(inner if isinstance(inner, list) else [inner], place, level + 1)


def _check_raw(raw: Raw, place: str) -> None:
    text = memoryview(raw).tobytes()
    # Few brackets cannot nest deeply, and counting them is much cheaper than walking.
    if text.count(b"{") + text.count(b"[") > NESTING_LIMIT and depth(text) > NESTING_LIMIT:
        raise ApiError("invalid_request", f"{place}: nested more than {NESTING_LIMIT} levels deep.")
