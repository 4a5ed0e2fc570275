"""gateway/decision: values in, values out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.gateway.decision import (
    AT_ONCE,
    BUDGET,
    MOVES_ON,
    PATIENCE,
    Again,
    Mend,
    Next,
    Stop,
    decide,
    most_telling,
)
from dragoman.gateway.decision import pause_before as pause
from dragoman.messages.errors import KINDS, ApiError

CLIENTS_OWN = ["invalid_request", "context_overflow", "too_large", "authentication", "method_not_allowed", "internal"]


def after(kind: str, **changes: object) -> object:
    values: dict[str, object] = {
        "retried": 0,
        "retries": 2,
        "elapsed": 0.0,
        "mendable": False,
        "others": False,
    } | changes
    error = values.pop("error", None) or ApiError(kind, "words")
    return decide(error, **values)  # type: ignore[arg-type]


@pytest.mark.failure(130)
@pytest.mark.parametrize("kind", CLIENTS_OWN)
def test_the_callers_own_mistakes_stop_at_once(kind: str) -> None:
    assert after(kind) == Stop()
    assert after(kind, others=True) == Stop()


@pytest.mark.failure(130)
@pytest.mark.parametrize("kind", ["upstream_authentication", "billing", "permission", "not_found", "unsupported"])
def test_what_another_target_may_do_better_moves_on_at_once(kind: str) -> None:
    assert after(kind) == Stop()
    assert after(kind, others=True) == Next()


RETRYABLE = [kind for kind in KINDS if KINDS[kind].retryable]


@pytest.mark.failure(122, 130)
@pytest.mark.parametrize("kind", RETRYABLE)
def test_what_may_pass_is_tried_again(kind: str) -> None:
    assert after(kind) == Again(0.5)
    assert after(kind, retried=1) == Again(1.0)
    assert after(kind, retried=2) == Stop()
    assert after(kind, retries=0) == Stop()


@pytest.mark.failure(122, 130)
@pytest.mark.parametrize("kind", [kind for kind in RETRYABLE if kind not in AT_ONCE])
def test_with_others_at_hand_it_is_tried_again_once(kind: str) -> None:
    assert after(kind, others=True) == Again(0.5)
    assert after(kind, others=True, retried=1) == Next()
    assert after(kind, others=True, retries=0) == Next()
    assert after(kind, others=True, resting=True) == Next()


@pytest.mark.failure(130)
@pytest.mark.parametrize("kind", sorted(AT_ONCE))
def test_with_others_at_hand_nobody_waits(kind: str) -> None:
    assert after(kind, others=True) == Next()


def test_a_conversation_that_is_too_long_goes_where_there_is_room() -> None:
    assert after("context_overflow", overflow=True) == Next()
    assert after("context_overflow", others=True) == Stop()
    assert after("invalid_request", overflow=True) == Stop()
    assert after("context_overflow", overflow=True, mendable=True) == Mend()


def test_a_repair_comes_first() -> None:
    assert after("invalid_request", mendable=True, others=True) == Mend()
    assert after("overloaded", mendable=True) == Mend()


@pytest.mark.failure(122)
def test_the_budget_ends_retries() -> None:
    assert after("overloaded", elapsed=BUDGET - 1) == Again(0.5)
    assert after("overloaded", elapsed=BUDGET) == Stop()
    assert after("overloaded", elapsed=BUDGET, others=True) == Next()


@pytest.mark.failure(121, 122)
def test_retry_after_is_honoured_up_to_our_patience() -> None:
    assert pause(0, 3.0) == 3.0
    assert pause(1, 0.1) == 1.0
    assert pause(0, PATIENCE) == PATIENCE
    assert pause(0, PATIENCE + 0.1) is None
    assert pause(9, None) == 8.0
    impatient = ApiError("rate_limit", "words", retry_after=60)
    assert after("", error=impatient) == Stop()
    assert after("", error=impatient, others=True) == Next()


def test_the_upstreams_own_hint_wins() -> None:
    assert after("", error=ApiError("rate_limit", "words", should_retry=False)) == Stop()
    assert after("", error=ApiError("invalid_request", "words", should_retry=True)) == Again(0.5)


@pytest.mark.failure(126)
def test_the_most_telling_error() -> None:
    def told(*kinds: str) -> str:
        return most_telling([ApiError(kind, "words") for kind in kinds]).kind

    assert told("unreachable", "billing", "upstream_failed") == "billing"
    assert told("unreachable", "rate_limit", "billing") == "rate_limit"
    assert told("rate_limit", "invalid_request") == "invalid_request"
    assert told("timeout", "overloaded") == "overloaded"
    first, second = ApiError("overloaded", "first"), ApiError("overloaded", "second")
    assert most_telling([first, second]) is first


@given(
    kind=st.sampled_from(sorted(KINDS)),
    retried=st.integers(0, 5),
    retries=st.integers(0, 5),
    elapsed=st.floats(0, 1000),
    retry_after=st.none() | st.floats(0, 100),
    others=st.booleans(),
)
def test_a_chain_always_ends(
    *, kind: str, retried: int, retries: int, elapsed: float, retry_after: float | None, others: bool
) -> None:
    """Nothing is tried again beyond the limit, after the budget, or with a pause over our patience."""
    error = ApiError(kind, "words", retry_after=retry_after)
    decision = decide(error, retried=retried, retries=retries, elapsed=elapsed, mendable=False, others=others)
    if isinstance(decision, Again):
        assert retried < retries
        assert elapsed + decision.after < BUDGET
        assert 0.5 <= decision.after <= PATIENCE
    if isinstance(decision, Next):
        assert others
        assert kind in MOVES_ON
