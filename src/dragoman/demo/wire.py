"""What the demo reads of a Chat Completions request. Unknown fields and parts are legal.

https://platform.openai.com/docs/api-reference/chat/create
"""

from typing import Annotated, Any

from msgspec import Meta, Struct


class Part(Struct, frozen=True):
    type: str
    text: str | None = None


class CalledFunction(Struct, frozen=True):
    name: str
    arguments: str = ""


class ToolCall(Struct, frozen=True):
    function: CalledFunction
    id: str = ""


class Message(Struct, frozen=True):
    role: str
    content: str | list[Part] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """All its text, joined."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or () if part.text)

    @property
    def images(self) -> int:
        return 0 if isinstance(self.content, str) else sum(part.type == "image_url" for part in self.content or ())


class Function(Struct, frozen=True):
    name: str
    description: str = ""
    parameters: dict[str, Any] = {}


class Tool(Struct, frozen=True):
    function: Function
    type: str = "function"


class StreamOptions(Struct, frozen=True):
    include_usage: bool = False


class ChatRequest(Struct, frozen=True):
    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: str | list[str] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    n: Annotated[int, Meta(ge=1, le=1)] | None = None  # one answer at a time, like most servers

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens
