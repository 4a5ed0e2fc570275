"""Sidecars: where their environments are, and which variables their processes get."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from dragoman.config.settings import Hidden, Sidecar
from dragoman.config.variables import first
from dragoman.providers import Preset
from dragoman.sidecar.environment import Environment

BASICS = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE", "APPDATA",
    "LOCALAPPDATA", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
    "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
"""What every program needs that speaks with the network; none of it is a key."""


def data_folder(environ: Mapping[str, str], home: Path, *, windows: bool = sys.platform == "win32") -> Path:
    """Where dragoman puts what it installs. https://specifications.freedesktop.org/basedir-spec/latest/"""
    if windows:
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "dragoman"
    folder = Path(environ.get("XDG_DATA_HOME") or "")
    return (folder if folder.is_absolute() else home / ".local" / "share") / "dragoman"


def environment(name: str, environ: Mapping[str, str], home: Path) -> Environment:
    """The environment of the sidecar `name`."""
    return Environment(name, data_folder(environ, home) / name)


def sidecar(
    provider: str,
    row: str,
    preset: Preset,
    named: Iterable[str] | None,
    *,
    variables: Mapping[str, str],
    secrets: dict[str, str],
    home: Path,
) -> tuple[Sidecar, str | None]:
    """The sidecar of `provider`, and what keeps it from being used. `named`: the variables that it gets.

    What they hold goes to `secrets`.
    """
    if named is None:
        listed = variables.get(first(preset.environment_keys, variables) or "", "")
        named = filter(None, (each.strip() for each in listed.split(",")))
    keys, missing = [], []
    for each in dict.fromkeys(named):
        if variables.get(each):
            label = f"{provider}.environment.{each}"
            secrets[label] = variables[each]
            keys.append((each, label))
        else:
            missing.append(each)
    place = environment(row, variables, home)
    found = Sidecar(
        name=row,
        folder=place.folder,
        keys=tuple(keys),
        variables=tuple((each, Hidden(variables[each])) for each in BASICS if each in variables),
    )
    if not place.ready():
        return found, f"run: dragoman install {row}"
    return found, f"set {' and '.join(missing)}" if missing else None
