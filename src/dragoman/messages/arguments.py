"""The arguments of one tool call: as upstreams write them, and as an object that clients can parse.

Well-formed arguments are streamed as they come. What models and servers get wrong is held back and mended: nothing at
all, `null`, `{}` before the real arguments, single quotes, a string or a list instead of an object, trailing commas.
"""

import ast
import json
import re
from typing import Any, Literal

import msgspec
from msgspec import Raw

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_LITERAL_LIMIT = 100_000  # characters that are parsed as a Python literal


class Arguments:
    """Collects the fragments of one call's input. Nobody may send a fragment before `ready` gives it."""

    __slots__ = ("_mode", "_parts", "_sent")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._sent = 0  # parts that `ready` gave
        # head: too early to tell; stream: looks like an object; hold: must be mended when it is whole
        self._mode: Literal["head", "stream", "hold"] = "head"

    def add(self, fragment: str) -> None:
        self._parts.append(fragment)
        if self._mode == "head":
            self._decide()

    def passes(self, fragment: str) -> bool:
        """Whether the fragment may be sent at once, which is usual; then it is added, and counts as sent."""
        if self._mode != "stream" or self._sent != len(self._parts):
            return False
        self._parts.append(fragment)
        self._sent += 1
        return True

    def ready(self) -> str:
        """All that may be sent and was not given yet."""
        if self._mode != "stream":
            return ""
        parts = self._parts
        rest = parts[-1] if self._sent == len(parts) - 1 else "".join(parts[self._sent :])
        self._sent = len(parts)
        return rest

    def complete(self) -> bool:
        """Whether the JSON is a whole object."""
        return bool(self._parts) and self._parts[-1].rstrip().endswith("}") and _is_object("".join(self._parts))

    def close(self, *, cut: bool) -> tuple[str, str | None]:
        """What is left to send, and the code of a note. `cut`: the output limit ended the call; it stays as it is."""
        text = "".join(self._parts)
        if self._mode == "stream":
            return self.ready(), None if cut or _is_object(text) else "arguments.invalid"
        if text.strip() in ("", "{}", "null"):
            return "", None
        if cut:
            return text, None
        return mend(text)

    def _decide(self) -> None:
        text = "".join(self._parts).lstrip()
        rest = text[1:].lstrip()
        if text and text[0] != "{":
            self._mode = "hold"
        elif rest.startswith("}") and rest[1:].strip():
            # Some servers announce a call with "{}" and send its arguments afterwards.
            self._parts = [rest[1:].lstrip()]
            self._decide()
        elif rest.startswith('"'):
            # A first fragment that ends like an object and is none may be a whole call that needs mending.
            if len(self._parts) > 1 or not text.rstrip().endswith("}") or _is_object(text):
                self._mode = "stream"
        elif rest and rest[0] != "}":
            self._mode = "hold"


def mend(text: str) -> tuple[str, str | None]:
    """An object's JSON for arguments that are none, and the note's code.

    What cannot be read at all is kept where the caller can see it: `{"_raw": text}`.
    """
    for attempt in (_parsed, _without_trailing_commas, _first_object, _python_literal):
        found = attempt(text)
        if isinstance(found, str):  # the object was encoded twice
            found = _parsed(found) or found
        if isinstance(found, dict):
            return _dump(found), "arguments.repaired"
        if found is not None:
            return _dump({"value": found}), "arguments.repaired"
    return _dump({"_raw": text}), "arguments.invalid"


def _is_object(text: str) -> bool:
    try:
        _OBJECT.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
    return True


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _without_trailing_commas(text: str) -> Any:
    return _parsed(_TRAILING_COMMA.sub(r"\1", text))


def _first_object(text: str) -> Any:
    """The first of several objects that has members: "{}{"a":1}" and the like."""
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text):
        try:
            found, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return None
        if isinstance(found, dict) and found:
            return found
        while text[position : position + 1].isspace():
            position += 1
    return None


def _python_literal(text: str) -> Any:
    if len(text) > _LITERAL_LIMIT or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        found = ast.literal_eval(text.strip())
        json.dumps(found)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return found
