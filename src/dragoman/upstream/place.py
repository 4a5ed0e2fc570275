"""Where a call goes: what is known of its URL before it is called.

Redirects, cookies and encodings of bodies are no matter of this room: an answer comes back as it is.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, quote, unquote, urlsplit

from msgspec import Struct, field, structs

from dragoman import __version__
from dragoman.messages.errors import ApiError
from dragoman.upstream.proxies import proxy_for

_DEFAULTS = (
    ("User-Agent", f"dragoman/{__version__}"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "identity"),
)
_PORTS = {"http": 80, "https": 443}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # urlsplit would drop some of them without a word
_LEGAL = "!$%&'()*+,/:;=@~"  # in a path beside letters, digits and -._; a query may have ? too (RFC 3986, 3.3 and 3.4)


class Proxy(Struct, frozen=True):
    """A server that makes connections for us. `authorization`: the header's value, or ""."""

    host: str
    port: int
    secure: bool
    authorization: str

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


class Last:
    """How the head of the last call began. The next one's is mostly the same."""

    __slots__ = ("begin", "headers", "method")

    def __init__(self) -> None:
        self.method = ""
        self.headers: Sequence[tuple[str, str]] = ()
        self.begin = b""


class Place(Struct, frozen=True):
    """A URL in the terms of a connection and of a request's head."""

    host: str  # without port and brackets
    port: int
    secure: bool  # whether it speaks TLS
    proxy: Proxy | None
    key: tuple[bool, str, int, Proxy | None, bool]  # places with the same key share connections
    name: str  # for people: host, and port where the URL names one
    target: str  # of the request line
    fields: tuple[tuple[str, str], ...]  # that every call has
    names: frozenset[str]  # of these, in lower case
    lines: str  # of these
    public: bool = False  # only addresses of the internet are connected to
    last: Last = field(default_factory=Last)

    def __repr__(self) -> str:
        return f"Place({self.name})"

    def checked(self) -> "Place":
        """The same place, if it is one of the internet. Behind a proxy, the proxy resolves names, and decides."""
        if self.proxy is not None:
            return self
        return structs.replace(self, public=True, key=(self.secure, self.host, self.port, None, True))

    def head(self, method: str, headers: Sequence[tuple[str, str]], length: int | None) -> bytes:
        """Request line and header fields. A field of the call replaces one that every call has. `length` of the body
        in bytes; None: unknown.

        Raises ValueError for a line break in one of them.
        """
        last = self.last
        if length and last.headers == headers and last.method == method:
            return b"%bContent-Length: %d\r\n\r\n" % (last.begin, length)
        names = {name.lower() for name, _ in headers}
        lines = self.lines
        if not names.isdisjoint(self.names):
            lines = "".join([f"{name}: {value}\r\n" for name, value in self.fields if name.lower() not in names])
        own = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if not own.count("\r") == own.count("\n") == len(headers) or "\0" in own or _CONTROL.search(method):
            raise ValueError("A header field has a line break.")
        if length and "content-type" not in names:
            own += "Content-Type: application/json\r\n"
        begin = f"{method} {self.target} HTTP/1.1\r\n{lines}{own}".encode()
        if length:
            last.method, last.headers, last.begin = method, headers, begin
            return b"%bContent-Length: %d\r\n\r\n" % (begin, length)
        if length is None and "content-length" not in names:
            begin += b"Transfer-Encoding: chunked\r\n"
        elif length == 0 and method == "POST":
            begin += b"Content-Length: 0\r\n"
        return begin + b"\r\n"


def place_of(url: str, proxies: Mapping[str, str], no_proxy: Sequence[str]) -> Place:
    """What a call to `url` needs.

    Raises ApiError for what is no URL, and for a proxy of a kind that is not supported.
    """
    parts, host, port = _split(url, "The URL of the call is not valid. Check base_url.")
    given = parts.port
    secure = parts.scheme == "https"
    proxy = _proxy(parts.scheme, host, given, proxies, no_proxy)
    bracketed = f"[{host}]" if ":" in host else host
    authority = bracketed if port == _PORTS[parts.scheme] else f"{bracketed}:{port}"
    target = quote(parts.path, safe=_LEGAL) or "/"
    if parts.query:
        target += "?" + quote(parts.query, safe=_LEGAL + "?")
    fields = [("Host", authority), *_DEFAULTS]
    if authorization := _basic(parts):
        fields.append(("Authorization", authorization))
    if proxy is not None and not secure:  # it reads the head; otherwise it gets one of its own
        target = f"http://{authority}{target}"
        if proxy.authorization:
            fields.append(("Proxy-Authorization", proxy.authorization))
    return Place(
        host=host,
        port=port,
        secure=secure,
        proxy=proxy,
        key=(secure, host, port, proxy, False),
        name=f"{bracketed}:{given}" if given else bracketed,
        target=target,
        fields=tuple(fields),
        names=frozenset(name.lower() for name, _ in fields),
        lines="".join([f"{name}: {value}\r\n" for name, value in fields]),
    )


def _split(url: str, otherwise: str) -> tuple[SplitResult, str, int]:
    """The parts of a URL, its host in ASCII and its port. Raises ApiError with the text `otherwise`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not host.isascii():
            host = host.encode("idna").decode()
        port = parts.port or _PORTS[parts.scheme]
        if not host or _CONTROL.search(url) or " " in parts.netloc:
            raise ValueError("no host")
    except (ValueError, KeyError):
        raise ApiError("unreachable", otherwise, should_retry=False) from None
    return parts, host, port


def _proxy(
    scheme: str, host: str, port: int | None, proxies: Mapping[str, str], no_proxy: Sequence[str]
) -> Proxy | None:
    url = proxy_for(scheme, host, port, proxies, no_proxy) if proxies else None
    if url is None:
        return None
    if not url.startswith(("http://", "https://")):
        kind = url.partition("://")[0]
        raise ApiError(
            "unreachable",
            f"The {kind} proxy for {host} is not supported: set an http:// proxy, or name {host} in NO_PROXY.",
            should_retry=False,
        )
    parts, name, number = _split(url, f"The URL of the proxy for {host} is not valid. Check the proxy settings.")
    return Proxy(host=name, port=number, secure=parts.scheme == "https", authorization=_basic(parts))


def _basic(parts: SplitResult) -> str:
    """The credentials of a URL as a header has them (RFC 7617), "" without."""
    if "@" not in parts.netloc:
        return ""
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
