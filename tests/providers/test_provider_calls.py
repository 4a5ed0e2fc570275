"""Every preset's models take the request that Claude Code makes: the rows and the dialect agree."""

import json
from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.dialects import DIALECTS
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.contract import Target
from dragoman.messages.request import decode
from dragoman.providers import Credentials, presets
from dragoman.routing import Router

BODY = {
    "model": "",
    "max_tokens": 128_000,
    "stream": True,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "thinking": {"type": "adaptive", "display": "omitted"},
    "output_config": {"effort": "high"},
    "metadata": {"user_id": '{"session_id":"s"}'},
    "tools": [
        {"name": "Read", "input_schema": {"type": "object", "properties": {"p": {"type": "string"}}}},
    ],
    "messages": [
        {"role": "user", "content": "Read a."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"p": "a"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "b"}]},
        {"role": "system", "content": "It is Friday."},
    ],
}


ACCOUNTS = {
    "ANTHROPIC_FOUNDRY_RESOURCE": "r",
    "ANTHROPIC_VERTEX_PROJECT_ID": "p",
    "AWS_REGION": "eu-west-1",
    "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/",
    "CLOUDFLARE_ACCOUNT_ID": "a",
    "GOOGLE_CLOUD_PROJECT": "p",
    "DATABRICKS_HOST": "d.example",
    "SNOWFLAKE_ACCOUNT": "s",
}
SIGNED = {
    "bearer": ("authorization", "Bearer {}"),
    "api-key": ("api-key", "{}"),
    "x-api-key": ("x-api-key", "{}"),
    "x-goog-api-key": ("x-goog-api-key", "{}"),
}
PATHS = {
    "chat": "/chat/completions", "responses": "/responses", "gemini": "/models/{model}:streamGenerateContent?alt=sse",
    "anthropic": "/v1/messages",
}  # fmt: skip
LANGUAGES = {**DIALECTS, "anthropic": ANTHROPIC}


@pytest.mark.parametrize(
    ("name", "dialect"),
    [(name, each) for name, row in presets().items() if row.addressing != "sidecar" for each in row.languages()],
)
def test_a_turn_of_claude_code(name: str, dialect: str, tmp_path: Path) -> None:
    """The call is made, in each language, goes to the preset's address, and is signed with its key."""
    (tmp_path / "dragoman.yaml").write_text(f"providers: {{{name}: {{dialect: {dialect}}}}}\n", "utf-8")
    variables = {key: f"canary-of-{key}" for key in presets()[name].keys[:1]} | ACCOUNTS
    settings, secrets = config.load(path=None, environ=variables, folder=tmp_path, home=tmp_path)
    preset = presets()[name]
    credentials = Credentials(secrets, settings.identities)
    provider = settings.providers[name]
    assert provider.template.dialect == dialect
    assert {dialect, *(each.dialect for each in provider.others)} == set(preset.languages())
    for model in dict.fromkeys((preset.big, preset.small, *preset.models, "any-model")):
        if model is None:
            continue
        target = Router(settings).route(f"{name}/{model}").targets[0]
        assert target.dialect == dialect
        assert (target.other is None) is (
            dialect == "anthropic" or not set(preset.languages()) - {dialect, "anthropic"}
        )
        body = BODY if target.facts.tools else {key: value for key, value in BODY.items() if key != "tools"}
        call = LANGUAGES[dialect].call(decode(json.dumps({**body, "model": model}).encode()), target)
        assert "canary-of-" not in repr(call)
        assert call.url.startswith(provider.template.base_url + "/")
        if getattr(target.quirks, "form", "messages") == "messages":
            assert call.url == provider.template.base_url + PATHS[dialect].format(model=model)
            assert limit(json.loads(call.body), target) <= (target.facts.max_output or 128_000)
        if target.auth == "google":
            assert credentials.headers(target, 0.0) is None  # a token must be fetched first
            continue
        header, form = SIGNED[preset.languages()[dialect].auth or preset.auth]
        signed = [(header, form.format(f"canary-of-{key}")) for key in preset.keys[:1]]
        assert list(credentials.headers(target, 0.0) or ()) == signed


def limit(sent: Any, target: Target) -> int:
    """How long the answer may be."""
    if target.dialect == "gemini":
        return int(sent["generationConfig"]["maxOutputTokens"])
    assert sent["model"] == target.model
    name = {"responses": "max_output_tokens", "anthropic": "max_tokens"}.get(target.dialect)
    return int(sent[name or target.quirks.max_tokens_field])
