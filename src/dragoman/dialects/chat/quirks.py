"""How servers of the Chat Completions language differ: typed, named, each with the report that made it necessary.

The defaults are for an unknown compatible server: the forms that most of them take.
"""

from typing import Literal

from msgspec import Struct

from dragoman.dialects.contract import Transport


class Quirks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Differences between servers. A docstring under each field says what it does and why it exists."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Name of the output limit. OpenAI's o-series and gpt-5 refuse `max_tokens`; most others know only that.
    https://platform.openai.com/docs/api-reference/chat/create"""

    system_role: Literal["system", "developer"] = "system"
    """Role of the system prompt. https://platform.openai.com/docs/guides/text#message-roles-and-instruction-following"""

    mid_system: Literal["keep", "fold"] = "fold"
    """Whether system turns inside the conversation are kept, or folded into the user turn beside them: many chat
    templates allow one leading system message only. https://github.com/vllm-project/vllm/issues/41114"""

    content: Literal["parts", "string"] = "parts"
    """`string`: messages whose content must be plain text get their text blocks joined. Images still need parts."""

    empty_content: Literal["null", "string", "omit"] = "string"
    """What stands for the content of an assistant message with calls and no text: `""`, `null` or nothing."""

    images: bool = True
    """Whether the server takes `image_url` parts at all; a model without vision is a fact in models.toml."""

    image_urls: bool = True
    """Whether it takes http(s) image URLs, besides data URIs."""

    files: bool = False
    """Whether it takes PDF as `file` parts. https://platform.openai.com/docs/guides/pdf-files"""

    tool_name_limit: int = 64
    """Characters in a tool name; longer ones are shortened and restored."""

    tool_id: Literal["any", "alphanumeric9"] = "any"
    """`alphanumeric9`: ids of exactly nine letters and digits. https://docs.mistral.ai/capabilities/function_calling/"""

    tool_id_limit: int = 40
    """Characters in a tool call id. https://github.com/BerriAI/litellm/pull/12941"""

    tool_choice_any: Literal["required", "any", "auto"] = "required"
    """Word for "must call a tool"; `auto` where the server has none (a note says so)."""

    tool_choice_named: bool = True
    """Whether one tool can be forced by name."""

    tool_choice_with_thinking: bool = True
    """Whether a tool can be forced while the model thinks. https://api-docs.deepseek.com/guides/thinking_mode"""

    parallel_tool_calls: bool = True
    """Whether `parallel_tool_calls: false` is understood; else the instruction is dropped with a note."""

    strict_tools: bool = False
    """Whether `strict` on a function is understood."""

    schema: Literal["plain", "inline"] = "plain"
    """`inline`: `$ref` into `$defs` is written out, for servers that do not follow references."""

    stop: Literal["never", "named"] = "never"
    """`named`: the server says which stop sequence matched (vLLM's `stop_reason`), so they are sent upstream too.
    https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"""

    stream_usage: Literal["ask", "never"] = "ask"
    """Whether to send `stream_options: {"include_usage": true}`; some servers refuse it."""

    transport: Transport = "both"
    """What the server can do; the other kind of caller is served from it."""

    top_k: bool = False
    """Whether `top_k` is taken as an extra field."""

    sampling: bool = True
    """Whether temperature and top_p are taken at all."""

    temperature_limits: tuple[float, float] | None = None
    """Lowest and highest temperature taken; others are clamped with a note."""

    reasoning_in: tuple[str, ...] | str = ("reasoning_content", "reasoning")
    """Field or fields of a message or delta that carry the model's reasoning; the first one with text is used."""

    think_tags: bool = False
    """Whether reasoning comes as `<think>` text inside the content."""

    reasoning_echo: Literal["never", "optional", "required"] = "never"
    """Whether earlier reasoning goes back upstream on assistant messages. `required`: with an empty string on messages
    with calls that have none. https://api-docs.deepseek.com/guides/thinking_mode"""

    reasoning_echo_field: Literal["reasoning_content", "reasoning", "reasoning_details", "think_tags", "parts"] = (
        "reasoning_content"
    )
    """Where it goes back."""

    lost_call_signature: bool = False
    """Whether the first call of an answer gets Google's sentinel when its thought signature is not known: Gemini
    refuses calls without one. Known ones go back in any case. https://ai.google.dev/gemini-api/docs/thought-signatures"""

    reasoning_out: Literal[
        "none", "effort", "thinking_type", "enable_thinking", "reasoning_object", "chat_template", "reasoning_enabled"
    ] = "effort"
    """How thinking is asked for: `reasoning_effort`; `thinking: {"type"}`; `enable_thinking` and `thinking_budget`
    (https://www.alibabacloud.com/help/en/model-studio/deep-thinking); OpenRouter's `reasoning` object
    (https://openrouter.ai/docs/use-cases/reasoning-tokens); vLLM's `chat_template_kwargs`; Together's
    `reasoning: {"enabled"}`."""

    efforts: tuple[str, ...] = ()
    """Reasoning efforts taken, weakest first; others move to the nearest. A fact of the model wins over this. Where
    nothing is known: low, medium and high for `reasoning_out: effort` and `reasoning_object`; no effort is sent for the
    other forms, which are switches of their own."""

    response_format: Literal["json_schema", "json_object", "tool"] = "json_schema"
    """How structured output is asked for; `tool`: by a forced tool."""

    response_format_with_tools: bool = True
    """Whether a response format and tools may be sent together."""

    cache: Literal["none", "key", "cache_control", "breakpoints"] = "none"
    """Prompt caching: nothing; `prompt_cache_key`; the client's `cache_control` on parts; OpenAI's
    `prompt_cache_breakpoint` on parts (with the key). https://platform.openai.com/docs/guides/prompt-caching"""

    cache_ttl: bool = False
    """Whether `ttl` inside `cache_control` is understood. https://github.com/BerriAI/litellm/pull/39355"""

    session_header: str | None = None
    """Header that carries the (hashed) session, so that a server with a cache per node sees the same one.
    https://docs.fireworks.ai/guides/prompt-caching"""

    safety_identifier: bool = False
    """Whether a hash of `metadata.user_id` is sent as `safety_identifier`."""

    service_tier: bool = False
    """Whether `service_tier` is understood."""

    prefill: Literal["instruct", "prefix", "continue"] = "instruct"
    """How an answer that the caller began is continued: by an instruction; by `prefix: true` (DeepSeek beta, Mistral);
    by vLLM's `continue_final_message`. https://github.com/BerriAI/litellm/issues/28580"""

    reasoning_outside_completion: bool = False
    """Whether `reasoning_tokens` are not part of `completion_tokens` and are added. https://docs.x.ai/docs/guides/reasoning"""

    web_search: Literal["none", "options", "plugin"] = "none"
    """Native web search: `web_search_options` (OpenAI's search models), OpenRouter's `plugins: [{"id": "web"}]`."""

    extra_body: dict[str, bool | int | float | str | list[str] | dict[str, bool | int | float | str] | None] = {}
    """Fields added to every body as they are; they win over a field of the same name that we write."""

    silent_window: int = 0
    """Tokens of the window that a server takes when nobody told it another one, where it cuts longer prompts without
    a word; 0: it refuses them. An answer whose prompt was cut gets the note `prompt.cut`; one that ends where this
    window does says so. https://github.com/ollama/ollama/issues/17889"""

    chat_path: str = "/chat/completions"
    """Appended to the base URL."""
