"""`providers:` and the environment -> providers. A key goes to the secrets, under a name; nothing else holds it."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import structs

from dragoman.config import addresses, google
from dragoman.config.addresses import Places
from dragoman.config.document import Node
from dragoman.config.fields import Sheet
from dragoman.config.keys import Signer, SigningAuth
from dragoman.config.problems import did_you_mean
from dragoman.config.settings import CALLER, Entra, Entry, Hidden, Provider, Sidecar
from dragoman.config.sidecars import sidecar
from dragoman.config.variables import first, names
from dragoman.dialects.contract import Facts, Target
from dragoman.providers import QUIRKS, Preset, azure, presets, safe, state_scope, vertex
from dragoman.sidecar.environment import HOST

RESERVED = {
    "claude": "`claude/` marks foreign models in lists of models",
    "demo": "the demo upstream has this name; it is there when no provider is configured",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_COPIED = ("title", "big", "small")  # fields that an entry takes over from its preset
_ONLY = {  # setting -> addressings that have it, and presets of those
    "api_version": (("azure",), ("azure",)),
    "deployments": (("azure",), ("azure",)),
    "project": (("vertex",), ("vertex",)),
    "location": (("vertex", "region"), ("vertex", "bedrock")),
    "environment": (("sidecar",), ("litellm",)),
}
_TRUE = frozenset({"true", "1", "yes", "on"})

Quirks = dict[str, dict[str, Any]]  # dialect -> fields of its quirks


class Entries:
    """Makes providers, and gathers their keys in `secrets`."""

    def __init__(self, variables: Mapping[str, str], secrets: dict[str, str], home: Path, token: str = "") -> None:
        """`token`: this gateway's own, which is no key of anybody."""
        self._variables = variables
        self._home = home
        self._secrets = secrets
        self._signer = Signer(variables, secrets, token)

    def configured(self, sheet: Sheet, node: Node) -> dict[str, Provider]:
        """The providers of the mapping under `providers:`; problems go to `sheet`."""
        found = {}
        for name, child in sheet.mapping(node, "providers").items():
            provider = self._configured(sheet, name, child, f"providers.{name}")
            if provider is not None:
                found[name] = provider
                self._check_callers(sheet, child, name, found)
        return found

    @staticmethod
    def _check_callers(sheet: Sheet, node: Node, name: str, found: Mapping[str, Provider]) -> None:
        """A caller has one key, and it belongs to one vendor: no other host may see it."""
        asked = {each: urlsplit(found[each].template.base_url).netloc for each in found if _asks_callers(found[each])}
        other = next((each for each, host in asked.items() if name in asked and host != asked[name]), None)
        if other is not None:
            key = sheet.mapping(node, f"providers.{name}")["api_key"]
            text = (
                f"callers' keys go to {other} already, and must reach no other host. Give one of them a key of its own."
            )
            sheet.refuse(key, f"providers.{name}.api_key", text)

    def from_environment(self) -> dict[str, Provider]:
        """Every preset whose key, or whose own base URL, is in the environment, in the order of the presets."""
        found, used = {}, set()
        for name, preset in presets().items():
            sign = self._sign(preset)
            # What Azure still needs is told where providers are listed: its variables serve nobody else.
            complete = preset.addressing == "azure" or all(map(self._variables.get, names(preset.base_url)))
            # Two presets may share a variable, as plans of one maker do: the first one has it.
            if sign and sign not in used and complete:
                used.add(sign)
                found[name] = self.preset(name)
        return found

    def preset(self, name: str) -> Provider:
        """The provider that the preset `name` makes on its own."""
        row, switch = self._row(name, {})
        return self._made(name=name, row=row, preset=presets()[row], fields={}, quirks={}, file="", switch=switch)

    def _row(self, name: str, fields: Mapping[str, Any]) -> tuple[str, str]:
        """The preset that is meant by `name`, and the variable that says so, if one does.

        A key or an address of the configuration belongs to the preset itself.
        """
        preset = presets()[name]
        switch = self._switch(preset)
        if preset.instead is None or switch is None or fields.keys() & {"api_key", "api_keys", "base_url"}:
            return name, ""
        return preset.instead, switch

    def _switch(self, preset: Preset) -> str | None:
        """The variable that puts another preset in the place of this one."""
        switch = first(preset.instead_keys, self._variables)
        return switch if switch and self._variables[switch].strip().lower() in _TRUE else None

    def _sign(self, preset: Preset) -> str | None:
        """The variable by which the environment asks for a preset."""
        variables = self._variables
        switch = self._switch(preset)
        if preset.instead is not None and switch is not None:
            return first(presets()[preset.instead].project_keys, variables) or switch
        if preset.addressing == "vertex":
            # The general variable of Google Cloud serves many others: alone it asks for nothing.
            certain = preset.project_keys[:1] if not first((*preset.location_keys, google.FILE), variables) else ()
            return first(certain or preset.project_keys, variables)
        if preset.addressing == "sidecar":
            return first(preset.environment_keys, variables)
        addressed = preset.base_url_keys if preset.local or preset.addressing == "azure" else ()
        return self._signer.given((*preset.keys, *preset.token_keys)) or first(addressed, variables)

    def _configured(self, sheet: Sheet, name: str, node: Node, path: str) -> Provider | None:
        if name in RESERVED:
            sheet.refuse(node, path, f"this name is taken: {RESERVED[name]}. Take another one.")
            return None
        if not _NAME.fullmatch(name):
            sheet.refuse(node, path, "a provider's name has letters, digits, `-` and `_` only.")
            return None
        before = len(sheet.problems)
        fields = sheet.fill(Entry, node, path, extra=("quirks", "facts", "entra"))
        row, switch = fields.get("preset", name), ""
        if row in presets():
            row, switch = self._row(row, fields)
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
        addressing = preset.addressing if preset is not None else "plain"
        if addressing == "plain" and "dialect" not in fields and _says_messages(fields.get("base_url")):
            fields["dialect"] = "anthropic"
        dialect = fields.get("dialect") or (preset.dialect if preset else "chat")
        quirks = _quirks(sheet, children["quirks"], f"{path}.quirks", dialect) if "quirks" in children else {}
        fields["facts"] = _facts(sheet, children["facts"], f"{path}.facts") if "facts" in children else {}
        fields["entra"] = sheet.fill(Entra, children["entra"], f"{path}.entra") if "entra" in children else {}
        _check(sheet, fields, children, path, preset)
        if len(sheet.problems) > before:
            return None
        row_name = row if preset else None
        return self._made(
            name=name, row=row_name, preset=preset, fields=fields, quirks=quirks, file=sheet.file, switch=switch
        )

    def _made(
        self,
        *,
        name: str,
        row: str | None,
        preset: Preset | None,
        fields: dict[str, Any],
        quirks: Quirks,
        file: str,
        switch: str,
    ) -> Provider:
        """A provider of a preset and of what an entry says on top of it."""
        chosen: dict[str, Any] = {field: getattr(preset, field) for field in _COPIED} if preset else {}
        chosen |= {field: fields[field] for field in _COPIED if fields.get(field) is not None}
        facts: dict[str, dict[str, Any]] = fields.get("facts", {})
        spoken = _spoken(preset, fields.get("dialect"), quirks, facts.values())
        account = google.credentials(fields.get("credentials_file"), self._variables, self._home)
        places = self._places(name, preset, fields, account.project, spoken)
        heard = ("anthropic",) if fields.get("api_key") == CALLER else spoken  # Messages only
        spoken = [dialect for dialect in heard if dialect in places.urls]
        signing = self._signer.signing(name, preset, fields, places=places, found=account, file=file)
        why = f"{signing.why}; {switch} sends it to {preset.title}" if preset and switch else signing.why
        beside, wrong = self._beside(name, row, preset, fields) or (None, places.wrong)
        if fields.get("dialect") not in (None, *places.urls):
            wrong = f"this API version has no {fields['dialect']}: take {azure.RESPONSES_SINCE} or later, or none"
        if wrong:
            why = wrong if signing.ready else f"{why}; {wrong}"
        models = self._models(preset, fields, places)
        headers = {**(preset.headers if preset else {}), **fields.get("headers", {})}
        scope = fields.get("state_scope") or state_scope(name, places.root)

        def template(dialect: str) -> Target:
            url, query = places.urls[dialect]
            return Target(
                provider=name,
                dialect=dialect,
                base_url=url,
                query=query,
                model="",
                quirks=structs.replace(_shipped(preset, dialect), **quirks.get(dialect, {})),
                key=signing.key,
                auth=_auth(preset, dialect, signing.auth, fields),
                headers=tuple((header.lower(), Hidden(value)) for header, value in headers.items()),
                state_scope=scope,
            )

        return Provider(
            name=name,
            title=chosen.get("title", name),
            ready=signing.ready and not wrong,
            why=why,
            big=chosen.get("big") or (models[0] if len(models) == 1 else None),
            small=chosen.get("small"),
            models=models,
            documentation=preset.documentation if preset else "",
            preset=row,
            claude=preset.claude if preset and "anthropic" in spoken else None,
            facts=tuple(facts.items()),
            facts_of=preset.facts_of if preset else None,
            base_models={name.lower(): model for name, model in fields.get("deployments", {}).items()},
            dialect=fields.get("dialect"),
            settled={dialect: tuple(set_here) for dialect, set_here in quirks.items()},
            identity=signing.identity,
            sidecar=beside,
            keys=signing.keys,
            connections=fields.get("connections", 0),
            where=places.where,
            template=template(spoken[0]),
            others=tuple(template(dialect) for dialect in spoken[1:]),
        )

    def _places(
        self, name: str, preset: Preset | None, fields: Mapping[str, Any], owned: str, spoken: Iterable[str]
    ) -> Places:
        if preset is not None and preset.addressing == "vertex":
            return addresses.cloud(preset, fields, owned, spoken, self._variables)
        if preset is not None and preset.addressing == "sidecar":
            return addresses.plain(preset, f"http://{HOST.format(name=name)}/v1", spoken, {})
        if preset is not None and preset.addressing == "azure":
            version = fields.get("api_version")
            return addresses.resource(preset, fields.get("base_url"), version, spoken, self._variables)
        return addresses.plain(preset, fields.get("base_url"), spoken, self._variables, fields.get("location"))

    def _beside(
        self, name: str, row: str | None, preset: Preset | None, fields: Mapping[str, Any]
    ) -> tuple[Sidecar, str | None] | None:
        """The server that is started for the provider, and what keeps it from being used."""
        if preset is None or row is None or preset.addressing != "sidecar":
            return None
        named = fields.get("environment")
        return sidecar(name, row, preset, named, variables=self._variables, secrets=self._secrets, home=self._home)

    def _models(self, preset: Preset | None, fields: Mapping[str, Any], places: Places) -> tuple[str, ...]:
        """What it is known to offer."""
        named = (*fields.get("deployments", {}), *filter(None, [places.deployment, self._named(preset)]))
        return tuple(fields.get("models") or dict.fromkeys(named) or (preset.models if preset else ()))

    def _named(self, preset: Preset | None) -> str | None:
        """The model that a variable names."""
        variable = first(preset.model_keys if preset else (), self._variables)
        return self._variables[variable] if variable else None


def _shipped(preset: Preset | None, dialect: str) -> Any:
    """The quirks of one language, as shipped."""
    return preset.typed_quirks(dialect) if preset and dialect in preset.languages() else QUIRKS[dialect]()


def _auth(preset: Preset | None, dialect: str, usual: SigningAuth, fields: Mapping[str, Any]) -> SigningAuth:
    """How a call in one language is signed: as the entry says, else as the preset says for a key in this language."""
    language = preset.languages().get(dialect) if preset else None
    if preset is None or language is None or language.auth is None or fields.get("auth") or usual != preset.auth:
        return usual
    return language.auth


def _says_messages(url: str | None) -> bool:
    return url is not None and url.strip().rstrip("/").endswith(addresses.MESSAGES)


def _asks_callers(provider: Provider) -> bool:
    return provider.template.auth == CALLER


def _spoken(
    preset: Preset | None, dialect: str | None, quirks: Quirks, facts: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Every language that the provider has, the usual one first: the preset's, and those that the user names."""
    known = list(preset.languages()) if preset else ["chat"] if dialect is None else []
    asked = [fields["dialect"] for fields in facts if fields.get("dialect")]
    return list(dict.fromkeys([*filter(None, [dialect]), *known, *quirks, *asked]))


def _quirks(sheet: Sheet, node: Node, path: str, dialect: str) -> Quirks:
    """Quirks of `dialect`, and those of other languages under their names."""
    found = {}
    own = sheet.fill(QUIRKS[dialect], node, path, extra=QUIRKS)
    if own:
        found[dialect] = own
    for name, child in sheet.mapping(node, path).items() if isinstance(node.value, dict) else ():
        if name in QUIRKS:
            found[name] = found.get(name, {}) | sheet.fill(QUIRKS[name], child, f"{path}.{name}")
    return found


def _facts(sheet: Sheet, node: Node, path: str) -> dict[str, dict[str, Any]]:
    found = {}
    for pattern, child in sheet.mapping(node, path).items():
        fields = sheet.fill(Facts, child, f"{path}.{pattern}")
        if fields.get("dialect") is not None and fields["dialect"] not in QUIRKS:
            wrong = sheet.mapping(child, path)["dialect"]
            words = " or ".join(f"`{each}`" for each in QUIRKS)
            sheet.refuse(wrong, f"{path}.{pattern}.dialect", f"expected {words}.")
        found[pattern] = fields
    return found


def _check(
    sheet: Sheet, fields: Mapping[str, Any], children: Mapping[str, Node], path: str, preset: Preset | None
) -> None:
    """Settings that must fit each other."""
    addressing = preset.addressing if preset is not None else "plain"
    on_azure = addressing == "azure"
    for name in ("base_url", "api_key", "api_keys", "auth"):
        if name in fields and addressing == "sidecar":
            sheet.refuse(children[name], f"{path}.{name}", "is for a server of your own: `preset: litellm-proxy`.")
    for name, (addressings, only) in _ONLY.items():
        if name in fields and addressing not in addressings:
            text = " and ".join(f"`{each}`, or `preset: {each}`," for each in only)
            sheet.refuse(children[name], f"{path}.{name}", f"only {text} has this setting.")
    _check_caller(sheet, fields, children, path, preset)
    _check_keys(sheet, fields, children, path)
    url, version = fields.get("base_url"), fields.get("api_version")
    if url is not None and on_azure:
        _try(sheet, children["base_url"], f"{path}.base_url", azure.endpoint, url)
    elif url is not None and addressing == "vertex":
        _try(sheet, children["base_url"], f"{path}.base_url", vertex.endpoint, url)
    elif url is not None and (wrong := addresses.unusable(url)):
        sheet.refuse(children["base_url"], f"{path}.base_url", wrong)
    if version is not None and on_azure:
        _try(sheet, children["api_version"], f"{path}.api_version", azure.dated, version)
    for name in fields.get("deployments", {}):
        if not name.strip() or not fields["deployments"][name].strip():
            sheet.refuse(children["deployments"], f"{path}.deployments", "needs `name of a deployment: model`.")
    _check_google(sheet, fields, children, path, preset)
    entra, auth = fields["entra"], fields.get("auth")
    if entra and auth not in (None, "entra"):
        sheet.refuse(children["entra"], f"{path}.entra", f"is for `auth: entra`, and `auth: {auth}` is set.")
    elif (entra or auth == "entra") and not on_azure and not entra.get("scope"):
        node = children["entra" if entra else "auth"]
        sheet.refuse(node, f"{path}.entra.scope", "is missing: only on Azure it is known what tokens are for.")


def _check_caller(
    sheet: Sheet, fields: Mapping[str, Any], children: Mapping[str, Node], path: str, preset: Preset | None
) -> None:
    if fields.get("api_key") != CALLER:
        return
    dialect = fields.get("dialect") or (preset.dialect if preset else "chat")
    if dialect != "anthropic":
        sheet.refuse(children["api_key"], f"{path}.api_key", "`caller` is for `dialect: anthropic`: it passes on keys.")
    for name in ("auth", "entra"):
        if fields.get(name):
            sheet.refuse(children[name], f"{path}.{name}", "goes not with `api_key: caller`, which passes on keys.")


def _check_keys(sheet: Sheet, fields: Mapping[str, Any], children: Mapping[str, Node], path: str) -> None:
    """Several keys instead of one."""
    keys = fields.get("api_keys")
    if keys is None:
        return
    node, place = children["api_keys"], f"{path}.api_keys"
    auth = fields.get("auth") or ("entra" if fields["entra"] else "")
    if fields.get("api_key"):
        sheet.refuse(node, place, "stands beside `api_key`: put all keys into `api_keys`.")
    elif auth in ("entra", "google", "none"):
        sheet.refuse(node, place, f"goes not with `auth: {auth}`, which asks with no key.")
    elif CALLER in keys:
        sheet.refuse(node, place, "takes keys only: `caller` is for `api_key`.")
    elif len(set(filter(None, keys))) < len([key for key in keys if key]):
        sheet.refuse(node, place, "has the same key twice.")


def _check_google(
    sheet: Sheet, fields: Mapping[str, Any], children: Mapping[str, Node], path: str, preset: Preset | None
) -> None:
    on_vertex = preset is not None and preset.addressing == "vertex"
    auth, url = fields.get("auth") or (preset.auth if preset else "bearer"), fields.get("base_url")
    for name, read in (("project", vertex.project), ("location", vertex.location)):
        if on_vertex and name in fields:
            _try(sheet, children[name], f"{path}.{name}", read, fields[name])
    if "credentials_file" in fields and auth != "google":
        sheet.refuse(children["credentials_file"], f"{path}.credentials_file", "is for `auth: google`.")
    if auth == "google" and url is not None and not on_vertex and not safe(url):
        sheet.refuse(children["base_url"], f"{path}.base_url", "must begin with https://, because tokens go there.")


def _try(sheet: Sheet, node: Node, path: str, read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except ValueError as error:
        sheet.refuse(node, path, f"{error}.")
