"""Gemini: generateContent of the Gemini API (AI Studio) and of Vertex AI, in its own language."""

from collections.abc import Mapping

from dragoman.dialects import alike
from dragoman.dialects.contract import Call, Repair, Target
from dragoman.dialects.gemini import errors, repairs, request
from dragoman.dialects.gemini.answer import GeminiReader
from dragoman.messages.errors import ApiError
from dragoman.messages.request import Request
from dragoman.messages.writer import MessageWriter


class Gemini:
    """The dialect's one object; see `dialects.contract.Dialect`, `Repairs`, `Counts` and `Continues`."""

    def call(self, asked: Request, target: Target) -> Call:
        return request.call(asked, target)

    def reader(self, call: Call, writer: MessageWriter) -> GeminiReader:
        return GeminiReader(call, writer)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
        return errors.error(status, headers, body, call)

    def repair(self, call: Call, error: ApiError) -> Repair | None:
        return repairs.repair(call, error)

    def count(self, asked: Request, target: Target) -> Call:
        return request.count(asked, target)

    def counted(self, body: bytes) -> int:
        return alike.counted(body, "totalTokens")


GEMINI = Gemini()
