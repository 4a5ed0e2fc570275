"""Fields that mean little to anybody but Anthropic."""

import json
from typing import Any

import pytest

from dragoman.messages.body import Body
from dragoman.messages.errors import ApiError
from dragoman.messages.estimate import Estimate
from dragoman.messages.fields import check, fitting, person_hash, refuse_losses, session_hash, stop_sequences
from dragoman.messages.notes import Note
from dragoman.messages.request import decode


def body(**fields: Any) -> Body:
    plain = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    return decode(json.dumps(plain | fields).encode()).body


def noted(**fields: Any) -> list[Note]:
    notes: list[Note] = []
    check(body(**fields), notes)
    return notes


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("container", "container_1"),
        ("container", {"skills": [{"type": "anthropic", "skill_id": "pdf"}]}),
        ("mcp_servers", [{"type": "url", "name": "x", "url": "https://example.org"}]),
        ("compaction", {"type": "summarize"}),
        ("thread", {"type": "continue", "previous_message_id": "msg_1"}),
        ("thread", "continue"),
    ],
)
def test_fields_that_would_change_what_the_caller_gets_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ApiError, match=rf"^{field}: ") as caught:
        check(body(**{field: value}), [])
    assert caught.value.status == 400


@pytest.mark.failure(38)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("context_management", {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}),
        ("diagnostics", {"previous_message_id": None}),
        ("fallbacks", "default"),
        ("fallback_credit_token", "x"),
        ("billing_policy", {"type": "billing_policy", "bill_to": "self"}),
        ("safeguards", [{"type": "dangerous_tool_use"}]),
        ("tags", {"a": "b"}),
        ("speed", "fast"),
        ("inference_geo", "us"),
        ("thread", {"type": "create"}),
    ],
)
def test_fields_without_effect_are_noted(field: str, value: Any) -> None:
    assert noted(**{field: value}) == [Note("ignored", field, field)]


def test_other_wishes_that_cannot_be_met_are_noted() -> None:
    assert noted(output_config={"task_budget": {"type": "tokens", "total": 20_000}}) == [
        Note("changed", "task_budget", "output_config.task_budget")
    ]
    assert noted(thinking={"type": "adaptive", "display": "updates"}) == [
        Note("ignored", "thinking.display", "thinking.display")
    ]


def test_empty_fields_are_nothing() -> None:
    names = ["container", "mcp_servers", "compaction", "thread", "context_management", "fallbacks", "tags", "speed"]
    assert noted(**dict.fromkeys(names)) == []
    assert noted(mcp_servers=[], context_management={}, fallback_credit_token="") == []
    assert noted(output_config={}, thinking={"type": "adaptive"}) == []


@pytest.mark.failure(40)
def test_stop_sequences_are_each_there_once() -> None:
    notes: list[Note] = []
    assert stop_sequences(body(stop_sequences=["b", "a", "b"]), notes) == ("b", "a")
    assert stop_sequences(body(), notes) == ()
    assert [note.code for note in notes] == ["stop_sequences.empty"]
    assert stop_sequences(body(stop_sequences=["a", ""]), notes) == ("a",)


@pytest.mark.failure(36)
def test_a_person_is_the_same_in_every_session() -> None:
    def hashed(user: str | None) -> str | None:
        return person_hash(body(metadata={"user_id": user}))

    same = ['{"device_id":"d1","session_id":"s1"}', '{"session_id":"s2","device_id":"d1"}']
    assert len({hashed(user) for user in same}) == 1
    assert len({hashed(f"user_x_account__session_{number}") for number in range(2)}) == 1
    others = [hashed(user) for user in ("alice", "{broken", "_session_9", same[0])]
    assert len(set(others)) == 4
    assert all(len(each or "") == 64 for each in others)
    assert hashed(None) is hashed("") is person_hash(body()) is None


@pytest.mark.failure(36)
def test_a_session_is_a_hash() -> None:
    assert session_hash(None) is session_hash("") is None
    assert session_hash("s1") == session_hash("s1") != session_hash("s2")
    assert len(session_hash("s\ud83d") or "") == 64


@pytest.mark.failure(20)
def test_losses_are_refused_by_name() -> None:
    refuse_losses((Note("changed", "top_k.unsupported", "top_k"), Note("ignored", "speed", "speed")))
    with pytest.raises(ApiError, match=r"tools\.1 \(tool\.advisor\), the request \(x\)\. Leave") as caught:
        refuse_losses((Note("lost", "tool.advisor", "tools.1"), Note("lost", "x")))
    assert caught.value.status == 400


class Asked(Estimate):
    """Counts how often it is asked."""

    def __init__(self, size: int, tokens: int) -> None:
        super().__init__(None, size)
        self.said = tokens
        self.times = 0

    def tokens(self) -> int:
        self.times += 1
        return self.said


@pytest.mark.parametrize(
    ("context", "size", "tokens", "wanted", "times"),
    [
        (None, 9_000_000, 2_000_000, 32_000, 0),
        (400_000, 234_000, 60_000, 32_000, 0),  # no text has more tokens than bytes
        (200_000, 234_000, 60_000, 32_000, 1),
        (200_000, 600_000, 150_000, 27_500, 1),
        (200_000, 900_000, 200_000, 32_000, 1),  # no room at all: that is the upstream's to say
        (80_000, 1_000, 45_000, 28_250, 1),  # files that are only named are small
    ],
)
def test_an_input_is_measured_where_it_could_fill_the_window(
    context: int | None, size: int, tokens: int, wanted: int, times: int
) -> None:
    estimate, notes = Asked(size, tokens), list[Note]()
    assert fitting(32_000, context, estimate, notes) == wanted
    assert estimate.times == times
    assert [note.code for note in notes] == ["max_tokens.window"] * (wanted != 32_000)
