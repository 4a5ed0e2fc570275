"""What one reply is made of."""

from typing import Any

import pytest

from dragoman.messages.errors import ApiError, Verbatim
from dragoman.server.exchange import CUT, Exchange, ascii_header
from server_fixture import BODY, running

pytestmark = pytest.mark.anyio


def exchange(sent: list[Any]) -> Exchange:
    async def receive() -> Any:
        raise AssertionError("nobody reads here")

    async def send(message: Any) -> None:
        sent.append(message)

    return Exchange({"type": "http", "headers": [(b"a", b"1")]}, receive, send, "req_1", lambda text: text.upper())


async def test_a_reply_has_its_length_and_its_id() -> None:
    sent: list[Any] = []
    await exchange(sent).reply(200, b"{}", [(b"b", b"2")])
    assert sent == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"2"),
                (b"b", b"2"),
                (b"request-id", b"req_1"),
            ],
        },
        {"type": "http.response.body", "body": b"{}"},
    ]


async def test_after_a_whole_reply_there_is_nothing_left_to_say() -> None:
    sent: list[Any] = []
    one = exchange(sent)
    await one.reply(200, b"{}")
    await one.fail(ApiError("internal", "too late"))
    assert len(sent) == 2
    assert one.status == 200
    assert one.error is not None
    assert one.error.message == "TOO LATE"


async def test_words_of_ours_are_not_cleaned() -> None:
    """Advice such as "send `Authorization: Bearer ...`" must stay readable."""
    for error, told in (
        (ApiError("authentication", "send a key"), "send a key"),
        (ApiError("invalid_request", "from there", upstream_status=400), "FROM THERE"),
        (ApiError("overloaded", "BUSY"), "BUSY"),
    ):
        one = exchange([])
        await one.fail(error)
        assert one.error is not None
        assert one.error.message == told


# What an upstream says itself


def verbatim(*headers: tuple[str, str], status: int = 529, body: bytes = b'{"TYPE":"ERROR"}') -> Verbatim:
    return Verbatim(status, (("content-type", "application/json"), *headers), body)


@pytest.mark.failure(118)
async def test_an_error_of_the_upstream_is_told_as_it_came() -> None:
    sent: list[Any] = []
    one = exchange(sent)
    one.about = [(b"x-dragoman-target", b"lab/small")]
    told = verbatim(("request-id", "req_up"), ("retry-after", "7"), status=520)
    await one.fail(ApiError("upstream_failed", "X", retry_after=9, upstream_status=520, verbatim=told))
    assert sent == [
        {
            "type": "http.response.start",
            "status": 520,
            "headers": [
                (b"content-length", b"16"),
                (b"content-type", b"application/json"),
                (b"request-id", b"req_up"),
                (b"retry-after", b"7"),
                (b"x-dragoman-target", b"lab/small"),
                (b"x-dragoman-request-id", b"req_1"),
            ],
        },
        {"type": "http.response.body", "body": b'{"TYPE":"ERROR"}'},
    ]
    assert one.status == 520


async def test_a_key_of_ours_is_not_told_in_anybodys_words() -> None:
    sent: list[Any] = []
    one = exchange(sent)
    await one.fail(ApiError("upstream_failed", "x", upstream_status=529, verbatim=verbatim(body=b"our key \xff")))
    assert sent[1]["body"] == b"OUR KEY \xff"
    assert dict(sent[0]["headers"])[b"request-id"] == b"req_1"


@pytest.mark.parametrize(
    ("kind", "told", "headers", "expected"),
    [
        ("upstream_authentication", False, (), [b"false"]),
        ("upstream_authentication", None, (), []),  # whose own key it was may do something about it
        ("rate_limit", True, (), [b"true"]),
        ("rate_limit", True, (("x-should-retry", "maybe"),), [b"maybe"]),
        ("rate_limit", None, (), []),
    ],
)
async def test_whether_to_retry_what_is_told_as_it_came(
    kind: str, told: bool | None, headers: tuple[tuple[str, str], ...], expected: list[bytes]
) -> None:
    sent: list[Any] = []
    await exchange(sent).fail(ApiError(kind, "X", should_retry=told, verbatim=verbatim(*headers, status=401)))
    assert [value for name, value in sent[0]["headers"] if name == b"x-should-retry"] == expected


@pytest.mark.parametrize(
    ("chunk", "written"),
    [
        (b'event: error\ndata: {"a":"\xff"}\n\n', b'EVENT: ERROR\nDATA: {"A":"\xff"}\n\n'),
        (b"event: error\r\ndata:{}\r\n\r\n", b"EVENT: ERROR\r\nDATA:{}\r\n\r\n"),
        (b"data: a\n\nevent: error\ndata: event: error\n\n", b"data: a\n\nEVENT: ERROR\nDATA: EVENT: ERROR\n\n"),
        (b"data: a\r\revent: error\rdata: b\r\r", b"data: a\r\rEVENT: ERROR\rDATA: B\r\r"),
        (b"data: event: error\n\n", b"data: event: error\n\n"),
    ],
)
async def test_only_the_event_of_a_failure_is_looked_through(chunk: bytes, written: bytes) -> None:
    sent: list[Any] = []
    await exchange(sent).write(chunk)
    assert sent == [{"type": "http.response.body", "body": written, "more_body": True}]


@pytest.mark.failure(118)
@pytest.mark.parametrize("stream", [True, False])
async def test_the_upstreams_headers_on_a_real_connection(stream: bool) -> None:
    theirs = (("request-id", "req_up"), ("anthropic-ratelimit-requests-remaining", "4"), ("x-new", "é"))
    async with running() as house:
        house.script.headers = theirs
        reply = await house.ask("POST", "/v1/messages", BODY | {"stream": stream})
        house.script.headers = ()
        plain = await house.ask("POST", "/v1/messages", BODY | {"stream": stream})
    assert reply.status == 200
    assert {name: reply.headers[name] for name, _ in theirs} == dict(theirs)
    assert reply.headers["x-dragoman-request-id"].startswith("req_")
    assert reply.headers["x-dragoman-request-id"] != "req_up"
    assert plain.headers["request-id"].startswith("req_")
    assert "x-dragoman-request-id" not in plain.headers


@pytest.mark.failure(118)
async def test_an_upstreams_refusal_on_a_real_connection() -> None:
    told = verbatim(("request-id", "req_up"), ("retry-after", "3"))
    async with running() as house:
        house.script.refuse = ApiError("overloaded", "x", upstream_status=529, verbatim=told)
        reply = await house.ask("POST", "/v1/messages", BODY)
    assert (reply.status, reply.body) == (529, told.body)
    assert reply.headers["content-length"] == "16"
    assert (reply.headers["request-id"], reply.headers["retry-after"]) == ("req_up", "3")
    assert reply.headers["x-dragoman-request-id"].startswith("req_")


def test_headers_are_one_line_of_ascii() -> None:
    assert ascii_header("lab/small") == b"lab/small"
    assert ascii_header("mod\u00e8le\r\nx: y") == b"mod?le??x: y"
    assert ascii_header("x" * 5000) == b"x" * 1000
    assert ascii_header("") == b""


async def test_cutting_waits_until_the_connection_is_gone() -> None:
    happened: list[str] = []
    told = [{"type": "http.disconnect"}, {"type": "http.request"}]

    async def receive() -> Any:
        happened.append("asked")
        return told.pop()

    async def send(_message: Any) -> None:
        happened.append("sent")

    scope = {"type": "http", "headers": [], "extensions": {CUT: lambda: happened.append("aborted")}}
    made = Exchange(scope, receive, send, "req_1", str)
    await made.cut()
    assert happened == []  # nothing was sent that could be taken for the whole
    await made.begin(200, ())
    await made.cut()
    assert happened == ["sent", "aborted", "asked", "asked"]


async def test_a_server_that_cannot_cut_does_it_when_the_reply_is_left() -> None:
    sent: list[Any] = []
    made = exchange(sent)
    await made.begin(200, ())
    await made.pass_on(b"some")
    await made.cut()
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"] is True
    assert made.answer_bytes == 4


def test_a_refusal_without_keys_is_left_as_it_came() -> None:
    assert exchange([]).cleaned(b"\xffA") == b"\xffA"
    assert exchange([]).cleaned(b"\xffa") == b"\xffA"


@pytest.mark.parametrize(
    "row", [("x-a", "b\r\nx-c: d"), ("x-a", "b\n"), ("x-a", "\r"), ("x-a\r\nx-b", "c"), ("x a", "b"), ("x-a", "\x00")]
)
def test_a_header_of_an_upstream_cannot_forge_another(row: tuple[str, str]) -> None:
    fine = ("x-z", "\u00e9\udcff\ttab")
    assert exchange([])._fields(b"", [fine]) == b"x-z: \xc3\xa9\xff\ttab\r\nrequest-id: req_1\r\n"
    with pytest.raises(RuntimeError, match="header"):
        exchange([])._fields(b"", [fine, row])


def test_the_request_id_of_an_upstream_stays_beside_ours() -> None:
    rows = [("request-id", "req_up"), ("x-a", "b")]
    written = b"a: b\r\nrequest-id: req_up\r\nx-a: b\r\nx-dragoman-request-id: req_1\r\n"
    assert exchange([])._fields(b"a: b\r\n", rows) == written
