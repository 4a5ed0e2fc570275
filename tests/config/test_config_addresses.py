"""Where a provider is, on Azure: an endpoint from the configuration or a variable, and its version."""

from pathlib import Path

import pytest

from dragoman import config
from dragoman.config import Provider

ROOT = "https://r1.openai.azure.com"
DATED = "2025-04-01-preview"


def azure(tmp_path: Path, entry: str | None = None, **environ: str) -> Provider:
    """The provider `azure`, of an entry of the file, or of the environment alone."""
    (tmp_path / "dragoman.yaml").write_text(f"providers: {{azure: {entry}}}\n" if entry else "", "utf-8")
    environ = {"AZURE_OPENAI_API_KEY": "k", **environ}
    return config.load(path=None, environ=environ, folder=tmp_path, home=tmp_path)[0].providers["azure"]


def urls(provider: Provider) -> dict[str, tuple[str, str]]:
    return {each.dialect: (each.base_url, each.query) for each in (provider.template, *provider.others)}


CLAUDE = {"anthropic": (f"{ROOT}/anthropic", "")}
V1 = {"responses": (f"{ROOT}/openai/v1", ""), "chat": (f"{ROOT}/openai/v1", ""), **CLAUDE}
LEGACY = {
    **CLAUDE,
    "responses": (f"{ROOT}/openai", f"api-version={DATED}"),
    "chat": (f"{ROOT}/openai/deployments/{{model}}", f"api-version={DATED}"),
}


@pytest.mark.failure(173)
@pytest.mark.parametrize("variable", ["AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE", "AZURE_OPENAI_BASE_URL"])
def test_the_endpoint_in_the_environment(tmp_path: Path, variable: str) -> None:
    found = azure(tmp_path, **{variable: f"{ROOT}/"})
    assert urls(found) == V1
    assert (found.ready, found.template.auth, found.template.key) == (True, "api-key", "AZURE_OPENAI_API_KEY")


@pytest.mark.failure(173)
@pytest.mark.parametrize("variable", ["AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION", "AZURE_API_VERSION"])
def test_a_dated_version_means_the_older_urls(tmp_path: Path, variable: str) -> None:
    assert urls(azure(tmp_path, AZURE_OPENAI_ENDPOINT=ROOT, **{variable: DATED})) == LEGACY
    assert urls(azure(tmp_path, AZURE_OPENAI_ENDPOINT=ROOT, **{variable: "preview"})) == V1


@pytest.mark.failure(173)
@pytest.mark.parametrize(
    ("entry", "variable", "found"),
    [
        (f"{{base_url: '{ROOT}/openai'}}", "", V1),
        ("{base_url: r1}", DATED, LEGACY),
        (f"{{base_url: r1, api_version: {DATED}}}", "2024-10-21", LEGACY),
        ("{base_url: r1, api_version: v1}", DATED, V1),
        (f"{{base_url: '{ROOT}?api-version={DATED}'}}", "2024-10-21", LEGACY),
        (f"{{base_url: '{ROOT}/openai/v1'}}", DATED, V1),
        (f"{{base_url: '{ROOT}/openai/v1', api_version: {DATED}}}", "", LEGACY),
        (f"{{base_url: '{ROOT}?api-version=preview'}}", DATED, V1),
    ],
)
def test_which_version_counts(tmp_path: Path, entry: str, variable: str, found: dict[str, tuple[str, str]]) -> None:
    """The configuration's, else the endpoint's, else that of a variable, which other tools may have set."""
    assert urls(azure(tmp_path, entry, AZURE_OPENAI_API_VERSION=variable)) == found


def test_an_older_version_has_no_responses(tmp_path: Path) -> None:
    found = azure(tmp_path, "{base_url: r1, api_version: '2024-10-21'}")
    assert list(urls(found)) == ["chat", "anthropic"]  # Claude has no versions
    found = azure(tmp_path, "{base_url: r1, api_version: '2024-10-21', dialect: responses}")
    assert (found.ready, found.why) == (
        False,
        "this API version has no responses: take 2025-03-01 or later, or none",
    )


@pytest.mark.failure(173)
@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "set AZURE_OPENAI_ENDPOINT"),
        (
            {"AZURE_OPENAI_API_KEY": ""},
            "set AZURE_OPENAI_API_KEY or AZURE_API_KEY or AZURE_OPENAI_KEY, or sign by Entra ID (docs/azure.md); set A",
        ),
        ({"AZURE_API_BASE": "https://ai.azure.com"}, "AZURE_API_BASE is a page of the portal; copy the endpoint"),
        (
            {"AZURE_OPENAI_ENDPOINT": "r1", "OPENAI_API_VERSION": "newest"},
            "OPENAI_API_VERSION is no API version: write a date like",
        ),
        ({"AZURE_OPENAI_ENDPOINT": "r1?api-version=x"}, "AZURE_OPENAI_ENDPOINT is no API version"),
    ],
)
def test_why_it_is_not_ready(tmp_path: Path, environ: dict[str, str], why: str) -> None:
    found = azure(tmp_path, "{}", **environ)
    assert not found.ready
    assert found.why.startswith(why)


def test_half_of_it_in_the_environment_is_told_and_not_hidden(tmp_path: Path) -> None:
    assert azure(tmp_path).why == "set AZURE_OPENAI_ENDPOINT"
    found = azure(tmp_path, AZURE_OPENAI_API_KEY="", AZURE_OPENAI_ENDPOINT="r1")
    assert (found.ready, found.why.partition(" or ")[0]) == (False, "set AZURE_OPENAI_API_KEY")


@pytest.mark.failure(173)
def test_the_deployments_are_its_models(tmp_path: Path) -> None:
    found = azure(tmp_path, "{base_url: r1, deployments: {My-gpt: gpt-5.5, mini: gpt-4.1-mini}}")
    assert (found.models, found.big) == (("My-gpt", "mini"), None)
    assert found.base_models == {"my-gpt": "gpt-5.5", "mini": "gpt-4.1-mini"}
    assert found.facts_of == "openai"
    found = azure(tmp_path, "{base_url: r1, deployments: {only: gpt-5.5}}")
    assert found.big == "only"
    found = azure(tmp_path, AZURE_OPENAI_ENDPOINT=f"{ROOT}/openai/deployments/mine/chat/completions")
    assert (found.models, found.big) == (("mine",), "mine")
    found = azure(tmp_path, AZURE_OPENAI_ENDPOINT=ROOT, AZURE_OPENAI_DEPLOYMENT="named")
    assert (found.models, found.big) == (("named",), "named")


def test_state_is_of_the_resource(tmp_path: Path) -> None:
    """Encrypted reasoning can be read by the resource that made it alone, whichever URLs are used."""
    scopes = [
        azure(tmp_path, f"{{base_url: {name}, api_version: {version}}}").template.state_scope
        for name in ("r1", "r2")
        for version in ("v1", DATED)
    ]
    assert scopes[0] == scopes[1] != scopes[2] == scopes[3]
