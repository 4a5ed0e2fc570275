"""Every fault of the farm x every language x whole, streamed and opened x one target and two.

The caller sees a legal answer or a legal error in bounded time, the right provider answers, and nothing is left behind.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from chaos.farm import FAULTS, Fault, Place, good
from chaos.languages import LANGUAGES
from chaos.scene import Route, Scene, inventory, left_behind, playing, together
from chaos.verdict import IllegalError, Verdict

pytestmark = pytest.mark.anyio

WAYS = ("message", "stream", "opened")
NEXT = dict(zip(LANGUAGES, [*list(LANGUAGES)[1:], "chat"], strict=True))  # the language of the second target


@asynccontextmanager
async def farm(fault: Fault, certificate: ssl.SSLContext) -> AsyncIterator[tuple[Place, str, Place]]:
    """The faulty place, its base URL, and a healthy place."""
    tls = certificate if fault.where == "tls" else None
    async with Place(fault.script, tls=tls) as bad, Place(good) as healthy:
        url = {
            "listening": bad.url,
            "tls": f"https://127.0.0.1:{bad.port}",
            "tls to plain": f"https://127.0.0.1:{bad.port}",
            "nobody": f"http://127.0.0.1:{closed_port()}",
            "no name": "http://upstream.invalid",
        }[fault.where]
        yield bad, url + "/v1", healthy


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.failure(94, 95, 97, 100, 119, 128, 129, 144, 145)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
async def test_fault(fault: Fault, certificate: ssl.SSLContext, count: Callable[[str, Verdict, bool], None]) -> None:
    before = inventory()
    problems: list[str] = []
    async with farm(fault, certificate) as (bad, url, healthy):
        routes = [
            Route(f"{language}.{way}.{'two' if two else 'one'}", places)
            for language in LANGUAGES
            for way in WAYS
            for two, places in (
                (False, ((language, url),)),
                (True, ((language, url), (NEXT[language], healthy.url + "/v1"))),
            )
        ]
        async with playing(routes) as held, playing(routes, open_after=0.0, ping_every=0.02) as opened:

            async def one(route: Route) -> Verdict:
                way = route.name.split(".")[1]
                return await (opened if way == "opened" else held).ask(route.name, stream=way != "message")

            answers = await together([one(route) for route in routes], at_once=6 if fault.heavy else 24)
            for route, answer in zip(routes, answers, strict=True):
                if isinstance(answer, IllegalError):
                    problems.append(f"{route.name}: {answer}")
                    continue
                if isinstance(answer, BaseException):
                    raise answer
                scene = opened if ".opened." in route.name else held
                if problem := wrong(fault, route, answer, scene):
                    problems.append(f"{route.name}: {problem}")
                count(fault.name, answer, scene.provider(answer).endswith("-1"))
            problems += await still_busy(bad)
            problems += held.failures + opened.failures
    problems += await left_behind(before)
    assert not problems, "\n".join(problems)


def wrong(fault: Fault, route: Route, answer: Verdict, scene: Scene) -> str | None:
    """What is not as the table says: a second target takes over wherever nothing was told yet, and nowhere else."""
    expected = fault.expected(stream=".message." not in route.name)
    second = scene.provider(answer).endswith("-1")
    if len(route.places) == 1:
        return None if answer.kind in expected else f"{answer.kind} ({answer.status}): {answer.body[-300:]!r}"
    if second:
        good_one = answer.kind == "whole" and "error" in expected
        return None if good_one else f"{answer.kind} from the second target: {answer.body[-300:]!r}"
    if answer.kind == "error":
        return f"an error although there is a second target: {answer.body[-300:]!r}"
    return None if answer.kind in expected else f"{answer.kind} from the first: {answer.body[-300:]!r}"


async def still_busy(bad: Place) -> list[str]:
    """Connections to the faulty place that were not given up although every caller has an answer."""
    for _ in range(500):
        if not bad.open:
            return []
        await asyncio.sleep(0.01)
    return [f"{bad.open} connections to the faulty place are still open"]
