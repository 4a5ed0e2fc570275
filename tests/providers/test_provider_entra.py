"""Tokens of Microsoft Entra ID: what is asked, what the answers mean."""

import json
import sys
from types import ModuleType, TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import pytest

from dragoman.messages.errors import ApiError
from dragoman.providers import Identity, entra

CANARY = "canary-secret-0123456789"
SCOPE = "https://cognitiveservices.azure.com/.default"
APPLICATION = Identity(scope=SCOPE, client="the-client", tenant="the-tenant", secret="AZURE_CLIENT_SECRET")
MACHINE = Identity(scope=SCOPE)


def token(status: int, answer: Any, identity: Identity = APPLICATION) -> entra.Token:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return entra.token(status, body, identity, "azure")


def refused(status: int, answer: Any, identity: Identity = APPLICATION) -> ApiError:
    with pytest.raises(ApiError) as caught:
        token(status, answer, identity)
    return caught.value


def test_what_is_asked() -> None:
    assert APPLICATION.url == "https://login.microsoftonline.com/the-tenant/oauth2/v2.0/token"
    assert Identity(scope=SCOPE, tenant="../a?b").url.endswith("/..%2Fa%3Fb/oauth2/v2.0/token")
    assert parse_qs(entra.body(APPLICATION, "a&b=c +").decode()) == {
        "client_id": ["the-client"],
        "client_secret": ["a&b=c +"],
        "grant_type": ["client_credentials"],
        "scope": [SCOPE],
    }


@pytest.mark.parametrize(
    ("expires_in", "seconds"), [(3599, 3299), ("3599", 3299), (400, 200), (0, 0), (-5, 0), (None, 0)]
)
def test_a_token_is_used_until_shortly_before_its_end(expires_in: object, seconds: float) -> None:
    found = token(200, {"token_type": "Bearer", "access_token": CANARY, "expires_in": expires_in or 0})
    assert (found.text, found.seconds) == (CANARY, seconds)
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    ("description", "told"),
    [
        (
            "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1",
            "Invalid client secret provided. The client secret",
        ),
        ("AADSTS7000222: The keys are expired.", "The client secret has expired: make a new one"),
        ("AADSTS700016: Application not found.", "The tenant has no application with this client id"),
        ("AADSTS90002: Tenant not found.", "There is no such tenant"),
        ("AADSTS1: New.", "AADSTS1: New. Check the client id, the tenant and AZURE_CLIENT_SECRET"),
        ("", "invalid_client. Check the client id"),
    ],
)
def test_a_refusal_says_what_to_do(description: str, told: str) -> None:
    error = refused(401, {"error": "invalid_client", "error_description": description})
    assert (error.kind, error.retryable) == ("upstream_authentication", False)
    assert error.message.startswith("Entra ID refused a token for the provider azure: ")
    assert told in error.message
    assert "Trace" not in error.message


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, b"<html>"),
        (200, b""),
        (200, {"access_token": ""}),
        (200, {"access_token": "a\r\nx-evil: 1"}),
        (200, {"access_token": 5}),
        (302, b""),
        (404, b"\xff"),
    ],
)
def test_no_token(status: int, answer: Any) -> None:
    error = refused(status, answer)
    assert error.kind == "upstream_authentication"
    assert f"status {status}. Check the client id" in error.message


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_fault_is_worth_a_retry(status: int) -> None:
    error = refused(status, b"busy")
    assert (error.kind, error.retryable, error.upstream_status) == ("upstream_failed", True, status)


class AzureError(Exception):
    """As in azure.core."""


class Credential:
    """As ManagedIdentityCredential of azure-identity 1.27."""

    asked: list[tuple[str | None, str]] = []  # noqa: RUF012 emptied by the fixture

    def __init__(self, *, client_id: str | None = None) -> None:
        self._client = client_id
        self._open = False

    def __enter__(self) -> Self:
        self._open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open = False

    def get_token(self, scope: str) -> Any:
        assert self._open
        Credential.asked.append((self._client, scope))
        if self._client == "nobody":
            raise AzureError("no managed identity endpoint found\nmore")
        return type("AccessToken", (), {"token": CANARY, "expires_on": 2_000_000_000})()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra, as far as it is used."""
    exceptions, identity = ModuleType("azure.core.exceptions"), ModuleType("azure.identity")
    exceptions.AzureError = AzureError  # type: ignore[attr-defined]
    identity.ManagedIdentityCredential = Credential  # type: ignore[attr-defined]
    for name in ("azure", "azure.core"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "azure.core.exceptions", exceptions)
    monkeypatch.setitem(sys.modules, "azure.identity", identity)
    monkeypatch.setattr(entra.time, "time", lambda: 2_000_000_000 - 3600.0)
    Credential.asked.clear()


@pytest.mark.usefixtures("library")
def test_a_managed_identity() -> None:
    found = token(*entra.managed(MACHINE), MACHINE)
    assert (found.text, found.seconds) == (CANARY, 3300.0)
    entra.managed(Identity(scope="s", client="mine"))
    assert Credential.asked == [(None, SCOPE), ("mine", "s")]


@pytest.mark.usefixtures("library")
def test_a_machine_without_an_identity() -> None:
    nobody = Identity(scope=SCOPE, client="nobody")
    error = refused(*entra.managed(nobody), nobody)
    assert error.message.endswith(
        "no managed identity endpoint found. Check the managed identity, and restart dragoman."
    )


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    monkeypatch.setitem(sys.modules, "azure.core.exceptions", None)
    error = refused(*entra.managed(MACHINE), MACHINE)
    assert "pip install 'dragoman[azure]'" in error.message
    assert error.retryable is False
