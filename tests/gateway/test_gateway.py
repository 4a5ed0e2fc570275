"""gateway/gateway: where journeys begin."""

import asyncio
import json
import re
from itertools import islice

import pytest

from dragoman.gateway.collaborators import random_ids
from dragoman.gateway.pursuit import _endpoint
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode
from playbook.transcript import Head, MemoryAnswer, Playbook

pytestmark = pytest.mark.anyio

BODY = {"model": "claude-test", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}


async def test_a_model_that_nobody_has_begins_no_journey() -> None:
    playbook = Playbook()
    with pytest.raises(ApiError) as caught:
        playbook.gateway.begin(decode(json.dumps(BODY | {"model": "nobody"}).encode()), "req_1")
    assert caught.value.kind == "not_found"
    assert playbook.records == []


async def test_a_journey_that_never_began_to_travel_is_settled_all_the_same() -> None:
    playbook = Playbook()
    raw = json.dumps(BODY).encode()
    journey = playbook.gateway.begin(decode(raw, session="abc"), "req_7")
    journey.close()
    journey.close()
    record = playbook.record
    assert record is journey.record
    assert (record.request_id, record.model, record.stream, record.session) == ("req_7", "claude-test", False, "abc")
    assert (record.request_bytes, record.status, record.caller_left) == (len(raw), 499, True)
    assert (record.error_kind, record.error_message, record.provider) == (None, None, None)


async def test_an_answer_may_come_between_opening_and_streaming() -> None:
    playbook = Playbook(open_after=0.01)
    journey = playbook.gateway.begin(decode(json.dumps(BODY | {"stream": True}).encode()), "req_1")
    assert await journey.hold() is False
    assert journey.state == "opened"
    assert journey.record.provider == "lab"  # for the headers that go out now
    answer = MemoryAnswer(Head(200))
    (await playbook.calls.get()).answer.set_result(answer)
    answer.waiting.put_nowait(b"text Hi\nstop\nend\n")
    for _ in range(20):
        await asyncio.sleep(0)
    sent: list[bytes] = []

    async def send(frames: bytes) -> None:
        sent.append(frames)

    await journey.stream(send)
    journey.close()
    assert len(sent) == 1
    assert sent[0].startswith(b"event: message_start")
    assert sent[0].endswith(b'{"type":"message_stop"}\n\n')
    assert playbook.record.status == 200


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://api.test/v1/chat/completions?api-version=1&key=dummy", "api.test/v1/chat/completions"),
        ("http://user:dummy@127.0.0.1:9000/v1", "127.0.0.1:9000/v1"),
        ("http://api.test", "api.test"),
        ("http://api.test/a@b", "api.test/a@b"),
    ],
)
def test_an_endpoint_shows_neither_query_nor_credentials(url: str, endpoint: str) -> None:
    assert _endpoint(url) == endpoint


def test_ids_are_legal_and_never_the_same() -> None:
    found = list(islice(random_ids(), 250))
    assert len(set(found)) == 250
    assert all(re.fullmatch("[0-9a-f]{24}", each) for each in found)
