"""The configuration as commands need it: loaded from where the user stands, with problems told in plain words."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from msgspec import Struct, structs

from dragoman import config
from dragoman.cli.failure import CONFIGURATION, Failure
from dragoman.config.settings import Config, Secrets
from dragoman.sidecar.environment import Environment

option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="The configuration file. Default: $DRAGOMAN_CONFIG, ./dragoman.yaml, the user's own.",
)


class Place(Struct, frozen=True):
    """Where a command is started. The environment is handed to `config`, which alone reads settings from it."""

    environ: Mapping[str, str]
    folder: Path
    home: Path


def here() -> Place:
    return Place(os.environ, Path.cwd(), Path.home())


def load(file: Path | None, place: Place) -> tuple[Config, Secrets]:
    """Raises Failure that names every problem."""
    try:
        return config.load(path=file, environ=place.environ, folder=place.folder, home=place.home)
    except config.ConfigError as error:
        count = len(error.problems)
        head = "The configuration has a problem:" if count == 1 else f"The configuration has {count} problems:"
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        raise Failure(f"{head}\n{lines}", CONFIGURATION) from None


def from_environment(place: Place) -> Config:
    """What variables and `.env` alone configure, without any file. Raises Failure."""
    return load(Path(os.devnull), place)[0]


def origins(file: Path | None, place: Place) -> config.Origins:
    """Where every value comes from. Raises Failure as `load` does."""
    settings, keys = load(file, place)
    read = config.read(path=file, environ=place.environ, folder=place.folder, home=place.home, problems=[])
    return config.Origins(settings, keys, read)


def files(file: Path | None, place: Place) -> list[Path]:
    """Every file that the configuration is read from, or would be if it were there."""
    named = file or place.environ.get("DRAGOMAN_CONFIG")
    own = config.user_folder(place.environ, place.home)
    found = [place.folder / named] if named else [place.folder / config.FILE, own / config.FILE]
    return [*found, place.folder / ".env"]


def with_server(settings: Config, **changes: Any) -> Config:
    """The configuration with settings of the server changed; None leaves one as it is."""
    chosen = {name: value for name, value in changes.items() if value is not None}
    return structs.replace(settings, server=structs.replace(settings.server, **chosen))


def state_folder(place: Place) -> Path:
    return config.state_folder(place.environ, place.home)


def environment(name: str, place: Place) -> Environment:
    """Of the sidecar `name`."""
    return config.environment(name, place.environ, place.home)


def token(place: Place) -> tuple[str, bool]:
    """The token that was kept, or a new one that is kept from now on; and whether it is new.

    Raises Failure, also in Kubernetes: each replica would have a token of its own there.
    """
    if config.in_kubernetes(place.environ):
        raise Failure(
            "In Kubernetes the token must come from a Secret: one that is made at the start would be another one in "
            "each replica. Mount it as DRAGOMAN_AUTH_TOKEN:\n"
            '  kubectl create secret generic dragoman --from-literal=DRAGOMAN_AUTH_TOKEN="$(openssl rand -hex 32)"\n'
            "See docs/operations.md.",
            CONFIGURATION,
        )
    folder = state_folder(place)
    try:
        kept = config.kept_token(folder)
        if kept is not None:
            return kept, False
        made = new_token()
        config.save_token(folder, made)
    except OSError as error:
        raise Failure(
            f"A token is needed off loopback, and {folder} cannot keep one: {error.strerror}. Set server.auth_token."
        ) from None
    return made, True


def new_token() -> str:
    return "dragoman-" + secrets.token_urlsafe(32)
