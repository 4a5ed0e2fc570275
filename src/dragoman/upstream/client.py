"""One pooled HTTP client for all upstreams, behind a narrow interface: `send` a call, read its `Answer`.

The client is aiohttp; nothing of it is visible outside this room. Its pool, its connections (TLS, proxies, names) and
its parser are used, its session is not: that one builds requests for every purpose there is, and takes longer for it
than the whole translation of a small call. docs/decisions/0002-speed-against-nginx.md has the figures.
https://docs.aiohttp.org/en/stable/client_reference.html
"""

import ipaddress
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from msgspec import Struct
from yarl import URL

from dragoman import __version__
from dragoman.messages.errors import ApiError
from dragoman.upstream.answer import Answer
from dragoman.upstream.proxies import proxy_for
from dragoman.upstream.public import PublicResolver, is_public, refuse
from dragoman.upstream.sending import Sending

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader
    from aiohttp.tracing import Trace

KEEP_ALIVE = 55.0  # seconds an idle connection is kept; load balancers drop theirs after 60
DNS_LIFE = 60  # seconds a resolved name is believed
READ_BUFFER = 64 * 1024  # bytes; reading pauses when twice as many wait for a slow caller
LINE_LIMIT = 64 * 1024  # bytes of the status line and of one header field
HEADER_LIMIT = 256  # header fields of one answer
PLACES_LIMIT = 512  # URLs that are remembered

_DEFAULTS = (
    ("User-Agent", f"dragoman/{__version__}"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "identity"),
)
_ILLEGAL = re.compile("[\r\n\0]")
_ALONE = -1  # in a connection's key: it is made for one call, and closed after it


class _Where(aiohttp.ClientRequest):
    """Where a call goes, in aiohttp's terms: what the pool needs to find or make a connection. It is never sent."""

    _key: "ConnectionKey | None" = None

    @property
    def connection_key(self) -> "ConnectionKey":
        if self._key is None:
            self._key = super().connection_key
        return self._key

    def stand_alone(self) -> None:
        """Share no connection with others: a body that is read only once cannot be sent again on a second one."""
        self._key = super().connection_key._replace(proxy_headers_hash=_ALONE)


class _Place(Struct, frozen=True):
    """What is known of a URL before it is called."""

    where: _Where
    host: str  # without port and brackets
    target: str  # of the request line
    fields: str  # lines of the head that every call begins with
    names: frozenset[str]  # of these, in lower case


class _Pool(aiohttp.TCPConnector):
    """Connections, and which of them were never used.

    A POST is sent again only when a *used* connection died: the upstream had closed it while it was idle. aiohttp does
    that for idempotent methods only, https://github.com/aio-libs/aiohttp/issues/7363
    """

    def __init__(self, *, limit: int, resolver: PublicResolver | None = None) -> None:
        super().__init__(limit=limit, keepalive_timeout=KEEP_ALIVE, ttl_dns_cache=DNS_LIFE, resolver=resolver)
        self.fresh: WeakSet[ResponseHandler] = WeakSet()

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 aiohttp's own signature
    ) -> ResponseHandler:
        protocol = await super()._create_connection(req, traces, timeout)
        self.fresh.add(protocol)
        return protocol

    def _release(self, key: "ConnectionKey", protocol: ResponseHandler, *, should_close: bool = False) -> None:
        # An answer that came before the call was sent whole: nobody knows what the upstream still reads.
        alone = key.proxy_headers_hash == _ALONE
        super()._release(key, protocol, should_close=should_close or alone or protocol.writing_paused)


class Upstream:
    """Sends calls, over connections that all of them share.

    `proxies`: scheme or "all" -> proxy URL; `no_proxy`: hosts that are reached without; `limit`: connections at the
    same time, 0 is no limit: with one, running streams would starve new calls. The environment is not read.
    """

    def __init__(
        self, *, connect_timeout: float, proxies: Mapping[str, str], no_proxy: Sequence[str], limit: int = 0
    ) -> None:
        self._connect_timeout = connect_timeout
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout)
        self._proxies = proxies
        self._no_proxy = no_proxy
        self._limit = limit
        self._pool: _Pool | None = None
        self._public: _Pool | None = None  # connections to checked addresses; no other call makes or takes one
        self._resolver: PublicResolver | None = None
        self._places: dict[str, _Place] = {}

    async def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | AsyncIterator[bytes],
        *,
        public: bool = False,
    ) -> Answer:
        """Send one call and wait for the head of its answer. Redirects are answers, and are not followed.

        A body in pieces is written as they come, in chunks unless `headers` tell its length. The answer may come before
        its end; then the rest goes on up while the answer is read. What the pieces raise breaks the call off.

        `public`: the host must have addresses of the internet only; what was resolved is what is connected to. Behind
        a proxy of the operator's own, the proxy resolves names, and decides.

        Raises ApiError: "timeout" without a connection in time, "unreachable" without an answer, "bad_answer" for an
        answer that is not HTTP, "permission" where it must be public and is not. Cancelling it closes the connection.
        """
        try:
            if not isinstance(body, bytes):
                return await self._upload(url, method, headers, body, public=public)
            place = self._places.get(url) or self._place(url)
            return await self._exchange(place, method, headers, body, public=public)
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            raise self._failure(error, url) from error

    async def close(self) -> None:
        """Close every connection. A later `send` opens new ones."""
        self._places.clear()
        pools = self._pool, self._public
        self._pool = self._public = None
        for pool in pools:
            if pool is not None:
                await pool.close()
        resolver, self._resolver = self._resolver, None
        if resolver is not None:
            await resolver.close()

    def _open(self) -> _Pool:
        self._pool = _Pool(limit=self._limit)
        return self._pool

    def _open_public(self) -> _Pool:
        self._resolver = PublicResolver()
        self._public = _Pool(limit=self._limit, resolver=self._resolver)
        return self._public

    async def _exchange(
        self, place: _Place, method: str, headers: Sequence[tuple[str, str]], body: bytes, *, public: bool
    ) -> Answer:
        again = True
        while True:
            connection, protocol, used = await self._connect(place, public=public)
            try:
                _write(protocol, _head(place, method, headers, body), body, bare=method == "HEAD")
                message, content = await _answered(protocol)
                return Answer(connection, message, content, place.host)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                connection.close()
                if not (again and used and _before_an_answer(error)):
                    raise
                again = False
            except BaseException:
                connection.close()
                raise

    async def _upload(
        self, url: str, method: str, headers: Sequence[tuple[str, str]], body: AsyncIterator[bytes], *, public: bool
    ) -> Answer:
        place = self._place(url, alone=True)
        connection, protocol, _ = await self._connect(place, public=public)
        sending = None
        try:
            _write(protocol, _head(place, method, headers, None), b"", bare=method == "HEAD")
            chunked = "content-length" not in {name.lower() for name, _ in headers}
            sending = Sending(protocol, body, chunked=chunked)
            message, content = await _answered(protocol)
            return Answer(connection, message, content, place.host, sending)
        except BaseException as error:
            if sending is not None:
                sending.stop()
            connection.close()
            if sending is not None and sending.failure is not None and isinstance(error, aiohttp.ClientError):
                raise sending.failure from None
            raise

    async def _connect(self, place: _Place, *, public: bool) -> tuple[Connection, ResponseHandler, bool]:
        """A connection, its protocol, and whether it was used before."""
        pool = self._pool or self._open()
        if public and place.where.proxy is None:
            if _is_address(place.host) and not is_public(place.host):  # never resolved
                raise refuse(place.host)
            pool = self._public or self._open_public()
        try:
            connection = await pool.connect(place.where, [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        protocol = connection.protocol
        assert protocol is not None  # noqa: S101 it is gone only after a release
        used = protocol not in pool.fresh
        pool.fresh.discard(protocol)
        return connection, protocol, used

    def _place(self, url: str, *, alone: bool = False) -> _Place:
        """What a call to `url` needs; one that stands alone is not remembered.

        Raises ApiError for a proxy of a kind that is not supported, ValueError for what is no URL."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = self._proxy(parts.scheme, host, parts.port)
        try:
            where = _Where("GET", URL(url), headers=_DEFAULTS, proxy=URL(proxy) if proxy else None)
        except ValueError as error:
            raise aiohttp.InvalidURL(url) from error
        target = where.url.raw_path_qs
        if proxy is not None and not where.is_ssl():
            target = str(where.url.with_user(None))
        place = _Place(
            where=where,
            host=host,
            target=target,
            fields="".join([f"{name}: {value}\r\n" for name, value in where.headers.items()]),
            names=frozenset(name.lower() for name in where.headers),
        )
        if alone:
            where.stand_alone()
            return place
        if len(self._places) >= PLACES_LIMIT:
            del self._places[next(iter(self._places))]
        self._places[url] = place
        return place

    def _proxy(self, scheme: str, host: str, port: int | None) -> str | None:
        if not self._proxies:
            return None
        proxy = proxy_for(scheme, host, port, self._proxies, self._no_proxy)
        if proxy is not None and not proxy.startswith(("http://", "https://")):
            kind = proxy.partition("://")[0]
            raise ApiError(
                "unreachable",
                f"The {kind} proxy for {host} is not supported: set an http:// proxy, or name {host} in NO_PROXY.",
                should_retry=False,
            )
        return proxy

    def _failure(self, error: Exception, url: str) -> ApiError:
        place = _name(url)
        match error:
            case aiohttp.ServerTimeoutError():
                return ApiError("timeout", f"No connection to {place} within {self._connect_timeout:g} s.")
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                text = f"No secure connection to {place}: {_reason(error)}. Check its certificate, and base_url."
                return ApiError("unreachable", text, should_retry=False)
            case aiohttp.ClientProxyConnectionError():
                return ApiError("unreachable", f"The proxy for {place} cannot be reached. Check the proxy settings.")
            case aiohttp.ClientHttpProxyError():
                return ApiError("unreachable", f"The proxy refused a connection to {place} (status {error.status}).")
            case aiohttp.ClientConnectorDNSError():
                return ApiError(
                    "unreachable", f"The name of {place} cannot be resolved. Check base_url and the network."
                )
            case aiohttp.ClientConnectorError():
                text = f"Cannot connect to {place}: {_reason(error)}. Check that the server runs, and base_url."
                return ApiError("unreachable", text)
            case aiohttp.InvalidURL():
                return ApiError("unreachable", "The URL of the call is not valid. Check base_url.", should_retry=False)
            case HttpProcessingError():
                return ApiError("bad_answer", f"{place} sent an answer that is not HTTP. Check base_url.")
            case aiohttp.ClientError() | OSError():
                return ApiError("unreachable", f"{place} closed the connection before it answered.")
            case _:
                return ApiError(
                    "internal", "The call has a header that HTTP does not allow. Check the key for line breaks."
                )


def _head(place: _Place, method: str, headers: Sequence[tuple[str, str]], body: bytes | None) -> bytes:
    """Request line and header fields. A field of the call replaces one that every call has. `body` None: it follows.

    Raises ValueError for a line break in one of them.
    """
    names = {name.lower() for name, _ in headers}
    fields = place.fields
    if place.where.proxy is not None or not names.isdisjoint(place.names):  # credentials of the proxy come late
        kept = [f"{name}: {value}\r\n" for name, value in place.where.headers.items() if name.lower() not in names]
        fields = "".join(kept)
    if _ILLEGAL.search("".join([name + value for name, value in headers])):
        raise ValueError("A header field has a line break.")
    own = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if body:
        kind = "" if "content-type" in names else "Content-Type: application/json\r\n"
        own += f"{kind}Content-Length: {len(body)}\r\n"
    elif body is None:
        own += "" if "content-length" in names else "Transfer-Encoding: chunked\r\n"
    elif method == "POST":
        own += "Content-Length: 0\r\n"
    return f"{method} {place.target} HTTP/1.1\r\n{fields}{own}\r\n".encode()


def _write(protocol: ResponseHandler, head: bytes, body: bytes, *, bare: bool) -> None:
    """`bare`: the answer has a head only, whatever it says."""
    protocol.set_response_params(
        skip_payload=bare,
        read_until_eof=True,
        auto_decompress=False,
        read_bufsize=READ_BUFFER,
        max_line_size=LINE_LIMIT,
        max_field_size=LINE_LIMIT,
        max_headers=HEADER_LIMIT,
    )
    transport = protocol.transport
    if transport is None:
        raise aiohttp.ServerDisconnectedError
    transport.writelines((head, body))


async def _answered(protocol: ResponseHandler) -> "tuple[RawResponseMessage, StreamReader]":
    """The head of the answer, after those that only say that one will come."""
    while True:
        message, content = await protocol.read()
        if message.code >= 200 or message.code == 101:
            return message, content


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _name(url: str) -> str:
    """Host and port, for people."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port}" if parts.port else host or "the upstream"


def _reason(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    return getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or type(inner).__name__


def _before_an_answer(error: Exception) -> bool:
    """False when a part of an answer's head had come."""
    return not isinstance(error, aiohttp.ServerDisconnectedError) or isinstance(error.message, str)
