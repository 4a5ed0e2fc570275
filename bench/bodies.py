"""The benchmark's request bodies: small ones, and conversations as coding agents have them, about 234 KB long.

Nobody sends the same body twice. So the conversations belong to 20 sessions in 5 projects, each project with tools of
its own, and each grows by a turn from request to request; `loadgen` writes a number of its own over every STAMP.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

TEXT = (
    "the file system returns a list of paths and then parses each line to find tests that fail when cache is cold so "
    'we should check config values before we write code — don’t forget "quotes", back\\slashes, tabs\t and üñï©ode in '
    "tool output"
)


STAMP = "@" * 10
SESSIONS, PROJECTS = 20, 5
ROUNDS = range(26, 34)  # turns of the user in one conversation; the mean is 234 KB
TOOLS = 40


class Writer:
    """Makes texts of a given length, the same in every run."""

    def __init__(self, seed: int = 7) -> None:
        self.random = Random(seed)

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
        call = {"type": "tool_use", "id": f"toolu_{number:024d}", "name": f"Tool{number % TOOLS}", "input": given}
        said = {"type": "text", "text": self.text(150)}
        return [{"role": "user", "content": content}, {"role": "assistant", "content": [said, call]}]


class Session:
    """One agent at work in a project: what it sends with every request, and a conversation that grows."""

    def __init__(self, number: int = 0, *, tools: int = TOOLS, system: int = 20_000, rounds: int = ROUNDS.stop) -> None:
        """`tools` of them and `system` bytes of instructions; `rounds`: turns of the user that it can get to."""
        project = Writer(number % PROJECTS)
        mark = {"cache_control": {"type": "ephemeral"}}
        self.number = number
        self.system = [
            {"type": "text", "text": "You are a coding agent that works in a terminal.", **mark},
            {"type": "text", "text": project.text(system // 2), **mark},
            {"type": "text", "text": f"Session {number:03d}-{STAMP}\n{project.text(system // 2)}"},
        ]
        self.tools = [project.tool(each) for each in range(tools)]
        if self.tools:
            self.tools[-1] |= mark
        writer = Writer(1000 + number)
        self.rounds = [writer.round(each) for each in range(rounds)]

    def request(self, rounds: int, *, stream: bool) -> dict[str, Any]:
        """The request behind so many rounds; the newest turn is the result of the last one's call."""
        turns = [turn for each in self.rounds[:rounds] for turn in each]
        result = {
            "type": "tool_result",
            "tool_use_id": f"toolu_{rounds - 1:024d}",
            "content": Writer(rounds).text(400),
            "cache_control": {"type": "ephemeral"},
        }
        newest: list[dict[str, Any]] = [result] if rounds else [{"type": "text", "text": "Say hello in one line."}]
        return {
            "model": "claude-sonnet-4-5",
            "max_tokens": 32_000,
            "system": self.system,
            "messages": [*turns, {"role": "user", "content": newest}],
            "tools": self.tools,
            "temperature": 1,
            "metadata": {"user_id": f"user_{'a' * 50}_session_{self.number:03d}{STAMP}"},
            "stream": stream,
        }


def big(*, stream: bool) -> dict[str, Any]:
    """System blocks with cache breakpoints, 40 tools with schemas, 61 turns of calls and results, some not ASCII."""
    return Session().request(30, stream=stream)


def growing(*, stream: bool) -> Iterator[dict[str, Any]]:
    """All sessions, turn by turn."""
    sessions = [Session(number) for number in range(SESSIONS)]
    for rounds in ROUNDS:
        for session in sessions:
            yield session.request(rounds, stream=stream)


def sized(size: int) -> list[dict[str, Any]]:
    """Requests of about so many bytes: tools and instructions as far as they fit, then turns, then a text."""
    tools, system = min(TOOLS, size // 6000), min(20_000, size // 10)
    least = len(encoded(Session(tools=tools, system=system, rounds=0).request(0, stream=False)))
    rounds = max(0, (size - least) // 3850)
    found = []
    for number in range(max(1, min(SESSIONS, 20_000_000 // size))):
        session = Session(number, tools=tools, system=system, rounds=rounds)
        request = session.request(rounds, stream=False)
        missing = size - len(encoded(request))
        if missing > 50:
            request["messages"][-1]["content"].append({"type": "text", "text": Writer(number).text(missing - 50)})
        found.append(request)
    return found


def small(*, stream: bool) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-5",
        "max_tokens": 256,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": f"Say {STAMP} in one line."}],
        "stream": stream,
    }


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def write(folder: Path) -> dict[str, Path]:
    """Writes the bodies into a folder, one a line; their files by name."""
    found = {
        "small": [small(stream=False)],
        "small_stream": [small(stream=True)],
        "big": growing(stream=False),
    }
    return {name: lines(folder / f"{name}.jsonl", each) for name, each in found.items()}


def lines(file: Path, requests: Iterable[dict[str, Any]]) -> Path:
    """Writes them into a file, one a line."""
    with file.open("wb") as out:
        for request in requests:
            out.write(encoded(request) + b"\n")
    return file
