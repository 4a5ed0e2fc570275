"""A caller that trusts nothing: it reads every byte of an answer, and says what it was or why it is not legal.

It shares no code with the gateway but the types of events, which `grammar.check` needs.
"""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from dragoman.messages.events import Event
from grammar import check
from relayed import TYPES

Kind = Literal["whole", "error", "cut"]
"""A whole answer; an error before any content; content, and then an error."""

STOP_REASONS = {
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
}
ERROR_TYPES = {  # https://platform.claude.com/docs/en/api/errors, and `not_supported` for what no upstream can do
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
    "not_supported",
}
OURS = ("dragoman itself failed", "dragoman failed on this request", "Traceback (most recent")
HEAD_LIMIT = 64 * 1024


class IllegalError(AssertionError):
    """What came is no legal answer."""


@dataclass
class Verdict:
    """A legal answer."""

    kind: Kind
    status: int
    headers: dict[str, str]
    body: bytes
    text: str = ""  # of all text deltas or text blocks
    names: list[str] = field(default_factory=list)  # of events
    error: dict[str, Any] = field(default_factory=dict)  # `error` of the envelope or the event

    @property
    def request_id(self) -> str:
        """The gateway's own, as in its log."""
        return self.headers.get("x-dragoman-request-id") or self.headers.get("request-id", "")


def posted(body: bytes, path: str = "/v1/messages") -> bytes:
    """The bytes of a request after which the connection ends."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def exchange(port: int, raw: bytes, *, seconds: float = 20) -> bytes:
    """Send bytes, and read until the gateway closes. Raises IllegalError when it does not in time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(seconds):
            writer.write(raw)
            return await reader.read(-1)
    except TimeoutError:
        raise IllegalError(f"no end within {seconds} s") from None
    except ConnectionError as error:
        raise IllegalError(f"the gateway broke the connection: {error!r}") from None
    finally:
        writer.close()


async def ask(port: int, *, model: str, stream: bool, seconds: float = 20) -> Verdict:
    """One Messages request. Raises IllegalError."""
    body = {"model": model, "max_tokens": 200, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    return judge(await exchange(port, posted(json.dumps(body).encode()), seconds=seconds))


def judge(raw: bytes) -> Verdict:
    """What the bytes of one answer are. Raises IllegalError."""
    try:
        return _judged(raw)
    except (AssertionError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, IllegalError):
            raise
        raise IllegalError(f"{type(error).__name__}: {error}; the answer ends in {raw[-300:]!r}") from error


def _judged(raw: bytes) -> Verdict:
    status, headers, body = parted(raw)
    assert not any(word.encode() in body for word in OURS), f"a bug of ours: {body[-300:]!r}"
    found = Verdict("error", status, headers, body)
    if status >= 400:
        assert headers["content-type"].startswith("application/json"), headers
        found.error = _error(json.loads(body))
    elif headers["content-type"].startswith("text/event-stream"):
        assert status == 200, status
        _stream(found)
    else:
        assert status == 200, status
        _message(found)
    return found


def parted(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and the whole body, which is neither shorter nor longer than was told."""
    head, border, rest = raw.partition(b"\r\n\r\n")
    assert border, f"no head: {raw[:200]!r}"
    assert len(head) < HEAD_LIMIT, "the head has no bounds"
    first, *lines = head.decode("latin-1").split("\r\n")
    told = re.fullmatch(r"HTTP/1\.1 (\d{3})(?: [ -~]*)?", first)
    assert told, f"no status line: {first!r}"
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        assert colon, f"no header: {line!r}"
        headers[name.lower()] = value
    if headers.get("transfer-encoding") == "chunked":
        assert "content-length" not in headers
        return int(told[1]), headers, _unchunked(rest)
    assert int(headers["content-length"]) == len(rest), f"{len(rest)} bytes instead of {headers['content-length']}"
    return int(told[1]), headers, rest


def _unchunked(rest: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        end = rest.find(b"\r\n", at)
        assert end >= 0, "cut inside the chunked coding"
        size = int(rest[at:end], 16)
        part = rest[end + 2 : end + 2 + size]
        assert rest[end + 2 + size : end + 4 + size] == b"\r\n", "cut inside a chunk"
        at = end + 4 + size
        if not size:
            assert at == len(rest), "bytes behind the last chunk"
            return b"".join(parts)
        parts.append(part)


def _error(envelope: Any) -> dict[str, Any]:
    assert envelope["type"] == "error", envelope
    error: dict[str, Any] = envelope["error"]
    assert error["type"] in ERROR_TYPES, error
    assert isinstance(error["message"], str), error
    assert error["message"], error
    return error


def _message(found: Verdict) -> None:
    message = json.loads(found.body)
    assert (message["type"], message["role"]) == ("message", "assistant")
    assert message["stop_reason"] in STOP_REASONS, message["stop_reason"]
    assert isinstance(message["usage"]["input_tokens"], int)
    assert isinstance(message["usage"]["output_tokens"], int)
    found.kind = "whole"
    found.text = "".join(block["text"] for block in message["content"] if block["type"] == "text")


def _stream(found: Verdict) -> None:
    """Frames as the standard reads them (wrong UTF-8 is replaced). Behind an error nothing follows.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
    """
    text = found.body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    assert text.endswith("\n\n"), f"half an event at the end: {text[-200:]!r}"
    events: list[Event] = []
    for frame in text.strip("\n").split("\n\n"):
        assert not found.error, f"{frame!r} behind an error"
        fields = [line.partition(":")[::2] for line in frame.split("\n") if line and not line.startswith(":")]
        event = next((value.removeprefix(" ") for name, value in fields if name == "event"), "")
        if event not in TYPES:  # SDKs skip what has no name, or one that they do not know
            found.names.append(event)
            continue
        data = "\n".join(value.removeprefix(" ") for name, value in fields if name == "data")
        told = json.loads(data)
        assert told["type"] == event, f"{event} with {told}"
        found.names.append(event)
        if event == "error":
            found.error = _error(told)
        else:
            events.append(msgspec.json.decode(data, type=TYPES[event]))
            found.text += told.get("delta", {}).get("text", "")
    check(events, whole=not found.error)
    if found.error:
        found.kind = "cut" if events else "error"
        assert "message_stop" not in found.names
    else:
        found.kind = "whole"
