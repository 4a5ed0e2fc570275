"""Messages -> one call in the language of Gemini's generateContent.

Specification: https://ai.google.dev/api/generate-content, and for Vertex AI
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference. Both speak it at addresses that differ
only before `/models`; the ways in which they differ otherwise are `quirks.Quirks`, what a model can do is
`contract.Facts`. The turns are in `turns.py`, tools in `tools.py`, their schemas in `schema.py`, thinking in
`thinking.py`, all other knobs in `knobs.py`.

What this language cannot carry, and what happens instead:

- text of earlier thinking, whoever thought it: dropped; the signatures of this upstream go back, each on its own part
- signatures that others made, or this upstream for another deployment: dropped; calls get the word that Google has for
  lost ones, where the model wants one
- citations, and the switch that asks for them: left out; searches that the upstream ran in earlier turns: text
- pictures for a model without vision: a marker; pictures of the Files API: 400 that names the block
- pictures and documents behind a URL, where the server fetches none: 400 that names the block; in turns that were
  answered before, a marker
- an answer that the caller began (prefill): an instruction to continue
- system turns in the middle: text of the user's turn
- tools that Anthropic runs (code execution, tool search, toolsets, MCP servers): left out, or 400 if nothing is left;
  web search and web fetch only where the server has its own, without domains, a limit of uses or a place
- web search and web fetch beside functions, where the model takes one kind only: left out, unless they are forced
- a tool choice that forces web search or web fetch: they are offered alone, and the model may still do without
- one call at a time: the answer may hold several calls
- `strict` on one tool: the calls of all tools are held to their schemas
- keywords of schemas that Gemini does not know: left out or widened
- structured output beside tools, where the model takes one of both only: an instruction
- stop sequences: matched on the answer by us
- budgets of thinking tokens, where the model takes levels: a level; efforts, where it takes budgets: a budget
- no thinking, where the model always thinks: as little as it can, and room for it on top of `max_tokens`
- a `top_k` above 64: 64
- cache breakpoints: left out; caching is the server's own
- the end user and the session: left out
- containers, MCP servers, threads that Anthropic keeps, compaction: 400 that names the field
- context management, fallbacks, safeguards, tags, speed, inference geography and the like: left out with a note
"""

from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from dragoman.dialects.alike import thinks_unasked
from dragoman.dialects.contract import Call, Recall, Target, streams
from dragoman.dialects.gemini import knobs, thinking, tools, turns
from dragoman.dialects.gemini.body import Content, GeminiBody, GenerationConfig, Part
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.messages import fields
from dragoman.messages.effort import wish
from dragoman.messages.estimate import Estimate
from dragoman.messages.names import Names, no_names
from dragoman.messages.notes import Note
from dragoman.messages.offer import offer
from dragoman.messages.request import Request

_JSON = ("content-type", "application/json")


def call(request: Request, target: Target) -> Call:
    """Translate `request` for `target`, whose quirks are `quirks.Quirks`.

    Raises ApiError("invalid_request") for what cannot be sent at all, naming the field or block; for a strict target
    also for everything that would be lost.
    """
    asked = request.body
    quirks: Quirks = target.quirks
    notes = list(request.notes)
    said = _said(request, target, notes)
    body, config = said.body, said.config
    estimate = Estimate(asked, len(request.raw))
    if said.words_alone:
        thinks, unwanted = thinks_unasked(target), 0
    else:
        shown = asked.thinking is not None and asked.thinking.display != "omitted"
        thought = thinking.write(wish(asked, notes), target, notes, shown=shown)
        config.thinking_config, thinks, unwanted = thought.config, thought.thinks, thought.unwanted
    knobs.limit(config, asked, target, estimate, notes, unwanted=unwanted)
    if asked.temperature is not None or asked.top_p is not None or asked.top_k is not None:
        knobs.sample(config, asked, target, notes, thinks=thinks)
    body.generation_config = config
    if quirks.safety or asked.metadata is not None or asked.service_tier is not None:
        knobs.serve(body, asked, quirks, notes)
    stop_sequences = fields.stop_sequences(asked, notes) if asked.stop_sequences else ()
    stream = streams(asked, quirks.transport, stop_sequences)

    unique = tuple(dict.fromkeys(notes)) if notes else ()
    if target.strict:
        fields.refuse_losses(unique)
    return Call(
        url=_url(target.base_url, target.model, target.query, "streamGenerateContent" if stream else "generateContent"),
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
        headers=(_JSON, *target.headers),
        notes=unique,
    )


def count(request: Request, target: Target) -> Call:
    """The call that asks how many input tokens `request` has. Raises ApiError as `call` does.

    https://ai.google.dev/api/tokens#method:-models.counttokens and
    https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens
    """
    quirks: Quirks = target.quirks
    notes = list(request.notes)
    said = _said(request, target, notes)
    body = said.body
    if said.config.response_mime_type is not None:
        body.generation_config = said.config  # its schema counts
    asked: GeminiBody | _Wrapped
    if quirks.count == "wrapped":
        named = _Named(*astuple(body))
        named.model = f"models/{_name(target.model)}"
        asked = _Wrapped(named)
    else:
        body.tool_config = None  # the one field that is not known there
        asked = body
    return Call(
        url=_url(target.base_url, target.model, target.query, "countTokens"),
        body=msgspec.json.encode(asked),
        stream=False,
        target=target,
        recall=Recall(model=request.body.model, scope=target.state_scope),
        headers=(_JSON, *target.headers),
        notes=tuple(dict.fromkeys(notes)),
    )


class _Named(GeminiBody, omit_defaults=True, rename="camel"):
    """A body that says for which model it is."""

    model: str = ""


class _Wrapped(Struct, frozen=True, rename="camel"):
    generate_content_request: _Named


class _Said(Struct):
    """The part of the body that the model reads, and what was learned on the way."""

    body: GeminiBody
    config: GenerationConfig  # not in the body yet
    names: Names
    ids: list[str]  # tool ids of the history, as the caller wrote them
    words_alone: bool = False  # nothing is asked for but words, not even thinking


def _said(request: Request, target: Target, notes: list[Note]) -> _Said:
    asked = request.body
    quirks: Quirks = target.quirks
    fields.check(asked, notes)
    if fields.wants_words(asked):
        names = no_names(quirks.tool_name_limit, begins=True)
        written = turns.write(asked, target, names, notes)
        body = GeminiBody(written.system, None, None, written.contents)
        return _Said(body, GenerationConfig(), names, written.ids, True)  # noqa: FBT003
    offered = offer(asked, tools.means(target), notes)
    names = offered.names(asked, limit=quirks.tool_name_limit, begins=True)
    written = turns.write(asked, target, names, notes)
    body = GeminiBody(written.system, None, None, written.contents)
    tools.write(body, asked.tool_choice, offered, names, target=target, notes=notes)
    config = GenerationConfig()
    instruction = knobs.output(config, asked, target, notes, has_tools=body.tools is not None)
    if instruction:
        _instruct(body, instruction, quirks)
    return _Said(body, config, names, written.ids)


def _instruct(body: GeminiBody, instruction: str, quirks: Quirks) -> None:
    """Parts stand beside each other with nothing between them."""
    system = body.system_instruction
    if quirks.system == "user":
        first: Any = body.contents[0]  # nothing is raw where the system prompt is the user's
        body.contents[0] = Content([Part(text=f"{instruction}\n\n"), *first.parts], first.role)
    elif system is None:
        body.system_instruction = Content([Part(text=instruction)])
    else:
        system.parts.append(Part(text=f"\n\n{instruction}"))


@lru_cache(maxsize=256)  # they are as many as the models that are asked, twice
def _url(base_url: str, model: str, query: str, verb: str) -> str:
    query = "&".join(filter(None, ("alt=sse" if verb == "streamGenerateContent" else "", query)))
    return f"{base_url}/models/{quote(_name(model), safe='@')}:{verb}" + (f"?{query}" if query else "")


def _name(model: str) -> str:
    return model.removeprefix("models/")
