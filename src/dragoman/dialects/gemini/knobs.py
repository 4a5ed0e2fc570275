"""All of a request but conversation, tools and thinking: limits, sampling, output format, safety, service tier.

https://ai.google.dev/api/generate-content#generationconfig
"""

import msgspec

from dragoman.dialects import alike
from dragoman.dialects.contract import Target
from dragoman.dialects.gemini import schema
from dragoman.dialects.gemini.body import GeminiBody, GenerationConfig, SafetySetting
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.messages.body import Body
from dragoman.messages.errors import ApiError
from dragoman.messages.estimate import Estimate
from dragoman.messages.fields import fitting, given, person_hash
from dragoman.messages.form import is_known, written
from dragoman.messages.notes import Note
from dragoman.messages.pieces import Pieces

TOP_K = 64
"""The largest that models take. https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini/2-5-pro"""

JSON = "application/json"

INSTRUCTION = (
    "Your final answer must be a single JSON value that fits the JSON schema below. Write that value alone, without "
    "words around it and without a code fence.\n\n"
)


_encode = msgspec.json.Encoder().encode


def output(config: GenerationConfig, request: Body, target: Target, notes: list[Note], *, has_tools: bool) -> str:
    """Put the structured output that the caller wants into `config`; or an instruction that asks for it, else "".

    Raises ApiError("invalid_request") for a format without a schema or of an unknown type.
    """
    said = request.output_config
    place = "output_config.format" if said and said.format else "output_format"
    wanted = (said.format if said else None) or request.output_format
    if wanted is None:
        return ""
    if wanted.type != "json_schema":
        raise ApiError("invalid_request", f"{place}.type: Input should be 'json_schema'")
    if not given(wanted.schema):
        raise ApiError("invalid_request", f"{place}.schema: Field required")
    quirks: Quirks = target.quirks
    is_apart = quirks.output_with_tools or not has_tools
    if is_apart:
        config.response_mime_type = JSON
    if not is_apart or not quirks.response_schema:
        notes.append(Note("changed", "output_format.by_instruction", place))
        return INSTRUCTION + str(memoryview(wanted.schema), "utf-8")
    form = target.facts.schema or quirks.schema
    raw = schema.output(wanted.schema, form, notes, f"{place}.schema")
    if form == "json_schema":
        config.response_json_schema = raw
    else:
        config.response_schema = raw
    return ""


def limit(
    config: GenerationConfig, request: Body, target: Target, estimate: Estimate, notes: list[Note], *, unwanted: int
) -> None:
    """The output limit, no larger than the model and its window allow. Thinking counts in it here as it does at Claude.

    `estimate`: of the input, within 15 %. Clients do not lower it themselves when an upstream refuses it.
    `unwanted`: tokens of thinking that the caller forbade and the model needs all the same; they come on top.
    """
    asked = request.max_tokens
    if asked is None:
        return
    wanted = asked + unwanted
    if unwanted:
        notes.append(Note("changed", "max_tokens.thinking", "max_tokens"))
    facts = target.facts
    if facts.max_output is not None and wanted > facts.max_output:
        wanted = facts.max_output
        if asked > facts.max_output:
            notes.append(Note("changed", "max_tokens.clamped", "max_tokens"))
    wanted = fitting(wanted, facts.context, estimate, notes)
    if wanted < 1:
        wanted = 1
        notes.append(Note("changed", "max_tokens.raised", "max_tokens"))
    config.max_output_tokens = wanted


def sample(config: GenerationConfig, request: Body, target: Target, notes: list[Note], *, thinks: bool) -> None:
    """Temperature, topP and topK where the model takes them. `thinks`: the model will think."""
    quirks: Quirks = target.quirks
    takes = quirks.sampling and alike.takes_sampling(target, thinks=thinks)
    alike.sample(config, request, notes, takes=takes, top_k=takes and (request.top_k or 0) > 0)
    if config.top_k is not None and config.top_k > TOP_K:
        config.top_k = TOP_K
        notes.append(Note("changed", "top_k.clamped", "top_k"))


def serve(body: GeminiBody, request: Body, quirks: Quirks, notes: list[Note]) -> None:
    """Safety filters as the operator wants them, and the service tier. Who asks is not said: there is no field for it.

    https://ai.google.dev/gemini-api/docs/priority-inference: a tier above the standard costs more, so "auto", which is
    the standard, is left unsaid.
    """
    if quirks.safety:
        body.safety_settings = tuple(
            SafetySetting(f"HARM_CATEGORY_{name.upper()}", threshold) for name, threshold in quirks.safety.items()
        )
    if person_hash(request):
        notes.append(Note("ignored", "metadata.user_id", "metadata.user_id"))
    if request.service_tier is not None:
        if quirks.service_tier and request.service_tier == "standard_only":
            body.service_tier = "standard"
        else:
            notes.append(Note("ignored", "service_tier", "service_tier"))


def encode(body: GeminiBody, quirks: Quirks) -> bytes | Pieces:
    """The body as JSON. `extra_body` wins over what we wrote; two objects of one name are joined."""
    if is_known(body.contents):
        first = {
            "systemInstruction": body.system_instruction,
            "tools": body.tools,
            "toolConfig": body.tool_config,
            "contents": body.contents,
        }
        body.system_instruction, body.tools, body.tool_config, body.contents = None, None, None, []
        made: bytes | Pieces = written(first, body)
    else:
        made = _encode(body)
    return alike.with_extra(made, quirks.extra_body)
