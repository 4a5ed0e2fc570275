"""Signing calls: keys at once, tokens after they were fetched, one fetch at a time for each owner of tokens."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import CancelledError
from typing import Protocol

from dragoman.dialects.contract import Target
from dragoman.gateway.collaborators import SignerLike, UpstreamLike
from dragoman.messages.errors import ApiError
from dragoman.providers.credentials import presented
from dragoman.providers.tokens import Flow, Headers, TokenAnswer, TokenCall, TokenTask

PATIENCE = 30.0  # seconds that a token may take
TOKEN_LIMIT = 256 * 1024  # bytes of an answer with a token

NO_CREDENTIALS = (
    "The provider {} is asked with the caller's own key, and the request has none. Send it as `x-api-key` or "
    "`Authorization: Bearer`; the token of this gateway goes into `x-dragoman-token`."
)


class CredentialsLike(Protocol):
    """`providers.credentials.Credentials`, as far as it is used here."""

    def headers(self, target: Target, now: float) -> Headers | None: ...

    def flow(self, target: Target, now: float) -> Flow: ...

    def refused(self, target: Target, sent: Headers = ()) -> bool: ...

    def owner(self, target: Target) -> Hashable: ...


def signed_at_once(
    signer: SignerLike, target: Target, caller: Sequence[tuple[str, str]] = ()
) -> Sequence[tuple[str, str]] | None:
    """The headers that carry a key or a token: ours, or those of the `caller`, never both. Raises ApiError.

    None when a token must be fetched first.
    """
    if target.auth == "caller":
        if not caller:
            raise ApiError("authentication", NO_CREDENTIALS.format(target.provider), should_retry=False)
        return presented(target, tuple(caller))
    return signer.headers(target)


async def signed(
    signer: SignerLike, target: Target, caller: Sequence[tuple[str, str]] = ()
) -> Sequence[tuple[str, str]]:
    """The same, after a token was fetched where one must be. Raises ApiError."""
    headers = signed_at_once(signer, target, caller)
    return await signer.fetch(target) if headers is None else headers


class Signing:
    """Runs the flows of credentials through `upstream`: proxies, certificates and timeouts hold for them too."""

    def __init__(self, credentials: CredentialsLike, upstream: UpstreamLike, clock: Callable[[], float]) -> None:
        self._credentials = credentials
        self._upstream = upstream
        self._clock = clock
        self._fetches: dict[Hashable, asyncio.Task[None]] = {}  # by owner

    def headers(self, target: Target) -> Headers | None:
        """The headers that carry the target's key or token; None when `fetch` must get one. Raises ApiError."""
        return self._credentials.headers(target, self._clock())

    async def fetch(self, target: Target) -> Headers:
        """Get a token, or wait for one that is on its way. Raises ApiError.

        A caller that leaves does not end the fetch: others wait for the same token.
        """
        owner = self._credentials.owner(target)
        task = self._fetches.get(owner)
        if task is None:
            task = self._fetches[owner] = asyncio.create_task(self._run(target))
            task.add_done_callback(lambda done: self._forget(owner, done))
        try:
            await asyncio.shield(task)
        finally:
            del task  # its failure holds this frame: a circle
        headers = self.headers(target)
        if headers is None:
            text = f"The token for {target.provider} is out of date already. Check the clock of this machine."
            raise ApiError("upstream_authentication", text, should_retry=False)
        return headers

    def refused(self, target: Target, sent: Headers) -> bool:
        """The upstream refused these headers. True when another try makes sense, with a new token."""
        return self._credentials.refused(target, sent)

    def _forget(self, owner: Hashable, task: asyncio.Task[None]) -> None:
        del self._fetches[owner]
        if not task.cancelled():
            task.exception()  # whoever waits is told; with nobody left, asyncio must not report it

    async def _run(self, target: Target) -> None:
        flow = self._credentials.flow(target, self._clock())
        try:
            async with asyncio.timeout(PATIENCE):
                step = next(flow)
                while True:
                    try:
                        answer = await (self._ask(step) if isinstance(step, TokenCall) else self._work(step))
                    except ApiError as error:
                        step = flow.throw(error)  # it may know better what to say
                    else:
                        step = flow.send(answer)
        except StopIteration:
            return
        except TimeoutError:
            text = (
                f"No token for {target.provider} within {PATIENCE:g} s. Check the network, and the identity's settings."
            )
            raise ApiError("timeout", text) from None
        finally:
            flow.close()

    async def _work(self, task: TokenTask) -> TokenAnswer:
        line = _Line(self._ask)
        try:
            return await asyncio.to_thread(task.run, line.send)
        finally:
            line.close()

    async def _ask(self, call: TokenCall) -> TokenAnswer:
        answer = await self._upstream.send(call.method, call.url, call.headers, call.body)
        body = bytearray()
        try:
            while len(body) < TOKEN_LIMIT and (chunk := await answer.read()):
                body += chunk
        finally:
            answer.close()
        return TokenAnswer(answer.status, bytes(body[:TOKEN_LIMIT]))


class _Line:
    """From a thread to the loop: what blocks there is asked here, until nobody waits for it any more."""

    def __init__(self, ask: Callable[[TokenCall], Awaitable[TokenAnswer]]) -> None:
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._asking: set[asyncio.Task[TokenAnswer]] = set()  # the loop's; the thread leaves it alone
        self._closed = False

    def send(self, call: TokenCall) -> TokenAnswer:
        """In the thread. Raises ApiError."""
        try:
            return asyncio.run_coroutine_threadsafe(self._in_loop(call), self._loop).result()
        except CancelledError:
            raise ApiError("timeout", "Nobody waits for this token any more.") from None

    def close(self) -> None:
        """In the loop. The thread may go on for a while, and gets no more answers."""
        self._closed = True
        for task in self._asking:
            task.cancel()

    async def _in_loop(self, call: TokenCall) -> TokenAnswer:
        if self._closed:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 run_coroutine_threadsafe makes one
        self._asking.add(task)
        try:
            return await self._ask(call)
        finally:
            self._asking.discard(task)
            del task  # its end holds this frame: a circle
