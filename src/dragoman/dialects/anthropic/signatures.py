"""Whose thinking it is, by the form of its signature. Nothing is checked here but the form: only Anthropic can do that.

Anthropic's signatures are base64 of a protobuf message: the version of its envelope (field 1, since Claude 5; absent
before), then a container (field 2), whose first field holds who signed, as a message that begins with a number. Some
platforms encode all that twice. Gemini's begin alike, but what they hold at that place is no protobuf. Other servers
send nothing, a uuid, or a hash.
https://pkg.go.dev/github.com/router-for-me/CLIProxyAPI/v7/internal/signature and
https://github.com/router-for-me/CLIProxyAPI/blob/main/internal/signature/gemini_validation.go
"""

import binascii
import re

_LOOK = 64  # characters of a signature that are looked at
_CLAUDE = re.compile(
    rb"(?:\x08[\x00-\x7f])?"  # 1: version of the envelope
    rb"\x12(?:[\x80-\xff]{0,4}[\x00-\x7f])"  # 2: container, with its length
    rb"\x0a(?:[\x80-\xff]{0,4}[\x00-\x7f])"  # 1: who signed, with its length
    rb"[\x08\x10\x18\x20]",  # 1 to 4: a number
    re.DOTALL,
)


def by_claude(signature: str | None) -> bool:
    """Whether this has the form of what Claude signs, in `thinking.signature` and in `redacted_thinking.data`."""
    if not signature:
        return False
    begin = _decoded(signature)
    return _CLAUDE.match(begin) is not None or _CLAUDE.match(_decoded(begin.decode("latin-1"))) is not None


def _decoded(text: str) -> bytes:
    """The first bytes of `text`; b"" when it is no base64."""
    begin = text[:_LOOK]
    try:
        return binascii.a2b_base64(begin[: len(begin) // 4 * 4], strict_mode=True)
    except (binascii.Error, ValueError):
        return b""
