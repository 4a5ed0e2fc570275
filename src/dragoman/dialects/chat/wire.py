"""What is read of Chat Completions answers: chunks and completions, as types, and how odd bytes become them.

The typed decoder is for the common case. Whatever it refuses (a number where a string belongs, a lone surrogate, broken
UTF-8) goes through `loose`, which keeps every field that makes sense and leaves out the rest: one odd field must not
cost a whole answer.
https://platform.openai.com/docs/api-reference/chat/streaming
"""

from typing import Any

import msgspec
from msgspec import Struct

from dragoman.messages.lenient import clean, count, dicts, text


class Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None  # an object from servers that forget to write it as text


class ToolCall(Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    extra_content: dict[str, Any] | None = None  # Gemini's compatible endpoint: google.thought_signature


class Delta(Struct):
    """A `delta`, or the `message` of a completion: the same fields."""

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None
    function_call: Function | None = None
    other_reasoning: dict[str, str] | None = None  # filled by `loose` only: fields with names of their own


class PromptDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_creation_tokens: int | None = None  # LiteLLM


class CompletionDetails(Struct):
    reasoning_tokens: int | None = None


class Tokens(Struct):
    """`usage`, with the places where servers put what was read from or written to a cache."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek
    cached_tokens: int | None = None  # Moonshot
    cache_read_input_tokens: int | None = None  # LiteLLM, before it had details
    cache_creation_input_tokens: int | None = None


class Choice(Struct):
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None  # vLLM: the stop string, or the id of a stop token
    usage: Tokens | None = None  # Moonshot
    error: Any = None  # OpenRouter
    content_filter_results: dict[str, Any] | None = None  # Azure


class Groq(Struct):
    usage: Tokens | None = None
    error: Any = None


class Chunk(Struct):
    """One frame of a stream, or a whole completion."""

    choices: list[Choice] | None = None
    usage: Tokens | None = None
    service_tier: str | None = None
    error: Any = None
    x_groq: Groq | None = None


decode = msgspec.json.Decoder(Chunk).decode
decode_text = msgspec.json.Decoder(str).decode


def loose(value: Any, reasoning_fields: tuple[str, ...] = ()) -> Chunk:
    """A chunk out of plain values: each field that has a usable type, nothing for the others."""
    if not isinstance(value, dict):
        return Chunk()
    groq = value.get("x_groq")
    choices = value.get("choices")
    return Chunk(
        choices=[_choice(each, reasoning_fields) for each in dicts(choices)] if choices is not None else None,
        usage=_tokens(value.get("usage")),
        service_tier=text(value.get("service_tier")),
        error=clean(value.get("error")),
        x_groq=Groq(_tokens(groq.get("usage")), clean(groq.get("error"))) if isinstance(groq, dict) else None,
    )


def _choice(value: dict[str, Any], reasoning_fields: tuple[str, ...]) -> Choice:
    delta, message, results = value.get("delta"), value.get("message"), value.get("content_filter_results")
    return Choice(
        delta=_delta(delta, reasoning_fields) if isinstance(delta, dict) else None,
        message=_delta(message, reasoning_fields) if isinstance(message, dict) else None,
        finish_reason=text(value.get("finish_reason")),
        stop_reason=text(value.get("stop_reason")),
        usage=_tokens(value.get("usage")),
        error=clean(value.get("error")),
        content_filter_results=clean(results) if isinstance(results, dict) else None,
    )


def _delta(value: dict[str, Any], reasoning_fields: tuple[str, ...]) -> Delta:
    content, calls = value.get("content"), value.get("tool_calls")
    return Delta(
        content=[content] if isinstance(content, dict) else content if isinstance(content, str | list) else None,
        reasoning_content=text(value.get("reasoning_content")),
        reasoning=text(value.get("reasoning")),
        tool_calls=[_tool_call(call) for call in dicts(calls)] or None,
        reasoning_details=clean(dicts(value.get("reasoning_details"))) or None,
        thinking_blocks=clean(dicts(value.get("thinking_blocks"))) or None,
        refusal=text(value.get("refusal")),
        annotations=clean(dicts(value.get("annotations"))) or None,
        function_call=_function(value.get("function_call")),
        other_reasoning={name: value[name] for name in reasoning_fields if isinstance(value.get(name), str)} or None,
    )


def _tool_call(value: dict[str, Any]) -> ToolCall:
    index, extra = value.get("index"), value.get("extra_content")
    return ToolCall(
        index=count(index),
        id=clean(text(value.get("id"))),
        function=_function(value.get("function")),
        extra_content=clean(extra) if isinstance(extra, dict) else None,
    )


def _function(value: Any) -> Function | None:
    if not isinstance(value, dict):
        return None
    arguments = value.get("arguments")
    if isinstance(arguments, list | int | float):
        arguments = {"_raw": arguments}  # a call's input is an object; what came stays visible
    return Function(clean(text(value.get("name"))), arguments if isinstance(arguments, str | dict) else None)


def _tokens(value: Any) -> Tokens | None:
    if not isinstance(value, dict):
        return None
    details, more = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    counts = {name: count(value.get(name)) for name in Tokens.__struct_fields__ if not name.endswith("_details")}
    return Tokens(
        **counts,
        prompt_tokens_details=PromptDetails(**_counts(PromptDetails, details)) if isinstance(details, dict) else None,
        completion_tokens_details=(
            CompletionDetails(**_counts(CompletionDetails, more)) if isinstance(more, dict) else None
        ),
    )


def _counts(struct: type[Struct], value: dict[str, Any]) -> dict[str, int | None]:
    return {name: count(value.get(name)) for name in struct.__struct_fields__}
