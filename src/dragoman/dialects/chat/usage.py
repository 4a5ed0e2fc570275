"""Tokens as Chat Completions servers count them -> Messages usage.

Their `prompt_tokens` include what a cache gave or took; the three input counters of Messages are disjoint.
https://platform.openai.com/docs/api-reference/chat/object
"""

from dragoman.dialects.chat.wire import Tokens
from dragoman.dialects.contract import Call
from dragoman.messages.events import OutputDetails, Usage


def counted(tokens: Tokens, tier: str | None, call: Call) -> Usage:
    """`tier` is their `service_tier`. A prompt that nobody counted is the estimate of the call; nothing is negative."""
    details, more = tokens.prompt_tokens_details, tokens.completion_tokens_details
    read = write = reasoning = 0
    if details is not None:
        read = details.cached_tokens or 0
        write = details.cache_write_tokens or details.cache_creation_tokens or 0
    if more is not None and more.reasoning_tokens:
        reasoning = max(more.reasoning_tokens, 0)
    prompt = tokens.prompt_tokens or call.recall.estimate.tokens()
    read = read or tokens.prompt_cache_hit_tokens or tokens.cached_tokens or tokens.cache_read_input_tokens or 0
    write = write or tokens.cache_creation_input_tokens or 0
    output = tokens.completion_tokens or 0
    if reasoning and call.target.quirks.reasoning_outside_completion:
        output += reasoning
    if prompt < 0 or read < 0 or write < 0 or output < 0 or read + write > prompt:
        # Some servers report more cached tokens than the prompt has.
        prompt, output = max(prompt, 0), max(output, 0)
        read = min(max(read, 0), prompt)
        write = min(max(write, 0), prompt - read)
    return Usage(
        prompt - read - write,
        output,
        write,
        read,
        output_tokens_details=OutputDetails(reasoning) if reasoning else None,
        service_tier=None if tier is None else "priority" if tier in ("priority", "fast") else "standard",
    )
