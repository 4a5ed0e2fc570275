"""What one reply is made of."""

from typing import Any

import pytest

from dragoman.messages.errors import ApiError
from dragoman.server.exchange import CUT, Exchange, ascii_header

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
