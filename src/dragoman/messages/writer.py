"""The only maker of Messages stream events: whatever a dialect says, the stream is legal.

A dialect says "text", "thinking", "tool", "usage", "finish"; the writer decides starts, stops, indexes and order.
Blocks are strictly sequential in Messages, while upstreams interleave: content that arrives while a tool call is
unfinished waits in line, and is played when the call's JSON is complete.
https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from collections import deque
from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Raw

from dragoman.messages.arguments import Arguments, is_object
from dragoman.messages.errors import ApiError, ErrorBody
from dragoman.messages.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    CitationsDelta,
    ContentBlock,
    Deltas,
    ErrorEvent,
    Event,
    InputDelta,
    Message,
    MessageDelta,
    MessageStart,
    MessageStop,
    Outcome,
    RedactedThinkingBlock,
    Relayed,
    SignatureDelta,
    StopDetails,
    StopReason,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
    Usage,
    WholeBlock,
)
from dragoman.messages.names import is_legal_id, mint
from dragoman.messages.notes import Grade, Note
from dragoman.messages.stop import StopMatcher

BLOCK_LIMIT = 10_000  # blocks of one message
WAITING_LIMIT = 64 * 1024 * 1024  # characters of tool arguments, and of content that waits for its turn

# State of a thinking block whose dialect has none: recognisably ours, so that it is never taken for Claude's.
NO_STATE = "dragoman1.none.0.e30"

_CHARACTERS_PER_TOKEN = 3.6  # for output that no upstream counted
_TURN_ENDED = Outcome("end_turn")
_TEXT, _THINKING, _TOOL, _WHOLE, _BORDER = "text", "thinking", "tool", "whole", "border"


class _Call:
    """One tool call: announced, being written, or written."""

    __slots__ = ("arguments", "closed", "id", "name")

    def __init__(self, name: str, tool_id: str | None) -> None:
        self.name = name
        self.id = tool_id
        self.arguments = Arguments()
        self.closed = False


class _Waiting:
    """Content that arrived while an earlier tool call was unfinished."""

    __slots__ = ("block", "call", "kind", "signature", "texts")

    def __init__(self, kind: str, call: _Call | None = None, block: ContentBlock | None = None) -> None:
        self.kind = kind
        self.call = call
        self.block = block
        self.texts: list[str] = []
        self.signature: str | None = None


class MessageWriter:
    """Makes the events of one message, in the only legal order."""

    __slots__ = (
        "_asked_thinking",
        "_call",
        "_calls",
        "_characters",
        "_events",
        "_ids",
        "_index",
        "_input_tokens",
        "_kind",
        "_message_id",
        "_model",
        "_names",
        "_omit_thinking",
        "_outcome",
        "_output_key",
        "_output_tool",
        "_own_ids",
        "_show_thinking",
        "_signature",
        "_space",
        "_space_kind",
        "_stop",
        "_waiting",
        "_waiting_characters",
        "committed",
        "ended",
        "finished",
        "notes",
        "started",
        "tool_calls",
        "usage_seen",
    )

    def __init__(  # noqa: PLR0917 - keywords are half the price of a writer, and each request needs one
        self,
        message_id: str,
        model: str,
        input_tokens: Callable[[], int] = int,
        stop_sequences: Sequence[str] = (),
        names: Mapping[str, str] = MappingProxyType({}),
        ids: Container[str] = (),
        show_thinking: bool = True,  # noqa: FBT001, FBT002
        omit_thinking: bool = False,  # noqa: FBT001, FBT002
        asked_thinking: bool = False,  # noqa: FBT001, FBT002
        output_tool: str | None = None,
    ) -> None:
        """`names`: upstream tool name -> the caller's; `ids`: tool ids that the history already uses. `input_tokens` is
        asked where the upstream has counted none; by itself it is 0.
        """
        self.notes: list[Note] = []
        self.started = False
        self.committed = False
        self.finished = False
        self.ended = False
        self.tool_calls = 0
        self.usage_seen: Usage | None = None
        self._message_id = message_id
        self._model = model
        self._input_tokens = input_tokens
        self._stop = StopMatcher(stop_sequences) if stop_sequences and any(stop_sequences) else None
        self._names = names
        self._ids = ids
        self._own_ids: set[str] = set()
        self._show_thinking = show_thinking
        self._omit_thinking = omit_thinking
        self._asked_thinking = asked_thinking
        self._output_tool = output_tool
        self._output_key: Hashable = None
        self._events: list[Event] = []
        self._kind: str | None = None  # of the open block
        self._index = -1  # of the open block, or of the last one
        self._call: _Call | None = None  # of the open block
        self._signature: str | None = None  # for the open thinking block
        self._calls: dict[Hashable, _Call] = {}
        self._waiting: deque[_Waiting] | None = None  # None as long as nothing had to
        self._space = ""  # white space that opens no block until something follows it
        self._space_kind = _TEXT
        self._characters = 0
        self._waiting_characters = 0
        self._outcome = _TURN_ENDED

    # What a dialect says

    def text(self, text: str) -> None:
        """More text. Consecutive texts are one block."""
        if self._kind is _TEXT and self._stop is None:  # the hot path
            if text:
                self._characters += len(text)
                self._events.append(BlockDelta(self._index, TextDelta(text)))
        elif text and not self.ended:
            if self._call is not None and self._must_wait():
                self._wait(_TEXT, text)
            elif self._stop is None:
                self._show(_TEXT, text)
            else:
                self._text(text)

    def texts(self, texts: list[str]) -> None:
        """More text in several pieces. The list is the writer's then."""
        if self._kind is _TEXT and self._stop is None and len(texts) > 1 and all(texts):  # the hot path
            self._characters += len("".join(texts))
            self._events.append(Deltas(self._index, TextDelta, texts))
        else:
            for text in texts:
                self.text(text)

    def whole_text(self, text: str) -> None:
        """Text that is there whole, and a block of its own: a border, the text, a border."""
        if text and not text.isspace() and self._call is None and self._stop is None and not self.ended:
            self._characters += len(text)
            self._events.append(WholeBlock(self._next(), TextBlock(text)))
        else:
            self.border()
            self.text(text)
            self.border()

    def thinking(self, text: str) -> None:
        """More reasoning. Consecutive texts are one block, closed by its signature."""
        if not text or self.ended:
            return
        if not self._show_thinking:
            self._note("lost", "thinking.not_requested")
        elif self._call is not None and self._must_wait():
            self._wait(_THINKING, text)
        else:
            self._thinking(text)

    def thoughts(self, texts: list[str]) -> None:
        """More reasoning in several pieces. The list is the writer's then."""
        if self._kind is _THINKING and not self._omit_thinking and len(texts) > 1 and all(texts):  # the hot path
            self._characters += len("".join(texts))
            self._events.append(Deltas(self._index, ThinkingDelta, texts))
        else:
            for text in texts:
                self.thinking(text)

    def sign(self, signature: str) -> None:
        """State of the reasoning so far. Without a thinking block it travels in a redacted one, if the caller asked."""
        if self.ended or not self._show_thinking:
            return
        if self._waiting and self._waiting[-1].kind is _THINKING:
            self._waiting[-1].signature = signature
        elif self._kind is _THINKING:
            self._signature = signature
        elif self._asked_thinking:
            self.block(RedactedThinkingBlock(signature))
        else:
            self._note("lost", "state.no_thinking_block")

    def border(self) -> None:
        """The text or reasoning so far is a block of its own: what follows begins another, even of the same kind."""
        if self.ended:
            return
        if self._waiting:
            self._queue(_Waiting(_BORDER))
        elif self._call is None:
            self._close()

    def tool(self, key: Hashable, name: str, id: str | None = None) -> None:  # noqa: A002 - the field's own name
        """A call begins; `key` names it for `arguments`. Announcing a key again changes nothing."""
        if self.ended or key in self._calls or key == self._output_key:
            return
        if self._output_tool is not None and name == self._output_tool:
            self._output_key = key
            return
        call = self._calls[key] = _Call(self._names.get(name, name), id)
        self.tool_calls += 1
        if self._call is not None and self._must_wait():
            self._queue(_Waiting(_TOOL, call))
        else:
            self._begin_call(call)

    def arguments(self, key: Hashable, fragment: str) -> None:
        """More of a call's input, as JSON text. Raises KeyError for a key that was not announced."""
        if self.ended or not fragment:
            return
        if key == self._output_key and self._output_tool is not None:
            self.text(fragment)
            return
        call = self._calls[key]
        # The hot path: a fragment of the open call, behind others that were sent.
        if call is self._call and call.arguments.flows and not self._waiting:
            size = len(fragment)
            self._characters += size
            self._count_waiting(size)
            call.arguments.parts.append(fragment)
            self._events.append(BlockDelta(self._index, InputDelta(fragment)))
        elif not call.closed:
            self._more_arguments(call, fragment)
        elif not fragment.isspace():
            self._note("lost", "arguments.late")

    def whole_call(self, name: str, id: str | None, arguments: str) -> None:  # noqa: A002 - as in `tool`
        """A call whose input is there whole: `tool` and `arguments` in one."""
        is_usual = self._call is None and self._stop is None and self._output_tool is None and not self.ended
        if is_usual and arguments.startswith('{"') and is_object(arguments):
            size = len(arguments)
            self._characters += size
            self._count_waiting(size)
            self.tool_calls += 1
            block = ToolUseBlock(self._id(id), self._names.get(name, name), Raw(arguments.encode()))
            self._events.append(WholeBlock(self._next(), block))
        else:
            key = object()
            self.tool(key, name, id)
            self.arguments(key, arguments)

    def fragments(self, key: Hashable, fragments: list[str]) -> None:
        """More of a call's input, in several pieces. The list is the writer's then. Raises KeyError as `arguments`."""
        call = self._calls.get(key)
        flows = call is not None and call is self._call and call.arguments.flows and not self._waiting
        if call is None or not flows or len(fragments) == 1 or not all(fragments):
            for fragment in fragments:
                self.arguments(key, fragment)
            return
        size = len("".join(fragments))
        self._characters += size
        self._count_waiting(size)
        call.arguments.parts += fragments
        self._events.append(Deltas(self._index, InputDelta, fragments))

    def cite(self, citation: dict[str, Any]) -> None:
        """A citation of the text block that is open."""
        if self._kind is _TEXT:
            self._release_text()
            if not self.ended:
                self._events.append(BlockDelta(self._index, CitationsDelta(citation)))
        elif not self.ended:
            self._note("lost", "citation.without_text")

    def block(self, block: ContentBlock) -> None:
        """A block that arrives whole: redacted thinking, a server tool's use or result."""
        if self.ended:
            return
        if self._call is not None and self._must_wait():
            self._queue(_Waiting(_WHOLE, block=block))
        else:
            self._whole(block)

    def usage(self, usage: Usage) -> None:
        """The upstream's counters so far; they replace what was known."""
        self.usage_seen = usage

    def relay(self, frames: bytes, *, content: bool = False, outcome: Outcome | None = None, end: bool = False) -> None:
        """Whole frames of an upstream that speaks Messages itself, as they came, and what they say.

        `content`: a block is among them; `outcome`: why the answer stops; `end`: the answer is over.
        """
        if frames:
            self._events.append(Relayed(frames))
            self.started = True
        if content or end:
            self.committed = True
        if outcome is not None:
            self.finished = True
            self._outcome = outcome
        self.ended = end

    @property
    def outcome(self) -> Outcome | None:
        """Why the answer stopped; None before that is known."""
        return self._outcome if self.finished else None

    def finish(
        self, reason: StopReason, *, stop_sequence: str | None = None, details: StopDetails | None = None
    ) -> None:
        """The upstream's reason. Kept until `end`, so that a later usage still counts."""
        if not self.ended:
            self.finished = True
            self._outcome = Outcome(reason, stop_sequence, details)

    def end(self) -> None:
        """The message is over: everything that waits is played, and what is open is closed."""
        if self.ended:
            return
        while self._waiting:
            self._play_next(self._waiting)
        if not self.ended:  # text that waited may have held a stop sequence, and so may text that is held back
            self._close()
        if not self.ended:
            self._end()

    def fail(self, error: ApiError, request_id: str = "") -> ErrorEvent | Relayed:
        """The error event. What is open stays open: clients run a tool_use that was closed."""
        self.ended = True
        if error.verbatim is not None:
            return Relayed(error.verbatim.frame)
        return ErrorEvent(ErrorBody(error.type, error.message), request_id)

    def take(self) -> list[Event]:
        """Events made since the last call."""
        events, self._events = self._events, []
        return events

    # Text and thinking

    def _text(self, text: str) -> None:
        if self._stop is None:
            self._show(_TEXT, text)
            return
        safe, matched = self._stop.feed(text)
        if safe:
            self._show(_TEXT, safe)
        if matched is not None:
            self._stopped(matched)

    def _thinking(self, text: str) -> None:
        self._release_text()
        if not self.ended:
            self._show(_THINKING, text)

    def _show(self, kind: str, text: str) -> None:
        if self._kind is not kind:
            if self._space_kind is kind:
                text = self._space + text
            if text.isspace():
                self._space, self._space_kind = text, kind
                return
            self._space = ""
            self._open(kind, TextBlock("") if kind is _TEXT else ThinkingBlock("", ""))
        self._characters += len(text)
        if kind is _TEXT:
            self._events.append(BlockDelta(self._index, TextDelta(text)))
        elif not self._omit_thinking:
            self._events.append(BlockDelta(self._index, ThinkingDelta(text)))

    def _release_text(self) -> None:
        """Text held back as a possible stop sequence: its block ends, so it is shown, unless it holds another."""
        if self._stop is not None:
            held = self._stop.flush()
            if held:
                self._show(_TEXT, held)
            if self._stop.matched is not None and not self.ended:
                self._stopped(self._stop.matched)

    def _stopped(self, sequence: str) -> None:
        self._waiting = None
        self._space = ""
        self.finished = True
        self._outcome = Outcome("stop_sequence", sequence)
        if self._kind is not None:
            self._close_open()
        self._end()

    # Tool calls

    def _begin_call(self, call: _Call) -> None:
        self._close()
        if self.ended:
            return
        self._open(_TOOL, ToolUseBlock(self._id(call.id), call.name))
        self._call = call
        if call.arguments.parts:
            self._delta(call.arguments.ready())

    def _id(self, wanted: str | None) -> str:
        """The id of the call that comes next: the upstream's, unless it is unfit or taken."""
        if wanted is None or not is_legal_id(wanted) or wanted in self._ids or wanted in self._own_ids:
            wanted = mint(self._message_id, self._index + 1)
        self._own_ids.add(wanted)
        return wanted

    def _more_arguments(self, call: _Call, fragment: str) -> None:
        """A fragment that may have to wait, or that tells what those before were."""
        self._count_waiting(len(fragment))
        call.arguments.add(fragment)
        if call is not self._call:
            return
        self._delta(call.arguments.ready())
        if self._waiting and call.arguments.complete():
            self._play_waiting()

    def _delta(self, fragment: str) -> None:
        if fragment:
            self._characters += len(fragment)
            self._events.append(BlockDelta(self._index, InputDelta(fragment)))

    def _close_call(self, call: _Call) -> None:
        cut = self.finished and self._outcome.stop_reason in ("max_tokens", "model_context_window_exceeded")
        rest, note = call.arguments.close(cut=cut)
        if rest:
            self._delta(rest)
        if note:
            self._note("changed", note)
        call.closed = True
        self._call = None

    # Content that waits

    def _must_wait(self) -> bool:
        """Whether content has to wait for the end of the open call."""
        call = self._call
        return call is not None and (bool(self._waiting) or not call.arguments.complete())

    def _wait(self, kind: str, text: str) -> None:
        self._count_waiting(len(text))
        waiting = self._waiting[-1] if self._waiting else None
        if waiting is None or waiting.kind is not kind:
            waiting = _Waiting(kind)
            self._queue(waiting)
        waiting.texts.append(text)

    def _queue(self, waiting: _Waiting) -> None:
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(waiting)

    def _play_waiting(self) -> None:
        while self._waiting and not self.ended:
            if self._call is not None and not self._call.arguments.complete():
                return
            self._play_next(self._waiting)

    def _play_next(self, queue: deque[_Waiting]) -> None:
        waiting = queue.popleft()
        if waiting.call is not None:
            self._begin_call(waiting.call)
        elif waiting.block is not None:
            self._whole(waiting.block)
        elif waiting.kind is _BORDER:
            self._close()
        elif waiting.kind is _TEXT:
            self._text("".join(waiting.texts))
        else:
            self._thinking("".join(waiting.texts))
            if self._kind is _THINKING:
                self._signature = waiting.signature

    def _count_waiting(self, characters: int) -> None:
        self._waiting_characters += characters
        if self._waiting_characters > WAITING_LIMIT:
            raise ApiError("bad_answer", "The upstream sent more than 64 MB of tool arguments.")

    # Blocks

    def _open(self, kind: str, block: ContentBlock) -> None:
        self._events.append(BlockStart(self._next(), block))
        self._kind = kind

    def _next(self) -> int:
        """The number of the block that comes next; what is open is closed."""
        self._space = ""
        if self._kind is not None:
            self._close_open()
        if not self.started:
            self._start()
        index = self._index = self._index + 1
        if index >= BLOCK_LIMIT:
            raise ApiError("bad_answer", f"The upstream sent more than {BLOCK_LIMIT} blocks.")
        self.committed = True
        return index

    def _whole(self, block: ContentBlock) -> None:
        self._close()
        if not self.ended:
            self._open(_WHOLE, block)
            self._close_open()

    def _close(self) -> None:
        """Close what is open, after the text that was held back; white space that nothing followed is dropped."""
        if self._stop is not None:
            self._release_text()
        if not self.ended:
            self._space = ""
            if self._kind is not None:
                self._close_open()

    def _close_open(self) -> None:
        if self._call is not None:
            self._close_call(self._call)
        elif self._kind is _THINKING:
            self._events.append(BlockDelta(self._index, SignatureDelta(self._signature or NO_STATE)))
            self._signature = None
        self._kind = None
        self._events.append(BlockStop(self._index))

    def _start(self) -> None:
        self.started = True
        usage = self.usage_seen or Usage(self._input_tokens())
        self._events.append(MessageStart(Message(self._message_id, self._model, [], usage)))

    def _end(self) -> None:
        if not self.started:
            self._start()
        outcome = self._outcome
        said: StopReason = "tool_use" if self.tool_calls else "end_turn"
        if outcome.stop_reason != said and outcome.stop_reason in ("end_turn", "tool_use"):
            outcome = Outcome(said, outcome.stop_sequence, outcome.stop_details)
        usage = self.usage_seen
        if usage is None:
            tokens = round(self._characters / _CHARACTERS_PER_TOKEN)
            usage = Usage(self._input_tokens(), max(tokens, 1) if self._characters else 0)
            self._note("changed", "usage.estimated")
        self._events.append(MessageDelta(outcome, usage))
        self._events.append(MessageStop())
        self.ended = self.committed = self.finished = True

    def _note(self, grade: Grade, code: str) -> None:
        note = Note(grade, code)
        if note not in self.notes:
            self.notes.append(note)
