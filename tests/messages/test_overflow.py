"""The window of a model, where its server says nothing about it."""

import pytest

from dragoman.messages import overflow
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Usage
from dragoman.messages.overflow import Asked


def asked(context: int | None, input_tokens: int = 0) -> Asked:
    return Asked(provider="lab", model="some-model", context=context, input_tokens=input_tokens)


@pytest.mark.failure(115)
def test_an_overflow_that_nobody_names() -> None:
    with pytest.raises(ApiError) as found:
        overflow.refuse_unsaid(asked(1000, 2000))
    assert found.value.kind == "context_overflow"
    assert found.value.message == "prompt is too long: 2000 tokens > 1000 maximum (lab/some-model)"


@pytest.mark.parametrize(("context", "input_tokens"), [(None, 2000), (1000, 1000), (1000, 0)])
def test_what_fits_is_no_overflow(context: int | None, input_tokens: int) -> None:
    overflow.refuse_unsaid(asked(context, input_tokens))


@pytest.mark.parametrize(
    ("usage", "context", "is_full"),
    [
        (Usage(input_tokens=900, output_tokens=100), 1000, True),
        (Usage(input_tokens=900, output_tokens=99), 1000, False),
        (Usage(400, 100, cache_read_input_tokens=300, cache_creation_input_tokens=200), 1000, True),
        (Usage(input_tokens=900, output_tokens=100), None, False),
        (None, 1000, False),
    ],
)
def test_when_the_window_is_full(usage: Usage | None, context: int | None, *, is_full: bool) -> None:
    assert overflow.is_full(usage, asked(context)) is is_full
