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
from typing import NoReturn

import click
from msgspec import structs

from dragoman import config
from dragoman.cli import banner, configuration, lacks, processes, reloading
from dragoman.cli.failure import LISTEN, RUNNING, Failure
from dragoman.cli.models import rows
from dragoman.cli.reading import Around, Reading, Service
from dragoman.cli.terminal import say
from dragoman.config.settings import Config
from dragoman.routing import Router
from dragoman.server import serving

host_option = click.option(
    "--host", help="Address to listen on. Off loopback a token is required, and made when there is none."
)
port_option = click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one. Default: 8082."
)
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Log more.")


@click.command("serve")
@configuration.option
@host_option
@port_option
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that serve. Default: 1.")
@click.option("--reload", is_flag=True, help="Take changes of the configuration file and of .env over at once.")
@verbose_option
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
    reading = Reading(place=configuration.here(), file=file, host=host, port=port, workers=workers, verbose=verbose)
    start(reading, reload=reload, with_parent=with_parent)


def start(
    reading: Reading, around: Around | None = None, *, reload: bool = False, with_parent: bool = False
) -> NoReturn:
    """Serve until the end, and leave. Raises Failure."""
    files = reading.files() if reload else None  # before they are read: a change meanwhile must not be missed
    found, keys, fresh_token = reading.first()
    if found.server.workers > 1 and not hasattr(os, "fork"):
        raise Failure("Several workers need fork, which this system does not have. Use --workers 1.")
    folder = configuration.state_folder(reading.place)
    sockets = listen(found.server.host, found.server.port, folder)
    url = address(sockets)
    service = with_demo(Service(found, keys, reading, sockets, [], files=files, around=around or Around()))
    # Until the server takes the signals over: the one ends this process in the same clean way, the other waits.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    reloading.hold()
    mark = remember(folder, sockets[0].getsockname()[1])
    try:
        announce(service.config, url, fresh_token)
        if with_parent:
            end_with_parent()
        code = run(service)
    finally:
        if mark is not None:
            mark.unlink(missing_ok=True)
    sys.exit(code)


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
    url = address(sockets) + "/v1"
    return structs.replace(service, config=config.with_demo(service.config, url), demo=sockets, demo_url=url)


def announce(found: Config, url: str, token: str | None) -> None:
    """Tell people everything and programs one line. Standard output stays with the log."""
    if found.server.open:
        for line in banner.open_lines(url):
            say(line, error=True)
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
    return processes.Supervisor(
        parts(service), Succeeding(service), service.files, [*service.sockets, *service.demo]
    ).run()


class Succeeding:
    """What the processes do from now on, each time it is asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __call__(self) -> list[Callable[[], None]]:
        """Raises Failure when the configuration is wrong."""
        self._service = self._service.again(tell=True)
        return parts(self._service)


def parts(service: Service) -> list[Callable[[], None]]:
    """What each of several processes does: the simulated upstream if there is one, and those that serve."""
    works = [partial(work, structs.replace(service, demo=[], files=None))] * service.config.server.workers
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
    if not service.demo:
        await serve_gateway(service)
        return
    from dragoman.demo.application import build  # noqa: PLC0415 - only without a provider

    settings = service.config.server
    up, over = asyncio.Event(), asyncio.Event()
    simulated = asyncio.ensure_future(serving.serve(build(), service.demo, settings, started=up.set, stop=over))
    simulated.add_done_callback(lambda _: up.set())
    # Both take over the signals; the one that starts last gets them, and must be the gateway.
    await up.wait()
    try:
        if not simulated.done():
            await serve_gateway(service)
    finally:
        over.set()
        await simulated


async def serve_gateway(service: Service) -> None:
    """The gateway, with one configuration after another."""
    # Imported by the process that serves.
    from dragoman.server.application import build  # noqa: PLC0415
    from dragoman.server.succession import Succession  # noqa: PLC0415
    from dragoman.telemetry import outlet  # noqa: PLC0415

    out = outlet.standard()
    around = service.around
    first = build(service.config, service.secrets, out=out, change=around.change(service.config, service.secrets))
    succession = Succession(first, service.config.server, partial(asyncio.to_thread, out.close))
    alone = service.config.server.workers == 1  # else the parent says what there is to say

    async def take_over() -> None:
        changed = await asyncio.to_thread(service.again, tell=alone)
        application = build(
            changed.config,
            changed.secrets,
            out=out,
            admission=first.admission,
            change=around.change(changed.config, changed.secrets),
        )
        succession.replace(application, changed.config.server)
        if alone:
            say(reloading.TAKEN, error=True)

    wanted = asyncio.Event()
    loop = asyncio.get_running_loop()
    current = asyncio.ensure_future(reloading.keep_current(wanted, service.files, take_over))
    reloading.Hangup(lambda: loop.call_soon_threadsafe(wanted.set), alone=alone).take()
    try:
        outside = around.outside(succession)
        await serving.serve(outside, service.sockets, service.config.server, current=lambda: succession.settings)
    finally:
        reloading.hold()
        current.cancel()
