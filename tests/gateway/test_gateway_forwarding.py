"""gateway/forwarding: where Anthropic's other endpoints go, signatures, and patience."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec import structs

from dragoman.config.settings import Config, Provider, Server
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.gateway.forwarding import Asked, Forwarding, destination
from dragoman.messages.errors import ApiError

TARGET = Target(
    provider="claude", dialect="anthropic", base_url="http://127.0.0.1:9", model="", quirks=Quirks(), auth="x-api-key"
)
DIALECTS: Any = {"anthropic": ANTHROPIC, "chat": object()}
GET = Asked(method="GET", path="/v1/files", query="limit=1", headers=(("anthropic-version", "a"),))


def provider(name: str, *, ready: bool = True, others: tuple[Target, ...] = (), **fields: Any) -> Provider:
    template = structs.replace(TARGET, provider=name, **fields)
    return Provider(name=name, title=name, ready=ready, why="set A_KEY", template=template, others=others)


def where(*providers: Provider, forward_to: str = "") -> Target | ApiError:
    named = {each.name: each for each in providers}
    return destination(Config(server=Server(forward_to=forward_to), providers=named), DIALECTS)


CHAT = provider("other", dialect="chat")
UNREADY = provider("unready", ready=False)
FIRST, SECOND = provider("first"), provider("second")


def test_the_first_ready_provider_that_speaks_messages() -> None:
    assert where(CHAT, UNREADY, FIRST, SECOND) == FIRST.template


def test_the_one_that_is_named() -> None:
    assert where(FIRST, SECOND, forward_to="second") == SECOND.template
    both = provider("both", dialect="chat", others=(structs.replace(TARGET, provider="both"),))
    assert where(FIRST, both, forward_to="both") == both.others[0]
    assert where(both, FIRST) == FIRST.template  # Messages is not its own language


@pytest.mark.parametrize(
    ("providers", "forward_to", "kind", "words"),
    [
        ((CHAT, UNREADY), "", "not_found", "ANTHROPIC_API_KEY"),
        ((FIRST,), "none", "not_found", "server.forward_to"),
        ((CHAT,), "other", "not_found", "does not speak Messages"),
        ((UNREADY,), "unready", "upstream_authentication", "set A_KEY"),
        ((provider("vertex", quirks=Quirks(messages_path="/models")),), "", "not_found", "ANTHROPIC_API_KEY"),
    ],
)
def test_what_is_missing_is_said(providers: tuple[Provider, ...], forward_to: str, kind: str, words: str) -> None:
    found = where(*providers, forward_to=forward_to)
    assert isinstance(found, ApiError)
    assert found.kind == kind
    assert words in found.message


class Answer:
    def __init__(self, status: int) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self.closed = False

    async def read(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    def close(self) -> None:
        self.closed = True

    def release(self) -> None:
        self.close()


class Upstream:
    """Answers with these statuses; with none, never. A body in pieces is read to its end."""

    def __init__(self, *statuses: int) -> None:
        self.asked: list[tuple[str, str, list[tuple[str, str]], bytes]] = []
        self.answers: list[Answer] = []
        self._statuses = list(statuses)

    async def send(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes | AsyncIterator[bytes]
    ) -> Answer:
        read = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
        self.asked.append((method, url, list(headers), read))
        if not self._statuses:
            await asyncio.Event().wait()
        self.answers.append(Answer(self._statuses.pop(0)))
        return self.answers[-1]


class Signer:
    """Has a token that may be replaced once."""

    def __init__(self, *, replaceable: bool = True) -> None:
        self._replaceable = replaceable
        self._token: str | None = "old"

    def headers(self, _target: Target) -> Sequence[tuple[str, str]] | None:
        return None if self._token is None else (("x-key", self._token),)

    async def fetch(self, _target: Target) -> Sequence[tuple[str, str]]:
        self._token = "new"
        return (("x-key", "new"),)

    def refused(self, _target: Target, sent: Sequence[tuple[str, str]]) -> bool:
        assert sent == (("x-key", "old"),)
        self._token = None
        return self._replaceable


def forwarding(upstream: Upstream, target: Target = TARGET, *, signer: Signer | None = None) -> Forwarding:
    return Forwarding(target, DIALECTS, upstream, signer or Signer(), idle=0.02)


def keys(upstream: Upstream) -> list[str]:
    return [dict(headers)["x-key"] for _, _, headers, _ in upstream.asked]


async def pieces(*some: bytes, wait: float = 0) -> AsyncIterator[bytes]:
    for piece in some:
        await asyncio.sleep(wait)
        yield piece


@pytest.mark.anyio
async def test_a_call() -> None:
    upstream = Upstream(200)
    target = structs.replace(
        TARGET,
        base_url="http://127.0.0.1:9/anthropic",
        query="api-version=1",
        headers=(("anthropic-version", "ours"), ("x-more", "1")),
    )
    await forwarding(upstream, target).send(GET)
    ((method, url, headers, body),) = upstream.asked
    assert (method, url, body) == ("GET", "http://127.0.0.1:9/anthropic/v1/files?limit=1&api-version=1", b"")
    assert headers == [("anthropic-version", "a"), ("x-more", "1"), ("x-key", "old")]


@pytest.mark.anyio
async def test_a_refused_token_is_replaced_once() -> None:
    upstream = Upstream(401, 200)
    assert (await forwarding(upstream).send(GET)).status == 200
    assert keys(upstream) == ["old", "new"]
    assert upstream.answers[0].closed
    upstream = Upstream(401, 401)
    assert (await forwarding(upstream).send(GET)).status == 401
    assert keys(upstream) == ["old", "new"]


@pytest.mark.anyio
async def test_a_refused_key_is_told() -> None:
    upstream = Upstream(401)
    assert (await forwarding(upstream, signer=Signer(replaceable=False)).send(GET)).status == 401
    assert not upstream.answers[0].closed


@pytest.mark.anyio
async def test_a_body_that_is_gone_is_not_sent_again() -> None:
    upstream = Upstream(401)
    asked = structs.replace(GET, method="POST", body=pieces(b"a", b"b"))
    assert (await forwarding(upstream).send(asked)).status == 401
    assert [body for *_, body in upstream.asked] == [b"ab"]


@pytest.mark.anyio
@pytest.mark.failure(140)
async def test_the_callers_own_key_and_nothing_of_ours() -> None:
    upstream = Upstream(401)
    target = structs.replace(TARGET, auth="caller")
    with pytest.raises(ApiError, match="x-dragoman-token") as refused:
        await forwarding(upstream, target).send(GET)
    assert refused.value.status == 401
    assert upstream.asked == []
    signer = Signer(replaceable=False)
    signer.refused = lambda _target, _sent: False  # type: ignore[method-assign]
    answer = await forwarding(upstream, target, signer=signer).send(GET, (("x-api-key", "theirs"),))
    assert answer.status == 401
    assert upstream.asked[0][2] == [("anthropic-version", "a"), ("x-api-key", "theirs")]


@pytest.mark.anyio
@pytest.mark.parametrize("status", [101, 301, 308, 600])
async def test_answers_that_lead_elsewhere(status: int) -> None:
    upstream = Upstream(status)
    with pytest.raises(ApiError, match="base_url") as refused:
        await forwarding(upstream).send(GET)
    assert refused.value.kind == "bad_answer"
    assert upstream.answers[0].closed


@pytest.mark.anyio
async def test_a_silent_upstream_is_given_up() -> None:
    for asked in (GET, structs.replace(GET, body=pieces(b"a"))):
        with pytest.raises(ApiError, match=r"server\.read_idle") as silent:
            await forwarding(Upstream()).send(asked)
        assert silent.value.kind == "timeout"
    with pytest.raises(ApiError) as silent:
        await forwarding(Upstream()).read(Answer(200))
    assert silent.value.kind == "timeout"


@pytest.mark.anyio
async def test_a_slow_caller_is_not_the_upstreams_fault() -> None:
    asked = structs.replace(GET, body=pieces(b"a", b"b", b"c", wait=0.03))
    assert (await forwarding(Upstream(200)).send(asked)).status == 200


@pytest.mark.anyio
async def test_what_the_pieces_raise_comes_through() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise ApiError("invalid_request", "no more")

    with pytest.raises(ApiError, match="no more"):
        await forwarding(Upstream(200)).send(structs.replace(GET, body=broken()))
