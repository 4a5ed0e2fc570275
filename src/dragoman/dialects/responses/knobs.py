"""All of a request but conversation, tools and thinking: limits, sampling, output format, identity, caching."""

import msgspec

from dragoman.dialects import alike
from dragoman.dialects.contract import Target
from dragoman.dialects.responses.body import ResponsesBody, SchemaFormat, Text
from dragoman.dialects.responses.quirks import Quirks
from dragoman.messages import schema
from dragoman.messages.body import Body
from dragoman.messages.errors import ApiError
from dragoman.messages.estimate import Estimate
from dragoman.messages.fields import SERVICE_TIER, fitting, given, person_hash, session_hash
from dragoman.messages.form import is_known, written
from dragoman.messages.names import LEGAL_ID
from dragoman.messages.notes import Note
from dragoman.messages.pieces import Pieces

OUTPUT = "output"
"""Name of the schema that structured output is asked for with, when the caller gave none."""


_encode = msgspec.json.Encoder().encode


def output(request: Body, quirks: Quirks, notes: list[Note]) -> Text | None:
    """The structured output that the caller wants, if any.

    Raises ApiError("invalid_request") for a format without a schema or of an unknown type.
    """
    config = request.output_config
    place = "output_config.format" if config and config.format else "output_format"
    wanted = (config.format if config else None) or request.output_format
    if wanted is None:
        return None
    if wanted.type != "json_schema":
        raise ApiError("invalid_request", f"{place}.type: Input should be 'json_schema'")
    if not given(wanted.schema):
        raise ApiError("invalid_request", f"{place}.schema: Field required")
    raw = schema.output(wanted.schema, inline=quirks.schema == "inline", notes=notes, place=f"{place}.schema")
    name = wanted.name if wanted.name and LEGAL_ID.match(wanted.name) else OUTPUT
    return Text(SchemaFormat(name, raw, schema.strict_ready(raw) or None))


def limit(body: ResponsesBody, request: Body, target: Target, estimate: Estimate, notes: list[Note]) -> None:
    """The output limit, no larger than the model and its window allow, no smaller than the server takes.

    `estimate`: of the input, within 15 %. Clients do not lower it themselves when an upstream refuses it.
    """
    wanted = request.max_tokens
    if wanted is None:
        return
    facts = target.facts
    quirks: Quirks = target.quirks
    if facts.max_output is not None and wanted > facts.max_output:
        wanted = facts.max_output
        notes.append(Note("changed", "max_tokens.clamped", "max_tokens"))
    wanted = fitting(wanted, facts.context, estimate, notes)
    if wanted < quirks.min_output_tokens:
        wanted = quirks.min_output_tokens
        notes.append(Note("changed", "max_tokens.raised", "max_tokens"))
    body.max_output_tokens = wanted


def sample(body: ResponsesBody, request: Body, target: Target, notes: list[Note], *, thinks: bool) -> None:
    """Temperature, top_p and top_k where the model takes them. `thinks`: the model will think."""
    quirks: Quirks = target.quirks
    takes = alike.takes_sampling(target, thinks=thinks)
    alike.sample(body, request, notes, takes=takes and quirks.sampling, top_k=takes and quirks.top_k)


def identify(body: ResponsesBody, request: Body, session: str | None, quirks: Quirks, notes: list[Note]) -> str | None:
    """Who asks and in which conversation, as hashes. Returns that of the session, if anybody wants it."""
    takes_key = quirks.cache != "none"
    hashed = session_hash(session) if takes_key or quirks.session_header else None
    if takes_key:
        body.prompt_cache_key = hashed
    person = person_hash(request)
    if person and quirks.safety_identifier:
        body.safety_identifier = person
    elif person:
        notes.append(Note("ignored", "metadata.user_id", "metadata.user_id"))
    if request.service_tier is not None:
        body.service_tier = SERVICE_TIER.get(request.service_tier) if quirks.service_tier else None
        if body.service_tier is None:
            notes.append(Note("ignored", "service_tier", "service_tier"))
    return hashed


def encode(body: ResponsesBody, quirks: Quirks) -> bytes | Pieces:
    """The body as JSON. `extra_body` wins over what we wrote; two objects of one name are joined."""
    if is_known(body.input):
        first = {"model": body.model, "input": body.input, "instructions": body.instructions, "tools": body.tools}
        body.model, body.input, body.instructions, body.tools = "", [], None, None
        made: bytes | Pieces = written(first, body)
    else:
        made = _encode(body)
    return alike.with_extra(made, quirks.extra_body)
