"""`dragoman claude --print-env` and `--settings FILE`: variables for a Claude Code that somebody else starts."""

import ast
import json
import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Run
from dragoman.cli import files
from dragoman.cli.failure import Failure

KEY = "sk-canary-of-a-provider"

LAB = """\
server: {port: 9}
providers:
  lab:
    base_url: "http://127.0.0.1:9/v1"
    api_key: "${LAB_KEY}"
    facts:
      big: {context: 256000}
      middle: {context: 128000}
      small: {context: 32000}
models: {opus: lab/big, sonnet: lab/middle, haiku: lab/small}
"""


@pytest.fixture
def lab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_KEY", KEY)
    (folder / "dragoman.yaml").write_text(LAB, "utf-8")
    return folder


def written(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


class TestPrintEnv:
    @pytest.mark.shows_keys("the shell prints its whole environment")
    def test_the_lines_are_for_a_shell(self, run: Run, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "leftover")
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:1")
        result = run("claude", "--print-env")
        assert result.exit_code == 0, result.output
        assert "no gateway runs at http://127.0.0.1:9" in result.stderr
        shown = subprocess.run(
            ["/bin/sh", "-c", f"{result.stdout}\nenv"], capture_output=True, text=True, check=True, env=os.environ
        ).stdout.splitlines()
        told = dict(line.split("=", 1) for line in shown if "=" in line)
        assert told["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9"
        assert told["ANTHROPIC_AUTH_TOKEN"] == "dragoman"
        assert told["NO_PROXY"] == "127.0.0.1,localhost,::1"
        assert "ANTHROPIC_API_KEY" not in told
        for secret in (KEY, "leftover"):
            assert secret not in result.output

    def test_the_token_of_the_gateway_is_the_only_secret(self, run: Run, lab: Path) -> None:
        (lab / "dragoman.yaml").write_text(LAB.replace("{port: 9}", '{port: 9, auth_token: "it\'s mine"}'), "utf-8")
        result = run("claude", "--print-env")
        assert """ANTHROPIC_AUTH_TOKEN='it'"'"'s mine'""" in result.stdout
        assert "holds the gateway's token" in result.stderr
        assert KEY not in result.output

    def test_callers_keep_their_own_key(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "server: {port: 9, auth_token: sesame}\nproviders: {anthropic: {api_key: caller}}\n"
        (folder / "dragoman.yaml").write_text(text, "utf-8")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "mine")
        out = run("claude", "--print-env").stdout
        assert "export ANTHROPIC_CUSTOM_HEADERS='x-dragoman-token: sesame'" in out
        assert "unset" not in out
        assert "mine" not in out

    @pytest.mark.parametrize("more", [["-p", "hello"], ["--settings", "file"]])
    def test_stands_alone(self, run: Run, more: list[str]) -> None:
        assert run("claude", "--print-env", *more).exit_code == 2


class TestWindows:
    """Models that are smaller than Claude Code believes."""

    def test_families_get_a_name_that_has_a_window(self, run: Run, lab: Path) -> None:
        out = run("claude", "--print-env").stdout
        assert "export ANTHROPIC_DEFAULT_OPUS_MODEL=claude/opus\n" in out
        assert "export ANTHROPIC_DEFAULT_OPUS_MODEL_NAME=lab/big\n" in out
        assert "export ANTHROPIC_DEFAULT_HAIKU_MODEL=claude/haiku\n" in out
        # The smallest of conversations; haiku is for short requests.
        assert "export CLAUDE_CODE_MAX_CONTEXT_TOKENS=128000\n" in out

    def test_only_haiku_is_small(self, run: Run, lab: Path) -> None:
        (lab / "dragoman.yaml").write_text(re.sub("(256|128)000", "1000000", LAB), "utf-8")
        out = run("claude", "--print-env").stdout
        assert "export CLAUDE_CODE_MAX_CONTEXT_TOKENS=32000\n" in out
        assert "OPUS" not in out

    @pytest.mark.parametrize("text", ["", "providers: {anthropic: {}}", "providers: {anthropic: {api_key: caller}}"])
    def test_claude_and_the_unknown_stay_as_they_are(self, run: Run, folder: Path, text: str) -> None:
        (folder / "dragoman.yaml").write_text("server: {port: 9}\n" + text, "utf-8")
        out = run("claude", "--print-env").stdout
        assert "MAX_CONTEXT" not in out
        assert "ANTHROPIC_DEFAULT" not in out


class TestSettings:
    def test_a_new_file(self, run: Run, lab: Path) -> None:
        file = lab / ".claude" / "settings.json"
        result = run("claude", "--settings", str(file))
        assert result.exit_code == 0, result.output
        env = written(file)["env"]
        assert env["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9"
        assert env["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "128000"
        assert KEY not in file.read_text("utf-8")
        assert "Written" in result.stdout
        assert "Nothing to change" in run("claude", "--settings", str(file)).stdout

    def test_nothing_is_lost(self, run: Run, lab: Path) -> None:
        file = lab / "real.json"
        before = {
            "permissions": {"allow": ["Bash"]},
            "env": {"MINE": "é", "ANTHROPIC_BASE_URL": "http://other"},
            "z": 1,
        }
        file.write_text(json.dumps(before), "utf-8")
        file.chmod(0o640)
        link = lab / "settings.json"
        link.symlink_to(file)
        result = run("claude", "--settings", str(link), stdin="y\n")
        assert "env.ANTHROPIC_BASE_URL has another value" in result.output
        after = written(file)
        assert link.is_symlink()
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        assert list(after) == list(before)
        assert after["env"]["MINE"] == "é"
        assert after["env"]["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9"
        assert after["permissions"] == before["permissions"]

    def test_no_means_no(self, run: Run, lab: Path) -> None:
        file = lab / "settings.json"
        file.write_text('{"env": {"ANTHROPIC_BASE_URL": "http://other"}}', "utf-8")
        result = run("claude", "--settings", str(file), stdin="n\n")
        assert "Left as it is: env.ANTHROPIC_BASE_URL" in result.output
        assert written(file)["env"]["ANTHROPIC_BASE_URL"] == "http://other"
        assert "ANTHROPIC_AUTH_TOKEN" in written(file)["env"]

    def test_without_an_answer_nothing_changes(self, run: Run, lab: Path) -> None:
        file = lab / "settings.json"
        text = '{"env": {"ANTHROPIC_BASE_URL": "http://other"}}'
        file.write_text(text, "utf-8")
        result = run("claude", "--settings", str(file))
        assert result.exit_code == 1
        assert "nothing was changed. Run this command in a terminal" in result.output
        assert file.read_text("utf-8") == text

    def test_a_terminal_answers(self, lab: Path) -> None:
        file = lab / "settings.json"
        file.write_text('{"env": {"ANTHROPIC_BASE_URL": "http://other"}}', "utf-8")
        master, slave = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "dragoman", "claude", "--settings", str(file)],
            stdin=slave, stdout=slave, stderr=slave, env=os.environ,
        ) as process:  # fmt: skip
            os.close(slave)
            os.write(master, b"y\n")
            assert process.wait(30) == 0
        os.close(master)
        assert written(file)["env"]["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9"

    @pytest.mark.parametrize("text", ["{", "[]", '{"env": []}', "{// comment\n}"])
    def test_what_is_no_settings_file_is_left_alone(self, run: Run, lab: Path, text: str) -> None:
        file = lab / "settings.json"
        file.write_text(text, "utf-8")
        result = run("claude", "--settings", str(file))
        assert result.exit_code == 1
        assert "was left as it" in result.output
        assert file.read_text("utf-8") == text

    def test_a_token_makes_it_private_and_headers_stay(self, run: Run, folder: Path) -> None:
        text = "server: {port: 9, auth_token: sesame}\nproviders: {anthropic: {api_key: caller}}\n"
        (folder / "dragoman.yaml").write_text(text, "utf-8")
        file = folder / "settings.json"
        file.write_text('{"env": {"ANTHROPIC_CUSTOM_HEADERS": "a: b", "CLAUDE_CODE_USE_BEDROCK": "1"}}', "utf-8")
        result = run("claude", "--settings", str(file), stdin="y\n")
        assert written(file)["env"]["ANTHROPIC_CUSTOM_HEADERS"] == "a: b\nx-dragoman-token: sesame"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "Keep it out of version control" in result.output
        assert "env.CLAUDE_CODE_USE_BEDROCK in this file goes past the gateway" in result.output

    def test_a_folder_is_no_file(self, run: Run, lab: Path) -> None:
        assert "cannot be read" in run("claude", "--settings", str(lab)).output


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("old", "utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Failure, match=r"No space left on device\. Nothing was changed"):
        files.write(file, "new")
    assert file.read_text("utf-8") == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "clients.md").read_text("utf-8")


def test_snippets_in_the_documentation_are_whole(folder: Path) -> None:
    python = re.findall(r"```python\n(.*?)```", DOCUMENTATION, re.DOTALL)
    assert any("ClaudeAgentOptions(" in text for text in python)
    for text in python:
        compile(text, "clients.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCUMENTATION, re.DOTALL)]
    code = next(each["claudeCode.environmentVariables"] for each in found if "claudeCode.environmentVariables" in each)
    assert {each["name"]: each["value"] for each in code}["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8082"


def test_every_variable_that_is_set_is_documented(run: Run, lab: Path) -> None:
    names = re.findall(r"^export (\w+)=", run("claude", "--print-env").stdout, re.MULTILINE)
    told = [re.sub("_(OPUS|SONNET|FABLE|HAIKU)_", "_OPUS_", name) for name in names]
    assert not [name for name in told if name not in DOCUMENTATION]
