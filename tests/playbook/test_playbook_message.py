"""What a caller that waits for the whole Message sees, and what the upstream sees."""

import pytest

from dragoman.messages.notes import header
from gateway.lines import Mending, target
from playbook.transcript import (
    Ask,
    Bytes,
    Called,
    Closed,
    Cut,
    End,
    Got,
    Head,
    Leave,
    Playbook,
    Quiet,
    Released,
    Said,
    Status,
    play,
)

pytestmark = pytest.mark.anyio


async def test_a_message() -> None:
    script = await play(
        Playbook()
        >> Ask(stream=False)
        << Called("lab/small", "small old unary")
        >> Head(200)
        >> Said("usage 7 2", "text Hi")
        >> Said("stop")
        >> End()
        << Got("Hi")
        << Released()
    )
    record = script.record
    assert (record.status, record.stream, record.first_token_ms) == (200, False, None)
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens, record.stop_reason) == (7, 2, "end_turn")
    assert record.answer_bytes > 100
    assert header(record.notes) == "route.note,lines.lab"


async def test_a_message_in_one_read() -> None:
    await play(
        Playbook()
        >> Ask(stream=False)
        << Called()
        >> Head(200)
        >> Said("text Hi", "stop max_tokens")
        >> End()
        << Got("Hi", "max_tokens")
    )


@pytest.mark.failure(105)
async def test_an_upstream_that_only_streams_serves_a_message() -> None:
    script = await play(
        Playbook(target(transport="stream"))
        >> Ask(stream=False)
        << Called("lab/small", "small old stream")
        >> Head(200)
        >> Said("text Hel")
        >> Said("text lo", "stop")
        >> End()
        << Got("Hello")
    )
    assert script.record.first_token_ms is None


async def test_a_stream_where_a_message_was_asked_for() -> None:
    await play(
        Playbook()
        >> Ask(stream=False)
        << Called("lab/small", "small old unary")
        >> Head(200, {"content-type": "text/event-stream; charset=utf-8"})
        >> Said("text Hi", "stop", "end")
        << Got("Hi")
        << Released()
    )


async def test_a_message_with_stop_sequences_comes_from_a_stream_that_is_cut() -> None:
    script = await play(
        Playbook()
        >> Ask(stream=False, fields={"stop_sequences": ["HALT"]})
        << Called("lab/small", "small old stream")
        >> Head(200)
        >> Said("text go HALT and on")
        << Got("go ", "stop_sequence")
        << Closed()
    )
    assert script.record.error is None


@pytest.mark.failure(97)
async def test_a_message_that_is_cut_is_an_error() -> None:
    script = await play(
        Playbook(retries=0)
        >> Ask(stream=False)
        << Called()
        >> Head(200)
        >> Said("text Hi")
        >> Cut()
        << Status(502, "truncated")
    )
    assert script.record.status == 502


@pytest.mark.failure(97)
async def test_a_stream_for_a_message_that_is_cut_is_an_error() -> None:
    await play(
        Playbook(target(transport="stream"), retries=0)
        >> Ask(stream=False)
        << Called()
        >> Head(200)
        >> Said("text Hi")
        >> Cut()
        << Status(502, "truncated")
    )


async def test_an_answer_without_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.gateway.pursuit.ANSWER_LIMIT", 100)
    await play(
        Playbook(retries=0)
        >> Ask(stream=False)
        << Called()
        >> Head(200)
        >> Bytes(b"#" * 101)
        << Status(502, "bad_answer", "more than 100 bytes")
        << Closed()
    )


@pytest.mark.failure(101, 145)
async def test_the_caller_leaves_while_the_upstream_is_asked() -> None:
    script = await play(Playbook() >> Ask(stream=False) << Called() >> Leave() << Closed())
    assert (script.record.status, script.record.caller_left) == (499, True)


@pytest.mark.failure(101, 145)
async def test_the_caller_leaves_while_the_answer_comes() -> None:
    script = await play(
        Playbook() >> Ask(stream=False) << Called() >> Head(200) >> Said("text Hi") >> Quiet() >> Leave() << Closed()
    )
    assert (script.record.status, script.record.caller_left) == (499, True)


@pytest.mark.failure(100)
async def test_silence_instead_of_an_answer() -> None:
    script = await play(
        Playbook(read_idle=0.02, retries=0)
        >> Ask(stream=False)
        << Called()
        << Status(504, "timeout", "silent for 0.02 s")
        << Closed()
    )
    assert script.record.attempts[0].error == "timeout"


@pytest.mark.failure(100)
async def test_silence_inside_an_answer() -> None:
    await play(
        Playbook(read_idle=0.02, retries=0)
        >> Ask(stream=False)
        << Called()
        >> Head(200)
        >> Said("text Hi")
        << Status(504, "timeout")
        << Closed()
    )


async def test_the_second_attempt_has_its_own_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.gateway.decision.FIRST_PAUSE", 0.001)
    await play(
        Playbook(read_idle=0.02, retries=1)
        >> Ask(stream=False)
        << Called()
        << Called()
        >> Head(200)
        >> Said("text Hi", "stop")
        >> End()
        << Got("Hi")
    )


async def test_retry_repair_and_fallback_in_one_journey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.gateway.decision.FIRST_PAUSE", 0.001)
    script = await play(
        Playbook(target("lab"), target("other"), dialects={"lines": Mending()}, retries=1)
        >> Ask(stream=False)
        << Called("lab/small")
        >> Head(503)
        >> End()
        << Called("lab/small", "small old unary")
        >> Head(400)
        >> Bytes(b"wrong field")
        >> End()
        << Called("lab/small", "small new unary")
        >> Head(500)
        >> End()
        << Called("other/small", "small old unary")
        >> Head(200)
        >> Said("text Hi", "stop")
        >> End()
        << Got("Hi")
    )
    assert [(each.target, each.error, each.repair) for each in script.record.attempts] == [
        ("lab/small", "overloaded", None),
        ("lab/small", "invalid_request", None),
        ("lab/small", "upstream_failed", "field.new"),
        ("other/small", None, None),
    ]
    assert script.record.repairs == []  # none was in force for the target that answered
    assert script.gateway._collaborators.mended == {}


async def test_no_upstream_is_called_to_warm_a_cache() -> None:
    script = Playbook() >> Ask(stream=False, fields={"max_tokens": 0})
    script.steps.append(("<<", Quiet()))
    script.steps[-1] = (">>", Quiet())
    await_end = play(script)
    with pytest.raises(AssertionError, match="the caller saw more"):
        await await_end
    message = str(script.seen.get_nowait())
    assert '"content":[]' in message
    assert '"stop_reason":"max_tokens"' in message
    assert script.calls.empty()


async def test_a_bug_in_the_answer_is_told_in_the_callers_language() -> None:
    script = await play(
        Playbook() >> Ask(stream=False) << Called() >> Head(200) >> Said("crash") >> End() << Status(500, "internal")
    )
    assert isinstance(script.record.crash, ZeroDivisionError)


async def test_a_message_that_cannot_be_written_is_told_in_the_callers_language() -> None:
    script = await play(
        Playbook()
        >> Ask(stream=False)
        << Called()
        >> Head(200)
        >> Said("surrogate", "stop")
        >> End()
        << Status(500, "internal")
    )
    assert isinstance(script.record.crash, UnicodeEncodeError)


@pytest.mark.failure(106)
async def test_journeys_do_not_share_anything() -> None:
    first = Playbook() >> Ask(stream=False) << Called() >> Head(200) >> Said("text one")
    await_first = first
    second = await play(
        Playbook() >> Ask(stream=False) << Called() >> Head(200) >> Said("text two", "stop") >> End() << Got("two")
    )
    done = await play(await_first >> Said("stop") >> End() << Got("one"))
    assert done.record is not second.record
    assert done.record.notes is not second.record.notes
    assert len(done.record.attempts) == len(second.record.attempts) == 1


async def test_a_message_that_stops_in_its_middle_is_told_on_by_another_call() -> None:
    await play(
        Playbook()
        >> Ask(stream=False)
        << Called("lab/small", "small old unary")
        >> Head(200)
        >> Said("{", "text Hel", "more")
        >> End()
        << Called("lab/small", "small old unary more")
        >> Head(200)
        >> Said("{", "text lo", "usage 7 2", "stop")
        >> End()
        << Got("Hello")
    )
