"""Bodies that come in several reads are read into one room, behind which the parser goes on as before."""

import asyncio
import contextlib
import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.config.settings import Config, Server
from dragoman.messages.known import Seen
from dragoman.server import protocol
from dragoman.server.cycle import Cycle
from dragoman.server.door import Door
from dragoman.server.gathering import KEPT, LARGEST, STEP, Rooms
from dragoman.server.intake import Intake
from dragoman.server.protocol import Protocol
from dragoman.server.state import ROOM, State
from server_fixture import BODY, House, connect, connections, head, read_reply, running, until

pytestmark = pytest.mark.anyio


class Watched:
    """What the connections of a test do. `heads`, and `parsed` bytes of bodies, are what the parser was shown."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heads = self.parsed = 0
        self.gathers = asyncio.Semaphore(0)
        self.connections = connections(monkeypatch)
        complete, on_body, gather = Protocol.on_headers_complete, Protocol.on_body, Protocol.gather

        def completed(protocol: Protocol) -> None:
            self.heads += 1
            complete(protocol)

        def seen(protocol: Protocol, body: bytes) -> None:
            self.parsed += len(body)
            on_body(protocol, body)

        def gathered(protocol: Protocol, size: int, begun: bytes) -> None:
            gather(protocol, size, begun)
            self.gathers.release()

        monkeypatch.setattr(Protocol, "on_headers_complete", completed)
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
        assert watched.parsed == cuts[0] * 2  # then the head is known
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


async def test_behind_a_head_that_came_before_nothing_is_parsed(watched: Watched) -> None:
    async with running() as house:
        reader, writer = await connect(house.port)
        small = [conversation(turns, mark="known head") for turns in (1, 3, 3)]
        for body in small:
            writer.write(asked(body) + body)
            assert (await read_reply(reader)).status == 200
        assert watched.heads == 2
        parsed = watched.parsed
        large = [conversation(turns, mark="known head") for turns in (21, 23, 51, 53)]
        for body in large:
            await send(watched, writer, body, 100, 1000)
            assert (await read_reply(reader)).status == 200
        assert bodies(house) == small + large
        assert (watched.heads, watched.parsed) == (2, parsed)
        assert [isinstance(journey.request.raw, Seen) for journey in house.script.journeys][-3:] == [True] * 3
        writer.write(asked(small[0]) + small[0])
        assert (await read_reply(reader)).status == 200
        writer.write(asked(small[0]).replace(b"host", b"Host") + small[0])
        assert (await read_reply(reader)).status == 200
        assert bodies(house)[-2:] == [small[0]] * 2
        writer.close()


async def test_who_is_let_in_no_more_is_told_before_the_end_of_the_body(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = b"x-api-key: one-token\r\n\r\n"
    async with running(config=Config(server=Server(auth_token="one-token"))) as house:
        reader, writer = await connect(house.port)

        async def told(body: bytes) -> int:
            writer.write(asked(body).removesuffix(b"\r\n") + key + body)
            return (await read_reply(reader)).status

        small, large = json.dumps(BODY).encode(), conversation(40)
        assert [await told(small) for _ in range(4)] == [200] * 4
        monkeypatch.setattr(house.application, "_door", Door("127.0.0.1", "another-token"))
        writer.write(asked(large).removesuffix(b"\r\n") + key + large[:1000])
        assert (await read_reply(reader)).status == 401
        writer.write(large[1000:5000])
        await until(lambda: watched.connections[0]._body == 5000)
        assert watched.connections[0]._gathering is not None
        assert watched.connections[0]._gathering._own is None  # nobody keeps what nobody waits for
        writer.write(large[5000:])
        assert await told(small) == 401
        monkeypatch.setattr(house.application, "_door", Door("127.0.0.1", "one-token"))
        assert await told(small) == 200
        assert len(bodies(house)) == 5
        monkeypatch.setattr(house.application, "_door", Door("127.0.0.1", "another-token"))
        assert await told(large) == 401
        monkeypatch.setattr(house.application, "_door", Door("127.0.0.1", "one-token"))
        writer.write(asked(large).removesuffix(b"\r\n") + key + large[:1000])
        await until(lambda: watched.connections[0]._gathering is not None)
        writer.write(large[1000:])
        async with asyncio.timeout(10):
            assert (await read_reply(reader)).status == 200  # what nobody took of the one before stops nobody
        writer.close()


async def test_a_body_behind_a_known_head_must_get_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as house:
        reader, writer = await connect(house.port)
        small = json.dumps(BODY).encode()
        for _ in range(3):
            writer.write(asked(small) + small)
            assert (await read_reply(reader)).status == 200
        monkeypatch.setattr(protocol, "BODY_WINDOW", 0.05)
        large = conversation(40)
        writer.write(asked(large) + large[:100_000])
        async with asyncio.timeout(10):
            assert (await read_reply(reader)).status == 408
            assert not await reader.read()
        assert house.intake.held == 0
        assert house.log[-1]["status"] == 499
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
        await until(lambda: house.lines)
        assert house.log[-1]["status"] == 499
        assert house.intake.held == 0
        assert watched.connections[0]._gathering is None


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
        body = json.dumps(BODY).encode() + b" " * LARGEST
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


class Transport:
    """One that is fed by the test. It is a connection's own way out, too."""

    def __init__(self) -> None:
        self.written = b""
        self.paused = self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_extra_info(self, _name: str) -> None:
        return None


async def fed(requests: list[bytes], cuts: dict[int, int]) -> tuple[list[bytes], bytes]:
    """What the application is told of requests that come cut at these places, and what it answers.

    `cuts`: place -> turns of the event loop that go by behind it.
    """
    told: list[bytes] = []
    intake = Intake(LARGEST, LARGEST)

    async def application(scope: Any, receive: Any, send: Cycle) -> None:
        headers = dict(scope["headers"])
        exchange: Any = SimpleNamespace(cycle=send, headers=headers)
        body = intake.at_once(exchange)
        if body is None:
            body = await intake.read(headers, receive, send)
        if send.facts is not None:
            send.facts.beside = ()
        told.append(bytes(body))
        send.answer(200, b"", b"")

    state = State(Server)
    config: Any = SimpleNamespace(loaded_app=application, timeout_keep_alive=60)
    protocol, transport = Protocol(config, state, {}), Transport()
    protocol.connection_made(transport)  # type: ignore[arg-type]
    stream = b"".join(requests)
    ends = sorted({*cuts, len(stream)})
    at = 0
    for end in ends:
        while at < end:
            assert not transport.closed, transport.written
            if transport.paused:
                await asyncio.sleep(0)
                continue
            room = protocol.get_buffer(-1)
            size = min(len(room), end - at)
            assert size
            room[:size] = stream[at : at + size]
            protocol.buffer_updated(size)
            at += size
        for _ in range(cuts.get(end, 0)):
            await asyncio.sleep(0)
    while state.tasks:
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    assert intake.held == 0
    return told, transport.written


SENT = [b"", b"{}", *(conversation(turns, mark="law") for turns in (1, 3, 5, 3, 30, 33))]


@given(st.data())
def test_wherever_requests_are_cut_each_is_told_as_it_was_sent(data: st.DataObject) -> None:
    sent = data.draw(st.lists(st.sampled_from(SENT), min_size=1, max_size=6))
    chunked = data.draw(st.sets(st.sampled_from(range(len(sent)))))
    raw: list[bytes] = []
    for index, body in enumerate(sent):
        if index in chunked and body:
            lines = asked(body).replace(b"content-length: %d" % len(body), b"transfer-encoding: chunked")
            raw.append(b"%b%x\r\n%b\r\n0\r\n\r\n" % (lines, len(body), body))
        else:
            raw.append(asked(body) + body)
    cuts: dict[int, int] = {}
    at = 0
    for each in raw:
        inside = st.one_of(st.integers(1, len(each)), st.integers(1, min(len(each), 200)))
        for place, turns in data.draw(st.lists(st.tuples(inside, st.integers(0, 4)), max_size=3)):
            cuts[at + place] = turns
        at += len(each)
        if data.draw(st.integers(0, 3)):  # mostly a caller waits for its answer
            cuts[at] = 5
    told, answered = asyncio.run(fed(raw, cuts))
    assert told == sent
    assert answered.count(b"HTTP/1.1 200") == len(sent)
