"""Server-sent events, both ways: the bytes of Messages events, and frames out of upstream bytes.

Frames are cut on bytes: splitting decoded text would cut at U+2028 inside JSON and break characters at chunk borders.
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from collections.abc import Sequence
from typing import get_args

import msgspec
from msgspec import Struct

from dragoman.messages.errors import ApiError
from dragoman.messages.events import (
    BlockDelta,
    Deltas,
    Event,
    InputDelta,
    Relayed,
    TextDelta,
    ThinkingDelta,
    WholeBlock,
)

FRAME_LIMIT = 16 * 1024 * 1024  # bytes of one frame, and of the stray text that is kept
_STRAY_LIMIT = 1024 * 1024
_AT_ONCE = 16 * 1024  # bytes that are looked at for one run of like frames
# A number: asked for bytes, `in` first raises and swallows an exception (bytes_contains in CPython's bytes_methods.c).
_RETURN = ord("\r")
_MARK = b"\xef\xbb\xbf"  # of the order of bytes

_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines

PING = b'event: ping\ndata: {"type":"ping"}\n\n'

# The line before each event's JSON, by type: a look-up in the struct's configuration costs as much as encoding it.
_HEAD: dict[type, bytes] = {
    kind: b"event: %b\ndata: " % str(kind.__struct_config__.tag).encode()
    for kind in get_args(Event)
    if kind not in (Relayed, Deltas, WholeBlock)
}

# Deltas are written by hand: a frame up to its text, by the block's number, and what follows the text.
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
_NAMES: dict[type, tuple[bytes, bytes]] = {
    TextDelta: (b"text_delta", b"text"),
    ThinkingDelta: (b"thinking_delta", b"thinking"),
    InputDelta: (b"input_json_delta", b"partial_json"),
}
_TABLED = 64  # blocks; few messages have more
_BEFORE = {kind: [_DELTA % (index, *names) for index in range(_TABLED)] for kind, names in _NAMES.items()}
_BEFORE_TEXT, _BEFORE_INPUT = _BEFORE[TextDelta], _BEFORE[InputDelta]
_BEHIND = b"}}\n\n"


def encode(event: Event) -> bytes:
    """The frame of one event: its name, its JSON, a blank line. Frames of an upstream stay as they are."""
    if type(event) is BlockDelta and event.index < _TABLED:  # nearly all of them
        delta = event.delta
        if type(delta) is TextDelta:
            return _BEFORE_TEXT[event.index] + _encode(delta.text) + _BEHIND
        if type(delta) is InputDelta:
            return _BEFORE_INPUT[event.index] + _encode(delta.partial_json) + _BEHIND
    elif type(event) is Deltas:
        index, kind = event.index, event.kind
        before = _BEFORE[kind][index] if index < _TABLED else _DELTA % (index, *_NAMES[kind])
        # No string's JSON holds a line feed, so each of them stands behind one.
        return before + _encode_lines(event.texts).replace(b"\n", _BEHIND + before)[: -len(before)]
    elif type(event) is WholeBlock:
        return b"".join([encode(one) for one in event.each()])
    elif type(event) is Relayed:
        return event.frames
    return _HEAD[type(event)] + _encode(event) + b"\n\n"


def encode_all(events: Sequence[Event]) -> bytes:
    """The frames of several events, to be written at once."""
    return encode(events[0]) if len(events) == 1 else b"".join([encode(event) for event in events])


class Frame(Struct, frozen=True, gc=False):
    """One server-sent event."""

    data: bytes
    event: str = ""


class FrameReader:
    """Cuts a byte stream into frames, wherever its chunks end.

    Knows `\\n`, `\\r\\n` and `\\r`, several `data:` lines, comments, a byte order mark. Lines that are no field of an
    event stream (a bare JSON error under status 200) are kept in `stray`.
    """

    __slots__ = ("_begun", "_held_cr", "_plain", "_rest", "_scanned", "stray")

    def __init__(self) -> None:
        self.stray = bytearray()
        self._rest = bytearray()
        self._scanned = 0  # no frame border before this offset of `_rest`
        self._held_cr = False
        self._begun = False
        self._plain = False  # begun, and no carriage return was seen

    def between(self) -> bool:
        """Whether the next bytes begin a frame, and lines end in line feeds so far."""
        return self._plain and not self._rest

    def at_border(self) -> bool:
        """Whether the next bytes begin a frame, whatever its lines end in."""
        return self._begun and not self._rest and not self._held_cr

    def feed(self, chunk: bytes) -> list[Frame]:
        """Frames completed by `chunk`. Raises ApiError("bad_answer") when one is over `FRAME_LIMIT`."""
        if not self._begun and not self._rest and chunk and chunk[0] != _MARK[0]:
            self._begun = True
            self._plain = _RETURN not in chunk
        if self._plain and not self._rest and chunk[-2:] == b"\n\n" and _RETURN not in chunk:
            # The common case: whole frames, nothing to keep; mostly one that is a line.
            if chunk.find(b"\n") == len(chunk) - 2 and chunk.startswith(b"data: "):
                return [Frame(chunk[6:-2])]
            return self._frames(chunk)
        if chunk[-4:] == b"\r\n\r\n" and self.at_border():  # the same in streams whose lines end in both
            whole = chunk.replace(b"\r\n", b"\n")
            if _RETURN not in whole:
                self._plain = False
                return self._frames(whole)
        if not self._plain:
            chunk = self._normalised(chunk)
        elif _RETURN in chunk:
            self._plain = False
            chunk = self._normalised(chunk)
        rest = self._rest
        rest += chunk
        border = rest.rfind(b"\n\n", max(0, self._scanned - 1))
        if border < 0:
            self._scanned = len(rest)
            if len(rest) > FRAME_LIMIT:
                raise ApiError("bad_answer", "The upstream sent a stream event of more than 16 MB.")
            return []
        whole = bytes(rest[: border + 2])
        del rest[: border + 2]
        self._scanned = len(rest)
        return self._frames(whole)

    def _normalised(self, chunk: bytes) -> bytes:
        """The chunk without a byte order mark at the very beginning, and with line feeds only."""
        if not self._begun:
            chunk = bytes(self._rest) + chunk
            self._rest.clear()
            if chunk != _MARK and _MARK.startswith(chunk):
                self._rest += chunk
                return b""
            chunk = chunk.removeprefix(_MARK)
            self._begun = True
            self._plain = _RETURN not in chunk
        if self._held_cr:
            chunk, self._held_cr = b"\r" + chunk, False
        if chunk.endswith(b"\r"):
            # Its line feed may be the next byte; a line that is complete without it only waits a little.
            chunk, self._held_cr = chunk[:-1], True
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def close(self) -> list[Frame]:
        """What is left at the end of bytes: a last frame without its blank line."""
        whole = bytes(self._rest)
        self._rest.clear()
        return self._frames(whole)

    def _frames(self, whole: bytes) -> list[Frame]:
        frames = []
        for part in whole.split(b"\n\n"):
            line = part.find(b"\n")
            if line < 0 and part.startswith(b"data: "):
                frames.append(Frame(part[6:]))
            elif (
                line > 0
                and part.startswith(b"event: ")
                and part.startswith(b"data: ", line + 1)
                and part.find(b"\n", line + 7) < 0
            ):
                frames.append(Frame(part[line + 7 :], part[7:line].decode("utf-8", "replace")))
            elif part:
                frame = self._frame(part)
                if frame:
                    frames.append(frame)
        return frames

    def _frame(self, part: bytes) -> Frame | None:
        data: list[bytes] = []
        event = ""
        for line in part.split(b"\n"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name == b"event":
                event = value.decode("utf-8", "replace")
            elif name in (b"", b"id", b"retry"):  # b"" is a comment, or an empty line
                continue
            elif len(self.stray) < _STRAY_LIMIT:
                self.stray += line + b"\n"
        return Frame(b"\n".join(data), event) if data else None


def alike(chunk: bytes, at: int, head: bytes, tail: bytes) -> tuple[list[bytes], int]:
    """What differs in frames that differ in one place only: all that are at `at` in a row, and where they end.

    `head` and `tail` are what is before and behind it, with the blank line that ends a frame. Few calls on many bytes:
    comparing what was put together again is cheaper than a look at each frame.
    """
    piece = chunk[at : at + _AT_ONCE]
    frames = piece.split(b"\n\n")
    del frames[-1]  # what is behind the last blank line
    start, stop = len(head), 2 - len(tail)
    found = [frame[start:stop] for frame in frames]
    whole = head + (tail + head).join(found) + tail
    if piece.startswith(whole):
        return found, at + len(whole)
    line = tail[:-2]
    count = next((number for number, frame in enumerate(frames) if head + found[number] + line != frame), 0)
    return found[:count], at + sum(map(len, found[:count])) + count * len(head + tail)
