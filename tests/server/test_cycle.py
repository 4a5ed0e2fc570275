"""One request and its answer on a real connection: what an ASGI application may send, and what becomes of it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dragoman.server.cycle import Cycle, status_line
from server_fixture import ask, connect, listening, read_reply

pytestmark = pytest.mark.anyio

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body"}

Send = Callable[[dict[str, Any]], Awaitable[None]]


def sending(*messages: dict[str, Any], then: Callable[[Any], Awaitable[None]] | None = None) -> Any:
    """An application that sends these."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        for message in messages:
            await send(message)
        if then is not None:
            await then(send)

    return application


async def said(application: Any, raw: bytes = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") -> bytes:
    """What the server says until it closes the connection; without an end it says no more than this."""
    async with listening(application) as (port, _, _):
        reader, writer = await connect(port)
        writer.write(raw)
        async with asyncio.timeout(5):
            found = await reader.read()
        writer.close()
        return found


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (END,),
        ({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b\r\nx-c: d")]},),
        ({"type": "http.response.start", "status": 200, "headers": [(b"x a", b"b")]},),
    ],
    ids=["nothing", "no head", "two headers in one", "no name"],
)
async def test_who_does_not_answer_leaves_nobody_waiting(
    messages: tuple[dict[str, Any], ...], caplog: pytest.LogCaptureFixture
) -> None:
    found = await said(sending(*messages))
    assert found.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"connection: close\r\n" in found
    assert b"x-c" not in found
    assert "The application" in caplog.text


@pytest.mark.parametrize(
    "messages",
    [
        (START,),
        (START, END | {"body": b"a", "more_body": True}),
        (START, START),
        (START | {"headers": [(b"content-length", b"3")]}, END | {"body": b"a"}),
        (START | {"headers": [(b"content-length", b"3")]}, END | {"body": b"abcd"}),
    ],
    ids=["no body", "no end", "two heads", "too short", "too long"],
)
async def test_a_part_is_not_taken_for_the_whole(messages: tuple[dict[str, Any], ...]) -> None:
    found = await said(sending(*messages))
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not body.endswith(b"0\r\n\r\n")
    assert b"abcd" not in body


async def test_nothing_is_sent_behind_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(sending(START, END, END)) as (port, _, _):
        assert (await ask(port, "GET", "/")).body == b""
    assert "http.response.body cannot be sent now" in caplog.text


async def test_an_application_may_close_the_connection() -> None:
    found = await said(sending(START | {"headers": [(b"Connection", b"Close")]}, END))
    assert found.lower().count(b"connection: close") == 1
    assert found.endswith(b"\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(status: int) -> None:
    async with listening(sending(START | {"status": status}, END)) as (port, _, _):
        reader, writer = await connect(port)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert b"transfer-encoding" not in head
        writer.close()


async def test_the_head_alone_for_who_asks_for_no_more() -> None:
    application = sending(START | {"headers": [(b"content-length", b"3")]}, END | {"body": b"abc"})
    async with listening(application) as (port, _, _):
        reader, writer = await connect(port)
        for _ in range(2):
            writer.write(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")
            reply = await read_reply(reader, "HEAD")
            assert reply.headers["content-length"] == "3"
        writer.close()


async def test_answers_are_dated() -> None:
    async with listening(sending(START, END)) as (port, _, _):
        reply = await ask(port, "GET", "/")
        assert reply.headers["date"].endswith(" GMT")


def test_a_status_that_has_no_name() -> None:
    assert status_line(200) == b"HTTP/1.1 200 OK\r\n"
    assert status_line(529) == b"HTTP/1.1 529 \r\n"


@pytest.mark.parametrize("way", ["answer", "stream"])
async def test_the_plain_calls(way: str) -> None:
    """And after the caller has left they do nothing."""
    over = asyncio.Event()
    left = asyncio.Event()

    async def plainly(cycle: Any) -> None:
        assert type(cycle) is Cycle
        assert cycle.whole() == b""
        if cycle.scope["path"] == "/left":
            with contextlib.suppress(asyncio.CancelledError):
                cycle.watch()
                left.set()
                await asyncio.Event().wait()
            assert cycle.gone
            assert cycle.whole() is None
        if way == "answer":
            cycle.answer(200, b"x-a: b\r\n", b"hello")
        else:
            cycle.open(b"x-a: b\r\n")
            assert cycle.write(b"hel") is None
            assert cycle.write(b"lo") is None
            cycle.end()
        over.set()

    async with listening(sending(then=plainly)) as (port, _, _):
        for more in ({}, {"connection": "close"}):
            reply = await ask(port, "GET", "/", headers=more)
            assert (reply.headers["x-a"], reply.body) == ("b", b"hello")
            assert reply.headers.get("connection") == more.get("connection")
        over.clear()
        _, writer = await connect(port)
        writer.write(b"GET /left HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(5):
            await left.wait()
            writer.transport.abort()
            await over.wait()


async def test_who_left_before_somebody_watched() -> None:
    cancelled = asyncio.Event()
    ready = asyncio.Event()

    async def late(cycle: Any) -> None:
        ready.set()
        while (await cycle.receive())["type"] != "http.disconnect":
            continue
        cycle.watch()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with listening(sending(then=late)) as (port, _, _):
        _, writer = await connect(port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(5):
            await ready.wait()
            writer.transport.abort()
            await cancelled.wait()


async def test_a_large_answer_is_whole() -> None:
    async def large(cycle: Any) -> None:
        cycle.answer(200, b"", b"x" * 1_000_000)

    async with listening(sending(then=large)) as (port, _, _):
        assert (await ask(port, "GET", "/")).body == b"x" * 1_000_000


async def test_who_waits_for_a_slow_reader_is_told_when_there_is_room() -> None:
    waited: list[bool] = []

    async def much(cycle: Any) -> None:
        cycle.open(b"")
        for _ in range(300):
            room = cycle.write(b"x" * 10_000)
            waited.append(room is not None)
            if room is not None:
                await room
        cycle.end()

    async with listening(sending(then=much)) as (port, _, _):
        reply = await ask(port, "GET", "/")
        assert len(reply.body) == 3_000_000
    assert len(waited) == 300
    assert any(waited)


@pytest.mark.parametrize("way", ["messages", "plain calls"])
async def test_callers_of_http_1_0_are_sent_no_chunks(way: str) -> None:
    """They know none: the answer ends with the connection. RFC 9112, 6.1"""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await sending()(scope, receive, send)
        elif way == "messages":
            for message in (START, {**END, "body": b"one", "more_body": True}, {**END, "body": b"two"}):
                await send(message)
        else:
            send.open(b"")
            send.write(b"one")
            send.write(b"two")
            send.end()

    found = await said(application, b"GET / HTTP/1.0\r\n\r\n")
    head, _, body = found.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == b"onetwo"
