"""System prompt and conversation as messages of Chat Completions.

What is kept and how: results become `tool` messages right behind their calls, and pictures in them follow in the next
user message, because `tool` messages take text only. Reasoning goes back only to the deployment that made it. A block
of any other type becomes text.
https://platform.openai.com/docs/guides/function-calling
"""

import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.dialects.chat.body import CalledFunction, File, Message, Part, ToolCall, Url
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.messages import fields
from dragoman.messages.body import NO_RAW, Block, Body, CacheControl, Source, Turn
from dragoman.messages.conversation import (
    ATTRIBUTION,
    Settled,
    Spot,
    is_plain,
    path,
    settle_on,
    system_text,
    thinking_owner,
)
from dragoman.messages.errors import ApiError
from dragoman.messages.form import Form, known_form, with_form
from dragoman.messages.instructions import CONTINUE
from dragoman.messages.names import Names, tool_id
from dragoman.messages.notes import Note
from dragoman.messages.rendering import as_text, in_words

NO_OUTPUT = "(no output)"
BREAKPOINTS = 4  # https://platform.openai.com/docs/guides/prompt-caching

# What Google documents for calls whose signature is not known.
# https://ai.google.dev/gemini-api/docs/thought-signatures
LOST_SIGNATURE = "skip_thought_signature_validator"

_WEB = re.compile(r"https?://", re.IGNORECASE)
_PDF = "application/pdf"


class Written(Struct):
    """The messages, and how the last one is to be continued if it is an answer that the caller began."""

    messages: list[Message | Raw]
    ids: list[str]  # tool ids of the history, as the caller wrote them
    continued: bool = False  # the server continues the last message


def write(body: Body, target: Target, names: Names, notes: list[Note], *, instruction: str | None = None) -> Written:
    """The system prompt with `instruction` behind it, then the conversation.

    Raises ApiError("invalid_request") for what cannot be sent at all, naming the block.
    """
    if instruction is None and (plain := _plain(body, target)) is not None:
        return plain
    return with_form(
        _known(body.messages, target, names),
        notes,
        lambda known, found: _written(body, target, names, found, instruction=instruction, known=known),
    )


def _plain(body: Body, target: Target) -> Written | None:
    """The same for what is nothing but strings on both sides, as small requests are."""
    system = body.system
    if body.cache_control is not None or not is_plain(body.messages) or _marks(target.quirks):
        return None
    messages: list[Message | Raw] = []
    if system:
        if not isinstance(system, str) or system.startswith(ATTRIBUTION):
            return None
        if not system.isspace():
            messages.append(Message(_system_role(target), system))
    messages += [Message(turn.role, turn.content) for turn in body.messages]  # type: ignore[arg-type]
    return Written(messages, [])


def _written(
    body: Body, target: Target, names: Names, notes: list[Note], *, instruction: str | None, known: Form
) -> Written | None:
    """The same. `known`: what the conversation began with. None when nothing is said behind it."""
    quirks: Quirks = target.quirks
    turns = _Turns(target, names, notes)
    turns.system(system_text(body.system), instruction)
    turns.messages += known.items
    turns.ids += known.ids
    notes += known.settling
    settled, _ = settle_on(body.messages, known.open, notes, fold_system=quirks.mid_system == "fold")
    notes += known.notes
    before = len(turns.messages)
    turns.add(settled)
    if len(turns.messages) == before:
        return None
    written = Written(turns.messages, turns.ids)
    last = turns.messages[-1]
    if isinstance(last, Message) and last.role == "assistant" and not turns.calls:
        _prefill(written, last, quirks, notes)
    turns.set_breakpoints(body.cache_control)
    return written


def _known(turns: list[Turn], target: Target, names: Names) -> Form | None:
    """What is known of the first turns; None also where their form depends on what is around them."""
    key = "chat", target.quirks, target.facts, target.state_scope, names.back
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
    turns = _Turns(target, names, notes)
    turns.add(settled)
    if not settled or settled[-1].role != "assistant" or turns.is_marked:
        return None
    return before.followed_by(turns.messages, left, settling, notes, ids=turns.ids)


def echo(target: Target) -> str:
    """Whether earlier reasoning goes back: "never", "optional" or "required". A fact of the model wins."""
    quirks: Quirks = target.quirks
    if target.facts.reasoning_echo is None:
        return quirks.reasoning_echo
    return "required" if target.facts.reasoning_echo else "never"


def _marks(quirks: Quirks) -> bool:
    """Whether texts are parts, on which breakpoints can stand."""
    return quirks.cache in ("cache_control", "breakpoints") and quirks.content == "parts"


def _system_role(target: Target) -> Literal["system", "developer"]:
    quirks: Quirks = target.quirks
    return target.facts.system_role or quirks.system_role


def _prefill(written: Written, last: Message, quirks: Quirks, notes: list[Note]) -> None:
    """An answer that the caller began. It stays where it is, so that what was sent before is still the prefix."""
    if quirks.prefill == "prefix":
        last.prefix = True
    elif quirks.prefill == "continue":
        written.continued = True
    else:
        written.messages.append(Message("user", CONTINUE))
        notes.append(Note("changed", "prefill.instructed", "messages"))


class _Turns:
    """The messages so far, and what the next one needs to know."""

    def __init__(self, target: Target, names: Names, notes: list[Note]) -> None:
        quirks: Quirks = target.quirks
        self.messages: list[Message | Raw] = []
        self.ids: list[str] = []
        self.calls: list[ToolCall] = []  # of the last assistant turn
        self._target = target
        self._quirks = quirks
        self._takes_tools = target.facts.tools
        self._names = names
        self._sent_names: dict[str, str] = {}
        self._sent_ids: dict[str, str] = {}
        self._notes = notes
        self._echo = echo(target)
        self._system_role = _system_role(target)
        self._sees = quirks.images and target.facts.vision
        self._files = quirks.files if target.facts.files is None else target.facts.files
        self._marks = _marks(quirks)
        self._no_thoughts = _Thoughts()
        self._marked: list[tuple[Part, CacheControl]] = []

    @property
    def is_marked(self) -> bool:
        """Whether there are breakpoints; which of them are written depends on all."""
        return bool(self._marked)

    def add(self, settled: list[Settled]) -> None:
        newest = len(settled) - 1  # the last answer
        while newest >= 0 and settled[newest].role != "assistant":
            newest -= 1
        for index, turn in enumerate(settled):
            match turn.role:
                case "assistant":
                    self.assistant(turn)
                case "user":
                    self.user(turn, is_new=index > newest)
                case _:
                    self.inner_system(turn)

    # System

    def system(self, blocks: list[Block], instruction: str | None) -> None:
        parts = [self._text(block) for block in blocks]
        if instruction is not None:
            parts.append(Part("text", instruction))
        if parts:
            self.messages.append(Message(self._system_role, self._content(parts)))

    def inner_system(self, turn: Settled) -> None:
        self.messages.append(Message(self._system_role, self._content([self._text(block) for block in turn.blocks])))

    # Content

    def _content(self, parts: list[Part]) -> str | Raw | list[Part]:
        """Plain text where that is all there is: it is the form that every server and chat template takes."""
        if self._marks:
            return parts
        if len(parts) == 1 and parts[0].text is not None:
            return parts[0].text
        if self._quirks.content == "string" and all(part.text is not None for part in parts):
            return "\n\n".join(map(_said, parts))
        return parts

    def _text(self, block: Block) -> Part:
        part = Part("text", block.text_json)
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
            message = self.messages[-1]
            content = message.content if isinstance(message, Message) else None
            last = content[-1] if isinstance(content, list) else None
            if all(part is not last for part, _ in self._marked):
                self._mark(last, automatic)
        if len(self._marked) > BREAKPOINTS:
            self._notes.append(Note("ignored", "cache_control.too_many"))
        for part, wanted in self._marked[-BREAKPOINTS:]:
            if self._quirks.cache == "breakpoints":
                part.prompt_cache_breakpoint = {"mode": "explicit"}
            else:
                part.cache_control = {"type": wanted.type}
                if wanted.ttl and self._quirks.cache_ttl:
                    part.cache_control["ttl"] = wanted.ttl
            if wanted.ttl and part.cache_control is not None and "ttl" not in part.cache_control:
                self._notes.append(Note("ignored", "cache_control.ttl"))

    # Assistant

    def assistant(self, turn: Settled) -> None:
        parts: list[Part] = []
        self.calls = []
        thoughts = self._no_thoughts
        for number, block in enumerate(turn.blocks):
            kind = block.type
            if kind == "text":
                parts.append(self._text(block))
            elif kind == "tool_use":
                self._call(block, turn.spot(number), thoughts, parts)
            elif kind in ("thinking", "redacted_thinking"):
                thoughts = _Thoughts() if thoughts is self._no_thoughts else thoughts
                self._thought(block, thoughts)
            else:
                parts.append(self._other(block, path(turn.spot(number))))
        message = Message("assistant")
        if thoughts.found or self._echo == "required":
            self._write_thoughts(message, thoughts, parts)
        if parts:
            message.content = self._content(parts)
        if self.calls:
            message.tool_calls = self.calls
            if not parts:
                message.content = self._empty()
        elif not parts:
            self._notes.append(Note("ignored", "turn.empty", turn.place))
            return
        self.messages.append(message)

    def _empty(self) -> str | UnsetType | None:
        match self._quirks.empty_content:
            case "null":
                return None
            case "omit":
                return UNSET
            case _:
                return ""

    def _call(self, block: Block, spot: Spot, thoughts: "_Thoughts", parts: list[Part]) -> None:
        id_ = block.id or ""
        self.ids.append(id_)
        if not self._takes_tools:
            parts.append(self._other(block, path(spot)))
            return
        raw = block.input
        arguments = "{}" if raw is NO_RAW else str(raw, "utf-8")
        if not arguments.startswith("{"):  # what weak models made of it; every server wants an object
            arguments = "{}" if arguments == "null" else f'{{"input":{arguments}}}'
            self._notes.append(Note("changed", "tool_use.input", path(spot)))
        if block.cache_control is not None:
            self._mark(parts[-1] if parts else None, block.cache_control)
        name = block.name or ""
        sent = self._sent_names.get(name)
        if sent is None:
            sent = self._sent_names[name] = self._names.out(name)
        call = ToolCall(self._sent_ids.get(id_) or self._sent_id(id_), CalledFunction(sent, arguments))
        seal = thoughts.seal
        if seal is None and self._quirks.lost_call_signature and not self.calls:
            seal = LOST_SIGNATURE
        if seal is not None:
            call.extra_content = {"google": {"thought_signature": seal}}
            thoughts.seal = None
        self.calls.append(call)

    def _sent_id(self, id_: str) -> str:
        """The upstream's form of an id that was not met before; `_sent_ids` has the others."""
        sent = self._sent_ids[id_] = tool_id(id_, limit=self._quirks.tool_id_limit, style=self._quirks.tool_id)
        return sent

    def _other(self, block: Block, place: str) -> Part:
        """A block that has no place of its own in this language."""
        part = Part("text", in_words(block, place, self._notes))
        if block.cache_control is not None:
            self._mark(part, block.cache_control)
        return part

    # Reasoning of earlier turns

    def _thought(self, block: Block, thoughts: "_Thoughts") -> None:
        """Only what this deployment made goes back. Reasoning of others is dropped, unsigned plain text too.

        It may be another vendor's summary, it says nothing that the answer does not say, and a server that insists on
        the field is content with an empty one.
        """
        found = thinking_owner(block)
        if found is None or not found.fits("chat", self._target.state_scope) or not isinstance(found.payload, dict):
            self._notes.append(Note("ignored", "thinking.dropped"))
            return
        thoughts.found = True
        payload = found.payload
        seal = payload.get("g")
        if isinstance(seal, str):
            thoughts.seal = seal
        if self._echo == "never":
            if not isinstance(seal, str):
                self._notes.append(Note("ignored", "thinking.dropped"))
            return
        text = payload.get("t")
        thoughts.text += text if isinstance(text, str) else block.thinking or ""
        details = payload.get("d")
        if isinstance(details, list):
            thoughts.details += [item for item in details if isinstance(item, dict)]

    def _write_thoughts(self, message: Message, thoughts: "_Thoughts", parts: list[Part]) -> None:
        text = thoughts.text
        field = self._quirks.reasoning_echo_field
        if field == "reasoning_details":
            message.reasoning_details = thoughts.details or None
            field = "reasoning" if not thoughts.details else field
        if field in ("reasoning_content", "reasoning"):
            if text or (self._echo == "required" and self.calls):
                setattr(message, field, text)
        elif text and field == "think_tags":
            tagged = f"<think>\n{text}\n</think>\n\n"
            if parts and parts[0].text is not None:
                parts[0].text = tagged + _said(parts[0])
            else:
                parts.insert(0, Part("text", tagged))
        elif text and field == "parts":
            parts.insert(0, Part("thinking", thinking=[Part("text", text)], closed=True))

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
            self.messages.append(Message("user", self._content(parts)))

    def _user_block(self, block: Block, place: str, *, refusable: bool) -> list[Part]:
        if block.type == "image":
            parts = [self._image(block, place, refusable=refusable)]
        elif block.type == "document":
            parts = self._document(block, place, refusable=refusable)
        else:
            return [self._other(block, place)]
        if block.cache_control is not None:
            self._mark(parts[-1], block.cache_control)
        return parts

    def _result(self, block: Block, spot: Spot, media: "_Media", parts: list[Part]) -> None:
        text: str | Raw | None = self._usual_result(block)
        if text is None:
            said = self._result_text(block.content, spot, media)
            if not said or said.isspace():
                said = NO_OUTPUT
            if block.is_error:
                said = f"Error: {said}"
            if not self._takes_tools:
                parts.append(Part("text", f"[Result of a tool]\n{said}"))
                return
            text = said
        id_ = block.tool_use_id or ""
        message = Message("tool", text, tool_call_id=self._sent_ids.get(id_) or self._sent_id(id_))
        if self._marks:
            message.content = [Part("text", text)]
            if block.cache_control is not None:
                self._mark(message.content[0], block.cache_control)
        elif block.cache_control is not None:
            self._mark(None, block.cache_control)
        self.messages.append(message)

    def _usual_result(self, block: Block) -> Raw | None:
        """The text of a result that is one text and no error: it goes on as it came."""
        content = block.content
        if isinstance(content, list) and len(content) == 1 and self._takes_tools and not block.is_error:
            only = content[0]
            if only.type == "text" and only.cache_control is None and not only.is_blank:
                return only.text_json
        return None

    def _result_text(self, content: str | list[Block] | Block | None, spot: Spot, media: "_Media") -> str:
        if isinstance(content, str):
            return content
        inner = content if isinstance(content, list) else [content] if content else []
        return "\n".join(self._pieces(inner, path(spot), media))

    def _pieces(self, blocks: list[Block], place: str, media: "_Media") -> Iterable[str]:
        """The text of a result; what a `tool` message cannot hold goes to `media`."""
        for number, block in enumerate(blocks):
            if block.type not in ("image", "document"):
                if block.cache_control is not None:
                    self._mark(None, block.cache_control)
                yield as_text(block)
                continue
            inner = f"{place}.content.{number}"
            parts = self._user_block(block, inner, refusable=False)
            yield from (_said(part) for part in parts if part.text is not None)
            carried = [part for part in parts if part.text is None]
            if carried:
                media.count += 1
                name = f"[{block.type} {media.count} of the tool results]"
                yield f"{name}: see the next message"
                media.parts += [Part("text", f"{name}:"), *carried]
                self._notes.append(Note("ignored", "tool_result.media_moved", inner))

    # Images and documents

    def _image(self, block: Block, place: str, *, refusable: bool) -> Part:
        if not self._sees:
            self._notes.append(Note("lost", "image.no_vision", place))
            return Part("text", "[image omitted: the model cannot see images]")
        source = block.source if isinstance(block.source, Source) else Source("none")
        if source.type == "base64" and source.data and source.media_type:
            return Part("image_url", image_url=Url(f"data:{source.media_type};base64,{source.data}"))
        is_url = source.type == "url" and source.url and _WEB.match(source.url)
        if is_url and self._quirks.image_urls:
            return Part("image_url", image_url=Url(source.url or ""))
        if not refusable:
            self._notes.append(Note("lost", "image.unreadable", place))
            return Part("text", "[image omitted: it cannot be sent to this model]")
        if is_url:
            raise ApiError("invalid_request", f"{place}.source: this upstream takes no image URLs; send base64.")
        raise fields.bad_source(place, source, "an image as base64 with its media_type, or an http(s) url")

    def _document(self, block: Block, place: str, *, refusable: bool) -> list[Part]:
        if block.cites:
            self._notes.append(Note("changed", "document.citations", place))
        source = block.source if isinstance(block.source, Source) else Source("none")
        if source.type == "text":
            return [Part("text", as_text(block))]
        if source.type == "content":
            return self._document_of_blocks(block, source, place, refusable=refusable)
        is_pdf = source.type == "base64" and source.data and source.media_type in (_PDF, None)
        if is_pdf and self._files:
            name = block.title or "document"
            file = File(name if name.endswith(".pdf") else f"{name}.pdf", f"data:{_PDF};base64,{source.data}")
            context = [Part("text", f"[Context of the document: {block.context}]")] if block.context else []
            return [*context, Part("file", file=file)]
        if not refusable:
            # It was answered once, perhaps by another model; an error now would end the conversation for good.
            self._notes.append(Note("lost", "document.unreadable", place))
            return [Part("text", "[document omitted: the model cannot read it]")]
        if is_pdf:
            raise ApiError("invalid_request", f"{place}: this upstream takes no PDF documents; send their text.")
        raise fields.bad_source(place, source, "a PDF as base64, or text")

    def _document_of_blocks(self, block: Block, source: Source, place: str, *, refusable: bool) -> list[Part]:
        if not isinstance(source.content, list):
            return [Part("text", as_text(block))]
        head = f"[Document: {block.title}]" if block.title else "[Document]"
        parts = [Part("text", f"{head}\n[Context: {block.context}]" if block.context else head)]
        for number, inner in enumerate(source.content):
            if inner.type == "text":
                parts += [self._text(inner)] if inner.text else []
            else:
                parts += self._user_block(inner, f"{place}.source.content.{number}", refusable=refusable)
        return parts


class _Thoughts:
    """The reasoning of one assistant turn that goes back."""

    __slots__ = ("details", "found", "seal", "text")

    def __init__(self) -> None:
        self.found = False
        self.text = ""
        self.details: list[Any] = []
        self.seal: str | None = None  # Gemini's signature of the call that comes next


class _Media:
    """Pictures and files of the results of one turn, for the user message behind them."""

    __slots__ = ("count", "parts")

    def __init__(self) -> None:
        self.count = 0
        self.parts: list[Part] = []


def _said(part: Part) -> str:
    """The text of a part, decoded."""
    return msgspec.json.decode(part.text, type=str) if isinstance(part.text, Raw) else part.text or ""
