"""Sessions and keys through the whole gateway, with an upstream in memory that counts who is asked by which key."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from msgspec import json, structs

from dragoman.config.settings import Server
from dragoman.dialects.contract import Target
from dragoman.gateway.gateway import Gateway
from dragoman.messages.request import Request
from dragoman.routing.route import Choice, Route
from gateway.lines import Lines, target

pytestmark = pytest.mark.anyio

KEYS = tuple(structs.replace(target("lab"), key=f"KEY-{number}") for number in range(4))
SESSIONS, TURNS = 100, 20
PARKED = 3.0  # turns that the limited key rests


class Answer:
    """One that is there at once."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    async def read(self) -> bytes:
        body, self._body = self._body, b""
        return body

    def close(self) -> None: ...

    def release(self) -> None: ...


class House:
    """Router, signer and upstream of one gateway, and the time: a turn is a second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.limited = ""  # the key that is told to wait
        self.asked: list[str] = []  # keys, in order

    def route(self, name: str, *, thinking: bool = False) -> Route:
        return Route(requested=name, targets=KEYS[:1], steps=(), groups=((Choice(KEYS),),))

    def headers(self, slot: Target) -> Sequence[tuple[str, str]]:
        return [("authorization", slot.key or "")]

    async def fetch(self, slot: Target) -> Sequence[tuple[str, str]]:
        raise AssertionError(slot)

    def refused(self, _slot: Target, _sent: Sequence[tuple[str, str]]) -> bool:
        return False

    async def send(
        self, _method: str, _url: str, headers: Sequence[tuple[str, str]], _body: bytes, *, public: bool = False
    ) -> Answer:
        key = dict(headers)["authorization"]
        self.asked.append(key)
        if key == self.limited:
            return Answer(429, {"retry-after": str(PARKED)}, b"")
        return Answer(200, {}, b"text Hi\nstop\n")


@pytest.mark.failure(132)
async def test_turns_stay_with_their_key_while_one_is_parked_in_the_middle() -> None:
    house = House()
    gateway = Gateway(
        router=house,
        dialects={"lines": Lines()},
        upstream=house,
        signer=house,
        settings=Server(),
        watch=lambda _: None,
        new_id=lambda: "1",
        clock=lambda: house.now,
    )
    served: dict[int, list[str]] = defaultdict(list)
    for turn in range(TURNS):
        house.now = float(turn)
        house.limited = "KEY-1" if turn == TURNS // 2 else ""
        for session in range(SESSIONS):
            body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
            journey = gateway.begin(Request(json.encode(body), named_session=f"session-{session}"), "req_1")
            await journey.message()
            journey.close()
            served[session].append(house.asked[-1])
    own = {session: keys[0] for session, keys in served.items()}
    assert set(Counter(own.values())) == {key.key for key in KEYS}
    stayed = sum(key == own[session] for session, keys in served.items() for key in keys)
    assert stayed >= 0.95 * SESSIONS * TURNS
    moved = {session for session, keys in served.items() if set(keys) != {own[session]}}
    assert moved == {session for session, key in own.items() if key == "KEY-1"}  # and no other one
    assert all(keys[-1] == own[session] for session, keys in served.items())  # all came back
    assert len(house.asked) == SESSIONS * TURNS + 1  # the limited key was asked once, and left alone then
