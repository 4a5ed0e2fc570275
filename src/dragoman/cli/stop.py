"""`dragoman stop`: ends gateways that this user started."""

import click

from dragoman.cli import configuration, processes
from dragoman.cli.failure import Failure
from dragoman.cli.terminal import say


@click.command("stop")
@click.option("--port", type=click.IntRange(1, 65535), help="Only the gateway on this port.")
def command(port: int | None) -> None:
    """Stop the gateways that you started with `dragoman serve`; open streams are finished first."""
    running = processes.remembered(configuration.state_folder(configuration.here()))
    chosen = {found: process for found, process in running.items() if port in (None, found)}
    if not chosen:
        where = f" on port {port}" if port else ""
        others = f" Running: {', '.join(f'port {found}' for found in running)}." if running else ""
        if port:
            raise Failure(f"No gateway of yours runs{where}.{others}")
        say("No gateway of yours is running.")
        return
    for found, process in chosen.items():
        processes.stop(process)
        say(f"Stopped the gateway on port {found} (process {process}).")
