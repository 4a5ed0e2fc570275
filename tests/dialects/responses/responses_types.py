"""Holds a body against the official SDK's types, strictly: no unknown key, no missing one, no wrong value."""

from typing import Any

from openai.types.responses.input_token_count_params import InputTokenCountParams
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)

from dialects.chat.openai_types import wrong


def problem(body: dict[str, Any]) -> str | None:
    """What is wrong with a request body, by its path; None when the SDK's types allow it."""
    type_ = ResponseCreateParamsStreaming if body.get("stream") else ResponseCreateParamsNonStreaming
    return wrong(body, type_, "body")


def problem_of_count(body: dict[str, Any]) -> str | None:
    return wrong(body, InputTokenCountParams, "body")
