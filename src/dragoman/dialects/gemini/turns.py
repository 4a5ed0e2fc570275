"""System prompt and conversation as contents.

There are two roles, and they take turns: what the model said, called and signed; then the results of all its calls, in
their order, before anything else that the user says. Parts keep the order of their blocks. A thought goes back as its
signature alone, on the very part that it came with: the marks in the state say which part that was.
https://ai.google.dev/api/caching#Content, https://ai.google.dev/gemini-api/docs/function-calling and
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects.contract import Target
from dragoman.dialects.gemini.body import Content, FunctionCall, FunctionResponse, Part
from dragoman.dialects.gemini.parts import IMAGES, PDF, Parts
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.dialects.gemini.signatures import SENTINEL, Mark, marks
from dragoman.messages.body import NO_RAW, Block, Body, Turn
from dragoman.messages.conversation import (
    NO_RESULT,
    Settled,
    Spot,
    is_plain,
    path,
    settle_on,
    system_text,
    thinking_owner,
)
from dragoman.messages.errors import ApiError
from dragoman.messages.form import NO_FORM, Form, known_form, with_form
from dragoman.messages.instructions import CONTINUE
from dragoman.messages.names import Names, tool_id
from dragoman.messages.notes import Note
from dragoman.messages.rendering import as_text, in_words

NO_OUTPUT = "(no output)"
BEGIN = "[The conversation begins with an answer of yours.]"
ID_LIMIT = 64  # characters; the reference names no limit, and every id that a client made itself is shorter

# https://ai.google.dev/gemini-api/docs/function-calling#multimodal
_IN_RESULTS = IMAGES - {"image/heic", "image/heif"} | {PDF}
_NO_ARGUMENTS = Raw(b"{}")
_OUTPUT, _ERROR = "output", "error"  # https://ai.google.dev/api/caching#FunctionResponse


class Written(Struct):
    """The contents, and the system prompt where it is no part of them."""

    contents: list[Content | Raw]
    system: Content | None
    ids: list[str]  # tool ids of the history, as the caller wrote them


def write(body: Body, target: Target, names: Names, notes: list[Note]) -> Written:
    """The system prompt, then the conversation.

    Raises ApiError("invalid_request") for what cannot be sent at all, naming the block.
    """
    return with_form(
        _known(body.messages, target, names), notes, lambda known, found: _written(body, target, names, found, known)
    )


def _written(body: Body, target: Target, names: Names, notes: list[Note], known: Form) -> Written | None:
    """The same. `known`: what the conversation began with. None when the user says nothing right behind it."""
    turns = _Turns(target, names, notes, known)
    system = turns.system(system_text(body.system))
    if known is NO_FORM and body.cache_control is None and is_plain(body.messages) and turns.say(body.messages):
        return Written([*turns.contents], system, [])
    notes += known.settling
    settled, _ = settle_on(body.messages, known.open, notes, fold_system=True)
    notes += known.notes
    turns.add(settled)
    if not turns.contents or (known.items and turns.contents[0].role == "model"):
        return None
    turns.close()
    if body.cache_control is not None:
        notes.append(Note("ignored", "cache_control"))
    return Written([*known.items, *turns.contents], system, turns.ids)


def _known(turns: list[Turn], target: Target, names: Names) -> Form | None:
    """What is known of the first turns; None also where their form depends on what is around them."""
    if target.quirks.system != "instruction":  # else the system prompt comes first of the contents
        return None
    key = "gemini", target.quirks, target.facts, target.state_scope, names.back
    return known_form(turns, key, lambda known, before: _longer(known, before, target, names))


def _longer(known: list[Turn], before: Form, target: Target, names: Names) -> Form | None:
    """The form of `known`, of which the first turns have the form `before`."""
    settling: list[Note] = []
    notes: list[Note] = []
    try:
        settled, left = settle_on(known, before.open, settling, fold_system=True)
    except ApiError:
        return None  # it is told where the whole conversation is looked at
    turns = _Turns(target, names, notes, before)
    turns.add(settled)
    contents = turns.contents
    if not contents or contents[-1].role != "model" or settled[-1].role != "assistant":
        return None
    if before.items and contents[0].role == "model":
        return None
    new = turns.ids[len(before.ids) :]
    return before.followed_by(contents, left, settling, notes, ids=new, more=tuple(turns.calls))


class _Turns:
    """The contents so far, and what the next one needs to know."""

    def __init__(self, target: Target, names: Names, notes: list[Note], known: Form) -> None:
        """`known`: what the conversation began with, whose last content is the model's."""
        quirks: Quirks = target.quirks
        self.contents: list[Content] = []  # behind what is known
        self.ids: list[str] = [*known.ids]
        self.calls: list[FunctionCall] = [*(known.more or ())]  # of the last turn of the model
        self._begins = not known.items
        self._target = target
        self._quirks = quirks
        self._names = names
        self._notes = notes
        self._parts = Parts(target, notes)
        self._sent_names: dict[str, str] = {}
        self._sentinel = target.facts.call_signatures
        self._call_ids = target.facts.call_ids
        self._takes_tools = target.facts.tools
        self._lead: Part | None = None  # the system prompt, where it is the user's

    def add(self, settled: list[Settled]) -> None:
        newest = max((index for index, turn in enumerate(settled) if turn.role == "assistant"), default=-1)
        for index, turn in enumerate(settled):
            if turn.role == "assistant":
                self.model(turn)
            else:
                self.user(turn, is_new=index > newest)

    def close(self) -> None:
        """What the last content must not be: an answer that the caller began, or a call without its result."""
        if self.contents[-1].role == "user":
            return
        if self.calls:
            response: dict[str, str | Raw] = {_OUTPUT: NO_RESULT}
            parts = [Part(function_response=FunctionResponse(c.name, response, c.id)) for c in self.calls]
            self._notes.append(Note("changed", "tool_result.missing", "messages"))
        else:
            parts = [Part(CONTINUE)]
            self._notes.append(Note("changed", "prefill.instructed", "messages"))
        self.contents.append(Content(parts, "user"))

    def _add(self, role: str, parts: list[Part]) -> None:
        """One more turn. Roles take turns, also where a turn between two of them had nothing that could be sent.

        "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
        """
        if not self.contents and self._begins:
            if self._lead is not None:
                self.contents.append(Content([self._lead], "user"))
            elif role == "model":
                self.contents.append(Content([Part(BEGIN)], "user"))
                self._notes.append(Note("changed", "turn.first", "messages"))
        last = self.contents[-1] if self.contents else None
        if last is not None and last.role == role:
            last.parts += parts
        else:
            self.contents.append(Content(parts, role))

    # System

    def system(self, blocks: list[Block]) -> Content | None:
        """One text: nothing says what stands between the parts of an instruction."""
        if not blocks:
            return None
        for block in blocks:
            self._parts.text(block)  # for its notes
        texts = [memoryview(block.text_json)[1:-1] for block in blocks]
        lead = Part(Raw(b'"%b"' % b"\\n\\n".join(texts)))
        if self._quirks.system == "instruction":
            return Content([lead])
        self._lead = lead
        return None

    def say(self, turns: list[Turn]) -> bool:
        """Turns that are plain. False where the system prompt comes first of the user's."""
        if self._lead is not None:
            return False
        for turn in turns:
            text: Any = turn.content
            self.contents.append(Content([Part(text)], "user" if turn.role == "user" else "model"))
        return True

    # Model

    def model(self, turn: Settled) -> None:
        parts: list[Part] = []
        signed: _Signed | None = None
        last_text = -1  # where the last text block is in `parts`
        self.calls = []
        for number, block in enumerate(turn.blocks):
            kind = block.type
            if kind == "text":
                last_text = len(parts)
                if signed is not None:
                    signed.begin_text(last_text)
                parts.append(self._parts.text(block))
            elif kind == "tool_use" and self._takes_tools:
                signature = signed.take_call() if signed is not None else None
                if signature is None and self._sentinel and not self.calls:
                    signature = SENTINEL
                call = self._call(block, turn, number)
                self.calls.append(call)
                parts.append(Part(function_call=call, thought_signature=signature))
            elif kind in ("thinking", "redacted_thinking"):
                if found := self._marks(block):
                    signed = signed or _Signed()
                    signed.add(found, last_text, parts)
            else:
                if kind == "tool_use":
                    self.ids.append(block.id or "")
                if block.cache_control is not None:
                    self._parts.ignore_breakpoint()
                parts.append(Part(in_words(block, path(turn.spot(number)), self._notes)))
        if signed is not None:
            parts = signed.applied(parts, self._notes)
        if parts:
            self._add("model", parts)
        else:
            self._notes.append(Note("ignored", "turn.empty", turn.place))

    def _call(self, block: Block, turn: Settled, number: int) -> FunctionCall:
        id_ = block.id or ""
        self.ids.append(id_)
        if block.cache_control is not None:
            self._parts.ignore_breakpoint()
        arguments = block.input
        if arguments is NO_RAW:
            arguments = _NO_ARGUMENTS
        elif memoryview(arguments)[0] != ord("{"):  # what weak models made of it; `args` is an object
            written = memoryview(arguments).tobytes()
            arguments = _NO_ARGUMENTS if written == b"null" else Raw(b'{"input":%b}' % written)
            self._notes.append(Note("changed", "tool_use.input", path(turn.spot(number))))
        name = block.name or ""
        sent = self._sent_names.get(name)
        if sent is None:
            sent = self._sent_names[name] = self._names.out(name)
        return FunctionCall(sent, arguments, tool_id(id_, limit=ID_LIMIT) if self._call_ids else None)

    def _marks(self, block: Block) -> list[Mark]:
        """Only what this deployment signed goes back. The text of a thought says nothing that the answer does not."""
        found = marks(thinking_owner(block), self._target.state_scope) if self._quirks.signatures else []
        if not found:
            self._notes.append(Note("ignored", "thinking.dropped"))
        return found

    # User

    def user(self, turn: Settled, *, is_new: bool) -> None:
        """`is_new`: no answer stands behind it yet, so the caller can still be told what is wrong with it.

        Results of tools are never refused: clients keep them, so an error now would come back in every later turn.
        """
        parts: list[Part] = []
        if turn.results:
            self._results(turn, parts)
        for number, block in enumerate(turn.blocks):
            if block.type == "text":
                parts.append(self._parts.text(block))
            else:
                parts += self._parts.of(block, path(turn.spot(number)), refusable=is_new)
        if parts:
            self._add("user", parts)

    def _results(self, turn: Settled, parts: list[Part]) -> None:
        """One response for each call, in their order; then what responses cannot hold."""
        moved = _Moved()
        for number, block in enumerate(turn.results):
            if block.cache_control is not None:
                self._parts.ignore_breakpoint()
            said: str | Raw | None = _usual_output(block) if self._takes_tools else None
            attached = None
            if said is None:
                shown, attached = self._unusual_output(block, turn.result_spot(number), moved)
                if not self._takes_tools:
                    parts.append(Part(f"[Result of a tool]\n{'Error: ' if block.is_error else ''}{shown}"))
                    continue
                said = shown
            call = self.calls[number]
            response = {_ERROR if block.is_error else _OUTPUT: said}
            parts.append(Part(function_response=FunctionResponse(call.name, response, call.id, attached)))
        parts += moved.parts

    def _unusual_output(self, block: Block, spot: Spot, moved: "_Moved") -> tuple[str, list[Part] | None]:
        """The text of a result, and the pictures and files that go with it."""
        content = block.content
        attached: list[Part] = []
        if isinstance(content, str):
            said = content
        else:
            pieces: list[str] = []
            inner = content if isinstance(content, list) else [content] if content else []
            for number, one in enumerate(inner):
                if one.type in ("image", "document"):
                    pieces += self._carried(one, path((*spot, number)), attached, moved)
                    continue
                if one.cache_control is not None:
                    self._parts.ignore_breakpoint()
                pieces.append(as_text(one))
            said = "\n".join(filter(None, pieces))
        if not said or said.isspace():
            said = NO_OUTPUT
        return said, attached or None

    def _carried(self, block: Block, place: str, attached: list[Part], moved: "_Moved") -> list[str]:
        """A picture or a document of a result, and what its text says in its place."""
        pieces: list[str] = []
        for part in self._parts.of(block, place, refusable=False):
            if part.text is not None:
                pieces.append(_said(part))
            elif self._takes_tools and self._target.facts.result_media and _goes_in_results(part):
                attached.append(part)
                pieces.append(f"[{block.type} {len(attached)}, attached]")
            else:
                moved.count += 1
                name = f"[{block.type} {moved.count} of the tool results]"
                moved.parts += [Part(f"{name}:"), part]
                pieces.append(f"{name}: see below")
                self._notes.append(Note("ignored", "tool_result.media_moved", place))
        return pieces


class _Signed:
    """The signatures of one turn of the model, on their way to their parts."""

    __slots__ = ("_call", "_dropped", "_empties", "_spans", "_text")

    def __init__(self) -> None:
        self._call: str | None = None  # for the next call
        self._text: Mark | None = None  # for the next text
        self._spans: dict[int, list[Mark]] = {}  # by the number of the part
        self._dropped = False
        self._empties = 0  # parts that hold a signature alone

    def add(self, found: list[Mark], last_text: int, parts: list[Part]) -> None:
        """Marks of a block behind `parts`; the last text among them is part `last_text`, or -1."""
        for mark in found:
            if mark.part == "call":
                self._dropped = self._dropped or self._call is not None
                self._call = mark.signature
            elif mark.part == "text":
                self._dropped = self._dropped or self._text is not None
                self._text = mark
            elif mark.part == "empty":
                parts.append(Part("", thought_signature=mark.signature))
                self._empties += 1
            elif last_text < 0:
                self._dropped = True
            else:
                self._spans.setdefault(last_text, []).append(mark)

    def begin_text(self, number: int) -> None:
        """Part `number` is a text."""
        if self._text is not None:
            self._spans[number] = [Mark("back", self._text.signature, 0, self._text.size)]
            self._text = None

    def take_call(self) -> str | None:
        """The signature of the call that comes now. A text that should have come before it was lost."""
        self._dropped = self._dropped or self._text is not None
        self._text = None
        signature, self._call = self._call, None
        return signature

    def applied(self, parts: list[Part], notes: list[Note]) -> list[Part]:
        """The parts, with the texts cut where signatures need it; nothing when none of them says anything."""
        if self._dropped or self._call is not None or self._text is not None:
            notes.append(Note("ignored", "thinking.dropped"))
        if self._empties == len(parts):
            # "Unable to submit request because it has an empty text parameter": not on their own.
            notes.append(Note("ignored", "thinking.dropped"))
            return []
        for number in sorted(self._spans, reverse=True):
            parts[number : number + 1] = _cut(parts[number], self._spans[number], notes)
        return parts


def _cut(part: Part, spans: list[Mark], notes: list[Note]) -> list[Part]:
    """A text, cut where signed parts of it begin and end. What lies behind its end, or overlaps, is not signed."""
    text = _said(part)
    parts: list[Part] = []
    done = 0
    for span in sorted(spans, key=lambda span: span.start):
        start = min(span.start, len(text))
        end = min(start + span.size, len(text))
        if start < done or (start == end and span.size):
            notes.append(Note("ignored", "thinking.dropped"))
            continue
        if start > done:
            parts.append(Part(text[done:start]))
        parts.append(Part(text[start:end], thought_signature=span.signature))
        done = end
    if done < len(text):
        parts.append(Part(text[done:]))
    return parts


class _Moved:
    """Pictures and files of the results of one turn, for the parts behind them."""

    __slots__ = ("count", "parts")

    def __init__(self) -> None:
        self.count = 0
        self.parts: list[Part] = []


def _usual_output(block: Block) -> Raw | None:
    """The text of a result that is one text and no error: it goes on as it came."""
    content = block.content
    if isinstance(content, list) and len(content) == 1:
        only = content[0]
        if only.type == "text" and only.cache_control is None and not block.is_error and not only.is_blank:
            return only.text_json
    return None


def _goes_in_results(part: Part) -> bool:
    return part.inline_data is not None and part.inline_data.mime_type in _IN_RESULTS


def _said(part: Part) -> str:
    """The text of a part, decoded."""
    return msgspec.json.decode(part.text, type=str) if isinstance(part.text, Raw) else part.text or ""
