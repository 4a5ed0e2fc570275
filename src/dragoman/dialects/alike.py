"""What servers of several languages want alike, or say alike: it is written once."""

import re
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from dragoman.dialects.contract import Target
from dragoman.messages import refusals
from dragoman.messages.body import Body
from dragoman.messages.complaints import names
from dragoman.messages.effort import UNASKED, Wish
from dragoman.messages.errors import ApiError
from dragoman.messages.fields import left_out
from dragoman.messages.lenient import count, parse, parsed
from dragoman.messages.notes import Note
from dragoman.messages.pieces import Pieces

Change = Callable[[str, Target], Target | None]
"""What a refusal says, lower-case -> the target that it asks for; None when it is about something else."""


class Sampled(Protocol):
    """A body, or the part of it, that says how an answer is sampled."""

    temperature: float | None
    top_p: float | None
    top_k: int | None


def thinks_unasked(target: Target) -> bool:
    """Whether the model will think where the caller asks nothing of thinking; then no knob is sent."""
    return would_think(UNASKED, target)


def would_think(asked: Wish, target: Target) -> bool:
    """Whether the model will think unless a knob says that it must not."""
    return target.facts.reasoning is not False and (asked.thinking == "on" or target.facts.reasons_by_default)


def thinks_without_knobs(asked: Wish, target: Target, notes: list[Note]) -> bool:
    """Whether it will think where no knob is sent, since the model has none, or the server."""
    thinks = would_think(asked, target)
    if asked.thinking == "on":
        notes.append(Note("changed", "thinking.unsupported", "thinking"))
    elif asked.thinking == "off" and thinks:
        notes.append(Note("changed", "thinking.always_on", "thinking"))
    if asked.effort is not None:
        notes.append(Note("changed", "effort.unsupported", "output_config.effort"))
    return thinks


def takes_sampling(target: Target, *, thinks: bool) -> bool:
    """Whether the model can be told how to sample, as far as its facts say. `thinks`: it will think."""
    sampling = target.facts.sampling
    return sampling == "always" or (sampling == "without_reasoning" and not thinks)


def sample(into: Sampled, request: Body, notes: list[Note], *, takes: bool, top_k: bool) -> None:
    """Temperature, top_p and top_k. `takes`: the first two can be told there; `top_k`: this one can."""
    if request.temperature is not None:
        if takes:
            into.temperature = request.temperature
        else:
            notes.append(left_out("temperature", request.temperature))
    if request.top_p is not None:
        if takes:
            into.top_p = request.top_p
        else:
            notes.append(left_out("top_p", request.top_p))
    if request.top_k is not None:
        if top_k:
            into.top_k = request.top_k
        else:
            notes.append(Note("changed", "top_k.unsupported", "top_k"))


def with_extra(made: bytes | Pieces, extra: dict[str, Any]) -> bytes | Pieces:
    """The body that was `made`, with the operator's `extra_body`, which wins; two objects of one name are joined."""
    if not extra:
        return made
    fields: dict[str, Any] = msgspec.json.decode(bytes(made), type=dict[str, Raw])
    for name, value in extra.items():
        own = msgspec.json.decode(fields[name]) if name in fields else None
        fields[name] = own | value if isinstance(own, dict) and isinstance(value, dict) else value
    return msgspec.json.encode(fields)


def framed(data: bytes, sender: str) -> Any:
    """The JSON of a frame. Raises ApiError("bad_answer") for what is none; `sender` is named in it."""
    try:
        return parse(data)
    except ValueError as error:
        said = refusals.report(data.strip()[:1000]).text
        raise ApiError("bad_answer", f"{sender} sent a frame that is no JSON: {said[:200]}") from error


def counted(body: bytes, field: str) -> int:
    """Input tokens in the answer to who asked how many there are, in that field. Raises ApiError("bad_answer")."""
    value = parsed(body)
    found = count(value.get(field)) if isinstance(value, dict) else None
    if found is None or found < 0:
        raise ApiError("bad_answer", "The upstream counted no input tokens.")
    return found


def without(field: str, **quirks: Any) -> Change:
    """A repair: a field that is simply not sent any more."""

    def change(said: str, target: Target) -> Target | None:
        return target.quirked(**quirks) if names(said, field) else None

    return change


def when(pattern: str | re.Pattern[str], **quirks: Any) -> Change:
    """A repair: a change of quirks for every text in which `pattern` is found."""
    compiled = re.compile(pattern)

    def change(said: str, target: Target) -> Target | None:
        return target.quirked(**quirks) if compiled.search(said) else None

    return change


_STREAMS_ONLY = r"\bstream\b.{0,30}must be (?:set to )?true|only supports? (?:the )?stream|enable the stream"
_NEVER_STREAMS = r"stream(?:ing)?\b.{0,30}not (?:supported|implemented)|not support stream(?:ing)?\b(?!_)"
TRANSPORT = (
    ("transport", when(_STREAMS_ONLY, transport="stream")),
    ("transport", when(_NEVER_STREAMS, transport="unary")),
)
"""Repairs with their codes: servers that only stream, and those that never do."""
