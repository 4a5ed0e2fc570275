"""The log: one line a request, and one for each failure of our own. No bodies, no keys."""

import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from time import time

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dragoman.messages.errors import ApiError
from dragoman.messages.events import Usage
from dragoman.messages.notes import Note

LONGEST = 200  # characters of a name that a caller chose
LONGEST_MESSAGE = 500  # characters of an error's message

_THOUSANDTHS = (*[f".{each:03d}Z" for each in range(1000)], ".999Z")  # the last for what was rounded up

_encoder = msgspec.json.Encoder()


class Counts(Struct, gc=False):
    """The counters of a usage that are worth a column."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    thinking_tokens: int | UnsetType = UNSET


class Line(Struct, gc=False):
    """What is written about one request."""

    ts: str = ""  # when it ended: ISO 8601, UTC, milliseconds
    event: str = "request"
    request_id: str = ""
    path: str = ""
    model: str | None = None  # as the caller wrote it
    provider: str | None = None
    upstream_model: str | None = None
    endpoint: str | None = None  # the upstream's path
    stream: bool | None = None
    status: int = 0
    ms: float = 0
    first_token_ms: float | None = None
    usage: Counts | None = None
    notes: list[str] = []
    attempts: int = 0
    repairs: list[str] = []  # codes of what was changed after the upstream refused it, now or at an earlier request
    error: str | None = None  # "<type>: <message>"


class Forwarded(Line, gc=False):
    """What is written about a request that was forwarded as it is."""

    request_bytes: int = 0  # of the body that went up
    answer_bytes: int = 0  # of the body that came down


class _OlderUsage(Struct):
    completion_tokens: int
    prompt_tokens: int
    total_tokens: int


class _Older(Struct, kw_only=True):
    """The same as an older proxy wrote it."""

    ts: int  # milliseconds since 1970
    event: str
    path: str
    endpoint: str | None
    model: str | None
    stream: bool
    usage: _OlderUsage | None
    error: str | None


class _Failure(Struct, kw_only=True):
    ts: str
    event: str
    level: str
    message: str
    request_id: str | None = None
    traceback: str | None = None


class Log:
    """Turns lines into text and hands it to `write`, which must not block. `request` belongs to one thread.

    `human`: one aligned line for a terminal instead of JSON. `older`: JSON as an older proxy wrote it.
    `clock`: seconds since 1970.
    `level`: `error` writes only requests that failed on our side or the upstream's (status 500 and over); `debug` also
    writes details.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        redact: Callable[[str], str],
        human: bool = False,
        older: bool = False,
        level: str = "info",
        clock: Callable[[], float] = time,
    ) -> None:
        self._write = write
        self._redact = redact
        self._human = human
        self._older = older
        self._least = 500 if level == "error" else 0  # the first status that is written
        self._clock = clock
        self._names: dict[str, str] = {}
        self._buffer = bytearray()  # of the line that is made; a new one for each would grow from nothing each time
        self._second = (0.0, "")  # the last one that was written, and its text
        self.detailed = level == "debug"  # whether details are wanted at all
        self.swallowed = 0  # lines that could not be made

    def request(self, line: Line) -> None:
        """Write one request's line. Raises nothing: watching cannot break traffic."""
        if line.status < self._least:
            return
        try:
            now = self._clock()
            line.ts = self._stamp(now)
            names, model, path = self._names, line.model, line.path
            if model and names.get(model) != model:
                line.model = names.get(model) or self._name(model)
            if names.get(path) != path:
                line.path = names.get(path) or self._name(path)
            if line.error:
                line.error = self._redact(line.error)[:LONGEST_MESSAGE]
            if self._human:
                text = self._for_people(line, now)
            else:
                _encoder.encode_into(_as_older(line, now) if self._older else line, self._buffer)
                text = self._buffer.decode()
            self._write(text)
        except Exception:  # noqa: BLE001 an account of a request must never be the reason that it fails
            self.swallowed += 1

    def failure(self, message: str, *, error: BaseException | None = None, request_id: str | None = None) -> None:
        """Write that something of ours went wrong, with the traceback of `error`."""
        trace = "".join(traceback.format_exception(error)) if error is not None else None
        self.note("error", message, request_id=request_id, trace=trace)

    def note(self, level: str, message: str, *, request_id: str | None = None, trace: str | None = None) -> None:
        """Write a line that is about no finished request."""
        message = self._redact(message)
        trace = self._redact(trace) if trace else None
        now = self._clock()
        if self._human:
            text = f"{_hour(now)}  {level}  {_printable(message)}" + (f"  {request_id}" if request_id else "")
            self._write(text + ("\n" + trace.rstrip() if trace else ""))
            return
        event = "failure" if level == "error" else "note"
        line = _Failure(
            ts=self._stamp(now), event=event, level=level, message=message, request_id=request_id, traceback=trace
        )
        self._write(_encoder.encode(line).decode())

    def details(self, lines: Iterable[str], *, request_id: str) -> None:
        """Write what only people who look for a cause want to know. Raises nothing."""
        try:
            for text in lines:
                self.note("debug", text, request_id=request_id)
        except Exception:  # noqa: BLE001 an account of a request must never be the reason that it fails
            self.swallowed += 1

    def handler(self) -> logging.Handler:
        """A handler for the loggers of libraries, so that their lines are redacted and look like ours."""
        return _Handler(self)

    def _stamp(self, now: float) -> str:
        second, text = self._second
        rest = now - second
        if not 0.0 <= rest < 1.0:
            second = float(int(now))
            rest = now - second
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = (second, text)
        return text + _THOUSANDTHS[int(rest * 1000.0 + 0.001)]

    def _name(self, text: str) -> str:
        """A name that the caller chose, redacted: people paste keys into the wrong field. To be remembered."""
        name = self._redact(text)[:LONGEST]
        if len(self._names) < 1000 and len(text) <= LONGEST:
            self._names[text] = name
        return name

    def _for_people(self, line: Line, now: float) -> str:
        target = f"{line.provider}/{line.upstream_model}" if line.provider else ""
        asked = line.model or line.path
        who = f"{asked} -> {target}" if target and target != asked else asked
        parts = [f"{_hour(now)}  {_printable(who):<56}", f"{line.status:>3}", f"{_duration(line.ms):>7}"]
        if line.usage:
            counts = line.usage
            cached = counts.cache_read_input_tokens + counts.cache_creation_input_tokens
            fresh = f"{counts.input_tokens + cached} in" + (f" ({cached} cached)" if cached else "")
            parts.append(f"{fresh}, {counts.output_tokens} out")
        if line.first_token_ms is not None:
            parts.append(f"first {_duration(line.first_token_ms)}")
        if line.attempts > 1:
            parts.append(f"{line.attempts} attempts")
        if line.notes:
            parts.append(",".join(line.notes))
        if line.repairs:
            parts.append(f"repaired {','.join(line.repairs)}")
        if line.error:
            parts.append(_printable(line.error))
        return "  ".join(parts)


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else None
        level = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        self._log.note(level, f"{record.name}: {record.getMessage()}".strip(), trace=trace)


def _as_older(line: Line, now: float) -> _Older:
    usage = None
    if line.usage is not None:
        counts = line.usage
        asked = counts.input_tokens + counts.cache_read_input_tokens + counts.cache_creation_input_tokens
        usage = _OlderUsage(counts.output_tokens, asked, asked + counts.output_tokens)
    return _Older(
        ts=int(now * 1000),
        event="proxy.success" if line.status < 400 and line.error is None else "proxy.failure",
        path=line.path,
        endpoint=line.endpoint,
        model=line.upstream_model or line.model,
        stream=bool(line.stream),
        usage=usage,
        error=line.error,
    )


def usage_counts(usage: Usage | None) -> Counts | None:
    """The counters of a usage that are worth a column."""
    if usage is None:
        return None
    details = usage.output_tokens_details
    return Counts(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_creation_input_tokens,
        usage.cache_read_input_tokens,
        UNSET if details is None else details.thinking_tokens,
    )


def note_codes(notes: Sequence[Note]) -> list[str]:
    """Codes of what was lost or changed, each once."""
    return list(dict.fromkeys(note.code for note in notes if note.grade != "ignored"))


def error_text(error: ApiError) -> str:
    return f"{error.type}: {error.message}"


def _hour(now: float) -> str:
    return datetime.fromtimestamp(now).astimezone().strftime("%H:%M:%S")


def _duration(ms: float) -> str:
    return f"{ms:.0f}ms" if ms < 1000 else f"{ms / 1000:.1f}s"


def _printable(text: str) -> str:
    """On one line, without control characters: a caller's model name cannot move the cursor or forge a line."""
    return "".join(char if char.isprintable() else "?" for char in text)
