"""Odd bytes and odd types: everything that makes sense is kept, and nothing raises but ValueError."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.messages.lenient import Halves, clean, count, dicts, join_halves, parse, parsed, sound, text

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_value_error(body: bytes) -> None:
    try:
        found = parse(body)
    except ValueError:
        assert parsed(body) is None
        return
    assert json.dumps(parsed(body)) == json.dumps(found)
    json.loads(body.decode("utf-8", "replace"))


def test_what_is_no_utf8_is_read_all_the_same() -> None:
    assert sound(msgspec.json.decode, msgspec.Raw(b'"a\xffb"')) == "a\ufffdb"
    assert sound(msgspec.json.decode, b'"a"') == "a"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'["\\ud83d",' + b"[" * 100_000])
def test_deep_nesting_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="nested"):
        parse(body)


def test_numbers_that_no_machine_holds() -> None:
    assert parse(b"[1e999999, 7, %b, -%b]" % (b"9" * 5000, b"9" * 5000)) == [math.inf, 7, math.inf, -math.inf]


@given(_JSON)
def test_clean_values_can_be_written(value: Any) -> None:
    json.dumps(clean(value), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("cut", "joined"),
    [
        ("a", "a"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d", "\ufffd"),
        ("\ude00a", "\ufffda"),
        ("\ud83d\ud83d\ude00x", "\ufffd😀x"),
    ],
)
def test_halves_are_joined_or_replaced(cut: str, joined: str) -> None:
    assert join_halves(cut) == joined


def test_halves_find_each_other_over_pieces_of_one_stream() -> None:
    halves = Halves()
    assert [halves.join("a", "x\ud83d"), halves.join("b", "y"), halves.join("a", "\ude00z")] == ["x", "y", "😀z"]
    assert not halves.replaced
    assert halves.join("b", "\ud83d") == ""
    assert halves.left() == ["b"]
    assert halves.join("c", "\ude00") == "\ufffd"
    assert halves.replaced


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3), (3.7, 3), ("12", 12), ("1e3", None), (True, None), (None, None), ([], None), (1e300, None)],
)
def test_counts(value: Any, number: int | None) -> None:
    assert count(value) == number


def test_texts_and_objects() -> None:
    assert (text("a"), text(3)) == ("a", None)
    assert (dicts([{"a": 1}, 3]), dicts({"a": 1}), dicts("a")) == ([{"a": 1}], [{"a": 1}], [])
