"""Small edits of JSON: what is not changed keeps every byte."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.messages.edit import EACH, MORE, changed, changed_request, with_model

# JSON as it is written by hand: odd spaces, odd escapes, halves of characters, numbers that no machine can hold.
SPACE = st.sampled_from(["", "", " ", "\n", "\t ", "\r\n"])
STRING = st.sampled_from(
    ['"a"', '""', '"model"', r'"\u006dodel"', r'"\ud83d"', r'"\"model\":\"x\""', '"é"', r'"\\"', r'"{\"[,:]}"', '"+"']
)
SCALAR = st.sampled_from(
    ["1", "12", "-0.0", "1e999999", "123456789012345678901234567890", "1.50", "true", "false", "null"]
)
KEY = st.sampled_from(['"model"', r'"\u006dodel"', '"a"', '"messages"', '"models"', r'"\ud83d"', '"é"', '""', '"*"'])


@st.composite
def written(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """A list or an object around `inner`."""
    rows = draw(st.lists(inner, max_size=4))
    if draw(st.booleans()):
        return "[" + ",".join(draw(SPACE) + row + draw(SPACE) for row in rows) + draw(SPACE) * (not rows) + "]"
    members = [f"{draw(SPACE)}{draw(KEY)}{draw(SPACE)}:{draw(SPACE)}{row}{draw(SPACE)}" for row in rows]
    return "{" + ",".join(members) + draw(SPACE) * (not rows) + "}"


VALUE = st.recursive(STRING | SCALAR, written, max_leaves=12)


@st.composite
def objects(draw: st.DrawFn) -> str:
    """An object with a model somewhere at its top."""
    members = draw(st.lists(st.tuples(KEY, VALUE), max_size=4))
    place = draw(st.integers(0, len(members)))
    members.insert(place, (draw(st.sampled_from(['"model"', r'"\u006dodel"', r'"mod\u0065l"'])), draw(STRING)))
    text = ",".join(f"{draw(SPACE)}{key}{draw(SPACE)}:{draw(SPACE)}{value}{draw(SPACE)}" for key, value in members)
    return f"{draw(SPACE)}{{{text}}}{draw(SPACE)}"


def pairs(text: bytes) -> Any:
    """The whole of a JSON text, with names that come twice, and numbers as they are written."""
    return json.loads(
        text, object_pairs_hook=lambda found: ("object", found), parse_float=str, parse_int=str, parse_constant=str
    )


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(text=objects(), more=st.booleans())
def test_the_short_way_to_the_model_of_a_request_leads_where_the_long_one_does(text: str, *, more: bool) -> None:
    changes = {"model": b'"new"'} | ({"top": b"1"} if more else {})
    assert changed_request(text.encode(), dict(changes)) == changed(text.encode(), dict(changes))


def test_the_short_way_takes_only_a_string_for_the_model() -> None:
    for text in (b'{"model" : 5}', b'{"x":"model"}', b'["model"]'):
        assert changed_request(text, {"model": b'"new"'}) == changed(text, {"model": b'"new"'})
    assert changed_request(b'{"a":1,"model" : "x\\"","b":2}', {"model": b'"y"'}) == b'{"a":1,"model" : "y","b":2}'


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(text=objects(), model=st.sampled_from(["claude", 'odd "name"\n', "modèle", ""]))
def test_only_the_value_of_the_model_is_another(text: str, model: str) -> None:
    raw = text.encode()
    made = with_model(raw, model)
    kind, before = pairs(raw)
    assert pairs(made) == (kind, [(name, model if name == "model" else value) for name, value in before])
    # The rest is the same, byte for byte: what is put back is what was there.
    values = [value for name, value in before if name == "model"]
    if len(values) == 1:
        mark = msgspec.json.encode(model)
        positions = [at for at in range(len(made)) if made.startswith(mark, at)]
        for written_as in {text[a:b].encode() for a in range(len(text)) for b in range(a, min(a + 24, len(text)) + 1)}:
            if any(made[:at] + written_as + made[at + len(mark) :] == raw for at in positions):
                break
        else:
            pytest.fail("more than one place was changed")


def test_a_large_body_is_edited_in_one_place() -> None:
    turns = [{"role": "user", "content": 'so "model":"x" \n\\' * 700} for _ in range(30)]
    raw = json.dumps({"messages": turns, "tools": [{"model": "inner"}] * 99, "model": "a"}, indent=1).encode()
    assert len(raw) > 300_000
    at = raw.rindex(b'"a"')
    assert with_model(raw, "claude-x") == raw[:at] + b'"claude-x"' + raw[at + 3 :]


def test_the_model_may_be_any_value() -> None:
    assert with_model(b'{"model" : {"a":[1]} ,"b":2}', "m") == b'{"model" : "m" ,"b":2}'
    assert with_model(b'{"model":1,"model":12,"model":[{"}":"]"},3]}', "m") == b'{"model":"m","model":"m","model":"m"}'
    assert with_model(b'{"model":1.5,"model":1}', "m") == b'{"model":"m","model":"m"}'


def test_bytes_that_are_no_utf8_stay() -> None:
    assert with_model(b'{"\xff":1,"a":"\xc3","model":"x"}', "m") == b'{"\xff":1,"a":"\xc3","model":"m"}'


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'["model"]', b"null", b'"model"', b"{}", b'{"a":{"model":"x"}}', b'{"model":"x"} x']
)
def test_no_object_with_a_model(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        with_model(raw, "m")


def test_what_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError, match="deep"):
        with_model(b'{"model":"x","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "m")


@pytest.mark.parametrize(
    ("raw", "changes", "made"),
    [
        (b'{"a": 1, "b": 2, "c": 3}', {"a": None}, b'{"b": 2, "c": 3}'),
        (b'{"a": 1, "b": 2, "c": 3}', {"b": None}, b'{"a": 1, "c": 3}'),
        (b'{"a": 1, "b": 2, "c": 3}', {"c": None}, b'{"a": 1, "b": 2}'),
        (b'{"a": 1, "b": 2, "c": 3}', {"a": None, "b": None}, b'{"c": 3}'),
        (b'{"a": 1, "b": 2, "c": 3}', {"b": None, "c": None}, b'{"a": 1}'),
        (b'{ "a": 1, "b": 2 }', {"a": None, "b": None}, b"{  }"),
        (b'{"a": 1, "b": 2}', {"a": None, "b": None, "c": b"3"}, b'{"c":3}'),
        (b'{"a": 1, "b": 2}', {"b": None, "c": b"3", "d": b"[]"}, b'{"a": 1,"c":3,"d":[]}'),
        (b"{}", {"a": b"1"}, b'{"a":1}'),
        (b"{}", {"a": None, "b": {"c": None}}, b"{}"),
        (b'{"a":1,"a":2,"b":3}', {"a": None}, b'{"b":3}'),
        (b'{"a":{"b":[1,{"c":2}]}}', {"a": {"b": {1: {"c": b"3"}}}}, b'{"a":{"b":[1,{"c":3}]}}'),
        (b"[1, 2, 3]", {0: None}, b"[2, 3]"),
        (b"[1, 2, 3]", {2: None, MORE: b"4,5"}, b"[1, 2,4,5]"),
        (b"[1]", {0: None, MORE: b"2"}, b"[2]"),
        (b"[ ]", {MORE: b"2"}, b"[2 ]"),
        (b'[{"a":1,"b":2},{"b":3},4]', {EACH: {"b": None}}, b'[{"a":1},{},4]'),
        (b'[{"a":1},{"a":2}]', {0: {}, EACH: {"a": None}}, b'[{"a":1},{}]'),
        (b'"text"', {"a": b"1"}, b'"text"'),
    ],
)
def test_changes(raw: bytes, changes: Any, made: bytes) -> None:
    assert changed(raw, changes) == made


def test_it_says_what_was_there() -> None:
    found: list[str] = []
    changed(b'{"a":[{"b":1},{"c":2},{"b":3}],"d":4}', {"a": {EACH: {"b": None}}, "d": b"5", "e": b"6"}, found)
    assert found == ["a.0.b", "a.2.b", "d"]


LISTS = st.lists(st.sampled_from(["1", '"a,b"', "[2]", "{}", r'"\ud83d"']), max_size=6)


@given(rows=LISTS, gaps=st.lists(SPACE, min_size=14, max_size=14), data=st.data())
def test_whatever_goes_the_rest_is_json_and_stays(rows: list[str], gaps: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, 5)))
    more = data.draw(st.sampled_from([{}, {MORE: b"7"}]))
    raw = "[" + ",".join(gaps[2 * at] + row + gaps[2 * at + 1] for at, row in enumerate(rows)) + "]"
    made = changed(raw.encode(), {**dict.fromkeys(gone), **more})
    kept = [json.loads(row) for at, row in enumerate(rows) if at not in gone]
    assert json.loads(made) == [*kept, *([7] if more else [])]
