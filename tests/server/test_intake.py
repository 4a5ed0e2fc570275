"""Bodies are bounded before they are believed."""

import asyncio
import gzip
import os
from typing import Any

import pytest

from dragoman.messages.errors import ApiError
from dragoman.server.intake import STEP, Gone, Intake

pytestmark = pytest.mark.anyio

GZIP = {b"content-encoding": b"gzip"}


def pieces(*bodies: bytes | None) -> Any:
    """A `receive` that gives these bodies; None is a disconnect, and after the last one it hangs."""
    rest = list(bodies)

    async def receive() -> dict[str, Any]:
        if not rest:
            await asyncio.Event().wait()
        body = rest.pop(0)
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": bool(rest)}

    return receive


def endless(*bodies: bytes) -> Any:
    """The same, but the body never ends."""
    receive = pieces(*bodies, b"")

    async def more() -> Any:
        return await receive() | {"more_body": True}

    return more


def intake(limit: int = 1000, together: int = 10_000) -> Intake:
    return Intake(limit, together)


async def refused(coroutine: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await coroutine
    return caught.value


async def test_one_piece_and_many() -> None:
    reading = intake()
    assert await reading.read({}, pieces(b"abc")) == b"abc"
    assert await reading.read({b"content-length": b"6"}, pieces(b"ab", b"", b"cd", b"ef")) == b"abcdef"
    assert await reading.read({b"content-encoding": b"identity"}, pieces(b"abc")) == b"abc"
    assert await reading.read({}, pieces(b"")) == b""
    assert reading.held == 0


@pytest.mark.failure(124)
async def test_the_declared_length_is_enough_to_refuse() -> None:
    reading = intake(limit=10)
    for declared in (b"11", b"9" * 5000, b"-1", b"ten"):
        error = await refused(reading.read({b"content-length": declared}, pieces(b"x")))
        assert error.kind == "too_large"
        assert "server.body_limit" in error.message
    assert reading.held == 0


async def test_undeclared_lengths_are_counted() -> None:
    reading = intake(limit=10)
    assert await reading.read({}, pieces(b"x" * 5, b"x" * 5)) == b"x" * 10
    assert (await refused(reading.read({}, pieces(b"x" * 11)))).kind == "too_large"
    assert (await refused(reading.read({}, endless(b"x" * 6, b"x" * 6)))).kind == "too_large"
    assert reading.held == 0


async def test_all_bodies_together_are_bounded() -> None:
    reading = intake(limit=100, together=150)
    declared = asyncio.ensure_future(reading.read({b"content-length": b"100"}, endless(b"x")))
    await asyncio.sleep(0)
    assert reading.held == 100
    error = await refused(reading.read({b"content-length": b"51"}, pieces(b"x" * 51)))
    assert (error.status, error.retry_after) == (529, 1)
    assert (await refused(reading.read({}, endless(b"x" * 30, b"x" * 30)))).kind == "overloaded"  # grows as it comes
    assert await reading.read({b"content-length": b"50"}, pieces(b"x" * 50)) == b"x" * 50
    declared.cancel()
    with pytest.raises(asyncio.CancelledError):
        await declared
    assert reading.held == 0


async def test_a_caller_who_leaves() -> None:
    reading = intake()
    with pytest.raises(Gone):
        await reading.read({}, pieces(b"x", None))
    assert reading.held == 0


@pytest.mark.failure(103)
async def test_gzip() -> None:
    reading = intake(limit=4 * STEP)
    noise = os.urandom(STEP // 2)
    for body in (b"abc", b"x" * 3 * STEP, noise):
        assert await reading.read(GZIP, pieces(gzip.compress(body))) == body
    packed = gzip.compress(b"one ") + gzip.compress(b"two")
    assert await reading.read({b"content-encoding": b" X-GZIP "}, pieces(packed[:7], packed[7:])) == b"one two"


@pytest.mark.failure(124)
async def test_a_bomb_stays_small() -> None:
    bomb = gzip.compress(b"0" * 50 * STEP)
    assert len(bomb) < 100_000
    error = await refused(intake(limit=2 * STEP).read(GZIP, pieces(bomb)))
    assert error.kind == "too_large"


async def test_other_tasks_run_while_a_body_is_unpacked() -> None:
    steps = 0

    async def tick() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    ticking = asyncio.ensure_future(tick())
    await intake(limit=20 * STEP).read(GZIP, pieces(gzip.compress(b"0" * 10 * STEP)))
    ticking.cancel()
    assert steps >= 10


# Named: gzip writes the time into its bytes, and the processes that run the tests must agree on the names.
@pytest.mark.parametrize(
    "packed",
    [b"", b"{}", gzip.compress(b"abc", mtime=0)[:-1], gzip.compress(b"abc", mtime=0) + b"tail"],
    ids=["nothing", "plain", "cut", "with a tail"],
)
async def test_broken_gzip(packed: bytes) -> None:
    error = await refused(intake().read(GZIP, pieces(packed)))
    assert error.kind == "invalid_request"
    assert "gzip" in error.message


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"deflate", b"gzip, gzip"])
async def test_other_encodings(encoding: bytes) -> None:
    error = await refused(intake().read({b"content-encoding": encoding}, pieces(b"")))
    assert error.status == 415
    assert "gzip" in error.message
