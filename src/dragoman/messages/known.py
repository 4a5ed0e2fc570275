"""Outlines of long bodies, without reading again what was read before.

An agent sends its whole conversation with every request, and its tools. What comes again stands where it stood, and is
found by comparing memory, which costs a twentieth of decoding it. It is cut out, what is left is decoded, and what is
known is put back in. Nothing is assumed: what stands for the known part must have been decoded as what it stands for.
"""

from operator import attrgetter

import msgspec
from msgspec import Raw, Struct

from dragoman.messages.memory import Memory
from dragoman.messages.outline import Apart, Knobs, Outline, TurnOutline

LIMIT = 32 * 1024 * 1024  # bytes that may be remembered
LONGEST = 4 * 1024 * 1024  # bytes of the turns of one conversation
LONGEST_TOOLS = 512 * 1024
WORTH = 8 * 1024  # bytes that are worth it
GROWTH = 8  # a conversation is remembered anew when it has grown by one in so many bytes
NEWEST = 4  # turns that are never remembered: clients move their marks for the prompt cache about in them

_MARK = b"\x7f"  # a character that hardly any text has, so that it is found at once
_PLACE = b'{"role":"%b"}' % _MARK
_PLACE_ROWS = [Raw(_PLACE)]
_TOOLS = b'"\\u0000tools"'
_TOOLS_RAW = Raw(_TOOLS)
_TURN = msgspec.json.Decoder(TurnOutline)
_TURNS = msgspec.json.Decoder(list[TurnOutline])
_WHOLE = msgspec.json.Decoder(Outline)
_APART = msgspec.json.Decoder(Apart)
_knobs = attrgetter(*Knobs.__struct_fields__)


class _Turns(Struct):
    """The turns that a conversation begins with."""

    text: bytes
    start: int  # where it stands in a body
    outlines: list[TurnOutline]


_NONE = _Turns(b"", 0, [])


class Known:
    """The conversations and the tools that were met last. They change nothing but the time that things take."""

    def __init__(self, limit: int = LIMIT) -> None:
        """`limit`: bytes of turns that are remembered."""
        self._limit = limit
        self._size = 0
        self._conversations: list[_Turns] = []  # the one that was met last is the last
        self._tools: Memory[None] = Memory(16)

    def outline(self, raw: bytes) -> Outline:
        """What `raw` is made of. Raises what the decoder raises."""
        try:
            found = self._read(raw, self._met(raw), self._tools.find(raw))
        except msgspec.DecodeError:
            found = None
        return _WHOLE.decode(raw) if found is None else found  # fails, too, and tells where in the whole body

    def _met(self, raw: bytes) -> _Turns | None:
        conversations = self._conversations
        for number in range(len(conversations) - 1, -1, -1):
            turns = conversations[number]
            if raw.startswith(turns.text, turns.start):
                conversations.append(conversations.pop(number))
                return turns
        return None

    def _read(self, raw: bytes, turns: _Turns | None, tools: tuple[int, int, None] | None) -> Outline | None:
        """None when what is known does not stand where it seems to."""
        cuts = []
        if turns is not None:
            cuts.append((turns.start, turns.start + len(turns.text), _PLACE))
        if tools is not None:
            cuts.append((tools[0], tools[1], _TOOLS))
            cuts.sort()
        pieces: list[bytes] = []
        at = 0
        for start, end, text in cuts:  # one inside another leaves two texts side by side, which is no JSON
            pieces += (raw[at:start], text)
            at = end
        left = b"".join((*pieces, raw[at:])) if cuts else raw
        found = _APART.decode(left)
        rows = found.messages
        if tools is None:
            if WORTH < len(found.tools) <= LONGEST_TOOLS:
                self._tools.keep(bytes(found.tools), None, raw)
        elif found.tools != _TOOLS_RAW:
            return None
        if turns is None:
            turns = _NONE
        elif rows[:1] == _PLACE_ROWS and left.find(_MARK) == left.rfind(_MARK):  # ours, and no caller's
            del rows[0]
        else:
            return None
        outlines = [*turns.outlines, *map(_TURN.decode, rows)]
        del rows[-NEWEST:]
        grown = sum(map(len, rows))
        if max(WORTH, len(turns.text) // GROWTH) < grown <= LONGEST - len(turns.text):
            self._keep(raw, turns, rows)
        return Outline(*(*_knobs(found), outlines))

    def _keep(self, raw: bytes, turns: _Turns, rows: list[Raw]) -> None:
        """Remember what `turns` have become: `rows` came behind them. Only as JSON is written by machines."""
        start = turns.start if turns.text else raw.find(bytes(rows[0]))
        first = turns.text or rows[0]
        between = b", " if raw.startswith(b", ", start + len(first)) else b","
        more = between.join(rows)
        text = turns.text + between + more if turns.text else more
        if raw.startswith(text, start):
            # Read from a copy: what is still JSON in them would keep the whole body.
            self._conversations.append(_Turns(text, start, turns.outlines + _TURNS.decode(b"[%b]" % more)))
            self._size += 2 * len(text)
            while self._size > self._limit:
                self._size -= 2 * len(self._conversations.pop(0).text)
