"""Tokens as Gemini counts them -> Messages usage.

Every frame repeats the counters, and they are totals so far. `promptTokenCount` includes what the cache gave; what its
own tools put into the prompt, and the thoughts, are counted beside prompt and candidates.
https://ai.google.dev/api/generate-content#UsageMetadata
"""

from dragoman.dialects.contract import Call
from dragoman.dialects.gemini.wire import Tokens
from dragoman.messages.events import OutputDetails, ServerToolUsage, Usage


def counted(tokens: Tokens, call: Call, before: Usage | None, *, searches: int, fetches: int) -> Usage:
    """`before`: of the answer that this one goes on with: its prompt is counted once, what both say together.

    `searches`, `fetches`: what the upstream looked up on the web. A prompt that nobody counted is the call's estimate;
    nothing is negative.
    """
    thoughts = max(tokens.thoughts_token_count or 0, 0)
    output = _output(tokens, thoughts)
    prompt = max(tokens.prompt_token_count or call.recall.estimate.tokens(), 0)
    read = min(max(tokens.cached_content_token_count or 0, 0), prompt)
    fresh = prompt - read + max(tokens.tool_use_prompt_token_count or 0, 0)
    if before is not None:
        fresh, read, output = before.input_tokens, before.cache_read_input_tokens, output + before.output_tokens
        thoughts += before.output_tokens_details.thinking_tokens if before.output_tokens_details is not None else 0
        if before.server_tool_use is not None:
            searches += before.server_tool_use.web_search_requests
            fetches += before.server_tool_use.web_fetch_requests
    return Usage(
        input_tokens=fresh,
        output_tokens=output,
        cache_read_input_tokens=read,
        output_tokens_details=OutputDetails(thoughts) if thoughts > 0 else None,
        server_tool_use=ServerToolUsage(searches, fetches) if searches or fetches else None,
        service_tier=_tier(tokens.traffic_type),
    )


def _output(tokens: Tokens, thoughts: int) -> int:
    """Candidates and thoughts; some servers count the thoughts among the candidates, which the total gives away.

    https://github.com/BerriAI/litellm/pull/10141
    """
    said = max(tokens.candidates_token_count or 0, 0)
    asked = (tokens.prompt_token_count or 0) + (tokens.tool_use_prompt_token_count or 0)
    return said if thoughts <= said and asked + said == tokens.total_token_count else said + thoughts


def _tier(traffic: str | None) -> str | None:
    """https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#TrafficType"""
    if not traffic or traffic == "TRAFFIC_TYPE_UNSPECIFIED":
        return None
    return "priority" if "PRIORITY" in traffic else "standard"
