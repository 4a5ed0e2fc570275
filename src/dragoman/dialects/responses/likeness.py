"""The same event with another text: most events of a stream differ from the one before in that and in their number.

Bytes that equal a known event's but for a text and a number need no decoding but of those: putting one literal for
another of its kind changes nothing else in a JSON text. That is several times cheaper.
"""

import re
from typing import Literal

import msgspec
from msgspec import Struct, structs

from dragoman.dialects.responses.wire import StreamEvent, decode
from dragoman.messages import sse
from dragoman.messages.sse import Frame

_text = msgspec.json.Decoder(str).decode
_number = msgspec.json.Decoder(int).decode
_numbers = msgspec.json.Decoder(list[int]).decode
_texts = msgspec.json.Decoder(list[str]).decode
_PROBE = "\x01likeness"
_PROBE_JSON = msgspec.json.encode(_PROBE)

# What differs from event to event and says nothing. (Padding does, too, but OpenAI is asked for none.)
_NUMBER = re.compile(rb'"sequence_number": ?(\d+)')


class Likeness(Struct, frozen=True, gc=False):
    """What stands before, between and after the text and the number."""

    head: bytes  # from the event's first line to its first literal
    between: bytes
    tail: bytes  # from its last literal to the blank line behind it
    start: int  # length of head
    stop: int  # length of tail
    twice: int  # bytes; two events have more
    text_at: Literal[0, 2]  # which part of a partition at `between` is the text

    def text(self, event: bytes) -> str | None:
        """The text of one whole event; None when it is another one, or when there is a doubt."""
        if not event.startswith(self.head) or not event.endswith(self.tail):
            return None
        only = event[self.start : -self.stop].partition(self.between)
        try:
            _number(only[2 - self.text_at])
            return _text(only[self.text_at])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # more than the literals differs, or half a character

    def texts(self, chunk: bytes, at: int = 0) -> tuple[list[str], int]:
        """The texts of the events at `at` that are of this likeness, and where they end; none when there is a doubt."""
        if not chunk.startswith(self.head, at):
            return [], at
        found, end = sse.alike(chunk, at, self.head, self.tail)
        parts = [each.partition(self.between) for each in found]
        where = self.text_at
        try:
            # No string holds a line feed, so two that are no literals cannot become one.
            texts = _texts(b"[%b]" % b",\n".join([part[where] for part in parts]))
            numbers = _numbers(b"[%b]" % b",".join([part[2 - where] for part in parts]))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [], at  # more than the literals differs, or half a character
        return (texts, end) if len(texts) == len(numbers) == len(found) else ([], at)


def likeness(frame: Frame, event: StreamEvent) -> Likeness | None:
    """What frames like this one have in common, when a delta is all that it says; None when it cannot be told."""
    data = frame.data
    literal = msgspec.json.encode(event.delta)
    start = data.find(b'"delta":') + 8
    start += data[start : start + 1] == b" "
    stop = start + len(literal)
    number = _NUMBER.search(data)
    # Escaped in another way, or in several lines: a later frame will do.
    if number is None or data[start:stop] != literal or b"\n" in data:
        return None
    first, last = number.span(1)
    text_at: Literal[0, 2] = 0 if start < first else 2
    probes = (_PROBE_JSON, b"0")
    if text_at == 2:
        start, stop, first, last = first, last, start, stop
        probes = (b"0", _PROBE_JSON)
    head, between, tail = data[:start], data[stop:first], data[last:]
    if decode(head + probes[0] + between + probes[1] + tail) != structs.replace(event, delta=_PROBE):
        return None  # a literal of another field
    head = (b"event: %b\ndata: " % frame.event.encode() if frame.event else b"data: ") + head
    tail += b"\n\n"
    return Likeness(head, between, tail, len(head), len(tail), 2 * len(head + between + tail), text_at)
