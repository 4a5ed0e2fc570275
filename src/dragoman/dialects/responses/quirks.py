"""How servers of the Responses language differ: typed, named, each with the report that made it necessary.

The defaults are for an unknown compatible server: the forms that most of them take.
"""

from typing import Literal

from msgspec import Struct

from dragoman.dialects.contract import Transport


class Quirks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Differences between servers. A docstring under each field says what it does and why it exists."""

    system_role: Literal["system", "developer"] = "developer"
    """Role of system turns. https://platform.openai.com/docs/guides/text#message-roles-and-instruction-following"""

    mid_system: Literal["keep", "fold"] = "keep"
    """Whether system turns inside the conversation are kept as messages of their own, or folded into the user turn
    beside them, for chat templates that allow one leading system message only.
    https://github.com/vllm-project/vllm/issues/41114"""

    store: bool = True
    """Whether `store: false` is understood, which keeps the answer from being stored there.
    https://platform.openai.com/docs/guides/your-data"""

    encrypted_reasoning: bool = True
    """Whether `include: ["reasoning.encrypted_content"]` is understood, which lets reasoning travel with the caller.
    Models that do not reason refuse it. https://github.com/pydantic/pydantic-ai/issues/2865"""

    reasoning_history: Literal["keep", "drop"] = "keep"
    """Whether earlier reasoning items go back. `drop`: the server cannot decrypt them, or has none that could go back.
    https://platform.openai.com/docs/guides/reasoning#keeping-reasoning-items-in-context"""

    summaries: bool = True
    """Whether summaries of reasoning may be asked for. OpenAI refuses them to organisations that are not verified.
    https://help.openai.com/en/articles/10910291-api-organization-verification"""

    reasoning_out: Literal["effort", "none"] = "effort"
    """Whether thinking is asked for by the `reasoning` object, or not at all."""

    efforts: tuple[str, ...] = ()
    """Reasoning efforts taken, weakest first; others move to the nearest. A fact of the model wins over this. Where
    nothing is known: low, medium and high."""

    images: bool = True
    """Whether the server takes `input_image` parts at all; a model without vision is a fact in models.toml."""

    image_urls: bool = True
    """Whether it takes http(s) image URLs, besides data URIs."""

    files: bool = False
    """Whether it takes PDF as `input_file` parts. https://platform.openai.com/docs/guides/pdf-files"""

    file_urls: bool = False
    """Whether it takes http(s) URLs of PDF in `input_file` parts."""

    result_media: bool = True
    """Whether the output of a function may hold pictures and files; else they follow in the next user message.
    https://github.com/ggml-org/llama.cpp/issues/23380"""

    tool_name_limit: int = 64
    """Characters in a tool name; longer ones are shortened and restored."""

    tool_id_limit: int = 64
    """Characters in a `call_id`; others are replaced, the same for a call and its output.
    https://github.com/decolua/9router/issues/393"""

    tool_choice: bool = True
    """Whether `tool_choice` is understood; else a forced call becomes a note, and `none` leaves the tools out.
    https://github.com/ollama/ollama/blob/main/openai/responses.go"""

    parallel_tool_calls: bool = True
    """Whether `parallel_tool_calls: false` is understood; else the instruction is dropped with a note."""

    strict_tools: bool = True
    """Whether `strict: true` on a function is understood. `strict: false` is always said: OpenAI tries strict mode when
    it is not, and makes every parameter required.
    https://platform.openai.com/docs/guides/migrate-to-responses#4-update-function-definitions"""

    schema: Literal["plain", "inline"] = "plain"
    """`inline`: `$ref` into `$defs` is written out, for servers that do not follow references."""

    web_search: bool = False
    """Whether the server has a `web_search` tool of its own. https://platform.openai.com/docs/guides/tools-web-search"""

    web_search_sources: bool = True
    """Whether `include: ["web_search_call.action.sources"]` is understood, which gives the pages that were found."""

    min_output_tokens: int = 16
    """Least value of `max_output_tokens`; a smaller wish is raised. https://github.com/QuantumNous/new-api/pull/2866"""

    sampling: bool = True
    """Whether temperature and top_p are taken at all."""

    top_k: bool = False
    """Whether `top_k` is taken as an extra field. https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"""

    transport: Transport = "both"
    """What the server can do; the other kind of caller is served from it."""

    obfuscation: Literal["off", "unsaid"] = "unsaid"
    """`off`: `stream_options: {"include_obfuscation": false}` is sent; the padding that OpenAI adds to every event only
    costs. https://platform.openai.com/docs/api-reference/responses/create#responses-create-stream_options"""

    cache: Literal["none", "key", "breakpoints"] = "none"
    """Prompt caching: nothing; `prompt_cache_key`; OpenAI's `prompt_cache_breakpoint` on parts, with the key, and with
    the system prompt as a message, since instructions have no parts.
    https://platform.openai.com/docs/guides/prompt-caching"""

    session_header: str | None = None
    """Header that carries the (hashed) session, so that a server with a cache per node sees the same one.
    https://docs.fireworks.ai/guides/prompt-caching"""

    safety_identifier: bool = False
    """Whether a hash of `metadata.user_id` is sent as `safety_identifier`."""

    service_tier: bool = False
    """Whether `service_tier` is understood."""

    counts: bool = False
    """Whether the server has `/responses/input_tokens`, which counts a request's tokens.
    https://platform.openai.com/docs/api-reference/responses/input-tokens"""

    extra_body: dict[str, bool | int | float | str | list[str] | dict[str, bool | int | float | str] | None] = {}
    """Fields added to every body as they are; they win over a field of the same name that we write."""

    responses_path: str = "/responses"
    """Appended to the base URL."""
