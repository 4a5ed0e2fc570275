"""Everything of a request besides conversation, tools and thinking: limits, sampling, output format, identity, caching.

The fields that mean nothing outside Anthropic are in `messages.fields`.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects import alike
from dragoman.dialects.chat.body import ChatBody, JsonSchema, ObjectFormat, SchemaFormat
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.messages import schema
from dragoman.messages.body import Body, Format
from dragoman.messages.errors import ApiError
from dragoman.messages.estimate import Estimate
from dragoman.messages.fields import SERVICE_TIER, fitting, given, person_hash, session_hash, stop_sequences
from dragoman.messages.form import is_known, written
from dragoman.messages.notes import Note
from dragoman.messages.offer import Offered
from dragoman.messages.pieces import Pieces

OUTPUT = "output"
"""Name of the schema, and of the tool, that structured output is asked for with."""

_encode = msgspec.json.Encoder().encode

INSTRUCTION = (
    "Answer with one JSON value that matches this JSON schema, and with nothing else: no other text, no code fence.\n\n"
)


class Output(Struct, frozen=True):
    """How structured output is asked for: a response format, an instruction, a tool, or nothing at all."""

    format: SchemaFormat | ObjectFormat | None = None
    instruction: str | None = None
    tool: Offered | None = None


def output(body: Body, target: Target, offered: list[Offered], notes: list[Note]) -> Output:
    """How to ask for the structured output that the caller wants, if any.

    Raises ApiError("invalid_request") for a format without a schema or of an unknown type.
    """
    place = "output_config.format" if body.output_config and body.output_config.format else "output_format"
    wanted = (body.output_config.format if body.output_config else None) or body.output_format
    if wanted is None:
        return Output()
    quirks: Quirks = target.quirks
    raw = _schema(wanted, quirks, notes, place)
    form = quirks.response_format
    if form != "tool" and offered and not quirks.response_format_with_tools:
        form = "tool"
    if form == "json_schema":
        is_strict = schema.strict_ready(raw) or None
        return Output(SchemaFormat(JsonSchema(wanted.name or OUTPUT, raw, is_strict)))
    instruction = INSTRUCTION + str(memoryview(raw), "utf-8")
    if form == "json_object":
        notes.append(Note("changed", "output_format.by_instruction", place))
        return Output(ObjectFormat(), instruction)
    choice = body.tool_choice.type if body.tool_choice else "auto"
    if not target.facts.tools or not schema.is_object(raw) or choice in ("any", "tool"):
        notes.append(Note("changed", "output_format.by_instruction", place))
        return Output(None, instruction)
    notes.append(Note("changed", "output_format.by_tool", place))
    parameters = schema.parameters(raw, inline=False, notes=notes, place=place)
    strict = quirks.strict_tools and schema.strict_ready(parameters)
    names = {tool.name for tool in offered}
    name = next(free for number in range(1, len(names) + 2) if (free := _numbered(number)) not in names)
    return Output(tool=Offered(name, "Call this with your final answer, once.", parameters, strict))


def _numbered(number: int) -> str:
    return OUTPUT if number == 1 else f"{OUTPUT}_{number}"


def _schema(wanted: Format, quirks: Quirks, notes: list[Note], place: str) -> Raw:
    if wanted.type != "json_schema":
        raise ApiError("invalid_request", f"{place}.type: Input should be 'json_schema'")
    if not given(wanted.schema):
        raise ApiError("invalid_request", f"{place}.schema: Field required")
    return schema.output(wanted.schema, inline=quirks.schema == "inline", notes=notes, place=f"{place}.schema")


def limit(chat: ChatBody, body: Body, target: Target, estimate: Estimate, notes: list[Note]) -> None:
    """The output limit under the name that the server knows, no larger than the model and its window allow.

    `estimate`: of the input, within 15 %. Clients do not lower it themselves when an upstream refuses it.
    """
    wanted = body.max_tokens
    if wanted is None:
        return
    facts = target.facts
    if facts.max_output is not None and wanted > facts.max_output:
        wanted = facts.max_output
        notes.append(Note("changed", "max_tokens.clamped", "max_tokens"))
    wanted = fitting(wanted, facts.context, estimate, notes)
    quirks: Quirks = target.quirks
    if quirks.max_tokens_field == "max_tokens":
        chat.max_tokens = wanted
    else:
        chat.max_completion_tokens = wanted


def sample(chat: ChatBody, body: Body, target: Target, notes: list[Note], *, thinks: bool) -> None:
    """Temperature, top_p and top_k where the model takes them. `thinks`: the model will think."""
    quirks: Quirks = target.quirks
    takes = alike.takes_sampling(target, thinks=thinks)
    alike.sample(chat, body, notes, takes=takes and quirks.sampling, top_k=takes and quirks.top_k)
    if chat.temperature is not None:
        chat.temperature = _clamped(chat.temperature, quirks.temperature_limits, notes)


def _clamped(value: float, limits: tuple[float, float] | None, notes: list[Note]) -> float:
    if limits is None or limits[0] <= value <= limits[1]:
        return value
    notes.append(Note("changed", "temperature.clamped", "temperature"))
    return min(max(value, limits[0]), limits[1])


def stop(chat: ChatBody, body: Body, quirks: Quirks, notes: list[Note]) -> tuple[str, ...]:
    """The stop sequences that the writer matches: all. They go upstream only where the answer names the match.

    Servers take four, reasoning models none, and few say which one matched.
    https://platform.openai.com/docs/api-reference/chat/create#chat-create-stop
    """
    wanted = stop_sequences(body, notes)
    if wanted and quirks.stop == "named":
        chat.stop = wanted[:4]
    return wanted


def identify(chat: ChatBody, body: Body, session: str | None, quirks: Quirks, notes: list[Note]) -> str | None:
    """Who asks and in which conversation, as hashes. Returns the hash of the session, if anybody wants it."""
    hashed: str | None = None
    takes_key = quirks.cache in ("key", "breakpoints")
    if takes_key or quirks.session_header:
        hashed = session_hash(session)
    if takes_key:
        chat.prompt_cache_key = hashed
    if quirks.safety_identifier:
        chat.safety_identifier = person_hash(body)
    elif body.metadata is not None and body.metadata.user_id:
        notes.append(Note("ignored", "metadata.user_id", "metadata.user_id"))
    if body.service_tier is not None:
        tier = SERVICE_TIER.get(body.service_tier) if quirks.service_tier else None
        if tier is None:
            notes.append(Note("ignored", "service_tier", "service_tier"))
        chat.service_tier = tier
    return hashed


def encode(chat: ChatBody, quirks: Quirks) -> bytes | Pieces:
    """The body as JSON. `extra_body` wins over what we wrote; two objects of one name are joined."""
    others = _added(chat, quirks.extra_body) if quirks.extra_body else None
    if is_known(chat.messages):
        first = {"model": chat.model, "messages": chat.messages, "tools": chat.tools}
        chat.model, chat.messages, chat.tools = "", [], None
        made: bytes | Pieces = written(first, chat)
    else:
        made = _encode(chat)
    return bytes(made)[:-1] + b"," + _encode(others)[1:] if others else made


def _added(chat: ChatBody, more: dict[str, Any]) -> dict[str, Any]:
    """Puts `more` into `chat`; what has no field there is returned."""
    others: dict[str, Any] = {}
    for name, value in more.items():
        if name not in ChatBody.__struct_fields__:
            others[name] = value
            continue
        own = getattr(chat, name)
        setattr(chat, name, own | value if isinstance(own, dict) and isinstance(value, dict) else value)
    return others
