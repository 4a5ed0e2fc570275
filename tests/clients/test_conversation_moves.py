"""One conversation that moves between upstreams, Gemini and Claude too: nothing is refused, and nothing of it lost."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from clients import scripted, scripted_claude, wire_client
from clients.conftest import logged, started
from clients.responses_rules import Json
from clients.scripted import Upstream
from clients.scripted_claude import Host as Claude
from clients.scripted_claude import hosting as claude_hosting
from clients.scripted_claude import thoughts
from clients.scripted_gemini import Host as Gemini
from clients.scripted_gemini import Output, called, said, signatures, thought
from clients.scripted_gemini import hosting as gemini_hosting
from clients.scripted_responses import Host, hosting
from clients.scripted_vertex import Account, Accounts, Vertex, issuing
from clients.test_reasoning_turns import MORE, Marks, Mind, converse, present_in

OPENAI_KEY, GEMINI_KEY, OTHER_KEY = "canary-openai-key", "canary-gemini-key", "canary-other-key"
CLAUDE_KEY = "canary-claude-key"
SENTINEL = "skip_thought_signature_validator"
CONFIGURATION = """\
providers:
  openai:
    base_url: {openai}
    api_key: "${{OPENAI_KEY}}"
  gemini:
    base_url: {gemini}
    api_key: "${{GEMINI_KEY}}"
  vertex:
    base_url: {vertex}
    project: one
    location: global
    credentials_file: {file}
  anthropic:
    base_url: {claude}
    api_key: "${{CLAUDE_KEY}}"
  other:
    dialect: chat
    base_url: {other}
    api_key: "${{OTHER_KEY}}"
    quirks: {{reasoning_in: reasoning_content, reasoning_echo: optional}}
"""
OPENAI, GEMINI, VERTEX, OTHER = (
    "openai/gpt-5.5", "gemini/gemini-3.1-pro-preview", "vertex/gemini-3.1-pro-preview", "other/m",
)  # fmt: skip
VERSIONS = pytest.mark.parametrize("version", ["python-2", "python-0"])


class GeminiMind(Mind):
    """The same model in Gemini's language. Every third answer calls two things at once, and every third nothing."""

    def gemini(self, body: Json) -> Output:
        text, inputs = self.next()
        calls = [called("look", each) for each in inputs]
        return Output(parts=[thought(f"Hidden {self.name} {self.step}. "), thought("Really."), said(text), *calls])


class EveryMind(GeminiMind):
    """The same model as a Claude: it thinks before its words and between them, and some of it nobody may read."""

    def claude(self, body: Json) -> scripted_claude.Output:
        text, inputs = self.next()
        drafts = [scripted_claude.thought(f"Hidden {self.name} {self.step}."), scripted_claude.hidden("Really.")]
        drafts.append(scripted_claude.said(text))
        if inputs:
            drafts.append(scripted_claude.thought(f"Hidden {self.name} again."))
        return scripted_claude.Output(blocks=[*drafts, *(scripted_claude.called("look", each) for each in inputs)])


class Place:
    """All the upstreams, what they said so far, and two gateways in front of them."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.marks = Marks()
        mind: Callable[[str], EveryMind] = lambda name: EveryMind(self.marks, name)  # noqa: E731 - it names a thing
        self.openai: Host = stack.enter_context(hosting(Host(mind("openai").responses, key=OPENAI_KEY)))
        self.gemini: Gemini = stack.enter_context(gemini_hosting(Gemini(mind("gemini").gemini, key=GEMINI_KEY)))
        accounts = stack.enter_context(issuing(Accounts(Account("one"))))
        self.vertex: Gemini = stack.enter_context(gemini_hosting(Vertex(mind("vertex").gemini, accounts)))
        self.claude: Claude = stack.enter_context(claude_hosting(Claude(mind("claude").claude, key=CLAUDE_KEY)))
        self.other: Upstream = stack.enter_context(scripted.serving(mind("other").chat))
        credentials, file = home / "one.json", home / "dragoman.yaml"
        credentials.write_text(json.dumps(accounts.accounts[0].service_account(accounts.token_url)), "utf-8")
        urls = {name: getattr(self, name).url for name in ("openai", "gemini", "vertex", "claude", "other")}
        file.write_text(CONFIGURATION.format(**urls, file=credentials), "utf-8")
        keys = {"OPENAI_KEY": OPENAI_KEY, "GEMINI_KEY": GEMINI_KEY, "OTHER_KEY": OTHER_KEY, "CLAUDE_KEY": CLAUDE_KEY}
        self.gateways = [
            stack.enter_context(started(home / name, "--config", str(file), **keys)) for name in ("first", "second")
        ]

    def complaints(self) -> list[str]:
        hosts = (self.openai, self.gemini, self.vertex, self.claude, self.other)
        return [message for host in hosts for message in host.complaints]

    def turns(self, path: list[str], interrupted: tuple[int, ...] = ()) -> list[Json]:
        """Turns to these models, by both gateways in turn; with a question wherever no results would stand."""
        turns: list[Json] = []
        steps: dict[str, int] = {}
        results = 0  # of the answer before
        for number, model in enumerate(path):
            turn: Json = {"url": self.gateways[number % 2], "model": model, "interrupted": number in interrupted}
            # Once in a while besides results, too.
            if results == 0 or number % 5 == 4:
                turn["say"] = f"question-{number:03d}."
            turns.append(turn)
            mind = model.partition("/")[0]
            step = steps.get(mind, 0)
            steps[mind] = step + 1
            results = 0 if number in interrupted else (2, 1, 0)[step % 3]
        return turns


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(stack, tmp_path)


def all_there(body: Json, place: Place, turns: list[Json], *, missing: int = 0) -> None:
    """Everything that was said before this request, once, in its order; a result is also the input of its call.

    `missing`: marks that were made later, of the answer to this request and of those after it.
    """
    sent = json.dumps(body)
    present = present_in(body, place.marks)
    assert present == place.marks.made[: len(place.marks.made) - missing]
    wrong = {mark: sent.count(mark) for mark in present if sent.count(mark) != (2 if "result" in mark else 1)}
    assert not wrong
    questions = [turn["say"] for turn in turns if "say" in turn]
    asked = [question for question in questions if question in sent]
    assert asked == questions[: len(asked)]
    assert all(sent.count(question) == 1 for question in asked)
    assert "dragoman1" not in sent


def sentinels(body: Json) -> int:
    return json.dumps(body["contents"]).count(SENTINEL)


@pytest.mark.failure(43, 48, 49, 50, 52, 53, 68, 131)
@VERSIONS
def test_openai_gemini_chat_gemini_openai(version: str, place: Place) -> None:
    path = [OPENAI] * 4 + [GEMINI] * 4 + [OTHER] * 4 + [GEMINI] * 4 + [OPENAI] * 3
    turns = place.turns(path)
    converse(version, turns)
    assert not place.complaints()
    assert [len(host.requests) for host in (place.openai, place.gemini, place.other)] == [7, 8, 4]
    last = place.openai.requests[-1]
    all_there(last, place, turns, missing=3)  # the answer to it: a text and two calls
    first, later = place.gemini.requests[0], place.gemini.requests[-1]
    # Three answers of OpenAI called something; then three more of the other provider.
    assert (sentinels(first), sentinels(later)) == (3, 6)
    assert len(signatures(first)) == 0
    assert len(signatures(later)) >= 5, "what this host made came back, also from before the detour"
    for body in place.gemini.requests:
        assert "Hidden" not in json.dumps(body)
        assert "gAAAAA" not in json.dumps(body)
    for body in (*place.openai.requests, *place.other.requests):
        assert SENTINEL not in json.dumps(body)
        assert "thoughtSignature" not in json.dumps(body)
        assert "Hidden gemini" not in json.dumps(body)
    ids = [item["call_id"] for item in last["input"] if item.get("type") == "function_call"]
    assert len(set(ids)) == len(ids)


@pytest.mark.failure(48, 50)
@VERSIONS
def test_what_another_model_began_and_nobody_ended(version: str, place: Place) -> None:
    """Two calls of another model were interrupted, and later one of Gemini's own."""
    path = [OTHER, GEMINI, GEMINI, GEMINI, GEMINI]
    turns = place.turns(path, interrupted=(0, 2))
    converse(version, turns)
    assert not place.complaints()
    assert [sentinels(body) for body in place.gemini.requests] == [1, 1, 1, 1]
    assert [len(signatures(body)) for body in place.gemini.requests] == [0, 1, 2, 2]
    # Each call got a result, all the same.
    for body in place.gemini.requests:
        parts = [part for content in body["contents"] for part in content["parts"]]
        assert len([part for part in parts if "functionCall" in part]) == len(
            [part for part in parts if "functionResponse" in part]
        )


@pytest.mark.failure(48, 49)
@VERSIONS
def test_ai_studio_vertex_and_back(version: str, place: Place) -> None:
    """Neither reads the signatures of the other."""
    path = [GEMINI] * 4 + [VERTEX] * 4 + [GEMINI] * 4 + [VERTEX] * 2
    turns = place.turns(path)
    converse(version, turns)
    assert not place.complaints()
    all_there(place.vertex.requests[-1], place, turns, missing=1)
    assert [sentinels(body) for body in place.vertex.requests] == [3, 3, 3, 3, 6, 6]
    assert [sentinels(body) for body in place.gemini.requests] == [0, 0, 0, 0, 3, 3, 3, 3]
    own = [len(signatures(body)) for body in place.gemini.requests]
    assert own[0] == 0
    assert own == sorted(own)
    assert own[-1] >= 5


@pytest.mark.failure(48, 49, 52, 178)
@VERSIONS
def test_two_processes_serve_alternate_turns(version: str, place: Place) -> None:
    turns = place.turns([GEMINI] * 12)
    found = converse(version, turns)
    assert not place.complaints()
    bodies = place.gemini.requests
    assert len(bodies) == 12
    # One for each answer with calls. An answer in words alone is signed at its end, which a stream tells too late.
    assert [len(signatures(body)) for body in bodies] == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]
    assert not any(sentinels(body) for body in bodies)
    for earlier, later in pairwise(bodies):
        assert later["contents"][: len(earlier["contents"])] == earlier["contents"]
        assert later["tools"] == earlier["tools"]
    thinking = [block for answer in found["answers"] for block in answer["content"] if "thinking" in block["type"]]
    assert {block["type"] for block in thinking} == {"thinking", "redacted_thinking"}
    assert thinking[0]["thinking"] == "Hidden gemini 1. Really."


def ask(url: str, turns: list[Json]) -> Json:
    reply = wire_client.message(url, turns, model=GEMINI, **MORE)
    assert reply.status == 200, reply.body
    assert isinstance(reply.body, dict)
    return reply.body


@pytest.mark.failure(48)
def test_signatures_that_cannot_be_read_any_more(place: Place, tmp_path: Path) -> None:
    """The key was changed for one of another owner: that conversation goes on with sentinels, others are as before."""
    place.gemini.seals.demand = "turn"
    url = place.gateways[0]
    first = ask(url, [{"role": "user", "content": "Go."}])
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "x"}
        for block in first["content"]
        if block["type"] == "tool_use"
    ]
    turns = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": results},
    ]
    place.gemini.seals.maker = "another owner"
    second = ask(url, turns)
    assert place.gemini.complaints == ["Thought signature is not valid."]
    assert [len(signatures(body)) for body in place.gemini.requests] == [0, 1, 0]
    assert [sentinels(body) for body in place.gemini.requests] == [0, 0, 1]
    # What is made from now on can be read, and other conversations keep it.
    place.gemini.seals.demand = "all"
    assert second["stop_reason"] == "tool_use"
    begun = len(place.gemini.requests)
    more = [{"url": url, "model": GEMINI} for _ in range(4)]
    more[0]["say"] = "Anew."
    more[1]["say"] = "More."
    converse("python-2", more)
    assert len(place.gemini.complaints) == 1
    assert [sentinels(body) for body in place.gemini.requests[begun:]] == [0, 0, 0, 0]
    repairs = [line["repairs"] for line in logged(tmp_path / "first", 6)]
    assert repairs == [[], ["signatures"], [], [], [], []]


# One by the old way of thinking, one by the new, and one whose thinking holds only behind the very same conversation.
CLAUDES = pytest.mark.parametrize("claude", ["claude-sonnet-4-5", "claude-opus-4-8", "claude-fable-5-1"])


def own_alone(place: Place) -> None:
    """Nobody gets thinking, signatures or marks of the protocol that others made."""
    for name, host in (
        ("claude", place.claude),
        ("openai", place.openai),
        ("gemini", place.gemini),
        ("other", place.other),
    ):
        for body in host.requests:  # type: ignore[attr-defined] # every host has them
            sent = json.dumps(body)
            foreign = [each for each in ("claude", "openai", "gemini", "other") if f"Hidden {each}" in sent]
            assert foreign in ([], [name])
            assert "dragoman1" not in sent
            assert name == "claude" or '"signature"' not in sent


def everything(body: Json, place: Place, turns: list[Json]) -> None:
    """All that was said before this request, and nothing of the last answer."""
    made = place.marks.made
    last = max(number for number, mark in enumerate(made) if "text" in mark)
    all_there(body, place, turns, missing=len(made) - last)


@pytest.mark.failure(43, 48, 49, 52, 68, 69, 131, 171)
@CLAUDES
@VERSIONS
def test_claude_openai_gemini_claude(version: str, claude: str, place: Place) -> None:
    model = f"anthropic/{claude}"
    path = [model] * 4 + [OPENAI] * 4 + [GEMINI] * 4 + [model] * 4 + [OTHER] * 2 + [model] * 3
    turns = place.turns(path)
    converse(version, turns)
    assert not place.complaints()
    counts = [len(host.requests) for host in (place.claude, place.openai, place.gemini, place.other)]
    assert counts == [11, 4, 4, 2]
    everything(place.claude.requests[-1], place, turns)
    own_alone(place)
    kept = [len(thoughts(body)) for body in place.claude.requests]
    assert kept == sorted(kept)
    # What Claude thought comes back each time, also from before the detours. With a budget it cannot think in a loop
    # of tools that another one began.
    assert kept[-1] == (20 if claude == "claude-sonnet-4-5" else 27)
    for earlier, later in pairwise(place.claude.requests):
        assert later["messages"][: len(earlier["messages"])] == earlier["messages"]
        assert later["tools"] == earlier["tools"]


@pytest.mark.failure(43, 48, 49, 68, 170)
@CLAUDES
@VERSIONS
def test_every_turn_somewhere_else(version: str, claude: str, place: Place) -> None:
    """Each goes on in the loops of tools that another one began."""
    model = f"anthropic/{claude}"
    turns = place.turns([OPENAI, model, GEMINI, model, OTHER] * 4 + [model])
    converse(version, turns)
    assert not place.complaints()
    everything(place.claude.requests[-1], place, turns)
    own_alone(place)


@pytest.mark.failure(68, 69)
@VERSIONS
def test_from_one_claude_to_another_and_back(version: str, place: Place) -> None:
    names = ["anthropic/claude-opus-4-8", "anthropic/claude-sonnet-4-5", "anthropic/claude-opus-5-5"]
    turns = place.turns([name for name in names for _ in range(4)] + names[:1] * 3)
    converse(version, turns)
    assert not place.complaints()
    everything(place.claude.requests[-1], place, turns)
    assert len(thoughts(place.claude.requests[-1])) == 38
