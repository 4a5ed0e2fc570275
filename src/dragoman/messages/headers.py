"""Headers of upstreams that speak Messages, where they are passed on.

https://code.claude.com/docs/en/llm-gateway-protocol
"""

from collections.abc import Mapping

# Of one connection (RFC 9110, 7.6.1), of the form that a body has on it, and of the server that sent it.
_OWN = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "content-length", "content-type", "content-encoding", "alt-svc", "date", "server", "set-cookie"}
)


def passed_on(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers of an answer that mean something to the caller: request ids, limits, and all that nobody knows yet.

    Names are in lower case.
    """
    return tuple((name, value) for name, value in headers.items() if name not in _OWN)
