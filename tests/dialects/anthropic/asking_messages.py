"""Requests and targets for the tests of what is passed on."""

import base64
import json
from typing import Any

from dialects.chat.asking import Json, told
from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.anthropic.request import call
from dragoman.dialects.contract import Call, Facts, Target
from dragoman.messages import state
from dragoman.messages.request import Request

MODEL = "claude-opus-4-6"
NEWEST: Json = {
    "max_output": 128_000,
    "thinking_forms": ("adaptive",),
    "efforts": ("low", "medium", "high", "xhigh", "max"),
    "sampling": "never",
    "prefill": False,
    "forced_tool_choice": False,
}
OLD: Json = {"max_output": 64_000, "thinking_forms": ("enabled", "disabled"), "takes_effort": False}
OWN_SERVER: Json = {"signatures": "own", "repairs": "fields"}


def target(*, facts: Json | None = None, model: str = MODEL, strict: bool = False, **quirks: Any) -> Target:
    return Target(
        provider="lab",
        dialect="anthropic",
        base_url="http://127.0.0.1:9",
        model=model,
        quirks=Quirks(**quirks),
        facts=Facts(**(facts or {})),
        strict=strict,
        auth="x-api-key",
    )


def body(**fields: Any) -> Json:
    found = {"model": MODEL, "max_tokens": 8000, "messages": [{"role": "user", "content": "Hello."}], **fields}
    return {name: value for name, value in found.items() if value is not None}


def asked(raw: bytes | None = None, *, headers: Json | None = None, **fields: Any) -> Request:
    """`headers`: with the caller's betas in them, as the server gives them."""
    sent = headers or {}
    return Request(
        json.dumps(body(**fields)).encode() if raw is None else raw,
        betas=tuple(filter(None, sent.get("anthropic-beta", "").split(","))),
        version=sent.get("anthropic-version", ""),
        headers=tuple((name.encode(), value.encode()) for name, value in sent.items()),
    )


def called(to: Target | None = None, **fields: Any) -> Call:
    return call(asked(**fields), to or target())


def sent(to: Target | None = None, **fields: Any) -> Json:
    """The body of the call."""
    return json.loads(called(to, **fields).body)


def said(to: Target | None = None, **fields: Any) -> list[Json]:
    """The turns of the call."""
    return sent(to, **fields)["messages"]


def notes(to: Target | None = None, **fields: Any) -> list[tuple[str, str, str]]:
    return [told(note) for note in called(to, **fields).notes]


def by_claude(seed: int = 1, *, envelope: int | None = None, twice: bool = False) -> str:
    """A signature in the form that Claude's have."""
    channel = b"\x08\x0b\x18\x02" + bytes([seed % 256]) * 60
    container = b"\x0a" + bytes([len(channel)]) + channel + b"\x12\x0c" + b"n" * 12 + b"s" * 60
    whole = b"\x12" + bytes([len(container) & 0x7F | 0x80, len(container) >> 7]) + container
    if envelope is not None:
        whole = bytes([8, envelope]) + whole
    text = base64.b64encode(whole)
    return (base64.b64encode(text) if twice else text).decode()


OURS = state.pack("responses", "lab", {"e": "gAAAA"})


def thinking(signature: str | None = OURS, said: str = "Hm.") -> Json:
    return {"type": "thinking", "thinking": said} | ({} if signature is None else {"signature": signature})


def redacted(data: str = OURS) -> Json:
    return {"type": "redacted_thinking", "data": data}
