"""A LiteLLM `config.yaml` -> our configuration."""

from pathlib import Path

import pytest

from dragoman import config
from dragoman.config import Config, ConfigError, Leads

CANARY = "sk-canary-0123456789"


def row(name: str, **params: str) -> str:
    return f"- {{model_name: {name}, litellm_params: {{{', '.join(f'{k}: {v}' for k, v in params.items())}}}}}\n"


def loaded(folder: Path, *rows: str, more: str = "", **environ: str) -> Config:
    (folder / "config.yaml").write_text("model_list:\n" + "".join(rows) + more, "utf-8")
    return config.load(path=folder / "config.yaml", environ=environ, folder=folder, home=folder)[0]


@pytest.mark.parametrize(
    ("params", "provider", "model", "preset"),
    [
        ({"model": "gpt-x"}, "openai", "gpt-x", "openai"),
        ({"model": "openai/gpt-x", "api_base": "https://api.openai.com/v1"}, "openai", "gpt-x", "openai"),
        ({"model": "openai/a/b", "api_base": "http://h:9/v1"}, "h-9", "a/b", None),
        ({"model": "openai/q", "api_base": "https://api.cerebras.ai/v1"}, "cerebras", "q", "cerebras"),
        ({"model": "a/b", "custom_llm_provider": "groq"}, "groq", "a/b", "groq"),
        ({"model": "groq/b", "custom_llm_provider": "groq"}, "groq", "b", "groq"),
        ({"model": "together_ai/a/b"}, "together", "a/b", "together"),
        ({"model": "strange/x", "api_base": "http://h"}, "h", "x", None),
        ({"model": "openai/x", "api_base": "os.environ/BASE"}, "server", "x", None),
    ],
)
def test_where_a_row_leads(tmp_path: Path, params: dict[str, str], provider: str, model: str, preset: str) -> None:
    found = loaded(tmp_path, row("mine", **params, api_key="os.environ/KEY"), KEY=CANARY, BASE="http://there/v1")
    assert found.models == (("mine", Leads.to(f"{provider}/{model}")),)
    assert found.providers[provider].preset == preset
    assert found.providers[provider].ready
    assert CANARY not in repr(found)


def test_azure_with_a_version(tmp_path: Path) -> None:
    params = {"model": "azure/my-gpt", "api_base": "https://r.openai.azure.com", "api_version": '"2025-04-01-preview"'}
    found = loaded(tmp_path, row("mine", **params, api_key="k"))
    assert "2025-04-01-preview" in found.providers["azure"].template.query


def test_rows_of_one_name_share_the_work_and_keys_are_kept_apart(tmp_path: Path) -> None:
    first, second = (row("mine", model="gpt-x", api_key=f"os.environ/K{number}") for number in "12")
    found = loaded(tmp_path, first, second, first, K1="a", K2="b")
    assert found.models == (("mine", Leads(((("openai/gpt-x", 2.0), ("openai-2/gpt-x", 1.0)),))),)


def test_weights_of_rows(tmp_path: Path) -> None:
    rows = [
        row("mine", model="gpt-a", weight="3", rpm="9"),
        row("mine", model="gpt-b", rpm="2"),
        row("mine", model="c"),
    ]
    (_, leads), *_ = loaded(tmp_path, *rows, OPENAI_API_KEY="k").models
    assert leads.groups == ((("openai/gpt-a", 3.0), ("openai/gpt-b", 2.0), ("openai/c", 1.0)),)
    with pytest.raises(ConfigError, match=r"litellm_params\.weight: expected"):
        loaded(tmp_path, row("mine", model="gpt-a", weight="heavy"), OPENAI_API_KEY="k")


@pytest.mark.parametrize("section", ["router_settings", "litellm_settings"])
def test_fallbacks(tmp_path: Path, section: str) -> None:
    more = (
        f"{section}: {{num_retries: 2, fallbacks: [{{a: [b, nobody]}}, {{b: [a]}}, {{strange: [a]}}], "
        "context_window_fallbacks: [{a: [c]}]}\n"
    )
    rows = [row(name, model=f"gpt-{name}") for name in "abc"]
    found = loaded(tmp_path, *rows, more=more, OPENAI_API_KEY="k")
    assert dict(found.models) == {
        "a": Leads(Leads.to("openai/gpt-a", "openai/gpt-b").groups, Leads.to("openai/gpt-c").groups),
        "b": Leads.to("openai/gpt-b", "openai/gpt-a"),
        "c": Leads.to("openai/gpt-c"),
    }
    told = found.sources[0]
    for name in ("num_retries", "fallbacks: nobody", "fallbacks: strange"):
        assert f"{section}.{name}" in told
    with pytest.raises(ConfigError, match=f"{section}.fallbacks: expected"):
        loaded(tmp_path, *rows, more=f"{section}: {{fallbacks: nonsense}}\n", OPENAI_API_KEY="k")


def test_a_key_that_is_not_set_is_told_where_it_matters(tmp_path: Path) -> None:
    found = loaded(tmp_path, row("mine", model="openai/x", api_base="http://h", api_key="os.environ/NONE"))
    assert not found.providers["h"].ready


def test_the_token_and_what_is_left_out(tmp_path: Path) -> None:
    more = "general_settings: {master_key: os.environ/M, alerting: [x]}\nlitellm_settings: {a: b}\n"
    found = loaded(tmp_path, row("mine", model="gpt-x", timeout="3"), more=more, M="token")
    assert found.server.auth_token == "token"
    assert found.sources[0].endswith(
        "config.yaml (not used: litellm_params.timeout, general_settings.alerting, litellm_settings.a)"
    )
    assert not loaded(tmp_path, row("mine", model="gpt-x"), more="general_settings: {master_key: }\n").server.auth_token


def test_what_only_litellm_reaches_goes_there_with_the_variables_that_rows_name(tmp_path: Path) -> None:
    rows = (
        row("one", model="replicate/meta/llama", api_key="os.environ/REPLICATE_API_KEY"),
        row(
            "two",
            model="x",
            custom_llm_provider="sagemaker",
            aws_access_key_id="os.environ/AWS_ACCESS_KEY_ID",
            timeout="3",
        ),
        row("three", model="litellm/bytez/y"),
    )
    found = loaded(tmp_path, *rows, REPLICATE_API_KEY=CANARY)
    assert dict(found.models) == {
        "one": Leads.to("litellm/replicate/meta/llama"),
        "two": Leads.to("litellm/sagemaker/x"),
        "three": Leads.to("litellm/bytez/y"),
    }
    sidecar = found.providers["litellm"].sidecar
    assert sidecar is not None
    # A key that is not there keeps nobody else from theirs.
    assert [name for name, _ in sidecar.keys] == ["REPLICATE_API_KEY"]
    assert found.providers["litellm"].why == "run: dragoman install litellm"
    assert found.sources[0].endswith("(not used: litellm_params.timeout)")
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model_list: 3\n", "1: model_list: expected a list, found a whole number."),
        ("model_list:\n- {model_name: x}\n", "2: model_list[0]: needs `model_name`, and `model`"),
        (
            "model_list:\n" + row("x", model="sagemaker/y", api_key=CANARY),
            "2: model_list[0].litellm_params.api_key: for LiteLLM the key must be in the variable that it knows",
        ),
    ],
)
def test_problems(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        config.load(path=tmp_path / "config.yaml", environ={}, folder=tmp_path, home=tmp_path)
    assert CANARY not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'config.yaml'}:{told}")
