"""`dragoman claude --settings FILE`: the variables in the `env` of a settings file of Claude Code.

Its form: https://code.claude.com/docs/en/settings
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dragoman.cli import conflicts, files
from dragoman.cli.asking import agreed
from dragoman.cli.failure import Failure
from dragoman.cli.terminal import say


def write(path: Path, wanted: Mapping[str, str], *, private: bool) -> None:
    """Merge `wanted` into the file; a value that is there already is replaced only when the user agrees.

    `private`: the values hold a token that nobody else may read.
    """
    settings = read(path)
    block: dict[str, Any] = settings.setdefault("env", {})
    changed = 0
    for name, value in wanted.items():
        if block.get(name) == value:
            continue
        if name in block and not agreed(f"{path}: env.{name} has another value. Replace it?"):
            say(f"Left as it is: env.{name}", error=True)
            continue
        block[name] = value
        changed += 1
    if changed:
        files.write(path, json.dumps(settings, indent=2, ensure_ascii=False) + "\n", private=private)
        say(f"Written: {path} ({changed} {'variable' if changed == 1 else 'variables'}).")
    else:
        say(f"Nothing to change: {path}.")
    for conflict in conflicts.in_settings([path]):
        if conflict.name.removeprefix("env.") in (*conflicts.ELSEWHERE, "apiKeyHelper"):
            say(
                f"Note: {conflict.name} in this file goes past the gateway or adds a credential: remove it.", error=True
            )


def read(path: Path) -> dict[str, Any]:
    """The settings; {} when there is no file. Raises Failure."""
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise Failure(f"{path} is not JSON; it was left as it is. Mend it, and try again.") from None
    if not isinstance(found, dict) or not isinstance(found.get("env", {}), dict):
        raise Failure(f'{path} has no settings: expected {{"env": {{...}}}}. It was left as it is.')
    return found
