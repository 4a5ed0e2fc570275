"""The real gateway between a bare HTTP client and a Claude: bytes out are bytes in, and keys go where they belong."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec import Struct

from clients.claude_corpus import CORPUS, OPUS, SHORT, result
from clients.conftest import logged, started
from clients.responses_rules import Json
from clients.scripted_claude import (
    LIMITS,
    OF_THE_HOST,
    Host,
    Output,
    Seals,
    called,
    failure,
    hidden,
    hosting,
    said,
    searched,
    thought,
    thoughts,
    words,
)
from clients.scripted_responses import Host as OpenAI
from clients.scripted_responses import hosting as openai_hosting
from clients.scripted_responses import words as openai_words

KEY, OPENAI_KEY, CALLERS, TOKEN = (
    "sk-ant-canary-upstream", "canary-openai-key", "sk-ant-canary-callers-own", "canary-gateway-token",
)  # fmt: skip
OLDER = "claude-sonnet-4-5"
CONFIGURATION = """\
server:
  retries: 0
providers:
  anthropic:
    base_url: {claude}
    api_key: {key}
  openai:
    base_url: {openai}
    api_key: "${{OPENAI_KEY}}"
models:
  swift: anthropic/claude-opus-4-8
  older: anthropic/claude-sonnet-4-5
  both: [anthropic/claude-opus-4-8, openai/gpt-5.5]
  other: openai/gpt-5.5
"""


class Answer(Struct):
    status: int
    headers: list[tuple[str, str]]  # names in lower case
    body: bytes

    @property
    def named(self) -> dict[str, str]:
        return dict(self.headers)

    def json(self) -> Any:
        assert self.status == 200, self.body
        return json.loads(self.body)


USUAL = {
    "content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "dummy", "user-agent": "test/1",
    "accept": "application/json", "accept-encoding": "gzip, deflate, br, zstd",
}  # fmt: skip


def send(url: str, body: bytes, headers: dict[str, str] | None = None, path: str = "/v1/messages") -> Answer:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    try:
        connection.putrequest("POST", path, skip_accept_encoding=True)
        for name, value in {**(USUAL if headers is None else headers), "content-length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        rows = [(name.lower(), value) for name, value in answer.getheaders()]
        return Answer(answer.status, rows, answer.read())
    finally:
        connection.close()


def brain(body: Json) -> Output:
    return SAYS.get(body.get("say", ""), words("Kalimera."))


SAYS: dict[str, Output] = {}


class Place(Struct):
    url: str
    claude: Host
    openai: OpenAI
    home: Path

    def last(self) -> bytes:
        return self.claude.asked[-1].body


@contextmanager
def gateway(home: Path, claude: Host, *, key: str = '"${CLAUDE_KEY}"', more: str = "") -> Iterator[Place]:
    with openai_hosting(OpenAI(lambda body: openai_words("Hello."), key=OPENAI_KEY)) as openai:
        text = CONFIGURATION.format(claude=claude.url, openai=openai.url, key=key)
        (home / "dragoman.yaml").write_text(text.replace("retries: 0\n", f"retries: 0\n{more}"), "utf-8")
        keys = {"CLAUDE_KEY": KEY, "OPENAI_KEY": OPENAI_KEY}
        with started(home / "gateway", "--config", str(home / "dragoman.yaml"), **keys) as url:
            yield Place(url, claude, openai, home / "gateway")
    output = "".join((home / "gateway" / name).read_text("utf-8") for name in ("stdout", "stderr"))
    assert not [canary for canary in (KEY, OPENAI_KEY, CALLERS, TOKEN) if canary in output]


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """In front of a host that takes everything."""
    with hosting(Host(brain, key=KEY, strict=False)) as claude, gateway(tmp_path_factory.mktemp("a"), claude) as place:
        yield place


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Place]:
    with hosting(Host(thinking, key=KEY)) as claude, gateway(tmp_path, claude) as place:
        yield place


def thinking(body: Json) -> Output:
    """Thinks several times within an answer, and calls two tools."""
    if not body.get("tools"):
        return words("Kalimera.")
    calls = [called("look", {"answer": side}) for side in ("left", "right")]
    return Output(blocks=[thought("First. "), hidden("x"), said("Now."), thought("Then."), *calls])


# What callers send


@pytest.mark.failure(2, 34, 37, 38, 69, 171)
@pytest.mark.parametrize("name", CORPUS)
def test_what_a_caller_sends_arrives_as_it_is(lenient: Place, name: str) -> None:
    raw = CORPUS[name]
    version = "2026-10-21" if name == "newer version" else "2023-06-01"
    assert send(lenient.url, raw, {**USUAL, "anthropic-version": version}).status == 200
    asked = lenient.claude.asked[-1]
    assert asked.body == raw
    assert asked.named["anthropic-version"] == version
    counted = send(lenient.url, raw, path="/v1/messages/count_tokens?beta=true")
    asked = lenient.claude.asked[-1]
    assert (asked.path, asked.query, asked.body) == ("/v1/messages/count_tokens", "beta=true", raw)
    assert counted.body == asked.answered


@pytest.mark.failure(69)
@pytest.mark.parametrize("alias", ["swift", "anthropic/claude-opus-4-8", "claude-opus-4-8[1m]", "sw\\u0069ft"])
@pytest.mark.parametrize("name", CORPUS)
def test_behind_an_alias_only_the_name_of_the_model_differs(lenient: Place, name: str, alias: str) -> None:
    parts = re.split(rb'(?<="model":)(\s*)"cl[^"]*"', CORPUS[name], maxsplit=1)
    before, space, behind = parts
    raw = before + space + b'"' + alias.encode() + b'"' + behind
    answer = send(lenient.url, raw)
    assert lenient.last() == before + space + b'"claude-opus-4-8"' + behind
    theirs = lenient.claude.asked[-1].answered
    asked_for = json.dumps(json.loads(f'"{alias}"')).encode()
    assert answer.body == theirs.replace(b'"claude-opus-4-8"', asked_for, 1)
    assert answer.body != theirs


SENT = {
    **USUAL,
    "anthropic-beta": "context-1m-2025-08-07,invented-2030-01-01",
    "X-Claude-Code-Session-Id": "5c6f",
    "x-app": "cli",
    "x-stainless-retry-count": "0",
    "anthropic-workspace-id": "wrk_1",
    "x-unheard-of": "a, b;c",
    "authorization": f"Bearer {CALLERS}",
    "cookie": "session=canary-cookie",
    "x-forwarded-for": "10.0.0.1",
    "connection": "keep-alive, x-of-the-connection",
    "x-of-the-connection": "1",
    "x-dragoman-token": TOKEN,
}
ENDED = {
    "authorization", "cookie", "x-forwarded-for", "x-of-the-connection", "x-dragoman-token", "connection",
    "accept-encoding",
}  # fmt: skip


@pytest.mark.failure(39, 140)
def test_headers_and_query_go_on(lenient: Place) -> None:
    query = "beta=true&a=%20b&a=2&empty=&c"
    assert send(lenient.url, SHORT % b"", SENT, f"/v1/messages?{query}").status == 200
    asked = lenient.claude.asked[-1]
    assert asked.query == query
    theirs = asked.named
    for name, value in SENT.items():
        if name.lower() not in ENDED | {"x-api-key"}:
            assert theirs[name.lower()] == value
    assert not theirs.keys() & (ENDED - {"accept-encoding", "connection"})
    assert theirs["x-api-key"] == KEY
    names = {name.lower() for name in SENT} - ENDED
    assert theirs.keys() - names <= {"host", "content-length", "accept-encoding", "connection"}
    assert len(asked.headers) == len(theirs), "nothing came twice"
    assert theirs["host"] == urlsplit(lenient.claude.url).netloc


# What Claude answers

STREAM = SHORT % b',"stream":true,"say":"%b"'


def event(name: str, raw: str, end: str = "\n") -> bytes:
    return f"event: {name}{end}data: {raw}{end}{end}".encode()


ODD = {
    "events that nobody knows": b"".join(
        (
            b": a comment\n\n",
            event(
                "message_start",
                '{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model" : '
                '"claude-opus-4-8","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1},'
                '"new":{"model":"claude-opus-4-8"}}}',
            ),
            event("hologram", '{"type":"hologram"}\nid: 7'),
            event(
                "content_block_start", '{"type":"content_block_start","index":0,"content_block":{"type":"hologram"}}'
            ),
            event("content_block_delta", '{"type":"content_block_delta","index":0,"delta":{"type":"depth","n":1e2}}'),
            event("content_block_stop", '{"type":"content_block_stop","index":0}'),
            event("message_delta", '{"delta":{"stop_reason":"teleported"},"usage":{"output_tokens":2}}'),
            event("message_stop", '{"type":"message_stop"}'),
        )
    ),
    "other line ends": b"".join(
        (
            event(
                "message_start",
                '{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":'
                '"claude-opus-4-8","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}',
                "\r\n",
            ),
            b'event:content_block_start\r\ndata:{"type":"content_block_start","index":0,"content_block":\r\n',
            b'data: {"type":"text","text":""}}\r\n\r\n',
            event(
                "content_block_delta",
                r'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"日本 \u65e5"}}',
                "\r\n",
            ),
            event("content_block_stop", '{"type":"content_block_stop","index":0}', "\r\n"),
            event("message_delta", '{"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}', "\r\n"),
            event("message_stop", '{"type":"message_stop"}', "\r\n"),
        )
    ),
}
TOLD = {
    "text": words("Kalimera from the Colossus — 日本語 🎉."),
    "thinking": Output(
        blocks=[thought("A. B."), hidden("x"), said("C."), thought("D."), called("look", {"ä": "日本"})]
    ),
    "search": Output(blocks=searched("harbour", {"https://example.org/": "Harbour"}, "Ships rest there.")),
    "refusal": Output(blocks=[said("No")], stop="refusal", details={"type": "refusal", "category": "bio"}),
    "stopped": Output(blocks=[said("No")], stop="stop_sequence", sequence="claude-opus-4-8"),
    **{name: Output(raw=raw) for name, raw in ODD.items()},
}


@pytest.mark.failure(69, 86)
@pytest.mark.parametrize("size", [None, 1, 2, 7, 64, 1000, 65536])
@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("model", [OPUS, "swift"])
def test_a_stream_in_pieces_of_any_size(lenient: Place, name: str, size: int | None, model: str) -> None:
    output = TOLD[name]
    SAYS["stream"] = Output(**{**{each: getattr(output, each) for each in output.__struct_fields__}, "cut": size})
    raw = (STREAM % b"stream").replace(OPUS.encode(), model.encode())
    answer = send(lenient.url, raw)
    theirs = lenient.claude.asked[-1].answered
    assert answer.status == 200
    assert answer.named["content-type"].startswith("text/event-stream")
    expected = re.sub(rb'("model" ?: ?)"claude-opus-4-8"', rb'\g<1>"%b"' % model.encode(), theirs, count=1)
    assert answer.body == expected


@pytest.mark.failure(118)
def test_an_error_in_the_middle_of_a_stream(lenient: Place) -> None:
    late = {"type": "overloaded_error", "message": "Overloaded — later"}
    SAYS["late"] = Output(blocks=[said("one two")], late=late, pause=0.05)
    answer = send(lenient.url, STREAM % b"late")
    assert (answer.status, answer.body) == (200, lenient.claude.asked[-1].answered)
    assert answer.body.endswith(b"}\n\n")
    # Before anybody saw anything of it, it is a real status.
    SAYS["late"] = Output(late=late)
    answer = send(lenient.url, STREAM % b"late")
    assert answer.status == 529
    assert json.loads(answer.body)["error"] == late
    assert answer.named["request-id"] == lenient.claude.asked[-1].request_id


@pytest.mark.failure(86)
@pytest.mark.parametrize("size", [1, 65536])
def test_a_stream_without_names_gets_them(lenient: Place, size: int) -> None:
    raw = ODD["events that nobody knows"].replace(b'data: {"delta"', b'data: {"type":"message_delta","delta"')
    SAYS["nameless"] = Output(raw=re.sub(rb"event: \w+\n", b"", raw), cut=size)
    assert send(lenient.url, STREAM % b"nameless").body == raw


@pytest.mark.failure(69)
@pytest.mark.parametrize("name", ["text", "thinking", "search", "refusal", "stopped"])
def test_a_whole_message(lenient: Place, name: str) -> None:
    SAYS["whole"] = TOLD[name]
    answer = send(lenient.url, SHORT % b',"say":"whole"')
    assert answer.body == lenient.claude.asked[-1].answered
    odd = b'\n{"id":"m", "type":"message","model":"%b","content":[{"type":"hologram","n":1E2}],"x":"\\u65e5"}\n'
    odd %= OPUS.encode()
    SAYS["whole"] = Output(raw=odd)
    assert send(lenient.url, SHORT % b',"say":"whole"').body == odd


@pytest.mark.parametrize("stream", ["true", "false"])
def test_headers_of_answers(lenient: Place, stream: str) -> None:
    answer = send(lenient.url, SHORT % b',"stream":%b' % stream.encode())
    assert answer.named.items() >= LIMITS.items()
    assert answer.named["request-id"] == lenient.claude.asked[-1].request_id
    assert answer.named["x-dragoman-request-id"].startswith("req_")
    assert answer.named["cf-ray"] == OF_THE_HOST["cf-ray"]
    assert not answer.named.keys() & {"set-cookie", "strict-transport-security", "via"}
    names = [name for name, _ in answer.headers]
    assert len(names) == len(set(names))


ERRORS = {
    400: "messages.1.content.0: Invalid `tag` — whatever it was",
    402: "Your credit balance is too low to access the Anthropic API.",
    403: "Your API key does not have permission to use the specified resource.",
    404: "model: claude-opus-4-8",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit",
    500: "Internal server error",
    529: "Overloaded",
}


@pytest.mark.failure(118)
@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("more", ["", ',"stream":true'])
def test_errors_as_they_are(lenient: Place, status: int, more: str) -> None:
    SAYS["error"] = failure(status, ERRORS[status], retry_after="73", x_should_retry="false", x_new="1")
    answer = send(lenient.url, SHORT % f',"say":"error"{more}'.encode())
    assert answer.status == status
    assert answer.body == lenient.claude.asked[-1].answered == SAYS["error"].error
    told = {"request-id": "req_failed", "retry-after": "73", "x-should-retry": "false", "x-new": "1", **LIMITS}
    assert answer.named.items() >= told.items()


@pytest.mark.failure(118)
def test_a_key_of_ours_that_is_refused(tmp_path: Path) -> None:
    """Callers must not go on trying, and must not take it for a matter of theirs; but Anthropic's words they get."""
    with hosting(Host(thinking, key="another")) as claude, gateway(tmp_path, claude) as place:
        answer = send(place.url, SHORT % b"")
        assert answer.status == 401
        assert answer.body == claude.asked[-1].answered
        assert answer.named["x-should-retry"] == "false"


# In front of a Claude that looks at everything

LOOK: Json = {
    "name": "look",
    "input_schema": {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
}


def ask(place: Place, turns: list[Json], model: str = OPUS, betas: str = "", **more: Any) -> Answer:
    body = {"model": model, "max_tokens": 8000, "messages": turns, "tools": [LOOK], **more}
    return send(place.url, json.dumps(body).encode(), USUAL | ({"anthropic-beta": betas} if betas else {}))


def results(content: list[Json]) -> Json:
    found = [result(block["id"], "x") for block in content if block["type"] == "tool_use"]
    return {"role": "user", "content": found}


HI: Json = {"role": "user", "content": "Hi"}
SHOWN: Json = {"thinking": {"type": "adaptive", "display": "summarized"}}


@pytest.mark.failure(68, 69, 171)
def test_thinking_between_the_blocks_comes_back_in_its_places(strict: Place) -> None:
    turns = [HI]
    for _ in range(3):
        content = ask(strict, turns, **SHOWN).json()["content"]
        assert [block["type"] for block in content[:4]] == ["thinking", "redacted_thinking", "text", "thinking"]
        turns += [{"role": "assistant", "content": content}, results(content)]
        assert json.loads(strict.last())["messages"] == turns[:-2]
    assert not strict.claude.complaints
    assert [len(thoughts(body)) for body in strict.claude.requests] == [0, 3, 6]


OF_OTHERS = ["", "dragoman1.chat.abc", "gAAAAABl", "EjQKMgERTTIh", "5c6f0d3e-0000-4000-8000-000000000000"]


@pytest.mark.failure(68)
@pytest.mark.parametrize("signature", OF_OTHERS)
def test_thinking_of_others_never_reaches_claude(strict: Place, signature: str) -> None:
    foreign = {"type": "thinking", "thinking": "Hm.", "signature": signature}
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"answer": "x"}}
    first = [HI, {"role": "assistant", "content": [foreign, call]}, results([call])]
    content = ask(strict, first, **SHOWN).json()["content"]
    second = [*first, {"role": "assistant", "content": content}, results(content)]
    assert ask(strict, second, **SHOWN).status == 200
    assert not strict.claude.complaints
    assert [len(thoughts(body)) for body in strict.claude.requests] == [0, 3]


@pytest.mark.failure(68)
def test_signatures_that_cannot_be_verified_any_more(strict: Place) -> None:
    content = ask(strict, [HI], **SHOWN).json()["content"]
    turns = [HI, {"role": "assistant", "content": content}, results(content)]
    strict.claude.seals = Seals("another organisation")
    assert ask(strict, turns, **SHOWN).status == 200
    assert strict.claude.complaints == ["messages.1.content.0: Invalid `signature` in `thinking` block"]
    assert [len(thoughts(body)) for body in strict.claude.requests] == [0, 3, 0]
    assert [line["repairs"] for line in logged(strict.home, 2)] == [[], ["thinking_dropped"]]


CLEAR: Json = {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}
CONTEXT = "context-management-2025-06-27"


@pytest.mark.failure(38, 39, 170)
def test_halves_of_a_pair_go_together(strict: Place) -> None:
    """A caller thinks adaptively, and the model behind an alias does not; another one began the loop of tools."""
    assert ask(strict, [HI], betas=CONTEXT, **CLEAR, **SHOWN).status == 200
    assert json.loads(strict.last())["context_management"] == CLEAR["context_management"]
    assert strict.claude.asked[-1].betas == [CONTEXT]
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"answer": "x"}}
    turns = [HI, {"role": "assistant", "content": [call]}, results([call])]
    answer = ask(strict, turns, "older", CONTEXT, **CLEAR, **SHOWN)
    assert answer.status == 200, answer.body
    sent = json.loads(strict.last())
    assert (sent["model"], sent["thinking"]) == (OLDER, {"type": "disabled"})
    assert "context_management" not in sent
    assert not strict.claude.complaints


@pytest.mark.failure(38)
def test_what_claude_refuses_is_told_in_its_own_words(strict: Place) -> None:
    """Clients mend their requests by them: nothing is mended here."""
    answer = ask(strict, [HI], hologram=1)
    assert (answer.status, json.loads(answer.body)["error"]["message"]) == (
        400,
        "hologram: Extra inputs are not permitted",
    )
    assert answer.body == strict.claude.asked[-1].answered
    answer = ask(strict, [HI], betas="invented-2030-01-01")
    assert "Unexpected value(s) `invented-2030-01-01`" in json.loads(answer.body)["error"]["message"]
    assert len(strict.claude.asked) == 2


# Whose key goes where

CREDENTIALS = [{"x-api-key": CALLERS}, {"authorization": f"Bearer {CALLERS}"}]


def named(*more: dict[str, str]) -> dict[str, str]:
    found = {name: value for name, value in USUAL.items() if name != "x-api-key"}
    return found | {name: value for each in more for name, value in each.items()}


def nowhere(place: Place) -> None:
    """The caller's key, and our token, are in no header of any other vendor."""
    sent = json.dumps(place.openai.headers)
    assert CALLERS not in sent
    assert TOKEN not in sent
    assert OPENAI_KEY not in json.dumps([asked.headers for asked in place.claude.asked])
    assert KEY not in json.dumps([asked.headers for asked in place.claude.asked])


@pytest.mark.failure(140)
@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_the_callers_own_key(tmp_path: Path, credentials: dict[str, str]) -> None:
    claude = Host(lambda body: failure(529, "Overloaded") if body.get("system") else thinking(body), key=CALLERS)
    with hosting(claude), gateway(tmp_path, claude, key="caller", more=f"  auth_token: {TOKEN}\n") as place:
        headers = named(credentials, {"x-dragoman-token": TOKEN})
        assert send(place.url, SHORT % b"", headers).status == 200
        assert send(place.url, SHORT % b',"stream":true', headers).status == 200
        counting = SHORT.replace(b'"max_tokens":9,', b"") % b""
        assert send(place.url, counting, headers, "/v1/messages/count_tokens").status == 200
        for asked in claude.asked:
            assert asked.named.items() >= credentials.items()
            assert not asked.named.keys() & ({"x-api-key", "authorization"} - credentials.keys())
            assert "x-dragoman-token" not in asked.named
        # Elsewhere, at first and as the next one.
        assert send(place.url, (SHORT % b"").replace(OPUS.encode(), b"other"), headers).status == 200
        raw = (SHORT % b',"system":"Be brief."').replace(OPUS.encode(), b"both")
        assert json.loads(send(place.url, raw, headers).body)["content"] == [{"type": "text", "text": "Hello."}]
        assert len(place.openai.headers) == 2
        assert len(claude.asked) == 4
        nowhere(place)
        # Without a key nobody is asked; with a wrong one it is the caller's matter, in Anthropic's words.
        assert send(place.url, SHORT % b"", named({"x-dragoman-token": TOKEN})).status == 401
        assert len(claude.asked) == 4
        wrong = send(place.url, SHORT % b"", named({"x-api-key": "sk-wrong", "x-dragoman-token": TOKEN}))
        assert (wrong.status, wrong.body) == (401, claude.asked[-1].answered)
        assert send(place.url, SHORT % b"", named(credentials)).status == 401, "the token of the gateway is missing"
        assert len(claude.asked) == 5


@pytest.mark.failure(140)
@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_a_callers_key_that_nobody_wants(tmp_path: Path, credentials: dict[str, str]) -> None:
    """With a key of ours, theirs is only looked at by the gateway itself."""
    with hosting(Host(thinking, key=KEY)) as claude, gateway(tmp_path, claude) as place:
        assert send(place.url, SHORT % b"", named(credentials)).status == 200
        assert send(place.url, (SHORT % b"").replace(OPUS.encode(), b"other"), named(credentials)).status == 200
        sent = json.dumps([claude.asked[-1].headers, place.openai.headers])
        assert CALLERS not in sent
        assert claude.asked[-1].named["x-api-key"] == KEY
        assert "authorization" not in claude.asked[-1].named
