"""Opaque state of an upstream, as text that travels with the client.

It rides in `thinking.signature` or `redacted_thinking.data`, which clients send back exactly as they came:
`dragoman1.<dialect>.<scope>.<base64url>`. Any replica can read it; nothing is kept here.
"""

import base64
import binascii
import re
import zlib
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

LIMIT = 1024 * 1024  # bytes of JSON in one state

_SMALL = 64  # bytes
_PREFIX = "dragoman1."
_OURS = re.compile(r"dragoman[0-9]+\.")
_FORM = re.compile(r"dragoman1\.([a-zA-Z0-9_-]*)\.([a-zA-Z0-9_-]*)\.([a-zA-Z0-9_-]+)")
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_WORD_LIMIT = 64
_ZLIB_MARK = b"x"  # first byte of a zlib stream with a 32 KB window; no JSON text begins with it


class State(Struct, frozen=True):
    """What `unpack` found. `payload` is decoded JSON that went through the caller's hands: check before use."""

    dialect: str
    scope: str
    payload: Any

    def fits(self, dialect: str, scope: str) -> bool:
        """Whether a deployment of this dialect and `state_scope` can read it."""
        return self.dialect == _word(dialect) and self.scope == _word(scope)


def pack(dialect: str, scope: str, state: Any) -> str:
    """`state` as text. The same arguments give the same text.

    `state`: JSON text as bytes, or whatever msgspec encodes. Returns "" when the JSON is over `LIMIT` bytes: the
    caller then notes the loss.
    """
    text = state if isinstance(state, bytes) else msgspec.json.encode(state)
    if len(text) > LIMIT:
        return ""
    body = text
    if len(text) > _SMALL:  # else there is little to gain, and making a compressor costs more than all the rest
        small = zlib.compress(text, 6)
        body = small if len(small) < len(text) else text
    sealed = zlib.crc32(body).to_bytes(4) + body
    return f"{_PREFIX}{_word(dialect)}.{_word(scope)}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"


def unpack(text: str) -> State | None:
    """The state in `text`; None when it is not ours, damaged, or over `LIMIT`. Raises nothing."""
    form = _FORM.fullmatch(text)
    if form is None or len(form[3]) > LIMIT * 2:
        return None
    try:
        sealed = base64.b64decode(form[3] + "=" * (-len(form[3]) % 4), altchars=b"-_", validate=True)
        body = sealed[4:]
        if zlib.crc32(body).to_bytes(4) != sealed[:4]:
            return None
        if body.startswith(_ZLIB_MARK):
            inflater = zlib.decompressobj()
            body = inflater.decompress(body, LIMIT + 1)
            if not inflater.eof:
                return None
        if len(body) > LIMIT:
            return None
        return State(form[1], form[2], msgspec.json.decode(body))
    except (binascii.Error, zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def ours(text: str) -> bool:
    """Whether a dragoman, of this version or a later one, made this signature; it must reach no vendor."""
    return _OURS.match(text) is not None


def _word(word: str) -> str:
    """`word` in the characters that the form allows: other words keep what is legal, and get a hash."""
    if len(word) <= _WORD_LIMIT and not _ILLEGAL.search(word):
        return word
    mark = sha256(word.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_ILLEGAL.sub('-', word[: _WORD_LIMIT - 9])}-{mark}"
