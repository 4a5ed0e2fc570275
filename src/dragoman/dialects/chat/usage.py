"""Tokens as Chat Completions servers count them -> Messages usage.

Their `prompt_tokens` include what a cache gave or took; the three input counters of Messages are disjoint.
https://platform.openai.com/docs/api-reference/chat/object
"""

from dragoman.dialects.chat.wire import CompletionDetails, PromptDetails, Tokens
from dragoman.dialects.contract import Call
from dragoman.messages.events import OutputDetails, Usage


def counted(tokens: Tokens, tier: str | None, call: Call) -> Usage:
    """`tier` is their `service_tier`. A prompt that nobody counted is the estimate of the call; nothing is negative."""
    details = tokens.prompt_tokens_details or PromptDetails()
    reasoning = (tokens.completion_tokens_details or CompletionDetails()).reasoning_tokens or 0
    prompt = max(tokens.prompt_tokens or call.recall.input_tokens, 0)
    read = (
        details.cached_tokens
        or tokens.prompt_cache_hit_tokens
        or tokens.cached_tokens
        or tokens.cache_read_input_tokens
        or 0
    )
    write = details.cache_write_tokens or details.cache_creation_tokens or tokens.cache_creation_input_tokens or 0
    output = tokens.completion_tokens or 0
    if call.target.quirks.reasoning_outside_completion:
        output += max(reasoning, 0)
    # Some servers report more cached tokens than the prompt has.
    read = min(max(read, 0), prompt)
    write = min(max(write, 0), prompt - read)
    return Usage(
        input_tokens=prompt - read - write,
        output_tokens=max(output, 0),
        cache_creation_input_tokens=write,
        cache_read_input_tokens=read,
        output_tokens_details=OutputDetails(reasoning) if reasoning > 0 else None,
        service_tier=None if tier is None else "priority" if tier in ("priority", "fast") else "standard",
    )
