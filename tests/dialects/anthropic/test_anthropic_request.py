"""What is passed on: the caller's bytes and headers, and what must be another way."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from dialects.anthropic.asking_messages import (
    NEWEST,
    OURS,
    asked,
    body,
    by_claude,
    called,
    notes,
    sent,
    target,
    thinking,
)
from dialects.chat.asking import assistant, text, user
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.request import call
from dragoman.messages.errors import ApiError
from dragoman.messages.request import Request
from histories import bodies


@pytest.mark.failure(2, 69)
def test_the_same_bytes() -> None:
    raw = (
        b' {"messages" :[{"role":"user","content":"\\u00e9\\/"}],\r\n"max_tokens":8, "system":[{"type":"text","text":'
        b'"x-anthropic-billing-header: cc_version=2"},{"type":"text","text":"a"}],"model":"claude-opus-4-6","n":1.0e5}'
    )
    made = ANTHROPIC.call(asked(raw), target())
    assert made.body is raw
    assert (made.url, made.method, made.stream, made.notes) == ("http://127.0.0.1:9/v1/messages", "POST", False, ())
    assert made.relays
    assert made.recall.model == "claude-opus-4-6"


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(bodies())
def test_bytes_out_are_bytes_in(made: tuple[dict[str, Any], list[str]]) -> None:
    fields, _ = made
    for turn in fields["messages"]:
        if turn["role"] == "assistant":
            turn["content"] = [
                {**block, "signature": by_claude()} if block["type"] == "thinking" else block
                for block in turn["content"]
            ]
    raw = json.dumps(fields, ensure_ascii=False, indent=1).encode()
    same, alias = target(model=fields["model"]), target(model="another")
    assert call(asked(raw), same).body is raw
    assert call(asked(raw), alias).body == raw.replace(b'"claude-sonnet-4-5"', b'"another"')


@pytest.mark.parametrize("turns", [7, [7], [{"role": 7}], [{"content": "x"}], [{"role": "user", "content": {}}]])
def test_odd_bodies_are_the_upstreams_to_refuse(turns: Any) -> None:
    request = asked(messages=turns, temperature=0.5)
    assert call(request, target(facts=NEWEST, mid_system="fold")).body is request.raw
    assert json.loads(call(request, target(model="m")).body) == body(messages=turns, temperature=0.5, model="m")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"messages":[]}', b'{"model":7}'])
def test_no_body_at_all(raw: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        call(asked(raw), target())
    assert caught.value.kind == "invalid_request"


def test_a_body_that_decoders_refuse_and_must_be_changed() -> None:
    raw = b'{"model":"m","a":' + b"[" * 600 + b"]" * 600 + b',"\\ud83d":1,"strict":2}'
    assert call(asked(raw), target(strip=("strict",))).body.endswith(b'"\\ud83d":1}')
    request = Request(raw[:-1])
    request.__dict__["model"] = "m"
    request.__dict__["outline"] = None
    for to in (target(), target(strip=("strict",))):
        with pytest.raises(ApiError, match="not valid JSON"):
            call(request, to)


class TestHeaders:
    def headers(self, to: Any = None, **headers: str) -> dict[str, str]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return dict(called(to, headers=sent).headers)

    def test_the_callers_go_on(self) -> None:
        given = {
            "anthropic_version": "2026-10-21",
            "anthropic_beta": "a, b",
            "x_app": "cli",
            "user_agent": "claude-cli",
        }
        assert self.headers(**given) == {
            "content-type": "application/json",
            "anthropic-version": "2026-10-21",
            "anthropic-beta": "a, b",
            "x-app": "cli",
            "user-agent": "claude-cli",
        }

    def test_a_version_is_always_said(self) -> None:
        assert self.headers()["anthropic-version"] == "2023-06-01"
        assert (
            dict(call(Request(asked().raw, version="2026-10-21"), target()).headers)["anthropic-version"]
            == "2026-10-21"
        )

    def test_the_targets_own_win(self) -> None:
        fixed = (("Anthropic-Version", "x"), ("x-app", "ours"))
        made = call(
            asked(headers={"anthropic-version": "2026-10-21", "x-app": "cli"}), replace(target(), headers=fixed)
        )
        assert made.headers == (("content-type", "application/json"), *fixed)

    @pytest.mark.failure(39)
    def test_betas(self) -> None:
        given = {"anthropic_beta": "a-2026,b-2026"}
        assert self.headers(target(betas=("b-2026", "c")), **given)["anthropic-beta"] == "b-2026"
        assert "anthropic-beta" not in self.headers(target(betas="none"), **given)
        left_out = [("changed", "betas.left_out", "")]
        assert notes(target(betas="none"), headers={"anthropic-beta": "a-2026"}) == left_out
        assert notes(target(betas=("a-2026",)), headers={"anthropic-beta": "a-2026"}) == []
        assert notes(target(betas="none")) == []

    def test_a_beta_of_the_targets_own(self) -> None:
        to = replace(target(betas=("a",)), headers=(("anthropic-beta", "own"),))
        assert dict(call(asked(headers={"anthropic-beta": "a"}), to).headers)["anthropic-beta"] == "own"


def test_the_query_goes_on() -> None:
    request = Request(asked().raw, query="beta=true")
    assert call(request, target()).url == "http://127.0.0.1:9/v1/messages?beta=true"
    versioned = replace(target(messages_path="/messages"), query="api-version=1")
    assert call(request, versioned).url == "http://127.0.0.1:9/messages?beta=true&api-version=1"


class TestVertex:
    def test_the_model_stands_in_the_address(self) -> None:
        to = target(form="vertex", model="claude-opus-4-5@20251101")
        made = called(to)
        assert made.url == "http://127.0.0.1:9/models/claude-opus-4-5@20251101:rawPredict"
        assert json.loads(made.body) == {
            "max_tokens": 8000,
            "messages": body()["messages"],
            "anthropic_version": "vertex-2023-10-16",
        }
        assert not made.stream

    def test_streams(self) -> None:
        made = called(target(form="vertex"), stream=True)
        assert made.url == "http://127.0.0.1:9/models/claude-opus-4-6:streamRawPredict"
        assert made.stream
        assert json.loads(made.body)["stream"] is True

    def test_a_version_of_the_callers(self) -> None:
        assert sent(target(form="vertex"), anthropic_version="x")["anthropic_version"] == "vertex-2023-10-16"


class TestQuirks:
    @pytest.mark.failure(34, 38)
    def test_fields_that_are_refused(self) -> None:
        tools = [{"name": "a", "strict": True, "input_schema": {"strict": 1}}, {"name": "b"}]
        to = target(strip=("context_management", "output_config.effort", "tools.*.strict", "tags"))
        fields = {
            "context_management": {"edits": []},
            "output_config": {"effort": "low", "format": None},
            "tools": tools,
        }
        assert sent(to, **fields) == body(
            output_config={"format": None}, tools=[{"name": "a", "input_schema": {"strict": 1}}, {"name": "b"}]
        )
        assert notes(to, **fields) == [
            ("changed", "field.left_out", "context_management"),
            ("changed", "field.left_out", "output_config.effort"),
            ("changed", "field.left_out", "tools.*.strict"),
        ]

    @pytest.mark.failure(170)
    def test_what_depends_on_thinking_goes_with_it(self) -> None:
        fields = {
            "thinking": {"type": "adaptive"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
        }
        assert sent(target(strip=("thinking",)), **fields) == body()

    @pytest.mark.failure(37)
    def test_lifetimes_of_caches(self) -> None:
        cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
        plain = {"cache_control": {"type": "ephemeral"}}
        call = {"type": "tool_use", "id": "toolu_1", "name": "a", "input": cached}

        def fields(mark: dict[str, Any]) -> dict[str, Any]:
            result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("x", **mark)], **mark}
            return {
                **mark,
                "system": [text("a", **mark)],
                "tools": [{"name": "a", "input_schema": cached, **mark}],
                "messages": [user(text("a", **mark)), assistant(call), user(result)],
            }

        assert sent(target(cache_ttl=False), **fields(cached)) == body(**fields(plain))
        assert sent(**fields(cached)) == body(**fields(cached))
        untouched = asked(**fields(plain))
        assert json.loads(untouched.raw) == sent(target(cache_ttl=False), **fields(plain))

    def test_fields_of_the_servers_own(self) -> None:
        assert sent(target(extra_body={"user": "x", "max_tokens": 5})) == body(user="x", max_tokens=5)


def test_a_strict_target_loses_nothing() -> None:
    page = {"type": "web_search_result", "url": "https://x.example", "encrypted_content": ""}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [page]}
    turns = [user(text("Go")), assistant(found, text("x")), user(text("x"))]
    with pytest.raises(ApiError, match=r"messages\.1\.content\.0"):
        called(target(strict=True), messages=turns)
    assert called(target(strict=True), messages=[user(text("x")), assistant(thinking(OURS), text("x"))]).notes
