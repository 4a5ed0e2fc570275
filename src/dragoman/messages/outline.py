"""A request as far as it is looked at by who passes it on: who is asked, how, and what its turns are made of.

It costs what a look at the model's name costs: everything in a body has to be passed over for that, too.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from dragoman.messages.lenient import sound

ABSENT = Raw()
THINKING = frozenset({"thinking", "redacted_thinking"})
_LOOKED_AT = THINKING | {"web_search_tool_result"}


class Metadata(Struct, frozen=True, gc=False):
    user_id: str | None = None


class Head(Struct, frozen=True, gc=False):
    """The few fields that say where a request goes and how it is answered."""

    model: Annotated[str, Meta(min_length=1)]
    stream: bool | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    metadata: Metadata | None = None
    thinking: Raw = ABSENT


class BlockOutline(Struct, frozen=True, gc=False):
    """What tells whose block it is."""

    type: str
    signature: str | None = None  # of thinking
    data: str | None = None  # of redacted_thinking
    text: Raw = ABSENT
    citations: Raw = ABSENT
    id: str | None = None
    tool_use_id: str | None = None
    content: Raw = ABSENT


class TurnOutline(Struct, frozen=True, gc=False):
    role: str
    content: str | list[BlockOutline] | None = None
    output_config: Raw = ABSENT

    @property
    def blocks(self) -> list[BlockOutline]:
        return self.content if isinstance(self.content, list) else []


class Knobs(Head, frozen=True, gc=False):
    """Those that models and servers differ in, still JSON."""

    tool_choice: Raw = ABSENT
    output_config: Raw = ABSENT
    context_management: Raw = ABSENT
    temperature: Raw = ABSENT
    top_p: Raw = ABSENT
    top_k: Raw = ABSENT


class Outline(Knobs, frozen=True, gc=False):
    """All that is looked at."""

    messages: Sequence[TurnOutline] = []


class _Thinking(Struct, frozen=True, gc=False):
    type: str


_thinking = msgspec.json.Decoder(_Thinking).decode


def wants_thinking(raw: Raw) -> bool:
    """Whether `thinking` says that it is wanted. What cannot be read says nothing: its upstream tells what is wrong."""
    try:
        return raw is not ABSENT and sound(_thinking, raw).type in ("enabled", "adaptive")
    except msgspec.DecodeError:
        return False


def odd(turns: Sequence[TurnOutline], first: int) -> list[int]:
    """Numbers of the turns that a server could refuse: system turns, and answers that think, search or cite.

    `first`: the number of the first of them.
    """
    found = []
    for index, turn in enumerate(turns, first):
        if turn.role == "assistant":
            for block in turn.blocks:
                if block.type in _LOOKED_AT or block.citations is not ABSENT:
                    found.append(index)
                    break
        elif turn.role != "user":
            found.append(index)
    return found
