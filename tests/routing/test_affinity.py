"""routing/affinity: who gets which of several equal destinations."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dragoman.dialects.contract import Target
from dragoman.gateway.health import Health
from dragoman.messages.errors import ApiError
from dragoman.routing import affinity
from dragoman.routing.route import Choice, Group, Route
from gateway.lines import target

pytestmark = pytest.mark.failure(132)

FOUR = tuple(structs.replace(target("lab"), key=f"KEY_{number}") for number in range(4))
KEYS: tuple[Group, ...] = ((Choice(FOUR),),)
SESSIONS = [f"session-{number}" for number in range(2000)]


def first(groups: tuple[Group, ...], who: str) -> Target:
    return affinity.ordered(groups, who)[0]


def test_where_there_is_nothing_to_choose_the_order_is_that_of_the_file() -> None:
    targets = (target("one"), target("two"))
    assert affinity.slots(Route(requested="m", targets=targets, steps=()), "who") == targets
    straight: tuple[Group, ...] = tuple((Choice((each,)),) for each in targets)
    assert affinity.slots(Route(requested="m", targets=targets, steps=(), groups=straight), "who") == targets


def test_keys_share_the_work_evenly() -> None:
    counts = Counter(first(KEYS, who).key for who in SESSIONS)
    assert all(400 < counts[key.key] < 600 for key in FOUR)


def test_weights() -> None:
    groups: tuple[Group, ...] = ((Choice((target("big"),), 3.0), Choice((target("less"),), 1.0)),)
    counts = Counter(first(groups, who).provider for who in SESSIONS)
    assert 1400 < counts["big"] < 1600


def test_all_keys_of_one_destination_stand_together() -> None:
    other = tuple(structs.replace(target("other"), key=f"OTHER_{number}") for number in range(3))
    groups: tuple[Group, ...] = ((Choice(FOUR), Choice(other)), (Choice((target("last"),)),))
    for who in SESSIONS[:50]:
        names = [each.provider for each in affinity.ordered(groups, who)]
        assert names in (["lab"] * 4 + ["other"] * 3 + ["last"], ["other"] * 3 + ["lab"] * 4 + ["last"])


def test_a_key_that_goes_moves_only_the_sessions_that_it_had() -> None:
    fewer: tuple[Group, ...] = ((Choice(FOUR[:2] + FOUR[3:]),),)
    for who in SESSIONS[:500]:
        before = first(KEYS, who)
        assert before == FOUR[2] or first(fewer, who) == before


@given(st.text())
def test_any_session_has_one_order_and_misses_nobody(who: str) -> None:
    found = affinity.ordered(KEYS, who)
    assert found == affinity.ordered(KEYS, who)
    assert sorted(each.key or "" for each in found) == [each.key for each in FOUR]


def test_most_turns_stay_with_their_key_while_one_is_parked_for_a_while() -> None:
    """100 sessions of 20 turns; from turn 9 to turn 11 one of four keys is limited."""
    health, stayed = Health(), 0
    for turn in range(20):
        now = float(turn)
        for who in SESSIONS[:100]:
            slots = list(affinity.ordered(KEYS, who))
            own = slots[0]
            found = slots[health.next(slots, now)]
            if found.key == "KEY_1" and turn == 9:
                health.failed(found, ApiError("rate_limit", "Slow down.", retry_after=2.5, upstream_status=429), now)
                found = slots[health.next(slots, now)]
                assert found.key != "KEY_1"
            stayed += found == own
    assert stayed >= 0.95 * 2000
