"""gateway/health: which slots are asked, by values and a clock of our own."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dragoman.dialects.contract import Target
from dragoman.gateway import health as module
from dragoman.gateway.health import FAILURES, FIRST_REST, LONGEST_REST, TRIAL, Change, Health, after_failure, words
from dragoman.messages.errors import KINDS, ApiError
from gateway.lines import target

FIRST, SECOND = target("lab"), target("other")
KEYS = [structs.replace(target("lab"), key=name) for name in ("A", "B", "C")]


def error(kind: str, status: int | None = 500, retry_after: float | None = None) -> ApiError:
    return ApiError(kind, "Words.", upstream_status=status, retry_after=retry_after)


def broken(health: Health, slot: Target, now: float = 0.0, times: int = FAILURES) -> list[Change]:
    return [change for _ in range(times) for change in health.failed(slot, error("upstream_failed"), now)]


def test_while_all_are_well_the_first_is_asked() -> None:
    health = Health()
    assert health.next([FIRST, SECOND], 0.0) == 0
    assert health.usable(FIRST, 0.0)
    assert not health.resting(FIRST, 0.0)
    assert health.soonest([FIRST], 0.0) is None
    assert not health.begin(FIRST, 0.0)
    assert health.succeeded(FIRST, whole=True) == []


@pytest.mark.failure(130)
def test_a_target_rests_after_failures_in_a_row_and_comes_back() -> None:
    health = Health()
    assert broken(health, FIRST, times=FAILURES - 1) == []
    assert health.next([FIRST, SECOND], 0.0) == 0
    (change,) = broken(health, FIRST, times=1)
    assert (change.target, change.key, change.seconds) == ("lab/small", None, FIRST_REST)
    assert health.resting(FIRST, FIRST_REST - 0.1)
    assert health.next([FIRST, SECOND], FIRST_REST - 0.1) == 1
    assert health.soonest([FIRST], 1.0) == FIRST_REST - 1.0
    assert health.soonest([FIRST, SECOND], 1.0) is None
    # Half open: one tries it, the others wait for the outcome.
    assert health.next([FIRST, SECOND], FIRST_REST) == 0
    assert health.begin(FIRST, FIRST_REST)
    assert health.next([FIRST, SECOND], FIRST_REST) == 1
    assert not health.begin(FIRST, FIRST_REST)
    assert [each.seconds for each in health.succeeded(FIRST, whole=True)] == [0.0]
    assert health.next([FIRST, SECOND], FIRST_REST) == 0


def test_a_success_between_failures_begins_the_count_anew() -> None:
    health = Health()
    for _ in range(3):
        assert broken(health, FIRST, times=FAILURES - 1) == []
        assert health.succeeded(FIRST, whole=True) == []


def test_an_answer_that_has_only_begun_is_half_a_success() -> None:
    health = Health()
    broken(health, FIRST)
    assert health.begin(FIRST, FIRST_REST)
    assert [each.seconds for each in health.succeeded(FIRST, whole=False)] == [0.0]
    assert not health.resting(FIRST, FIRST_REST)
    assert len(broken(health, FIRST, FIRST_REST, times=1)) == 1
    assert health.resting(FIRST, FIRST_REST)


def test_a_trial_that_fails_makes_the_rest_longer_up_to_a_limit() -> None:
    health = Health()
    broken(health, FIRST)
    now, rests = 0.0, []
    for _ in range(4):
        rest = health.soonest([FIRST], now)
        assert rest is not None
        rests.append(rest)
        now += rest
        assert health.begin(FIRST, now)
        assert broken(health, FIRST, now, times=1) == []  # told once
    assert rests == [5.0, 10.0, 20.0, 20.0]


def test_a_trial_without_an_outcome_passes_to_another_request() -> None:
    health = Health()
    broken(health, FIRST)
    assert health.begin(FIRST, FIRST_REST)
    health.leave(FIRST, FIRST_REST)
    assert health.begin(FIRST, FIRST_REST)
    # And the one that says nothing at all does not hold it for ever.
    assert health.begin(FIRST, FIRST_REST + TRIAL)
    health.leave(SECOND, 0.0)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - module.OF_TARGET))
def test_an_answer_that_is_an_error_shows_that_the_server_is_there(kind: str) -> None:
    health = Health()
    broken(health, FIRST)
    health.failed(structs.replace(FIRST, key="ANOTHER"), error(kind, 400), 1.0)
    assert health.begin(FIRST, 1.0) is False
    assert not health.resting(FIRST, 1.0)


def test_a_rate_limit_parks_one_key_for_as_long_as_it_says() -> None:
    health = Health()
    (change,) = health.failed(KEYS[0], error("rate_limit", 429, 40.0), 10.0)
    assert (change.key, change.seconds) == ("A", 40.0)
    assert health.next(KEYS, 49.9) == 1
    assert health.next([KEYS[0], structs.replace(KEYS[0], model="another")], 49.9) == 1
    assert health.next(KEYS, 50.0) == 0
    assert health.soonest(KEYS[:1], 20.0) == 30.0


def test_without_a_time_a_key_is_parked_longer_and_longer() -> None:
    health, now, rests = Health(), 0.0, []
    for _ in range(8):
        (change,) = health.failed(KEYS[0], error("rate_limit", 429), now)
        rests.append(change.seconds)
        now += change.seconds
    assert rests == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_an_hour_is_the_longest_that_is_believed() -> None:
    (change,) = Health().failed(KEYS[0], error("rate_limit", 429, 1e9), 0.0)
    assert change.seconds == 3600


def test_when_all_are_parked_the_one_that_is_back_first_is_asked() -> None:
    health = Health()
    for key, seconds in zip(KEYS, (30.0, 10.0, 20.0), strict=True):
        health.failed(key, error("rate_limit", 429, seconds), 0.0)
    assert health.next(KEYS, 1.0) == 1
    assert not health.usable(KEYS[1], 1.0)


@pytest.mark.parametrize(("kind", "status"), [("upstream_authentication", 401), ("billing", 402)])
def test_a_refused_key_is_not_used_any_more_for_any_model(kind: str, status: int) -> None:
    health = Health()
    (change,) = health.failed(KEYS[0], error(kind, status), 0.0)
    assert (change.key, change.seconds) == ("A", inf)
    another = [structs.replace(key, model="another") for key in KEYS]
    assert health.next(KEYS, 1e9) == health.next(another, 1e9) == 1
    assert health.failed(KEYS[0], error(kind, status), 1.0) == []  # told once
    assert health.soonest(KEYS[:1], 0.0) is None
    # Nothing better is left: it is asked, and may have been mended.
    assert health.next(KEYS[:1], 0.0) == 0
    assert [each.key for each in health.succeeded(KEYS[0], whole=True)] == ["A"]
    assert health.next(KEYS, 0.0) == 0


def test_one_forbidden_prompt_costs_no_key() -> None:
    health = Health()
    assert health.failed(KEYS[0], error("permission", 403), 0.0) == []
    assert health.failed(KEYS[0], error("permission", 403), 0.0) == []
    assert health.next(KEYS, 0.0) == 0
    (change,) = health.failed(KEYS[0], error("permission", 403), 0.0)
    assert change.seconds == inf
    assert health.next(KEYS, 0.0) == 1
    assert health.usable(structs.replace(KEYS[0], model="another"), 0.0)


def test_a_callers_own_key_says_nothing_about_others() -> None:
    health, slot = Health(), structs.replace(FIRST, auth="caller")
    for kind, status in (("upstream_authentication", 401), ("rate_limit", 429), ("billing", 402), ("permission", 403)):
        assert health.failed(slot, error(kind, status), 0.0) == []
    assert health.next([slot, SECOND], 0.0) == 0
    assert broken(health, slot) != []  # but a server that fails does


def test_a_token_that_could_not_be_fetched_is_no_refused_key() -> None:
    health = Health()
    assert health.failed(FIRST, error("upstream_authentication", None), 0.0) == []
    assert health.usable(FIRST, 0.0)


def test_a_target_that_rests_is_better_than_a_key_that_does() -> None:
    health = Health()
    health.failed(KEYS[0], error("rate_limit", 429, 1.0), 0.0)
    broken(health, SECOND)
    assert health.next([KEYS[0], SECOND], 0.0) == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    health = Health()
    for name in "abcdefgh":
        broken(health, target("lab", name))
    assert len(health.troubles) == 3
    assert health.resting(target("lab", "h"), 0.0)


@given(st.lists(st.tuples(st.sampled_from([*sorted(KINDS), ""]), st.integers(0, 2), st.floats(0, 30)), max_size=40))
def test_there_is_always_somebody_to_ask_and_nobody_rests_for_ever_without_a_reason(
    steps: list[tuple[str, int, float]],
) -> None:
    health, now = Health(), 0.0
    for kind, which, seconds in steps:
        now += seconds
        slot = KEYS[which]
        health.begin(slot, now)
        if kind:
            health.failed(slot, error(kind), now)
        else:
            health.succeeded(slot, whole=True)
            assert not health.resting(slot, now)
        assert 0 <= health.next(KEYS, now) < len(KEYS)
        later = now + 3600
        if not {kind for kind, _, _ in steps} & {"upstream_authentication", "billing", "permission"}:
            assert not any(health.resting(key, later) for key in KEYS)


@given(st.integers(1, 10_000))
def test_the_rest_of_a_target_is_bounded(failures: int) -> None:
    known = after_failure(module.Trouble(failures, 0.0), 100.0)
    assert known.until <= 100.0 + LONGEST_REST


def test_words_for_the_log() -> None:
    why = ApiError("overloaded", "Busy.")
    assert words(Change("lab/small", None, 5.0, why)) == "lab/small rests for 5 s, and others are asked first. Busy."
    assert words(Change("lab/small", "A", 30.0, why)) == "The key A rests for 30 s at lab/small. Busy."
    assert "kill -HUP" in words(Change("lab/small", "A", inf, why))
    assert words(Change("lab/small", None, 0.0)) == "lab/small serves again."
