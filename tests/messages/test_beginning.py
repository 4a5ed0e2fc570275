"""What a conversation began with is found by its text, grows with it, and is forgotten in time."""

import json
from typing import Any

import pytest

from dragoman.messages import decoding, estimate
from dragoman.messages.beginning import Beginning, KnownTurns, beginning_of
from dragoman.messages.body import Body, KnownTools
from dragoman.messages.errors import ApiError
from dragoman.messages.known import Known
from dragoman.messages.request import decode

WORDS = "words that make it long enough " * 40
LIMIT = 2**20


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> Known:
    known = Known(LIMIT)
    monkeypatch.setattr(decoding, "_KNOWN", known)
    return known


def asked(number: int, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": f"{number} {WORDS}", **more}]}


def answered(number: int) -> dict[str, Any]:
    call = {"type": "tool_use", "id": f"toolu_{number}", "name": f"tool{number}", "input": {"said": WORDS}}
    return {"role": "assistant", "content": [call]}


def talk(rounds: int) -> list[dict[str, Any]]:
    return [turn for number in range(rounds) for turn in (asked(number), answered(number))]


def body_of(turns: list[Any], **more: Any) -> Body:
    return decode(json.dumps({"model": "m", "max_tokens": 1, "messages": turns, **more}).encode()).body


def known(body: Body) -> int:
    """How many turns of it are a known beginning."""
    beginning = beginning_of(body.messages)
    return beginning.count if beginning is not None else 0


def test_a_conversation_that_grows_is_known_up_to_its_last_answer() -> None:
    for rounds in range(4, 50):
        turns = [*talk(rounds), asked(rounds)]
        found = body_of(turns)
        assert known(found) == 2 * rounds
        assert json.loads(bytes(found.messages[-2].content[0].input))["said"] == WORDS  # type: ignore[union-attr,index]
        assert isinstance(found.messages, KnownTurns)
        assert found.messages == body_of(turns, metadata={"user_id": "another"}).messages
        assert found.messages[0] is body_of(turns).messages[0], "it was decoded again"


def test_a_caller_who_goes_back_and_on_in_another_way_is_known_up_to_there() -> None:
    """A conversation that is rewound, forked, or asked several times for the best of many answers."""
    for rounds in range(4, 12):
        body_of([*talk(rounds), asked(rounds)])
    whole = body_of([*talk(12), asked(12)])
    other = [asked(99), answered(99), asked(98)]
    for rounds in (9, 4, 11, 12):
        found = body_of([*talk(rounds), *other])
        assert known(found) >= 2 * rounds
        assert found.messages[2 * rounds - 1] is whole.messages[2 * rounds - 1], "it was decoded again"
        assert found.messages == [*whole.messages[: 2 * rounds], *body_of(other).messages]
    assert body_of([*talk(12), asked(12)]).messages[23] is whole.messages[23], "the first one was forgotten for them"
    assert known(body_of([*talk(3), *other])) == 8, "nothing that short was met"


def test_what_is_known_for_going_back_has_an_end() -> None:
    """Its text is put together anew from time to time, and is not kept twice for long."""
    for rounds in range(4, 90):
        beginning = beginning_of(body_of([*talk(rounds), asked(rounds)]).messages)
        assert beginning is not None
        steps = 0
        while (shorter := beginning.before) is not None:
            assert shorter.count < beginning.count
            beginning, steps = shorter, steps + 1
        assert steps <= 33


def test_turns_are_found_wherever_they_stand() -> None:
    turns = [*talk(4), asked(4)]
    first = body_of(turns)
    for more in ({"metadata": {"user_id": "x" * 99}}, {"system": "y" * 99}, {"stream": True}):
        raw = json.dumps({**more, "model": "m", "max_tokens": 1, "messages": turns}, indent=None)
        assert decode(raw.encode()).body.messages[0] is first.messages[0]
    spaced = json.dumps({"model": "m", "max_tokens": 1, "messages": turns}, indent=1).encode()
    assert known(decode(spaced).body) == 8
    assert decode(spaced).body.messages[1].content[0].name == "tool0"  # type: ignore[union-attr,index]


def test_breakpoints_that_move_are_left_out_of_it() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    assert known(body_of([*talk(6), asked(6, **mark)])) == 12
    assert known(body_of([*talk(5), asked(5, **mark), answered(5), asked(6, **mark)])) == 10
    assert known(body_of([asked(99, **mark), *talk(6), asked(6)])) == 13, "that one will stay where it is"


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [asked(0)],
        talk(4),
        [asked(0), asked(1), asked(2), asked(3), asked(4), asked(5)],
        [{"role": "user", "content": "short"}, {"role": "assistant", "content": "too"}, asked(0), asked(1), asked(2)],
    ],
)
def test_where_no_answer_was_replied_to_nothing_is_remembered(turns: list[Any]) -> None:
    found = body_of(turns, system=WORDS * 10)
    assert known(found) in (0, 6)
    assert len(found.messages) == len(turns)


def test_an_answer_in_parts_is_not_taken_apart() -> None:
    body_of([*talk(4), asked(4)])
    found = body_of([*talk(4), answered(4), asked(5)])
    assert known(found) == 0
    assert len(found.messages) == 10
    assert known(body_of([*talk(4), asked(4)])) == 8
    prefilled = body_of(talk(4))
    assert len(prefilled.messages) == 8


def test_a_text_is_not_known_by_its_bytes_alone() -> None:
    """The same text elsewhere, or the sign that stands for known turns, written by the caller."""
    turns = [*talk(4), asked(4)]
    body_of(turns)
    elsewhere = {"x": {"messages": turns}, "model": "m", "max_tokens": 1, "messages": [asked(7)]}
    found = decode(json.dumps(elsewhere).encode()).body
    assert found.messages == body_of([asked(7)]).messages
    for forged in ("\0turns", ["\0turns"]):
        raw = json.dumps({"model": "m", "max_tokens": 1, "messages": turns, "x": forged}).encode()
        assert decode(raw).body.messages == body_of(turns).messages
    with pytest.raises(ApiError, match=r"messages\.0: Expected `object`, got `str`"):
        decode(json.dumps({**elsewhere, "messages": ["\0turns", asked(7)]}).encode())
    raw = json.dumps({"model": "m", "max_tokens": 1, "messages": turns}).encode()
    for odd in (b'"mess\\u0061ges":', b'"messages" :\n'):
        assert decode(raw.replace(b'"messages":', odd)).body.messages == body_of(turns).messages
    twice = b'{"x":{"messages":[1]},' + json.dumps({"model": "m", "max_tokens": 1, "messages": turns}).encode()[1:]
    assert decode(twice).body.messages == body_of(turns).messages


def test_what_is_wrong_behind_a_beginning_is_told_by_its_place() -> None:
    body_of([*talk(4), asked(4)])
    deep: Any = 1
    for _ in range(101):
        deep = [deep]
    wrong = {"role": "user", "content": [{"type": "text", "text": 5}]}
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {"x": deep}}]}
    for turns, said in (
        ([*talk(4), wrong], "messages.8.content.0.text: Expected `str | null`, got `int`"),
        ([*talk(4), asked(4), call, asked(5)], "messages.9.content.0.input: nested more than 100 levels deep."),
        ([*talk(4), asked(4), call], "messages.9.content.0.input: nested more than 100 levels deep."),
        ([*talk(4), {"role": 1, "content": "x"}], "messages.8.role: Expected `str`, got `int`"),
        ([*talk(4), 7], "messages.8: Expected `object`, got `int`"),
    ):
        with pytest.raises(ApiError) as told:
            body_of(turns)
        assert told.value.message == said


def test_a_part_of_its_text_wherever_its_pieces_meet() -> None:
    texts = [b'{"role":"user"}', b',{"role":"assistant"}', b',{"role":"user"},{"role":"assistant"}']
    beginning: Beginning | None = None
    for text in texts:
        beginning = Beginning(text, 1, beginning)
    assert beginning is not None
    assert len(beginning.pieces) == len(texts)
    whole = b"".join(texts)
    for at in range(len(whole)):
        for size in (1, 16, 40, 64):
            assert beginning.part(at, size) == whole[at : at + size]


def test_the_memory_is_bounded(memory: Known) -> None:
    first = [*talk(4), asked(4)]
    body_of(first)
    for number in range(100):
        body_of([asked(1000 + number), *talk(4), asked(4)])
    kept = body_of([asked(1099), *talk(4), asked(4)])
    assert kept.messages[0] is body_of([asked(1099), *talk(4), asked(4)]).messages[0]
    assert len(memory._conversations.met) < 100
    assert sum(met.cost for met in memory._conversations.met) == memory._conversations.cost <= LIMIT
    long = [*talk(60), asked(60)]
    assert known(body_of(long)) == 0, "an eighth of the memory is the most for one"


def test_what_grew_is_no_longer_kept_short(memory: Known) -> None:
    for rounds in range(4, 12):
        body_of([*talk(rounds), asked(rounds)])
    assert [met.beginning.count for met in memory._conversations.met] == [22]


def test_values_are_made_once_and_made_longer() -> None:
    made: list[int | None] = []

    def count(before: int | None) -> int:
        made.append(before)
        return (before or 0) + 1

    first = Beginning(b"a", 1)
    assert [first.value("key", count), first.value("key", count)] == [1, 1]
    second = Beginning(b",b", 2, first)
    assert [second.value("key", count), second.value("other", count)] == [2, 1]
    assert made == [None, 1, None]
    for key in range(10):
        second.value(key, count)
    assert second.kept("key") is None, "there are only so many"


def test_tokens_do_not_depend_on_what_is_known(memory: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [estimate.tokens(body_of([*talk(rounds), asked(rounds)])) for rounds in range(4, 50)]
    monkeypatch.setattr(decoding, "_KNOWN", Known(0))
    bodies = [body_of([*talk(rounds), asked(rounds)]) for rounds in range(4, 50)]
    assert not any(map(known, bodies))
    assert found == [estimate.tokens(body) for body in bodies]


def test_tools_are_not_known_by_their_bytes_alone() -> None:
    tools = [{"name": f"tool{number}", "description": WORDS, "input_schema": {"n": 8_731}} for number in range(9)]
    raw = json.dumps({"model": "m", "max_tokens": 1, "messages": talk(1), "tools": tools}).encode()
    assert len(decode(raw).body.tools or ()) == 9
    assert decode(raw.replace(b'"tools": [', b'"tulip": [')).body.tools is None


def test_a_very_long_list_of_tools_is_not_remembered() -> None:
    tools = [{"name": "tool", "description": WORDS * 500, "input_schema": {"n": 1}}]
    raw = json.dumps({"model": "m", "max_tokens": 1, "messages": talk(1), "tools": tools}).encode()
    assert not isinstance(decode(raw).body.tools, KnownTools)
