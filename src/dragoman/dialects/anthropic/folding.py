"""System turns inside the conversation, for models and servers that know only the caller's and the model's.

They become text of the caller beside them, in the tag that Claude Code uses for its own reminders.
https://code.claude.com/docs/en/llm-gateway-protocol
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from dragoman.messages import edit
from dragoman.messages.edit import MORE, Changes
from dragoman.messages.instructions import reminder
from dragoman.messages.lenient import repair_surrogates, sound
from dragoman.messages.notes import Note
from dragoman.messages.outline import ABSENT, TurnOutline


class _Turn(Struct, frozen=True):
    content: Raw = ABSENT


class _Turns(Struct, frozen=True):
    messages: list[_Turn]


class _Block(Struct, frozen=True):
    type: str = ""
    text: str = ""


_TURNS = msgspec.json.Decoder(_Turns)
_RAWS = msgspec.json.Decoder(list[Raw])
_block = msgspec.json.Decoder(_Block).decode


def fold(raw: bytes, turns: Sequence[TurnOutline], notes: list[Note]) -> Changes:
    """What becomes of the turns: the system turns go, and what they say is added to the caller's turn beside each.

    The turn before, so that results of tools still follow their calls at once; else the turn behind, after its results.
    """
    contents = _TURNS.decode(repair_surrogates(raw)).messages
    added: dict[int, list[bytes]] = {}
    changes: Changes = {}
    for index, turn in enumerate(turns):
        if turn.role != "system":
            continue
        changes[index] = None
        notes.append(Note("changed", "system.folded", f"messages.{index}"))
        blocks = _blocks(turn, contents[index].content)
        beside = _beside(turns, index)
        if beside is not None:
            added.setdefault(beside, []).extend(blocks)
        elif blocks:
            changes[index] = b'{"role":"user","content":[%b]}' % b",".join(blocks)
    for index, blocks in added.items():
        if blocks:
            changes[index] = {"content": _with(turns[index], contents[index].content, b",".join(blocks))}
    return changes


def _blocks(turn: TurnOutline, content: Raw) -> list[bytes]:
    """The texts of a system turn, as blocks of a caller's turn."""
    if isinstance(turn.content, str):
        return [_text(turn.content)] if turn.content.strip() else []
    found = []
    for raw in _RAWS.decode(content) if turn.blocks else ():
        block = sound(_block, raw)
        if block.type == "text" and block.text.strip():
            found.append(edit.changed(bytes(raw), {"text": msgspec.json.encode(reminder(block.text))}))
    return found


def _beside(turns: Sequence[TurnOutline], index: int) -> int | None:
    """The caller's turn that a system turn is told with; None when the model's turns are on both sides."""
    for step in (-1, 1):
        at = index + step
        while 0 <= at < len(turns) and turns[at].role == "system":
            at += step
        if 0 <= at < len(turns) and turns[at].role == "user":
            return at
    return None


def _with(turn: TurnOutline, content: Raw, more: bytes) -> bytes | Changes:
    """A caller's content with further blocks."""
    if isinstance(turn.content, list):
        return {MORE: more}
    if not turn.content:
        return b"[%b]" % more
    return b'[{"type":"text","text":%b},%b]' % (bytes(content), more)


def _text(said: str) -> bytes:
    return msgspec.json.encode({"type": "text", "text": reminder(said)})
