"""`dragoman install`: makes the environment of a server that runs beside the gateway, from its lock with hashes."""

import shutil
import subprocess
import sys

import click

from dragoman.cli import configuration
from dragoman.cli.failure import Failure
from dragoman.cli.terminal import say
from dragoman.sidecar.environment import SIDECARS, Environment


@click.command("install")
@click.argument("name", type=click.Choice(SIDECARS), metavar="|".join(SIDECARS))
def command(name: str) -> None:
    """Install LiteLLM beside dragoman, for providers that dragoman does not reach itself (docs/litellm.md)."""
    place = configuration.here()
    environment = configuration.environment(name, place)
    if environment.ready():
        say(f"{name} is installed already, in {environment.folder}.")
        return
    say(f"Installing {name} in {environment.folder}")
    try:
        environment.spoil()
        environment.folder.parent.mkdir(parents=True, exist_ok=True)
        install(environment, shutil.which("uv", path=place.environ.get("PATH")))
        environment.finish()
    except OSError as error:
        raise Failure(f"{error.filename or environment.folder}: {error.strerror or error}") from None
    say(f"Installed. Name the keys that it needs: `environment:` under `providers: {name}:` (docs/{name}.md).")


def install(environment: Environment, uv: str | None) -> None:
    """With uv where it is, else with pip. Raises Failure."""
    folder, lock = str(environment.folder), str(environment.lock)
    checked = ("--quiet", "--require-hashes", "--only-binary", ":all:")
    if uv is not None:
        run(uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, folder)
        run(uv, "pip", "install", *checked, "--python", str(environment.python), "-r", lock)
    else:
        run(sys.executable, "-m", "venv", "--clear", folder)
        pip = (str(environment.python), "-m", "pip", "--disable-pip-version-check")
        run(*pip, "install", *checked, "-r", lock)


def run(*arguments: str) -> None:
    """Its output is for the user. Raises Failure."""
    code = subprocess.run(arguments, check=False).returncode  # noqa: S603 - our own words
    if code:
        raise Failure(f"This failed, see above: {' '.join(arguments[:4])} ... Is the package index reachable?")
