"""Long bodies, without reading again what was read before.

An agent sends its whole conversation with every request, its system prompt and its tools. What comes again stands where
it stood, and is found by comparing memory, which costs a twentieth of decoding it. It is cut out, a sign is put in its
place, and what is left is decoded. Nothing is assumed: each sign must have become what it stands for, so a text is not
known by its bytes alone, but also by where it stands.
"""

import re
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.messages.beginning import Beginning, KnownOutlines, KnownTurns
from dragoman.messages.body import NO_RAW, Block, Body, KnownBlock, KnownTools, Tool, Turn
from dragoman.messages.checks import check_tools, check_turns
from dragoman.messages.edit import Changes, changed_request
from dragoman.messages.lenient import check_utf8
from dragoman.messages.memory import Memory
from dragoman.messages.outline import Knobs, Outline, TurnOutline

LIMIT = 32 * 1024 * 1024  # bytes of conversations that may be remembered, about
LEAST = 4096  # bytes of a beginning that is worth being remembered
LONGEST = 512 * 1024  # bytes of a list of tools, or of a system prompt, that is remembered
MOVING = 6  # turns at the end in which clients move their cache breakpoints on: two of the user's, with two answers

_WORTH = 1024  # bytes of tools, or of a block of the system prompt, that are worth being remembered
_START = 64  # bytes of a text that are looked for before all of it
_MARK = b"\x7f"  # a character that hardly any text has; it is in every sign
_TOOLS_SIGN, _TURNS_SIGN = b'"\x7ftools"', b'"\x7fturns"'
_TOOLS_ROW, _TURNS_ROW = Raw(_TOOLS_SIGN), Raw(_TURNS_SIGN)
_BLOCK_SIGNS = [b'"\x7fblock %d"' % number for number in range(8)]  # so many blocks of a prompt are remembered
_MESSAGES = b'"messages"'
_FIRST_TURN = re.compile(rb"\s*:\s*\[\s*")
_BREAKPOINT = b'"cache_control"'
_BETWEEN = b", \n\t\r"
_ANSWER, _QUESTION = b'{"role":"assistant"', b'{"role":"user"'

_FIELDS = {field.name: field for field in msgspec.structs.fields(Body)}
# What is still JSON at first: most of it is known, or looked at by few, or passed on as it is.
_LATER = ("thinking", "tool_choice", "output_config", "temperature", "top_p", "top_k")
_STILL_JSON: dict[str, tuple[Any, Any]] = dict.fromkeys(("tools", *_LATER), (Raw, NO_RAW))
_STILL_JSON["system"] = (str | list[Raw] | None, None)
_STILL_JSON["messages"] = (list[Raw], msgspec.NODEFAULT)
_APART = msgspec.json.Decoder(
    msgspec.defstruct(
        "_Apart",
        [(name, *_STILL_JSON.get(name, (field.type, field.default))) for name, field in _FIELDS.items()],
        frozen=True,
        gc=False,
    )
)
_all_fields = attrgetter(*_FIELDS)
_knobs = attrgetter(*Knobs.__struct_fields__)
_MESSAGES_AT, _SYSTEM_AT, _TOOLS_AT = map(list(_FIELDS).index, ("messages", "system", "tools"))
_DECODED_LATER = [
    (list(_FIELDS).index(name), msgspec.json.Decoder(_FIELDS[name].type).decode, _FIELDS[name].default)
    for name in _LATER
]
_TOOLS = msgspec.json.Decoder(list[Tool] | None)
_TURNS = msgspec.json.Decoder(list[Turn])
_OUTLINES = msgspec.json.Decoder(list[TurnOutline])
_BLOCK = msgspec.json.Decoder(Block)


class _Role(Struct, gc=False):
    role: str


_ROLE = msgspec.json.Decoder(_Role)


_Places = list[tuple[int, KnownBlock]]  # blocks of a system prompt, in their order, and where each stands


_Cut = tuple[int, int, bytes]  # where what is known stands in a body, from and to, and its sign
_KNOWN_FIELDS = ("messages", "system", "tools")


class _Met:
    """A conversation that was met, and where its parts stood."""

    __slots__ = ("beginning", "cost", "end", "end_at", "first", "prompt", "start")

    def __init__(self, beginning: Beginning, start: int, prompt: _Places | None = None) -> None:
        """`prompt`: None where nobody looked at it yet."""
        self.beginning = beginning
        self.start = start
        self.first = bytes(beginning.pieces[0][:_START])
        self.end = beginning.end
        self.end_at = start + beginning.end_at
        self.prompt = prompt
        self.cost: int = beginning.cost + 2 * sum([len(block.text) for _, block in prompt or ()])  # bytes, about


class Parts:
    """A long body, whose known parts are known and whose other parts are decoded when somebody looks."""

    __slots__ = ("_beginning", "_cuts", "_has_grown", "_new", "_prompt", "_raw", "_rest", "_tools", "head")

    def __init__(
        self,
        texts: "tuple[bytes, bytes, list[_Cut]]",
        head: Any,
        new: list[Raw],
        beginning: Beginning | None,
        *,
        has_grown: bool,
        prompt: dict[bytes, KnownBlock],
        tools: bytes | None,
    ) -> None:
        """`texts`: the body, the same without what is known, and what was cut out. `new`: the turns behind the
        beginning. `has_grown`: its newest turns were not known. `prompt`: the known blocks, by their signs. `tools`: if
        remembered.
        """
        self._raw, self._rest, self._cuts = texts
        self.head = head
        """Model, stream, max_tokens and metadata are as in `outline.Head`."""
        self._new = new
        self._beginning = beginning
        self._has_grown = has_grown
        self._prompt = prompt
        self._tools = tools

    def body(self) -> Body | None:
        """The whole body; None where something is wrong, which decoding all of it tells better.

        Raises ApiError for JSON that nests too deeply, and UnicodeDecodeError for what is no UTF-8: nobody looks for
        that in a body that is passed on.
        """
        check_utf8(self._rest)
        if self._has_grown and self._beginning is not None:
            self._beginning.has_new_text()
        values = list(_all_fields(self.head))
        try:
            for index, decode, default in _DECODED_LATER:
                values[index] = default if values[index] is NO_RAW else decode(values[index])
            values[_SYSTEM_AT] = self._system(values[_SYSTEM_AT])
            values[_TOOLS_AT] = self._all_tools(values[_TOOLS_AT])
            values[_MESSAGES_AT] = self._turns()
        except msgspec.DecodeError:
            return None
        return Body(*values)

    def outline(self) -> Outline | None:
        """What the body is made of; None where something is wrong, which decoding all of it tells better."""
        try:
            more = _OUTLINES.decode(b"[%b]" % b",".join(self._new))
            turns = more if self._beginning is None else KnownOutlines(self._beginning, more)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return Outline(*(*_knobs(self.head), turns))

    def edited(self, changes: Changes) -> bytes:
        """The body with changes, as `edit.changed` makes them. Raises what that raises."""
        if changes.keys().isdisjoint(_KNOWN_FIELDS):
            made = changed_request(self._rest, changes)
            spots = _spots(self._cuts, made)
            if spots is not None:
                return _with(self._raw, self._cuts, made, spots)
        return changed_request(self._raw, changes)

    def _system(self, given: Any) -> Any:
        if not isinstance(given, list):
            return given
        known = [(self._prompt.get(_sign_in(row)), row) for row in given]
        return [_BLOCK.decode(row) if found is None else found.block for found, row in known]

    def _all_tools(self, raw: Raw) -> list[Tool] | None:
        if self._tools is not None:
            return known_tools(self._tools)
        tools: list[Tool] | None = None if raw is NO_RAW else _TOOLS.decode(raw)
        return tools

    def _turns(self) -> list[Turn]:
        beginning = self._beginning
        more = _TURNS.decode(b"[%b]" % b",".join(self._new))
        if beginning is None:
            return more
        known = beginning.decoded().turns
        if known[-1].role != "assistant" or (more and more[0].role == "assistant"):
            return known + more  # one that says twice who speaks
        check_turns(more, len(known))
        return KnownTurns(beginning, more)


class Known:
    """The conversations and the tools that were met last. They change nothing but the time that things take."""

    def __init__(self, limit: int = LIMIT, least: int = LEAST) -> None:
        """`limit`: bytes of conversations that are remembered, about. `least`: bytes of one that is worth it."""
        self._limit = limit
        self._least = least
        self._conversations: dict[_Met, None] = {}  # the one that was met last is the last
        self._cost = 0
        self._tools: Memory[bytes] = Memory(16)

    def read(self, raw: bytes) -> Parts | None:
        """The parts of `raw`; None where something is wrong or unusual."""
        try:
            return self._read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _read(self, raw: bytes) -> Parts | None:
        met = self._find(raw)
        tools = self._tools.find(raw)
        cuts = [] if tools is None else [(tools[0], tools[1], _TOOLS_SIGN)]
        prompt: _Places = []
        if met is not None:
            cuts.append((met.start, met.start + met.beginning.size, _TURNS_SIGN))
            prompt = [place for place in met.prompt or () if raw.startswith(place[1].text, place[0])]
            cuts += [(at, at + len(block.text), sign) for (at, block), sign in zip(prompt, _BLOCK_SIGNS, strict=False)]
            cuts.sort()
        rest = _without(raw, cuts)
        head: Any = _APART.decode(rest)
        if _spots(cuts, rest) is None or (tools is not None and head.tools != _TOOLS_ROW):
            return None
        blocks = {sign: block for (_, block), sign in zip(prompt, _BLOCK_SIGNS, strict=False)}
        if blocks and not (isinstance(head.system, list) and blocks.keys() <= set(map(_sign_in, head.system))):
            return None
        new: list[Raw] = head.messages
        if met is not None:
            if new[:1] != [_TURNS_ROW]:
                return None
            del new[0]
            if met.prompt is None:
                prompt = _prompt(head.system, raw)
                met = self._keep(_Met(met.beginning, met.start, prompt), met)
        text = tools[2] if tools is not None else self._new_tools(raw, head.tools)
        beginning = self._grown(raw, head, new, met, prompt)
        has_grown = beginning is not (met and met.beginning)
        return Parts((raw, rest, cuts), head, new, beginning, has_grown=has_grown, prompt=blocks, tools=text)

    def _find(self, raw: bytes) -> _Met | None:
        """The conversation that begins as this one does: where it stood, or else where the first turn seems to be.

        There the longest beginning of any conversation will do, too: a caller may go back, and on in another way.
        """
        for met in reversed(self._conversations):
            if raw.startswith(met.end, met.end_at) and met.beginning.begins(raw, met.start):
                self._conversations[met] = self._conversations.pop(met)
                return met
        start = _first_turn(raw)
        longest: Beginning | None = None
        for met in reversed(self._conversations):
            if not raw.startswith(met.first, start):
                continue
            found = met.beginning.in_common(raw, start, longest)
            if found is met.beginning:
                return self._keep(_Met(found, start), met)
            if found is not None and (longest is None or found.size > longest.size):
                longest = found
        return None if longest is None else self._keep(_Met(longest, start), None)

    def _new_tools(self, raw: bytes, found: Raw) -> bytes | None:
        """Tools that are known from now on by where they stand in `raw`."""
        if not _WORTH < len(found) <= LONGEST:
            return None
        text = bytes(found)
        self._tools.keep(text, text, raw)
        return text

    def _grown(self, raw: bytes, head: Any, new: list[Raw], met: _Met | None, prompt: _Places) -> Beginning | None:
        """The beginning, longer by those of the `new` turns that will come again; they are taken out of there."""
        beginning = None if met is None else met.beginning
        start = _first_turn(raw) if met is None else met.start
        known = 0 if beginning is None else beginning.size
        spans = _spans(new, raw, start + known) if start and new else None
        if not spans or (beginning is not None and _is_answer(raw, *spans[0])):
            return beginning
        count = _lasting(raw, spans)
        if not count or not self._least <= spans[count - 1][1] - start <= self._limit // 8:
            return beginning
        text = memoryview(raw)[start + known : spans[count - 1][1]]
        longer = Beginning(text, count, beginning)
        self._keep(_Met(longer, start, prompt or _prompt(head.system, raw)), met)
        del new[:count]
        return longer

    def _keep(self, met: _Met, instead_of: _Met | None) -> _Met:
        """Remember a conversation; those that were not met for longest go."""
        if instead_of in self._conversations:
            self._drop(instead_of)
        self._conversations[met] = None
        self._cost += met.cost
        while self._cost > self._limit:
            self._drop(next(iter(self._conversations)))
        return met

    def _drop(self, met: _Met) -> None:
        del self._conversations[met]
        self._cost -= met.cost


def _without(raw: bytes, cuts: list[_Cut]) -> bytes:
    """`raw` with a sign in place of each cut, in their order. Cuts that overlap leave what is no JSON."""
    if not cuts:
        return raw
    whole = memoryview(raw)
    pieces: list[bytes | memoryview] = []
    at = 0
    for start, end, sign in cuts:
        pieces += whole[at:start], sign
        at = end
    return b"".join((*pieces, whole[at:]))


def _with(raw: bytes, cuts: list[_Cut], rest: bytes, spots: list[int]) -> bytes:
    """`rest` with what stands in `raw` in place of each sign. `spots`: where the signs are."""
    whole, other = memoryview(raw), memoryview(rest)
    pieces: list[memoryview] = []
    at = 0
    for (start, end, sign), spot in zip(cuts, spots, strict=True):
        pieces += other[at:spot], whole[start:end]
        at = spot + len(sign)
    return b"".join((*pieces, other[at:]))


def _first_turn(raw: bytes) -> int:
    """Where the first turn seems to begin; 0 for nowhere."""
    at = raw.find(_MESSAGES)
    while at > 0:
        found = _FIRST_TURN.match(raw, at + len(_MESSAGES))
        if found:
            return found.end()
        at = raw.find(_MESSAGES, at + 1)
    return 0


def _spans(turns: list[Raw], raw: bytes, begin: int) -> list[tuple[int, int]] | None:
    """Where in `raw` each of the turns begins and ends, if they are at `begin`."""
    spans: list[tuple[int, int]] = []
    at = begin
    for turn in turns:
        while raw[at] in _BETWEEN:
            at += 1
        if not raw.startswith(turn, at):
            return None
        spans.append((at, at + len(turn)))
        at += len(turn)
    return spans


def _is_answer(raw: bytes, start: int, end: int) -> bool:
    if raw.startswith(_ANSWER, start):
        return True
    return not raw.startswith(_QUESTION, start) and _ROLE.decode(memoryview(raw)[start:end]).role == "assistant"


def _lasting(raw: bytes, spans: list[tuple[int, int]]) -> int:
    """How many of the turns will come again as they are: all up to an answer that the user replied to.

    Cache breakpoints move on with the conversation, so the turns in which they stand now will look otherwise.
    """
    count = len(spans) - 1
    for index in range(max(0, len(spans) - MOVING), count):
        if raw.find(_BREAKPOINT, *spans[index]) >= 0:
            count = index
            break
    follows = _is_answer(raw, *spans[count])
    while count > 0:
        is_answer = _is_answer(raw, *spans[count - 1])
        if is_answer and not follows:
            break
        follows = is_answer
        count -= 1
    return count


def _prompt(system: list[Raw] | str | None, raw: bytes) -> _Places:
    """The long blocks of a system prompt, and where they stand in `raw`."""
    places: _Places = []
    at = 0
    for row in system if isinstance(system, list) else ():
        start = raw.find(memoryview(row)[:_START], at)
        if start >= 0 and raw.startswith(row, start):
            at = start + len(row)
            if _WORTH <= len(row) <= LONGEST:
                places.append((start, KnownBlock(bytes(row))))
    return places[: len(_BLOCK_SIGNS)]


def _sign_in(row: Raw) -> bytes:
    """What may be the sign of a known block; b"" for what is too long."""
    return bytes(row) if len(row) <= len(_BLOCK_SIGNS[0]) else b""


def _spots(cuts: list[_Cut], rest: bytes) -> list[int] | None:
    """Where the signs stand in `rest`; None unless each stands there once: none of them is the caller's."""
    spots: list[int] = []
    at = -1
    for _ in cuts:  # one character is found much faster than several
        at = rest.find(_MARK, at + 1)
        spots.append(at - 1)
    if rest.find(_MARK, at + 1) < 0:
        return spots
    return [rest.find(cut[2]) for cut in cuts] if all(rest.count(cut[2]) == 1 for cut in cuts) else None


@lru_cache(maxsize=64)  # the same bytes give the same tools, so a memory of them changes nothing but the time it takes
def known_tools(text: bytes) -> KnownTools | None:
    """The tools in the JSON `text`.

    Raises msgspec.ValidationError, UnicodeDecodeError for what is no UTF-8, ApiError for schemas that nest too deeply.
    """
    check_utf8(text)
    tools: list[Tool] | None = _TOOLS.decode(text)
    check_tools(tools)
    return None if tools is None else KnownTools(tools, text)
