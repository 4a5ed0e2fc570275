"""Tokens as Responses servers count them -> Messages usage.

Their `input_tokens` include what a cache gave or took; the three input counters of Messages are disjoint.
https://platform.openai.com/docs/api-reference/responses/object
"""

from dragoman.dialects.contract import Call
from dragoman.dialects.responses.wire import InputDetails, Response, Tokens
from dragoman.messages.events import OutputDetails, ServerToolUsage, Usage


def counted(response: Response, tokens: Tokens, searches: int, call: Call) -> Usage:
    """`searches`: web searches that were seen. A prompt that nobody counted is the call's estimate."""
    details = tokens.input_tokens_details or InputDetails()
    more = tokens.output_tokens_details
    reasoning = (more.reasoning_tokens if more is not None else None) or 0
    told = response.tool_usage.web_search if response.tool_usage is not None else None
    searches = (told.num_requests if told is not None else None) or searches
    prompt = max(tokens.input_tokens or call.recall.estimate.tokens(), 0)
    # Some servers report more cached tokens than the prompt has.
    read = min(max(details.cached_tokens or 0, 0), prompt)
    write = min(max(details.cache_write_tokens or 0, 0), prompt - read)
    tier = response.service_tier
    return Usage(
        input_tokens=prompt - read - write,
        output_tokens=max(tokens.output_tokens or 0, 0),
        cache_creation_input_tokens=write,
        cache_read_input_tokens=read,
        output_tokens_details=OutputDetails(reasoning) if reasoning > 0 else None,
        server_tool_use=ServerToolUsage(web_search_requests=searches) if searches > 0 else None,
        service_tier=None if tier is None else "priority" if tier in ("priority", "fast") else "standard",
    )
