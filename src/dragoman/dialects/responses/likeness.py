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
_MOST_DIGITS = 20
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
    before: bytes  # from a text to the next number
    behind: bytes  # from there to the next text
    quote: bytes  # the end of a text and what follows it, up to the next quote

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
        """The texts of the events at `at` that are of this likeness, and where they end; none when there is a doubt.

        Between two texts there are as many bytes as between any other two, but for the digits of a number, so only the
        texts are searched through.
        """
        if not chunk.startswith(self.head, at):
            return [], at
        find, quote, before, behind = chunk.find, self.quote, self.before, self.behind
        limit, gap = at + _AT_ONCE, len(before) + len(behind)
        literals: list[bytes] = []
        numbers: list[bytes] = []
        begin, digits = at + self.start, 0
        if self.text_at:
            digits = _digits(chunk, begin)
            numbers.append(chunk[begin : begin + digits])
            begin += digits
            if not chunk.startswith(self.between, begin):
                return [], at
            begin += len(self.between)
        end, from_text = at, begin - at  # of the events so far; how far a text is from the beginning of its event
        while stop := find(quote, begin, limit) + 1:
            number = stop + len(before)
            between = chunk[stop : stop + gap + digits]
            if not between.startswith(before) or not between.endswith(behind) or len(between) < gap + digits:
                grown = _digits(chunk, number)  # from 99 to 100, perhaps
                if not chunk.startswith(before, stop) or not chunk.startswith(behind, number + grown):
                    break
                from_text += (grown - digits) * (self.text_at > 0)
                digits = grown
            numbers.append(chunk[number : number + digits])
            literals.append(chunk[begin:stop])
            begin = stop + gap + digits
            end = begin - from_text
        if stop and (closed := self._closed(chunk, stop, numbers)):
            literals.append(chunk[begin:stop])
            end = closed
        try:
            # No string holds a line feed, so two that are no literals cannot become one.
            texts = _texts(b"[%b]" % b",\n".join(literals))
            if len(_numbers(b"[%b]" % b",".join(numbers))) != len(numbers):
                return [], at
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [], at  # more than the literals differs, or half a character
        return (texts, end) if len(texts) == len(literals) else ([], at)

    def _closed(self, chunk: bytes, stop: int, numbers: list[bytes]) -> int:
        """Where the event ends whose text ends at `stop`; 0 when its end is still to come, or another one."""
        if not self.text_at:
            number = stop + len(self.between)
            if not chunk.startswith(self.between, stop):
                return 0
            stop = number + _digits(chunk, number)
            numbers.append(chunk[number:stop])
        return stop + self.stop if chunk.startswith(self.tail, stop) else 0


def _digits(chunk: bytes, at: int) -> int:
    """How many digits there are at `at`."""
    piece = chunk[at : at + _MOST_DIGITS]
    return len(piece) - len(piece.lstrip(b"0123456789"))


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
    before, behind = (tail + head, between) if text_at else (between, tail + head)
    return Likeness(
        head=head,
        between=between,
        tail=tail,
        start=len(head),
        stop=len(tail),
        twice=2 * len(head + between + tail),
        text_at=text_at,
        before=before,
        behind=behind,
        quote=b'"' + (before[: before.find(b'"') + 1] or before),
    )
