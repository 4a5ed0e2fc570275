"""server/claude: what a provider says about its own models, and how long it is believed."""

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from dragoman.gateway.forwarding import Asked
from dragoman.messages.errors import ApiError
from dragoman.server import claude
from dragoman.server.claude import ClaudeModels

pytestmark = pytest.mark.anyio

CALLER = (("x-api-key", "dummy"),)


class Answer:
    def __init__(self, status: int, *pieces: bytes) -> None:
        self.status = status
        self._pieces = [*filter(None, pieces), b""]

    async def read(self) -> bytes:
        return self._pieces.pop(0)

    def close(self) -> None:
        self._pieces = []


class Forwarding:
    """Tells these models; raises what is an error; with `hold`, later."""

    def __init__(self, *names: str, auth: str = "x-api-key", status: int = 200) -> None:
        self.names: Sequence[str] = names
        self.target = SimpleNamespace(provider="origin", auth=auth)
        self.failure: ApiError | None = None
        self.hold: asyncio.Event | None = None
        self.asked: list[tuple[Asked, Sequence[tuple[str, str]]]] = []
        self._status = status

    async def send(self, asked: Asked, caller: Sequence[tuple[str, str]] = ()) -> Answer:
        self.asked.append((asked, tuple(caller)))
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        body = json.dumps({"data": [{"id": name} for name in self.names]}).encode()
        return Answer(self._status, body[:15], body[15:])


class Routes:
    """Leads names that begin with `claude` to the provider, and old ones to another model there."""

    def route(self, name: str) -> Any:
        if not name.startswith("claude"):
            raise ApiError("not_found", "no such model")
        model = "claude-new" if name == "claude-old" else name
        provider = "other" if name == "claude-other" else "origin"
        return SimpleNamespace(targets=(SimpleNamespace(provider=provider, model=model),))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(forwarding: Forwarding, clock: Clock | None = None, caller: Sequence[tuple[str, str]] = ()) -> ClaudeModels:
    return ClaudeModels(forwarding, Routes(), lambda _headers: caller, clock or Clock())  # type: ignore[arg-type]


async def test_only_names_that_lead_to_that_very_model() -> None:
    forwarding = Forwarding("claude-new", "claude-old", "claude-other", "unknown")
    found = await made(forwarding).entries({})
    assert {name: bytes(entry) for name, entry in found.items()} == {"claude-new": b'{"id": "claude-new"}'}
    ((asked, caller),) = forwarding.asked
    assert (asked.method, asked.path, asked.query, caller) == ("GET", "/v1/models", "limit=1000", ())
    assert dict(asked.headers)["anthropic-version"]


async def test_a_list_is_believed_for_a_while() -> None:
    clock, forwarding = Clock(), Forwarding("claude-new")
    models = made(forwarding, clock)
    for _ in range(2):
        await models.entries({})
    clock.now += claude.LIFE
    forwarding.names = ("claude-newest",)
    assert list(await models.entries({})) == ["claude-newest"]
    assert len(forwarding.asked) == 2


@pytest.mark.parametrize("status", [200, 404])
async def test_after_a_failure_nobody_asks_for_a_while(status: int) -> None:
    clock, forwarding = Clock(), Forwarding("claude-new", status=status)
    forwarding.failure = ApiError("unreachable", "gone") if status == 200 else None
    models = made(forwarding, clock)
    for _ in range(2):
        assert await models.entries({}) == {}
    assert len(forwarding.asked) == 1
    clock.now += claude.FAILURE_LIFE
    await models.entries({})
    assert len(forwarding.asked) == 2


async def test_who_asks_at_the_same_time_waits_for_the_same_answer() -> None:
    forwarding = Forwarding("claude-new")
    forwarding.hold = asyncio.Event()
    models = made(forwarding)
    asking = [asyncio.ensure_future(models.entries({})) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    forwarding.hold.set()
    assert [list(each) for each in await asyncio.gather(*asking[1:])] == [["claude-new"]] * 2
    assert len(forwarding.asked) == 1


async def test_nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claude, "PATIENCE", 0.01)
    forwarding = Forwarding("claude-new")
    forwarding.hold = asyncio.Event()
    assert await made(forwarding).entries({}) == {}


async def test_a_list_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claude, "LIMIT", 10)
    assert await made(Forwarding("claude-new")).entries({}) == {}  # not all was read


@pytest.mark.failure(140)
async def test_with_callers_keys_nothing_is_shared() -> None:
    forwarding = Forwarding("claude-new", auth="caller")
    assert await made(forwarding).entries({}) == {}
    models = made(forwarding, caller=CALLER)
    for _ in range(2):
        assert list(await models.entries({})) == ["claude-new"]
    assert [caller for _, caller in forwarding.asked] == [CALLER, CALLER]
