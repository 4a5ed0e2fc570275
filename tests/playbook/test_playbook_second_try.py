"""An answer of status 200 that holds nothing usable is asked for once more, as long as nothing of it was shown."""

import pytest
from msgspec import structs

from dragoman.dialects.contract import Call, Repair
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event
from dragoman.messages.writer import MessageWriter
from gateway.lines import Lines, Reader
from playbook.transcript import (
    Ask,
    Called,
    Closed,
    End,
    Got,
    Head,
    Over,
    Playbook,
    Refused,
    Said,
    Saw,
    Status,
    play,
)

pytestmark = pytest.mark.anyio

FINISH = ("stop 0", "message_delta end_turn", "message_stop")


class Doubting(Reader):
    """Doubts an answer that says `doubt`, and one that is over before it said anything."""

    def feed(self, chunk: bytes) -> list[Event]:
        events = super().feed(chunk.replace(b"doubt\n", b""))
        if b"doubt" in chunk:
            self._doubt("no valid call")
        return events

    def close(self) -> list[Event]:
        if self._writer.finished and not self._writer.committed:
            self._doubt("no content")
        return super().close()

    def _doubt(self, words: str) -> None:
        again = self._call.target.quirks.field == "old" and not self._writer.committed
        raise ApiError("bad_answer", words, code="second_try" if again else None)


class Doubtful(Lines):
    """With the repair that a dialect has for such answers."""

    def reader(self, call: Call, writer: MessageWriter) -> Reader:
        return Doubting(call, writer)

    def repair(self, call: Call, error: ApiError) -> Repair | None:
        if error.code != "second_try":
            return None
        quirks = structs.replace(call.target.quirks, field="again")
        return Repair("second_try", structs.replace(call.target, quirks=quirks), lasting=False)


def doubtful(mended: Playbook | None = None) -> Playbook:
    return Playbook(dialects={"lines": Doubtful()}, mended=mended, retries=0)


@pytest.mark.failure(73)
async def test_an_empty_answer_is_asked_for_once_more_and_only_this_time() -> None:
    first = await play(
        doubtful()
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(200)
        >> Said("usage 7 0", "stop")
        >> End()
        << Called("lab/small", "small again stream")
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )
    record = first.record
    assert (record.status, record.repairs) == (200, ["second_try"])
    assert [(each.status, each.error, each.repair) for each in record.attempts] == [
        (200, "bad_answer", None),
        (200, None, "second_try"),
    ]
    await play(
        doubtful(first)
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )


@pytest.mark.failure(73)
async def test_an_answer_is_given_up_in_its_middle_before_anything_was_shown() -> None:
    await play(
        doubtful()
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(200)
        >> Said("usage 7 0")
        >> Said("doubt")
        << Closed()
        << Called("lab/small", "small again stream")
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )


@pytest.mark.failure(73)
async def test_whole_answers_are_asked_for_once_more_too() -> None:
    await play(
        doubtful()
        >> Ask(stream=False)
        << Called("lab/small", "small old unary")
        >> Head(200)
        >> Said("stop")
        >> End()
        << Called("lab/small", "small again unary")
        >> Head(200)
        >> Said("text Hi", "stop")
        >> End()
        << Got("Hi")
    )


async def test_a_second_answer_that_is_no_better_is_an_error() -> None:
    script = await play(
        doubtful()
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(200)
        >> Said("doubt")
        << Called("lab/small", "small again stream")
        >> Head(200)
        >> Said("doubt")
        << Status(502, "bad_answer", "no valid call")
    )
    assert len(script.record.attempts) == 2


async def test_a_second_try_may_be_refused_and_tried_again() -> None:
    await play(
        Playbook(dialects={"lines": Doubtful()}, retries=1)
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(200)
        >> Said("doubt")
        << Called("lab/small", "small again stream")
        >> Refused()
        << Called("lab/small", "small again stream")
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )


async def test_what_was_shown_is_never_followed_by_another_answer() -> None:
    script = await play(
        doubtful()
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(200)
        >> Said("text Hi")
        << Saw("message_start", "start 0 text", "delta 0 Hi")
        >> Said("doubt")
        << Saw("error api_error: no valid call")
        << Over()
        << Closed()
    )
    assert len(script.record.attempts) == 1
