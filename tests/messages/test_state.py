"""State that travels in signatures: back as it went, or None."""

import base64
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.messages.state import LIMIT, State, ours, pack, unpack

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=6,
)
WORD = st.text("aZ0_-", max_size=20)


@given(WORD, WORD, JSON)
def test_round_trip(dialect: str, scope: str, payload: Any) -> None:
    text = pack(dialect, scope, payload)
    assert text == pack(dialect, scope, payload)
    assert text.startswith(f"dragoman1.{dialect}.{scope}.")
    assert text.isascii()
    assert ours(text)
    assert unpack(text) == State(dialect, scope, payload)


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_scope_fits_itself(dialect: str, scope: str) -> None:
    state = unpack(pack(dialect, scope, {"a": 1}))
    assert state is not None
    assert state.fits(dialect, scope)
    assert not state.fits(dialect, scope + "x")
    assert not state.fits(dialect + "x", scope)


def test_scopes_with_other_characters_stay_apart() -> None:
    seen = {pack("chat", scope, 1) for scope in ("eu.west", "eu/west", "eu-west", "eu west")}
    assert len(seen) == 4
    assert pack("chat", "eu.west", 1).startswith("dragoman1.chat.eu-west-")


@given(JSON, st.integers(0, 10_000), st.integers(0, 127))
def test_a_changed_letter_is_noticed(payload: Any, at: int, letter: int) -> None:
    text = pack("chat", "", payload)
    at %= len(text)
    found = unpack(text[:at] + chr(letter) + text[at + 1 :])
    # The head is readable by design: a changed letter there is another dialect or scope, never another payload.
    assert found is None or found.payload == payload


@given(st.text(max_size=40) | st.text("aB9.=-_", max_size=40).map("dragoman1.chat.".__add__))
def test_nothing_raises(text: str) -> None:
    assert unpack(text) is None or ours(text)


def test_every_truncation_is_noticed() -> None:
    text = pack("chat", "openai", {"id": "rs_1", "encrypted_content": "x" * 500})
    assert [unpack(text[:end]) for end in range(len(text))] == [None] * len(text)


def test_long_state_is_compressed_and_short_state_is_not() -> None:
    assert len(pack("chat", "", {"text": "word " * 2000})) < 300
    raw = base64.urlsafe_b64decode(pack("chat", "", {"a": 1}).rpartition(".")[2] + "==")
    assert raw[4:] == b'{"a":1}'


def test_json_text_and_structs() -> None:
    class Item(msgspec.Struct):
        id: str

    assert pack("chat", "s", b'{"id":"x"}') == pack("chat", "s", Item("x")) == pack("chat", "s", {"id": "x"})


def sealed(body: bytes) -> str:
    text = base64.urlsafe_b64encode(zlib.crc32(body).to_bytes(4) + body).rstrip(b"=").decode()
    return f"dragoman1.chat.s.{text}"


def test_over_the_limit() -> None:
    assert pack("chat", "", "x" * LIMIT) == ""
    fits = "x" * (LIMIT - 2)
    assert unpack(pack("chat", "", fits)) == State("chat", "", fits)
    assert unpack(sealed(b'"' + b"x" * LIMIT + b'"')) is None


def test_a_bomb_is_not_unpacked() -> None:
    assert unpack(sealed(zlib.compress(b'"' + b"x" * (200 * LIMIT) + b'"', 9))) is None
    assert unpack("dragoman1.chat.s." + "A" * (LIMIT * 2 + 1)) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'"\xff"',
        b"x\x9cnot zlib",
        zlib.compress(b"{}")[:-2],
        b"[" * 100_000 + b"]" * 100_000,
        zlib.compress(b"[" * 100_000 + b"]" * 100_000),
    ],
)
def test_sealed_nonsense(body: bytes) -> None:
    assert unpack(sealed(body)) is None


@pytest.mark.failure(131)
@pytest.mark.parametrize("text", ["", "EqQBCkYIBxgCKkB", "dragoman", "dragoman1", "dragomanx.a.b.c", "Dragoman1.a.b.c"])
def test_signatures_of_others(text: str) -> None:
    assert not ours(text)
    assert unpack(text) is None


def test_a_later_version_is_ours_but_not_read() -> None:
    assert ours("dragoman2.chat.s.AAAA")
    assert unpack("dragoman2.chat.s.AAAA") is None


def test_padding_and_other_alphabets_are_refused() -> None:
    text = pack("chat", "s", {"a": 1})
    assert unpack(text + "=") is None
    assert unpack(text + "\n") is None
    assert unpack("dragoman1.chat.s.A") is None
