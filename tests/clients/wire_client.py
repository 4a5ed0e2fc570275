"""A plain HTTP client for tests: one request, its status, its headers and its JSON or its events."""

import json
import urllib.error
import urllib.request
from typing import Any

from msgspec import Struct

from clients.responses_rules import Json

LIMIT = 30  # seconds


class Reply(Struct):
    status: int
    headers: dict[str, str]
    body: Any  # JSON, or the list of events of a stream


def post(url: str, body: Json, **headers: str) -> Reply:
    """`_` in the name of a header stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json", **named})
    try:
        with urllib.request.urlopen(asked, timeout=LIMIT) as answer:
            return _reply(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return _reply(error.code, error.headers, error.read())


def message(url: str, text: str | list[Json] = "Hello", **more: Any) -> Reply:
    """Ask the gateway at `url`; `text` may be a whole history."""
    turns = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return post(f"{url}/v1/messages", {"model": "sonnet", "max_tokens": 4000, "messages": turns, **more})


def said(reply: Reply) -> str:
    """The text of an answer, streamed or not."""
    assert reply.status == 200, reply.body
    if isinstance(reply.body, list):
        return "".join(event["delta"].get("text", "") for event in reply.body if "delta" in event)
    return "".join(block.get("text", "") for block in reply.body["content"])


def _reply(status: int, headers: Any, raw: bytes) -> Reply:
    found = {name.lower(): value for name, value in headers.items()}
    if found.get("content-type", "").startswith("text/event-stream"):
        frames = [frame for frame in raw.decode().split("\n\n") if frame]
        return Reply(status, found, [json.loads(frame.partition("data: ")[2]) for frame in frames])
    return Reply(status, found, json.loads(raw))
