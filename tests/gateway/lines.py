"""A tiny dialect for tests of the gateway: one word and its argument a line. So these tests depend on no real one.

`think`, `text`, `tool`, `args`, `usage <in> <out>`, `error <kind> <words>`, `crash`, `stop <reason>`, `end`. An answer
is over after `end`, or when its bytes end after `stop`; after `more`, another call goes on with it.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, structs

from dragoman.dialects.contract import Call, Recall, Repair, Target
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event, Usage
from dragoman.messages.notes import Note
from dragoman.messages.request import Request
from dragoman.messages.writer import MessageWriter

KINDS = {
    400: "invalid_request",
    401: "upstream_authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limit",
    500: "upstream_failed",
    503: "overloaded",
}


class Quirks(Struct, frozen=True, kw_only=True):
    transport: Literal["both", "stream", "unary"] = "both"
    field: str = "old"  # what the repair changes
    refuses: bool = False  # whether translating is impossible
    crashes: bool = False


def target(provider: str = "lab", model: str = "small", **quirks: object) -> Target:
    return Target(
        provider=provider,
        dialect="lines",
        base_url=f"http://{provider}.test/v1",
        model=model,
        quirks=Quirks(**quirks),  # type: ignore[arg-type]
        key=provider.upper(),
    )


class Reader:
    def __init__(self, call: Call, writer: MessageWriter) -> None:
        self._call = call
        self._writer = writer
        self._rest = b""
        self._tools = 0
        self._words: set[str] = set()  # those that tell how the answer ends

    def feed(self, chunk: bytes) -> list[Event]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line.decode())
        return self._writer.take()

    def whole(self, body: bytes) -> list[Event]:
        events = self.feed(body)
        return events if "more" in self._words else events + self.close()

    def next_call(self) -> Call | None:
        return structs.replace(self._call, body=self._call.body + b" more") if "more" in self._words else None

    def close(self) -> list[Event]:
        if "forget" in self._words:
            return []
        if not self._writer.finished:
            raise ApiError("truncated", "The upstream's answer ended before it was complete.")
        self._writer.end()
        return self._writer.take()

    def _line(self, line: str) -> None:
        writer = self._writer
        if writer.ended:
            return
        word, _, rest = line.partition(" ")
        match word:
            case "think":
                writer.thinking(rest)
            case "text":
                writer.text(rest)
            case "tool":
                self._tools += 1
                writer.tool(self._tools, rest)
            case "args":
                writer.arguments(self._tools, rest)
            case "usage":
                before, after = rest.split()
                writer.usage(Usage(input_tokens=int(before), output_tokens=int(after)))
            case "stop":
                writer.finish(rest or "end_turn")  # type: ignore[arg-type]
            case "end":
                writer.end()
            case "error":
                kind, _, words = rest.partition(" ")
                raise ApiError(kind, words)
            case "crash":
                raise ZeroDivisionError("a bug")
            case "more" | "forget":
                self._words.add(word)
            case "surrogate":
                writer.text("\ud83d")
            case "" | "#" | "{":
                pass
            case _:
                raise ApiError("bad_answer", f"No such word: {word}")


class Lines:
    """Without repairs."""

    def call(self, request: Request, target: Target) -> Call:
        quirks: Quirks = target.quirks
        if quirks.refuses:
            raise ApiError("unsupported", f"{target.provider}/{target.model} cannot do this.")
        if quirks.crashes:
            raise ZeroDivisionError("a bug")
        body = request.body
        stream = bool(body.stream or body.stop_sequences)
        if quirks.transport != "both":
            stream = quirks.transport == "stream"
        return Call(
            url=f"{target.base_url}/lines?key=dummy",
            body=f"{target.model} {quirks.field} {'stream' if stream else 'unary'}".encode(),
            stream=stream,
            target=target,
            recall=Recall(model=body.model, stop_sequences=tuple(body.stop_sequences or ()), asked_thinking=True),
            headers=(("content-type", "text/plain"),),
            notes=(Note("changed", f"lines.{target.provider}"),),
        )

    def reader(self, call: Call, writer: MessageWriter) -> Reader:
        return Reader(call, writer)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ApiError:
        kind = KINDS.get(status, "upstream_failed")
        words = body.decode()
        if "overflow" in words:
            kind = "context_overflow"
        after = headers.get("retry-after")
        code = "field" if "field" in words else None
        return ApiError(kind, words or f"status {status}", retry_after=float(after) if after else None, code=code)


class Mending(Lines):
    """With a repair: the field that the refusal names after "use", else "new"; a "passing" one is not to be kept."""

    def repair(self, call: Call, error: ApiError) -> Repair | None:
        if error.code != "field":
            return None
        word = error.message.rpartition(" use ")[2] if " use " in error.message else "new"
        quirks = structs.replace(call.target.quirks, field=word)
        return Repair(f"field.{word}", structs.replace(call.target, quirks=quirks), lasting=word != "passing")
