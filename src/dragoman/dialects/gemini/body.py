"""What is written of Gemini requests: the body, its contents and parts. Absent fields are never sent as null.

https://ai.google.dev/api/generate-content
"""

from typing import Any

from msgspec import Raw, Struct

from dragoman.messages.body import NO_RAW


class Blob(Struct, frozen=True, rename="camel"):
    mime_type: str
    data: str  # base64


class FileData(Struct, frozen=True, rename="camel", omit_defaults=True):
    file_uri: str
    mime_type: str | None = None


class FunctionCall(Struct, frozen=True, gc=False, omit_defaults=True):
    name: str
    args: Raw = NO_RAW  # a JSON object
    id: str | None = None


class FunctionResponse(Struct, omit_defaults=True):
    name: str
    response: dict[str, str | Raw] = {}  # {"output": ...} or {"error": ...}
    id: str | None = None
    parts: "list[Part] | None" = None  # pictures and files


class Part(Struct, omit_defaults=True, rename="camel"):
    """One part: exactly one of the first fields, or none beside a signature."""

    text: str | Raw | None = None  # raw: the caller's own JSON string
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    thought_signature: str | None = None


class Content(Struct, omit_defaults=True):
    parts: list[Part]
    role: str | None = None  # user, model; the system instruction has none


class FunctionDeclaration(Struct, omit_defaults=True, rename="camel"):
    name: str
    description: str | None = None
    parameters_json_schema: Raw = NO_RAW
    parameters: Raw = NO_RAW


class Tool(Struct, omit_defaults=True, rename="camel"):
    function_declarations: list[FunctionDeclaration] | Raw | None = None
    google_search: dict[str, Any] | None = None
    url_context: dict[str, Any] | None = None


class FunctionCallingConfig(Struct, frozen=True, omit_defaults=True, rename="camel"):
    mode: str  # AUTO, VALIDATED, ANY, NONE
    allowed_function_names: tuple[str, ...] | None = None


class ToolConfig(Struct, omit_defaults=True, rename="camel"):
    function_calling_config: FunctionCallingConfig | None = None
    include_server_side_tool_invocations: bool | None = None


class SafetySetting(Struct, frozen=True):
    category: str
    threshold: str


class ThinkingConfig(Struct, omit_defaults=True, rename="camel"):
    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class GenerationConfig(Struct, omit_defaults=True, rename="camel"):
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    response_mime_type: str | None = None
    response_json_schema: Raw = NO_RAW
    response_schema: Raw = NO_RAW
    thinking_config: ThinkingConfig | None = None


class GeminiBody(Struct, omit_defaults=True, rename="camel"):
    """The body. The order of the fields is the order on the wire: what changes least comes early."""

    system_instruction: Content | None = None
    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = None
    contents: list[Content | Raw] = []  # raw: several, with commas between them
    safety_settings: tuple[SafetySetting, ...] | None = None
    generation_config: GenerationConfig | None = None
    service_tier: str | None = None
    continuation_token: str | None = None
