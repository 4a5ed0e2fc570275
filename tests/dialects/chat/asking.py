"""Requests and targets for the tests of the way there."""

import json
from typing import Any

from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.chat.request import call
from dragoman.dialects.contract import Call, Facts, Target
from dragoman.messages.notes import Note
from dragoman.messages.request import Request, decode

Json = dict[str, Any]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
PDF: Json = {
    "type": "document",
    "title": "Report",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
}
WEATHER: Json = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def ask(*, session: str | None = None, **fields: Any) -> Request:
    """A request; by default a user says hello."""
    body: Json = {"model": "claude-sonnet-4-5", "max_tokens": 1000, "messages": [{"role": "user", "content": "Hello."}]}
    return decode(json.dumps(body | fields).encode(), session=session)


def target(*, facts: Json | None = None, strict: bool = False, scope: str = "lab", **quirks: Any) -> Target:
    return Target(
        provider="lab",
        dialect="chat",
        base_url="http://127.0.0.1:9/v1",
        model="some-model",
        quirks=Quirks(**quirks),
        facts=Facts(**(facts or {})),
        state_scope=scope,
        strict=strict,
    )


def called(to: Target | None = None, *, session: str | None = None, **fields: Any) -> Call:
    return call(ask(session=session, **fields), to or target())


def sent(to: Target | None = None, **fields: Any) -> Json:
    """The body of the call."""
    return json.loads(called(to, **fields).body)


def said(to: Target | None = None, **fields: Any) -> list[Json]:
    """The messages of the call."""
    return sent(to, **fields)["messages"]


def notes(to: Target | None = None, **fields: Any) -> list[tuple[str, str, str]]:
    return [told(note) for note in called(to, **fields).notes]


def told(note: Note) -> tuple[str, str, str]:
    return note.grade, note.code, note.place


def user(*content: Any) -> Json:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> Json:
    return {"role": "assistant", "content": list(content)}


def text(said: str, **more: Any) -> Json:
    return {"type": "text", "text": said, **more}


def use(id_: str, name: str = "weather", input_: Any = None, **more: Any) -> Json:
    return {"type": "tool_use", "id": id_, "name": name, "input": {} if input_ is None else input_, **more}


def result(id_: str, content: Any = "done", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **more}
