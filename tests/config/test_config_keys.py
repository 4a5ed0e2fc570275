"""How calls are signed, on Azure: by a key, a ready token, or an identity of Entra ID."""

from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.config import Provider, Secrets
from dragoman.providers import Identity

CANARY = "canary-0123456789"
AZURE = {"AZURE_OPENAI_ENDPOINT": "r1"}
APPLICATION = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": CANARY}
SCOPE = "https://cognitiveservices.azure.com/.default"


def load(tmp_path: Path, entry: str | None, name: str = "azure", **environ: str) -> tuple[Provider, Secrets]:
    (tmp_path / "dragoman.yaml").write_text(f"providers: {{{name}: {entry}}}\n" if entry else "", "utf-8")
    found, secrets = config.load(path=None, environ={**AZURE, **environ}, folder=tmp_path, home=tmp_path)
    provider = found.providers[name]
    assert CANARY not in repr(found)
    assert found.identities == ({} if provider.identity is None else {name: provider.identity})
    return provider, secrets


def signing(provider: Provider) -> tuple[Any, ...]:
    return provider.template.auth, provider.template.key, provider.ready, provider.why


@pytest.mark.parametrize("variable", ["AZURE_OPENAI_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_KEY"])
def test_a_key(tmp_path: Path, variable: str) -> None:
    found, secrets = load(tmp_path, None, **{variable: CANARY}, **APPLICATION)
    assert signing(found) == ("api-key", variable, True, f"{variable} is set")
    assert (found.identity, secrets[variable]) == (None, CANARY)
    found, _ = load(tmp_path, "{auth: bearer}", **{variable: CANARY})
    assert found.template.auth == "bearer"


@pytest.mark.parametrize("variable", ["AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_AUTH_TOKEN"])
def test_a_ready_token(tmp_path: Path, variable: str) -> None:
    found, secrets = load(tmp_path, None, **{variable: CANARY}, **APPLICATION)
    assert signing(found) == ("bearer", variable, True, f"{variable} is set")
    assert secrets[variable] == CANARY


def test_client_credentials_of_the_environment(tmp_path: Path) -> None:
    found, secrets = load(tmp_path, None, **APPLICATION)
    assert signing(found) == ("entra", None, True, "AZURE_CLIENT_SECRET is set")
    assert found.identity == Identity(scope=SCOPE, client="c", tenant="t", secret="AZURE_CLIENT_SECRET")
    assert secrets["AZURE_CLIENT_SECRET"] == CANARY


@pytest.mark.parametrize("missing", APPLICATION)
def test_half_of_them_is_nobody(tmp_path: Path, missing: str) -> None:
    found, secrets = load(tmp_path, None, **{**APPLICATION, missing: ""})
    assert signing(found)[:3] == ("api-key", "AZURE_OPENAI_API_KEY", False)
    assert "AZURE_CLIENT_SECRET" not in secrets


@pytest.mark.parametrize(
    ("missing", "why"), [("AZURE_TENANT_ID", "set AZURE_TENANT_ID"), ("AZURE_CLIENT_ID", "set AZURE_CLIENT_ID")]
)
def test_what_an_identity_still_needs(tmp_path: Path, missing: str, why: str) -> None:
    found, secrets = load(tmp_path, "{auth: entra}", **{**APPLICATION, missing: ""}, AZURE_OPENAI_API_KEY="k")
    assert signing(found) == ("entra", None, False, why)
    assert "AZURE_CLIENT_SECRET" not in secrets


def test_a_managed_identity(tmp_path: Path) -> None:
    found, secrets = load(tmp_path, "{auth: entra}", AZURE_OPENAI_API_KEY="k")
    assert signing(found) == ("entra", None, True, "signs by a managed identity")
    assert found.identity == Identity(scope=SCOPE)
    assert repr(secrets) == "Secrets()"
    found, _ = load(tmp_path, "{entra: {client_id: mine}}", **APPLICATION)
    assert found.identity == Identity(scope=SCOPE, client="mine", tenant="t")


def test_an_identity_of_the_file(tmp_path: Path) -> None:
    entry = '{entra: {tenant_id: t2, client_id: c2, client_secret: "${OTHER}", scope: s2, authority: "http://127.0.0.1:9/"}}'
    found, secrets = load(tmp_path, entry, **APPLICATION, OTHER=CANARY + "2")
    label = "azure.entra.client_secret"
    assert found.identity == Identity(
        scope="s2", client="c2", tenant="t2", authority="http://127.0.0.1:9", secret=label
    )
    assert found.why.startswith("client_secret in ")
    assert secrets[label] == CANARY + "2"
    assert "AZURE_CLIENT_SECRET" not in secrets


def test_two_resources_with_two_identities(tmp_path: Path) -> None:
    text = """
providers:
  azure: {}
  east: {preset: azure, base_url: e1.services.ai.azure.com, entra: {client_id: c2, client_secret: "${OTHER}"}}
"""
    (tmp_path / "dragoman.yaml").write_text(text, "utf-8")
    environ = {**AZURE, **APPLICATION, "OTHER": "o"}
    found, secrets = config.load(path=None, environ=environ, folder=tmp_path, home=tmp_path)
    assert found.identities == {
        "azure": Identity(scope=SCOPE, client="c", tenant="t", secret="AZURE_CLIENT_SECRET"),
        "east": Identity(
            scope="https://ai.azure.com/.default", client="c2", tenant="t", secret="east.entra.client_secret"
        ),
    }
    assert repr(secrets) == "Secrets(AZURE_CLIENT_SECRET, east.entra.client_secret)"


@pytest.mark.parametrize(
    ("endpoint", "host", "authority"),
    [
        ("r1.openai.azure.us", "", "https://login.microsoftonline.us"),
        ("r1.openai.azure.us", "login.example/", "https://login.example"),
        ("r1", "http://localhost:9", "http://localhost:9"),
    ],
)
def test_where_tokens_come_from(tmp_path: Path, endpoint: str, host: str, authority: str) -> None:
    environ = {**APPLICATION, "AZURE_OPENAI_ENDPOINT": endpoint, "AZURE_AUTHORITY_HOST": host}
    found, _ = load(tmp_path, None, **environ)
    assert found.ready
    assert found.identity is not None
    assert found.identity.authority == authority


@pytest.mark.parametrize("host", ["http://login.example", "https://", "https://[x", "ftp://login.example"])
def test_a_secret_goes_nowhere_in_the_clear(tmp_path: Path, host: str) -> None:
    found, _ = load(tmp_path, None, **APPLICATION, AZURE_AUTHORITY_HOST=host)
    assert signing(found)[2:] == (
        False,
        "AZURE_AUTHORITY_HOST or `entra.authority` must be a host, or begin with https://",
    )


def test_a_provider_that_is_not_azure_may_take_tokens_too(tmp_path: Path) -> None:
    entry = "{base_url: 'https://llm.example/v1', auth: entra, entra: {scope: api://llm/.default}}"
    found, _ = load(tmp_path, entry, name="lab", **APPLICATION)
    assert signing(found)[:3] == ("entra", None, True)
    assert found.identity is not None
    assert found.identity.scope == "api://llm/.default"


def test_no_key_is_wanted(tmp_path: Path) -> None:
    found, _ = load(tmp_path, "{auth: none}", name="openai")
    assert signing(found) == ("none", None, True, "needs no key")
