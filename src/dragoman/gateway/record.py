"""What is known about one request: filled on the way, handed to whoever watches at the end. No bodies, no keys."""

from msgspec import Struct

from dragoman.messages.errors import ApiError
from dragoman.messages.events import StopReason, Usage
from dragoman.messages.notes import Note


class Attempt(Struct, frozen=True):
    """One call and its outcome."""

    target: str  # "provider/model"
    ms: float
    status: int | None = None  # the upstream's; None when no answer came
    error: str | None = None  # a key of KINDS; None when the answer was taken
    repair: str | None = None  # code of the repair that this attempt tried


class Record(Struct, kw_only=True):
    """The account of one request."""

    request_id: str
    model: str  # as the caller wrote it
    stream: bool  # whether the caller asked for events
    started: float  # seconds, by the gateway's clock
    session: str | None = None
    request_bytes: int = 0
    provider: str | None = None  # of the target that was tried last
    upstream_model: str | None = None
    endpoint: str | None = None  # host and path of the call, without query
    status: int = 0  # what the caller was told; 499: the caller left before that
    attempts: list[Attempt] = []
    repairs: list[str] = []  # codes that were in force for the last target, remembered ones included
    notes: list[Note] = []
    usage: Usage | None = None
    stop_reason: StopReason | None = None
    error: ApiError | None = None  # what the caller was told instead of a complete answer
    crash: Exception | None = None  # a failure of our own code behind `error`
    caller_left: bool = False
    first_token_ms: float | None = None  # to the first content of a stream
    ms: float = 0
    answer_bytes: int = 0

    @property
    def error_kind(self) -> str | None:
        return self.error.kind if self.error else None

    @property
    def error_message(self) -> str | None:
        return self.error.message if self.error else None
