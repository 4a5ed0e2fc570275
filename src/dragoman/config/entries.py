"""`providers:` and the environment -> providers. A key goes to the secrets, under a name; nothing else holds it."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, structs

from dragoman.config.document import Node
from dragoman.config.fields import Sheet
from dragoman.config.problems import did_you_mean
from dragoman.config.settings import Auth, Entry, Hidden, Provider
from dragoman.config.variables import ExpansionError, expand, names
from dragoman.dialects.contract import Facts, Target
from dragoman.providers import QUIRKS, Preset, fault, presets, state_scope

RESERVED = {
    "claude": "`claude/` marks foreign models in lists of models",
    "demo": "the demo upstream has this name; it is there when no provider is configured",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_COPIED = ("dialect", "auth", "title", "big", "small")  # fields that an entry takes over from its preset


class Found(Struct, frozen=True):
    """The key of a provider: its name among the secrets, and whether and why it can be used."""

    name: str | None
    usable: bool
    why: str


class Entries:
    """Makes providers, and gathers their keys in `secrets`."""

    def __init__(self, variables: Mapping[str, str], secrets: dict[str, str]) -> None:
        self._variables = variables
        self._secrets = secrets

    def configured(self, sheet: Sheet, node: Node) -> dict[str, Provider]:
        """The providers of the mapping under `providers:`; problems go to `sheet`."""
        found = {}
        for name, child in sheet.mapping(node, "providers").items():
            provider = self._configured(sheet, name, child, f"providers.{name}")
            if provider is not None:
                found[name] = provider
        return found

    def from_environment(self) -> dict[str, Provider]:
        """Every preset whose key, or whose own base URL, is in the environment, in the order of the presets."""
        found, used = {}, set()
        for name, preset in presets().items():
            sign = self._first((*preset.keys, *preset.base_url_keys) if preset.local else preset.keys)
            complete = all(self._variables.get(variable) for variable in names(preset.base_url))
            # Two presets may share a variable, as plans of one maker do: the first one has it.
            if sign and sign not in used and complete:
                used.add(sign)
                found[name] = self.preset(name)
        return found

    def preset(self, name: str) -> Provider:
        """The provider that the preset `name` makes on its own."""
        return self._made(name=name, row=name, preset=presets()[name], fields={}, quirks={}, file=None)

    def _configured(self, sheet: Sheet, name: str, node: Node, path: str) -> Provider | None:
        if name in RESERVED:
            sheet.refuse(node, path, f"this name is taken: {RESERVED[name]}. Take another one.")
            return None
        if not _NAME.fullmatch(name):
            sheet.refuse(node, path, "a provider's name has letters, digits, `-` and `_` only.")
            return None
        before = len(sheet.problems)
        fields = sheet.fill(Entry, node, path, extra=("quirks", "facts"))
        row = fields.get("preset", name)
        preset = presets().get(row)
        if preset is None and "preset" in fields:
            written = sheet.mapping(node, path)["preset"]
            hint = did_you_mean(str(written.value), presets())
            sheet.refuse(written, f"{path}.preset", f"there is no such preset.{hint} See docs/providers.md.")
        elif preset is None and "base_url" not in fields and len(sheet.problems) == before:
            hint = did_you_mean(name, presets())
            text = f"there is no preset of this name, and no `base_url`.{hint} See docs/providers.md for the presets."
            sheet.refuse(node, path, text)
        children = sheet.mapping(node, path) if isinstance(node.value, dict) else {}
        dialect = fields.get("dialect") or (preset.dialect if preset else "chat")
        quirks = sheet.fill(QUIRKS[dialect], children["quirks"], f"{path}.quirks") if "quirks" in children else {}
        facts = self._facts(sheet, children["facts"], f"{path}.facts") if "facts" in children else {}
        url = fields.get("base_url")
        if url is not None and (wrong := _unusable(url)):
            sheet.refuse(children["base_url"], f"{path}.base_url", wrong)
        if len(sheet.problems) > before:
            return None
        fields["facts"] = facts
        row_name = row if preset else None
        return self._made(name=name, row=row_name, preset=preset, fields=fields, quirks=quirks, file=sheet.file)

    @staticmethod
    def _facts(sheet: Sheet, node: Node, path: str) -> dict[str, dict[str, Any]]:
        patterns = sheet.mapping(node, path)
        return {pattern: sheet.fill(Facts, child, f"{path}.{pattern}") for pattern, child in patterns.items()}

    def _made(
        self,
        *,
        name: str,
        row: str | None,
        preset: Preset | None,
        fields: dict[str, Any],
        quirks: dict[str, Any],
        file: str | None,
    ) -> Provider:
        """A provider of a preset and of what an entry says on top of it."""
        chosen: dict[str, Any] = {field: getattr(preset, field) for field in _COPIED} if preset else {}
        chosen |= {field: fields[field] for field in _COPIED if fields.get(field) is not None}
        url, wrong = self._base_url(preset, fields.get("base_url"))
        key = self._key(name, preset, fields.get("api_key"), file)
        auth: Auth = chosen.get("auth") or ("bearer" if key.name else "none")
        ready, why = key.usable, key.why
        if wrong:
            ready, why = False, wrong
        elif key.name is None and (auth == "none" or fields.get("auth") is None):
            auth = "none"
        elif key.name is None:
            ready, why = False, f"`auth: {auth}` needs `api_key`"
        models = fields.get("models") or (preset.models if preset else ())
        base = preset.typed_quirks() if preset else QUIRKS[chosen.get("dialect", "chat")]()
        headers = {**(preset.headers if preset else {}), **fields.get("headers", {})}
        return Provider(
            name=name,
            title=chosen.get("title", name),
            ready=ready,
            why=why,
            big=chosen.get("big") or (models[0] if len(models) == 1 else None),
            small=chosen.get("small"),
            models=tuple(models),
            documentation=preset.documentation if preset else "",
            preset=row,
            facts=tuple(fields.get("facts", {}).items()),
            settled=tuple(quirks),
            template=Target(
                provider=name,
                dialect=chosen.get("dialect", "chat"),
                base_url=url,
                model="",
                quirks=structs.replace(base, **quirks),
                key=key.name if auth != "none" else None,
                auth=auth,
                headers=tuple((header.lower(), Hidden(value)) for header, value in headers.items()),
                state_scope=fields.get("state_scope") or state_scope(name, url),
            ),
        )

    def _base_url(self, preset: Preset | None, url: str | None) -> tuple[str, str | None]:
        """The base URL, and what is still wrong with it."""
        if url is not None or preset is None:
            return trimmed(url or ""), None
        variable = self._first(preset.base_url_keys)
        try:
            if variable is None:
                found = trimmed(expand(preset.base_url, self._variables))
            elif preset.local:
                found = local(self._variables[variable], preset.base_url)
            else:
                found = trimmed(self._variables[variable])
        except ExpansionError:
            missing = [name for name in names(preset.base_url) if not self._variables.get(name)]
            return preset.base_url, f"set {' and '.join(missing)}"
        except ValueError:
            return preset.base_url, f"{variable} is not a URL"
        found = found if "://" in found else f"https://{found}"
        if _unusable(found):
            wrong = variable or " and ".join(names(preset.base_url))
            return preset.base_url, f"{wrong} is not a URL, or holds a user, a password, `?` or `#`"
        return found, None

    def _key(self, name: str, preset: Preset | None, written: str | None, file: str | None) -> Found:
        """Find the key, and put it among the secrets."""
        if written:
            label, source, key = f"{name}.api_key", f"api_key in {file}", written
        elif preset is not None and (variable := self._first(preset.keys)):
            label, source, key = variable, variable, self._variables[variable]
        elif preset is None or preset.local:
            if written is not None and preset is None:
                return Found(f"{name}.api_key", usable=False, why="`api_key` is empty")
            return Found(None, usable=True, why="needs no key")
        else:
            return Found(preset.keys[0], usable=False, why=f"set {' or '.join(preset.keys)}")
        if wrong := fault(key):
            return Found(label, usable=False, why=f"{source} {wrong}")
        self._secrets[label] = key
        return Found(label, usable=True, why=f"{source} is set")

    def _first(self, variables: tuple[str, ...]) -> str | None:
        """The first variable with a value."""
        return next((name for name in variables if self._variables.get(name)), None)


def trimmed(url: str) -> str:
    """`url` without what people paste along: a trailing slash, or the path that the dialect appends."""
    return url.strip().rstrip("/").removesuffix("/chat/completions").rstrip("/")


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


def _unusable(url: str) -> str | None:
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
