"""Small edits of JSON that others wrote: what is not changed keeps every byte, its order, escapes and spaces."""

import re

import msgspec
from msgspec import Raw, Struct

from dragoman.messages.request import repair_surrogates

_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
_FIRST = re.compile(rb'\s*\{\s*"model"\s*:\s*("(?:[^"\\]|\\.)*")')
_PROBE = "\x01model"
_PROBE_JSON = msgspec.json.encode(_PROBE)


class _Named(Struct, frozen=True, gc=False):
    model: str | None = None


_NAMED = msgspec.json.Decoder(_Named)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


def with_model(raw: bytes, model: str) -> bytes:
    """The JSON object `raw` with another `model` at its top; nothing else changes.

    Where the name comes twice, the last one counts, as for most decoders. Raises msgspec.DecodeError for what is no
    JSON object, or has no model at its top.
    """
    value = msgspec.json.encode(model)
    first = _FIRST.match(raw)
    if first is not None and raw.count(b'"model"') == 1:
        start, end = first.span(1)
        return b"".join((raw[:start], value, raw[end:]))
    sound = repair_surrogates(raw)  # as long as it was; half a character would fail the decoder
    for found in reversed(list(_MODEL.finditer(raw))):
        start, end = found.span(1)
        if _NAMED.decode(b"".join((sound[:start], _PROBE_JSON, sound[end:]))).model == _PROBE:
            return b"".join((raw[:start], value, raw[end:]))
    fields = _FIELDS.decode(sound)  # its name is written with escapes
    if "model" not in fields:
        raise msgspec.DecodeError("There is no model.")
    fields["model"] = Raw(value)
    return msgspec.json.encode(fields)
