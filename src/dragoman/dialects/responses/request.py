"""Messages -> one call in the language of OpenAI Responses."""

from dragoman.dialects.contract import Call, Target
from dragoman.messages.request import Request


def call(request: Request, target: Target) -> Call:
    """Translate `request` for `target`, whose quirks are `quirks.Quirks`.

    Raises ApiError("invalid_request") for what cannot be sent at all, naming the field or block; for a strict target
    also for everything that would be lost.
    """
    raise NotImplementedError(request, target)


def count(request: Request, target: Target) -> Call:
    """The call that asks how many input tokens `request` has. Raises ApiError as `call` does."""
    raise NotImplementedError(request, target)
