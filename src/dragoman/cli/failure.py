"""Errors that a person at a terminal can act on, and the exit codes that scripts can act on."""

from typing import IO, Any

import click

from dragoman.cli.terminal import say

FAILED = 1  # what was asked for did not work
USAGE = 2  # it was asked for in a way that cannot work
CONFIGURATION = 3  # the configuration is wrong
RUNNING = 4  # dragoman already listens there
LISTEN = 5  # the address or the port cannot be had


class Failure(click.ClickException):
    """Shown without a traceback; `message` says what to do."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        vars(self)["exit_code"] = exit_code  # click declares it for the class, and reads it from the object

    def show(self, file: IO[Any] | None = None) -> None:
        """What already is as it should be is no error."""
        del file
        say(self.message if self.exit_code == RUNNING else f"Error: {self.message}", error=True)
