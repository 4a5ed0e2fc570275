"""Bodies that come in several reads are read into one room, behind which the parser goes on as before."""

import asyncio
import contextlib
import itertools
import json
from typing import Any

import pytest

from dragoman.config.settings import Config, Server
from dragoman.messages.known import Seen
from dragoman.server.intake import GATHERED
from dragoman.server.protocol import Protocol
from dragoman.server.rooms import KEPT, STEP, Rooms
from dragoman.server.state import ROOM
from server_fixture import BODY, House, connect, head, read_reply, running

pytestmark = pytest.mark.anyio


class Watched:
    """What the connections of a test do. `parsed`: bytes of bodies that the parser was shown."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parsed = 0
        self.gathers = asyncio.Semaphore(0)
        self.protocol: Protocol | None = None
        on_body, gather = Protocol.on_body, Protocol.gather

        def seen(protocol: Protocol, body: bytes) -> None:
            self.parsed += len(body)
            on_body(protocol, body)

        def gathered(protocol: Protocol, size: int, begun: bytes) -> None:
            gather(protocol, size, begun)
            self.protocol = protocol
            self.gathers.release()

        monkeypatch.setattr(Protocol, "on_body", seen)
        monkeypatch.setattr(Protocol, "gather", gathered)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def conversation(turns: int, *, mark: str = "") -> bytes:
    messages = [
        {"role": "assistant" if number % 2 else "user", "content": f"{number} {mark}" + "x" * 9000}
        for number in range(turns)
    ]
    return json.dumps({**BODY, "messages": messages}).encode()


def asked(body: bytes) -> bytes:
    """The head of a request."""
    return head("POST", "/v1/messages", body, {})


def bodies(house: House) -> list[bytes]:
    return [bytes(journey.request.raw) for journey in house.script.journeys]


async def send(watched: Watched, writer: asyncio.StreamWriter, body: bytes, *cuts: int, more: bytes = b"") -> None:
    """A request whose body is cut at these places; the first piece is in the read of the head."""
    ends = [*cuts, len(body)]
    writer.write(asked(body) + body[: ends[0]])
    async with asyncio.timeout(10):
        await watched.gathers.acquire()
    for begin, end in itertools.pairwise(ends):
        writer.write(body[begin:end])
        await writer.drain()
    writer.write(more)


@pytest.mark.parametrize("cuts", [(0,), (1,), (0, 5, 70_000, 70_001), (9000, 140_000)])
async def test_all_of_it_comes_and_the_connection_goes_on(cuts: tuple[int, ...], watched: Watched) -> None:
    async with running() as house:
        reader, writer = await connect(house.port)
        sent = [conversation(turns, mark=str(cuts)) for turns in (15, 17, 19, 41, 43)]
        assert len(sent[-1]) > ROOM
        for body in sent:
            await send(watched, writer, body, *cuts)
            assert (await read_reply(reader)).status == 200
        assert bodies(house) == sent
        assert watched.parsed == cuts[0] * len(sent)
        small = json.dumps(BODY).encode()
        writer.write(asked(small) + small)
        assert (await read_reply(reader)).status == 200
        assert bodies(house)[-1] == small
        assert house.intake.held == 0
        writer.close()


async def test_of_a_conversation_that_goes_on_only_what_is_new_is_copied(watched: Watched) -> None:
    async with running() as house:
        reader, writer = await connect(house.port)
        for turns in (21, 23, 25):
            await send(watched, writer, conversation(turns, mark="goes on"), 100)
            assert (await read_reply(reader)).status == 200
        raws = [journey.request.raw for journey in house.script.journeys]
        assert [isinstance(raw, Seen) for raw in raws] == [False, True, True]
        assert all(len(raw.cutting.rest) < len(raw) / 4 for raw in raws if isinstance(raw, Seen))
        assert [len(journey.request.body.messages) for journey in house.script.journeys] == [21, 23, 25]
        writer.close()


async def test_a_request_that_comes_right_behind(watched: Watched) -> None:
    async with running() as house:
        reader, writer = await connect(house.port)
        sent = [conversation(15, mark="one"), conversation(17, mark="two")]
        await send(watched, writer, sent[0], 100, more=asked(sent[1]) + sent[1])
        for _ in sent:
            assert (await read_reply(reader)).status == 200
        assert bodies(house) == sent
        writer.close()


async def test_two_at_the_same_time_do_not_share_a_room(watched: Watched) -> None:
    async with running() as house:
        talks = [await connect(house.port) for _ in range(2)]
        sent = [conversation(15, mark="one"), conversation(15, mark="two")]
        for (_, writer), body in zip(talks, sent, strict=True):
            writer.write(asked(body) + body[:50_000])
            await watched.gathers.acquire()
        for (reader, writer), body in zip(talks, sent, strict=True):
            writer.write(body[50_000:])
            assert (await read_reply(reader)).status == 200
        assert bodies(house) == sent
        for _, writer in talks:
            writer.close()


@pytest.mark.parametrize("abort", [False, True])
async def test_who_leaves_in_the_middle_leaves_nothing(abort: bool, watched: Watched) -> None:
    async with running() as house:
        _, writer = await connect(house.port)
        body = conversation(15)
        writer.write(asked(body) + body[:100])
        await watched.gathers.acquire()
        assert house.intake.held == len(body)
        if abort:
            writer.transport.abort()
        else:
            writer.close()
        async with asyncio.timeout(10):
            while not house.lines:
                await asyncio.sleep(0.005)
        assert house.log[-1]["status"] == 499
        assert house.intake.held == 0
        assert watched.protocol is not None
        assert watched.protocol._own is None


async def test_nothing_is_read_of_who_may_not_come_in(watched: Watched) -> None:
    async with running(config=Config(server=Server(auth_token="one-token"))) as house:
        reader, writer = await connect(house.port)
        body = conversation(15)
        writer.write(asked(body) + body[:100])
        assert (await read_reply(reader)).status == 401
        assert watched.gathers.locked()
        writer.close()


async def test_large_ones_are_not_given_room_before_they_come(watched: Watched) -> None:
    async with running() as house:
        reader, writer = await connect(house.port)
        body = json.dumps(BODY).encode() + b" " * GATHERED
        writer.write(asked(body) + body)
        assert (await read_reply(reader)).status == 200
        assert bodies(house) == [body]
        assert watched.gathers.locked()
        writer.close()


async def test_the_end_of_the_server_in_the_middle_of_a_body(watched: Watched) -> None:
    async with running(config=Config(server=Server(drain_timeout=0))) as house:
        reader, writer = await connect(house.port)
        writer.write(asked(conversation(15)) + b"{")
        await watched.gathers.acquire()
    assert house.intake.held == 0
    with contextlib.suppress(ConnectionError):
        assert not (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


def test_rooms_are_used_again() -> None:
    rooms = Rooms()
    one, other = rooms.take(5), rooms.take(STEP + 1)
    assert [len(one), len(other)] == [STEP, 2 * STEP]
    rooms.give_back(other)
    rooms.give_back(one)
    assert rooms.take(STEP) is one
    assert rooms.take(STEP) is other
    another = rooms.take(STEP)
    assert another is not one
    assert another is not other


def test_not_all_of_them_are_kept() -> None:
    rooms = Rooms()
    taken: list[Any] = [rooms.take(STEP) for _ in range(2 * KEPT // STEP)]
    for room in taken:
        rooms.give_back(room)
    again = [rooms.take(1) for _ in taken]
    assert sum(any(room is other for other in taken) for room in again) == KEPT // STEP
