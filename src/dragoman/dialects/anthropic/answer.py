"""Answers of upstreams that speak Messages: passed on, byte for byte, and watched on the way.

Nothing is written anew. Only the model's name changes, where the caller asked for another one, and a frame without its
`event:` line gets one, since Anthropic's clients find nothing without it.
https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import re

import msgspec

from dragoman.dialects.anthropic import errors, wire
from dragoman.dialects.anthropic.frames import RETURN, Frames, each, edited, named, read
from dragoman.dialects.contract import Call
from dragoman.messages import edit
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event
from dragoman.messages.notes import Note
from dragoman.messages.refusals import report
from dragoman.messages.writer import MessageWriter

HELD_LIMIT = 16 * 1024 * 1024  # bytes that wait for the first content, and of what came instead of events
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_MODEL = b'"model"'
_CONTENT = b"event: content_block_"
_CONTENTS = re.compile(rb"(?:event: content_block_.*\n.+\n\n)*+")  # as everybody writes them: two lines, no others


class AnthropicReader:
    """Passes one answer on; a `dialects.contract.Reader`. `body` is the answer of a call that does not stream."""

    def __init__(self, call: Call, writer: MessageWriter) -> None:
        self.body: bytes | None = None
        self._call = call
        self._writer = writer
        self._frames = Frames()
        self._alias = call.recall.model if call.recall.model != call.target.model else None
        self._held = 0  # bytes before the first content
        self._began = False  # whether any event of a message was seen
        self._stray = b""  # what came instead of events

    @property
    def _name(self) -> str:
        return self._call.target.name

    def feed(self, chunk: bytes) -> list[Event]:
        """The whole frames in the next bytes, as they came. Raises ApiError for an error event.

        What follows a message_stop is nobody's.
        """
        writer, frames = self._writer, self._frames
        if writer.ended:
            return []
        # The usual read: whole frames of content.
        usual = self._began and frames.plain and not frames.held and RETURN not in chunk
        if usual and chunk and _CONTENTS.fullmatch(chunk):
            writer.relay(chunk, content=True)
            return writer.take()
        whole = frames.whole(chunk)
        if not whole:
            return []
        if frames.plain:
            self._pass_on(whole)
        else:
            for frame in each(whole):
                self._frame(frame)
                if writer.ended:
                    break
        return writer.take()

    def whole(self, body: bytes) -> list[Event]:
        """Takes a message that was not streamed. Raises ApiError for an error under status 200, and for no message."""
        found = wire.seen(body)
        if found is None or bytes(memoryview(found.content)[:1]) != b"[":
            raise self._no_message(body)
        if self._call.stream:
            raise self._other_form("a whole message where a stream was asked for")
        self._account(found.usage)
        self.body = self._renamed(body, found.model)
        self._writer.relay(b"", outcome=wire.outcome(found.stop_reason, found.stop_sequence), end=True)
        return []

    def close(self) -> list[Event]:
        """The end of bytes. Raises ApiError("truncated") when the message had no end."""
        writer = self._writer
        if not writer.ended and (rest := self._frames.rest()):
            _, data = read(rest)
            if not data:
                self._keep(rest)
            elif wire.seen(data) is not None:  # complete, but for its empty line
                self._frame(rest)
        if not writer.ended and writer.finished:  # it said why it stopped, and some servers leave it at that
            writer.notes.append(Note("changed", "message_stop.missing"))
            writer.relay(STOP, end=True)
        if writer.ended:
            return writer.take()
        if self._began:
            raise ApiError("truncated", f"{self._name} ended its answer before it was complete.")
        raise self._no_message(self._stray.strip())

    def _pass_on(self, whole: bytes) -> None:
        """Frames whose lines end in line feeds: those of content together, since nobody has to look at them."""
        writer = self._writer
        at, size = 0, len(whole)
        while at < size and not writer.ended:
            found = _CONTENTS.match(whole, at)
            end = found.end() if found else at
            if end > at:
                self._began = True
                writer.relay(whole[at:end], content=True)
            else:
                border = whole.find(b"\n\n", at)
                end = border + 2 if border >= 0 else size  # an empty line too much, behind the last frame
                self._frame(whole[at:end])
            at = end

    def _frame(self, frame: bytes) -> None:
        writer = self._writer
        if frame.startswith(_CONTENT):
            self._began = True
            writer.relay(frame, content=True)
            return
        name, data = read(frame)
        found = wire.seen(data) or wire.Seen()
        kind = name
        if not name and isinstance(found.type, str) and found.type:
            kind = found.type
            frame = named(frame, kind)
        if kind == "error" or (not kind and found.error):
            raise errors.embedded(data, self._call, frame)
        match kind:
            case "message_start":
                self._start(frame, found)
            case "message_delta":
                self._account(found.usage)
                delta = found.delta if isinstance(found.delta, dict) else {}
                writer.relay(frame, outcome=wire.outcome(delta.get("stop_reason"), delta.get("stop_sequence")))
            case "message_stop":
                writer.relay(frame, end=True)
            case _:  # a ping, a comment, or what only the caller understands
                writer.relay(frame, content=kind.startswith("content_block_"))
                self._began = self._began or writer.committed
                if not data:
                    self._keep(frame)
        self._hold(frame)

    def _start(self, frame: bytes, found: wire.Seen) -> None:
        if not self._call.stream:
            raise self._other_form("a stream where a whole message was asked for")
        self._began = True
        message = found.message if isinstance(found.message, dict) else {}
        self._account(message.get("usage"))
        if self._alias is not None and "model" in message:
            name = msgspec.json.encode(self._alias)
            frame = _plainly(frame, message["model"], name) or edited(frame, {"message": {"model": name}})
        self._writer.relay(frame)

    def _hold(self, frame: bytes) -> None:
        """What comes before the first content is kept, in case that another upstream has to answer."""
        if not self._writer.committed:
            self._held += len(frame)
            if self._held > HELD_LIMIT:
                raise ApiError("bad_answer", f"{self._name} sent {HELD_LIMIT} bytes before any content.")

    def _keep(self, text: bytes) -> None:
        """Lines that are no event are shown to whoever looks for the reason why there is none."""
        if not self._began and not text.startswith(b":"):
            self._stray += text

    def _account(self, found: object) -> None:
        usage = wire.usage(found, self._writer.usage_seen)
        if usage is not None:
            self._writer.usage(usage)

    def _renamed(self, body: bytes, model: object) -> bytes:
        if self._alias is None:
            return body
        try:
            return _plainly(body, model, msgspec.json.encode(self._alias)) or edit.with_model(body, self._alias)
        except msgspec.DecodeError:  # it names no model
            return body

    def _no_message(self, body: bytes) -> ApiError:
        if errors.is_error(body):
            return errors.embedded(body, self._call)
        said = report(body).text
        shown = f"no message but {said[:200]!r}" if said else "an empty answer"
        return ApiError("bad_answer", f"{self._name} sent {shown}. Check base_url and the model.")

    def _other_form(self, what: str) -> ApiError:
        """Asking once more would give the same, and cost the same."""
        return ApiError("bad_answer", f"{self._name} sent {what}.", should_retry=False)


def _plainly(text: bytes, model: object, name: bytes) -> bytes | None:
    """The JSON with `name` in place of `model`, where it stands behind the only "model" of the text, as it mostly does.

    None: only reading the whole text tells which one is meant.
    """
    if not isinstance(model, str) or text.count(_MODEL) != 1:
        return None
    was = b"%b:%b" % (_MODEL, msgspec.json.encode(model))
    return text.replace(was, b"%b:%b" % (_MODEL, name)) if was in text else None
