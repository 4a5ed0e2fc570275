"""The benchmark's request bodies: a small one, and one as a coding agent sends it (234 KB)."""

import json
from pathlib import Path
from random import Random
from typing import Any

TEXT = (
    "the file system returns a list of paths and then parses each line to find tests that fail when cache is cold so "
    'we should check config values before we write code — don’t forget "quotes", back\\slashes, tabs\t and üñï©ode in '
    "tool output"
)


class Writer:
    """Makes texts of a given length, the same in every run."""

    def __init__(self) -> None:
        self.random = Random(7)

    def text(self, size: int) -> str:
        known = TEXT.split(" ")
        words: list[str] = []
        length = 0
        while length < size:
            word = self.random.choice(known)
            words.append(word)
            length += len(word) + 1
            if self.random.random() < 0.08:
                words.append("\n")
                length += 1
        return " ".join(words)[:size]

    def tool(self, number: int) -> dict[str, Any]:
        kinds = ("string", "number", "boolean")
        properties: dict[str, Any] = {
            f"param_{name}": {"type": self.random.choice(kinds), "description": self.text(110)} for name in range(6)
        }
        properties["items"] = {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": self.text(60)},
                    "mode": {"type": "string", "enum": ["read", "write", "append"]},
                },
                "required": ["path"],
                "additionalProperties": False,
            },
        }
        return {
            "name": f"Tool{number}",
            "description": self.text(900),
            "input_schema": {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object",
                "properties": properties,
                "required": ["param_0"],
                "additionalProperties": False,
            },
        }

    def round(self, number: int) -> list[dict[str, Any]]:
        """One turn of the user, with the result of the call before, and the next call."""
        content: list[dict[str, Any]] = [{"type": "text", "text": self.text(300)}]
        if number:
            result = [{"type": "text", "text": self.text(2600)}]
            identity = f"toolu_{number - 1:024d}"
            content = [{"type": "tool_result", "tool_use_id": identity, "content": result, "is_error": False}]
            if number % 5 == 0:
                content.append({"type": "text", "text": f"<system-reminder>{self.text(300)}</system-reminder>"})
        given = {
            "param_0": self.text(80),
            "param_1": number,
            "items": [{"path": f"/src/mod{number}.py", "mode": "read"}],
            "content": self.text(500),
        }
        call = {"type": "tool_use", "id": f"toolu_{number:024d}", "name": f"Tool{number % 40}", "input": given}
        said = {"type": "text", "text": self.text(150)}
        return [{"role": "user", "content": content}, {"role": "assistant", "content": [said, call]}]


def big(*, stream: bool) -> dict[str, Any]:
    """System blocks with cache breakpoints, 40 tools with schemas, 61 turns of calls and results, some not ASCII."""
    writer = Writer()
    cached = {"cache_control": {"type": "ephemeral"}}
    system = [
        {"type": "text", "text": "You are a coding agent that works in a terminal.", **cached},
        {"type": "text", "text": writer.text(10_000), **cached},
        {"type": "text", "text": writer.text(10_000)},
    ]
    tools = [writer.tool(number) for number in range(40)]
    tools[-1] |= cached
    turns = [turn for number in range(30) for turn in writer.round(number)]
    last = {"type": "tool_result", "tool_use_id": f"toolu_{29:024d}", "content": writer.text(400), **cached}
    return {
        "model": "claude-sonnet-4-5",
        "max_tokens": 32_000,
        "system": system,
        "messages": [*turns, {"role": "user", "content": [last]}],
        "tools": tools,
        "temperature": 1,
        "metadata": {"user_id": "user_" + "a" * 64},
        "stream": stream,
    }


def small(*, stream: bool) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-5",
        "max_tokens": 256,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Say hello in one line."}],
        "stream": stream,
    }


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def write(folder: Path) -> dict[str, Path]:
    """Writes the bodies into a folder; their files by name."""
    found = {
        "small": small(stream=False),
        "small_stream": small(stream=True),
        "big": big(stream=False),
    }
    files = {name: folder / f"{name}.json" for name in found}
    for name, body in found.items():
        files[name].write_bytes(encoded(body))
    return files
