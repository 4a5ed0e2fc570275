"""Limits, sampling, structured output, safety, service tier, and fields that the operator adds."""

import json

import pytest

from dialects.chat.asking import WEATHER, Json
from dialects.gemini.targets_gemini import called, config, newer, notes, older, sent, target
from dragoman.dialects.gemini.knobs import INSTRUCTION
from dragoman.messages.errors import ApiError

CLAUDE_CODE_USER = '{"device_id":"d1","account_uuid":"","session_id":"s1"}'
TITLE: Json = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


def output(schema: Json = TITLE, **more: str) -> Json:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema, **more}}}


# Limits


@pytest.mark.failure(25, 26)
def test_the_limit_has_its_own_name_and_is_at_least_one() -> None:
    assert config(max_tokens=1) == {"maxOutputTokens": 1}
    assert notes(max_tokens=1) == []
    assert config(max_tokens=0)["maxOutputTokens"] == 1
    assert notes(max_tokens=0) == [("changed", "max_tokens.raised", "max_tokens")]


@pytest.mark.failure(27)
def test_the_limit_is_no_larger_than_the_model_gives() -> None:
    assert config(newer(), max_tokens=128_000)["maxOutputTokens"] == 65_536
    assert notes(newer(), max_tokens=128_000) == [("changed", "max_tokens.clamped", "max_tokens")]
    assert notes(newer(), max_tokens=65_536) == []


@pytest.mark.failure(27)
def test_the_limit_leaves_room_for_the_input() -> None:
    to = target(facts={"context": 32_768})
    messages = [{"role": "user", "content": "A short line of plain English text.\n" * 1000}]
    assert 20_000 < config(to, max_tokens=32_000, messages=messages)["maxOutputTokens"] < 27_000
    assert notes(to, max_tokens=32_000, messages=messages) == [("changed", "max_tokens.window", "max_tokens")]
    assert config(to, max_tokens=32_000)["maxOutputTokens"] == 32_000
    full = target(facts={"context": 8_000})
    assert config(full, max_tokens=32_000, messages=messages)["maxOutputTokens"] == 32_000, "left to be refused"


@pytest.mark.failure(73)
def test_thinking_that_nobody_wants_leaves_the_answer_its_room() -> None:
    off: Json = {"thinking": {"type": "disabled"}, "max_tokens": 64}
    told = [("changed", "thinking.always_on", "thinking"), ("changed", "max_tokens.thinking", "max_tokens")]
    assert config(newer(), **off)["maxOutputTokens"] == 64 + 1024
    assert notes(newer(), **off) == told
    least = older(facts={"efforts": (), "thinking_budget": (128, 32_768)})
    assert config(least, **off) == {"maxOutputTokens": 64 + 128, "thinkingConfig": {"thinkingBudget": 128}}
    assert notes(least, **off) == told
    assert config(newer(thinking=False), **off) == {"maxOutputTokens": 64 + 1024}
    assert config(newer(), **off | {"max_tokens": 65_000})["maxOutputTokens"] == 65_536
    assert notes(newer(), **off | {"max_tokens": 65_000}) == told
    assert config(older(), **off) == {"maxOutputTokens": 64, "thinkingConfig": {"thinkingBudget": 0}}
    assert config(target(), **off) == {"maxOutputTokens": 64}
    for fields in ({}, {"thinking": {"type": "adaptive"}}):
        assert config(newer(), max_tokens=64, **fields)["maxOutputTokens"] == 64, "it was not forbidden"


# Sampling


@pytest.mark.failure(28)
def test_sampling_parameters_by_model() -> None:
    fields: Json = {"temperature": 0, "top_p": 0.5, "top_k": 40}
    made = config(**fields)
    assert (made["temperature"], made["topP"], made["topK"]) == (0, 0.5, 40)
    assert notes(**fields) == []
    for to in (target(facts={"sampling": "never"}), target(sampling=False)):
        assert not {"temperature", "topP", "topK"} & config(to, **fields).keys()
        assert notes(to, **fields) == [("changed", f"{name}.unsupported", name) for name in fields]
    assert notes(target(sampling=False), temperature=1, top_p=1) == [
        ("ignored", "temperature.unsupported", "temperature"),
        ("ignored", "top_p.unsupported", "top_p"),
    ]


@pytest.mark.failure(28)
def test_sampling_parameters_only_while_the_model_does_not_think() -> None:
    facts = {"sampling": "without_reasoning"}
    assert "temperature" not in config(older(facts=facts), temperature=0.5)
    assert config(older(facts=facts), temperature=0.5, thinking={"type": "disabled"})["temperature"] == 0.5


@pytest.mark.failure(28)
def test_a_top_k_outside_of_the_range() -> None:
    assert config(top_k=64)["topK"] == 64
    assert notes(top_k=64) == []
    assert config(top_k=500)["topK"] == 64
    assert notes(top_k=500) == [("changed", "top_k.clamped", "top_k")]
    assert "topK" not in config(top_k=0)
    assert notes(top_k=0) == [("changed", "top_k.unsupported", "top_k")]


# Structured output


@pytest.mark.failure(41)
@pytest.mark.parametrize("fields", [output(), {"output_format": {"type": "json_schema", "schema": TITLE}}])
def test_structured_output(fields: Json) -> None:
    made = config(**fields)
    assert (made["responseMimeType"], made["responseJsonSchema"]) == ("application/json", TITLE)
    assert notes(**fields) == []
    for to in (target(schema="openapi"), target(facts={"schema": "openapi"})):
        made = config(to, **fields)
        assert list(made["responseSchema"]["properties"]) == ["title"]
        assert "responseJsonSchema" not in made
    assert "responseJsonSchema" in config(target(facts={"schema": "json_schema"}, schema="openapi"), **fields)


@pytest.mark.failure(41)
def test_structured_output_beside_tools() -> None:
    made = sent(newer(), **output(), tools=[WEATHER])
    assert made["generationConfig"]["responseJsonSchema"] == TITLE
    assert "systemInstruction" not in made
    made = sent(older(), **output(), tools=[WEATHER], system="Be brief.")
    assert made["generationConfig"] == {"maxOutputTokens": 1000}
    texts = [part["text"] for part in made["systemInstruction"]["parts"]]
    assert texts == ["Be brief.", f"\n\n{INSTRUCTION}{json.dumps(TITLE)}"]
    place = "output_config.format"
    assert notes(older(), **output(), tools=[WEATHER]) == [("changed", "output_format.by_instruction", place)]
    assert "responseJsonSchema" in config(older(), **output(), tools=[])
    searched = [{"type": "web_search_20250305", "name": "web_search"}]
    assert "responseMimeType" not in config(older(), **output(), tools=searched)


@pytest.mark.failure(41)
def test_structured_output_by_instruction() -> None:
    to = target(response_schema=False)
    made = sent(to, **output())
    assert made["generationConfig"] == {"maxOutputTokens": 1000, "responseMimeType": "application/json"}
    assert made["systemInstruction"] == {"parts": [{"text": INSTRUCTION + json.dumps(TITLE)}]}
    made = sent(target(response_schema=False, system="user"), **output(), system="Be brief.")
    assert "systemInstruction" not in made
    said = "".join(part["text"] for part in made["contents"][0]["parts"])
    assert said.startswith(f"{INSTRUCTION}{json.dumps(TITLE)}\n\nBe brief.")
    assert said.endswith("Hello.")
    assert made["contents"][0]["role"] == "user"


@pytest.mark.failure(41)
def test_an_output_format_that_makes_no_sense_is_named() -> None:
    with pytest.raises(ApiError, match=r"output_config\.format\.type"):
        called(output_config={"format": {"type": "xml"}})
    with pytest.raises(ApiError, match=r"output_format\.schema: Field required"):
        called(output_format={"type": "json_schema"})


# Safety, service tier, identity


def test_safety_settings_are_the_operators() -> None:
    to = target(safety={"harassment": "BLOCK_NONE", "dangerous_content": "OFF"})
    assert sent(to)["safetySettings"] == [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"},
        {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "threshold": "OFF"},
    ]
    assert "safetySettings" not in sent()


def test_service_tier() -> None:
    assert sent(newer(), service_tier="standard_only")["serviceTier"] == "standard"
    assert notes(newer(), service_tier="standard_only") == []
    for each, tier in ((newer(), "auto"), (target(), "standard_only")):
        assert "serviceTier" not in sent(each, service_tier=tier)
        assert notes(each, service_tier=tier) == [("ignored", "service_tier", "service_tier")]


@pytest.mark.failure(36)
def test_who_asks_is_not_said() -> None:
    made = called(metadata={"user_id": CLAUDE_CODE_USER}, session="s1")
    assert made == called(metadata={"user_id": CLAUDE_CODE_USER}, session="s2")
    assert b"device_id" not in made.body
    place = "metadata.user_id"
    assert notes(metadata={"user_id": CLAUDE_CODE_USER}) == [("ignored", place, place)]
    assert notes(metadata={"user_id": ""}) == []


# Fields of the operator


def test_fields_of_the_operator_are_added_and_win() -> None:
    to = target(
        extra_body={"generationConfig": {"seed": 5, "temperature": 0.1}, "labels": {"team": "a"}, "contents": None}
    )
    body = sent(to, temperature=1)
    assert body["generationConfig"] == {"maxOutputTokens": 1000, "temperature": 0.1, "seed": 5}
    assert body["labels"] == {"team": "a"}
    assert body["contents"] is None
