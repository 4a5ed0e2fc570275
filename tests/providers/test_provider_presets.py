"""Every shipped preset, loaded strictly; and how a wrong row is refused."""

import re
from urllib.parse import urlsplit

import pytest

from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.responses import quirks as responses
from dragoman.providers import QUIRKS, presets
from dragoman.providers.presets import Language, Preset, RowError, read

ROW = '[lab]\ntitle = "Lab"\nbase_url = "https://lab.example/v1"\n'


def test_there_are_enough_of_them() -> None:
    assert len(presets()) >= 45


@pytest.mark.parametrize("name", presets())
def test_each_row_is_complete(name: str) -> None:
    preset = presets()[name]
    parts = urlsplit(re.sub(r"\$\{\w+\}", "host", preset.base_url))
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name)
    assert parts.scheme in ("https", "http", "")
    assert not preset.base_url.endswith("/")
    assert parts.scheme != "http" or preset.local
    assert urlsplit(preset.documentation).scheme == "https"
    assert preset.keys or preset.local or preset.auth == "google"
    assert (preset.instead is None) is (not preset.instead_keys)
    assert preset.instead is None or preset.instead in presets()
    assert not preset.models or preset.big is None or preset.big in preset.models
    assert preset.small is None or preset.small in preset.models
    assert preset.small is None or preset.big is not None
    assert all(key.lower() == key for key in preset.headers)


@pytest.mark.parametrize("name", presets())
def test_quirks_say_only_what_differs(name: str) -> None:
    for dialect, language in presets()[name].languages().items():
        defaults = QUIRKS[dialect]()
        quirks = presets()[name].typed_quirks(dialect)
        assert not [field for field in language.quirks if getattr(quirks, field) == getattr(defaults, field)]


def test_local_servers_are_on_this_machine_and_can_be_moved() -> None:
    local = {name: preset for name, preset in presets().items() if preset.local and preset.addressing != "sidecar"}
    assert {"ollama", "lmstudio", "vllm", "sglang", "llamacpp", "docker-model-runner"} <= local.keys()
    assert all(urlsplit(preset.base_url).hostname == "127.0.0.1" for preset in local.values())
    assert all(preset.base_url_keys for preset in local.values())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ROW + "[lab.quirks]\nmax_token_field = 'max_tokens'\n", r"\[lab\].*max_token_field"),
        (ROW + "[lab.quirks]\nfiles = 'yes'\n", r"\[lab\].*files"),
        (ROW + "[lab.quirks]\ncontent = 'words'\n", r"\[lab\].*content"),
        (ROW + "colour = 'red'\n", r"\[lab\].*colour"),
        (ROW + "keys = 'LAB_KEY'\n", r"\[lab\].*keys"),
        (ROW + "auth = 'basic'\n", r"\[lab\].*auth"),
        (ROW + "dialect = 'latin'\n", r"\[lab\].*latin"),
        ("[lab]\ntitle = 'Lab'\n", r"\[lab\].*base_url"),
        (ROW + "[lab.responses.quirks]\nfilez = true\n", r"\[lab\].*filez"),
        (ROW + "[lab.responses]\nurl = 'x'\n", r"\[lab\].*url"),
        (ROW + "[lab.chat.quirks]\nfiles = true\n", r"\[lab\]: chat is its dialect; its quirks are \[lab.quirks\]"),
    ],
)
def test_a_wrong_row_is_refused_with_row_and_field(text: str, told: str) -> None:
    with pytest.raises(RowError, match="presets.toml: " + told):
        read(text)


def test_a_right_row() -> None:
    row = read(ROW)["lab"]
    assert row == Preset(title="Lab", base_url="https://lab.example/v1")
    assert row.typed_quirks() == Quirks()


def test_a_row_with_two_languages() -> None:
    row = read(ROW + "[lab.quirks]\ntop_k = true\n[lab.responses]\nbase_url = 'https://r.example'\n")["lab"]
    assert row.languages() == {
        "chat": Language(quirks={"top_k": True}),
        "responses": Language(base_url="https://r.example"),
    }
    assert (row.typed_quirks(), row.typed_quirks("responses")) == (Quirks(top_k=True), responses.Quirks())
    row = read(ROW + "dialect = 'responses'\n[lab.quirks]\nfiles = true\n[lab.chat.quirks]\ntop_k = true\n")["lab"]
    assert list(row.languages()) == ["responses", "chat"]
    assert (row.typed_quirks(), row.typed_quirks("chat")) == (responses.Quirks(files=True), Quirks(top_k=True))


def test_who_speaks_responses() -> None:
    found = {name for name, preset in presets().items() if "responses" in preset.languages()}
    assert {"openai", "azure", "xai", "openrouter", "groq", "ollama", "lmstudio", "vllm", "huggingface"} <= found
    assert [name for name in found if presets()[name].dialect == "responses"] == ["azure"]


def test_a_language_at_another_address() -> None:
    row = presets()["gemini"]
    assert row.languages()["chat"].path == "/openai"
    assert (row.auth, row.languages()["chat"].auth) == ("x-goog-api-key", "bearer")
