"""Chat Completions answers -> Messages events: a stream's bytes, or a whole completion.

What this language cannot say, and what is done about it: it has no block borders (the writer makes them), no signature
for reasoning (ours carries the provider's own field and details), no name of the stop sequence that matched (the writer
matches them), and often no usage (estimated, with a note).
https://platform.openai.com/docs/api-reference/chat/streaming
"""

from collections.abc import Callable, Hashable
from typing import Any

import msgspec

from dragoman.dialects.alike import framed
from dragoman.dialects.chat import completion, details, errors
from dragoman.dialects.chat.calls import Calls, PendingCall, written
from dragoman.dialects.chat.citations import citation
from dragoman.dialects.chat.finish import FAILED, STOP_REASON
from dragoman.dialects.chat.likeness import Likeness, likeness
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.chat.tags import ThinkTags
from dragoman.dialects.chat.usage import counted
from dragoman.dialects.chat.wire import (
    Chunk,
    Delta,
    ToolCall,
    decode,
    decode_text,
    loose,
)
from dragoman.dialects.contract import Call
from dragoman.messages import overflow, refusals, state
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event, StopDetails, StopReason
from dragoman.messages.lenient import Halves, parse, parsed
from dragoman.messages.notes import Grade, Note
from dragoman.messages.sse import Frame, FrameReader
from dragoman.messages.writer import MessageWriter

_LEARN_LIMIT = 100  # frames that are looked at for likeness: streams whose frames all differ must not pay for it
_DONE = (b"[DONE]", b'"[DONE]"', b"[done]")
_TYPED_FIELDS = frozenset({"reasoning_content", "reasoning", "reasoning_details"})


class ChatReader:
    """Reads one answer; a `dialects.contract.Reader`. When a method raises, the writer still has the events before."""

    __slots__ = (
        "_call",
        "_calls",
        "_details",
        "_done",
        "_field",
        "_fields",
        "_frames",
        "_halves",
        "_last_call",
        "_like",
        "_matched",
        "_ready",
        "_reason",
        "_refused",
        "_said",
        "_say_all",
        "_say_one",
        "_seen",
        "_silent_window",
        "_tags",
        "_thinking",
        "_thought",
        "_tries",
        "_typed",
        "_writer",
    )

    def __init__(self, call: Call, writer: MessageWriter) -> None:
        quirks: Quirks = call.target.quirks
        fields = quirks.reasoning_in
        self._call = call
        self._writer = writer
        self._fields = (fields,) if isinstance(fields, str) else fields
        self._typed = _TYPED_FIELDS.issuperset(self._fields)
        self._silent_window = quirks.silent_window
        self._tags = ThinkTags() if quirks.think_tags else None
        self._halves: Halves | None = None  # once a frame needed mending
        self._like: Likeness | None = None  # of the last decoded frame that held one text and nothing else
        self._say_one: Callable[[str], None] | None = None  # instead of `_say`, where it comes to the same
        self._seen = False  # whether any frame was an answer's
        self._done = False
        self._reason: str | None = None  # the last finish reason
        self._matched: str | None = None  # the stop string that vLLM names
        self._refused: StopDetails | None = None
        self._thinking = False  # whether there is reasoning since the last signature
        self._tries = _LEARN_LIMIT if self._typed else 0
        self._ready = False

    def _prepare(self) -> None:
        """For streams and unusual completions: most completions need nothing of this."""
        call = self._call
        quirks: Quirks = call.target.quirks
        echo = quirks.reasoning_echo != "never" or bool(call.target.facts.reasoning_echo)
        self._ready = True
        self._frames = FrameReader()
        self._calls = Calls(self._writer)
        self._say_all: Callable[[list[str]], None] | None = None  # like `_say_one`
        self._last_call: PendingCall | None = None
        # The reasoning since the last signature
        self._field: str | None = None  # where it came from, for the state
        self._thought: list[str] | None = [] if call.recall.omit_thinking and echo else None
        self._details: list[dict[str, Any]] = []
        self._said: list[str] | None = [] if quirks.web_search != "none" else None  # for citations, which are offsets

    @property
    def _name(self) -> str:
        return self._call.target.name

    # The bytes

    def feed(self, chunk: bytes) -> list[Event]:
        """Events in the next bytes. Raises ApiError for an error in the stream, or for frames that are no JSON."""
        writer, like, say = self._writer, self._like, self._say_one
        # The usual read: one whole frame that differs from the last one in its text.
        if like is not None and say is not None and len(chunk) < like.twice and self._frames.between():
            text = None if self._done else like.text(chunk)
            if text is not None:
                say(text)
                self._done = writer.ended
                return writer.take()
        if not self._ready:
            self._prepare()
        at = 0
        while at < len(chunk) and not self._done:
            at = self._read(chunk, at)
        return writer.take()

    def whole(self, body: bytes) -> list[Event]:
        """All events of a completion. A body that is a stream (comments before the JSON, chunks) is read as one."""
        if body.lstrip()[:1] != b"{":
            return [*self.feed(body), *self.close()]
        self._completion(body)
        return self._writer.take()

    def close(self) -> list[Event]:
        """The end of bytes. Raises ApiError("truncated") without a finish reason or `[DONE]` before it."""
        if not self._ready:
            self._prepare()
        if not self._done:
            for frame in self._frames.close():  # one at most
                self._last_frame(frame)
        if not self._done:
            if self._reason is None:
                self._without_finish()
            else:
                self._conclude()
        return self._writer.take()

    def _read(self, chunk: bytes, at: int) -> int:
        """Reads what is at `at`: a run of frames that differ in their text, or something else. Returns where it ends.

        Whatever it is, its likeness may begin a run, so it is read alone; unless nothing is learned any more.
        """
        writer, like, end = self._writer, self._like, at
        if like is not None and self._halves is None and self._frames.between():
            texts, end = like.texts(chunk, at)
            if texts:
                self._more(texts)
                self._done = writer.ended
                return end
        border = chunk.find(b"\n\n", at) if self._tries and end == at else -1
        end = border + 2 if border >= 0 else len(chunk)
        for frame in self._frames.feed(chunk[at:end]):
            self._frame(frame)
            if self._done or writer.ended:
                self._done = True
                break
        return end

    def _more(self, texts: list[str]) -> None:
        """The texts of frames that are like the last one that was decoded."""
        if self._say_all is not None:
            self._say_all(texts)
            return
        for text in texts:
            self._say(text)
            if self._writer.ended:
                break

    def _frame(self, frame: Frame) -> None:
        data = frame.data
        if data == b"[DONE]":
            self._conclude()
            return
        like = self._like
        if like is not None and data.startswith(like.head) and data.endswith(like.tail) and not frame.event:
            try:
                text = decode_text(data[like.start : like.stop])
            except (msgspec.DecodeError, UnicodeDecodeError):
                pass  # more than a string differs, or half a character
            else:
                self._say(text)
                return
        plain = True
        self._say_one = self._say_all = None
        try:
            chunk = decode(data) if self._typed else loose(msgspec.json.decode(data), self._fields)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            mended = self._mended(data)
            if mended is None:
                return
            chunk, plain = mended, False
        if chunk.usage is not None or chunk.x_groq is not None:
            self._usage(chunk)
        if not chunk.choices or chunk.error or frame.event == "error":
            self._without_choices(chunk, frame)
            return
        self._seen = True
        choice = chunk.choices[0]
        delta = choice.delta
        if delta is not None:
            self._delta(delta)
        elif choice.message is not None and not self._writer.started:
            self._delta(choice.message, whole=True)
        if choice.finish_reason:
            self._reason = choice.finish_reason
            self._finishing(chunk)
            # There is little left to say, so the gateway waits less for it; `_conclude` has the last word.
            self._writer.finish(STOP_REASON.get(self._reason.lower(), "end_turn"))
        elif choice.usage is not None or choice.error:
            self._extras(chunk)
        elif plain and self._tries and delta is not None:
            self._learn(data, chunk)

    def _learn(self, data: bytes, chunk: Chunk) -> None:
        """Remember what the next frames may have in common with this one."""
        self._tries -= 1
        like = self._like = likeness(data, chunk)
        # Texts that nobody but the writer looks at. Only frames of other kinds can change that: they forget it.
        if like is None or self._halves is not None:
            return
        writer, call, thinks = self._writer, self._last_call, self._thinking
        if like.field == "arguments" and call is not None:
            self._say_one, self._say_all = call.add, call.add_all
        elif like.field == "content":
            if self._tags is None and self._said is None and not thinks and self._calls.settled():
                self._say_one, self._say_all = writer.text, writer.texts
        elif like.field in self._fields and thinks and self._thought is None and self._calls.settled():
            self._say_one, self._say_all = writer.thinking, writer.thoughts

    def _say(self, text: str) -> None:
        """The text of a frame that is like the last one that was decoded."""
        field = self._like.field if self._like is not None else None
        if not text:
            return
        if field == "content":
            self._content(text)
        elif field == "arguments" and self._last_call is not None:
            self._calls.add(self._last_call, self._joined(self._last_call.key, text))
        elif field in self._fields:
            self._think(self._joined("reasoning", text), str(field))

    def _last_frame(self, frame: Frame) -> None:
        """A frame without its blank line: complete, or cut."""
        try:
            parse(frame.data)
        except ValueError:
            if frame.data.strip() not in _DONE:
                return
        self._frame(frame)

    def _mended(self, data: bytes) -> Chunk | None:
        """What the typed decoder refused. Raises ApiError("bad_answer") when it is no JSON."""
        text = data.strip()
        if text in _DONE:
            self._conclude()
            return None
        if not text or text.startswith(b":"):  # a comment that somebody between wrapped as data
            return None
        value = framed(data, self._name)
        if errors.is_error(value):
            raise errors.embedded(value, self._call)
        if self._halves is None:
            self._halves = Halves()
        return loose(value, self._fields)

    def _without_choices(self, chunk: Chunk, frame: Frame) -> None:
        """Usage alone, a preamble, an error."""
        if frame.event != "error" and not chunk.error and (chunk.usage is not None or chunk.x_groq is not None):
            self._seen = True
            return
        value = parse(frame.data)
        if chunk.error or frame.event == "error" or errors.is_error(value):
            raise errors.embedded(value, self._call)

    def _extras(self, chunk: Chunk) -> None:
        """A choice with usage of its own, or with an error."""
        choice = (chunk.choices or [])[0]
        if choice.error:
            raise errors.embedded({"error": choice.error}, self._call)
        if choice.usage is not None:
            self._writer.usage(counted(choice.usage, chunk.service_tier, self._call))

    def _completion(self, body: bytes) -> None:
        """A completion, played as a stream."""
        try:
            chunk = decode(body) if self._typed else loose(msgspec.json.decode(body), self._fields)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            mended = self._mended(body)
            chunk = Chunk() if mended is None else mended
        if chunk.error or not chunk.choices:
            value = parse(body)
            if chunk.error or errors.is_error(value):
                raise errors.embedded(value, self._call)
            raise ApiError("bad_answer", f"{self._name} sent a completion without choices.")
        choice = chunk.choices[0]
        if chunk.usage is not None or chunk.x_groq is not None:
            self._usage(chunk)
        self._seen = True
        self._reason = choice.finish_reason or ""
        message = choice.message or choice.delta
        is_simple = self._typed and self._tags is None and self._halves is None
        if is_simple and message is not None and completion.play(choice, message, self._writer):
            if choice.finish_reason == "length" or self._silent_window:
                self._end()
            else:  # the turn is over, as the writer says by itself
                self._done = True
                self._writer.end()
            return
        if not self._ready:
            self._prepare()
        if message is not None:
            self._delta(message, whole=True)
        self._finishing(chunk)
        self._conclude()

    # The delta

    def _delta(self, delta: Delta, *, whole: bool = False) -> None:
        """One delta, or the message of a completion; reasoning first, as Messages wants it."""
        if delta.reasoning_content or delta.reasoning or delta.other_reasoning:
            self._reasoning(delta)
        if (delta.reasoning_details or delta.thinking_blocks) and self._fields:
            self._structured(delta)
        content = delta.content
        if content:
            if type(content) is str:
                self._content(content)
            else:
                for part in content:
                    self._part(part)
        if delta.refusal:
            self._refused = StopDetails()
            self._text(self._joined("refusal", delta.refusal))
        if delta.annotations:
            for annotation in delta.annotations:
                found = citation(annotation, self._said)
                if found is not None:
                    self._writer.cite(found)
        if delta.tool_calls:
            for piece in delta.tool_calls:
                self._tool(piece, whole=whole)
        elif delta.function_call is not None:
            self._tool(ToolCall(index=0, function=delta.function_call), whole=whole)

    def _content(self, text: str) -> None:
        if self._halves is not None:
            text = self._joined("content", text)
        if self._tags is None:
            self._text(text)
        else:
            self._tagged(self._tags, text)

    def _tagged(self, tags: ThinkTags, text: str | None) -> None:
        """Content that may hold `<think>`; None is the end of it."""
        for kind, part in tags.close() if text is None else tags.feed(text):
            if kind == "thinking":
                self._think(part, "think_tags")
            else:
                self._text(part)
        if tags.unopened:
            self._note("changed", "think_tags.unopened")

    def _text(self, text: str) -> None:
        # White space alone opens no text block, so it does not end the reasoning either.
        if self._thinking and not text.isspace():
            self._sign()
        self._calls.settle()
        if self._said is not None:
            self._said.append(text)
        self._writer.text(text)

    def _part(self, part: Any) -> None:
        """One part of a content list: Mistral's text and thinking, Databricks' reasoning."""
        if isinstance(part, str):
            self._content(part)
        elif isinstance(part, dict):
            if part.get("type") in ("thinking", "reasoning"):
                text = details.plain(part.get("thinking") or part.get("summary") or part.get("text"))
                self._think(self._joined("parts", text), "parts")
            elif isinstance(part.get("text"), str):
                self._content(part["text"])
            else:
                self._note("lost", "content_part.unknown")

    def _tool(self, piece: ToolCall, *, whole: bool) -> None:
        seal = details.thought_signature(piece.extra_content) if piece.extra_content else None
        if self._thinking or seal is not None:
            self._sign(seal)
        self._like = None  # its text may belong to another call now
        call = self._last_call = self._calls.place(piece, whole=whole)
        if piece.function is not None and piece.function.arguments:
            text = written(piece.function.arguments)
            self._calls.add(call, text if self._halves is None else self._joined(call.key, text))

    # Reasoning, and the state that lets it go back

    def _reasoning(self, delta: Delta) -> None:
        """The first field with text; some servers send the same text in two."""
        others = delta.other_reasoning or {}
        for field in self._fields:
            text = others.get(field) or (getattr(delta, field) if field in ("reasoning_content", "reasoning") else None)
            if text:
                self._think(self._joined("reasoning", text), field)
                return

    def _structured(self, delta: Delta) -> None:
        """OpenRouter's details, LiteLLM's thinking blocks: kept for the way back, shown where no field has the text."""
        if not (delta.reasoning_content or delta.reasoning or delta.other_reasoning):
            for item in delta.reasoning_details or []:
                self._think(details.plain(item.get("text") or item.get("summary")), "reasoning_details")
            for item in () if delta.reasoning_details else delta.thinking_blocks or ():
                self._think(details.plain(item.get("thinking")), "thinking_blocks")
        if delta.reasoning_details:
            details.keep(self._details, delta.reasoning_details)
            self._thinking = True

    def _think(self, text: str, field: str) -> None:
        if not text:
            return
        self._calls.settle()
        if not text.isspace():
            self._thinking = True
            self._field = self._field or field
        if self._thought is not None:
            self._thought.append(text)
        self._writer.thinking(text)

    def _sign(self, seal: str | None = None) -> None:
        """Closes the reasoning with its state. `seal`: Gemini's thought signature of the call that comes next."""
        payload: dict[str, Any] = {}
        if self._field:
            payload["f"] = self._field
        if self._thought:
            payload["t"] = "".join(self._thought)
            self._thought = []
        if self._details:
            payload["d"] = self._details
            self._details = []
        if seal is not None:
            payload["g"] = seal
        self._thinking = False
        signature = state.pack("chat", self._call.recall.scope, payload)
        if signature:
            self._writer.sign(signature)
        else:
            self._note("lost", "state.too_large")

    # Lone surrogates

    def _joined(self, stream: Hashable, text: str) -> str:
        """`text` with a surrogate half from the end of the last piece; a half at its own end waits."""
        if self._halves is None:
            return text
        joined = self._halves.join(stream, text)
        if self._halves.replaced:
            self._note("changed", "surrogate.replaced")
        return joined

    def _flush_halves(self, halves: Halves) -> None:
        """Halves whose other half never came."""
        for stream in halves.left():
            if stream == "reasoning":
                self._think("\ufffd", "reasoning")
            elif isinstance(stream, str):
                self._text("\ufffd")
            else:
                self._writer.arguments(stream, "\ufffd")
            self._note("changed", "surrogate.replaced")
        self._halves = None

    # Usage

    def _usage(self, chunk: Chunk) -> None:
        tokens = chunk.usage
        if tokens is None and chunk.x_groq is not None:
            if chunk.x_groq.error:
                raise errors.embedded({"error": chunk.x_groq.error}, self._call)
            tokens = chunk.x_groq.usage
        if tokens is not None and (tokens.prompt_tokens or tokens.completion_tokens):  # zeros are no counts
            self._writer.usage(counted(tokens, chunk.service_tier, self._call))

    # The end

    def _finishing(self, chunk: Chunk) -> None:
        """The chunk with the finish reason: what else it says."""
        choice = (chunk.choices or [])[0]
        reason = (choice.finish_reason or "").lower()
        if reason in FAILED:
            told = choice.error or {"message": f"the answer ended with finish_reason {reason!r}"}
            raise errors.embedded({"error": told}, self._call)
        if reason == "content_filter":
            names = refusals.filtered(choice.content_filter_results)
            told = f"The provider's content filter stopped the answer: {', '.join(names)}." if names else None
            self._refused = StopDetails(explanation=told)
        if isinstance(choice.stop_reason, str):
            self._matched = choice.stop_reason
        self._extras(chunk)

    def _conclude(self) -> None:
        """The end of the answer, after its last usage."""
        self._done = True
        if not self._seen:
            self._without_finish()
            return
        if self._tags is not None:
            self._tagged(self._tags, None)
        if self._halves is not None:
            self._flush_halves(self._halves)
        if self._thinking:
            self._sign()
        self._calls.settle()
        self._end()

    def _end(self) -> None:
        """Nothing more is said."""
        self._done = True
        writer = self._writer
        if self._silent_window and overflow.was_cut(writer.usage_seen, self._call.asked):
            self._note("lost", "prompt.cut")
        reason, sequence = self._stop_reason()
        details = (self._refused or StopDetails()) if reason == "refusal" else None
        writer.finish(reason, stop_sequence=sequence, details=details)
        writer.end()

    def _stop_reason(self) -> tuple[StopReason, str | None]:
        """Why the message ended, and the stop sequence if the upstream named it."""
        if self._reason is None:
            self._note("ignored", "finish_reason.missing")
        said = (self._reason or "").lower()
        reason = STOP_REASON.get(said)
        if reason is None:
            self._note("changed", "finish_reason.unknown")
            reason = "end_turn"
        if self._refused is not None:
            return "refusal", None
        if reason == "end_turn" and self._matched in self._call.recall.stop_sequences:
            return "stop_sequence", self._matched
        if reason == "max_tokens" and overflow.is_full(
            self._writer.usage_seen, self._call.asked, silent_window=self._silent_window
        ):
            return "model_context_window_exceeded", None
        return reason, None

    def _without_finish(self) -> None:
        """The bytes ended with no finish mark: raises ApiError, or plays what was no stream at all."""
        self._done = True
        stray = bytes(self._frames.stray).strip()
        if stray and not self._writer.started:
            if stray[:1] == b"{":
                self._completion(stray)
                return
            said = refusals.report(stray)
            if errors.is_error(said.body):
                raise errors.embedded(said.body, self._call)
            raise ApiError(
                "bad_answer",
                f"{self._name} sent no stream but {said.text[:200]!r}. Check base_url and the model.",
            )
        if self._seen:
            if stray[:1] == b"{" and errors.is_error(said := parsed(stray)):
                raise errors.embedded(said, self._call)
            raise ApiError("truncated", f"{self._name} ended its answer before it was complete.")
        # llama-cpp-python answers an overflow like that.
        overflow.refuse_unsaid(self._call.asked)
        raise ApiError("bad_answer", f"{self._name} sent an empty answer. Some servers do when a prompt is too long.")

    def _note(self, grade: Grade, code: str) -> None:
        note = Note(grade, code)
        if note not in self._writer.notes:
            self._writer.notes.append(note)
