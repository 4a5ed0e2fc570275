"""File, `.env` and environment -> one frozen `Config`, and the keys beside it. All problems are told at once."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from dragoman.config import litellm, predecessors
from dragoman.config.destinations import Models, destinations, elsewhere
from dragoman.config.document import Node, parse
from dragoman.config.endpoints import is_place
from dragoman.config.entries import Entries
from dragoman.config.fields import NOTHING, Sheet
from dragoman.config.problems import ConfigError, Problem, did_you_mean
from dragoman.config.settings import Config, Hidden, Leads, Logs, Provider, Secrets, Server
from dragoman.config.variables import dotenv
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.providers import Account, google, state_scope

FILE = "dragoman.yaml"
DEMO_MODELS = (("opus", "think"), ("sonnet", "tools"), ("haiku", "echo"), ("fable", "think"), ("mythos", "think"))


class _Root(Struct, frozen=True, kw_only=True):
    """The top of dragoman.yaml."""

    server: dict[str, Any] = {}
    """Where dragoman listens, and its limits."""

    logs: dict[str, Any] = {}
    """What is logged, and how."""

    strict: bool = False
    """Refuse, with status 400, a request of which something would be lost on the way; otherwise a note says so."""

    providers: dict[str, Any] = {}
    """Who answers: a preset's name, or a name of your own."""

    models: dict[str, Any] = {}
    """What callers ask for -> where it goes: a name, a family or a pattern -> `provider/model`, another name, or a
    list of these to be tried in order. An item of the list may be `{one: 3, other: 1}`: these share the work by weight,
    and each conversation keeps to one. `{targets: ..., overflow: ...}` also says what is asked when a conversation is
    too long for the targets."""

    thinker: str | list[str] = ""
    """Where requests go that want thinking and ask for Claude or a family, instead of where `models:` sends them."""


class Environment(Struct, frozen=True, kw_only=True):
    """Variables that dragoman reads itself. They win over dragoman.yaml; `.env` may hold them too."""

    DRAGOMAN_CONFIG: str = ""
    """Path of the configuration file, when it is not `./dragoman.yaml`."""

    DRAGOMAN_HOST: str = ""
    """`server.host`."""

    DRAGOMAN_PORT: str = ""
    """`server.port`."""

    DRAGOMAN_AUTH_TOKEN: str = ""
    """`server.auth_token`."""

    DRAGOMAN_OPEN: str = ""
    """`server.open`."""

    DRAGOMAN_LOG_LEVEL: str = ""
    """`logs.level`."""

    HTTP_PROXY: str = ""
    """Proxy for upstreams with `http://`. Lower case works too, and wins."""

    HTTPS_PROXY: str = ""
    """Proxy for upstreams with `https://`."""

    ALL_PROXY: str = ""
    """Proxy for upstreams that have no other."""

    NO_PROXY: str = ""
    """Hosts that are reached without a proxy, separated by commas. This machine always is."""


OVERRIDES = (  # variable, section, field
    ("DRAGOMAN_HOST", "server", "host"),
    ("DRAGOMAN_PORT", "server", "port"),
    ("DRAGOMAN_AUTH_TOKEN", "server", "auth_token"),
    ("DRAGOMAN_OPEN", "server", "open"),
    ("DRAGOMAN_LOG_LEVEL", "logs", "level"),
)


class Read(Struct, frozen=True):
    """What was read before it is understood: `origins` tells from it where a value comes from."""

    file: Path | None
    root: Node | None  # the file's tree
    local: dict[str, str]  # the variables of `.env`
    environ: Mapping[str, str]

    @property
    def variables(self) -> dict[str, str]:
        return {**self.local, **self.environ}


def read(*, path: Path | None, environ: Mapping[str, str], folder: Path, home: Path, problems: list[Problem]) -> Read:
    """The file and `.env`, wherever they are; see `load`."""
    local = dotenv(folder / ".env", environ, problems)
    file, root = _document(path, {**local, **environ}, folder, home, problems)
    return Read(file, root, local, environ)


def load(*, path: Path | None, environ: Mapping[str, str], folder: Path, home: Path) -> tuple[Config, Secrets]:
    """Read everything that configures dragoman. `folder` is the working directory. Raises ConfigError.

    The file is `path`, else $DRAGOMAN_CONFIG, else `dragoman.yaml` in `folder`, else in the user's configuration
    folder; none is needed.
    """
    problems: list[Problem] = []
    secrets: dict[str, str] = {}
    found = read(path=path, environ=environ, folder=folder, home=home, problems=problems)
    local, variables, file, root = found.local, found.variables, found.file, found.root
    sheet = Sheet(str(file) if file else "environment", variables, problems)
    root, unused = litellm.translated(sheet, root) if root is not None else (None, ())
    sections = _sections(sheet, root)

    server = sheet.fill(Server, sections["server"], "server") if "server" in sections else {}
    logs = sheet.fill(Logs, sections["logs"], "logs") if "logs" in sections else {}
    _override(server, logs, Sheet("environment", {}, problems), variables)
    older = Sheet("environment", variables, problems)
    used = _older_settings(server, logs, older)
    entries = Entries(variables, secrets, home, server.get("auth_token", ""))
    strict = "strict" in sections and sheet.value(sections["strict"], bool, "strict") is True
    named = entries.configured(sheet, sections["providers"]) if "providers" in sections else {}
    written = "providers" in sections and bool(sections["providers"].value)
    providers = named if written else _from_environment(entries, older)
    models, thinker, names = _routes(sheet, older, sections, providers, entries)
    if server.get("forward_to", "none") not in ("", "none", *providers):
        node = sheet.mapping(sections["server"], "server")["forward_to"]
        hint = did_you_mean(server["forward_to"], providers)
        sheet.refuse(node, "server.forward_to", f"there is no provider of this name under `providers:`.{hint}")
    _check_door(server, sheet.mapping(sections["server"], "server") if "server" in sections else {}, sheet)
    if problems:
        raise ConfigError(problems)

    if "auth_token" in server:
        server["auth_token"] = Hidden(server["auth_token"])
    sources = predecessors.source((*used, *names), variables)
    if file:
        sources.append(str(file) + (f" (not used: {', '.join(unused)})" if unused else ""))
    sources += [str(folder / ".env")] if local else []
    return Config(
        server=Server(**server),
        logs=Logs(**logs),
        providers={name: _strict(provider, strict=strict) for name, provider in providers.items()},
        models=tuple(models.items()),
        thinker=thinker,
        strict=strict,
        demo=not providers,
        sources=(*sources, "environment"),
        proxies=_proxies(variables),
        no_proxy=_no_proxy(variables, providers),
    ), Secrets(secrets)


def user_folder(environ: Mapping[str, str], home: Path, *, windows: bool = sys.platform == "win32") -> Path:
    """The user's configuration folder. https://specifications.freedesktop.org/basedir-spec/latest/"""
    if windows:
        return Path(environ.get("APPDATA") or home / "AppData" / "Roaming") / "dragoman"
    chosen = Path(environ.get("XDG_CONFIG_HOME") or "")
    return (chosen if chosen.is_absolute() else home / ".config") / "dragoman"


def with_demo(config: Config, base_url: str) -> Config:
    """`config` with the demo upstream at `base_url` as a provider that serves every family."""
    demo = Provider(
        name="demo",
        title="Demo (simulated, no real model)",
        ready=True,
        why="simulated answers; no provider is configured",
        models=("echo", "think", "tools"),
        template=Target(
            provider="demo",
            dialect="chat",
            base_url=base_url.rstrip("/"),
            model="",
            quirks=Quirks(),
            auth="none",
            # The demo's port changes at every start; what it said stays readable.
            state_scope=state_scope("demo", "demo"),
            strict=config.strict,
        ),
    )
    mapped = dict(config.models)
    served = tuple((family, Leads.to(f"demo/{model}")) for family, model in DEMO_MODELS if family not in mapped)
    return structs.replace(config, providers={**config.providers, "demo": demo}, models=(*config.models, *served))


def _document(
    path: Path | None, variables: Mapping[str, str], folder: Path, home: Path, problems: list[Problem]
) -> tuple[Path | None, Node | None]:
    """The file to be read, and its tree."""
    asked = path or (Path(variables["DRAGOMAN_CONFIG"]) if variables.get("DRAGOMAN_CONFIG") else None)
    places = [folder / asked.expanduser()] if asked else [folder / FILE, user_folder(variables, home) / FILE]
    for place in places:
        try:
            raw = place.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problems.append(Problem(str(place), 0, "", f"cannot be read: {error.strerror}."))
            return None, None
        return place, parse(raw, str(place), problems)
    if asked:
        origin = "--config" if path else "DRAGOMAN_CONFIG"
        problems.append(Problem(str(places[0]), 0, "", f"there is no such file ({origin} names it)."))
    return None, None


def _sections(sheet: Sheet, root: Node | None) -> dict[str, Node]:
    """The known top-level entries that have a value."""
    if root is None:
        return {}
    found = {}
    for name, node in sheet.mapping(root, "").items():
        if name not in _Root.__struct_fields__:
            sheet.unknown(node, name, "there is no such section", _Root.__struct_fields__)
        elif node.value is not None:
            found[name] = node
    return found


def _override(server: dict[str, Any], logs: dict[str, Any], sheet: Sheet, variables: Mapping[str, str]) -> None:
    """Settings from the environment win over the file's."""
    for variable, section, field in OVERRIDES:
        text = variables.get(variable)
        if text:
            kind, into = (Server, server) if section == "server" else (Logs, logs)
            # Taken as it is: only texts of the file are expanded.
            value = sheet.converted(Node(0, text), text, _type(kind, field), variable)
            if value is not NOTHING:
                into[field] = value


def _check_door(server: Mapping[str, Any], nodes: Mapping[str, Node], sheet: Sheet) -> None:
    """Settings that say who may come in, and where callers may go. `nodes`: those of the file."""
    if server.get("open") and server.get("auth_token"):
        text = (
            "goes not with a token: an open gateway asks for none. Take away `open`, or the token (server.auth_token, "
            "DRAGOMAN_AUTH_TOKEN, AUTH_TOKEN, LITELLM_MASTER_KEY)."
        )
        sheet.refuse(nodes.get("open"), "server.open", text)
    listed = server.get("endpoints", ())
    for entry in () if listed == "none" else listed:
        if not is_place(entry):
            sheet.refuse(
                nodes.get("endpoints"), "server.endpoints", "expected `host` or `host:port`, without https://."
            )


def _older_settings(server: dict[str, Any], logs: dict[str, Any], sheet: Sheet) -> list[str]:
    """What older proxies' variables say about the server, where nobody else does. Returns the variables."""
    used = []
    for variable, section, field, text in predecessors.settings(sheet.variables, {"server": server, "logs": logs}):
        kind, into = (Server, server) if section == "server" else (Logs, logs)
        value = sheet.converted(Node(0, text), text, _type(kind, field), variable)
        if value is not NOTHING:
            into[field] = value
            used.append(variable)
    return used


def _from_environment(entries: Entries, sheet: Sheet) -> dict[str, Provider]:
    """The provider of an older proxy, if its variables name one, and those whose keys are there."""
    node = predecessors.upstream(sheet.variables)
    first = entries.configured(sheet, node) if node is not None else {}
    return {**first, **entries.from_environment()}


def _routes(
    sheet: Sheet, older: Sheet, sections: Mapping[str, Node], providers: dict[str, Provider], entries: Entries
) -> tuple[Models, Leads, tuple[str, ...]]:
    """Where names lead, where thinking goes, and the variables of older proxies that say so, if the file does not."""
    models: Models = {}
    if "models" in sections:
        models = destinations(sheet, sections["models"], providers, entries)
    thinker = elsewhere(sheet, sections["thinker"], models, providers, entries) if "thinker" in sections else Leads(())
    if "models" in sections:
        return models, thinker, ()
    found = predecessors.routes(older.variables, providers, older.problems)
    if found is None:
        return models, thinker, ()
    models = destinations(older, predecessors.tree(found.models), providers, entries)
    if found.thinker and not thinker:
        thinker = elsewhere(older, predecessors.tree(found.thinker), models, providers, entries)
    return models, thinker, found.used


def _type(kind: type[Struct], name: str) -> Any:
    return next(field.type for field in structs.fields(kind) if field.name == name)


def _strict(provider: Provider, *, strict: bool) -> Provider:
    if not strict:
        return provider
    template, *others = (structs.replace(each, strict=True) for each in (provider.template, *provider.others))
    return structs.replace(provider, template=template, others=tuple(others))


def _either(variables: Mapping[str, str], name: str) -> str:
    """The variable in lower case, else in upper case: as curl and most clients do."""
    return variables.get(name.lower()) or variables.get(name) or ""


def _proxies(variables: Mapping[str, str]) -> dict[str, str]:
    general = _either(variables, "ALL_PROXY")
    found = {scheme: _either(variables, f"{scheme.upper()}_PROXY") or general for scheme in ("http", "https")}
    # A proxy's URL may hold a user and a password.
    return {scheme: Hidden(url) for scheme, url in found.items() if url}


def _no_proxy(variables: Mapping[str, str], providers: Mapping[str, Provider]) -> tuple[str, ...]:
    """Hosts that are reached without a proxy; `upstream` adds this machine, which always is.

    A machine's own credentials come from the machine's own network.
    """
    hosts = [host.strip() for host in _either(variables, "NO_PROXY").split(",")]
    for provider in providers.values():
        if isinstance(provider.identity, Account):
            hosts += [provider.identity.metadata, *google.METADATA_HOSTS]
    return tuple(filter(None, dict.fromkeys(hosts)))
