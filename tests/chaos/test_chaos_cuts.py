"""A recorded answer of every language, cut behind every one of its bytes, whole and streamed."""

from collections.abc import Callable

import pytest

from chaos.farm import EVENTS, HEAD, JSON, Place, asks_for_stream, good
from chaos.languages import LANGUAGES, spoken
from chaos.scene import Route, inventory, left_behind, playing, together
from chaos.verdict import Verdict
from upstream.wire import Connection

pytestmark = pytest.mark.anyio

STRIDE = 5  # between the offsets that are tried with a second target


async def closed(connection: Connection) -> None:
    """The connection ends at the byte that the path names, with less than was promised."""
    received = await connection.request()
    offset = int(received.path.split("/")[1])
    language = spoken(received.path)
    kind, body = (EVENTS, language.stream) if asks_for_stream(received) else (JSON, language.whole)
    await connection.send(HEAD, kind, b"content-length: %d\r\n\r\n" % (len(body) + 1), body[:offset])


async def ended(connection: Connection) -> None:
    """The answer ends in good order at the byte that the path names, as if that was all."""
    received = await connection.request()
    offset = int(received.path.split("/")[1])
    language = spoken(received.path)
    kind, body = (EVENTS, language.stream) if asks_for_stream(received) else (JSON, language.whole)
    await connection.send(HEAD, kind, b"content-length: %d\r\n\r\n" % offset, body[:offset])


@pytest.mark.failure(94, 97)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "message"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_one_target(language: str, stream: bool, count: Callable[[str, Verdict, bool], None]) -> None:
    """First real errors, then streams that end in an error event, then whole ones: a cut never looks like an end."""
    before = inventory()
    spoken_ = LANGUAGES[language]
    size = len(spoken_.stream if stream else spoken_.whole)
    async with Place(closed) as bad:
        routes = [Route(f"cut.{offset}", ((language, f"{bad.url}/{offset}/v1"),)) for offset in range(size + 1)]
        async with playing(routes) as scene:
            answers: list[Verdict] = await together([scene.ask(each.name, stream=stream) for each in routes], at_once=8)
    for failure in answers:
        if isinstance(failure, BaseException):
            raise failure
    full = answers[-1]
    assert_in_order([answer.kind for answer in answers], ["error", "cut", "whole"] if stream else ["error"])
    assert (full.kind == "whole") == stream  # one byte less than its length: a message cannot be trusted
    assert answers[0].kind == "error"
    for answer in answers:
        count(f"cut behind each byte, {language}", answer, False)
        assert full.text.startswith(answer.text)
    assert await left_behind(before) == []


@pytest.mark.failure(94, 97, 128, 129)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "message"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_two_targets(language: str, stream: bool, count: Callable[[str, Verdict, bool], None]) -> None:
    """The second target answers until content was told; from there on it is never asked."""
    before = inventory()
    spoken_ = LANGUAGES[language]
    size = len(spoken_.stream if stream else spoken_.whole)
    async with Place(ended) as bad, Place(good) as healthy:
        routes = [
            Route(f"cut.{offset}", ((language, f"{bad.url}/{offset}/v1"), ("chat", healthy.url + "/v1")))
            for offset in [*range(0, size, STRIDE), size]
        ]
        async with playing(routes) as scene:
            answers: list[Verdict] = await together([scene.ask(each.name, stream=stream) for each in routes], at_once=8)
            kinds: list[str] = []
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
                second = scene.provider(answer).endswith("-1")
                count(f"cut behind each byte, {language}", answer, second)
                kinds.append("second" if second else answer.kind)
                assert not second or answer.kind == "whole"
    assert_in_order(kinds, ["second", "cut", "whole"])
    assert (kinds[0], kinds[-1]) == ("second", "whole")
    assert await left_behind(before) == []


def assert_in_order(kinds: list[str], order: list[str]) -> None:
    places = [order.index(kind) for kind in kinds]
    assert places == sorted(places), [(at, kind) for at, kind in enumerate(kinds) if at and kinds[at - 1] != kind]
