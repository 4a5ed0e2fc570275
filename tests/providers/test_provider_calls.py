"""Every preset's models take the request that Claude Code makes: the rows and the dialect agree."""

import json
from pathlib import Path

import pytest

from dragoman import config
from dragoman.dialects import DIALECTS
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
    "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/",
    "CLOUDFLARE_ACCOUNT_ID": "a",
    "GOOGLE_CLOUD_PROJECT": "p",
    "DATABRICKS_HOST": "d.example",
    "SNOWFLAKE_ACCOUNT": "s",
}
SIGNED = {
    "bearer": ("authorization", "Bearer {}"),
    "api-key": ("api-key", "{}"),
    "x-goog-api-key": ("x-goog-api-key", "{}"),
}
PATHS = {
    "chat": "/chat/completions", "responses": "/responses", "gemini": "/models/{model}:streamGenerateContent?alt=sse",
}  # fmt: skip


@pytest.mark.parametrize("name", presets())
def test_a_turn_of_claude_code(name: str, tmp_path: Path) -> None:
    """The call is made, in each language, goes to the preset's address, and is signed with its key."""
    (tmp_path / "dragoman.yaml").write_text(f"providers: {{{name}: {{}}}}\n", "utf-8")
    variables = {key: f"key-of-{key}" for key in presets()[name].keys[:1]} | ACCOUNTS
    settings, secrets = config.load(path=None, environ=variables, folder=tmp_path, home=tmp_path)
    preset = presets()[name]
    credentials = Credentials(secrets, settings.identities)
    provider = settings.providers[name]
    templates = (provider.template, *provider.others)
    for model in dict.fromkeys((preset.big, preset.small, *preset.models, "any-model")):
        if model is None:
            continue
        first = Router(settings).route(f"{name}/{model}").targets[0]
        targets = [each for each in (first, first.other) if each is not None]
        assert {each.dialect for each in targets} == set(preset.languages())
        for target in targets:
            body = BODY if target.facts.tools else {key: value for key, value in BODY.items() if key != "tools"}
            call = DIALECTS[target.dialect].call(decode(json.dumps({**body, "model": model}).encode()), target)
            sent = json.loads(call.body)
            template = next(each for each in templates if each.dialect == target.dialect)
            assert call.url == template.base_url + PATHS[target.dialect].format(model=model)
            if target.dialect == "gemini":
                limit = sent["generationConfig"]["maxOutputTokens"]
            else:
                assert sent["model"] == model
                name_of_limit = "max_output_tokens" if target.dialect == "responses" else target.quirks.max_tokens_field
                limit = sent[name_of_limit]
            assert limit <= (target.facts.max_output or 128_000)
            assert "key-of-" not in repr(call)
            if target.auth == "google":
                assert credentials.headers(target, 0.0) is None  # a token must be fetched first
                continue
            language = preset.languages()[target.dialect]
            header, form = SIGNED[language.auth or preset.auth]
            signed = [(header, form.format(f"key-of-{key}")) for key in preset.keys[:1]]
            assert list(credentials.headers(target, 0.0) or ()) == signed
