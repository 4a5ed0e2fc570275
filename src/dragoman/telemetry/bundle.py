"""A bundle: everything about one request, on both sides of the gateway, as one JSON file. `dragoman replay` reads it.

Docs: docs/problems.md. Times are milliseconds since the request came.
"""

import base64
import os
import tempfile
from collections import deque
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.providers.presets import QUIRKS

FORMAT = 1
LIMIT = 16 * 1024 * 1024  # bytes of all bodies in one bundle

Rows = list[tuple[str, str]]
End = Literal["complete", "open", "broken", "silent", "left"]


class Body(Struct, frozen=True, omit_defaults=True):
    """Bytes: as text where they are UTF-8, else in base64."""

    text: str = ""
    base64: str = ""


class Failure(Struct, omit_defaults=True):
    """An `ApiError` of the connection to an upstream."""

    kind: str
    message: str
    retry_after: float | None = None
    should_retry: bool | None = None


class Request(Struct, kw_only=True):
    """What the client sent. A packed body is here unpacked."""

    method: str
    path: str
    query: str
    headers: Rows
    body: Body = Body()


class Choice(Struct):
    """One destination among those that share the work: a target, once with the name of each of its keys."""

    slots: list[dict[str, Any]]
    weight: float


class Route(Struct, kw_only=True, omit_defaults=True):
    """Where it could go, and why."""

    requested: str
    targets: list[dict[str, Any]] = []
    groups: list[list[Choice]] = []
    overflow: list[list[Choice]] = []
    steps: list[str] = []
    notes: list[Note] = []
    error: Failure | None = None  # there is no such model


class Answer(Struct, kw_only=True, omit_defaults=True):
    """What an upstream sent back, as it came."""

    ms: float
    status: int
    headers: dict[str, str]
    body: Body = Body()
    pieces: list[tuple[int, float]] = []  # where each one ends in the body, and when it came
    end: End = "open"
    """`complete`: the upstream's own end; `open`: the gateway wanted no more; `broken`: see `error`; `silent`: the
    gateway waited in vain; `left`: the caller left meanwhile, or the gateway was stopped."""
    error: Failure | None = None


class Call(Struct, kw_only=True, omit_defaults=True):
    """One call to an upstream. Without an answer and an error nobody waited for the answer to the end."""

    ms: float
    method: str
    url: str
    headers: Rows
    body: Body = Body()
    answer: Answer | None = None
    error: Failure | None = None
    until: float = 0  # when the error came


class Reply(Struct, kw_only=True, omit_defaults=True):
    """What the client was told. Status 0: nothing."""

    ms: float = 0
    status: int = 0
    headers: Rows = []
    body: Body = Body()
    pieces: list[tuple[int, float]] = []
    whole: bool = False  # whether the end was told


class Outcome(Struct, kw_only=True, omit_defaults=True):
    """What the gateway's account says."""

    target: str = ""
    attempts: list[dict[str, Any]] = []
    repairs: list[str] = []
    notes: list[Note] = []
    error: str = ""  # kind of the error that the client was told
    crash: str = ""  # traceback of a failure of our own code
    caller_left: bool = False


class Bundle(Struct, kw_only=True):
    """One request. `gaps`: why it cannot be replayed; empty when it can."""

    format: int = FORMAT
    dragoman: str
    python: str
    recorded: str  # ISO 8601, UTC
    request_id: str
    gaps: list[str] = []
    keys_inside: bool = False  # there were keys in the conversation: without them it is not as many tokens
    settings: dict[str, float] = {}  # those of `server:` that decide about a request
    request: Request
    route: Route | None = None
    message_ids: list[str] = []
    calls: list[Call] = []
    reply: Reply = field(default_factory=Reply)
    outcome: Outcome = field(default_factory=Outcome)


def body_of(raw: bytes) -> Body:
    try:
        return Body(text=raw.decode())
    except UnicodeDecodeError:
        return Body(base64=base64.b64encode(raw).decode())


def bytes_of(body: Body) -> bytes:
    """Raises ValueError for what is no base64."""
    return base64.b64decode(body.base64, validate=True) if body.base64 else body.text.encode()


def failure_of(error: ApiError) -> Failure:
    return Failure(error.kind, error.message, error.retry_after, error.should_retry)


def error_of(failure: Failure) -> ApiError:
    return ApiError(failure.kind, failure.message, retry_after=failure.retry_after, should_retry=failure.should_retry)


def target_of(written: dict[str, Any]) -> Target:
    """A target as it was recorded. Raises msgspec.ValidationError, KeyError for a language that is not known."""
    other = written.get("other")
    quirks = msgspec.convert(written["quirks"], QUIRKS[written["dialect"]])
    plain = msgspec.convert(written | {"quirks": None, "other": None}, Target)
    return msgspec.structs.replace(plain, quirks=quirks, other=None if other is None else target_of(other))


def encode(bundle: Bundle) -> bytes:
    return msgspec.json.format(msgspec.json.encode(bundle), indent=1) + b"\n"


def decode(raw: bytes) -> Bundle:
    """Raises ValueError whose message says what is wrong."""
    try:
        bundle = msgspec.json.decode(raw, type=Bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"It is no bundle of `dragoman record`: {error}") from None
    if bundle.format != FORMAT:
        raise ValueError(f"It has format {bundle.format}, and this version of dragoman reads format {FORMAT}.")
    return bundle


class Folder:
    """Where bundles are kept: the newest `limit` of those that were written here. Others are left alone."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self._limit = limit
        self._written: deque[Path] = deque()

    def keep(self, bundle: Bundle) -> Path:
        """Write it in one step, for the user alone. Returns the file. Raises OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        moment = bundle.recorded[:19].replace(":", "").replace("-", "")
        path = self.path / f"{moment}-{bundle.request_id}.json"
        # mkstemp makes the file with mode 0600, so that others can never read it, not even for a moment.
        handle, temporary = tempfile.mkstemp(dir=self.path, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(encode(bundle))
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._written.append(path)
        while len(self._written) > self._limit:
            self._written.popleft().unlink(missing_ok=True)
        return path
