"""`dragoman record`: the gateway, which writes a bundle of each request: both sides, without keys."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from msgspec import structs

from dragoman.cli import configuration, serve
from dragoman.cli.reading import Around, Reading
from dragoman.cli.terminal import say, strong
from dragoman.config.settings import Config, Secrets, Server
from dragoman.gateway.collaborators import Surroundings
from dragoman.server.paths import canonical
from dragoman.telemetry.blackout import secrets_in
from dragoman.telemetry.bundle import Folder
from dragoman.telemetry.recorder import Asgi, Recorder

BUNDLES = "bundles"
MESSAGES = "/v1/messages"
SETTINGS = ("body_limit", "bytes_in_flight", "open_after", "ping_every", "read_idle", "retries")
"""Settings of the server that decide what becomes of a request."""

WARNING = "Bundles hold whole conversations; only keys are taken out. Read one before you give it to anybody."


@click.command("record")
@configuration.option
@serve.host_option
@serve.port_option
@serve.verbose_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the bundles. Default: `bundles` in the user's state folder.",
)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The newest N bundles are kept.")
@click.option("--without-texts", is_flag=True, help="Leave the conversation out; such a bundle cannot be replayed.")
def command(  # noqa: PLR0917 - click calls it with keywords
    file: Path | None,
    host: str | None,
    port: int | None,
    verbose: bool,
    output: Path | None,
    limit: int,
    without_texts: bool,
) -> None:
    """Start the gateway, and write a bundle of each request: both sides, without keys."""
    folder = Folder(output or configuration.state_folder(configuration.here()) / BUNDLES, limit)
    say(f"Each request is written to {folder.path}. `dragoman replay FILE` runs one again.", error=True)
    if not without_texts:
        say(strong(WARNING) + " --without-texts leaves the texts out.", error=True)
    reading = Reading(place=configuration.here(), file=file, host=host, port=port, workers=1, verbose=verbose)
    serve.start(reading, Recording(folder, texts=not without_texts))


class Recording(Around):
    """A recorder around the gateway."""

    def __init__(self, folder: Folder, *, texts: bool) -> None:
        self._recorder = Recorder(
            folder.keep,
            covers=lambda path: canonical(path) == MESSAGES,
            texts=texts,
            tell=lambda text: say(text, error=True),
        )

    def change(self, found: Config, keys: Secrets) -> Callable[[Surroundings], Surroundings]:
        self._recorder.know(secrets_of(found, keys), settings_of(found.server))
        return partial(watched, self._recorder)

    def outside(self, application: Asgi) -> Asgi:
        return self._recorder.application(application)


def watched(recorder: Recorder, around: Surroundings) -> Surroundings:
    """The recorder between the gateway and what stands around it."""
    return structs.replace(
        around,
        router=recorder.router(around.router),
        upstream=recorder.upstream(around.upstream),
        watch=recorder.watch(around.watch),
        new_id=recorder.new_id(around.new_id),
        remembers=False,
    )


def secrets_of(found: Config, keys: Secrets) -> tuple[str, ...]:
    """Every key that the configuration knows, those in fixed headers of providers too."""
    targets = [target for each in found.providers.values() for target in (each.template, *each.others)]
    return (*keys.values(), found.server.auth_token, *secrets_in(row for target in targets for row in target.headers))


def settings_of(server: Server) -> dict[str, float]:
    return {name: getattr(server, name) for name in SETTINGS}
