"""The same event with another text: most events of a stream differ from the one before in that and in their number.

Bytes that equal a known event's but for a text and a number need no decoding but of those: putting one literal for
another of its kind changes nothing else in a JSON text. That is several times cheaper.
"""

import re
from typing import Literal

import msgspec
from msgspec import Struct, structs

from dragoman.dialects.responses.wire import StreamEvent, decode
from dragoman.messages.sse import Frame

_text = msgspec.json.Decoder(str).decode
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
    border: bytes  # the end of one event and the beginning of the next
    start: int  # length of head
    stop: int  # minus the length of tail
    text_at: Literal[0, 2]  # which part of a partition at `between` is the text

    def texts(self, chunk: bytes) -> list[str] | None:
        """The texts of all events in `chunk`; None when it is not made of whole events of this likeness alone.

        Few calls on many bytes: cutting them at what is known is cheaper than a look at each event.
        """
        if not (chunk.startswith(self.head) and chunk.endswith(self.tail)):
            return None
        at = self.text_at
        body = chunk[self.start : self.stop]
        try:
            if len(chunk) < 2 * self.start:  # one event
                parts = body.partition(self.between)
                return [_text(parts[at])] if parts[2 - at].isdigit() else None
            cut = [each.partition(self.between) for each in body.split(self.border)]
            if not b"".join([parts[2 - at] for parts in cut]).isdigit():
                return None
            texts = _texts(b"[%b]" % b",".join([parts[at] for parts in cut]))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # more than the literals differs, or half a character
        return texts if len(texts) == len(cut) else None


def likeness(frame: Frame, event: StreamEvent) -> Likeness | None:
    """What frames like this one have in common, when a delta is all that it says; None when it cannot be told."""
    data = frame.data
    literal = msgspec.json.encode(event.delta)
    start = data.find(b'"delta":') + 8
    start += data[start : start + 1] == b" "
    stop = start + len(literal)
    number = _NUMBER.search(data)
    if number is None or data[start:stop] != literal:  # escaped in another way; a later frame will do
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
    return Likeness(head, between, tail, tail + head, len(head), -len(tail), text_at)
