"""What is written of Chat Completions requests: the body, its messages and parts. Absent fields are never sent as null.

https://platform.openai.com/docs/api-reference/chat/create
"""

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.messages.body import NO_RAW


class Url(Struct, frozen=True):
    url: str


class File(Struct, frozen=True):
    filename: str
    file_data: str


class Part(Struct, omit_defaults=True):
    """One part of a message's content; `cache_control` and `prompt_cache_breakpoint` are set last of all."""

    type: str
    text: str | Raw | None = None  # raw: the caller's own JSON string
    image_url: Url | None = None
    file: File | None = None
    thinking: "list[Part] | None" = None  # Mistral
    closed: bool | None = None  # Mistral
    cache_control: dict[str, str] | None = None
    prompt_cache_breakpoint: dict[str, str] | None = None


class CalledFunction(Struct, frozen=True, gc=False):
    name: str
    arguments: str  # JSON text


class ToolCall(Struct, tag="function"):
    id: str
    function: CalledFunction
    extra_content: Any = UNSET  # Gemini's compatible endpoint: the signature of the call


class Message(Struct, omit_defaults=True):
    """One message; `content` may be an explicit null."""

    role: str
    content: str | Raw | list[Part] | UnsetType | None = UNSET
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    prefix: bool | None = None  # DeepSeek, Mistral: this answer is to be continued


class Function(Struct, omit_defaults=True):
    name: str
    description: str | None = None
    parameters: Raw = NO_RAW
    strict: bool | None = None


class FunctionTool(Struct, frozen=True, tag="function"):
    function: Function


class FunctionName(Struct, frozen=True):
    name: str


class NamedChoice(Struct, frozen=True, tag="function"):
    function: FunctionName


class JsonSchema(Struct, omit_defaults=True):
    name: str
    schema: Raw = NO_RAW
    strict: bool | None = None


class SchemaFormat(Struct, frozen=True, tag="json_schema"):
    json_schema: JsonSchema


class ObjectFormat(Struct, frozen=True, tag="json_object"):
    pass


class ChatBody(Struct, omit_defaults=True):
    """The body. The order of the fields is the order on the wire: what changes least comes early."""

    model: str = ""
    messages: list[Message | Raw] = []  # raw: several, with commas between them
    tools: list[FunctionTool | Raw] | None = None
    tool_choice: str | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: SchemaFormat | ObjectFormat | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] | None = None
    reasoning_effort: str | None = None
    thinking: dict[str, Any] | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    reasoning: dict[str, Any] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    web_search_options: dict[str, Any] | None = None
    plugins: list[Any] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    stream: bool | None = None
    stream_options: dict[str, bool] | None = None
