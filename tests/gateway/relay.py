"""A tiny dialect that passes on, for tests of the gateway beside `Lines`: Messages, and no more care than a test needs.

Frames are written with line feeds; the name of an event is its type. Nothing is edited.
"""

import json
from collections.abc import Mapping
from typing import Literal

from dragoman.dialects.contract import Call, Recall, Target
from dragoman.messages import edit
from dragoman.messages.errors import ApiError, Verbatim
from dragoman.messages.events import Event, Outcome, Usage
from dragoman.messages.headers import passed_on
from dragoman.messages.request import Request
from dragoman.messages.writer import MessageWriter
from gateway.lines import KINDS, Quirks

REFUSALS = {"overloaded_error": "overloaded", "invalid_request_error": "invalid_request"}


def frame(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


START = frame("message_start", message={"id": "msg_up", "model": "big", "usage": {"input_tokens": 7}})
BEGIN = frame("content_block_start", index=0, content_block={"type": "text", "text": ""})
HI = frame("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"})
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
FINISH = frame("content_block_stop", index=0) + frame(
    "message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}
)
STOP = frame("message_stop")
STREAM = START + PING + BEGIN + HI + FINISH + STOP
MESSAGE = b'{ "id":"msg_up", "content":[ {"type":"text","text":"Hi"} ], "stop_reason":"end_turn", "usage":{} }'


def envelope(kind: str = "overloaded_error", words: str = "Too many.") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_up"}).encode()


def failed(kind: str = "overloaded_error", words: str = "Too many.") -> bytes:
    """The event of an error; written with one space more than ours."""
    return b"event: error\ndata:  %b\n\n" % envelope(kind, words)


def target(provider: str = "claude", model: str = "big", auth: Literal["x-api-key", "caller"] = "x-api-key") -> Target:
    return Target(
        provider=provider,
        dialect="relay",
        base_url=f"http://{provider}.test",
        model=model,
        quirks=Quirks(),
        key=provider.upper(),
        auth=auth,
    )


class Reader:
    def __init__(self, writer: MessageWriter) -> None:
        self.body: bytes | None = None
        self._writer = writer
        self._rest = b""

    def feed(self, chunk: bytes) -> list[Event]:
        *frames, self._rest = (self._rest + chunk).split(b"\n\n")
        for each in frames:
            self._frame(each + b"\n\n")
        return self._writer.take()

    def whole(self, body: bytes) -> list[Event]:
        if b'"error"' in body:
            raise refusal(body)
        self.body = body
        self._writer.usage(Usage(input_tokens=7, output_tokens=2))
        self._writer.relay(b"", outcome=Outcome(json.loads(body)["stop_reason"]), end=True)
        return []

    def close(self) -> list[Event]:
        if not self._writer.ended:
            raise ApiError("truncated", "The upstream's answer ended before it was complete.")
        return []

    def _frame(self, frame: bytes) -> None:
        found = json.loads(frame.partition(b"data: ")[2])
        writer = self._writer
        match found["type"]:
            case "error":
                raise refusal(json.dumps(found).encode(), frame)
            case "message_delta":
                writer.usage(Usage(input_tokens=7, output_tokens=found["usage"]["output_tokens"]))
                writer.relay(frame, outcome=Outcome(found["delta"]["stop_reason"]))
            case kind:
                writer.relay(frame, content=kind.startswith("content_block"), end=kind == "message_stop")


class Relay:
    relays: Literal[True] = True

    def call(self, request: Request, target: Target) -> Call:
        return Call(
            url=f"{target.base_url}/v1/messages",
            body=request.raw if request.model == target.model else edit.with_model(request.raw, target.model),
            stream=request.stream,
            target=target,
            recall=Recall(model=request.model),
            headers=tuple((name.decode(), value.decode()) for name, value in request.headers),
            relays=True,
        )

    def reader(self, _call: Call, writer: MessageWriter) -> Reader:
        return Reader(writer)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, _call: Call) -> ApiError:
        told = Verbatim(status, (("content-type", "application/json"), *passed_on(headers)), body)
        return ApiError(KINDS.get(status, "upstream_failed"), body.decode(), verbatim=told if body else None)


def refusal(body: bytes, frame: bytes = b"") -> ApiError:
    found = json.loads(body)["error"]
    error = ApiError(REFUSALS[found["type"]], found["message"])
    error.verbatim = Verbatim(error.status, (("content-type", "application/json"),), body, frame)
    return error
