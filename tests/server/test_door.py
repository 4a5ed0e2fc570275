"""Who may come in."""

import pytest

from dragoman.messages.errors import ApiError
from dragoman.server.door import Door, is_loopback, shows_token


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "LOCALHOST", "127.0.0.2"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "gateway.example"])
def test_elsewhere_a_token_is_required(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ValueError, match=r"server\.auth_token"):
        Door(host, "")
    Door(host, "canary-t0ken")


@pytest.mark.failure(138)
@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"localhost:8082",
        b"LocalHost:1",
        b"127.0.0.1",
        b"127.0.0.1:8082",
        b"[::1]",
        b"[::1]:8082",
        b"::1",
        b"127.0.0.5:8082",
    ],
)
def test_names_of_this_machine(host: bytes) -> None:
    Door("127.0.0.5", "").check_host({b"host": host})


@pytest.mark.failure(138)
@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:8082",
        b"localhost.evil.example",
        b"127.0.0.1.nip.io",
        b"[::2]:80",
        b"",
        b"fe80::1",
    ],
)
def test_names_of_others(host: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        Door("127.0.0.1", "canary-t0ken").check_host({b"host": host})
    assert refused.value.status == 403


def test_no_host_header_is_an_old_client_and_not_a_browser() -> None:
    Door("127.0.0.1", "").check_host({})


def test_off_loopback_any_name_may_lead_here() -> None:
    Door("0.0.0.0", "canary-t0ken").check_host({b"host": b"gateway.example", b"origin": b"https://page.example"})


@pytest.mark.failure(138)
@pytest.mark.parametrize(
    "origin", [b"https://evil.example", b"http://evil.example:8082", b"null", b"HTTP://evil.example"]
)
def test_an_open_gateway_refuses_pages(origin: bytes) -> None:
    headers = {b"host": b"127.0.0.1", b"origin": origin}
    with pytest.raises(ApiError) as refused:
        Door("127.0.0.1", "").check_host(headers)
    assert refused.value.status == 403
    Door("127.0.0.1", "canary-t0ken").check_host(headers)  # the page does not know the token


@pytest.mark.parametrize(
    "origin", [b"http://localhost:3000", b"http://[::1]", b"vscode-webview://abc", b"app://obsidian.md"]
)
def test_own_pages_and_editors_may_call(origin: bytes) -> None:
    Door("127.0.0.1", "").check_host({b"host": b"127.0.0.1", b"origin": origin})


def test_an_open_door_asks_for_nothing() -> None:
    Door("127.0.0.1", "").check_token({})


@pytest.mark.failure(139)
def test_the_words_tell_missing_from_wrong() -> None:
    door = Door("127.0.0.1", "canary-t0ken-é")
    with pytest.raises(ApiError, match=r"has none.*x-dragoman-token"):
        door.check_token({b"authorization": b"Basic abc"})
    with pytest.raises(ApiError, match="not this gateway's") as refused:
        door.check_token({b"x-api-key": b"wrong"})
    assert refused.value.should_retry is False
    door.check_token({b"x-api-key": "canary-t0ken-é".encode()})
    with pytest.raises(ApiError):
        door.check_token({b"x-api-key": b"canary-t0ken"})  # a beginning is not enough


@pytest.mark.failure(140)
def test_the_callers_own_credentials_are_not_our_token() -> None:
    door = Door("127.0.0.1", "canary-t0ken")
    own, ours = (("authorization", "Bearer own"),), (("x-api-key", "own"),)
    assert door.credentials({b"authorization": b"Bearer own", b"x-api-key": b"canary-t0ken"}) == own
    assert door.credentials({b"authorization": b"bearer  canary-t0ken ", b"x-api-key": b"own"}) == ours
    assert door.credentials({b"authorization": b"canary-t0ken", b"x-api-key": b"", b"x-dragoman-token": b"x"}) == ()
    assert door.credentials({b"authorization": b"Bearer own", b"x-api-key": b"own"}) == (*own, *ours)
    assert Door("127.0.0.1", "").credentials({b"x-api-key": b"own"}) == ours
    for word in (b"dragoman", b"dragoman-made-elsewhere", b"dev-local"):
        assert Door("127.0.0.1", "").credentials({b"x-api-key": word, b"authorization": b"Bearer " + word}) == ()
    assert door.credentials({b"authorization": b"Basic canary-t0ken"}) == (("authorization", "Basic canary-t0ken"),)
    with pytest.raises(ApiError, match="x-dragoman-token"):
        door.check_token({b"authorization": b"Bearer own"})


@pytest.mark.parametrize(
    ("peer", "headers", "shown"),
    [
        ("127.0.0.1", {b"host": b"127.0.0.1:8082"}, True),
        ("::1", {b"host": b"[::1]:8082"}, True),
        ("127.0.0.1", {b"host": b"localhost"}, True),
        ("192.0.2.1", {b"host": b"127.0.0.1"}, False),
        ("", {b"host": b"127.0.0.1"}, False),
        ("127.0.0.1", {b"host": b"gateway.example"}, False),
        ("127.0.0.1", {}, False),
        ("127.0.0.1", {b"host": b"localhost", b"x-forwarded-proto": b"https"}, False),
        ("127.0.0.1", {b"host": b"localhost", b"forwarded": b"for=192.0.2.1"}, False),
        ("127.0.0.1", {b"host": b"localhost", b"origin": b"http://localhost"}, False),
        ("127.0.0.1", {b"host": b"localhost", b"connection": b"keep-alive"}, True),
        ("127.0.0.1", {b"host": b"localhost", b"connection": b"Close"}, False),
        ("127.0.0.1", {b"host": b"localhost", b"connection": b"close, x"}, False),
    ],
)
def test_whom_the_token_is_told(peer: str, headers: dict[bytes, bytes], shown: bool) -> None:
    assert shows_token(peer, headers) is shown
    assert not shows_token(peer, headers, "1.0")


@pytest.mark.failure(138)
def test_an_open_door_off_loopback_is_open_on_purpose() -> None:
    door = Door("0.0.0.0", "", everybody=True)
    door.check_token({})
    door.check_host({b"host": b"gateway.example"})
    with pytest.raises(ApiError, match="web pages"):
        door.check_host({b"host": b"gateway.example", b"origin": b"http://gateway.example"})
