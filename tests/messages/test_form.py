"""The form of a beginning: JSON of all its items, with commas between them, however often it became longer."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from dragoman.messages.conversation import Open
from dragoman.messages.form import NO_FORM, written
from dragoman.messages.notes import Note


def test_a_form_grows() -> None:
    form = NO_FORM
    note = Note("ignored", "cache_control")
    for number in range(100):
        form = form.followed_by([number, "x"], Open(number), [note], [], ids=[f"t{number}"], more=number)
    assert msgspec.json.decode(msgspec.json.encode(form.items)) == [item for n in range(100) for item in (n, "x")]
    assert len(form.items) < 40
    assert (form.open.end, form.more, form.settling, form.notes) == (99, 99, (note,), ())
    assert form.ids == tuple(f"t{number}" for number in range(100))


def test_turns_that_say_nothing_add_no_item() -> None:
    assert NO_FORM.followed_by([], Open(2), [], [], ids=[]).items == ()


class Rest(msgspec.Struct, omit_defaults=True):
    stream: bool | None = None


@pytest.mark.parametrize("rest", [Rest(), Rest(stream=True)])
@pytest.mark.parametrize(
    "items", [[Raw(b'"a","b"'), "c"], ["a", Raw(b'"b"'), "c"], [Raw(b'"a","b"'), Raw(b'"c"')], ["a", "b", "c"]]
)
def test_an_object_is_joined_of_what_is_known(rest: Rest, items: list[Any]) -> None:
    said = written({"model": "m", "none": None, "items": items, "tools": []}, rest)
    assert bytes(said) == msgspec.json.encode(
        {"model": "m", "items": ["a", "b", "c"], "tools": []} | msgspec.to_builtins(rest)
    )
