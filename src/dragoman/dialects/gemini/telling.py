"""The parts of one answer, told to the writer one after the other.

Text comes in pieces, thoughts too; calls come whole. Signatures may be on any of them, and Messages has a place for
them in thinking blocks only: they wait until the next block that can carry them begins. No state stands behind the last
text of an answer, and no text is cut in two for a signature: clients take the last block for the answer.
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
from msgspec import Raw

from dragoman.dialects.contract import Call
from dragoman.dialects.gemini.grounding import Sources
from dragoman.dialects.gemini.signatures import Mark, seal
from dragoman.dialects.gemini.wire import NO_RAW, Candidate, FunctionCall, Part
from dragoman.messages.errors import ApiError
from dragoman.messages.lenient import Halves, join_halves
from dragoman.messages.notes import Grade, Note
from dragoman.messages.writer import MessageWriter


class Telling:
    """Tells the writer what the candidates of the frames say."""

    def __init__(self, call: Call, writer: MessageWriter) -> None:
        self.sources = Sources()
        self.halves: Halves | None = None  # once a frame needed mending
        self.id = ""  # of the response
        self._recall = call.recall
        self._name = call.target.name
        self._writer = writer
        # What is being said. "more": it began in a way that is not known here
        self._kind: Literal["", "text", "thinking", "call", "more"] = "more" if writer.started else ""
        self._space = ""  # white space that opens no block until something follows it
        self._text: list[str] = []  # all of it
        self._start = 0  # where in `_text` the block begins
        self._marks: list[Mark] = []  # signatures that wait for a block to ride in

    def candidate(self, candidate: Candidate) -> None:
        """What the candidate of one frame says."""
        parts = (candidate.content.parts if candidate.content is not None else None) or []
        grounding, pages = candidate.grounding_metadata, candidate.url_context_metadata
        if grounding is not None or pages is not None:
            said = [part.text for part in parts if part.text and not part.thought]
            self.sources.add(grounding, pages, [*self._text, *said])
            if not self._text:  # what was looked up belongs in front of the text, as long as that can be done
                self._tell_sources(final=False)
        self._parts(parts)
        if _holds(candidate.citation_metadata):  # where it quotes from without having looked it up
            self.note("ignored", "citation_metadata")

    def more(self, *, thought: bool) -> tuple[Callable[[str], None], list[str] | None]:
        """What tells more of what the last frame said, where `goes_on` allows it, and the list that keeps it."""
        return (self._writer.thinking, None) if thought else (self._writer.text, self._text)

    def goes_on(self, *, thought: bool) -> bool:
        """Whether all that more text does is to make its block longer."""
        return self.halves is None and not self._space and (self._kind == "thinking") == thought

    def finish(self) -> None:
        """Nothing more is said: what waited for its place."""
        self._leave_text()
        self._end_half("thinking")
        if self._kind == "thinking":
            self._sign()
        elif self._marks:
            self._marks = []
            self.note("ignored", "signature.behind_text")
        self._cite()
        self._tell_sources(final=True)

    def is_empty(self) -> bool:
        """Whether nothing was said that a caller would see."""
        unseen = self._kind == "" or (self._kind == "thinking" and not self._recall.show_thinking)
        return unseen and not self._writer.committed

    def note(self, grade: Grade, code: str) -> None:
        note = Note(grade, code)
        if note not in self._writer.notes:
            self._writer.notes.append(note)

    def _parts(self, parts: Iterable[Part]) -> None:
        for part in parts:
            if part.function_call is not None:
                self._tool(part.function_call, part.thought_signature)
            elif part.text:
                say = self._think if part.thought else self._say
                say(part.text, part.thought_signature)
            elif part.thought_signature and not _is_other(part):
                self._sign_nothing(part.thought_signature)
            if _is_other(part):
                self._other(part)

    def _other(self, part: Part) -> None:
        """Parts that are none of ours: Messages has no place for their signatures either."""
        code, result = part.executable_code, part.code_execution_result
        if part.inline_data is not None or part.file_data is not None:
            self.note("lost", "output.media")
        elif code is not None:
            self.note("changed", "code_execution.text")
            self._say(f"\n```{(code.language or '').lower()}\n{code.code or ''}\n```\n", None)
        elif result is not None:
            self.note("changed", "code_execution.text")
            self._say(f"\n```\n{result.output or ''}\n```\n", None)
        else:
            self.note("ignored", "server_tool.part")  # its queries and results are in the metadata, too

    def _say(self, text: str, signature: str | None) -> None:
        text = self._joined("text", text)
        if self._kind in ("text", "more"):
            if signature:
                self._sign_text(signature, len(text))
        else:
            text = self._space + text
            if not text or text.isspace():
                self._space = text
                if signature:
                    self._marks.append(Mark("empty", signature))
                return
            self._space = ""
            self._end_half("thinking")
            if signature:
                self._marks.append(Mark("text", signature, 0, len(text)))
            self._sign()
            self._kind = "text"
            self._start = len(self._text)
        self._text.append(text)
        self._writer.text(text)

    def _think(self, text: str, signature: str | None) -> None:
        text = self._joined("thinking", text)
        # White space alone opens no block, so it does not end the text either.
        if self._kind != "thinking" and text and not text.isspace():
            self._leave_text()
            self._kind = "thinking"
        self._writer.thinking(text)
        if signature:
            self._marks.append(Mark("empty", signature))

    def _tool(self, call: FunctionCall, signature: str | None) -> None:
        """Every part with a call is a call of its own: they come whole, all at the same place, many without an id."""
        if not call.name:
            raise ApiError("bad_answer", f"{self._name} sent a tool call without a name.")
        self._leave_text()
        self._end_half("thinking")
        if call.name == self._recall.output_tool:
            if signature:  # its call is never in the history
                self.note("ignored", "signature.output")
            self._kind = "more"
        else:
            if signature:
                self._marks.append(Mark("call", signature))
            self._sign()
            self._kind = "call"
        key = object()
        self._writer.tool(key, call.name, call.id or None)
        self._writer.arguments(key, arguments(call))

    def _leave_text(self) -> None:
        """Something else than text comes: what the text still has to say."""
        self._end_half("text")
        if self._space:  # a stop sequence, perhaps
            self._writer.text(self._space)
            self._space = ""
        if self._kind in ("text", "more"):
            self._cite()

    def _cite(self) -> None:
        for citation in self.sources.citations():
            self._writer.cite(citation)

    # Signatures

    def _sign_text(self, signature: str, size: int) -> None:
        """A signature in an open text block: no state may follow the text that ends an answer, so it waits."""
        if self._kind == "text":
            start = sum(map(len, self._text[self._start :]))
            self._marks.append(Mark("back", signature, start, size))
        else:
            self.note("ignored", "signature.behind_text")

    def _sign_nothing(self, signature: str) -> None:
        """An empty part that is signed: it belongs to the text before it."""
        if self._kind in ("text", "more"):
            self._sign_text(signature, 0)
        else:
            self._marks.append(Mark("empty", signature))

    def _sign(self) -> None:
        """All signatures that wait ride in the open thinking block, or in one of their own before what comes."""
        if not self._marks:
            return
        signature = seal(self._marks, self._recall.scope)
        self._marks = []
        if signature:
            self._writer.sign(signature)
        else:
            self.note("lost", "state.too_large")

    # What was looked up

    def _tell_sources(self, *, final: bool) -> None:
        blocks = self.sources.blocks(self.id, final=final)
        if blocks and not final:
            self._leave_text()
            self._end_half("thinking")
            self._sign()
        for block in blocks:
            self._writer.block(block)
            self._kind = "call"

    # Lone surrogates

    def _joined(self, stream: str, text: str) -> str:
        if self.halves is None:
            return text
        joined = self.halves.join(stream, text)
        if self.halves.replaced:
            self.note("changed", "surrogate.replaced")
        return joined

    def _end_half(self, stream: Literal["text", "thinking"]) -> None:
        """A half whose other half never came."""
        if self.halves is None or not (text := self.halves.end(stream)):
            return
        self.note("changed", "surrogate.replaced")
        if stream == "thinking":
            self._writer.thinking(text)
        else:
            self._text.append(text)
            self._writer.text(text)


def _holds(raw: Raw) -> bool:
    """Whether it is neither absent nor null nor {}."""
    return raw is not NO_RAW and len(memoryview(raw)) > 4


def _is_other(part: Part) -> bool:
    """Whether a part is more than a text, a call or a signature."""
    return (
        (part.inline_data or part.file_data or part.executable_code or part.code_execution_result) is not None
        or _holds(part.tool_call)
        or _holds(part.tool_response)
    )


def arguments(call: FunctionCall) -> str:
    """The arguments as JSON text. It is always an object, also from servers that send none, or text that holds one."""
    raw = bytes(call.args)
    if raw in (b"", b"null"):
        return "{}"
    if raw[:1] == b'"':
        inner = join_halves(msgspec.json.decode(raw, type=str))
        if inner.lstrip().startswith("{"):
            return inner
    if raw.find(b"\n") >= 0:  # bodies that are not streamed are indented
        raw = msgspec.json.format(raw, indent=-1)
    if raw[:1] != b"{":
        raw = b'{"_raw":%b}' % raw  # what came stays visible
    return raw.decode("utf-8", "replace")
