"""Headers of upstreams that speak Messages, where they are passed on.

https://code.claude.com/docs/en/llm-gateway-protocol
"""

from collections.abc import Mapping
from functools import lru_cache

# Of one connection (RFC 9110, 7.6.1), of the form that a body has on it, and of the server that sent it.
_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"content-length", "content-type", "content-encoding", "date", "server", "via"}
)
# What an origin tells browsers about itself would be about this server here.
_ORIGIN = frozenset(
    {"alt-svc", "clear-site-data", "content-security-policy", "nel", "report-to", "reporting-endpoints", "set-cookie"}
    | {"strict-transport-security"}
)
# Orders to a proxy in front of us, which would follow them; and names that only this gateway may use.
_PREFIXES = ("proxy-", "access-control-", "x-accel-", "x-dragoman-")


def passed_on(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers of an answer that mean something to the caller: request ids, limits, and all that nobody knows yet.

    Names are in lower case.
    """
    found = [field for field in headers.items() if _goes_on(field[0])]
    if "connection" in headers:
        named = {name.strip().lower() for name in headers["connection"].split(",")}
        found = [field for field in found if field[0] not in named]
    return tuple(found)


@lru_cache(maxsize=512)  # every answer has the same twenty
def _goes_on(name: str) -> bool:
    return not (name in _CONNECTION or name in _ORIGIN or name.startswith(_PREFIXES))
