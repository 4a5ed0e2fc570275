"""How a call is signed."""

import json

import pytest
from msgspec import structs

from dragoman.config.settings import Secrets
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.providers import Credentials, Identity, TokenAnswer, TokenCall, TokenTask, fault

CANARY = "sk-canary-0123456789"
TARGET = Target(
    provider="lab", dialect="chat", base_url="https://lab.example/v1", model="m", quirks=Quirks(), key="LAB_KEY"
)
SECRETS = Secrets({"LAB_KEY": CANARY})


@pytest.mark.parametrize(
    ("auth", "signed"),
    [
        ("bearer", (("authorization", f"Bearer {CANARY}"),)),
        ("x-api-key", (("x-api-key", CANARY),)),
        ("api-key", (("api-key", CANARY),)),
        ("none", ()),
    ],
)
def test_forms(auth: str, signed: tuple[tuple[str, str], ...]) -> None:
    credentials = Credentials(SECRETS, {})
    target = structs.replace(TARGET, auth=auth)
    assert credentials.headers(target, 0.0) == signed
    assert credentials.headers(target, 1e9) == signed
    assert list(credentials.flow(target, 0.0)) == []
    assert credentials.refused(target) is False


def test_no_key_is_needed() -> None:
    assert Credentials(Secrets({}), {}).headers(structs.replace(TARGET, key=None), 0.0) == ()


@pytest.mark.parametrize("key", [" a", "a\n", "a b", "a\r\nx-evil: 1", "", "ключ", "a\x7f", "a\x00b"])
def test_a_key_that_is_no_key_is_refused_and_not_quoted(key: str) -> None:
    assert fault(key)
    with pytest.raises(ApiError, match=r"The key LAB_KEY of the provider lab") as caught:
        Credentials(Secrets({"LAB_KEY": key}), {}).headers(TARGET, 0.0)
    assert caught.value.kind == "upstream_authentication"
    assert caught.value.retryable is False
    assert not key.strip() or key not in caught.value.message or key in ("a b", " a")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ApiError, match="LAB_KEY of the provider lab is not set"):
        Credentials(Secrets({}), {}).headers(TARGET, 0.0)


@pytest.mark.failure(136)
def test_nothing_that_is_printed_holds_the_key() -> None:
    assert CANARY not in repr(TARGET) + repr(SECRETS) + str(SECRETS) + f"{SECRETS}"
    assert fault(CANARY) is None


def test_a_key_is_looked_up_once() -> None:
    credentials = Credentials(SECRETS, {})
    assert credentials.headers(TARGET, 0.0) is credentials.headers(structs.replace(TARGET, model="n"), 5.0)


ENTRA = structs.replace(TARGET, provider="azure", key=None, auth="entra")
APPLICATION = Identity(scope="s", client="c", tenant="t", secret="AZURE_CLIENT_SECRET")
CLIENT_SECRETS = Secrets({"AZURE_CLIENT_SECRET": CANARY, "other": "other-secret"})


def answer(token: str = "token-1", expires_in: int = 3600) -> TokenAnswer:
    return TokenAnswer(200, json.dumps({"access_token": token, "expires_in": expires_in}).encode())


def nobody(call: TokenCall) -> TokenAnswer:
    raise AssertionError(call)


def fetch(credentials: Credentials, target: Target, now: float, given: TokenAnswer) -> TokenCall | TokenTask:
    """Drive a flow as the gateway does."""
    flow = credentials.flow(target, now)
    step = next(flow)
    with pytest.raises(StopIteration):
        flow.send(given)
    return step


class TestTokens:
    def test_one_is_fetched_and_used_until_shortly_before_its_end(self) -> None:
        credentials = Credentials(CLIENT_SECRETS, {"azure": APPLICATION})
        assert credentials.headers(ENTRA, 100.0) is None
        step = fetch(credentials, ENTRA, 100.0, answer())
        assert isinstance(step, TokenCall)
        assert (step.method, step.url) == ("POST", "https://login.microsoftonline.com/t/oauth2/v2.0/token")
        assert f"client_secret={CANARY}".encode() in step.body
        assert dict(step.headers)["content-type"] == "application/x-www-form-urlencoded"
        assert credentials.headers(ENTRA, 100.0) == (("authorization", "Bearer token-1"),)
        assert credentials.headers(ENTRA, 3399.0) is not None
        assert credentials.headers(ENTRA, 3400.0) is None
        fetch(credentials, ENTRA, 3400.0, answer("token-2"))
        assert credentials.headers(ENTRA, 3500.0) == (("authorization", "Bearer token-2"),)

    def test_a_refused_one_is_forgotten_and_a_newer_one_kept(self) -> None:
        credentials = Credentials(CLIENT_SECRETS, {"azure": APPLICATION})
        assert credentials.refused(ENTRA) is True
        fetch(credentials, ENTRA, 0.0, answer())
        old = credentials.headers(ENTRA, 0.0)
        assert old is not None
        assert credentials.refused(ENTRA, old) is True
        assert credentials.headers(ENTRA, 0.0) is None
        fetch(credentials, ENTRA, 0.0, answer("token-2"))
        assert credentials.refused(ENTRA, [("content-type", "x"), *old]) is True
        assert credentials.headers(ENTRA, 0.0) == (("authorization", "Bearer token-2"),)
        assert credentials.refused(ENTRA) is True
        assert credentials.headers(ENTRA, 0.0) is None

    def test_nobody_uses_the_token_of_another_identity(self) -> None:
        others = {
            "scope": structs.replace(APPLICATION, scope="other"),
            "tenant": structs.replace(APPLICATION, tenant="other"),
            "client": structs.replace(APPLICATION, client="other"),
            "secret": structs.replace(APPLICATION, secret="other"),
            "authority": structs.replace(APPLICATION, authority="https://other.example"),
            "machine": Identity(scope="s"),
        }
        credentials = Credentials(CLIENT_SECRETS, {"azure": APPLICATION, "twin": APPLICATION, **others})
        fetch(credentials, ENTRA, 0.0, answer())
        for name in others:
            assert credentials.headers(structs.replace(ENTRA, provider=name), 0.0) is None
        assert credentials.headers(structs.replace(ENTRA, provider="twin"), 0.0) is not None

    def test_a_managed_identity_is_work_for_a_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dragoman.providers.entra.managed", lambda identity: (200, identity.scope.encode()))
        credentials = Credentials(Secrets({}), {"azure": Identity(scope="s")})
        step = fetch(credentials, ENTRA, 0.0, answer())
        assert isinstance(step, TokenTask)
        assert step.run(nobody) == TokenAnswer(200, b"s")

    def test_a_refusal_leaves_nothing(self) -> None:
        credentials = Credentials(CLIENT_SECRETS, {"azure": APPLICATION})
        flow = credentials.flow(ENTRA, 0.0)
        next(flow)
        with pytest.raises(ApiError, match="Entra ID refused a token for the provider azure"):
            flow.send(TokenAnswer(401, b"{}"))
        assert credentials.headers(ENTRA, 0.0) is None

    def test_what_is_missing_is_named(self) -> None:
        credentials = Credentials(Secrets({}), {"azure": APPLICATION})
        with pytest.raises(ApiError, match="The key AZURE_CLIENT_SECRET of the provider azure is not set"):
            next(credentials.flow(ENTRA, 0.0))
        with pytest.raises(ApiError, match="of the provider lab has no identity of Entra ID"):
            credentials.headers(structs.replace(ENTRA, provider="lab"), 0.0)

    @pytest.mark.failure(136)
    def test_nothing_that_is_printed_holds_the_secret_or_a_token(self) -> None:
        credentials = Credentials(CLIENT_SECRETS, {"azure": APPLICATION})
        step = fetch(credentials, ENTRA, 0.0, answer("token-1"))
        shown = repr(credentials) + repr(step) + repr(answer("token-1")) + repr(APPLICATION) + repr(vars(credentials))
        assert CANARY not in shown
        assert "token-1" not in shown
        assert repr(credentials) == "Credentials(azure)"
        assert repr(step) == "TokenCall(POST https://login.microsoftonline.com/t/oauth2/v2.0/token)"
        assert repr(answer()) == "TokenAnswer(200)"
