"""Heads of requests that come again on a connection, so that they are compared and not parsed."""

from typing import Any

from dragoman.server.cycle import Facts

LONGEST_LENGTH = 16  # digits, and the end of the line


class KnownHead:
    """A head that came before: its bytes up to the digits of its length and behind them, and the scope it made, with
    the place of the length among the headers.
    """

    __slots__ = ("after", "at", "before", "facts", "longest", "scope")

    def __init__(self, before: bytes, after: bytes, scope: dict[str, Any], at: int) -> None:
        self.before = before
        self.after = after
        self.scope = scope
        self.at = at
        self.longest = len(before) + LONGEST_LENGTH + len(after)  # bytes, of such a head
        self.facts = Facts(dict(scope["headers"]))
