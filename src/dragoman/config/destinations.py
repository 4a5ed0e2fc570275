"""`models:`: what callers ask for -> where it goes. Every destination must lead somewhere, and no alias in a circle."""

from collections.abc import Container, Mapping
from typing import Annotated

from msgspec import Meta

from dragoman.config.document import Node
from dragoman.config.entries import Entries
from dragoman.config.fields import NOTHING, Sheet
from dragoman.config.names import PREFIX, bare, claude, find
from dragoman.config.problems import did_you_mean
from dragoman.config.settings import Group, Leads, Provider
from dragoman.providers import presets

PASSTHROUGH = "passthrough"
"""A destination: Claude's names go to a provider of Claude as they are; others as if nothing were mapped."""

Models = dict[str, Leads]

_PARTS = ("targets", "overflow")
_NOTHING_NAMED = "names nothing. Write `provider/model`, or another name."


def destinations(sheet: Sheet, node: Node, providers: dict[str, Provider], entries: Entries) -> Models:
    """The mapping under `models:`. A preset that a destination names is added to `providers`."""
    nodes = sheet.mapping(node, "models")
    models: Models = {}
    for key, child in nodes.items():
        found = _leads(sheet, child, f"models.{key}")
        if wrong := _wrong_key(key):
            sheet.refuse(child, f"models.{key}", wrong)
        elif found is not None:
            models[key] = found
    _add_presets(models, providers, entries)
    for key, leads in models.items():
        for name in leads.names:
            if wrong := _wrong(name, models, providers):
                sheet.refuse(nodes[key], f"models.{key}", wrong)
    for circle in _circles(models, providers):
        way = " -> ".join((*circle, circle[0]))
        sheet.refuse(nodes[circle[0]], f"models.{circle[0]}", f"leads in a circle: {way}.")
    return models


def elsewhere(sheet: Sheet, node: Node, models: Models, providers: dict[str, Provider], entries: Entries) -> Leads:
    """The destinations of `thinker:`. A preset that one of them names is added to `providers`."""
    if node.value in ("", []):
        return Leads(())
    found = _leads(sheet, node, "thinker") or Leads(())
    _add_presets({"thinker": found}, providers, entries)
    for name in found.names:
        if wrong := _wrong(name, models, providers):
            sheet.refuse(node, "thinker", wrong)
    return found


def _leads(sheet: Sheet, node: Node, path: str) -> Leads | None:
    """What stands behind a name; None after a problem.

    A destination, a list of them to be tried in order, or both with what is asked about longer conversations. An item
    that is a mapping of destinations to weights shares the work among them.
    """
    before = len(sheet.problems)
    targets, overflow = node, None
    if isinstance(node.value, dict) and not node.value.keys().isdisjoint(_PARTS):
        for name, child in node.value.items():
            if name not in _PARTS:
                sheet.unknown(child, f"{path}.{name}", "there is no such setting", _PARTS)
        targets, overflow = node.value.get("targets", Node(node.line, [])), node.value.get("overflow")
    groups = _groups(sheet, targets, path)
    longer = _groups(sheet, overflow, f"{path}.overflow") if overflow is not None else ()
    return Leads(groups, longer) if len(sheet.problems) == before else None


def _groups(sheet: Sheet, node: Node, path: str) -> tuple[Group, ...]:
    items = node.value if isinstance(node.value, list) else [node]
    if not items:
        sheet.refuse(node, path, _NOTHING_NAMED)
    return tuple(_group(sheet, item, path) for item in items)


def _group(sheet: Sheet, node: Node, path: str) -> Group:
    """One destination, or several with their weights."""
    if isinstance(node.value, dict):
        weights = [
            (name.strip(), sheet.value(child, Annotated[float, Meta(gt=0)], f"{path}.{name}"))
            for name, child in node.value.items()
        ]
    else:
        found = sheet.value(node, str, path)
        if found is NOTHING:
            return ()
        weights = [(found.strip(), 1.0)]
    if not weights or not all(name for name, _ in weights):
        sheet.refuse(node, path, _NOTHING_NAMED)
    return tuple(weights)


def _wrong_key(key: str) -> str | None:
    if not key.strip():
        return "a name is missing."
    if key.startswith(PREFIX):
        return "`claude/` is taken off every name that callers send; leave it out here."
    return None


def _add_presets(models: Mapping[str, Leads], providers: dict[str, Provider], entries: Entries) -> None:
    """`fast: groq/...` is enough to use the preset groq."""
    for leads in models.values():
        for name in leads.names:
            if _passes(name, models) and not _has_claude(providers) and "anthropic" not in providers:
                providers["anthropic"] = entries.preset("anthropic")
            provider, slash, model = bare(name).partition("/")
            if slash and model and name not in models and provider in presets() and provider not in providers:
                providers[provider] = entries.preset(provider)


def _wrong(name: str, models: Models, providers: Mapping[str, Provider]) -> str | None:
    """Why `name` is no destination; None when it is one."""
    name = bare(name)
    if _passes(name, models):
        return (
            None
            if _has_claude(providers)
            else "needs a provider of Claude: add `mine: {preset: anthropic}` to `providers:`."
        )
    if find(name, models, providers) is not None or claude(name) is not None:
        return None
    if any(name in (*provider.models, provider.big, provider.small) for provider in providers.values()):
        return None
    provider, slash, _ = name.partition("/")
    if slash:
        # The part before the slash is a name, and is told; the rest is not needed to find the line.
        hint = did_you_mean(provider, [*providers, *presets()])
        return f"there is no provider of the name before the `/`.{hint} Configured: {', '.join(providers) or 'none'}."
    known = [*models, *(f"{each.name}/{model}" for each in providers.values() for model in each.models)]
    return f"leads nowhere: write `provider/model`, or a name that stands in `models:`.{did_you_mean(name, known)}"


def _has_claude(providers: Mapping[str, Provider]) -> bool:
    return any(each.claude and each.facts_of is None for each in providers.values())


def _passes(name: str, models: Container[str]) -> bool:
    return bare(name) == PASSTHROUGH and PASSTHROUGH not in models


def _circles(models: Models, providers: Mapping[str, Provider]) -> list[tuple[str, ...]]:
    """Entries that lead back to themselves, each circle once."""
    done: set[str] = set()
    found: list[tuple[str, ...]] = []

    def walk(key: str, way: tuple[str, ...]) -> None:
        if key in way:
            found.append(way[way.index(key) :])
        elif key not in done:
            for name in models[key].names:
                step = None if _passes(name, models) else find(bare(name), models, providers)
                if step is not None and step.key:
                    walk(step.key, (*way, key))
            done.add(key)

    for key in models:
        walk(key, ())
    return found
