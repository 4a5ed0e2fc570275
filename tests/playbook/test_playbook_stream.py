"""What the caller of a stream sees, and what the upstream sees, step by step."""

from collections.abc import Sequence

import pytest

from dragoman.dialects.contract import Target
from dragoman.gateway import pursuit
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import header
from gateway.lines import Mending, target
from playbook.transcript import (
    Ask,
    Bytes,
    Called,
    Closed,
    Cut,
    End,
    Hang,
    Head,
    KeySigner,
    Leave,
    Opened,
    Over,
    Playbook,
    Quiet,
    Refused,
    Released,
    Resume,
    Said,
    Saw,
    Stall,
    Status,
    play,
)

pytestmark = pytest.mark.anyio

FINISH = ("stop 0", "message_delta end_turn", "message_stop")


async def test_a_stream() -> None:
    script = await play(
        Playbook()
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(200)
        >> Said("# silence is not an answer")
        >> Said("usage 7 0", "text Hel")
        << Saw("message_start", "start 0 text", "delta 0 Hel")
        >> Bytes(b"text l")
        >> Bytes(b"o\n")
        << Saw("delta 0 lo")
        >> Said("usage 7 2", "stop", "end")
        << Saw(*FINISH)
        << Over()
        << Released()
    )
    record = script.record
    assert (record.provider, record.upstream_model, record.endpoint) == ("lab", "small", "lab.test/v1/lines")
    assert (record.request_id, record.model, record.session) == ("req_1", "claude-test", "session")
    assert (record.status, record.error, record.caller_left, record.stop_reason) == (200, None, False, "end_turn")
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (7, 2)
    assert header(record.notes) == "route.note,lines.lab"
    assert [(each.target, each.status, each.error) for each in record.attempts] == [("lab/small", 200, None)]
    assert record.first_token_ms is not None
    assert 0 <= record.first_token_ms <= record.ms
    assert record.answer_bytes == sum(map(len, script.sends))
    assert b'"id":"msg_000001"' in script.sends[0]
    assert len(script.sends) == 3  # one for each read that had events


async def test_the_end_of_bytes_after_the_finish_mark_is_an_end() -> None:
    await play(
        Playbook()
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text Hi", "stop")
        << Saw("message_start", "start 0 text", "delta 0 Hi")
        >> End()
        << Saw(*FINISH)
        << Over()
        << Released()
    )


@pytest.mark.failure(97)
async def test_a_connection_that_breaks_after_the_finish_mark_is_an_end() -> None:
    await play(
        Playbook()
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text Hi", "stop")
        << Saw("message_start", "start 0 text", "delta 0 Hi")
        >> Cut()
        << Saw(*FINISH)
        << Over()
    )


@pytest.mark.failure(94, 97)
@pytest.mark.parametrize("end", [Cut(), End()])
async def test_cut_in_the_middle_of_a_tool_call(end: object) -> None:
    script = await play(
        Playbook()
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("tool write", 'args {"path":')
        << Saw("message_start", "start 0 tool_use", 'delta 0 {"path":')
        >> end
        << Saw(f"error api_error: {'The connection broke.' if isinstance(end, Cut) else TRUNCATED}")
        << Over()
    )
    assert b"content_block_stop" not in b"".join(script.sends)  # clients run a call that was closed
    assert b'"request_id":"req_1"' in script.sends[-1]
    assert script.record.status == 200
    assert script.record.error_kind == "truncated"
    assert script.record.error_message
    assert not script.record.caller_left


TRUNCATED = "The upstream's answer ended before it was complete."


@pytest.mark.failure(94)
async def test_an_error_inside_the_stream_comes_after_what_was_said_before_it() -> None:
    script = await play(
        Playbook()
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text one")
        << Saw("message_start", "start 0 text", "delta 0 one")
        >> Said("text two", "error overloaded Too many.", "text three")
        << Saw("delta 0 two", "error overloaded_error: Too many.")
        << Over()
        << Closed()
    )
    assert len(script.record.attempts) == 1  # never a second answer


@pytest.mark.failure(95, 129)
async def test_an_error_before_any_content_is_a_real_status() -> None:
    await play(
        Playbook(retries=0)
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("usage 1 0", "error overloaded Too many.")
        << Status(529, "overloaded", "Too many.")
        << Closed()
    )


@pytest.mark.failure(95)
async def test_content_and_error_in_one_read_are_a_real_status() -> None:
    await play(
        Playbook(retries=0)
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text lost", "error overloaded Too many.")
        << Status(529, "overloaded")
    )


@pytest.mark.failure(96)
@pytest.mark.parametrize("end", [Cut(), End()])
async def test_an_empty_stream_is_an_error(end: object) -> None:
    await play(Playbook(retries=0) >> Ask() << Called() >> Head(200) >> end << Status(502, "truncated"))


@pytest.mark.failure(119)
@pytest.mark.parametrize(
    ("status", "words", "told", "kind"),
    [
        (400, "no", 400, "invalid_request"),
        (400, "overflow", 400, "context_overflow"),
        (401, "", 401, "upstream_authentication"),
        (402, "", 402, "billing"),
        (403, "", 403, "permission"),
        (404, "", 404, "not_found"),
        (413, "", 413, "too_large"),
    ],
)
async def test_what_is_never_tried_again(status: int, words: str, told: int, kind: str) -> None:
    script = await play(
        Playbook() >> Ask() << Called() >> Head(status) >> Bytes(words.encode()) >> End() << Status(told, kind, words)
    )
    record = script.record
    assert (record.status, record.error_kind) == (told, kind)
    assert record.error is not None
    assert record.error.upstream_status == status


async def test_redirects_are_not_followed() -> None:
    script = await play(
        Playbook()
        >> Ask()
        << Called()
        >> Head(307, {"location": "https://elsewhere.test/v1?key=dummy"})
        << Status(502, "bad_answer", "https://elsewhere.test/v1.")
        << Closed()
    )
    assert len(script.record.attempts) == 1


async def test_a_redirect_to_nowhere() -> None:
    await play(Playbook() >> Ask() << Called() >> Head(302) << Status(502, "bad_answer", "nowhere"))


async def test_an_error_whose_body_breaks_is_told_by_its_status() -> None:
    await play(
        Playbook() >> Ask() << Called() >> Head(404) >> Bytes(b"gone") >> Cut() << Status(404, "not_found", "gone")
    )


async def test_an_error_body_is_read_to_a_limit() -> None:
    script = Playbook() >> Ask() << Called() >> Head(400)
    for _ in range(5):
        script = script >> Bytes(b"x" * 65536)
    await play(script << Status(400, "invalid_request") << Closed())
    assert script.record.error is not None
    assert len(script.record.error.message) == 256 * 1024


@pytest.mark.failure(14, 101, 145)
async def test_the_caller_leaves_while_the_upstream_is_asked() -> None:
    script = await play(Playbook() >> Ask() << Called() >> Leave() << Closed())
    assert (script.record.status, script.record.caller_left) == (499, True)
    assert script.record.usage is None


@pytest.mark.failure(101, 145)
async def test_the_caller_leaves_before_the_first_content() -> None:
    script = await play(Playbook() >> Ask() << Called() >> Head(200) >> Said("usage 1 0") >> Leave() << Closed())
    assert (script.record.status, script.record.caller_left) == (499, True)


@pytest.mark.failure(101, 145)
async def test_the_caller_leaves_in_the_middle() -> None:
    script = await play(
        Playbook()
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("usage 5 1", "text Hi")
        << Saw("message_start", "start 0 text", "delta 0 Hi")
        >> Leave()
        << Closed()
    )
    assert (script.record.status, script.record.caller_left) == (200, True)
    assert script.record.usage is not None
    assert script.record.usage.input_tokens == 5


@pytest.mark.failure(144)
async def test_a_caller_that_does_not_read_stops_the_reading() -> None:
    script = await play(
        Playbook()
        >> Stall()
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text one")
        >> Quiet()
        >> Said("text two")
        >> Said("text three")
        >> Quiet()
    )
    assert len(script.sends) == 1
    assert script.answers[0].waiting.qsize() == 3  # both reads, and what closing puts there


async def test_a_caller_that_reads_again_gets_everything() -> None:
    await play(
        Playbook()
        >> Stall()
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text one")
        >> Said("text two", "stop", "end")
        >> Resume()
        << Saw("message_start", "start 0 text", "delta 0 one", "delta 0 two", *FINISH)
        << Over()
    )


async def test_a_stop_sequence_closes_the_upstream() -> None:
    script = await play(
        Playbook()
        >> Ask(fields={"stop_sequences": ["HALT"]})
        << Called()
        >> Head(200)
        >> Said("text go HA")
        << Saw("message_start", "start 0 text", "delta 0 go ")
        >> Said("text LT and on and on")
        << Saw("stop 0", "message_delta stop_sequence", "message_stop")
        << Over()
        << Closed()
    )
    assert script.record.stop_reason == "stop_sequence"
    assert script.record.error is None
    assert "usage.estimated" in header(script.record.notes)


@pytest.mark.failure(105)
async def test_an_upstream_that_cannot_stream_serves_a_stream() -> None:
    await play(
        Playbook(target(transport="unary"))
        >> Ask()
        << Called("lab/small", "small old unary")
        >> Head(200)
        >> Said("text Hi", "stop")
        >> End()
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
        << Released()
    )


async def test_json_where_a_stream_was_asked_for_is_read_whole() -> None:
    await play(
        Playbook()
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(200, {"content-type": "Application/JSON; charset=utf-8"})
        >> Said("{", "text Hi")
        >> Said("stop")
        >> Quiet()
        >> End()
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )


async def test_a_stream_that_calls_itself_json_is_still_a_stream() -> None:
    await play(
        Playbook()
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(200, {"content-type": "application/json"})
        >> Said("text Hi")
        << Saw("message_start", "start 0 text", "delta 0 Hi")
        >> Said("stop", "end")
        << Saw(*FINISH)
        << Over()
    )


async def test_no_upstream_is_called_to_warm_a_cache() -> None:
    script = await play(
        Playbook()
        >> Ask(fields={"max_tokens": 0})
        << Saw("message_start", "message_delta max_tokens", "message_stop")
        << Over()
    )
    assert script.calls.empty()
    assert script.record.attempts == []
    assert "cache.not_warmed" in header(script.record.notes)
    assert script.record.usage is not None
    assert script.record.usage.input_tokens > 0
    assert script.record.usage.output_tokens == 0


@pytest.mark.failure(122)
async def test_retry_then_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.gateway.decision.FIRST_PAUSE", 0.001)
    script = await play(
        Playbook()
        >> Ask()
        << Called()
        >> Refused()
        << Called()
        >> Head(503)
        >> End()
        << Called()
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )
    assert [(each.status, each.error) for each in script.record.attempts] == [
        (None, "unreachable"),
        (503, "overloaded"),
        (200, None),
    ]
    assert script.record.error is None


@pytest.mark.failure(122)
async def test_retries_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.gateway.decision.FIRST_PAUSE", 0.001)
    script = await play(
        Playbook(retries=1)
        >> Ask()
        << Called()
        >> Head(429)
        >> End()
        << Called()
        >> Head(429)
        >> End()
        << Status(429, "rate_limit")
    )
    assert len(script.record.attempts) == 2


@pytest.mark.failure(121, 122)
async def test_a_long_retry_after_is_the_callers() -> None:
    script = await play(
        Playbook() >> Ask() << Called() >> Head(429, {"retry-after": "30"}) >> End() << Status(429, "rate_limit")
    )
    assert script.record.error is not None
    assert script.record.error.retry_after == 30


@pytest.mark.failure(128, 129, 130)
async def test_fallback_before_any_content() -> None:
    script = await play(
        Playbook(target("lab"), target("other", "large"), retries=0)
        >> Ask()
        << Called("lab/small")
        >> Head(200)
        >> Said("usage 1 0", "error overloaded Too many.")
        << Called("other/large")
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )
    assert (script.record.provider, script.record.upstream_model) == ("other", "large")
    assert header(script.record.notes) == "route.note,lines.other,target.fallback,usage.estimated"
    assert script.answers[0].closed


@pytest.mark.failure(130)
async def test_no_fallback_for_the_callers_own_mistake() -> None:
    await play(
        Playbook(target("lab"), target("other"))
        >> Ask()
        << Called("lab/small")
        >> Head(400)
        >> Bytes(b"overflow")
        >> End()
        << Status(400, "context_overflow")
    )


@pytest.mark.failure(126)
async def test_when_all_fail_the_most_telling_error_is_told() -> None:
    script = await play(
        Playbook(target("one"), target("two"), target("three"), retries=0)
        >> Ask()
        << Called("one/small")
        >> Refused()
        << Called("two/small")
        >> Head(402)
        >> Bytes(b"no credit")
        >> End()
        << Called("three/small")
        >> Head(500)
        >> End()
        << Status(402, "billing", "no credit")
    )
    assert len(script.record.attempts) == 3


async def test_a_target_that_cannot_do_it_is_passed_over() -> None:
    script = await play(
        Playbook(target("lab", refuses=True), target("other"))
        >> Ask()
        << Called("other/small")
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )
    assert [each.error for each in script.record.attempts] == ["unsupported", None]


async def test_a_repair_and_the_memory_of_it() -> None:
    first = await play(
        Playbook(dialects={"lines": Mending()})
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(400)
        >> Bytes(b"wrong field")
        >> End()
        << Called("lab/small", "small new stream")
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )
    assert first.record.repairs == ["field.new"]
    assert [each.repair for each in first.record.attempts] == [None, "field.new"]
    second = await play(
        Playbook(mended=first)
        >> Ask()
        << Called("lab/small", "small new stream")
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )
    assert second.record.repairs == ["field.new"]
    assert len(second.record.attempts) == 1


async def test_more_repairs_are_remembered_and_one_for_a_conversation_is_not() -> None:
    script: Playbook | None = None
    for refusals, calls in [
        (["wrong field"], ["old", "new"]),
        (["wrong field, use other"], ["new", "other"]),
        (["wrong field, use passing"], ["other", "passing"]),
        ([], ["other"]),
    ]:
        script = Playbook(dialects={"lines": Mending()}, mended=script)
        script = script >> Ask() << Called("lab/small", f"small {calls[0]} stream")
        for words, field in zip(refusals, calls[1:], strict=True):
            script = script >> Head(400) >> Bytes(words.encode()) >> End()
            script = script << Called("lab/small", f"small {field} stream")
        await play(
            script
            >> Head(200)
            >> Said("text Hi", "stop", "end")
            << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
            << Over()
        )


async def test_a_repair_is_used_once() -> None:
    await play(
        Playbook(dialects={"lines": Mending()})
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(400)
        >> Bytes(b"wrong field")
        >> End()
        << Called("lab/small", "small new stream")
        >> Head(400)
        >> Bytes(b"wrong field")
        >> End()
        << Status(400, "invalid_request", "wrong field")
    )


async def test_a_failure_that_no_repair_fits() -> None:
    await play(
        Playbook(dialects={"lines": Mending()})
        >> Ask()
        << Called()
        >> Head(400)
        >> Bytes(b"another matter")
        >> End()
        << Status(400, "invalid_request")
    )


async def test_memory_of_repairs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.gateway.pursuit.MENDED_LIMIT", 1)
    script: Playbook | None = None
    for name, field in [("one", "old"), ("two", "old"), ("two", "new"), ("one", "old")]:
        script = Playbook(target(name), dialects={"lines": Mending()}, mended=script)
        script.gateway._router = script
        script = script >> Ask() << Called(f"{name}/small", f"small {field} stream")
        if field == "old":
            script = (
                script >> Head(400) >> Bytes(b"wrong field") >> End() << Called(f"{name}/small", "small new stream")
            )
        await play(
            script
            >> Head(200)
            >> Said("text Hi", "stop", "end")
            << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
            << Over()
        )


@pytest.mark.failure(99)
async def test_an_answer_that_is_slow_to_begin_is_opened_with_pings() -> None:
    script = await play(
        Playbook(open_after=0.02, ping_every=0.02)
        >> Ask()
        << Called()
        << Opened()
        << Saw("ping", "ping", "ping")
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )
    assert script.sends[0] == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert script.record.first_token_ms is not None
    assert script.record.first_token_ms >= 40


@pytest.mark.failure(94, 99)
async def test_a_failure_after_opening_is_an_error_event() -> None:
    script = await play(
        Playbook(open_after=0.02, retries=0)
        >> Ask()
        << Called()
        << Opened()
        << Saw("ping")
        >> Head(400)
        >> Bytes(b"overflow")
        >> End()
        << Saw("error invalid_request_error: overflow")
        << Over()
    )
    assert (script.record.status, script.record.error_kind) == (200, "context_overflow")


async def test_a_second_attempt_after_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.gateway.decision.FIRST_PAUSE", 0.05)
    await play(
        Playbook(open_after=0.02, ping_every=0.02)
        >> Ask()
        << Called()
        << Opened()
        << Saw("ping")
        >> Head(200)
        >> Said("text never seen", "error overloaded Too many.")
        << Saw("ping", "ping")
        << Called()
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )


@pytest.mark.failure(99)
async def test_pings_in_the_silence_of_a_committed_stream() -> None:
    await play(
        Playbook(ping_every=0.02)
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text Hi")
        << Saw("message_start", "start 0 text", "delta 0 Hi", "ping", "ping")
        >> Said("text !")
        << Saw("delta 0 !", "ping")
        >> Said("stop", "end")
        << Saw(*FINISH)
        << Over()
    )


@pytest.mark.failure(99)
async def test_no_ping_into_a_caller_that_does_not_read() -> None:
    script = Playbook(ping_every=0.005, read_idle=0.01) >> Stall() >> Ask() << Called() >> Head(200) >> Said("text Hi")
    await play(script)
    assert len(script.sends) <= 1


@pytest.mark.failure(99)
async def test_content_waits_for_the_ping_before_it() -> None:
    script = await play(
        Playbook(open_after=0.02)
        >> Stall()
        >> Ask()
        << Called()
        << Opened()
        >> Quiet()
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        >> Quiet()
        >> Resume()
        << Saw("ping", "message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )
    assert len(script.sends) == 2


@pytest.mark.failure(99)
async def test_an_error_waits_for_the_ping_before_it() -> None:
    await play(
        Playbook(open_after=0.02, retries=0)
        >> Stall()
        >> Ask()
        << Called()
        << Opened()
        >> Quiet()
        >> Refused()
        >> Quiet()
        >> Resume()
        << Saw("ping", "error api_error: Cannot connect.")
        << Over()
    )


async def test_no_second_ping_while_the_first_is_not_read() -> None:
    script = Playbook(open_after=0.01, ping_every=0.01, read_idle=0.1, retries=0) >> Stall() >> Ask() << Called()
    await play(script << Opened() << Closed() >> Quiet())
    assert len(script.sends) == 1


@pytest.mark.failure(101)
@pytest.mark.parametrize("stalled", [True, False])
async def test_the_caller_leaves_an_opened_stream(stalled: bool) -> None:
    script = Playbook(open_after=0.01)
    if stalled:
        script = script >> Stall()
    script = script >> Ask() << Called() << Opened() >> Quiet()
    if not stalled:
        script = script << Saw("ping")
    await play(script >> Leave() << Closed())
    assert (script.record.status, script.record.caller_left) == (200, True)


@pytest.mark.failure(101)
async def test_a_ping_that_cannot_be_written_ends_the_stream() -> None:
    script = await play(
        Playbook(open_after=0.01)
        >> Hang()
        >> Ask()
        << Called()
        << Opened()
        >> Quiet()
        >> Head(200)
        >> Said("text Hi")
        << Saw("write failed")
        << Closed()
    )
    assert script.record.caller_left


@pytest.mark.failure(101)
async def test_a_ping_that_nobody_waited_for_leaves_no_trace() -> None:
    """asyncio reports exceptions of tasks that nobody looked at; the suite would fail on it."""
    await play(Playbook(open_after=0.01) >> Hang() >> Ask() << Called() << Opened() >> Quiet() >> Leave() << Closed())


@pytest.mark.failure(101)
async def test_content_that_cannot_be_written_closes_the_upstream() -> None:
    script = await play(
        Playbook() >> Hang() >> Ask() << Called() >> Head(200) >> Said("text Hi") << Saw("write failed") << Closed()
    )
    assert (script.record.status, script.record.caller_left) == (200, True)


async def test_an_attempt_that_nobody_waits_for_any_more_leaves_no_trace() -> None:
    await play(Playbook(retries=0) >> Ask() << Called() >> Refused() >> Leave())


class Hasty:
    """A clock on which 4 seconds go by whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 4.0
        return self.now


@pytest.mark.failure(149)
async def test_unless_told_otherwise_long_silence_is_waited_for_and_a_whole_answer_has_no_limit() -> None:
    clock = Hasty()
    script = Playbook(clock=clock, open_after=0.002, ping_every=0.002, retries=0) >> Ask() << Called() << Opened()
    silence = ["ping"] * 50  # at each of which the clock was looked at twice: 400 s
    script = script << Saw(*silence) >> Head(200) >> Said("text 0") << Saw("message_start", "start 0 text", "delta 0 0")
    for number in range(1, 4):
        script = script << Saw(*silence) >> Said(f"text {number}") << Saw(f"delta 0 {number}")
    await play(script >> Said("stop", "end") << Saw(*FINISH) << Over() << Released())
    assert script.record.ms > 1600 * 1000


@pytest.mark.failure(149)
async def test_unless_told_otherwise_ten_minutes_of_silence_are_the_end() -> None:
    script = Playbook(clock=Hasty(), open_after=0.002, ping_every=0.002, retries=0) >> Ask() << Called() << Opened()
    script = script << Saw("error timeout_error: The upstream was silent for 600 s. server.read_idle sets this limit.")
    await play(script << Over())


@pytest.mark.failure(100)
@pytest.mark.parametrize("words", [(), ("usage 1 0",)])
async def test_an_upstream_that_never_answers_is_a_timeout(words: tuple[str, ...]) -> None:
    script = Playbook(read_idle=0.03, retries=0) >> Ask() << Called()
    if words:
        script = script >> Head(200) >> Said(*words)
    await play(script << Status(504, "timeout", "server.read_idle") << Closed())
    assert not script.record.caller_left


@pytest.mark.failure(100)
async def test_silence_in_the_middle_ends_in_an_error_although_pings_flow() -> None:
    script = await play(
        Playbook(read_idle=0.08, ping_every=0.02)
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text Hi")
        << Saw("message_start", "start 0 text", "delta 0 Hi", "ping")
        << Saw("error timeout_error: The upstream was silent for 0.08 s. server.read_idle sets this limit.")
        << Over()
        << Closed()
    )
    assert script.record.error_kind == "timeout"


async def test_silence_after_the_finish_mark_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.gateway.pursuit.FINISHED_IDLE", 0.03)
    await play(
        Playbook(ping_every=0.02)
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text Hi", "stop")
        << Saw("message_start", "start 0 text", "delta 0 Hi")
        << Saw(*FINISH)
        << Over()
        << Closed()
    )


async def test_a_bug_before_the_first_content_is_a_real_status() -> None:
    script = await play(Playbook() >> Ask() << Called() >> Head(200) >> Said("crash") << Status(500, "internal"))
    assert isinstance(script.record.crash, ZeroDivisionError)


async def test_a_bug_in_translating_is_a_real_status() -> None:
    script = await play(Playbook(target(crashes=True)) >> Ask() << Status(500, "internal"))
    assert isinstance(script.record.crash, ZeroDivisionError)
    assert script.record.attempts[0].status is None


@pytest.mark.failure(94)
@pytest.mark.parametrize(("word", "crash"), [("crash", ZeroDivisionError), ("surrogate", UnicodeEncodeError)])
async def test_a_bug_in_the_middle_is_an_error_event(word: str, crash: type[Exception]) -> None:
    script = await play(
        Playbook()
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text Hi")
        << Saw("message_start", "start 0 text", "delta 0 Hi")
        >> Said(word)
        << Saw("error api_error: dragoman failed on this request. Its log has the details.")
        << Over()
        << Closed()
    )
    assert isinstance(script.record.crash, crash)


@pytest.mark.parametrize("transport", ["unary", "stream"])
async def test_a_reader_that_forgets_to_end_is_truncated(transport: str) -> None:
    await play(
        Playbook(target(transport=transport), retries=0)
        >> Ask(stream=False)
        << Called()
        >> Head(200)
        >> Said("forget", "text Hi")
        >> End()
        << Status(502, "truncated")
    )


async def test_signing_may_fail() -> None:
    class Keyless(KeySigner):
        def headers(self, _target: object) -> Sequence[tuple[str, str]] | None:
            raise ApiError("upstream_authentication", "no key")

    await play(Playbook(signer=Keyless()) >> Ask() << Status(401, "upstream_authentication", "no key"))


class TokenSigner(KeySigner):
    """Tokens 1, 2, ... are fetched when there is none; a refused one is forgotten."""

    def __init__(self) -> None:
        self.fetched = 0
        self.token: str | None = None

    def headers(self, _target: object) -> Sequence[tuple[str, str]] | None:
        return None if self.token is None else [("authorization", f"Bearer {self.token}")]

    async def fetch(self, target: Target) -> Sequence[tuple[str, str]]:
        self.fetched += 1
        self.token = f"token-{self.fetched}"
        return self.headers(target) or ()

    def refused(self, _target: object, sent: Sequence[tuple[str, str]]) -> bool:
        assert sent == [("authorization", f"Bearer {self.token}")]
        self.token = None
        return True


async def test_a_refused_token_is_replaced_once() -> None:
    signer = TokenSigner()
    await play(
        Playbook(signer=signer)
        >> Ask()
        << Called(key="token-1")
        >> Head(401)
        >> Bytes(b"expired")
        >> End()
        << Called(key="token-2")
        >> Head(401)
        >> Bytes(b"expired")
        >> End()
        << Status(401, "upstream_authentication", "expired")
    )
    assert signer.fetched == 2


async def test_a_watcher_that_fails_is_counted_and_swallowed() -> None:
    def watch(_record: object) -> None:
        raise RuntimeError("the ledger is full")

    script = await play(
        Playbook(watch=watch)
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw("message_start", "start 0 text", "delta 0 Hi", *FINISH)
        << Over()
    )
    assert script.task is not None
    assert script.task.done()
    assert script.gateway.watch_failures == 1


async def test_an_answer_that_stops_in_its_middle_is_told_on_by_another_call() -> None:
    await play(
        Playbook()
        >> Ask()
        << Called("lab/small", "small old stream")
        >> Head(200)
        >> Said("text Hel", "more")
        << Saw("message_start", "start 0 text", "delta 0 Hel")
        >> End()
        << Called("lab/small", "small old stream more")
        >> Head(200)
        >> Said("text lo")
        << Saw("delta 0 lo")
        >> Said("usage 7 2", "stop", "end")
        << Saw(*FINISH)
        << Over()
    )


async def test_the_rest_of_an_answer_that_is_refused_is_an_error() -> None:
    await play(
        Playbook()
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text Hel", "more")
        << Saw("message_start", "start 0 text", "delta 0 Hel")
        >> End()
        << Called("lab/small", "small old stream more")
        >> Head(503)
        >> Bytes(b"busy")
        >> End()
        << Saw("error overloaded_error: busy")
        << Over()
    )


async def test_an_answer_is_not_told_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pursuit, "HOP_LIMIT", 1)
    script = (
        Playbook()
        >> Ask()
        << Called()
        >> Head(200)
        >> Said("text a", "more")
        << Saw("message_start", "start 0 text", "delta 0 a")
    )
    script = script >> End() << Called("lab/small", "small old stream more") >> Head(200) >> Said("more") >> End()
    await play(script << Saw("error api_error: The upstream stopped 2 times in the middle of its answer.") << Over())
