"""Responses answers -> Messages events: a stream's bytes, or a whole response.

What this language cannot say, and what is done about it: it has no stop sequences (the writer matches them), and no
signature beside a summary (ours carries the encrypted reasoning). What Messages cannot say: searches that only open a
page, the two texts of one reasoning item, and items of tools that are never asked for; each has its note.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from typing import Any

import msgspec

from dragoman.dialects.alike import framed
from dragoman.dialects.contract import Call
from dragoman.dialects.responses import completion, errors
from dragoman.dialects.responses.events import ACTS
from dragoman.dialects.responses.items import Items, Speaker
from dragoman.dialects.responses.likeness import Likeness, likeness
from dragoman.dialects.responses.usage import counted
from dragoman.dialects.responses.wire import Response, StreamEvent, decode, decode_response, loose, loose_response
from dragoman.messages import overflow, refusals
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event, StopDetails, StopReason
from dragoman.messages.lenient import Halves, parse, parsed
from dragoman.messages.notes import Note
from dragoman.messages.sse import Frame, FrameReader
from dragoman.messages.writer import MessageWriter

# Why a response is incomplete. Total by a default: another reason is told as "max_tokens", because the answer was cut.
INCOMPLETE: dict[str, StopReason] = {
    "max_output_tokens": "max_tokens",
    "max_tokens": "max_tokens",
    "length": "max_tokens",
    "content_filter": "refusal",
    "max_messages": "pause_turn",
    "steered": "pause_turn",
}

# What each last event says about the response, where the response does not say it itself.
_TERMINAL = {
    "response.completed": "completed",
    "response.done": "completed",  # OpenRouter
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
ANSWER_LIMIT = 256 * 1024 * 1024  # bytes of one stream
_LEARN_LIMIT = 100  # frames that are looked at for likeness: streams whose frames all differ must not pay for it
_DONE = (b"[DONE]", b'"[DONE]"', b"[done]")


class ResponsesReader:
    """Reads one answer; a `dialects.contract.Reader`. When a method raises, the writer still has the events before."""

    def __init__(self, call: Call, writer: MessageWriter) -> None:
        self._call = call
        self._writer = writer
        self._frames = FrameReader()
        self._items = Items(writer, call.recall.scope)
        self._like: Likeness | None = None  # of the last frame that held a delta and nothing else
        self._speaker: Speaker | None = None  # says more of what it was about
        self._tries = _LEARN_LIMIT
        self._size = 0  # bytes so far
        self._seen = False  # whether any frame was an event
        self._done = False

    @property
    def _name(self) -> str:
        return self._call.target.name

    # The bytes

    def feed(self, chunk: bytes) -> list[Event]:
        """Events in the next bytes. Raises ApiError for an error in the stream, or for frames that are no JSON."""
        self._size += len(chunk)
        if self._size > ANSWER_LIMIT:
            raise ApiError("bad_answer", f"{self._name} sent more than {ANSWER_LIMIT} bytes.")
        writer, like, speaker = self._writer, self._like, self._speaker
        # The usual read: one whole event that differs from the last one in its text.
        if like is not None and speaker is not None and len(chunk) < like.twice and self._frames.between():
            text = None if self._done else like.text(chunk)
            if text is not None:
                speaker.pieces.append(text)
                speaker.one(text)
                self._done = writer.ended
                return writer.take()
        at = 0
        while at < len(chunk) and not self._done:
            at = self._read(chunk, at)
        return writer.take()

    def whole(self, body: bytes) -> list[Event]:
        """All events of a response. A body that is a stream is read as one."""
        if body.lstrip()[:1] != b"{":
            return [*self.feed(body), *self.close()]
        self._response(body)
        return self._writer.take()

    def close(self) -> list[Event]:
        """The end of bytes. Raises ApiError("truncated") when no event ended the response."""
        if not self._done:
            for frame in self._frames.close():  # one at most
                self._last_frame(frame)
        if not self._done:
            self._without_end()
        return self._writer.take()

    def _read(self, chunk: bytes, at: int) -> int:
        """Reads what is at `at`: a run of events that differ in their text, or something else. Returns where it ends.

        Whatever it is, its likeness may begin a run, so it is read alone; unless nothing is learned any more.
        """
        writer, like, speaker = self._writer, self._like, self._speaker
        if like is not None and speaker is not None and self._frames.between():
            texts, end = like.texts(chunk, at)
            if texts:
                speaker.pieces.extend(texts)
                speaker.several(texts)
                self._done = writer.ended
                return end
        border = chunk.find(b"\n\n", at) if self._tries else -1
        end = border + 2 if border >= 0 else len(chunk)
        for frame in self._frames.feed(chunk[at:end]):
            self._frame(frame)
            if self._done or writer.ended:
                self._done = True
                break
        return end

    def _frame(self, frame: Frame) -> None:
        try:
            event = decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            mended = self._mended(frame.data)
            if mended is None:
                return
            event = mended
        kind = event.type or frame.event
        act = ACTS.get(kind)
        self._like = None
        if act is not None:
            self._seen = True
            items = self._items
            items.spoke = None
            act(items, event)
            if items.spoke is not None and self._tries and event.delta and items.halves is None:
                self._tries -= 1
                self._like, self._speaker = likeness(frame, event), items.speaker(items.spoke)
        elif kind in _TERMINAL:
            self._seen = True
            response = event.response or Response(error=event.error)
            self._end(response, response.status or _TERMINAL[kind])
        elif kind in ("", "error") or frame.event == "error" or event.error:
            self._odd(frame)

    def _last_frame(self, frame: Frame) -> None:
        """A frame without its blank line: complete, or cut."""
        try:
            parse(frame.data)
        except ValueError:
            return
        self._frame(frame)

    def _mended(self, data: bytes) -> StreamEvent | None:
        """What the typed decoder refused. Raises ApiError("bad_answer") when it is no JSON."""
        text = data.strip()
        if not text or text in _DONE or text.startswith(b":"):  # a comment that somebody between wrapped as data
            return None
        value = framed(data, self._name)
        if self._items.halves is None:
            self._items.halves = Halves()
        return loose(value)

    def _odd(self, frame: Frame) -> None:
        """An error event, in one of its forms, or JSON that is no event at all."""
        value = parse(frame.data)
        if frame.event == "error" or errors.is_error(value):
            self._failed(value)
        elif isinstance(value, dict) and value.get("object") == "response" and not self._seen:
            self._response(frame.data)  # a whole response where a stream was asked for

    def _response(self, body: bytes) -> None:
        """A response, played as a stream."""
        try:
            response = decode_response(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = framed(body, self._name)
            self._items.halves = Halves()
            response = loose_response(value)
        if response.output is None:
            value = parse(body)
            if errors.is_error(value):
                self._failed(value)
                return
        if response.output is None and response.status is None:
            raise ApiError("bad_answer", f"{self._name} sent a response without output.")
        self._end(response, response.status or "completed")

    # The end

    def _end(self, response: Response, status: str) -> None:
        """The last event, or a whole response."""
        self._done = True
        self._usage(response)
        if status == "failed" or (response.error and status not in ("completed", "incomplete")):
            self._failed(response.error)
            return
        if status not in ("completed", "incomplete"):
            raise ApiError("truncated", f"{self._name} ended its answer before it was complete ({status[:40]!r}).")
        if response.input_transformations:  # the server left out reasoning of earlier turns
            self._writer.notes.append(Note("changed", "reasoning.not_read"))
        details: StopDetails | None = None
        reason: StopReason = "end_turn"
        if status == "incomplete":
            reason = self._why_incomplete(response)
            self._writer.finish(reason)  # a call that the limit cut stays as it is
        items, output = self._items, response.output
        if status != "completed" or not output or not items.are_new or not completion.play(output, self._writer):
            items.conclude(output)
        if self._items.searches:  # those that only the end told
            self._usage(response)
        if reason == "refusal" or self._items.refused:
            reason, details = "refusal", _filtered(response)
        elif reason == "max_tokens" and overflow.is_full(self._writer.usage_seen, self._call.asked):
            reason = "model_context_window_exceeded"
        self._writer.finish(reason, details=details)
        self._writer.end()

    def _usage(self, response: Response) -> None:
        tokens = response.usage
        if tokens is not None and (tokens.input_tokens or tokens.output_tokens):  # zeros are no counts
            self._writer.usage(counted(response, tokens, self._items.searches, self._call))

    def _why_incomplete(self, response: Response) -> StopReason:
        said = (response.incomplete_details.reason if response.incomplete_details is not None else None) or ""
        reason = INCOMPLETE.get(said)
        if reason is None:
            self._writer.notes.append(Note("changed", "incomplete_reason.unknown"))
        return reason or "max_tokens"

    def _failed(self, error: Any) -> None:
        """The answer failed. Raises ApiError, unless that is the provider's way of refusing."""
        self._done = True
        details = errors.refused(error)
        if details is None:
            raise errors.embedded(error, self._call)
        self._items.conclude(None)
        self._writer.finish("refusal", details=details)
        self._writer.end()

    def _without_end(self) -> None:
        """The bytes ended with no last event: raises ApiError, or plays what was no stream at all."""
        self._done = True
        stray = bytes(self._frames.stray).strip()
        if stray and not self._seen:
            if stray[:1] == b"{":
                self._response(stray)
                return
            said = refusals.report(stray)
            if errors.is_error(said.body):
                raise errors.embedded(said.body, self._call)
            raise ApiError(
                "bad_answer",
                f"{self._name} sent no stream but {said.text[:200]!r}. Check base_url and the model.",
            )
        if self._seen:
            if stray[:1] == b"{" and errors.is_error(found := parsed(stray)):
                raise errors.embedded(found, self._call)
            raise ApiError("truncated", f"{self._name} ended its answer before it was complete.")
        overflow.refuse_unsaid(self._call.asked)
        raise ApiError("bad_answer", f"{self._name} sent an empty answer. Some servers do when a prompt is too long.")


def _filtered(response: Response) -> StopDetails:
    """Why a filter stopped the answer, where the server says so.

    https://learn.microsoft.com/en-us/azure/ai-services/openai/concepts/content-filter-annotations
    """
    names = [
        name
        for each in response.content_filters or []
        for name in refusals.filtered(each.get("content_filter_results"))
    ]
    told = f"The provider's content filter stopped the answer: {', '.join(dict.fromkeys(names))}." if names else None
    return StopDetails(explanation=told)
