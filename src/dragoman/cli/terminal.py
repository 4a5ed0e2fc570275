"""Writing to terminals, pipes and files: colour only where it is welcome, and no crash on a narrow encoding."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO

import click


def prepare() -> None:
    """Let a terminal that cannot show a character show a substitute, instead of ending with an encoding error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def colourful(stream: IO[str]) -> bool:
    """Whether `stream` is a terminal that wants colour (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str = "", *, error: bool = False) -> None:
    """Write a line; colours are taken out where they are not welcome."""
    stream = sys.stderr if error else sys.stdout
    if not colourful(stream):
        text = click.unstyle(text)
    stream.write(text + "\n")
    stream.flush()


def table(rows: Iterable[Sequence[str]], indent: str = "  ") -> list[str]:
    """Rows as lines with aligned columns; the last column is as long as it needs."""
    cells = [list(row) for row in rows]
    if not cells:
        return []
    count = max(len(row) for row in cells)
    widths = [max(len(click.unstyle(row[n])) for row in cells if n < len(row)) for n in range(count)]
    lines = []
    for row in cells:
        padded = [text + " " * (widths[n] - len(click.unstyle(text))) for n, text in enumerate(row)]
        lines.append((indent + "  ".join(padded)).rstrip())
    return lines


def good(text: str) -> str:
    return click.style(text, fg="green")


def bad(text: str) -> str:
    return click.style(text, fg="red")


def faint(text: str) -> str:
    return click.style(text, dim=True)


def strong(text: str) -> str:
    return click.style(text, bold=True)
