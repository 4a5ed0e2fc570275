"""What every dialect offers, and the values that go in and out.

A dialect is pure: no sockets, no clock, no randomness, no environment. `gateway` asks it for a call, sends the call,
and feeds the answer's bytes to the reader.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct, structs

from dragoman.messages.body import Body
from dragoman.messages.errors import ApiError
from dragoman.messages.estimate import NO_ESTIMATE, Estimate
from dragoman.messages.events import Event
from dragoman.messages.names import Names
from dragoman.messages.notes import Note
from dragoman.messages.overflow import Asked
from dragoman.messages.pieces import Pieces
from dragoman.messages.request import Request
from dragoman.messages.writer import MessageWriter

Sampling = Literal["always", "without_reasoning", "never"]
Transport = Literal["both", "stream", "unary"]
"""How a server answers: also as one whole answer, or in this way only."""


class Facts(Struct, frozen=True, kw_only=True):
    """What is known about a model. Facts are data (`providers/models.toml`); None is "not known"."""

    context: int | None = None  # tokens of input and output together
    max_output: int | None = None  # tokens; a larger max_tokens is clamped
    vision: bool = True  # takes images; assumed unless known otherwise
    files: bool | None = None  # takes PDF files; None leaves it to the provider's quirk
    tools: bool = True  # takes tools
    reasoning: bool | None = None  # can think; None: unknown, its knobs are sent when the caller asks for thinking
    efforts: tuple[str, ...] = ()  # accepted reasoning efforts, weakest first; () leaves it to the quirk
    sampling: Sampling = "always"  # when temperature, top_p and top_k are accepted
    tools_with_reasoning: bool = True  # on Chat Completions; False: effort must be "none" with tools
    reasons_by_default: bool = False  # thinks when no effort is sent
    system_role: Literal["system", "developer"] | None = None  # None leaves it to the quirk
    reasoning_echo: bool | None = None  # earlier reasoning must come back; None leaves it to the quirk
    thinking_budget: tuple[int, int] | None = None  # thinking is a number of tokens, least and most; None: an effort
    schema: Literal["json_schema", "openapi"] | None = None  # form of schemas in Gemini; None leaves it to the quirk
    call_ids: bool = False  # Gemini: calls and their results carry ids; older models refuse them
    call_signatures: bool = False  # Gemini: the first call of a step without its thought signature is refused
    result_media: bool = False  # Gemini: results of tools may hold pictures and files
    search_with_tools: bool = False  # Gemini: its own search and the caller's functions may be offered together
    thinking_forms: tuple[str, ...] = ()  # Claude: accepted `thinking.type`; (): not known, all go on as they are
    takes_effort: bool = True  # Claude: `output_config.effort` is accepted
    efforts_without_thinking: tuple[str, ...] = ()  # Claude: accepted while thinking is disabled; (): all of them
    prefill: bool = True  # Claude: the last turn may be the beginning of the answer
    forced_tool_choice: bool = True  # Claude: `tool_choice` may be "any" or "tool"
    system_turns: bool = True  # Claude: the conversation may have system turns inside
    dialect: str | None = None  # the language it is asked in, where its provider speaks several
    source: str = ""  # link that says so


class Target(Struct, frozen=True, kw_only=True):
    """Where a request may go: a provider, a model there, and the *name* of a key, never the key."""

    provider: str  # the row's name, as in `provider/model`
    dialect: str  # key of DIALECTS
    base_url: str  # without a trailing slash
    model: str  # opaque: what the upstream calls it
    quirks: Any  # the dialect's own typed quirks, e.g. `dialects.chat.quirks.Quirks`
    facts: Facts = Facts()
    key: str | None = None  # name under which `Secrets` knows the key; None: no key is needed
    auth: Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "entra", "google", "caller", "none"] = "bearer"
    caller_as: Literal["bearer", "x-api-key", "api-key", "x-goog-api-key"] | None = None  # what carries the key of a
    # caller with `auth` "caller"; None: the header that it came in
    public: bool = False  # the caller chose the host: nothing but an address of the internet is called
    headers: tuple[tuple[str, str], ...] = ()  # fixed extra headers of the provider; never secrets
    state_scope: str = ""  # which deployments can read state made here; see `messages.state`
    strict: bool = False  # a `lost` note becomes a 400
    query: str = ""  # of every URL, without "?": "api-version=2024-10-21"
    other: "Target | None" = None  # the same model in another language of its provider; a repair may switch to it

    @property
    def name(self) -> str:
        """As people know it: "openai/gpt-5.6"."""
        return f"{self.provider}/{self.model}"

    def quirked(self, **quirks: Any) -> "Target":
        """The same with other quirks."""
        return structs.replace(self, quirks=structs.replace(self.quirks, **quirks))

    def knowing(self, **facts: Any) -> "Target":
        """The same with other facts of the model."""
        return structs.replace(self, facts=structs.replace(self.facts, **facts))


_NO_IDS: frozenset[str] = frozenset()


class Recall(Struct, frozen=True):
    """What the way back needs to know about the way there."""

    model: str  # as the caller wrote it
    stop_sequences: tuple[str, ...] = ()  # all are matched by the writer
    names: Mapping[str, str] = {}  # upstream tool name -> the caller's, only where they differ
    ids: frozenset[str] = frozenset()  # tool ids that the history already uses
    output_tool: str | None = None  # the tool that was forced to get structured output; its input becomes text
    show_thinking: bool = True  # False when the caller disabled thinking: reasoning is dropped with a note
    omit_thinking: bool = False  # display "omitted": thinking blocks with a signature and no text
    asked_thinking: bool = False  # the caller asked for thinking, so redacted_thinking blocks may be sent
    scope: str = ""  # state_scope of the target
    estimate: Estimate = NO_ESTIMATE  # of the input, where the upstream counts none

    @classmethod
    def of(
        cls,
        body: Body,
        target: Target,
        *,
        stop_sequences: tuple[str, ...],
        names: Names,
        ids: Collection[str],
        estimate: Estimate,
        output_tool: str | None = None,
    ) -> "Recall":
        """Of a request that is translated. `ids`: the tool ids of its history, as the caller wrote them."""
        thinking = body.thinking
        asks = thinking is not None and thinking.type != "disabled"
        return cls(
            body.model,
            stop_sequences,
            names.back,
            frozenset(ids) if ids else _NO_IDS,
            output_tool,
            asks or thinking is None,
            thinking is not None and thinking.display == "omitted",
            asks,
            target.state_scope,
            estimate,
        )

    def writer(self, message_id: str) -> MessageWriter:
        """Writes the answer, as the message of that id."""
        return MessageWriter(
            message_id,
            self.model,
            self.estimate.tokens,
            self.stop_sequences,
            self.names,
            self.ids,
            self.show_thinking,
            self.omit_thinking,
            self.asked_thinking,
            self.output_tool,
        )


class Call(Struct, frozen=True, kw_only=True):
    """One HTTP request to be sent, unsigned."""

    url: str
    body: bytes | Pieces
    stream: bool  # whether the upstream was asked to stream; not always what the caller asked
    target: Target
    recall: Recall
    headers: tuple[tuple[str, str], ...] = ()
    notes: tuple[Note, ...] = ()
    method: str = "POST"
    relays: bool = False  # the answer goes on as it is: its headers, and the status and body of a failure

    @property
    def asked(self) -> Asked:
        """What the text of an error needs to know."""
        target = self.target
        return Asked(
            provider=target.provider,
            model=target.model,
            key=target.key,
            context=target.facts.context,
            input_tokens=self.recall.estimate.tokens(),
            google=target.auth == "google",
        )


class Repair(Struct, frozen=True):
    """A change to try once more with, before commit. `code` goes to the log; it is used once per chain of attempts."""

    code: str
    target: Target
    lasting: bool = True  # it holds for every request to this target; False: for this conversation only


def streams(body: Body, transport: Transport, stop_sequences: tuple[str, ...]) -> bool:
    """Whether the upstream streams: an answer that is to be cut at a stop sequence should not be paid to its end."""
    if transport == "both":
        return bool(body.stream) or bool(stop_sequences)
    return transport == "stream"


class Reader(Protocol):
    """Reads one answer. Raises ApiError; only `MessageWriter.fail` makes an error event."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Events in the next bytes off the socket, cut anywhere."""
        ...

    def whole(self, body: bytes) -> list[Event]:
        """All events of an answer that was not streamed, `message_start` to `message_stop`."""
        ...

    def close(self) -> list[Event]:
        """The end of bytes: the last events. Raises ApiError("truncated") when the answer had no end of its own."""
        ...


class Continues(Protocol):
    """Optional: a reader whose upstream stops in the middle of an answer, and tells it on by another call."""

    def next_call(self) -> Call | None:
        """The call whose answer goes on where this one stopped; None when the answer is over.

        Asked when the bytes are at their end, before `close`. Its reader gets the same writer.
        """
        ...


class Dialect(Protocol):
    """One upstream language; one module-level object per folder, listed in `DIALECTS`."""

    def call(self, request: Request, target: Target) -> Call:
        """Translate. Raises ApiError for what the target cannot do at all."""
        ...

    def reader(self, call: Call, writer: MessageWriter) -> Reader: ...

    def error(self, status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
        """Their error as ours. Header names are lower-case."""
        ...


class Relays(Protocol):
    """Optional: a dialect whose upstreams speak Messages, so that requests and answers are passed on."""

    relays: Literal[True]


class AnswersOnce(Protocol):
    """Optional: a dialect whose readers offer no `Continues`.

    They get their call without its body, which would be kept in memory for as long as the answer streams.
    """

    answers_once: Literal[True]


class Repairs(Protocol):
    """Optional: a dialect that can mend a refused call."""

    def repair(self, call: Call, error: ApiError) -> Repair | None: ...


class Counts(Protocol):
    """Optional: a dialect whose upstreams count the input tokens of a request."""

    def count(self, request: Request, target: Target) -> Call:
        """The call that asks. Raises ApiError as `Dialect.call` does."""
        ...

    def counted(self, body: bytes) -> int:
        """Input tokens in its answer. Raises ApiError("bad_answer")."""
        ...
