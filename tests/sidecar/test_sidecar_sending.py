"""The way to a sidecar: its stand-in host is replaced, and nobody with a key of their own gets there."""

from collections.abc import Sequence

import pytest

from dragoman.messages.errors import ApiError
from dragoman.sidecar.child import Address
from dragoman.sidecar.sending import Beside

pytestmark = pytest.mark.anyio


class Recorded:
    def __init__(self) -> None:
        self.calls: list[tuple[str, list[tuple[str, str]]]] = []

    async def send(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: object, *, public: bool
    ) -> str:
        assert not public
        assert (method, body) == ("POST", b"{}")
        self.calls.append((url, list(headers)))
        return "answer"


class Started:
    async def address(self) -> Address:
        return Address("http://127.0.0.1:7", "sk-random")


def beside() -> tuple[Beside[str], Recorded]:
    recorded = Recorded()
    return Beside(recorded, {"litellm": Started()}), recorded


async def test_a_sidecar_gets_its_address_and_its_key() -> None:
    sending, recorded = beside()
    assert await sending.send("POST", "http://litellm.invalid/v1/chat", [("a", "b")], b"{}") == "answer"
    assert recorded.calls == [("http://127.0.0.1:7/v1/chat", [("a", "b"), ("authorization", "Bearer sk-random")])]


@pytest.mark.parametrize("url", ["https://api.openai.com/v1/chat", "http://litellm.invalid.example/v1", "odd"])
async def test_others_go_on_as_they_are(url: str) -> None:
    sending, recorded = beside()
    await sending.send("POST", url, [("Authorization", "k")], b"{}")
    assert recorded.calls == [(url, [("Authorization", "k")])]


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "API-Key"])
async def test_a_call_with_a_key_was_led_here(name: str) -> None:
    sending, recorded = beside()
    with pytest.raises(ApiError, match="cannot go to a sidecar"):
        await sending.send("POST", "http://litellm.invalid/v1/chat", [(name, "k")], b"{}")
    assert not recorded.calls
