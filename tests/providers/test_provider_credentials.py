"""How a call is signed."""

import pytest
from msgspec import structs

from dragoman.config.settings import Secrets
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.providers import fault, headers

CANARY = "sk-canary-0123456789"
TARGET = Target(
    provider="lab", dialect="chat", base_url="https://lab.example/v1", model="m", quirks=Quirks(), key="LAB_KEY"
)
SECRETS = Secrets({"LAB_KEY": CANARY})


@pytest.mark.parametrize(
    ("auth", "signed"),
    [
        ("bearer", [("authorization", f"Bearer {CANARY}")]),
        ("x-api-key", [("x-api-key", CANARY)]),
        ("api-key", [("api-key", CANARY)]),
        ("none", []),
    ],
)
def test_forms(auth: str, signed: list[tuple[str, str]]) -> None:
    assert headers(structs.replace(TARGET, auth=auth), SECRETS) == signed


def test_no_key_is_needed() -> None:
    assert headers(structs.replace(TARGET, key=None), Secrets({})) == []


@pytest.mark.parametrize("key", [" a", "a\n", "a b", "a\r\nx-evil: 1", "", "ключ", "a\x7f", "a\x00b"])
def test_a_key_that_is_no_key_is_refused_and_not_quoted(key: str) -> None:
    assert fault(key)
    with pytest.raises(ApiError, match=r"The key LAB_KEY of the provider lab") as caught:
        headers(TARGET, Secrets({"LAB_KEY": key}))
    assert caught.value.kind == "upstream_authentication"
    assert caught.value.retryable is False
    assert not key.strip() or key not in caught.value.message or key in ("a b", " a")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ApiError, match="LAB_KEY of the provider lab is not set"):
        headers(TARGET, Secrets({}))


@pytest.mark.failure(136)
def test_nothing_that_is_printed_holds_the_key() -> None:
    assert CANARY not in repr(TARGET) + repr(SECRETS) + str(SECRETS) + f"{SECRETS}"
    assert fault(CANARY) is None
