"""Writing a file in one step: whoever reads it sees the old text or the new one, and a failure leaves the old one."""

import os
import stat
import tempfile
from pathlib import Path

from dragoman.cli.failure import Failure

PRIVATE = 0o600


def write(path: Path, text: str, *, private: bool = False) -> None:
    """Replace the file, or what a link leads to. Permissions stay, unless it shall be `private`. Raises Failure."""
    path = path.resolve()
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).chmod(PRIVATE if private else mode)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}. Nothing was changed.") from None
