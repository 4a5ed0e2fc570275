"""What serves begins and ends with its server, and garbage is collected less in between."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from dragoman.server import lifespan

pytestmark = pytest.mark.anyio


class Living:
    def __init__(self) -> None:
        self.life: list[str] = []

    def begin(self) -> None:
        self.life.append("begin")

    async def close(self) -> None:
        self.life.append("close")


@pytest.fixture
def _frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lifespan, "gc", gc)
    yield
    gc.freeze()


def told(*kinds: str) -> Callable[[], Awaitable[dict[str, Any]]]:
    messages = iter(kinds)

    async def receive() -> dict[str, Any]:
        kind = next(messages, None)
        if kind is None:
            raise asyncio.CancelledError
        return {"type": f"lifespan.{kind}"}

    return receive


@pytest.mark.usefixtures("_frozen")
@pytest.mark.parametrize("kinds", [("startup", "shutdown"), ("startup",)])
async def test_what_stays_is_left_alone_while_it_lives(kinds: tuple[str, ...]) -> None:
    living, sent, seen = Living(), [], []
    before = gc.get_threshold()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])
        seen.append((gc.get_freeze_count() > 10_000, gc.get_threshold()))

    try:
        await lifespan.live(living, told(*kinds), send)  # type: ignore[arg-type]
    except asyncio.CancelledError:
        assert kinds == ("startup",)
    assert living.life == ["begin", "close"]
    assert sent == [f"lifespan.{kind}.complete" for kind in kinds]
    assert seen[0] == (True, lifespan._THRESHOLDS)
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
