"""Tool names and tool ids that an upstream accepts, and the way back.

Clients send names of any length (`mcp__plugin_...__...` of 86 characters was seen) and histories hold ids of other
vendors; upstreams take 64 characters of `[a-zA-Z0-9_-]` or less.
https://platform.openai.com/docs/api-reference/chat/create
"""

import re
from collections.abc import Container, Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Literal

from msgspec import Struct

LEGAL_ID = re.compile(r"\A[a-zA-Z0-9_-]{1,64}\Z")
"""A tool id that every client and Anthropic itself take."""

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_LEADING = re.compile(r"[a-zA-Z_]")
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HASH = 8  # characters of hash behind a shortened name


class Names(Struct, frozen=True):
    """The tool names of one request, both ways: no two names share an upstream name."""

    back: dict[str, str]
    """Upstream name -> the caller's, only where they differ."""
    limit: int
    _forth: dict[str, str]
    _same: Container[str] = ()  # names that are known to stay as they are
    _begins: bool = False  # a name must begin with a letter or "_"

    @classmethod
    def of(cls, names: Iterable[str], *, limit: int, begins: bool = False) -> "Names":
        """`names`: every name in the caller's tools, tool choice and history. `limit`: characters, at least 16.
        `begins`: the upstream takes only names that begin with a letter or "_".

        A legal name stays as it is. Another gets a name that depends on nothing but itself, unless that very name is
        taken by another tool of the request. The order of `names` does not matter.
        """
        wanted = set(names)
        # All of them at once: a request without an illegal name is the usual one.
        if not wanted or (
            min(map(len, wanted)) > 0
            and max(map(len, wanted)) <= limit
            and _clean("".join(wanted))
            and not (begins and not all(map(_LEADING.match, wanted)))
        ):
            return cls({}, limit, {}, wanted, begins)
        forth: dict[str, str] = {}
        back: dict[str, str] = {}
        for name in sorted(name for name in wanted if not _fits(name, limit, begins=begins)):
            number = 0
            while (short := _shorten(name, limit, number, begins=begins)) in wanted or short in back:
                number += 1
            forth[name] = short
            back[short] = name
        return cls(back, limit, forth, (), begins)

    def out(self, name: str) -> str:
        """The upstream's name for the caller's `name`."""
        if name in self._same:
            return name
        known = self._forth.get(name)
        if known is not None:
            return known
        is_legal = _fits(name, self.limit, begins=self._begins)
        return name if is_legal else _shorten(name, self.limit, 0, begins=self._begins)


@lru_cache(maxsize=64)  # a limit is a server's
def no_names(limit: int, *, begins: bool = False) -> Names:
    """Of a request without tools. `limit` and `begins`: see `Names.of`."""
    return Names({}, limit, {}, (), begins)


def is_legal_id(id: str) -> bool:  # noqa: A002 - the wire's word
    """Whether it is a `LEGAL_ID`; this is faster."""
    return (len(id) <= 64 and id.isascii() and id.isidentifier()) or LEGAL_ID.match(id) is not None


def tool_id(id: str, *, limit: int, style: Literal["any", "alphanumeric9"] = "any") -> str:  # noqa: A002 - the wire's word
    """A tool id that the upstream takes, the same for a call and for its result.

    `any`: a legal id of at most `limit` characters (at least 16) stays, else `call_` and a hash.
    `alphanumeric9`: exactly nine letters and digits, for Mistral.
    https://docs.mistral.ai/capabilities/function_calling/
    """
    if style == "alphanumeric9":
        return id if len(id) == 9 and id.isascii() and id.isalnum() else _letters(id, 9)
    return id if _legal(id, limit) else f"call_{sha256(_bytes(id)).hexdigest()[: min(limit - 5, 32)]}"


def mint(message_id: str, number: int) -> str:
    """A tool id of our own, for block `number` of the message: the upstream gave none, or one that cannot be used."""
    return f"toolu_{sha256(_bytes(f'{message_id}/{number}')).hexdigest()[:24]}"


def _legal(name: str, limit: int) -> bool:
    return 0 < len(name) <= limit and _clean(name)


def _fits(name: str, limit: int, *, begins: bool) -> bool:
    return _legal(name, limit) and (not begins or _LEADING.match(name) is not None)


def _clean(name: str) -> bool:
    usual = name.replace("_", "")
    return (usual.isascii() and usual.isalnum()) or not _ILLEGAL.search(name)  # the first is twice as fast


def _shorten(name: str, limit: int, number: int, *, begins: bool) -> str:
    mark = sha256(_bytes(name if number == 0 else f"{name}\0{number}")).hexdigest()[:_HASH]
    if begins and not _LEADING.match(name):
        name = f"_{name}"
    return f"{_ILLEGAL.sub('_', name[: limit - _HASH - 1])}_{mark}"


def _letters(text: str, count: int) -> str:
    number = int.from_bytes(sha256(_bytes(text)).digest())
    found = ""
    for _ in range(count):
        number, digit = divmod(number, len(_LETTERS))
        found += _LETTERS[digit]
    return found


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
