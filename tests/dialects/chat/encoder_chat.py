"""Writes abstract answers as Chat Completions servers would: a stream's bytes, a whole completion."""

import json
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from hypothesis import strategies as st

from answers import AbstractAnswer, Text, Thinking
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Call, Facts, Target
from dragoman.messages.events import Usage
from reading import recalled

FINISH = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}


@dataclass(frozen=True)
class Options:
    """How a server writes; each field is a habit that was seen."""

    size: int = 4  # characters, or UTF-16 units, of text in one delta
    units: bool = False  # cut between the halves of a character, as servers with UTF-16 strings do
    ascii_only: bool = False  # escape everything that is not ASCII
    whole_calls: bool = False  # a call in one delta
    interleaved: bool = False  # parallel calls in turns
    usage: Literal["end", "finish", "every"] = "end"
    comments: bool = False
    newline: Literal["\n", "\r\n", "\r"] = "\n"
    done: bool = True
    reasoning: Literal["reasoning_content", "reasoning", "both"] = "reasoning_content"


def options() -> st.SearchStrategy[Options]:
    return st.builds(
        Options,
        size=st.integers(1, 9),
        units=st.booleans(),
        ascii_only=st.booleans(),
        whole_calls=st.booleans(),
        interleaved=st.booleans(),
        usage=st.sampled_from(["end", "finish", "every"]),
        comments=st.booleans(),
        newline=st.sampled_from(["\n", "\r\n", "\r"]),
        done=st.booleans(),
        reasoning=st.sampled_from(["reasoning_content", "reasoning", "both"]),
    )


class ChatEncoder:
    name = "chat"

    def call(self, *, recall: dict[str, Any] | None = None, facts: dict[str, Any] | None = None, **quirks: Any) -> Call:
        """A call as the reader needs it, to no server."""
        target = Target(
            provider="lab",
            dialect="chat",
            base_url="http://127.0.0.1:9/v1",
            model="some-model",
            quirks=Quirks(**quirks),
            facts=Facts(**(facts or {})),
            key="LAB_KEY",
            state_scope="lab",
        )
        recalling = recalled(recall, model="claude-opus-4-8", scope="lab")
        return Call(url=target.base_url + "/chat/completions", body=b"{}", stream=True, target=target, recall=recalling)

    def options(self) -> st.SearchStrategy[Options]:
        return options()

    def fits(self, answer: AbstractAnswer) -> bool:
        """Whether this language can say it: thinking first, then text, then calls, each at most once but calls."""
        order = [1 if isinstance(block, Thinking) else 2 if isinstance(block, Text) else 3 for block in answer.blocks]
        return order == sorted(order) and order.count(1) <= 1 and order.count(2) <= 1

    def said(self, answer: AbstractAnswer) -> AbstractAnswer:
        """What of an answer this language can say: all."""
        return answer

    def stream(self, answer: AbstractAnswer, chosen: Options | None = None) -> bytes:
        return self.marked(answer, chosen)[0]

    def marked(self, answer: AbstractAnswer, chosen: Options | None = None) -> tuple[bytes, int]:
        """The bytes, and the offset at which the frame with the finish reason is complete."""
        how = chosen or Options()
        end = how.newline * 2
        written = ""
        finish = 0
        if how.comments:
            written += f": PROCESSING{end}"
        deltas = [{"role": "assistant", "content": ""}, *self._deltas(answer, how)]
        usage = {"usage": _usage(answer.usage)}
        for delta in deltas:
            more = usage if how.usage == "every" else {}
            written += f"data: {_chunk(how, delta, None, more)}{end}"
            if how.comments:
                written += f": keep-alive{how.newline}id: 7{how.newline}retry: 10{how.newline}{end}"
        more = {} if how.usage == "end" else usage
        written += f"data: {_chunk(how, {}, FINISH[answer.stop], more)}"
        finish = len(written.encode())
        written += end
        if how.usage == "end":
            written += f"data: {json.dumps({'id': 'c1', 'choices': [], **usage})}{end}"
        if how.done:
            written += f"data: [DONE]{end}"
        return written.encode(), finish

    def whole(self, answer: AbstractAnswer) -> bytes:
        text = [block.text for block in answer.blocks if isinstance(block, Text)]
        thinking = [block.text for block in answer.blocks if isinstance(block, Thinking)]
        message: dict[str, Any] = {"role": "assistant", "content": text[0] if text else None}
        if thinking:
            message["reasoning_content"] = thinking[0]
        if answer.calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.input_json}}
                for call in answer.calls
            ]
        choice = {"index": 0, "message": message, "finish_reason": FINISH[answer.stop]}
        body = {"id": "c1", "object": "chat.completion", "choices": [choice], "usage": _usage(answer.usage)}
        return json.dumps(body).encode()

    def _deltas(self, answer: AbstractAnswer, how: Options) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = []
        for block in answer.blocks:
            if isinstance(block, Thinking):
                fields = ("reasoning_content", "reasoning") if how.reasoning == "both" else (how.reasoning,)
                deltas += [dict.fromkeys(fields, piece) for piece in _pieces(block.text, how)]
            elif isinstance(block, Text):
                deltas += [{"content": piece} for piece in _pieces(block.text, how)]
        calls = []
        for index, call in enumerate(answer.calls):
            pieces = [call.input_json] if how.whole_calls else ["", *_pieces(call.input_json, how)]
            first = {"index": index, "id": call.id, "type": "function"}
            calls.append(
                [
                    {**first, "function": {"name": call.name, "arguments": pieces[0]}},
                    *({"index": index, "function": {"arguments": piece}} for piece in pieces[1:]),
                ]
            )
        if how.interleaved:
            turns = [[piece for piece in turn if piece is not None] for turn in zip_longest(*calls)]
        else:
            turns = [[piece] for call in calls for piece in call]
        return deltas + [{"tool_calls": turn} for turn in turns]


def _pieces(text: str, how: Options) -> list[str]:
    if not how.units:
        return [text[at : at + how.size] for at in range(0, len(text), how.size)]
    units = text.encode("utf-16-le")
    step = how.size * 2
    return [units[at : at + step].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), step)]


def _chunk(how: Options, delta: dict[str, Any], finish: str | None, more: dict[str, Any]) -> str:
    chunk = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "upstream-model",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        **more,
    }
    text = json.dumps(chunk, ensure_ascii=how.ascii_only)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character can only be written escaped
        text = json.dumps(chunk)
    return text


def _usage(usage: Usage) -> dict[str, Any]:
    prompt = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_input_tokens,
            "cache_write_tokens": usage.cache_creation_input_tokens,
        },
    }
