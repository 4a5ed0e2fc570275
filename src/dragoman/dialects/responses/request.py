"""Messages -> one call in the language of OpenAI Responses.

Specification: https://platform.openai.com/docs/api-reference/responses/create. OpenAI and Azure speak it, and by now
several others; the ways in which they differ are `quirks.Quirks`, what a model can do is `contract.Facts`. The turns
are in `turns.py`, tools in `tools.py`, thinking in `reasoning.py`, all other knobs in `knobs.py`.

Nothing is kept at the upstream: every request says `store: false` and carries the whole conversation, earlier
reasoning in the encrypted form that only the upstream can read. Items have no ids, since an id without its content is
looked up in a store that is not there.

What this language cannot carry, and what happens instead:

- thinking that others made, or this upstream for another organisation: dropped; its own goes back, encrypted
- `is_error`: the output begins with "Error: "
- citations, and the switch that asks for them: left out; searches that the upstream ran in earlier turns: text
- pictures for a model without vision: a marker; pictures of the Files API: 400 that names the block
- PDF documents, where the server takes none, and documents of the Files API: 400 that names the block; in turns that
  were answered before, a marker
- an answer that the caller began (prefill): an instruction to continue
- tools that Anthropic runs (web fetch, code execution, tool search, toolsets, MCP servers): left out, or 400 if nothing
  is left; web search only where the server has its own, without blocked domains
- unions at the top of a tool's schema: widened to one object with all their properties
- stop sequences: matched on the answer by us
- budgets of thinking tokens: an effort
- `max_tokens` below 16: 16
- `top_k`, where the server does not know it: left out
- cache breakpoints, where the server has none: left out; caching is then the server's own
- containers, MCP servers, threads that Anthropic keeps, compaction: 400 that names the field
- context management, fallbacks, safeguards, tags, speed, inference geography and the like: left out with a note
"""

import msgspec
from msgspec import Struct

from dragoman.dialects.contract import Call, Recall, Target, streams
from dragoman.dialects.responses import knobs, reasoning, tools, turns
from dragoman.dialects.responses.body import ResponsesBody, counted
from dragoman.dialects.responses.quirks import Quirks
from dragoman.messages import fields
from dragoman.messages.effort import UNASKED, wish
from dragoman.messages.errors import ApiError
from dragoman.messages.estimate import Estimate
from dragoman.messages.names import Names, no_names
from dragoman.messages.notes import Note
from dragoman.messages.offer import offer
from dragoman.messages.request import Request


def call(request: Request, target: Target) -> Call:
    """Translate `request` for `target`, whose quirks are `quirks.Quirks`.

    Raises ApiError("invalid_request") for what cannot be sent at all, naming the field or block; for a strict target
    also for everything that would be lost.
    """
    asked = request.body
    quirks: Quirks = target.quirks
    notes = list(request.notes)
    said = _said(request, target, notes)
    body = said.body
    estimate = Estimate(asked, len(request.raw))
    knobs.limit(body, asked, target, estimate, notes)
    knobs.sample(body, asked, target, notes, thinks=said.thinks)
    stop_sequences = fields.stop_sequences(asked, notes)
    session = knobs.identify(body, asked, request.session, quirks, notes)
    if quirks.store:
        body.store = False
    stream = streams(asked, quirks.transport, stop_sequences)
    if stream:
        body.stream = True
        if quirks.obfuscation == "off":
            body.stream_options = {"include_obfuscation": False}

    unique = tuple(dict.fromkeys(notes)) if notes else ()
    if target.strict:
        fields.refuse_losses(unique)
    return Call(
        url=_url(target, ""),
        body=knobs.encode(body, quirks),
        stream=stream,
        target=target,
        recall=Recall.of(
            asked,
            target,
            stop_sequences=stop_sequences,
            names=said.names,
            ids=said.ids,
            estimate=estimate,
        ),
        headers=_headers(quirks, target, session),
        notes=unique,
    )


def count(request: Request, target: Target) -> Call:
    """The call that asks how many input tokens `request` has.

    Raises ApiError as `call` does, and ApiError("unsupported") for a server that does not count.
    """
    if not target.quirks.counts:
        raise ApiError("unsupported", f"{target.provider} does not count tokens.")
    notes = list(request.notes)
    said = _said(request, target, notes)
    return Call(
        url=_url(target, "/input_tokens"),
        body=msgspec.json.encode(counted(said.body)),
        stream=False,
        target=target,
        recall=Recall(model=request.body.model, scope=target.state_scope),
        headers=_headers(target.quirks, target, None),
        notes=tuple(dict.fromkeys(notes)),
    )


class _Said(Struct):
    """The part of the body that the model reads, and what was learned on the way."""

    body: ResponsesBody
    names: Names
    ids: list[str]  # tool ids of the history, as the caller wrote them
    thinks: bool


def _said(request: Request, target: Target, notes: list[Note]) -> _Said:
    asked = request.body
    quirks: Quirks = target.quirks
    fields.check(asked, notes)
    if fields.wants_words(asked):
        names = no_names(quirks.tool_name_limit)
        written = turns.write(asked, target, names, notes)
        body = ResponsesBody(target.model, written.items, written.instructions)
        thinks = reasoning.write(body, UNASKED, target, notes, shown=False, searches=False)
        return _Said(body, names, written.ids, thinks)
    offered = offer(asked, tools.means(target), notes)
    names = offered.names(asked, limit=quirks.tool_name_limit)
    written = turns.write(asked, target, names, notes)
    body = ResponsesBody(target.model, written.items, written.instructions, text=knobs.output(asked, quirks, notes))
    tools.write(body, offered, names, quirks, notes)
    tools.choose(body, asked.tool_choice, offered, names, notes, quirks=quirks)
    shown = asked.thinking is not None and asked.thinking.display != "omitted"
    searches = offered.search is not None
    thinks = reasoning.write(body, wish(asked, notes), target, notes, shown=shown, searches=searches)
    return _Said(body, names, written.ids, thinks)


def _url(target: Target, more: str) -> str:
    quirks: Quirks = target.quirks
    return f"{target.base_url}{quirks.responses_path}{more}" + (f"?{target.query}" if target.query else "")


def _headers(quirks: Quirks, target: Target, session: str | None) -> tuple[tuple[str, str], ...]:
    headers = (("content-type", "application/json"), *target.headers)
    if quirks.session_header and session:
        headers += ((quirks.session_header, session),)
    return headers
