"""Writes abstract answers as Responses servers would: a stream's bytes, a whole response."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, Literal

from hypothesis import strategies as st

from answers import AbstractAnswer, Text, Thinking
from answers import Call as AbstractCall
from dragoman.dialects.contract import Call, Facts, Target
from dragoman.dialects.responses.quirks import Quirks
from dragoman.messages.events import Usage
from reading import recalled

Json = dict[str, Any]

END: dict[str, tuple[str, str | None]] = {
    "end_turn": ("completed", None),
    "tool_use": ("completed", None),
    "max_tokens": ("incomplete", "max_output_tokens"),
    "refusal": ("incomplete", "content_filter"),
}


@dataclass(frozen=True)
class Options:
    """How a server writes; each field is a habit that was seen."""

    size: int = 4  # characters, or UTF-16 units, of text in one delta
    units: bool = False  # cut between the halves of a character, as servers with UTF-16 strings do
    ascii_only: bool = False  # escape everything that is not ASCII
    deltas: bool = True
    dones: bool = True  # `.done` with the whole text
    announced: bool = True  # output_item.added
    ended: bool = True  # output_item.done
    output: Literal["full", "empty", "missing"] = "full"  # in the last event
    silent: bool = False  # nothing but the last event
    interleaved: bool = False  # several items in turns
    named: Literal["both", "id", "index", "drifting", "colliding", "neither"] = "both"  # how an event names its item
    reasoning: Literal["summary", "content", "vllm"] = "summary"
    events: bool = True  # `event:` lines
    comments: bool = False
    newline: Literal["\n", "\r\n", "\r"] = "\n"
    done: bool = False  # "[DONE]" at the end

    @property
    def sensible(self) -> "Options":
        """The same without what would lose something: nobody could read such a stream."""
        changes: Json = {}
        if self.silent:
            changes = {"output": "full"}
        if not (self.announced and self.ended):
            changes |= {"interleaved": False}
            if self.named == "neither":
                changes |= {"named": "both"}
        if not self.announced and not self.ended:
            changes |= {"output": "full"}
            if self.named == "colliding":
                changes |= {"named": "both"}
        if self.interleaved and self.named == "neither":
            changes |= {"named": "index"}
        if not self.deltas and not self.dones and not self.ended:
            changes |= {"dones": True}
        if not self.announced and not self.deltas and not self.dones:
            changes |= {"deltas": True}
        return Options(**{**self.__dict__, **changes})


def options() -> st.SearchStrategy[Options]:
    return st.builds(
        Options,
        size=st.integers(1, 9),
        units=st.booleans(),
        ascii_only=st.booleans(),
        deltas=st.booleans(),
        dones=st.booleans(),
        announced=st.booleans(),
        ended=st.booleans(),
        output=st.sampled_from(["full", "empty", "missing"]),
        silent=st.sampled_from([False, False, False, True]),
        interleaved=st.booleans(),
        named=st.sampled_from(["both", "id", "index", "drifting", "colliding", "neither"]),
        reasoning=st.sampled_from(["summary", "content", "vllm"]),
        events=st.booleans(),
        comments=st.booleans(),
        newline=st.sampled_from(["\n", "\r\n", "\r"]),
        done=st.booleans(),
    ).map(lambda chosen: chosen.sensible)


class ResponsesEncoder:
    name = "responses"

    def call(self, *, recall: Json | None = None, facts: Json | None = None, **quirks: Any) -> Call:
        """A call as the reader needs it, to no server."""
        target = Target(
            provider="lab",
            dialect="responses",
            base_url="http://127.0.0.1:9/v1",
            model="some-model",
            quirks=Quirks(**quirks),
            facts=Facts(**(facts or {})),
            key="LAB_KEY",
            state_scope="lab",
        )
        recalling = recalled(recall, model="claude-opus-4-8", scope="lab")
        return Call(url=target.base_url + "/responses", body=b"{}", stream=True, target=target, recall=recalling)

    def options(self) -> st.SearchStrategy[Options]:
        return options()

    def fits(self, answer: AbstractAnswer) -> bool:
        """Whether this language can say it: items come in any order."""
        return bool(answer)

    def said(self, answer: AbstractAnswer) -> AbstractAnswer:
        """What of an answer this language can say: all."""
        return answer

    def stream(self, answer: AbstractAnswer, chosen: Options | None = None) -> bytes:
        return self.marked(answer, chosen)[0]

    def marked(self, answer: AbstractAnswer, chosen: Options | None = None) -> tuple[bytes, int]:
        """The bytes, and the offset at which the last event is complete."""
        how = chosen or Options()
        status, _ = END[answer.stop]
        begun = {**RESPONSE, "status": "in_progress", "output": [], "instructions": "Be brief.", "usage": None}
        events: list[Json] = [{"type": "response.created", "response": begun}]
        events.append({"type": "response.in_progress", "response": begun})
        if not how.silent:
            events += self._items(answer, how)
        events.append({"type": f"response.{status}", "response": self._response(answer, how)})
        written = ""
        for number, event in enumerate(events):
            if how.comments:
                written += f": keep-alive{how.newline * 2}"
            if how.events:
                written += f"event: {event['type']}{how.newline}"
            written += f"data: {_dump({**event, 'sequence_number': number}, how)}"
            if number < len(events) - 1:
                written += how.newline * 2
        mark = len(written.encode())
        written += how.newline * 2
        if how.done:
            written += f"data: [DONE]{how.newline * 2}"
        return written.encode(), mark

    def whole(self, answer: AbstractAnswer) -> bytes:
        return json.dumps(self._response(answer, Options())).encode()

    def _response(self, answer: AbstractAnswer, how: Options) -> Json:
        status, reason = END[answer.stop]
        output = [item(block, number, how) for number, block in enumerate(answer.blocks)]
        if how.named == "drifting":
            output = [{**each, "id": f"{each['id']}_last"} for each in output]
        response = {
            **RESPONSE,
            "status": status,
            "output": output if how.output == "full" else [],
            "incomplete_details": {"reason": reason} if reason else None,
            "usage": _usage(answer.usage),
        }
        if how.output == "missing":
            del response["output"]
        return response

    def _items(self, answer: AbstractAnswer, how: Options) -> list[Json]:
        told = [list(_events(block, number, how)) for number, block in enumerate(answer.blocks)]
        if how.interleaved:
            return [event for turn in zip_longest(*told) for event in turn if event is not None]
        return list(chain.from_iterable(told))


RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1760000000,
    "error": None,
    "model": "upstream-model",
    "tools": [{"type": "function", "name": "Read"}],
    "service_tier": "default",
}


def item(block: Text | Thinking | AbstractCall, number: int, how: Options) -> Json:
    """An output item in its final form."""
    if isinstance(block, Text):
        part = {"type": "output_text", "text": block.text, "annotations": []}
        return {"type": "message", "id": f"msg_{number}", "status": "completed", "role": "assistant", "content": [part]}
    if isinstance(block, AbstractCall):
        told = {"type": "function_call", "id": f"fc_{number}", "call_id": block.id, "name": block.name}
        return {**told, "arguments": block.input_json, "status": "completed"}
    told = {"type": "reasoning", "id": f"rs_{number}", "encrypted_content": "gAAA", "summary": []}
    if how.reasoning == "summary":
        return {**told, "summary": [{"type": "summary_text", "text": part} for part in _parts(block.text)]}
    return {**told, "content": [{"type": "reasoning_text", "text": part} for part in _parts(block.text)]}


def _parts(text: str) -> list[str]:
    """A text whose paragraphs are parts, where every part says something."""
    parts = text.split("\n\n")
    return parts if all(parts) else [text]


def _events(block: Text | Thinking | AbstractCall, number: int, how: Options) -> Iterator[Json]:
    last = item(block, number, how)
    count = 0

    def name(*, inner: bool = True) -> Json:
        nonlocal count
        count += 1
        place = {} if how.named in ("id", "neither") else {"output_index": 0 if how.named == "colliding" else number}
        if not inner or how.named in ("index", "neither"):
            return place
        return {**place, "item_id": f"{last['id']}_{count}" if how.named == "drifting" else last["id"]}

    if how.named in ("index", "neither"):
        del last["id"]
    if how.announced:
        first = {**last, "status": "in_progress", "encrypted_content": "g"}
        first |= {field: [] for field in ("content", "summary") if field in last} | {"arguments": ""}
        yield {"type": "response.output_item.added", **name(inner=False), "item": first}
    if isinstance(block, AbstractCall):
        if how.deltas:
            for piece in _pieces(block.input_json, how):
                yield {"type": "response.function_call_arguments.delta", **name(), "delta": piece}
        if how.dones:
            yield {"type": "response.function_call_arguments.done", **name(), "arguments": block.input_json}
    elif isinstance(block, Text):
        yield from _told([block.text], "response.output_text", "content_index", how, name)
    else:
        form = "reasoning_summary_text" if how.reasoning == "summary" else "reasoning_text"
        index = "summary_index" if how.reasoning == "summary" else "content_index"
        yield from _told(_parts(block.text), f"response.{form}", index, how, name)
    if how.ended:
        if how.named == "drifting":
            last = {**last, "id": f"{last['id']}_done"}
        yield {"type": "response.output_item.done", **name(inner=False), "item": last}


def _told(parts: list[str], kind: str, index: str, how: Options, name: Any) -> Iterator[Json]:
    for number, text in enumerate(parts):
        named = {**name(), index: number}
        if "summary" in kind:
            part = {"type": "summary_text", "text": text}
        else:
            part = {"type": "output_text" if how.reasoning == "vllm" or "output" in kind else "reasoning_text"}
            part |= {"text": text, "annotations": []}
        group = "response.reasoning_summary_part" if "summary" in kind else "response.content_part"
        if how.announced:
            yield {"type": f"{group}.added", **named, "part": {**part, "text": ""}}
        if how.deltas:
            for piece in _pieces(text, how):
                yield {"type": f"{kind}.delta", **named, **name(), "delta": piece}
        if how.dones:
            yield {"type": f"{kind}.done", **named, "text": text}
            yield {"type": f"{group}.done", **named, "part": part}


def _pieces(text: str, how: Options) -> list[str]:
    if not how.units:
        return [text[at : at + how.size] for at in range(0, len(text), how.size)]
    units = text.encode("utf-16-le")
    step = how.size * 2
    return [units[at : at + step].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), step)]


def _dump(event: Json, how: Options) -> str:
    text = json.dumps(event, ensure_ascii=how.ascii_only)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character can only be written escaped
        text = json.dumps(event)
    return text


def _usage(usage: Usage) -> Json:
    prompt = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_input_tokens,
            "cache_write_tokens": usage.cache_creation_input_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + usage.output_tokens,
    }
