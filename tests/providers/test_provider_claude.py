"""Names of Claude's models on its platforms, and what is known about them there."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dragoman.config import Provider
from dragoman.config.names import FAMILIES
from dragoman.config.names import claude as family
from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.contract import Facts, Target
from dragoman.dialects.responses import quirks as responses
from dragoman.providers import presets, target
from dragoman.providers.claude import Form, named, plain

NATIVE = Target(provider="mine", dialect="anthropic", base_url="https://x.example", model="", quirks=Quirks())
USUAL = structs.replace(NATIVE, dialect="responses", quirks=responses.Quirks())


@pytest.mark.parametrize(
    ("name", "anthropic", "vertex", "bedrock"),
    [
        ("claude-sonnet-5-5", "claude-sonnet-5-5", "claude-sonnet-5-5", "anthropic.claude-sonnet-5-5"),
        (
            "claude-haiku-4-5-20251001",
            "claude-haiku-4-5-20251001",
            "claude-haiku-4-5@20251001",
            "anthropic.claude-haiku-4-5",
        ),
        (
            "claude-haiku-4-5@20251001",
            "claude-haiku-4-5-20251001",
            "claude-haiku-4-5@20251001",
            "anthropic.claude-haiku-4-5",
        ),
        (
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "claude-sonnet-4-5-20250929",
            "claude-sonnet-4-5@20250929",
            "anthropic.claude-sonnet-4-5",
        ),
        (
            "anthropic.claude-opus-4-6-v1",
            "claude-opus-4-6",
            "claude-opus-4-6",
            "anthropic.claude-opus-4-6-v1",
        ),
        ("anthropic/claude-opus-5-5", "claude-opus-5-5", "claude-opus-5-5", "anthropic.claude-opus-5-5"),
        ("claude-*", "claude-*", "claude-*", "anthropic.claude-*"),
        ("gpt-5", "gpt-5", "gpt-5", "gpt-5"),
        ("claude", "claude", "claude", "claude"),
    ],
)
def test_each_platform_has_its_own_way(name: str, anthropic: str, vertex: str, bedrock: str) -> None:
    assert (named("anthropic", name), named("vertex", name), named("bedrock", name)) == (anthropic, vertex, bedrock)
    assert plain(name) in (None, anthropic)
    assert (plain(name) is None) is (name in ("gpt-5", "claude"))


@given(
    st.text(max_size=30)
    | st.from_regex(r"([a-z]{2}\.)?(anthropic[./])?claude-[a-z0-9-]{1,20}(-\d{8})?", fullmatch=True)
)
def test_a_name_in_the_way_of_a_platform_stays(name: str) -> None:
    for form in ("anthropic", "vertex", "bedrock"):
        once = named(form, name)
        assert named(form, once) == once


@given(st.from_regex(r"claude-[a-z0-9]{1,9}(-[0-9]{1,2}){0,2}(-20[0-9]{6})?", fullmatch=True))
def test_anthropics_own_names_are_never_changed_for_anthropic(name: str) -> None:
    assert named("anthropic", name) == plain(name) == name


def made(preset: str, model: str, form: Form | None, **fields: Any) -> Target:
    fields = {"template": NATIVE, "preset": preset, "claude": form, **fields}
    return target(Provider(name="mine", title="", ready=True, why="", **fields), model)


class TestFacts:
    @pytest.mark.failure(172)
    @pytest.mark.parametrize(
        ("preset", "form", "model"),
        [
            ("anthropic", "anthropic", "claude-sonnet-5-5"),
            ("foundry", "anthropic", "claude-sonnet-5-5"),
            ("bedrock", "bedrock", "anthropic.claude-sonnet-5-5"),
            ("vertex", "vertex", "claude-sonnet-5-5"),
            ("anthropic-vertex", "vertex", "claude-sonnet-5-5@20261001"),
        ],
    )
    def test_what_is_known_about_claude_holds_on_every_platform(self, preset: str, form: Form, model: str) -> None:
        facts = made(preset, model, form).facts
        assert facts.max_output == 128_000
        own = made("anthropic", "claude-sonnet-5-5", "anthropic").facts
        assert facts == structs.replace(own, dialect=facts.dialect, source=facts.source)

    def test_a_deployment_is_the_model_that_the_configuration_says(self) -> None:
        fields = {"facts_of": "openai", "base_models": {"mine": "claude-opus-5-5"}, "others": (USUAL,)}
        found = made("azure", "mine", "anthropic", **fields)
        assert (found.dialect, found.facts.max_output) == ("anthropic", 128_000)
        assert made("azure", "claude-opus-5-5", "anthropic", **fields).facts == Facts()

    @pytest.mark.failure(172)
    def test_a_server_that_has_no_claude_is_not_judged_by_a_name(self) -> None:
        assert made("vllm", "claude-sonnet-5-5", None).facts == Facts()

    @pytest.mark.parametrize("preset", ["vertex", "azure"])
    def test_a_platform_with_other_models_asks_claude_in_messages(self, preset: str) -> None:
        fields: dict[str, Any] = {"template": USUAL, "others": (NATIVE,)}
        if preset == "azure":
            fields |= {"facts_of": "openai", "base_models": {"claude-sonnet-5-5": "claude-sonnet-5-5"}}
        assert made(preset, "claude-sonnet-5-5", "vertex", **fields).dialect == "anthropic"
        assert made(preset, "something-else", "vertex", **fields).dialect == "responses"

    @pytest.mark.parametrize(
        ("model", "dialect"),
        [
            ("anthropic.claude-opus-5-5", "anthropic"),
            ("openai.gpt-5.6", "responses"),
            ("openai.gpt-oss-120b", "chat"),
            ("qwen.qwen3-coder-480b", "chat"),
        ],
    )
    def test_bedrocks_other_models(self, model: str, dialect: str) -> None:
        chat = structs.replace(USUAL, dialect="chat")
        assert made("bedrock", model, "bedrock", others=(USUAL, chat)).dialect == dialect

    def test_who_hosts_claude_beside_others_gets_claudes_thinking_only(self) -> None:
        template = structs.replace(NATIVE, quirks=Quirks(signatures="own"))
        assert made("openrouter", "anthropic/claude-opus-5.5", None, template=template).quirks.signatures == "anthropic"
        assert made("openrouter", "moonshotai/kimi-k3", None, template=template).quirks.signatures == "own"


class TestOther:
    def test_what_is_passed_on_never_changes_to_what_is_translated(self) -> None:
        assert made("deepseek", "m", None, others=(USUAL,)).other is None
        assert made("deepseek", "m", None, template=USUAL, others=(NATIVE,)).other is None

    def test_the_others_still_change_among_themselves(self) -> None:
        chat = structs.replace(USUAL, dialect="chat")
        found = made("openrouter", "m", None, template=chat, others=(NATIVE, USUAL))
        assert found.other is not None
        assert found.other.dialect == "responses"


class TestRows:
    def test_who_speaks_messages(self) -> None:
        found = {name: preset.dialect for name, preset in presets().items() if "anthropic" in preset.languages()}
        assert {"deepseek", "moonshot", "zai", "minimax", "dashscope", "openrouter", "vllm", "ollama"} <= found.keys()
        usual = [name for name, dialect in found.items() if dialect == "anthropic"]
        assert usual == ["anthropic", "bedrock", "foundry", "anthropic-vertex", "longcat"]

    def test_addresses_of_messages_have_no_version(self) -> None:
        """The dialect appends `/v1/messages`."""
        for preset in presets().values():
            found = preset.languages().get("anthropic")
            if found is not None and preset.dialect != "anthropic":
                assert not (found.base_url or found.path).endswith(("/v1", "/messages", "/"))

    def test_there_is_a_current_model_of_each_family(self) -> None:
        known = [family(model) for model in presets()["anthropic"].models]
        assert {each.family for each in known if each} == set(FAMILIES)

    @pytest.mark.failure(140)
    def test_variables_of_clients_are_not_read(self) -> None:
        read = {
            variable for preset in presets().values()
            for variable in (*preset.keys, *preset.token_keys, *preset.base_url_keys)
        }  # fmt: skip
        assert not read & {"ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"}
