"""Server-sent events, both ways: the bytes of Messages events, and frames out of upstream bytes.

Frames are cut on bytes: splitting decoded text would cut at U+2028 inside JSON and break characters at chunk borders.
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import msgspec
from msgspec import Struct

from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event

FRAME_LIMIT = 16 * 1024 * 1024  # bytes of one frame, and of the stray text that is kept
_STRAY_LIMIT = 1024 * 1024

_encode = msgspec.json.Encoder().encode

PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def encode(event: Event) -> bytes:
    """The frame of one event: its name, its JSON, a blank line."""
    tag: str = event.__struct_config__.tag  # type: ignore[assignment]
    return b"event: %b\ndata: %b\n\n" % (tag.encode(), _encode(event))


class Frame(Struct, frozen=True, gc=False):
    """One server-sent event."""

    data: bytes
    event: str = ""


class FrameReader:
    """Cuts a byte stream into frames, wherever its chunks end.

    Knows `\\n`, `\\r\\n` and `\\r`, several `data:` lines, comments, a byte order mark. Lines that are no field of an
    event stream (a bare JSON error under status 200) are kept in `stray`.
    """

    def __init__(self) -> None:
        self.stray = bytearray()
        self._rest = bytearray()
        self._scanned = 0  # no frame border before this offset of `_rest`
        self._held_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """Frames completed by `chunk`. Raises ApiError("bad_answer") when one is over `FRAME_LIMIT`."""
        if not self._begun:
            chunk = bytes(self._rest) + chunk
            self._rest.clear()
            if chunk in (b"\xef", b"\xef\xbb"):
                self._rest += chunk
                return []
            chunk = chunk.removeprefix(b"\xef\xbb\xbf")
            self._begun = bool(chunk)
        if self._held_cr:
            chunk, self._held_cr = b"\r" + chunk, False
        if b"\r" in chunk:
            if chunk.endswith(b"\r"):
                # Its line feed may be the next byte; a line that is complete without it only waits a little.
                chunk, self._held_cr = chunk[:-1], True
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        rest = self._rest
        if not rest and chunk.endswith(b"\n\n"):  # the common case: whole frames, nothing to keep
            return self._frames(chunk)
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

    def close(self) -> list[Frame]:
        """What is left at the end of bytes: a last frame without its blank line."""
        whole = bytes(self._rest)
        self._rest.clear()
        return self._frames(whole)

    def _frames(self, whole: bytes) -> list[Frame]:
        frames = []
        for part in whole.split(b"\n\n"):
            if part.startswith(b"data: ") and b"\n" not in part:
                frames.append(Frame(part[6:]))
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
