"""Makes a conversation well-formed for upstreams that are not Claude.

Anthropic takes histories that others refuse: results behind text, calls without results after an interruption, system
turns in the middle, empty blocks, two turns of one role in a row. `settle` turns each of them into the one form that
every upstream takes: a call is followed at once by exactly one result.

Everything here is a pure function of the body and append-only: what comes out for a history that ends in an assistant
turn is a prefix of what comes out when user or system turns follow, so the prompt caches of upstreams keep hitting.
Nothing is mutated. https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use

Notes made here: `text.empty`, `turn.empty`, `tool_id.duplicate` (ignored); `system.folded`, `system.clear_at`,
`system.block`, `tool_result.missing`, `tool_result.orphan`, `tool_result.merged`, `tool_result.misplaced`,
`tool_use.misplaced` (changed).
"""

from collections import Counter
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from dragoman.messages import state
from dragoman.messages.body import VISIBLE, Block, Turn, text_block, two_bytes
from dragoman.messages.errors import ApiError
from dragoman.messages.instructions import reminder
from dragoman.messages.notes import Note
from dragoman.messages.rendering import as_text, content_of, head_of_result, numbered_content

NO_RESULT = "[no result: interrupted]"

Role = Literal["user", "assistant", "system"]

ATTRIBUTION = "x-anthropic-billing-header:"
"""What Claude Code's line about itself begins with. It stands at the head of the system prompt."""

_ATTRIBUTION = ATTRIBUTION.encode()


Spot = tuple[int, ...]
"""Where a block is, as numbers: of the turn, of the block in it, of a block inside that. `path` makes text of it."""


def path(spot: Spot) -> str:
    """The path of a block in the caller's body, as notes and errors name it.

    (3, 1) is "messages.3.content.1", and (3,) is "messages.3.content", for a turn that was a string. Only few blocks
    are ever named, so the text is made when it is needed.
    """
    return f"messages.{'.content.'.join(map(str, spot))}" if len(spot) > 1 else f"messages.{spot[0]}.content"


class Settled(Struct, frozen=True):
    """One turn of a well-formed conversation."""

    role: Role
    results: tuple[Block, ...] = ()
    """User turns only: the tool_result blocks, exactly one for each of `calls` of the turn before, in their order."""
    blocks: tuple[Block, ...] = ()
    """Everything else, in the caller's order; no empty text, no tool_result. In system turns all are text."""
    turn: int = 0
    """Number of the first of the caller's turns in it."""
    spots: tuple[Spot, ...] = ()
    """Where the results (the call, when its result was missing) and then the blocks were in the caller's body; nothing
    when they are the content of `turn` as it is."""

    def spot(self, number: int) -> Spot:
        """Where `blocks[number]` was."""
        return self.result_spot(len(self.results) + number)

    def result_spot(self, number: int) -> Spot:
        """Where `results[number]` was."""
        return self.spots[number] if self.spots else (self.turn, number)

    @property
    def place(self) -> str:
        """Path of the first of the caller's turns in it: "messages.3"."""
        return f"messages.{self.turn}"

    @property
    def places(self) -> tuple[str, ...]:
        """Paths of `blocks`. All of them are made: the `path` of one `spot` costs less."""
        return tuple([path(self.spot(number)) for number in range(len(self.blocks))])

    @property
    def result_places(self) -> tuple[str, ...]:
        """Paths of `results`."""
        return tuple([path(self.result_spot(number)) for number in range(len(self.results))])

    @property
    def calls(self) -> tuple[Block, ...]:
        """The tool_use blocks, whose ids are unique in the whole history."""
        return tuple(block for block in self.blocks if block.type == "tool_use")


def system_text(system: str | list[Block] | None) -> list[Block]:
    """The system prompt as non-empty text blocks, without Claude Code's attribution line at its head.

    The line differs between requests, so it would keep every prefix cache from hitting, and it means nothing to other
    models. https://code.claude.com/docs/en/llm-gateway-protocol
    """
    if not system:
        return []
    if isinstance(system, str):
        system = [text_block(system)]
    if len(system) == 1 and system[0].type == "text" and not _is_attribution(system[0]):
        return [] if system[0].is_blank else system
    blocks = [block if block.type == "text" else _text(as_text(block), block) for block in system]
    blocks = [block for block in blocks if block.type != "text" or not block.is_blank]
    if blocks and _is_attribution(blocks[0]):
        rest = (blocks[0].text or "").partition("\n")[2].lstrip("\r\n")
        blocks[:1] = [_text(rest, blocks[0])] if rest and not rest.isspace() else []
    return blocks


def _is_attribution(block: Block) -> bool:
    return memoryview(block.text_json)[1 : len(_ATTRIBUTION) + 1] == _ATTRIBUTION


_Call = tuple[str, str, Spot]  # its id as the caller wrote it, its id as sent, where it is


class Open(Struct, frozen=True):
    """What the first turns of a conversation, the last of which is an assistant's, leave open for those behind them."""

    end: int = 0
    """How many turns they are."""
    taken: frozenset[str] = frozenset()
    """Ids of the calls in them."""
    calls: tuple[_Call, ...] = ()
    """Those of the last turn, which have no results yet."""


NOTHING_OPEN = Open()


def is_plain(turns: list[Turn]) -> bool:
    """Whether both sides only say strings, in turn, and the user begins and ends: then there is nothing to settle."""
    role, other = "user", "assistant"
    for turn in turns:
        said = turn.content
        if turn.role != role or not isinstance(said, str) or not said or said.isspace():
            return False
        role, other = other, role
    return role == "assistant"


def settle(turns: list[Turn], notes: list[Note], *, fold_system: bool) -> list[Settled]:
    """The turns in well-formed order. What had to change is appended to `notes`.

    - Neighbours of one role become one turn; a string becomes one text block; empty text and empty turns are dropped.
    - The results of an assistant turn's calls come first in what follows it, one for each call, in the order of the
      calls; several for one call become one; a missing one is `NO_RESULT`, unless the history ends with the call.
    - A result without a call becomes text of the user.
    - A second call with an id that the history already has gets another id, and so does its result.
    - `fold_system`: system turns become `<system-reminder>` text of the user turn around them, or one of their own;
      else they stay where they are, behind results.

    Blocks that need no change are the caller's own, not copies.
    Raises ApiError("invalid_request") for an unknown role, and for a call or a result without its id or name.
    """
    return settle_on(turns, NOTHING_OPEN, notes, fold_system=fold_system)[0]


def settle_on(turns: list[Turn], before: Open, notes: list[Note], *, fold_system: bool) -> tuple[list[Settled], Open]:
    """The same for the turns behind those that are settled, and what they leave open.

    `before`: what `settle_on` returned for the turns that were settled.
    """
    settled: list[Settled] = []
    taken: set[str] | None = None  # ids of all calls, when there are new ones
    calls = list(before.calls)
    end = before.end
    # Assistant turns, and what lies between them, each as one stretch. Two stretches never merge, even when the one
    # between them was empty: a turn that is sent must not change when turns follow it.
    while end < len(turns):
        start, is_answer = end, turns[end].role == "assistant"
        end += 1
        while end < len(turns) and (turns[end].role == "assistant") is is_answer:
            end += 1
        content = turns[start].content if end == start + 1 else None
        stretch = range(start, end)
        if is_answer:
            if taken is None:
                taken = set(before.taken)
            turn, calls = _usual_answer(start, content, taken) or _answer(turns, stretch, taken, notes)
            settled += turn
        else:
            usual = _usual_question(start, content, calls) if turns[start].role == "user" else None
            settled += usual or _between(turns, stretch, calls, notes, fold_system=fold_system)
            calls = []
    return settled, Open(end, before.taken if taken is None else frozenset(taken), tuple(calls))


def _usual_answer(
    index: int, content: str | list[Block] | None, taken: set[str]
) -> tuple[list[Settled], list[_Call]] | None:
    """One assistant turn, if nothing in it needs a change: that is nearly always so, and much quicker to find out."""
    if not content:
        return None
    if isinstance(content, str):
        return None if content.isspace() else ([_of_string("assistant", index, content)], [])
    calls: list[_Call] = []
    for number, block in enumerate(content):
        kind = block.type
        if kind == "text":
            if two_bytes(block.text_json)[1] not in VISIBLE and block.is_blank:
                return None
        elif kind == "tool_use":
            id_ = block.id
            if not id_ or not block.name:
                return None
            calls.append((id_, id_, (index, number)))
        elif kind == "tool_result":
            return None
    if calls:
        ids = {call[0] for call in calls}
        if len(ids) < len(calls) or not taken.isdisjoint(ids):
            return None
        taken |= ids
    return [Settled("assistant", (), tuple(content), index)], calls


def _usual_question(index: int, content: str | list[Block] | None, calls: list[_Call]) -> list[Settled] | None:
    """One user turn behind `calls`, if their results come first, in their order, and nothing needs a change."""
    if not content:
        return None
    if isinstance(content, str):
        return None if calls or content.isspace() else [_of_string("user", index, content)]
    size = len(calls)
    for number, block in enumerate(content):
        kind = block.type
        if number < size:
            wanted, sent, _ = calls[number]
            if kind != "tool_result" or block.tool_use_id != wanted or sent != wanted:
                return None
        elif kind == "text":
            if two_bytes(block.text_json)[1] not in VISIBLE and block.is_blank:
                return None
        elif kind in ("tool_result", "tool_use"):
            return None
    if len(content) < size:
        return None
    return [Settled("user", tuple(content[:size]), tuple(content[size:]), index)]


def _of_string(role: Role, index: int, content: str) -> Settled:
    return Settled(role, (), (text_block(content),), index, ((index,),))


class _Part:
    """A turn in the making."""

    __slots__ = ("blocks", "role", "spots", "turn")

    def __init__(self, role: Role, turn: int) -> None:
        self.role = role
        self.turn = turn
        self.blocks: list[Block] = []
        self.spots: list[Spot] = []

    def add(self, spot: Spot, block: Block) -> None:
        self.blocks.append(block)
        self.spots.append(spot)

    def settled(self) -> Settled:
        return Settled(self.role, (), tuple(self.blocks), self.turn, tuple(self.spots))


def _answer(turns: list[Turn], stretch: range, taken: set[str], notes: list[Note]) -> tuple[list[Settled], list[_Call]]:
    """One stretch of assistant turns as one turn, if anything is in it, and the calls in it."""
    part = _Part("assistant", stretch.start)
    calls: list[_Call] = []
    for index in stretch:
        for spot, block in _blocks(index, turns[index], notes):
            if block.type == "tool_use":
                _required(block.name, spot, "name")
                wanted = _required(block.id, spot, "id")
                sent = _unique(wanted, taken)
                calls.append((wanted, sent, spot))
                if sent == wanted:
                    part.add(spot, block)
                else:
                    notes.append(Note("ignored", "tool_id.duplicate", f"{path(spot)}.id"))
                    part.add(spot, replace(block, id=sent))
            elif block.type == "tool_result":
                notes.append(Note("changed", "tool_result.misplaced", path(spot)))
                part.add(spot, _text(as_text(block), block))
            else:
                part.add(spot, block)
    return [part.settled()] if part.blocks else [], calls


def _between(
    turns: list[Turn], stretch: range, calls: list[_Call], notes: list[Note], *, fold_system: bool
) -> list[Settled]:
    """User and system turns between two stretches of assistant turns, the results of `calls` first."""
    found: dict[str, _Rows] = {call[0]: [] for call in calls}
    parts: list[_Part] = []
    for index in stretch:
        turn = turns[index]
        if turn.role not in ("user", "system"):
            raise ApiError("invalid_request", f"messages.{index}.role: Input should be 'user', 'assistant' or 'system'")
        role: Role = "system" if turn.role == "system" and not fold_system else "user"
        part = parts[-1] if parts and parts[-1].role == role else _Part(role, index)
        if turn.role == "user":
            _add_user(part, index, turn, found, notes)
        else:
            _add_system(part, index, turn, notes, fold=fold_system)
        if part.blocks and (not parts or part is not parts[-1]):
            parts.append(part)
    if not calls:
        return [part.settled() for part in parts]
    results = _results(calls, found, notes)
    head = parts.pop(0) if parts and parts[0].role == "user" else _Part("user", stretch.start)
    answered = Settled(
        "user",
        tuple([block for _, block in results]),
        tuple(head.blocks),
        stretch.start,
        tuple([spot for spot, _ in results] + head.spots),
    )
    return [answered, *[part.settled() for part in parts]]


_Rows = list[tuple[Spot, Block]]  # where blocks are, and the blocks


def _add_user(part: _Part, index: int, turn: Turn, found: dict[str, _Rows], notes: list[Note]) -> None:
    """All blocks but the results that `found` waits for, which are put there."""
    for spot, block in _blocks(index, turn, notes):
        if block.type == "tool_result":
            id_ = _required(block.tool_use_id, spot, "tool_use_id")
            if id_ in found:
                found[id_].append((spot, block))
            else:
                notes.append(Note("changed", "tool_result.orphan", path(spot)))
                _add_orphan(part, spot, block)
        elif block.type == "tool_use":
            notes.append(Note("changed", "tool_use.misplaced", path(spot)))
            part.add(spot, _text(as_text(block), block))
        else:
            part.add(spot, block)


def _add_orphan(part: _Part, spot: Spot, block: Block) -> None:
    """A result without its call, as text of the user; images in it stay images."""
    if isinstance(block.content, str):
        part.add(spot, _text(as_text(block), block))
        return
    part.add(spot, _text(head_of_result(block), block))
    for number, inner in numbered_content(block):
        part.add((*spot, number), inner)


def _add_system(part: _Part, index: int, turn: Turn, notes: list[Note], *, fold: bool) -> None:
    rows: _Rows = []
    for spot, block in _blocks(index, turn, notes):
        if block.type == "text":
            rows.append((spot, block))
        elif block.type not in ("tool_addition", "tool_removal"):  # those are for `loaded_tools`
            notes.append(Note("changed", "system.block", path(spot)))
            if said := as_text(block):
                rows.append((spot, _text(said, block)))
    if not rows:
        return
    if turn.clear_at not in (None, "never"):
        # It would have to vanish from the middle of what was already sent: see "append-only" above.
        notes.append(Note("changed", "system.clear_at", f"messages.{index}.clear_at"))
    if not fold:
        for spot, block in rows:
            part.add(spot, block)
        return
    notes.append(Note("changed", "system.folded", f"messages.{index}"))
    text = reminder("\n\n".join([block.text or "" for _, block in rows]))
    cache_control = next((block.cache_control for _, block in reversed(rows) if block.cache_control), None)
    part.add((index,), text_block(text, cache_control))


def _results(calls: list[_Call], found: dict[str, _Rows], notes: list[Note]) -> _Rows:
    """One result for each call, in their order."""
    # Calls that share an id share its results, one each; what is left over belongs to the last of them.
    left = Counter(call[0] for call in calls) if len(found) < len(calls) else {}
    results: _Rows = []
    for wanted, sent, call_spot in calls:
        rows = found[wanted]
        if left:
            left[wanted] -= 1
            if left[wanted]:
                rows, found[wanted] = rows[:1], rows[1:]
        if not rows:
            notes.append(Note("changed", "tool_result.missing", path(call_spot)))
            results.append((call_spot, Block(type="tool_result", tool_use_id=sent, content=NO_RESULT)))
            continue
        spot, block = rows[0]
        if len(rows) > 1:
            notes += [Note("changed", "tool_result.merged", path(spot)) for spot, _ in rows[1:]]
            block = _merged([block for _, block in rows])
        results.append((spot, block if sent == wanted else replace(block, tool_use_id=sent)))
    return results


def _merged(results: list[Block]) -> Block:
    return replace(
        results[0],
        content=[inner for block in results for inner in content_of(block)],
        is_error=any(block.is_error for block in results) or results[0].is_error,
        cache_control=next((block.cache_control for block in reversed(results) if block.cache_control), None),
    )


def _blocks(index: int, turn: Turn, notes: list[Note]) -> _Rows:
    """The blocks of a turn that hold anything, and where they are."""
    content = turn.content
    if not content:
        if turn.role != "system":  # system turns may be there for their effort alone
            notes.append(Note("ignored", "turn.empty", f"messages.{index}"))
        return []
    if isinstance(content, str):
        if not content.isspace():
            return [((index,), text_block(content))]
        notes.append(Note("ignored", "text.empty", f"messages.{index}.content"))
        return []
    rows: _Rows = []
    for number, block in enumerate(content):
        if block.type == "text" and block.is_blank:
            notes.append(Note("ignored", "text.empty", f"messages.{index}.content.{number}"))
        else:
            rows.append(((index, number), block))
    return rows


def _unique(wanted: str, taken: set[str]) -> str:
    id_ = wanted
    number = 1
    while id_ in taken:
        number += 1
        id_ = f"{wanted}_{number}"
    taken.add(id_)
    return id_


def _required(value: str | None, spot: Spot, field: str) -> str:
    if not value:
        raise ApiError("invalid_request", f"{path(spot)}.{field}: Field required")
    return value


def _text(text: str, instead_of: Block) -> Block:
    return text_block(text, instead_of.cache_control)


def thinking_owner(block: Block) -> state.State | None:
    """The state of ours in a thinking or redacted_thinking block; None when there is none, or it is a vendor's."""
    return state.unpack((block.signature if block.type == "thinking" else block.data) or "")
