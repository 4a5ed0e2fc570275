"""A child process: one for all callers, started again when it dies, with a limit, and gone with the gateway."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dragoman.messages.errors import ApiError
from dragoman.sidecar.child import DEATHS, WITHIN, Address, Child

pytestmark = pytest.mark.anyio

STAND_IN = str(Path(__file__).with_name("stand_in.py"))
BODY = b'{"model": "any"}'


class Told:
    """The lines for the log, and somebody who waits for them."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, text: str) -> None:
        self.lines.put_nowait(text)

    async def next(self) -> str:
        async with asyncio.timeout(20):
            return await self.lines.get()


@asynccontextmanager
async def child(*words: str, command: tuple[str, ...] = (), **options: Any) -> AsyncIterator[tuple[Child, Told]]:
    told = Told()
    made = Child("LiteLLM", command or (sys.executable, "-u", STAND_IN, *words), {"A": "b"}, told, **options)
    try:
        yield made, told
    finally:
        await made.close()


async def process_of(address: Address) -> int:
    """Ask the server who it is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(address.origin).port)
    head = f"POST /v1/chat/completions HTTP/1.0\r\nauthorization: Bearer {address.key}\r\n"
    writer.write(f"{head}content-length: {len(BODY)}\r\n\r\n".encode() + BODY)
    answer = await reader.read()
    writer.close()
    found = re.search(rb'"content": "(\d+) any ([^"]*)"', answer)
    assert found is not None, answer
    assert {"A", "LITELLM_MASTER_KEY"} <= set(found[2].decode().split(",")) <= {"A", "LITELLM_MASTER_KEY", "LC_CTYPE"}
    return int(found[1])


async def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


async def test_one_for_all_callers_that_ends_with_the_gateway() -> None:
    async with child() as (made, told):
        first, second = await asyncio.gather(made.address(), made.address())
        assert first == second
        assert first.key not in repr(first)
        process = await process_of(first)
    assert await gone(process)
    assert told.lines.empty()
    with pytest.raises(ApiError, match="stopping"):
        await made.address()


async def test_nothing_is_started_before_it_is_needed() -> None:
    async with child(command=("/nonexistent",)) as (_, told):
        assert told.lines.empty()


async def test_a_caller_that_leaves_does_not_end_the_start() -> None:
    async with child() as (made, _):
        waiting = asyncio.create_task(made.address())
        staying = asyncio.create_task(made.address())
        await asyncio.sleep(0)
        waiting.cancel()
        assert (await staying).origin.startswith("http://127.0.0.1:")


async def test_it_is_started_again_when_it_dies() -> None:
    async with child() as (made, told):
        before = await made.address()
        process = await process_of(before)
        os.kill(process, signal.SIGKILL)
        assert await told.next() == "LiteLLM ended (-9). Its last words: listens on port " + before.origin[17:]
        after = await made.address()
        assert after.key != before.key
        assert await process_of(after) != process


async def test_it_is_not_started_again_and_again() -> None:
    now = 0.0
    async with child("die", clock=lambda: now) as (made, told):
        for _ in range(DEATHS):
            with pytest.raises(ApiError, match=r"could not be started. dragoman's log") as caught:
                await made.address()
            assert caught.value.retryable is False
            assert await told.next() == "LiteLLM ended (1). Its last words: no such module: luck"
        with pytest.raises(ApiError, match="died 5 times within 60 s"):
            await made.address()
        now = WITHIN
        with pytest.raises(ApiError, match="could not be started"):
            await made.address()


async def test_one_that_died_often_waits_for_the_next_caller() -> None:
    async with child(clock=lambda: 0.0) as (made, told):
        for _ in range(DEATHS):
            os.kill(await process_of(await made.address()), signal.SIGKILL)
            assert "ended (-9)" in await told.next()
        with pytest.raises(ApiError, match="died 5 times"):
            await made.address()


async def test_a_program_that_is_not_there() -> None:
    async with child(command=("/nonexistent/python",)) as (made, told):
        with pytest.raises(ApiError, match="could not be started"):
            await made.address()
        assert await told.next() == "LiteLLM ended (None). Its last words: No such file or directory"


async def test_one_that_never_listens() -> None:
    async with child("mute", start_limit=0.3) as (made, told):
        with pytest.raises(ApiError, match="could not be started"):
            await made.address()
        assert "ended (-9)" in await told.next()


async def test_one_that_is_stopped_while_it_starts() -> None:
    async with child("mute") as (made, told):
        waiting = asyncio.create_task(made.address())
        await asyncio.sleep(0)
    with pytest.raises(ApiError, match="could not be started"):
        await waiting
    assert told.lines.empty()


async def test_one_that_does_not_want_to_end() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('listens on port 1', flush=True)"
    command = (sys.executable, "-c", f"{deaf}; time.sleep(600)")
    async with child(command=command, stop_limit=0.1) as (made, _):
        assert (await made.address()).origin == "http://127.0.0.1:1"
