"""Outlines of long bodies, without reading again what was read before.

An agent sends its whole conversation with every request, and its tools. What comes again stands where it stood, and is
found by comparing memory, which costs a twentieth of decoding it. It is cut out, what is left is decoded, and what is
known is put back in. Nothing is assumed: what stands for the known part must have been decoded as what it stands for.
"""

from operator import attrgetter

import msgspec
from msgspec import Raw, Struct

from dragoman.messages.memory import Memory
from dragoman.messages.outline import ABSENT, Outline, TurnOutline

LIMIT = 16 * 1024 * 1024  # bytes of turns that are remembered
LONGEST = 512 * 1024  # bytes of turns, or of tools, that are remembered
NEWEST = 4  # turns that are never remembered: clients move their marks for the prompt cache about in them
WORTH = 8 * 1024  # bytes of turns that are worth it

_TURNS = b'{"role":"\\u0000turns"}'
_TOOLS = b'"\\u0000tools"'
_TURNS_RAW, _TOOLS_RAW = Raw(_TURNS), Raw(_TOOLS)
_TURN = msgspec.json.Decoder(TurnOutline)
_WHOLE = msgspec.json.Decoder(Outline)
_SHAPES = {"messages": list[Raw], "tools": Raw}
_APART = msgspec.json.Decoder(
    msgspec.defstruct(
        "_Apart",
        [
            *(
                (field.name, _SHAPES.get(field.name, field.type), field.default)
                for field in msgspec.structs.fields(Outline)
                if field.name != "messages"
            ),
            ("messages", list[Raw], []),
            ("tools", Raw, ABSENT),
        ],
        frozen=True,
        gc=False,
    )
)
_head = attrgetter(*(name for name in Outline.__struct_fields__ if name != "messages"))


class _Turns(Struct):
    """The turns that a conversation begins with."""

    text: bytes
    start: int  # where it stands in a body
    outlines: list[TurnOutline]


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
            cuts.append((turns.start, turns.start + len(turns.text), _TURNS))
        if tools is not None:
            cuts.append((tools[0], tools[1], _TOOLS))
            cuts.sort()
        pieces, at = [], 0
        for start, end, instead in cuts:  # one inside another leaves two texts side by side, which is no JSON
            pieces += (raw[at:start], instead)
            at = end
        found = _APART.decode(b"".join((*pieces, raw[at:])) if cuts else raw)
        rows, rest = found.messages, found.tools
        if tools is not None:
            if rest != _TOOLS_RAW:
                return None
        elif WORTH < len(rest) <= LONGEST:
            self._tools.keep(bytes(rest), None, raw)
        if turns is None:
            turns = _Turns(b"", -1, [])
        elif rows and rows[0] == _TURNS_RAW:
            rows = rows[1:]
        else:
            return None
        outlines = [*turns.outlines, *map(_TURN.decode, rows)]
        if sum(map(len, rows[:-NEWEST])) > max(WORTH, len(turns.text) // 4):
            self._keep(raw, turns, rows[:-NEWEST], outlines[:-NEWEST])
        return Outline(*_head(found), outlines)

    def _keep(self, raw: bytes, turns: _Turns, rows: list[Raw], outlines: list[TurnOutline]) -> None:
        """Remember what `turns` have become: `rows` came behind them. Only as JSON is written by machines."""
        start, text = turns.start, turns.text
        if not text:
            text, rows = bytes(rows[0]), rows[1:]
            start = raw.find(text[:64])
        end = start + len(text)
        between = b", " if raw.startswith(b", ", end) else b","
        text = between.join((text, *rows))
        if len(text) <= LONGEST and raw.startswith(text, start):
            self._conversations.append(_Turns(text, start, outlines))
            self._size += len(text)
            while self._size > self._limit:
                self._size -= len(self._conversations.pop(0).text)
