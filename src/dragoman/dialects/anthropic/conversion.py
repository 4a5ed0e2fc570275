"""Knobs that a model or a server refuses -> the nearest that it takes, each with a note.

Claude's models differ in what they take, so what was written for one fails on another, e.g. behind an alias. What is
accepted is a fact in providers/models.toml; where nothing is known, nothing is changed.
https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting and
https://platform.claude.com/docs/en/models/opus-5-5/migration-guide
"""

from typing import Any

import msgspec
from msgspec import Raw

from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.messages.edit import MORE, Changes
from dragoman.messages.effort import BUDGETS, nearest
from dragoman.messages.instructions import CONTINUE
from dragoman.messages.lenient import sound
from dragoman.messages.notes import Grade, Note
from dragoman.messages.outline import ABSENT, Outline, TurnOutline

MIN_BUDGET = 1024  # tokens; Anthropic's own least budget of thinking
EFFORT_BUDGET = {"low": 2_048, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 49_152}
"""`budget_tokens` for an effort: such that `effort.BUDGETS` leads back to it."""

LONGER = "output-"
"""How the betas begin that let a model say more than it usually does.
https://platform.claude.com/docs/en/about-claude/models/overview"""

CLEARS_THINKING = "clear_thinking_"
"""How the edits of `context_management` begin that are refused without thinking.
https://platform.claude.com/docs/en/build-with-claude/context-editing"""

# What comes in place of a form of thinking that is not taken, best first; what is said last goes without a word.
_INSTEAD = {
    "enabled": ("adaptive", "disabled"),
    "adaptive": ("enabled", "disabled"),
    "disabled": ("between_tools", "adaptive"),
    "between_tools": ("disabled", "adaptive"),
}
_USUAL = {"temperature": (b"null", b"1", b"1.0")}
_FORCED = ("any", "tool")
_TEXTS = frozenset({"text", "thinking", "redacted_thinking"})


class Knobs:
    """The fields of one request beside its conversation. `changes` is what becomes of them."""

    def __init__(self, outline: Outline, betas: tuple[str, ...], target: Target, notes: list[Note]) -> None:
        self.changes: Changes = {}
        self._outline = outline
        self._target = target
        self._quirks: Quirks = target.quirks
        self._facts = target.facts
        self._notes = notes
        self._limit = outline.max_tokens
        self._most = target.facts.max_output
        if betas and any(beta.startswith(LONGER) for beta in betas):
            self._most = None

    def fit(self) -> None:
        """All of them, but what depends on the history."""
        outline = self._outline
        if self._facts.sampling == "never":
            self._sampling()
        if self._limit is not None and self._most is not None and self._limit > self._most:
            self._limit_output(self._most)
        if outline.thinking is not ABSENT:
            self._thinking()
        if outline.output_config is not ABSENT:
            self._efforts()
        if outline.tool_choice is not ABSENT:
            self._tool_choice()

    @property
    def thinks_manually(self) -> bool:
        """Whether thinking is on with a budget of its own, after all changes."""
        return self._form == "enabled"

    @property
    def _form(self) -> object:
        """The form of thinking after all changes so far; None without a word of it."""
        now = self.changes.get("thinking", self._outline.thinking)
        return _object(now).get("type") if isinstance(now, bytes | Raw) else None

    @property
    def turned_on(self) -> bool:
        """Whether a budget stands there that the caller did not ask for."""
        return "thinking" in self.changes and self.thinks_manually

    def switch_off(self, code: str) -> None:
        """No thinking in this answer."""
        self._put_thinking("disabled", code)

    def forget_thinking(self) -> None:
        """Leaves out what is refused without thinking."""
        management = _object(self._outline.context_management)
        edits = management.get("edits")
        if not isinstance(edits, list):
            return
        clearing = [
            number
            for number, edit in enumerate(edits)
            if isinstance(edit, dict) and str(edit.get("type")).startswith(CLEARS_THINKING)
        ]
        if not clearing:
            return
        self._notes.append(Note("changed", "clear_thinking.without_thinking", "context_management.edits"))
        if len(clearing) < len(edits):
            self.changes["context_management"] = {"edits": dict.fromkeys(clearing)}
        else:
            self.changes["context_management"] = {"edits": None} if len(management) > 1 else None

    def _sampling(self) -> None:
        for name in ("temperature", "top_p", "top_k"):
            value = bytes(getattr(self._outline, name))
            if value:
                self.changes[name] = None
                grade: Grade = "ignored" if value in _USUAL.get(name, (b"null",)) else "changed"
                self._notes.append(Note(grade, f"{name}.unsupported", name))

    def _limit_output(self, most: int) -> None:
        self._limit = most
        self.changes["max_tokens"] = b"%d" % most
        self._notes.append(Note("changed", "max_tokens.clamped", "max_tokens"))

    def _takes(self, form: str) -> bool:
        if self._quirks.thinking != "both" and form in ("adaptive", "enabled") and form != self._quirks.thinking:
            return False
        return form in self._facts.thinking_forms or not self._facts.thinking_forms

    def _thinking(self) -> None:
        asked = _object(self._outline.thinking)
        form = asked.get("type")
        if not isinstance(form, str) or form not in _INSTEAD:
            return
        if self._takes(form):
            budget = asked.get("budget_tokens")
            if "max_tokens" in self.changes and isinstance(budget, int) and budget >= (self._limit or 0):
                self._put_thinking("enabled", "thinking.budget")
            return
        found = next((each for each in _INSTEAD[form] if self._takes(each)), None)
        if form == "disabled" and found == "adaptive":
            self._wish(self._facts.efforts[0] if self._facts.efforts else "low")
            self._put_thinking(found, "thinking.always_on")
        elif found == "enabled" and self._forces():
            self._put_thinking("disabled", "thinking.off_for_tool_choice")
        else:
            if form == "enabled":
                self._wish(_of_budget(asked.get("budget_tokens")))
            self._put_thinking(found, f"thinking.{form}")

    def _put_thinking(self, form: str | None, code: str) -> None:
        """Another form of thinking, None for no word of it. What the caller wants to see of it stays."""
        asked = _object(self._outline.thinking)
        put: dict[str, Any] = {"type": form}
        if form == "enabled":
            budget = self._budget(asked.get("budget_tokens"))
            if budget is None:
                put, code = {"type": "disabled"}, "thinking.no_room"
            else:
                shown = asked.get("display")
                put |= {"budget_tokens": budget} | ({"display": shown} if shown in ("summarized", "omitted") else {})
        elif form == "adaptive":
            put |= {name: value for name, value in asked.items() if name not in ("type", "budget_tokens")}
        self._notes.append(Note("changed", code, "thinking"))
        self.changes["thinking"] = msgspec.json.encode(put) if put["type"] else None
        if put["type"] in (None, "disabled"):
            self.forget_thinking()

    def _budget(self, asked: Any) -> int | None:
        """A budget that leaves half of the answer for words; None when there is no room for one."""
        effort = _object(self._outline.output_config).get("effort")
        wanted = EFFORT_BUDGET.get(effort if isinstance(effort, str) else "high", EFFORT_BUDGET["high"])
        if isinstance(asked, int):
            wanted = asked
        if self._limit is None:
            return wanted
        return max(min(wanted, self._limit // 2), MIN_BUDGET) if self._limit > MIN_BUDGET else None

    def _wish(self, effort: str) -> None:
        """An effort in place of what thinking cannot say here, unless the caller says one."""
        output = _object(self._outline.output_config)
        if output.get("effort") is None and self._facts.takes_effort:
            value = msgspec.json.encode(nearest(effort, self._facts.efforts) if self._facts.efforts else effort)
            self.changes["output_config"] = {"effort": value} if output else b'{"effort":%b}' % value

    def _efforts(self) -> None:
        """The effort of the whole request; those of single turns are only sent to models that know them all."""
        output = _object(self._outline.output_config)
        effort = output.get("effort")
        if not isinstance(effort, str):
            return
        place, known = "output_config.effort", self._facts.efforts
        if self._facts.efforts_without_thinking and self._form == "disabled":
            known = self._facts.efforts_without_thinking
        if not self._facts.takes_effort:
            self.changes["output_config"] = {"effort": None} if len(output) > 1 else None
            self._notes.append(Note("changed", "effort.unsupported", place))
        elif known and effort not in known:
            self.changes["output_config"] = {"effort": msgspec.json.encode(nearest(effort, known))}
            self._notes.append(Note("changed", "effort.nearest", place))

    def _forces(self) -> bool:
        return _object(self._outline.tool_choice).get("type") in _FORCED

    def _tool_choice(self) -> None:
        if not self._facts.forced_tool_choice and self._forces():
            self.changes["tool_choice"] = {"type": b'"auto"', "name": None}
            self._notes.append(Note("changed", "tool_choice.forced", "tool_choice"))


def ending(outline: Outline, target: Target, changes: Changes, notes: list[Note]) -> Changes:
    """What comes after the last turn: an instruction in place of what the model does not take.

    What was sent before stays the beginning. `changes`: what becomes of the turns so far.
    """
    turns, facts = outline.messages, target.facts
    said = []
    if turns and turns[-1].role == "assistant" and changes.get(len(turns) - 1, {}) is not None:
        # What else it may hold is no beginning of an answer: calls of server tools, in an answer that goes on.
        if facts.prefill or any(block.type not in _TEXTS for block in turns[-1].blocks):
            return {}
        if not turns[-1].content:
            notes.append(Note("ignored", "turn.empty", f"messages.{len(turns) - 1}"))
            return {len(turns) - 1: None}
        notes.append(Note("changed", "prefill.instructed", f"messages.{len(turns) - 1}"))
        said.append(CONTINUE)
    choice = {} if facts.forced_tool_choice else _object(outline.tool_choice)
    if choice.get("type") in _FORCED:
        name = choice.get("name")
        which = f"a call of the tool {name}" if choice["type"] == "tool" and name else "a call of one of the tools"
        said.append(f"Answer with {which}.")
    if not said:
        return {}
    text = "\n\n".join(said)
    if turns and turns[-1].role == "system" and len(turns) - 1 not in changes:
        return {len(turns) - 1: {"content": _with(turns[-1], text)}}
    return {MORE: msgspec.json.encode({"role": "user", "content": text})}


def _with(turn: TurnOutline, text: str) -> bytes | Changes:
    """The content of a system turn with more text: no turn of the caller may stand behind it.

    https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
    """
    if isinstance(turn.content, list):
        return {MORE: msgspec.json.encode({"type": "text", "text": text})}
    return msgspec.json.encode(f"{turn.content}\n\n{text}" if turn.content else text)


def _of_budget(budget: Any) -> str:
    """The effort that a budget means."""
    if not isinstance(budget, int):
        return "high"
    return next((effort for limit, effort in BUDGETS if budget < limit), "xhigh")


def _object(raw: bytes | Raw) -> dict[str, Any]:
    """An object that is one; {} for everything else."""
    if raw is ABSENT:
        return {}
    found = sound(msgspec.json.decode, raw)
    return found if isinstance(found, dict) else {}
