"""So many at the same time, so many that wait for their turn; nobody's place is lost."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from dragoman.config.settings import Config, Server
from dragoman.messages.errors import ApiError
from dragoman.server.admission import Admission
from dragoman.server.intake import Gone
from server_fixture import BODY, House, ask, connect, head, running

pytestmark = pytest.mark.anyio


class Caller:
    """One request at an endpoint that ends when the test says so."""

    def __init__(self, admission: Admission, order: list["Caller"]) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.receive: Any = self.messages.get
        self.heard: list[dict[str, Any]] = []
        self.release = asyncio.Event()
        self.order = order
        self.task = asyncio.ensure_future(admission.around(self.work)(self))  # type: ignore[arg-type]

    async def work(self, _exchange: Any) -> None:
        self.order.append(self)
        await self.release.wait()

    async def refused(self) -> BaseException:
        await asyncio.wait([self.task], timeout=5)
        found = self.task.exception()
        assert found is not None
        return found

    async def done(self) -> None:
        self.release.set()
        await asyncio.wait_for(self.task, 5)
        await turn()


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def made(places: int = 1, queue: int = 2, patience: float = 30) -> tuple[Admission, Callable[[], Caller], list[Caller]]:
    admission, order = Admission(), list[Caller]()
    admission.allow(places, queue, patience)
    return admission, lambda: Caller(admission, order), order


async def test_first_come_first_served_and_the_rest_is_told_to_come_again() -> None:
    admission, caller, order = made()
    first, second, third, fourth = [caller() for _ in range(4)]
    refusal = await fourth.refused()
    assert isinstance(refusal, ApiError)
    assert (refusal.status, refusal.type, refusal.retry_after) == (529, "overloaded_error", 5)
    assert "server.queue" in refusal.message
    await first.done()
    assert order == [first, second]
    await second.done()
    await third.done()
    assert order == [first, second, third]
    assert admission.running == 0


async def test_who_waited_too_long_is_told() -> None:
    admission, caller, _ = made(patience=0.01)
    first, second = caller(), caller()
    refusal = await second.refused()
    assert isinstance(refusal, ApiError)
    assert "server.queue_timeout" in refusal.message
    await first.done()
    assert admission.running == 0


async def test_who_leaves_waits_no_more() -> None:
    admission, caller, order = made()
    first, leaves, third = caller(), caller(), caller()
    await turn()
    leaves.messages.put_nowait({"type": "http.request", "body": b"all", "more_body": False})
    await turn()
    leaves.messages.put_nowait({"type": "http.disconnect"})
    assert isinstance(await leaves.refused(), Gone)
    await first.done()
    assert order == [first, third]
    await third.done()
    assert admission.running == 0


@pytest.mark.parametrize("more", [True, False])
async def test_what_was_heard_while_waiting_is_not_lost(more: bool) -> None:
    admission, caller, _ = made()
    first, second = caller(), caller()
    await turn()
    second.messages.put_nowait({"type": "http.request", "body": b"one", "more_body": more})
    await turn()
    second.messages.put_nowait({"type": "http.request", "body": b"two", "more_body": False})
    await turn()
    await first.done()
    assert (await second.receive())["body"] == b"one"
    if more:
        assert (await second.receive())["body"] == b"two"
    await second.done()
    assert admission.running == 0


@pytest.mark.parametrize("late", [True, False])
async def test_a_place_that_comes_too_late_goes_to_the_next(late: bool) -> None:
    admission, caller, order = made()
    first, cancelled, third = caller(), caller(), caller()
    await turn()
    if late:
        first.release.set()
        await asyncio.sleep(0)
        while not first.task.done():
            await asyncio.sleep(0)
    cancelled.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled.task
    await first.done()
    await turn()
    assert order == [first, third]
    await third.done()
    assert admission.running == 0


async def test_other_numbers_take_effect_at_once() -> None:
    admission, caller, order = made(places=1, queue=3)
    callers = [caller() for _ in range(4)]
    await turn()
    admission.allow(3, 3, 30)
    await turn()
    assert order == callers[:3]
    admission.allow(1, 3, 30)
    await callers[0].done()
    await callers[1].done()
    assert order == callers[:3]  # one is still there, and that is what may be
    await callers[2].done()
    assert order == callers
    await callers[3].done()
    assert admission.running == 0


async def filled(house: House, release: asyncio.Event) -> "asyncio.Task[Any]":
    async def message() -> bytes:
        await release.wait()
        return b"{}"

    house.script.message = message
    asking = asyncio.ensure_future(house.ask("POST", "/v1/messages", BODY))
    async with asyncio.timeout(5):
        await house.script.entered.wait()
    return asking


async def test_over_the_wire() -> None:
    """Health, models and counting go on; who left while waiting is logged as such."""
    release = asyncio.Event()
    async with running(config=Config(server=Server(concurrent=1, queue=1))) as house:
        asking = await filled(house, release)
        raw = json.dumps(BODY).encode()
        _, writer = await connect(house.port)
        writer.write(head("POST", "/v1/messages", raw, {}) + raw)
        async with asyncio.timeout(5):
            while (refused := await ask(house.port, "POST", "/v1/messages", BODY)).status != 529:
                continue
        assert refused.headers["retry-after"] == "5"
        assert refused.json["error"]["type"] == "overloaded_error"
        for method, path, body in (
            ("GET", "/health/ready", None),
            ("GET", "/v1/models", None),
            ("POST", "/v1/messages/count_tokens", BODY),
        ):
            assert (await house.ask(method, path, body)).status in (200, 503)
        writer.close()
        async with asyncio.timeout(5):
            while house.log[-1]["status"] != 499:
                await asyncio.sleep(0.005)
        waiting = asyncio.ensure_future(house.ask("POST", "/v1/messages", BODY))
        release.set()
        assert (await asking).status == (await waiting).status == 200
        assert house.application.admission.running == 0
