"""Gemini's answers -> Messages events: a stream's bytes, or a whole answer.

What this language cannot say, and what is done about it: it has no block borders (the writer makes them), no end of a
stream but the end of its bytes behind a finish reason, and no stop sequence that matched (the writer matches them).
What Messages cannot say: signatures of text and of calls (they travel in the next thinking block, see `signatures.py`),
pictures that the model makes, and code that it ran itself, which becomes text; each has its note.
https://ai.google.dev/api/generate-content
"""

import json
import re
from collections.abc import Callable

import msgspec
from msgspec import Raw, structs

from dragoman.dialects.alike import framed
from dragoman.dialects.contract import Call
from dragoman.dialects.gemini import completion, errors
from dragoman.dialects.gemini.likeness import Likeness, likeness
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.dialects.gemini.repairs import SECOND_TRY
from dragoman.dialects.gemini.telling import Telling
from dragoman.dialects.gemini.usage import counted
from dragoman.dialects.gemini.wire import (
    Answer,
    Candidate,
    Feedback,
    Rating,
    Tokens,
    decode,
    decode_tokens,
    loose,
)
from dragoman.messages import overflow, refusals
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event, StopDetails, StopReason
from dragoman.messages.lenient import Halves, parse, parsed
from dragoman.messages.sse import Frame, FrameReader
from dragoman.messages.writer import MessageWriter

# Total by a default: anything else ends the turn, with a note. The writer turns "end_turn" into "tool_use" when there
# are calls. https://ai.google.dev/api/generate-content#FinishReason
STOP_REASON: dict[str, StopReason] = {
    "STOP": "end_turn",
    "MAX_TOKENS": "max_tokens",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
    "MODEL_ARMOR": "refusal",
    "ESCALATION": "refusal",
    "PUP_LIMITED_DISABLED": "refusal",
    "CONTINUATION": "pause_turn",  # where it cannot be gone on with
}

# The answer is broken, whatever came of it; what to tell the caller.
BROKEN = {
    "MALFORMED_FUNCTION_CALL": "It wrote a call that nobody can read. Send the request again, or offer fewer tools.",
    "UNEXPECTED_TOOL_CALL": "It called a tool that was not offered. Send the request again.",
    "MALFORMED_RESPONSE": "It wrote something that cannot be read. Send the request again.",
    "TOO_MANY_TOOL_CALLS": "It called tools again and again. Ask for less at once.",
    "MISSING_THOUGHT_SIGNATURE": "A signature of an earlier turn is missing. Send the request again.",
}

# The answer ended for a reason that nobody knows: what came of it is kept.
ODD = frozenset({"OTHER", "NO_IMAGE", "IMAGE_OTHER"})

ANSWER_LIMIT = 256 * 1024 * 1024  # bytes of one stream
_LEARN_LIMIT = 100  # frames that are looked at for likeness: streams whose frames all differ must not pay for it
_BORDER = re.compile(rb"\r\n\r\n|\n\n")
_NOTHING = (b"[DONE]", b"")
_NO_REASON = ("", "FINISH_REASON_UNSPECIFIED")


class GeminiReader:
    """Reads one answer; a `dialects.contract.Reader`. When a method raises, the writer still has the events before."""

    __slots__ = (
        "_before",
        "_blocked",
        "_call",
        "_counters",
        "_done",
        "_frames",
        "_kept",
        "_last",
        "_like",
        "_ready",
        "_say",
        "_seen",
        "_size",
        "_telling",
        "_tokens",
        "_tries",
        "_writer",
    )

    def __init__(self, call: Call, writer: MessageWriter) -> None:
        self._call = call
        self._writer = writer
        self._like: Likeness | None = None  # of the last frame that held one text and nothing else
        self._size = 0  # bytes so far
        self._seen = False  # whether any frame was an answer's
        self._done = False
        # What the frames say about the whole answer
        self._before = writer.usage_seen  # of the answer that this one goes on with
        self._last: Candidate | None = None  # the last one with a finish reason
        self._ready = False

    def _prepare(self) -> None:
        """For streams and unusual answers: most whole ones need nothing of this."""
        self._ready = True
        self._frames = FrameReader()
        self._telling = Telling(self._call, self._writer)
        self._say: Callable[[str], None] = self._writer.text  # more of what it said
        self._kept: list[str] | None = None  # where what it said is kept
        self._tries = _LEARN_LIMIT
        self._tokens: Tokens | None = None
        self._counters = b""  # newer ones, as JSON
        self._blocked: Feedback | None = None

    @property
    def _name(self) -> str:
        return self._call.target.name

    # The bytes

    def feed(self, chunk: bytes) -> list[Event]:
        """Events in the next bytes. Raises ApiError for an error in the stream, or for frames that are no JSON."""
        self._size += len(chunk)
        if self._size > ANSWER_LIMIT:
            raise ApiError("bad_answer", f"{self._name} sent more than {ANSWER_LIMIT} bytes.")
        like, writer = self._like, self._writer
        if like is not None and len(chunk) < like.twice and self._frames.at_border():  # the usual read: one event
            text = like.text(chunk)
            if text is not None:
                if self._kept is not None:
                    self._kept.append(text)
                self._say(text)
                return writer.take()
        if not self._ready:
            self._prepare()
        at = 0
        while at < len(chunk) and not self._is_over():
            like = self._like
            if like is not None and self._frames.at_border():
                texts, at = like.texts(chunk, at)
                if texts:
                    self._more(like, texts)
                    continue
            at = self._read(chunk, at)
        return writer.take()

    def whole(self, body: bytes) -> list[Event]:
        """All events of an answer, or of a list of frames. A body that is a stream is read as one.

        An answer that stopped in its middle is left open: `next_call` goes on with it.
        """
        if body.lstrip()[:1] not in (b"{", b"["):
            return [*self.feed(body), *self.close()]
        self._played(body)
        return self._writer.take()

    def close(self) -> list[Event]:
        """The end of bytes. Raises ApiError("truncated") without a finish reason before it."""
        self._read_rest()
        if not self._is_over():
            if self._last is None and self._blocked is None:
                self._without_finish()
            else:
                self._conclude()
        return self._writer.take()

    def next_call(self) -> Call | None:
        """The same call with the token that lets its answer go on; None when it is over.

        https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1beta1/GenerateContentResponse
        """
        self._read_rest()
        token = self._token()
        if self._is_over() or token is None:
            return None
        self._done = True
        self._telling.finish()
        self._count()
        body = msgspec.json.decode(bytes(self._call.body), type=dict[str, Raw])
        body["continuationToken"] = Raw(msgspec.json.encode(token))
        return structs.replace(self._call, body=msgspec.json.encode(body))

    def _is_over(self) -> bool:
        """Whether nothing more is read: also when a stop sequence ended the message."""
        return self._done or self._writer.ended

    def _more(self, like: Likeness, texts: list[str]) -> None:
        """Texts of frames that are like the last one."""
        if self._kept is not None:
            self._kept += texts
        if like.thought:
            self._writer.thoughts(texts)
        else:
            self._writer.texts(texts)

    def _read(self, chunk: bytes, at: int) -> int:
        """Reads what is at `at`, and returns where that ends.

        Whatever it is, its likeness may begin a run, so it is read alone; unless nothing is learned any more.
        """
        end, newline = _border(chunk, at) if self._tries else (len(chunk), b"\n")
        for frame in self._frames.feed(chunk[at:end]):
            self._frame(frame, newline)
            if self._is_over():
                break
        return end

    def _read_rest(self) -> None:
        """A last frame without its blank line: complete, or cut."""
        if self._is_over():
            return
        if not self._ready:
            self._prepare()
        for frame in self._frames.close():  # one at most
            try:
                parse(frame.data)
            except ValueError:
                continue
            self._frame(frame, b"\n")

    def _frame(self, frame: Frame, newline: bytes) -> None:
        like = self._like
        if like is not None:
            text = like.text_of(frame.data) if not frame.event else None
            if text is not None:
                self._more(like, [text])
                return
            self._counters, self._like = like.usage, None
        answer = self._decoded(frame.data)
        if answer is None:
            return
        self._answered(answer, frame)
        if self._tries and self._telling.halves is None and not frame.event:
            self._tries -= 1
            like = likeness(frame.data, answer, newline)
            if like is not None and self._telling.goes_on(thought=like.thought):
                self._like = like
                self._say, self._kept = self._telling.more(thought=like.thought)

    def _played(self, body: bytes) -> None:
        """A whole answer, up to its end. Raises ApiError for JSON that says nothing of an answer."""
        self._body(body)
        if self._is_over() or self._token() is not None:
            return
        if not self._seen:
            raise ApiError(
                "bad_answer", f"{self._name} sent no answer but {_quoted(body)}. Check base_url and the model."
            )
        self._conclude()

    def _body(self, body: bytes) -> None:
        """A whole answer, or the frames of a stream as a list: what `streamGenerateContent` sends without `alt=sse`."""
        if body.lstrip()[:1] == b"{":
            answer = self._decoded(body)
            if answer is not None and (self._ready or not self._at_once(answer)):
                if not self._ready:
                    self._prepare()
                self._answered(answer, Frame(body))
            return
        if not self._ready:
            self._prepare()
        try:
            frames = [bytes(each) for each in msgspec.json.decode(body, type=list[Raw])]
        except (msgspec.DecodeError, RecursionError):
            frames = [json.dumps(each).encode() for each in framed(body, self._name)]  # with lone surrogates, perhaps
        for each in frames:
            if not self._is_over():
                self._frame(Frame(each), b"\n")

    def _decoded(self, data: bytes) -> Answer | None:
        """None: it says nothing. Raises ApiError("bad_answer") when it is no JSON."""
        try:
            return decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        text = data.strip()
        if text in _NOTHING or text.startswith(b":"):  # a comment that somebody between wrapped as data
            return None
        value = framed(data, self._name)
        if errors.is_error(value):
            raise errors.embedded(value, self._call)
        if not self._ready:
            self._prepare()
        if self._telling.halves is None:
            self._telling.halves = Halves()
        return loose(value)

    def _at_once(self, answer: Answer) -> bool:
        """Plays a usual answer, the first thing that is read. False for another one; then nothing is played."""
        candidates, tokens, writer = answer.candidates, answer.usage_metadata, self._writer
        if candidates is None or len(candidates) != 1 or answer.error or writer.started:
            return False
        if tokens is not None and (
            tokens.prompt_token_count or tokens.candidates_token_count or tokens.thoughts_token_count
        ):
            writer.usage(counted(tokens, self._call, self._before))
        if not completion.play(candidates[0], self._call.recall, writer):
            return False
        self._done = True
        writer.end()
        return True

    # One frame

    def _answered(self, answer: Answer, frame: Frame) -> None:
        if not answer.candidates or answer.error or frame.event == "error":
            self._without_candidates(answer, frame)
        else:
            self._answer(answer)

    def _without_candidates(self, answer: Answer, frame: Frame) -> None:
        """Counters alone, a prompt that was blocked, an error."""
        if answer.error or frame.event == "error":
            raise errors.embedded(parse(frame.data), self._call)
        self._usage(answer)
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason:
            self._seen = True
            self._blocked = feedback
            self._writer.finish("refusal")
        elif answer.usage_metadata is not None or answer.response_id is not None or answer.candidates is not None:
            self._seen = True
        elif errors.is_error(value := parse(frame.data)):
            raise errors.embedded(value, self._call)

    def _answer(self, answer: Answer) -> None:
        """The candidate of a frame; there is one, because no other is asked for."""
        self._seen = True
        self._telling.id = self._telling.id or answer.response_id or ""
        self._usage(answer)
        for candidate in answer.candidates or ():
            if candidate.index:
                self._telling.note("lost", "candidate.other")
            else:
                self._candidate(candidate)

    def _candidate(self, candidate: Candidate) -> None:
        reason = candidate.finish_reason or ""
        if reason in BROKEN:
            raise self._broken(candidate)
        self._telling.candidate(candidate)
        if reason not in _NO_REASON:
            self._last = candidate
            # There is little left to say, so the gateway waits less for it; `_conclude` has the last word.
            self._writer.finish(STOP_REASON.get(reason, "end_turn"))

    def _usage(self, answer: Answer) -> None:
        """The prompt's size is told at once, for the beginning of the message."""
        if answer.usage_metadata is not None:
            self._tokens, self._counters = answer.usage_metadata, b""
            self._count()

    def _count(self) -> None:
        counters = self._counters if self._like is None else self._like.usage
        tokens = decode_tokens(counters) if counters else self._tokens
        if tokens is None or not (
            tokens.prompt_token_count or tokens.candidates_token_count or tokens.thoughts_token_count
        ):
            return  # zeros are no counts; Vertex AI has none before the last frame
        searches, fetches = self._telling.sources.searches, self._telling.sources.fetches
        self._writer.usage(counted(tokens, self._call, self._before, searches=searches, fetches=fetches))

    # The end

    def _token(self) -> str | None:
        """What the upstream wants to see to go on with the answer."""
        last = self._last
        return last.continuation_token if last is not None and last.finish_reason == "CONTINUATION" else None

    def _conclude(self) -> None:
        """The end of the answer."""
        self._done = True
        self._telling.finish()
        reason, details = self._stop_reason()
        self._count()
        if reason == "max_tokens" and overflow.is_full(self._writer.usage_seen, self._call.asked):
            reason = "model_context_window_exceeded"
        self._writer.finish(reason, details=details)
        self._writer.end()

    def _stop_reason(self) -> tuple[StopReason, StopDetails | None]:
        """Raises ApiError for an answer that says nothing without a reason."""
        if self._blocked is not None:
            blocked = self._blocked
            said = _explained("prompt", blocked.block_reason, blocked.block_reason_message, blocked.safety_ratings)
            return "refusal", StopDetails(explanation=said)
        last = self._last or Candidate()
        if self._last is None:
            self._telling.note("ignored", "finish_reason.missing")
        said = last.finish_reason or ""
        reason = STOP_REASON.get(said, "end_turn")
        if reason == "end_turn" and self._telling.is_empty():
            self._refuse_nothing(last)
        if said in ODD:
            self._telling.note("changed", "finish_reason.other")
        elif said and said not in STOP_REASON:
            self._telling.note("changed", "finish_reason.unknown")
        if reason == "refusal":
            explanation = _explained("answer", said, last.finish_message, last.safety_ratings)
            return reason, StopDetails(explanation=explanation)
        return reason, None

    def _refuse_nothing(self, last: Candidate) -> None:
        """An answer without anything in it happens, and mostly not twice. Raises ApiError.

        https://github.com/googleapis/python-genai/issues/1289
        """
        quirks: Quirks = self._call.target.quirks
        if quirks.second_try:
            raise ApiError(
                "bad_answer",
                f"{self._name} sent an answer without content. Send the request again.",
                code=SECOND_TRY,
            )
        if last.finish_reason in ODD:
            raise ApiError(
                "bad_answer",
                f"{self._name} sent an answer without content{_because(last)}. Send the request again, or another.",
                should_retry=False,
            )

    def _broken(self, candidate: Candidate) -> ApiError:
        """The error for an answer that the upstream itself calls broken. After a second one the caller is told why."""
        quirks: Quirks = self._call.target.quirks
        again = quirks.second_try and not self._writer.committed
        said = f"{self._name} could not finish its answer{_because(candidate)}. "
        said += BROKEN[candidate.finish_reason or ""]
        if again:
            return ApiError("bad_answer", said, code=SECOND_TRY)
        return ApiError("bad_answer", said, should_retry=False)

    def _without_finish(self) -> None:
        """The bytes ended with no finish reason: raises ApiError, or plays what was no stream at all."""
        stray = bytes(self._frames.stray).strip()
        if stray and not self._seen:
            if stray[:1] in (b"{", b"["):
                self._played(stray)
                return
            self._done = True
            raise ApiError(
                "bad_answer", f"{self._name} sent no stream but {_quoted(stray)}. Check base_url and the model."
            )
        self._done = True
        self._count()
        if stray[:1] in (b"{", b"[") and errors.is_error(found := parsed(stray)):
            raise errors.embedded(found, self._call)
        if self._seen:
            raise ApiError("truncated", f"{self._name} ended its answer before it was complete.")
        overflow.refuse_unsaid(self._call.asked)
        raise ApiError("bad_answer", f"{self._name} sent an empty answer.")


def _border(chunk: bytes, at: int) -> tuple[int, bytes]:
    """Where the frame at `at` ends, if that is in the chunk, and what its lines end in."""
    found = _BORDER.search(chunk, at)  # never looks behind the first one: a chunk may hold thousands
    if found is not None:
        return found.end(), b"\n" if found[0] == b"\n\n" else b"\r\n"
    return len(chunk), b"\r\n" if chunk.endswith(b"\r\n") else b"\n"


def _quoted(body: bytes) -> str:
    said = refusals.report(body).text or body.strip().decode("utf-8", "replace")
    return repr(said[:200])


def _because(candidate: Candidate) -> str:
    said = refusals.said({"message": candidate.finish_message}) if candidate.finish_message else ""
    return f" ({candidate.finish_reason}: {said.rstrip('.')})" if said else f" ({candidate.finish_reason})"


def _explained(what: str, reason: str | None, message: str | None, ratings: list[Rating] | None) -> str:
    """Why the provider's filter stopped an answer, or blocked a prompt."""
    names = [
        rating.category.removeprefix("HARM_CATEGORY_").lower()
        for rating in ratings or ()
        if rating.blocked and rating.category
    ]
    why = ", ".join([f"{reason}", *names])
    said = refusals.said({"message": message}) if message else ""
    return f"The provider's filter stopped the {what} ({why}){f': {said}' if said else '.'}"
