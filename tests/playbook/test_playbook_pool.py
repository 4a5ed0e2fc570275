"""Several keys, several targets: who is asked first, who stands in, and when the first is asked again."""

import pytest
from msgspec import structs

from dragoman.gateway.health import FAILURES, FIRST_REST
from dragoman.messages.notes import header
from dragoman.routing.route import Choice, Group
from gateway.lines import target
from playbook.transcript import (
    Ask,
    Bytes,
    Called,
    Cut,
    End,
    Got,
    Head,
    Leave,
    Over,
    Playbook,
    Refused,
    Said,
    Saw,
    Status,
    Step,
    play,
)

pytestmark = [pytest.mark.anyio, pytest.mark.failure(130)]

LAB, OTHER = target("lab"), target("other")
KEYS = tuple(structs.replace(LAB, key=name) for name in ("A", "B"))
POOL: tuple[Group, ...] = ((Choice(KEYS),),)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(session: str = "s") -> Ask:
    return Ask(stream=False, session=session)


def served(script: Playbook, *, by: str = "lab/small", key: str | None = None) -> Playbook:
    return script << Called(by, key=key) >> Head(200) >> Said("text Hi", "stop") >> End() << Got("Hi")


async def broken(clock: Clock) -> Playbook:
    """A gateway whose first target rests."""
    script = Playbook(LAB, OTHER, retries=0, clock=clock)
    for number in range(FAILURES):
        script = script if not number else Playbook(LAB, OTHER, mended=script)
        await play(served(script >> ask() << Called() >> Refused(), by="other/small"))
    return script


async def test_a_target_that_fails_is_left_alone_and_asked_again() -> None:
    clock = Clock()
    script = await broken(clock)
    assert [(each.target, each.seconds) for each in script.changes] == [("lab/small", FIRST_REST)]
    script = await play(served(Playbook(LAB, OTHER, mended=script) >> ask(), by="other/small"))
    assert [each.target for each in script.record.attempts] == ["other/small"]
    assert "target.fallback" in header(script.record.notes)
    clock.now += FIRST_REST
    script = await play(served(Playbook(LAB, OTHER, mended=script) >> ask()))
    assert [(each.target, each.seconds) for each in script.changes] == [("lab/small", 0.0)]
    assert "target.fallback" not in header(script.record.notes)


async def test_the_one_that_tries_it_leaves_without_an_outcome() -> None:
    clock = Clock()
    script = await broken(clock)
    clock.now += FIRST_REST
    await play(Playbook(LAB, OTHER, mended=script) >> ask() << Called() >> Leave())
    await play(served(Playbook(LAB, OTHER, mended=script) >> ask()))


async def test_a_target_that_rests_is_asked_when_the_others_fail() -> None:
    clock = Clock()
    script = await broken(clock)
    script = Playbook(LAB, OTHER, mended=script, retries=0) >> ask() << Called("other/small") >> Refused()
    await play(served(script))


async def test_alone_it_is_asked_whatever_happened() -> None:
    script = Playbook(LAB, retries=0)
    for number in range(FAILURES + 2):
        script = script if not number else Playbook(LAB, mended=script)
        await play(script >> ask() << Called() >> Refused() << Status(502, "unreachable"))
    await play(served(Playbook(LAB, mended=script) >> ask()))


async def test_callers_are_told_when_to_come_back() -> None:
    clock = Clock()
    script = Playbook(LAB, retries=0, clock=clock)
    for number in range(FAILURES):
        script = script if not number else Playbook(LAB, mended=script)
        await play(script >> ask() << Called() >> Refused() << Status(502, "unreachable"))
    assert script.record.error is not None
    assert script.record.error.retry_after == FIRST_REST


@pytest.mark.failure(132)
async def test_a_session_keeps_its_key_moves_away_and_comes_back() -> None:
    clock = Clock()
    script = Playbook(LAB, groups=POOL, clock=clock)

    async def turn(*steps: tuple[str, Step], session: str = "s") -> str:
        nonlocal script
        playbook = Playbook(LAB, groups=POOL, mended=script if script.steps else None, clock=clock) >> ask(session)
        playbook.steps += steps
        script = await play(served(playbook, key="any"))
        return script.sent[-1].headers["authorization"]

    own = await turn()
    assert {await turn() for _ in range(5)} == {own}
    assert {await turn(session=str(number)) for number in range(20)} == {"Bearer A", "Bearer B"}
    limited = (("<<", Called(key=own.removeprefix("Bearer "))), (">>", Head(429, {"retry-after": "9"})), (">>", End()))
    other = await turn(*limited)
    assert other != own
    assert await turn() == other
    clock.now += 9
    assert await turn() == own


async def test_a_refused_key_is_not_used_again() -> None:
    script = Playbook(LAB, groups=POOL)
    first, second = ("A", "B") if await _first(script) == "Bearer A" else ("B", "A")
    script = Playbook(LAB, groups=POOL, mended=script) >> ask()
    await play(served(script << Called(key=first) >> Head(401) >> End(), key=second))
    assert [(each.key, each.seconds) for each in script.changes] == [(first, float("inf"))]
    script = await play(served(Playbook(LAB, groups=POOL, mended=script) >> ask(), key=second))
    assert header(script.record.notes) == "route.note,lines.lab,usage.estimated"  # the same target: nothing has changed


async def _first(script: Playbook) -> str:
    await play(served(script >> ask(), key="any"))
    return script.sent[-1].headers["authorization"]


async def test_another_key_does_not_help_a_server_that_fails() -> None:
    script = Playbook(LAB, OTHER, groups=((Choice(KEYS),), (Choice((OTHER,)),)), retries=0) >> ask()
    await play(served(script << Called(key="any") >> Head(503) >> End(), by="other/small"))


async def test_a_stream_that_breaks_counts_too() -> None:
    clock = Clock()
    script = Playbook(LAB, OTHER, clock=clock)
    for number in range(FAILURES):
        script = script if not number else Playbook(LAB, OTHER, mended=script)
        script = script >> Ask() << Called() >> Head(200) >> Said("text Hi")
        await play(
            script
            << Saw("message_start", "start 0 text", "delta 0 Hi")
            >> Cut()
            << Saw("error api_error: The connection broke.")
            << Over()
        )
    assert [each.target for each in script.changes] == ["lab/small"]


@pytest.mark.failure(115, 130)
async def test_a_conversation_that_is_too_long_goes_where_there_is_room() -> None:
    room: tuple[Group, ...] = ((Choice((target("large"),)),),)
    script = Playbook(LAB, OTHER, overflow=room) >> ask() << Called()
    script = script >> Head(400) >> Bytes(b"overflow") >> End()
    script = await play(served(script, by="large/small"))
    assert "target.fallback" in header(script.record.notes)
    script = Playbook(LAB, OTHER, overflow=room) >> ask() << Called() >> Head(400) >> Bytes(b"overflow") >> End()
    script = (
        script << Called("large/small") >> Head(400) >> Bytes(b"overflow") >> End() << Status(400, "context_overflow")
    )
    await play(script)
