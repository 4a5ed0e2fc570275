"""Writes abstract answers as Anthropic does, and as other servers of Messages do: a stream's bytes, a whole message."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from hypothesis import strategies as st

from answers import AbstractAnswer, Text, Thinking
from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.contract import Call, Facts, Target
from reading import recalled

MODEL = "claude-opus-4-8"
Json = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """How a server writes; each field is a habit that is legal."""

    size: int = 4  # characters of text in one delta
    ascii_only: bool = False  # escape everything that is not ASCII
    spaces: bool = False  # in JSON
    pretty: bool = False  # JSON over several lines of data
    newline: Literal["\n", "\r\n", "\r", "mixed"] = "\n"
    name: Literal["before", "after", "none", "added"] = "before"  # where `event:` stands; "added": by us
    space: bool = True  # behind the colon of a field
    pings: bool = True
    comments: bool = False
    unknown: bool = False  # events and fields that nobody knows
    blank_lines: bool = False  # more of them than are needed
    mark: bool = False  # a byte order mark
    stop: bool = True  # whether a message_stop follows
    model: str = MODEL


def options() -> st.SearchStrategy[Options]:
    return st.builds(
        Options,
        size=st.integers(1, 9),
        ascii_only=st.booleans(),
        spaces=st.booleans(),
        pretty=st.booleans(),
        newline=st.sampled_from(["\n", "\r\n", "\r", "mixed"]),
        name=st.sampled_from(["before", "after", "none"]),
        space=st.booleans(),
        pings=st.booleans(),
        comments=st.booleans(),
        unknown=st.booleans(),
        blank_lines=st.booleans(),
        mark=st.booleans(),
        stop=st.booleans(),
    )


class AnthropicEncoder:
    name = "anthropic"

    def call(self, *, recall: Json | None = None, facts: Json | None = None, **quirks: Any) -> Call:
        """A call as the reader needs it, to no server."""
        target = Target(
            provider="lab",
            dialect="anthropic",
            base_url="http://127.0.0.1:9",
            model=MODEL,
            quirks=Quirks(**quirks),
            facts=Facts(**(facts or {})),
            key="LAB_KEY",
            auth="x-api-key",
        )
        recalling = recalled(recall, model=MODEL)
        url = f"{target.base_url}/v1/messages"
        return Call(url=url, body=b"{}", stream=True, target=target, recall=recalling, relays=True)

    def options(self) -> st.SearchStrategy[Options]:
        return options()

    def fits(self, _answer: AbstractAnswer) -> bool:
        return True

    def said(self, answer: AbstractAnswer) -> AbstractAnswer:
        """What of an answer this language can say: all."""
        return answer

    def stream(self, answer: AbstractAnswer, chosen: Options | None = None) -> bytes:
        return self.marked(answer, chosen)[0]

    def marked(self, answer: AbstractAnswer, chosen: Options | None = None) -> tuple[bytes, int]:
        """The bytes, and the offset at which the event with the stop reason is complete."""
        how = chosen or Options()
        written = _Written(how)
        for event in _events(answer, how):
            written.event(event)
        return bytes(written.bytes), written.finish

    def passed_on(self, answer: AbstractAnswer, how: Options, model: str = MODEL) -> bytes:
        """The bytes that the caller should get who asked for `model`."""
        told = replace(how, mark=False, name="added" if how.name == "none" else how.name, model=model)
        end = b"" if how.stop else b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        return self.stream(answer, told) + end

    def whole(self, answer: AbstractAnswer, model: str = MODEL) -> bytes:
        return json.dumps({**_message(model), **_end(answer), "content": [*_blocks(answer)]}).encode()


class _Written:
    """The bytes so far."""

    def __init__(self, how: Options) -> None:
        self.bytes = bytearray(b"\xef\xbb\xbf" if how.mark else b"")
        self.finish = 0  # where the stop reason was said
        self._how = how
        self._lines = 0

    def event(self, event: Json) -> None:
        how = self._how
        dumped = json.dumps(
            event,
            ensure_ascii=how.ascii_only,
            separators=(", ", ": ") if how.spaces else (",", ":"),
            indent=1 if how.pretty else None,
        )
        if how.blank_lines:
            self._line("")
        if how.name == "added":
            self.bytes += f"event: {event['type']}\n".encode()
        if how.comments:
            self._line(": keep-alive")
            self._line("id: 7")
        if how.name == "before":
            self._field("event", event["type"])
        for line in dumped.split("\n"):
            self._field("data", line)
        if event["type"] == "message_delta":
            self.finish = len(self.bytes) - len(self._ending())
        if how.name == "after":
            self._field("event", event["type"])
        self._line("")

    def _field(self, name: str, value: str) -> None:
        self._line(f"{name}:{' ' if self._how.space else ''}{value}")

    def _line(self, line: str) -> None:
        self._lines += 1
        self.bytes += line.encode() + self._ending()

    def _ending(self) -> bytes:
        """The end of the last line. Never LF behind CR: both would be one."""
        if self._how.newline == "mixed":
            return (b"\n", b"\r\n", b"\r\n", b"\n", b"\r\n")[self._lines % 5]
        return self._how.newline.encode()


def _events(answer: AbstractAnswer, how: Options) -> Iterator[Json]:
    more: Json = {"x_new": {"model": "none"}} if how.unknown else {}
    counted = _end(answer)["usage"]
    usage = {**counted, "output_tokens": 1}
    yield {"type": "message_start", **more, "message": {**more, **_message(how.model), "content": [], "usage": usage}}
    if how.unknown:
        yield {"type": "x_event", "message": {"model": "none"}, "usage": {"output_tokens": 10**9}}
    for index, block in enumerate(_blocks(answer)):
        if how.pings:
            yield {"type": "ping"}
        yield {"type": "content_block_start", "index": index, "content_block": _empty(block), **more}
        for delta in _deltas(block, how.size):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    said = {name: value for name, value in _end(answer).items() if name != "usage"}
    yield {"type": "message_delta", "delta": said, "usage": counted, **more}
    if how.stop:
        yield {"type": "message_stop"}


def _message(model: str) -> Json:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }


def _end(answer: AbstractAnswer) -> Json:
    usage = answer.usage
    counted = {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_creation_input_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_creation_input_tokens},
        "output_tokens": usage.output_tokens,
        "service_tier": "standard",
    }
    return {"stop_reason": answer.stop, "stop_sequence": None, "usage": counted}


def _blocks(answer: AbstractAnswer) -> Iterator[Json]:
    for block in answer.blocks:
        if isinstance(block, Text):
            yield {"type": "text", "text": block.text}
        elif isinstance(block, Thinking):
            yield {"type": "thinking", "thinking": block.text, "signature": "EqQBCgIYAhIM"}
        else:
            yield {"type": "tool_use", "id": block.id, "name": block.name, "input": json.loads(block.input_json)}


def _empty(block: Json) -> Json:
    """A block as its start shows it."""
    empty = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {name: empty.get(name, value) for name, value in block.items()}


def _deltas(block: Json, size: int) -> list[Json]:
    kind = block["type"]
    if kind == "text":
        return [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"], size)]
    if kind == "thinking":
        pieces = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"], size)]
        return [*pieces, {"type": "signature_delta", "signature": block["signature"]}]
    pieces = ["", *_pieces(json.dumps(block["input"]), size)]
    return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
