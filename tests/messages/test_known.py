"""What was read before is not read again, and what is found is what reading all of it finds."""

import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.messages import known
from dragoman.messages.beginning import odd_turns
from dragoman.messages.body import Body
from dragoman.messages.edit import Changes, changed
from dragoman.messages.known import Known
from dragoman.messages.outline import Outline
from dragoman.messages.request import Request, decode

WHOLE = msgspec.json.Decoder(Outline)


def text(number: int, size: int = 2000) -> dict[str, Any]:
    role = "assistant" if number % 2 else "user"
    return {"role": role, "content": [{"type": "text", "text": f"{number} é " + "x" * size}]}


def tools(size: int = 20_000) -> list[dict[str, Any]]:
    return [{"name": "T", "description": "y" * size, "input_schema": {"type": "object"}}]


def conversation(turns: int, **fields: Any) -> bytes:
    body = {"model": "m", "max_tokens": 5, "system": "s", "messages": [text(each) for each in range(turns)]}
    return msgspec.json.encode({**body, "tools": tools(), "temperature": 0.5, **fields})


class Counted:
    """Counts the bytes that a decoder reads."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder
        self.size = 0

    def decode(self, raw: bytes) -> Any:
        self.size += len(raw)
        return self.decoder.decode(raw)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counter = Counted(known._APART)
    monkeypatch.setattr(known, "_APART", counter)
    return counter


def outline(remembered: Known, raw: bytes) -> Outline:
    parts = remembered.read(raw)
    found = parts.outline() if parts is not None else None
    return WHOLE.decode(raw) if found is None else found


def read_in_a_room(remembered: Known, raw: bytes, room: bytearray) -> None:
    """What a server does: bytes come to where others were before, and where more will be."""
    room[5 : 5 + len(raw)] = raw
    seen = remembered.seen(room, 5, 5 + len(raw))
    room[5 : 5 + len(raw)] = b"?" * len(raw)
    if seen is None:
        return
    assert len(seen) == len(raw)
    assert bytes(seen.cutting.pieces()) == bytes(seen) == raw
    parts = remembered.read(seen)
    if parts is None:
        return
    found = parts.outline()
    assert found is None or found == WHOLE.decode(raw)
    for changes in ({"model": b'"other"'}, {"tools": None}, {"messages": {0: b"1"}}):
        assert bytes(parts.edited(changes)) == changed(raw, changes)  # type: ignore[arg-type]


def test_a_conversation_that_goes_on_is_not_read_again(read: Counted) -> None:
    remembered = Known()
    for turns in range(20, 60, 2):
        raw = conversation(turns, metadata={"user_id": f"u{turns}"})
        read.size = 0
        assert outline(remembered, raw) == WHOLE.decode(raw)
        if turns > 20:
            assert read.size < len(raw) // 3


def test_new_marks_in_the_newest_turns_change_nothing(read: Counted) -> None:
    remembered = Known()
    for number in (20, 22):
        turns = [text(each) for each in range(number)]
        for each in (-1, -3):
            turns[each]["content"][0]["cache_control"] = {"type": "ephemeral"}
        raw = conversation(0, messages=turns)
        read.size = 0
        assert outline(remembered, raw) == WHOLE.decode(raw)
    assert read.size < len(raw) // 3


def test_whoever_writes_blanks_behind_commas_is_known_too(read: Counted) -> None:
    remembered = Known()
    for turns in (20, 40, 42):
        raw = conversation(turns).replace(b'},{"role"', b'}, {"role"')
        assert b"}, {" in raw
        read.size = 0
        assert outline(remembered, raw) == WHOLE.decode(raw)
    assert read.size < len(raw) // 3


def test_what_is_written_for_people_is_known_too(read: Counted) -> None:
    remembered = Known()
    raw = msgspec.json.format(conversation(20), indent=1)
    for _ in range(2):
        read.size = 0
        assert outline(remembered, raw) == WHOLE.decode(raw)
    assert read.size < len(raw) // 3


def test_another_conversation_in_the_middle() -> None:
    remembered = Known()
    other = conversation(20, model="other").replace(b"xx", b"zz")
    for raw in (conversation(20), other, conversation(22), other, conversation(18)):
        assert outline(remembered, raw) == WHOLE.decode(raw)


def test_what_is_known_may_stand_elsewhere() -> None:
    """The same bytes at the same place, which are no turns, or not those of the body."""
    remembered = Known()
    raw = conversation(20)
    outline(remembered, raw)
    start = raw.index(b'{"role"')
    before = b'{"model":"m","metadata":{"messages":['
    inside = before.ljust(start) + raw[start : raw.index(b',"tools"')] + b'},"messages":[]}'
    assert outline(remembered, inside) == WHOLE.decode(inside) == Outline("m", metadata=WHOLE.decode(inside).metadata)
    forged = inside.replace(b'"messages":[]', b'"messages":[%b]' % known._TURNS_SIGN)
    assert remembered.read(forged) is None
    twice = raw[:-1] + b',"messages":[],"tools":[]}'
    assert outline(remembered, twice) == WHOLE.decode(twice)
    assert outline(remembered, twice).messages == []
    both = raw[:-1] + b',"x":%b}' % known._TOOLS_SIGN
    assert outline(remembered, both) == WHOLE.decode(both)
    assert remembered.read(both) is None
    harmless = raw[:-1] + b',"x":"\x7f"}'
    assert outline(remembered, harmless) == WHOLE.decode(harmless)
    assert remembered.read(harmless) is not None


def test_tools_of_another_shape() -> None:
    remembered = Known()
    outline(remembered, conversation(20))
    for raw in (conversation(20, tools=None), conversation(20, tools=tools(600_000)), conversation(1)):
        assert outline(remembered, raw) == WHOLE.decode(raw)


def test_mistakes_are_told_as_if_nothing_was_known() -> None:
    remembered = Known()
    raw = conversation(20)
    outline(remembered, raw)
    for wrong in (raw[:-1], raw.replace(b'"max_tokens":5', b'"max_tokens":"'), raw.replace(b'"m"', b"777")):
        with pytest.raises(msgspec.DecodeError) as told:
            outline(remembered, wrong)
        with pytest.raises(msgspec.DecodeError) as wanted:
            WHOLE.decode(wrong)
        assert str(told.value) == str(wanted.value)


def test_it_is_bounded() -> None:
    remembered = Known(limit=500_000)
    for number in range(20):
        outline(
            remembered, conversation(20, system=f"{number:02d}", messages=[text(number + each) for each in range(20)])
        )
    assert 0 < len(remembered._conversations.met) < 5
    assert remembered._conversations.cost == sum(met.cost for met in remembered._conversations.met) <= 500_000
    huge = conversation(0, messages=[text(each, 100_000) for each in range(20)])
    assert outline(remembered, huge) == WHOLE.decode(huge)
    assert all(met.beginning.size < 200_000 for met in remembered._conversations.met)


def test_what_is_kept_does_not_keep_the_body() -> None:
    """A turn that is not remembered may hold 60 MB of pictures."""
    remembered = Known()
    tracemalloc.start()
    try:
        for _ in range(2):
            outline(remembered, conversation(0, messages=[*map(text, range(20)), text(20, 5_000_000)]))
        assert remembered._conversations.met
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


PIECES = st.sampled_from(
    [
        {"type": "text", "text": "a"},
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "tool_use", "id": "i", "name": "n", "input": {"messages": [{"role": "user"}], "model": "other"}},
        {"type": "tool_result", "tool_use_id": "i", "content": '"model":"x","messages":[{"role":"user"}]'},
    ]
)
TURNS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.lists(PIECES, max_size=3)}),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TURNS, st.booleans(), st.integers(0, 3)), min_size=1, max_size=5), st.booleans())
def test_it_finds_what_reading_all_finds(bodies: list[tuple[list[Any], bool, int]], first: bool) -> None:
    """Whatever came before: turns that are added, taken away or others, in any order of fields, with doubled ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "_WORTH", 10)
        remembered = Known(limit=40_000, least=10)
        room = bytearray(5)
        turns: list[Any] = []
        for more, grows, doubled in bodies:
            turns = [*turns, *more] if grows else more
            fields: list[tuple[str, Any]] = [("messages", turns), ("tools", tools(10)), ("model", "m")]
            fields = fields if first else fields[::-1]
            fields += fields[:doubled]
            raw = b"{" + b",".join(b'"%b":%b' % (n.encode(), msgspec.json.encode(v)) for n, v in fields) + b"}"
            for _ in range(2):
                read_in_a_room(remembered, raw, room)
                assert outline(remembered, raw) == WHOLE.decode(raw)


def test_long_bodies_go_that_way(read: Counted) -> None:
    raw = conversation(30, model="goes that way")
    for _ in range(2):
        read.size = 0
        assert Request(raw).outline == WHOLE.decode(raw)
    assert read.size < len(raw) // 3


def test_what_stood_in_the_room_before_is_no_part_of_a_body() -> None:
    """A body that is cut where a known one goes on behind it."""
    remembered = Known()
    long = conversation(24)
    outline(remembered, long)
    room = bytearray(5) + long
    for size in (len(long), *range(0, len(long), 997)):
        seen = remembered.seen(room, 5, 5 + size)
        assert seen is None or bytes(seen) == long[:size]
    assert remembered.seen(room, 5, 5 + len(long) // 2) is None  # the conversation goes on behind it


def test_what_is_known_in_two_places_at_once_is_not_known() -> None:
    """The turns, and a list of tools that stands among them."""
    remembered = Known()
    inner = tools()
    turns = [text(each) for each in range(20)]
    turns[3] = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "T", "input": {"all": inner}}]}
    raw = conversation(0, messages=turns, tools=None)
    outline(remembered, raw)
    listed = msgspec.json.encode(inner)
    remembered._tools.keep(listed, listed, raw)
    assert remembered.seen(raw, 0, len(raw)) is None
    assert outline(remembered, raw) == WHOLE.decode(raw)


PROMPT = [{"type": "text", "text": f"{number} é " + "p" * 3000} for number in range(10)]


@pytest.mark.parametrize("changed", [0, 4, 9])
def test_the_long_blocks_of_a_system_prompt_are_known_each_by_itself(read: Counted, changed: int) -> None:
    raws = []
    for turns in (20, 22, 24):
        prompt = [{"type": "text", "text": f"{turns}"}, *PROMPT]
        prompt[changed] = {"type": "text", "text": f"{turns}" + "z" * 3000}
        raws.append(conversation(turns, system=prompt))
        read.size = 0
        body = decode(raws[-1]).body
        assert body == msgspec.json.decode(raws[-1], type=Body)
    assert read.size < 24_000


def test_another_system_prompt_is_known_from_then_on(read: Counted) -> None:
    remembered = Known()
    for number, turns in enumerate(range(20, 32, 2)):
        version = "new" if number >= 3 else "old"
        prompt = [{"type": "text", "text": f"{each} {version} " + "p" * 3000} for each in range(10)]
        read.size = 0
        raw = conversation(turns, system=prompt)
        assert outline(remembered, raw) == WHOLE.decode(raw)
        assert (read.size > 30_000) is (number in (0, 3))


def test_two_that_go_on_from_the_same_turn_at_the_same_time() -> None:
    remembered = Known()
    outline(remembered, conversation(10))
    raws = [
        conversation(0, messages=[*map(text, range(10)), *(text(each + more) for each in range(10, 15))])
        for more in (0, 100, 200)
    ]
    seen = [remembered.seen(raw, 0, len(raw)) for raw in raws]
    assert all(seen)
    for found, raw in zip(seen, raws, strict=True):
        assert found is not None
        parts = remembered.read(found)
        assert parts is not None
        assert parts.outline() == WHOLE.decode(raw)
    for raw in raws:
        known = remembered.seen(raw, 0, len(raw))
        assert known is not None
        assert known.beginning is not None
        assert known.beginning.count == 14
        assert outline(remembered, raw) == WHOLE.decode(raw)


def test_a_sign_of_the_callers_own_in_the_system_prompt() -> None:
    remembered = Known()
    outline(remembered, conversation(20, system=PROMPT))
    raw = conversation(20, system=PROMPT)
    start = raw.index(b'"system":') + 9
    end = raw.index(b',"messages":')
    moved = raw[:start] + b"[]" + raw[end:-1] + b',"x":' + raw[start:end] + b"}"
    inside = b'{"model":"m","x":' + raw[start:-1].replace(b',"messages"', b',"system":[],"messages"') + b"}"
    other = raw.replace(b'"system":', b'"sistem":')
    for odd in (
        other[:-1] + b',"system":[]}',
        other,
        inside,
        moved,
        raw[:start] + b'"text"' + raw[end:],
        raw.replace(b'"max_tokens":5,', b""),
    ):
        assert outline(remembered, odd) == WHOLE.decode(odd)
        assert decode(odd, counting=True).body == msgspec.json.decode(odd, type=Body)


def test_turns_that_only_an_upstream_understands_are_passed_on() -> None:
    remembered = Known()
    odd = [{"role": "user", "content": 7}, *[text(each) for each in range(1, 21)]]
    for _ in range(2):
        parts = remembered.read(conversation(0, messages=odd))
        assert parts is not None
        assert parts.outline() is None
        assert parts.body() is None


def test_outlines_are_looked_at_one_by_one() -> None:
    remembered = Known()
    for turns in (10, 12, 14):
        raw = conversation(turns)
        found, wanted = outline(remembered, raw).messages, WHOLE.decode(raw).messages
        assert found[-1] == wanted[-1]
        assert [found[index] for index in range(-turns, turns)] == [wanted[index] for index in range(-turns, turns)]
        assert found[3:5] == wanted[3:5]
        assert len(found) == turns
        assert found != wanted[1:]


def test_messages_of_another_kind_come_first(read: Counted) -> None:
    remembered = Known()
    for turns in (20, 22):
        raw = conversation(turns, tools=None).replace(b'"system":"s"', b'"metadata":{"messages":5},"system":"s"')
        read.size = 0
        assert outline(remembered, raw) == WHOLE.decode(raw)
    assert read.size < len(raw) // 3


def test_what_was_passed_on_for_long_is_translated_then() -> None:
    """And the other way round: each finds what reading all finds."""
    remembered = Known()
    cited = {"role": "assistant", "content": [{"type": "text", "text": "c", "citations": []}]}
    told = {"role": "system", "content": "remember"}
    all_turns = [*[text(each) for each in range(7)], cited, text(8), told, *[text(each) for each in range(9, 200)]]
    for turns in range(20, 120, 2):
        raw = conversation(0, messages=all_turns[:turns])
        parts = remembered.read(raw)
        assert parts is not None
        if turns % 20 == 0:
            assert parts.body() == msgspec.json.decode(raw, type=Body)
        found, wanted = parts.outline(), WHOLE.decode(raw)
        assert found == wanted
        assert odd_turns(found.messages) == odd_turns(wanted.messages)
        assert odd_turns(wanted.messages) == [7, 9]


@pytest.mark.parametrize("place", ["first", "last"])
def test_what_is_known_is_put_back_into_a_body_that_is_edited(place: str) -> None:
    for turns in (20, 22, 24):
        raw = conversation(turns, system=PROMPT, model="edited", metadata={"user_id": "é"})
        if place == "last":
            raw = b'{"temperature":1,' + raw[1:].replace(b'"temperature":0.5,', b"")
        all_changes: list[Changes] = [
            {"model": b'"other"'},
            {"model": None, "version": b'"1"', "temperature": None},
            {"model": b'"\x7ftools"'},
            {"messages": {0: None}, "model": b'"x"'},
        ]
        for changes in all_changes:
            assert bytes(Request(raw).edited(changes)) == changed(raw, changes)
