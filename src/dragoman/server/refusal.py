"""Why a connection takes no more, in words for its caller."""

import httptools


class Refused(Exception):  # noqa: N818 it only carries the words out of the parser
    """A request is not taken. `status` and the message are for the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def told(error: Exception) -> tuple[int, str]:
    """Status and words for the caller, for what the parser raised or this server."""
    if isinstance(error, Refused):
        return error.status, str(error)
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return 400, "Invalid HTTP request received. Is this http, and not https?"
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return 400, "Invalid HTTP request received: the target of the request is not valid."
    if isinstance(error, httptools.HttpParserCallbackError):
        return 500, "dragoman itself failed. Its log says more."
    return 400, f"Invalid HTTP request received: {error}."  # the parser's own words; none are the caller's
