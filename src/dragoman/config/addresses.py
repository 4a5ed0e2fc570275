"""Where a provider is: base URLs as people paste them or keep them in variables, and the clouds' own addresses."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from dragoman.config.variables import ExpansionError, expand, first, names
from dragoman.providers import Preset, azure, vertex

PATHS = ("/chat/completions", "/responses", "/v1/messages/count_tokens", "/v1/messages")
"""What dialects append, and people paste along."""

MESSAGES = ("/v1/messages", "/v1/messages/count_tokens", "/anthropic", "/anthropic/v1")
"""How addresses end that say themselves that Messages is spoken there."""

REGION = "{location}"
_MODELS = re.compile(r"/models(/[^/]*)?$")  # what the dialect of Gemini appends


class Places(Struct, frozen=True):
    """The addresses of a provider. `wrong` says what keeps them from being used."""

    root: str  # what they have in common: the deployment whose reasoning state it is
    urls: dict[str, tuple[str, str]]  # dialect -> base URL and query
    deployment: str = ""  # that a pasted endpoint named
    wrong: str | None = None
    project: str = ""  # of Google Cloud
    where: str = ""  # for people


def plain(
    preset: Preset | None,
    url: str | None,
    dialects: Iterable[str],
    variables: Mapping[str, str],
    location: str | None = None,
) -> Places:
    """One base URL for every dialect, except where the preset has another one for it. `location`: what the
    configuration says in place of a variable.
    """
    base, moved, wrong = _base_url(preset, url, variables)
    own = {} if preset is None else _homes(preset, preset.base_url if moved else base)
    if preset is not None and preset.addressing == "host":
        base = _hosted(base, preset)
        own = {name: base + language.path for name, language in preset.languages().items()}
    elif moved and own:
        own = _moved(own, base)
    places = {dialect: own.get(dialect, base) for dialect in dialects}
    if "anthropic" in places:
        places["anthropic"] = places["anthropic"].removesuffix("/v1")  # its dialect appends that too
    where = ""
    if preset is not None and preset.addressing == "region" and not moved:
        region, missing = _region(preset, location, variables)
        wrong = wrong or missing
        where = "" if missing else f"region {region}"
        base, places = (
            base.replace(REGION, region),
            {name: each.replace(REGION, region) for name, each in places.items()},
        )
    return Places(base, {dialect: (each, "") for dialect, each in places.items()}, wrong=wrong, where=where)


def _homes(preset: Preset, base: str) -> dict[str, str]:
    """Language -> its address, as the preset has it. `base`: that of the provider."""
    return {
        name: base + language.path if language.base_url is None else language.base_url
        for name, language in preset.languages().items()
    }


def _moved(homes: Mapping[str, str], base: str) -> dict[str, str]:
    """The same at another address, which may be that of any of the languages: all of them move with it.

    An address that looks like none of them is everybody's.
    """
    paths = {name: urlsplit(home).path for name, home in homes.items()}
    for path in sorted(filter(None, paths.values()), key=len, reverse=True):
        if base.endswith(path):
            root = base.removesuffix(path)
            return {name: root + each for name, each in paths.items()}
    usual = next(iter(paths.values()))
    return {name: base + each.removeprefix(usual) if each.startswith(usual) else base for name, each in paths.items()}


def _region(preset: Preset, location: str | None, variables: Mapping[str, str]) -> tuple[str, str | None]:
    """The region, and what is wrong with it."""
    source = "location" if location else first(preset.location_keys, variables)
    text = location or variables.get(source or "")
    if not text:
        return "REGION", f"set {' or '.join(preset.location_keys)}"
    try:
        return vertex.location(text), None
    except ValueError:
        return "REGION", f"{source} is no region: write one like eu-west-1"


def _hosted(url: str, preset: Preset) -> str:
    """`url` up to where the languages of `preset` go apart; a bare host gets the path of the preset."""
    for language in preset.languages().values():
        url = url.removesuffix(language.path)
    url = _MODELS.sub("", url)
    return url if urlsplit(url).path else url + urlsplit(preset.base_url).path


def cloud(
    preset: Preset, fields: Mapping[str, Any], owned: str, dialects: Iterable[str], variables: Mapping[str, str]
) -> Places:
    """Vertex AI's URLs. `owned`: the project that the credentials name.

    Project and location: of the configuration, else of the address, else of a variable, else of the credentials.
    """
    source = "base_url" if fields.get("base_url") else first(preset.base_url_keys, variables)
    text = fields.get("base_url") or variables.get(source or "")
    try:
        found = vertex.endpoint(text) if text else vertex.Endpoint()
        source = "project" if fields.get("project") else first(preset.project_keys, variables)
        project = fields.get("project") or found.project or variables.get(source or "") or owned
        if not project:
            return _nowhere(dialects, f"set {' or '.join(preset.project_keys)}", vertex.EXAMPLE)
        project = vertex.project(project)
        source = "location" if fields.get("location") else first(preset.location_keys, variables)
        location = vertex.location(fields.get("location") or found.location or variables.get(source or "") or "global")
    except ValueError as error:
        return _nowhere(dialects, f"{source or 'the credentials: project'} {error}", vertex.EXAMPLE)
    publishers = {dialect: "anthropic" if dialect == "anthropic" else "google" for dialect in dialects}
    urls = {dialect: (vertex.address(found.root, project, location, each), "") for dialect, each in publishers.items()}
    where = f"project {project}, location {location}"
    return Places(vertex.address(found.root, project, location), urls, project=project, where=where)


def resource(
    preset: Preset, url: str | None, version: str | None, dialects: Iterable[str], variables: Mapping[str, str]
) -> Places:
    """Azure's URLs. The version: of the configuration, else of the endpoint, else of a variable; none is the v1 API."""
    dialects = tuple(dialects)
    variable = first(preset.base_url_keys, variables)
    source = "base_url" if url else variable
    text = url or variables.get(variable or "")
    if not text:
        return _nowhere(dialects, f"set {preset.base_url_keys[0]}")
    try:
        found = azure.endpoint(text, azure.FOUNDRY if preset.dialect == "anthropic" else azure.OPENAI)
        source = "api_version"
        if version is not None:
            dated = azure.dated(version)
        elif found.v1 or found.version:
            dated = found.version
        else:
            source = first(preset.version_keys, variables)
            dated = azure.dated(variables.get(source or "", ""))
    except ValueError as error:
        return _nowhere(dialects, f"{source} {error}")
    made = {dialect: azure.address(found.root, dated, dialect) for dialect in dialects}
    urls = {dialect: place for dialect, place in made.items() if place is not None}
    if preset.dialect == "anthropic" and not azure.known(found.root) and "/anthropic" not in text:
        urls["anthropic"] = (found.root, "")  # a gateway of one's own, as Anthropic's own client reads the variable
    return Places(found.root, urls, found.deployment)


def _nowhere(dialects: Iterable[str], wrong: str, example: str = azure.EXAMPLE) -> Places:
    return Places(example, dict.fromkeys(dialects, (example, "")), wrong=wrong)


def _base_url(preset: Preset | None, url: str | None, variables: Mapping[str, str]) -> tuple[str, bool, str | None]:
    """The base URL, whether it is another one than the preset's, and what is still wrong with it."""
    if url is not None or preset is None:
        return trimmed(url or ""), True, None
    variable = first(preset.base_url_keys, variables)
    try:
        if variable is None:
            found = trimmed(expand(preset.base_url, variables))
        elif preset.local:
            found = local(variables[variable], preset.base_url)
        else:
            found = trimmed(variables[variable])
    except ExpansionError:
        missing = [name for name in names(preset.base_url) if not variables.get(name)]
        return preset.base_url, False, f"set {' and '.join(missing)}"
    except ValueError:
        return preset.base_url, False, f"{variable} is not a URL"
    found = found if "://" in found else f"https://{found}"
    if unusable(found.replace(REGION, "region")):
        wrong = variable or " and ".join(names(preset.base_url))
        return preset.base_url, False, f"{wrong} is not a URL, or holds a user, a password, `?` or `#`"
    return found, variable is not None, None


def trimmed(url: str) -> str:
    """`url` without what people paste along: a trailing slash, or the path that a dialect appends."""
    url = url.strip().rstrip("/")
    for path in PATHS:
        url = url.removesuffix(path).rstrip("/")
    return url


def local(url: str, default: str) -> str:
    """The base URL that a variable like OLLAMA_HOST means: `host`, `host:port` or a URL, with the rest from `default`.

    Forms of OLLAMA_HOST: https://github.com/ollama/ollama/blob/main/envconfig/config.go
    """
    usual = urlsplit(default)
    with_scheme = "://" in url
    parts = urlsplit(url.strip() if with_scheme else f"//{url.strip()}")
    host = parts.hostname or "127.0.0.1"
    if host in ("0.0.0.0", "::"):  # noqa: S104 - an address to listen on is not one to call
        host = "127.0.0.1"
    if ":" in host:
        host = f"[{host}]"
    port = f":{parts.port}" if parts.port else "" if with_scheme else f":{usual.port}"
    return f"{parts.scheme or 'http'}://{host}{port}{parts.path.rstrip('/') or usual.path}"


def unusable(url: str) -> str | None:
    """Why `url` cannot be a base URL; None when it can."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        return "expected a URL that begins with http:// or https://."
    if parts.username or parts.password:
        return "a base URL holds no user and no password; use `api_key`."
    if parts.query or parts.fragment:
        return "a base URL has no `?` and no `#`."
    return None
