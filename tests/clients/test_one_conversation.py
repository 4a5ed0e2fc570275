"""What one conversation leaves behind, and what it does not, in gateways that run in processes of their own."""

import itertools
from contextlib import ExitStack
from pathlib import Path

import pytest

from clients import scripted, wire_client
from clients.conftest import CONFIGURATION, KEY, logged, started
from clients.responses_rules import Json
from clients.scripted import Answer

CANARY = "canary-word"
TOOL = {
    "name": f"{CANARY}-tool",
    "description": f"{CANARY} of a description",
    "input_schema": {"type": "object", "properties": {f"{CANARY}-field": {"type": "string"}}},
}
HISTORY: list[Json] = [
    {"role": "user", "content": [{"type": "text", "text": f"{CANARY} of a question"}]},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": f"{CANARY} of an answer"},
            {
                "type": "tool_use",
                "id": "toolu_1",
                "name": TOOL["name"],
                "input": {f"{CANARY}-field": f"{CANARY} asked"},
            },
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": f"{CANARY} of a result"},
            {"type": f"{CANARY}_block", f"{CANARY}_field": f"{CANARY} of a new block"},
        ],
    },
]


def speaking(body: Json) -> Answer:
    """Answers with words that may not be logged, in every place that has words."""
    if body["model"] == "broken":
        return Answer(deltas=[{"content": f"{CANARY} of half an answer"}], cut_after=2)
    thought = {"reasoning_content": f"{CANARY} of a thought"}
    call = scripted.call(0, "call_a", TOOL["name"], {f"{CANARY}-field": f"{CANARY} of a call"})
    return scripted.calls(call, before=[thought, {"content": f"{CANARY} of words"}])


def configured(home: Path, url: str, more: str = "") -> Path:
    home.mkdir(parents=True, exist_ok=True)
    path = home / "dragoman.yaml"
    path.write_text(CONFIGURATION.format(url=url) + more, "utf-8")
    return path


@pytest.mark.failure(142)
@pytest.mark.parametrize("form", ["json", "human"])
def test_no_word_of_it_is_logged_at_any_level(tmp_path: Path, form: str) -> None:
    with scripted.serving(speaking) as upstream:
        path = configured(tmp_path, upstream.url, f"logs: {{level: debug, format: {form}}}\n")
        with started(tmp_path, "--config", str(path), LAB_KEY=KEY) as url:
            for model, stream in itertools.product(("sonnet", "lab/broken"), (False, True)):
                reply = wire_client.message(
                    url, HISTORY, model=model, stream=stream, tools=[TOOL], system=f"{CANARY} of a system prompt",
                    metadata={"user_id": f"{CANARY}-user"}, stop_sequences=[f"{CANARY} of a stop"],
                )  # fmt: skip
                assert (CANARY in str(reply.body)) == (model == "sonnet" or stream)
            refused = wire_client.message(url, [{"role": "nobody", "content": f"{CANARY} of a refusal"}])
            assert refused.status == 400
            if form == "json":
                logged(tmp_path, 5)
        assert CANARY in str(upstream.requests)
        assert not upstream.complaints
    written = (tmp_path / "stdout").read_text("utf-8")
    assert written.count("/broken") >= 2
    for said in (written, (tmp_path / "stderr").read_text("utf-8")):
        assert CANARY not in said


@pytest.mark.failure(155)
def test_the_same_question_is_asked_anew_and_every_answer_has_an_id_of_its_own(tmp_path: Path) -> None:
    """In two processes, with more than one worker, streamed and not."""
    numbers = itertools.count()
    with ExitStack() as stack:
        upstream = stack.enter_context(scripted.serving(lambda _: scripted.words(f"Answer {next(numbers)}.")))
        urls = []
        for name, workers in (("one", "1"), ("two", "2")):
            path = configured(tmp_path / name, upstream.url)
            arguments = ("--config", str(path), "--workers", workers)
            urls.append(stack.enter_context(started(tmp_path / name, *arguments, LAB_KEY=KEY)))
        replies = [wire_client.message(url, stream=stream) for url in urls * 4 for stream in (False, True)]
        said = [wire_client.said(reply) for reply in replies]
        assert said == [f"Answer {number}." for number in range(16)]
        messages = [each.body[0]["message"] if isinstance(each.body, list) else each.body for each in replies]
        assert len({message["id"] for message in messages}) == 16
        assert len({reply.headers["request-id"] for reply in replies}) == 16
        assert len(upstream.requests) == 16
