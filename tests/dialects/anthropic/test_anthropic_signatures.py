"""Whose thinking it is, by the form of its signature."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.asking_messages import OURS
from dialects.anthropic.asking_messages import by_claude as signed
from dragoman.dialects.anthropic.signatures import by_claude


@pytest.mark.parametrize(
    "signature",
    [
        signed(),
        signed(envelope=2),
        signed(envelope=4),
        signed(twice=True),
        signed(envelope=4, twice=True),
        # Beginnings of real ones, from the documentation.
        "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds",
        "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpPkNRj2YfWXGmKDxH4mPnZ5sQ7vB9URj2pLmN3kF8",
        "EqoBCkYIBxgC",
    ],
)
def test_claudes(signature: str) -> None:
    assert by_claude(signature)


@pytest.mark.failure(68)
@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        OURS,
        "dragoman1.none.0.e30",
        str(uuid.UUID(int=7)),
        uuid.UUID(int=7).hex,
        base64.b64encode(str(uuid.UUID(int=7)).encode()).decode(),
        "gAAAAABo-first",
        "sig",
        "é" * 40,
        "EpgYCpUYAXLI2nxAAAA=",  # Gemini 3: another message, in the same two layers
        "CiQBcsjafPAAAAAAAAAA",  # Gemini 2.5
        base64.b64encode(b"\x12" + b"\xff" * 30).decode(),
        "skip_thought_signature_validator",
    ],
)
def test_others(signature: str | None) -> None:
    assert not by_claude(signature)


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_any_text_is_claudes_or_not(signature: str) -> None:
    assert by_claude(signature) in (True, False)


def test_only_the_beginning_is_looked_at() -> None:
    assert by_claude(signed() + "?" * 1000)
