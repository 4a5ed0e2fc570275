"""Abstract answers: what a model said, in no wire format. Each dialect's test encoder writes them, the laws compare."""

import json
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


def texts() -> st.SearchStrategy[str]:
    """Text that is not only white space: white space alone makes no block."""
    pieces = st.lists(st.one_of(st.text(max_size=12), st.sampled_from(PROVOKING)), min_size=1, max_size=6)
    return pieces.map("".join).filter(lambda text: bool(text.strip()))


def _values() -> st.SearchStrategy[Any]:
    plain = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts(), st.just("")
    )
    return st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    )


def inputs() -> st.SearchStrategy[str]:
    """Tool inputs as models write them: JSON objects, with and without spaces and escapes."""
    objects = st.dictionaries(st.text(max_size=8), _values(), max_size=4)
    separators = st.sampled_from([(",", ":"), (", ", ": ")])
    return st.builds(
        lambda value, ascii_only, chosen: json.dumps(value, ensure_ascii=ascii_only, separators=chosen),
        objects,
        st.booleans(),
        separators,
    )


_IDS = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)


@st.composite
def answers(draw: st.DrawFn, *, free: bool = False) -> AbstractAnswer:
    """Any answer. `free`: blocks in any order; else thinking, text, calls: all that Chat Completions can say."""
    ids = draw(st.lists(_IDS, max_size=4, unique=True))
    calls = [Call(each, draw(_IDS), draw(inputs())) for each in ids]
    blocks: list[Text | Thinking | Call] = []
    if free:
        kinds = draw(st.lists(st.sampled_from([Text, Thinking]), max_size=4))
        for kind in kinds:
            if not blocks or not isinstance(blocks[-1], kind):  # neighbours of one kind are one block
                blocks.append(kind(draw(texts())))
        for call in calls:
            blocks.insert(draw(st.integers(0, len(blocks))), call)
        blocks = [block for at, block in enumerate(blocks) if at == 0 or not _one_block(blocks[at - 1], block)]
    else:
        if draw(st.booleans()):
            blocks.append(Thinking(draw(texts())))
        if draw(st.booleans()):
            blocks.append(Text(draw(texts())))
        blocks += calls
    stop: StopReason = draw(st.sampled_from(["end_turn", "max_tokens", "refusal"]))
    if stop == "end_turn" and calls:
        stop = "tool_use"
    counts = st.integers(0, 1_000_000)
    usage = Usage(
        input_tokens=draw(st.integers(1, 1_000_000)),
        output_tokens=draw(counts),
        cache_creation_input_tokens=draw(counts),
        cache_read_input_tokens=draw(counts),
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
