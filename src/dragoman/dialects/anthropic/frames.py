"""Whole frames of an event stream, with every byte that they came with.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import re
from collections.abc import Iterator

from dragoman.messages import edit
from dragoman.messages.errors import ApiError
from dragoman.messages.sse import FRAME_LIMIT

# The end of a line and an empty line. A carriage return at the very end may be half of a line's end.
_BORDER = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r(?!\Z))")
_LINE = re.compile(rb"\r\n|\n|\r")
_LINES = re.compile(rb"(\r\n|\n|\r)")
_LINE_ENDS = b"\r\n"
_LOOK_BACK = 3  # bytes of a border that may be in the read before
# A number: asked for bytes, `in` first raises and swallows an exception (bytes_contains in CPython's bytes_methods.c).
RETURN = ord("\r")
_MARK = b"\xef\xbb\xbf"


class Frames:
    """Cuts a stream where its frames end; nothing in them is added, taken away or written in another way.

    Only a byte order mark at the very beginning is dropped: behind a ping of ours, and for clients that know none, it
    would be part of a field's name.
    """

    __slots__ = ("_begun", "_scanned", "held", "plain")

    def __init__(self) -> None:
        self.plain = True  # no carriage return was seen
        self._begun = False
        self.held = bytearray()  # of a frame that is not complete
        self._scanned = 0  # no border ends before this offset of `held`

    def whole(self, chunk: bytes) -> bytes:
        """All frames that are complete with `chunk`. Raises ApiError("bad_answer") for one over `FRAME_LIMIT`."""
        if self.plain and RETURN in chunk:
            self.plain = False
        if not self._begun:
            chunk = self._begin(chunk)
        rest = self.held
        if not rest and chunk[-2:] == b"\n\n":
            return chunk
        rest += chunk
        end = self._end()
        if not end:
            self._scanned = len(rest)
            if len(rest) > FRAME_LIMIT:
                raise ApiError("bad_answer", "The upstream sent a stream event of more than 16 MB.")
            return b""
        found = bytes(rest[:end])
        del rest[:end]
        self._scanned = len(rest)
        return found

    def rest(self) -> bytes:
        """What is left at the end of the bytes, with the line ends that it lacks to be a frame; b"" for nothing."""
        found = bytes(self.held if self._begun else self.held.removeprefix(_MARK))
        self.held.clear()
        text = found.rstrip(_LINE_ENDS)
        if not text:
            return b""
        ending = found[len(text) :]
        missing = 2 - len(_LINE.findall(ending))
        half = ending.endswith(b"\r")  # the first line feed behind it is its own
        return found + b"\n" * (missing + half) if missing > 0 else found

    def _begin(self, chunk: bytes) -> bytes:
        """The stream without a byte order mark, as soon as it is clear whether there is one."""
        chunk = bytes(self.held) + chunk
        self.held.clear()
        if _MARK.startswith(chunk):
            self.held += chunk
            return b""
        self._begun = True
        return chunk.removeprefix(_MARK)

    def _end(self) -> int:
        """Where the last whole frame of `held` ends; 0 when there is none."""
        start = max(self._scanned - _LOOK_BACK, 0)
        if self.plain:
            end = self.held.rfind(b"\n\n", start) + 2
            return end if end > 1 else 0
        return max((border.end() for border in _BORDER.finditer(self.held, start)), default=0)


def each(whole: bytes) -> Iterator[bytes]:
    """The frames in `whole`, each with the empty line behind it."""
    start = 0
    for border in _BORDER.finditer(whole):
        yield whole[start : border.end()]
        start = border.end()
    if start < len(whole):  # it ends in a carriage return, which is known to be a line's end by now
        yield whole[start:]


def read(frame: bytes) -> tuple[str, bytes]:
    """The name of a frame, "" without one, and its data; neither for comments."""
    name, data = b"", []
    for line in _LINE.split(frame):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return name.decode("utf-8", "replace"), b"\n".join(data)


def named(frame: bytes, name: str) -> bytes:
    """The frame with a line that names its event, behind empty lines that it begins with."""
    text = frame.lstrip(_LINE_ENDS)
    return b"%b%b%b\n%b" % (frame[: len(frame) - len(text)], b"event: ", name.encode("utf-8", "replace"), text)


def edited(frame: bytes, changes: edit.Changes) -> bytes:
    """The frame with changes in its JSON; every other byte stays, however many lines the JSON is written on.

    Raises msgspec.DecodeError when it is no JSON.
    """
    before = b"".join(map(_only_data, _LINES.split(frame)))
    after = edit.changed(before, changes)
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    return frame[:start] + after[start : len(after) - end] + frame[len(frame) - end :]


def _only_data(line: bytes) -> bytes:
    """The line with spaces for all that is no data."""
    if line.strip(_LINE_ENDS) == b"":
        return line
    return b"     " + line[5:] if line.startswith(b"data:") else b" " * len(line)


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes two texts begin with that are the same."""
    differences = (at for at, (first, second) in enumerate(zip(one, other, strict=False)) if first != second)
    return next(differences, min(len(one), len(other)))
