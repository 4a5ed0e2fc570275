"""Variables of older proxies -> what a dragoman.yaml would say. They stand below all that such a file says.

docs/migrating.md tells what each of them does. A section of the file replaces what is made here of the same section.
"""

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

from msgspec import Struct

from dragoman.config.addresses import trimmed
from dragoman.config.destinations import PASSTHROUGH
from dragoman.config.document import Node
from dragoman.config.problems import Problem
from dragoman.config.variables import first
from dragoman.providers import presets

SETTINGS = (  # variable, section, field; of two for one field the first wins
    ("SERVER_HOST", "server", "host"),
    ("SERVER_PORT", "server", "port"),
    ("AUTH_TOKEN", "server", "auth_token"),
    ("LITELLM_MASTER_KEY", "server", "auth_token"),
)
VERBOSE = "VERBOSE"
BIG, SMALL, THINKER = "BIG_MODEL", "SMALL_MODEL", "THINKER_MODEL"
PREFERRED, MODEL = "PREFERRED_PROVIDER", "OPENAI_MODEL"
UPSTREAM_URL, UPSTREAM_KEY, UPSTREAM_MODEL = "UPSTREAM_BASE_URL", "UPSTREAM_API_KEY", "UPSTREAM_MODEL"
CUSTOM = "CUSTOM_MODEL_NAME"
VARIABLES = (*(row[0] for row in SETTINGS), VERBOSE, BIG, SMALL, THINKER, PREFERRED, MODEL, UPSTREAM_URL, UPSTREAM_KEY,
             UPSTREAM_MODEL, CUSTOM)  # fmt: skip
"""All of them that are read here. Keys and addresses of providers are those of the presets."""

UPSTREAM = "upstream"
"""The name of the provider that UPSTREAM_BASE_URL makes."""

UPSTREAM_VARIABLES = {"base_url": UPSTREAM_URL, "api_key": UPSTREAM_KEY, "models": UPSTREAM_MODEL}
"""Its settings, and the variables that say them."""

_TRUE = frozenset({"true", "1", "yes", "on"})
_ALIASES = {"vertex_ai": "vertex", "google": "gemini"}  # prefixes that others use
_VERSION = re.compile(r"[^/:]/(?:.*/)?v\d")


class _Side(Struct, frozen=True):
    """What a preferred provider means."""

    provider: str
    big: str
    small: str
    own: str = ""  # what its models' names begin with; others without a prefix are OpenAI's


SIDES = {
    "openai": _Side("openai", "gpt-4.1", "gpt-4.1-mini"),
    "google": _Side("gemini", "gemini-2.5-pro", "gemini-2.5-flash", "gemini"),
    "azure": _Side("azure", "gpt-4.1", "gpt-4.1-mini"),
    "anthropic": _Side("anthropic", PASSTHROUGH, PASSTHROUGH, "claude"),
}


class Older(Struct, frozen=True):
    """What the variables say."""

    models: dict[str, list[str]]
    thinker: str  # "" for none
    used: tuple[str, ...]  # variables


def settings(variables: Mapping[str, str], said: Mapping[str, Container[str]]) -> list[tuple[str, str, str, str]]:
    """Variable, section, field and value of the settings of the server that nobody else says.

    `said`: section -> fields that have a value already.
    """
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for variable, section, field in SETTINGS:
        if variables.get(variable) and field not in said[section]:
            found.setdefault((section, field), (variable, variables[variable]))
    if variables.get(VERBOSE, "").strip().lower() in _TRUE and "level" not in said["logs"]:
        found["logs", "level"] = VERBOSE, "debug"
    return [(variable, *place, text) for place, (variable, text) in found.items()]


def upstream(variables: Mapping[str, str]) -> Node | None:
    """The mapping under `providers:` that UPSTREAM_BASE_URL means."""
    url = variables.get(UPSTREAM_URL)
    if not url:
        return None
    fields: dict[str, Any] = {"base_url": versioned(url)}
    if variables.get(UPSTREAM_KEY):
        fields["api_key"] = f"${{{UPSTREAM_KEY}}}"
    if variables.get(UPSTREAM_MODEL):
        fields["models"] = [variables[UPSTREAM_MODEL]]
    return tree({UPSTREAM: fields})


def versioned(url: str) -> str:
    """`url` with `/v1`, unless a version stands in it already, or Messages is spoken there."""
    url = trimmed(url)
    return url if _VERSION.search(url) or url.endswith("/anthropic") else f"{url}/v1"


def routes(variables: Mapping[str, str], providers: Container[str], problems: list[Problem]) -> Older | None:
    """Where names lead, by the older variables; None when none of them is set. `providers`: those that are there."""
    used = [name for name in (PREFERRED, BIG, SMALL, THINKER, MODEL) if variables.get(name)]
    models: dict[str, list[str]] = {}
    only = variables.get(UPSTREAM_MODEL) if UPSTREAM in providers else None
    if only:
        used += [UPSTREAM_URL, UPSTREAM_MODEL]
        if variables.get(CUSTOM):
            used.append(CUSTOM)
            models[variables[CUSTOM]] = [f"{UPSTREAM}/{only}"]
    if not used:
        return None
    if not set(used).isdisjoint((PREFERRED, BIG, SMALL, MODEL)) or not only:
        side = _side(variables, problems)
        general, given = variables.get(MODEL), side is not SIDES["openai"] or bool(variables.get(PREFERRED))
        general = f"openai/{general.removeprefix('openai/')}" if general and not given else None
        big = _named(variables.get(BIG) or general or side.big, side)
        small = variables.get(SMALL)
        # Who passes Claude's names on passes all of them on.
        small = _named(small or (PASSTHROUGH if big == PASSTHROUGH else general or side.small), side)
        models |= _families(
            _backed(big, side, SIDES["openai"].big, providers), _backed(small, side, SIDES["openai"].small, providers)
        )
        models |= _others(side, providers)
    else:
        big = f"{UPSTREAM}/{only}"
        models |= _families([big], [big])
    thinker = variables.get(THINKER, "") if big != PASSTHROUGH else ""
    return Older(models, thinker and _named(thinker, SIDES["openai"]), tuple(used))


def _side(variables: Mapping[str, str], problems: list[Problem]) -> _Side:
    text = variables.get(PREFERRED, "").strip().lower() or "openai"
    side = SIDES.get({"gemini": "google"}.get(text, text))
    if side is None:
        words = ", ".join(f"`{word}`" for word in SIDES)
        problems.append(Problem("environment", 0, PREFERRED, f"expected one of {words}."))
        return SIDES["openai"]
    return side


def _named(name: str, side: _Side) -> str:
    """`provider/model` for a name as people write it for an older proxy."""
    name = name.strip()
    prefix, slash, model = name.partition("/")
    prefix = _ALIASES.get(prefix, prefix)
    if name == PASSTHROUGH or (slash and prefix in presets()):
        return f"{prefix}/{model}" if slash else name
    if side.provider == "azure" or (side.own and name.startswith(side.own)):
        return f"{side.provider}/{name}"
    return f"openai/{name}"


def _backed(place: str, side: _Side, behind: str, providers: Container[str]) -> list[str]:
    """`place`, and OpenAI's model `behind` it when another provider is preferred and OpenAI's key is there."""
    if side.provider == "openai" or "openai" not in providers or place.startswith("openai/"):
        return [place]
    return [place, f"openai/{behind}"]


def _families(big: list[str], small: list[str]) -> dict[str, list[str]]:
    return {"haiku": small, "sonnet": big, "opus": big, "claude-*": big}


def _others(side: _Side, providers: Container[str]) -> dict[str, list[str]]:
    """Names without a prefix, as they are: Gemini's to Gemini, the others to OpenAI."""
    found = {"gemini-*": ["gemini/*"]} if "gemini" in providers else {}
    general = "azure" if side.provider == "azure" else "openai"
    return found | ({"*": [f"{general}/*"]} if general in providers else {})


def tree(value: Any) -> Node:
    """`value` as a document without lines."""
    if isinstance(value, dict):
        return Node(0, {name: tree(inner) for name, inner in value.items()})
    return Node(0, [tree(inner) for inner in value] if isinstance(value, list) else value)


def source(used: Iterable[str], variables: Mapping[str, str]) -> list[str]:
    """A line for `doctor`: which variables of older proxies counted."""
    names = [name for name in dict.fromkeys(used) if first([name], variables)]
    return [f"{', '.join(names)} (docs/migrating.md)"] if names else []
