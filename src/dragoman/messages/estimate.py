"""How many tokens a Messages body holds: a local, stateless estimate. It needs no vocabulary.

Text: every byte has one of 16 classes, and every pair of neighbouring classes has a cost, which tells, for example,
the middle of a word from its beginning, or an indent from the spaces between words. The costs are fitted to the
o200k_base vocabulary by `tests/corpus/fit.py`. Long texts are measured on slices at even distances. All of it is done
by a handful of calls on whole byte strings, since this runs for every request.

Images and PDF files: by Anthropic's formulas, from their first bytes.
"""

import re
from binascii import a2b_base64
from functools import lru_cache
from itertools import chain
from typing import Literal
from zlib import adler32

import msgspec
from msgspec import Raw

from dragoman.messages.beginning import beginning_of
from dragoman.messages.body import NULL, Block, Body, KnownTools, Source, Tool, Turn
from dragoman.messages.known import known_tools

UNIT = 128  # this many units of `_COSTS` are one token
_SAMPLE = 4_096  # characters measured of a longer text; half of that misses a body by 23 % already
_SLICE = 128  # characters of one slice of the sample
_WRAP = 255  # bytes that are summed up at once
_SLICES = 2  # of a long text, at least
_GROUP = 16  # turns that are measured together

_TURN = 3  # tokens around a turn: its role and its borders
_TOOL = 3  # tokens around a tool
# Tools that the API knows by type: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing
_TYPED_TOOLS = {"bash": 245, "text_editor": 700, "computer": 735}
_TYPED_TOOL = 300  # the others; an assumption

# Larger images are scaled down to both limits: https://platform.claude.com/docs/en/build-with-claude/vision
_IMAGE_EDGE = 1568  # pixels of the long edge
_IMAGE_LIMIT = 1600  # tokens
_PIXELS_PER_TOKEN = 750
_JPEG_SEGMENTS = 64  # that are looked through for the size

# 1,500 to 3,000 tokens of text, and an image: https://platform.claude.com/docs/en/build-with-claude/pdf-support
_PAGE = 3000  # tokens
_PAGES_LIMIT = 600
_PDF_PART = 32_768  # base64 characters that are searched at each end of a file for the number of pages
_PDF_PAGE_BYTES = 60_000  # of a page, when the file does not say how many it has; an assumption
_PDF_PAGES = re.compile(
    rb"/Linearized\b[^>]*?/N\s+(\d+)"
    rb"|/Type\s*/Pages\b[^>]*?/Count\s+(\d+)"
    rb"|/Count\s+(\d+)(?:(?!/Count)[^>])*?/Type\s*/Pages\b"
)
# Escapes that the border of two slices cut; JSON strings hold no line feed of their own.
_CUT = re.compile(
    rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?(?:\\(?:u[0-9a-fA-F]{0,3})?)?\n"
    rb"(?:u?[0-9a-fA-F]{0,4}(?=\\u))?(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
)
_UNICODE = re.compile(rb"(?:\\u[0-9a-fA-F]{4})+")
_TEXT = msgspec.json.Decoder(str)
_PDF_PAGE = re.compile(rb"/Type\s*/Page\b(?!s)")

# Classes, by the byte in UTF-8: 0, 1, 2 continuation bytes (80-8F, 90-AF, B0-BF: Cyrillic has its capitals in the
# second), 3 vowels, 4 consonants, 5 quotes and brackets, 6 capitals, 7 digits, 8 space, 9 line ends and tabs, a other
# punctuation; first bytes of: b Western accents, and Hebrew to Georgian, c Eastern accents and Greek, d Cyrillic,
# e symbols and emoji, f Chinese, Japanese and Korean.
_CLASSES = bytes.fromhex(
    "0909090909090909090909090909090909090909090909090909090909090909"
    "080a050a0a0a0a0505050a0a0a0a0a0a070707070707070707070a0a050a050a"
    "0a0606060606060606060606060606060606060606060606060606050a050a0a"
    "050304040403040404030404040404030404040404030404040404050a050a09"
    "0000000000000000000000000000000001010101010101010101010101010101"
    "0101010101010101010101010101010102020202020202020202020202020202"
    "0b0b0b0b0c0c0b0b0b0b0b0b0b0b0c0c0d0d0d0d0b0b0b0b0b0b0b0b0b0b0b0b"
    "0b0b0e0f0f0f0f0f0f0f0f0f0f0f0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e"
)

# Units of a token for a byte (column: its class) after a byte (row: the class before). Made by `tests/corpus/fit.py`.
_COSTS = bytes.fromhex(
    "770011805a285d9100003e000000a26b"
    "4700003fa2005d9100475e0332573e00"
    "00002e4b45285d91805395000000ff00"
    "2e2c16180012777d3b5e6300942e9908"
    "2e2c1600170340aa26bd3e85122e9a0e"
    "2e2c1665592f59b3255e60222d2e8b00"
    "2e2c160a4f191dff006c32332c2e9900"
    "2e2c164d751ce62243697a222d2e910e"
    "2e2c1629423a4be60845443a355f9900"
    "2e2c16477a3e5a366043541f2d2b9b00"
    "2e2c16295e742e71471f37212d32990e"
    "3900243953285d912e5356222d2e990e"
    "3757003953285d912e5356222d2e990e"
    "00a2003953285d912e5356222d2e990e"
    "2e2c503953285d912e5356222d2e990e"
    "103a003953285d912e5356222d2e990e"
)


class Estimate:
    """Tokens of one body. They are measured when somebody asks: most upstreams count themselves."""

    __slots__ = ("_body", "_tokens", "size")

    def __init__(self, body: Body | None, size: int) -> None:
        """`size`: bytes of its JSON. No text has more tokens than bytes."""
        self._body = body
        self._tokens = 0
        self.size = size

    def tokens(self) -> int:
        """What the function `tokens` says of it. The body is not kept after that."""
        if self._body is not None:
            self._tokens = tokens(self._body)
            self._body = None
        return self._tokens

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Estimate) and self.tokens() == other.tokens()

    __hash__ = None  # type: ignore[assignment]


NO_ESTIMATE = Estimate(None, 0)
"""Where nobody needs one."""


def tokens(body: Body) -> int:
    """Input tokens of a whole body: system, turns, tool calls and results, tools with schemas, images, documents.

    Turns are measured in groups, from the first to the last: what a conversation began with keeps its tokens when it
    goes on.
    """
    sum_ = _Sum()
    beginning = beginning_of(body.messages)
    measured = 0
    if beginning is not None:
        known = beginning.decoded().turns
        measured, sum_.units, sum_.size = beginning.value("units", lambda before: _sum_of(known, before))
    texts: list[str] = []
    literals: list[Raw] = []
    raws: list[Raw] = []
    full = len(body.messages) // _GROUP * _GROUP
    if full > measured:
        sum_.groups(body.messages[measured:full])
    sum_.gather(body.messages[full:], texts, literals, raws)
    if isinstance(body.system, str):
        texts.append(body.system)
    elif body.system:
        sum_.units += _blocks(body.system, texts, literals, raws) * UNIT
    if isinstance(body.tools, KnownTools) and (units := _known(body.tools.json)) is not None:
        sum_.units += units
    elif body.tools:
        sum_.units += _tools(body, texts, raws) * UNIT
    if body.output_config and body.output_config.format:
        raws.append(body.output_config.format.schema)
    if body.output_format:
        raws.append(body.output_format.schema)
    sum_.add(texts, literals, raws)
    return round(sum_.units / UNIT)


class _Sum:
    """Units of what was measured so far, and its characters."""

    __slots__ = ("size", "units")

    def __init__(self) -> None:
        self.units = 0
        self.size = 0

    def groups(self, turns: list[Turn]) -> None:
        """Turns of full groups."""
        for first in range(0, len(turns), _GROUP):
            texts: list[str] = []
            literals: list[Raw] = []
            raws: list[Raw] = []
            self.gather(turns[first : first + _GROUP], texts, literals, raws)
            self.add(texts, literals, raws)

    def gather(self, turns: list[Turn], texts: list[str], literals: list[Raw], raws: list[Raw]) -> None:
        """Finds what is text in turns, and adds what is none."""
        self.units += _TURN * UNIT * len(turns)
        for turn in turns:
            content = turn.content
            if isinstance(content, str):
                texts.append(content)
            elif content:
                self.units += _blocks(content, texts, literals, raws) * UNIT

    def add(self, texts: list[str], literals: list[Raw], raws: list[Raw]) -> None:
        """What stands together. The more was measured before, the smaller is the part of it that is measured."""
        text, literal, raw = "".join(texts), b"".join(literals), b"".join(raws)
        if len(text) < _SLICE * 8:  # names of tools, mostly
            text, raw = "", raw + text.encode("utf-8", "surrogatepass")
        size = len(text) + len(literal) + len(raw)
        if not size:
            return
        self.size += size
        if size <= _SLICES * _SLICE:  # short ones are measured whole
            self.units += (_units(_plain(literal)) if literal else 0) + (_units(raw) if raw else 0)
            return
        step = max(_SLICE, min(self.size * _SLICE // _SAMPLE, size // _SLICES))
        self.units += round(
            (_cost(text, step) if text else 0)
            + (_cost(literal, step, escaped=True) if literal else 0)
            + (_cost(raw, step) if raw else 0)
        )


def _sum_of(turns: list[Turn], before: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """How many turns are in full groups, their units and characters; `before`: the same of fewer turns."""
    sum_ = _Sum()
    done, sum_.units, sum_.size = before or (0, 0, 0)
    measured = len(turns) // _GROUP * _GROUP
    sum_.groups(turns[done:measured])
    return measured, sum_.units, sum_.size


def output_tokens(text: str) -> int:
    """Tokens of one text, for an answer whose upstream counts none; 1 or more unless it is empty."""
    return max(1, round(_cost(text, max(_SLICE, len(text) * _SLICE // _SAMPLE)) / UNIT)) if text else 0


def pairs(text: bytes) -> bytes:
    """For every byte of UTF-8 text its class, and in the upper half the class of the byte before."""
    classes = int.from_bytes(text.translate(_CLASSES), "little")
    # Shifted by a byte and a half, each class meets its follower; a text begins as after a line end.
    return (classes | classes << 12 | 0x90).to_bytes(len(text) + 2, "little")[:-2]


def _cost(text: str | bytes, step: int, *, escaped: bool = False) -> float:
    """Units of a text that is not empty, measured on one slice every `step` characters.

    `escaped`: it is made of JSON strings, which say more characters than the model sees.
    """
    total = measured = len(text)
    if step > _SLICE:
        slices = [text[start : start + _SLICE] for start in range(0, total, step)]
        text = "".join(slices) if isinstance(text, str) else b"".join(slices)  # type: ignore[arg-type]
        if escaped and b"\\u" in text:
            text = _CUT.sub(b"", b"\n".join(slices))  # type: ignore[arg-type]
        measured = len(text)
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    elif escaped:
        text = _plain(text)
    return _units(text) * total / measured


def _units(text: bytes) -> int:
    """Units of all of a text."""
    costs = pairs(text).translate(_COSTS)
    # The lower half of Adler-32 is 1 + the sum of the bytes, modulo 65,521: the fastest sum there is; that of 255 bytes
    # cannot wrap. https://www.rfc-editor.org/rfc/rfc1950#section-8.2
    if len(costs) <= _WRAP:
        return (adler32(costs) & 0xFFFF) - 1
    return sum([(adler32(costs[start : start + _WRAP]) & 0xFFFF) - 1 for start in range(0, len(costs), _WRAP)])


def _plain(literals: bytes) -> bytes:
    """Neighbouring JSON strings without their quotes and escapes, nearly: `\\\\n` is not looked at twice."""
    if literals.find(b"\\") >= 0:  # asked with `in`, bytes raise and swallow an exception first
        if literals.find(b"\\u") >= 0:
            literals = _UNICODE.sub(_characters, literals)
        literals = literals.replace(b'\\"', b"'").replace(b"\\n", b"\n").replace(b"\\t", b"\t").replace(b"\\\\", b"\\")
    return literals.replace(b'"', b"")


def _characters(escapes: re.Match[bytes]) -> bytes:
    try:
        return _TEXT.decode(b'"%b"' % escapes[0]).encode()
    except msgspec.DecodeError:  # half a character
        return b"?"


def _blocks(blocks: list[Block], texts: list[str], literals: list[Raw], raws: list[Raw]) -> int:
    """Adds what is text to `texts` and what is JSON to `raws`; returns the tokens of images and files."""
    found = 0
    for block in blocks:
        kind = block.type
        if kind == "text":
            literals.append(block.text_json)
        elif kind == "tool_use" and block.name is not None:
            texts.append(block.name)
            raws.append(block.input)
        elif kind == "tool_result" and isinstance(block.content, list):
            found += _blocks(block.content, texts, literals, raws)
        else:
            found += _block(block, texts, literals, raws)
    return found


def _block(block: Block, texts: list[str], literals: list[Raw], raws: list[Raw]) -> int:
    """A block of any kind. Signatures, encrypted contents and redacted thinking are not text: they cost nothing."""
    if block.text_json is not NULL:
        literals.append(block.text_json)
    texts += filter(
        None,
        (
            block.thinking,
            block.name,
            block.title,
            block.context,
            block.url,
            block.tool_name,
            block.stdout,
            block.stderr,
            block.error_code,
        ),
    )
    raws += block.input, block.tool
    found = 0
    if isinstance(block.source, str):
        texts.append(block.source)
    elif block.source:
        found += _source(block.type, block.source, texts, literals, raws)
    if isinstance(block.content, str):
        texts.append(block.content)
    elif block.content:
        found += _blocks(block.content if isinstance(block.content, list) else [block.content], texts, literals, raws)
    return found + (_blocks(block.tool_references, texts, literals, raws) if block.tool_references else 0)


def _source(kind: str, source: Source, texts: list[str], literals: list[Raw], raws: list[Raw]) -> int:
    if isinstance(source.content, str):
        texts.append(source.content)
    elif source.content:
        return _blocks(source.content, texts, literals, raws)
    if source.type == "text":
        texts.append(source.data or "")
        return 0
    if kind == "image":
        return image(source.data or "")
    return pdf(source.data or "") if kind == "document" and source.type != "content" else 0


def _tools(body: Body, texts: list[str], raws: list[Raw]) -> int:
    found = 0
    loaded: set[str] | None = None
    for tool in body.tools or ():
        if tool.defer_loading:
            # Hidden from the model until a reference names it.
            loaded = _referenced(body) if loaded is None else loaded
            if tool.name not in loaded:
                continue
        found += _tool(tool, texts, raws)
    return found


def _tool(tool: Tool, texts: list[str], raws: list[Raw]) -> int:
    if not tool.is_function:
        return _typed(tool)
    texts.append(tool.name or "")
    if tool.description:
        texts.append(tool.description)
    raws += tool.input_schema, tool.input_examples
    return _TOOL


@lru_cache(maxsize=64)
def _known(json: bytes) -> int | None:
    """Units of the tools in `json`; None when that depends on the history."""
    tools = known_tools(json) or ()
    if any(tool.defer_loading for tool in tools):
        return None
    texts: list[str] = []
    raws: list[Raw] = []
    sum_ = _Sum()
    sum_.units = sum([_tool(tool, texts, raws) for tool in tools]) * UNIT
    sum_.add(texts, [], raws)
    return sum_.units


def _typed(tool: Tool) -> int:
    return _TYPED_TOOLS.get((tool.type or "").rpartition("_")[0], _TYPED_TOOL)


def _referenced(body: Body) -> set[str]:
    """Names of the deferred tools that the history has made known."""
    names: set[str] = set()
    todo = [block for turn in body.messages if isinstance(turn.content, list) for block in turn.content]
    while todo:
        block = todo.pop()
        if block.tool_name:
            names.add(block.tool_name)
        if block.type == "tool_addition":
            names.update(name.decode() for name in re.findall(rb'"name"\s*:\s*"([^"]*)"', memoryview(block.tool)))
        inner = block.content
        todo += chain(
            [] if inner is None or isinstance(inner, str) else inner if isinstance(inner, list) else [inner],
            block.tool_references or (),
        )
    return names


def image(payload: str) -> int:
    """Tokens of a base64 image (PNG, JPEG, GIF, WebP); of any other, and of none, the most that an image can cost."""
    try:
        width, height = _size(payload)
    except (ValueError, IndexError):
        return _IMAGE_LIMIT
    if not width or not height:
        return _IMAGE_LIMIT
    scale = min(1.0, _IMAGE_EDGE / max(width, height))
    return max(1, min(_IMAGE_LIMIT, round(width * height * scale * scale / _PIXELS_PER_TOKEN)))


def _size(payload: str) -> tuple[int, int]:
    """Width and height in pixels. Raises ValueError or IndexError when the first bytes do not tell."""
    head = a2b_base64(payload[:64])
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _number(head, 16, 4, "big"), _number(head, 20, 4, "big")
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _number(head, 6, 2, "little"), _number(head, 8, 2, "little")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp(head)
    if head.startswith(b"\xff\xd8"):
        return _jpeg(payload)
    raise ValueError("not an image that is known")


def _number(head: bytes, start: int, size: int, order: Literal["big", "little"]) -> int:
    if len(head) < start + size:
        raise ValueError("the image is cut off")
    return int.from_bytes(head[start : start + size], order)


def _webp(head: bytes) -> tuple[int, int]:
    """https://developers.google.com/speed/webp/docs/riff_container"""
    if head[12:16] == b"VP8X":
        return _number(head, 24, 3, "little") + 1, _number(head, 27, 3, "little") + 1
    if head[12:16] == b"VP8L":
        both = _number(head, 21, 4, "little")
        return (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1
    return _number(head, 26, 2, "little") & 0x3FFF, _number(head, 28, 2, "little") & 0x3FFF


def _jpeg(payload: str) -> tuple[int, int]:
    """Goes from segment to segment to the frame header, without decoding what is between.

    https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B
    """
    place = 2
    for _ in range(_JPEG_SEGMENTS):
        start = place // 3
        segment = a2b_base64(payload[start * 4 : start * 4 + 16])[place - start * 3 :]
        if segment[0] != 0xFF:
            break
        if 0xC0 <= segment[1] <= 0xCF and segment[1] not in (0xC4, 0xC8, 0xCC):
            return _number(segment, 7, 2, "big"), _number(segment, 5, 2, "big")
        place += 2 + _number(segment, 2, 2, "big")
    raise ValueError("no frame header")


def pdf(payload: str) -> int:
    """Tokens of a base64 PDF file, by its number of pages; of one that is not here (a URL, a file id), of one page."""
    if not payload:
        return _PAGE
    try:
        start = max(_PDF_PART, len(payload) - _PDF_PART) // 4 * 4
        seen = a2b_base64(payload[:_PDF_PART]) + b"\n" + a2b_base64(payload[start:])
    except ValueError:
        seen = b""
    counts = [int(count) for match in _PDF_PAGES.findall(seen) for count in match if count and len(count) < 7]
    # Compressed object streams hide the page tree: then the size must do.
    pages = max(counts, default=0) or max(len(_PDF_PAGE.findall(seen)), len(payload) * 3 // 4 // _PDF_PAGE_BYTES)
    return _PAGE * min(max(pages, 1), _PAGES_LIMIT)
