"""Long bodies, without reading again what was read before.

An agent sends its whole conversation with every request, its system prompt and its tools. What comes again stands where
it stood, and is found by comparing memory, which costs a twentieth of decoding it. It is cut out, a sign is put in its
place, and what is left is decoded. Nothing is assumed: each sign must have become what it stands for, so a text is not
known by its bytes alone, but also by where it stands.
"""

import re
from collections.abc import Sequence
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
from dragoman.messages.met import Conversations, Met, Prompt
from dragoman.messages.outline import Knobs, Outline, TurnOutline
from dragoman.messages.pieces import Cut, Cutting, Pieces, cut

LIMIT = 32 * 1024 * 1024  # bytes of conversations that may be remembered, about
LEAST = 4096  # bytes of a beginning that is worth being remembered
LONGEST = 512 * 1024  # bytes of a list of tools, or of a system prompt, that is remembered
MOVING = 6  # turns at the end in which clients move their cache breakpoints on: two of the user's, with two answers

_WORTH = 1024  # bytes of tools, or of a block of the system prompt, that are worth being remembered
_START = 64  # bytes of a block of the system prompt that are looked for before all of it
_MARK = b"\x7f"  # a character that hardly any text has; it is in every sign
_TOOLS_SIGN, _TURNS_SIGN = b'"\x7ftools"', b'"\x7fturns"'
_TOOLS_ROW, _TURNS_ROW = Raw(_TOOLS_SIGN), Raw(_TURNS_SIGN)
_BLOCK_SIGNS = [b'"\x7fblock %d"' % number for number in range(8)]  # so many blocks of a prompt are remembered
_BLOCK_SIGN_SIZE = len(_BLOCK_SIGNS[0])
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


_KNOWN_FIELDS = ("messages", "system", "tools")


class Seen:
    """A body, parts of which were seen before. `len` and `bytes` are those of the whole.

    `met`: its conversation, and `beginning`: with what that began then; `prompt`: known blocks of its system prompt;
    `tools`: the JSON of its tools, if known.
    """

    __slots__ = ("_size", "_whole", "beginning", "cutting", "met", "prompt", "tools")

    def __init__(
        self,
        cutting: Cutting,
        size: int,
        met: Met | None = None,
        prompt: Prompt | None = None,
        tools: bytes | None = None,
        *,
        whole: bytes | None = None,
    ) -> None:
        """`size`: bytes of the whole. `whole`: all of it, if somebody has that."""
        self._size = size
        self._whole = whole
        self.cutting = cutting
        self.met = met
        self.beginning = None if met is None else met.beginning
        self.prompt = prompt or []
        self.tools = tools

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        if self._whole is None:
            self._whole = bytes(self.cutting.pieces())
        return self._whole


class Parts:
    """A long body, whose known parts are known and whose other parts are decoded when somebody looks."""

    __slots__ = ("_beginning", "_has_grown", "_new", "_seen", "_tools", "head")

    def __init__(
        self,
        seen: Seen,
        head: Any,
        new: list[Raw],
        beginning: Beginning | None,
        *,
        has_grown: bool,
        tools: bytes | None,
    ) -> None:
        """`new`: the turns behind the beginning. `has_grown`: its newest turns were not known. `tools`: if
        remembered.
        """
        self._seen = seen
        self.head = head
        """Model, stream, max_tokens and metadata are as in `outline.Head`."""
        self._new = new
        self._beginning = beginning
        self._has_grown = has_grown
        self._tools = tools

    def body(self) -> Body | None:
        """The whole body; None where something is wrong, which decoding all of it tells better.

        Raises ApiError for JSON that nests too deeply, and UnicodeDecodeError for what is no UTF-8: nobody looks for
        that in a body that is passed on.
        """
        check_utf8(self._seen.cutting.rest)
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
            turns: Sequence[TurnOutline] = more
            if self._beginning is not None:
                turns = KnownOutlines(self._beginning, more)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return Outline(*(*_knobs(self.head), turns))

    def edited(self, changes: Changes) -> bytes | Pieces:
        """The body with changes, as `edit.changed` makes them. Raises what that raises."""
        cutting = self._seen.cutting
        if changes.keys().isdisjoint(_KNOWN_FIELDS):
            made = changed_request(cutting.rest, changes)
            spots = _spots(cutting.cuts, made)
            if spots is not None:
                return Cutting(cutting.cuts, made, spots).pieces()
        return changed_request(bytes(self._seen), changes)

    def _system(self, given: Any) -> Any:
        if not isinstance(given, list):
            return given
        known = {sign: block for sign, (_, block) in zip(_BLOCK_SIGNS, self._seen.prompt, strict=False)}
        blocks: list[Block] = []
        for row in given:
            found = known.get(bytes(row)) if len(row) == _BLOCK_SIGN_SIZE else None
            blocks.append(_BLOCK.decode(row) if found is None else found.block)
        return blocks

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
        self._conversations = Conversations(limit)
        self._tools: Memory[bytes] = Memory(16)

    def seen(self, room: bytes | bytearray, begin: int, end: int) -> Seen | None:
        """The body that stands in `room` from `begin` to `end`; None if nothing of it was met before.

        Only what is new of it is copied from there.
        """
        met = self._find(room, begin, end)
        tools = self._tools.find(room, begin, end)
        if met is None and tools is None:
            return None
        cuts: list[Cut] = [] if tools is None else [(tools[0], tools[1], _TOOLS_SIGN, (tools[2],))]
        prompt: Prompt = []
        if met is not None:
            beginning = met.beginning
            cuts.append((met.start, met.start + beginning.size, _TURNS_SIGN, beginning.pieces))
            for at, block in met.prompt or ():
                text = block.text
                if room.startswith(text, begin + at, end):
                    cuts.append((at, at + len(text), _BLOCK_SIGNS[len(prompt)], (text,)))
                    prompt.append((at, block))
            cuts.sort()
        cutting = cut(room, begin, end, cuts)
        return None if cutting is None else Seen(cutting, end - begin, met, prompt, None if tools is None else tools[2])

    def read(self, raw: bytes | Seen) -> Parts | None:
        """The parts of `raw`; None where something is wrong or unusual."""
        try:
            if isinstance(raw, bytes):
                raw = self.seen(raw, 0, len(raw)) or Seen(Cutting([], raw, []), len(raw), whole=raw)
            return self._read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _read(self, seen: Seen) -> Parts | None:
        cutting, met, prompt, tools = seen.cutting, seen.met, seen.prompt, seen.tools
        rest = cutting.rest
        head: Any = _APART.decode(rest)
        if _spots(cutting.cuts, rest) is None or (tools is not None and head.tools != _TOOLS_ROW):
            return None
        if prompt and not (
            isinstance(head.system, list)
            and [bytes(row) for row in head.system if len(row) == _BLOCK_SIGN_SIZE] == _BLOCK_SIGNS[: len(prompt)]
        ):
            return None
        new: list[Raw] = head.messages
        if met is not None:
            if new[:1] != [_TURNS_ROW]:
                return None
            del new[0]
            if met.prompt is None or (met.prompt and not prompt):  # or it has another one by now
                seen.met = self._conversations.keep(Met(met.beginning, met.start, _prompt(head.system, cutting)), met)
        if tools is None:
            tools = self._new_tools(seen, head.tools)
        beginning = self._grown(seen, head, new)
        return Parts(seen, head, new, beginning, has_grown=beginning is not seen.beginning, tools=tools)

    def _find(self, room: bytes | bytearray, begin: int, end: int) -> Met | None:
        """The conversation that begins as this one does: where it stood, or else where the first turn seems to be."""
        met = self._conversations.find(room, begin, end)
        if met is None:
            start = _first_turn(room, begin, end)
            met = self._conversations.fork(room, begin, start, end) if start else None
        return met

    def _new_tools(self, seen: Seen, found: Raw) -> bytes | None:
        """Tools that are known from now on by where they stand."""
        if not _WORTH < len(found) <= LONGEST:
            return None
        text = bytes(found)
        self._tools.keep(text, text, bytes(seen))
        return text

    def _grown(self, seen: Seen, head: Any, new: list[Raw]) -> Beginning | None:
        """The beginning, longer by those of the `new` turns that will come again; they are taken out of there."""
        cutting, beginning = seen.cutting, seen.beginning
        rest = cutting.rest
        if beginning is None:
            known = 0
            start = _first_turn(rest, 0, len(rest))
            if not start:
                return None
        else:
            known = beginning.size
            start = cutting.behind(_TURNS_SIGN)
        spans = _spans(new, rest, start) if new else None
        if not spans or (beginning is not None and _is_answer(rest, *spans[0])):
            return beginning
        count = _lasting(rest, spans)
        if not count or not self._least <= known + spans[count - 1][1] - start <= self._limit // 8:
            return beginning
        longer = Beginning(memoryview(rest)[start : spans[count - 1][1]], count, beginning)
        if seen.met is None or beginning is None:
            self._conversations.keep(Met(longer, cutting.place(start), _prompt(head.system, cutting)))
        else:
            self._conversations.grow(seen.met, beginning, longer)
        del new[:count]
        return longer


def _first_turn(room: bytes | bytearray, begin: int, end: int) -> int:
    """Where the first turn seems to begin; 0 for nowhere."""
    at = room.find(_MESSAGES, begin, end)
    while at > 0:
        found = _FIRST_TURN.match(room, at + len(_MESSAGES), end)
        if found:
            return found.end()
        at = room.find(_MESSAGES, at + 1, end)
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
    moving = max(0, len(spans) - MOVING)
    if count and raw.find(_BREAKPOINT, spans[moving][0], spans[count][0]) >= 0:
        count = next(index for index, span in enumerate(spans) if index >= moving and raw.find(_BREAKPOINT, *span) >= 0)
    follows = _is_answer(raw, *spans[count])
    while count > 0:
        is_answer = _is_answer(raw, *spans[count - 1])
        if is_answer and not follows:
            break
        follows = is_answer
        count -= 1
    return count


def _prompt(system: list[Raw] | str | None, cutting: Cutting) -> Prompt:
    """The long blocks of a system prompt, and where they stand."""
    places: Prompt = []
    rest, at = cutting.rest, 0
    for row in system if isinstance(system, list) else ():
        start = rest.find(memoryview(row)[:_START], at)
        if start >= 0 and rest.startswith(row, start):
            at = start + len(row)
            if _WORTH <= len(row) <= LONGEST:
                places.append((cutting.place(start), KnownBlock(bytes(row))))
    return places[: len(_BLOCK_SIGNS)]


def _spots(cuts: list[Cut], rest: bytes) -> list[int] | None:
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
