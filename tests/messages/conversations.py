"""Turns and blocks as clients send them, for the tests of what becomes of them."""

from typing import Any

import msgspec

from dragoman.messages.body import Block, Body
from dragoman.messages.request import decode

Json = dict[str, Any]


def body(**fields: Any) -> Body:
    fields = {"model": "m", "max_tokens": 1, "messages": [], **fields}
    return decode(msgspec.json.encode(fields)).body


def block(**fields: Any) -> Block:
    return msgspec.json.decode(msgspec.json.encode(fields), type=Block)


def user(*content: Any) -> Json:
    return {"role": "user", "content": content[0] if content and isinstance(content[0], str) else list(content)}


def assistant(*content: Any) -> Json:
    return {**user(*content), "role": "assistant"}


def system(*content: Any, **fields: Any) -> Json:
    return {**user(*content), "role": "system", **fields}


def text(said: str) -> Json:
    return {"type": "text", "text": said}


def call(id_: str, name: str = "Bash") -> Json:
    return {"type": "tool_use", "id": id_, "name": name, "input": {}}


def result(id_: str, content: Any = "out", **fields: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **fields}


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
