"""The page about speed says what the kept results say, and nothing else.

`UPDATE_DOCS=1 pytest tests/bench/test_bench_pages.py` writes it again.
"""

import os
from xml.etree import ElementTree as ET

import pytest

MEDIANS = {"low": 1.0, "high": 9.0, "errors": 0, "kept_up": True}


def measured(cost, milliseconds=1.0):
    times = {f"{kind}_{part}_ms": milliseconds for kind in ("latency", "first_byte") for part in ("p50", "p99")}
    return {"cost": cost, **MEDIANS, **times}


def test_the_page_and_the_pictures_are_those_of_the_kept_results(bench):
    pages = bench("pages")
    if os.environ.get("UPDATE_DOCS"):
        pages.write()
    page = (pages.DOCS / "speed.md").read_text("utf-8")
    for name, text in pages.files(pages.kept("table"), pages.kept("curves"), page).items():
        assert (pages.DOCS / name).read_text("utf-8") == text, "UPDATE_DOCS=1 writes it again"


def test_every_load_and_every_goal_is_in_the_kept_table(bench):
    found, loads = bench("pages").kept("table"), bench("loads")
    assert set(found["loads"]) == {load.name for load in loads.LOADS}
    assert not [row for row in found["loads"].values() for each in row.values() if each["errors"]]
    shown = "\n".join(row[0] for row in bench("report").goals(found))
    for load in loads.LOADS:
        if load.goal or load.less or load.added:
            assert load.name in shown


def test_goals_are_met_or_not(bench):
    report = bench("report")
    row = {"nginx": measured(10), "floor": measured(50), "chat": measured(81), "litellm": measured(8200)}
    found = {"loads": {"small request, 50 connections": row}}
    assert report.goals(found)[1:] == [
        ["small request, 50 connections: times nginx", "8.10", "<= 8", "over"],
        ["small request, 50 connections: LiteLLM costs times as much", "101", ">= 100", "ok"],
    ]
    assert "81.0" in report.text(found)


def test_what_was_not_measured_leaves_no_ratio(bench):
    report = bench("report")
    found = {"loads": {"small request, 50 connections": {"chat": measured(81)}}}
    assert len(report.goals(found)) == 1
    assert "LiteLLM was not measured" in report.text(found)
    assert "nginx" not in report.markdown(report.costs(found))


def test_late_events_are_marked_and_explained(bench):
    row = {"litellm": measured(817) | {"kept_up": False}}
    text = bench("report").text({"loads": {"event, 50 streams, each 20 ms": row}})
    assert "817*" in text
    assert "could not keep up" in text


def test_added_time_is_that_over_a_direct_call(bench):
    row = {"chat": measured(81, milliseconds=1.25), "direct": measured(1, milliseconds=1.0)}
    found = {"loads": {"small request, 1 connection": row}}
    assert ["small request, 1 connection, ms added (p50)", "0.250", "<= 0.3", "ok"] in bench("report").goals(found)
    assert bench("report").delays(found)[1] == ["small request, 1 connection", "0.250 / 0.250"]


@pytest.mark.parametrize("values", [[1, 1000], [5, 5], [0.02, 0.3]])
def test_pictures_are_xml_and_inside_their_frame(bench, values):
    pictures = bench("pictures")
    low, high = values
    bars = pictures.bars("Cost & more", [("one <load>", {"nginx": low, "chat": high})])
    lines = pictures.lines("Cost", "streams", {"chat": [(1, low), (1000, high)]})
    for picture in (bars, lines):
        root = ET.fromstring(picture)
        wide, high_ = (float(each) for each in root.attrib["viewBox"].split()[2:])
        for element in root.iter():
            for name, limit in (("x", wide), ("cx", wide), ("x2", wide), ("y", high_), ("cy", high_), ("y2", high_)):
                assert 0 <= float(element.attrib.get(name, 0)) <= limit, element.attrib


def test_a_page_is_filled_between_its_marks(bench):
    page = "a\n<!-- table -->\nold\n<!-- /table -->\nz\n"
    pages = bench("pages")
    filled = pages.filled(page, "table", r"new \1")
    assert filled == "a\n<!-- table -->\n\nnew \\1\n\n<!-- /table -->\nz\n"
    assert pages.filled(filled, "table", r"new \1") == filled
    with pytest.raises(ValueError, match="no marks for curves"):
        pages.filled(page, "curves", "")
