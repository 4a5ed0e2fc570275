"""P2.5: the real API and the gateway, side by side. Here a strict stand-in is the real API."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from clients import scripted, scripted_claude, scripted_gemini, scripted_responses
from clients.conftest import ROOT
from clients.scripted import Json
from predecessors.conftest import CLAUDE_KEY, GEMINI_KEY, OPENAI_KEY, Claude, Serve
from predecessors.side_by_side import Server, differences

CITY = {"city": "Rhodes"}


def claude_says(body: Json) -> scripted_claude.Output:
    if body.get("tools") and not scripted_claude.results(body):
        return scripted_claude.Output(
            blocks=[scripted_claude.said("I look."), scripted_claude.called("get_weather", CITY)]
        )
    return scripted_claude.words("It is sunny, Alexandra.")


def chat_says(body: Json) -> scripted.Answer:
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        return scripted.calls(scripted.call(0, "call_1", "get_weather", CITY))
    return scripted.words("It is sunny, Alexandra.")


def gemini_says(body: Json) -> scripted_gemini.Output:
    if body.get("tools") and not scripted_gemini.results(body):
        return scripted_gemini.Output(parts=[scripted_gemini.called("get_weather", CITY)])
    return scripted_gemini.words("It is sunny, Alexandra.")


def unasked(_: Json) -> scripted_responses.Output:
    """The models that are asked here speak Chat Completions."""
    raise AssertionError


@pytest.fixture
def real() -> Iterator[Claude]:
    with scripted_claude.hosting(Claude(claude_says, key=CLAUDE_KEY)) as host:
        yield host


def reference(real: Claude) -> Server:
    return Server(real.url, {"x-api-key": CLAUDE_KEY}, "claude-haiku-4-5")


@pytest.fixture
def vendors(real: Claude) -> Iterator[dict[str, str]]:
    """The keys of three vendors: a Claude of its own, so that both sides have their own history, and two others."""
    with ExitStack() as stack:
        claude = stack.enter_context(scripted_claude.hosting(Claude(claude_says, key=CLAUDE_KEY)))
        gemini = stack.enter_context(scripted_gemini.hosting(scripted_gemini.Host(gemini_says, key=GEMINI_KEY)))
        openai = stack.enter_context(scripted_responses.serving(unasked, chat_says, key=OPENAI_KEY))
        yield {
            "OPENAI_API_KEY": OPENAI_KEY,
            "OPENAI_BASE_URL": openai.url,
            "GEMINI_API_KEY": GEMINI_KEY,
            "GEMINI_BASE_URL": gemini.url,
            "ANTHROPIC_API_KEY": CLAUDE_KEY,
            "ANTHROPIC_UPSTREAM_BASE_URL": claude.url,
        }


@pytest.mark.parametrize("preferred", ["anthropic", "openai", "google"])
def test_p2_5_side_by_side(serve: Serve, real: Claude, vendors: dict[str, str], preferred: str) -> None:
    with serve(**vendors, PREFERRED_PROVIDER=preferred) as gateway:
        found = dict(differences(reference(real), Server(gateway.url, {"x-api-key": "dragoman"}, "claude-haiku-4-5")))
    assert len(found) == 15
    assert {name: differing for name, differing in found.items() if differing} == {}


def test_the_comparison_as_a_command(real: Claude) -> None:
    """It tells what differs: here one side knows no tools."""

    def poorer(body: Json) -> scripted_claude.Output:
        return scripted_claude.words("I know no tools.")

    with scripted_claude.hosting(Claude(poorer, key=CLAUDE_KEY)) as other:
        environ = {
            "PATH": os.environ["PATH"], "REFERENCE_URL": real.url, "REFERENCE_KEY": CLAUDE_KEY,
            "GATEWAY_URL": other.url, "GATEWAY_TOKEN": CLAUDE_KEY, "GATEWAY_MODEL": "claude-haiku-4-5",
        }  # fmt: skip
        command = [sys.executable, "-m", "predecessors.side_by_side"]
        done = subprocess.run(
            command, cwd=ROOT / "tests", env=environ, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1, done.stderr
    lines = dict(line.partition(": ")[::2] for line in done.stdout.splitlines())
    assert lines["a word"] == "the same"
    assert "blocks: ['tool_use'], ['text']" in lines["a tool is called"]
    assert "stop_reason: tool_use, end_turn" in lines["a tool is called, streamed"]
    assert CLAUDE_KEY not in done.stdout
