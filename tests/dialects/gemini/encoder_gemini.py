"""Writes abstract answers as Gemini servers would: a stream's bytes, a list of frames, a whole answer."""

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from hypothesis import strategies as st
from msgspec import structs

from answers import AbstractAnswer, Text, Thinking
from answers import Call as AbstractCall
from dragoman.dialects.contract import Call, Facts, Target
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.messages.events import Usage
from reading import recalled

Json = dict[str, Any]

FINISH_REASON = {
    "end_turn": "STOP",
    "tool_use": "STOP",
    "max_tokens": "MAX_TOKENS",
    "refusal": "SAFETY",
}
END: Json = {"modelVersion": "gemini-3-flash-preview", "responseId": "tTCwacuEBMvnitYP06qsgQY"}


@dataclass(frozen=True)
class Options:
    """How a server writes; each field is a habit that was seen, or one that nothing forbids."""

    size: int = 4  # characters, or UTF-16 units, of text in one part
    units: bool = False  # cut between the halves of a character
    ascii_only: bool = False  # escape everything that is not ASCII
    spaced: bool = True  # a space after each colon
    packed: int = 1  # parts in one frame
    index: bool = True
    usage: Literal["every", "last", "vertex", "apart"] = "every"  # apart: in a frame of its own, behind the last
    inside: bool = False  # the thoughts are counted among the candidates
    signed: Literal["no", "calls", "all", "end"] = "no"
    end: Literal["apart", "empty", "with"] = "empty"  # where the finish reason is
    meta: Literal["behind", "none", "front"] = "behind"  # the fields beside the candidates
    bare: bool = False  # no `args` for a call without arguments
    comments: bool = False
    newline: Literal["\n", "\r\n", "\r"] = "\r\n"


def options() -> st.SearchStrategy[Options]:
    return st.builds(
        Options,
        size=st.integers(1, 9),
        units=st.booleans(),
        ascii_only=st.booleans(),
        spaced=st.booleans(),
        packed=st.integers(1, 3),
        index=st.booleans(),
        usage=st.sampled_from(["every", "last", "vertex", "apart"]),
        inside=st.booleans(),
        signed=st.sampled_from(["no", "calls", "all", "end"]),
        end=st.sampled_from(["apart", "empty", "with"]),
        meta=st.sampled_from(["behind", "none", "front"]),
        bare=st.booleans(),
        comments=st.booleans(),
        newline=st.sampled_from(["\n", "\r\n", "\r\n", "\r"]),
    )


class GeminiEncoder:
    name = "gemini"

    def call(self, *, recall: Json | None = None, facts: Json | None = None, **quirks: Any) -> Call:
        """A call as the reader needs it, to no server. It is the second try: an empty answer is told as one."""
        target = Target(
            provider="lab",
            dialect="gemini",
            base_url="http://127.0.0.1:9/v1beta",
            model="some-model",
            quirks=Quirks(**{"second_try": False, **quirks}),
            facts=Facts(**(facts or {})),
            key="LAB_KEY",
            state_scope="lab",
        )
        recalling = recalled(recall, model="claude-opus-4-8", scope="lab")
        url = f"{target.base_url}/models/some-model:streamGenerateContent?alt=sse"
        return Call(url=url, body=b'{"contents":[]}', stream=True, target=target, recall=recalling)

    def options(self) -> st.SearchStrategy[Options]:
        return options()

    def fits(self, answer: AbstractAnswer) -> bool:
        """Whether this language can say it: parts come in any order."""
        return bool(answer)

    def said(self, answer: AbstractAnswer) -> AbstractAnswer:
        """What of an answer this language can say: nobody counts what a cache took."""
        return replace(answer, usage=structs.replace(answer.usage, cache_creation_input_tokens=0))

    def stream(self, answer: AbstractAnswer, chosen: Options | None = None) -> bytes:
        return self.marked(answer, chosen)[0]

    def marked(self, answer: AbstractAnswer, chosen: Options | None = None) -> tuple[bytes, int]:
        """The bytes, and the offset at which the frame with the finish reason is complete."""
        how = chosen or Options()
        written, mark = "", 0
        for frame in self.frames(answer, how):
            if how.comments:
                written += f": keep-alive{how.newline * 2}"
            written += f"data: {frame}"
            if "finishReason" in frame:
                mark = len(written.encode())
            written += how.newline * 2
        return written.encode(), mark

    def array(self, answer: AbstractAnswer, chosen: Options | None = None) -> bytes:
        """The same frames without `alt=sse`."""
        return ("[" + "\r\n,\r\n".join(self.frames(answer, chosen or Options())) + "\r\n]").encode()

    def whole(self, answer: AbstractAnswer) -> bytes:
        how = Options()
        found: list[tuple[Json, str]] = [part for block in answer.blocks for part in _parts(block, how, cut=False)]
        return _dump(_frame([part for part, _ in found], answer, how, last=True), dict(_raw(found)), how).encode()

    def frames(self, answer: AbstractAnswer, how: Options) -> list[str]:
        parts = [part for block in answer.blocks for part in _parts(block, how, cut=True)]
        if how.signed == "end":
            parts.append(({"text": "", "thoughtSignature": "AY89"}, ""))
        groups = [parts[at : at + how.packed] for at in range(0, len(parts), how.packed)]
        if how.end != "with" or not groups:
            groups.append([({"text": ""}, "")] if how.end == "empty" else [])
        raw = dict(_raw(parts))
        frames = [
            _dump(
                _frame([part for part, _ in group], answer, how, number=number, last=number == len(groups) - 1),
                raw,
                how,
            )
            for number, group in enumerate(groups)
        ]
        if how.usage == "apart":
            frames.append(_dump({"usageMetadata": _usage(answer.usage, how), **END}, {}, how))
        return frames


def _parts(block: Text | Thinking | AbstractCall, how: Options, *, cut: bool) -> list[tuple[Json, str]]:
    """The parts of a block, and the JSON text of a call's arguments."""
    if isinstance(block, AbstractCall):
        call: Json = {"name": block.name, "args": _place(block), "id": block.id}
        if how.bare and block.input_json == "{}":
            del call["args"]
        signature = {"thoughtSignature": "Aw=="} if how.signed in ("calls", "all") else {}
        return [({"functionCall": call, **signature}, block.input_json)]
    more: Json = {"thought": True} if isinstance(block, Thinking) else {}
    if how.signed == "all":
        more["thoughtSignature"] = "Ax=="
    return [({"text": text, **more}, "") for text in (_pieces(block.text, how) if cut else [block.text])]


def _place(block: AbstractCall) -> str:
    return f"@@args of {block.id}@@"


def _raw(parts: list[tuple[Json, str]]) -> list[tuple[str, str]]:
    return [(part["functionCall"]["args"], raw) for part, raw in parts if raw and "args" in part["functionCall"]]


def _frame(parts: list[Json], answer: AbstractAnswer, how: Options, *, last: bool, number: int = 0) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}} if parts else {"content": {"role": "model"}}
    if last:
        candidate["finishReason"] = FINISH_REASON[answer.stop]
    if how.index:
        candidate["index"] = 0
    usage: Json = {}
    if how.usage == "every" or (last and how.usage != "apart"):
        usage = {"usageMetadata": _usage(answer.usage, how, so_far=None if last else number)}
    elif how.usage == "vertex":
        usage = {"usageMetadata": {"trafficType": "ON_DEMAND"}}
    if how.meta == "front":
        return {**END, **usage, "candidates": [candidate]}
    return {"candidates": [candidate], **usage, **(END if how.meta == "behind" else {})}


def _usage(usage: Usage, how: Options, so_far: int | None = None) -> Json:
    """`so_far`: number of the frame; the counters grow from frame to frame."""
    output = usage.output_tokens if so_far is None else min(so_far, usage.output_tokens)
    thoughts = output // 3
    prompt = usage.input_tokens + usage.cache_read_input_tokens
    return {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": usage.cache_read_input_tokens,
        "candidatesTokenCount": output if how.inside else output - thoughts,
        "totalTokenCount": prompt + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        "thoughtsTokenCount": thoughts,
    }


def _pieces(text: str, how: Options) -> list[str]:
    if not how.units:
        return [text[at : at + how.size] for at in range(0, len(text), how.size)]
    units = text.encode("utf-16-le")
    step = how.size * 2
    return [units[at : at + step].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), step)]


def _dump(frame: Json, raw: dict[str, str], how: Options) -> str:
    separators = (",", ": " if how.spaced else ":")
    text = json.dumps(frame, ensure_ascii=how.ascii_only, separators=separators)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character can only be written escaped
        text = json.dumps(frame, separators=separators)
    for place, arguments in raw.items():
        text = text.replace(json.dumps(place), arguments)
    return text
