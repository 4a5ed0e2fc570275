"""Signing: keys at once, tokens fetched once for all who wait, and never a wait without end."""

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.gateway import signing
from dragoman.gateway.signing import Signing
from dragoman.messages.errors import ApiError
from dragoman.providers.tokens import Flow, Headers, Send, TokenAnswer, TokenCall, TokenTask
from freed import all_freed

TARGET = Target(
    provider="azure", dialect="chat", base_url="http://127.0.0.1:9", model="m", quirks=Quirks(), auth="entra"
)
CALL = TokenCall("POST", "http://127.0.0.1:9/token", (("content-type", "text/plain"),), b"who")


class Answer:
    """A token endpoint's answer in two pieces."""

    def __init__(self, status: int, *pieces: bytes) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self.closed = False
        self._pieces = [*pieces, b""]

    async def read(self) -> bytes:
        return self._pieces.pop(0)

    def close(self) -> None:
        self.closed = True

    def release(self) -> None:
        self.closed = True


class Endpoint:
    """An upstream that answers when it is told to."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []
        self.go = asyncio.Event()

    async def send(self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        self.asked.append((method, url, tuple(headers), body))
        await self.go.wait()
        return self.answer


class Tokens:
    """Credentials that get one token by one step."""

    def __init__(self, step: TokenCall | TokenTask = CALL, *, useless: bool = False) -> None:
        self.token: str | None = None
        self.refusals: list[Headers] = []
        self._step = step
        self._useless = useless

    def headers(self, _target: Target, _now: float) -> Headers | None:
        return None if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def flow(self, target: Target, _now: float) -> Flow:
        answer = yield self._step
        if answer.status != 200:
            raise ApiError("upstream_authentication", f"No token for {target.provider}.")
        self.token = None if self._useless else answer.body.decode()

    def refused(self, _target: Target, sent: Headers = ()) -> bool:
        self.refusals.append(sent)
        self.token = None
        return True

    def owner(self, _target: Target) -> str:
        return "somebody"


@pytest.mark.anyio
async def test_one_fetch_serves_all_who_wait_and_outlives_one_who_leaves() -> None:
    endpoint, tokens = Endpoint(Answer(200, b"to", b"ken")), Tokens()
    signer = Signing(tokens, endpoint, lambda: 0.0)
    assert signer.headers(TARGET) is None
    first, second = asyncio.create_task(signer.fetch(TARGET)), asyncio.create_task(signer.fetch(TARGET))
    await asyncio.sleep(0)
    first.cancel()
    endpoint.go.set()
    assert await second == (("authorization", "Bearer token"),)
    with pytest.raises(asyncio.CancelledError):
        await first
    assert endpoint.asked == [("POST", CALL.url, CALL.headers, b"who")]
    assert endpoint.answer.closed
    assert signer.headers(TARGET) == (("authorization", "Bearer token"),)


@pytest.mark.anyio
async def test_a_fetch_that_everybody_left_fails_in_silence_and_the_next_begins_anew() -> None:
    endpoint, tokens = Endpoint(Answer(401, b"no")), Tokens()
    signer = Signing(tokens, endpoint, lambda: 0.0)
    gone = asyncio.create_task(signer.fetch(TARGET))
    await asyncio.sleep(0)
    gone.cancel()
    endpoint.go.set()
    with pytest.raises(asyncio.CancelledError):
        await gone
    endpoint.answer = Answer(401, b"no")
    with pytest.raises(ApiError, match="No token for azure"):
        await signer.fetch(TARGET)


@pytest.mark.failure(144)
@pytest.mark.anyio
async def test_a_fetch_that_failed_is_freed_at_once() -> None:
    class UnreachableError(ApiError):
        pass

    class Nobody(Endpoint):
        async def send(self, *_: object) -> Answer:
            raise UnreachableError("unreachable", "nobody is there")

    signer = Signing(Tokens(), Nobody(Answer(500)), lambda: 0.0)
    async with all_freed(UnreachableError):
        for _ in range(3):
            with contextlib.suppress(UnreachableError):
                await signer.fetch(TARGET)
                raise AssertionError("a token came")


@pytest.mark.failure(146)
@pytest.mark.anyio
async def test_work_that_blocks_runs_in_a_thread() -> None:
    tokens = Tokens(TokenTask(lambda _: TokenAnswer(200, b"managed")))
    signer = Signing(tokens, Endpoint(Answer(500)), lambda: 0.0)
    assert await signer.fetch(TARGET) == (("authorization", "Bearer managed"),)


@pytest.mark.anyio
async def test_what_a_thread_asks_is_asked_by_the_loop() -> None:
    endpoint = Endpoint(Answer(200, b"by a ", b"thread"))
    endpoint.go.set()
    signer = Signing(Tokens(TokenTask(lambda send: send(CALL))), endpoint, lambda: 0.0)
    assert await signer.fetch(TARGET) == (("authorization", "Bearer by a thread"),)
    assert endpoint.asked == [("POST", CALL.url, CALL.headers, b"who")]
    assert endpoint.answer.closed


@pytest.mark.anyio
async def test_a_thread_that_nobody_waits_for_gets_no_more_answers() -> None:
    """It must not hold up the end of the process, and it may try again by itself."""
    endpoint, told = Endpoint(Answer(200)), []
    over = threading.Event()

    def work(send: Send) -> TokenAnswer:
        for _ in range(2):
            try:
                send(CALL)
            except ApiError as error:
                told.append(error.kind)
        over.set()
        return TokenAnswer(400, b"")

    signer = Signing(Tokens(TokenTask(work)), endpoint, lambda: 0.0)
    waiting = asyncio.create_task(signer.fetch(TARGET))
    while not endpoint.asked:
        await asyncio.sleep(0)
    signer._fetches["somebody"].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(over.wait, 5)
    assert told == ["timeout", "timeout"]
    assert len(endpoint.asked) == 1


class Explaining(Tokens):
    """Credentials that know better than the network what is wrong."""

    def flow(self, target: Target, _now: float) -> Flow:
        try:
            yield CALL
        except ApiError as error:
            raise ApiError("upstream_authentication", f"Log in for {target.provider}.") from error


class Broken:
    async def send(self, *_: object) -> Answer:
        raise ApiError("unreachable", "No such name.")


@pytest.mark.anyio
async def test_a_flow_hears_of_what_could_not_be_asked() -> None:
    with pytest.raises(ApiError, match=r"Log in for azure\."):
        await Signing(Explaining(), Broken(), lambda: 0.0).fetch(TARGET)
    for step in (CALL, TokenTask(lambda send: send(CALL))):
        with pytest.raises(ApiError, match=r"No such name\."):
            await Signing(Tokens(step), Broken(), lambda: 0.0).fetch(TARGET)


@pytest.mark.anyio
async def test_a_token_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "PATIENCE", 0.01)
    signer = Signing(Tokens(), Endpoint(Answer(200)), lambda: 0.0)
    with pytest.raises(ApiError, match="No token for azure within") as caught:
        await signer.fetch(TARGET)
    assert caught.value.kind == "timeout"


@pytest.mark.anyio
async def test_a_fetch_that_is_cancelled_leaves_nothing() -> None:
    signer = Signing(Tokens(), Endpoint(Answer(200)), lambda: 0.0)
    waiting = asyncio.create_task(signer.fetch(TARGET))
    await asyncio.sleep(0)
    signer._fetches["somebody"].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.anyio
async def test_a_token_that_is_old_when_it_comes() -> None:
    endpoint = Endpoint(Answer(200, b"old"))
    endpoint.go.set()
    with pytest.raises(ApiError, match="clock"):
        await Signing(Tokens(useless=True), endpoint, lambda: 0.0).fetch(TARGET)


def test_a_refusal_is_passed_on() -> None:
    tokens = Tokens()
    sent = (("authorization", "Bearer x"),)
    assert Signing(tokens, Endpoint(Answer(200)), lambda: 0.0).refused(TARGET, sent)
    assert tokens.refusals == [sent]
