"""The upstream farm: everything that a server, a network or a proxy in between can do to a call, by name.

A fault is a script for one connection. `FAULTS` is the whole table; `statuses.py` has those that are told by a status.
"""

import asyncio
import gzip
import ssl
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, Self

from chaos.languages import Language, spoken
from chaos.verdict import Kind
from upstream.wire import Connection, Received, Server

Script = Callable[[Connection], Awaitable[None]]
Where = Literal["listening", "tls", "tls to plain", "nobody", "no name"]

HEAD = b"HTTP/1.1 200 OK\r\n"
EVENTS = b"content-type: text/event-stream\r\n"
JSON = b"content-type: application/json\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
HTML = b"<!doctype html><html><head><title>Sign in</title></head><body><h1>Please sign in</h1></body></html>"
DEEP = 100_000
MEGABYTE = b"x" * 1_000_000


@dataclass(frozen=True)
class Fault:
    """What happens on a connection, and what a caller with one target must see.

    `error`: with another target the caller gets its answer instead. `cut`: content had been told, so an error event
    ends the stream, and there is no second answer. `whole`: no harm is done. Several where languages differ.
    """

    name: str
    script: Script
    stream: tuple[Kind, ...] = ("error",)
    message: tuple[Kind, ...] = ("error",)
    where: Where = "listening"
    heavy: bool = False  # many bytes: not all at the same time

    def expected(self, *, stream: bool) -> tuple[Kind, ...]:
        return self.stream if stream else self.message


class Place(Server):
    """A listening server, with or without TLS, and what it was asked."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(*scripts)
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self


def asks_for_stream(received: Received) -> bool:
    return ":streamGenerateContent" in received.path or b'"stream":true' in received.body.replace(b" ", b"")


def good_answer(received: Received) -> tuple[bytes, bytes]:
    """Header lines of the content and the body of what a healthy server says to this call."""
    language = spoken(received.path)
    return (EVENTS, language.stream) if asks_for_stream(received) else (JSON, language.whole)


async def good(connection: Connection) -> None:
    """A healthy server, for as many calls as there are."""
    while True:
        kind, body = good_answer(await connection.request())
        await connection.send(HEAD, kind, b"content-length: %d\r\n\r\n" % len(body), body)


def raw(*parts: bytes, then: Literal["close", "wait", "reset"] = "close") -> Script:
    """These bytes, whatever was asked."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(*parts)
        await _end(connection, then)

    return script


def said(
    head: bytes = b"", *, end: bytes | None = None, then: Literal["close", "wait", "reset"] = "close", cut: float = 1.0
) -> Script:
    """The good answer with further header lines, cut to a part of it. `end`: how it is delimited."""

    async def script(connection: Connection) -> None:
        kind, body = good_answer(await connection.request())
        length = b"content-length: %d\r\n" % len(body) if end is None else end
        await connection.send(HEAD, kind, length, head, b"\r\n", body[: int(len(body) * cut)])
        await _end(connection, then)

    return script


def said_as(kind: bytes) -> Script:
    """The good answer under another type."""

    async def script(connection: Connection) -> None:
        _, body = good_answer(await connection.request())
        await connection.send(HEAD, kind, b"content-length: %d\r\n\r\n" % len(body), body)

    return script


def content(stream: Callable[[Language], bytes], message: Callable[[Language], bytes] | None = None) -> Script:
    """A well-formed answer with this content."""

    async def script(connection: Connection) -> None:
        received = await connection.request()
        language = spoken(received.path)
        wants_stream = asks_for_stream(received)
        body = stream(language) if wants_stream else (message or stream)(language)
        kind = EVENTS if wants_stream else JSON
        await connection.send(HEAD, kind, b"content-length: %d\r\n\r\n" % len(body), body)

    return script


def endless(head: bytes, piece: bytes, *, chunked: bool = False) -> Script:
    """Pieces until nobody listens."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(head)
        part = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
        while True:  # until a write fails
            await connection.send(part)
            await asyncio.sleep(0)

    return script


async def _end(connection: Connection, then: str) -> None:
    if then == "wait":
        await connection.lost()
    elif then == "reset":
        connection.reset()


# Scripts that are more than bytes


async def closed_at_once(connection: Connection) -> None:
    connection.cut()


async def reset_at_once(connection: Connection) -> None:
    connection.reset()


async def silent(connection: Connection) -> None:
    await connection.lost()


async def byte_by_byte(connection: Connection) -> None:
    """Head and body, one byte at a time."""
    kind, body = good_answer(await connection.request())
    for byte in HEAD + kind + b"content-length: %d\r\n\r\n" % len(body) + body:
        await connection.send(bytes([byte]))
        await asyncio.sleep(0)


async def chunk_by_byte(connection: Connection) -> None:
    """A chunk for every byte."""
    kind, body = good_answer(await connection.request())
    await connection.send(HEAD, kind, CHUNKED)
    for byte in body:
        await connection.chunk(bytes([byte]))
    await connection.chunk(b"")


async def chunk_extensions(connection: Connection) -> None:
    kind, body = good_answer(await connection.request())
    await connection.send(HEAD, kind, CHUNKED, b"%x;note=1\r\n%b\r\n" % (len(body), body), b"0\r\nx-trailer: 1\r\n\r\n")


async def answer_before_the_question(connection: Connection) -> None:
    await connection.send(HEAD, JSON, b"content-length: 2\r\n\r\n{}")
    await connection.request()


async def early_hints(connection: Connection) -> None:
    kind, body = good_answer(await connection.request())
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"
    await connection.send(hints, HEAD, kind, b"content-length: %d\r\n\r\n" % len(body), body)


async def packed_unasked(connection: Connection) -> None:
    kind, body = good_answer(await connection.request())
    packed = gzip.compress(body)
    await connection.send(HEAD, kind, b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed), packed)


@cache
def bomb() -> bytes:
    """100 MB of gzip in 100 KB."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(MEGABYTE) for _ in range(100)) + packer.flush()


async def gzip_bomb(connection: Connection) -> None:
    await connection.request()
    packed = bomb()
    await connection.send(HEAD, JSON, b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed), packed)


async def redirect_loop(connection: Connection) -> None:
    """Every answer leads to itself. The test counts calls."""
    where = (await connection.request()).path.encode()
    await connection.send(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % where)


async def twice(connection: Connection) -> None:
    """A second answer behind the first, which nobody asked for."""
    kind, body = good_answer(await connection.request())
    one = b"".join((HEAD, kind, b"content-length: %d\r\n\r\n" % len(body), body))
    await connection.send(one, one)


async def streamed_then_reset(connection: Connection) -> None:
    """Content, and a reset when the caller has it (or half a message and a reset)."""
    received = await connection.request()
    language = spoken(received.path)
    if asks_for_stream(received):
        await connection.send(HEAD, EVENTS, CHUNKED)
        await connection.chunk(language.opening)
        await asyncio.sleep(0.05)  # a reset overtakes bytes that were not read yet: then it would be another fault
    else:
        await connection.send(HEAD, JSON, b"content-length: %d\r\n\r\n" % len(language.whole), language.whole[:100])
    connection.reset()


def opening_then(more: Callable[[Language], bytes], *, then: Literal["close", "wait"] = "close") -> Script:
    """A stream that begins well, then this. Half a message where no stream was asked for."""

    async def script(connection: Connection) -> None:
        received = await connection.request()
        language = spoken(received.path)
        if asks_for_stream(received):
            await connection.send(HEAD, EVENTS, CHUNKED)
            await connection.chunk(language.opening)
            await asyncio.sleep(0.05)  # what fails in the same read is held back with it: nothing was told then
            await connection.chunk(more(language) or b": \n\n")
            if then == "close":
                await connection.chunk(b"")
        else:
            length = b"content-length: %d\r\n\r\n" % len(language.whole)
            await connection.send(HEAD, JSON, length, language.whole[: len(language.whole) // 2])
        await _end(connection, then)

    return script


def deep(_: Language) -> bytes:
    return b'data: {"a":' + b"[" * DEEP + b"]" * DEEP + b"}\n\n"


def deep_message(_: Language) -> bytes:
    return b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}"


def not_utf8(language: Language) -> bytes:
    return language.delta.replace(b'": "', b'": "\xff\xfe', 1) if b'": "' in language.delta else b"data: \xff\xfe\n\n"


ANY: tuple[Kind, ...] = ("whole", "error", "cut")
WHOLE: tuple[Kind, ...] = ("whole",)
CUT: tuple[Kind, ...] = ("cut", "error")  # an error on a machine that is too busy to read before it comes
WHOLE_OR_ERROR: tuple[Kind, ...] = ("whole", "error")

NO_CONNECTION = (
    Fault("refused", silent, where="nobody"),
    Fault("no such name", silent, where="no name"),
    Fault("https to a plain port", silent, where="tls to plain"),
    Fault("a self-signed certificate", silent, where="tls"),
    Fault("closed at once", closed_at_once),
    Fault("reset at once", reset_at_once),
    Fault("an answer before the question", answer_before_the_question),
)

NO_ANSWER = (
    Fault("closed after the call", raw()),
    Fault("reset after the call", raw(then="reset")),
    Fault("silence", silent),
    Fault("half a status line", raw(b"HTTP/1.1 2")),
    Fault("half a head", raw(HEAD, b"content-ty")),
    Fault("half a head, then silence", raw(HEAD, b"content-ty", then="wait")),
)

NO_HTTP = (
    Fault("another protocol", raw(b"220 smtp.test ESMTP ready\r\n\r\n")),
    Fault("zeros", raw(bytes(2000))),
    Fault("all bytes", raw(bytes(range(256)) * 8)),
    Fault("a TLS alert", raw(b"\x15\x03\x01\x00\x02\x02\x16")),
    Fault("HTTP/2", raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), then="wait")),
    Fault("a body without a head", raw(b'{"choices": []}\r\n\r\n')),
    Fault("half JSON in place of a head", raw(b'{"error": {"message": "no')),
)

EMPTY = b"content-length: 0\r\n\r\n"

HEADS = (
    Fault("a head of 1 MB", raw(HEAD, b"x-big: ", MEGABYTE, b"\r\n", JSON, EMPTY)),
    Fault("5,000 headers", raw(HEAD, b"".join(b"x-%d: 1\r\n" % number for number in range(5000)), EMPTY)),
    Fault("an endless head", endless(HEAD, b"x-more: 1\r\n" * 100)),
    Fault("an endless header", endless(HEAD + b"x-more: ", b"x" * 1000)),
    Fault("an endless status line", endless(b"HTTP/1.1 200 ", b"O" * 1000)),
    Fault("early hints", early_hints, WHOLE, WHOLE),
    Fault("1,000 times 102", raw(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)),
    Fault("102 for ever", endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 50), heavy=True),
    Fault("101", raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")),
    Fault("204", raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
    Fault("304", raw(b"HTTP/1.1 304 Not Modified\r\n\r\n")),
    Fault("999", raw(b"HTTP/1.1 999 Odd\r\n", EMPTY)),
    Fault("status 0", raw(b"HTTP/1.1 000 Odd\r\n", EMPTY)),
    Fault("no status", raw(b"HTTP/1.1\r\n", EMPTY)),
    Fault("HTTP/3.7", raw(b"HTTP/3.7 200 OK\r\n", EMPTY)),
    Fault("a header without a colon", said(b"no colon here\r\n"), WHOLE_OR_ERROR, WHOLE_OR_ERROR),
    Fault("a header over two lines", said(b"x-folded: 1\r\n 2\r\n"), WHOLE_OR_ERROR, WHOLE_OR_ERROR),
    Fault("a zero in a header", said(b"x-zero: a\0b\r\n"), WHOLE_OR_ERROR, WHOLE_OR_ERROR),
    Fault("a header of another alphabet", said("x-name: Привет\r\n".encode()), WHOLE, WHOLE),
    Fault("a header that splits the caller's answer", said(b"request-id: a\rx-evil: 1\r\n"), *[WHOLE_OR_ERROR] * 2),
    Fault("a redirect to itself", redirect_loop),
    Fault("twice the same answer", twice, WHOLE, WHOLE),
)

LENGTHS = (
    Fault("a length that is too long", said(end=b"content-length: 999999\r\n"), WHOLE),
    Fault("a length that is too short", said(end=b"content-length: 10\r\n")),
    Fault("a length of an exabyte", said(end=b"content-length: 1000000000000000000\r\n"), WHOLE),
    Fault("a length with too many digits", said(end=b"content-length: %b\r\n" % (b"9" * 400))),
    Fault("a negative length", said(end=b"content-length: -1\r\n")),
    Fault("a length that is no number", said(end=b"content-length: ten\r\n")),
    Fault("two lengths", said(end=b"content-length: 10\r\ncontent-length: 20\r\n")),
    Fault("a length and chunks", said(end=b"content-length: 10\r\ntransfer-encoding: chunked\r\n")),
    Fault("an unknown coding", said(end=b"transfer-encoding: rot13\r\n"), WHOLE_OR_ERROR, WHOLE_OR_ERROR),
    Fault("no length", said(end=b""), WHOLE, WHOLE),
    Fault("chunks without sizes", said(end=b"transfer-encoding: chunked\r\n")),
    Fault("a chunk of an exabyte", raw(HEAD, EVENTS, CHUNKED, b"ffffffffffffff\r\ndata: {}\n\n")),
    Fault("a chunk of negative size", raw(HEAD, EVENTS, CHUNKED, b"-5\r\ndata: {}\n\n\r\n0\r\n\r\n")),
    Fault("a chunk size without end", endless(HEAD + EVENTS + CHUNKED, b"0" * 1000)),
    Fault("extensions of chunks, and trailers", chunk_extensions, WHOLE, WHOLE),
    Fault("a chunk's extension without end", endless(HEAD + EVENTS + CHUNKED + b"5;x=", b"x" * 1000)),
    Fault("a trailer without end", endless(HEAD + EVENTS + CHUNKED + b"0\r\n", b"x-more: 1\r\n" * 50)),
)

SLOW = (
    Fault("one byte at a time", byte_by_byte, WHOLE, WHOLE, heavy=True),
    Fault("a chunk for every byte", chunk_by_byte, WHOLE, WHOLE, heavy=True),
    Fault("content, then silence", opening_then(lambda _: b"", then="wait"), CUT),
)


BODIES = (
    Fault("reset in the body", streamed_then_reset, CUT),
    Fault("content, then the end", opening_then(lambda _: b""), CUT),
    Fault("content, then HTML", opening_then(lambda _: HTML), CUT),
    Fault("content, then half a frame", opening_then(lambda each: each.delta[:-20]), CUT),
    Fault("content, then JSON that is none", opening_then(lambda _: b"data: {nope\n\n"), CUT),
    Fault("content, then deep JSON", opening_then(deep), CUT),
    Fault("content, then bytes that are no UTF-8", opening_then(not_utf8), CUT),
    Fault(
        "content, then an error", opening_then(lambda _: b'data: {"error": {"message": "no", "code": 500}}\n\n'), CUT
    ),
    Fault("content, then only [DONE]", opening_then(lambda _: b"data: [DONE]\n\n"), ANY),
    Fault("HTML under status 200", raw(HEAD, b"content-type: text/html\r\n\r\n", HTML)),
    Fault("HTML that calls itself events or JSON", content(lambda _: HTML)),
    Fault("nothing", content(lambda _: b"")),
    Fault("null", content(lambda _: b"data: null\n\n", lambda _: b"null")),
    Fault("a list", content(lambda _: b"data: []\n\n", lambda _: b"[]")),
    Fault("a number", content(lambda _: b"data: 42\n\n", lambda _: b"42")),
    Fault("a text", content(lambda _: b'data: "hello"\n\n', lambda _: b'"hello"')),
    Fault("an empty object", content(lambda _: b"data: {}\n\n", lambda _: b"{}")),
    Fault("another API's answer", content(lambda _: b'data: {"foo": [1]}\n\n', lambda _: b'{"foo": [1]}')),
    Fault("half JSON", content(lambda each: each.stream[:90], lambda each: each.whole[:90])),
    Fault("deep JSON", content(deep, deep_message)),
    Fault("numbers that no machine holds", content(lambda _: b'data: {"id": 1e999999, "n": %b}\n\n' % (b"9" * 5000))),
    Fault("no UTF-8", content(lambda _: b"data: \xff\xfe\n\n", lambda _: b"\xff\xfe")),
    Fault("only [DONE]", content(lambda _: b"data: [DONE]\n\n"), message=("error", "whole")),
    Fault("an error under status 200", content(*[lambda _: b'{"error": {"message": "busy", "code": 503}}'] * 2)),
    Fault(
        "a stream for a message and the other way round",
        content(lambda each: each.whole, lambda each: each.stream),
        WHOLE_OR_ERROR,
        WHOLE_OR_ERROR,
    ),
    Fault("no content type", said_as(b""), WHOLE, WHOLE),
    Fault("bytes of no type", said_as(b"content-type: application/octet-stream\r\n"), WHOLE, WHOLE),
    Fault(
        "a byte order mark", content(lambda each: b"\xef\xbb\xbf" + each.stream, lambda each: each.whole), WHOLE, WHOLE
    ),
    Fault(
        "lines that end in CR LF",
        content(lambda each: each.stream.replace(b"\n", b"\r\n"), lambda each: each.whole),
        WHOLE,
        WHOLE,
    ),
    Fault(
        "lines that end in CR",
        content(lambda each: each.stream.replace(b"\n", b"\r"), lambda each: each.whole),
        WHOLE,
        WHOLE,
    ),
    Fault(
        "2,000 comments first",
        content(lambda each: b": wait\n\n" * 2_000 + each.stream, lambda each: each.whole),
        WHOLE,
        WHOLE,
    ),
    Fault("packed, and nobody asked", packed_unasked, WHOLE_OR_ERROR, WHOLE_OR_ERROR),
    Fault("a gzip bomb", gzip_bomb),
    Fault("a packing that is none", said(b"content-encoding: br\r\n"), WHOLE_OR_ERROR, WHOLE_OR_ERROR),
    Fault("a line without end", endless(HEAD + EVENTS + b"\r\n", b"x" * 65536), heavy=True),
    Fault("a frame without end", endless(HEAD + EVENTS + b"\r\n", b"data: " + b"x" * 65530 + b"\n"), heavy=True),
    Fault("JSON without end", endless(HEAD + JSON + b"\r\n", b"[" * 65536), heavy=True),
    Fault("chunks without end", endless(HEAD + EVENTS + CHUNKED, b"x" * 65536, chunked=True), heavy=True),
)

FAULTS = (*NO_CONNECTION, *NO_ANSWER, *NO_HTTP, *HEADS, *LENGTHS, *SLOW, *BODIES)
