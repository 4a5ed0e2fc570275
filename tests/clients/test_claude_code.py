"""Claude Code, headless, through the real server: a task of several steps with tools, thinking and parallel calls."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from clients import scripted
from clients.conftest import CONFIGURATION, KEY, clean_environment, client, started
from clients.scripted import Answer, Json

LIMIT = 90  # seconds; a turn takes about one
BEFORE, AFTER = "The gate is closed.", "The gate is open."


def binary() -> Path:
    packages = client("claude", "node_modules", "@anthropic-ai")
    found = [path for path in sorted(packages.glob("claude-code-*/claude")) if "musl" not in str(path)]
    if not found:
        pytest.skip("the Claude Code binary of this platform is not installed: make clients")
    return found[0]


class Task:
    """What the scripted model does, one step for each request: read, edit, run two commands at once, report."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.tools: set[str] = set()

    def __call__(self, body: Json) -> Answer:
        if not body.get("tools"):
            return scripted.words("A short title")
        self.tools |= {tool["function"]["name"] for tool in body["tools"]}
        done = sum(turn["role"] == "tool" for turn in body["messages"])
        thought: list[Json] = [{"reasoning_content": piece} for piece in ("First I ", f"look at step {done}.")]
        path = str(self.file)
        if done == 0:
            read = scripted.call(0, "call_read", "Read", {"file_path": path})
            return scripted.calls(read, before=[*thought, {"content": "I read the file."}])
        if done == 1:
            edit = {"file_path": path, "old_string": BEFORE, "new_string": AFTER}
            return scripted.calls(scripted.call(0, "call_edit", "Edit", edit), before=thought)
        if done == 2:
            show = {"command": f"cat {path}", "description": "Show the file"}
            mark = {"command": f"echo made-by-hand > {path}.mark", "description": "Leave a mark"}
            return scripted.calls(
                scripted.call(0, "call_show", "Bash", show), scripted.call(1, "call_mark", "Bash", mark), before=thought
            )
        return Answer(deltas=[*thought, *scripted.words("The gate is open now.").deltas])


def invocation(url: str, home: Path, prompt: str, *arguments: str, model: str = "opus") -> dict[str, Any]:
    """What starts a headless run, as arguments of `subprocess`."""
    home.mkdir(parents=True, exist_ok=True)
    environ = clean_environment(
        home,
        ANTHROPIC_BASE_URL=url,
        ANTHROPIC_AUTH_TOKEN="dummy",
        IS_SANDBOX="1",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        CLAUDE_CONFIG_DIR=str(home / "claude"),
        DISABLE_AUTOUPDATER="1",
    )
    command = [str(binary()), "-p", prompt, "--model", model, "--permission-mode", "bypassPermissions"]
    command += ["--output-format", "stream-json", "--verbose", *arguments]
    return {"args": command, "cwd": home, "env": environ, "stdin": subprocess.DEVNULL, "text": True}


def run(url: str, home: Path, prompt: str, *arguments: str, model: str = "opus") -> list[Any]:
    """One headless run; returns the lines that Claude Code prints."""
    how = invocation(url, home, prompt, *arguments, model=model)
    done = subprocess.run(**how, capture_output=True, timeout=LIMIT, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, done.stderr[-2000:] + json.dumps(lines)[-3000:]
    return lines


def blocks(lines: list[Any], role: str, kind: str) -> list[Any]:
    """Content blocks of one kind in the messages of one role."""
    return [
        block
        for line in lines
        if line["type"] == role and isinstance(line["message"]["content"], list)
        for block in line["message"]["content"]
        if block["type"] == kind
    ]


@pytest.mark.failure(1, 4, 13, 29, 36, 38, 65, 80, 170, 183)
def test_a_task_of_several_steps(tmp_path: Path) -> None:
    home = tmp_path / "work"
    home.mkdir()
    file = home / "gate.txt"
    file.write_text(BEFORE + "\n", "utf-8")
    task = Task(file)
    with scripted.serving(task) as upstream:
        (tmp_path / "dragoman.yaml").write_text(CONFIGURATION.format(url=upstream.url), "utf-8")
        with started(tmp_path / "gateway", "--config", str(tmp_path / "dragoman.yaml"), LAB_KEY=KEY) as url:
            lines = run(url, home, "Open the gate in gate.txt, then show it and leave a mark.")
    assert not upstream.complaints
    assert file.read_text("utf-8") == AFTER + "\n"
    assert (home / "gate.txt.mark").read_text("utf-8") == "made-by-hand\n"
    used = [block["name"] for block in blocks(lines, "assistant", "tool_use")]
    assert used == ["Read", "Edit", "Bash", "Bash"]
    assert not [block for block in blocks(lines, "user", "tool_result") if block.get("is_error")]
    assert lines[-1]["type"] == "result"
    assert lines[-1]["is_error"] is False
    assert lines[-1]["result"].strip() == "The gate is open now."
    assert not [line for line in lines if line.get("subtype") == "api_retry"]
    main = [body for body in upstream.requests if body.get("tools")]
    assert len(main) == 4
    assert not any("x-anthropic-billing-header" in json.dumps(body) for body in main)
    # Prompt caches upstream: each request only appends to the one before.
    for earlier, later in pairwise(main):
        assert later["messages"][: len(earlier["messages"])] == earlier["messages"]
        assert later["tools"] == earlier["tools"]


@pytest.mark.failure(115)
def test_an_overflow_is_told_in_words_that_it_knows(tmp_path: Path) -> None:
    def overflow(body: Json) -> Answer:
        return scripted.failure(
            400,
            "This model's maximum context length is 1000 tokens. However, your messages resulted in 2000 tokens.",
            code="context_length_exceeded",
        )

    with scripted.serving(overflow) as upstream:
        (tmp_path / "dragoman.yaml").write_text(CONFIGURATION.format(url=upstream.url), "utf-8")
        gateway = started(tmp_path / "gateway", "--config", str(tmp_path / "dragoman.yaml"), LAB_KEY=KEY)
        with gateway as url, pytest.raises(AssertionError) as told:
            run(url, tmp_path / "work", "Hello")
    assert "Prompt is too long" in str(told.value)


@pytest.mark.failure(1)
def test_against_the_demo(tmp_path: Path) -> None:
    """With nothing configured: the simulated model calls the tools that it is asked to call."""
    home = tmp_path / "work"
    home.mkdir()
    (home / "note.txt").write_text("Meet at the harbour.\n", "utf-8")
    with started(tmp_path / "gateway") as url:
        note = home / "note.txt"
        prompt = f'Read {note}, then change "harbour" to "lighthouse" in {note}, then run `cat {note}`.'
        lines = run(url, home, prompt, model="sonnet")
    assert lines[-1]["is_error"] is False
    assert {"Read", "Edit", "Bash"} <= {block["name"] for block in blocks(lines, "assistant", "tool_use")}
    assert not [block for block in blocks(lines, "user", "tool_result") if block.get("is_error")]
    assert note.read_text("utf-8") == "Meet at the lighthouse.\n"


def test_dragoman_claude_starts_it(tmp_path: Path) -> None:
    """`dragoman claude` starts a gateway of its own, passes arguments on, and leaves no process and no file behind."""
    home = tmp_path / "work"
    home.mkdir()
    file = home / "gate.txt"
    file.write_text(BEFORE + "\n", "utf-8")
    with scripted.serving(Task(file)) as upstream:
        (home / "dragoman.yaml").write_text(CONFIGURATION.format(url=upstream.url) + "server: {port: 1}\n", "utf-8")
        environ = clean_environment(
            home,
            LAB_KEY=KEY,
            IS_SANDBOX="1",
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
            ANTHROPIC_API_KEY="canary-leftover",
        )
        command = [sys.executable, "-m", "dragoman", "claude", "--binary", str(binary())]
        command += ["-p", "Open the gate.", "--model", "opus", "--permission-mode", "bypassPermissions"]
        done = subprocess.run(
            command,
            cwd=home,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.strip() == "The gate is open now."
    assert "ANTHROPIC_API_KEY" in done.stderr
    assert "canary-leftover" not in done.stderr
    assert not upstream.complaints


@pytest.mark.parametrize("chosen", [("--model", "sonnet"), ()])
def test_dragoman_claude_tells_the_window(tmp_path: Path, chosen: tuple[str, ...]) -> None:
    """By name and by default, a model is as large as it is known to be."""
    facts = "    facts: {text: {context: 64000}, agent: {context: 128000}}\nmodels:"
    with scripted.serving(lambda _: scripted.words("Small.")) as upstream:
        text = CONFIGURATION.format(url=upstream.url).replace("models:", facts) + "server: {port: 1}\n"
        (tmp_path / "dragoman.yaml").write_text(text, "utf-8")
        environ = clean_environment(tmp_path, LAB_KEY=KEY, IS_SANDBOX="1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1")
        command = [sys.executable, "-m", "dragoman", "claude", "--binary", str(binary()), "-p", "Hello", *chosen]
        done = subprocess.run(
            [*command, "--permission-mode", "bypassPermissions", "--output-format", "json"],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert done.returncode == 0, done.stderr + done.stdout
    used = json.loads(done.stdout)["modelUsage"]
    assert {name: each["contextWindow"] for name, each in used.items()} == {
        "claude/sonnet" if chosen else "claude/opus": 64000
    }
