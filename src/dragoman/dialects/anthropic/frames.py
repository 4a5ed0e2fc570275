"""Whole frames of an event stream, with every byte that they came with."""

import re
from collections.abc import Iterator

from dragoman.messages.errors import ApiError
from dragoman.messages.sse import FRAME_LIMIT

# The end of a line and an empty line. A carriage return at the very end may be half of a line's end.
_BORDER = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r(?!\Z))")
_LINE = re.compile(rb"\r\n|\n|\r")
_LOOK_BACK = 3  # bytes of a border that may be in the read before


class Frames:
    """Cuts a stream where its frames end; nothing is added, taken away or written in another way."""

    __slots__ = ("_rest", "_scanned")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._scanned = 0  # no border ends before this offset of `_rest`

    def whole(self, chunk: bytes) -> bytes:
        """All frames that are complete with `chunk`. Raises ApiError("bad_answer") for one over `FRAME_LIMIT`."""
        rest = self._rest
        if not rest and chunk[-2:] == b"\n\n":
            return chunk
        rest += chunk
        end = -1
        start = max(self._scanned - _LOOK_BACK, 0)
        if b"\r" in rest:
            for border in _BORDER.finditer(rest, start):
                end = border.end()
        else:
            end = rest.rfind(b"\n\n", start) + 2
            end = end if end > 1 else -1
        if end < 0:
            self._scanned = len(rest)
            if len(rest) > FRAME_LIMIT:
                raise ApiError("bad_answer", "The upstream sent a stream event of more than 16 MB.")
            return b""
        found = bytes(rest[:end])
        del rest[:end]
        self._scanned = len(rest)
        return found

    def rest(self) -> bytes:
        """What is left when the bytes are at their end."""
        found = bytes(self._rest)
        self._rest.clear()
        return found


def each(whole: bytes) -> Iterator[bytes]:
    """The frames in `whole`, each with the empty line behind it."""
    start = 0
    for border in _BORDER.finditer(whole):
        yield whole[start : border.end()]
        start = border.end()
    if start < len(whole):
        yield whole[start:]


def read(frame: bytes) -> tuple[str, bytes]:
    """The name of a frame, "" without one, and its data; neither for comments."""
    name, data = b"", []
    for line in _LINE.split(frame):
        field, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return name.decode("utf-8", "replace"), b"\n".join(data)
