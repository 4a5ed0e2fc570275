"""`dragoman serve`: validates, binds, and starts the processes that serve."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from msgspec import Struct, structs

from dragoman import config
from dragoman.cli import banner, configuration, lacks, processes
from dragoman.cli.failure import LISTEN, RUNNING, Failure
from dragoman.cli.models import rows
from dragoman.cli.reloading import Reloader
from dragoman.cli.terminal import say
from dragoman.config.settings import Config, Secrets
from dragoman.routing import Router
from dragoman.server import serving
from dragoman.server.door import is_loopback


class Service(Struct, frozen=True):
    """Everything that a serving process needs, made before it starts."""

    config: Config
    secrets: Secrets
    sockets: list[socket.socket]
    demo: list[socket.socket]  # of the simulated upstream; empty when real ones serve


@click.command("serve")
@configuration.option
@click.option("--host", help="Address to listen on. Off loopback a token is required, and made when there is none.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one. Default: 8082.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that serve. Default: 1.")
@click.option("--reload", is_flag=True, help="Take changes of the configuration file and of .env over at once.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input is closed.")
def command(  # noqa: PLR0917 - click calls it with keywords
    file: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    reload: bool,
    verbose: bool,
    with_parent: bool,
) -> None:
    """Start the gateway."""
    place = configuration.here()

    def configured() -> tuple[Config, Secrets, str | None]:
        found, keys = configuration.load(file, place)
        found = configuration.with_server(found, host=host, port=port, workers=workers)
        if verbose:
            found = structs.replace(found, logs=structs.replace(found.logs, level="debug"))
        found, fresh_token = with_token(found, place)
        return found, keys, fresh_token

    found, keys, fresh_token = configured()
    if (found.server.workers > 1 or reload) and not hasattr(os, "fork"):
        raise Failure("Several workers and --reload need fork, which this system does not have. Use --workers 1.")
    folder = configuration.state_folder(place)
    sockets = listen(found.server.host, found.server.port, folder)
    url = address(sockets)
    service = with_demo(Service(found, keys, sockets, []))
    # Until the server takes the signal over, it ends this process in the same clean way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    mark = remember(folder, sockets[0].getsockname()[1])

    def again() -> list[Callable[[], None]]:
        """The same sockets with what is configured now."""
        changed, secrets, _ = configured()
        if (changed.server.host, changed.server.port) != (found.server.host, found.server.port):
            say("Another address needs another start; the rest is taken over.", error=True)
        return parts(with_demo(Service(changed, secrets, sockets, [])))

    try:
        announce(service.config, url, fresh_token)
        if with_parent:
            end_with_parent()
        code = Reloader(parts(service), again, configuration.files(file, place)).run() if reload else run(service)
    finally:
        if mark is not None:
            mark.unlink(missing_ok=True)
    sys.exit(code)


def with_token(found: Config, place: configuration.Place) -> tuple[Config, str | None]:
    """Off loopback a token is required, and one that everybody knows is none. Returns it when it was made just now."""
    if is_loopback(found.server.host) or found.server.auth_token not in ("", config.KNOWN_TOKEN):
        return found, None
    value, fresh = configuration.token(place)
    return configuration.with_server(found, auth_token=value), value if fresh else None


def listen(host: str, port: int, folder: Path) -> list[socket.socket]:
    """Bind and listen, so that callers can connect before the processes are up. Raises Failure."""
    try:
        sockets = serving.bind(host, port)
        for each in sockets:
            each.listen(serving.BACKLOG)
    except OSError as error:
        process = processes.remembered(folder).get(port)
        if process is not None:
            raise Failure(
                f"dragoman already runs on port {port} (process {process}). To end it: dragoman stop --port {port}",
                RUNNING,
            ) from None
        raise Failure(f"{error.strerror or error} To find who has it: lsof -i :{port}", LISTEN) from None
    return sockets


def address(sockets: list[socket.socket]) -> str:
    """The URL that people on this machine can use."""
    host, port = sockets[0].getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked up, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def with_demo(service: Service) -> Service:
    """With no provider configured: a socket for the simulated one, and the configuration that leads there."""
    if not service.config.demo:
        return service
    sockets = serving.bind("127.0.0.1", 0)[:1]
    sockets[0].listen(serving.BACKLOG)
    return structs.replace(service, config=config.with_demo(service.config, address(sockets) + "/v1"), demo=sockets)


def announce(found: Config, url: str, token: str | None) -> None:
    """Tell people everything and programs one line. Standard output stays with the log."""
    lacking = lacks.lines(found)
    if sys.stderr.isatty():
        for line in banner.full(url, found, [row[:3] for row in rows(Router(found).table())], token, lacking):
            say(line, error=True)
        return
    say(banner.short(url, found), error=True)
    for line in lacking:
        say(f"Note: {line} (docs/compatibility.md)", error=True)
    if token:
        say(f"A token was made and kept for the next start: {token}", error=True)


def remember(folder: Path, port: int) -> Path | None:
    """For `dragoman stop`. A home that cannot be written is no reason not to serve."""
    try:
        return processes.remember(folder, port)
    except OSError:
        return None


def end_with_parent() -> None:
    """SIGTERM for this process when whoever started it is gone: the other end of standard input closes."""

    def wait() -> None:
        while sys.stdin.buffer.read(4096):
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def run(service: Service) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    if service.config.server.workers == 1:
        work(service)
        return 0
    return processes.Supervisor(parts(service)).run()


def parts(service: Service) -> list[Callable[[], None]]:
    """What each process does."""
    count = service.config.server.workers
    if count == 1:
        return [partial(work, service)]
    works = [partial(work, structs.replace(service, demo=[]))] * count
    return [partial(work_demo, service), *works] if service.demo else [*works]


def work(service: Service) -> None:
    """What one serving process does. Raises Failure when it cannot start."""
    tasks: list[asyncio.Task[None] | None] = []

    def leave(*_: object) -> None:
        """Before and after the server has the signal: an exception in here would tear the event loop apart."""
        if tasks and tasks[0] is not None:
            tasks[0].get_loop().call_soon_threadsafe(tasks[0].cancel)
        tasks.append(None)

    async def begin() -> None:
        if not tasks:
            tasks.append(asyncio.current_task())
            await serve(service)

    signal.signal(signal.SIGTERM, leave)
    try:
        with asyncio.Runner(loop_factory=serving.loop_factory()) as runner, contextlib.suppress(asyncio.CancelledError):
            runner.run(begin())
    except RuntimeError as error:
        raise Failure(str(error)) from error


def work_demo(service: Service) -> None:
    """What the process of the simulated upstream does, when there are several that serve."""
    from dragoman.demo.application import build  # noqa: PLC0415 - only without a provider

    with asyncio.Runner(loop_factory=serving.loop_factory()) as runner:
        runner.run(serving.serve(build(), service.demo, service.config.server))


async def serve(service: Service) -> None:
    """The gateway, and beside it the simulated upstream if there is one, which ends after the gateway."""
    from dragoman.server.application import build  # noqa: PLC0415 - imported by the process that serves

    settings = service.config.server
    if not service.demo:
        await serving.serve(build(service.config, service.secrets), service.sockets, settings)
        return
    from dragoman.demo.application import build as build_demo  # noqa: PLC0415 - only without a provider

    up, over = asyncio.Event(), asyncio.Event()
    simulated = asyncio.ensure_future(serving.serve(build_demo(), service.demo, settings, started=up.set, stop=over))
    simulated.add_done_callback(lambda _: up.set())
    # Both take over the signals; the one that starts last gets them, and must be the gateway.
    await up.wait()
    try:
        if not simulated.done():
            await serving.serve(build(service.config, service.secrets), service.sockets, settings)
    finally:
        over.set()
        await simulated
