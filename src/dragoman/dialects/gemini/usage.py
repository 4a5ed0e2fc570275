"""Tokens as Gemini counts them -> Messages usage.

Every frame repeats the counters, and they are totals so far. `promptTokenCount` includes what the cache gave; what its
own tools put into the prompt, and the thoughts, are counted beside prompt and candidates.
https://ai.google.dev/api/generate-content#UsageMetadata
"""

from dragoman.dialects.contract import Call
from dragoman.dialects.gemini.wire import Tokens
from dragoman.messages.events import OutputDetails, ServerToolUsage, Usage


def counted(tokens: Tokens, call: Call, before: Usage | None, *, searches: int = 0, fetches: int = 0) -> Usage:
    """`before`: of the answer that this one goes on with: its prompt is counted once, what both say together.

    `searches`, `fetches`: what the upstream looked up on the web. A prompt that nobody counted is the call's estimate;
    nothing is negative.
    """
    asked = tokens.prompt_token_count
    prompt = asked or call.recall.estimate.tokens()
    read = tokens.cached_content_token_count or 0
    tools = tokens.tool_use_prompt_token_count or 0
    said = tokens.candidates_token_count or 0
    thoughts = tokens.thoughts_token_count or 0
    # Some servers count the thoughts among the candidates, which the total gives away.
    # https://github.com/BerriAI/litellm/pull/10141
    given = (asked or 0) + tools
    if prompt < 0 or tools < 0 or said < 0 or thoughts < 0 or not 0 <= read <= prompt:
        prompt, tools, said, thoughts = max(prompt, 0), max(tools, 0), max(said, 0), max(thoughts, 0)
        read = min(max(read, 0), prompt)
    is_among = thoughts <= said and given + said == tokens.total_token_count
    output = said if is_among else said + thoughts
    fresh = prompt - read + tools
    if before is not None:
        fresh, read, output = before.input_tokens, before.cache_read_input_tokens, output + before.output_tokens
        thoughts += before.output_tokens_details.thinking_tokens if before.output_tokens_details is not None else 0
        if before.server_tool_use is not None:
            searches += before.server_tool_use.web_search_requests
            fetches += before.server_tool_use.web_fetch_requests
    traffic = tokens.traffic_type
    return Usage(
        fresh,
        output,
        cache_read_input_tokens=read,
        output_tokens_details=OutputDetails(thoughts) if thoughts > 0 else None,
        server_tool_use=ServerToolUsage(searches, fetches) if searches or fetches else None,
        service_tier=_tier(traffic) if traffic else None,
    )


def _tier(traffic: str) -> str | None:
    """https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#TrafficType"""
    if traffic == "TRAFFIC_TYPE_UNSPECIFIED":
        return None
    return "priority" if "PRIORITY" in traffic else "standard"
