"""The simulated upstream over the wire, by OpenAI's own client."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import openai
import pytest

from dragoman.demo import application
from dragoman.demo.application import build, prompt_tokens, speak
from dragoman.demo.model import LABEL, Calling, Reply
from dragoman.demo.wire import ChatRequest
from server_fixture import ask, connect, head, listening, read_chunk, read_head

pytestmark = pytest.mark.anyio

READ: dict[str, Any] = {
    "type": "function",
    "function": {"name": "Read", "parameters": {"type": "object", "properties": {"file_path": {"type": "string"}}}},
}
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


@contextlib.asynccontextmanager
async def client(pace: float = 0) -> AsyncIterator[tuple[openai.AsyncOpenAI, int]]:
    async with (
        listening(build(pace)) as (port, _, _),
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as found,
    ):
        yield found, port


async def test_a_whole_answer() -> None:
    async with client() as (openai_client, _):
        found = await openai_client.chat.completions.create(model="echo", messages=HELLO)
    assert found.choices[0].message.content == f"{LABEL} You said: hello"
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert found.usage.completion_tokens > 5
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert found.id.startswith("chatcmpl-")


@pytest.mark.parametrize("usage", [True, False])
async def test_a_stream_says_the_same(usage: bool) -> None:
    async with client() as (openai_client, _):
        knobs: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
        stream = await openai_client.chat.completions.create(model="think", messages=HELLO, stream=True, **knobs)
        chunks = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    thinking = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    text = "".join(delta.content or "" for delta in deltas)
    assert thinking.startswith("(Simulated thinking.)")
    assert text == f"{LABEL} You said: hello"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert (chunks[-1].usage is not None) == usage
    if usage:
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens_details is not None
        assert chunks[-1].usage.completion_tokens_details.reasoning_tokens


@pytest.mark.parametrize("stream", [True, False])
async def test_calls(stream: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": "read a.txt and b.txt"}]
    async with client() as (openai_client, _):
        if stream:
            async with openai_client.chat.completions.stream(model="think", messages=messages, tools=[READ]) as events:
                found = await events.get_final_completion()
        else:
            found = await openai_client.chat.completions.create(model="think", messages=messages, tools=[READ])
    choice = found.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    calls = [call.function for call in choice.message.tool_calls if call.type == "function"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("Read", {"file_path": "a.txt"}),
        ("Read", {"file_path": "b.txt"}),
    ]
    assert len({call.id for call in choice.message.tool_calls}) == 2


async def test_the_limit_is_kept() -> None:
    async with client() as (openai_client, _):
        found = await openai_client.chat.completions.create(model="echo", messages=HELLO, max_completion_tokens=3)
    assert found.choices[0].finish_reason == "length"
    assert found.usage is not None
    assert found.usage.completion_tokens == 3


async def test_models() -> None:
    async with client() as (openai_client, _):
        listed = await openai_client.models.list()
        assert [model.id for model in listed.data] == ["echo", "think", "tools"]
        assert (await openai_client.models.retrieve("echo")).owned_by == "dragoman-demo"
        with pytest.raises(openai.NotFoundError):
            await openai_client.models.retrieve("gpt-0")


async def test_errors_in_openais_form() -> None:
    async with client() as (openai_client, port):
        with pytest.raises(openai.NotFoundError) as missing:
            await openai_client.chat.completions.create(model="gpt-0", messages=HELLO)
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError):
            await openai_client.chat.completions.create(model="echo", messages=[])
        with pytest.raises(openai.BadRequestError, match="maximum context length is 200000 tokens") as overflow:
            await openai_client.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": "x" * 900_000}]
            )
        assert overflow.value.code == "context_length_exceeded"
        for body in (b"{", b"\xff", b'{"model":"echo"}', b'{"model":"echo","messages":' + b"[" * 100_000):
            reply = await ask(port, "POST", "/v1/chat/completions", body)
            assert reply.status == 400
            assert reply.json["error"]["type"] == "invalid_request_error"
        assert (
            (await ask(port, "GET", "/v1/chat/completions")).json["error"]["message"].endswith("/v1/chat/completions.")
        )
        assert (await ask(port, "POST", "/v1/nothing")).status == 404


async def test_it_speaks_at_a_pace_and_stops_when_nobody_listens() -> None:
    async with listening(build(0.01)) as (port, _, _):
        body = json.dumps({"model": "echo", "messages": HELLO, "stream": True}).encode()
        reader, writer = await connect(port)
        writer.write(head("POST", "/v1/chat/completions", body, {}) + body)
        started = asyncio.get_running_loop().time()
        status, headers = await read_head(reader)
        assert (status, headers["content-type"].split(";")[0]) == (200, "text/event-stream")
        for _ in range(5):
            assert (await read_chunk(reader)).startswith(b"data: {")
        assert asyncio.get_running_loop().time() - started > 0.03
        writer.close()


def chat(**knobs: Any) -> ChatRequest:
    return msgspec.convert({"model": "echo", "messages": HELLO, **knobs}, ChatRequest)


def test_nothing_is_lost_in_pieces() -> None:
    text = "  a few  words,\n\nand unbrokenwordsoflength \u96ea\u96ea "
    said = speak(Reply(thinking=text, text=text, calls=[Calling("t", text)]), chat())
    assert ["".join(said.thinking), "".join(said.text), "".join(said.calls[0][1])] == [text] * 3
    assert said.finish == "tool_calls"


@pytest.mark.parametrize(
    ("limit", "kept", "finish"),
    [
        (1, (1, 0, []), "length"),
        (3, (2, 1, []), "length"),
        (4, (2, 2, []), "length"),
        (5, (2, 2, [1]), "length"),
        (6, (2, 2, [2]), "length"),
        (8, (2, 2, [2, 2]), "tool_calls"),
    ],
)
def test_where_the_limit_cuts(limit: int, kept: tuple[int, int, list[int]], finish: str) -> None:
    answer = Reply(thinking="a b", text="c d", calls=[Calling("t", "e f"), Calling("t", "g h")])
    said = speak(answer, chat(max_tokens=limit))
    assert (len(said.thinking), len(said.text), [len(pieces) for _, pieces in said.calls]) == kept
    assert said.finish == finish


def test_stop_strings() -> None:
    answer = Reply(text="one two three", calls=[Calling("t", "{}")])
    said = speak(answer, chat(stop=["three", "two", ""]))
    assert ("".join(said.text), said.calls, said.finish) == ("one ", [], "stop")
    assert "".join(speak(answer, chat(stop="nine")).text) == "one two three"


def test_everything_that_is_sent_counts() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:," + "x" * 100_000}}]}
    called = {"role": "assistant", "tool_calls": [{"function": {"name": "t", "arguments": "x" * 400}}]}
    small = prompt_tokens(chat())
    assert 1 <= small < 10
    assert 800 < prompt_tokens(chat(messages=[image])) < 900
    assert prompt_tokens(chat(messages=[*HELLO, called])) >= small + 100
    assert prompt_tokens(chat(tools=[READ])) > small + 20


def test_people_wait_for_people_speed() -> None:
    assert 0 < application.HUMAN < 0.1
