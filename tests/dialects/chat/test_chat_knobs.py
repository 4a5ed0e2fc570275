"""Limits, sampling, stop sequences, output format, identity, and the fields that are refused or left out."""

import json
from typing import Any

import pytest

from dialects.chat.asking import WEATHER, Json, called, notes, said, sent, target
from dialects.tables import transports
from dragoman.dialects.chat.request import call
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode

CLAUDE_CODE_USER = '{"device_id":"d1","account_uuid":"","session_id":"s1"}'
TITLE: Json = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
EXACT = TITLE | {"additionalProperties": False}


def output(schema: Json = TITLE, **more: Any) -> Json:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema, **more}}}


# Limits


@pytest.mark.failure(25, 26)
def test_the_limit_has_the_name_that_the_server_knows() -> None:
    body = sent(max_tokens=1)
    assert body["max_tokens"] == 1
    assert "max_completion_tokens" not in body
    body = sent(target(max_tokens_field="max_completion_tokens"), max_tokens=1)
    assert body["max_completion_tokens"] == 1
    assert "max_tokens" not in body


def test_counting_has_no_limit() -> None:
    raw = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    assert "max" not in str(json.loads(call(decode(raw, counting=True), target()).body))


@pytest.mark.failure(27)
def test_the_limit_is_no_larger_than_the_model_gives() -> None:
    to = target(facts={"max_output": 16_384})
    assert sent(to, max_tokens=128_000)["max_tokens"] == 16_384
    assert notes(to, max_tokens=128_000) == [("changed", "max_tokens.clamped", "max_tokens")]
    assert sent(to, max_tokens=16_384)["max_tokens"] == 16_384
    assert notes(to, max_tokens=16_384) == []


@pytest.mark.failure(27)
def test_the_limit_leaves_room_for_the_input() -> None:
    to = target(facts={"context": 32_768})
    messages = [{"role": "user", "content": "A short line of plain English text.\n" * 1000}]
    body = sent(to, max_tokens=32_000, messages=messages)
    assert 20_000 < body["max_tokens"] < 27_000
    assert notes(to, max_tokens=32_000, messages=messages) == [("changed", "max_tokens.window", "max_tokens")]
    assert sent(to, max_tokens=32_000)["max_tokens"] == 32_000
    full = target(facts={"context": 8_000})
    assert sent(full, max_tokens=32_000, messages=messages)["max_tokens"] == 32_000, "left to the upstream to refuse"


# Sampling


@pytest.mark.failure(28)
def test_sampling_parameters_by_model() -> None:
    fields: Json = {"temperature": 0, "top_p": 0.5, "top_k": 40}
    body = sent(target(top_k=True), **fields)
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0, 0.5, 40)
    body = sent(**fields)
    assert (body["temperature"], body["top_p"], body.get("top_k")) == (0, 0.5, None)
    assert notes(**fields) == [("changed", "top_k.unsupported", "top_k")]
    dropped = [(f"{name}.unsupported", name) for name in fields]
    for to in (target(facts={"sampling": "never"}, top_k=True), target(sampling=False)):
        assert not fields.keys() & sent(to, **fields).keys()
        assert notes(to, **fields) == [("changed", *note) for note in dropped]
    assert notes(target(sampling=False), temperature=1, top_p=1) == [
        ("ignored", "temperature.unsupported", "temperature"),
        ("ignored", "top_p.unsupported", "top_p"),
    ]


@pytest.mark.failure(28)
def test_sampling_parameters_only_while_the_model_does_not_think() -> None:
    facts = {"sampling": "without_reasoning", "reasoning": True, "efforts": ("none", "low", "medium")}
    to = target(facts=facts)
    assert sent(to, temperature=0.5)["temperature"] == 0.5
    assert sent(to, temperature=0.5, thinking={"type": "disabled"})["temperature"] == 0.5
    assert "temperature" not in sent(to, temperature=0.5, thinking={"type": "adaptive"})
    assert "temperature" not in sent(target(facts=facts | {"reasons_by_default": True}), temperature=0.5)


def test_temperature_is_kept_within_what_the_server_takes() -> None:
    to = target(temperature_limits=(0.1, 0.9))
    assert sent(to, temperature=0)["temperature"] == 0.1
    assert sent(to, temperature=1)["temperature"] == 0.9
    assert sent(to, temperature=0.5)["temperature"] == 0.5
    assert notes(to, temperature=0) == [("changed", "temperature.clamped", "temperature")]
    assert notes(to, temperature=0.5) == []


# Stop sequences and streams


@pytest.mark.failure(40)
def test_stop_sequences_are_matched_here() -> None:
    wanted = ["a", "b", "c", "d", "e", "a", ""]
    call = called(stop_sequences=wanted)
    assert "stop" not in json.loads(call.body)
    assert call.recall.stop_sequences == ("a", "b", "c", "d", "e")
    assert [note.code for note in call.notes] == ["stop_sequences.empty"]
    call = called(target(stop="named"), stop_sequences=wanted[:5])
    assert json.loads(call.body)["stop"] == ["a", "b", "c", "d"]
    assert call.recall.stop_sequences == ("a", "b", "c", "d", "e")
    assert call.notes == ()
    assert "stop" not in sent(target(stop="named"))


@pytest.mark.failure(40, 105)
@transports
def test_whether_the_upstream_streams(transport: str, fields: Json, streams: bool) -> None:
    call = called(target(transport=transport), **fields)
    body = json.loads(call.body)
    assert call.stream is streams
    assert body.get("stream") == (True if streams else None)
    assert body.get("stream_options") == ({"include_usage": True} if streams else None)


@pytest.mark.failure(89)
def test_usage_in_streams_is_not_asked_of_servers_that_refuse_it() -> None:
    assert "stream_options" not in sent(target(stream_usage="never"), stream=True)


# Structured output


@pytest.mark.failure(41)
@pytest.mark.parametrize("fields", [output(), {"output_format": {"type": "json_schema", "schema": TITLE}}])
def test_structured_output_as_a_schema(fields: Json) -> None:
    assert sent(**fields)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "output", "schema": TITLE},
    }
    assert notes(**fields) == []


@pytest.mark.failure(41)
def test_strict_output_only_without_change_of_meaning() -> None:
    made = sent(**output(EXACT, name="titles"))["response_format"]["json_schema"]
    assert made == {"name": "titles", "schema": EXACT, "strict": True}


@pytest.mark.failure(41)
def test_structured_output_as_an_object_with_an_instruction() -> None:
    to = target(response_format="json_object")
    body = sent(to, system="Be brief.", **output())
    assert body["response_format"] == {"type": "json_object"}
    first, second = body["messages"][0]["content"]
    assert first["text"] == "Be brief."
    assert "JSON" in second["text"]
    assert second["text"].endswith(json.dumps(TITLE))
    assert notes(to, **output()) == [("changed", "output_format.by_instruction", "output_config.format")]
    assert said(to, **output())[0]["role"] == "system"


@pytest.mark.failure(41)
def test_structured_output_by_a_forced_tool() -> None:
    to = target(response_format="tool", strict_tools=True)
    call = called(to, **output(EXACT))
    body = json.loads(call.body)
    assert "response_format" not in body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["output"]
    assert body["tools"][0]["function"]["parameters"] == EXACT
    assert body["tools"][0]["function"]["strict"] is True
    assert body["tool_choice"] == {"type": "function", "function": {"name": "output"}}
    assert call.recall.output_tool == "output"
    assert [note.code for note in call.notes] == ["output_format.by_tool"]


@pytest.mark.failure(41)
def test_structured_output_beside_tools() -> None:
    own = WEATHER | {"name": "output"}
    both = sent(tools=[own], **output())
    assert both["response_format"]["type"] == "json_schema"
    assert len(both["tools"]) == 1
    to = target(response_format_with_tools=False)
    call = called(to, tools=[own], **output())
    body = json.loads(call.body)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["output", "output_2"]
    assert call.recall.output_tool == "output_2"
    assert body["tool_choice"] == "required", "one of the caller's, or the answer"
    quiet = sent(to, tools=[own], tool_choice={"type": "none"}, **output())
    assert quiet["tool_choice"]["function"]["name"] == "output_2"
    assert sent(to, **output())["response_format"]["type"] == "json_schema"


@pytest.mark.failure(41)
def test_structured_output_by_instruction_where_no_tool_can_be_forced() -> None:
    for to, fields in (
        (target(response_format="tool", facts={"tools": False}), output()),
        (target(response_format="tool"), output({"type": "array", "items": {"type": "string"}})),
        (target(response_format="tool"), output() | {"tools": [WEATHER], "tool_choice": {"type": "any"}}),
    ):
        call = called(to, **fields)
        body = json.loads(call.body)
        assert "JSON schema" in body["messages"][0]["content"]
        assert "response_format" not in body
        assert call.recall.output_tool is None
        assert "output_format.by_instruction" in [note.code for note in call.notes]


def test_a_forced_output_and_thinking() -> None:
    thinking = {"thinking": {"type": "adaptive"}}
    to = target(response_format="tool", tool_choice_with_thinking=False, reasoning_out="thinking_type")
    body = sent(to, **thinking, **output())
    assert body["thinking"] == {"type": "disabled"}
    assert body["tool_choice"]["function"]["name"] == "output"
    to = target(response_format="tool", tool_choice_with_thinking=False, efforts=["low"])
    assert sent(to, **thinking, **output())["tool_choice"] == "auto"


def test_an_output_format_that_makes_no_sense_is_named() -> None:
    with pytest.raises(ApiError, match=r"output_config\.format\.type"):
        called(output_config={"format": {"type": "xml"}})
    with pytest.raises(ApiError, match=r"output_format\.schema: Field required"):
        called(output_format={"type": "json_schema"})


# Identity


@pytest.mark.failure(36)
def test_the_user_is_a_hash_and_the_same_in_every_session() -> None:
    to = target(safety_identifier=True)
    users = [
        CLAUDE_CODE_USER,
        CLAUDE_CODE_USER.replace("s1", "s2"),
        '{"session_id":"s3","account_uuid":"","device_id":"d1"}',
    ]
    hashes = {sent(to, metadata={"user_id": user})["safety_identifier"] for user in users}
    assert len(hashes) == 1
    (hashed,) = hashes
    assert len(hashed) == 64
    assert hashed.isascii()
    older = {
        sent(to, metadata={"user_id": f"user_x_account__session_{number}"})["safety_identifier"] for number in range(2)
    }
    assert len(older) == 1
    plain = {sent(to, metadata={"user_id": user})["safety_identifier"] for user in ("alice", "{broken", "_session_9")}
    assert len(plain) == 3
    assert "user" not in sent(to, metadata={"user_id": "alice"})
    assert "alice" not in json.dumps(sent(to, metadata={"user_id": "alice"}))
    assert notes(metadata={"user_id": "alice"}) == [("ignored", "metadata.user_id", "metadata.user_id")]
    assert notes(metadata={"user_id": None}) == []


@pytest.mark.failure(36)
def test_the_session_keeps_caches_warm() -> None:
    for to in (target(cache="key"), target(cache="breakpoints")):
        key = sent(to, metadata={"user_id": CLAUDE_CODE_USER})["prompt_cache_key"]
        assert len(key) == 64
        assert key == sent(to, metadata={"user_id": CLAUDE_CODE_USER})["prompt_cache_key"]
        assert key == sent(to, session="s1")["prompt_cache_key"]
        assert key != sent(to, session="s2")["prompt_cache_key"]
        assert "prompt_cache_key" not in sent(to)
    call = called(target(session_header="x-session-affinity"), session="s1")
    assert dict(call.headers)["x-session-affinity"] == key
    assert "x-session-affinity" not in dict(called(target(session_header="x-session-affinity")).headers)


def test_service_tier() -> None:
    to = target(service_tier=True)
    assert sent(to, service_tier="auto")["service_tier"] == "auto"
    assert sent(to, service_tier="standard_only")["service_tier"] == "default"
    for each, tier in ((to, "gold"), (target(), "auto")):
        assert "service_tier" not in sent(each, service_tier=tier)
        assert notes(each, service_tier=tier) == [("ignored", "service_tier", "service_tier")]


# Fields that are refused, left out, or added


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("container", "container_1"),
        ("container", {"skills": [{"type": "anthropic", "skill_id": "pdf"}]}),
        ("mcp_servers", [{"type": "url", "name": "x", "url": "https://example.org"}]),
        ("compaction", {"type": "summarize"}),
        ("thread", {"type": "continue", "previous_message_id": "msg_1"}),
        ("thread", "continue"),
    ],
)
def test_fields_that_would_change_what_the_caller_gets_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ApiError, match=rf"^{field}: ") as caught:
        called(**{field: value})
    assert caught.value.status == 400


@pytest.mark.failure(38)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("context_management", {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}),
        ("diagnostics", {"previous_message_id": None}),
        ("fallbacks", "default"),
        ("fallback_credit_token", "x"),
        ("billing_policy", {"type": "billing_policy", "bill_to": "self"}),
        ("safeguards", [{"type": "dangerous_tool_use"}]),
        ("tags", {"a": "b"}),
        ("speed", "fast"),
        ("inference_geo", "us"),
        ("thread", {"type": "create"}),
    ],
)
def test_fields_without_effect_are_left_out_with_a_note(field: str, value: Any) -> None:
    assert sent(**{field: value}) == sent()
    assert notes(**{field: value}) == [("ignored", field, field)]


def test_empty_fields_are_nothing() -> None:
    empty = dict.fromkeys(
        ["container", "mcp_servers", "compaction", "thread", "context_management", "fallbacks", "tags", "speed"]
    )
    assert notes(**empty) == []
    assert notes(mcp_servers=[], context_management={}) == []


def test_a_budget_for_the_task_is_noted() -> None:
    assert notes(output_config={"task_budget": {"type": "tokens", "total": 20_000}}) == [
        ("changed", "task_budget", "output_config.task_budget")
    ]


def test_fields_of_the_operator_are_added_and_win() -> None:
    to = target(
        reasoning_out="chat_template",
        extra_body={
            "chat_template_kwargs": {"tools_in_user": True},
            "provider": {"require_parameters": True},
            "temperature": 0.1,
            "route": None,
        },
    )
    body = sent(to, thinking={"type": "adaptive"}, temperature=1)
    assert body["chat_template_kwargs"] == {"enable_thinking": True, "tools_in_user": True}
    assert body["provider"] == {"require_parameters": True}
    assert body["temperature"] == 0.1
    assert body["route"] is None
    assert sent(to)["chat_template_kwargs"] == {"tools_in_user": True}
