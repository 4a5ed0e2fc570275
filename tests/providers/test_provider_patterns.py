"""Patterns of names."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.providers import matches


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("a*", "a", True),
        ("a*", "ba", False),
        ("*a", "ba", True),
        ("*", "", True),
        ("a*a", "a", False),
        ("a*b*c", "aXbYc", True),
        ("a*b*c", "aXc", False),
        ("ab*bc", "abc", False),
        ("claude-*", "claude-opus-4-8", True),
        ("claude-*", "Claude-opus", False),
    ],
)
def test_examples(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_it_is_the_star_of_the_shell(pattern: str, name: str) -> None:
    assert matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)
