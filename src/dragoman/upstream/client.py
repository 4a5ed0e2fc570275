"""One pooled HTTP/1.1 client for all upstreams, behind a narrow interface: `send` a call, read its `Answer`.

It is our own, and does what a gateway needs and no more: docs/decisions/0010-our-own-http-client.md says why.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from dragoman.messages.errors import ApiError
from dragoman.messages.pieces import Pieces
from dragoman.upstream.answer import Answer
from dragoman.upstream.connection import Connection, Garbled, Lost
from dragoman.upstream.dialling import Dialler
from dragoman.upstream.place import Place, place_of
from dragoman.upstream.pool import Pool
from dragoman.upstream.sending import Sending

PLACES_LIMIT = 512  # URLs that are remembered


class Upstream:
    """Sends calls, over connections that all of them share.

    `connect_timeout`: seconds; `proxies`: scheme or "all" -> proxy URL; `no_proxy`: hosts that are reached without;
    `connections`: how many may be open to a host and port at the same time, 0 is no limit: with one, running streams
    make new calls wait, at most `patience` seconds. The environment is not read.
    """

    def __init__(
        self,
        *,
        connect_timeout: float,
        proxies: Mapping[str, str],
        no_proxy: Sequence[str],
        connections: Callable[[str, int], int] = lambda _host, _port: 0,
        patience: float = 30.0,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._proxies = proxies
        self._no_proxy = no_proxy
        self._connections = connections
        self._patience = patience
        self._dialler = Dialler()
        self._pool = self._new_pool()
        self._places: dict[str, Place] = {}

    async def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | Pieces | AsyncIterator[bytes],
        *,
        public: bool = False,
    ) -> Answer:
        """Send one call and wait for the head of its answer. Redirects are answers, and are not followed.

        What an iterator gives is written as it comes, in chunks unless `headers` tell the body's length. The answer
        may come before its end; then the rest goes on up while the answer is read. What it raises breaks the call off.

        `public`: the host must have addresses of the internet only; what was resolved is what is connected to. Behind
        a proxy of the operator's own, the proxy resolves names, and decides.

        Raises ApiError: "timeout" without a connection in time, "unreachable" without an answer, "bad_answer" for an
        answer that is not HTTP, "busy" when all allowed connections are in use for too long, "permission" for a host
        that must be public and is not. Cancelling it closes the connection.
        """
        place = self._places.get(url) or self._place(url)
        if public:
            place = place.checked()
        try:
            head = place.head(method, headers, len(body) if isinstance(body, (bytes, Pieces)) else None)
        except ValueError as error:
            text = "The call has a header that HTTP does not allow. Check the key for line breaks."
            raise ApiError("internal", text) from error
        bare = method == "HEAD"
        answer = None
        try:
            if not isinstance(body, (bytes, Pieces)):
                return await self._upload(place, head, body, bare=bare, headers=headers)
            connection = self._pool.kept(place) or await self._pool.take(place)
            used = connection.used
            answer = Answer(connection, place.host)
            connection.ask(answer, head, body, bare=bare)
            try:
                await answer.begin()
            except Lost as lost:
                if lost.heard or not used:
                    raise
                # It may have been closed while nobody looked. Then the call is sent once more, on a new one.
                # https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1
                connection = await self._pool.take(place, fresh=True)
                answer = Answer(connection, place.host)
                connection.ask(answer, head, body, bare=bare)
                await answer.begin()
        except asyncio.CancelledError:
            if answer is not None:
                answer.close()
            raise
        except Garbled as error:
            text = f"{place.name} sent an answer that is not HTTP. Check base_url."
            raise ApiError("bad_answer", text) from error
        except (Lost, OSError) as error:
            text = f"{place.name} closed the connection before it answered."
            raise ApiError("unreachable", text) from error
        return answer

    async def close(self) -> None:
        """Close every connection. A later `send` opens new ones."""
        self._places.clear()
        pool, self._pool = self._pool, self._new_pool()
        await pool.close()
        self._dialler.close()

    async def _upload(
        self,
        place: Place,
        head: bytes,
        body: AsyncIterator[bytes],
        *,
        bare: bool,
        headers: Sequence[tuple[str, str]],
    ) -> Answer:
        """Over a connection of its own: a body that is read only once cannot be sent again on a second one."""
        chunked = "content-length" not in {name.lower() for name, _ in headers}
        connection = await self._pool.take(place, fresh=True)
        answer = Answer(connection, place.host)
        connection.ask(answer, head, bare=bare, alone=True)
        sending = Sending(connection, body, chunked=chunked)
        answer.accompany(sending)
        try:
            await answer.begin()
        except BaseException as error:
            answer.close()
            sending.stop()
            if sending.failure is not None and isinstance(error, Lost | OSError):
                raise sending.failure from None
            raise
        finally:
            del sending  # what the pieces raised holds this frame: a circle
        return answer

    async def _dial(self, place: Place) -> Connection:
        try:
            async with asyncio.timeout(self._connect_timeout):
                return await self._dialler.dial(place)
        except TimeoutError as error:
            text = f"No connection to {place.name} within {self._connect_timeout:g} s."
            raise ApiError("timeout", text) from error

    def _new_pool(self) -> Pool:
        return Pool(self._dial, limit=self._connections, patience=self._patience)

    def _place(self, url: str) -> Place:
        place = place_of(url, self._proxies, self._no_proxy)
        if len(self._places) >= PLACES_LIMIT:
            del self._places[next(iter(self._places))]
        self._places[url] = place
        return place
