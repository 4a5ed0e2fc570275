"""`dragoman claude`: Claude Code against the gateway, by variables of that one process. No file of the user is touched.

Variables: https://code.claude.com/docs/en/llm-gateway
"""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click

from dragoman.cli import configuration, conflicts
from dragoman.cli.configuration import Place
from dragoman.cli.failure import Failure
from dragoman.cli.terminal import say
from dragoman.config import kept_token
from dragoman.config.settings import CALLER, Config
from dragoman.routing import Router
from dragoman.server.door import is_loopback

ANY_TOKEN = "dragoman"  # noqa: S105 - no secret: an open gateway takes every word, and clients want to send one
START_LIMIT = 20.0  # seconds for a fresh gateway to listen
PROBE_LIMIT = 2.0  # seconds for a running one to answer
_LISTENS = re.compile(r"^dragoman \S+ listens on (http://\S+)", re.MULTILINE)


@click.command("claude", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@configuration.option
@click.option("--binary", type=click.Path(path_type=Path), help="Claude Code's program. Default: `claude` on the PATH.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(file: Path | None, binary: Path | None, arguments: tuple[str, ...]) -> None:
    """Start Claude Code against a running gateway, or a fresh one. ARGUMENTS go to Claude Code."""
    place = configuration.here()
    program = find(binary, place)
    settings, _ = configuration.load(file, place)
    callers = any(provider.template.auth == CALLER for provider in settings.providers.values())
    claude = Router(settings).of_claude() is not None
    warn(place, callers=callers)
    with gateway(settings, file, place) as (url, token):
        code = run([program, *arguments], environment(place.environ, url, token, callers=callers, claude=claude))
    sys.exit(code)


def find(binary: Path | None, place: Place) -> str:
    """The path of Claude Code. Raises Failure that says how to get it."""
    found = shutil.which(str(binary) if binary else "claude", path=place.environ.get("PATH"))
    if found is None:
        what = f"{binary} is not a program." if binary else "Claude Code is not on the PATH."
        raise Failure(
            f"{what} Install it (npm install -g @anthropic-ai/claude-code) or name it: dragoman claude --binary FILE"
        )
    return found


def warn(place: Place, *, callers: bool = False) -> None:
    """Say what is taken out of the environment, and which settings files win over what is put in."""
    for name in conflicts.ELSEWHERE:
        if place.environ.get(name) and not (callers and name in conflicts.CREDENTIALS):
            say(f"Note: {name} is set; Claude Code is started without it.", error=True)
    for conflict in conflicts.in_settings(conflicts.settings_files(place.environ, place.home, place.folder)):
        say(f"Note: {conflict.where}: {conflict.name} {conflict.advice}.", error=True)


@contextmanager
def gateway(settings: Config, file: Path | None, place: Place) -> Iterator[tuple[str, str]]:
    """URL and token of the gateway on the configured port, or of one that lives as long as the `with` block."""
    url = own_url(settings)
    folder = configuration.state_folder(place)
    if answers(url):
        kept = None if is_loopback(settings.server.host) else kept_token(folder)
        yield url, settings.server.auth_token or kept or ANY_TOKEN
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Failure(f"The gateway's log cannot be written to {folder}: {error.strerror}.") from None
    with fresh(folder / f"claude-{os.getpid()}.log", file) as found:
        yield found, settings.server.auth_token or ANY_TOKEN


def own_url(settings: Config) -> str:
    """Where the gateway of this configuration listens, as seen from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}.get(  # noqa: S104 - looked up, not bound
        settings.server.host, settings.server.host
    )
    return f"http://[{host}]:{settings.server.port}" if ":" in host else f"http://{host}:{settings.server.port}"


def answers(url: str) -> bool:
    """Whether a dragoman listens at `url`."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.port:
        return False
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PROBE_LIMIT)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        body = answer.read(4096)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return answer.status == http.HTTPStatus.OK and b"dragoman" in body


@contextmanager
def fresh(log: Path, file: Path | None) -> Iterator[str]:
    """A gateway of our own on a free port of this machine; yields its URL. Its output goes to `log`."""
    command_line = [sys.executable, "-m", "dragoman", "serve", "--host", "127.0.0.1", "--port", "0", "--with-parent"]
    command_line += ["--config", str(file)] if file else []
    with open(log, "wb", opener=_private) as output:
        # A session of its own: Ctrl-C is for Claude Code. The pipe tells it when this process is gone.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command_line, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield _wait(process, log)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    log.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _wait(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end and process.poll() is None:
        found = _LISTENS.search(log.read_text("utf-8", "replace"))
        if found:
            return found[1]
        time.sleep(0.02)
    said = log.read_text("utf-8", "replace").strip()
    raise Failure(f"The gateway did not start:\n{said[-2000:]}")


def environment(
    environ: Mapping[str, str], url: str, token: str, *, callers: bool = False, claude: bool = False
) -> dict[str, str]:
    """The child's environment: everything that the user has, and the way to the gateway.

    `callers`: an upstream is asked with the user's own key or login, so those stay, and the gateway's token goes in a
    header of its own. `claude`: an upstream is Claude itself.
    """
    left_out = frozenset(conflicts.ELSEWHERE) - frozenset(conflicts.CREDENTIALS if callers else ())
    child = {name: value for name, value in environ.items() if name not in left_out}
    child["ANTHROPIC_BASE_URL"] = url
    if callers:
        if child.get("ANTHROPIC_AUTH_TOKEN") in (token, ANY_TOKEN):
            del child["ANTHROPIC_AUTH_TOKEN"]
        if token != ANY_TOKEN:
            further = (child.get("ANTHROPIC_CUSTOM_HEADERS"), f"x-dragoman-token: {token}")
            child["ANTHROPIC_CUSTOM_HEADERS"] = "\n".join(filter(None, further))
    else:
        child["ANTHROPIC_AUTH_TOKEN"] = token
    # The picker shows what the gateway lists.
    child.setdefault("CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY", "1")
    if not claude:  # the attribution block would only be taken out again
        child.setdefault("CLAUDE_CODE_ATTRIBUTION_HEADER", "0")
    for name in ("NO_PROXY", "no_proxy"):
        spared = [part for part in child.get(name, "").split(",") if part]
        if spared != ["*"]:
            child[name] = ",".join(dict.fromkeys([*spared, "127.0.0.1", "localhost", "::1"]))
    return child


def run(command_line: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run to the end and return the exit code. Ctrl-C belongs to the child."""
    # A handler, not SIG_IGN: a child would inherit that.
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process = subprocess.Popen(  # noqa: S603 - the program and the arguments that the user named
            list(command_line), env=dict(environ), restore_signals=True
        )
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, previous)
    return 128 - code if code < 0 else code
