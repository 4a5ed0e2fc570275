"""Questions to the user. Where nobody can answer, that is said instead."""

from collections.abc import Callable
from typing import TypeVar

import click

from dragoman.cli.failure import Failure
from dragoman.cli.terminal import say

T = TypeVar("T")


def agreed(question: str) -> bool:
    """Whether the user says yes. Raises Failure when nobody is there to say anything."""
    return answered(lambda: click.confirm(question, default=False, err=True))


def answered(ask: Callable[[], T]) -> T:
    """What `ask` gets out of the user. Raises Failure at the end of the input, which a service has at once."""
    try:
        return ask()
    except click.Abort:
        say(error=True)
        raise Failure("No answer, so nothing was changed. Run this command in a terminal.") from None
