"""Abstract answers: what a model said, in no wire format. Each dialect's test encoder writes them, the laws compare."""

import json
import string
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from dragoman.messages.events import Message, StopReason, TextBlock, ThinkingBlock, ToolUseBlock, Usage


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Thinking:
    text: str


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    input_json: str


@dataclass(frozen=True)
class AbstractAnswer:
    blocks: tuple[Text | Thinking | Call, ...]
    stop: StopReason  # as Messages says it
    usage: Usage

    @property
    def calls(self) -> list[Call]:
        return [block for block in self.blocks if isinstance(block, Call)]


# Whatever broke somebody once: line separators that are no line ends, halves of characters, controls, markup, escapes.
PROVOKING = (
    "\u2028",
    "\u2029",
    "\x85",
    "\x1c",
    "\x00",
    "\x7f",
    "\ufeff",
    "\ufffd",
    "😀",
    "👩‍👩‍👧",
    "渐",
    "e\u0301",
    "\r\n",
    "\n\n",
    "data: ",
    "\\ud83d",
    '\\"',
    "<think>",
    "</think>",
    "[DONE]",
    "event: error\ndata: {}\n\n",
    "\U0010ffff",
)


# One object each: a strategy that is built anew for every example costs more than what it draws.
_PIECES = st.lists(st.one_of(st.text(max_size=12), st.sampled_from(PROVOKING)), min_size=1, max_size=6)
_TEXTS = _PIECES.map("".join).filter(lambda text: bool(text.strip()))
_PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    _TEXTS,
)
_VALUES = st.recursive(
    _PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
_INPUTS = st.builds(
    lambda value, ascii_only, chosen: json.dumps(value, ensure_ascii=ascii_only, separators=chosen),
    st.dictionaries(st.text(max_size=8), _VALUES, max_size=3),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
_IDS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)
_ID_LISTS = st.lists(_IDS, max_size=4, unique=True)
_KINDS = st.lists(st.sampled_from([Text, Thinking]), max_size=4)
_STOPS = st.sampled_from(["end_turn", "max_tokens", "refusal"])
_COUNTS = st.integers(0, 1_000_000)
_SOME = st.integers(1, 1_000_000)


def texts() -> st.SearchStrategy[str]:
    """Text that is not only white space: white space alone makes no block."""
    return _TEXTS


def inputs() -> st.SearchStrategy[str]:
    """Tool inputs as models write them: JSON objects, with and without spaces and escapes."""
    return _INPUTS


@st.composite
def answers(draw: st.DrawFn, *, free: bool = False) -> AbstractAnswer:
    """Any answer. `free`: blocks in any order; else thinking, text, calls: all that Chat Completions can say."""
    ids = draw(_ID_LISTS)
    calls = [Call(each, draw(_IDS), draw(_INPUTS)) for each in ids]
    blocks: list[Text | Thinking | Call] = []
    if free:
        kinds = draw(_KINDS)
        for kind in kinds:
            if not blocks or not isinstance(blocks[-1], kind):  # neighbours of one kind are one block
                blocks.append(kind(draw(_TEXTS)))
        for call in calls:
            blocks.insert(draw(st.integers(0, len(blocks))), call)
        blocks = [block for at, block in enumerate(blocks) if at == 0 or not _one_block(blocks[at - 1], block)]
    else:
        if draw(st.booleans()):
            blocks.append(Thinking(draw(_TEXTS)))
        if draw(st.booleans()):
            blocks.append(Text(draw(_TEXTS)))
        blocks += calls
    stop: StopReason = draw(_STOPS)
    if stop == "end_turn" and calls:
        stop = "tool_use"
    usage = Usage(
        input_tokens=draw(_SOME),
        output_tokens=draw(_COUNTS),
        cache_creation_input_tokens=draw(_COUNTS),
        cache_read_input_tokens=draw(_COUNTS),
    )
    return AbstractAnswer(tuple(blocks), stop, usage)


def _one_block(first: object, second: object) -> bool:
    return type(first) is type(second) and not isinstance(first, Call)


def expected(answer: AbstractAnswer) -> list[tuple[Any, ...]]:
    """What a Message says when it says `answer`; compare with `told`."""
    content: list[tuple[Any, ...]] = []
    for block in answer.blocks:
        if isinstance(block, Call):
            content.append(("tool_use", block.id, block.name, json.loads(block.input_json)))
        else:
            content.append(("text" if isinstance(block, Text) else "thinking", block.text))
    return [*content, answer.stop, *_counts(answer.usage)]


def told(message: Message) -> list[tuple[Any, ...]]:
    """What a Message says: its content without signatures, why it stopped, its tokens."""
    content: list[tuple[Any, ...]] = []
    for block in message.content:
        if isinstance(block, TextBlock):
            content.append(("text", block.text))
        elif isinstance(block, ThinkingBlock):
            content.append(("thinking", block.thinking))
        elif isinstance(block, ToolUseBlock):
            content.append(("tool_use", block.id, block.name, json.loads(bytes(block.input))))
        else:
            content.append((type(block).__name__,))
    return [*content, message.stop_reason, *_counts(message.usage)]


def _counts(usage: Usage) -> list[Any]:
    return [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_creation_input_tokens,
        usage.cache_read_input_tokens,
    ]
