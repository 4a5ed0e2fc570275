"""Anthropic Messages: Claude itself, and everybody else who offers a Messages endpoint. Nothing is translated."""

from collections.abc import Mapping
from typing import Literal

from dragoman.dialects.anthropic import errors, request
from dragoman.dialects.anthropic.answer import AnthropicReader
from dragoman.dialects.contract import Call, Target
from dragoman.messages.errors import ApiError
from dragoman.messages.request import Request
from dragoman.messages.writer import MessageWriter


class Anthropic:
    """The dialect's one object; see `dialects.contract.Dialect` and `Relays`."""

    relays: Literal[True] = True

    def call(self, asked: Request, target: Target) -> Call:
        return request.call(asked, target)

    def reader(self, call: Call, writer: MessageWriter) -> AnthropicReader:
        return AnthropicReader(call, writer)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
        return errors.error(status, headers, body, call)


ANTHROPIC = Anthropic()
