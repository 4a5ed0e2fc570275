"""What is read of Responses answers: stream events and whole responses, as types, and how odd bytes become them.

The typed decoders are for the common case, and pass over what nobody reads: three events of each answer repeat the
request's instructions and tools. Whatever they refuse (a number where a string belongs, a lone surrogate) goes through
`loose` and `loose_response`, which keep every field that makes sense.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from typing import Any

import msgspec
from msgspec import Struct

from dragoman.messages.lenient import clean, count, dicts, text

Written = str | dict[str, Any] | None  # arguments: an object from servers that forget to write it as text


class Part(Struct):
    """A part of a message's content, or of the summary or the content of reasoning."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None


class Item(Struct):
    """An output item of any type."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Written = None
    content: list[Part] | str | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    action: dict[str, Any] | None = None  # of a web search


class InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(Struct):
    reasoning_tokens: int | None = None


class Tokens(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class Incomplete(Struct):
    reason: str | None = None


class Searches(Struct):
    num_requests: int | None = None


class ToolUsage(Struct):
    web_search: Searches | None = None


class Response(Struct):
    """The response object: a whole answer, or what an event says about it."""

    status: str | None = None
    output: list[Item] | None = None
    usage: Tokens | None = None
    error: Any = None
    incomplete_details: Incomplete | None = None
    service_tier: str | None = None
    tool_usage: ToolUsage | None = None
    content_filters: list[dict[str, Any]] | None = None  # Azure
    input_transformations: list[dict[str, Any]] | None = None  # reasoning that the server did not read


class StreamEvent(Struct):
    """An event of any type; each fills some of the fields."""

    type: str = ""
    delta: str | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: Written = None
    name: str | None = None
    part: Part | None = None
    annotation: dict[str, Any] | None = None
    item: Item | None = None
    response: Response | None = None
    error: Any = None


decode = msgspec.json.Decoder(StreamEvent).decode
decode_response = msgspec.json.Decoder(Response).decode


def loose(value: Any) -> StreamEvent:
    """An event out of plain values: each field that has a usable type, nothing for the others."""
    if not isinstance(value, dict):
        return StreamEvent()
    part, annotation, item, response = (value.get(name) for name in ("part", "annotation", "item", "response"))
    return StreamEvent(
        type=text(value.get("type")) or "",
        delta=text(value.get("delta")),
        text=text(value.get("text")),
        refusal=text(value.get("refusal")),
        output_index=count(value.get("output_index")),
        content_index=count(value.get("content_index")),
        summary_index=count(value.get("summary_index")),
        item_id=clean(text(value.get("item_id"))),
        arguments=_written(value.get("arguments")),
        name=clean(text(value.get("name"))),
        part=_part(part) if isinstance(part, dict) else None,
        annotation=clean(annotation) if isinstance(annotation, dict) else None,
        item=_item(item) if isinstance(item, dict) else None,
        response=loose_response(response) if isinstance(response, dict) else None,
        error=clean(value.get("error")),
    )


def loose_response(value: Any) -> Response:
    """A response out of plain values."""
    if not isinstance(value, dict):
        return Response()
    output, details, used = (value.get(name) for name in ("output", "incomplete_details", "tool_usage"))
    searches = used.get("web_search") if isinstance(used, dict) else None
    return Response(
        status=text(value.get("status")),
        output=[_item(each) for each in dicts(output)] if output is not None else None,
        usage=_tokens(value.get("usage")),
        error=clean(value.get("error")),
        incomplete_details=Incomplete(text(details.get("reason"))) if isinstance(details, dict) else None,
        service_tier=text(value.get("service_tier")),
        tool_usage=ToolUsage(Searches(count(searches.get("num_requests")))) if isinstance(searches, dict) else None,
        content_filters=clean(dicts(value.get("content_filters"))),
        input_transformations=clean(dicts(value.get("input_transformations"))),
    )


def _item(value: dict[str, Any]) -> Item:
    content, action = value.get("content"), value.get("action")
    return Item(
        type=text(value.get("type")) or "",
        id=clean(text(value.get("id"))),
        call_id=clean(text(value.get("call_id"))),
        name=clean(text(value.get("name"))),
        arguments=_written(value.get("arguments")),
        content=content if isinstance(content, str) else [_part(each) for each in dicts(content)],
        summary=[_part(each) for each in dicts(value.get("summary"))],
        encrypted_content=clean(text(value.get("encrypted_content"))),
        action=clean(action) if isinstance(action, dict) else None,
    )


def _part(value: dict[str, Any]) -> Part:
    return Part(
        type=text(value.get("type")) or "",
        text=text(value.get("text")),
        refusal=text(value.get("refusal")),
        annotations=clean(dicts(value.get("annotations"))),
    )


def _written(value: Any) -> Written:
    if isinstance(value, list | int | float):
        return {"_raw": value}  # a call's input is an object; what came stays visible
    return value if isinstance(value, str | dict) else None


def _tokens(value: Any) -> Tokens | None:
    if not isinstance(value, dict):
        return None
    details, more = value.get("input_tokens_details"), value.get("output_tokens_details")
    return Tokens(
        input_tokens=count(value.get("input_tokens")),
        output_tokens=count(value.get("output_tokens")),
        input_tokens_details=(
            InputDetails(count(details.get("cached_tokens")), count(details.get("cache_write_tokens")))
            if isinstance(details, dict)
            else None
        ),
        output_tokens_details=OutputDetails(count(more.get("reasoning_tokens"))) if isinstance(more, dict) else None,
    )
