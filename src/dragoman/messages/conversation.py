"""Makes a conversation well-formed for upstreams that are not Claude.

Anthropic takes histories that others refuse: results behind text, calls without results after an interruption, system
turns in the middle, empty blocks, two turns of one role in a row. `settle` turns each of them into the one form that
every upstream takes: a call is followed at once by exactly one result.

Everything here is a pure function of the body and append-only: what comes out for a history that ends in an assistant
turn is a prefix of what comes out when user or system turns follow, so the prompt caches of upstreams keep hitting.
Nothing is mutated. https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use

Notes made here: `text.empty`, `turn.empty`, `tool_id.duplicate`, `tools.deferred`, `tools.removed` (ignored);
`system.folded`, `system.clear_at`, `system.block`, `tool_result.missing`, `tool_result.orphan`, `tool_result.merged`,
`tool_result.misplaced`, `tool_use.misplaced` (changed); `tool_addition.unknown` (lost).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Literal

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from dragoman.messages import state
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.request import NO_RAW, Block, Body, Source, Tool, Turn

NO_RESULT = "[no result: interrupted]"
PLACEHOLDER = "DeferredToolPlaceholder"
"""Claude Code's stub that keeps the tool list from being empty of deferred tools; it is never a tool."""

Role = Literal["user", "assistant", "system"]


class Settled(Struct, frozen=True):
    """One turn of a well-formed conversation.

    `places[i]` is the path of `blocks[i]` in the caller's body ("messages.3.content.1"; "messages.3.content" for a
    turn that was a string), `result_places[i]` that of `results[i]` (of the call, when the result was missing).
    """

    role: Role
    results: tuple[Block, ...] = ()
    """User turns only: the tool_result blocks, exactly one for each of `calls` of the turn before, in their order."""
    blocks: tuple[Block, ...] = ()
    """Everything else, in the caller's order; no empty text, no tool_result. In system turns all are text."""
    place: str = ""
    """Path of the first of the caller's turns in it: "messages.3"."""
    result_places: tuple[str, ...] = ()
    places: tuple[str, ...] = ()

    @property
    def calls(self) -> tuple[Block, ...]:
        """The tool_use blocks, whose ids are unique in the whole history."""
        return tuple(block for block in self.blocks if block.type == "tool_use")


def system_text(system: str | list[Block] | None) -> list[Block]:
    """The system prompt as non-empty text blocks, without Claude Code's attribution line at its head.

    The line differs between requests, so it would keep every prefix cache from hitting, and means nothing to others.
    https://code.claude.com/docs/en/llm-gateway-protocol
    """


def settle(turns: list[Turn], notes: list[Note], *, fold_system: bool) -> list[Settled]:
    """The turns in well-formed order. What had to change is appended to `notes`.

    - Neighbours of one role become one turn; a string becomes one text block; empty text and empty turns are dropped.
    - The results of an assistant turn's calls come first in what follows it, one for each call, in the order of the
      calls; several for one call become one; a missing one is `NO_RESULT`, unless the history ends with the call.
    - A result without a call becomes text of the user.
    - A second call with an id that the history already has gets another id, and so does its result.
    - `fold_system`: system turns become `<system-reminder>` text of the user turn around them, or one of their own;
      else they stay where they are, behind results.

    The same blocks, not copies, wherever nothing had to change.
    Raises ApiError("invalid_request") for an unknown role, and for a call or result without its id or name.
    """


def content_of(block: Block) -> list[Block]:
    """The blocks inside a tool_result or another block with `content`; empty text is left out."""


def loaded_tools(body: Body, notes: list[Note] | None = None) -> list[tuple[int, Tool]]:
    """The tools to send, each with its index in `body.tools`, in the caller's order.

    A deferred tool is sent once the history loads it: a `tool_reference` in a tool result, or a `tool_addition`. A
    `tool_removal` takes a tool away. When the search for tools is a server tool, which no foreign upstream runs, all
    deferred tools are sent. Tools that a `tool_addition` defines itself follow, with indexes behind the list's.
    `notes` receives what is not sent.
    """


def last_effort(body: Body) -> str | None:
    """The effort that holds for the next answer: that of the last system turn that sets one, else of the request."""


def thinking_owner(block: Block) -> state.State | None:
    """The state of ours in a thinking or redacted_thinking block; None when there is none, or it is a vendor's."""


def as_text(block: Block) -> str:
    """A block as text, for upstreams that do not know its type; "" only for thinking and for empty text.

    Nothing is dropped: what has no text of its own (an image, an unknown type) becomes a marker that names the type.
    Reasoning never becomes text: a model would take it for something that was said.
    """
