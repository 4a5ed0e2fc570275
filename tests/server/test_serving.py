"""Sockets, the start and the end."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from dragoman.config.settings import Server
from dragoman.server import serving
from dragoman.server.cycle import Cycle
from dragoman.server.serving import bind, loop_factory, serve
from server_fixture import ask, listening


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def broken(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("no start")


def closed(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


@pytest.mark.failure(151)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_both_loopbacks_on_one_port(host: str) -> None:
    sockets = bind(host, 0)
    names = {one.getsockname()[0] for one in sockets}
    ports = {one.getsockname()[1] for one in sockets}
    closed(sockets)
    assert len(ports) == 1
    assert "127.0.0.1" in names
    assert names <= {"127.0.0.1", "::1"}


@pytest.mark.failure(151)
def test_one_loopback_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    real = serving._bound

    def without_v6(host: str, port: int) -> socket.socket:
        if host == "::1":
            raise OSError("no IPv6 here")
        return real(host, port)

    monkeypatch.setattr(serving, "_bound", without_v6)
    sockets = bind("127.0.0.1", 0)
    closed(sockets)
    assert len(sockets) == 1


def test_another_address_is_bound_alone() -> None:
    sockets = bind("127.0.0.2", 0)
    names = [one.getsockname()[0] for one in sockets]
    closed(sockets)
    assert names == ["127.0.0.2"]


@pytest.mark.failure(102)
@pytest.mark.anyio
async def test_events_do_not_wait_for_acknowledgements() -> None:
    """asyncio sets TCP_NODELAY only on sockets whose protocol is named."""
    nodelay = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            peer = transport.get_extra_info("socket")
            nodelay.set_result(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    sockets = bind("127.0.0.2", 0)
    assert sockets[0].proto == socket.IPPROTO_TCP
    server = await asyncio.get_running_loop().create_server(Protocol, sock=sockets[0])
    _, writer = await asyncio.open_connection(*sockets[0].getsockname())
    assert await nodelay
    writer.close()
    server.close()


@pytest.mark.failure(152)
def test_a_port_in_use_is_named_with_the_remedy() -> None:
    sockets = bind("127.0.0.2", 0)
    sockets[0].listen()
    port = sockets[0].getsockname()[1]
    with pytest.raises(OSError, match=rf"Port {port} on 127\.0\.0\.2 is in use.*--port"):
        bind("127.0.0.2", port)
    closed(sockets)


def test_addresses_that_are_not_ours() -> None:
    with pytest.raises(OSError, match=r"Cannot listen on 192\.0\.2\.1"):
        bind("192.0.2.1", 0)
    with pytest.raises(OSError, match=r"server\.host"):
        bind("no such host", 0)


def test_a_port_with_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(OSError, match="special rights"):
        bind("127.0.0.1", 80)


def test_the_loop_of_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "uvloop" in loop_factory().__module__
    monkeypatch.setattr(sys, "platform", "win32")
    assert loop_factory() is asyncio.new_event_loop


@pytest.mark.anyio
async def test_it_serves_and_stops() -> None:
    async with listening(hello) as (port, stop, task):
        assert (await ask(port, "GET", "/")).status == 200
        stop.set()
        await task
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.anyio
async def test_bodies_come_whole_however_they_are_cut() -> None:
    """The first piece is taken over as it is, and what comes before anybody asked is put behind it."""
    begin = asyncio.Event()

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await hello(scope, receive, send)
            return
        await begin.wait()
        body, more = b"", True
        while more:
            message = await receive()
            assert isinstance(message["body"], bytes)
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    async with listening(echo) as (port, _, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for pieces in ([b"abc"], [b"ab", b"c" * 70_000, b"d"], [os.urandom(300_000), b"end"]):
            body = b"".join(pieces)
            begin.clear()
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body))
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.01)
            begin.set()
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(body)) == body
        writer.close()


@pytest.mark.anyio
async def test_a_head_goes_out_with_its_body_or_alone_when_nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = asyncio.Event()
    together: list[int] = []
    flush = Cycle._flush

    def flushed(self: Cycle) -> None:
        together.append(len(self._held))
        flush(self)

    monkeypatch.setattr(Cycle, "_flush", flushed)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await hello(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/wait":
            await go_on.wait()
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async with listening(slow) as (port, _, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path in (b"/wait", b"/"):
            writer.write(b"GET " + path + b" HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            go_on.set()
            assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        writer.write(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
    assert [length > 0 for length in together] == [True, False, False]  # /wait; /; HEAD


@pytest.mark.anyio
async def test_who_is_told_to_stop_at_once_stops_at_once() -> None:
    stop = asyncio.Event()
    stop.set()
    sockets = bind("127.0.0.1", 0)
    await asyncio.wait_for(serve(hello, sockets, stop=stop), 5)
    assert all(one.fileno() == -1 for one in sockets)


@pytest.mark.failure(152, 157)
def test_on_windows_two_processes_cannot_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    sockets = bind("127.0.0.2", 0)
    shared = sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    closed(sockets)
    assert not shared


@pytest.mark.anyio
async def test_a_start_that_fails_is_said(caplog: pytest.LogCaptureFixture) -> None:
    sockets = bind("127.0.0.1", 0)
    with pytest.raises(RuntimeError, match="could not start"):
        await serve(broken, sockets, Server())
    closed(sockets)
    assert "no start" in caplog.text


@pytest.mark.anyio
async def test_a_signal_stops_it_without_killing_the_process() -> None:
    before = signal.getsignal(signal.SIGTERM)
    started = asyncio.Event()
    serving_ = asyncio.ensure_future(serve(hello, bind("127.0.0.1", 0), Server(), started=started.set))
    await asyncio.wait_for(started.wait(), 5)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving_, 5)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.anyio
async def test_cancellation_stops_it_in_order() -> None:
    started = asyncio.Event()
    sockets = bind("127.0.0.1", 0)
    serving_ = asyncio.ensure_future(serve(hello, sockets, Server(), started=started.set))
    await asyncio.wait_for(started.wait(), 5)
    serving_.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving_
    assert all(one.fileno() == -1 for one in sockets)


def test_it_serves_in_any_thread() -> None:
    outcome: list[int] = []

    async def main() -> None:
        async with listening(hello) as (port, _, _):
            outcome.append((await ask(port, "GET", "/")).status)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join(10)
    assert outcome == [200]


@pytest.mark.failure(147)
def test_importing_the_server_stays_light() -> None:
    code = "import sys, dragoman.server.serving, dragoman.server.pages; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"rich", "pydantic", "httpx2", "requests", "dragoman.demo"} & set(loaded)


@pytest.mark.anyio
@pytest.mark.parametrize("pause", [0, 1, 2, 3])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_caller_who_leaves_while_the_answer_is_written(pause: int, whole: bool) -> None:
    """uvloop raises for a transport that is closed, and uvicorn hears of that a moment later."""
    failures: list[Any] = []
    over = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await hello(scope, receive, send)
            return
        try:
            while (await receive())["type"] != "http.disconnect":
                break
            for _ in range(pause):
                await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            if whole:
                await send({"type": "http.response.body", "body": b"hi"})
            else:
                await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001 what the test is about
            failures.append(error)
        finally:
            over.set()

    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with listening(slow) as (port, _, _):
        for _ in range(20):
            over.clear()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            writer.write_eof()
            async with asyncio.timeout(10):
                await over.wait()
                await reader.read()
            writer.close()
    assert failures == []
