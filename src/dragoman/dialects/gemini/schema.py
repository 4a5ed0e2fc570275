"""JSON schemas in the two forms that Gemini takes: `parameters` of functions, and structured output.

One keyword that Gemini does not know fails the whole request. `json_schema` (`parametersJsonSchema`,
`responseJsonSchema`) is a subset of JSON Schema; `openapi` (`parameters`, `responseSchema`) is the older and smaller
subset of OpenAPI, for models and servers without the first. Meaning is kept: nothing is required or forbidden that was
not. What cannot be written as a rule is told in the description, or a note says that it is gone.
https://ai.google.dev/api/generate-content#FIELDS.response_json_schema and https://ai.google.dev/api/caching#Schema
"""

from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Raw

from dragoman.dialects.gemini.simplified import Simplified
from dragoman.dialects.gemini.subset import written
from dragoman.messages import schema
from dragoman.messages.body import NO_RAW
from dragoman.messages.notes import Note

Form = Literal["json_schema", "openapi"]

_MEMO_LIMIT = 64 * 1024  # bytes of a schema that is remembered


def parameters(raw: Raw, form: Form, notes: list[Note], place: str) -> Raw:
    """`raw` as the parameters of a function: an object at the top. NO_RAW when there are none, and the form has no
    way to say so: Gemini refuses an OBJECT without properties, and takes a function without `parameters`.
    https://github.com/agno-agi/agno/issues/2112

    `place` is for the notes: `schema.simplified` (a rule of the schema is gone), `schema.union` (a union became one
    schema that allows what any of its branches does), `schema.recursive` (a reference to itself became "anything").
    """
    found = schema.EMPTY if raw is NO_RAW else raw
    return _formed(found, form, notes, place, is_output=False)


def output(raw: Raw, form: Form, notes: list[Note], place: str) -> Raw:
    """`raw` as the schema of a structured output; the top may be anything. Notes as in `parameters`."""
    return _formed(raw, form, notes, place, is_output=True)


def _formed(raw: Raw, form: Form, notes: list[Note], place: str, *, is_output: bool) -> Raw:
    text = memoryview(raw).tobytes()
    make = _remembered if len(text) <= _MEMO_LIMIT else _made
    made, codes = make(text, form, is_output=is_output)
    notes += [Note("changed", code, place) for code in codes]
    return made


def _made(text: bytes, form: Form, *, is_output: bool) -> tuple[Raw, tuple[str, ...]]:
    """The schema in this form, and the codes of what changed."""
    notes: list[Note] = []
    tidy = schema.output if is_output else schema.parameters
    raw = tidy(Raw(text), inline=False, notes=notes, place="")
    given = msgspec.json.decode(raw)
    top = given
    if not is_output:  # a call always has an object of arguments
        top = {key: value for key, value in given.items() if key != "nullable"}
    found = Simplified(top, keeps_text_rules=form == "openapi")
    node = found.whole() if form == "json_schema" else written(found)
    codes = tuple(dict.fromkeys([*(note.code for note in notes), *found.codes]))
    if form == "openapi" and not is_output and not found.top.get("properties"):
        return NO_RAW, codes
    return (raw if node == given else Raw(msgspec.json.encode(node))), codes


# Agents send the same tools with every request; the same bytes give the same schema, remembered or not.
_remembered = lru_cache(maxsize=256)(_made)
