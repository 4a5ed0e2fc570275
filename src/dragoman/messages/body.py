"""The body of a request as the client writes it, typed as far as it is read.

Unknown fields and unknown block types are legal: structs are flat, with `type: str`, and what has no field here is
left in `Request.raw`. Tool schemas and tool inputs stay raw JSON.
Fields: https://platform.claude.com/docs/en/api/messages
"""

import struct
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct, field

from dragoman.messages.outline import ABSENT, Metadata

NO_RAW = ABSENT  # an absent raw field; an explicit null is Raw(b"null")
NULL = Raw(b"null")
VISIBLE = frozenset(range(0x21, 0x7F)) - set(b'"\\u')
"""Second bytes that tell that `Block.text_json` is more than white space; `u` is left out because of null."""
two_bytes = struct.Struct("BB").unpack_from
"""The first two bytes of raw JSON; a memoryview costs twice as much, and every text is looked at."""
_text = msgspec.json.Decoder(str | None).decode


class CacheControl(Struct, frozen=True, gc=False):
    type: str = "ephemeral"
    ttl: str | None = None


class Source(Struct, frozen=True, gc=False):
    """Where an image or a document comes from: base64, url, file, text or content."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: "str | list[Block] | None" = None


class Block(Struct, frozen=True, gc=False):
    """One content block of any type; the fields of all types side by side, absent ones at their default."""

    type: str
    text_json: Raw = field(default=NULL, name="text")
    """A JSON string or null. Most of a body is text, and nearly all of it goes on as it came: it stays as it is."""
    cache_control: CacheControl | None = None
    citations: Raw = NO_RAW  # a list on text, {"enabled": bool} on documents
    # image, document, search_result (there `source` is a string)
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None
    # tool_use, server_tool_use, mcp_tool_use
    id: str | None = None
    name: str | None = None
    input: Raw = NO_RAW
    # tool_result and the results of server tools
    tool_use_id: str | None = None
    content: "str | list[Block] | Block | None" = None
    is_error: bool | None = None
    # thinking, redacted_thinking
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    # tool_reference; tool_addition and tool_removal
    tool_name: str | None = None
    tool: Raw = NO_RAW
    # inside the results of server tools
    url: str | None = None
    file_id: str | None = None
    error_code: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    return_code: int | None = None
    tool_references: "list[Block] | None" = None

    @property
    def text(self) -> str | None:
        """The text itself; decoded with every look."""
        text: str | None = _text(self.text_json)
        return text

    @property
    def is_blank(self) -> bool:
        """Whether there is no text, or nothing but white space in it."""
        if two_bytes(self.text_json)[1] in VISIBLE:
            return False
        text = self.text
        return not text or text.isspace()

    @property
    def cites(self) -> bool:
        """Whether it has citations, or asks for them. Few do, so who asks often looks for `citations` first."""
        if self.citations is NO_RAW:
            return False
        said = memoryview(self.citations).tobytes()
        return said not in (b"null", b"[]", b"{}") and b"false" not in said


_block = msgspec.json.Decoder(Block).decode


def text_block(text: str, cache_control: CacheControl | None = None) -> Block:
    return Block("text", Raw(msgspec.json.encode(text)), cache_control)


class Effort(Struct, frozen=True, gc=False):
    """`output_config` of the request or of one system turn."""

    effort: str | None = None
    format: "Format | None" = None
    task_budget: Raw = NO_RAW


class Format(Struct, frozen=True, gc=False):
    type: str
    schema: Raw = NO_RAW
    name: str | None = None


class Turn(Struct, frozen=True, gc=False):
    role: str
    content: str | list[Block] | None = None
    output_config: Effort | None = None
    clear_at: str | None = None


class Tool(Struct, frozen=True, gc=False):
    name: str | None = None  # toolsets have none
    type: str | None = None  # None and "custom" are functions of the caller
    description: str | None = None
    input_schema: Raw = NO_RAW
    strict: bool | None = None
    cache_control: CacheControl | None = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None
    input_examples: Raw = NO_RAW
    allowed_callers: Raw = NO_RAW
    # web_search, web_fetch
    max_uses: int | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    user_location: Raw = NO_RAW
    # text_editor_20250728; computer_*
    max_characters: int | None = None
    display_width_px: int | None = None
    display_height_px: int | None = None
    display_number: int | None = None
    enable_zoom: bool | None = None
    mcp_server_name: str | None = None

    @property
    def is_function(self) -> bool:
        """True when the caller runs it and gave its schema."""
        return self.type in (None, "custom")


class KnownTools(list[Tool]):
    """The tools of a large body, decoded once and remembered.

    `json`: their text, the same object whenever they are the same. Its hash is computed once, so what follows from the
    tools alone can be remembered by it at next to no cost.
    """

    __slots__ = ("json",)

    def __init__(self, tools: list[Tool], json: bytes) -> None:
        super().__init__(tools)
        self.json = json


class KnownBlock:
    """A long block of a system prompt that came again, decoded once and remembered."""

    __slots__ = ("_block", "text")

    def __init__(self, text: bytes) -> None:
        """`text`: its JSON."""
        self.text = text
        self._block: Block | None = None

    @property
    def block(self) -> Block:
        """Raises msgspec.DecodeError when its text is something else."""
        if self._block is None:
            self._block = _block(self.text)
        return self._block


class ToolChoice(Struct, frozen=True, gc=False):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, frozen=True, gc=False):
    type: str  # enabled, adaptive, disabled, between_tools
    budget_tokens: int | None = None
    display: str | None = None  # summarized, omitted, updates


class Body(Struct, frozen=True, gc=False):
    """`POST /v1/messages` and `/v1/messages/count_tokens`."""

    model: Annotated[str, Meta(min_length=1)]
    messages: list[Turn]
    max_tokens: Annotated[int, Meta(ge=0)] | None = None  # absent only when counting
    system: str | list[Block] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: Effort | None = None
    output_format: Format | None = None  # the older name of output_config.format
    metadata: Metadata | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    cache_control: CacheControl | None = None
    container: Raw = NO_RAW
    diagnostics: Raw = NO_RAW
    context_management: Raw = NO_RAW
    mcp_servers: Raw = NO_RAW
    compaction: Raw = NO_RAW
    fallbacks: Raw = NO_RAW
    fallback_credit_token: Raw = NO_RAW
    thread: Raw = NO_RAW
    billing_policy: Raw = NO_RAW
    safeguards: Raw = NO_RAW
    tags: Raw = NO_RAW


TYPES = frozenset(
    {
        "text",
        "image",
        "document",
        "search_result",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "tool_reference",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "container_upload",
        "mcp_tool_use",
        "mcp_tool_result",
        "compaction",
        "tool_addition",
        "tool_removal",
    }
)
"""Block types whose fields are known here; a wrong type in them is the caller's mistake."""
