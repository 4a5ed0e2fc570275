"""upstream/proxies: which proxy a call goes through."""

import pytest

from dragoman.upstream.proxies import is_loopback, proxy_for

PROXIES = {"http": "http://proxy:3128", "https": "http://secure:3128"}


@pytest.mark.failure(150)
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "api.localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_loopback_never_goes_through_a_proxy(host: str) -> None:
    assert is_loopback(host)
    assert proxy_for("http", host, 3456, PROXIES | {"all": "http://all:1"}, ()) is None


@pytest.mark.parametrize("host", ["example.com", "128.0.0.1", "localhost.example.com", "::2", "10.0.0.1"])
def test_other_hosts_go_through_the_proxy_of_their_scheme(host: str) -> None:
    assert proxy_for("http", host, None, PROXIES, ()) == "http://proxy:3128"
    assert proxy_for("https", host, None, PROXIES, ()) == "http://secure:3128"
    assert proxy_for("https", host, None, {"all": "http://all:1"}, ()) == "http://all:1"
    assert proxy_for("https", host, None, {"http": "http://proxy:3128"}, ()) is None


@pytest.mark.parametrize(
    ("entry", "host", "port", "covered"),
    [
        ("*", "api.example.com", None, True),
        ("example.com", "example.com", None, True),
        ("example.com", "api.example.com", None, True),
        ("example.com", "API.Example.com.", None, True),
        ("example.com", "notexample.com", None, False),
        (".example.com", "api.example.com", None, True),
        ("*.example.com", "api.example.com", None, True),
        (" example.com ", "example.com", None, True),
        ("example.com:8443", "example.com", 8443, True),
        ("example.com:8443", "example.com", 443, False),
        ("example.com:8443", "example.com", None, False),
        ("10.0.0.0/8", "10.1.2.3", None, True),
        ("10.0.0.0/8", "11.1.2.3", None, False),
        ("10.0.0.0/8", "example.com", None, False),
        ("nonsense/8", "10.1.2.3", None, False),
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("fd00::1", "fd00::1", None, True),
        ("[fd00::1]:443", "fd00::1", 443, True),
        ("[fd00::1]:443", "fd00::1", 80, False),
        ("[fd00::1]", "fd00::1", 80, True),
        ("", "example.com", None, False),
        ("*.", "example.com", None, False),
    ],
)
def test_no_proxy(entry: str, host: str, port: int | None, covered: bool) -> None:
    found = proxy_for("http", host, port, PROXIES, ("other.test", entry))
    assert (found is None) is covered
