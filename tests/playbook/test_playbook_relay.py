"""Answers that are passed on: what the caller gets, what the upstream sees, and what happens when either fails."""

import json

import pytest

from dragoman.dialects.contract import Target
from dragoman.messages.notes import header
from gateway.lines import target as lines
from gateway.relay import BEGIN, FINISH, HI, MESSAGE, PING, START, STOP, STREAM, envelope, failed
from gateway.relay import target as claude
from playbook.transcript import (
    MODEL,
    Ask,
    Bytes,
    Called,
    Closed,
    Cut,
    End,
    Got,
    Head,
    KeySigner,
    Leave,
    Opened,
    Over,
    Playbook,
    Quiet,
    Refused,
    Released,
    Said,
    Saw,
    Status,
    Whole,
    play,
)

pytestmark = pytest.mark.anyio

LIMITS = {"request-id": "req_up", "anthropic-ratelimit-requests-remaining": "0", "retry-after": "30"}
TOLD = tuple(LIMITS.items())
BEGUN = ("message_start", "ping", "start 0 text", "delta 0 Hi")
ENDED = ("stop 0", "message_delta end_turn", "message_stop")
OWN = (("authorization", "Bearer caller-key"),)
FINISHED = ("message_start", "start 0 text", "delta 0 Hi", *ENDED)


def verbatim(script: Playbook) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """Status, headers and body of what the caller was told."""
    error = script.record.error
    assert error is not None
    assert error.verbatim is not None
    assert script.record.status in (200, error.verbatim.status)
    return error.verbatim.status, error.verbatim.headers, error.verbatim.body


# What comes goes on


@pytest.mark.failure(69, 118)
async def test_a_stream() -> None:
    script = await play(
        Playbook(claude())
        >> Ask(fields={"x": [1.0]})
        << Called("claude/big")
        >> Head(200, {"content-type": "text/event-stream", "content-length": "9", **LIMITS})
        >> Bytes(START + PING + BEGIN[:20])
        >> Bytes(BEGIN[20:] + HI)
        << Saw(*BEGUN)
        >> Bytes(FINISH + STOP)
        << Saw(*ENDED)
        << Over()
        << Released()
    )
    assert b"".join(script.sends) == STREAM
    assert script.headers == TOLD
    assert script.current is not None
    assert script.current.headers["anthropic-version"] == "1"
    assert json.loads(script.current.body)["x"] == [1.0]
    record = script.record
    assert (record.provider, record.upstream_model, record.endpoint) == ("claude", "big", "claude.test/v1/messages")
    assert (record.status, record.stop_reason, record.error, record.session) == (200, "end_turn", None, "session")
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (7, 2)
    assert record.first_token_ms is not None
    assert record.answer_bytes == len(STREAM)
    assert header(record.notes) == "route.note"


async def test_a_whole_answer() -> None:
    script = await play(
        Playbook(claude(model=MODEL))
        >> Ask(stream=False)
        << Called(f"claude/{MODEL}")
        >> Head(200, {"content-type": "application/json", **LIMITS})
        >> Bytes(MESSAGE[:9])
        >> Bytes(MESSAGE[9:])
        >> End()
        << Whole(MESSAGE)
    )
    assert script.headers == TOLD
    record = script.record
    assert (record.status, record.stop_reason, record.answer_bytes) == (200, "end_turn", len(MESSAGE))
    assert record.usage is not None
    assert record.usage.input_tokens == 7


@pytest.mark.failure(38)
async def test_what_only_the_upstream_understands_is_its_own_matter() -> None:
    await play(
        Playbook(claude())
        >> Ask(fields={"messages": "no list", "max_tokens": None})
        << Called("claude/big")
        >> Head(400)
        >> Bytes(envelope("invalid_request_error", "messages: no list"))
        >> End()
        << Status(400, "invalid_request")
    )


async def test_a_cache_is_warmed_where_that_is_known() -> None:
    script = await play(
        Playbook(claude())
        >> Ask(stream=False, fields={"max_tokens": 0})
        << Called("claude/big")
        >> Head(200, {"content-type": "application/json"})
        >> Bytes(MESSAGE)
        >> End()
        << Whole(MESSAGE)
    )
    assert header(script.record.notes) == "route.note"


# Failures


@pytest.mark.failure(118)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_is_told_as_it_came(stream: bool) -> None:
    body = envelope("invalid_request_error", "messages.1: Invalid `signature` in `thinking` block")
    script = await play(
        Playbook(claude())
        >> Ask(stream)
        << Called("claude/big")
        >> Head(400, {"transfer-encoding": "chunked", **LIMITS})
        >> Bytes(body)
        >> End()
        << Status(400, "invalid_request")
    )
    assert verbatim(script) == (400, (("content-type", "application/json"), *TOLD), body)
    assert script.headers == ()


async def test_a_status_of_its_own_is_told_too() -> None:
    script = await play(
        Playbook(claude(), retries=0)
        >> Ask()
        << Called("claude/big")
        >> Head(520)
        >> Bytes(envelope())
        >> End()
        << Status(520, "upstream_failed")
    )
    assert script.record.status == 520


@pytest.mark.failure(95, 118)
@pytest.mark.parametrize("before", [b"", START + PING])
async def test_an_error_event_before_any_content_is_a_real_status(before: bytes) -> None:
    script = await play(
        Playbook(claude(), retries=0)
        >> Ask()
        << Called("claude/big")
        >> Head(200, LIMITS)
        >> Bytes(before + failed())
        << Status(529, "overloaded")
        << Closed()
    )
    status, headers, body = verbatim(script)
    assert (status, headers) == (529, (("content-type", "application/json"), *TOLD))
    assert json.loads(body) == json.loads(envelope())


async def test_an_error_event_before_any_content_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.gateway.decision.FIRST_PAUSE", 0.001)
    script = await play(
        Playbook(claude(), retries=1)
        >> Ask()
        << Called("claude/big")
        >> Head(200, {"request-id": "req_first"})
        >> Bytes(START + failed())
        << Called("claude/big")
        >> Head(200, LIMITS)
        >> Bytes(STREAM)
        << Saw(*BEGUN, *ENDED)
        << Over()
    )
    assert b"".join(script.sends) == STREAM
    assert script.headers == TOLD
    assert [each.error for each in script.record.attempts] == ["overloaded", None]


@pytest.mark.failure(118)
@pytest.mark.parametrize("together", [True, False])
async def test_an_error_event_after_content_goes_on_as_it_came(together: bool) -> None:
    script = Playbook(claude()) >> Ask() << Called("claude/big") >> Head(200) >> Bytes(START + PING + BEGIN + HI)
    script = script << Saw(*BEGUN)
    more = HI if together else b""
    shown = ["delta 0 Hi"] if together else []
    await play(
        script >> Bytes(more + failed()) << Saw(*shown, "error overloaded_error: Too many.") << Over() << Closed()
    )
    assert b"".join(script.sends) == START + PING + BEGIN + HI + more + failed()
    assert (script.record.status, script.record.error_kind) == (200, "overloaded")


async def test_a_refusal_behind_the_opening_is_an_event() -> None:
    script = await play(
        Playbook(claude(), open_after=0.02, retries=0)
        >> Ask()
        << Called("claude/big")
        << Opened()
        >> Head(529, LIMITS)
        >> Bytes(envelope())
        >> End()
        << Saw("ping", "error overloaded_error: Too many.")
        << Over()
    )
    assert script.sends[-1] == b"event: error\ndata: " + envelope() + b"\n\n"


@pytest.mark.failure(94, 97)
@pytest.mark.parametrize("end", [Cut(), End()])
async def test_cut(end: object) -> None:
    words = "The connection broke." if isinstance(end, Cut) else "The upstream's answer ended before it was complete."
    script = Playbook(claude()) >> Ask() << Called("claude/big") >> Head(200) >> Bytes(START + PING + BEGIN + HI[:9])
    await play(script << Saw(*BEGUN[:3]) >> end << Saw(f"error api_error: {words}") << Over())
    assert b"".join(script.sends[:-1]) == START + PING + BEGIN


async def test_an_error_body_under_status_200() -> None:
    script = await play(
        Playbook(claude(), retries=0)
        >> Ask(stream=False)
        << Called("claude/big")
        >> Head(200, {"content-type": "application/json", **LIMITS})
        >> Bytes(envelope())
        >> End()
        << Status(529, "overloaded")
    )
    assert verbatim(script) == (529, (("content-type", "application/json"), *TOLD), envelope())


@pytest.mark.parametrize(("said", "status"), [(START + failed("invalid_request_error"), 200), (b"", None)])
async def test_what_came_out_of_an_answer_is_told_from_what_is_ours(said: bytes, status: int | None) -> None:
    """The one is looked through for keys."""
    script = Playbook(claude()) if said else Playbook(claude(auth="caller"))
    script = script >> Ask()
    if said:
        script = script << Called("claude/big") >> Head(200) >> Bytes(said)
    script = await play(script << Status(*((400, "invalid_request") if said else (401, "authentication"))))
    assert script.record.error is not None
    assert script.record.error.upstream_status == status


# Another target


@pytest.mark.failure(129)
async def test_from_an_upstream_of_messages_to_a_translated_one() -> None:
    script = await play(
        Playbook(claude(), lines(), retries=0)
        >> Ask()
        << Called("claude/big")
        >> Head(200, LIMITS)
        >> Bytes(START + failed())
        << Called("lab/small", "small old stream")
        >> Head(200, {"request-id": "of the lab"})
        >> Said("text Hi", "stop", "end")
        << Saw(*FINISHED)
        << Over()
    )
    assert script.headers == ()  # what the first one said is not about this answer
    assert b'"model":"claude-test"' in script.sends[0]
    assert b"msg_up" not in b"".join(script.sends)
    assert (script.record.provider, script.record.stop_reason) == ("lab", "end_turn")


async def test_from_a_translated_one_to_an_upstream_of_messages() -> None:
    script = await play(
        Playbook(lines(), claude(), retries=0)
        >> Ask()
        << Called("lab/small")
        >> Head(200)
        >> Said("think so", "error overloaded Too many.")
        << Called("claude/big")
        >> Head(200, LIMITS)
        >> Bytes(STREAM)
        << Saw(*BEGUN, *ENDED)
        << Over()
    )
    assert b"".join(script.sends) == STREAM
    assert script.headers == TOLD


async def test_a_whole_answer_of_the_second_target() -> None:
    await play(
        Playbook(claude(), lines(), retries=0)
        >> Ask(stream=False)
        << Called("claude/big")
        >> Refused()
        << Called("lab/small", "small old unary")
        >> Head(200, {"content-type": "application/json"})
        >> Bytes(b"{\ntext Hi\nstop\nend\n")
        >> End()
        << Got("Hi")
    )


async def test_a_body_is_decoded_when_it_has_to_be_translated() -> None:
    script = await play(
        Playbook(claude(), lines(), retries=0)
        >> Ask(fields={"messages": "no list"})
        << Called("claude/big")
        >> Refused()
        << Status(400, "invalid_request", "messages: Expected `array`, got `str`")
    )
    assert [each.error for each in script.record.attempts] == ["unreachable", "invalid_request"]


async def test_a_body_that_is_translated_first_is_refused_at_once() -> None:
    script = await play(
        Playbook(lines(), claude()) >> Ask(fields={"messages": "no list"}) << Status(400, "invalid_request")
    )
    assert script.sent == []


async def test_no_second_target_warms_a_cache() -> None:
    script = await play(
        Playbook(claude(), lines(), retries=0)
        >> Ask(fields={"max_tokens": 0})
        << Called("claude/big")
        >> Refused()
        << Saw("message_start", "message_delta max_tokens", "message_stop")
        << Over()
    )
    assert len(script.sent) == 1
    assert script.record.provider is None
    assert "cache.not_warmed" in header(script.record.notes)


# The caller's own credentials


class Counted(KeySigner):
    """Remembers for whom it signed."""

    def __init__(self) -> None:
        self.signed: list[str] = []
        self.refusals: list[str] = []

    def headers(self, target: Target) -> list[tuple[str, str]]:
        self.signed.append(target.provider)
        return [("authorization", f"Bearer {target.key}")]

    def refused(self, target: Target, _sent: object) -> bool:
        self.refusals.append(target.provider)
        return False


@pytest.mark.failure(140)
async def test_the_callers_key_goes_to_the_target_that_wants_it_and_to_no_other() -> None:
    signer = Counted()
    script = await play(
        Playbook(claude(auth="caller"), claude("proxy"), lines(), retries=0, signer=signer)
        >> Ask(caller=OWN)
        << Called("claude/big", key="caller-key")
        >> Refused()
        << Called("proxy/big", key="PROXY")
        >> Refused()
        << Called("lab/small", key="LAB")
        >> Head(200)
        >> Said("text Hi", "stop", "end")
        << Saw(*FINISHED)
        << Over()
    )
    assert signer.signed == ["proxy", "lab"]
    assert ["caller-key" in str(sent.headers) for sent in script.sent] == [True, False, False]
    assert "CLAUDE" not in str(script.sent[0].headers)


@pytest.mark.failure(140)
async def test_a_request_without_the_key_that_it_needs() -> None:
    script = await play(
        Playbook(claude(auth="caller"), lines())
        >> Ask()
        << Status(401, "authentication", "asked with the caller's own key, and the request has none")
    )
    assert script.sent == []
    assert script.record.error is not None
    assert script.record.error.should_retry is False


@pytest.mark.failure(118, 140)
async def test_a_key_of_the_caller_that_is_refused() -> None:
    """It is told as it came; and no token of ours is thrown away for it."""
    signer = Counted()
    body = envelope("invalid_request_error", "OAuth token has expired")
    script = await play(
        Playbook(claude(auth="caller"), signer=signer)
        >> Ask(caller=OWN)
        << Called("claude/big", key="caller-key")
        >> Head(401, {"request-id": "req_up"})
        >> Bytes(body)
        >> End()
        << Status(401, "upstream_authentication")
    )
    assert verbatim(script) == (401, (("content-type", "application/json"), ("request-id", "req_up")), body)
    assert signer.signed == signer.refusals == []


# Time, and callers that leave


@pytest.mark.failure(101)
@pytest.mark.parametrize("said", [b"", START + PING, START + PING + BEGIN])
async def test_a_caller_that_leaves_closes_the_upstream(said: bytes) -> None:
    script = Playbook(claude()) >> Ask() << Called("claude/big") >> Head(200) >> Bytes(said or PING)
    if BEGIN in said:
        script = script << Saw(*BEGUN[:3])
    script = await play(script >> Quiet() >> Leave() << Closed())
    assert script.record.caller_left
    assert script.record.status == (200 if BEGIN in said else 499)


async def test_a_caller_that_leaves_has_used_what_was_counted() -> None:
    script = Playbook(claude()) >> Ask() << Called("claude/big") >> Head(200) >> Bytes(START + BEGIN + FINISH)
    script = await play(script << Saw("message_start", "start 0 text", *ENDED[:2]) >> Leave() << Closed())
    assert script.record.usage is not None
    assert (script.record.usage.output_tokens, script.record.stop_reason) == (2, "end_turn")


@pytest.mark.failure(99)
async def test_a_ping_of_ours_falls_between_frames() -> None:
    script = await play(
        Playbook(claude(), ping_every=0.02)
        >> Ask()
        << Called("claude/big")
        >> Head(200)
        >> Bytes(START + BEGIN + HI[:40])
        << Saw("message_start", "start 0 text", "ping", "ping")
        >> Bytes(HI[40:])
        << Saw("delta 0 Hi")
        >> Bytes(FINISH + STOP)
        << Saw(*ENDED)
        << Over()
    )
    ours = b'event: ping\ndata: {"type":"ping"}\n\n'
    assert b"".join(script.sends).replace(ours, b"") == START + BEGIN + HI + FINISH + STOP


@pytest.mark.failure(100)
async def test_silence() -> None:
    script = await play(
        Playbook(claude(), read_idle=0.08)
        >> Ask()
        << Called("claude/big")
        >> Head(200)
        >> Bytes(START + BEGIN + HI[:40])
        << Saw("message_start", "start 0 text")
        << Saw("error timeout_error: The upstream was silent for 0.08 s. server.read_idle sets this limit.")
        << Over()
        << Closed()
    )
    assert script.record.error_kind == "timeout"


async def test_what_the_upstream_says_before_any_content_is_no_content() -> None:
    script = await play(
        Playbook(claude(), open_after=0.02)
        >> Ask()
        << Called("claude/big")
        >> Head(200, LIMITS)
        >> Bytes(START + PING)
        << Opened()
        >> Bytes(BEGIN + HI + FINISH + STOP)
        << Saw("ping", *BEGUN, *ENDED)
        << Over()
    )
    assert script.headers == TOLD
    assert script.sends[-1] == STREAM
