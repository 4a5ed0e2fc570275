"""Forwarding: Anthropic's other endpoints (files, batches, skills), as they are, to the one provider that has them.

Nothing is held: bodies go up and down as they come, and whoever is slow makes the other side wait.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self

from msgspec import Struct

from dragoman.config.settings import Config
from dragoman.dialects.contract import Dialect, Target
from dragoman.gateway.collaborators import AnswerLike, SignerLike, UpstreamLike
from dragoman.gateway.pursuit import relays
from dragoman.gateway.signing import signed
from dragoman.messages.errors import ApiError

Headers = Sequence[tuple[str, str]]

OFF = "none"  # as `server.forward_to`

_MESSAGES = "/v1/messages"
_REDIRECTS = (301, 302, 303, 307, 308)
_ADD = (
    "Add a provider that speaks Messages, such as `anthropic: {}` under `providers:` with ANTHROPIC_API_KEY in the "
    "environment, or name one in server.forward_to."
)


def destination(config: Config, dialects: Mapping[str, Dialect]) -> Target | ApiError:
    """Where everything but Messages goes: what `server.forward_to` names, else the first ready provider whose own
    language is Messages. The error says what is missing.
    """
    name = config.server.forward_to
    if name == OFF:
        return ApiError("not_found", "Nothing is forwarded here: server.forward_to is `none`.")
    if name:
        provider = config.providers[name]
        found = [each for each in (provider.template, *provider.others) if _root(dialects, each) is not None]
        if not found:
            text = f"server.forward_to is {name}, which does not speak Messages. {_ADD}"
            return ApiError("not_found", text)
        if not provider.ready:
            text = f"The provider {name} is not ready: {provider.why}. Then restart dragoman."
            return ApiError("upstream_authentication", text, should_retry=False)
        return found[0]
    for provider in config.providers.values():
        if provider.ready and _root(dialects, provider.template) is not None:
            return provider.template
    return ApiError("not_found", f"There is no provider here that this could be forwarded to. {_ADD}")


def _root(dialects: Mapping[str, Dialect], target: Target) -> str | None:
    """The base URL before `/v1/...`; None for a server that has no more than messages, or has them elsewhere."""
    if not relays(dialects[target.dialect]):
        return None
    place = target.base_url + getattr(target.quirks, "messages_path", _MESSAGES)
    return place.removesuffix(_MESSAGES) if place.endswith(_MESSAGES) else None


class Asked(Struct, kw_only=True):
    """What is to be forwarded."""

    method: str
    path: str  # from `/v1/` on
    query: str = ""
    headers: Headers = ()  # the caller's, without credentials
    body: bytes | AsyncIterator[bytes] = b""


class Forwarding:
    """Calls to one provider. `idle`: seconds without a byte from it, or without one that it takes."""

    def __init__(
        self,
        target: Target,
        dialects: Mapping[str, Dialect],
        upstream: UpstreamLike,
        signer: SignerLike,
        *,
        idle: float,
    ) -> None:
        self.target = target
        self._root = _root(dialects, target) or target.base_url
        self._upstream = upstream
        self._signer = signer
        self._idle = idle

    async def send(self, asked: Asked, caller: Headers = ()) -> AnswerLike:
        """The head of the answer. `caller`: the headers with the caller's own credentials. Raises ApiError.

        What the pieces of a body raise comes through. A refused token is replaced once, unless there was a body.
        """
        target = self.target
        query = "&".join(each for each in (asked.query, target.query) if each)
        url = f"{self._root}{asked.path}" + (f"?{query}" if query else "")
        named = {name for name, _ in asked.headers}
        headers = [*asked.headers, *(each for each in target.headers if each[0] not in named)]
        signature = await signed(self._signer, target, caller)
        answer = await self._answered(asked, url, [*headers, *signature])
        if answer.status == 401 and asked.body == b"" and self._signer.refused(target, signature):
            answer.close()
            signature = await signed(self._signer, target, caller)
            answer = await self._answered(asked, url, [*headers, *signature])
        if answer.status in _REDIRECTS or not 200 <= answer.status < 600:
            answer.close()
            text = f"The upstream answered with status {answer.status}. Set base_url to where it really is."
            raise ApiError("bad_answer", text, should_retry=False, upstream_status=answer.status)
        return answer

    async def read(self, answer: AnswerLike) -> bytes:
        """The next bytes, b"" at the end. Raises ApiError."""
        try:
            async with asyncio.timeout(self._idle):
                return await answer.read()
        except TimeoutError:
            raise self._silence() from None

    async def _answered(self, asked: Asked, url: str, headers: Headers) -> AnswerLike:
        body = asked.body
        try:
            async with asyncio.timeout(self._idle) as deadline:
                if isinstance(body, bytes):
                    return await self._upstream.send(asked.method, url, headers, body)
                watched = _Watched(body, deadline, self._idle)
                try:
                    return await self._upstream.send(asked.method, url, headers, watched)
                finally:
                    watched.watched = False
        except TimeoutError:
            raise self._silence() from None

    def _silence(self) -> ApiError:
        return ApiError("timeout", f"The upstream was silent for {self._idle:g} s. server.read_idle sets this limit.")


class _Watched:
    """A body whose pieces put the deadline off. While the caller is waited for, the upstream has all the time."""

    def __init__(self, body: AsyncIterator[bytes], deadline: asyncio.Timeout, idle: float) -> None:
        self.watched = True
        self._body = aiter(body)
        self._deadline = deadline
        self._idle = idle

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._set(None)
        try:
            return await anext(self._body)
        finally:
            self._set(asyncio.get_running_loop().time() + self._idle)

    def _set(self, when: float | None) -> None:
        if self.watched and not self._deadline.expired():
            self._deadline.reschedule(when)
