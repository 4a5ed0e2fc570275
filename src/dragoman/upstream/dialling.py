"""How a connection is made: a name becomes addresses, the first that answers a socket, then the proxy and TLS.

Addresses of both families race, each next one a quarter of a second later (RFC 8305, "happy eyeballs"): uvloop's
`create_connection` cannot do that. https://datatracker.ietf.org/doc/html/rfc8305#section-5
"""

import asyncio
import errno
import re
import socket
import ssl
from collections import deque
from itertools import chain, zip_longest
from typing import cast

from msgspec import Struct

from dragoman.messages.errors import ApiError
from dragoman.upstream import public
from dragoman.upstream.connection import Connection
from dragoman.upstream.place import Place, Proxy

STAGGER = 0.25  # seconds until the next address is tried as well
NAME_LIFE = 60.0  # seconds a resolved name is believed
NAMES_LIMIT = 256  # names that are remembered
REFUSAL_LIMIT = 64 * 1024  # bytes of a proxy's answer
# A call may be silent for minutes while a model thinks; networks forget connections that are silent for so long.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5))

Address = tuple[int, int, tuple[object, ...]]  # family, protocol, what `connect` takes


class _Name(Struct, frozen=True):
    lookup: "asyncio.Task[list[Address]]"
    until: float  # of the loop's clock


class Dialler:
    """Makes connections. Names and the certificates of this machine are remembered here."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, int], _Name] = {}
        self._secure: ssl.SSLContext | None = None

    async def dial(self, place: Place) -> Connection:
        """A new connection to `place`. Cancelling it leaves nothing behind.

        Raises ApiError: "unreachable", or "permission" for a place that must be public and is not.
        """
        connection = Connection()
        if place.proxy is not None:
            await self._through(place, place.proxy, connection)
            return connection
        opened = await self._reach(place)
        try:
            await self._open(opened, connection, place.host if place.secure else None)
        except (OSError, ssl.CertificateError) as error:
            raise _unreachable(place, error) from error
        return connection

    def close(self) -> None:
        """Forget the names; nobody waits for those that are still looked up."""
        for name in self._names.values():
            name.lookup.cancel()
        self._names.clear()

    async def _reach(self, place: Place) -> socket.socket:
        try:
            return await self._connect(place.host, place.port, check=place.public)
        except socket.gaierror as error:
            text = f"The name of {place.name} cannot be resolved. Check base_url and the network."
            raise ApiError("unreachable", text) from error
        except (OSError, UnicodeError) as error:
            raise _unreachable(place, error) from error

    async def _through(self, place: Place, proxy: Proxy, connection: Connection) -> None:
        """By way of a proxy: as it is for http, by a tunnel for https (RFC 9110, 9.3.6)."""
        protocol = _Tunnel() if place.secure else connection
        try:
            opened = await self._connect(proxy.host, proxy.port)
            transport = await self._open(opened, protocol, proxy.host if proxy.secure else None)
        except ssl.SSLError as error:
            text = f"No secure connection to the proxy for {place.name}: {_reason(error)}. Check the proxy settings."
            raise ApiError("unreachable", text, should_retry=False) from error
        except (OSError, UnicodeError) as error:
            text = f"The proxy for {place.name} cannot be reached. Check the proxy settings."
            raise ApiError("unreachable", text) from error
        if not isinstance(protocol, _Tunnel):
            return
        try:
            status = await protocol.ask(place, proxy)
            if status != 200:
                told = f"status {status}" if status else "no answer in HTTP"
                raise ApiError("unreachable", f"The proxy refused a connection to {place.name} ({told}).")
            await self._wrap(transport, connection, place.host)
        except (OSError, ssl.CertificateError) as error:
            raise _unreachable(place, error) from error
        finally:
            if connection.transport is None:
                transport.abort()

    async def _open(self, opened: socket.socket, protocol: asyncio.Protocol, secure: str | None) -> asyncio.Transport:
        """The transport of a connected socket. `secure`: the name that its certificate must have."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol,
                sock=opened,
                ssl=self._context() if secure is not None else None,
                server_hostname=secure.rstrip(".") if secure is not None else None,
            )
        except BaseException:
            opened.close()
            raise
        return transport

    async def _wrap(self, transport: asyncio.Transport, connection: Connection, host: str) -> None:
        loop = asyncio.get_running_loop()
        secured = await loop.start_tls(transport, connection, self._context(), server_hostname=host.rstrip("."))
        if secured is None:  # it was lost meanwhile
            raise ConnectionResetError
        connection.connection_made(secured)

    def _context(self) -> ssl.SSLContext:
        """This machine's certificates, or those that SSL_CERT_FILE and SSL_CERT_DIR name, as OpenSSL reads them."""
        if self._secure is None:
            self._secure = ssl.create_default_context()
            self._secure.set_alpn_protocols(["http/1.1"])
        return self._secure

    # Names and addresses

    async def _connect(self, host: str, port: int, *, check: bool = False) -> socket.socket:
        """A socket connected to the first address of `host` that answers. Raises OSError.

        `check`: raises ApiError("permission") unless all of them are of the internet. What was looked at is connected
        to: a name may lead elsewhere the next moment.
        """
        try:
            addresses = await self._addresses(host, port)
            if check and not all(public.is_public(str(target[0])) for _, _, target in addresses):
                raise public.refuse(host)
            opened = await _race(addresses)
            if isinstance(opened, socket.socket):
                return opened
            try:
                raise opened
            finally:
                del opened  # it holds this frame: a circle
        except OSError:
            self._names.pop((host, port), None)  # it may have moved
            raise

    async def _addresses(self, host: str, port: int) -> list[Address]:
        known = self._name(host, port)
        try:
            return await asyncio.shield(known.lookup)  # others may wait for it too
        except asyncio.CancelledError:
            if known.lookup.cancelled() and not _is_cancelled():
                raise ConnectionAbortedError(errno.ECONNABORTED, "closed") from None  # by `close`, not our caller
            raise
        finally:
            del known  # its failure holds this frame: a circle

    def _name(self, host: str, port: int) -> _Name:
        loop = asyncio.get_running_loop()
        known = self._names.get((host, port))
        if known is None or known.until < loop.time():
            if len(self._names) >= NAMES_LIMIT:
                del self._names[next(iter(self._names))]
            lookup = loop.create_task(resolve(host, port))
            lookup.add_done_callback(lambda task: task.cancelled() or task.exception())  # maybe nobody waits for it
            known = self._names[host, port] = _Name(lookup, loop.time() + NAME_LIFE)
        return known


def _is_cancelled() -> bool:
    """Whether somebody wants the current task to end. It is no local of who asks: its end will hold that frame."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a name, families in turn. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    every = [(int(family), protocol, address) for family, _, protocol, _, address in found]
    first = [each for each in every if each[0] == every[0][0]]
    other = [each for each in every if each[0] != every[0][0]]
    return [each for each in chain.from_iterable(zip_longest(first, other)) if each is not None]


async def _race(addresses: list[Address]) -> socket.socket | BaseException:
    """The first socket that connects; what failed at the first address when none does."""
    if len(addresses) == 1:
        return await _attempt(addresses[0])
    waiting = deque(addresses)
    running: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(_attempt(waiting.popleft())))
            patience = STAGGER if waiting else None
            done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                running.discard(task)
                error = task.exception()
                if error is None:
                    running |= done - {task}
                    return task.result()
                failure = failure or error
    finally:
        for task in running:
            task.add_done_callback(_drop)
            task.cancel()
    return failure or OSError("no address")


def _drop(task: "asyncio.Task[socket.socket]") -> None:
    """A socket that nobody wants any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _attempt(address: Address) -> socket.socket:
    family, protocol, target = address
    opened = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        opened.setblocking(False)  # noqa: FBT003 it takes no name
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE:
            if hasattr(socket, option):  # not everywhere
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        await asyncio.get_running_loop().sock_connect(opened, target)
    except BaseException:
        opened.close()
        raise
    return opened


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a connection to somebody else."""

    def __init__(self) -> None:
        self._transport = cast("asyncio.Transport", None)
        self._told = b""
        self._done = asyncio.get_running_loop().create_future()

    async def ask(self, place: Place, proxy: Proxy) -> int:
        """The status of the proxy's answer, 0 for what is no answer."""
        authority = f"[{place.host}]:{place.port}" if ":" in place.host else f"{place.host}:{place.port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        self._transport.write("\r\n".join([*lines, "\r\n"]).encode())
        await self._done
        found = re.match(rb"HTTP/1\.[01] (\d{3})[ \r\n]", self._told)
        if found is None:
            return 0
        # A tunnel has nothing to say before its other end is greeted.
        return 0 if found[1] == b"200" and not self._told.endswith(b"\r\n\r\n") else int(found[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._told += data
        if b"\r\n\r\n" in self._told or len(self._told) > REFUSAL_LIMIT:
            self._over()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over()

    def _over(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


def _unreachable(place: Place, error: Exception) -> ApiError:
    if isinstance(error, ssl.SSLError | ssl.CertificateError):
        text = f"No secure connection to {place.name}: {_reason(error)}. Check its certificate, and base_url."
        return ApiError("unreachable", text, should_retry=False)
    text = f"Cannot connect to {place.name}: {_reason(error)}. Check that the server runs, and base_url."
    return ApiError("unreachable", text)


def _reason(error: Exception) -> str:
    return getattr(error, "verify_message", None) or getattr(error, "strerror", None) or type(error).__name__
