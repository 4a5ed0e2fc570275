"""What each stream event of a Responses answer says about its items.

Events that only begin something are passed over: parts begin with their first text, and unknown types are legal.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from collections.abc import Callable

from dragoman.dialects.responses.items import CONTENT, REFUSAL, SUMMARY, TEXT, Items
from dragoman.dialects.responses.wire import StreamEvent


def _text(items: Items, event: StreamEvent) -> None:
    if event.delta:
        item = items.find("message", event.item_id, event.output_index)
        items.more(item, (TEXT, event.content_index or 0), event.delta)


def _refusal(items: Items, event: StreamEvent) -> None:
    if event.delta:
        item = items.find("message", event.item_id, event.output_index)
        items.more(item, (REFUSAL, event.content_index or 0), event.delta)


def _summary(items: Items, event: StreamEvent) -> None:
    if event.delta:
        item = items.find("reasoning", event.item_id, event.output_index)
        items.more(item, (SUMMARY, event.summary_index or 0), event.delta)


def _reasoning(items: Items, event: StreamEvent) -> None:
    if event.delta:
        item = items.find("reasoning", event.item_id, event.output_index)
        items.more(item, (CONTENT, event.content_index or 0), event.delta)


def _arguments(items: Items, event: StreamEvent) -> None:
    if event.delta:
        items.arguments(items.find("call", event.item_id, event.output_index), event.delta)


def _text_done(items: Items, event: StreamEvent) -> None:
    if event.text:
        item = items.find("message", event.item_id, event.output_index)
        items.full(item, (TEXT, event.content_index or 0), event.text)


def _refusal_done(items: Items, event: StreamEvent) -> None:
    if event.refusal:
        item = items.find("message", event.item_id, event.output_index)
        items.full(item, (REFUSAL, event.content_index or 0), event.refusal)


def _summary_done(items: Items, event: StreamEvent) -> None:
    text = event.part.text if event.part is not None else event.text
    if text:
        item = items.find("reasoning", event.item_id, event.output_index)
        items.full(item, (SUMMARY, event.summary_index or 0), text)


def _reasoning_done(items: Items, event: StreamEvent) -> None:
    if event.text:
        item = items.find("reasoning", event.item_id, event.output_index)
        items.full(item, (CONTENT, event.content_index or 0), event.text)


def _arguments_done(items: Items, event: StreamEvent) -> None:
    if event.arguments:
        items.all_arguments(items.find("call", event.item_id, event.output_index), event.arguments)


def _part_done(items: Items, event: StreamEvent) -> None:
    part = event.part
    item = None if part is None else items.of_part(part.type, event.item_id, event.output_index)
    if part is None or item is None:
        return
    if item.kind == "reasoning":
        items.full(item, (CONTENT, event.content_index or 0), part.text)
    elif item.kind == "message":
        key = (REFUSAL if part.refusal else TEXT, event.content_index or 0)
        items.full(item, key, part.refusal or part.text)
        items.cite(item, key, part.annotations, all_of_them=True)


def _annotation(items: Items, event: StreamEvent) -> None:
    if event.annotation is not None:
        item = items.find("message", event.item_id, event.output_index)
        items.cite(item, (TEXT, event.content_index or 0), [event.annotation], all_of_them=False)


def _added(items: Items, event: StreamEvent) -> None:
    if event.item is not None:
        items.announce(event.item, event.output_index)


def _done(items: Items, event: StreamEvent) -> None:
    if event.item is not None:
        items.finish(event.item, event.output_index)


def _begun(items: Items, event: StreamEvent) -> None:
    """Nothing but that the answer has begun."""


ACTS: dict[str, Callable[[Items, StreamEvent], None]] = {
    "response.output_text.delta": _text,
    "response.function_call_arguments.delta": _arguments,
    "response.reasoning_summary_text.delta": _summary,
    "response.reasoning_text.delta": _reasoning,
    "response.refusal.delta": _refusal,
    "response.content_part.delta": _text,  # OpenRouter
    "response.reasoning.delta": _reasoning,  # OpenRouter
    "response.created": _begun,
    "response.queued": _begun,
    "response.in_progress": _begun,
    "response.output_item.added": _added,
    "response.output_item.done": _done,
    "response.output_text.done": _text_done,
    "response.output_text.annotation.added": _annotation,
    "response.content_part.done": _part_done,
    "response.refusal.done": _refusal_done,
    "response.reasoning_summary_text.done": _summary_done,
    "response.reasoning_summary_part.done": _summary_done,
    "response.reasoning_text.done": _reasoning_done,
    "response.function_call_arguments.done": _arguments_done,
}
