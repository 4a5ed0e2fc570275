"""JSON as others get it wrong: lone surrogates, broken UTF-8, a number where a string belongs.

One odd field must not cost a whole answer: what makes sense is kept, and what cannot be written as UTF-8 stays behind.
"""

import json
import re
from codecs import utf_8_decode
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

Value = TypeVar("Value")

_PIECE = 16 * 1024  # bytes that are checked at once
_LONE = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def parse(body: bytes) -> Any:
    """JSON as plain values, with lone surrogates in its strings if there are any. Raises ValueError when it is no JSON.

    `json` takes what msgspec refuses: lone surrogates (`"\\ud83d"`), NaN, and with `_whole` numbers of any length.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            text = body.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            text = body.decode("utf-8", "replace")
        try:
            return json.loads(text, parse_int=_whole)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parsed(body: bytes) -> Any:
    """The same; None for what is no JSON."""
    try:
        return parse(body)
    except ValueError:
        return None


def sound(decode: Callable[[bytes | str], Value], raw: bytes | Raw) -> Value:
    """What `decode` reads in `raw`, which was cut out of a body that nobody checked: U+FFFD for what is no UTF-8.

    Raises what `decode` raises.
    """
    try:
        return decode(raw)
    except UnicodeDecodeError:
        return decode(str(memoryview(raw), "utf-8", "replace"))


def check_utf8(raw: bytes) -> None:
    """Raises UnicodeDecodeError. The decoder of JSON checks only what it decodes, and raw parts go on as they are."""
    if raw.isascii():
        return
    size = len(raw)
    view = memoryview(raw)
    done = 0
    while done < size:  # in pieces that stay in the processor's cache
        done += utf_8_decode(view[done : done + _PIECE], "strict", done + _PIECE >= size)[1]


def repair_surrogates(raw: bytes) -> bytes:
    r"""Replace every `\ud800`-`\udfff` escape that is not half of a pair by `\ufffd`."""
    return _LONE.sub(lambda m: m[0] if m[2] else m[1] + rb"\ufffd", raw)


def _whole(digits: str) -> int | float:
    """A number; infinity when Python would take too long to read it.

    https://docs.python.org/3/library/stdtypes.html#integer-string-conversion-length-limitation
    """
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def clean(value: Any) -> Any:
    """The same values with U+FFFD for each lone surrogate: what cannot be written as UTF-8 must not travel on."""
    if isinstance(value, str):
        return join_halves(value) if not value.isascii() else value
    if isinstance(value, list):
        return [clean(each) for each in value]
    if isinstance(value, dict):
        return {clean(name): clean(each) for name, each in value.items()}
    return value


def join_halves(text: str) -> str:
    """`text` with neighbouring surrogate halves as one character, and U+FFFD for each half that is alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Halves:
    """Joins characters that were cut between their surrogate halves, each in another piece of the same stream."""

    def __init__(self) -> None:
        self.replaced = False  # a half stayed alone and became U+FFFD
        self._waiting: dict[Hashable, str] = {}

    def join(self, stream: Hashable, text: str) -> str:
        """`text` behind the half that the last piece of `stream` ended with; a half at its own end waits."""
        text = self._waiting.pop(stream, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._waiting[stream] = text[-1]
            text = text[:-1]
        if text.isascii():
            return text
        joined = join_halves(text)
        if joined.count("\ufffd") > text.count("\ufffd"):
            self.replaced = True
        return joined

    def end(self, stream: Hashable) -> str:
        """The stream is over: U+FFFD for a half that waited in vain, else nothing."""
        if self._waiting.pop(stream, None) is None:
            return ""
        self.replaced = True
        return "\ufffd"

    def left(self) -> list[Hashable]:
        """The streams whose last half waits in vain."""
        return list(self._waiting)


def count(value: Any) -> int | None:
    """A number that is one, also written as `12.0` or `"12"`; None for everything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and -1e15 < value < 1e15:
        return int(value)
    return None


def text(value: Any) -> str | None:
    """A string that is one."""
    return value if isinstance(value, str) else None


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; one object where a list belongs is a list of one."""
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
