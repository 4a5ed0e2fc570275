"""Contents and parts as Gemini's bodies have them, and blocks that hold its signatures."""

from typing import Any

from dialects.chat.asking import Json, assistant, text, use, user
from dialects.gemini.targets_gemini import said
from dragoman.dialects.contract import Target
from dragoman.dialects.gemini.signatures import Mark, seal


def users(*parts: Json) -> Json:
    return {"parts": list(parts), "role": "user"}


def model(*parts: Json) -> Json:
    return {"parts": list(parts), "role": "model"}


def words(said: str, signature: str | None = None) -> Json:
    return {"text": said} | ({"thoughtSignature": signature} if signature else {})


def called(signature: str | None = None, name: str = "weather", args: Any = None, id_: str | None = None) -> Json:
    call = {"name": name, "args": args or {}} | ({"id": id_} if id_ else {})
    return {"functionCall": call} | ({"thoughtSignature": signature} if signature else {})


def responded(said: str = "done", *, key: str = "output", id_: str | None = None, **more: Any) -> Json:
    response = {"name": "weather", "response": {key: said}} | ({"id": id_} if id_ else {}) | more
    return {"functionResponse": response}


def thought(*marks: Mark, scope: str = "lab") -> Json:
    """A thinking block as our answers have it."""
    return {"type": "thinking", "thinking": "So.", "signature": seal(list(marks), scope)}


def hidden(*marks: Mark, scope: str = "lab") -> Json:
    return {"type": "redacted_thinking", "data": seal(list(marks), scope)}


def calls(*ids: str) -> list[Json]:
    """A conversation that ends with calls of those ids."""
    return [user(text("Go.")), assistant(*(use(id_) for id_ in ids))]


def parts_of(*blocks: Json, to: Target | None = None, then: Json | None = None) -> list[Json]:
    """The parts of one answer."""
    return said(to, messages=[user(text("x")), assistant(*blocks), then or user(text("y"))])[1]["parts"]
