"""Heads that come again on a connection are not read again. What else a connection may do: test_limits.py."""

import asyncio
import json
from typing import Any

import pytest

from dragoman.config.settings import Config, Server
from dragoman.messages.known import Seen
from dragoman.server.door import Door
from dragoman.server.exchange import Exchange
from dragoman.server.protocol import LESSONS, Protocol
from server_fixture import BODY, House, Reply, connect, read_reply, running

pytestmark = pytest.mark.anyio


def request(number: int = 0, *, length: bytes | None = None, more: bytes = b"", path: bytes = b"/v1/messages") -> bytes:
    """A request whose body is as much longer as `number` says."""
    body = json.dumps(BODY).encode() + b" " * number
    return b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %b\r\n%b\r\n%b" % (
        path,
        b"%d" % len(body) if length is None else length,
        more,
        body,
    )


class Talk:
    """One connection. `read`: heads that the parser took to its end."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house = house
        self.read = 0
        complete = Protocol.on_headers_complete

        def counted(protocol: Protocol) -> None:
            self.read += 1
            complete(protocol)

        monkeypatch.setattr(Protocol, "on_headers_complete", counted)

    async def begin(self) -> None:
        self.reader, self.writer = await connect(self.house.port)
        for number in range(2):
            assert (await self.ask(request(number))).status == 200
        assert self.read == 2

    async def ask(self, *pieces: bytes) -> Reply:
        for piece in pieces:
            self.writer.write(piece)
            await asyncio.sleep(0.01 if len(pieces) > 1 else 0)
        return await read_reply(self.reader)

    @property
    def bodies(self) -> list[bytes]:
        return [bytes(journey.request.raw) for journey in self.house.script.journeys]


async def test_a_head_that_comes_again_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as house:
        talk = Talk(house, monkeypatch)
        await talk.begin()
        for number in (0, 5, 5, 60_000):
            assert (await talk.ask(request(number))).status == 200
        assert talk.read == 2
        assert [len(body) for body in talk.bodies] == [
            len(json.dumps(BODY)) + number for number in (0, 1, 0, 5, 5, 60_000)
        ]
        talk.writer.close()


@pytest.mark.parametrize(
    "pieces",
    [
        (request(9)[:-5], request(9)[-5:]),
        (request(9)[:30], request(9)[30:]),
        (request(9, more=b"x-claude-code-session-id: s\r\n"),),
        (request(9).replace(b"Host", b"host"),),
        (request(9)[:-9] + b"\t" * 9,),
        (request(9, length=b"%04d" % (len(json.dumps(BODY)) + 9)),),
    ],
    ids=["the body comes later", "half a head", "one more header", "another case", "another body", "another length"],
)
async def test_what_is_not_the_same_is_read_as_always(
    pieces: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as house:
        talk = Talk(house, monkeypatch)
        await talk.begin()
        assert (await talk.ask(*pieces)).status == 200
        assert talk.bodies[-1] == b"".join(pieces).partition(b"\r\n\r\n")[2]
        assert house.script.journeys[-1].request.named_session == ("s" if b"session" in pieces[0] else None)
        assert (await talk.ask(request(3))).status == 200
        assert len(talk.bodies[-1]) == len(json.dumps(BODY)) + 3
        talk.writer.close()


def said(turns: int) -> bytes:
    """A conversation, which is long."""
    messages = [
        {"role": "assistant" if number % 2 else "user", "content": f"{number} " + "x" * 900} for number in range(turns)
    ]
    return json.dumps({**BODY, "messages": messages}).encode()


def sent(body: bytes) -> bytes:
    return request(length=b"%d" % len(body)).partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body


async def test_of_a_conversation_that_goes_on_only_what_is_new_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as house:
        talk = Talk(house, monkeypatch)
        await talk.begin()
        asked = [said(turns) for turns in (31, 33, 35, 31, 33)]
        asked.append(asked[-1].replace(b"32 xxx", b"32 yyy"))
        for body in asked:
            assert (await talk.ask(sent(body))).status == 200
        assert talk.bodies[2:] == asked
        raws = [journey.request.raw for journey in house.script.journeys[2:]]
        assert [isinstance(raw, Seen) for raw in raws] == [False, True, True, True, True, True]
        assert all(len(raw.cutting.rest) < len(raw) / 2 for raw in raws[1:3] if isinstance(raw, Seen))
        assert [len(journey.request.body.messages) for journey in house.script.journeys[2:]] == [31, 33, 35, 31, 33, 33]
        talk.writer.close()


async def test_who_receives_by_messages_gets_a_known_conversation_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []

    async def endpoint(exchange: Exchange) -> None:
        assert exchange.facts is None or exchange.facts.beside is not None
        taken.append((await exchange.receive())["body"])
        await exchange.reply(200, b"{}")

    async with running() as house:
        talk = Talk(house, monkeypatch)
        await talk.begin()
        asked = [said(turns) for turns in (31, 33, 35)]
        assert (await talk.ask(sent(asked[0]))).status == 200
        monkeypatch.setitem(house.application._hot, "/v1/messages", endpoint)
        for body in asked[1:]:
            assert (await talk.ask(sent(body))).status == 200
        assert taken == asked[1:]
        talk.writer.close()


async def test_a_head_of_before_tells_the_length_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []

    async def endpoint(exchange: Exchange) -> None:
        told.append(exchange.headers[b"content-length"])
        assert dict(exchange.scope["headers"]) == exchange.headers
        await exchange.reply(200, b"{}")

    async with running() as house:
        monkeypatch.setitem(house.application._hot, "/v1/messages", endpoint)
        talk = Talk(house, monkeypatch)
        await talk.begin()
        for number in (5, 70, 8):
            await talk.ask(request(number))
        assert talk.read == 2
        assert [int(each) - len(json.dumps(BODY)) for each in told] == [0, 1, 5, 70, 8]
        talk.writer.close()


async def test_several_requests_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as house:
        talk = Talk(house, monkeypatch)
        await talk.begin()
        assert (await talk.ask(request(1) + request(2) + request(3)[:50])).status == 200
        assert (await read_reply(talk.reader)).status == 200
        assert (await talk.ask(request(3)[50:])).status == 200
        assert [len(body) - len(json.dumps(BODY)) for body in talk.bodies[2:]] == [1, 2, 3]
        talk.writer.close()


@pytest.mark.parametrize("length", [b"+3", b"-3", b"", b"0x3", b"3, 3", b"\xb2", b"9" * 21, b"3\r\nContent-Length: 3"])
async def test_lengths_that_are_none_are_refused(length: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as house:
        talk = Talk(house, monkeypatch)
        await talk.begin()
        assert (await talk.ask(request(length=length))).status == 400
        assert len(talk.bodies) == 2
        talk.writer.close()


async def test_a_request_behind_one_that_runs_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as house:
        talk = Talk(house, monkeypatch)
        await talk.begin()
        go_on = asyncio.Event()

        async def message() -> bytes:
            house.script.entered.set()
            await go_on.wait()
            return b"{}"

        house.script.message = message
        house.script.entered.clear()
        talk.writer.write(request(1))
        await house.script.entered.wait()
        talk.writer.write(request(2))
        await asyncio.sleep(0.02)
        assert len(talk.bodies) == 3
        go_on.set()
        for _ in range(2):
            assert (await read_reply(talk.reader)).json == {}
        assert len(talk.bodies) == 4
        talk.writer.close()


async def test_heads_that_are_never_the_same_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as house:
        talk = Talk(house, monkeypatch)
        await talk.begin()
        for number in range(LESSONS + 2):
            assert (await talk.ask(request(more=b"x-n: %d\r\n" % number))).status == 200
        before = talk.read
        for _ in range(3):
            assert (await talk.ask(request())).status == 200
        assert talk.read == before + 3
        talk.writer.close()


async def test_a_door_that_changed_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head is let in once by each door: one of other settings may not want it."""
    key = b"x-api-key: one-token\r\n"
    async with running(config=Config(server=Server(auth_token="one-token"))) as house:
        reader, writer = await connect(house.port)

        async def status(raw: bytes) -> int:
            writer.write(raw)
            return (await read_reply(reader)).status

        assert [await status(request(number, more=key)) for number in range(5)] == [200] * 5
        assert await status(request(more=key.replace(b"one", b"two"))) == 401
        assert [await status(request(number, more=key)) for number in range(3)] == [200] * 3
        monkeypatch.setattr(house.application, "_door", Door("127.0.0.1", "another-token"))
        assert await status(request(more=key)) == 401
        writer.close()


async def test_what_follows_from_a_head_is_that_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as house:
        talk = Talk(house, monkeypatch)
        await talk.begin()
        found: list[Any] = []
        for beta in (b"a", b"a", b"a", b"b", b"b", b"b,c"):
            await talk.ask(request(more=b"anthropic-beta: %b\r\n" % beta))
            found.append(house.script.journeys[-1].request.betas)
        assert found == [("a",), ("a",), ("a",), ("b",), ("b",), ("b", "c")]
        talk.writer.close()
