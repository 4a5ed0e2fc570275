"""What is read of Gemini's answers, as types, and how odd bytes become them.

Every frame of a stream is a whole answer with one or more parts in it; a body that was not streamed is one with all of
them. The typed decoders are for the common case. Whatever they refuse (a number where a string belongs, a lone
surrogate) goes through `loose`, which keeps every field that makes sense.
https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.messages.lenient import clean, count, dicts, text

NO_RAW = Raw(b"")


class Blob(Struct, rename="camel"):
    mime_type: str | None = None


class FunctionCall(Struct):
    """A call. `args` is an object, or absent; some servers between write other things."""

    name: str | None = None
    args: Raw = NO_RAW
    id: str | None = None


class Code(Struct):
    language: str | None = None
    code: str | None = None


class CodeResult(Struct):
    output: str | None = None


class Part(Struct, rename="camel"):
    """One part, or the piece of one that a frame brings."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    file_data: Blob | None = None
    executable_code: Code | None = None
    code_execution_result: CodeResult | None = None
    tool_call: Raw = NO_RAW
    tool_response: Raw = NO_RAW


class Content(Struct):
    parts: list[Part] | None = None


class Rating(Struct):
    category: str | None = None
    blocked: bool | None = None


class Page(Struct):
    """A page that was found."""

    uri: str | None = None
    title: str | None = None


class Source(Struct):
    """A grounding chunk. What is no page of the web (documents of a store, places) is never asked for."""

    web: Page | None = None


class Segment(Struct, rename="camel"):
    start_index: int | None = None  # bytes of UTF-8
    end_index: int | None = None
    text: str | None = None


class Support(Struct, rename="camel"):
    """A piece of the answer, and the chunks that it rests on, by their numbers."""

    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class Grounding(Struct, rename="camel"):
    web_search_queries: list[str] | None = None
    grounding_chunks: list[Source] | None = None
    grounding_supports: list[Support] | None = None


class Retrieval(Struct, rename="camel"):
    retrieved_url: str | None = None
    url_retrieval_status: str | None = None


class UrlContext(Struct, rename="camel"):
    url_metadata: list[Retrieval] | None = None


class Candidate(Struct, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    safety_ratings: list[Rating] | None = None
    grounding_metadata: Grounding | None = None
    url_context_metadata: UrlContext | None = None
    citation_metadata: Raw = NO_RAW
    continuation_token: str | None = None


class Feedback(Struct, rename="camel"):
    """What is said about the prompt, when it was blocked."""

    block_reason: str | None = None
    block_reason_message: str | None = None
    safety_ratings: list[Rating] | None = None


class Tokens(Struct, rename="camel"):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None
    traffic_type: str | None = None


class Answer(Struct, rename="camel"):
    """A frame, or a whole body."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Tokens | None = None
    response_id: str | None = None
    error: Any = None


decode = msgspec.json.Decoder(Answer).decode
_decode_tokens = msgspec.json.Decoder(Tokens).decode


def decode_tokens(data: bytes) -> Tokens | None:
    """`usageMetadata` alone; None when it is no JSON, or something else."""
    try:
        return _decode_tokens(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def loose(value: Any) -> Answer:
    """An answer out of plain values: each field that has a usable type, nothing for the others."""
    if not isinstance(value, dict):
        return Answer()
    feedback = value.get("promptFeedback")
    return Answer(
        candidates=[_candidate(each) for each in dicts(value.get("candidates"))],
        prompt_feedback=_feedback(feedback) if isinstance(feedback, dict) else None,
        usage_metadata=_tokens(value.get("usageMetadata")),
        response_id=clean(text(value.get("responseId"))),
        error=clean(value.get("error")),
    )


def _candidate(value: dict[str, Any]) -> Candidate:
    content, grounding, pages = (value.get(name) for name in ("content", "groundingMetadata", "urlContextMetadata"))
    return Candidate(
        content=Content([_part(each) for each in dicts(content.get("parts"))]) if isinstance(content, dict) else None,
        finish_reason=clean(text(value.get("finishReason"))),
        finish_message=clean(text(value.get("finishMessage"))),
        index=count(value.get("index")),
        safety_ratings=_ratings(value),
        grounding_metadata=_grounding(clean(grounding)) if isinstance(grounding, dict) else None,
        url_context_metadata=_pages(clean(pages)) if isinstance(pages, dict) else None,
        citation_metadata=_raw(value.get("citationMetadata")),
        continuation_token=clean(text(value.get("continuationToken"))),
    )


def _part(value: dict[str, Any]) -> Part:
    call, code, result = (clean(value.get(name)) for name in ("functionCall", "executableCode", "codeExecutionResult"))
    return Part(
        text=text(value.get("text")),  # not cleaned: its other half may be in the next frame
        thought=value.get("thought") is True,
        thought_signature=clean(text(value.get("thoughtSignature"))),
        function_call=_call(call) if isinstance(call, dict) else None,
        inline_data=_blob(value.get("inlineData")),
        file_data=_blob(value.get("fileData")),
        executable_code=Code(text(code.get("language")), text(code.get("code"))) if isinstance(code, dict) else None,
        code_execution_result=CodeResult(text(result.get("output"))) if isinstance(result, dict) else None,
        tool_call=_raw(value.get("toolCall")),
        tool_response=_raw(value.get("toolResponse")),
    )


def _call(value: dict[str, Any]) -> FunctionCall:
    return FunctionCall(text(value.get("name")), _raw(value.get("args")), text(value.get("id")))


def _blob(value: Any) -> Blob | None:
    return Blob(clean(text(value.get("mimeType")))) if isinstance(value, dict) else None


def _raw(value: Any) -> Raw:
    return NO_RAW if value is None else Raw(msgspec.json.encode(clean(value)))


def _feedback(value: dict[str, Any]) -> Feedback:
    reason, message = (clean(text(value.get(name))) for name in ("blockReason", "blockReasonMessage"))
    return Feedback(reason, message, _ratings(value))


def _ratings(value: dict[str, Any]) -> list[Rating]:
    return [
        Rating(clean(text(each.get("category"))), each.get("blocked") is True)
        for each in dicts(value.get("safetyRatings"))
    ]


def _grounding(value: dict[str, Any]) -> Grounding:
    queries = value.get("webSearchQueries")
    return Grounding(
        [each for each in queries if isinstance(each, str)] if isinstance(queries, list) else None,
        [Source(_page(each.get("web"))) for each in dicts(value.get("groundingChunks"))],
        [_support(each) for each in dicts(value.get("groundingSupports"))],
    )


def _page(value: Any) -> Page | None:
    return Page(text(value.get("uri")), text(value.get("title"))) if isinstance(value, dict) else None


def _support(value: dict[str, Any]) -> Support:
    segment, numbers = value.get("segment"), value.get("groundingChunkIndices")
    where = segment if isinstance(segment, dict) else {}
    found = [count(each) for each in numbers] if isinstance(numbers, list) else []
    return Support(
        Segment(count(where.get("startIndex")), count(where.get("endIndex")), text(where.get("text"))),
        [each for each in found if each is not None],
    )


def _pages(value: dict[str, Any]) -> UrlContext:
    return UrlContext(
        [
            Retrieval(text(each.get("retrievedUrl")), text(each.get("urlRetrievalStatus")))
            for each in dicts(value.get("urlMetadata"))
        ]
    )


def _tokens(value: Any) -> Tokens | None:
    if not isinstance(value, dict):
        return None
    return Tokens(
        prompt_token_count=count(value.get("promptTokenCount")),
        cached_content_token_count=count(value.get("cachedContentTokenCount")),
        tool_use_prompt_token_count=count(value.get("toolUsePromptTokenCount")),
        candidates_token_count=count(value.get("candidatesTokenCount")),
        thoughts_token_count=count(value.get("thoughtsTokenCount")),
        total_token_count=count(value.get("totalTokenCount")),
        traffic_type=clean(text(value.get("trafficType"))),
    )
