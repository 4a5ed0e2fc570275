"""One request through an application without a server."""

import asyncio
from typing import Any

import pytest

from dragoman.cli.live import Live, Reply

pytestmark = pytest.mark.anyio


class Application:
    """Answers as it was told, and remembers."""

    def __init__(self, *chunks: bytes, wait: bool = False) -> None:
        self.chunks = chunks
        self.wait = wait
        self.life: list[str] = []
        self.headers: dict[bytes, bytes] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                self.life.append((await receive())["type"])
                await send({"type": self.life[-1] + ".complete"})
            return
        self.headers = dict(scope["headers"])
        if self.wait:
            await asyncio.Event().wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})


async def test_a_request_within_a_lifespan() -> None:
    application = Application(b'{"usage": {"output_tokens": 1,', b' "input_tokens": 8}}')
    async with Live(application, "sesame") as gateway:
        reply = await gateway.ask("lab/m", 5)
    assert reply.message() == "answered with 1 tokens, 8 in"
    assert application.headers[b"x-dragoman-token"] == b"sesame"
    assert application.life == ["lifespan.startup", "lifespan.shutdown"]


async def test_without_token_and_without_an_answer() -> None:
    application = Application(wait=True)
    async with Live(application) as gateway:
        reply = await gateway.ask("lab/m", 0.05)
    assert reply.status == 0
    assert "no answer within" in reply.message()
    assert b"x-dragoman-token" not in application.headers


def test_what_is_no_json() -> None:
    assert Reply(502, b"<html>").message() == "no JSON"
