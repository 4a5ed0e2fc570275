"""Whatever a caller or an upstream sends: the answer is legal, it comes, and nothing is a bug of ours.

FUZZ_MINUTES=10 (`make fuzz MINUTES=10`) goes on with new examples for so long; otherwise they are few, and the same.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chaos.farm import EVENTS, JSON
from chaos.languages import ANSWERS, LANGUAGES
from chaos.verdict import judge, parted, posted
from fuzz.mutations import mutated, scrambled, written
from fuzz.stage import Stage, staged

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
EXAMPLES = 2000 if MINUTES else 400  # of one round
REQUESTS = ANSWERS.parent / "requests"
BODIES = [json.loads(path.read_bytes()) for path in sorted(REQUESTS.glob("*.json")) if ".golden" not in path.name]
RECORDED = {
    language: [
        path.read_bytes()
        for path in sorted((ANSWERS / language).iterdir())
        if path.suffix in (".sse", ".json") and ".golden" not in path.name
    ]
    for language in LANGUAGES
}
DATA = re.compile(rb"^data: (\{.*\})", re.MULTILINE)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as found:
        yield found


def rounds(check: Callable[[st.DataObject], None]) -> None:
    """Examples until the time is over; one round, always the same, when none is told."""
    end = time.monotonic() + MINUTES * 60 / 3  # there are three of these tests
    run = settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not MINUTES,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )(given(st.data())(check))
    run()
    while time.monotonic() < end:
        run()


def legal(stage: Stage, raw: bytes, *, passed_on: bool = False) -> None:
    """One request that is HTTP."""
    assert not (failed := stage.failures()), failed
    if passed_on:
        parted(raw)  # what somebody says who speaks Messages is theirs
    else:
        judge(raw)


def test_request_bodies(stage: Stage) -> None:
    def check(data: st.DataObject) -> None:
        body = dict(data.draw(st.sampled_from(BODIES)))
        body |= {"model": data.draw(st.sampled_from(list(LANGUAGES))), "stream": data.draw(st.booleans())}
        body = mutated(data.draw, body)
        raw = written(body, ascii_only=data.draw(st.booleans()))
        if data.draw(st.integers(0, 3)) == 0:
            raw = scrambled(data.draw, raw, [raw])
        path = data.draw(st.sampled_from(["/v1/messages"] * 4 + ["/v1/messages/count_tokens"]))
        answer = stage.exchange(posted(raw, path))
        if path.endswith("tokens") and answer.startswith(b"HTTP/1.1 200"):
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["input_tokens"] >= 0
            assert not (failed := stage.failures()), failed
        else:
            legal(stage, answer)

    rounds(check)


def test_upstream_bytes(stage: Stage) -> None:
    def odd(data: st.DataObject, recorded: bytes) -> bytes:
        """Recorded bytes with values changed inside their JSON."""
        if recorded[:1] in (b"{", b"["):
            return written(mutated(data.draw, json.loads(recorded)), ascii_only=data.draw(st.booleans()))
        frames = list(DATA.finditer(recorded))
        for match in sorted(data.draw(st.sets(st.sampled_from(frames), max_size=2)), key=lambda each: -each.start()):
            try:
                value: Any = json.loads(match[1])
            except ValueError:
                continue
            new = written(mutated(data.draw, value), ascii_only=data.draw(st.booleans()))
            recorded = recorded[: match.start(1)] + new + recorded[match.end(1) :]
        return recorded

    def check(data: st.DataObject) -> None:
        language = data.draw(st.sampled_from(list(LANGUAGES)))
        body = data.draw(st.sampled_from(RECORDED[language]))
        if DATA.search(body) or body[:1] in (b"{", b"["):
            body = odd(data, body)
        if data.draw(st.booleans()):
            body = scrambled(data.draw, body, RECORDED[language])
        cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=4)))
        pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        kind = EVENTS if b"data:" in body else JSON
        stage.answer = (data.draw(st.sampled_from([kind, kind, kind, EVENTS, JSON, b""])), pieces)
        asked = {
            "model": f"odd-{language}",
            "max_tokens": 100,
            "stream": data.draw(st.booleans()),
            "messages": [{"role": "user", "content": "hi"}],
        }
        legal(stage, stage.exchange(posted(json.dumps(asked).encode())), passed_on=language == "anthropic")

    rounds(check)


BODY = b'{"model":"chat","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
HEADERS = (
    b"content-length: 5",
    b"content-length: -1",
    b"content-length: 99999999999999999999",
    b"content-length: 0x10",
    b"content-length: 1, 2",
    b"content-length: \xb2",
    b"transfer-encoding: chunked",
    b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: identity",
    b"transfer-encoding : chunked",
    b"content-encoding: gzip",
    b"content-encoding: br",
    b"expect: 100-continue",
    b"upgrade: websocket\r\nconnection: upgrade",
    b"upgrade: h2c\r\nhttp2-settings: AAMAAABk",
    b"connection: close",
    b"connection: x-api-key",
    b"host: evil.test",
    b"host: \xff",
    b"origin: http://evil.test",
    b"x-api-key: \xff\xfe",
    b"authorization: Bearer",
    b"anthropic-version: \xe9",
    b"anthropic-beta: " + b"a," * 3000,
    b"x-claude-code-session-id: \x80",
    b"folded: a\r\n b",
    b"no colon",
    b": no name",
    b"x-zero: a\0b",
    b"x-long: " + b"x" * 70_000,
    *[b"x-many: 1\r\n" * 500 + b"x-many: 2"],
)
LINES = (
    b"POST /v1/messages HTTP/1.1",
    b"POST /v1/messages?beta=true&x=%ff%00 HTTP/1.1",
    b"POST /v1/messages HTTP/1.0",
    b"POST /v1/messages HTTP/2.0",
    b"POST http://evil.test/v1/messages HTTP/1.1",
    b"POST //v1//messages/ HTTP/1.1",
    b"POST /v1/messages/count_tokens HTTP/1.1",
    b"POST /v1/messages/../../etc/passwd HTTP/1.1",
    b"POST /%2e%2e/%00 HTTP/1.1",
    b"POST /v1/files HTTP/1.1",
    b"GET /v1/models HTTP/1.1",
    b"GET /v1/models?limit=-1&after_id=%00 HTTP/1.1",
    b"GET /v1/models/\xff\xfe HTTP/1.1",
    b"GET /health HTTP/1.1",
    b"HEAD / HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"CONNECT evil.test:443 HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"BREW /v1/messages HTTP/1.1",
    b"POST /" + b"a" * 70_000 + b" HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET",
    b"",
)


def test_raw_bytes_at_the_socket(stage: Stage) -> None:
    def check(data: st.DataObject) -> None:
        line = data.draw(st.sampled_from([LINES[0]] * 8 + list(LINES)))
        headers = data.draw(st.lists(st.sampled_from(HEADERS), max_size=3))
        if data.draw(st.booleans()):
            headers.append(b"content-length: %d" % len(BODY))
        if data.draw(st.booleans()):
            headers.insert(0, b"host: localhost")
        raw = b"\r\n".join([line, *headers, b"", BODY])
        if data.draw(st.booleans()):
            raw = scrambled(data.draw, raw, [raw])
        if data.draw(st.integers(0, 4)) == 0:
            raw += raw  # two in a row
        told = stage.poke(raw, patience=data.draw(st.sampled_from([0.0, 0.02])))
        assert not (failed := stage.failures()), failed
        for word in (b"Traceback", b"dragoman itself failed", b"Internal Server Error", b" 500 "):
            assert word not in told.partition(b"\r\n\r\n")[0] + told, told[:500]
        if told:
            status = re.match(rb"HTTP/1\.1 (\d{3}) ", told)
            assert status, told[:300]
            head, _, body = told.partition(b"\r\n\r\n")
            if int(status[1]) >= 400 and body.startswith(b"{") and b"HEAD" not in raw:
                length = re.search(rb"(?i)content-length: (\d+)", head)
                assert length is not None
                envelope = json.loads(body[: int(length[1])])
                assert envelope["type"] == "error"
                assert envelope["error"]["message"]

    rounds(check)
