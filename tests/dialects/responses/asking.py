"""Requests and targets for the tests of the way there."""

import json
from typing import Any

from dialects.chat.asking import Json, ask, told
from dragoman.dialects.contract import Call, Facts, Target
from dragoman.dialects.responses.quirks import Quirks
from dragoman.dialects.responses.request import call
from dragoman.messages import state

OPENAI_QUIRKS: Json = {
    "files": True,
    "file_urls": True,
    "web_search": True,
    "cache": "key",
    "obfuscation": "off",
    "safety_identifier": True,
    "service_tier": True,
    "counts": True,
}
OPENAI_FACTS: Json = {
    "context": 1_050_000,
    "max_output": 128_000,
    "reasoning": True,
    "efforts": ("none", "low", "medium", "high", "xhigh"),
    "reasons_by_default": True,
    "sampling": "without_reasoning",
    "system_role": "developer",
}


def target(*, facts: Json | None = None, strict: bool = False, scope: str = "lab", **quirks: Any) -> Target:
    return Target(
        provider="lab",
        dialect="responses",
        base_url="http://127.0.0.1:9/v1",
        model="some-model",
        quirks=Quirks(**quirks),
        facts=Facts(**(facts or {})),
        state_scope=scope,
        strict=strict,
    )


def openai(**facts: Any) -> Target:
    """A server with everything, and a model that reasons."""
    return target(facts=OPENAI_FACTS | facts, **OPENAI_QUIRKS)


def called(to: Target | None = None, *, session: str | None = None, **fields: Any) -> Call:
    return call(ask(session=session, **fields), to or target())


def sent(to: Target | None = None, **fields: Any) -> Json:
    """The body of the call."""
    return json.loads(called(to, **fields).body)


def said(to: Target | None = None, **fields: Any) -> list[Json]:
    """The input of the call."""
    return sent(to, **fields)["input"]


def notes(to: Target | None = None, **fields: Any) -> list[tuple[str, str, str]]:
    return [told(note) for note in called(to, **fields).notes]


def message(role: str, content: Any) -> Json:
    return {"type": "message", "role": role, "content": content}


def part(text: str, **more: Any) -> Json:
    return {"type": "input_text", "text": text, **more}


def function_call(id_: str, name: str = "weather", arguments: str = "{}") -> Json:
    return {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments}


def output(id_: str, content: Any) -> Json:
    return {"type": "function_call_output", "call_id": id_, "output": content}


def reasoning(content: str, id_: str | None = None) -> Json:
    return {"type": "reasoning", "summary": [], "encrypted_content": content} | ({"id": id_} if id_ else {})


def signed(payload: Any, *, dialect: str = "responses", scope: str = "lab") -> str:
    return state.pack(dialect, scope, payload)


def thought(content: str, id_: str | None = None, *, said: str = "So.", **where: str) -> Json:
    """A thinking block as our answers have it."""
    payload = {"e": content} | ({"id": id_} if id_ else {})
    return {"type": "thinking", "thinking": said, "signature": signed(payload, **where)}
