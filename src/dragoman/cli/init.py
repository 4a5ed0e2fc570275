"""`dragoman init`: a short dialogue that writes dragoman.yaml. Keys are found where they are, and never shown."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from dragoman import config
from dragoman.cli import configuration, files
from dragoman.cli.asking import agreed, answered
from dragoman.cli.configuration import Place
from dragoman.cli.failure import Failure
from dragoman.cli.terminal import faint, good, say, strong, table
from dragoman.config.settings import CALLER, Provider
from dragoman.server.door import is_loopback

ASKED = (("opus", "the large model"), ("sonnet", "the usual model"), ("haiku", "the small model, for the background"))
HEAD = "# Written by `dragoman init`. All settings: docs/configuration.md\n"


@click.command("init")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The file to write. Default: ./dragoman.yaml.")
def command(file: Path | None) -> None:
    """Ask a few questions and write a dragoman.yaml."""
    place = configuration.here()
    path = place.folder / (file or config.FILE)
    if path.exists() and not agreed(f"{path} exists. Replace it?"):
        say(f"Left as it is: {path}")
        return
    providers = found(place)
    chosen = models(providers)
    host = ask("Address to listen on (127.0.0.1: this machine only)", "127.0.0.1")
    port = answered(lambda: click.prompt("Port", default=8082, type=click.IntRange(1, 65535), err=True))
    token = "" if is_loopback(host) else configuration.new_token()
    files.write(path, config.written(host, port, token, list(providers), chosen, head=HEAD), private=bool(token))
    configuration.load(path, place)
    say(f"Written: {path}" + (", readable by you alone: the token is in it." if token else "."))
    option = f" --config {file}" if file else ""
    say(f"Next: {strong(f'dragoman serve{option}')}, and in another terminal: dragoman claude{option}")


def found(place: Place) -> dict[str, Provider]:
    """Providers whose keys are in the environment or in `.env`. Raises Failure when there are none."""
    settings = configuration.from_environment(place)
    ready = {name: each for name, each in settings.providers.items() if each.ready and each.template.auth != CALLER}
    if not ready:
        raise Failure(
            f"No key was found. Set one in the environment or in {place.folder / '.env'}, for example "
            f"OPENROUTER_API_KEY=..., and run dragoman init again. Names: docs/providers.md{os.linesep}"
            "To look around without a key: dragoman serve"
        )
    say("Found:", error=True)
    for line in table([name, good("ready"), faint(each.why)] for name, each in ready.items()):
        say(line, error=True)
    return ready


def models(providers: dict[str, Provider]) -> dict[str, str]:
    """Family -> destination, as the user says; an empty answer takes what is shown."""
    found_here = [f"{name}/{model}" for name, each in providers.items() for model in known(each)]
    say("Models, as provider/model: " + (", ".join(found_here[:12]) or "none is known; write one"), error=True)
    first = next(iter(providers.values()))
    chosen = {}
    for family, what in ASKED:
        usual = (first.small if family == "haiku" else first.big) or next(iter(known(first)), None)
        default = f"{first.name}/{usual}" if usual else None
        while True:
            answer = ask(f"{family}, {what}", default)
            if wrong := fault(answer, providers):
                say(wrong, error=True)
                continue
            chosen[family] = answer
            break
    return chosen


def fault(answer: str, providers: dict[str, Provider]) -> str | None:
    """What is wrong with a destination."""
    provider, slash, model = answer.partition("/")
    if provider not in providers or not slash or not model.strip():
        return f"Write provider/model, with one of: {', '.join(providers)}."
    return None


def known(provider: Provider) -> Sequence[str]:
    return tuple(dict.fromkeys(filter(None, (provider.big, provider.small, *provider.models))))


def ask(question: str, default: str | None) -> str:
    return str(answered(lambda: click.prompt(question, default=default, err=True))).strip()
