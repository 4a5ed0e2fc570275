"""What the chosen stack costs before it does anything: uvicorn takes a request, aiohttp passes it on, bytes come back.

    python bench/floor.py --upstream URL --port PORT

No decoding, no translation, no account: what the gateway costs beyond this is the gateway's own work. The event loop,
the parser, the pool without a limit and the garbage collector are set as the gateway sets them.
"""

import argparse
import gc
from typing import Any

import aiohttp
import uvicorn


class Floor:
    """The ASGI application. Streams are passed on read by read, other answers at once."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        message = await receive()
        pieces = [message["body"]]
        while message["more_body"]:
            message = await receive()
            pieces.append(message["body"])
        if scope["method"] == "GET":  # whether it runs
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        assert self._session is not None
        headers = {"content-type": "application/json"}
        async with self._session.post(self._upstream, data=b"".join(pieces), headers=headers) as answer:
            kind = answer.headers["content-type"].encode()
            if kind.startswith(b"text/event-stream"):
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
                while chunk := await answer.content.readany():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                return
            body = await answer.read()
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind), length]})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._session.close()
        await send({"type": "lifespan.shutdown.complete"})


def main() -> None:
    parser = argparse.ArgumentParser(description="A pass-through on the gateway's stack.")
    parser.add_argument("--upstream", required=True, help="URL that every POST goes to")
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    uvicorn.run(
        Floor(chosen.upstream),
        port=chosen.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_level="warning",
        backlog=2048,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
