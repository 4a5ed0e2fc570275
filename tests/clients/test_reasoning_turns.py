"""Reasoning between turns, over real sockets: it travels with the client, and with nothing else."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from clients import scripted, wire_client
from clients.conftest import client, logged, run_json, started
from clients.responses_rules import Json
from clients.scripted import Answer, Upstream
from clients.scripted_responses import Host, Output, called, hosting, said, texts, thought

SCRIPT = str(Path(__file__).with_name("turns_sdk.py"))
KEY = "canary-openai-key"
OTHER_KEY = "canary-other-key"

CONFIGURATION = """\
providers:
  openai:
    base_url: {openai}
    api_key: "${{OPENAI_KEY}}"
  other:
    dialect: chat
    base_url: {other}
    api_key: "${{OTHER_KEY}}"
    quirks: {{reasoning_in: reasoning_content, reasoning_echo: optional}}
models:
  sonnet: openai/gpt-5.5
"""

LOOK = {
    "name": "look",
    "description": "Looks something up.",
    "input_schema": {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
}
MORE: Json = {"tools": [LOOK], "thinking": {"type": "enabled", "budget_tokens": 4000}}


class Marks:
    """Words that occur once: each says where it was made, and must be found upstream exactly once later."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def new(self, what: str) -> str:
        self.made.append(f"mark-{what}-{len(self.made):03d}.")
        return self.made[-1]


class Mind:
    """A model that looks two things up at once, then one, then speaks, and so on."""

    def __init__(self, marks: Marks, name: str) -> None:
        self.marks = marks
        self.name = name
        self.step = 0

    def next(self) -> tuple[str, list[Json]]:
        """What it says, and what it calls the tool with."""
        text = self.marks.new(f"{self.name}-text")
        number = (2, 1, 0)[self.step % 3]
        self.step += 1
        return text, [{"answer": self.marks.new(f"{self.name}-result")} for _ in range(number)]

    def responses(self, body: Json) -> Output:
        text, inputs = self.next()
        summary = thought(f"Hidden {self.name} {self.step}.", "Really.")
        calls = [called("look", each) for each in inputs]
        # Reasoning before the words and before the calls, with a summary and without one.
        return Output(items=[summary, said(text), *([thought(), *calls] if calls else [])])

    def chat(self, body: Json) -> Answer:
        text, inputs = self.next()
        before: list[Json] = [{"reasoning_content": f"Hidden {self.name}. "}, {"content": text}]
        if not inputs:
            return Answer(deltas=before)
        made = [scripted.call(n, f"call_{self.name}_{self.step}_{n}", "look", each) for n, each in enumerate(inputs)]
        return scripted.calls(*made, before=before)


@pytest.fixture
def marks() -> Marks:
    return Marks()


@pytest.fixture
def openai(marks: Marks) -> Iterator[Host]:
    with hosting(Host(Mind(marks, "openai").responses, key=KEY)) as host:
        yield host


@pytest.fixture
def other(marks: Marks) -> Iterator[Upstream]:
    with scripted.serving(Mind(marks, "other").chat) as running:
        yield running


@pytest.fixture
def gateways(openai: Host, other: Upstream, tmp_path: Path) -> Iterator[list[str]]:
    """Two processes with one configuration, which know nothing of each other."""
    file = tmp_path / "dragoman.yaml"
    file.write_text(CONFIGURATION.format(openai=openai.url, other=other.url), "utf-8")
    with ExitStack() as stack:
        yield [
            stack.enter_context(started(tmp_path / name, "--config", str(file), OPENAI_KEY=KEY, OTHER_KEY=OTHER_KEY))
            for name in ("first", "second")
        ]


def converse(version: str, turns: list[Json]) -> Any:
    python = client(version, "bin", "python")
    return run_json([str(python), SCRIPT, json.dumps({"turns": turns, "more": MORE})])


def present_in(body: Json, marks: Marks) -> list[str]:
    sent = json.dumps(body)
    return [mark for mark in marks.made if mark in sent]


def reasoning(body: Json) -> list[Json]:
    return [item for item in body["input"] if item.get("type") == "reasoning"]


@pytest.mark.failure(43, 178)
@pytest.mark.parametrize("version", ["python-2", "python-0"])
def test_two_processes_serve_alternate_turns(version: str, gateways: list[str], openai: Host) -> None:
    turns = [{"url": gateways[number % 2], "model": "sonnet"} for number in range(12)]
    turns = [{**turn, "say": f"Question {n}?"} if n % 3 == 0 else turn for n, turn in enumerate(turns)]
    found = converse(version, turns)
    assert not openai.complaints
    assert len(openai.requests) == 12
    # Every piece of reasoning made so far is there again: two for a turn that calls, one for a turn that speaks.
    counts = [len(reasoning(body)) for body in openai.requests]
    assert counts == [0, 2, 4, 5, 7, 9, 10, 12, 14, 15, 17, 19]
    for earlier, later in zip(openai.requests, openai.requests[1:], strict=False):
        assert later["input"][: len(earlier["input"])] == earlier["input"]
    thinking = [block for answer in found["answers"] for block in answer["content"] if "thinking" in block["type"]]
    assert {block["type"] for block in thinking} == {"thinking", "redacted_thinking"}
    shown = [block["thinking"] for block in thinking if block["type"] == "thinking"]
    assert shown[0] == "Hidden openai 1.\n\nReally."


@pytest.mark.failure(43, 48, 49, 68, 131)
@pytest.mark.parametrize("version", ["python-2", "python-0"])
def test_a_conversation_moves_to_another_provider_and_back(
    version: str, gateways: list[str], openai: Host, other: Upstream, marks: Marks
) -> None:
    path = ["openai/gpt-5.5"] * 4 + ["other/m"] * 4 + ["openai/gpt-5.5"] * 4 + ["other/m"] * 2 + ["openai/gpt-5.5"] * 2
    turns: list[Json] = [{"url": gateways[0], "model": model} for model in path]
    # A question after each answer that called nothing; and once besides the results of tools.
    questions = {number: f"question-{number:03d}." for number in (0, 3, 7, 8, 10, 14, 15)}
    for number, question in questions.items():
        turns[number]["say"] = question
    converse(version, turns)
    assert not openai.complaints
    assert not other.complaints
    for body in (openai.requests[-1], other.requests[-1]):
        sent = json.dumps(body)
        present = present_in(body, marks)
        # The result of a tool is also the input of its call, here; everything else is there once.
        wrong = {mark: sent.count(mark) for mark in present if sent.count(mark) != (2 if "result" in mark else 1)}
        assert not wrong
        assert present == marks.made[: len(present)], "only what was made later may be missing"
    assert all(json.dumps(openai.requests[-1]).count(question) == 1 for question in questions.values())
    assert len(marks.made) - len(present_in(openai.requests[-1], marks)) == 3, "its own answer: a text and two calls"
    for body in other.requests:
        assert "gAAAAA" not in json.dumps(body)
        assert "dragoman1" not in json.dumps(body)
        assert "Hidden openai" not in json.dumps(body)
    for body in openai.requests:
        assert "dragoman1" not in json.dumps(body)
        assert "Hidden other" not in json.dumps(body)
    assert reasoning(openai.requests[-1]), "its own reasoning came back"


def loop(url: str, first: Any = None) -> tuple[Any, Any]:
    """A question, the answer with its calls, and the answer to their results. `first`: the answer from before."""
    first = first or wire_client.message(url, "Hi", **MORE).body
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "x"}
        for block in first["content"]
        if block["type"] == "tool_use"
    ]
    turns: list[Json] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": results},
    ]
    second = wire_client.message(url, turns, **MORE)
    assert second.status == 200, second.body
    return first, second.body


@pytest.mark.failure(43)
def test_reasoning_that_cannot_be_read_any_more_is_dropped_from_that_conversation(
    openai: Host, gateways: list[str], tmp_path: Path
) -> None:
    openai.seals.demand = "ids"
    first, _ = loop(gateways[0])
    openai.seals.secret = b"another organisation"
    loop(gateways[0], first)
    assert [len(reasoning(body)) for body in openai.requests] == [0, 2, 2, 0]
    assert len(openai.complaints) == 1
    assert "could not be verified" in openai.complaints[0]
    # What is made from now on can be read, and other conversations keep it.
    mind = Mind(Marks(), "again")
    openai.brain = mind.responses
    loop(gateways[0])
    assert [len(reasoning(body)) for body in openai.requests[4:]] == [0, 2]
    assert len(openai.complaints) == 1
    repairs = [line["repairs"] for line in logged(tmp_path / "first", 5)]
    assert repairs == [[], [], ["reasoning_dropped"], [], []]
    log = "".join((tmp_path / "first" / name).read_text("utf-8") for name in ("stdout", "stderr"))
    assert KEY not in log
    assert not re.search(r"gAAAAA[A-Za-z0-9_-]{40}", log)


def test_the_texts_of_the_results_are_where_they_belong(openai: Host, gateways: list[str], marks: Marks) -> None:
    converse(
        "python-2", [{"url": gateways[0], "model": "sonnet", "say": "Go."}, {"url": gateways[1], "model": "sonnet"}]
    )
    results = [mark for mark in marks.made if "result" in mark][:2]
    assert texts(openai.requests[1], "function_call_output") == results
