"""Names of models: families of Claude, suffixes, patterns, and which entry of `models:` a name belongs to.

Forms of Claude's names: https://platform.claude.com/docs/en/about-claude/models/overview
"""

import re
from collections.abc import Container, Mapping
from typing import Literal

from msgspec import Struct

from dragoman.providers import matches

FAMILIES = ("opus", "sonnet", "haiku", "fable", "mythos")

# claude-..., anthropic/claude-..., anthropic.claude-..., eu.anthropic.claude-... (Bedrock), claude/... is ours.
_CLAUDE = re.compile(r"(?:[a-z-]{2,8}\.)?(?:anthropic[./])?claude(?:[-_.@ :]|$)")
_WORDS = re.compile(r"[a-z]+")
_LONG_CONTEXT = re.compile(r"\[1m\]$", re.IGNORECASE)

PREFIX = "claude/"


class Claude(Struct, frozen=True):
    """A name of a Claude model. `family` is "" when it is none that we know."""

    family: str


class Found(Struct, frozen=True):
    """Where a name leads. `key` is an entry of `models:`, or "" when `provider` and `model` say it."""

    how: Literal["exact", "provider", "pattern", "family", "unmapped"]
    key: str = ""
    provider: str = ""
    model: str = ""


def bare(name: str) -> str:
    """`name` without what clients put around it: the suffix `[1m]`, and our own prefix `claude/`."""
    return _LONG_CONTEXT.sub("", name.strip()).strip().removeprefix(PREFIX).lstrip()


def claude(name: str, keys: Container[str] = ()) -> Claude | None:
    """The family of a Claude name in any dated or suffixed form, or of a family's plain word; None for other names.

    A word in `keys` names a family too, so that a family that is newer than this table can be mapped.
    """
    low = name.lower()
    if low in FAMILIES:
        return Claude(low)
    if not _CLAUDE.match(low):
        return None
    words = _WORDS.findall(low)
    for word in words:
        if word in FAMILIES:
            return Claude(word)
    for word in words:
        if word != "claude" and word in keys:
            return Claude(word)
    return Claude("")


def find(name: str, models: Mapping[str, object], providers: Container[str]) -> Found | None:
    """The entry of `models` or the provider that `name` belongs to; None when neither says anything about it.

    Order: exact name, `provider/model`, pattern in the order of the file, family. A family's entry stands against the
    patterns that come after it, unless they name the family themselves: with `opus: ...` before `claude-*: ...`, all of
    opus goes where `opus` says, and with `claude-opus-4-*: ...` after it, those go there. An unmapped family takes
    sonnet's entry, and without one the entry of the first family that has one.
    """
    if name in models:
        return Found("exact", key=name)
    provider, slash, model = name.partition("/")
    if slash and model and provider in providers:
        return Found("provider", provider=provider, model=model)
    known = claude(name, models)
    family = known.family if known and known.family in models else ""
    fitting = [key for key in models if key == family or ("*" in key and matches(key, name))]
    if family:
        fitting.sort(key=lambda key: not (key != family and family in key.lower()))
    if fitting:
        return Found("family" if fitting[0] == family else "pattern", key=fitting[0])
    if known is None:
        return None
    fallback = next((word for word in ("sonnet", *FAMILIES) if word in models), None)
    return Found("unmapped", key=fallback) if fallback else None
