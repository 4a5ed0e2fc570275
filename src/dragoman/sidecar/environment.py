"""Environments of sidecars: a folder of the user's, filled from a lock file with hashes that is shipped along."""

import hashlib
from functools import cache
from pathlib import Path

from msgspec import Struct

LITELLM = "litellm"
SIDECARS = (LITELLM,)

HOST = "{name}.invalid"
"""The stand-in host of a provider with a sidecar: no such name can exist. https://www.rfc-editor.org/rfc/rfc2606"""

_HERE = Path(__file__).parent
_MARK = ".ready"  # holds the digest of the lock that the environment was made from


class Environment(Struct, frozen=True):
    """The environment of the sidecar `name`, in `folder`."""

    name: str
    folder: Path

    @property
    def lock(self) -> Path:
        return _HERE / f"{self.name}.txt"

    @property
    def python(self) -> Path:
        found = [self.folder / "bin" / "python", self.folder / "Scripts" / "python.exe"]
        return next((each for each in found if each.exists()), found[0])

    def ready(self) -> bool:
        """Whether it was made whole, from the lock of this release."""
        try:
            return (self.folder / _MARK).read_text("ascii").strip() == _digest(self.lock)
        except (OSError, ValueError):
            return False

    def finish(self) -> None:
        """It is whole. Raises OSError."""
        (self.folder / _MARK).write_text(_digest(self.lock) + "\n", "ascii")

    def spoil(self) -> None:
        """It is about to be changed. Raises OSError."""
        (self.folder / _MARK).unlink(missing_ok=True)

    def command(self) -> tuple[str, ...]:
        """What starts the server; it sees neither our packages nor those of the user."""
        return (str(self.python), "-I", "-u", str(_HERE / f"launch_{self.name}.py"))


@cache
def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()
