"""Golden cases of the way back, for every dialect. `UPDATE_GOLDENS=1` writes what comes out now; read the difference.

tests/cases/answers/<dialect>/<case>.sse     an upstream's stream, in the style of one server
tests/cases/answers/<dialect>/<case>.json    the same answer, not streamed (optional)
tests/cases/answers/<dialect>/<case>.toml    [quirks], [facts], [recall] of the call (optional)
tests/cases/answers/<dialect>/<case>.golden.sse   the Messages events, and the notes as a last comment
tests/cases/errors/<dialect>/<status>-<case>.json          {"headers", "body", "call"}; a string body is no JSON
tests/cases/errors/<dialect>/<status>-<case>.golden.json   the error as ours
"""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from msgspec import structs

from dragoman.dialects import DIALECTS
from dragoman.dialects.contract import Call
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event
from dragoman.messages.sse import encode
from dragoman.messages.writer import MessageWriter
from reading import writer_for
from relayed import played, singly

CASES = Path(__file__).parent / "cases"


class GoldenAnswers:
    """The cases of one dialect, read by calls that its encoder makes."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self._dialect = DIALECTS[encoder.name]
        self._answers = CASES / "answers" / encoder.name
        self._errors = CASES / "errors" / encoder.name

    def answer_cases(self) -> list[Path]:
        return sorted(path for path in self._answers.glob("*.sse") if not path.name.endswith(".golden.sse"))

    def error_cases(self) -> list[Path]:
        return sorted(path for path in self._errors.glob("*.json") if not path.name.endswith(".golden.json"))

    def read(self, case: Path, body: bytes, *, whole: bool = False) -> tuple[list[Event], MessageWriter]:
        """The events of an upstream's bytes under the call of `case`; an error ends them as its event."""
        written = case.with_suffix(".toml")
        options = tomllib.loads(written.read_text("utf-8")) if written.exists() else {}
        given = options.get("recall", {})
        recall = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        call = self._encoder.call(recall=recall, facts=options.get("facts"), **options.get("quirks", {}))
        call = structs.replace(call, stream=not whole)
        writer = writer_for(call, "msg_golden")
        reader = self._dialect.reader(call, writer)
        events: list[Event] = []
        try:
            if whole:
                events += reader.whole(body)
                passed_on: bytes | None = getattr(reader, "body", None)
                events += [] if passed_on is None else played(passed_on)
            else:
                events += singly(reader.feed(body))
                events += reader.close()
        except ApiError as failure:
            events += writer.take()
            events.append(writer.fail(failure))
        return events, writer

    def golden_answer(self, case: Path) -> bytes:
        """What the golden file of `case` should hold."""
        events, writer = self.read(case, case.read_bytes())
        notes = "".join(f": {note.grade} {note.code}\n" for note in writer.notes)
        return b"".join(encode(event) for event in events) + notes.encode()

    def golden_error(self, case: Path) -> bytes:
        found = self.error_of(case)
        told = {
            "kind": found.kind,
            "status": found.status,
            "type": found.type,
            "message": found.message,
            "retry_after": found.retry_after,
            "should_retry": found.should_retry,
            "upstream_status": found.upstream_status,
            "code": found.code,
        }
        if found.verbatim is not None:
            told["verbatim"] = dict(found.verbatim.headers)
        return (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode()

    def error_of(self, case: Path) -> ApiError:
        written: dict[str, Any] = json.loads(case.read_text("utf-8"))
        body = written.get("body", "")
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        call = self.call_of(written.get("call", {}))
        return self._dialect.error(int(case.name[:3]), written.get("headers", {}), raw, call)

    def call_of(self, options: dict[str, Any]) -> Call:
        call = self._encoder.call(recall=options.get("recall"), facts=options.get("facts"), **options.get("quirks", {}))
        changes = {name: options[name] for name in ("key", "auth") if name in options}
        return structs.replace(call, target=structs.replace(call.target, **changes)) if changes else call


def check(golden: Path, now: bytes) -> None:
    """Compare with the file, or write it."""
    if os.environ.get("UPDATE_GOLDENS") == "1":
        golden.write_bytes(now)
    assert golden.exists(), f"{golden.name} is missing: UPDATE_GOLDENS=1 writes it"
    assert now.decode() == golden.read_bytes().decode()  # line ends count where bytes are passed on
