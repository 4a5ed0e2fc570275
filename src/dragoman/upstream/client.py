"""One pooled HTTP client for all upstreams, behind a narrow interface: `send` a call, read its `Answer`.

The client is aiohttp; nothing of it is visible outside this room.
https://docs.aiohttp.org/en/stable/client_reference.html
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from dragoman import __version__
from dragoman.messages.errors import ApiError
from dragoman.upstream.proxies import proxy_for

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.tracing import Trace

KEEP_ALIVE = 55.0  # seconds an idle connection is kept; load balancers drop theirs after 60
DNS_LIFE = 60  # seconds a resolved name is believed
LINGER = 0.5  # seconds an answer that said its last word may take to end, so that its connection is used again
READ_BUFFER = 64 * 1024  # bytes; reading pauses when twice as many wait for a slow caller
LINE_LIMIT = 64 * 1024  # bytes of the status line and of one header field
HEADER_LIMIT = 256  # header fields of one answer


class _Body(aiohttp.Payload):
    """A body that is in memory already; aiohttp's own class warns about every one over 1 MB."""

    _value: bytes
    _autoclose = True

    def __init__(self, value: bytes) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await writer.write(self._value)


class _Connector(aiohttp.TCPConnector):
    """A pool that knows which tasks got a new connection, and so which had a used one.

    A POST is sent again only when a *used* connection died: the upstream had closed it while it was idle. aiohttp does
    that for idempotent methods only, https://github.com/aio-libs/aiohttp/issues/7363
    """

    def __init__(self, fresh: set[asyncio.Task[Any] | None], *, limit: int) -> None:
        super().__init__(limit=limit, keepalive_timeout=KEEP_ALIVE, ttl_dns_cache=DNS_LIFE)
        self._fresh = fresh

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 aiohttp's own signature
    ) -> "ResponseHandler":
        self._fresh.add(asyncio.current_task())
        return await super()._create_connection(req, traces, timeout)


class Answer:
    """What an upstream sends back: status and headers at once, the body as it comes."""

    def __init__(self, response: aiohttp.ClientResponse, host: str) -> None:
        self.status = response.status
        self._response = response
        self._content = response.content
        self._host = host
        self._headers: dict[str, str] | None = None
        self._failure: ApiError | None = None
        self._closed = False

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; the values of a repeated name are joined by a comma."""
        headers = self._headers
        if headers is None:
            headers = self._headers = {}
            for name, value in self._response.headers.items():
                key = name.lower()
                headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return headers

    async def read(self) -> bytes:
        """The next bytes as they come, b"" at the end.

        Raises ApiError("truncated") when the connection broke inside the body, after the bytes before the break were
        given out; ApiError("unreachable") when this answer was closed meanwhile.
        """
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            return self._broken(error)

    async def whole(self, limit: int) -> bytes:
        """The whole body. Raises ApiError("bad_answer") when it is longer than `limit` bytes; else as `read`."""
        parts = []
        size = 0
        while chunk := await self.read():
            size += len(chunk)
            if size > limit:
                self.close()
                raise ApiError("bad_answer", f"{self._host} sent an answer of more than {limit} bytes.")
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """An answer that is not over: its connection is closed at once. One that is over returned it to the pool."""
        if not self._closed:
            self._closed = True
            self._response.close()

    def release(self) -> None:
        """The rest does not matter, and is about to end: the connection is used again if it ends within `LINGER`."""
        if self._closed:
            return
        self._closed = True
        if self._response.closed:
            return
        asyncio.get_running_loop().call_later(LINGER, self._response.close)

    def _broken(self, error: Exception) -> bytes:
        if self._closed:
            raise ApiError("unreachable", f"The connection to {self._host} was closed.") from None
        if self._failure is None:
            self._failure = ApiError(
                "truncated", f"The connection to {self._host} broke before the answer was complete."
            )
            # The bytes before the break are still there, but aiohttp hides them behind the exception. Servers that
            # forget the last chunk of a chunked body would lose the end of a complete answer.
            self._content.set_exception(None)  # type: ignore[arg-type]
            rest = self._content.read_nowait()
            self._content.set_exception(error)
            self._response.close()
            if rest:
                return rest
        raise self._failure from error


class Upstream:
    """Sends calls, over connections that all of them share.

    `proxies`: scheme or "all" -> proxy URL; `no_proxy`: hosts that are reached without; `limit`: connections at the
    same time, 0 is no limit: with one, running streams would starve new calls. The environment is not read.
    """

    def __init__(
        self, *, connect_timeout: float, proxies: Mapping[str, str], no_proxy: Sequence[str], limit: int = 0
    ) -> None:
        self._connect_timeout = connect_timeout
        self._proxies = proxies
        self._no_proxy = no_proxy
        self._limit = limit
        self._fresh: set[asyncio.Task[Any] | None] = set()  # tasks whose call got a new connection
        self._session: aiohttp.ClientSession | None = None

    async def send(self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Send one call and wait for the head of its answer. Redirects are answers, and are not followed.

        Raises ApiError: "timeout" without a connection in time, "unreachable" without an answer, "bad_answer" for an
        answer that is not HTTP. Cancelling it closes the connection.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = self._proxy(parts.scheme, host, parts.port)
        try:
            response = await self._exchange(method, url, headers=headers, body=body, proxy=proxy)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failure(error, _place(host, parts.port)) from error
        return Answer(response, host)

    async def close(self) -> None:
        """Close every connection. A later `send` opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=_Connector(self._fresh, limit=self._limit),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"dragoman/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_BUFFER,
            max_line_size=LINE_LIMIT,
            max_field_size=LINE_LIMIT,
            max_headers=HEADER_LIMIT,
        )
        return self._session

    async def _exchange(
        self, method: str, url: str, *, headers: Sequence[tuple[str, str]], body: bytes, proxy: str | None
    ) -> aiohttp.ClientResponse:
        session = self._session or self._open()
        task = asyncio.current_task()
        payload = _Body(body) if body else None
        again = True
        while True:
            try:
                return await session.request(
                    method, url, headers=headers, data=payload, proxy=proxy, allow_redirects=False
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not again or task in self._fresh or not _before_an_answer(error):
                    raise
                again = False
            finally:
                self._fresh.discard(task)

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

    def _failure(self, error: Exception, place: str) -> ApiError:
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
            case aiohttp.ClientResponseError():
                return ApiError("bad_answer", f"{place} sent an answer that is not HTTP. Check base_url.")
            case aiohttp.ClientError() | OSError():
                return ApiError("unreachable", f"{place} closed the connection before it answered.")
            case _:
                return ApiError(
                    "internal", "The call has a header that HTTP does not allow. Check the key for line breaks."
                )


def _place(host: str, port: int | None) -> str:
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host or "the upstream"


def _reason(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    return getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or type(inner).__name__


def _before_an_answer(error: Exception) -> bool:
    """False when a part of an answer's head had come, or no connection could be made."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)
    return not isinstance(error, aiohttp.ClientConnectorError)
