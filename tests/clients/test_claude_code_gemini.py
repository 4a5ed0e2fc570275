"""Claude Code, headless, in front of Gemini: its tools, an interrupted turn, twenty turns; every signature kept."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from clients.conftest import started
from clients.responses_rules import Json
from clients.scripted_gemini import Host, Output, called, hosting, results, said, signatures, thought, words
from clients.test_claude_code import AFTER, BEFORE, LIMIT, blocks, invocation, run

KEY = "canary-gemini-key"
CONFIGURATION = """\
providers:
  gemini:
    base_url: {url}
    api_key: "${{GEMINI_KEY}}"
models:
  opus: gemini/gemini-3.1-pro-preview
  sonnet: gemini/gemini-3.1-pro-preview
  haiku: gemini/gemini-3.5-flash-lite
"""
STEPS = 19  # and a last answer in words: twenty turns
DONE = "The count is over."


def bash(line: str, description: str) -> Json:
    return called("Bash", {"command": line, "description": description})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "work"
    home.mkdir()
    return home


@pytest.mark.failure(1, 4, 13, 29, 48, 49, 52, 53, 65, 78)
def test_a_task_of_several_steps(tmp_path: Path, home: Path) -> None:
    file = home / "gate.txt"
    file.write_text(BEFORE + "\n", "utf-8")

    def brain(body: Json) -> Output:
        if not body.get("tools"):
            return words('{"title": "The gate"}')
        done = len(results(body))
        thoughts = [thought("**Looking**\n\nFirst I "), thought(f"look at step {done}.")]
        match done:
            case 0:
                return Output(parts=[*thoughts, said("I read the file."), called("Read", {"file_path": str(file)})])
            case 1:
                edit = {"file_path": str(file), "old_string": BEFORE, "new_string": AFTER}
                return Output(parts=[*thoughts, called("Edit", edit)])
            case 2:
                pair = [bash(f"cat {file}", "Show the file"), bash(f"echo by-hand > {file}.mark", "Leave a mark")]
                return Output(parts=[*thoughts, *pair])
            case _:
                return Output(parts=[*thoughts, said("The gate is open now.")])

    with hosting(Host(brain, key=KEY)) as host:
        (tmp_path / "dragoman.yaml").write_text(CONFIGURATION.format(url=host.url), "utf-8")
        with started(tmp_path / "gateway", "--config", str(tmp_path / "dragoman.yaml"), GEMINI_KEY=KEY) as url:
            lines = run(url, home, "Open the gate in gate.txt, then show it and leave a mark.")
    assert not host.complaints
    assert file.read_text("utf-8") == AFTER + "\n"
    assert (home / "gate.txt.mark").read_text("utf-8") == "by-hand\n"
    assert [block["name"] for block in blocks(lines, "assistant", "tool_use")] == ["Read", "Edit", "Bash", "Bash"]
    assert not [block for block in blocks(lines, "user", "tool_result") if block.get("is_error")]
    assert lines[-1]["is_error"] is False
    assert lines[-1]["result"].strip() == "The gate is open now."
    assert not [line for line in lines if line.get("subtype") == "api_retry"]
    shown = [block["thinking"] for block in blocks(lines, "assistant", "thinking")]
    assert shown == [f"**Looking**\n\nFirst I look at step {done}." for done in (0, 1, 2, 4)]
    main = [body for body in host.requests if body.get("tools")]
    assert [len(signatures(body)) for body in main] == [0, 1, 2, 3]
    assert all(headers.get("x-goog-api-key") == KEY for headers in host.headers)
    assert not any("x-anthropic-billing-header" in json.dumps(body) for body in main)


class Count:
    """What the scripted model does: reads a file, edits it, runs a command, runs two at once; then all again."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.edits = 0
        self.before: int | None = None  # results of calls in the history from before the task
        self.steps = [self.step(number) for number in range(STEPS)]
        self.made = [0, *accumulate(len(step) for step in self.steps)]

    def step(self, number: int) -> list[Json]:
        path = str(self.file)
        match number % 4:
            case 0:
                return [called("Read", {"file_path": path})]
            case 1:
                self.edits += 1
                old, new = f"count {self.edits - 1}", f"count {self.edits}"
                return [called("Edit", {"file_path": path, "old_string": old, "new_string": new})]
            case 2:
                return [bash(f"cat {path}", "Show the file")]
            case _:
                return [bash(f"echo {number}-{side} >> {path}.log", "Leave a mark") for side in ("left", "right")]

    def __call__(self, body: Json) -> Output:
        found = len(results(body))
        if self.before is None:
            self.before = found
        number = self.made.index(found - self.before)
        if number == STEPS:
            return Output(parts=[thought("All is done."), said(DONE)])
        # With words and without, thoughts several times in an answer, and signatures on texts and thoughts as well.
        calls = self.steps[number]
        match number % 4:
            case 0:
                return Output(parts=[thought(f"Step {number}."), thought(" It is next."), said("A step."), *calls])
            case 1:
                return Output(parts=calls)
            case 2:
                return Output(parts=[thought("Words."), said("Now.", signed=True), thought(f"Step {number}."), *calls])
            case _:
                return Output(parts=[thought("Hm.", signed=True), said("Both."), *calls])


def interrupted(url: str, home: Path, prompt: str, moment: Callable[[], bool]) -> None:
    """One headless run that is interrupted at its `moment`."""
    process = subprocess.Popen(**invocation(url, home, prompt), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + LIMIT
    try:
        while not moment():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.wait()
    # How much of its end it still tells depends on the moment.
    assert '"subtype":"success"' not in output, output[-2000:] + errors[-2000:]


@pytest.mark.failure(1, 4, 13, 29, 48, 49, 52, 53, 65, 78)
@pytest.mark.parametrize("during", ["tools", "answer"])
def test_an_interrupted_turn_and_twenty_more(tmp_path: Path, home: Path, during: str) -> None:
    file, pipe, begun = home / "count.txt", tmp_path / "pipe", tmp_path / "begun"
    file.write_text("count 0\n", "utf-8")
    os.mkfifo(pipe)
    task = Count(file)

    def brain(body: Json) -> Output:
        if not body.get("tools"):
            return words('{"title": "Counting"}')
        if "step by step" in json.dumps(body["contents"]):
            return task(body)
        if not results(body):
            return Output(parts=[thought("I look."), said("First I look."), bash("echo before", "Look")])
        first = f"touch {begun}" if during == "answer" else f"touch {begun}; cat {pipe}"
        calls = [bash(first, "Wait"), bash("true", "End")]
        # The second call is not there yet when the first has run, where the answer is to be interrupted.
        pause = 2.0 if during == "answer" else 0.0
        return Output(parts=[thought("Wait."), said("Wait."), *calls], pause=pause)

    with hosting(Host(brain, key=KEY)) as host:
        (tmp_path / "dragoman.yaml").write_text(CONFIGURATION.format(url=host.url), "utf-8")
        with started(tmp_path / "gateway", "--config", str(tmp_path / "dragoman.yaml"), GEMINI_KEY=KEY) as url:
            interrupted(url, home, "Wait for me.", begun.exists)
            asked = len(host.requests)
            lines = run(url, home, "Count up in count.txt, step by step.", "--continue")
    assert not host.complaints
    assert lines[-1]["is_error"] is False
    assert lines[-1]["result"].strip() == DONE
    assert not [line for line in lines if line.get("subtype") == "api_retry"]
    assert file.read_text("utf-8") == f"count {task.edits}\n"
    marks = Path(f"{file}.log").read_text("utf-8").split()
    assert sorted(marks) == sorted(f"{n}-{side}" for n in range(3, STEPS, 4) for side in ("left", "right"))

    main = [body for body in host.requests[asked:] if body.get("tools")]
    assert len(main) == STEPS + 1
    assert "First I look." in json.dumps(main[0])
    # Prompt caches upstream: each request only appends to the one before.
    for earlier, later in pairwise(main):
        assert later["contents"][: len(earlier["contents"])] == earlier["contents"]
        assert later["tools"] == earlier["tools"]
        assert later["systemInstruction"] == earlier["systemInstruction"]
        assert later["generationConfig"] == earlier["generationConfig"]
    assert not any("x-anthropic-billing-header" in json.dumps(body) for body in main)
    # One for each step with calls, from before the interruption too; and those on a text and on a thought.
    more = sum(number % 4 in (2, 3) for number in range(STEPS))
    assert len(signatures(main[-1])) == 2 + STEPS + more
    assert "skip_thought_signature_validator" not in json.dumps(main)
