"""Claude Code, headless, in front of a Claude that looks at everything: bytes out are bytes in, there and back."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec import Struct

from clients import scripted
from clients.conftest import started
from clients.responses_rules import Json
from clients.scripted_claude import (
    Host,
    Output,
    Seals,
    called,
    failure,
    hidden,
    hosting,
    results,
    said,
    thought,
    thoughts,
    words,
)
from clients.test_claude_code import AFTER, BEFORE, blocks, run

KEY = "sk-ant-canary-upstream"
CONFIGURATION = """\
providers:
  anthropic:
    base_url: {url}
    api_key: "${{CLAUDE_KEY}}"
models:
  swift: anthropic/claude-opus-4-8
  older: anthropic/claude-sonnet-4-5
  newest: anthropic/claude-fable-5-1
"""
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
TASK = "Open the gate in gate.txt, then show it and leave a mark."


class Seen(Struct):
    """One request of the client, and what it got."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer: bytes = b""


class _Between(scripted.Handler):
    """Writes down what goes by, between the client and the gateway."""

    gateway: str
    seen: list[Seen]

    def do_GET(self) -> None:  # noqa: N802 - the base class calls it so
        self.post()

    do_HEAD = do_GET  # noqa: N815 - likewise

    def post(self) -> None:
        raw = self.body()
        place = urlsplit(self.gateway)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            connection.request(self.command, self.path, raw or None, headers)
            answer = connection.getresponse()
            seen = Seen(self.path, self.lower_headers(), raw, answer.status)
            if self.command == "POST":
                self.seen.append(seen)
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("connection", "close")
            self.end_headers()
            while piece := answer.read1(65536):
                seen.answer += piece
                self.wfile.write(piece)
        finally:
            connection.close()
            self.close_connection = True


@contextmanager
def between(gateway: str) -> Iterator[tuple[str, list[Seen]]]:
    seen: list[Seen] = []
    with scripted.listening(type("Between", (_Between,), {"gateway": gateway, "seen": seen})) as url:
        yield url, seen


class Task:
    """What the scripted model does: reads, edits, runs two commands at once, and reports."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, body: Json) -> Output:
        if not body.get("tools"):
            return words('{"title": "The gate"}')
        done = len(results(body))
        path = str(self.file)
        thoughts = [thought(f"First I look at step {done}. "), hidden("Really.")]
        match done:
            case 0:
                read = called("Read", {"file_path": path})
                return Output(blocks=[*thoughts, said("I read the file."), thought("This one."), read])
            case 1:
                edit = {"file_path": path, "old_string": BEFORE, "new_string": AFTER}
                return Output(blocks=[*thoughts, called("Edit", edit)])
            case 2:
                show = {"command": f"cat {path}", "description": "Show the file"}
                mark = {"command": f"echo by-hand > {path}.mark", "description": "Leave a mark"}
                return Output(blocks=[*thoughts, called("Bash", show), called("Bash", mark)])
            case _:
                return Output(blocks=[*thoughts, said("The gate is open now.")])


class Scene(Struct):
    host: Host
    file: Path
    work: Path
    home: Path


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    work = tmp_path / "work"
    work.mkdir()
    file = work / "gate.txt"
    file.write_text(BEFORE + "\n", "utf-8")
    with hosting(Host(Task(file), key=KEY)) as host:
        (tmp_path / "dragoman.yaml").write_text(CONFIGURATION.format(url=host.url), "utf-8")
        yield Scene(host, file, work, tmp_path)


def play(scene: Scene, model: str) -> list[Seen]:
    """The whole task; what went by between Claude Code and the gateway."""
    home = scene.home / "gateway"
    with (
        started(home, "--config", str(scene.home / "dragoman.yaml"), CLAUDE_KEY=KEY) as gateway,
        between(gateway) as (url, seen),
    ):
        lines = run(url, scene.work, TASK, model=model)
    assert scene.file.read_text("utf-8") == AFTER + "\n"
    assert (scene.work / "gate.txt.mark").read_text("utf-8") == "by-hand\n"
    assert [block["name"] for block in blocks(lines, "assistant", "tool_use")] == ["Read", "Edit", "Bash", "Bash"]
    assert not [block for block in blocks(lines, "user", "tool_result") if block.get("is_error")]
    assert lines[-1]["is_error"] is False
    assert lines[-1]["result"].strip() == "The gate is open now."
    assert not [line for line in lines if line.get("subtype") == "api_retry"]
    log = "".join((home / name).read_text("utf-8") for name in ("stdout", "stderr"))
    assert KEY not in log
    return seen


def arrived(scene: Scene, seen: list[Seen]) -> None:
    """Headers and the query go on; of credentials only ours."""
    assert len(seen) == len(scene.host.asked)
    for sent, asked in zip(seen, scene.host.asked, strict=True):
        assert sent.path == f"{asked.path}?{asked.query}"
        theirs = asked.named
        for name, value in sent.headers.items():
            if name.startswith(("anthropic-", "x-")) or name == "user-agent":
                assert theirs[name] == value
        assert theirs["x-api-key"] == KEY
        assert "authorization" not in theirs


@pytest.mark.failure(2, 34, 37, 38, 39, 68, 69, 86, 171)
@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-opus-4-8", "claude-sonnet-4-6", "claude-sonnet-4-5"])
def test_under_its_own_name_every_byte_is_the_same(scene: Scene, model: str) -> None:
    seen = play(scene, model)
    assert not scene.host.complaints
    arrived(scene, seen)
    for sent, asked in zip(seen, scene.host.asked, strict=True):
        assert asked.body == sent.body
        assert sent.answer == asked.answered
    main = [body for body in scene.host.requests if body.get("tools")]
    assert {body["model"] for body in main} == {model}
    assert [len(results(body)) for body in main] == [0, 1, 2, 4]
    assert [len(thoughts(body)) for body in main] == [0, 3, 5, 7]
    assert main[0]["system"][0]["text"].startswith("x-anthropic-billing-header:")
    assert all("context_management" in body for body in main)


def model_alone(sent: bytes, asked: bytes, name: str, known: str) -> None:
    """Whether two bodies differ in the name of the model alone."""
    before, found, behind = sent.partition(f'"model":"{name}"'.encode())
    assert found
    assert asked == before + f'"model":"{known}"'.encode() + behind


@pytest.mark.failure(2, 34, 37, 38, 39, 68, 69, 86, 171)
@pytest.mark.parametrize(("model", "known"), [("swift", "claude-opus-4-8"), ("newest", "claude-fable-5-1")])
def test_behind_an_alias_only_the_name_of_the_model_differs(scene: Scene, model: str, known: str) -> None:
    seen = play(scene, model)
    assert not scene.host.complaints
    arrived(scene, seen)
    for sent, asked in zip(seen, scene.host.asked, strict=True):
        model_alone(sent.body, asked.body, model, known)
        model_alone(sent.answer, asked.answered, model, known)


@pytest.mark.failure(4, 38, 68, 170)
def test_behind_an_alias_of_an_older_model(scene: Scene) -> None:
    """Claude Code writes for the newest: adaptive thinking, effort, and system turns in the middle."""
    seen = play(scene, "older")
    assert not scene.host.complaints
    arrived(scene, seen)
    main = [body for body in scene.host.requests if body.get("tools")]
    assert [body["thinking"]["type"] for body in main] == ["enabled"] * 4
    assert [len(thoughts(body)) for body in main] == [0, 3, 5, 7]
    for body in main:
        assert "output_config" not in body
        assert {turn["role"] for turn in body["messages"]} <= {"user", "assistant"}
        assert body["system"][0]["text"].startswith("x-anthropic-billing-header:")
    for earlier, later in pairwise(main):
        assert later["tools"] == earlier["tools"]
    # Of all that it sent, beside the conversation, only these fields are others.
    for sent, body in zip([json.loads(each.body) for each in seen], scene.host.requests, strict=True):
        changed = {name for name in sent.keys() | body.keys() if sent.get(name) != body.get(name)}
        assert changed <= {"model", "messages", "thinking", "output_config"}


@pytest.mark.failure(68)
def test_signatures_that_cannot_be_verified_any_more(scene: Scene) -> None:
    """In the middle of a task: it goes on, and nobody notices."""
    task = scene.host.brain

    def brain(body: Json) -> Output:
        if len(results(body)) == 1 and len(thoughts(body)) > 0:
            scene.host.seals = Seals("another organisation", demand="whole")
        return task(body)

    scene.host.brain = brain
    seen = play(scene, "claude-opus-4-8")
    # The first of the thinking, each time: clients keep it, and send it once more.
    assert set(scene.host.complaints) == {"messages.2.content.0: Invalid `signature` in `thinking` block"}
    assert len(scene.host.asked) == len(seen) + len(scene.host.complaints)
    assert {each.status for each in seen} == {200}


@pytest.mark.failure(118)
def test_claude_code_mends_its_requests_by_the_words_of_claude(scene: Scene) -> None:
    task = scene.host.brain

    def brain(body: Json) -> Output:
        if "context_management" in body:
            return failure(400, "context_management: Extra inputs are not permitted")
        return task(body)

    scene.host.brain = brain
    seen = play(scene, "claude-opus-4-8")
    refused = [each for each in seen if each.status == 400]
    assert len(refused) > 0
    assert refused[0].answer == scene.host.asked[seen.index(refused[0])].answered
    assert "context_management" not in json.loads(seen[-1].body)
