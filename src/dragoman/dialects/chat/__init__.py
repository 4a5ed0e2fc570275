"""OpenAI Chat Completions, as OpenAI and everybody else speaks it."""

from collections.abc import Mapping
from typing import Literal

from dragoman.dialects.chat import errors, repairs, request
from dragoman.dialects.chat.answer import ChatReader
from dragoman.dialects.contract import Call, Repair, Target
from dragoman.messages.errors import ApiError
from dragoman.messages.request import Request
from dragoman.messages.writer import MessageWriter


class Chat:
    """The dialect's one object; see `dialects.contract.Dialect` and `Repairs`."""

    answers_once: Literal[True] = True

    def call(self, asked: Request, target: Target) -> Call:
        return request.call(asked, target)

    def reader(self, call: Call, writer: MessageWriter) -> ChatReader:
        return ChatReader(call, writer)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
        return errors.error(status, headers, body, call)

    def repair(self, call: Call, error: ApiError) -> Repair | None:
        return repairs.repair(call, error)


CHAT = Chat()
