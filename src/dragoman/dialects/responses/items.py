"""The output items of one answer, told to the writer one after the other.

Events name their item by an id, by its place in the output, by both or by neither; servers repeat places, change ids in
every event, and leave out announcements and ends. What an item says while an earlier one is unfinished waits.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

import json
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Literal, NamedTuple

from dragoman.dialects.responses import search, wire
from dragoman.messages import state
from dragoman.messages.errors import ApiError
from dragoman.messages.lenient import Halves, join_halves
from dragoman.messages.notes import Grade, Note
from dragoman.messages.writer import BLOCK_LIMIT, MessageWriter

Kind = Literal["message", "reasoning", "call", "search"]
Key = tuple[str, int]  # the form of a part, and its place among its like

KIND: dict[str, Kind] = {
    "message": "message",
    "reasoning": "reasoning",
    "function_call": "call",
    "web_search_call": "search",
}

TEXT, REFUSAL, SUMMARY, CONTENT = "text", "refusal", "summary", "content"
_ARGUMENTS: Key = ("arguments", 0)


class Part:
    """One part of an item, as far as it was said."""

    __slots__ = ("cited", "done", "key", "pieces")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.pieces: list[str] = []
        self.done = False  # its whole text was seen
        self.cited = 0


class OutputItem:
    """One item, from its first event to its last."""

    __slots__ = ("announced", "closed", "held", "id", "index", "kind", "named", "number", "part", "parts", "whole")

    def __init__(self, number: int, kind: Kind, item_id: str | None, index: int | None) -> None:
        self.number = number
        self.kind = kind
        self.id = item_id
        self.index = index
        self.part: Part | None = None  # the last one that said something
        self.parts: dict[Key, Part] = {}
        self.held: list[tuple[Callable[..., None], tuple[Any, ...]]] = []  # what it says when its turn comes
        self.announced = False
        self.named = False  # a call that the writer knows
        self.whole = False  # its finished form was seen
        self.closed = False


class Speaker(NamedTuple):
    """What says more of a part: its pieces, which are kept, and how one or several are told."""

    pieces: list[str]
    one: Callable[[str], None]
    several: Callable[[list[str]], None]


class Items:
    """Tells the writer what the items say."""

    def __init__(self, writer: MessageWriter, scope: str) -> None:
        self.refused = False
        self.searches = 0
        self.halves: Halves | None = None  # once a frame needed mending
        self.spoke: Part | None = None  # what the last event was more of
        self._writer = writer
        self._scope = scope
        self._all: list[OutputItem] = []
        self._order: deque[OutputItem] = deque()  # those that are not over; the first one speaks
        self._by_id: dict[str, OutputItem] = {}
        self._by_index: dict[tuple[Kind, int | None], OutputItem] = {}
        self._last: OutputItem | None = None

    @property
    def are_new(self) -> bool:
        """Whether nothing was said of any, and nothing needed mending."""
        return not self._all and self.halves is None

    # Which item an event is about

    def find(self, kind: Kind, item_id: str | None, index: int | None) -> OutputItem:
        """The item of an event that is about a part of it."""
        item = self._last
        if item is not None and item.kind is kind and item.id == item_id and item.index == index and not item.closed:
            return item
        item = self._known(kind, (item_id,), index) or self._open(kind, item_id, index)
        self._last = item
        return item

    def of_part(self, part_type: str, item_id: str | None, index: int | None) -> OutputItem | None:
        """The item of a `content_part` event: some servers call a part of reasoning `output_text`."""
        item = self._by_id.get(item_id or "")
        if item is not None:
            return item
        kind: Kind = "reasoning" if part_type == "reasoning_text" else "message"
        return self._known(kind, (item_id,), index)

    def _known(self, kind: Kind, ids: tuple[str | None, ...], index: int | None) -> OutputItem | None:
        """By an id of its own; else by its place, unless over; else the last one, if it or the event has neither."""
        for each in ids:
            item = self._by_id.get(each or "")
            if item is not None and item.kind == kind:
                return item
        item = None if index is None else self._by_index.get((kind, index))
        if item is None:
            last = self._by_index.get((kind, None))
            if last is not None and ((last.id is None and last.index is None) or (index is None and not any(ids))):
                item = last
        return None if item is None or item.closed else item

    def _open(self, kind: Kind, item_id: str | None, index: int | None) -> OutputItem:
        for item in list(self._order):
            # An item that was never announced may never be ended either: it ends where the next one begins.
            if not item.announced and item.kind in ("message", "reasoning"):
                self._close(item)
        if len(self._all) >= BLOCK_LIMIT:
            raise ApiError("bad_answer", f"The upstream sent more than {BLOCK_LIMIT} output items.")
        item = OutputItem(len(self._all), kind, item_id, index)
        self._all.append(item)
        self._order.append(item)
        self._by_index[kind, index] = item
        self._by_index[kind, None] = item
        self._names(item, item_id)
        return item

    def _names(self, item: OutputItem, *ids: str | None) -> None:
        for each in ids:
            if each:
                self._by_id.setdefault(each, item)

    # What events say

    def announce(self, told: wire.Item, index: int | None) -> None:
        """`output_item.added`."""
        kind = KIND.get(told.type)
        if kind is None:
            return
        ids = (told.id, told.call_id)
        item = self._known(kind, ids, index)
        if item is None or (item.announced and any(ids) and item.id not in (None, *ids)):
            item = self._open(kind, told.id or told.call_id, index)
        item.announced = True
        item.id = item.id or told.id or told.call_id
        self._names(item, *ids)
        if kind == "call":
            self._name(item, told)

    def more(self, item: OutputItem, key: Key, text: str) -> None:
        """More text of a part."""
        part: Part | None = item.part
        if part is None or part.key != key:
            part = self._turn(item, key)
            if part is None:
                return
        part.pieces.append(text)
        text = self._joined((item.number, key), text)
        if item.closed:
            self._reopen(item)
        say = self._writer.text if item.kind == "message" else self._writer.thinking
        if item is self._order[0]:
            say(text)
            self.spoke = part
        else:
            item.held.append((say, (text,)))

    def speaker(self, part: Part) -> Speaker:
        """What says more of the part that spoke last, as long as no other event comes."""
        writer, item = self._writer, self._last
        if item is not None and item.kind == "call":
            number = item.number
            return Speaker(part.pieces, partial(writer.arguments, number), partial(writer.fragments, number))
        if part.key[0] in (TEXT, REFUSAL):
            return Speaker(part.pieces, writer.text, writer.texts)
        return Speaker(part.pieces, writer.thinking, writer.thoughts)

    def _turn(self, item: OutputItem, key: Key) -> Part | None:
        """Another part begins, or goes on. None: it is the second form of reasoning that was told already."""
        before = item.part
        if before is not None and item.kind == "reasoning" and before.key[0] != key[0]:
            self._note("ignored", "reasoning.second_form")
            return None
        part = item.parts.get(key)
        if part is None:
            part = item.parts[key] = Part(key)
        item.part = part
        if key[0] == REFUSAL:
            self.refused = True
        if before is not None and item.kind == "message":
            self._say(item, self._writer.border)
        elif before is not None:
            self._say(item, self._writer.thinking, "\n\n")
        return part

    def full(self, item: OutputItem, key: Key, text: str | None) -> None:
        """The whole text of a part: what no delta said is said now."""
        if not text:
            return
        part = item.parts.get(key)
        last = item.part
        if part is None and last is not None and not last.done and last.key[0] == key[0]:
            part = last if text.startswith("".join(last.pieces)) else None  # the same one, under another number
        if part is not None:
            key = part.key
        rest = self._rest(part.pieces if part is not None else [], text)
        if rest:
            self.more(item, key, rest)
        part = item.parts.get(key)
        if part is not None:
            part.done = True

    def _rest(self, pieces: list[str], text: str) -> str:
        said = "".join(pieces)
        if self.halves is not None:
            said, text = join_halves(said), join_halves(text)
        return text[len(said) :] if text.startswith(said) else ""

    def arguments(self, item: OutputItem, text: str) -> None:
        """More of a call's arguments, as JSON text."""
        part = item.part
        if part is None:
            part = item.part = item.parts[_ARGUMENTS] = Part(_ARGUMENTS)
        part.pieces.append(text)
        if not item.named:
            return
        text = self._joined((item.number, _ARGUMENTS), text)
        if item.closed or item is self._order[0]:
            self._writer.arguments(item.number, text)
            self.spoke = part
        else:
            item.held.append((self._writer.arguments, (item.number, text)))

    def all_arguments(self, item: OutputItem, told: wire.Written) -> None:
        """A call's whole arguments."""
        text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        rest = self._rest(item.part.pieces if item.part is not None else [], "" if told is None else text)
        if rest:
            self.arguments(item, rest)

    def _name(self, item: OutputItem, told: wire.Item) -> None:
        if item.named or not told.name:
            return
        item.named = True
        self._say(item, self._writer.tool, item.number, told.name, told.call_id or told.id)
        if item.part is not None:
            pieces, item.part = item.part.pieces, None
            self.arguments(item, "".join(pieces))

    def cite(self, item: OutputItem, key: Key, annotations: list[dict[str, Any]] | None, *, all_of_them: bool) -> None:
        """Annotations of a part: one more, or all of them."""
        part = item.parts.get(key)
        if part is None or not annotations:
            return
        for annotation in annotations[part.cited :] if all_of_them else annotations:
            part.cited += 1
            found = search.citation(annotation, "".join(part.pieces))
            if found is not None:
                self._say(item, self._writer.cite, found)

    # The end of an item, and of all

    def finish(self, told: wire.Item, index: int | None) -> None:
        """`output_item.done`: all of an item, in its final form."""
        kind = KIND.get(told.type)
        if kind is None:
            self._note("lost", "output_item.unsupported")
            return
        ids = (told.id, told.call_id)
        item = self._known(kind, ids, index)
        if item is None and index is None:
            item = next((each for each in self._order if each.kind == kind), None)
        if item is None:
            item = self._open(kind, told.id or told.call_id, index)
        self._names(item, *ids)
        self._complete(item, told)

    def conclude(self, output: list[wire.Item] | None) -> None:
        """The end of the answer. `output`: its items once more, or some of them, or for the first time."""
        known = {self._by_id[name] for told in output or () for name in (told.id, told.call_id) if name in self._by_id}
        others = [item for item in self._all if item not in known]
        for told in output or ():
            kind = KIND.get(told.type)
            item = next((self._by_id[name] for name in (told.id, told.call_id) if name in self._by_id), None)
            if kind is None:
                self._note("lost", "output_item.unsupported")
                continue
            if item is None or item.kind != kind:  # ids may change; then its place among its like tells
                item = next((each for each in others if each.kind == kind), None)
            if item is None:
                item = self._open(kind, told.id or told.call_id, None)
            elif item in others:
                others.remove(item)
            self._complete(item, told)
        for item in list(self._order):
            self._close(item)

    def _complete(self, item: OutputItem, told: wire.Item) -> None:
        """What its events did not say is said; then it is over."""
        if item.whole:
            return
        item.whole = True
        if item.kind == "message":
            self._content(item, told)
        elif item.kind == "reasoning":
            self._reasoning(item, told)
        elif item.kind == "call":
            self._name(item, told)
            self.all_arguments(item, told.arguments)
        else:
            found = search.blocks(told, item.number)
            self.searches += bool(found)
            for block in found:
                self._say(item, self._writer.block, block)
            if not found:
                self._note("ignored", "web_search.page")
        if not item.closed:
            self._close(item, told.encrypted_content, told.id)
        elif told.encrypted_content:
            self._note("lost", "state.late")

    def _content(self, item: OutputItem, told: wire.Item) -> None:
        content = [wire.Part(text=told.content)] if isinstance(told.content, str) else told.content or []
        parts = [part for part in content if part.refusal or part.text]
        for part, key in zip(parts, _keys(item, [REFUSAL if part.refusal else TEXT for part in parts]), strict=True):
            self.full(item, key, part.refusal or part.text)
            self.cite(item, key, part.annotations, all_of_them=True)

    def _reasoning(self, item: OutputItem, told: wire.Item) -> None:
        content = [wire.Part(text=told.content)] if isinstance(told.content, str) else told.content or []
        summary = [part.text for part in told.summary or [] if part.text]
        texts = [part.text for part in content if part.text]
        form = item.part.key[0] if item.part is not None else SUMMARY if summary else CONTENT
        chosen = summary if form == SUMMARY else texts
        for text, key in zip(chosen, _keys(item, [form] * len(chosen)), strict=True):
            self.full(item, key, text)

    def _close(self, item: OutputItem, encrypted: str | None = None, item_id: str | None = None) -> None:
        if item.kind == "call" and not item.named:
            raise ApiError("bad_answer", "The upstream sent a tool call without a name.")
        if self.halves is not None:
            self._mend(item, self.halves)
        if encrypted:
            self._sign(item, encrypted, item_id)
        if item.kind in ("message", "reasoning"):
            self._say(item, self._writer.border)
        item.closed = True
        while self._order and self._order[0].closed:
            self._order.popleft()
            if self._order:
                self._speak(self._order[0])

    def _mend(self, item: OutputItem, halves: Halves) -> None:
        for key in item.parts:
            text = halves.end((item.number, key))
            if text and item.kind == "call":
                self.arguments(item, text)
            elif text:
                self.more(item, key, text)

    def _sign(self, item: OutputItem, encrypted: str, item_id: str | None) -> None:
        payload = {"e": encrypted, "id": item_id} if item_id else {"e": encrypted}
        signature = state.pack("responses", self._scope, payload)
        if signature:
            self._say(item, self._writer.sign, signature)
        else:
            self._note("lost", "state.too_large")

    # Turns

    def _say(self, item: OutputItem, act: Callable[..., None], *words: Any) -> None:
        if item.closed:
            self._reopen(item)
        if item is self._order[0]:
            act(*words)
        else:
            item.held.append((act, words))

    def _speak(self, item: OutputItem) -> None:
        """Its turn has come: what it said so far."""
        held, item.held = item.held, []
        for act, words in held:
            act(*words)

    def _reopen(self, item: OutputItem) -> None:
        """What comes late comes last."""
        item.closed = False
        self._order.append(item)

    def _joined(self, stream: Hashable, text: str) -> str:
        if self.halves is None:
            return text
        joined = self.halves.join(stream, text)
        if self.halves.replaced:
            self._note("changed", "surrogate.replaced")
        return joined

    def _note(self, grade: Grade, code: str) -> None:
        note = Note(grade, code)
        if note not in self._writer.notes:
            self._writer.notes.append(note)


def _keys(item: OutputItem, forms: list[str]) -> list[Key]:
    """Keys for all parts of an item: those that were seen keep theirs, whatever number they had."""
    seen = list(item.parts)
    return [seen[number] if number < len(seen) else (form, -1 - number) for number, form in enumerate(forms)]
