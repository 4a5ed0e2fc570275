"""How servers of Gemini's language differ: typed, named, each with the report that made it necessary.

The defaults are for a server that nothing is known of; what a *model* can do is `contract.Facts`.
"""

from typing import Literal

from msgspec import Struct

from dragoman.dialects.contract import Transport

Threshold = Literal["OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"]


class Quirks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Differences between servers. A docstring under each field says what it does and why it exists."""

    system: Literal["instruction", "user"] = "instruction"
    """Where the system prompt goes: `systemInstruction`, or text at the head of the first user turn, for models that
    refuse it (Gemma). https://ai.google.dev/gemma/docs/core/prompt-structure"""

    schema: Literal["json_schema", "openapi"] = "json_schema"
    """Form of schemas: `parametersJsonSchema`, or the older subset of OpenAPI in `parameters`. A fact of the model
    wins over this. https://ai.google.dev/api/caching#FunctionDeclaration"""

    images: bool = True
    """Whether the server takes pictures at all; a model without vision is a fact in models.toml."""

    files: bool = True
    """Whether it takes PDF as `inlineData`. https://ai.google.dev/gemini-api/docs/document-processing"""

    file_urls: bool = False
    """Whether it fetches http(s) and gs:// URLs of pictures and PDF itself, as `fileData`.
    https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/image-understanding"""

    tool_name_limit: int = 64
    """Characters in a tool name; longer ones are shortened and restored.
    https://ai.google.dev/api/caching#FunctionDeclaration"""

    strict_tools: bool = True
    """Whether mode VALIDATED is understood, which holds calls to their schemas; asked for when a tool is `strict`.
    https://ai.google.dev/gemini-api/docs/function-calling#function-calling-modes"""

    response_schema: bool = True
    """Whether structured output is asked for by a schema. `false`: by an instruction, beside `responseMimeType`; large
    schemas are refused ("too many states for serving").
    https://ai.google.dev/gemini-api/docs/structured-output#limitations"""

    output_with_tools: bool = False
    """Whether structured output goes together with tools, as from Gemini 3 on. Else it is asked for by an instruction
    while there are tools. https://github.com/googleapis/python-genai/issues/867"""

    web_search: bool = True
    """Whether the server has `googleSearch`. https://ai.google.dev/gemini-api/docs/google-search"""

    url_context: bool = True
    """Whether the server has `urlContext`, which reads pages. https://ai.google.dev/gemini-api/docs/url-context"""

    search_with_tools: bool = False
    """Whether `includeServerSideToolInvocations` is understood, which lets models that can (a fact) have functions
    beside the server's own tools. https://ai.google.dev/gemini-api/docs/tool-combination"""

    thinking: bool = True
    """Whether `thinkingConfig` is understood. https://ai.google.dev/gemini-api/docs/thinking"""

    thoughts: bool = True
    """Whether `includeThoughts` is understood, which asks for summaries of the thinking."""

    efforts: tuple[str, ...] = ()
    """Thinking levels taken, in Claude's words, weakest first ("minimal" to "high"); others move to the nearest. A fact
    of the model wins over this. Where nothing is known: low and high."""

    signatures: bool = True
    """Whether thought signatures go back. `false`: they were refused; calls get the sentinel instead, where the model
    refuses calls without one. https://ai.google.dev/gemini-api/docs/thought-signatures"""

    sampling: bool = True
    """Whether temperature, topP and topK are taken at all."""

    safety: dict[str, Threshold] = {}
    """Thresholds of the safety filters, by category in lower case without its prefix: {"harassment": "BLOCK_NONE"}.
    https://ai.google.dev/gemini-api/docs/safety-settings"""

    service_tier: bool = False
    """Whether `serviceTier` is understood. https://ai.google.dev/gemini-api/docs/flex-inference"""

    transport: Transport = "both"
    """What the server can do; the other kind of caller is served from it."""

    count: Literal["wrapped", "plain"] = "plain"
    """Form of `:countTokens`: the request inside `generateContentRequest` (the Gemini API, where system prompt and
    tools count only there), or its fields as they are (Vertex AI).
    https://ai.google.dev/api/tokens#method:-models.counttokens"""

    second_try: bool = True
    """Whether an answer without any content, or with a tool call that is no valid one, is asked for once more. Set to
    false by the repair that does so. https://github.com/googleapis/python-genai/issues/1289"""

    extra_body: dict[str, bool | int | float | str | list[str] | dict[str, bool | int | float | str] | None] = {}
    """Fields added to every body as they are; they win over a field of the same name that we write."""
