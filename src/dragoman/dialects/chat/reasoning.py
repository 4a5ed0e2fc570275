"""Thinking and effort, as each family of servers asks for them.

What the caller asks is in `messages.effort`. A budget becomes an effort, or stays one where the server takes budgets.
"""

from dragoman.dialects.alike import thinks_without_knobs
from dragoman.dialects.chat.body import ChatBody
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.messages.effort import Wish, nearest
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note

EFFORT_BUDGET = {"low": 4_000, "medium": 16_000}
"""Tokens of thinking for servers that know budgets only; a stronger effort leaves the server its own maximum."""

_DEFAULT_EFFORTS = ("low", "medium", "high")


def efforts(target: Target) -> tuple[str, ...]:
    """The efforts that can be sent, weakest first; () means that none is ever sent."""
    quirks: Quirks = target.quirks
    known = target.facts.efforts or quirks.efforts
    if known or quirks.reasoning_out not in ("effort", "reasoning_object"):
        return known
    return _DEFAULT_EFFORTS


def can_be_off(target: Target) -> bool:
    """Whether there is a word for "do not think"."""
    quirks: Quirks = target.quirks
    if quirks.reasoning_out == "none":
        return False
    return quirks.reasoning_out != "effort" or "none" in efforts(target)


def write(chat: ChatBody, asked: Wish, target: Target, notes: list[Note], *, has_tools: bool) -> bool:
    """Put the knobs into `chat`. Returns whether the model will think, as far as it can be known.

    Raises ApiError("invalid_request") when the model takes no tools while it thinks and cannot stop thinking.
    """
    facts = target.facts
    quirks: Quirks = target.quirks
    if has_tools and not facts.tools_with_reasoning and facts.reasoning is not False:
        return _without_thinking(chat, asked, target, notes)
    if facts.reasoning is False or quirks.reasoning_out == "none":
        return thinks_without_knobs(asked, target, notes)
    if asked.thinking == "off":
        if asked.effort is not None:
            notes.append(Note("ignored", "effort.without_thinking", "output_config.effort"))
        return _off(chat, target, notes)
    if asked.thinking == "unsaid" and facts.reasoning is None:
        # Nobody knows whether this model has knobs at all, and its server may refuse them.
        if asked.effort is not None:
            notes.append(Note("ignored", "effort.without_thinking", "output_config.effort"))
        return facts.reasons_by_default
    return _on(chat, asked, target, notes)


def _without_thinking(chat: ChatBody, asked: Wish, target: Target, notes: list[Note]) -> bool:
    """gpt-5.4 and later refuse tools together with reasoning on this API, also when nobody asked for reasoning."""
    if "none" not in efforts(target):
        raise ApiError(
            "invalid_request",
            f"tools: {target.model} takes no tools on Chat Completions, because it always reasons. "
            "Use a model that does, such as gpt-5.2, gpt-5.1 or gpt-4.1, or send the request without tools.",
        )
    chat.reasoning_effort = "none"
    if asked.thinking == "on" or asked.effort is not None or target.facts.reasons_by_default:
        notes.append(Note("changed", "thinking.off_with_tools", "thinking"))
    return False


def _off(chat: ChatBody, target: Target, notes: list[Note]) -> bool:
    quirks: Quirks = target.quirks
    match quirks.reasoning_out:
        case "thinking_type":
            chat.thinking = {"type": "disabled"}
        case "enable_thinking":
            chat.enable_thinking = False
        case "reasoning_object" | "reasoning_enabled":
            chat.reasoning = {"enabled": False}
        case "chat_template":
            chat.chat_template_kwargs = {"enable_thinking": False}
        case _:
            return _least_effort(chat, target, notes)
    return False


def _least_effort(chat: ChatBody, target: Target, notes: list[Note]) -> bool:
    accepted = efforts(target)
    if "none" in accepted:
        chat.reasoning_effort = "none"
        return False
    if target.facts.reasoning is None or not target.facts.reasons_by_default:
        notes.append(Note("ignored", "thinking.off_unsaid", "thinking"))  # it does not think unless it is told to
        return False
    chat.reasoning_effort = accepted[0]
    notes.append(Note("changed", "thinking.always_on", "thinking"))
    return True


def _on(chat: ChatBody, asked: Wish, target: Target, notes: list[Note]) -> bool:
    quirks: Quirks = target.quirks
    accepted = efforts(target)
    on = asked.thinking == "on"
    match quirks.reasoning_out:
        case "thinking_type" if on:
            chat.thinking = {"type": "enabled"}
        case "enable_thinking" if on:
            chat.enable_thinking = True
            chat.thinking_budget = asked.budget or EFFORT_BUDGET.get(asked.effort or "")
        case "chat_template" if on:
            chat.chat_template_kwargs = {"enable_thinking": True}
        case "reasoning_enabled" if on:
            chat.reasoning = {"enabled": True}
        case "reasoning_object" if asked.budget is not None:
            chat.reasoning = {"max_tokens": asked.budget}
            return True
        case "reasoning_object" if asked.effort is None and on:
            chat.reasoning = {"enabled": True}
    effort = _effort(asked, target, accepted, notes)
    if effort is not None and quirks.reasoning_out == "reasoning_object":
        chat.reasoning = {"effort": effort}
    elif effort is not None:
        chat.reasoning_effort = effort
    return on or target.facts.reasons_by_default or effort is not None


def _effort(asked: Wish, target: Target, accepted: tuple[str, ...], notes: list[Note]) -> str | None:
    """The effort to send, if any."""
    quirks: Quirks = target.quirks
    if asked.effort is None:
        # Thinking without an effort is the server's own measure, unless the model only thinks when it is told how hard.
        silent = quirks.reasoning_out == "effort" and asked.thinking == "on"
        if silent and target.facts.reasoning and not target.facts.reasons_by_default:
            return nearest("medium", accepted)
        return None
    by_budget = quirks.reasoning_out == "enable_thinking" and asked.thinking == "on"
    if by_budget and (asked.budget is not None or asked.effort in EFFORT_BUDGET):
        return None
    place = "thinking.budget_tokens" if asked.budget is not None else "output_config.effort"
    if not accepted:
        notes.append(Note("changed", "effort.unsupported", place))
        return None
    effort = nearest(asked.effort, accepted)
    if effort != asked.effort:
        notes.append(Note("changed", "effort.nearest", place))
    return effort
