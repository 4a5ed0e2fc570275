"""What is written of Responses requests: the body, the items of its input, their parts. Absent fields are never null.

https://platform.openai.com/docs/api-reference/responses/create
"""

from typing import Any

from msgspec import Raw, Struct

from dragoman.messages.body import NO_RAW


class Part(Struct, omit_defaults=True):
    """One part of a message or of an output; `prompt_cache_breakpoint` is set last of all."""

    type: str
    text: str | Raw | None = None  # raw: the caller's own JSON string
    image_url: str | None = None
    detail: str | None = None
    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    prompt_cache_breakpoint: dict[str, str] | None = None


class Message(Struct, tag="message"):
    """A message without an id: `EasyInputMessage`. The content of an assistant's message is always a string."""

    role: str
    content: str | Raw | list[Part]


class FunctionCall(Struct, frozen=True, gc=False, tag="function_call"):
    call_id: str
    name: str
    arguments: str  # JSON text


class FunctionCallOutput(Struct, tag="function_call_output"):
    call_id: str
    output: str | Raw | list[Part]


class Reasoning(Struct, frozen=True, tag="reasoning", omit_defaults=True):
    """Reasoning that the upstream encrypted: it reads that, not the summary."""

    summary: tuple[()]
    encrypted_content: str
    id: str | None = None


Item = Message | FunctionCall | FunctionCallOutput | Reasoning


class FunctionTool(Struct, frozen=True, tag="function", omit_defaults=True):
    name: str
    parameters: Raw
    strict: bool
    description: str | None = None


class Filters(Struct, frozen=True):
    allowed_domains: list[str]


class Place(Struct, frozen=True, tag="approximate", omit_defaults=True):
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


class WebSearchTool(Struct, frozen=True, tag="web_search", omit_defaults=True):
    filters: Filters | None = None
    user_location: Place | None = None


class FunctionChoice(Struct, frozen=True, tag="function"):
    name: str


class AllowedChoice(Struct, frozen=True, tag="allowed_tools"):
    mode: str
    tools: list[dict[str, str]]


class Effort(Struct, omit_defaults=True):
    effort: str | None = None
    summary: str | None = None


class SchemaFormat(Struct, frozen=True, tag="json_schema", omit_defaults=True):
    name: str
    schema: Raw = NO_RAW
    strict: bool | None = None


class Text(Struct, frozen=True):
    format: SchemaFormat


class Counted(Struct, omit_defaults=True):
    """What decides how many tokens a request has: the body of `/responses/input_tokens`.

    https://platform.openai.com/docs/api-reference/responses/input-tokens
    """

    model: str = ""
    input: list[Item | Raw] = []  # raw: several, with commas between them
    instructions: str | Raw | None = None  # raw: the caller's own JSON
    tools: list[FunctionTool | WebSearchTool | Raw] | None = None
    tool_choice: str | FunctionChoice | AllowedChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Effort | None = None
    text: Text | None = None


class ResponsesBody(Counted, omit_defaults=True):
    """The whole body."""

    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    store: bool | None = None
    include: list[str] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    stream: bool | None = None
    stream_options: dict[str, bool] | None = None


COUNTED = Counted.__struct_fields__


def counted(body: ResponsesBody) -> Counted:
    """The part of `body` that counts."""
    found: dict[str, Any] = {name: getattr(body, name) for name in COUNTED}
    return Counted(**found)
