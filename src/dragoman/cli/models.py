"""`dragoman models`: which name goes where, and why."""

from collections.abc import Sequence
from pathlib import Path

import click

from dragoman import config
from dragoman.cli import configuration
from dragoman.cli.terminal import bad, faint, good, say, table
from dragoman.config.settings import Config
from dragoman.routing import Router, Row

NOWHERE = "http://127.0.0.1:0/v1"  # stands for the demo's port, which is free until it serves


@click.command("models")
@configuration.option
def command(file: Path | None) -> None:
    """Show the model table: names that callers may ask for, where they go, and why."""
    settings, _ = configuration.load(file, configuration.here())
    for line in table(rows(Router(settled(settings)).table())):
        say(line)
    names = [provider.name for provider in settings.providers.values() if provider.ready]
    say()
    if settings.demo:
        say("No provider is configured: a built-in model answers, which is only simulated.")
    else:
        say("Any other model: " + (", ".join(f"{name}/<model>" for name in names) or "no provider is ready."))


def settled(settings: Config) -> Config:
    """With the demo's models in it when they would serve. For commands that send nothing."""
    return config.with_demo(settings, NOWHERE) if settings.demo else settings


def rows(found: Sequence[Row]) -> list[list[str]]:
    """Name, arrow, targets in order, reason."""
    return [
        [row.name, "->", good(", then ".join(row.targets)) if row.targets else bad("nowhere"), faint(row.why)]
        for row in found
    ]
