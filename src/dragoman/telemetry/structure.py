"""A body without its texts: the same bytes in the same places, with an `x` for every letter that somebody wrote.

It works on bytes, so that a body may be cut anywhere, end anywhere, be a stream of events, or be no JSON at all.
"""

import re

_LINE = re.compile(rb"[^\r\n]*[\r\n]*")
_FIELD = re.compile(rb"(?:data|event|id|retry)?:")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)("?)(\s*:)?|[{}\[\]]', re.DOTALL)
_RUN = re.compile(rb"\\u[0-9a-fA-F]{4}|\\.|\\|[^\\]+", re.DOTALL)
_COVER = bytes(ord("x") if byte >= 128 or chr(byte).isalnum() else byte for byte in range(256))
_PLAIN = re.compile(rb"\b(?:true|false|null|-?[0-9][0-9.eE+-]*)\b|[A-Za-z0-9\x80-\xff]")
_NAME = re.compile(rb"[A-Za-z0-9_.:/-]{1,100}")
_DONE = re.compile(rb"\s*\[DONE\]\s*")

_KEPT = frozenset(
    b"type role model object name id status code format mode effort display stop_reason finish_reason finishReason "
    b"tool_use_id tool_call_id call_id item_id response_id responseId modelVersion media_type mimeType "
    b"service_tier".split()
)
"""Fields whose values say how a body is made, where they are single words."""

_PRIVATE = frozenset((b"input", b"args", b"metadata", b"functionResponse"))
"""Objects that are the conversation's own, names of fields included."""


def without_texts(raw: bytes) -> bytes:
    """The same number of bytes. Names of fields, kinds, ids, numbers and line ends stay."""
    walk = _Walk()
    parts = []
    for line in _LINE.findall(raw):
        field = _FIELD.match(line)
        if field is None:
            parts.append(walk.over(line))
            continue
        rest = line[field.end() :]
        parts.append(field[0])
        if field[0] == b"data:":
            parts.append(rest if _DONE.fullmatch(rest) else walk.over(rest))
        elif field[0] == b"event:" and _NAME.fullmatch(rest.strip()):
            parts.append(rest)
        else:
            parts.append(_RUN.sub(_covered, rest))
    return b"".join(parts)


class _Walk:
    """Goes over JSON, and remembers across lines where it is."""

    def __init__(self) -> None:
        self._depth = 0
        self._private = 0  # depth of the object that is the conversation's own; 0: not in one
        self._key = b""
        self._listed = False  # whether a list has begun since the key

    def over(self, text: bytes) -> bytes:
        parts = []
        end = 0
        for found in _STRING.finditer(text):
            parts.append(_PLAIN.sub(_unless_plain, text[end : found.start()]))
            parts.append(self._string(found) if found[0][:1] == b'"' else self._bracket(found[0]))
            end = found.end()
        parts.append(_PLAIN.sub(_unless_plain, text[end:]))
        return b"".join(parts)

    def _bracket(self, bracket: bytes) -> bytes:
        if bracket == b"[":
            self._depth += 1
            self._listed = True
        elif bracket == b"{":
            self._depth += 1
            if not self._private and not self._listed and self._key in _PRIVATE:
                self._private = self._depth
            self._key = b""
        else:
            if self._depth == self._private:
                self._private = 0
            self._depth -= 1
            self._key = b""
        return bracket

    def _string(self, found: re.Match[bytes]) -> bytes:
        content, quote, colon = found[1], found[2], found[3] or b""
        if colon:
            self._key, self._listed = content, False
        kept = bool(colon) or (self._key in _KEPT and bool(quote) and _NAME.fullmatch(content) is not None)
        if self._private or not kept:
            content = _RUN.sub(_covered, content)
        return b'"' + content + quote + colon


def _covered(found: re.Match[bytes]) -> bytes:
    text = found[0]
    if text[:2] == b"\\u":
        return b"\\u0078"
    return text if text[:1] == b"\\" else text.translate(_COVER)


def _unless_plain(found: re.Match[bytes]) -> bytes:
    return found[0] if len(found[0]) > 1 or found[0].isdigit() else b"x"
