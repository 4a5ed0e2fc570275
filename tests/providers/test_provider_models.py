"""Facts about models, and targets."""

import pytest

from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Facts, Target
from dragoman.providers import presets, state_scope, target
from dragoman.providers.models import read, rows
from dragoman.providers.presets import RowError

TEMPLATE = Target(provider="mine", dialect="chat", base_url="https://lab.example/v1", model="", quirks=Quirks())


def made(preset: str | None, model: str) -> Target:
    return target(TEMPLATE, model, preset=preset)


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
    overrides = [("gpt-5*", {"context": 1000}), ("GPT-5.2", {"max_output": 10}), ("other", {"context": 5})]
    facts = target(TEMPLATE, "gpt-5.2", preset="openai", overrides=overrides).facts
    assert (facts.context, facts.max_output) == (1000, 10)
    assert facts.efforts[0] == "none"
    kept = target(TEMPLATE, "kimi-k2.6", preset="moonshot", settled=("reasoning_out",))
    assert kept.quirks.reasoning_out == "effort"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('match = ["a/*"]\ncontext = 1', "a/\\*: needs `match` and `source`"),
        ('source = "https://x.example"', "a row without match"),
        ('match = ["a/*"]\nsource = "s"\ncontexts = 1', "a/\\*: unknown: contexts"),
        ('match = ["a/*"]\nsource = "s"\ncontext = "long"', "a/\\*: .*context"),
        ('match = ["a/*"]\nsource = "s"\nquirks = { filez = true }', "a/\\*: .*filez"),
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
