"""What keeps keys out of everything that is written: by shape, and by value for those that we know.

Shapes are those of the vendors' keys and of the headers that carry them. It is better to black out a harmless word than
to write one key.
"""

import re
from collections.abc import Iterable, Iterator

BLACKED = "[redacted]"
SHORTEST = 6  # characters; a shorter secret would black out ordinary words

_SHAPES = re.compile(
    r"""(?ix)
    # a header or a field that carries a credential keeps its name
    (?P<name>["']?\b(?:authorization|(?:x-)?(?:goog-)?api[-_]?key|x-dragoman-token|auth[-_]?token|access[-_]?token)\b
      ["']?\s*[:=,]\s*(?:b(?=["']))?["']?(?:(?:bearer|basic)\s+)?) (?P<value>[^\s"',;&)\]}]+)
    | (?P<scheme>\b(?:bearer|basic)\s+) [A-Za-z0-9._~+/=-]{6,}
    | (?P<query>[?&]key=) [^\s&"']+
    | \b(?:sk|pk|rk)[-_][A-Za-z0-9_*-]{6,}
    | \b(?:gsk|csk|xai|pplx|nvapi|hf|r8|fw|tgp|glpat|ghp|gho)[-_][A-Za-z0-9_*-]{20,}
    | \bAIza[A-Za-z0-9_-]{6,} | \bAQ\.[A-Za-z0-9_-]{6,} | \bya29\.[A-Za-z0-9._-]{6,} | \bA[KS]IA[A-Z0-9]{12,}
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*
    """
)

_HINTS = (
    *("key", "token", "authorization", "bearer", "basic"),
    *(name + mark for name in ("sk", "pk", "rk", "hf", "r8", "fw") for mark in "-_"),
    *("gsk", "csk", "xai", "pplx", "nvapi", "tgp", "glpat", "ghp", "gho"),
    *("aiza", "aq.", "ya29.", "akia", "asia", "eyj"),
)
"""Every shape has one of these within its first `_BEFORE` characters and the hint itself, in lower case."""

_BEFORE = 16


def redact(text: str) -> str:
    """`text` without anything that looks like a key."""
    return _SHAPES.sub(lambda m: (m["name"] or m["scheme"] or m["query"] or "") + BLACKED, text)


def suspects(text: str) -> Iterator[str]:
    """Everything in `text` that looks like a key, without the name or the scheme before it.

    `text` may be long, and is Latin-1: the shapes are tried only where one of `_HINTS` is near, which is many times as
    fast.
    """
    lower = text.lower()
    for hint in _HINTS:
        at = lower.find(hint)
        while at >= 0:
            for begin in range(max(0, at - _BEFORE), at + 1):
                found = _SHAPES.match(text, begin)
                if found is not None:
                    yield found[0][len(found["name"] or found["scheme"] or found["query"] or "") :]
            at = lower.find(hint, at + 1)


class Redactor:
    """`redact`, and the configured secrets by their values."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: a secret that begins with another one must not leave its tail.
        values = sorted({value for value in secrets if len(value) >= SHORTEST}, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, values))) if values else None

    def __call__(self, text: str) -> str:
        if self._values is not None:
            text = self._values.sub(BLACKED, text)
        return redact(text)
