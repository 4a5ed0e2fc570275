"""Thinking and effort as `thinkingConfig`: a number of tokens up to Gemini 2.5, a level from Gemini 3 on, never both.

https://ai.google.dev/gemini-api/docs/thinking
"""

from msgspec import Struct

from dragoman.dialects.alike import thinks_without_knobs
from dragoman.dialects.contract import Target
from dragoman.dialects.gemini.body import ThinkingConfig
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.messages.effort import Wish, nearest
from dragoman.messages.notes import Note

DYNAMIC = -1
"""The budget that leaves it to the model how long it thinks."""

EFFORT_BUDGET = {"low": 4_096, "medium": 8_192, "high": 24_576}
"""Tokens of thinking for models that know budgets only; a stronger effort is the most that the model takes."""

ROOM = 1_024
"""Tokens that the weakest level may need: a measure of our own, no page tells one. An answer of a few words that the
caller allowed would be none at all without them."""

_LEAST = frozenset({"none", "minimal"})
_DEFAULT_LEVELS = ("low", "high")  # what every model with levels takes


class Thinking(Struct):
    """How thinking is asked for."""

    config: ThinkingConfig | None
    thinks: bool  # as far as it can be known
    unwanted: int = 0  # tokens of output that the model thinks with, though the caller said that it must not


def levels(target: Target) -> tuple[str, ...]:
    """The thinking levels that can be sent, weakest first, in Claude's words. There is none for "do not think"."""
    return tuple(known for known in _efforts(target) if known != "none") or _DEFAULT_LEVELS


def _efforts(target: Target) -> tuple[str, ...]:
    quirks: Quirks = target.quirks
    return target.facts.efforts or quirks.efforts


def write(asked: Wish, target: Target, notes: list[Note], *, shown: bool) -> Thinking:
    """`shown`: the caller will see text of the thinking."""
    quirks: Quirks = target.quirks
    if target.facts.reasoning is False or not quirks.thinking:
        thinks = thinks_without_knobs(asked, target, notes)
        return Thinking(None, thinks, ROOM if thinks and asked.thinking == "off" else 0)
    config = ThinkingConfig()
    if asked.thinking == "off":
        thinks = _off(config, asked, target, notes)
        return Thinking(
            config if config != ThinkingConfig() else None, thinks, (config.thinking_budget or ROOM) if thinks else 0
        )
    thinks = _on(config, asked, target, notes)
    if asked.thinking == "on" and shown and quirks.thoughts:
        config.include_thoughts = True
    return Thinking(config if config != ThinkingConfig() else None, thinks)


def _off(config: ThinkingConfig, asked: Wish, target: Target, notes: list[Note]) -> bool:
    if asked.effort is not None:
        notes.append(Note("ignored", "effort.without_thinking", "output_config.effort"))
    facts = target.facts
    if "none" in _efforts(target):
        config.thinking_budget = 0
        return False
    if facts.reasoning is None or not facts.reasons_by_default:
        notes.append(Note("ignored", "thinking.off_unsaid", "thinking"))  # it does not think unless it is told to
        return False
    if facts.thinking_budget is not None:
        config.thinking_budget = facts.thinking_budget[0]
    else:
        config.thinking_level = levels(target)[0].upper()
    notes.append(Note("changed", "thinking.always_on", "thinking"))
    return True


def _on(config: ThinkingConfig, asked: Wish, target: Target, notes: list[Note]) -> bool:
    facts = target.facts
    on = asked.thinking == "on"
    if not on and facts.reasoning is None:
        # Nobody knows whether this model has knobs at all, and its server may refuse them.
        if asked.effort is not None:
            notes.append(Note("ignored", "effort.without_thinking", "output_config.effort"))
        return facts.reasons_by_default
    if facts.thinking_budget is not None:
        config.thinking_budget = _budget(asked, facts.thinking_budget, notes)
    elif asked.effort is not None:
        level = nearest(asked.effort, levels(target))
        if level != asked.effort:
            place = "thinking.budget_tokens" if asked.budget is not None else "output_config.effort"
            notes.append(Note("changed", "effort.nearest", place))
        config.thinking_level = level.upper()
    elif on and facts.reasoning and not facts.reasons_by_default:
        config.thinking_level = nearest("medium", levels(target)).upper()  # it hardly thinks unless it is told to
    return on or facts.reasons_by_default or asked.effort is not None


def _budget(asked: Wish, limits: tuple[int, int], notes: list[Note]) -> int | None:
    """Tokens of thinking, within what the model takes."""
    least, most = limits
    if asked.budget is not None:
        wanted = min(max(asked.budget, least), most)
        if wanted != asked.budget:
            notes.append(Note("changed", "thinking.budget_clamped", "thinking.budget_tokens"))
        return wanted
    if asked.effort is not None:
        # An effort is no number, so the nearest number that the model takes is what was asked for.
        wanted = least if asked.effort in _LEAST else EFFORT_BUDGET.get(asked.effort, most)
        return min(max(wanted, least), most)
    return DYNAMIC if asked.thinking == "on" else None
