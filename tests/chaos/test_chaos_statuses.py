"""Every status with every kind of body in every language, and storms of 429."""

import json
from collections.abc import Callable

import pytest

from chaos.farm import HTML, Place, good
from chaos.languages import LANGUAGES
from chaos.scene import Route, Scene, inventory, left_behind, playing, together
from chaos.verdict import Verdict
from upstream.wire import Connection

pytestmark = pytest.mark.anyio

STATUSES = (
    *(
        400,
        401,
        402,
        403,
        404,
        405,
        406,
        407,
        408,
        409,
        410,
        411,
        412,
        413,
        414,
        415,
        416,
        417,
        418,
        421,
        422,
        423,
        424,
    ),
    *(
        425,
        426,
        428,
        429,
        431,
        451,
        498,
        499,
        500,
        501,
        502,
        503,
        504,
        505,
        507,
        508,
        511,
        520,
        522,
        524,
        529,
        530,
        599,
    ),
)
BODIES: dict[str, tuple[str, bytes]] = {
    "anthropic": (
        "application/json",
        b'{"type":"error","error":{"type":"api_error","message":"something odd"},"request_id":"req_up"}',
    ),
    "openai": (
        "application/json",
        b'{"error":{"message":"something odd","type":"odd_error","param":null,"code":null}}',
    ),
    "google": ("application/json", b'{"error":{"code":500,"message":"something odd","status":"ODD"}}'),
    "html": ("text/html", HTML),
    "text": ("text/plain", b"something odd \xff"),
    "empty": ("application/json", b""),
}
CALLERS = {400, 413, 422}  # the caller's own mistakes: no other target would do better
MOVES_ON = {401, 402, 403, 404, 429, *(status for status in STATUSES if status >= 500)}


async def refusing(connection: Connection) -> None:
    """The status and the body that the path names."""
    received = await connection.request()
    _, status, body, *_ = received.path.split("/")
    kind, content = BODIES[body]
    await connection.answer(content, status=f"{status} Odd", content_type=kind, head=b"connection: close\r\n")


@pytest.mark.failure(95, 117, 119, 130)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_status(language: str, body: str, count: Callable[[str, Verdict, bool], None]) -> None:
    before = inventory()
    problems: list[str] = []
    async with Place(refusing) as bad, Place(good) as healthy:
        routes = [
            Route(f"{status}.{way}.{'two' if more else 'one'}", ((language, f"{bad.url}/{status}/{body}/v1"), *more))
            for status in STATUSES
            for way in ("message", "stream")
            for more in ((), (("chat", healthy.url + "/v1"),))
        ]
        async with playing(routes) as scene:
            asked = [scene.ask(each.name, stream=".stream." in each.name) for each in routes]
            for route, answer in zip(routes, await together(asked, at_once=16), strict=True):
                if isinstance(answer, BaseException):
                    problems.append(f"{route.name}: {answer}")
                    continue
                second = scene.provider(answer).endswith("-1")
                count(f"a status with {body}", answer, second)
                if problem := wrong(int(route.name[:3]), answer, two=len(route.places) > 1, second=second):
                    problems.append(f"{route.name}: {problem}, {answer.status} {answer.body[-200:]!r}")
    problems += await left_behind(before)
    assert not problems, "\n".join(problems)


def wrong(status: int, answer: Verdict, *, two: bool, second: bool) -> str | None:
    if second:
        return "another target was asked" if status in CALLERS else None if answer.kind == "whole" else "no answer"
    if answer.kind != "error":
        return f"{answer.kind} under an error status"
    return "no other target was asked" if two and status in MOVES_ON else None


STORMS = {
    "nothing": b"",
    "at once": b"retry-after: 0\r\n",
    "soon": b"retry-after: 1\r\n",
    "late": b"retry-after: 3600\r\n",
    "a date": b"retry-after: Fri, 31 Dec 2999 23:59:59 GMT\r\n",
    "odd": b"retry-after: -99999999999999999999\r\n",
    "no number": b"retry-after: soon\r\n",
    "milliseconds": b"retry-after-ms: 5\r\n",
    "not to": b"x-should-retry: false\r\n",
}


@pytest.mark.failure(121, 122)
async def test_storms_of_429(count: Callable[[str, Verdict, bool], None]) -> None:
    """At most two more tries for each request; a wait that is too long is the caller's, or the other target's."""
    before = inventory()
    calls: dict[str, int] = {}

    async def storm(connection: Connection) -> None:
        while True:
            received = await connection.request()
            name = received.path.split("/")[1]
            calls[name] = calls.get(name, 0) + 1
            wait = STORMS[name.partition("-")[0].replace("_", " ")]
            refusal = json.dumps({"error": {"message": "Rate limit reached", "type": "rate_limit_error"}}).encode()
            await connection.answer(refusal, status="429 Too Many Requests", head=wait)

    async with Place(storm) as bad, Place(good) as healthy:
        routes = [
            Route(name, ((language, f"{bad.url}/{name}/v1"), *more))
            for storm_name in STORMS
            for language in LANGUAGES
            for ending, more in (("one", ()), ("two", (("chat", healthy.url + "/v1"),)))
            for name in [f"{storm_name.replace(' ', '_')}-{language}-{ending}"]
        ]
        async with playing(routes, retries=2) as scene:
            asked = [scene.ask(each.name, stream=number % 3 != 0) for number, each in enumerate(routes)]
            answers = await together(asked, at_once=len(routes))
            for route, answer in zip(routes, answers, strict=True):
                checked(route, answer, scene)
                count("a storm of 429", answer, scene.provider(answer).endswith("-1"))
                assert calls[route.name] <= 3, route.name
    assert await left_behind(before) == []


def checked(route: Route, answer: Verdict | BaseException, scene: Scene) -> None:
    if isinstance(answer, BaseException):
        raise answer
    if len(route.places) > 1:
        assert answer.kind == "whole", route.name
        assert scene.provider(answer).endswith("-1")
        return
    assert (answer.kind, answer.status) == ("error", 429), route.name
    assert answer.error["type"] == "rate_limit_error"
    if route.name.startswith("late"):
        assert int(answer.headers["retry-after"]) >= 3500
    if "retry-after" in answer.headers and not route.name.endswith("anthropic-one"):  # that one is passed on as it came
        assert int(answer.headers["retry-after"]) >= 0
