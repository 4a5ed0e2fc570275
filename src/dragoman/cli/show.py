"""`dragoman config show`: every value in effect and where it comes from. Keys are never shown."""

import json
from pathlib import Path

import click

from dragoman import config
from dragoman.cli import configuration
from dragoman.cli.banner import proxy_lines
from dragoman.cli.terminal import faint, say, table

FEW = 4  # items of a list


@click.group("config")
def command() -> None:
    """Look at the configuration."""


@command.command("show")
@configuration.option
@click.option("--as-yaml", is_flag=True, help="Print it as one dragoman.yaml, with ${NAME} in place of keys.")
def show(file: Path | None, as_yaml: bool) -> None:
    """Show every value in effect, and where it comes from. Keys are masked."""
    place = configuration.here()
    found = configuration.origins(file, place)
    if as_yaml:
        say(config.as_yaml(found).rstrip("\n"))
        return
    for line in table([row(value) for value in found.values()], indent=""):
        say(line)
    for line in proxy_lines(configuration.load(file, place)[0]):
        say(line)


def row(value: config.Value) -> list[str]:
    """Setting, value, origin."""
    text = value.shown or value.value
    if value.secret:
        text = "***"
    elif not isinstance(text, str):
        text = listed(text) if isinstance(text, list) else json.dumps(text)
    return [".".join(value.path), text or '""', faint(value.origin)]


def listed(items: list[str]) -> str:
    """The first few; `dragoman models` has them all."""
    more = f" and {len(items) - FEW} more" if len(items) > FEW else ""
    return ", ".join(map(str, items[:FEW])) + more
