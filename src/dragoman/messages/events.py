"""The answer: Messages stream events, the content blocks in them, and the whole Message.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from typing import Any, Literal

from msgspec import Raw, Struct

from dragoman.messages.errors import ErrorBody

StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"
]

EMPTY_INPUT = Raw(b"{}")


class CacheCreation(Struct, frozen=True, gc=False):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class OutputDetails(Struct, frozen=True, gc=False):
    thinking_tokens: int = 0


class ServerToolUsage(Struct, frozen=True, gc=False):
    web_search_requests: int = 0
    web_fetch_requests: int = 0


class Usage(Struct, frozen=True):
    """Tokens. The three input counters are disjoint; all are totals so far, never increments."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: ServerToolUsage | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None


class StopDetails(Struct, frozen=True, tag="refusal"):
    """Why a model refused."""

    category: str | None = None
    explanation: str | None = None


class TextBlock(Struct, frozen=True, tag="text", omit_defaults=True):
    text: str
    citations: list[dict[str, Any]] | None = None


class ThinkingBlock(Struct, frozen=True, tag="thinking"):
    thinking: str
    signature: str


class RedactedThinkingBlock(Struct, frozen=True, tag="redacted_thinking"):
    data: str


class ToolUseBlock(Struct, frozen=True, tag="tool_use"):
    id: str
    name: str
    input: Raw = EMPTY_INPUT


class ServerToolUseBlock(Struct, frozen=True, tag="server_tool_use"):
    id: str
    name: str
    input: Raw = EMPTY_INPUT


class WebSearchResult(Struct, frozen=True, tag="web_search_result"):
    url: str
    title: str
    encrypted_content: str = ""
    page_age: str | None = None


class WebSearchToolResultBlock(Struct, frozen=True, tag="web_search_tool_result"):
    tool_use_id: str
    content: list[WebSearchResult]


class PlainText(Struct, frozen=True, tag="text"):
    data: str = ""
    media_type: str = "text/plain"


class FetchedDocument(Struct, frozen=True, tag="document"):
    source: PlainText = PlainText()
    title: str | None = None
    citations: None = None


class WebFetchResult(Struct, frozen=True, tag="web_fetch_result"):
    url: str
    content: FetchedDocument = FetchedDocument()
    retrieved_at: str | None = None


class WebFetchError(Struct, frozen=True, tag="web_fetch_tool_result_error"):
    error_code: str


class WebFetchToolResultBlock(Struct, frozen=True, tag="web_fetch_tool_result"):
    tool_use_id: str
    content: WebFetchResult | WebFetchError


ContentBlock = (
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ServerToolUseBlock
    | WebSearchToolResultBlock
    | WebFetchToolResultBlock
)


class Message(Struct, frozen=True, tag="message"):
    id: str
    model: str
    content: list[ContentBlock]
    usage: Usage
    role: str = "assistant"
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    container: None = None
    diagnostics: None = None


class TextDelta(Struct, frozen=True, gc=False, tag="text_delta"):
    text: str


class ThinkingDelta(Struct, frozen=True, gc=False, tag="thinking_delta"):
    thinking: str


class SignatureDelta(Struct, frozen=True, gc=False, tag="signature_delta"):
    signature: str


class InputDelta(Struct, frozen=True, gc=False, tag="input_json_delta"):
    partial_json: str


class CitationsDelta(Struct, frozen=True, tag="citations_delta"):
    citation: dict[str, Any]


Delta = TextDelta | ThinkingDelta | SignatureDelta | InputDelta | CitationsDelta


class MessageStart(Struct, frozen=True, tag="message_start"):
    message: Message


class BlockStart(Struct, frozen=True, tag="content_block_start"):
    index: int
    content_block: ContentBlock


class BlockDelta(Struct, frozen=True, gc=False, tag="content_block_delta"):
    index: int
    delta: Delta


class Deltas(Struct, frozen=True, gc=False):
    """Several deltas of one block and one kind in a row, as one object: `sse.encode` writes a frame for each."""

    index: int
    kind: type[TextDelta] | type[ThinkingDelta] | type[InputDelta]
    texts: list[str]  # none is empty

    def each(self) -> list[BlockDelta]:
        """The same as events of their own."""
        return [BlockDelta(self.index, self.kind(text)) for text in self.texts]


class BlockStop(Struct, frozen=True, gc=False, tag="content_block_stop"):
    index: int


class WholeBlock(Struct, frozen=True):
    """A block that was there at once: its start, its delta and its stop as one object, which `sse.encode` writes."""

    index: int
    block: TextBlock | ToolUseBlock  # a text that is not empty; an input that is JSON and not {}

    def each(self) -> "list[BlockStart | BlockDelta | BlockStop]":
        """The same as events of their own."""
        index, block = self.index, self.block
        begun: ContentBlock
        delta: Delta
        if isinstance(block, TextBlock):
            begun, delta = TextBlock(""), TextDelta(block.text)
        else:
            begun, delta = ToolUseBlock(block.id, block.name), InputDelta(str(block.input, "utf-8"))
        return [BlockStart(index, begun), BlockDelta(index, delta), BlockStop(index)]


class Outcome(Struct, frozen=True):
    """`delta` of the message_delta event."""

    stop_reason: StopReason
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    container: None = None


class MessageDelta(Struct, frozen=True, tag="message_delta"):
    delta: Outcome
    usage: Usage


class MessageStop(Struct, frozen=True, gc=False, tag="message_stop"):
    pass


class Ping(Struct, frozen=True, gc=False, tag="ping"):
    pass


class ErrorEvent(Struct, frozen=True, tag="error", omit_defaults=True):
    error: ErrorBody
    request_id: str = ""


class Relayed(Struct, frozen=True, gc=False):
    """Whole frames of an upstream that speaks Messages itself, as they came; `sse.encode` only takes them out."""

    frames: bytes


Event = (
    MessageStart
    | BlockStart
    | BlockDelta
    | Deltas
    | BlockStop
    | WholeBlock
    | MessageDelta
    | MessageStop
    | Ping
    | ErrorEvent
    | Relayed
)
