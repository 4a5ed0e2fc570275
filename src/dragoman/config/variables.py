"""Variables: the `.env` file, and `${NAME}` inside texts."""

import re
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path

from dragoman.config.problems import Problem

_VARIABLE = re.compile(r"\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")


class ExpansionError(ValueError):
    """A text names a variable that is not set, or names none. The message says which, never a value."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with every `${NAME}` and `${NAME:-default}` replaced; the default also stands in for an empty variable.

    Raises ExpansionError.
    """
    missing: list[str] = []

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name is None:
            raise ExpansionError("write a variable as ${NAME} or ${NAME:-default}.")
        found = variables.get(name)
        if not found and default is not None:
            return str(default)
        if found is None:
            missing.append(name)
            return ""
        return found

    expanded = _VARIABLE.sub(value, text)
    if missing:
        names = " and ".join(dict.fromkeys(missing))
        raise ExpansionError(f"{names} is not set. Set it in the environment or in .env, or write ${{NAME:-default}}.")
    return expanded


def names(text: str) -> list[str]:
    """The variables that `text` names."""
    return [match[1] for match in _VARIABLE.finditer(text) if match[1]]


def first(names: Iterable[str], variables: Mapping[str, str]) -> str | None:
    """The first of `names` with a value."""
    return next((name for name in names if variables.get(name)), None)


def dotenv(path: Path, environ: Mapping[str, str], problems: list[Problem]) -> dict[str, str]:
    """The variables in the `.env` file at `path`, expanded; {} without a file. The environment is never changed."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return {}
    except OSError as error:
        problems.append(Problem(str(path), 0, "", f"cannot be read: {error.strerror}."))
        return {}
    except UnicodeDecodeError:
        problems.append(Problem(str(path), 0, "", "is not UTF-8. Save it as UTF-8."))
        return {}
    # Imported here because most starts have no such file.
    from dotenv.parser import parse_stream  # noqa: PLC0415

    found: dict[str, str] = {}
    for line in parse_stream(StringIO(text)):
        if line.error:
            problems.append(Problem(str(path), line.original.line, "", "is not a line of the form NAME=value."))
        elif line.key and line.value is not None:
            try:
                found[line.key] = expand(line.value, {**found, **environ})
            except ExpansionError:
                found[line.key] = line.value  # a `$` that is part of the value, as in a password
    return found
