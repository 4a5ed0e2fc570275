"""A caller's headers, for upstreams that speak Messages: what goes on, and what ends here.

Fields are an open list: what nobody knows yet goes on. What ends here is about this connection, about this gateway, or
is a credential. https://code.claude.com/docs/en/llm-gateway-protocol and RFC 9110, 7.6.1
"""

from collections.abc import Sequence

Rows = Sequence[tuple[bytes, bytes]]

FORM = frozenset((b"content-type", b"content-encoding", b"accept-encoding"))
"""About the bytes of a body: only for a body that goes on untouched."""

_CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie"))
_CONNECTION = frozenset((b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect"))
_WAY = frozenset((b"forwarded", b"via", b"x-real-ip"))
_ENDING = _CREDENTIALS | _CONNECTION | _WAY | FORM | {b"host", b"content-length", b"a2o-endpoint"}
_ENDING_PREFIXES = (b"proxy-", b"x-forwarded-", b"x-dragoman-")

_USUAL = frozenset((b"keep-alive", b"close"))
_REMEMBERED = 1000  # names; callers choose them


class PassedOn:
    """Picks the fields that go on, in their order. `further`: names that go on besides."""

    def __init__(self, further: frozenset[bytes] = frozenset()) -> None:
        self._further = further
        self._known: dict[bytes, bool] = {}  # name -> whether it goes on: every request asks for the same twenty

    def __call__(self, rows: Rows, connection: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
        """`connection`: the field of this name, which may name others that are about the connection."""
        known = self._known
        try:
            found = [row for row in rows if known[row[0]]]
        except KeyError:
            found = [row for row in rows if self._goes_on(row[0])]
        if connection is not None and connection.lower() not in _USUAL:
            named = {name.strip() for name in connection.lower().split(b",")}
            found = [row for row in found if row[0] not in named]
        return tuple(found)

    def _goes_on(self, name: bytes) -> bool:
        known = self._known.get(name)
        if known is None:
            known = name in self._further or not (name in _ENDING or name.startswith(_ENDING_PREFIXES))
            if len(self._known) < _REMEMBERED:
                self._known[name] = known
        return known


def as_text(rows: Rows) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in rows]
