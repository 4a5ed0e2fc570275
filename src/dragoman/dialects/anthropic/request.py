"""A request for an upstream that speaks Messages: the caller's own bytes, changed only where they must be.

What may be changed, each with a note:
- the model's name, behind an alias
- thinking and web searches of other vendors in the history, where the server would refuse them
- knobs that the model refuses by its facts: forms of thinking, effort, sampling, a forced tool, a begun answer
- what the server refuses by its quirks: fields, betas, system turns inside the conversation
https://platform.claude.com/docs/en/api/messages
"""

from functools import lru_cache
from urllib.parse import quote

import msgspec

from dragoman.dialects.anthropic import conversion, folding, history
from dragoman.dialects.anthropic.conversion import Knobs
from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.contract import Call, Recall, Target
from dragoman.messages import edit, fields
from dragoman.messages.beginning import odd_turns
from dragoman.messages.edit import Changes
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.outline import Outline
from dragoman.messages.pieces import Pieces
from dragoman.messages.request import Request

VERSION = "2023-06-01"
"""`anthropic-version` of callers who send none. https://platform.claude.com/docs/en/api/versioning"""

VERTEX_VERSION = b'"vertex-2023-10-16"'
"""`anthropic_version` in bodies for Vertex AI.
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude"""

# Where `cache_control` may stand. What is inside a tool's input or schema is the caller's own.
CACHE_TTL = (
    "cache_control.ttl",
    "system.*.cache_control.ttl",
    "tools.*.cache_control.ttl",
    "messages.*.content.*.cache_control.ttl",
    "messages.*.content.*.content.*.cache_control.ttl",
    "messages.*.content.*.source.content.*.cache_control.ttl",
)


def call(request: Request, target: Target) -> Call:
    """The same request at `target`.

    Raises ApiError("invalid_request") for a body that is no JSON object; for a strict target also for what is lost.
    """
    quirks: Quirks = target.quirks
    notes: list[Note] = []
    extra: Changes = {name: msgspec.json.encode(value) for name, value in quirks.extra_body.items()}
    if quirks.form == "vertex":
        path = f"/models/{quote(target.model, safe='@')}:{'streamRawPredict' if request.stream else 'rawPredict'}"
        body = _body(request, target, {"model": None, "anthropic_version": VERTEX_VERSION, **extra}, notes)
    else:
        path = quirks.messages_path
        body = _body(request, target, extra, notes)
    return _call(request, target, path, body, notes, stream=request.stream)


def count(request: Request, target: Target) -> Call:
    """The question how many tokens the request is. Raises ApiError("unsupported") where nobody would answer it."""
    quirks: Quirks = target.quirks
    if not quirks.counts:
        raise ApiError("unsupported", f"{target.provider} does not count tokens.")
    notes: list[Note] = []
    if quirks.form == "vertex":
        body = _body(request, target, {"anthropic_version": VERTEX_VERSION}, notes)
        return _call(request, target, "/models/count-tokens:rawPredict", body, notes, stream=False)
    path = f"{quirks.messages_path}/count_tokens"
    return _call(request, target, path, _body(request, target, {}, notes), notes, stream=False)


def _call(
    request: Request, target: Target, path: str, body: bytes | Pieces, notes: list[Note], *, stream: bool
) -> Call:
    query = "&".join(each for each in (request.query, target.query) if each) if target.query else request.query
    quirks: Quirks = target.quirks
    headers = _headers(request.headers, target.headers, request.version, betas=quirks.betas == "all")
    if quirks.betas != "all" and request.betas:
        headers += _betas(request.betas, target, notes)
    if target.strict:
        fields.refuse_losses(tuple(notes))
    return Call(
        url=f"{target.base_url}{path}" + (f"?{query}" if query else ""),
        body=body,
        stream=stream,
        target=target,
        recall=Recall(model=request.model, scope=target.state_scope),
        headers=headers,
        notes=tuple(notes),
        relays=True,
    )


@lru_cache(maxsize=64)  # the same callers come again and again
def _headers(
    rows: tuple[tuple[bytes, bytes], ...], own: tuple[tuple[str, str], ...], version: str, *, betas: bool
) -> tuple[tuple[str, str], ...]:
    """The caller's, but for those of the target's `own`. `betas`: with the caller's."""
    fixed = {name.lower() for name, _ in own} | {"content-type"}
    headers = [("content-type", "application/json")]
    versioned = False
    for name, value in rows:
        header, text = name.decode("latin-1"), value.decode("latin-1")
        versioned = versioned or header == "anthropic-version"
        if header not in fixed and (betas or header != "anthropic-beta"):
            headers.append((header, text))
    if not versioned and "anthropic-version" not in fixed:
        headers.append(("anthropic-version", version or VERSION))
    return (*headers, *own)


def _betas(asked: tuple[str, ...], target: Target, notes: list[Note]) -> tuple[tuple[str, str], ...]:
    """What of `anthropic-beta` a server takes that knows few of them."""
    quirks: Quirks = target.quirks
    taken = [] if quirks.betas == "none" else [beta for beta in asked if beta in quirks.betas]
    if len(taken) < len(asked):
        notes.append(Note("changed", "betas.left_out"))
    fixed = any(name.lower() == "anthropic-beta" for name, _ in target.headers)
    return (("anthropic-beta", ",".join(taken)),) if taken and not fixed else ()


def _body(request: Request, target: Target, changes: Changes, notes: list[Note]) -> bytes | Pieces:
    """The caller's bytes, with `changes` and with what else must be another way."""
    quirks: Quirks = target.quirks
    if request.model != target.model:
        changes = {"model": msgspec.json.encode(target.model), **changes}
    if request.outline is not None:
        changes = {**_fitted(request, request.outline, target, notes), **changes}
    try:
        made = request.edited(changes)
        if quirks.strip:
            made = _without(bytes(made), quirks.strip, "field.left_out", notes)
        if not quirks.cache_ttl and b'"ttl"' in (made := bytes(made)):
            made = _without(made, CACHE_TTL, "cache_control.ttl", notes)
    except msgspec.DecodeError as error:
        raise ApiError("invalid_request", f"The request body is not valid JSON: {error}") from None
    return made


def _fitted(request: Request, outline: Outline, target: Target, notes: list[Note]) -> Changes:
    """What model and server make necessary, knobs and turns."""
    quirks: Quirks = target.quirks
    turns = outline.messages
    knobs = Knobs(outline, request.betas, target, notes)
    knobs.fit()
    odd = odd_turns(turns)
    cleaned = history.clean(turns, odd, quirks, notes)
    checked = cleaned.gone or quirks.thinking_history == "drop" or knobs.turned_on
    if checked and knobs.thinks_manually and history.loop_is_broken(turns, cleaned.gone):
        knobs.switch_off("thinking.off_in_loop")
    if "thinking" in quirks.strip:
        knobs.forget_thinking()
    changes = cleaned.changes
    if (quirks.mid_system == "fold" or not target.facts.system_turns) and any(
        turns[index].role == "system" for index in odd
    ):
        changes |= folding.fold(bytes(request.raw), turns, notes)
    changes |= conversion.ending(outline, target, changes, notes)
    return {**knobs.changes, "messages": changes} if changes else knobs.changes


def _without(raw: bytes, paths: tuple[str, ...], code: str, notes: list[Note]) -> bytes:
    """The body without what the paths name, with one note for each that was there."""
    for path in paths:
        found: list[str] = []
        change: Changes | None = None
        for name in reversed(path.split(".")):
            change = {name: change}
        raw = edit.changed(raw, change or {}, found)
        if found:
            notes.append(Note("changed", code, path))
    return raw
