"""`dragoman explain`: what would be sent upstream for a request, and what is lost on the way. No traffic, no key."""

import re
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from dragoman.cli import configuration
from dragoman.cli.failure import Failure
from dragoman.cli.models import settled
from dragoman.cli.terminal import bad, colourful, faint, good, say, strong, table
from dragoman.config.settings import Config
from dragoman.dialects import DIALECTS
from dragoman.dialects.contract import Call, Target
from dragoman.messages import edit, unknown
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.request import Request, decode
from dragoman.routing import Router
from dragoman.routing.route import Route

LIMIT = 64 * 1024 * 1024  # bytes of a request
LONGEST = 2000  # characters of one string that are shown
_GRADES = {"lost": bad, "changed": strong, "ignored": faint}


class Explained(Struct, frozen=True):
    """One request, route and all."""

    route: Route
    target: Target
    call: Call
    notes: tuple[Note, ...]


@click.command("explain")
@configuration.option
@click.option("--model", help="Ask for this model instead of the request's own.")
@click.argument("request_file", metavar="FILE|-", type=click.File("rb"))
def command(file: Path | None, model: str | None, request_file: Any) -> None:
    """Show the upstream call for the Messages request in FILE (- is standard input), and every note."""
    settings, _ = configuration.load(file, configuration.here())
    raw = request_file.read(LIMIT + 1)
    if len(raw) > LIMIT:
        raise Failure("The request is over 64 MB, which the gateway refuses as well.")
    try:
        explained = explain(settings, raw, model)
    except ApiError as error:
        raise Failure(f"The gateway would answer {error.status} {error.type}: {error.message}") from None
    show(explained)


def explain(settings: Config, raw: bytes, model: str | None) -> Explained:
    """Raises ApiError when the gateway would."""
    request = decode(raw)
    if model is not None:
        request = with_model(request, model)
    route = Router(settled(settings)).route(request.model, thinking=request.thinks)
    target = route.targets[0]
    call = DIALECTS[target.dialect].call(request, target)
    strangers = () if call.relays else unknown.fields(raw)
    notes = [*request.notes, *strangers, *route.notes, *call.notes]
    return Explained(route, target, call, tuple(sorted(dict.fromkeys(notes), key=_weight)))


def with_model(request: Request, model: str) -> Request:
    return decode(edit.with_model(bytes(request.raw), model))


def _weight(note: Note) -> tuple[int, str, str]:
    return list(_GRADES).index(note.grade), note.code, note.place


def show(explained: Explained) -> None:
    route, target, call = explained.route, explained.target, explained.call
    say(strong("Route"))
    say(f"  {route.requested}")
    for step in route.steps:
        say(f"  {step}")
    for number, each in enumerate(route.targets):
        say(f"  {'->' if number == 0 else 'else'} {good(f'{each.provider}/{each.model}')}")
    say()
    say(strong("Call"))
    say(f"  {call.method} {call.url}")
    say(f"  headers: {', '.join(header_names(call, target))}")
    say()
    show_body(bytes(call.body))
    say()
    say(strong("Notes"))
    if not explained.notes:
        say("  none: everything is carried over as it is")
    for line in table([_GRADES[note.grade](note.grade), note.code, note.place] for note in explained.notes):
        say(line)


def header_names(call: Call, target: Target) -> list[str]:
    """Names only: a fixed header of a provider may be private."""
    names = ["content-type", *(name.lower() for name, _ in call.headers)]
    if target.auth == "entra":
        names.append("authorization (a token of Entra ID)")
    elif target.auth == "google":
        names.append("authorization (a token of Google)")
    elif target.auth == "caller":
        names.append("x-api-key or authorization (the caller's own)")
    elif target.key is not None and target.auth != "none":
        shown = "authorization" if target.auth == "bearer" else target.auth
        names.append(f"{shown} (from {target.key})")
    return list(dict.fromkeys(names))


def show_body(body: bytes) -> None:
    """The body, indented, long strings cut; in colour where that is welcome."""
    text = msgspec.json.format(msgspec.json.encode(shortened(msgspec.json.decode(body)))).decode()
    if not colourful(sys.stdout):
        say(text)
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only for colours
    from rich.text import Text  # noqa: PLC0415

    marked = Text(text)
    marked.highlight_regex(re.compile(r'"(?:[^"\\]|\\.)*"(?=:)'), "cyan")
    marked.highlight_regex(re.compile(r"\b(?:true|false|null)\b"), "magenta")
    Console(file=sys.stdout).print(marked, soft_wrap=True)


def shortened(value: Any) -> Any:
    """The value with long strings cut, and base64 payloads left out."""
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]}... ({len(value):,} characters)"
    if isinstance(value, dict):
        return {name: shortened(inner) for name, inner in value.items()}
    return [shortened(inner) for inner in value] if isinstance(value, list) else value
