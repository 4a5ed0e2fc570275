"""What keeps keys out of a bundle. Bytes keep their length, so that a body can be cut again where it was cut.

A key is known by its value (those of the configuration, of the caller's headers and of our calls), by the header that
carries it, and by its shape. What is found by shape in one place is then blacked out everywhere, so that both sides of
the gateway still agree.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from dragoman.telemetry.redaction import BLACKED, SHORTEST, suspects

_FILLING = b"redacted-"  # letters that are legal in names, too

_CREDENTIAL = re.compile(r"auth|key|token(?!s)|secret|cookie|credential|password|signature")
_ACCOUNT = re.compile(r"organization|project|account")
_HARMLESS = frozenset(
    {"accept", "accept-encoding", "accept-language", "connection", "content-encoding", "content-length"}
    | {"content-type", "host", "openai-beta", "transfer-encoding", "user-agent", "x-app", "x-goog-api-client"}
)
_HARMLESS_PREFIXES = ("anthropic-", "x-stainless-", "x-claude-code-")
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]+")
_LONG = 16  # characters of a header's value that may be a key, although nothing says so
_USER = re.compile(r"//[^/@?#\s\"']+@")


class Blackout:
    """Blacks out these values, in every form that they can have in a bundle."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form.encode() for value in values if len(value) >= SHORTEST for form in _forms(value)}
        # The longest first: a key that begins with another one must not leave its tail.
        self._values = re.compile(b"|".join(map(re.escape, sorted(forms, key=len, reverse=True)))) if forms else None

    def body(self, raw: bytes) -> bytes:
        """The same number of bytes."""
        return raw if self._values is None else self._values.sub(_covered, raw)

    def text(self, text: str) -> str:
        """A URL in it loses its user and password, too."""
        text = _USER.sub("//", text)
        return self.body(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")

    def asked(self, rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Headers of a request or a call: only what is known to be harmless keeps its value."""
        return [(name, self.text(value) if is_harmless(name) else BLACKED) for name, value in rows]

    def told(self, rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Headers of an answer or a reply: what may be a credential, or says whose account it is, loses its value."""
        private = [
            (name, is_credential(name) or _ACCOUNT.search(name.lower()) is not None, value) for name, value in rows
        ]
        return [(name, BLACKED if hidden else self.text(value)) for name, hidden, value in private]


def is_credential(name: str) -> bool:
    """By the name of a header."""
    return _CREDENTIAL.search(name.lower()) is not None


def is_harmless(name: str) -> bool:
    name = name.lower()
    known = name in _HARMLESS or name.startswith(_HARMLESS_PREFIXES)
    return known and not is_credential(name) and _ACCOUNT.search(name) is None


def secrets_in(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Values in headers that must not be anywhere else."""
    for name, value in rows:
        if name.lower() == "cookie":
            yield from filter(_is_key, (part.partition("=")[2].strip() for part in value.split(";")))
        elif is_credential(name):
            yield from filter(_is_key, (value, value.rpartition(" ")[2]))
        elif not is_harmless(name) and len(value) >= _LONG and _KEY.fullmatch(value):
            yield value


def found_in(raw: bytes) -> Iterator[str]:
    """Values in a body that look like keys."""
    for value in suspects(raw.decode("latin-1")):
        match = _KEY.match(value)
        if match is not None and _is_key(match[0]):
            yield match[0]


def _is_key(value: str) -> bool:
    """Any word is accepted as the token of an open gateway, "dragoman" among them: that is no secret."""
    return len(value) >= _LONG or (len(value) >= 8 and any(char.isdigit() for char in value))


def _forms(value: str) -> set[str]:
    """As it is, inside JSON (`/` may be escaped there), and inside a URL."""
    escaped = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    return {value, *escaped, *(each.replace("/", "\\/") for each in escaped), quote(value), quote(value, safe="")}


def _covered(found: re.Match[bytes]) -> bytes:
    length = len(found[0])
    return (_FILLING * (length // len(_FILLING) + 1))[:length]
