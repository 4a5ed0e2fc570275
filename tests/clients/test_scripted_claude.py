"""The scripted Claude is right by itself: the official SDKs understand it, and it refuses a lot."""

import base64
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from clients import wire_client
from clients.claude_rules import EXTRA, NEW, NO_ADAPTIVE, NO_DISABLED, NO_ENABLED, NO_PREFILL, check, family
from clients.conftest import client, run_json
from clients.responses_rules import Json, Refused
from clients.scripted_claude import (
    Host,
    Output,
    called,
    counted,
    failure,
    hidden,
    hosting,
    packed,
    results,
    said,
    searched,
    thought,
    thoughts,
    words,
)
from dragoman.dialects.anthropic.signatures import by_claude
from features import PNG

SCRIPT = str(Path(__file__).with_name("turns_sdk.py"))
KEY = "dummy"  # what the script of the SDKs sends
TOOL: Json = {
    "name": "look",
    "input_schema": {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
}
ADAPTIVE: Json = {"thinking": {"type": "adaptive", "display": "summarized"}}
BUDGET: Json = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
OPUS, SONNET, OLDER = "claude-opus-4-8", "claude-sonnet-4-6", "claude-sonnet-4-5"


def brain(body: Json) -> Output:
    match body["model"].rpartition("-")[2]:
        case "limited":
            return failure(429, "Slow down.", retry_after="7")
        case "late":
            return Output(blocks=[said("one two")], late={"type": "overloaded_error", "message": "Overloaded"})
        case "web":
            return Output(blocks=searched("harbour", {"https://example.org/": "Harbour"}, "Ships rest there."))
    if not body.get("tools"):
        return words("Kalimera 日本語.")
    done = len(results(body))
    calls = [called("look", {"answer": f"{done}-{side}"}) for side in ("left", "right")][: (2, 0, 1, 0)[done % 4]]
    return Output(blocks=[thought(f"Step {done}. Really."), hidden("secret"), said(f"Now {done}."), *calls])


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting(Host(brain, key=KEY)) as running:
        yield running


def ask(host: Host, turns: list[Json] | None = None, model: str = OPUS, **more: Any) -> tuple[int, Any]:
    version, betas = more.pop("version", "2023-06-01"), more.pop("betas", "")
    headers = {"x_api_key": KEY, "anthropic_version": version, **({"anthropic_beta": betas} if betas else {})}
    given = {"model": model, "max_tokens": 4000, "messages": turns or [user("Hello")], **more}
    body = {name: value for name, value in given.items() if value is not None}
    reply = wire_client.post(f"{host.url}/v1/messages?beta=true", body, **headers)
    return reply.status, reply.body


def user(*content: Any) -> Json:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def assistant(*content: Any) -> Json:
    return {**user(*content), "role": "assistant"}


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def result(identity: str, content: Any = "x", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": identity, "content": content, **more}


def looped(host: Host, model: str = OPUS, **more: Any) -> list[Json]:
    """A question, the answer with two calls, and their results."""
    status, message = ask(host, model=model, tools=[TOOL], **more)
    assert status == 200, message
    ids = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
    return [user("Hello"), assistant(*message["content"]), user(*map(result, ids))]


@pytest.mark.parametrize("version", ["python-2", "python-0"])
@pytest.mark.parametrize(
    ("model", "more"),
    [(OPUS, ADAPTIVE), (OLDER, BUDGET), ("claude-opus-5-5", ADAPTIVE), ("claude-fable-5-1", {}), (SONNET, BUDGET)],
)
def test_the_official_sdk_in_a_loop_of_tools(host: Host, version: str, model: str, more: Json) -> None:
    turns: list[Json] = [{"url": host.url, "model": model} for _ in range(5)]
    for number, question in ((0, "Go."), (2, "And then?"), (3, "More."), (4, "More, please.")):
        turns[number]["say"] = question
    plan = {"turns": turns, "more": {"tools": [TOOL], **more}}
    found = run_json([str(client(version, "bin", "python")), SCRIPT, json.dumps(plan)])
    assert not host.complaints
    assert [len(results(body)) for body in host.requests] == [0, 2, 3, 3, 3]
    kinds = [[block["type"] for block in answer["content"]] for answer in found["answers"]]
    assert kinds[0] == ["thinking", "redacted_thinking", "text", "tool_use", "tool_use"]
    assert [len(thoughts(body)) for body in host.requests] == [0, 2, 4, 6, 8]
    shown = {block["thinking"] for answer in found["answers"] for block in answer["content"] if "signature" in block}
    assert ("Step 0. Really." in shown) is (model != "claude-fable-5-1")
    for earlier, later in pairwise(host.requests):
        assert later["messages"][: len(earlier["messages"])] == earlier["messages"]


def test_what_it_signs_has_the_form_of_anthropics(host: Host) -> None:
    for model, begin in ((OLDER, "E"), ("claude-opus-5-5", "CAE")):
        status, message = ask(host, model=model, tools=[TOOL], **(BUDGET if model == OLDER else ADAPTIVE))
        assert status == 200
        signed = [block.get("signature") or block["data"] for block in message["content"][:2]]
        assert all(by_claude(each) and each.startswith(begin) for each in signed)


def test_a_stream_in_its_bytes(host: Host) -> None:
    status, events = ask(host, tools=[TOOL], stream=True, **ADAPTIVE)
    assert status == 200
    names = re.findall(rb"^event: (\w+)$", host.asked[0].answered, re.MULTILINE)
    assert [event["type"] for event in events] == [name.decode() for name in names]
    assert names[:3] == [b"message_start", b"content_block_start", b"ping"]
    assert names[-2:] == [b"message_delta", b"message_stop"]
    assert b'"signature_delta"' in host.asked[0].answered
    assert re.search(rb'" +}\n\n', host.asked[0].answered) or re.search(rb"} +}\n\n", host.asked[0].answered)
    pieces = [event["delta"]["partial_json"] for event in events if event.get("delta", {}).get("partial_json")]
    assert "".join(pieces) == '{"answer": "0-left"}{"answer": "0-right"}'


def test_what_is_recorded(host: Host) -> None:
    ask(host, betas="context-management-2025-06-27")
    asked = host.asked[0]
    assert (asked.path, asked.query) == ("/v1/messages", "beta=true")
    assert json.loads(asked.body) == host.requests[0]
    assert asked.betas == ["context-management-2025-06-27"]
    assert asked.request_id.startswith("req_01")
    assert json.loads(asked.answered)["content"] == [text("Kalimera 日本語.")]


def refused(host: Host, *turns: Json, **more: Any) -> str:
    status, body = ask(host, list(turns), **more)
    assert status == 400, body
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert body["request_id"] == host.asked[-1].request_id
    return str(body["error"]["message"])


@pytest.mark.failure(68)
@pytest.mark.parametrize("model", [OPUS, OLDER])
def test_thinking_must_come_back_as_it_was_issued(host: Host, model: str) -> None:
    more = {**(ADAPTIVE if model == OPUS else BUDGET), "tools": [TOOL]}
    first, answer, last = looped(host, model, **{name: more[name] for name in more if name != "tools"})
    content = answer["content"]
    assert ask(host, [first, answer, last], model, **more)[0] == 200
    changed = [{**content[0], "thinking": "Else."}, *content[1:]]
    wrong = "messages.1.content.0: Invalid `signature` in `thinking` block"
    assert refused(host, first, assistant(*changed), last, model=model, **more) == wrong
    for signature in ("", "not base64", "RXJzdA==", base64.b64encode(b"\x12" * 60).decode()):
        changed = [{**content[0], "signature": signature}, *content[1:]]
        assert refused(host, first, assistant(*changed), last, model=model, **more) == wrong
    changed = [content[0], {**content[1], "data": "dragoman1.abc"}, *content[2:]]
    wrong = "messages.1.content.1: Invalid `data` in `redacted_thinking` block"
    assert refused(host, first, assistant(*changed), last, model=model, **more) == wrong
    assert "cannot be modified" in refused(host, first, assistant(content[0], *content[2:]), last, model=model, **more)
    found = refused(host, first, assistant(*content[2:]), last, model=model, **more)
    assert ("cannot be modified" in found) == (model == OPUS)
    assert ("Expected `thinking` or `redacted_thinking`, but found `text`" in found) == (model == OLDER)
    host.seals.demand = "whole"
    assert ask(host, [first, assistant(*content[2:]), last], model, **more)[0] == (200 if model == OPUS else 400)
    assert "cannot be modified" in refused(host, first, assistant(content[0], *content[2:]), last, model=model, **more)
    # Without thinking nobody misses any.
    assert ask(host, [first, assistant(*content[2:]), last], model, tools=[TOOL])[0] == 200


def test_thinking_of_another_conversation(host: Host) -> None:
    first, answer, last = looped(host, **ADAPTIVE)
    more = {"tools": [TOOL], **ADAPTIVE}
    assert "bound to a different conversation" in refused(host, user("Else."), answer, last, **more)
    assert "bound to a different conversation" in refused(host, first, answer, last, system="Be brief.", **more)
    moved = [user(text("Hello", cache_control={"type": "ephemeral"})), answer, last]
    assert ask(host, moved, **more)[0] == 200
    host.seals.bound = False
    assert ask(host, [user("Else."), answer, last], **more)[0] == 200


def test_searches_come_back_sealed(host: Host) -> None:
    status, message = ask(host, model=f"{OPUS}-web")
    assert status == 200
    use, found, told = message["content"]
    history = [user("Hello"), assistant(use, found, told), user("More.")]
    assert ask(host, history)[0] == 200
    bare = [{name: value for name, value in each.items() if name != "encrypted_content"} for each in found["content"]]
    changed = [user("Hello"), assistant(use, {**found, "content": bare}, told), user("More.")]
    assert "Invalid `encrypted_content`" in refused(host, *changed)
    changed = [user("Hello"), assistant({**told, "citations": [{**told["citations"][0], "encrypted_index": "x"}]})]
    assert "Invalid `encrypted_index`" in refused(host, *changed, user("More."))


CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
PICTURE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
MARK: Json = {"cache_control": {"type": "ephemeral"}}
CLEAR: Json = {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}
CONTEXT = "context-management-2025-06-27"
ASK = user("Hello")
FORCED: Json = {"tools": [TOOL], "tool_choice": {"type": "any"}}


@pytest.mark.failure(34, 37, 38, 39, 170)
@pytest.mark.parametrize(
    ("turns", "more", "wrong"),
    [
        ([ASK], {"hologram": 1}, f"hologram: {EXTRA}"),
        ([ASK], {"max_tokens": None}, "max_tokens: Field required"),
        ([ASK], CLEAR, f"context_management: {EXTRA}"),
        ([ASK], {**CLEAR, "betas": CONTEXT}, "`clear_thinking_20251015` strategy requires `thinking`"),
        ([ASK], {"betas": "invented-2026-01-01"}, "Unexpected value(s) `invented-2026-01-01`"),
        ([ASK], {"temperature": 0.5}, "`temperature` is deprecated for this model."),
        ([ASK], {"temperature": 1, "version": NEW, "model": OLDER}, f"temperature: {EXTRA}"),
        ([ASK], {"version": "2020-01-01"}, "is not a valid version"),
        ([ASK], {"top_k": 3, "model": OLDER, **BUDGET}, "`top_k` may only be set"),
        ([ASK], BUDGET, NO_ENABLED),
        ([ASK], {"thinking": {"type": "adaptive"}, "model": OLDER}, NO_ADAPTIVE),
        ([ASK], {"thinking": {"type": "disabled"}, "model": "claude-fable-5"}, NO_DISABLED),
        (
            [ASK],
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}, "model": "claude-opus-5"},
            "not supported with effort max",
        ),
        ([ASK], {"thinking": {"type": "adaptive", "budget_tokens": 2000}}, f"thinking.adaptive.budget_tokens: {EXTRA}"),
        ([ASK], {"model": OLDER, "max_tokens": 2000, **BUDGET}, "`max_tokens` must be greater than"),
        ([ASK], {"max_tokens": 200_000}, "max_tokens: 200000 > 128000"),
        ([ASK], {"output_config": {"effort": "high"}, "model": OLDER}, "does not support the effort parameter"),
        (
            [ASK],
            {"output_config": {"effort": "xhigh"}, "model": SONNET},
            "output_config.effort: Input should be 'low', ",
        ),
        ([ASK], {**FORCED, "model": "claude-opus-5-5"}, "not supported for this model"),
        ([ASK], {**FORCED, "model": OLDER, **BUDGET}, "Thinking may not be enabled when tool_choice forces tool use."),
        ([ASK], {"tool_choice": {"type": "auto"}}, "only be specified while providing tools"),
        ([ASK], {"tools": [{**TOOL, "kind": "x"}]}, f"tools.0.custom.kind: {EXTRA}"),
        ([ASK], {"tools": [{**TOOL, "name": "a.b"}]}, "tools.0.custom.name: String should match pattern"),
        ([ASK], {"tools": [TOOL, TOOL]}, "Tool names must be unique."),
        ([ASK], {"tools": [{**TOOL, "input_schema": {"type": "object", "anyOf": []}}]}, "does not support oneOf"),
        ([ASK], {"system": [text("")]}, "system: text content blocks must be non-empty"),
        ([ASK], {"stop_sequences": [" "]}, "must contain non-whitespace"),
        ([ASK, assistant("Once ")], {"model": OLDER}, "cannot end with trailing whitespace"),
        ([ASK, assistant("Once")], {}, NO_PREFILL),
        ([user("")], {}, "messages.0: all messages must have non-empty content"),
        ([user(text(""))], {}, "messages: text content blocks must be non-empty"),
        ([user(text(" "))], {}, "must contain non-whitespace text"),
        ([user(text("a", kind=1))], {}, f"messages.0.content.0.text.kind: {EXTRA}"),
        ([user({"type": "hologram"})], {}, "messages.0.content.0: Input tag 'hologram' found using 'type'"),
        ([user(CALL)], {}, "can only be in `assistant` messages"),
        ([ASK, assistant(CALL), ASK], {}, "messages.1: `tool_use` ids were found without `tool_result` blocks"),
        ([ASK, assistant(CALL), user(text("a"), result("toolu_1"))], {}, "messages.1: `tool_use` ids were found"),
        ([user(result("toolu_1"))], {}, "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks"),
        ([ASK, assistant(CALL, CALL), ASK], {}, "`tool_use` ids must be unique"),
        (
            [ASK, assistant({**CALL, "id": "functions.look:0"}), ASK],
            {},
            "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
        ),
        ([ASK, assistant({**CALL, "input": "{}"}), ASK], {}, "tool_use.input: Input should be a valid dictionary"),
        ([{"role": "system", "content": "a"}, ASK], {}, "messages.0: `system` messages must stand between"),
        (
            [ASK, {"role": "system", "content": "a"}],
            {"model": "claude-opus-4-7"},
            "messages.1: role 'system' is not supported on this model",
        ),
        ([user(text("a", **MARK))] * 4, {"system": [text("b", **MARK)]}, "A maximum of 4 blocks"),
        ([user({**PICTURE, "source": {"type": "path"}})], {}, "Input tag 'path' found using 'type'"),
        ([user({**PICTURE, "cache_control": {"type": "ephemeral", "ttl": "2h"}})], {}, "Input should be '5m' or '1h'"),
        ([ASK, assistant(CALL), user(result("toolu_1", [CALL]))], {}, "Input tag 'tool_use' found"),
    ],
)
def test_what_it_refuses(host: Host, turns: list[Json], more: Json, wrong: str) -> None:
    assert wrong in refused(host, *turns, **more)
    assert len(host.complaints) == 1


def test_what_it_takes() -> None:
    def takes(*turns: Json, betas: tuple[str, ...] = (), **more: Any) -> None:
        check({"model": OPUS, "max_tokens": 4000, "messages": list(turns), **more}, betas=betas)

    takes(ASK, {"role": "system", "content": "Hurry."}, assistant("Yes."), user("Now?"))
    takes(ASK, assistant("Once"), model=OLDER)
    takes(ASK, ASK, betas=(CONTEXT,), **CLEAR, **ADAPTIVE)
    takes(ASK, assistant(CALL), user(result("toolu_1", [PICTURE, text("a")], is_error=True), text("And?")))
    takes(*[user(text("a", **MARK))] * 4, tools=[{**TOOL, "input_schema": {"type": "object", "properties": MARK}}])
    takes(ASK, model=OLDER, temperature=0.3, top_p=0.9, tools=[{"type": "web_search_20250305", "name": "web_search"}])
    with pytest.raises(Refused):
        takes(ASK, tools=[{"type": "teleporter", "name": "a"}])


def test_families() -> None:
    assert family("claude-haiku-4-5-20251001").forms == ("enabled", "disabled")
    assert family("claude-mythos-preview").forms == ("adaptive", "enabled")
    assert family("claude-sonnet-5-5").forms == ("adaptive", "between_tools")
    assert not family("claude-sonnet-5-5").forced
    assert family("claude-haiku-5-5").forced
    with pytest.raises(Refused, match="model: gpt-5"):
        family("gpt-5")


@pytest.mark.failure(140)
@pytest.mark.parametrize(
    ("headers", "wrong"),
    [
        ({}, "x-api-key header is required"),
        ({"x_api_key": "else"}, "invalid x-api-key"),
        ({"authorization": "Bearer else"}, "Invalid bearer token"),
        ({"authorization": f"Bearer {KEY}", "x_api_key": KEY}, "only one of them"),
    ],
)
def test_who_may_not_come_in(host: Host, headers: dict[str, str], wrong: str) -> None:
    reply = wire_client.post(f"{host.url}/v1/messages", {}, **headers)
    assert reply.status == 401
    assert wrong in reply.body["error"]["message"]
    assert not host.complaints


def test_failures_and_limits(host: Host) -> None:
    reply = wire_client.post(
        f"{host.url}/v1/messages",
        {"model": f"{OPUS}-limited", "max_tokens": 9, "messages": [ASK]},
        authorization=f"Bearer {KEY}",
        anthropic_version="2023-06-01",
    )
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")
    assert reply.headers["request-id"] == reply.body["request_id"] == "req_failed"
    assert reply.headers["anthropic-ratelimit-requests-limit"] == "4000"
    _, events = ask(host, model=f"{OPUS}-late", stream=True)
    assert events[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def test_counting(host: Host) -> None:
    body = {"model": OPUS, "messages": [ASK], "tools": [TOOL]}
    reply = wire_client.post(f"{host.url}/v1/messages/count_tokens", body, x_api_key=KEY, anthropic_version=NEW)
    assert reply.body == {"input_tokens": counted(body)}
    body["max_tokens"] = 5
    reply = wire_client.post(f"{host.url}/v1/messages/count_tokens", body, x_api_key=KEY, anthropic_version=NEW)
    assert reply.body["error"]["message"] == f"max_tokens: {EXTRA}"
    assert packed({"ä": [1]}) == '{"ä":[1]}'.encode()
