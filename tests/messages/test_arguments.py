"""Tool arguments: streamed when they are well-formed, mended when they are not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.messages.arguments import Arguments, mend


def play(fragments: list[str], *, cut: bool = False) -> tuple[str, str | None]:
    arguments = Arguments()
    out = ""
    for fragment in fragments:
        arguments.add(fragment)
        out += arguments.ready()
    rest, note = arguments.close(cut=cut)
    return out + rest, note


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), JSON), st.data())
def test_well_formed_arguments_pass_as_they_are(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    fragments = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    out, note = play(fragments)
    assert note is None
    assert out == ("" if value == {} else text)


@given(st.lists(st.text(max_size=6), max_size=5))
def test_whatever_comes_a_held_call_ends_as_an_object_or_says_so(fragments: list[str]) -> None:
    out, note = play(fragments)
    if note != "arguments.invalid":
        assert isinstance(json.loads(out or "{}"), dict)


@pytest.mark.failure(63)
@pytest.mark.parametrize(
    ("fragments", "value", "note"),
    [
        ([], {}, None),
        ([""], {}, None),
        ([" ", "{", "}"], {}, None),
        (["null"], {}, None),
        (["{}", '{"a":', "1}"], {"a": 1}, None),
        (['{}{"a":1}'], {"a": 1}, None),
        (["{} x"], {"_raw": "x"}, "arguments.invalid"),
        (["{'a': 'b'}"], {"a": "b"}, "arguments.repaired"),
        (["{'a': ", "True}"], {"a": True}, "arguments.repaired"),
        (['{"a": 1,}'], {"a": 1}, "arguments.repaired"),
        (['"{\\"a\\":1}"'], {"a": 1}, "arguments.repaired"),
        (['"text"'], {"value": "text"}, "arguments.repaired"),
        (["[1,", "2]"], {"value": [1, 2]}, "arguments.repaired"),
        (['{"a":1} {"b":2}'], {"a": 1}, "arguments.repaired"),
        (["nonsense"], {"_raw": "nonsense"}, "arguments.invalid"),
        (["{x}"], {"_raw": "{x}"}, "arguments.invalid"),
    ],
)
def test_odd_arguments(fragments: list[str], value: Any, note: str | None) -> None:
    out, noted = play(fragments)
    assert json.loads(out or "{}") == value
    assert noted == note


def test_what_was_streamed_and_turns_out_wrong_is_a_note() -> None:
    assert play(['{"a": "', 'x",}']) == ('{"a": "x",}', "arguments.invalid")


@pytest.mark.failure(62)
@pytest.mark.parametrize("fragments", [['{"a": "x'], ["{"], ["{'a"]])
def test_a_call_cut_by_the_output_limit_stays_as_it_is(fragments: list[str]) -> None:
    assert play(fragments, cut=True) == ("".join(fragments), None)


def test_nothing_is_ready_before_it_looks_like_an_object() -> None:
    arguments = Arguments()
    assert not arguments.complete()
    for fragment, ready in [(" ", ""), ("{", ""), ('"a"', ' {"a"'), (":1", ":1"), ("}", "}")]:
        arguments.add(fragment)
        assert arguments.ready() == ready
    assert arguments.ready() == ""
    assert arguments.complete()


def test_a_literal_that_json_cannot_hold_is_kept_as_text() -> None:
    assert json.loads(mend("{'a': {1, 2}}")[0]) == {"_raw": "{'a': {1, 2}}"}
    assert json.loads(mend("{'" + "a" * 100_001)[0])["_raw"].startswith("{'a")
    assert mend("[" * 3000)[1] == "arguments.invalid"
    assert mend('{} "x')[1] == "arguments.invalid"
    assert mend("{} {}")[1] == "arguments.invalid"
