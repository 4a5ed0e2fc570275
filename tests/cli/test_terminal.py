"""Output on terminals, pipes and narrow encodings."""

import io
import sys

import pytest

from dragoman.cli import terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_only_where_they_are_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.colourful(Screen())
    assert not terminal.colourful(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal.colourful(Screen())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.colourful(Screen())


def test_say_takes_colours_out_of_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(terminal.good("fine"))
    terminal.say(terminal.bad("wrong"), error=True)
    assert capsys.readouterr() == ("fine\n", "wrong\n")


def test_say_keeps_colours_on_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    terminal.say(terminal.good("fine"))
    assert screen.getvalue() == "\x1b[32mfine\x1b[0m\n"


@pytest.mark.failure(157)
def test_a_narrow_encoding_gets_substitutes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    terminal.prepare()
    terminal.say("Καλημέρα ok")
    assert raw.getvalue() == b"???????? ok\n"


def test_table_aligns_what_is_seen() -> None:
    rows = [["a", terminal.good("b"), "c"], ["long", "bb"]]
    assert terminal.table(rows) == ["  a     \x1b[32mb\x1b[0m   c", "  long  bb"]
    assert terminal.table([]) == []
