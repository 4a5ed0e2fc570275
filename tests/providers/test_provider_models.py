"""Facts about models, and targets."""

from typing import Any

import pytest
from msgspec import structs

from dragoman.config import Provider
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Facts, Target
from dragoman.dialects.gemini import quirks as gemini
from dragoman.dialects.responses import quirks as responses
from dragoman.providers import presets, state_scope, target, unknown
from dragoman.providers.models import read, rows
from dragoman.providers.presets import RowError

TEMPLATE = Target(provider="mine", dialect="chat", base_url="https://lab.example/v1", model="", quirks=Quirks())
OTHER = structs.replace(TEMPLATE, dialect="responses", quirks=responses.Quirks(), query="a=b")


def provider(preset: str | None, **fields: Any) -> Provider:
    return Provider(
        **{"name": "mine", "title": "", "ready": True, "why": "", "preset": preset, "template": TEMPLATE, **fields}
    )


def made(preset: str | None, model: str, **fields: Any) -> Target:
    return target(provider(preset, **fields), model)


def deployed(deployments: dict[str, str], **fields: Any) -> Provider:
    legacy = structs.replace(TEMPLATE, base_url="https://r.example/openai/deployments/{model}", query="api-version=1")
    own = structs.replace(OTHER, base_url="https://r.example/openai", query="api-version=1")
    fields = {"template": own, "others": (legacy,), "facts_of": "openai", "base_models": deployments, **fields}
    return provider("azure", **fields)


def test_every_row_is_about_a_preset_or_about_all() -> None:
    providers = {pattern.partition("/")[0] for row in rows() for pattern in row.patterns}
    assert providers <= {*presets(), "*"}


@pytest.mark.parametrize("name", presets())
def test_big_and_small_models_take_tools(name: str) -> None:
    preset = presets()[name]
    for model in filter(None, (preset.big, preset.small)):
        assert made(name, model).facts.tools


@pytest.mark.parametrize(
    ("model", "efforts", "sampling", "tools", "by_default"),
    [
        ("gpt-4.1", (), "always", True, False),
        ("o3", ("low", "medium", "high"), "never", True, True),
        ("gpt-5-mini", ("minimal", "low", "medium", "high"), "never", True, True),
        ("gpt-5-pro", ("high",), "never", True, True),
        ("gpt-5.1-codex", ("none", "low", "medium", "high"), "without_reasoning", True, False),
        ("gpt-5.2", ("none", "low", "medium", "high", "xhigh"), "without_reasoning", True, False),
        ("gpt-5.4-2026-03-05", ("none", "low", "medium", "high", "xhigh"), "without_reasoning", False, False),
        ("gpt-5.4-pro", ("medium", "high", "xhigh"), "never", False, True),
        ("gpt-5.5", ("none", "low", "medium", "high", "xhigh"), "without_reasoning", False, True),
        ("gpt-5.6-luna", ("none", "low", "medium", "high", "xhigh"), "without_reasoning", False, True),
        ("gpt-6-sol", ("none", "low", "medium", "high", "xhigh"), "without_reasoning", False, True),
        ("gpt-6-astra", ("low", "medium", "high", "xhigh"), "never", False, True),
        ("gpt-5.2-chat-latest", ("medium",), "never", True, False),
        ("gpt-5-chat-latest", (), "always", True, False),
    ],
)
def test_openai_families(model: str, efforts: tuple[str, ...], sampling: str, tools: bool, by_default: bool) -> None:
    facts = made("openai", model).facts
    assert facts.efforts == efforts
    assert facts.sampling == sampling
    assert facts.tools_with_reasoning is tools
    assert facts.reasons_by_default is by_default


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("claude-haiku-4-5-20251001", ("enabled disabled", None, "always", True, True, 64_000)),
        ("claude-sonnet-4-5", ("enabled disabled", None, "always", True, True, 64_000)),
        ("claude-opus-4-5", ("enabled disabled", "high", "always", True, True, 64_000)),
        ("claude-opus-4-6", ("adaptive enabled disabled", "max", "always", False, True, 128_000)),
        ("claude-sonnet-4-6", ("adaptive enabled disabled", "max", "always", False, True, 128_000)),
        ("claude-opus-4-8", ("adaptive disabled", "max", "never", False, True, 128_000)),
        ("claude-sonnet-5", ("adaptive disabled", "max", "never", False, True, 128_000)),
        ("claude-opus-5", ("adaptive disabled", "max", "never", False, True, 128_000)),
        ("claude-haiku-5-5", ("adaptive disabled", "max", "never", False, True, 128_000)),
        ("claude-fable-5", ("adaptive", "max", "never", False, True, 128_000)),
        ("claude-mythos-preview", ("adaptive enabled", "max", "never", False, True, 128_000)),
        ("claude-fable-5-1", ("adaptive", "max", "never", False, False, 128_000)),
        ("claude-opus-5-5", ("adaptive", "max", "never", False, False, 128_000)),
        ("claude-sonnet-5-5", ("adaptive between_tools", "max", "never", False, False, 128_000)),
        ("claude-of-the-future-9", ("", None, "always", True, True, None)),
    ],
)
def test_claude_families(model: str, told: tuple[str, str | None, str, bool, bool, int | None]) -> None:
    """Forms of thinking, the strongest effort, sampling, prefill, a forced tool, the most output."""
    facts = made("anthropic", model).facts
    assert told == (
        " ".join(facts.thinking_forms),
        facts.efforts[-1] if facts.efforts else None,
        facts.sampling,
        facts.prefill,
        facts.forced_tool_choice,
        facts.max_output,
    )


@pytest.mark.failure(4)
@pytest.mark.parametrize(
    ("model", "taken"),
    [("sonnet-4-5", False), ("sonnet-4-6", False), ("opus-4-7", False), ("opus-4-8", True), ("sonnet-5", True)],
)
def test_system_turns_begin_with_opus_4_8(model: str, taken: bool) -> None:
    assert made("anthropic", f"claude-{model}").facts.system_turns is taken


def test_later_rows_win_field_by_field() -> None:
    facts = made("openai", "gpt-5.2").facts
    assert (facts.context, facts.max_output) == (400_000, 128_000)  # of gpt-5*
    assert facts.reasons_by_default is False  # of gpt-5.2*


def test_upper_and_lower_case_are_alike() -> None:
    assert made("together", "zai-org/glm-5.2").facts.context == 262_144


@pytest.mark.failure(172)
def test_the_provider_is_configured_and_never_guessed_from_the_model() -> None:
    assert made(None, "gpt-5.4").facts == Facts()
    assert made("vllm", "gpt-5.4").facts == Facts()
    assert made(None, "gpt-5.4").provider == "mine"


def test_models_that_differ_from_their_provider() -> None:
    assert made("moonshot", "kimi-k2.6").quirks.reasoning_out == "thinking_type"
    assert made("moonshot", "kimi-k3").quirks.reasoning_out == "effort"
    assert made("openai", "gpt-5.6-luna").quirks.cache == "breakpoints"
    assert made("openai", "gpt-5.2").quirks.cache == "none"
    assert made("openai", "gpt-4o-search-preview").quirks.web_search == "options"


def test_what_the_user_says_wins() -> None:
    own = (("gpt-5*", {"context": 1000}), ("GPT-5.2", {"max_output": 10}), ("other", {"context": 5}))
    facts = made("openai", "gpt-5.2", facts=own).facts
    assert (facts.context, facts.max_output) == (1000, 10)
    assert facts.efforts[0] == "none"
    kept = made("moonshot", "kimi-k2.6", settled={"chat": ("reasoning_out",)})
    assert kept.quirks.reasoning_out == "effort"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('match = ["a/*"]\ncontext = 1', "a/\\*: needs `match` and `source`"),
        ('source = "https://x.example"', "a row without match"),
        ('match = ["a/*"]\nsource = "s"\ncontexts = 1', "a/\\*: unknown: contexts"),
        ('match = ["a/*"]\nsource = "s"\ncontext = "long"', "a/\\*: .*context"),
        ('match = ["a/*"]\nsource = "s"\nquirks = { filez = true }', "a/\\*: .*filez"),
        ('match = ["a/*"]\nsource = "s"\nasked_in = "responses"\nquirks = { stop = "named" }', "a/\\*: .*stop"),
        ('match = ["a/*"]\nsource = "s"\nasked_in = "latin"', "a/\\*: there is no dialect 'latin'"),
        ('match = ["a/*"]\nsource = "s"\ndialect = "latin"', "a/\\*: there is no dialect 'latin'"),
        ('match = ["a/*"]\nsource = "s"\ndialect = "chat"\nasked_in = "chat"', "a/\\*: `asked_in` holds once"),
    ],
)
def test_a_wrong_row_is_refused_by_name(row: str, told: str) -> None:
    with pytest.raises(RowError, match="models.toml: " + told):
        read(f"[[model]]\n{row}\n")


def test_the_scope_of_state_is_the_deployment() -> None:
    one = state_scope("lab", "https://lab.example/v1")
    assert one == state_scope("lab", "https://lab.example/v1") == "lab-" + one[4:]
    assert one != state_scope("lab", "https://lab.example/v2")
    assert one.replace("-", "").isalnum()


class TestLanguages:
    @pytest.mark.parametrize(
        ("model", "dialect"),
        [
            ("gpt-3.5-turbo", "chat"),
            ("gpt-4o-mini", "chat"),
            ("gpt-4.1", "chat"),
            ("chatgpt-4o-latest", "chat"),
            ("gpt-4o-search-preview", "chat"),
            ("gpt-5-search-api", "chat"),
            ("gpt-oss-120b", "chat"),
            ("o1", "responses"),
            ("o3-pro", "responses"),
            ("o4-mini", "responses"),
            ("gpt-5", "responses"),
            ("gpt-5-codex", "responses"),
            ("gpt-5.1-codex-max", "responses"),
            ("gpt-5.4-pro", "responses"),
            ("gpt-5.5", "responses"),
            ("gpt-5.6-luna", "responses"),
            ("gpt-6-sol", "responses"),
            ("gpt-7", "responses"),
            ("llama3:8b", "chat"),
        ],
    )
    def test_of_openais_models(self, model: str, dialect: str) -> None:
        assert made("openai", model, others=(OTHER,)).dialect == dialect

    def test_the_other_language_is_one_level_deep(self) -> None:
        found = made("openai", "gpt-5.6", others=(OTHER,))
        assert (found.dialect, found.query, found.quirks.cache) == ("responses", "a=b", "breakpoints")
        assert isinstance(found.quirks, responses.Quirks)
        assert found.other is not None
        assert found.other.other is None
        assert (found.other.dialect, found.other.query, found.other.model) == ("chat", "", "gpt-5.6")
        assert isinstance(found.other.quirks, Quirks)

    @pytest.mark.parametrize("model", ["gpt-5.6", "gpt-6-astra"])
    def test_facts_of_one_language_stay_there(self, model: str) -> None:
        found = made("openai", model, others=(OTHER,))
        assert found.other is not None
        assert found.facts.efforts == (*found.other.facts.efforts, "max")
        assert made("openai", model).facts.efforts == found.other.facts.efforts

    def test_a_provider_with_one_language_keeps_it(self) -> None:
        found = made("openai", "gpt-5.6")
        assert (found.dialect, found.other) == ("chat", None)
        assert made("openai", "gpt-5.6", dialect="responses").dialect == "chat"

    def test_what_decides(self) -> None:
        """The user's facts about the model, the user's word for the provider, the table, the provider's usual one."""
        both = {"others": (OTHER,)}
        assert made("openai", "gpt-5.6", dialect="chat", **both).dialect == "chat"
        own = (("gpt-5*", {"dialect": "responses"}),)
        assert made("openai", "gpt-5.6", dialect="chat", facts=own, **both).dialect == "responses"
        assert made("openai", "gpt-4o", dialect="responses", **both).dialect == "responses"
        assert made("vllm", "qwen", **both).dialect == "chat"
        assert made(None, "gpt-5.6", **both).dialect == "chat"
        assert target(provider("vllm", template=OTHER, others=(TEMPLATE,)), "qwen").dialect == "responses"

    def test_settled_quirks_are_of_their_language(self) -> None:
        found = made("openai", "gpt-5.6", others=(OTHER,), settled={"responses": ("cache",)})
        assert found.other is not None
        assert (found.quirks.cache, found.other.quirks.cache) == ("none", "breakpoints")


class TestDeployments:
    @pytest.mark.failure(172, 173)
    def test_facts_are_those_of_the_model_that_the_configuration_says(self) -> None:
        found = target(deployed({"my-gpt": "GPT-5.6"}), "My-GPT")
        assert (found.model, found.dialect, found.base_url) == ("My-GPT", "responses", "https://r.example/openai")
        assert found.facts.efforts[-1] == "max"
        assert found.quirks.cache == "key"  # what Azure documents, not OpenAI
        assert found.other is not None
        assert found.other.base_url == "https://r.example/openai/deployments/My-GPT"
        assert (found.query, found.other.query) == ("api-version=1", "api-version=1")
        assert target(deployed({"old": "gpt-4o"}), "old").dialect == "chat"

    @pytest.mark.failure(172)
    @pytest.mark.parametrize("model", ["gpt-5.4", "gpt-4o", "gpt-oss-120b", "deepseek-v3"])
    def test_a_deployments_name_says_nothing(self, model: str) -> None:
        found = target(deployed({"other": "gpt-5.6"}), model)
        assert (found.dialect, found.facts) == ("responses", Facts())

    def test_a_name_is_quoted_in_a_url(self) -> None:
        found = target(deployed({"a/b c?": "gpt-4o"}), "a/b c?")
        assert (found.base_url, found.model) == ("https://r.example/openai/deployments/a%2Fb%20c%3F", "a/b c?")

    def test_the_users_facts_are_about_the_deployments_name(self) -> None:
        found = target(deployed({"my-gpt": "gpt-5.6"}, facts=(("my-*", {"context": 7}),)), "my-gpt")
        assert (found.facts.context, found.facts.reasoning) == (7, True)

    def test_what_is_not_known_is_told(self) -> None:
        told = unknown(deployed({"x": "gpt-5.6"}), "gpt-5.4")
        assert told is not None
        assert told.startswith("say which model gpt-5.4 is: `deployments: {gpt-5.4: gpt-...}` under `mine:`")
        told = unknown(deployed({"x": "gtp-5"}), "X")
        assert told is not None
        assert "nothing is known about gtp-5, the model of X" in told
        assert unknown(deployed({"x": "gpt-5.6"}), "x") is None
        assert unknown(provider("openai"), "gtp-5") is None


class TestGemini:
    NATIVE = structs.replace(TEMPLATE, dialect="gemini", quirks=gemini.Quirks())

    def made(self, model: str, preset: str = "gemini") -> Target:
        return target(provider(preset, template=self.NATIVE, others=(TEMPLATE,)), model)

    @pytest.mark.parametrize(
        ("model", "efforts", "budget", "by_default", "sampling"),
        [
            ("gemini-2.5-pro", ("low", "medium", "high"), (128, 32_768), True, "always"),
            ("gemini-2.5-flash", ("none", "low", "medium", "high"), (1, 24_576), True, "always"),
            ("gemini-2.5-flash-lite", ("none", "low", "medium", "high"), (512, 24_576), False, "always"),
            ("gemini-3-pro-preview", ("low", "high"), None, True, "always"),
            ("gemini-3-flash-preview", ("minimal", "low", "medium", "high"), None, True, "always"),
            ("gemini-3.1-pro-preview", ("low", "medium", "high"), None, True, "always"),
            ("gemini-3.1-flash-lite", ("minimal", "low", "medium", "high"), None, True, "always"),
            ("gemini-3.5-flash", ("minimal", "low", "medium", "high"), None, True, "always"),
            ("gemini-3.5-flash-lite", ("minimal", "low", "medium", "high"), None, False, "never"),
            ("gemini-3.6-flash", ("minimal", "low", "medium", "high"), None, True, "never"),
            ("gemini-3.7-flash", ("low", "medium", "high"), None, True, "never"),
            ("gemini-3.8-flash", ("low", "medium", "high"), None, True, "never"),
            ("gemini-4-argon", ("low", "medium", "high"), None, True, "never"),
            ("gemini-flash-latest", ("low", "medium", "high"), None, True, "never"),
        ],
    )
    def test_thinking_by_family(
        self, model: str, efforts: tuple[str, ...], budget: tuple[int, int] | None, by_default: bool, sampling: str
    ) -> None:
        facts = self.made(model).facts
        assert (facts.efforts, facts.thinking_budget) == (efforts, budget)
        assert (facts.reasoning, facts.reasons_by_default, facts.sampling) == (True, by_default, sampling)
        assert (facts.context, facts.max_output) == (1_048_576, 65_536)
        assert self.made(model, "vertex").facts == facts

    @pytest.mark.parametrize(
        ("model", "newer"),
        [("gemini-2.0-flash", False), ("gemini-2.5-pro", False), ("gemini-3-flash", True), ("gemini-9", True)],
    )
    def test_what_came_with_gemini_3(self, model: str, newer: bool) -> None:
        found = self.made(model)
        facts = found.facts
        told = (facts.call_ids, facts.call_signatures, facts.result_media, facts.search_with_tools)
        assert (*told, found.quirks.output_with_tools) == (newer,) * 5
        assert facts.schema == "json_schema"

    def test_older_models_do_not_think(self) -> None:
        facts = self.made("gemini-2.0-flash").facts
        assert (facts.reasoning, facts.reasons_by_default, facts.efforts) == (False, False, ())
        assert facts.max_output == 8_192

    def test_gemma(self) -> None:
        found = self.made("gemma-3-27b-it")
        assert (found.quirks.system, found.facts.tools, found.facts.reasoning) == ("user", False, False)
        newer = self.made("gemma-4-31b-it")
        assert (newer.quirks, newer.facts) == (gemini.Quirks(), Facts())

    def test_in_openais_language_they_are_what_they_were(self) -> None:
        found = self.made("gemini-2.5-flash").other
        assert found is not None
        assert (found.facts.efforts, found.facts.thinking_budget) == (("none", "low", "medium", "high"), None)
        assert found.facts.call_ids is False
