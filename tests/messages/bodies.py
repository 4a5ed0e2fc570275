"""Bodies of requests for the tests of reading them."""

from typing import Any

import msgspec
import pytest

from dragoman.messages.body import NO_RAW, NULL, Block, Body
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode

Json = dict[str, Any]
EPHEMERAL = {"type": "ephemeral", "ttl": "1h"}
TEXT = {"type": "text", "text": "hi"}


def raw_body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "max_tokens": 1, "messages": [], **fields})


def body(**fields: Any) -> Body:
    return decode(raw_body(**fields)).body


def blocks(*rows: Any, role: str = "user") -> list[Block]:
    content = body(messages=[{"role": role, "content": list(rows)}]).messages[0].content
    assert isinstance(content, list)
    return content


def plain(value: Any) -> Any:
    """A struct as JSON without the fields at their default; raw fields decoded."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        fields = {name: getattr(value, attribute) for name, attribute in names}
        return {name: plain(one) for name, one in fields.items() if one not in (None, NO_RAW, NULL)}
    return [plain(one) for one in value] if isinstance(value, list) else value


def refused(raw: bytes, **options: Any) -> str:
    with pytest.raises(ApiError) as caught:
        decode(raw, **options)
    assert caught.value.kind == "invalid_request"
    return caught.value.message
