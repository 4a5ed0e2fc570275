"""The configuration of `dragoman serve`: read at the start, and again while it serves."""

import socket
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, structs

from dragoman import config
from dragoman.cli import configuration
from dragoman.cli.failure import CONFIGURATION, Failure
from dragoman.cli.reloading import Files
from dragoman.cli.terminal import say
from dragoman.config.settings import Config, Secrets
from dragoman.gateway.collaborators import Surroundings
from dragoman.server.door import is_loopback
from dragoman.telemetry.recorder import Asgi

_FIXED = ("host", "port", "workers")  # settings of the server that need another start


class Reading(Struct, frozen=True, kw_only=True):
    """Where it is read from, and what the command line changes in it."""

    place: configuration.Place
    file: Path | None = None
    host: str | None = None
    port: int | None = None
    workers: int | None = None
    verbose: bool = False

    def first(self) -> tuple[Config, Secrets, str | None]:
        """The configuration, its secrets, and the token when it was made just now. Raises Failure."""
        found, secrets = self._load()
        found, token = with_token(found, self.place)
        return found, secrets, token

    def again(self, serving: Config, demo: str | None, *, tell: bool) -> tuple[Config, Secrets]:
        """What is configured now, for a gateway that serves with `serving`. Raises Failure that names every problem.

        `demo`: URL of the simulated upstream where it runs. `tell`: say what stays as it is.
        """
        found, secrets = self._load()
        kept = {name: getattr(serving.server, name) for name in _FIXED}
        other = [f"server.{name}" for name in _FIXED if getattr(found.server, name) != kept[name]]
        found, token = with_token(configuration.with_server(found, **kept), self.place)
        if tell and other:
            say(f"Needs another start, and stays as it is until then: {', '.join(other)}.", error=True)
        if tell and token:
            say(f"A token was made and kept for the next start: {token}", error=True)
        if not found.demo:
            return found, secrets
        if demo is None:
            raise Failure("No provider is configured any more. For the simulated one, start again.", CONFIGURATION)
        return config.with_demo(found, demo), secrets

    def files(self) -> Files:
        """All that is read, or would be if it were there, as it is now."""
        return Files(configuration.files(self.file, self.place))

    def _load(self) -> tuple[Config, Secrets]:
        found, secrets = configuration.load(self.file, self.place)
        found = configuration.with_server(found, host=self.host, port=self.port, workers=self.workers)
        if self.verbose:
            found = structs.replace(found, logs=structs.replace(found.logs, level="debug"))
        return found, secrets


class Around:
    """What `dragoman serve` puts around its gateway: nothing."""

    def change(self, _found: Config, _keys: Secrets) -> Callable[[Surroundings], Surroundings]:
        """What `server.application.build` is to put between the gateway and what stands around it."""
        return lambda surroundings: surroundings

    def outside(self, application: Asgi) -> Asgi:
        """The application as callers meet it, whatever configuration it has."""
        return application


class Service(Struct, frozen=True):
    """Everything that a serving process needs, made before it starts."""

    config: Config
    secrets: Secrets
    reading: Reading  # how it is configured anew
    sockets: list[socket.socket]
    demo: list[socket.socket]  # of the simulated upstream; empty when real ones serve, or another process has it
    demo_url: str | None = None  # where it runs
    files: Files | None = None  # with which that happens by itself, when one has changed
    around: Around = Around()

    def again(self, *, tell: bool) -> "Service":
        """With what is configured now. Raises Failure."""
        found, secrets = self.reading.again(self.config, self.demo_url, tell=tell)
        return structs.replace(self, config=found, secrets=secrets)


def with_token(found: Config, place: configuration.Place) -> tuple[Config, str | None]:
    """Off loopback a token is required, and one that everybody knows is none. Returns it when it was made just now."""
    if found.server.open or is_loopback(found.server.host) or found.server.auth_token not in ("", config.KNOWN_TOKEN):
        return found, None
    value, fresh = configuration.token(place)
    return configuration.with_server(found, auth_token=value), value if fresh else None
