"""The request as the client writes it: the Messages body, typed as far as it is read.

Unknown fields and unknown block types are legal: structs are flat, with `type: str`, and what has no field here is
left in `Request.raw`. Tool schemas and tool inputs stay raw JSON.
Fields: https://platform.claude.com/docs/en/api/messages
"""

import re
from codecs import utf_8_decode
from collections.abc import Callable
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from dragoman.messages.errors import ApiError
from dragoman.messages.memory import Memory
from dragoman.messages.notes import Note
from dragoman.messages.outline import Head, Metadata, Outline

NESTING_LIMIT = 100  # levels of JSON that a tool schema or a tool input may have
NO_RAW = Raw()  # an absent raw field; an explicit null is Raw(b"null")
NULL = Raw(b"null")

_QUOTE = ord('"')
VISIBLE = frozenset(range(0x21, 0x7F)) - set(b'"\\u')
"""Second bytes that tell that `Block.text_json` is more than white space; `u` is left out because of null."""
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
        if memoryview(self.text_json)[1] in VISIBLE:
            return False
        text = self.text
        return not text or text.isspace()


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


class Request(Struct, frozen=True, dict=True):
    """What a caller asks, without who asks: no credentials in here.

    It is decoded when somebody looks, and no further than that: who passes it on as it is needs only its head. What
    looks at `body`, or at one of the fields of the head, raises ApiError("invalid_request") that names the field.
    """

    raw: bytes  # as received, after decompression
    counting: bool = False  # for `count_tokens`, where no answer is asked for
    version: str = ""  # anthropic-version
    betas: tuple[str, ...] = ()  # anthropic-beta, split at commas
    query: str = ""
    named_session: str | None = None  # value of x-claude-code-session-id
    headers: tuple[tuple[bytes, bytes], ...] = ()  # the caller's own that an upstream of Messages may see

    @cached_property
    def _decoded(self) -> "tuple[Body, tuple[Note, ...]]":
        body, notes = _read_json(self.raw, _body)
        if body.max_tokens is None and not self.counting:
            raise ApiError("invalid_request", "max_tokens: Field required")
        return body, notes

    @cached_property
    def body(self) -> Body:
        return self._decoded[0]

    @cached_property
    def outline(self) -> Outline | None:
        """What the turns are made of; None where the body is so odd that only its upstream can say what is wrong."""
        try:
            return _read_json(self.raw, _outline)[0]
        except ApiError:
            return None

    @cached_property
    def _head(self) -> Body | Head:
        if "body" in self.__dict__:
            return self.body
        return self.outline or _read_json(self.raw, _head)[0]

    @property
    def notes(self) -> tuple[Note, ...]:
        """From decoding itself; none before that."""
        return self._decoded[1] if "_decoded" in self.__dict__ else ()

    @cached_property
    def model(self) -> str:
        return self._head.model

    @property
    def stream(self) -> bool:
        return bool(self._head.stream)

    @property
    def thinks(self) -> bool:
        return self.outline is not None and self.outline.thinks

    @property
    def max_tokens(self) -> int | None:
        return self._head.max_tokens

    @cached_property
    def session(self) -> str | None:
        """A stable name of the conversation, when the client gives one: in a header, else in `metadata.user_id`."""
        return self.named_session or session_of(self._head.metadata)


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

_HEAD = msgspec.json.Decoder(Head)
_OUTLINE = msgspec.json.Decoder(Outline)
_BODY = msgspec.json.Decoder(Body)
_TOOLS = msgspec.json.Decoder(list[Tool] | None)
_LARGE = 8192  # bytes of a body whose tools are worth being decoded apart
_PIECE = 16 * 1024  # bytes that are checked at once
_MEMO_LIMIT = 512 * 1024  # bytes of a tool list that is remembered

# A body whose tools are still JSON: agents send the same tools with every request, and they are half of it.
_APART = msgspec.json.Decoder(
    msgspec.defstruct(
        "_Apart",
        [
            (
                field.name,
                Raw if field.name == "tools" else field.type,
                NO_RAW if field.name == "tools" else field.default,
            )
            for field in msgspec.structs.fields(Body)
        ],
        frozen=True,
        gc=False,
    )
)
_parts = attrgetter(*Body.__struct_fields__)
_MET: Memory[KnownTools] = Memory(16)
_ELSEWHERE = b'"\\u0000tools"'
_ELSEWHERE_RAW = Raw(_ELSEWHERE)
_TOOLS_AT = Body.__struct_fields__.index("tools")
_BLOCK = msgspec.json.Decoder(Block)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ROWS = msgspec.json.Decoder(list[dict[str, Raw]])
_RAWS = msgspec.json.Decoder(list[Raw])
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SHALLOW = 2 * NESTING_LIMIT  # bytes of JSON that cannot nest deeper: each level takes two brackets
_MISSING = "Object missing required field `"
_LONE = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def repair_surrogates(raw: bytes) -> bytes:
    r"""Replace every `\ud800`-`\udfff` escape that is not half of a pair by `\ufffd`."""
    return _LONE.sub(lambda m: m[0] if m[2] else m[1] + rb"\ufffd", raw)


def decode(
    raw: bytes,
    *,
    counting: bool = False,
    version: str = "",
    betas: tuple[str, ...] = (),
    query: str = "",
    session: str | None = None,
) -> Request:
    """A request whose body is decoded at once.

    `session` is the value of `x-claude-code-session-id`, if any. Raises ApiError("invalid_request") that names the
    field.
    """
    request = Request(raw, counting, version, betas, query, session)
    request.body  # noqa: B018 looked at, so that a wrong one is told here
    return request


_Found = TypeVar("_Found")


def _read_json(
    raw: bytes, read: "Callable[[bytes], tuple[_Found, tuple[Note, ...]]]"
) -> "tuple[_Found, tuple[Note, ...]]":
    """What `read` finds in `raw`, with lone surrogates repaired. Raises ApiError("invalid_request")."""
    try:
        try:
            return read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if isinstance(error, msgspec.ValidationError):
                raise
            repaired = repair_surrogates(raw.decode("utf-8", "replace").encode())
            if repaired == raw:
                raise
            found, notes = read(repaired)
            return found, (Note("changed", "unicode.repaired"), *notes)
    except msgspec.ValidationError as error:
        raise ApiError("invalid_request", field_message(str(error))) from None
    except RecursionError:
        raise ApiError("invalid_request", "The JSON body is nested too deeply.") from None
    except msgspec.DecodeError as error:
        raise ApiError("invalid_request", f"The request body is not valid JSON: {error}") from None


def _head(raw: bytes) -> tuple[Head, tuple[Note, ...]]:
    return _HEAD.decode(raw), ()


def _outline(raw: bytes) -> tuple[Outline, tuple[Note, ...]]:
    return _OUTLINE.decode(raw), ()


def _body(raw: bytes) -> tuple[Body, tuple[Note, ...]]:
    try:
        body = _with_known_tools(raw) if len(raw) > _LARGE else _whole(raw)
        _check(body, tools=len(raw) <= _LARGE)
    except msgspec.ValidationError:
        # A block type that is not known here may give our fields other shapes. Looked at only when decoding failed.
        known, notes = _with_known_shapes(raw)
        if not notes:
            raise
        body = _whole(known)
        _check(body, tools=True)
        return body, notes
    return body, ()


def _whole(raw: bytes) -> Body:
    _check_utf8(raw)
    return _BODY.decode(raw)


def _with_known_tools(raw: bytes) -> Body:
    met = _MET.find(raw)
    if met is not None:
        start, end, known = met
        rest = b"".join((raw[:start], _ELSEWHERE, raw[end:]))
        try:
            _check_utf8(rest)
            values = _parts(_APART.decode(rest))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _whole(raw)  # fails too, and tells where in the whole body
        # What stands for them must have become the tools of the body: a text is not known by its bytes alone.
        if values[_TOOLS_AT] == _ELSEWHERE_RAW:
            return Body(*(*values[:_TOOLS_AT], known, *values[_TOOLS_AT + 1 :]))
    _check_utf8(raw)
    values = _parts(_APART.decode(raw))
    text = bytes(values[_TOOLS_AT]) or b"null"
    try:
        tools = known_tools(text) if len(text) <= _MEMO_LIMIT else _checked_tools(text)
    except msgspec.ValidationError:
        return _BODY.decode(raw)  # fails too, and names the place in the whole body
    if isinstance(tools, KnownTools):
        _MET.keep(tools.json, tools, raw)
    return Body(*(*values[:_TOOLS_AT], tools, *values[_TOOLS_AT + 1 :]))


def _check_utf8(raw: bytes) -> None:
    """Raises UnicodeDecodeError. The decoder of JSON checks only what it decodes, and raw parts go on as they are."""
    if raw.isascii():
        return
    size = len(raw)
    done = 0
    while done < size:  # in pieces that stay in the processor's cache
        piece = raw[done : done + _PIECE]
        done += utf_8_decode(piece, "strict", done + _PIECE >= size)[1]


def _checked_tools(text: bytes) -> list[Tool] | None:
    tools: list[Tool] | None = _TOOLS.decode(text)
    _check_tools(tools)
    return tools


@lru_cache(maxsize=64)  # the same bytes give the same tools, so a memory of them changes nothing but the time it takes
def known_tools(text: bytes) -> KnownTools | None:
    """The tools in the JSON `text`. Raises msgspec.ValidationError, and ApiError for schemas that nest too deeply."""
    tools = _checked_tools(text)
    return None if tools is None else KnownTools(tools, text)


def _with_known_shapes(raw: bytes) -> tuple[bytes, tuple[Note, ...]]:
    notes: list[Note] = []
    try:
        fields = _FIELDS.decode(raw)
        turns = _ROWS.decode(fields.get("messages", b"[]"))
    except msgspec.ValidationError:
        return raw, ()
    for index, turn in enumerate(turns):
        if "content" in turn:
            turn["content"] = _known_shapes(turn["content"], f"messages.{index}.content", notes)
    fields["messages"] = Raw(msgspec.json.encode(turns))
    return msgspec.json.encode(fields), tuple(notes)


def _read(raw: Raw) -> None:
    """Raises msgspec.ValidationError for a block whose fields are of a foreign shape."""
    _check_blocks([_BLOCK.decode(raw)], "", 1)


def _known_shapes(content: Raw, place: str, notes: list[Note]) -> Raw:
    """The same blocks; those that are of a foreign shape and of an unknown type are left with their type alone."""
    try:
        blocks = _RAWS.decode(content)
    except msgspec.ValidationError:
        return content
    for number, raw in enumerate(blocks):
        try:
            _read(raw)
        except msgspec.ValidationError:
            try:
                fields = _FIELDS.decode(raw)
            except msgspec.ValidationError:
                continue  # no object at all
            type_ = msgspec.json.decode(fields.get("type", b"null"))
            if type_ == "tool_result" and "content" in fields:
                fields["content"] = _known_shapes(fields["content"], f"{place}.{number}.content", notes)
            elif isinstance(type_, str) and type_ not in TYPES:
                fields = {"type": fields["type"]}
                notes.append(Note("lost", "block.unreadable", f"{place}.{number}"))
            blocks[number] = Raw(msgspec.json.encode(fields))
    return Raw(msgspec.json.encode(blocks))


def session_of(metadata: Metadata | None) -> str | None:
    """The session part of `metadata.user_id`: Claude Code puts a JSON object with `session_id` there."""
    user = metadata.user_id if metadata else None
    if not user:
        return None
    if user.startswith("{"):
        try:
            found: Any = msgspec.json.decode(user)
        except (msgspec.DecodeError, RecursionError):
            return None
        session = found.get("session_id")
        return session if isinstance(session, str) and session else None
    return user.partition("_session_")[2] or None


def field_message(text: str) -> str:
    """msgspec's "Expected `str`, got `int` - at `$.a[0].b`" as "a.0.b: Expected `str`, got `int`"."""
    problem, _, path = text.partition(" - at `$")
    path = path.rstrip("`").replace("[...]", ".*").replace("[", ".").replace("]", "").strip(".")
    if problem.startswith(_MISSING):
        path = f"{path}.{problem.removeprefix(_MISSING).rstrip('`')}".strip(".")
        problem = "Field required"
    return f"{path}: {problem}" if path else problem


def depth(raw: bytes) -> int:
    """Levels of arrays and objects in a valid JSON text."""
    level = deepest = 0
    for mark in _STRINGS.sub(b"", raw).translate(None, _NO_BRACKETS):
        if mark in b"[{":
            level += 1
            deepest = max(deepest, level)
        else:
            level -= 1
    return deepest


def _check_tools(tools: list[Tool] | None) -> None:
    for index, tool in enumerate(tools or ()):
        _check_raw(tool.input_schema, f"tools.{index}.input_schema")


def _check(body: Body, *, tools: bool) -> None:
    """What decoding does not tell: raises ApiError for JSON that nests too deeply, msgspec.ValidationError for texts
    that are no strings.
    """
    if tools:
        _check_tools(body.tools)
    if body.output_config and body.output_config.format:
        _check_raw(body.output_config.format.schema, "output_config.format.schema")
    if body.output_format:
        _check_raw(body.output_format.schema, "output_format.schema")
    if isinstance(body.system, list):
        _check_blocks(body.system, "system", 1)
    for index, turn in enumerate(body.messages):
        if isinstance(turn.content, list) and not _are_flat(turn.content):
            _check_blocks(turn.content, f"messages.{index}.content", 1)


def _are_flat(blocks: list[Block]) -> bool:
    """A quick look at what nearly all blocks are: text, small inputs, results with text in them."""
    for block in blocks:
        kind = block.type
        if kind == "text":
            if memoryview(block.text_json)[0] != _QUOTE:
                return False
        elif block.text_json is not NULL:
            return False
        elif kind == "tool_use":
            if len(block.input) > _SHALLOW:
                text = memoryview(block.input).tobytes()
                if text.count(b"{") + text.count(b"[") > NESTING_LIMIT:
                    return False
        elif kind == "tool_result":
            content = block.content
            if content is not None and not isinstance(content, str):
                if not isinstance(content, list):
                    return False
                for inner in content:
                    if inner.type != "text" or memoryview(inner.text_json)[0] != _QUOTE:
                        return False
        else:
            return False
    return True


_KINDS = {b"{": "object", b"[": "array", b"t": "bool", b"f": "bool"}


def _check_text(raw: Raw, place: str) -> None:
    if memoryview(raw)[0] != _QUOTE and raw != NULL:
        first = memoryview(raw).tobytes()
        kind = _KINDS.get(first[:1]) or ("int" if first.lstrip(b"-").isdigit() else "float")
        raise msgspec.ValidationError(f"Expected `str | null`, got `{kind}` - at `$.{place}`")


def _check_blocks(blocks: list[Block], place: str, level: int) -> None:
    if level > NESTING_LIMIT // 2:
        turn = place.split(".content", maxsplit=1)[0]
        raise ApiError("invalid_request", f"{turn}: nested more than {NESTING_LIMIT} levels deep.")
    for index, block in enumerate(blocks):
        _check_text(block.text_json, f"{place}.{index}.text")
        if block.type == "text":  # nobody looks for more in it
            continue
        if len(block.input) > _SHALLOW:
            _check_raw(block.input, f"{place}.{index}.input")
        if len(block.tool) > _SHALLOW:
            _check_raw(block.tool, f"{place}.{index}.tool")
        source = block.source
        if isinstance(source, Source):
            _check_content(source.content, f"{place}.{index}.source.content", level)
        if block.tool_references:
            _check_blocks(block.tool_references, f"{place}.{index}.tool_references", level + 1)
        content = block.content
        if content is not None and not isinstance(content, str):
            _check_content(content, f"{place}.{index}.content", level)


def _check_content(inner: "str | list[Block] | Block | None", place: str, level: int) -> None:
    if inner is not None and not isinstance(inner, str):
        _check_blocks(inner if isinstance(inner, list) else [inner], place, level + 1)


def _check_raw(raw: Raw, place: str) -> None:
    text = memoryview(raw).tobytes()
    # Few brackets cannot nest deeply, and counting them is much cheaper than walking.
    if text.count(b"{") + text.count(b"[") > NESTING_LIMIT and depth(text) > NESTING_LIMIT:
        raise ApiError("invalid_request", f"{place}: nested more than {NESTING_LIMIT} levels deep.")
