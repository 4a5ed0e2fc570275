"""The gate finds a loss of a quarter with any build, and nothing below what is allowed."""

import json
from pathlib import Path

import pytest

BASELINE = Path(__file__).parent.parent.parent / "bench" / "baseline.json"


@pytest.fixture
def baseline():
    return json.loads(BASELINE.read_text())


def costing(baseline, factor, *, of="", machine=1.0, **build):
    """Counts as the baseline's: some of them dearer, and all of them on another machine."""
    counts = {
        name: count * machine * (factor if of in name and name != "reference" else 1)
        for name, count in baseline["instructions"].items()
    }
    return {"build": baseline["build"] | build, "instructions": counts}


def test_nothing_changed(bench, baseline):
    lines, passed = bench("gate").compared(baseline, baseline)
    assert passed
    assert not [line for line in lines if "OVER" in line or "baseline." in line]


def test_every_count_is_there(bench, baseline):
    dialects = bench("proxies").DIALECTS
    assert len(baseline["instructions"]) == 1 + 3 * len(dialects)


@pytest.mark.parametrize("name", ["chat: small", "responses: 234 KB", "gemini: stream", "anthropic"])
@pytest.mark.parametrize("machine", [1.0, 0.7, 1.4])
def test_a_quarter_more_is_found(bench, baseline, name, machine):
    build = {} if machine == 1.0 else {"python": "CPython 3.99"}
    lines, passed = bench("gate").compared(costing(baseline, 1.25, of=name, machine=machine, **build), baseline)
    assert not passed
    over = [line for line in lines if line.endswith("OVER")]
    assert over
    assert all(line.startswith(name) for line in over)
    assert "make gate ARGS=--save" in lines[-1]


def test_a_little_more_is_allowed(bench, baseline):
    gate = bench("gate")
    assert gate.compared(costing(baseline, 1.09), baseline)[1]
    assert not gate.compared(costing(baseline, 1.11), baseline)[1]


def test_another_build_is_scaled_and_named(bench, baseline):
    lines, passed = bench("gate").compared(costing(baseline, 1.15, machine=0.6, python="CPython 3.99"), baseline)
    assert passed
    assert "(python)" in lines[-1]


def test_a_gain_asks_for_a_new_baseline(bench, baseline):
    lines, passed = bench("gate").compared(costing(baseline, 0.7), baseline)
    assert passed
    assert lines[-1].startswith("Cheaper")
