"""The `dragoman` command. The module of a command is imported only when it is used, so that each starts quickly."""

from importlib import import_module

import click

from dragoman import __version__
from dragoman.cli import terminal

COMMANDS = {
    "serve": "dragoman.cli.serve",
    "init": "dragoman.cli.init",
    "claude": "dragoman.cli.claude",
    "config": "dragoman.cli.show",
    "models": "dragoman.cli.models",
    "explain": "dragoman.cli.explain",
    "doctor": "dragoman.cli.doctor",
    "record": "dragoman.cli.record",
    "replay": "dragoman.cli.replay",
    "install": "dragoman.cli.install",
    "stop": "dragoman.cli.stop",
    "proxy": "dragoman.cli.serve",  # as older programs of this kind call it
}


class Commands(click.Group):
    """The table above as a group of commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        found: click.Command = import_module(place).command
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dragoman")
def main() -> None:
    """An interpreter between Anthropic's Messages API and every model there is."""
    terminal.prepare()
