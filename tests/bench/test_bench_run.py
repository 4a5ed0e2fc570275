"""What counts of several rounds."""

from typing import Any

import pytest


def run(cost: float, *, calm: bool = True, kept_up: bool = True) -> dict[str, Any]:
    names = ("latency_p50_ms", "latency_p99_ms", "first_byte_p50_ms", "first_byte_p99_ms")
    return {"cost": cost, "calm": calm, "kept_up": kept_up, "errors": 0, **dict.fromkeys(names, 1.0)}


@pytest.mark.parametrize(
    ("runs", "cost"),
    [
        ([run(1), run(2), run(9)], 2),
        ([run(1), run(8, calm=False), run(9, calm=False)], 1),
        ([run(7, calm=False), run(8, calm=False), run(9, calm=False)], 8),
        ([run(1, kept_up=False), run(5), run(7)], 6),
        ([run(1, kept_up=False), run(5, calm=False)], 5),
        ([run(0), run(0), run(5, kept_up=False)], 5),
        ([run(0), run(0)], 0),
    ],
)
def test_rounds_that_others_disturbed_do_not_count_if_there_are_better_ones(bench, runs, cost):
    assert bench("run").medians(runs)["cost"] == cost


def test_the_time_of_the_cpus_is_read(bench):
    before, after = (bench("processes").cpu_time() for _ in range(2))
    assert 0 <= before.stolen <= after.stolen
    assert before.stolen < before.all <= after.all
