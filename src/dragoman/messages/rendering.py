"""Blocks as text, for upstreams that do not know their type."""

import re
from collections.abc import Callable

from dragoman.messages.body import NO_RAW, Block, Source, text_block
from dragoman.messages.notes import Note

_NOT_IN_TYPES = re.compile(r"[^a-zA-Z0-9_.-]")


def is_empty(block: Block) -> bool:
    """Whether it is text that says nothing."""
    return block.type == "text" and block.is_blank


def content_of(block: Block) -> list[Block]:
    """The blocks inside a tool_result or another block with `content`; empty text is left out."""
    return [inner for _, inner in numbered_content(block)]


def numbered_content(block: Block) -> list[tuple[int, Block]]:
    """The same, each with its number in the caller's list."""
    content = block.content
    if content is None:
        return []
    if isinstance(content, str):
        content = text_block(content)
    inner = enumerate(content if isinstance(content, list) else [content])
    return [(number, one) for number, one in inner if not is_empty(one)]


def as_text(block: Block) -> str:
    """A block as text, for upstreams that do not know its type; "" only for thinking and for empty text.

    Nothing is dropped: what has no text of its own (an image, an unknown type) becomes a marker that names the type.
    Reasoning never becomes text: a model would take it for something that was said.
    """
    render = _RENDERINGS.get(block.type)
    return render(block) if render else _other(block)


def in_words(block: Block, place: str, notes: list[Note]) -> str:
    """A block that has no place of its own in an upstream's language, as text. A note says so."""
    shown = as_text(block)
    is_text = isinstance(block.source, Source) and block.source.type in ("text", "content")
    # A bare marker, or a document that is no text: the model will not know what was in it.
    lost = shown == f"[{block.type}]" or (block.type == "document" and not is_text)
    notes.append(Note("lost" if lost else "changed", "block.as_text", place))
    return shown


def _lines(*parts: str | None) -> str:
    return "\n".join(part for part in parts if part)


def _inside(block: Block) -> str:
    return _lines(*map(as_text, content_of(block)))


def _other(block: Block) -> str:
    """Any block: its type, and the text in whatever fields it has."""
    said = [part for part in (block.title, block.url, block.file_id, block.error_code) if part]
    name = _NOT_IN_TYPES.sub("_", block.type[:64])
    head = f"[{name}: {', '.join(said)}]" if said else f"[{name}]"
    references = _lines(*map(as_text, block.tool_references or ()))
    return _lines(head, block.text, _inside(block), references, block.stdout, block.stderr)


def _wrapper(block: Block) -> str:
    """A result of a server tool that only wraps what was found."""
    return _inside(block) or _other(block)


def _called(block: Block) -> str:
    arguments = "{}" if block.input is NO_RAW else memoryview(block.input).tobytes().decode("utf-8", "replace")
    return f"[Called {block.name or 'a tool'}: {arguments}]"


def head_of_result(block: Block) -> str:
    """The line above what a tool answered."""
    return "[Error result of a tool]" if block.is_error else "[Result of a tool]"


def _result(block: Block) -> str:
    return _lines(head_of_result(block), _inside(block))


def _document(block: Block) -> str:
    source = block.source if isinstance(block.source, Source) else Source(type="none")
    if source.type == "text":
        shown = source.data or ""
    elif source.type == "content":
        shown = _inside(Block(type="document", content=source.content))
    else:
        shown = f"[{source.url or source.file_id or source.media_type or 'no content'}]"
    return _lines(
        f"[Document: {block.title}]" if block.title else "[Document]",
        f"[Context: {block.context}]" if block.context else None,
        shown,
    )


def _search_result(block: Block) -> str:
    source = f" ({block.source})" if isinstance(block.source, str) and block.source else ""
    return _lines(f"[Search result: {block.title or 'untitled'}{source}]", _inside(block))


def _ran(block: Block) -> str:
    code = "" if block.return_code is None else f", return code {block.return_code}"
    return _lines(f"[Ran code{code}]", block.stdout, block.stderr, _inside(block))


_RENDERINGS: dict[str, Callable[[Block], str]] = {
    "text": lambda block: block.text or "",
    "thinking": lambda _: "",
    "redacted_thinking": lambda _: "",
    "image": lambda _: "[image]",
    "document": _document,
    "search_result": _search_result,
    "tool_use": _called,
    "server_tool_use": _called,
    "mcp_tool_use": _called,
    "tool_result": _result,
    "mcp_tool_result": _result,
    "tool_reference": lambda block: f"[Loaded tool: {block.tool_name or 'unnamed'}]",
    "tool_search_tool_result": _wrapper,
    "tool_search_tool_search_result": lambda block: (
        _lines(*map(as_text, block.tool_references or ())) or "[Loaded no tool]"
    ),
    "web_search_tool_result": lambda block: _lines("[Web search results]", _inside(block)),
    "web_search_result": lambda block: f"- {block.title or 'untitled'}: {block.url or ''}",
    "web_fetch_tool_result": _wrapper,
    "web_fetch_result": lambda block: _lines(f"[Fetched {block.url or 'a page'}]", _inside(block)),
    "code_execution_tool_result": _wrapper,
    "bash_code_execution_tool_result": _wrapper,
    "text_editor_code_execution_tool_result": _wrapper,
    "code_execution_result": _ran,
    "bash_code_execution_result": _ran,
    "advisor_tool_result": _wrapper,
    "compaction": lambda block: _lines("[Summary of the conversation so far]", _inside(block)),
    "container_upload": lambda block: f"[Uploaded file: {block.file_id or 'unnamed'}]",
}
