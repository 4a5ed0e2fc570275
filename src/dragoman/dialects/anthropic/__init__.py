"""Anthropic Messages: Claude itself, and everybody else who offers a Messages endpoint. Nothing is translated."""

from collections.abc import Mapping
from typing import Literal

from dragoman.dialects import alike
from dragoman.dialects.anthropic import errors, repairs, request
from dragoman.dialects.anthropic.answer import AnthropicReader
from dragoman.dialects.contract import Call, Repair, Target
from dragoman.messages.errors import ApiError
from dragoman.messages.request import Request
from dragoman.messages.writer import MessageWriter


class Anthropic:
    """The dialect's one object; see `dialects.contract.Dialect`, `Relays`, `Repairs` and `Counts`."""

    relays: Literal[True] = True
    answers_once: Literal[True] = True

    def call(self, asked: Request, target: Target) -> Call:
        return request.call(asked, target)

    def reader(self, call: Call, writer: MessageWriter) -> AnthropicReader:
        return AnthropicReader(call, writer)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
        return errors.error(status, headers, body, call)

    def repair(self, call: Call, error: ApiError) -> Repair | None:
        return repairs.repair(call, error)

    def count(self, asked: Request, target: Target) -> Call:
        return request.count(asked, target)

    def counted(self, body: bytes) -> int:
        return alike.counted(body, "input_tokens")


ANTHROPIC = Anthropic()
