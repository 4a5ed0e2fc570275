"""Every value in effect and where it comes from; and the same as one dragoman.yaml, without the environment.

Keys never appear: a reference to the variable that holds one, `${NAME}`, stands in its place.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, structs

from dragoman.config import addresses, litellm, predecessors
from dragoman.config.document import Node
from dragoman.config.fields import Sheet
from dragoman.config.loading import OVERRIDES, Read
from dragoman.config.settings import CALLER, Config, Group, Leads, Provider, Secrets
from dragoman.config.variables import expand, first, names
from dragoman.providers import Account, Preset, presets

DEFAULT = "default"
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")
_KEY = re.compile(r"KEY|TOKEN|SECRET|PASS|AUTH|CREDENTIAL", re.IGNORECASE)
_COPIED = ("title", "big", "small", "models")  # of a provider, as its preset has them


class Value(Struct, frozen=True):
    """One value in effect. `origin` is for people; a secret is a reference to a variable."""

    path: tuple[str, ...]
    value: Any
    origin: str
    secret: bool = False
    shown: str = ""  # the same for people, where it is another text
    written: bool = True  # False: nobody said it; it is a default, or the preset's


class Origins:
    """Finds out where values come from."""

    def __init__(self, config: Config, secrets: Secrets, read: Read) -> None:
        self._config = config
        self._secrets = secrets
        self._read = read
        self._variables = read.variables
        older = predecessors.settings(self._variables, {"server": (), "logs": ()})
        self._older = {(section, field): variable for variable, section, field, _ in older}
        root = read.root and litellm.translated(Sheet("", read.variables, []), read.root)[0]
        self._root = _children(root)
        self.invented: dict[str, str] = {}
        """Variables that are not there yet -> the setting whose key they shall hold."""

    def values(self) -> Iterator[Value]:
        """All, in the order of the documentation."""
        yield from self._section("server", self._config.server)
        yield from self._section("logs", self._config.logs)
        yield self._plain(("strict",), self._config.strict, self._root.get("strict"), default=False)
        thinker, node = self._config.thinker, self._root.get("thinker")
        if thinker and not (node and node.value):
            yield Value(("thinker",), _told(thinker), self._variable(predecessors.THINKER))
        else:
            yield self._plain(("thinker",), _told(thinker), node, default="")
        for provider in self._config.providers.values():
            yield from self._provider(provider)
        models = _children(self._root.get("models"))
        for name, found in self._config.models:
            yield Value(("models", name), _told(found), self._line(models.get(name)))

    def _section(self, section: str, found: Struct) -> Iterator[Value]:
        """The fields of `server` or `logs`. A variable wins over the file, and the file over an older variable."""
        nodes = _children(self._root.get(section))
        for field in structs.fields(type(found)):
            path, value, node = (section, field.name), getattr(found, field.name), nodes.get(field.name)
            variables = [name for name, *place in OVERRIDES if place == [*path] and self._variables.get(name)]
            variable = variables[-1] if variables else None
            if variable is None and (node is None or node.value is None):
                variable = self._older.get(path)
            if field.name == "auth_token" and value:
                origin = self._variable(variable) if variable else self._line(node)
                text = f"${{{variable}}}" if variable else str(node.value if node else "")
                yield Value(path, self._reference(text, path, "DRAGOMAN_AUTH_TOKEN"), origin, secret=True)
            elif variable:
                yield Value(path, value, self._variable(variable))
            else:
                yield self._plain(path, value, node, default=field.default)

    def _plain(self, path: tuple[str, ...], value: Any, node: Node | None, *, default: Any) -> Value:
        if node is not None and node.value is not None:
            return Value(path, value, self._line(node))
        return Value(path, value, DEFAULT, written=value != default)

    def _provider(self, provider: Provider) -> Iterator[Value]:
        """An entry: what the file says, what variables say in its place, then what its preset says."""
        path = ("providers", provider.name)
        node = _children(self._root.get("providers")).get(provider.name)
        older = _children(predecessors.upstream(self._variables)) if node is None else {}
        if provider.name in older:
            yield from self._upstream(path, _children(older[provider.name]))
            return
        said = _children(node)
        row = presets().get(provider.preset or "")
        yield Value(path, {}, self._line(node) if node else "environment")
        for name, child in said.items():
            yield from self._tree((*path, name), child)
        added = {} if row is None else dict(self._from_variables(provider, row, said))
        for name, (value, variable) in added.items():
            secret = name == "api_key"
            yield Value((*path, name), value, self._variable(variable), secret=secret)
        origin = f"preset {provider.preset}"
        if not said.keys() & {"base_url"} and "base_url" not in added:
            yield Value((*path, "base_url"), provider.template.base_url, origin, written=False)
        for name in _COPIED[1:]:
            value = getattr(provider, name)
            if value and name not in said and name not in added:
                yield Value((*path, name), list(value) if name == "models" else value, origin, written=False)

    def _upstream(self, path: tuple[str, ...], said: Mapping[str, Node]) -> Iterator[Value]:
        """An entry that no preset knows and no file names: older variables say all of it."""
        yield Value(path, {}, self._variable(predecessors.UPSTREAM_URL))
        for name, child in said.items():
            origin = self._variable(predecessors.UPSTREAM_VARIABLES[name])
            yield Value((*path, name), _raw(child), origin, secret=name == "api_key")

    def _from_variables(
        self, provider: Provider, row: Preset, said: Mapping[str, Node]
    ) -> Iterator[tuple[str, tuple[Any, str]]]:
        """Setting -> what a variable says for it, and the name of that variable."""
        variables, target = self._variables, provider.template
        switch = first((*presets()[provider.name].instead_keys,), variables) if provider.name in presets() else None
        if provider.preset != provider.name and "preset" not in said and switch:
            yield "preset", (provider.preset, switch)
        if target.key in variables and target.key in self._secrets and said.keys().isdisjoint(("api_key", "api_keys")):
            yield "api_key", (f"${{{target.key}}}", target.key)
            if target.key in row.token_keys and "auth" not in said:
                yield "auth", (target.auth, target.key)
        listed = first(row.environment_keys, variables)
        if listed and "environment" not in said and provider.sidecar is not None:
            yield "environment", ([name for name, _ in provider.sidecar.keys], listed)
        if not provider.ready:
            return
        url = first(row.base_url_keys, variables)
        if url and "base_url" not in said:
            yield "base_url", (_address(variables[url], row), url)
        version = first(row.version_keys, variables)
        if version and f"api-version={variables[version].strip()}" in target.query and "api_version" not in said:
            yield "api_version", (variables[version].strip(), version)
        project = first(row.project_keys, variables)
        account = provider.identity
        if project and "project" not in said and isinstance(account, Account) and account.project == variables[project]:
            yield "project", (account.project, project)
        location = first(row.location_keys, variables)
        if location and "location" not in said and provider.where:
            yield "location", (provider.where.split()[-1], location)
        model = first(row.model_keys, variables)
        if model and "models" not in said:
            yield "models", (list(provider.models), model)

    def _tree(self, path: tuple[str, ...], node: Node) -> Iterator[Value]:
        """What stands in the file, as it stands there. A header may hold a key as well."""
        if isinstance(node.value, dict):
            if not node.value:
                yield Value(path, {}, self._line(node))
            for name, child in node.value.items():
                yield from self._tree((*path, name), child)
        elif path[-1] == "api_keys" and isinstance(node.value, list):
            names = [
                self._reference(str(each.value), path, f"{path[1]}_api_key_{n}") for n, each in enumerate(node.value, 1)
            ]
            yield Value(path, names, self._line(node), secret=True)
        elif path[-1] in ("api_key", "client_secret") or path[2] == "headers":
            if node.value == CALLER and path[-1] == "api_key":
                yield Value(path, CALLER, self._line(node))
            elif node.value is not None:
                name = "_".join((path[1], *path[2:]))
                yield Value(path, self._reference(str(node.value), path, name), self._line(node), secret=True)
        elif node.value is not None:
            yield Value(path, _raw(node), self._line(node), shown=self._expanded(node.value))

    def _expanded(self, value: Any) -> str:
        """A text with its variables, for people; "" when there are none, or one that may hold a key."""
        if not isinstance(value, str) or not names(value) or any(map(_KEY.search, names(value))):
            return ""
        return expand(value, self._variables)

    def _reference(self, text: str, path: tuple[str, ...], name: str) -> str:
        """The variable that a secret is in, else one to put it in."""
        match = _REFERENCE.fullmatch(text.strip())
        if match and self._variables.get(match[1]):
            return f"${{{match[1]}}}"
        if match and not expand(text, self._variables).strip():
            return f"${{{match[1]}:-}}"
        name = re.sub(r"^(?=\d)|[^A-Za-z0-9]", "_", name).upper()
        while name in self._variables or name in self.invented:
            name += "_"
        self.invented[name] = ".".join(path)
        return f"${{{name}}}"

    def _line(self, node: Node | None) -> str:
        """The place in the file."""
        return f"{self._read.file}:{node.line}" if node and self._read.file else "environment"

    def _variable(self, name: str) -> str:
        return f"{name} in {'the environment' if self._read.environ.get(name) else '.env'}"


def as_yaml(origins: Origins) -> str:
    """The dragoman.yaml that leads to the same configuration, with a head that names the variables it needs."""
    import yaml  # noqa: PLC0415 - only for this command

    tree: dict[str, Any] = {}
    for found in origins.values():
        if not found.written:
            continue
        place = tree
        for name in found.path[:-1]:
            place = place.setdefault(name, {})
        place.setdefault(found.path[-1], {} if found.value == {} else found.value)
    body = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100) if tree else ""
    handed = [name for provider in tree.get("providers", {}).values() for name in provider.get("environment", [])]
    needed = [name for name in dict.fromkeys([*names(body), *handed]) if name not in origins.invented]
    head = ["# What is in effect, as one file. All settings: docs/configuration.md"]
    if needed:
        head.append(f"# Keep in the environment or in .env: {', '.join(needed)}")
    head += [
        f"# Set {name} to what {path} is now: keys do not belong into files." for name, path in origins.invented.items()
    ]
    return "\n".join(head) + "\n" + body


def written(host: str, port: int, token: str, providers: Iterable[str], models: Mapping[str, str], *, head: str) -> str:
    """A dragoman.yaml with these values. Keys are read from the variables of the presets."""
    import yaml  # noqa: PLC0415 - only for this command

    server = {"host": host, "port": port} | ({"auth_token": token} if token else {})
    tree = {"server": server, "providers": {name: {} for name in providers}, "models": dict(models)}
    return head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def _told(leads: Leads) -> Any:
    """Where a name leads, as it may stand in the file; "" for nowhere."""
    targets = _listed(leads.groups)
    return {"targets": targets, "overflow": _listed(leads.overflow)} if leads.overflow else targets


def _listed(groups: Iterable[Group]) -> Any:
    found: list[Any] = [group[0][0] if len(group) == 1 else dict(group) for group in groups]
    return found[0] if len(found) == 1 else found or ""


def _children(node: Node | None) -> dict[str, Node]:
    return node.value if node is not None and isinstance(node.value, dict) else {}


def _raw(node: Node) -> Any:
    """The value, with its `${NAME}` as they are."""
    return [_raw(child) for child in node.value] if isinstance(node.value, list) else node.value


def _address(text: str, row: Preset) -> str:
    """A base URL from a variable, as it may stand in the file."""
    if row.local:
        return addresses.local(text, row.base_url)
    if row.addressing in ("azure", "vertex") or "://" in text:
        return text.strip()
    return f"https://{text.strip()}"
