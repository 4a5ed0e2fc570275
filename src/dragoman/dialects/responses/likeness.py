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

_AT_ONCE = 16 * 1024  # bytes: a doubt costs no more than another look at them, and a whole answer may come as one read
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
    border: bytes  # the end of one event and the beginning of the next
    start: int  # length of head
    stop: int  # length of tail
    size: int  # length of all three
    text_at: Literal[0, 2]  # which part of a partition at `between` is the text

    def texts(self, chunk: bytes, at: int = 0) -> tuple[list[str], int]:
        """The texts of the events at `at` that are of this likeness, and where they end; none when there is a doubt.

        Few calls on many bytes: cutting them at what is known is cheaper than a look at each event.
        """
        if not chunk.startswith(self.head, at):
            return [], at
        where = self.text_at
        try:
            if len(chunk) - at < 2 * self.size and chunk.endswith(self.tail):  # one event
                only = chunk[at + self.start : -self.stop].partition(self.between)
                _number(only[2 - where])
                return [_text(only[where])], len(chunk)
            piece = chunk[at + self.start : at + self.start + _AT_ONCE]
            *cut, last = piece.split(self.border)
            end = at + len(piece) - len(last)
            stop = last.find(self.tail)
            if stop >= 0:  # else its end is still to come
                cut.append(last[:stop])
                end += self.start + stop + self.stop
            parts = [each.partition(self.between) for each in cut]
            numbers = _numbers(b"[%b]" % b",".join([each[2 - where] for each in parts]))
            # No string holds a line feed, so two that are no literals cannot become one.
            texts = _texts(b"[%b]" % b",\n".join([each[where] for each in parts]))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [], at  # more than the literals differs, or half a character
        return (texts, end) if len(texts) == len(numbers) == len(cut) else ([], at)


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
    return Likeness(head, between, tail, tail + head, len(head), len(tail), len(head + between + tail), text_at)
