"""One application after another: the configuration changes while requests run, and no caller notices."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from dragoman.config.settings import Server
from dragoman.server.lifespan import live, settle

LAST_WORDS = 2.0  # seconds that applications of before get to end with the server


class Serving(Protocol):
    """What `Application` is to its successor."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]: ...

    def begin(self) -> None: ...

    def leave(self) -> None: ...

    async def close(self) -> None: ...

    async def end(self) -> None: ...


class Succession:
    """The ASGI application that holds the one that serves now. `settings` are those that it was built from.

    A request belongs to the one that was there when it came. One that was replaced ends with its last request.
    """

    def __init__(self, first: Serving, settings: Server, close: Callable[[], Awaitable[None]]) -> None:
        """`close`: awaited once, after all of them."""
        self.settings = settings
        self._now = first
        self._close = close
        self._ending: set[asyncio.Task[None]] = set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return live(self, receive, send)
        return self._now(scope, receive, send)

    def replace(self, successor: Serving, settings: Server) -> None:
        """New requests go to `successor` from now on."""
        before, self._now = self._now, successor
        self.settings = settings
        before.leave()
        successor.begin()
        ending = asyncio.create_task(self._end(before))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def begin(self) -> None:
        """The first one begins."""
        self._now.begin()

    async def close(self) -> None:
        """All of them end, whatever still runs."""
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=LAST_WORDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._now.close()
        await self._close()

    @staticmethod
    async def _end(before: Serving) -> None:
        await before.end()
        del before
        settle()  # what was frozen at the start would never be freed
