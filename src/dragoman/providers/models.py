"""Facts about models (`models.toml`), and targets: a provider's template with a model and its facts filled in."""

import hashlib
import tomllib
from collections.abc import Container, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from dragoman.dialects.contract import Facts, Target
from dragoman.providers.patterns import matches
from dragoman.providers.presets import QUIRKS, RowError


class Row(Struct, frozen=True, kw_only=True):
    """One `[[model]]`: what holds for every model that one of the patterns matches."""

    patterns: tuple[str, ...]  # lower case
    facts: dict[str, Any]  # fields of `Facts`, checked
    quirks: dict[str, Any]  # fields of the dialect's quirks, checked


@cache
def rows() -> tuple[Row, ...]:
    """All rows, in the order of the file. Raises RowError."""
    return read(Path(__file__).with_name("models.toml").read_text("utf-8"))


def read(text: str, file: str = "models.toml") -> tuple[Row, ...]:
    """The rows in TOML `text`. Raises RowError, which names the row by its patterns."""
    known = set(Facts.__struct_fields__)
    found = []
    for row in tomllib.loads(text).get("model", []):
        match = row.pop("match", [])
        quirks = row.pop("quirks", {})
        place = f"{file}: {', '.join(match) or 'a row without match'}"
        if not match or not row.get("source"):
            raise RowError(f"{place}: needs `match` and `source`")
        if unknown := row.keys() - known:
            raise RowError(f"{place}: unknown: {', '.join(sorted(unknown))}")
        try:
            facts = structs.asdict(msgspec.convert(row, Facts))
            typed = msgspec.convert(quirks, QUIRKS["chat"])
        except msgspec.ValidationError as error:
            raise RowError(f"{place}: {error}") from None
        found.append(
            Row(
                patterns=tuple(pattern.lower() for pattern in match),
                facts={name: facts[name] for name in row},
                quirks={name: getattr(typed, name) for name in quirks},
            )
        )
    return tuple(found)


def state_scope(provider: str, base_url: str) -> str:
    """Which deployments can read state made here: letters, digits, `-` and `_` only, the same in every process."""
    return f"{provider}-{hashlib.sha256(base_url.encode()).hexdigest()[:8]}"


def target(
    template: Target,
    model: str,
    *,
    preset: str | None = None,
    overrides: Iterable[tuple[str, Mapping[str, Any]]] = (),
    settled: Container[str] = (),
) -> Target:
    """`template` with `model` and what is known about it.

    `preset` is the row that the provider was made of: facts follow the configured provider, never a guess from the
    model's name. `overrides` are the user's own facts: patterns of the model's name, with fields of `Facts`. `settled`
    are the quirks that the user set; no row changes them.
    """
    low = model.lower()
    name = f"{preset or '-'}/{low}"
    facts: dict[str, Any] = {}
    quirks: dict[str, Any] = {}
    for row in rows():
        if any(matches(pattern, name) for pattern in row.patterns):
            facts |= row.facts
            quirks |= row.quirks
    for pattern, fields in overrides:
        if matches(pattern.lower(), low):
            facts |= fields
    quirks = {name: value for name, value in quirks.items() if name not in settled}
    if quirks and template.dialect == "chat":
        template = structs.replace(template, quirks=structs.replace(template.quirks, **quirks))
    return structs.replace(template, model=model, facts=Facts(**facts))
