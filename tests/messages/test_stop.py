"""The stop-sequence matcher: what it shows, what it holds back, and that cuts do not matter."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dragoman.messages.stop import StopMatcher


def naive(text: str, sequences: Sequence[str]) -> tuple[str, str | None]:
    """The definition: the earliest start, among equal starts the first in the list."""
    for at in range(len(text)):
        for sequence in sequences:
            if sequence and text.startswith(sequence, at):
                return text[:at], sequence
    return text, None


def play(pieces: Sequence[str], sequences: Sequence[str]) -> tuple[str, str | None]:
    matcher = StopMatcher(sequences)
    shown = "".join(matcher.feed(piece)[0] for piece in pieces)
    return shown + matcher.flush(), matcher.matched


def cut(text: str, places: Sequence[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@given(
    st.text("ab", max_size=24),
    st.lists(st.text("ab", max_size=5), max_size=4),
    st.lists(st.integers(0, 30), max_size=8),
)
@example("abx", ["abc", "ab"], [1, 2])
@example("ab", ["abc", "ab"], [1])
@example("xabce", ["abcd", "b"], [2, 3, 4])
def test_any_cut_gives_the_naive_search(text: str, sequences: list[str], places: list[int]) -> None:
    assert play(cut(text, places), sequences) == naive(text, sequences)


@given(st.text(max_size=60), st.lists(st.text(max_size=6), max_size=5), st.lists(st.integers(0, 70), max_size=8))
def test_any_characters(text: str, sequences: list[str], places: list[int]) -> None:
    assert play(cut(text, places), sequences) == naive(text, sequences)


@given(st.text("ab", max_size=24), st.lists(st.text("ab", min_size=1, max_size=5), max_size=4))
def test_nothing_is_held_that_cannot_become_a_match(text: str, sequences: list[str]) -> None:
    matcher = StopMatcher(sequences)
    shown = ""
    for at, letter in enumerate(text):
        now, matched = matcher.feed(letter)
        shown += now
        if matched is not None:
            return
        held = text[len(shown) : at + 1]
        assert not held or any(sequence.startswith(held[: len(sequence)]) for sequence in sequences)


def test_without_sequences_text_passes() -> None:
    for sequences in ([], [""]):
        matcher = StopMatcher(sequences)
        text = "anything at all"
        assert matcher.feed(text)[0] is text
        assert matcher.flush() == ""
        assert matcher.matched is None


@pytest.mark.failure(40, 76)
def test_the_classifier_of_claude_code() -> None:
    matcher = StopMatcher(["</block>"])
    assert matcher.feed("<block>yes") == ("<block>yes", None)
    assert matcher.feed("</blo") == ("", None)
    assert matcher.feed("ck> and more") == ("", "</block>")
    assert matcher.matched == "</block>"
    assert matcher.feed("dropped") == ("", "</block>")
    assert matcher.flush() == ""


def test_a_prefix_that_comes_to_nothing_is_shown() -> None:
    matcher = StopMatcher(["</block>"])
    assert matcher.feed("a </b") == ("a ", None)
    assert matcher.feed("r> b") == ("</br> b", None)
    assert matcher.feed("</") == ("", None)
    assert matcher.flush() == "</"
    assert matcher.flush() == ""
    assert matcher.matched is None


def test_a_block_that_ends_breaks_a_sequence() -> None:
    matcher = StopMatcher(["stop"])
    matcher.feed("st")
    assert matcher.flush() == "st"
    assert matcher.feed("op") == ("op", None)


def test_more_than_four_sequences_and_characters_of_patterns() -> None:
    sequences = [".*", "(", "[x]", "\\", "$", "a|b", "\n\n"]
    for sequence in sequences:
        assert play(["text ", sequence, " rest"], sequences) == ("text ", sequence)


def test_of_long_streams_little_is_held() -> None:
    """Many pieces that begin like a sequence again and again: what is looked at does not grow with the stream."""
    matcher = StopMatcher(["</block>", "\n\nHuman:", "<" * 200])
    shown = 0
    for _ in range(20_000):
        shown += len(matcher.feed("some words <b>and</b> a new line\n\nH")[0])
        assert len(matcher._held) < 200
    assert shown > 600_000
    assert len(matcher.flush()) < 200
