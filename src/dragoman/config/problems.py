"""What is wrong with a configuration: where, what was found, what is allowed. Never a value, which may be a key."""

from collections.abc import Iterable
from difflib import get_close_matches

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One thing to mend."""

    file: str  # or "environment"
    line: int  # 0: no line
    path: str  # e.g. "providers.lab.base_url"; "" is the whole file
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.text}" if self.path else f"{place}: {self.text}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` holds all of them, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """ " Did you mean `x`?" when something close is allowed, else ""."""
    close = get_close_matches(name[:100].lower(), {word.lower(): word for word in allowed}, n=1, cutoff=0.6)
    if not close:
        return ""
    word = next(word for word in allowed if word.lower() == close[0])
    return f" Did you mean `{word}`?"
