"""Whose Google credentials sign: a file that is named, the one that gcloud left, or the machine's own.

The order is that of Google's libraries: https://cloud.google.com/docs/authentication/application-default-credentials
A file is only looked at: its kind and its projects are read here, and what is secret in it is not.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from dragoman.providers import google

FILE = "GOOGLE_APPLICATION_CREDENTIALS"
GCLOUD = "CLOUDSDK_CONFIG"  # gcloud's own folder
_NAME = "application_default_credentials.json"
_LIMIT = 1024 * 1024  # bytes

_KINDS = {
    "service_account": "the service account",
    "authorized_user": "the user",
    "external_account": "the workload",
    "external_account_authorized_user": "the user",
    "impersonated_service_account": "the service account",
}


class Found(Struct, frozen=True):
    """Credentials, as far as they are not secret. `why` is for people; `wrong` says what keeps them from being used."""

    file: str | None = None  # None: the machine's own
    kind: str = ""
    project: str = ""  # that they belong to
    why: str = ""
    wrong: str | None = None


class _File(Struct):
    """What is read of a file of credentials."""

    type: str = ""
    project_id: str = ""
    quota_project_id: str = ""


def credentials(
    written: str | None, variables: Mapping[str, str], home: Path, *, windows: bool = sys.platform == "win32"
) -> Found:
    """The credentials that sign. `written`: the file that the configuration names."""
    if written:
        return _looked_at(Path(written).expanduser(), "credentials_file")
    named = variables.get(FILE)
    if named:
        return _looked_at(Path(named).expanduser(), FILE)
    path = gcloud_folder(variables, home, windows=windows) / _NAME
    if path.exists():
        return _looked_at(path, "gcloud")
    return Found(why="signs as this machine's own service account (metadata server)")


def gcloud_folder(variables: Mapping[str, str], home: Path, *, windows: bool = sys.platform == "win32") -> Path:
    """Where gcloud keeps its own things. https://cloud.google.com/sdk/docs/configurations"""
    if variables.get(GCLOUD):
        return Path(variables[GCLOUD])
    if windows:
        return Path(variables.get("APPDATA") or home / "AppData" / "Roaming") / "gcloud"
    return home / ".config" / "gcloud"


def _looked_at(path: Path, source: str) -> Found:
    try:
        with path.open("rb") as file:
            said = msgspec.json.decode(file.read(_LIMIT), type=_File)
    except OSError as error:
        why = error.strerror or "cannot be read"
        return Found(str(path), wrong=f"{source} is {path}: {why}; or run `{google.LOGIN}`")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = _File()
    if said.type not in google.KINDS:
        return Found(str(path), wrong=f"{source} is {path}, which holds no credentials of a known type")
    why = f"signs as {_KINDS[said.type]} in {path} ({source})"
    return Found(str(path), said.type, said.project_id or said.quota_project_id, why)
