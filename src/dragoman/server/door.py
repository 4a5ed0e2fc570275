"""The door: who may come in. Tokens, and the checks that keep web pages away from a gateway on loopback."""

import hmac
import ipaddress
from collections.abc import Mapping

from dragoman.config import KNOWN_TOKEN
from dragoman.config.keys import MADE
from dragoman.messages.errors import ApiError

TOKEN = b"x-dragoman-token"
"""The header that is for this gateway alone, whatever the others are for."""

REMEMBERED = 100  # Host headers; callers choose them, with ports and in any case

_LOOPBACK_NAMES = (b"localhost", b"127.0.0.1", b"::1")

_ANY_WORD = (MADE.encode(), KNOWN_TOKEN.encode())
_MADE = f"{MADE}-".encode()

_BETWEEN = (b"forwarded", b"via", b"x-real-ip", b"cf-connecting-ip", b"true-client-ip", b"origin", b"referer")
"""Headers of requests that somebody else made, or handed on."""

_NOTHING_SENT = (
    "This gateway wants a token, and the request has none. Send server.auth_token as an `Authorization: Bearer` header "
    "(ANTHROPIC_AUTH_TOKEN in Claude Code) or as `x-api-key` (ANTHROPIC_API_KEY); as `x-dragoman-token` "
    "(ANTHROPIC_CUSTOM_HEADERS) where the others carry a key of your own."
)
_WRONG_ONE_SENT = (
    "The request's token is not this gateway's. Compare server.auth_token with what the client sends "
    "(ANTHROPIC_AUTH_TOKEN, ANTHROPIC_API_KEY). Beside a key of your own for the provider, add the token as "
    "`x-dragoman-token` (ANTHROPIC_CUSTOM_HEADERS)."
)


def is_loopback(host: str) -> bool:
    """Whether listening on `host` is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def shows_token(peer: str, headers: Mapping[bytes, bytes], http_version: str = "1.1") -> bool:
    """Whether the token may be told to a caller at the address `peer`, by what the request says of its way: from this
    machine, and through nobody's hands.

    A proxy on this machine speaks for others, and says so in a header, or speaks as proxies do: HTTP/1.0, and a new
    connection each time, which was nginx's way up to 1.29.6. A page speaks for whoever wrote it, and names its origin,
    or a host of its own. A proxy that says nothing looks like its user; see neighbour.py.
    """
    between = any(name in headers for name in _BETWEEN) or any(name.startswith(b"x-forwarded-") for name in headers)
    once = http_version == "1.0" or b"close" in headers.get(b"connection", b"").lower()
    host = _name(headers.get(b"host", b""))
    return is_loopback(peer) and host in _LOOPBACK_NAMES and not between and not once


class Door:
    """Checks the headers of a request. `token` is empty on a gateway that asks for none: it must be on loopback, or
    `everybody` is let in on purpose.

    Raises ValueError when it is neither.
    """

    def __init__(self, host: str, token: str, *, everybody: bool = False) -> None:
        self.on_loopback = is_loopback(host)
        if not token and not self.on_loopback and not everybody:
            raise ValueError(
                f"server.auth_token must be set to listen on {host}: every machine there could use the keys."
            )
        self._token = token.encode()
        self._names = frozenset((*_LOOPBACK_NAMES, host.lower().encode()))
        self._passed: set[bytes] = set()  # Host headers that name us: every request of a client has the same

    def check_host(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse requests that a web page made. Raises ApiError("permission").

        A page can point its own name at 127.0.0.1 (DNS rebinding: the Host header is then that name), or post blindly
        to a gateway that is open (the Origin header is then the page's).
        """
        host = headers.get(b"host")
        if self.on_loopback and host is not None and host not in self._passed and not self._names_us(host):
            raise ApiError(
                "permission",
                "The Host header does not name this machine. Use http://127.0.0.1 or http://localhost, or set "
                "server.host and server.auth_token to serve other names.",
            )
        if self._token:
            return
        origin = headers.get(b"origin")
        if origin is not None and not self._is_ours(origin):
            raise ApiError(
                "permission",
                "Requests of web pages are refused while no server.auth_token is set: any page could spend your money.",
            )

    def check_token(self, headers: Mapping[bytes, bytes]) -> None:
        """Any one of the three headers may carry the token. Raises ApiError("authentication")."""
        if not self._token:
            return
        bearer, key, own = headers.get(b"authorization"), headers.get(b"x-api-key"), headers.get(TOKEN)
        # All that came are compared, whole: the time must not tell which one was close.
        passed = key is not None and hmac.compare_digest(key, self._token)
        if bearer is not None:
            bearer = _bearer(bearer)
            passed |= hmac.compare_digest(bearer, self._token)
        if own is not None:
            passed |= hmac.compare_digest(own, self._token)
        if not passed:
            told = _WRONG_ONE_SENT if bearer or key or own else _NOTHING_SENT
            raise ApiError("authentication", told, should_retry=False)

    def credentials(self, headers: Mapping[bytes, bytes]) -> tuple[tuple[str, str], ...]:
        """The caller's own, for a provider that is asked with those. This gateway's token is none of them, nor is what
        every client of such gateways may send."""
        found = []
        for name in (b"authorization", b"x-api-key"):
            value = headers.get(name, b"")
            own = (_bearer(value) if name == b"authorization" else value) or value
            if value and not (self._token and hmac.compare_digest(own, self._token)) and not _is_no_key(own):
                found.append((name.decode(), value.decode("latin-1")))
        return tuple(found)

    def _names_us(self, host: bytes) -> bool:
        named = _name(host) in self._names
        if named and len(self._passed) < REMEMBERED:
            self._passed.add(host)
        return named

    def _is_ours(self, origin: bytes) -> bool:
        scheme, _, host = origin.partition(b"://")
        if scheme.lower() in (b"http", b"https"):
            return _name(host) in self._names
        # Sandboxed frames send "null"; editors and browser extensions have schemes of their own.
        return origin != b"null"


def _is_no_key(value: bytes) -> bool:
    """Whether `value` is what a client sends where any word will do, or a token that some gateway of ours made."""
    return value in _ANY_WORD or value.startswith(_MADE)


def _bearer(authorization: bytes) -> bytes:
    """The token in an `authorization` header; b"" without one."""
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _name(host: bytes) -> bytes:
    """The name in a Host header, lower-case, without port and brackets."""
    if host.startswith(b"["):
        return host[1:].partition(b"]")[0].lower()
    if host.count(b":") > 1:
        return host.lower()
    return host.partition(b":")[0].lower()
