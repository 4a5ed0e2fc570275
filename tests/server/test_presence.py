"""Who leaves is noticed; who is served quickly is never watched."""

import asyncio
import gc

import pytest

from dragoman.server.presence import Presence

pytestmark = pytest.mark.anyio


class Caller:
    def __init__(self) -> None:
        self.asked = 0
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        self.asked += 1
        if self.asked == 1:
            return {"type": "http.request"}  # a last empty piece of the body
        await self.left.wait()
        return {"type": "http.disconnect"}


async def test_a_short_request_pays_nothing() -> None:
    caller = Caller()
    presence = Presence(caller.receive, patience=0.01)
    presence.stop()
    await asyncio.sleep(0.03)
    assert caller.asked == 0
    assert not presence.gone


@pytest.mark.failure(101)
async def test_the_work_is_cancelled() -> None:
    caller = Caller()
    seen = asyncio.Event()

    async def work() -> bool:
        presence = Presence(caller.receive, patience=0)
        try:
            seen.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return presence.gone
        finally:
            presence.stop()
        return False

    working = asyncio.ensure_future(work())
    await seen.wait()
    caller.left.set()
    assert await asyncio.wait_for(working, 5)


async def test_after_stop_nobody_is_cancelled() -> None:
    caller = Caller()
    presence = Presence(caller.receive, patience=0)
    await asyncio.sleep(0.01)
    presence.stop()
    caller.left.set()
    await asyncio.sleep(0.01)
    assert caller.asked == 2
    assert not presence.gone


async def test_only_a_task_can_watch() -> None:
    caller = Caller()
    failed = asyncio.get_running_loop().create_future()

    def outside() -> None:
        try:
            Presence(caller.receive)
        except RuntimeError as error:
            failed.set_result(error)

    asyncio.get_running_loop().call_soon(outside)
    assert "task" in str(await failed)


@pytest.mark.failure(144)
async def test_what_was_watched_is_freed_at_once() -> None:
    """And not when the garbage collector finds it: that is late for streams, whose frames are large."""
    caller = Caller()
    presence = Presence(caller.receive, patience=0)
    while caller.asked < 2:
        await asyncio.sleep(0)
    gc.collect()
    gc.disable()
    try:
        presence.stop()
        del presence
        for _ in range(5):
            await asyncio.sleep(0)
        mine = [each for each in gc.get_objects() if isinstance(each, Presence) and each._receive == caller.receive]
        assert not mine
    finally:
        gc.enable()
