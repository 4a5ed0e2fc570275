"""Facts about models (`models.toml`), and targets: a provider's template with a model and its facts filled in."""

import hashlib
import tomllib
from collections.abc import Container, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import msgspec
from msgspec import Struct, structs

from dragoman.dialects.contract import Facts, Target
from dragoman.providers.claude import Form, plain
from dragoman.providers.patterns import matches
from dragoman.providers.presets import QUIRKS, RowError

PASSED_ON = "anthropic"
"""The language that is not translated."""


class Row(Struct, frozen=True, kw_only=True):
    """One `[[model]]`: what holds for every model that one of the patterns matches."""

    patterns: tuple[str, ...]  # lower case
    asked_in: str | None  # the only language in which it holds; None: in each
    facts: dict[str, Any]  # fields of `Facts`, checked
    quirks: dict[str, Any]  # fields of the quirks of `asked_in`, else of chat; checked


class Described(Protocol):
    """What targets are made of, e.g. `config.Provider`."""

    @property
    def template(self) -> Target:
        """In its usual language, with model ""; `{model}` in its base URL stands for the model."""
        ...

    @property
    def others(self) -> tuple[Target, ...]:
        """The same in its other languages."""
        ...

    @property
    def dialect(self) -> str | None:
        """The language that the user chose for all its models."""
        ...

    @property
    def preset(self) -> str | None:
        """The row that it was made of: facts follow the configured provider, never a guess from the model's name."""
        ...

    @property
    def facts_of(self) -> str | None:
        """The preset whose models these are, under names of the user's own."""
        ...

    @property
    def claude(self) -> Form | None:
        """How it names the models of Claude, where it has them: what is known about those holds on every platform."""
        ...

    @property
    def base_models(self) -> Mapping[str, str]:
        """Name of the user's own, in lower case -> the model of `facts_of` that it is."""
        ...

    @property
    def facts(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """The user's own facts: patterns of the model's name, with fields of `Facts`."""
        ...

    @property
    def settled(self) -> Mapping[str, Container[str]]:
        """Dialect -> quirks that the user set; no row changes them."""
        ...


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
        asked_in = row.pop("asked_in", None)
        place = f"{file}: {', '.join(match) or 'a row without match'}"
        if not match or not row.get("source"):
            raise RowError(f"{place}: needs `match` and `source`")
        if unknown := row.keys() - known:
            raise RowError(f"{place}: unknown: {', '.join(sorted(unknown))}")
        if wrong := {asked_in, row.get("dialect")} - {None, *QUIRKS}:
            raise RowError(f"{place}: there is no dialect {', '.join(map(repr, wrong))}")
        if asked_in is not None and "dialect" in row:
            raise RowError(f"{place}: `asked_in` holds once the dialect is known; it cannot say which")
        try:
            facts = structs.asdict(msgspec.convert(row, Facts))
            typed = msgspec.convert(quirks, QUIRKS[asked_in or "chat"])
        except msgspec.ValidationError as error:
            raise RowError(f"{place}: {error}") from None
        found.append(
            Row(
                patterns=tuple(pattern.lower() for pattern in match),
                asked_in=asked_in,
                facts={name: facts[name] for name in row},
                quirks={name: getattr(typed, name) for name in quirks},
            )
        )
    return tuple(found)


def state_scope(provider: str, base_url: str) -> str:
    """Which deployments can read state made here: letters, digits, `-` and `_` only, the same in every process."""
    return f"{provider}-{hashlib.sha256(base_url.encode()).hexdigest()[:8]}"


def target(provider: Described, model: str) -> Target:
    """The target for `model`, in the language it is asked in; `other` is the same model in another one. What is
    translated never changes to what is passed on, nor the other way: Messages is nobody's `other`, and has none.

    The language: of the user's facts about the model, else the user's for the provider, else of models.toml, else the
    provider's usual one. One that the provider does not have does not count.
    """
    fitting = _fitting(provider, model)
    own: dict[str, Any] = {}
    for pattern, fields in provider.facts:
        if matches(pattern.lower(), model.lower()):
            own |= fields
    said = None
    for row in fitting:
        said = row.facts.get("dialect", said)
    templates = {each.dialect: each for each in (provider.template, *provider.others)}
    wanted = own.get("dialect") or provider.dialect or said
    first = templates.pop(wanted if wanted in templates else provider.template.dialect)
    second = next((each for each in templates.values() if PASSED_ON not in (first.dialect, each.dialect)), None)
    other = _made(second, provider, model, fitting, own) if second is not None else None
    return structs.replace(_made(first, provider, model, fitting, own), other=other)


def unknown(provider: Described, model: str) -> str | None:
    """Why nothing is known about a model that has a name of the user's own, and what to do; None when it is known."""
    if provider.facts_of is None:
        return None
    base = provider.base_models.get(model.lower())
    if base is None:
        text = f"say which model {model[:200]} is: `deployments: {{{model[:200]}: gpt-...}}`"
    elif not any(row.facts.keys() - {"dialect", "source"} for row in _fitting(provider, model)):
        text = f"nothing is known about {base[:200]}, the model of {model[:200]}: check `deployments:`"
    else:
        return None
    return f"{text} under `{provider.template.provider}:`, for its limits and what it can do"


def _fitting(provider: Described, model: str) -> list[Row]:
    """The rows about `model`. A name of the user's own says nothing, whatever it looks like."""
    name = model.lower()
    if provider.facts_of is None:
        names = [f"{provider.preset or '-'}/{name}"]
    else:
        base = provider.base_models.get(name)
        names = [f"{maker}/{base.lower()}" for maker in (provider.facts_of, provider.preset)] if base else []
        name = base.lower() if base else ""
    known = plain(name) if provider.claude else None
    if known is not None:
        names.append(f"anthropic/{known}")
    return [row for row in rows() if any(matches(pattern, each) for pattern in row.patterns for each in names)]


def _made(template: Target, provider: Described, model: str, fitting: Iterable[Row], own: Mapping[str, Any]) -> Target:
    """`template` with `model`, and what holds for it in this language."""
    facts: dict[str, Any] = {}
    quirks: dict[str, Any] = {}
    for row in fitting:
        if row.asked_in in (None, template.dialect):
            facts |= row.facts
        if (row.asked_in or "chat") == template.dialect:
            quirks |= row.quirks
    settled = provider.settled.get(template.dialect, ())
    quirks = {name: value for name, value in quirks.items() if name not in settled}
    return structs.replace(
        template,
        model=model,
        base_url=template.base_url.replace("{model}", quote(model, safe="")),
        facts=Facts(**{**facts, **own}),
        quirks=structs.replace(template.quirks, **quirks) if quirks else template.quirks,
    )
