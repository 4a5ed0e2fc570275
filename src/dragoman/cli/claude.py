"""`dragoman claude`: Claude Code against the gateway, by variables of that one process. No file of the user is touched.

https://code.claude.com/docs/en/llm-gateway
"""

import http.client
import os
import re
import shlex
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

from dragoman.cli import claude_settings, configuration, conflicts, variables
from dragoman.cli.configuration import Place
from dragoman.cli.failure import Failure
from dragoman.cli.terminal import say
from dragoman.config import kept_token
from dragoman.config.settings import Config
from dragoman.server.door import is_loopback

START_LIMIT = 20.0  # seconds for a fresh gateway to listen
PROBE_LIMIT = 2.0  # seconds for a running one to answer
_LISTENS = re.compile(r"^dragoman \S+ listens on (http://\S+)", re.MULTILINE)


@click.command("claude", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@configuration.option
@click.option("--binary", type=click.Path(path_type=Path), help="Claude Code's program. Default: `claude` on the PATH.")
@click.option("--print-env", is_flag=True, help="Print the variables as lines for a shell, and start nothing.")
@click.option(
    "--settings", "settings_file", type=click.Path(path_type=Path), help="Put them into this settings.json instead."
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    file: Path | None, binary: Path | None, print_env: bool, settings_file: Path | None, arguments: tuple[str, ...]
) -> None:
    """Start Claude Code against a running gateway, or a fresh one. ARGUMENTS go to Claude Code."""
    place = configuration.here()
    if print_env or settings_file is not None:
        if arguments or (print_env and settings_file is not None):
            raise click.UsageError("--print-env and --settings FILE stand alone.")
        tell(configuration.load(file, place)[0], place, settings_file)
        return
    program = find(binary, place)
    settings, _ = configuration.load(file, place)
    warn(place, callers=variables.asks_callers(settings))
    with gateway(settings, file, place) as (url, token):
        code = run([program, *arguments], variables.environment(place.environ, settings, url, token))
    sys.exit(code)


def tell(settings: Config, place: Place, file: Path | None) -> None:
    """The variables for a Claude Code that somebody else starts: into a settings file, or as lines for a shell."""
    url = own_url(settings)
    token = own_token(settings, place)
    there = claude_settings.read(file).get("env", {}) if file is not None else {}
    wanted = variables.told(settings, url, token, place.environ, there.get(variables.HEADERS))
    secret = token != variables.ANY_TOKEN
    if file is not None:
        claude_settings.write(file, wanted, private=secret)
    else:
        callers = variables.asks_callers(settings)
        for name in conflicts.ELSEWHERE:
            if place.environ.get(name) and not (callers and name in conflicts.CREDENTIALS):
                say(f"unset {name}")
        for name, value in wanted.items():
            say(f"export {name}={shlex.quote(value)}")
    if secret:
        say("Note: this holds the gateway's token. Keep it out of version control. No other key is in it.", error=True)
    if not answers(url):
        say(f"Note: no gateway runs at {url}. Start it: dragoman serve", error=True)


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
        yield url, own_token(settings, place)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Failure(f"The gateway's log cannot be written to {folder}: {error.strerror}.") from None
    with fresh(folder / f"claude-{os.getpid()}.log", file) as found:
        yield found, settings.server.auth_token or variables.ANY_TOKEN


def own_token(settings: Config, place: Place) -> str:
    """The token of the gateway of this configuration; any word when it asks for none."""
    kept = None if is_loopback(settings.server.host) else kept_token(configuration.state_folder(place))
    return settings.server.auth_token or kept or variables.ANY_TOKEN


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
