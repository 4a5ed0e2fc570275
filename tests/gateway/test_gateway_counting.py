"""Exact counts: asked of the first target, in the language that can count; else there is none."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Call, Recall, Target
from dragoman.gateway import counting
from dragoman.gateway.counting import UpstreamCount
from dragoman.messages.errors import ApiError
from dragoman.messages.request import Request, decode
from dragoman.routing.route import Route

MUTE = Target(provider="lab", dialect="mute", base_url="http://127.0.0.1:9", model="m", quirks=Quirks())
ABLE = structs.replace(MUTE, dialect="able")
REQUEST = decode(b'{"model":"m","messages":[]}', counting=True)


class Able:
    """A dialect that can count."""

    def count(self, _request: Request, target: Target) -> Call:
        return Call(url=target.base_url + "/count", body=b"?", stream=False, target=target, recall=Recall(model="m"))

    def counted(self, body: bytes) -> int:
        if not body.isdigit():
            raise ApiError("bad_answer", "no number")
        return int(body)


class Signer:
    def __init__(self, *, fetched: bool = False) -> None:
        self._fetched = fetched

    def headers(self, _target: Target) -> Sequence[tuple[str, str]] | None:
        return None if self._fetched else (("x-key", "here"),)

    async def fetch(self, _target: Target) -> Sequence[tuple[str, str]]:
        return (("x-key", "fetched"),)


class Upstream:
    """Answers with a status and pieces; without pieces, never."""

    def __init__(self, status: int, *pieces: bytes) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self.closed = False
        self.asked: list[Any] = []
        self._pieces = [*pieces, b""]
        self._answers = bool(pieces)

    async def send(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes, *, public: bool = False
    ) -> "Upstream":
        self.asked = [method, url, list(headers), body]
        if not self._answers:
            await asyncio.Event().wait()
        return self

    async def read(self) -> bytes:
        return self._pieces.pop(0)

    def close(self) -> None:
        self.closed = True

    def release(self) -> None:
        self.close()


async def count(upstream: Upstream, *targets: Target, fetched: bool = False) -> int | None:
    counter = UpstreamCount({"mute": object(), "able": Able()}, upstream, Signer(fetched=fetched))  # type: ignore[dict-item]
    return tokens(await counter.answer(REQUEST, Route(requested="m", targets=targets, steps=())))


def tokens(answer: bytes | None) -> int | None:
    return None if answer is None else json.loads(answer)["input_tokens"]  # type: ignore[no-any-return]


@pytest.mark.anyio
@pytest.mark.parametrize("fetched", [False, True])
async def test_the_upstream_is_asked(fetched: bool) -> None:
    upstream = Upstream(200, b"4", b"2")
    assert await count(upstream, ABLE, MUTE, fetched=fetched) == 42
    assert upstream.asked == ["POST", "http://127.0.0.1:9/count", [("x-key", "fetched" if fetched else "here")], b"?"]
    assert upstream.closed


@pytest.mark.anyio
async def test_the_other_language_of_the_target_may_count() -> None:
    assert await count(Upstream(200, b"7"), structs.replace(MUTE, other=ABLE)) == 7


@pytest.mark.anyio
@pytest.mark.parametrize(("status", "body"), [(404, b"42"), (200, b"many")])
async def test_an_upstream_that_cannot_count_leaves_it_to_the_estimate(status: int, body: bytes) -> None:
    assert await count(Upstream(status, body), ABLE) is None


@pytest.mark.anyio
async def test_nobody_is_asked_who_cannot_count() -> None:
    upstream = Upstream(200, b"42")
    assert await count(upstream, MUTE) is None
    assert upstream.asked == []


@pytest.mark.anyio
async def test_a_count_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PATIENCE", 0.01)
    assert await count(Upstream(200), ABLE) is None


@pytest.mark.anyio
async def test_the_same_text_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MEMORY_LIMIT", 1)
    upstream = Upstream(200, b"42", b"", b"43", b"", b"44", b"")
    counter = UpstreamCount({"able": Able()}, upstream, Signer())  # type: ignore[dict-item]
    first = Route(requested="m", targets=(ABLE,), steps=())
    second = Route(requested="m", targets=(structs.replace(ABLE, base_url="http://127.0.0.1:9/other"),), steps=())
    found = [tokens(await counter.answer(REQUEST, route)) for route in (first, first, second, first)]
    assert found == [42, 42, 43, 44]  # one count is remembered


@pytest.mark.anyio
async def test_a_failure_is_not_remembered() -> None:
    upstream = Upstream(503, b"busy", b"", b"42", b"")
    counter = UpstreamCount({"able": Able()}, upstream, Signer())  # type: ignore[dict-item]
    route = Route(requested="m", targets=(ABLE,), steps=())
    assert await counter.answer(REQUEST, route) is None
    upstream.status = 200
    upstream._pieces = [b"42", b""]
    assert tokens(await counter.answer(REQUEST, route)) == 42


class Relaying(Able):
    """A dialect whose upstreams speak Messages."""

    relays = True

    def count(self, request: Request, target: Target) -> Call:
        return structs.replace(super().count(request, target), relays=True)

    def counted(self, body: bytes) -> int:
        return int(json.loads(body)["input_tokens"])


@pytest.mark.anyio
async def test_what_a_server_of_messages_says_goes_on_as_it_is() -> None:
    said = b'{ "input_tokens": 7, "context_management": {"original_input_tokens": 9} }'
    upstream = Upstream(200, said, b"", said + b" ", b"")
    counter = UpstreamCount({"able": Relaying()}, upstream, Signer())  # type: ignore[dict-item]
    route = Route(requested="m", targets=(ABLE,), steps=())
    assert await counter.answer(REQUEST, route) == said
    assert await counter.answer(REQUEST, route) == said
    beta = structs.replace(REQUEST, betas=("context-management-2025-06-27",))
    assert await counter.answer(beta, route) == said + b" "  # asked again: a beta changes what is counted


@pytest.mark.anyio
@pytest.mark.parametrize(("dialect", "asked"), [(Able(), False), (Relaying(), True)])
async def test_unless_it_is_set_only_servers_of_messages_are_asked(dialect: Able, asked: bool) -> None:
    upstream = Upstream(200, b'{"input_tokens":7}')
    counter = UpstreamCount({"able": dialect}, upstream, Signer(), relayed=True)  # type: ignore[dict-item]
    found = await counter.answer(REQUEST, Route(requested="m", targets=(ABLE,), steps=()))
    assert (tokens(found), bool(upstream.asked)) == ((7, True) if asked else (None, False))


@pytest.mark.anyio
@pytest.mark.failure(140)
async def test_the_callers_own_key_counts_where_it_answers() -> None:
    upstream = Upstream(200, b'{"input_tokens":7}')
    counter = UpstreamCount({"able": Relaying()}, upstream, Signer())  # type: ignore[dict-item]
    route = Route(requested="m", targets=(structs.replace(ABLE, auth="caller"),), steps=())
    assert await counter.answer(REQUEST, route) is None  # nobody's key: nobody is asked
    assert upstream.asked == []
    assert tokens(await counter.answer(REQUEST, route, (("x-api-key", "dummy"),))) == 7
    assert upstream.asked[2] == [("x-api-key", "dummy")]
