"""Thinking and effort as the `reasoning` object.

https://platform.openai.com/docs/guides/reasoning
"""

from dragoman.dialects.alike import thinks_without_knobs
from dragoman.dialects.contract import Target
from dragoman.dialects.responses.body import Effort, ResponsesBody
from dragoman.dialects.responses.quirks import Quirks
from dragoman.messages.effort import Wish, nearest
from dragoman.messages.notes import Note

ENCRYPTED = "reasoning.encrypted_content"

_DEFAULT_EFFORTS = ("low", "medium", "high")


def efforts(target: Target) -> tuple[str, ...]:
    """The efforts that can be sent, weakest first."""
    quirks: Quirks = target.quirks
    return target.facts.efforts or quirks.efforts or _DEFAULT_EFFORTS


def write(body: ResponsesBody, asked: Wish, target: Target, notes: list[Note], *, shown: bool, searches: bool) -> bool:
    """Put the knobs into `body`. Returns whether the model will think, as far as it can be known.

    `shown`: the caller will see text of the thinking. `searches`: the server's web search is offered.
    """
    quirks: Quirks = target.quirks
    if target.facts.reasoning is False or quirks.reasoning_out == "none":
        thinks = thinks_without_knobs(asked, target, notes)
    elif asked.thinking == "off":
        thinks = _off(body, asked, target, notes)
    else:
        thinks = _on(body, asked, target, notes)
    reasoning = body.reasoning
    if reasoning is not None and reasoning.effort == "minimal" and searches:
        # "The following tools cannot be used with reasoning.effort 'minimal': web_search."
        # https://platform.openai.com/docs/guides/tools-web-search#limitations
        reasoning.effort = nearest("low", tuple(known for known in efforts(target) if known != "minimal") or ("low",))
        notes.append(Note("changed", "effort.nearest", "tools"))
    if thinks and asked.thinking == "on" and shown and quirks.summaries and quirks.reasoning_out == "effort":
        body.reasoning = body.reasoning or Effort()
        body.reasoning.summary = "auto"
    if thinks and quirks.encrypted_reasoning:
        body.include = [*(body.include or ()), ENCRYPTED]
    return thinks


def _off(body: ResponsesBody, asked: Wish, target: Target, notes: list[Note]) -> bool:
    if asked.effort is not None:
        notes.append(Note("ignored", "effort.without_thinking", "output_config.effort"))
    accepted = efforts(target)
    if "none" in accepted:
        body.reasoning = Effort("none")
        return False
    if target.facts.reasoning is None or not target.facts.reasons_by_default:
        notes.append(Note("ignored", "thinking.off_unsaid", "thinking"))  # it does not think unless it is told to
        return False
    body.reasoning = Effort(accepted[0])
    notes.append(Note("changed", "thinking.always_on", "thinking"))
    return True


def _on(body: ResponsesBody, asked: Wish, target: Target, notes: list[Note]) -> bool:
    facts = target.facts
    on = asked.thinking == "on"
    if not on and facts.reasoning is None:
        # Nobody knows whether this model has knobs at all, and its server may refuse them.
        if asked.effort is not None:
            notes.append(Note("ignored", "effort.without_thinking", "output_config.effort"))
        return facts.reasons_by_default
    accepted = efforts(target)
    if asked.effort is not None:
        effort = nearest(asked.effort, accepted)
        if effort != asked.effort:
            place = "thinking.budget_tokens" if asked.budget is not None else "output_config.effort"
            notes.append(Note("changed", "effort.nearest", place))
        body.reasoning = Effort(effort)
        return effort != "none"
    if on and facts.reasoning and not facts.reasons_by_default:
        body.reasoning = Effort(nearest("medium", accepted))  # it thinks only when it is told how hard
    return on or facts.reasons_by_default
