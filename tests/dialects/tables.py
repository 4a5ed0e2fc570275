"""What holds in every language: the same tables for the tests of each."""

from collections.abc import Callable

import pytest

from dialects.chat.asking import Json
from dragoman.dialects.contract import Call

transports = pytest.mark.parametrize(
    ("transport", "fields", "streams"),
    [
        ("both", {}, False),
        ("both", {"stream": True}, True),
        ("both", {"stream": False, "stop_sequences": ["x"]}, True),
        ("stream", {"stream": False}, True),
        ("unary", {"stream": True, "stop_sequences": ["x"]}, False),
    ],
)

bad_images = pytest.mark.parametrize(
    "source",
    [
        {"type": "file", "file_id": "file_1"},
        {"type": "url", "url": "file:///etc/passwd"},
        {"type": "url"},
        {"type": "base64", "data": "x"},
        {"type": "hologram"},
        "x",
    ],
)


def check_thinking_is_recalled(called: Callable[..., Call]) -> None:
    """Assert that the way back knows whether thinking was asked for, and is shown."""

    def recalled(thinking: Json | None) -> tuple[bool, bool, bool]:
        recall = called(**({"thinking": thinking} if thinking else {})).recall
        return recall.show_thinking, recall.omit_thinking, recall.asked_thinking

    assert recalled(None) == (True, False, False)
    assert recalled({"type": "disabled"}) == (False, False, False)
    assert recalled({"type": "adaptive", "display": "omitted"}) == (True, True, True)
    assert recalled({"type": "enabled", "budget_tokens": 2000, "display": "summarized"}) == (True, False, True)
    assert recalled({"type": "adaptive", "display": "updates"}) == (True, False, True)
