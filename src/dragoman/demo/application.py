"""The simulated upstream: a small Chat Completions server, honest about what it is.

It speaks the language of https://platform.openai.com/docs/api-reference/chat over real HTTP, so that everything between
a client and an upstream is exercised without a key.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dragoman.demo.model import MODELS, Reply, reply
from dragoman.demo.wire import ChatRequest

HUMAN = 0.02  # seconds between two pieces of an answer
WINDOW = 200_000  # tokens of a conversation
BODY_LIMIT = 64 * 1024 * 1024
CREATED = 1_735_689_600  # 2025-01-01, the same at every start

_PIECE = re.compile(r"\s*\S{1,6}|\s+")
_decoder = msgspec.json.Decoder(ChatRequest)


class Spoken(Struct, frozen=True):
    """A reply cut to what the request allows, in pieces of about a token."""

    thinking: list[str]
    text: list[str]
    calls: list[tuple[str, list[str]]]  # a name, and its arguments
    finish: str

    @property
    def tokens(self) -> int:
        return len(self.thinking) + len(self.text) + sum(len(pieces) for _, pieces in self.calls)


class Refused(Exception):  # noqa: N818 an answer, not a failure
    """An error in OpenAI's form."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {"message": message, "type": "invalid_request_error", "param": param, "code": code},
        }


class Upstream:
    """The endpoints. `pace`: seconds between two pieces; 0 in tests."""

    def __init__(self, pace: float) -> None:
        self._pace = pace

    async def completions(self, request: Request) -> Response:
        raw = await request.body()
        try:
            chat = _decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused(400, f"Invalid request body: {error}") from None
        name = chat.model.rpartition("/")[2]
        if name not in MODELS:
            raise Refused(404, f"The model `{chat.model[:200]}` does not exist.", code="model_not_found", param="model")
        prompt = prompt_tokens(chat)
        if prompt > WINDOW:
            text = (
                f"This model's maximum context length is {WINDOW} tokens. However, your messages resulted in {prompt}"
            )
            raise Refused(400, f"{text} tokens.", code="context_length_exceeded", param="messages")
        said = speak(reply(chat), chat)
        head = {"id": "chatcmpl-" + os.urandom(12).hex(), "created": int(time.time()), "model": name}
        if chat.stream:
            usage = usage_of(said, prompt) if chat.stream_options and chat.stream_options.include_usage else None
            return StreamingResponse(self._stream(said, head, usage), media_type="text/event-stream")
        await asyncio.sleep(self._pace * said.tokens)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(said.text) or None}
        if said.thinking:
            message["reasoning_content"] = "".join(said.thinking)
        if said.calls:
            message["tool_calls"] = [_call(name, "".join(pieces)) for name, pieces in said.calls]
        choice = {"index": 0, "finish_reason": said.finish, "message": message}
        return _json({**head, "object": "chat.completion", "choices": [choice], "usage": usage_of(said, prompt)})

    async def models(self, _request: Request) -> Response:
        return _json({"object": "list", "data": [_model(name) for name in MODELS]})

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in MODELS:
            raise Refused(404, f"The model `{name[:200]}` does not exist.", code="model_not_found", param="model")
        return _json(_model(name))

    async def _stream(self, said: Spoken, head: dict[str, Any], usage: dict[str, Any] | None) -> AsyncIterator[bytes]:
        chunk = {**head, "object": "chat.completion.chunk"}
        for delta in _deltas(said):
            yield _frame({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            if self._pace:
                await asyncio.sleep(self._pace)
        yield _frame({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": said.finish}]})
        if usage is not None:
            yield _frame({**chunk, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"


def build(pace: float = HUMAN) -> Starlette:
    """The ASGI application. `pace`: seconds between two pieces of an answer, 0 is at once."""
    upstream = Upstream(pace)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", upstream.completions, methods=["POST"], max_body_size=BODY_LIMIT),
            Route("/v1/models", upstream.models),
            Route("/v1/models/{name:path}", upstream.model),
        ],
        exception_handlers={Refused: _refused, HTTPException: _not_here},
    )


def speak(answer: Reply, chat: ChatRequest) -> Spoken:
    """Cut a reply into pieces, at the first stop string, and at the limit of tokens."""
    text = answer.text
    stops = [chat.stop] if isinstance(chat.stop, str) else chat.stop or []
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    calls = answer.calls
    if places:
        text, calls = text[: min(places)], []
    left = chat.limit if chat.limit is not None else 1 << 30
    thinking = _PIECE.findall(answer.thinking)[:left]
    left -= len(thinking)
    words = _PIECE.findall(text)[:left]
    left -= len(words)
    cut = len(thinking) < len(_PIECE.findall(answer.thinking)) or len(words) < len(_PIECE.findall(text))
    spoken: list[tuple[str, list[str]]] = []
    for call in calls:
        if left <= 0:
            cut = True
            break
        pieces = _PIECE.findall(call.arguments)
        spoken.append((call.name, pieces[:left]))
        cut = cut or len(pieces) > left
        left -= len(pieces)
    return Spoken(thinking, words, spoken, "length" if cut else "tool_calls" if spoken else "stop")


def prompt_tokens(chat: ChatRequest) -> int:
    """A rough count: four bytes a token, 800 tokens an image."""
    size = sum(len(message.text.encode()) + 3200 * message.images + 16 for message in chat.messages)
    size += sum(len(call.function.arguments) for message in chat.messages for call in message.tool_calls or ())
    size += len(msgspec.json.encode(chat.tools)) if chat.tools else 0
    return max(1, size // 4)


def usage_of(said: Spoken, prompt: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said.tokens,
        "total_tokens": prompt + said.tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": len(said.thinking)},
    }


def _deltas(said: Spoken) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in said.thinking]
    deltas += [{"content": piece} for piece in said.text]
    for index, (name, pieces) in enumerate(said.calls):
        deltas.append({"tool_calls": [{"index": index, **_call(name, "")}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces]
    return deltas


def _call(name: str, arguments: str) -> dict[str, Any]:
    return {
        "id": "call_" + os.urandom(9).hex(),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "dragoman-demo"}


def _frame(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), status, media_type="application/json")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 the table above says so
    return _json(error.body, error.status)


async def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 the table above says so
    place = f"{request.method} {request.url.path[:200]}"
    message = f"{place}: {error.detail}. The simulated demo model takes POST /v1/chat/completions."
    return _json(Refused(error.status_code, message).body, error.status_code)
