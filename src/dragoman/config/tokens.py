"""The token that dragoman made for itself: kept in the user's state folder, readable by the user alone."""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

NAME = "token"
KNOWN_TOKEN = "dev-local"  # noqa: S105 - the opposite of a secret
"""The default token of an older proxy, which its documentation tells everybody."""


def state_folder(environ: Mapping[str, str], home: Path, *, windows: bool = sys.platform == "win32") -> Path:
    """Where dragoman keeps what it needs again. https://specifications.freedesktop.org/basedir-spec/latest/"""
    if windows:
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "dragoman"
    # The specification: a relative path is invalid and is ignored.
    folder = Path(environ.get("XDG_STATE_HOME") or "")
    return (folder if folder.is_absolute() else home / ".local" / "state") / "dragoman"


def in_kubernetes(environ: Mapping[str, str]) -> bool:
    """Whether this process runs in a pod. https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables"""
    return bool(environ.get("KUBERNETES_SERVICE_HOST"))


def kept_token(folder: Path) -> str | None:
    """The token kept in `folder`, or None."""
    try:
        token = (folder / NAME).read_text("utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return token or None


def save_token(folder: Path, token: str) -> Path:
    """Keep `token` in `folder`, for the user alone, in one step. Returns the file. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600, so the token is never readable by others, not even for a moment.
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=NAME)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(token + "\n")
        Path(temporary).replace(folder / NAME)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    return folder / NAME
