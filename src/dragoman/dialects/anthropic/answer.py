"""Answers of upstreams that speak Messages: passed on, byte for byte, and watched on the way.

Nothing is written anew. Only the model's name changes, where the caller asked for another one, and a frame without its
`event:` line gets one, since Anthropic's clients find nothing without it.
https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import re

import msgspec

from dragoman.dialects.anthropic import errors, wire
from dragoman.dialects.anthropic.frames import Frames, each, read
from dragoman.dialects.anthropic.wire import Seen, seen
from dragoman.dialects.contract import Call
from dragoman.messages import edit
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event
from dragoman.messages.notes import Note
from dragoman.messages.refusals import report
from dragoman.messages.writer import MessageWriter

ANSWER_LIMIT = 256 * 1024 * 1024  # bytes of one stream
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_CONTENT = b"event: content_block_"
_NEXT_CONTENT = b"\n\n" + _CONTENT
_MODEL = re.compile(rb'("message"\s*:\s*\{.*?"model"\s*:\s*)"(?:[^"\\]|\\.)*"', re.DOTALL)


class AnthropicReader:
    """Passes one answer on; a `dialects.contract.Reader`. `body` is the answer of a call that does not stream."""

    def __init__(self, call: Call, writer: MessageWriter) -> None:
        self.body: bytes | None = None
        self._call = call
        self._writer = writer
        self._frames = Frames()
        self._alias = call.recall.model if call.recall.model != call.target.model else None
        self._size = 0  # bytes so far
        self._began = False  # whether a message_start was seen
        self._stray = b""  # what came instead of events

    def feed(self, chunk: bytes) -> list[Event]:
        """The whole frames in the next bytes, as they came. Raises ApiError for an error event."""
        self._size += len(chunk)
        if self._size > ANSWER_LIMIT:
            raise ApiError("bad_answer", f"{self._name()} sent more than {ANSWER_LIMIT} bytes.")
        writer = self._writer
        whole = b"" if writer.ended else self._frames.whole(chunk)
        if not whole:
            return writer.take()
        # The usual read: nothing but pieces of content, which nobody has to look at.
        if (
            writer.committed
            and whole.startswith(_CONTENT)
            and whole.count(_NEXT_CONTENT) == whole.count(b"\n\n") - 1
            and b"\r" not in whole
        ):
            writer.relay(whole)
        else:
            for frame in each(whole):
                self._frame(frame)
                if writer.ended:
                    break
        return writer.take()

    def whole(self, body: bytes) -> list[Event]:
        """Takes a message that was not streamed. Raises ApiError for an error under status 200, and for no message."""
        found = seen(body)
        if found is None:
            raise self._nonsense(body)
        if found.error is not None and found.content is None:
            raise errors.embedded(found, body, self._call)
        if not isinstance(found.content, list):
            raise self._nonsense(body)
        if self._call.stream:
            raise ApiError("bad_answer", f"{self._name()} sent a whole message where a stream was asked for.")
        self._count(found)
        self.body = self._renamed(body)
        writer = self._writer
        outcome = wire.outcome(msgspec.structs.asdict(found))
        writer.relay(b"", content=True, outcome=outcome, end=True)
        return writer.take()

    def close(self) -> list[Event]:
        """The end of bytes. Raises ApiError("truncated") when the message had no end."""
        writer = self._writer
        if not writer.ended and (rest := self._frames.rest()).strip():
            _, data = read(rest)
            if data and seen(data) is not None:  # complete, but for its empty line
                self._frame(rest.rstrip(b"\r\n") + b"\n\n")
            elif not data:
                self._stray = self._stray or rest
        if writer.ended:
            return writer.take()
        if writer.finished:  # it said why it stopped, and some servers leave it at that
            writer.notes.append(Note("changed", "message_stop.missing"))
            writer.relay(STOP, end=True)
            return writer.take()
        if self._began:
            raise ApiError("truncated", f"{self._name()} ended its answer before it was complete.")
        raise self._nonsense(self._stray)

    def _frame(self, frame: bytes) -> None:
        name, data = read(frame)
        found = seen(data) if data else None
        writer = self._writer
        if found is None:
            if name or data or frame.lstrip(b"\r\n").startswith(b":"):
                writer.relay(frame)  # a comment, or what only the caller understands
            else:
                self._stray = self._stray or frame
            return
        kind = name or (found.type if isinstance(found.type, str) else "")
        if not name and kind:
            frame = b"event: %b\n" % kind.encode("utf-8", "replace") + frame
        if kind == "error" or (found.error is not None and found.type == "error"):
            raise errors.embedded(found, data, self._call)
        if kind == "message_start":
            self._began = True
            message = found.message if isinstance(found.message, dict) else {}
            self._account(message.get("usage"))
            if self._alias is not None:
                frame = _MODEL.sub(lambda match: match[1] + msgspec.json.encode(self._alias), frame, count=1)
            writer.relay(frame)
        elif kind == "message_delta":
            self._account(found.usage)
            writer.relay(frame, outcome=wire.outcome(found.delta))
        elif kind == "message_stop":
            writer.relay(frame, content=True, end=True)
        else:
            writer.relay(frame, content=kind.startswith("content_block_"))

    def _count(self, found: Seen) -> None:
        self._account(found.usage)

    def _account(self, found: object) -> None:
        usage = wire.usage(found, self._writer.usage_seen)
        if usage is not None:
            self._writer.usage(usage)

    def _renamed(self, body: bytes) -> bytes:
        if self._alias is None:
            return body
        try:
            return edit.with_model(body, self._alias)
        except msgspec.DecodeError:  # it names no model
            return body

    def _nonsense(self, body: bytes) -> ApiError:
        said = report(body.strip()).text
        shown = f"no message but {said[:200]!r}" if said else "an empty answer"
        return ApiError("bad_answer", f"{self._name()} sent {shown}. Check base_url and the model.")

    def _name(self) -> str:
        return f"{self._call.target.provider}/{self._call.target.model}"
