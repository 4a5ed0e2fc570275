"""The arguments of one tool call: as upstreams write them, and as an object that clients can parse.

Well-formed arguments are streamed as they come. What models and servers get wrong is held back and mended: nothing at
all, `null`, `{}` before the real arguments, single quotes, a string or a list instead of an object, trailing commas.
"""

import ast
import json
import re
from typing import Any, Literal

import msgspec
from msgspec import Struct


class _Object(Struct):
    """Any object: what is in it is passed over."""


_OBJECT = msgspec.json.Decoder(_Object)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_LITERAL_LIMIT = 100_000  # characters that are parsed as a Python literal


class Arguments:
    """Collects the fragments of one call's input. Nobody may send a fragment before `ready` gives it."""

    __slots__ = ("_mode", "_unsent", "_whole", "flows", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.flows = False
        """Whether the next fragment may be sent at once, which is usual; who does so adds it to `parts`."""
        self._unsent: list[str] = []  # parts that may be sent and were not given yet
        # head: too early to tell; stream: looks like an object; hold: must be mended when it is whole
        self._mode: Literal["head", "stream", "hold"] = "head"
        self._whole = 0  # so many parts are known to be a whole object

    def add(self, fragment: str) -> None:
        self.parts.append(fragment)
        if self._mode == "head":
            self._decide()
        elif self._mode == "stream":
            self.flows = False
            self._unsent.append(fragment)

    def ready(self) -> str:
        """All that may be sent and was not given yet."""
        if self._mode != "stream":
            return ""
        rest, self._unsent = self._unsent, []
        self.flows = True
        return rest[0] if len(rest) == 1 else "".join(rest)

    def complete(self) -> bool:
        """Whether the JSON is a whole object."""
        parts = self.parts
        if not parts or not parts[-1].rstrip().endswith("}"):
            return False
        if self._whole == len(parts):
            return True
        if is_object("".join(parts)):
            self._whole = len(parts)
            return True
        return False

    def close(self, *, cut: bool) -> tuple[str, str | None]:
        """What is left to send, and the code of a note. `cut`: the output limit ended the call; it stays as it is."""
        if self._mode == "stream":
            known = cut or self._whole == len(self.parts) or is_object("".join(self.parts))
            return self.ready() if self._unsent else "", None if known else "arguments.invalid"
        text = "".join(self.parts)
        if text.strip() in ("", "{}", "null"):
            return "", None
        if cut:
            return text, None
        return mend(text)

    def _decide(self) -> None:
        text = self.parts[0] if len(self.parts) == 1 else "".join(self.parts)
        if text.startswith('{"') and (self.complete() or not text.rstrip().endswith("}")):
            self._stream()  # nearly all of them
            return
        text = text.lstrip()
        rest = text[1:].lstrip()
        if text and text[0] != "{":
            self._mode = "hold"
        elif rest.startswith("}") and rest[1:].strip():
            # Some servers announce a call with "{}" and send its arguments afterwards.
            self.parts = [rest[1:].lstrip()]
            self._decide()
        elif rest.startswith('"'):
            # A first fragment that ends like an object and is none may be a whole call that needs mending.
            if len(self.parts) > 1 or not text.rstrip().endswith("}") or self.complete():
                self._stream()
        elif rest and rest[0] != "}":
            self._mode = "hold"

    def _stream(self) -> None:
        self._mode = "stream"
        self._unsent = self.parts.copy()


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


def is_object(text: str) -> bool:
    """Whether a text is the JSON of one object."""
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
