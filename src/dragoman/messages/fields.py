"""Fields of a request that mean little or nothing to anybody but Anthropic, and what of them other upstreams can use.

Fields whose absence would change what the caller gets are refused by name; the others are left out with a note.
https://platform.claude.com/docs/en/api/messages
"""

from hashlib import sha256
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.messages.body import NO_RAW, Body, Source
from dragoman.messages.conversation import is_plain
from dragoman.messages.errors import ApiError
from dragoman.messages.estimate import Estimate
from dragoman.messages.notes import Note

ROOM = 1024
"""Tokens of output that are worth asking for; a window with less room is left to the upstream to refuse."""

NAMED = 50_000
"""Tokens that pictures and files may have which a request only names, or which are small."""

SERVICE_TIER = {"auto": "auto", "standard_only": "default"}
"""Anthropic's service tier -> OpenAI's. https://platform.openai.com/docs/api-reference/responses/create"""

# Fields that a gateway without a store, a sandbox or Anthropic's servers cannot honour, and must not pretend to.
_REFUSED = {
    "container": "runs in a sandbox at Anthropic",
    "mcp_servers": "is run by Anthropic's servers",
    "compaction": "is done by Anthropic's servers",
}

# Fields without effect on the answer.
_IGNORED = (
    "diagnostics", "context_management", "fallbacks", "fallback_credit_token", "billing_policy", "safeguards", "tags",
    "thread",
)  # fmt: skip

# One look at all of them: hardly any request has one.
_RAW = (*_REFUSED, *_IGNORED)
_rare_fields = attrgetter(*_RAW, "speed", "inference_geo")
_NOTHING = (*(NO_RAW for _ in _RAW), None, None)


def wants_words(body: Body) -> bool:
    """Whether nothing is asked for but an answer in words to words: no tools, no thinking, no form of the answer."""
    return not (
        body.tools
        or body.tool_choice is not None
        or body.thinking is not None
        or body.output_config is not None
        or body.output_format is not None
    ) and is_plain(body.messages)


class _Thread(Struct, frozen=True):
    type: str = ""


def given(raw: Raw) -> bool:
    """Whether a raw field is there and says anything."""
    return raw is not NO_RAW and memoryview(raw).tobytes() not in (b"null", b"[]", b"{}", b'""')


def check(body: Body, notes: list[Note]) -> None:
    """A note for every field that is left out.

    Raises ApiError("invalid_request") for fields that cannot be honoured and would change what the caller gets.
    """
    if _rare_fields(body) != _NOTHING:
        _refuse(body)
        notes += [Note("ignored", field, field) for field in _IGNORED if given(getattr(body, field))]
        if body.speed is not None:
            notes.append(Note("ignored", "speed", "speed"))
        if body.inference_geo is not None:
            notes.append(Note("ignored", "inference_geo", "inference_geo"))
    if body.output_config is not None and given(body.output_config.task_budget):
        notes.append(Note("changed", "task_budget", "output_config.task_budget"))
    if body.thinking is not None and body.thinking.display == "updates":
        notes.append(Note("ignored", "thinking.display", "thinking.display"))


def _refuse(body: Body) -> None:
    for field, why in _REFUSED.items():
        if given(getattr(body, field)):
            raise ApiError("invalid_request", f"{field}: {why}; this upstream cannot do it. Leave it out.")
    if given(body.thread) and _kind(body.thread) != "create":
        raise ApiError(
            "invalid_request",
            "thread: the earlier turns are kept by Anthropic, not here. Send the whole conversation in messages.",
        )


def _kind(raw: Raw) -> str:
    try:
        return msgspec.json.decode(raw, type=_Thread).type
    except msgspec.DecodeError:
        return ""


def stop_sequences(body: Body, notes: list[Note]) -> tuple[str, ...]:
    """The stop sequences, each once; an empty one would match everywhere."""
    if not body.stop_sequences:
        return ()
    wanted = tuple(dict.fromkeys(text for text in body.stop_sequences if text))
    if len(wanted) < len(body.stop_sequences):
        notes.append(Note("ignored", "stop_sequences.empty", "stop_sequences"))
    return wanted


def session_hash(session: str | None) -> str | None:
    """The session as 64 characters: the clients' own values are long, and nobody's business."""
    return _hash(session) if session else None


def person_hash(body: Body) -> str | None:
    """`metadata.user_id` without its session, as 64 characters.

    Claude Code sends a JSON object with a `session_id`; older versions wrote `user_..._session_...`.
    """
    user = body.metadata.user_id if body.metadata else None
    return _hash(_person(user)) if user else None


def _person(user: str) -> str:
    if user.startswith("{"):
        try:
            found: Any = msgspec.json.decode(user)
        except (msgspec.DecodeError, RecursionError):
            return user
        found.pop("session_id", None)
        return msgspec.json.encode(found, order="sorted").decode()
    return user.partition("_session_")[0] or user


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def bad_source(place: str, source: Source, wanted: str, elsewhere: str = "") -> ApiError:
    """For a picture or document that cannot be sent. `wanted`: what can; `elsewhere`: a last sentence."""
    found = {"file": "a file of Anthropic's Files API", "url": "this url"}.get(source.type, "this source")
    said = f"{place}.source: {found} cannot be sent to this upstream; send {wanted}.{elsewhere}"
    return ApiError("invalid_request", said)


def fitting(wanted: int, context: int | None, estimate: Estimate, notes: list[Note]) -> int:
    """An output limit that the window has room for, in tokens, if there is room at all.

    `estimate`: of the input, within 15 %. Clients do not lower the limit themselves when an upstream refuses it.
    """
    if context is None or estimate.size + NAMED + wanted <= context:
        return wanted
    room = context - estimate.tokens() * 23 // 20
    if not ROOM <= room < wanted:
        return wanted
    notes.append(Note("changed", "max_tokens.window", "max_tokens"))
    return room


def left_out(field: str, value: float) -> Note:
    """For a knob of sampling that the model does not take: no change where it asks for the default, which is 1."""
    return Note("ignored" if value == 1 else "changed", f"{field}.unsupported", field)


def refuse_losses(notes: tuple[Note, ...]) -> None:
    """For strict targets. Raises ApiError("invalid_request") that names everything the upstream would not see."""
    lost = [f"{note.place or 'the request'} ({note.code})" for note in notes if note.grade == "lost"]
    if lost:
        raise ApiError(
            "invalid_request",
            f"This upstream would not see all of the request, and strict is set: {', '.join(lost)}. "
            "Leave that out, choose another model, or set strict to false.",
        )
