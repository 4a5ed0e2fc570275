"""What a caller asks of thinking, and how that becomes an effort for models that know efforts only.

Claude's knobs: https://platform.claude.com/docs/en/build-with-claude/effort and .../adaptive-thinking. The explicit
effort wins over a budget; a budget becomes an effort by `BUDGETS`.
"""

from typing import Literal

from msgspec import Struct

from dragoman.messages.beginning import system_turns
from dragoman.messages.body import Body
from dragoman.messages.notes import Note

LADDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Every known effort, weakest first."""

BUDGETS = ((4_000, "low"), (16_000, "medium"), (32_000, "high"))
"""A `budget_tokens` below the number is that effort; from 32,000 on it is xhigh. Claude Code's usual 31,999 is high."""


class Wish(Struct, frozen=True):
    """What the caller asks: thinking on, off or not mentioned, how hard, and for how many tokens at most."""

    thinking: Literal["on", "off", "unsaid"]
    effort: str | None
    budget: int | None


UNASKED = Wish("unsaid", None, None)
"""The caller asks nothing of thinking."""


def wish(body: Body, notes: list[Note]) -> Wish:
    """`effort` is the caller's own, or that of the budget. A budget beside an effort is ignored with a note."""
    effort = last_effort(body)
    thinking = body.thinking
    if thinking is None:
        return Wish("unsaid", effort, None)
    if thinking.type == "disabled":
        return Wish("off", effort, None)
    budget = thinking.budget_tokens if thinking.type == "enabled" else None
    if budget is not None and effort is not None:
        notes.append(Note("ignored", "thinking.budget", "thinking.budget_tokens"))
    return Wish("on", effort or _of_budget(budget), None if effort else budget)


def last_effort(body: Body) -> str | None:
    """The effort that holds for the next answer: that of the last system turn that sets one, else the request's."""
    for turn in reversed(system_turns(body.messages)):
        if turn.output_config and turn.output_config.effort:
            return turn.output_config.effort
    return body.output_config.effort if body.output_config else None


def _of_budget(budget: int | None) -> str | None:
    if budget is None:
        return None
    return next((effort for limit, effort in BUDGETS if budget < limit), "xhigh")


def nearest(effort: str, accepted: tuple[str, ...]) -> str:
    """The accepted effort nearest to `effort`, the stronger of two; thinking is never turned off by this.

    `accepted` holds at least one.
    """
    if effort in accepted:
        return effort
    active = [known for known in accepted if known != "none"] or list(accepted)
    wanted = LADDER.index(effort) if effort in LADDER else LADDER.index("high")
    ranked = [(abs(LADDER.index(known) - wanted), -LADDER.index(known), known) for known in active if known in LADDER]
    return min(ranked)[2] if ranked else active[-1]
