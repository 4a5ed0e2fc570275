"""System prompt and conversation as items of a Responses input.

Every item stands where the model finds it natural and every server takes it: what an assistant turn says before what it
calls, a call's output behind all calls of the turn and before everything else, a reasoning item right before the item
that it led to. Items have no ids of their own. A block of any other type becomes text.
https://platform.openai.com/docs/guides/conversation-state and https://platform.openai.com/docs/guides/reasoning
"""

import re

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects.contract import Target
from dragoman.dialects.responses.body import FunctionCall, FunctionCallOutput, Item, Message, Part, Reasoning
from dragoman.dialects.responses.quirks import Quirks
from dragoman.messages import fields
from dragoman.messages.body import NO_RAW, Block, Body, CacheControl, Source, Turn
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
from dragoman.messages.names import LEGAL_ID, Names, tool_id
from dragoman.messages.notes import Note
from dragoman.messages.rendering import as_text, in_words

NO_OUTPUT = "(no output)"
BREAKPOINTS = 4  # https://platform.openai.com/docs/guides/prompt-caching

_WEB = re.compile(r"https?://", re.IGNORECASE)
_PDF = "application/pdf"


class Written(Struct):
    """The input, and the system prompt where it is no part of that."""

    items: list[Item | Raw]
    instructions: Raw | None
    ids: list[str]  # tool ids of the history, as the caller wrote them


def write(body: Body, target: Target, names: Names, notes: list[Note]) -> Written:
    """The system prompt, then the conversation.

    Raises ApiError("invalid_request") for what cannot be sent at all, naming the block.
    """
    return with_form(
        _known(body.messages, target, names), notes, lambda known, found: _written(body, target, names, found, known)
    )


def _written(body: Body, target: Target, names: Names, notes: list[Note], known: Form) -> Written | None:
    """The same. `known`: what the conversation began with. None when nothing is said behind it."""
    quirks: Quirks = target.quirks
    turns = _Turns(target, names, notes, known)
    instructions = turns.system(system_text(body.system))
    if known is NO_FORM and body.cache_control is None and is_plain(body.messages) and turns.say(body.messages):
        return Written(turns.items, instructions, [])
    turns.items += known.items
    notes += known.settling
    settled, _ = settle_on(body.messages, known.open, notes, fold_system=quirks.mid_system == "fold")
    notes += known.notes
    before = len(turns.items)
    turns.add(settled)
    if len(turns.items) == before:
        return None
    turns.close()
    turns.set_breakpoints(body.cache_control)
    return Written(turns.items, instructions, turns.ids)


def _known(turns: list[Turn], target: Target, names: Names) -> Form | None:
    """What is known of the first turns; None also where their form depends on what is around them."""
    key = "responses", target.quirks, target.facts, target.state_scope, names.back
    return known_form(turns, key, lambda known, before: _longer(known, before, target, names))


def _longer(known: list[Turn], before: Form, target: Target, names: Names) -> Form | None:
    """The form of `known`, of which the first turns have the form `before`."""
    quirks: Quirks = target.quirks
    settling: list[Note] = []
    notes: list[Note] = []
    try:
        settled, left = settle_on(known, before.open, settling, fold_system=quirks.mid_system == "fold")
    except ApiError:
        return None  # it is told where the whole conversation is looked at
    turns = _Turns(target, names, notes, before)
    turns.add(settled)
    if not settled or settled[-1].role != "assistant" or turns.is_marked:
        return None
    new = turns.ids[len(before.ids) :]
    return before.followed_by(turns.items, left, settling, notes, ids=new, more=frozenset(turns.thoughts))


class _Turns:
    """The items so far, and what the next one needs to know."""

    def __init__(self, target: Target, names: Names, notes: list[Note], known: Form) -> None:
        """`known`: what the conversation began with."""
        quirks: Quirks = target.quirks
        self.items: list[Item | Raw] = []
        self.ids: list[str] = [*known.ids]
        self.thoughts: set[str] = set(known.more or ())  # encrypted
        self._target = target
        self._quirks = quirks
        self._names = names
        self._sent_names: dict[str, str] = {}
        self._sent_ids: dict[str, str] = {}
        self._notes = notes
        self._system_role = target.facts.system_role or quirks.system_role
        self._takes_tools = target.facts.tools
        self._sees = quirks.images and target.facts.vision
        self._files = quirks.files if target.facts.files is None else target.facts.files
        # A model that does not reason refuses reasoning items.
        self._echoes = quirks.reasoning_history == "keep" and target.facts.reasoning is not False
        self._marks = quirks.cache == "breakpoints"
        self._marked: list[tuple[Part, CacheControl]] = []

    @property
    def is_marked(self) -> bool:
        """Whether there are breakpoints; which of them are written depends on all."""
        return bool(self._marked)

    def add(self, settled: list[Settled]) -> None:
        newest = max((index for index, turn in enumerate(settled) if turn.role == "assistant"), default=-1)
        for index, turn in enumerate(settled):
            match turn.role:
                case "assistant":
                    self.assistant(turn)
                case "user":
                    self.user(turn, is_new=index > newest)
                case _:
                    self.inner_system(turn)

    def close(self) -> None:
        """What the last item must not be: an answer that the caller began, or a call without its output."""
        last = self.items[-1]
        if isinstance(last, FunctionCall):
            for item in _calls_at_the_end(self.items):
                self.items.append(FunctionCallOutput(item.call_id, NO_RESULT))
            self._notes.append(Note("changed", "tool_result.missing", "messages"))
        elif isinstance(last, Message) and last.role == "assistant":
            self.items.append(Message("user", CONTINUE))
            self._notes.append(Note("changed", "prefill.instructed", "messages"))

    # System

    def system(self, blocks: list[Block]) -> Raw | None:
        """Instructions; with breakpoints, which need parts, a message at the head of the input instead."""
        if not blocks:
            return None
        parts = [self._text(block) for block in blocks]
        if self._marks:
            self.items.append(Message(self._system_role, parts))
            return None
        return Raw(b'"%b"' % b"\\n\\n".join([memoryview(block.text_json)[1:-1] for block in blocks]))

    def inner_system(self, turn: Settled) -> None:
        self.items.append(Message(self._system_role, self._content([self._text(block) for block in turn.blocks])))

    # Content

    def _content(self, parts: list[Part]) -> str | Raw | list[Part]:
        """Plain text where that is all there is: it is the form that every server takes."""
        if len(parts) == 1 and not self._marks and parts[0].text is not None:
            return parts[0].text
        return parts

    def _text(self, block: Block) -> Part:
        part = Part("input_text", block.text_json)
        if block.cache_control is not None:
            self._mark(part, block.cache_control)
        if block.citations is not NO_RAW and block.cites:
            self._notes.append(Note("ignored", "text.citations"))
        return part

    def _mark(self, part: Part | None, wanted: CacheControl) -> None:
        if self._marks and part is not None:
            self._marked.append((part, wanted))
        else:
            self._notes.append(Note("ignored", "cache_control"))

    def set_breakpoints(self, automatic: CacheControl | None) -> None:
        """Write the breakpoints, at most four, the last ones. `automatic`: one at the end of the conversation."""
        if automatic is not None:
            item = self.items[-1]
            content = item.content if isinstance(item, Message) else getattr(item, "output", None)
            last = content[-1] if isinstance(content, list) else None
            if all(part is not last for part, _ in self._marked):
                self._mark(last, automatic)
        if len(self._marked) > BREAKPOINTS:
            self._notes.append(Note("ignored", "cache_control.too_many"))
        for part, wanted in self._marked[-BREAKPOINTS:]:
            part.prompt_cache_breakpoint = {"mode": "explicit"}
            if wanted.ttl:
                self._notes.append(Note("ignored", "cache_control.ttl"))

    def say(self, turns: list[Turn]) -> bool:
        """Turns that are plain. False where breakpoints make parts of them."""
        if not self._marks:
            self.items += [Message(turn.role, turn.content) for turn in turns]  # type: ignore[arg-type]
        return not self._marks

    # Assistant

    def assistant(self, turn: Settled) -> None:
        """Texts, then calls: some servers find no output for a call when a message stands between them."""
        answer = _Answer()
        for number, block in enumerate(turn.blocks):
            kind = block.type
            if kind == "tool_use" and self._takes_tools:
                answer.call(self._call(block, turn.spot(number)))
            elif kind in ("thinking", "redacted_thinking"):
                self._thought(block, answer)
            elif kind == "text":
                answer.say(self._words(block), cites=block.citations is not NO_RAW and block.cites)
            else:
                if kind == "tool_use":
                    self.ids.append(block.id or "")
                if block.cache_control is not None:
                    self._mark(None, block.cache_control)
                self._drop(answer.thoughts)  # words are not the item that must follow them
                answer.say(in_words(block, path(turn.spot(number)), self._notes), cites=False)
        self._drop(answer.thoughts)
        if not answer.said and not answer.calls:
            self._notes.append(Note("ignored", "turn.empty", turn.place))
        self.items += answer.said
        self.items += answer.calls

    def _drop(self, thoughts: list[Item]) -> None:
        """ "Item of type 'reasoning' was provided without its required following item." """
        if thoughts:
            self._notes.append(Note("ignored", "thinking.dropped"))
            thoughts.clear()

    def _words(self, block: Block) -> str:
        """Text of an assistant turn. It is no part, so it cannot be marked."""
        if block.cache_control is not None:
            self._mark(None, block.cache_control)
        if block.citations is not NO_RAW and block.cites:
            self._notes.append(Note("ignored", "text.citations"))
        return block.text or ""

    def _call(self, block: Block, spot: Spot) -> FunctionCall:
        id_ = block.id or ""
        self.ids.append(id_)
        raw = block.input
        arguments = "{}" if raw is NO_RAW else str(raw, "utf-8")
        if not arguments.startswith("{"):  # what weak models made of it; every server wants an object
            arguments = "{}" if arguments == "null" else f'{{"input":{arguments}}}'
            self._notes.append(Note("changed", "tool_use.input", path(spot)))
        if block.cache_control is not None:
            self._mark(None, block.cache_control)
        name = block.name or ""
        sent = self._sent_names.get(name)
        if sent is None:
            sent = self._sent_names[name] = self._names.out(name)
        return FunctionCall(self._sent_ids.get(id_) or self._sent_id(id_), sent, arguments)

    def _sent_id(self, id_: str) -> str:
        """The upstream's form of an id that was not met before; `_sent_ids` has the others."""
        sent = self._sent_ids[id_] = tool_id(id_, limit=self._quirks.tool_id_limit)
        return sent

    def _thought(self, block: Block, answer: "_Answer") -> None:
        """Only what this deployment made goes back. A summary alone says nothing that the answer does not say."""
        found = thinking_owner(block) if self._echoes else None
        if found is not None and found.fits("responses", self._target.state_scope) and isinstance(found.payload, dict):
            content = found.payload.get("e")
            id_ = found.payload.get("id")
            if isinstance(content, str) and content and content not in self.thoughts:
                self.thoughts.add(content)  # "Duplicate item found"
                known = isinstance(id_, str) and LEGAL_ID.match(id_)
                # One of two in a row lost what it led to, e.g. a page that was opened: they come in pairs only.
                # https://github.com/openai/openai-dotnet/issues/1050
                self._drop(answer.thoughts)
                answer.thoughts.append(Reasoning((), content, id_ if known else None))
                return
        self._notes.append(Note("ignored", "thinking.dropped"))

    # User

    def user(self, turn: Settled, *, is_new: bool) -> None:
        """`is_new`: no answer stands behind it yet, so the caller can still be told what is wrong with it.

        Results of tools are never refused: clients keep them, so an error now would come back in every later turn.
        """
        parts: list[Part] = []
        if turn.results:
            media = _Media()
            for number, block in enumerate(turn.results):
                self._result(block, turn.result_spot(number), media, parts)
            parts += media.parts
        for number, block in enumerate(turn.blocks):
            if block.type == "text":
                parts.append(self._text(block))
            else:
                parts += self._user_block(block, path(turn.spot(number)), refusable=is_new)
        if parts:
            self.items.append(Message("user", self._content(parts)))

    def _user_block(self, block: Block, place: str, *, refusable: bool) -> list[Part]:
        if block.type == "image":
            parts = [self._image(block, place, refusable=refusable)]
        elif block.type == "document":
            parts = self._document(block, place, refusable=refusable)
        else:
            parts = [Part("input_text", in_words(block, place, self._notes))]
        if block.cache_control is not None:
            self._mark(parts[-1], block.cache_control)
        return parts

    def _result(self, block: Block, spot: Spot, media: "_Media", parts: list[Part]) -> None:
        output: str | Raw | list[Part] | None = self._usual_output(block)
        if output is None:
            output = self._unusual_output(block, spot, media, parts)
            if output is None:
                return
        if block.cache_control is not None:
            self._mark(output[-1] if isinstance(output, list) else None, block.cache_control)
        id_ = block.tool_use_id or ""
        self.items.append(FunctionCallOutput(self._sent_ids.get(id_) or self._sent_id(id_), output))

    def _usual_output(self, block: Block) -> Raw | None:
        """The text of a result that is one text and no error: it goes on as it came."""
        content = block.content
        if isinstance(content, list) and len(content) == 1 and self._takes_tools and not self._marks:
            only = content[0]
            if only.type == "text" and only.cache_control is None and not block.is_error and not only.is_blank:
                return only.text_json
        return None

    def _unusual_output(self, block: Block, spot: Spot, media: "_Media", parts: list[Part]) -> str | list[Part] | None:
        """None for a model without tools: what it is told is in `parts` then."""
        content = block.content
        output: str | list[Part]
        if isinstance(content, str):
            output = content
        else:
            inner = content if isinstance(content, list) else [content] if content else []
            output = self._output(inner, spot, media)
        if not output or (isinstance(output, str) and output.isspace()):
            output = NO_OUTPUT
        if block.is_error:
            output = f"Error: {output}" if isinstance(output, str) else [Part("input_text", "Error:"), *output]
        if not self._takes_tools:
            parts.append(Part("input_text", "[Result of a tool]"))
            parts += [Part("input_text", output)] if isinstance(output, str) else output
            return None
        if self._marks and isinstance(output, str):
            return [Part("input_text", output)]
        return output

    def _output(self, blocks: list[Block], spot: Spot, media: "_Media") -> str | list[Part]:
        """Text as one text, since every server takes that; with pictures or files among it, parts."""
        parts: list[Part] = []
        for number, block in enumerate(blocks):
            if block.type in ("image", "document"):
                parts += self._carried(block, path((*spot, number)), media)
            else:
                if block.cache_control is not None:
                    self._mark(None, block.cache_control)
                if said := as_text(block):
                    parts.append(Part("input_text", said))
        if any(part.text is None for part in parts):
            return parts
        return "\n".join(map(_said, parts))

    def _carried(self, block: Block, place: str, media: "_Media") -> list[Part]:
        """A picture or a document of a result; what an output cannot hold goes to `media`."""
        parts = self._user_block(block, place, refusable=False)
        carried = [part for part in parts if part.text is None]
        if not carried or self._quirks.result_media:
            return parts
        media.count += 1
        name = f"[{block.type} {media.count} of the tool results]"
        media.parts += [Part("input_text", f"{name}:"), *carried]
        self._notes.append(Note("ignored", "tool_result.media_moved", place))
        return [*(part for part in parts if part.text is not None), Part("input_text", f"{name}: see the next message")]

    # Images and documents

    def _image(self, block: Block, place: str, *, refusable: bool) -> Part:
        if not self._sees:
            self._notes.append(Note("lost", "image.no_vision", place))
            return Part("input_text", "[image omitted: the model cannot see images]")
        source = block.source if isinstance(block.source, Source) else Source("none")
        if source.type == "base64" and source.data and source.media_type:
            url = f"data:{source.media_type};base64,{source.data}"
            return Part("input_image", image_url=url, detail="auto")
        is_url = source.type == "url" and source.url and _WEB.match(source.url)
        if is_url and self._quirks.image_urls:
            return Part("input_image", image_url=source.url, detail="auto")
        if not refusable:
            self._notes.append(Note("lost", "image.unreadable", place))
            return Part("input_text", "[image omitted: it cannot be sent to this model]")
        if is_url:
            raise ApiError("invalid_request", f"{place}.source: this upstream takes no image URLs; send base64.")
        raise fields.bad_source(place, source, "an image as base64 with its media_type, or an http(s) url")

    def _document(self, block: Block, place: str, *, refusable: bool) -> list[Part]:
        if block.cites:
            self._notes.append(Note("changed", "document.citations", place))
        source = block.source if isinstance(block.source, Source) else Source("none")
        if source.type == "text":
            return [Part("input_text", as_text(block))]
        if source.type == "content":
            return self._document_of_blocks(block, source, place, refusable=refusable)
        file = self._file(block, source)
        if file is not None:
            about = [f"[Document: {block.title}]"] if block.title and file.filename is None else []
            about += [f"[Context of the document: {block.context}]"] if block.context else []
            return [*(Part("input_text", each) for each in about), file]
        if not refusable:
            # It was answered once, perhaps by another model; an error now would end the conversation for good.
            self._notes.append(Note("lost", "document.unreadable", place))
            return [Part("input_text", "[document omitted: the model cannot read it]")]
        if source.type == "base64" and source.media_type in (_PDF, None) and source.data:
            raise ApiError("invalid_request", f"{place}: this upstream takes no PDF documents; send their text.")
        raise fields.bad_source(place, source, "a PDF as base64, or text")

    def _file(self, block: Block, source: Source) -> Part | None:
        """A PDF, where the server takes it."""
        if not self._files:
            return None
        if source.type == "base64" and source.data and source.media_type in (_PDF, None):
            name = block.title or "document"
            name = name if name.endswith(".pdf") else f"{name}.pdf"
            return Part("input_file", filename=name, file_data=f"data:{_PDF};base64,{source.data}")
        if source.type == "url" and source.url and _WEB.match(source.url) and self._quirks.file_urls:
            return Part("input_file", file_url=source.url)
        return None

    def _document_of_blocks(self, block: Block, source: Source, place: str, *, refusable: bool) -> list[Part]:
        if not isinstance(source.content, list):
            return [Part("input_text", as_text(block))]
        head = f"[Document: {block.title}]" if block.title else "[Document]"
        parts = [Part("input_text", f"{head}\n[Context: {block.context}]" if block.context else head)]
        for number, inner in enumerate(source.content):
            if inner.type == "text":
                parts += [self._text(inner)] if inner.text else []
            else:
                parts += self._user_block(inner, f"{place}.source.content.{number}", refusable=refusable)
        return parts


class _Answer:
    """The items of one assistant turn: what is said, what is called, and the thoughts that led to what comes next."""

    __slots__ = ("_cited", "calls", "said", "thoughts")

    def __init__(self) -> None:
        self.said: list[Item] = []
        self.calls: list[Item] = []
        self.thoughts: list[Item] = []
        self._cited = False  # the words before have citations

    def say(self, text: str, *, cites: bool) -> None:
        last = self.said[-1] if self.said and (cites or self._cited) and not self.thoughts else None
        self._cited = cites
        if isinstance(last, Message) and isinstance(last.content, str):
            last.content += text  # one sentence, cut where its sources change
            return
        if self.thoughts:
            self.said += self.thoughts
            self.thoughts = []
        self.said.append(Message("assistant", text))

    def call(self, call: FunctionCall) -> None:
        if self.thoughts:
            self.calls += self.thoughts
            self.thoughts = []
        self.calls.append(call)


class _Media:
    """Pictures and files of the results of one turn, for the user message behind them."""

    __slots__ = ("count", "parts")

    def __init__(self) -> None:
        self.count = 0
        self.parts: list[Part] = []


def _calls_at_the_end(items: list[Item | Raw]) -> list[FunctionCall]:
    """The calls of the last turn. Reasoning may stand between them."""
    found: list[FunctionCall] = []
    for item in reversed(items):
        if isinstance(item, FunctionCall):
            found.append(item)
        elif not isinstance(item, Reasoning):
            break
    return found[::-1]


def _said(part: Part) -> str:
    """The text of a part, decoded."""
    return msgspec.json.decode(part.text, type=str) if isinstance(part.text, Raw) else part.text or ""
