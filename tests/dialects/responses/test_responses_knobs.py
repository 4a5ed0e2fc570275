"""Limits, sampling, structured output, identity, and fields that are refused, left out or added."""

import json
from typing import Any

import pytest

from dialects.chat.asking import Json
from dialects.responses.asking import called, notes, openai, sent, target
from dragoman.messages.errors import ApiError

CLAUDE_CODE_USER = '{"device_id":"d1","account_uuid":"","session_id":"s1"}'
TITLE: Json = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
EXACT = TITLE | {"additionalProperties": False}


def output(schema: Json = TITLE, **more: Any) -> Json:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema, **more}}}


# Limits


@pytest.mark.failure(25, 26)
def test_the_limit_is_no_smaller_than_the_server_takes() -> None:
    for wanted in (0, 1, 15):
        assert sent(max_tokens=wanted)["max_output_tokens"] == 16
        assert notes(max_tokens=wanted) == [("changed", "max_tokens.raised", "max_tokens")]
    assert sent(max_tokens=16)["max_output_tokens"] == 16
    assert notes(max_tokens=16) == []
    assert sent(target(min_output_tokens=1), max_tokens=1)["max_output_tokens"] == 1


@pytest.mark.failure(27)
def test_the_limit_is_no_larger_than_the_model_gives() -> None:
    to = target(facts={"max_output": 16_384})
    assert sent(to, max_tokens=128_000)["max_output_tokens"] == 16_384
    assert notes(to, max_tokens=128_000) == [("changed", "max_tokens.clamped", "max_tokens")]
    assert notes(to, max_tokens=16_384) == []


@pytest.mark.failure(27)
def test_the_limit_leaves_room_for_the_input() -> None:
    to = target(facts={"context": 32_768})
    messages = [{"role": "user", "content": "A short line of plain English text.\n" * 1000}]
    assert 20_000 < sent(to, max_tokens=32_000, messages=messages)["max_output_tokens"] < 27_000
    assert notes(to, max_tokens=32_000, messages=messages) == [("changed", "max_tokens.window", "max_tokens")]
    assert sent(to, max_tokens=32_000)["max_output_tokens"] == 32_000
    full = target(facts={"context": 8_000})
    assert sent(full, max_tokens=32_000, messages=messages)["max_output_tokens"] == 32_000, "left to be refused"


# Sampling


@pytest.mark.failure(28)
def test_sampling_parameters_by_model() -> None:
    fields: Json = {"temperature": 0, "top_p": 0.5, "top_k": 40}
    body = sent(target(top_k=True), **fields)
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0, 0.5, 40)
    assert notes(**fields) == [("changed", "top_k.unsupported", "top_k")]
    for to in (target(facts={"sampling": "never"}, top_k=True), target(sampling=False)):
        assert not fields.keys() & sent(to, **fields).keys()
        assert notes(to, **fields) == [("changed", f"{name}.unsupported", name) for name in fields]
    assert notes(target(sampling=False), temperature=1, top_p=1) == [
        ("ignored", "temperature.unsupported", "temperature"),
        ("ignored", "top_p.unsupported", "top_p"),
    ]


@pytest.mark.failure(28)
def test_sampling_parameters_only_while_the_model_does_not_think() -> None:
    assert "temperature" not in sent(openai(), temperature=0.5)
    assert sent(openai(), temperature=0.5, thinking={"type": "disabled"})["temperature"] == 0.5
    quiet = openai(reasons_by_default=False)
    assert sent(quiet, temperature=0.5)["temperature"] == 0.5
    assert "temperature" not in sent(quiet, temperature=0.5, thinking={"type": "adaptive"})
    assert "temperature" not in sent(quiet, temperature=0.5, output_config={"effort": "low"})


# Structured output


@pytest.mark.failure(41)
@pytest.mark.parametrize("fields", [output(), {"output_format": {"type": "json_schema", "schema": TITLE}}])
def test_structured_output(fields: Json) -> None:
    assert sent(**fields)["text"] == {"format": {"type": "json_schema", "name": "output", "schema": TITLE}}
    assert notes(**fields) == []


@pytest.mark.failure(41)
def test_strict_output_only_without_change_of_meaning() -> None:
    made = sent(**output(EXACT, name="titles"))["text"]["format"]
    assert made == {"type": "json_schema", "name": "titles", "schema": EXACT, "strict": True}
    assert sent(**output(name="not legal"))["text"]["format"]["name"] == "output"
    inline = output({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}})
    made = sent(target(schema="inline"), **inline)["text"]["format"]["schema"]
    assert made == {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.failure(41)
def test_an_output_format_that_makes_no_sense_is_named() -> None:
    with pytest.raises(ApiError, match=r"output_config\.format\.type"):
        called(output_config={"format": {"type": "xml"}})
    with pytest.raises(ApiError, match=r"output_format\.schema: Field required"):
        called(output_format={"type": "json_schema"})


# Identity


@pytest.mark.failure(36, 42)
def test_users_and_sessions_are_hashes() -> None:
    fields: Json = {"metadata": {"user_id": CLAUDE_CODE_USER}}
    body = sent(openai(), **fields)
    assert body == sent(openai(), **fields)
    assert all(len(body[name]) == 64 for name in ("prompt_cache_key", "safety_identifier"))
    other = sent(openai(), metadata={"user_id": CLAUDE_CODE_USER.replace("s1", "s2")})
    assert other["safety_identifier"] == body["safety_identifier"]
    assert other["prompt_cache_key"] != body["prompt_cache_key"]
    assert sent(openai(), session="s1")["prompt_cache_key"] == body["prompt_cache_key"]
    assert "device_id" not in json.dumps(body)
    assert "prompt_cache_key" in sent(target(cache="breakpoints"), session="s1")
    assert not {"prompt_cache_key", "safety_identifier"} & sent(**fields).keys()
    assert notes(**fields) == [("ignored", "metadata.user_id", "metadata.user_id")]
    assert not {"prompt_cache_key", "safety_identifier"} & sent(openai()).keys()


def test_the_session_in_a_header() -> None:
    to = target(session_header="x-session-affinity")
    assert len(dict(called(to, session="s1").headers)["x-session-affinity"]) == 64
    assert "x-session-affinity" not in dict(called(to).headers)


def test_service_tier() -> None:
    assert sent(openai(), service_tier="auto")["service_tier"] == "auto"
    assert sent(openai(), service_tier="standard_only")["service_tier"] == "default"
    for each, tier in ((openai(), "gold"), (target(), "auto")):
        assert "service_tier" not in sent(each, service_tier=tier)
        assert notes(each, service_tier=tier) == [("ignored", "service_tier", "service_tier")]


# Fields of the operator


def test_fields_of_the_operator_are_added_and_win() -> None:
    to = target(
        extra_body={
            "reasoning": {"context": "all_turns"},
            "provider": {"require_parameters": True},
            "temperature": 0.1,
            "route": None,
        },
    )
    body = sent(to, thinking={"type": "adaptive"}, temperature=1)
    assert body["reasoning"] == {"summary": "auto", "context": "all_turns"}
    assert body["provider"] == {"require_parameters": True}
    assert body["temperature"] == 0.1
    assert body["route"] is None
    assert sent(to)["reasoning"] == {"context": "all_turns"}
