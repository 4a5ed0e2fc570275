"""`dragoman replay`: runs a recorded request through this version, and shows what is no longer the same."""

import asyncio
import contextlib
import difflib
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import click
import msgspec

from dragoman import __version__
from dragoman.cli.failure import FAILED, USAGE, Failure
from dragoman.cli.player import Player
from dragoman.cli.record import MESSAGES, watched
from dragoman.cli.terminal import bad, faint, good, say, strong
from dragoman.config.settings import Secrets
from dragoman.gateway.collaborators import Surroundings
from dragoman.messages.sse import PING
from dragoman.server.paths import canonical
from dragoman.telemetry import bundle as form
from dragoman.telemetry.blackout import is_credential
from dragoman.telemetry.bundle import Bundle, Call, Reply, Rows, bytes_of
from dragoman.telemetry.recorder import Message, Recorder

LARGEST = 128 * 1024 * 1024  # bytes of a file: four bodies, as JSON or in base64
LONGEST = 200  # lines of one difference that are shown
_OWN = ("x-dragoman-request-id", "request-id")  # the gateway's own id is in the first of these that is there
_FRAMING = ("host", "content-length", "transfer-encoding")  # of a request; they are made again
_ESTIMATE = re.compile(rb'("input_tokens":)[0-9]+')

Difference = tuple[str, list[str]]


@click.command("replay")
@click.argument("bundle_file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def command(bundle_file: Path) -> None:
    """Run the request in FILE, a bundle of `dragoman record`, and compare. No traffic, no key. Exit code 1: not the
    same."""
    if bundle_file.stat().st_size > LARGEST:
        raise Failure(f"{bundle_file} is over {LARGEST // 1024 // 1024} MB, and no bundle is.", USAGE)
    try:
        bundle = form.decode(bundle_file.read_bytes())
        if bundle.request.method != "POST" or canonical(bundle.request.path) != MESSAGES:
            raise ValueError("It is no request to /v1/messages.")  # others could reach a real upstream
        if bundle.gaps:
            raise ValueError("It was not recorded whole: " + "; ".join(bundle.gaps) + ".")
        differences = asyncio.run(replay(bundle))
    except ValueError as error:
        raise Failure(f"{bundle_file} cannot be replayed. {error}", USAGE) from None
    show(bundle, differences)
    if differences:
        raise SystemExit(FAILED)


def show(bundle: Bundle, differences: list[Difference]) -> None:
    say(faint(f"Recorded {bundle.recorded} by dragoman {bundle.dragoman}, replayed by {__version__}."))
    for title, lines in differences:
        say()
        say(strong(title))
        for line in lines[:LONGEST]:
            say({"-": bad, "+": good}.get(line[:1], str)(line))
        if len(lines) > LONGEST:
            say(f"... and {len(lines) - LONGEST} lines more")
    if not differences:
        count = len(bundle.calls)
        say(f"The same: {count} upstream call{'' if count == 1 else 's'}, and what the client was told.")


async def replay(bundle: Bundle) -> list[Difference]:
    """What is not the same, with a title each. Raises ValueError for what cannot be played."""
    player = Player(bundle)
    now = await _played(bundle, player)
    found: list[Difference] = [(player.further, [])] if player.further else []
    for number in range(max(len(bundle.calls), len(now.calls))):
        before, after = (each.calls[number] if number < len(each.calls) else None for each in (bundle, now))
        found += _differing(f"Upstream call {number + 1} is not the same.", _call(before), _call(after))
    told, tells = (_told(reply, estimate=not bundle.keys_inside) for reply in (bundle.reply, now.reply))
    if player.over.is_set():  # the caller left, or this gateway went further: what both told must be the same
        known = min(len(told), len(tells))
        if not (bundle.reply.status and now.reply.status):
            return found
    else:
        known = max(len(told), len(tells))
        found += _differing("Notes or repairs are not the same.", _account(bundle), _account(now))
    replies = _reply(bundle.reply, told[:known]), _reply(now.reply, tells[:known])
    return found + _differing("The client is told something else.", *replies)


async def _played(bundle: Bundle, player: Player) -> Bundle:
    """What a recorder writes about the recorded request in this version."""
    from dragoman.server.application import build  # noqa: PLC0415 - slow to import, and not needed to refuse a file

    found: list[Bundle] = []
    failed: list[str] = []
    recorder = Recorder(found.append, covers=lambda _: True, tell=failed.append)

    def change(around: Surroundings) -> Surroundings:
        return watched(recorder, player.change(around))

    gateway = build(player.config, Secrets({}), write=lambda _: None, change=change)
    body = bytes_of(bundle.request.body)
    client = _Client(body, player)
    await recorder.application(gateway)(_scope(bundle, body), client.receive, client.send)
    if not found:
        raise ValueError(failed[0] if failed else "This version of dragoman refuses it at the door.")
    return found[0]


class _Client:
    """The client's side: it sends the body, and leaves when there is nothing more to play."""

    def __init__(self, body: bytes, player: Player) -> None:
        self._waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._player = player

    async def receive(self) -> Message:
        if self._waiting:
            return self._waiting.pop()
        await self._player.over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        del message  # the recorder has it
        self._player.begun.set()


def _scope(bundle: Bundle, body: bytes) -> MutableMapping[str, Any]:
    request = bundle.request
    rows = [row for row in request.headers if row[0].lower() not in _FRAMING]
    rows += [("host", "127.0.0.1"), ("content-length", str(len(body)))]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": request.method,
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query.encode("latin-1", "replace"),
        "headers": [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in rows],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
    }


def _differing(title: str, before: list[str], after: list[str]) -> list[Difference]:
    if before == after:
        return []
    return [(title, list(difflib.unified_diff(before, after, "recorded", "now", lineterm="", n=2)))]


def _call(call: Call | None) -> list[str]:
    if call is None:
        return []
    return [f"{call.method} {call.url}", *_headers(call.headers), "", *_lines(bytes_of(call.body))]


def _told(reply: Reply, *, estimate: bool) -> bytes:
    """The body without pings, which tell of time only, and without the request's id, which is new each time.

    `estimate`: with the number of tokens that went in.
    """
    headers = dict(reply.headers)
    body = bytes_of(reply.body).replace(PING, b"")
    body = body if estimate else _ESTIMATE.sub(rb"\1(estimate)", body)
    own = next((headers[name] for name in _OWN if name in headers), "")
    return body.replace(own.encode(), b"(id)") if own else body


def _reply(reply: Reply, body: bytes) -> list[str]:
    own = next((name for name in _OWN if name in dict(reply.headers)), "")
    rows = [row for row in reply.headers if row[0] not in (own, "content-length")]
    return [f"status {reply.status}", *_headers(rows), "", *_lines(body)]


def _account(bundle: Bundle) -> list[str]:
    outcome = bundle.outcome
    notes = [f"{note.grade} {note.code} {note.place}" for note in outcome.notes]
    return [*notes, *(f"repair {code}" for code in outcome.repairs)]


def _headers(rows: Rows) -> Iterator[str]:
    """What signs a call is not in a bundle."""
    return (f"{name}: {value}" for name, value in rows if not is_credential(name))


def _lines(body: bytes) -> list[str]:
    lines = [f"{len(body)} bytes"]  # so that a difference in white space is one
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):  # a stream, or what is no JSON at all
        body = msgspec.json.format(body, indent=1)
    return [*lines, *body.decode("utf-8", "backslashreplace").split("\n")]
