"""Claude Code, headless, in front of OpenAI Responses: twenty turns with tools, and its reasoning kept."""

import json
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from clients.conftest import started
from clients.responses_rules import Json
from clients.scripted_responses import Host, Output, called, hosting, said, thought, words
from clients.test_claude_code import blocks, run

KEY = "canary-openai-key"
CONFIGURATION = """\
providers:
  openai:
    base_url: {url}
    api_key: "${{OPENAI_KEY}}"
models:
  opus: openai/gpt-5.5
  sonnet: openai/gpt-5.5
  haiku: openai/gpt-5.4-mini
"""
STEPS = 19  # and a last answer in words: twenty turns
DONE = "The count is over."


class Count:
    """What the scripted model does: reads a file, edits it, runs a command, runs two at once; then all again."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.edits = 0
        self.steps = [self.step(number) for number in range(STEPS)]
        self.before = [0, *accumulate(len(step) for step in self.steps)]  # calls that were made before each step

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
                return [called("Bash", {"command": f"cat {path}", "description": "Show the file"})]
            case _:
                return [
                    called("Bash", {"command": f"echo {number}-{side} >> {path}.log", "description": "Leave a mark"})
                    for side in ("left", "right")
                ]

    def __call__(self, body: Json) -> Output:
        if not body.get("tools"):
            return words('{"title": "Counting"}')
        made = sum(item.get("type") == "function_call_output" for item in body["input"])
        number = self.before.index(made)
        if number == STEPS:
            return Output(items=[thought("All is done."), said(DONE)])
        # With words and without; reasoning with a summary, with none, and several times in an answer.
        calls = self.steps[number]
        match number % 3:
            case 0:
                return Output(items=[thought(f"Step {number}.", "It is next."), said(f"Step {number}."), *calls])
            case 1:
                return Output(items=[thought(), *calls])
            case _:
                return Output(items=[thought("Words."), said("Now."), thought(f"Step {number}."), *calls])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    home = tmp_path / "work"
    home.mkdir()
    (home / "count.txt").write_text("count 0\n", "utf-8")
    return home / "count.txt"


@pytest.mark.failure(1, 4, 13, 29, 42, 43, 65)
def test_twenty_turns_with_tools(tmp_path: Path, file: Path) -> None:
    task = Count(file)
    with hosting(Host(task, key=KEY)) as host:
        (tmp_path / "dragoman.yaml").write_text(CONFIGURATION.format(url=host.url), "utf-8")
        with started(tmp_path / "gateway", "--config", str(tmp_path / "dragoman.yaml"), OPENAI_KEY=KEY) as url:
            lines = run(url, file.parent, "Count up in count.txt, step by step.")
    assert not host.complaints
    assert lines[-1]["is_error"] is False
    assert lines[-1]["result"].strip() == DONE
    assert not [line for line in lines if line.get("subtype") == "api_retry"]
    assert not [block for block in blocks(lines, "user", "tool_result") if block.get("is_error")]
    assert file.read_text("utf-8") == f"count {task.edits}\n"
    marks = Path(f"{file}.log").read_text("utf-8").split()
    assert sorted(marks) == sorted(f"{n}-{side}" for n in range(3, STEPS, 4) for side in ("left", "right"))

    main = [body for body in host.requests if body.get("tools")]
    assert len(main) == STEPS + 1
    assert all(body["store"] is False for body in host.requests)
    assert all(body["reasoning"]["summary"] == "auto" for body in main)
    assert not any("x-anthropic-billing-header" in json.dumps(body) for body in main)
    # Prompt caches upstream: each request only appends to the one before, under one key.
    for earlier, later in pairwise(main):
        assert later["input"][: len(earlier["input"])] == earlier["input"]
        assert later["tools"] == earlier["tools"]
        assert later["instructions"] == earlier["instructions"]
    assert len({body["prompt_cache_key"] for body in main}) == 1
    restored = [item for item in main[-1]["input"] if item.get("type") == "reasoning"]
    assert len(restored) == sum(2 if number % 3 == 2 else 1 for number in range(STEPS))


@pytest.mark.failure(43)
def test_a_session_that_is_continued_keeps_its_reasoning(tmp_path: Path, file: Path) -> None:
    """Another process of Claude Code, and another one of the gateway, go on with what was said before."""

    def brain(body: Json) -> Output:
        if not body.get("tools"):
            return words('{"title": "Echo"}')
        if body["input"][-1].get("type") == "function_call_output":
            return Output(items=[thought("That is it."), said(DONE)])
        return Output(items=[thought("I ask."), called("Bash", {"command": "echo hello", "description": "Greet"})])

    with hosting(Host(brain, key=KEY)) as host:
        (tmp_path / "dragoman.yaml").write_text(CONFIGURATION.format(url=host.url), "utf-8")
        for number in range(2):
            home = tmp_path / f"gateway-{number}"
            with started(home, "--config", str(tmp_path / "dragoman.yaml"), OPENAI_KEY=KEY) as url:
                lines = run(url, file.parent, "Say hello.", *(["--continue"] if number else []))
            assert lines[-1]["result"].strip() == DONE
    assert not host.complaints
    main = [body for body in host.requests if body.get("tools")]
    assert [sum(item.get("type") == "reasoning" for item in body["input"]) for body in main] == [0, 1, 2, 3]
