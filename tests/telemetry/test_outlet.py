"""Lines leave in order, from a thread, and a pipe that nobody reads stops nobody."""

import io
import json
import threading

import pytest

from dragoman.telemetry.outlet import Outlet, human, standard


class Pipe(io.StringIO):
    """A pipe whose reader is slow until `gate` opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        assert self.gate.wait(5)
        return super().write(text)


def test_lines_in_order() -> None:
    stream = io.StringIO()
    outlet = Outlet(stream, gather=0)
    for number in range(100):
        outlet.write(str(number))
    outlet.close()
    assert stream.getvalue().split() == [str(number) for number in range(100)]
    assert outlet.dropped == 0


def test_writes_are_short_enough_for_a_pipe_that_processes_share() -> None:
    class Recording(io.StringIO):
        def write(self, text: str) -> int:
            sizes.append(len(text))
            return super().write(text)

    sizes: list[int] = []
    stream = Recording()
    outlet = Outlet(stream, gather=0.05)
    lines = ["x" * 500] * 20 + ["y" * 9000]
    for line in lines:
        outlet.write(line)
    outlet.close()
    assert stream.getvalue().splitlines() == lines
    assert len(sizes) >= 4
    assert sorted(sizes)[-2] <= 4096  # one line alone may be longer


def test_a_slow_pipe_costs_lines_and_not_time() -> None:
    stream = Pipe()
    outlet = Outlet(stream, limit=2, gather=0)
    outlet.write("first")
    assert stream.entered.wait(5)
    for number in range(5):
        outlet.write(str(number))  # two wait, three are lost
    assert outlet.dropped == 3
    stream.gate.set()
    outlet.close()
    *lines, told = stream.getvalue().splitlines()
    assert lines == ["first", "0", "1"]
    assert json.loads(told) == {"event": "dropped", "lines": 3}


def test_close_gives_a_dead_pipe_up() -> None:
    stream = Pipe()
    outlet = Outlet(stream, gather=0)
    outlet.write("first")
    assert stream.entered.wait(5)
    outlet.close(timeout=0.01)
    stream.gate.set()


def test_a_closed_stream_counts_as_lost() -> None:
    stream = io.StringIO()
    stream.close()
    outlet = Outlet(stream, gather=0)
    outlet.write("first")
    outlet.close()
    assert outlet.dropped == 1


def test_one_thread_even_when_two_callers_start_it() -> None:
    stream = io.StringIO()
    outlet = Outlet(stream, gather=0)
    outlet.write("first")
    thread = outlet._thread
    outlet._start()
    assert outlet._thread is thread
    outlet.close()
    assert stream.getvalue() == "first\n"


def test_close_without_a_line() -> None:
    outlet = Outlet(io.StringIO())
    outlet.close()
    assert outlet.dropped == 0


@pytest.mark.failure(157)
def test_a_console_with_a_small_code_page() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="cp1252", newline="\n")
    outlet = Outlet(stream, gather=0)
    outlet.write("qwen-\u96ea")
    outlet.close()
    assert raw.getvalue() == b"qwen-\\u96ea\n"


def test_lines_are_for_people_on_a_terminal() -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    assert human("auto", terminal)
    assert not human("auto", io.StringIO())
    assert not human("auto", None)
    assert human("human", None)
    assert not human("json", terminal)


def test_standard_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    outlet = standard()
    outlet.write("out")
    outlet.close()
    assert capsys.readouterr().out == "out\n"
