"""gateway/journey, where bytes of a stream go on in the call that they came in. Real sockets: tests/playbook."""

import asyncio
import json
from collections.abc import Callable

import pytest

from dragoman.gateway.journey import Journey
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode
from playbook.transcript import Head, MemoryAnswer, Playbook, short

pytestmark = pytest.mark.anyio

RAW = json.dumps(
    {"model": "claude-test", "max_tokens": 10, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
).encode()
BEGIN = ["message_start", "start 0 text", "delta 0 Hi"]
FINISH = ["stop 0", "message_delta end_turn", "message_stop"]


class Spring(MemoryAnswer):
    """An answer that pours."""

    def __init__(self) -> None:
        super().__init__(Head(200))
        self.take: Callable[[bytes], bool] | None = None
        self.poured: list[asyncio.Future[None]] = []

    async def read(self) -> bytes:
        if self.closed:
            raise ApiError("unreachable", "The connection was closed.")
        return await super().read()

    def close(self) -> None:
        super().close()
        if self.take is not None:
            self.stop()

    async def pour(self, take: Callable[[bytes], bool]) -> None:
        self.take = take
        self.poured.append(asyncio.get_running_loop().create_future())
        try:
            await self.poured[-1]
        finally:
            self.take = None

    def come(self, line: str) -> None:
        """A line comes over the connection."""
        assert self.take is not None
        if not self.take(f"{line}\n".encode()):
            self.stop()

    def stop(self) -> None:
        self.take = None
        self.poured[-1].set_result(None)

    async def pouring(self) -> None:
        """Wait until the gateway takes what comes."""
        async with asyncio.timeout(5):
            while self.take is None:
                await asyncio.sleep(0)


class Caller:
    """Who reads the stream. `room`: what `send` returns; `fails`: what it raises."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.room: asyncio.Future[None] | None = None
        self.fails: Exception | None = None

    def send(self, frames: bytes) -> asyncio.Future[None] | None:
        if self.fails is not None:
            raise self.fails
        self.sent += [short(each) for each in frames.decode().split("\n\n")[:-1]]
        return self.room


class Scene:
    """A stream that is under way: its first content is told."""

    def __init__(self, **settings: float) -> None:
        self.playbook = Playbook(**settings)
        self.caller = Caller()
        self.answer = Spring()
        self.journey: Journey
        self.task: asyncio.Task[None]

    async def begin(self) -> None:
        self.journey = self.playbook.gateway.begin(decode(RAW), "req_1")
        self.task = asyncio.create_task(self._run())
        (await self.playbook.calls.get()).answer.set_result(self.answer)
        self.answer.waiting.put_nowait(b"text Hi\n")
        await self.answer.pouring()

    async def _run(self) -> None:
        try:
            await self.journey.hold()
            await self.journey.stream(self.caller.send)
        finally:
            self.journey.close()


async def test_bytes_go_on_at_once_and_no_task_wakes_up_for_them() -> None:
    scene = Scene()
    await scene.begin()
    assert scene.caller.sent == BEGIN
    for word in "abc":
        scene.answer.come(f"text {word}")
        assert scene.caller.sent[-1] == f"delta 0 {word}"
    scene.answer.come("# nothing to tell")
    assert len(scene.answer.poured) == 1
    scene.answer.come("stop")
    scene.answer.come("end")
    await scene.task
    assert scene.caller.sent == [*BEGIN, "delta 0 a", "delta 0 b", "delta 0 c", *FINISH]
    record = scene.playbook.record
    assert (record.status, record.stop_reason, record.error) == (200, "end_turn", None)
    assert record.answer_bytes > 500


async def test_what_was_asked_is_let_go_of_when_the_answer_is_committed() -> None:
    scene = Scene()
    await scene.begin()
    pursuit = scene.journey._pursuit
    assert (pursuit._request, pursuit._call) == (None, None)
    assert [note.code for note in scene.journey.record.notes] == ["route.note", "lines.lab"]
    scene.answer.come("stop")
    scene.answer.come("end")
    await scene.task
    assert [note.code for note in scene.playbook.record.notes] == ["route.note", "lines.lab", "usage.estimated"]


async def test_the_end_of_the_bytes_is_read() -> None:
    scene = Scene()
    await scene.begin()
    scene.answer.waiting.put_nowait(b"stop\nend\n")
    scene.answer.stop()
    await scene.task
    assert scene.caller.sent == [*BEGIN, *FINISH]


@pytest.mark.failure(102)
async def test_a_slow_caller_stops_the_pouring() -> None:
    scene = Scene()
    await scene.begin()
    room = scene.caller.room = asyncio.get_running_loop().create_future()
    scene.answer.come("text a")
    assert scene.answer.take is None
    scene.answer.waiting.put_nowait(b"text b\n")
    for _ in range(20):
        await asyncio.sleep(0)
    assert scene.caller.sent == [*BEGIN, "delta 0 a"]  # nothing is read while it does not read
    scene.caller.room = None
    room.set_result(None)
    await scene.answer.pouring()
    assert scene.caller.sent[-1] == "delta 0 b"
    scene.answer.come("stop")
    scene.answer.come("end")
    await scene.task
    assert scene.caller.sent[-2:] == FINISH[-2:]


@pytest.mark.failure(101)
async def test_a_slow_caller_leaves_in_the_same_moment() -> None:
    """What `send` returned is a coroutine that nobody came to wait for; the suite would fail on it."""
    scene = Scene()
    await scene.begin()

    async def room() -> None:
        await asyncio.Event().wait()

    scene.caller.room = room()  # type: ignore[assignment]
    scene.answer.come("text a")
    scene.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scene.task
    assert scene.answer.closed
    assert scene.playbook.record.caller_left


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("error overloaded Too many.", "error overloaded_error: Too many."),
        ("crash", "error api_error: dragoman failed on this request. Its log has the details."),
    ],
)
async def test_a_failure_is_told(line: str, told: str) -> None:
    scene = Scene()
    await scene.begin()
    scene.answer.come(line)
    await scene.task
    assert scene.caller.sent == [*BEGIN, told]
    assert scene.answer.closed
    record = scene.playbook.record
    assert isinstance(record.crash, ZeroDivisionError) == (line == "crash")


@pytest.mark.failure(101)
async def test_what_cannot_be_written_ends_the_stream() -> None:
    scene = Scene()
    await scene.begin()
    scene.caller.fails = ConnectionResetError("the caller is gone")
    scene.answer.come("text a")
    with pytest.raises(ConnectionResetError):
        await scene.task
    assert scene.answer.closed


@pytest.mark.failure(99)
async def test_pings_fill_the_silence_and_bytes_wait_for_one_that_is_on_its_way() -> None:
    scene = Scene(ping_every=0.01)
    await scene.begin()
    room = scene.caller.room = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(5):
        while scene.caller.sent[-1] != "ping":
            await asyncio.sleep(0)
    scene.answer.come("text a")
    for _ in range(20):
        await asyncio.sleep(0)
    assert scene.caller.sent == [*BEGIN, "ping"]
    scene.caller.room = None
    room.set_result(None)
    await scene.answer.pouring()
    assert scene.caller.sent[:5] == [*BEGIN, "ping", "delta 0 a"]
    scene.answer.come("stop")
    scene.answer.come("end")
    await scene.task


@pytest.mark.failure(100)
async def test_silence_is_given_up() -> None:
    scene = Scene(read_idle=0.03, ping_every=0.01)
    await scene.begin()
    async with asyncio.timeout(5):
        await scene.task
    assert scene.caller.sent[-1] == (
        "error timeout_error: The upstream was silent for 0.03 s. server.read_idle sets this limit."
    )
