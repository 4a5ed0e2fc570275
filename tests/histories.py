"""Messages bodies as clients send them, for laws about requests: every text in one is unique, so it can be counted."""

import itertools
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Writer:
    """Numbers what it writes: texts "text 1.", ids "toolu_2", so that none occurs twice."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.numbers = itertools.count(1)
        self.texts: list[str] = []

    def text(self) -> Json:
        said = f"<text {next(self.numbers)}>"
        self.texts.append(said)
        return {"type": "text", "text": said + self.draw(st.sampled_from(["", " ü", " \u2028 😀", "\n{}"]))}

    def user_block(self) -> Json:
        kind = self.draw(st.sampled_from(["text", "text", "text", "empty", "image", "document", "unknown", "search"]))
        match kind:
            case "empty":
                return {"type": "text", "text": self.draw(st.sampled_from(["", " \n"]))}
            case "image":
                return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
            case "document":
                source = {"type": "text", "media_type": "text/plain", "data": self.text()["text"]}
                return {"type": "document", "source": source, "title": "notes.txt"}
            case "unknown":
                return {"type": "hologram", "text": self.text()["text"], "depth": 3}
            case "search":
                return {"type": "search_result", "source": "here", "title": "found", "content": [self.text()]}
            case _:
                block = self.text()
                if self.draw(st.booleans()):
                    block["cache_control"] = {"type": "ephemeral"}
                return block

    def result(self, call: str) -> Json:
        block: Json = {"type": "tool_result", "tool_use_id": call}
        match self.draw(st.sampled_from(["string", "list", "none", "empty", "image", "reference", "error"])):
            case "string":
                block["content"] = self.text()["text"]
            case "list":
                block["content"] = [self.text(), self.text()]
            case "empty":
                block["content"] = []
            case "image":
                source = {"type": "base64", "media_type": "image/png", "data": PNG}
                block["content"] = [self.text(), {"type": "image", "source": source}]
            case "reference":
                block["content"] = [{"type": "tool_reference", "tool_name": "Read"}]
            case "error":
                block |= {"content": self.text()["text"], "is_error": True}
            case _:
                pass
        return block

    def assistant(self) -> tuple[Json, list[str]]:
        content: list[Json] = []
        if self.draw(st.booleans()):
            signature = self.draw(
                st.sampled_from(["", "EqoBCkYIB", "dragoman1.chat.other.e30", "dragoman1.none.0.e30"])
            )
            content.append({"type": "thinking", "thinking": f"<thought {next(self.numbers)}>", "signature": signature})
        if self.draw(st.booleans()):
            content.append(self.text())
        calls = []
        for _ in range(self.draw(st.integers(0, 3))):
            calls.append(f"{self.draw(st.sampled_from(['toolu', 'call.x', 'c' * 70]))}_{next(self.numbers)}")
            name = self.draw(st.sampled_from(["Read", "mcp__a-very-long-server-name__" + "tool" * 12, "odd.name"]))
            content.append({"type": "tool_use", "id": calls[-1], "name": name, "input": {"n": next(self.numbers)}})
        if not content:
            content.append(self.text())
        return {"role": "assistant", "content": content}, calls

    def user(self, calls: list[str], *, legal: bool) -> Json:
        content = [self.result(call) for call in calls]
        content += [self.user_block() for _ in range(self.draw(st.integers(0 if calls else 1, 3)))]
        if not legal:
            content = self.draw(st.permutations(content))
            content = content[: self.draw(st.integers(0, len(content)))]
        if all(block["type"] == "text" and not block["text"].strip() for block in content):
            content.append(self.text())  # a conversation without any content is refused
        return {"role": "user", "content": content}

    def turns(self, count: int, calls: list[str], *, legal: bool) -> tuple[list[Json], list[str]]:
        """Turns from a user turn on, each pair closed by an assistant turn; and the calls that are open then."""
        turns: list[Json] = []
        for _ in range(count):
            turns.append(self.user(calls, legal=legal))
            if self.draw(st.integers(0, 3)) == 0:
                said = self.text()
                turns.append({"role": "system", "content": said["text"] if self.draw(st.booleans()) else [said]})
            turn, calls = self.assistant()
            turns.append(turn)
        return turns, calls


TOOLS: list[Json] = [
    {
        "name": "Read",
        "description": "Reads.",
        "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
    },
    {"name": "mcp__a-very-long-server-name__" + "tool" * 12, "input_schema": {"type": "object"}},
    {"name": "odd.name", "input_schema": {"$schema": "x", "type": "object", "properties": {}, "required": []}},
]


def body(turns: list[Json], draw: st.DrawFn) -> Json:
    """Everything around the turns, some of it."""
    fields: Json = {"model": "claude-sonnet-4-5", "max_tokens": 1000, "messages": turns, "tools": TOOLS}
    optional: Json = {
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "output_config": {"effort": "high"},
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": '{"session_id":"s1"}'},
        "context_management": {"edits": []},
        "stream": True,
    }
    for name, value in optional.items():
        if draw(st.booleans()):
            fields[name] = value
    return fields


@st.composite
def bodies(draw: st.DrawFn, *, legal: bool = False) -> tuple[Json, list[str]]:
    """A body that ends in a user turn, and its texts."""
    writer = Writer(draw)
    turns, calls = writer.turns(draw(st.integers(0, 3)), [], legal=legal)
    turns.append(writer.user(calls, legal=legal))
    return body(turns, draw), writer.texts


@st.composite
def growing(draw: st.DrawFn) -> tuple[Json, Json]:
    """Two requests of one conversation: the same turns up to an assistant turn, then different legal turns."""
    writer = Writer(draw)
    turns, calls = writer.turns(draw(st.integers(1, 3)), [], legal=False)
    sooner = writer.user(calls, legal=True)
    later, open_calls = writer.turns(draw(st.integers(0, 2)), calls, legal=True)
    last = writer.user(open_calls if later else calls, legal=True)
    before = body([*turns, sooner], draw)
    return before, {**before, "messages": [*turns, *later, last]}


@st.composite
def conversations(draw: st.DrawFn) -> list[Json]:
    """The requests of one conversation, each with more turns than the one before. Cache breakpoints move with it.

    Turns of one role may follow each other, and the last one may be an answer that the caller began.
    """
    writer = Writer(draw)
    turns: list[Json] = []
    calls: list[str] = []
    cuts = []
    for _ in range(draw(st.integers(1, 4))):
        new, calls = writer.turns(draw(st.integers(1, 2)), calls, legal=draw(st.booleans()))
        turns += new
        if draw(st.integers(0, 5)) == 0:
            turns.append({"role": "assistant", "content": draw(st.sampled_from(["", "And then"]))})
            calls = []
        cuts.append(len(turns) - draw(st.sampled_from([0, 1, 1, 1, 2])))
    around = body([], draw)
    moving = draw(st.booleans())
    return [around | {"messages": _marked(turns[:cut]) if moving else turns[:cut]} for cut in cuts if cut]


def _marked(turns: list[Json]) -> list[Json]:
    """The same with a breakpoint at their end, as clients set it."""
    *before, last = turns
    if isinstance(last["content"], str) or not last["content"]:
        return turns
    *blocks, end = last["content"]
    return [*before, last | {"content": [*blocks, end | {"cache_control": {"type": "ephemeral"}}]}]
