"""The answer to `/v1/messages/count_tokens`. https://platform.claude.com/docs/en/build-with-claude/token-counting"""

import msgspec
from msgspec import Struct

from dragoman.messages.errors import ApiError


class _Counted(Struct, frozen=True):
    input_tokens: int


def counted(body: bytes) -> int:
    """Input tokens in the answer. Raises ApiError("bad_answer")."""
    try:
        found = msgspec.json.decode(body, type=_Counted).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ApiError("bad_answer", "The upstream's count of tokens is none.") from None
    return max(found, 0)
