"""One line a request, as JSON or for people, without keys and without control characters."""

import json
import logging
from typing import Any

import pytest

from dragoman.messages.errors import ApiError
from dragoman.messages.events import OutputDetails, Usage
from dragoman.messages.notes import Note
from dragoman.telemetry.log import Line, Log, error_text, note_codes, usage_counts
from dragoman.telemetry.redaction import Redactor

CANARY = "canary-secret-value"


class Written(list[str]):
    def log(self, **settings: Any) -> Log:
        return Log(self.append, redact=Redactor([CANARY]), clock=lambda: 1795219200.1239, **settings)


def line(**fields: Any) -> Line:
    return Line(
        **{
            "request_id": "req_1",
            "path": "/v1/messages",
            "model": "sonnet",
            "provider": "lab",
            "upstream_model": "small",
            "endpoint": "/chat/completions",
            "stream": True,
            "status": 200,
            "ms": 1234.5,
            "first_token_ms": 210.0,
            "usage": usage_counts(Usage(input_tokens=10, output_tokens=5, cache_read_input_tokens=90)),
            "notes": ["top_k.unsupported"],
            "attempts": 2,
            "repairs": ["sampling", "responses"],
        }
        | fields
    )


def test_json_has_every_key_of_the_issue() -> None:
    written = Written()
    written.log().request(line())
    assert json.loads(written[0]) == {
        "ts": "2026-11-21T00:00:00.123Z",
        "event": "request",
        "request_id": "req_1",
        "path": "/v1/messages",
        "model": "sonnet",
        "provider": "lab",
        "upstream_model": "small",
        "endpoint": "/chat/completions",
        "stream": True,
        "status": 200,
        "ms": 1234.5,
        "first_token_ms": 210.0,
        "usage": {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 90,
        },
        "notes": ["top_k.unsupported"],
        "attempts": 2,
        "repairs": ["sampling", "responses"],
        "error": None,
    }


@pytest.mark.failure(162)
def test_people_see_who_answered() -> None:
    written = Written()
    written.log(human=True).request(line(error="api_error: gone"))
    (text,) = written
    assert "sonnet -> lab/small " in text
    assert text.split("  ")[2:] != []
    for part in (
        "200",
        "1.2s",
        "100 in (90 cached), 5 out",
        "first 210ms",
        "2 attempts",
        "top_k.unsupported",
        "repaired sampling,responses",
        "api_error: gone",
    ):
        assert part in text


def test_people_see_short_lines_for_short_requests() -> None:
    written = Written()
    log = written.log(human=True)
    log.request(Line(path="/v1/models", status=401, ms=0.4))
    log.request(
        line(model="lab/small", first_token_ms=None, attempts=1, notes=[], repairs=[], usage=usage_counts(Usage()))
    )
    assert written[0].split()[1:] == ["/v1/models", "401", "0ms"]
    assert written[1].split()[1:] == ["lab/small", "200", "1.2s", "0", "in,", "0", "out"]


def test_a_model_name_cannot_forge_a_line_or_move_the_cursor() -> None:
    written = Written()
    log = written.log(human=True)
    log.request(line(model="a\n00:00:00  b\x1b[2J", provider=None))
    assert "\n" not in written[0]
    assert "\x1b" not in written[0]


def test_a_long_name_is_cut() -> None:
    written = Written()
    log = written.log()
    log.request(line(model="m" * 10_000, path="/" + "p" * 10_000))
    assert len(written[0]) < 1000


@pytest.mark.failure(136)
@pytest.mark.parametrize("human", [True, False])
def test_keys_in_any_field_are_blacked_out(human: bool) -> None:
    written = Written()
    log = written.log(human=human)
    for _ in range(2):  # the second time from memory
        log.request(line(model=f"sk-{CANARY}", path=f"/{CANARY}", error=f"x: Bearer {CANARY}", provider=None))
    try:
        raise ValueError(f"refused {CANARY}")
    except ValueError as error:
        log.failure(f"{CANARY} failed", error=error, request_id="req_9")
    assert len(written) == 3
    assert CANARY not in "".join(written)


def test_names_are_remembered_within_bounds() -> None:
    written = Written()
    log = written.log()
    for number in range(1100):
        log.request(line(model=str(number)))
    assert len(log._names) == 1000


def test_a_line_that_cannot_be_made_is_counted() -> None:
    def broken(text: str) -> None:
        raise OSError(text)

    log = Log(broken, redact=str)
    log.request(line())
    assert log.swallowed == 1


def test_level_error_writes_failures_only() -> None:
    written = Written()
    log = written.log(level="error")
    log.request(line(status=404))
    log.request(line(status=502))
    assert [json.loads(text)["status"] for text in written] == [502]


def test_details_are_redacted_and_never_fail() -> None:
    written = Written()
    log = written.log(level="debug")
    assert log.detailed
    assert not written.log().detailed
    log.details(["attempt 1", f"attempt {CANARY}"], request_id="req_9")
    found = [json.loads(text) for text in written]
    assert found[0]["message"] == "attempt 1"
    assert {(each["event"], each["level"], each["request_id"]) for each in found} == {("note", "debug", "req_9")}
    assert CANARY not in "".join(written)

    def broken(text: str) -> None:
        raise OSError(text)

    log = Log(broken, redact=str, level="debug")
    log.details(["attempt 1"], request_id="req_9")
    assert log.swallowed == 1


def test_a_failure_has_its_traceback_and_request() -> None:
    written = Written()
    log = written.log()
    try:
        raise KeyError("lost")
    except KeyError as error:
        log.failure("broken", error=error, request_id="req_9")
    found = json.loads(written[0])
    assert found["event"] == "failure"
    assert found["request_id"] == "req_9"
    assert "KeyError: 'lost'" in found["traceback"]
    assert "Traceback" in found["traceback"]


def test_a_failure_for_people() -> None:
    written = Written()
    log = written.log(human=True)
    log.failure("broken", error=ValueError("why"), request_id="req_9")
    log.failure("broken")
    assert written[0].endswith("error  broken  req_9\nValueError: why")
    assert written[1].endswith("error  broken")


def test_lines_of_libraries() -> None:
    written = Written()
    handler = written.log().handler()
    logger = logging.getLogger("test.library")
    logger.propagate = False
    logger.addHandler(handler)
    logger.warning("Invalid request from %s", CANARY)
    try:
        raise ValueError("inside")
    except ValueError:
        logger.exception("Exception in ASGI application")
    logger.removeHandler(handler)
    first, second = map(json.loads, written)
    assert (first["event"], first["level"]) == ("note", "warning")
    assert CANARY not in first["message"]
    assert (second["event"], second["level"]) == ("failure", "error")
    assert "ValueError: inside" in second["traceback"]


def test_counts_codes_and_errors() -> None:
    assert usage_counts(None) is None
    details = usage_counts(Usage(output_tokens=9, output_tokens_details=OutputDetails(thinking_tokens=4)))
    assert details is not None
    assert details.thinking_tokens == 4
    notes = [Note("lost", "a"), Note("ignored", "b"), Note("changed", "c"), Note("lost", "a", "x")]
    assert note_codes(notes) == ["a", "c"]
    assert error_text(ApiError("overloaded", "busy")) == "overloaded_error: busy"


def test_times_of_one_second_and_of_the_next() -> None:
    written: list[str] = []
    times = iter([1000.0, 1000.9999999, 1001.0004, 1000.5])
    log = Log(written.append, redact=lambda text: text, clock=lambda: next(times))
    for _ in range(4):
        log.request(Line())
    assert [json.loads(text)["ts"][17:] for text in written] == ["40.000Z", "40.999Z", "41.000Z", "40.500Z"]


def test_lines_as_an_older_proxy_wrote_them() -> None:
    written = Written()
    log = written.log(older=True)
    usage = Usage(input_tokens=5, output_tokens=3, cache_read_input_tokens=2)
    log.request(Line(path="/v1/messages", model="sonnet", upstream_model="m", status=200, usage=usage_counts(usage)))
    log.request(Line(path="/v1/messages", model="sonnet", status=200, error=f"cut: {CANARY}"))
    done, failed = map(json.loads, written)
    assert (done["event"], done["model"], done["stream"]) == ("proxy.success", "m", False)
    assert done["usage"] == {"completion_tokens": 3, "prompt_tokens": 7, "total_tokens": 10}
    assert done["ts"] == 1795219200123
    assert (failed["event"], failed["model"], failed["usage"]) == ("proxy.failure", "sonnet", None)
    assert CANARY not in failed["error"]
