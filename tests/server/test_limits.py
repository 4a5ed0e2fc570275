"""What a connection may do to the server: raw bytes on a real socket, against every limit and every odd shape."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from dragoman.config.settings import Config, Server
from dragoman.server import protocol
from freed import all_freed
from server_fixture import BODY, House, ask, connect, connections, head, listening, read_reply, running, until

pytestmark = pytest.mark.anyio

RAW = json.dumps(BODY).encode()
GET = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
POST = b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


async def said(port: int, *pieces: bytes) -> bytes:
    """Everything that the server says on one connection until it closes it."""
    reader, writer = await connect(port)
    for piece in pieces:
        writer.write(piece)
    async with asyncio.timeout(10):
        found = await reader.read()
    writer.close()
    return found


def refusal(raw: bytes) -> tuple[int, str]:
    """Status and message of a refusal, which must be one, in Anthropic's form, and the last word."""
    top, _, body = raw.partition(b"\r\n\r\n")
    lines = top.split(b"\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
    assert fields[b"connection"] == b"close"
    assert fields[b"content-type"] == b"application/json"
    assert int(fields[b"content-length"]) == len(body)
    envelope = json.loads(body)
    assert envelope["type"] == "error"
    assert envelope["error"]["type"] == "invalid_request_error"
    assert envelope["request_id"].encode() == fields[b"request-id"]
    return int(lines[0].split()[1]), envelope["error"]["message"]


def begun(house: House) -> int:
    """Requests that came to the gateway."""
    return len(house.script.journeys)


SMUGGLED = {
    # Refused by llhttp, whose own words are told. https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    "length and encoding": (
        POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length",
    ),
    "encoding and length": (
        POST + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        "Content-Length",
    ),
    "two lengths": (POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd", "Content-Length"),
    "the same length twice": (POST + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc", "Content-Length"),
    "a list of lengths": (POST + b"content-length: 3, 4\r\n\r\nabcd", "Content-Length"),
    "a length with a sign": (POST + b"content-length: +3\r\n\r\nabc", "Content-Length"),
    "a negative length": (POST + b"content-length: -3\r\n\r\nabc", "Content-Length"),
    "no length": (POST + b"content-length: \r\n\r\nabc", "Content-Length"),
    "an endless length": (POST + b"content-length: 99999999999999999999999\r\n\r\nabc", "Content-Length"),
    "chunked, then another": (POST + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
    "chunked twice": (POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n", "Transfer-Encoding"),
    "a folded header": (POST + b"x-a: b\r\n c: d\r\n\r\n", "whitespace"),
    "a folded first header": (b"GET /health HTTP/1.1\r\n x: y\r\n\r\n", "space"),
    "a space before the colon": (POST + b"content-length : 3\r\n\r\nabc", "header"),
    "no name": (POST + b": b\r\n\r\n", "header"),
    "no colon": (POST + b"xa\r\n\r\n", "header"),
    "a bare LF": (POST + b"x-a: b\nx-c: d\r\n\r\n", "CR"),
    "only bare LF": (b"GET /health HTTP/1.1\nhost: 127.0.0.1\n\n", "CRLF"),
    "a bare CR": (POST + b"x-a: b\rx-c: d\r\n\r\n", "LF"),
    "LF in a name": (POST + b"x\na: b\r\n\r\n", "header"),
    "CR in a name": (POST + b"x\ra: b\r\n\r\n", "header"),
    "NUL in a name": (POST + b"x\0a: b\r\n\r\n", "header"),
    "NUL in a value": (POST + b"x-a: b\0c\r\n\r\n", "header"),
    "a control character": (POST + b"x-a: b\x01c\r\n\r\n", "header"),
    "bytes in a name": (POST + b"x\xffa: b\r\n\r\n", "header"),
    "an overflowing chunk": (CHUNKED + b"fffffffffffffffff\r\nabc", "hunk"),
    "a chunk that is no number": (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", "hunk"),
    "a chunk longer than it says": (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", "hunk"),
    "a chunk's bare LF": (CHUNKED + b"3\nabc\r\n0\r\n\r\n", "hunk"),
    "LF in a chunk's extension": (CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n", "hunk"),
    "a length as a trailer": (CHUNKED + b"0\r\ncontent-length: 4\r\n\r\n", "Content-Length"),
    "HTTP/1.2": (b"GET /health HTTP/1.2\r\nhost: x\r\n\r\n", "version"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI"),
    "a space in the target": (b"GET /health x HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "https"),
    "a method that is none": (b"BREW /health HTTP/1.1\r\nhost: x\r\n\r\n", "https"),
    "a tab in the target": (b"GET /hea\tlth HTTP/1.1\r\nhost: x\r\n\r\n", "target"),
    "bytes in the target": (b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n", "target"),
    "NUL in the target": (b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n", "target"),
    "no slash": (b"GET health HTTP/1.1\r\nhost: x\r\n\r\n", "target"),
    # Taken by llhttp, or told to the application before they are refused.
    "gzip": (POST + b"transfer-encoding: gzip\r\n\r\nabc", "chunked"),
    "gzip, chunked": (POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "chunked"),
    "identity": (POST + b"transfer-encoding: identity\r\n\r\n", "chunked"),
    "nearly chunked": (POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", "chunked"),
    "chunks in HTTP/1.0": (CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n", "HTTP/1.1"),
    "two hosts": (b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil\r\n\r\n", "Host"),
    "HTTP/0.9": (b"GET /health\r\n\r\n", "HTTP/0.9"),
    "absolute-form": (b"GET http://evil.example/health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", "path"),
    "authority-form": (b"CONNECT evil.example:443 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", "path"),
    "asterisk-form": (b"OPTIONS * HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", "path"),
}


@pytest.mark.parametrize("shape", SMUGGLED)
async def test_shapes_that_servers_read_differently_are_refused(shape: str) -> None:
    raw, word = SMUGGLED[shape]
    async with running() as house:
        status, message = refusal(await said(house.port, raw + GET))  # what comes behind is nobody's
        assert status == 400
        assert word in message
        assert begun(house) == 0
        assert (await house.ask("GET", "/health")).status == 200


async def test_trailers_are_no_headers() -> None:
    async with running() as house:
        reader, writer = await connect(house.port)
        writer.write(CHUNKED + b"%x\r\n%b\r\n0\r\nanthropic-beta: sneaked-in\r\n\r\n" % (len(RAW), RAW))
        assert (await read_reply(reader)).status == 200
        assert house.script.journeys[0].request.betas == ()
        writer.write(GET)
        assert (await read_reply(reader)).status == 200
        writer.close()


@pytest.mark.parametrize(
    ("raw", "status", "word"),
    [
        (b"".join(b"x-%d: y\r\n" % number for number in range(200)), 431, "200 headers"),
        (b"".join(b"x-%d: %b\r\n" % (number, b"y" * 7000) for number in range(10)), 431, "65536 bytes"),
        (b"x-long: " + b"y" * 70_000 + b"\r\n", 431, "65536 bytes"),
    ],
    ids=["many", "long together", "one long"],
)
@pytest.mark.parametrize("complete", [True, False])
async def test_heads_have_a_limit(raw: bytes, status: int, word: str, complete: bool) -> None:
    whole = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n" + raw + (b"\r\n" if complete else b"x: " + b"y" * 70_000)
    async with running() as house:
        found, message = refusal(await said(house.port, *[whole[at : at + 999] for at in range(0, len(whole), 999)]))
        assert found == status
        assert word in message or "65536 bytes" in message


async def test_a_head_that_is_large_and_in_order() -> None:
    fields = b"".join(b"x-%d: %b\r\n" % (number, b"y" * 600) for number in range(100))
    raw = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n" + fields + b"\r\n"
    async with running() as house:
        reader, writer = await connect(house.port)
        for pieces in (
            [raw],
            [raw[:30_000], raw[30_000:]],
            [RAW.join([POST + b"content-length: %d\r\n\r\n" % len(RAW), raw])],
        ):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.01)
            assert (await read_reply(reader)).status == 200
        assert (await read_reply(reader)).status == 200
        writer.close()


LONG = POST + b"content-length: %d\r\n\r\n" % (len(RAW) + 5000) + RAW + b" " * 5000
FRAMED = CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(RAW), RAW)


@pytest.mark.parametrize(
    "pieces",
    [
        (LONG + LONG[:30], LONG[30:] + LONG[:30], LONG[30:]),
        (LONG + FRAMED[: len(CHUNKED) + 1], FRAMED[len(CHUNKED) + 1 :]),
    ],
    ids=["both ends in a head", "the first byte of a body in chunks"],
)
async def test_what_came_before_in_the_same_read_is_not_counted(
    pieces: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_BYTES", 1000)
    async with running() as house:
        reader, writer = await connect(house.port)
        for piece in pieces:
            writer.write(piece)
            assert (await read_reply(reader)).status == 200
        assert begun(house) == len(pieces)
        writer.close()


async def test_long_targets() -> None:
    async with running() as house:
        status, message = refusal(await said(house.port, b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"))
        assert status == 414
        assert "16384" in message


async def test_a_head_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIME", 0.1)
    async with running() as house:
        reader, writer = await connect(house.port)
        drip = asyncio.ensure_future(dripping(writer, GET[:-2], 0.01))
        async with asyncio.timeout(5):
            status, message = refusal(await reader.read())
        drip.cancel()
        assert status == 408
        assert "0.1 s" in message
        writer.close()


async def dripping(writer: asyncio.StreamWriter, raw: bytes, pause: float) -> None:
    for at in range(len(raw)):
        writer.write(raw[at : at + 1])
        await asyncio.sleep(pause)
    await asyncio.Event().wait()


@pytest.mark.failure(145)
@pytest.mark.parametrize("sent", [b"", b"\r\n", GET])
async def test_a_connection_that_says_nothing_is_closed(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty lines before a request are legal, and no sign of life."""
    monkeypatch.setattr(protocol, "KEEP_ALIVE", 0.2)
    monkeypatch.setattr("dragoman.server.serving.KEEP_ALIVE", 0.2)
    async with running() as house:
        found = await said(house.port, sent)
        assert found.startswith(b"HTTP/1.1 200") == (sent == GET)


async def test_an_answer_that_takes_longer_than_an_idle_connection_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its head had begun before the answer to the request before it ended, which begins the idle time."""
    monkeypatch.setattr("dragoman.server.serving.KEEP_ALIVE", 0.1)
    first, second = asyncio.Event(), asyncio.Event()

    async with running() as house:

        async def message() -> bytes:
            await (first if begun(house) == 1 else second).wait()
            return b"{}"

        house.script.message = message
        reader, writer = await connect(house.port)
        request = POST + b"content-length: %d\r\n\r\n" % len(RAW) + RAW
        writer.write(request + request[:20])
        await until(lambda: begun(house) == 1)
        first.set()
        assert (await read_reply(reader)).status == 200
        writer.write(request[20:])
        await until(lambda: begun(house) == 2)
        asyncio.get_running_loop().call_later(0.3, second.set)
        assert (await read_reply(reader)).status == 200
        writer.close()


@pytest.mark.parametrize("sent", [0, 1, 70_000])
async def test_a_body_must_get_on(sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether nothing of it comes, or a byte now and then."""
    monkeypatch.setattr(protocol, "BODY_WINDOW", 0.1)
    async with running() as house:
        reader, writer = await connect(house.port)
        writer.write(POST + b"content-length: 100000\r\n\r\n" + b"x" * sent)
        drip = asyncio.ensure_future(dripping(writer, b"x" * 1000, 0.01)) if sent else None
        async with asyncio.timeout(5):
            status, message = refusal(await reader.read())
        if drip is not None:
            drip.cancel()
        assert status == 408
        assert "too slowly" in message
        await until(lambda: house.lines)
        assert house.log[-1]["status"] == 499
        assert house.intake.held == 0
        writer.close()


async def test_a_slow_body_that_gets_on_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "BODY_PIECE", 3)
    made = connections(monkeypatch)
    async with running() as house:
        reader, writer = await connect(house.port)
        writer.write(POST + b"content-length: %d\r\n\r\n" % (len(RAW) + 30))
        for come in range(3, 31, 3):
            writer.write(b"   ")
            await until(lambda come=come: made and made[0]._body == come)
            assert made[0]._deadline is not None
            made[0]._look_at_body()  # as it does after each window, however long this machine takes for one
        writer.write(RAW)
        assert (await read_reply(reader)).status == 200
        writer.close()


async def test_who_waits_for_us_is_not_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "BODY_WINDOW", 0.05)
    go_on = asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await go_on.wait()
        length, more = 0, True
        while more:
            message = await receive()
            length, more = length + len(message["body"]), message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with listening(late) as (port, _, _):
        asyncio.get_running_loop().call_later(0.3, go_on.set)
        assert (await ask(port, "POST", "/", b"x" * 3_000_000)).status == 200


async def lifespan(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def test_a_body_that_goes_on_behind_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was refused before it was complete; nobody reads the rest for ever."""
    monkeypatch.setattr(protocol, "BODY_WINDOW", 0.1)
    async with running(config=Config(server=Server(body_limit=10))) as house:
        found = await said(house.port, POST + b"content-length: 1000\r\n\r\nabc")
        assert found.startswith(b"HTTP/1.1 413")
        assert found.count(b"HTTP/1.1") == 1
        found = await said(house.port, CHUNKED + b"b\r\nhello hello\r\n", b"zzz\r\n")
        assert found.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
        assert found.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "frames",
    [b"1;" + b"x" * 300_000, b"0" * 300_000, b"0\r\n" + b"x: y\r\n" * 50_000, b"1;" + b"x" * 500 + b"\r\na\r\n"],
    ids=["an extension", "a size of zeros", "trailers", "an extension for each byte"],
)
async def test_frames_of_chunks_have_a_limit(frames: bytes) -> None:
    whole = CHUNKED + frames * (600 if frames.endswith(b"a\r\n") else 1)
    async with running() as house:
        status, message = refusal(await said(house.port, *[whole[at : at + 9999] for at in range(0, len(whole), 9999)]))
        assert status == 400
        assert "chunks" in message


async def test_small_chunks_are_legal() -> None:
    body = RAW + b" " * 60_000
    async with running() as house:
        reader, writer = await connect(house.port)
        writer.write(CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert (await read_reply(reader)).status == 200
        writer.close()


class TestPipelining:
    """Several requests at once on one connection."""

    async def test_answers_come_in_order(self) -> None:
        async with running() as house:
            reader, writer = await connect(house.port)
            request = POST + b"content-length: %d\r\n\r\n" % len(RAW) + RAW
            writer.write((request + GET) * 20)
            for _ in range(20):
                assert (await read_reply(reader)).json == {"type": "message"}
                assert (await read_reply(reader)).json == {"status": "ok"}
            writer.close()

    async def test_those_that_wait_are_bounded(self) -> None:
        """Those that were taken are answered, then the connection is closed."""
        async with running() as house:
            found = await said(house.port, GET * 500)
            assert found.count(b"HTTP/1.1 200") == protocol.PIPELINED + 1

    @pytest.mark.failure(144)
    @pytest.mark.parametrize("requests", [1, 3])
    async def test_a_caller_who_leaves_before_an_answer_begins_is_freed_at_once(self, requests: int) -> None:
        async with running() as house, all_freed(protocol.Protocol, RequestResponseCycle):
            house.script.hold = asyncio.Event().wait  # type: ignore[method-assign]
            raw = json.dumps(BODY | {"stream": True}).encode()
            for _ in range(3):
                _, writer = await connect(house.port)
                writer.write((POST + b"content-length: %d\r\n\r\n" % len(raw) + raw) * requests)
                await house.script.entered.wait()
                house.script.entered.clear()
                writer.close()
                await house.script.journeys.pop().closed.wait()

    @pytest.mark.parametrize("behind", [b"nonsense\r\n\r\n", CHUNKED + b"zzz\r\n", b"GET x HTTP/1.1\r\n\r\n"])
    async def test_nonsense_behind_requests(self, behind: bytes) -> None:
        async with running() as house:
            found = await said(house.port, GET * 3 + behind)
            assert found.count(b"HTTP/1.1 200") == 3
            assert found.count(b"HTTP/1.1") in (3, 4)

    async def test_bodies_behind_a_request_do_not_pile_up(self) -> None:
        """While one request runs, the bytes of the next wait in the caller's own machine."""
        release = asyncio.Event()

        async with running() as house:

            async def message() -> bytes:
                await release.wait()
                return b"{}"

            house.script.message = message
            reader, writer = await connect(house.port)
            request = POST + b"content-length: %d\r\n\r\n" % len(RAW) + RAW
            size = 8_000_000
            writer.write(request + POST + b"content-length: %d\r\n\r\n" % size + b" " * size)
            await until(lambda: begun(house) == 1)
            await asyncio.sleep(0.2)  # longer than it takes until the caller's presence is looked at
            unsent = writer.transport.get_write_buffer_size()
            assert unsent > size / 4
            release.set()
            assert (await read_reply(reader)).status == 200
            assert (await read_reply(reader)).status == 400  # no JSON, and all of it was read
            writer.close()

    @pytest.mark.failure(101)
    async def test_who_leaves_ends_the_request_that_runs(self) -> None:
        async with running() as house:

            async def message() -> bytes:
                await asyncio.Event().wait()
                return b""

            house.script.message = message
            _, writer = await connect(house.port)
            request = POST + b"content-length: %d\r\n\r\n" % len(RAW) + RAW
            writer.write(request + GET)
            await until(lambda: begun(house) == 1)
            writer.transport.abort()
            async with asyncio.timeout(5):
                await house.script.journeys[0].closed.wait()


@pytest.mark.parametrize("pause", [False, True])
async def test_an_upgrade_is_not_made_and_the_body_is_not_lost(pause: bool) -> None:
    """Java's own client asks for HTTP/2 with every request."""
    fields = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
    upgrade = POST + fields + b"content-length: %d\r\n\r\n" % len(RAW)
    chunked = POST + fields + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(RAW), RAW)
    async with running() as house:
        reader, writer = await connect(house.port)
        for request in (upgrade + RAW, chunked, GET[:-2] + fields + b"\r\n", GET):
            for at in range(0, len(request), 50) if pause else [0]:
                writer.write(request[at : at + 50] if pause else request)
                await asyncio.sleep(0.001)
        for _ in range(4):
            assert (await read_reply(reader)).status == 200
        assert [journey.request.raw for journey in house.script.journeys] == [RAW, RAW]
        writer.close()
        found = await said(house.port, (GET[:-2] + fields + b"\r\n") * 4 + POST + fields + b"x\r\n\r\n")
        assert found.count(b"HTTP/1.1 200") == 4


async def test_a_body_that_breaks_while_its_answer_is_sent() -> None:
    """No second answer in the middle of the first: the connection is cut."""

    async def early(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"beginning", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            continue

    async with listening(early) as (port, _, _):
        reader, writer = await connect(port)
        writer.write(CHUNKED + b"3\r\nabc\r\n")
        async with asyncio.timeout(5):
            await reader.readuntil(b"beginning")
            writer.write(b"zzz\r\n")
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(100)
        writer.close()


@pytest.mark.failure(101, 144)
@pytest.mark.parametrize("kind", ["stream", "last answer", "connection: close"])
async def test_a_caller_who_never_reads_is_let_go(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.server.serving.KEEP_ALIVE", 0.1)
    written = 0
    async with running(config=Config(server=Server(write_idle=0.3))) as house:

        async def stream(send: Any) -> None:
            nonlocal written
            while True:
                await send(b"x" * 10_000)
                written += 10_000

        async def message() -> bytes:
            return b"x" * 8_000_000

        house.script.stream, house.script.message = stream, message
        raw = json.dumps(BODY | {"stream": kind == "stream"}).encode()
        more = {"connection": "close"} if kind.startswith("connection") else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1000)
        writer.write(head("POST", "/v1/messages", raw, more) + raw)
        await until(lambda: begun(house) == 1)
        async with asyncio.timeout(10):
            await house.script.journeys[0].closed.wait()
        assert written < 20_000_000
        if kind == "stream":
            assert house.script.journeys[0].cancelled
        await asyncio.sleep(1)
        seen = 0
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(10):
                while chunk := await reader.read(100_000):
                    seen += len(chunk)
        assert seen < (written if kind == "stream" else 8_000_000)
        writer.close()


async def test_a_caller_who_reads_slowly_is_waited_for() -> None:
    size = 3_000_000
    async with running(config=Config(server=Server(write_idle=0.5))) as house:

        async def stream(send: Any) -> None:
            for _ in range(size // 10_000):
                await send(b"x" * 10_000)

        house.script.stream = stream
        raw = json.dumps(BODY | {"stream": True}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1000)
        writer.write(head("POST", "/v1/messages", raw, {"connection": "close"}) + raw)
        seen = b""
        async with asyncio.timeout(20):
            while chunk := await reader.read(50_000):
                seen += chunk
                await asyncio.sleep(0.01)
        assert seen.count(b"x") >= size
        assert seen.endswith(b"0\r\n\r\n")
        writer.close()


async def test_who_asks_whether_to_send_its_body_is_told() -> None:
    async with running() as house:
        reader, writer = await connect(house.port)
        writer.write(POST + b"expect: 100-Continue\r\ncontent-length: %d\r\n\r\n" % len(RAW))
        async with asyncio.timeout(5):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(RAW)
        assert (await read_reply(reader)).status == 200
        writer.close()


async def test_who_was_refused_is_not_asked_for_its_body() -> None:
    async with running() as house:
        found = await said(house.port, CHUNKED[:-2] + b"expect: 100-continue\r\n\r\nno length of a chunk\r\n")
        assert refusal(found)[0] == 400
        await until(lambda: house.lines)
        assert (await house.ask("GET", "/health")).status == 200
        assert not [line for line in house.lines if '"failure"' in line]


@pytest.mark.parametrize("refused", [True, False])
async def test_the_end_does_not_wait_for_those_who_do_not_read(refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.server.serving.LAST_WORDS", 0.2)
    async with running(config=Config(server=Server(drain_timeout=0.1))) as house:

        async def stream(send: Any) -> None:
            while True:
                await send(b"x" * 10_000)

        house.script.stream = stream
        raw = json.dumps(BODY | {"stream": True}).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1000)
        writer.write(b"nonsense\r\n\r\n" if refused else head("POST", "/v1/messages", raw, {}) + raw)
        if refused:
            await asyncio.sleep(0.1)
        else:
            await until(lambda: begun(house) == 1)
        house.stop.set()
        async with asyncio.timeout(5):
            await house.serving
        if not refused:
            async with asyncio.timeout(5):
                await house.script.journeys[0].closed.wait()
        writer.close()


async def test_a_fault_of_ours_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(protocol.Protocol, "_check_head", broken)
    async with running() as house:
        found = await said(house.port, GET)
        assert found.startswith(b"HTTP/1.1 500")
        assert b'"api_error"' in found
        assert b"fault of ours" not in found
        assert any("a fault of ours" in line for line in house.lines)
        monkeypatch.undo()
        assert (await house.ask("GET", "/health")).status == 200
