"""One application after another: each ends with its last request, and none before."""

import asyncio
import logging
import weakref
from typing import Any

import pytest

from dragoman.config.settings import Config, Secrets, Server
from dragoman.server import succession
from dragoman.server.application import Application, build
from dragoman.server.succession import Succession
from server_fixture import BODY, ask, listening

pytestmark = pytest.mark.anyio


class Stage:
    """An application whose requests wait for the test."""

    def __init__(self, name: str, acts: list[str]) -> None:
        self.name = name
        self.acts = acts
        self.over = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.name.encode()})

    def begin(self) -> None:
        self.acts.append(f"{self.name} begins")

    def leave(self) -> None:
        self.acts.append(f"{self.name} leaves")

    async def close(self) -> None:
        self.acts.append(f"{self.name} closes")

    async def end(self) -> None:
        try:
            await self.over.wait()
        finally:
            await self.close()


def after(acts: list[str]) -> Any:
    async def close() -> None:
        acts.append("end")

    return close


async def test_the_next_request_goes_to_the_next() -> None:
    acts: list[str] = []
    first, second = Stage("first", acts), Stage("second", acts)
    gateway = Succession(first, Server(queue=1), after(acts))
    async with listening(gateway) as (port, _, _):
        assert (await ask(port, "GET", "/")).body == b"first"
        gateway.replace(second, Server(queue=2))
        assert gateway.settings.queue == 2
        assert (await ask(port, "GET", "/")).body == b"second"
        assert acts == ["first begins", "first leaves", "second begins"]
        first.over.set()
        async with asyncio.timeout(5):
            while acts[-1] != "first closes":
                await asyncio.sleep(0.005)
    assert acts[-2:] == ["second closes", "end"]


async def test_at_the_end_nobody_is_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "LAST_WORDS", 0.01)
    acts: list[str] = []
    gateway = Succession(Stage("first", acts), Server(), after(acts))
    async with listening(gateway):
        gateway.replace(Stage("second", acts), Server())
    assert acts[-3:] == ["first closes", "second closes", "end"]


@pytest.mark.failure(144, 145)
async def test_nothing_is_left_of_those_before() -> None:
    """Not their memory, which the garbage collector was told to leave alone, nor their place in the log."""
    lines: list[str] = []

    def made(old: Application | None = None) -> Application:
        admission = None if old is None else old.admission
        return build(Config(), Secrets({}), write=lines.append, admission=admission)

    first = made()
    gateway = Succession(first, Server(), after([]))
    async with listening(gateway) as (port, _, _):
        handlers = len(logging.getLogger("uvicorn").handlers)
        known = []
        for _ in range(5):
            known.append(weakref.ref(first))
            second = made(first)
            assert second.admission is first.admission
            first = second
            del second
            gateway.replace(first, Server())
            assert (await ask(port, "POST", "/v1/messages", BODY)).status == 404
        assert len(logging.getLogger("uvicorn").handlers) == handlers
        async with asyncio.timeout(5):
            while any(each() is not None for each in known):
                await asyncio.sleep(0.01)
    assert not any(type(each).__module__.startswith("dragoman") for each in logging.getLogger("uvicorn").handlers)


async def test_an_application_ends_with_its_last_request() -> None:
    closed = asyncio.Event()
    release, entered = asyncio.Event(), asyncio.Event()
    application = build(Config(), Secrets({}), write=lambda _: None)

    async def hold(exchange: Any) -> None:
        entered.set()
        await release.wait()
        await exchange.reply(200, b"{}")

    async def close() -> None:
        closed.set()

    application._hot["/hold"] = hold
    application._close = close
    async with listening(Succession(application, Server(), after([]))) as (port, _, _):
        asking = asyncio.ensure_future(ask(port, "POST", "/hold"))
        await asyncio.wait_for(entered.wait(), 5)
        ending = asyncio.ensure_future(application.end())
        await asyncio.sleep(0.05)
        assert not closed.is_set()
        release.set()
        assert (await asking).status == 200
        await asyncio.wait_for(ending, 5)
        assert closed.is_set()
