"""The taxonomy of errors: one table from kind to HTTP status, Anthropic error type, fault and retryability.

Envelope and types: https://platform.claude.com/docs/en/api/errors
"""

from typing import Literal

import msgspec
from msgspec import Struct

Fault = Literal["client", "upstream", "ours"]


class Kind(Struct, frozen=True):
    """How one kind of failure looks to the caller."""

    status: int
    type: str
    fault: Fault
    retryable: bool = False  # whether the same call may succeed when it is tried again


KINDS: dict[str, Kind] = {
    "invalid_request": Kind(400, "invalid_request_error", "client"),
    "context_overflow": Kind(400, "invalid_request_error", "client"),
    "authentication": Kind(401, "authentication_error", "client"),
    "upstream_authentication": Kind(401, "authentication_error", "ours"),  # our key was refused
    "billing": Kind(402, "billing_error", "upstream"),
    "permission": Kind(403, "permission_error", "upstream"),
    "not_found": Kind(404, "not_found_error", "client"),
    "method_not_allowed": Kind(405, "invalid_request_error", "client"),
    "conflict": Kind(409, "conflict_error", "upstream", retryable=True),
    "too_large": Kind(413, "request_too_large", "client"),
    "unsupported_encoding": Kind(415, "invalid_request_error", "client"),
    "rate_limit": Kind(429, "rate_limit_error", "upstream", retryable=True),
    "internal": Kind(500, "api_error", "ours"),
    "upstream_failed": Kind(500, "api_error", "upstream", retryable=True),
    "unsupported": Kind(501, "not_supported", "client"),
    "unreachable": Kind(502, "api_error", "upstream", retryable=True),  # no connection, or it broke before an answer
    "bad_answer": Kind(502, "api_error", "upstream", retryable=True),  # an answer that is not in its own language
    "truncated": Kind(502, "api_error", "upstream", retryable=True),  # an answer that ends before its finish mark
    "timeout": Kind(504, "timeout_error", "upstream", retryable=True),
    "busy": Kind(529, "overloaded_error", "ours"),  # our own limit of connections, after a wait
    "overloaded": Kind(529, "overloaded_error", "upstream", retryable=True),
}


class ErrorBody(Struct, frozen=True, omit_defaults=True):
    """`error` of the envelope and of the `error` event."""

    type: str
    message: str


class _Envelope(Struct, frozen=True, tag="error"):
    error: ErrorBody
    request_id: str


class Verbatim(Struct, frozen=True):
    """An error of an upstream that speaks Messages, as it came: clients know what to do by its words."""

    status: int
    headers: tuple[tuple[str, str], ...]  # without those of the connection
    body: bytes
    event: bytes = b""  # the frame that it was, inside a stream

    @property
    def frame(self) -> bytes:
        """The error event that tells it."""
        lines = b"".join([b"data: %b\n" % line for line in self.body.splitlines()])
        return self.event or b"event: error\n" + lines + b"\n"


class ApiError(Exception):
    """A failure that can be told to a caller. `kind` is a key of `KINDS`; `message` says what to do."""

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        upstream_status: int | None = None,
        code: str | None = None,
        verbatim: Verbatim | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after = retry_after  # seconds
        self.should_retry = should_retry  # for the caller's `x-should-retry`; None leaves it to the status
        self.upstream_status = upstream_status
        self.code = code  # the upstream's own error code, for repairs and logs
        self.verbatim = verbatim  # told instead of ours

    @property
    def status(self) -> int:
        return KINDS[self.kind].status if self.verbatim is None else self.verbatim.status

    @property
    def type(self) -> str:
        return KINDS[self.kind].type

    @property
    def fault(self) -> Fault:
        return KINDS[self.kind].fault

    @property
    def retryable(self) -> bool:
        return KINDS[self.kind].retryable if self.should_retry is None else self.should_retry

    def forget(self) -> None:
        """Where it was raised. Frames hold what they worked on: an error that is kept stands in a circle with them,
        and all of it would stay until the garbage collector comes.
        """
        self.__traceback__ = self.__context__ = self.__cause__ = None

    def envelope(self, request_id: str) -> bytes:
        """Anthropic's JSON error body."""
        return msgspec.json.encode(_Envelope(ErrorBody(self.type, self.message), request_id))
