"""Earlier turns, where the server would refuse them: what another vendor thought, searched, or called `system`.

Anthropic refuses thinking that it did not sign, on this turn and on every later one. All of it goes, in every turn, the
same each time: what is left is the same beginning in every request of the conversation, so that prompt caches hit and
Claude's own blocks stay bound to it. Claude's own thinking is never touched.
https://platform.claude.com/docs/en/build-with-claude/thinking and
https://github.com/router-for-me/CLIProxyAPI/issues/1584
"""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.anthropic.signatures import by_claude
from dragoman.messages.edit import Changes
from dragoman.messages.lenient import sound
from dragoman.messages.notes import Note
from dragoman.messages.outline import ABSENT, THINKING, BlockOutline, TurnOutline
from dragoman.messages.state import ours

_SEARCHED = frozenset({"text", "web_search_tool_result"})


class Cleaned(Struct, frozen=True):
    """What becomes of the turns, and which of their blocks go: number of the turn -> numbers of its blocks."""

    changes: Changes
    gone: dict[int, set[int]]


def clean(turns: Sequence[TurnOutline], odd: list[int], quirks: Quirks, notes: list[Note]) -> Cleaned:
    """Leaves out what the server cannot take back. `odd`: numbers of the turns where that may be.

    A turn that holds nothing else goes as a whole: Anthropic refuses turns without content, and takes two turns of the
    caller in a row as one.
    """
    if not odd:
        return Cleaned({}, {})
    foreign = _foreign(quirks)
    seals = quirks.signatures == "anthropic"
    changes: Changes = {}
    gone: dict[int, set[int]] = {}
    for index in odd:
        if turns[index].role != "assistant":
            continue
        blocks = turns[index].blocks
        out = {number for number, block in enumerate(blocks) if block.type in THINKING and foreign(block)}
        if out:
            # An answer without words got an empty text from us, and texts must not be empty.
            out |= {number for number, block in enumerate(blocks) if block.type == "text" and _is_blank(block)}
        inside: Changes = {}
        if seals and any(block.type in _SEARCHED for block in blocks):
            _searches(blocks, out, inside, f"messages.{index}.content", notes)
        if out:
            gone[index] = out
            inside |= dict.fromkeys(out)
        if inside:
            changes[index] = None if len(out) == len(blocks) else {"content": inside}
    if any(turns[index].blocks[number].type in THINKING for index, out in gone.items() for number in out):
        notes.append(Note("ignored", "thinking.dropped"))
    return Cleaned(changes, gone)


def _foreign(quirks: Quirks) -> Callable[[BlockOutline], bool]:
    """What tells whether the server refuses a block of thinking."""
    if quirks.thinking_history == "drop":
        return lambda block: True
    if quirks.signatures == "own":
        return lambda block: ours(block.signature or block.data or "")
    return lambda block: not by_claude(block.data if block.type == "redacted_thinking" else block.signature)


def _is_blank(block: BlockOutline) -> bool:
    text = sound(msgspec.json.decode, block.text) if bytes(block.text) else ""
    return not isinstance(text, str) or not text.strip()


class _Result(Struct, frozen=True):
    encrypted_content: str = ""
    type: str = ""


class _Citation(Struct, frozen=True):
    type: str = ""
    encrypted_index: str = ""


_results = msgspec.json.Decoder(list[_Result]).decode
_citations = msgspec.json.Decoder(list[_Citation]).decode


def _searches(blocks: list[BlockOutline], out: set[int], inside: Changes, place: str, notes: list[Note]) -> None:
    """Web searches of other servers: what they found is not sealed as Anthropic wants it back; the answer tells it."""
    ids = set()
    for number, block in enumerate(blocks):
        if block.type == "web_search_tool_result" and _unsealed(block):
            out.add(number)
            ids.add(block.tool_use_id)
            notes.append(Note("lost", "web_search_tool_result.foreign", f"{place}.{number}"))
        elif block.type == "text" and _cites_unsealed(block):
            inside[number] = {"citations": None}
            notes.append(Note("changed", "citations.foreign", f"{place}.{number}.citations"))
    out |= {number for number, block in enumerate(blocks) if block.id is not None and block.id in ids}


def _unsealed(block: BlockOutline) -> bool:
    try:
        return any(
            row.type == "web_search_result" and not row.encrypted_content for row in sound(_results, block.content)
        )
    except msgspec.DecodeError:  # an error instead of results
        return False


def _cites_unsealed(block: BlockOutline) -> bool:
    if block.citations is ABSENT:
        return False
    try:
        rows = sound(_citations, block.citations)
    except msgspec.DecodeError:  # none
        return False
    return any(row.type == "web_search_result_location" and not row.encrypted_index for row in rows)


def loop_is_broken(turns: Sequence[TurnOutline], gone: dict[int, set[int]]) -> bool:
    """Whether manual thinking is refused, since the running tool loop does not begin with thinking any more.

    "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost
    set of `tool_use` and `tool_result` blocks)." Later turns of the loop need none, unless they had one.
    https://platform.claude.com/docs/en/build-with-claude/extended-thinking
    """
    loop = _loop(turns, gone)
    if not loop:
        return False
    last, first = loop[0], loop[-1]
    return not _begins_with_thinking(turns, first, gone) or (
        turns[last].blocks[0].type in THINKING and not _begins_with_thinking(turns, last, gone)
    )


def _loop(turns: Sequence[TurnOutline], gone: dict[int, set[int]]) -> list[int]:
    """The assistant turns since the caller's last words, the newest first; none when no tool's result is the last."""
    found: list[int] = []
    answered = False
    for index in range(len(turns) - 1, -1, -1):
        turn = turns[index]
        if turn.role == "user":
            if not any(block.type == "tool_result" for block in turn.blocks):
                break
            answered = True
        elif turn.role == "assistant":
            if not answered:
                break
            if len(gone.get(index, ())) < len(turn.blocks):
                found.append(index)
    return found


def _begins_with_thinking(turns: Sequence[TurnOutline], index: int, gone: dict[int, set[int]]) -> bool:
    out = gone.get(index, set())
    left = [block for number, block in enumerate(turns[index].blocks) if number not in out]
    return bool(left) and left[0].type in THINKING
