"""The same frame with another text: in most streams, most frames differ from the one before in one string only.

Bytes that begin and end as a known frame does, with a JSON string between, need no decoding but of that string:
putting one string literal for another changes nothing else in a JSON text. That is several times cheaper.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from dragoman.dialects.chat.wire import Chunk, Delta, ToolCall, decode, decode_text
from dragoman.messages import sse

Field = Literal["content", "reasoning_content", "reasoning", "arguments"]

_decode_texts = msgspec.json.Decoder(list[str]).decode
_PROBE = "\x01likeness"
_PROBE_JSON = msgspec.json.encode(_PROBE)


class Likeness(Struct, frozen=True, gc=False):
    """What stands before and after the text in a frame's bytes."""

    field: Field
    head: bytes
    tail: bytes
    start: int  # length of head
    stop: int  # minus the length of tail
    # The same in an event's bytes, as servers mostly write it: in one line, with a blank line behind it
    first: bytes
    last: bytes
    begin: int  # length of first
    end: int  # minus the length of last
    twice: int  # bytes; two events have more

    def text(self, event: bytes) -> str | None:
        """The text of one whole event; None when it is another one, or when there is a doubt."""
        literal = event[self.begin : self.end]
        if self.first + literal + self.last != event:
            return None
        try:
            return decode_text(literal)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # more than a string differs, or half a character

    def texts(self, chunk: bytes, at: int = 0) -> tuple[list[str], int]:
        """The texts of the events at `at` that are of this likeness, and where they end.

        None, and the end of the chunk, when there is a doubt: then all of it is to be read the long way.
        """
        if not chunk.startswith(self.first, at):
            return [], at
        literals, end = sse.alike(chunk, at, self.first, self.last)
        try:
            # No string holds a line feed: two that are no literals cannot become one.
            texts = _decode_texts(b"[%b]" % b",\n".join(literals))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [], len(chunk)  # more than a string differs, or half a character
        return (texts, end) if len(texts) == len(literals) else ([], len(chunk))


def likeness(data: bytes, chunk: Chunk) -> Likeness | None:
    """What frames like `data` have in common, when its text is all that `chunk` says; None when it says more."""
    choices = chunk.choices
    if choices is None or len(choices) != 1 or chunk.usage is not None or chunk.x_groq is not None:
        return None
    delta = choices[0].delta
    field = _only_text(delta) if delta is not None else None
    if delta is None or field is None:
        return None
    literal = msgspec.json.encode(_text(delta, field))
    start = data.find(b'"%b":' % field.encode()) + len(field) + 3
    start += data[start : start + 1] == b" "
    end = start + len(literal)
    if data[start:end] != literal:  # escaped in another way; a later frame will do
        return None
    head, tail = data[:start], data[end:]
    probe = decode(head + _PROBE_JSON + tail)
    found = probe.choices[0].delta if probe.choices else None
    if found is None or _text(found, field) != _PROBE:  # the text of another field of that name
        return None
    first, last = b"data: " + head, tail + b"\n\n"
    return Likeness(field, head, tail, len(head), -len(tail), first, last, len(first), -len(last), 2 * (len(data) + 6))


def _only_text(delta: Delta) -> Field | None:
    """The one field with text in a delta that holds nothing else."""
    content, calls = delta.content, delta.tool_calls
    if content and delta == Delta(content):  # most of them
        return "content" if isinstance(content, str) else None
    if calls and delta == Delta(tool_calls=calls):
        return "arguments" if _only_arguments(calls) else None
    said = [name for name in Delta.__struct_fields__ if getattr(delta, name)]
    if said == ["content"] and isinstance(content, str):
        return "content"
    if said == ["reasoning_content"]:
        return "reasoning_content"
    if said == ["reasoning"]:
        return "reasoning"
    if said == ["tool_calls"] and calls is not None and _only_arguments(calls):
        return "arguments"
    return None


def _only_arguments(calls: list[ToolCall]) -> bool:
    piece = calls[0]
    function = piece.function
    if len(calls) > 1 or piece.id or piece.extra_content or function is None or function.name:
        return False
    return isinstance(function.arguments, str) and bool(function.arguments)


def _text(delta: Delta, field: Field) -> object:
    if field != "arguments":
        return getattr(delta, field)
    function = delta.tool_calls[0].function if delta.tool_calls else None
    return function.arguments if function is not None else None
