"""Tool names and ids: legal upstream, the same each time, and back again."""

import re
from itertools import permutations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dragoman.messages.names import LEGAL_ID, Names, mint, tool_id

LIMITS = st.integers(16, 128)
LONG = "mcp__plugin_oh-my-claudecode_omc-tools__lsp_diagnostics_directory"


NAME = st.text(max_size=90) | st.text("aZ0_-", min_size=1, max_size=90)


@given(st.lists(NAME, max_size=6), LIMITS, st.booleans())
def test_upstream_names_are_legal_and_lead_back(names: list[str], limit: int, begins: bool) -> None:
    found = Names.of(names, limit=limit, begins=begins)
    for name in names:
        out = found.out(name)
        assert re.fullmatch(rf"[a-zA-Z0-9_-]{{1,{limit}}}", out)
        assert not begins or re.match("[a-zA-Z_]", out)
        assert found.back.get(out, out) == name
        assert (out == name) == (out not in found.back)
    assert len({found.out(name) for name in names}) == len(set(names))


@given(st.lists(NAME, max_size=4), NAME, LIMITS, st.booleans())
def test_a_name_does_not_depend_on_its_neighbours(others: list[str], name: str, limit: int, begins: bool) -> None:
    alone = Names.of([name], limit=limit, begins=begins).out(name)
    assume(alone not in others or alone == name)
    assert Names.of([*others, name], limit=limit, begins=begins).out(name) == alone
    assert Names.of(others, limit=limit, begins=begins).out(name) == alone


@pytest.mark.failure(32)
def test_65_characters_are_shortened_to_64() -> None:
    names = Names.of([LONG, "Bash"], limit=64)
    assert names.out(LONG) == "mcp__plugin_oh-my-claudecode_omc-tools__lsp_diagnostics_9397b533"
    assert len(names.out(LONG)) == 64
    assert names.out("Bash") == "Bash"
    assert names.back == {names.out(LONG): LONG}


@pytest.mark.failure(32)
@pytest.mark.parametrize("name", ["a.b", "a b", "ä", "a/b", "a:b", "a\n", "", "\ud83d"])
def test_illegal_characters_are_replaced(name: str) -> None:
    out = Names.of([name], limit=64).out(name)
    assert re.fullmatch(r"[a-zA-Z0-9_-]*_[0-9a-f]{8}", out)


@pytest.mark.failure(32)
def test_names_that_begin_with_no_letter() -> None:
    names = Names.of(["3d_view", "-", "_x", "x3"], limit=64, begins=True)
    assert [names.out(name) for name in ("_x", "x3")] == ["_x", "x3"]
    assert re.fullmatch("_3d_view_[0-9a-f]{8}", names.out("3d_view"))
    assert re.fullmatch("_-_[0-9a-f]{8}", names.out("-"))
    assert names.back == {names.out(name): name for name in ("3d_view", "-")}
    assert names.out("4d") == Names.of(["4d"], limit=64, begins=True).out("4d") != "4d"
    assert len(Names.of(["3" * 64], limit=64, begins=True).out("3" * 64)) == 64
    assert Names.of(["3d_view"], limit=64).out("3d_view") == "3d_view"


def test_a_tool_that_has_the_shortened_name_already() -> None:
    taken = Names.of(["a.b"], limit=64).out("a.b")
    again = Names.of([taken, "a.b"], limit=64)
    assert again.out(taken) == taken
    assert again.out("a.b") not in (taken, "a.b")
    assert again.back == {again.out("a.b"): "a.b"}


def test_the_order_of_names_does_not_matter() -> None:
    taken = Names.of(["a.b"], limit=64).out("a.b")
    all_of_them = {str(Names.of(order, limit=64).back) for order in permutations([taken, "a.b", "a/b", LONG])}
    assert len(all_of_them) == 1


@given(st.text(max_size=90), LIMITS)
def test_ids_are_legal_and_stay_when_they_are(id_: str, limit: int) -> None:
    out = tool_id(id_, limit=limit)
    assert re.fullmatch(rf"[a-zA-Z0-9_-]{{1,{limit}}}", out)
    assert tool_id(out, limit=limit) == out
    nine = tool_id(id_, limit=limit, style="alphanumeric9")
    assert re.fullmatch(r"[a-zA-Z0-9]{9}", nine)
    assert tool_id(nine, limit=limit, style="alphanumeric9") == nine


@pytest.mark.failure(64)
def test_ids_of_other_vendors() -> None:
    assert tool_id("toolu_01A09q90qw90lq917835lq9", limit=40) == "toolu_01A09q90qw90lq917835lq9"
    assert tool_id("functions.Bash:0", limit=40) == "call_a97d15071f75fb2043da80d3805220af"
    assert tool_id("functions.Bash:0", limit=40) != tool_id("functions.Bash:1", limit=40)
    assert tool_id("x" * 41, limit=40).startswith("call_")
    assert tool_id("", limit=40).startswith("call_")
    assert tool_id("a1B2c3D4e", limit=40, style="alphanumeric9") == "a1B2c3D4e"
    assert tool_id("äääääääää", limit=40, style="alphanumeric9").isascii()


@given(st.text(max_size=40), st.integers(0, 1000))
def test_minted_ids_are_legal_and_repeatable(message_id: str, number: int) -> None:
    minted = mint(message_id, number)
    assert re.fullmatch(r"toolu_[a-zA-Z0-9]{24}", minted)
    assert LEGAL_ID.match(minted)
    assert minted == mint(message_id, number)
    assert minted != mint(message_id, number + 1)


@pytest.mark.parametrize("id_", ["", "a.b", "a\n", "x" * 65, "ä"])
def test_what_is_no_legal_id(id_: str) -> None:
    assert not LEGAL_ID.search(id_)
