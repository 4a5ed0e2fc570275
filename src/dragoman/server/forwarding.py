"""Anthropic's files, batches and skills: any method, passed on to the one provider that has them, never held.

https://platform.claude.com/docs/en/api/overview
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

import msgspec
from starlette.types import Message, Receive

from dragoman.gateway.collaborators import AnswerLike
from dragoman.gateway.forwarding import Asked, Forwarding
from dragoman.messages.errors import ApiError
from dragoman.messages.headers import passed_on as meaningful
from dragoman.server.exchange import CLIENT_LEFT, Exchange, passed_on
from dragoman.server.headers import FORM, PassedOn, as_text
from dragoman.server.intake import Gone
from dragoman.server.messages import ENDPOINT, Credentials, nobodys
from dragoman.server.paths import canonical
from dragoman.server.presence import Presence

BATCHES = "/v1/messages/batches"
ENDPOINTS = (BATCHES, "/v1/files", "/v1/skills")
BOUND = 16 * 1024 * 1024  # bytes of a list of batches, and of a refusal: they are looked through

_FORM = ("content-type", "content-encoding", "content-length")
_BARE = (204, 304)  # statuses whose answers have no body, whatever length they tell
_RESULTS = re.compile(rb'("results_url"\s*:\s*)("(?:[^"\\]|\\.)*")')
_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]+")


def covers(path: str) -> bool:
    """Whether `path`, as it is served, is one of these endpoints."""
    return any(path == known or path.startswith(known + "/") for known in ENDPOINTS)


class Forward:
    """The endpoint. `forwarding` is an error where there is no provider: it says what to set."""

    def __init__(self, forwarding: Forwarding | ApiError, credentials: Credentials = nobodys) -> None:
        self._forwarding = forwarding
        self._credentials = credentials
        self._passed_on = PassedOn(FORM)

    async def __call__(self, exchange: Exchange) -> None:
        """Raises ApiError and Gone while the caller was told nothing."""
        forwarding = self._forwarding
        path = _path(exchange)
        if ENDPOINT in exchange.headers:
            text = "The header `a2o-endpoint` is for messages and their token counts; leave it out here."
            raise ApiError("invalid_request", f"{path}: {text}")
        if isinstance(forwarding, ApiError):
            raise ApiError(forwarding.kind, f"{path}: {forwarding.message}", should_retry=forwarding.should_retry)
        exchange.provider = forwarding.target.provider
        upload = Upload(exchange.receive)
        first = await upload.first()
        presence = Presence(upload.after)
        answer: AnswerLike | None = None
        try:
            asked = Asked(
                method=exchange.scope["method"],
                path=path,
                query=exchange.scope["query_string"].decode("latin-1"),
                headers=self._headers(exchange, path, streamed=first is None),
                body=upload if first is None else first,
            )
            answer = await forwarding.send(asked, self._credentials(exchange.headers))
            await _pass_on(exchange, forwarding, answer, path)
        except ApiError as error:
            if not exchange.status:
                raise
            presence.stop()
            exchange.error = error
            error.forget()
            await exchange.cut()
        except asyncio.CancelledError:
            if not presence.gone:
                presence.stop()
                await exchange.cut()
                raise
            exchange.status = CLIENT_LEFT
        finally:
            presence.stop()
            exchange.request_bytes = upload.size
            if answer is not None:
                answer.close()

    def _headers(self, exchange: Exchange, path: str, *, streamed: bool) -> list[tuple[str, str]]:
        found = as_text(self._passed_on(exchange.scope["headers"], exchange.headers.get(b"connection")))
        length = exchange.headers.get(b"content-length")
        if streamed and length is not None:
            found.append(("content-length", length.decode("latin-1")))
        if _is_rewritten(path):  # what is looked through must not come packed
            found = [(name, value) for name, value in found if name != "accept-encoding"]
        return found


class Upload:
    """The body of a request, piece by piece. `size`: bytes so far."""

    def __init__(self, receive: Receive) -> None:
        self.size = 0
        self._receive = receive
        self._begun: bytes | None = None
        self._over = asyncio.Event()
        self._left = False

    async def first(self) -> bytes | None:
        """The whole body, when it came at once; None for one that is read in pieces. Raises Gone."""
        piece, more = await self._next()
        if not more:
            return piece
        self._begun = piece
        return None

    async def after(self) -> Message:
        """What the server tells after the body: that the caller has left, at some time."""
        await self._over.wait()
        return {"type": "http.disconnect"} if self._left else await self._receive()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        begun, self._begun = self._begun, None
        if begun is not None:
            return begun
        if self._over.is_set():
            raise StopAsyncIteration
        piece, _ = await self._next()
        return piece

    async def _next(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True
            self._over.set()
            raise Gone
        piece: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        self.size += len(piece)
        if not more:
            self._over.set()
        return piece, more


async def _pass_on(exchange: Exchange, forwarding: Forwarding, answer: AnswerLike, path: str) -> None:
    """The answer, as it comes. One that breaks off breaks the caller's connection: a part is never taken for all."""
    status, headers = answer.status, answer.headers
    form = [(name, headers[name]) for name in _FORM if name in headers]
    if _is_looked_through(exchange, answer, path):
        body = await _whole(forwarding, answer)
        if _is_rewritten(path):
            body = rewritten(body, _own(exchange))
        body = exchange.cleaned(body) if status >= 400 else body
        form = [
            ("content-length", str(len(body))) if name == "content-length" else (name, value) for name, value in form
        ]
        await exchange.begin(status, passed_on([*form, *meaningful(headers)]))
        await exchange.pass_on(body, last=True)
        return
    if status in _BARE:
        form = [each for each in form if each[0] != "content-length"]
    await exchange.begin(status, passed_on([*form, *meaningful(headers)]))
    while chunk := await forwarding.read(answer):
        await exchange.pass_on(chunk)
    await exchange.pass_on(b"", last=True)


async def _whole(forwarding: Forwarding, answer: AnswerLike) -> bytes:
    parts = []
    size = 0
    while chunk := await forwarding.read(answer):
        size += len(chunk)
        if size > BOUND:
            raise ApiError("bad_answer", f"The upstream sent an answer of more than {BOUND} bytes.")
        parts.append(chunk)
    return b"".join(parts)


def _is_looked_through(exchange: Exchange, answer: AnswerLike, path: str) -> bool:
    """Lists of batches name the upstream's own address, and a refusal may quote our key."""
    headers = answer.headers
    if exchange.scope["method"] == "HEAD" or answer.status in _BARE:
        return False
    if headers.get("content-encoding", "identity") != "identity":
        return False
    return answer.status >= 400 or (_is_rewritten(path) and _is_json(headers))


def _is_json(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").lower().startswith("application/json")


def _is_rewritten(path: str) -> bool:
    return path.startswith(BATCHES) and not path.endswith("/results")


def rewritten(body: bytes, own: str | None) -> bytes:
    """`results_url` of batches at `own` address: clients ask there for the results, with this gateway's token."""
    if own is None:
        return body

    def here(found: re.Match[bytes]) -> bytes:
        try:
            place = urlsplit(msgspec.json.decode(found[2], type=str))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return found[0]
        _, known, rest = place.path.partition(BATCHES + "/")
        if not known:
            return found[0]
        query = f"?{place.query}" if place.query else ""
        return found[1] + msgspec.json.encode(f"{own}{known}{rest}{query}")

    return _RESULTS.sub(here, body)


def _own(exchange: Exchange) -> str | None:
    """The address that the caller used. Only it is told, so who writes a wrong one fools nobody else."""
    host = exchange.headers.get(b"host", b"").decode("latin-1")
    if _HOST.fullmatch(host) is None:
        return None
    told = exchange.headers.get(b"x-forwarded-proto", b"").partition(b",")[0].strip().lower()
    scheme = told.decode() if told in (b"http", b"https") else exchange.scope["scheme"]
    return f"{scheme}://{host}"


def _path(exchange: Exchange) -> str:
    """The path as the caller wrote it, from `/v1/` on. Raises ApiError for one that would lead elsewhere."""
    served: str = exchange.scope["path"]
    written = canonical(exchange.scope["raw_path"].decode("ascii"))
    if not covers(written) or any(part in (".", "..") for part in re.split(r"[/\\]", served)):
        raise ApiError("not_found", f"There is no {served[:200]} here.")
    return written
