"""The same frame with another text and other counters: most frames of a stream differ from the one before in no more.

Bytes that equal a known frame's but for a string and some digits of its usage need no decoding but of that string:
putting one literal for another of its kind changes nothing else in a JSON text. That is several times cheaper. The
usage is kept as it came, and read when it is the last one: its totals replace those in all frames before. (A counter
that is no number of JSON, like 007, is not noticed before.)
"""

import re
from bisect import bisect_left

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects.gemini.wire import Answer, Candidate, Content, Grounding, Part, decode

_DIGITS = b"0123456789"
_OTHERS = bytes.maketrans(_DIGITS, b"1234567891")  # another digit for each, and no zero in front
_ZEROS = bytes.maketrans(_DIGITS, b"0" * 10)
_DIGIT, _RUNS = re.compile(rb"\d"), re.compile(rb"\d+")
_PROBE = "\x01likeness"
_PROBE_JSON = msgspec.json.encode(_PROBE)
_PREFIX = b"data: "
_AT_ONCE = 32 * 1024  # bytes; what a doubt about one frame costs is bounded by it
_MANY = 8  # pairs of events in a read: fewer are read one by one
_decode_text = msgspec.json.Decoder(str).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode


class _RawPart(Struct):
    text: Raw


class _RawContent(Struct):
    parts: list[_RawPart]


class _RawCandidate(Struct):
    content: _RawContent


class _RawAnswer(Struct, rename="camel"):
    """The literals of a frame with one text."""

    candidates: list[_RawCandidate]
    usage_metadata: Raw = Raw(b"")


_decode_raw = msgspec.json.Decoder(_RawAnswer).decode


class Likeness:
    """What stands before, between and after the text and the usage, in the bytes of a whole event.

    Of the usage, a few counters grow, and mostly have as many digits as in the event before. So what is compared first
    is all but these, at the very place where they were; where that fails, all digits of the usage may differ.
    """

    __slots__ = (
        "_after",
        "_before",
        "_border",
        "_columns",
        "_flat",
        "_from",
        "_grown",
        "_grown_end",
        "_grown_start",
        "_grows",
        "_head",
        "_known",
        "_last",
        "_middle",
        "_quote",
        "_shape",
        "_start",
        "_tail",
        "_to",
        "_usage_shape",
        "thought",
        "twice",
    )

    def __init__(self, head: bytes, middle: bytes, usage: bytes, last: bytes, newline: bytes, *, thought: bool) -> None:
        """The pieces of an event's line around its text, and what the line ends in."""
        self.thought = thought  # whether the text is a thought's
        self._border = newline * 2
        self._head = head
        self._start = len(head)
        self._middle = middle
        self._last = last + self._border
        self._usage_shape = usage.translate(None, _DIGITS)
        self.twice = 2 * len(head + middle + self._usage_shape + self._last)  # bytes; two events have more
        # Where a text ends. No string holds this: its second quote would be escaped, and so would a line feed.
        self._quote = b'"' + (middle[: middle.find(b'"') + 1] or middle + self._last)
        self._known = b""  # the usage of some event before
        self._grows: set[int] = set()  # the digits that do, as numbers of runs
        self._before = self._after = self._grown = self._shape = self._flat = b""
        self._tail = self._from = self._to = self._grown_start = self._grown_end = 0
        self._columns: list[int] = []
        self._settle(usage)

    @property
    def usage(self) -> bytes:
        """That of the last event, as JSON; b"" where events have none."""
        return self._known[: self._from] + self._grown + self._known[self._to :]

    def text(self, event: bytes) -> str | None:
        """The text of one event; None when it is another one, or when there is a doubt."""
        literal = event[self._start : -self._tail]
        grown = event[self._grown_start : self._grown_end]
        if b"".join((self._head, literal, self._before, grown, self._after)) == event and (
            not grown or grown.translate(None, _DIGITS) == self._shape
        ):
            self._grown = grown
        else:
            if not event.startswith(self._head) or not event.endswith(self._last):
                return None
            literal, _, usage = event[self._start : -len(self._last)].partition(self._middle)
            if usage.translate(None, _DIGITS) != self._usage_shape or not self._settle(usage):
                return None
        try:
            return _decode_text(literal)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # more than the literals differs, or half a character

    def text_of(self, data: bytes) -> str | None:
        """The same for a frame that came in several reads."""
        return self.text(_PREFIX + data + self._border)

    def texts(self, chunk: bytes, at: int = 0) -> tuple[list[str], int]:
        """The texts of the events at `at` that are of this likeness, and where they end; none when there is a doubt."""
        piece = chunk[at : at + _AT_ONCE]
        texts: list[str] = []
        begin, many = 0, len(piece) > _MANY * self.twice
        while found := piece.find(self._quote, begin + self._start) + 1:
            end = found + self._tail
            text = self.text(piece[begin:end])
            if text is None:  # another one, or its counters have more digits than those before
                end = piece.find(self._border, found) + len(self._border)
                text = self.text(piece[begin:end])
                if text is None:
                    break
            texts.append(text)
            begin = end
            if many:
                more, begin = self._many(piece, begin)
                return texts + more, at + begin
        return texts, at + begin

    def _many(self, piece: bytes, at: int) -> tuple[list[str], int]:
        """The same for events whose counters have as many digits as those of the one before.

        Few calls on many bytes are cheaper than a look at each event: between two texts there are as many bytes as
        between any other two, and the digits that grow stand in the same columns.
        """
        literals: list[bytes] = []
        gaps: list[bytes] = []  # from the end of each text to the beginning of the next
        begin, gap, quote = at + self._start, len(self._flat), self._quote
        last = len(piece) + self._start
        piece += self._head
        find, add_literal, add_gap = piece.find, literals.append, gaps.append
        while end := find(quote, begin) + 1:
            add_literal(piece[begin:end])
            begin = end + gap
            add_gap(piece[end:begin])
        if begin > last:  # the rest of the last one is still to come
            gaps.pop()
        found = bytearray().join(gaps)
        count = self._alike(found) if piece.startswith(self._head, at) else 0
        del literals[count:]
        try:
            # No string holds a line feed: two that are no literals cannot become one.
            texts = _decode_texts(b"[%b]" % b",\n".join(literals))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [], at
        if not count or len(texts) != count:
            return [], at
        grown = gaps[count - 1][len(self._before) :]
        self._grown = grown[: self._to - self._from]
        return texts, at + sum(map(len, literals)) + count * gap

    def _alike(self, found: bytearray) -> int:
        """How many of the gaps in `found` are as they should be; their growing digits are lost."""
        flat, gap = self._flat, len(self._flat)
        count = len(found) // gap
        zeros = b"0" * count
        for column in self._columns:
            digits = found[column::gap]
            if not digits.isdigit():
                count = min(count, len(digits) - len(digits.lstrip(_DIGITS)))
            found[column::gap] = zeros
        if found == flat * count:
            return count
        return bisect_left(range(count), 1, key=lambda number: found[: gap * (number + 1)] != flat * (number + 1))

    def _settle(self, usage: bytes) -> bool:
        """Where the digits that grow are, now that they are those of `usage`. False: a counter lacks all of them."""
        runs: list[re.Match[bytes]] = []
        if self._known:
            runs, known = list(_RUNS.finditer(usage)), _RUNS.findall(self._known)
            if len(runs) != len(known):
                return False
            self._grows |= {number for number, run in enumerate(runs) if run[0] != known[number]}
        start, end = len(usage), len(usage)
        if self._grows:
            start, end = runs[min(self._grows)].start(), runs[max(self._grows)].end()
        self._known, self._grown = usage, usage[start:end]
        self._from, self._to = start, end
        self._before, self._after = self._middle + usage[:start], usage[end:] + self._last
        self._shape = self._grown.translate(None, _DIGITS)
        self._tail = len(self._before) + len(self._grown) + len(self._after)
        self._grown_start, self._grown_end = -len(self._grown) - len(self._after), -len(self._after)
        self._columns = [len(self._before) + digit.start() for digit in _DIGIT.finditer(self._grown)]
        self._flat = self._before + self._grown.translate(_ZEROS) + self._after + self._head
        return True


def likeness(data: bytes, answer: Answer, newline: bytes) -> Likeness | None:
    """What frames like this one have in common, when one text is all that they say; None when it cannot be told.

    `data`: of a frame in one line, whose lines end in `newline`; `answer`: what it says.
    """
    part = _only_text(answer)
    if part is None or b"\n" in data:
        return None
    raw = _decode_raw(data)
    literal, usage = bytes(raw.candidates[0].content.parts[0].text), bytes(raw.usage_metadata)
    start = data.find(literal, data.find(b'"text"') + 6)
    end = start + len(literal)
    at = data.find(usage, end) if usage else len(data)
    if at < end:
        return None  # the usage stands in front
    head, middle, last = data[:start], data[end:at], data[at + len(usage) :]
    others = usage.translate(_OTHERS)
    if not _says_the_same(head + _PROBE_JSON + middle + others + last, answer, part, others):
        return None  # literals of other fields
    return Likeness(_PREFIX + head, middle, usage, last, newline, thought=bool(part.thought))


def _only_text(answer: Answer) -> Part | None:
    """The one part of an answer that says nothing but its text."""
    if answer.candidates is None or len(answer.candidates) != 1 or answer.prompt_feedback or answer.error:
        return None
    candidate = answer.candidates[0]
    if candidate.content is None or candidate.content.parts is None or len(candidate.content.parts) != 1:
        return None
    part = candidate.content.parts[0]
    grounding = candidate.grounding_metadata  # often an empty object, until the last frame
    plain = Candidate(
        Content([Part(text=part.text, thought=part.thought)]),
        index=candidate.index,
        safety_ratings=candidate.safety_ratings,
        grounding_metadata=grounding if grounding == Grounding() else None,
    )
    return part if part.text and candidate == plain else None


def _says_the_same(probe: bytes, answer: Answer, part: Part, usage: bytes) -> bool:
    """Whether the frame `probe` differs from `answer` in the text of `part` and in its usage alone."""
    found, raw = decode(probe), _decode_raw(probe)
    changed = _only_text(found)
    if changed is None or changed.text != _PROBE or bytes(raw.usage_metadata) != usage:
        return False
    changed.text = part.text
    found.usage_metadata = answer.usage_metadata
    return found == answer
