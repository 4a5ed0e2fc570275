"""upstream/place: what is known of a URL before it is called; values in, values out."""

import pytest

from dragoman.messages.errors import ApiError
from dragoman.upstream.place import place_of

PROXY = {"all": "http://user:d%40mmy@proxy.test:3128"}


def refusal(url: str, **proxies: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        place_of(url, proxies, ())
    return caught.value


@pytest.mark.parametrize(
    ("url", "address", "authority", "name", "target"),
    [
        ("http://model.test", ("model.test", 80), "model.test", "model.test", "/"),
        ("http://model.test:80/v1", ("model.test", 80), "model.test", "model.test:80", "/v1"),
        ("https://model.test/v1?a=b&c=/d?#part", ("model.test", 443), "model.test", "model.test", "/v1?a=b&c=/d?"),
        ("https://MODEL.test:80/", ("model.test", 80), "model.test:80", "model.test:80", "/"),
        ("http://[fd00::1]:81/", ("fd00::1", 81), "[fd00::1]:81", "[fd00::1]:81", "/"),
        ("http://[fd00::1]/", ("fd00::1", 80), "[fd00::1]", "[fd00::1]", "/"),
        ("http://bücher.test/é?ü", ("xn--bcher-kva.test", 80), *["xn--bcher-kva.test"] * 2, "/%C3%A9?%C3%BC"),
        ("http://h.test/a b%2Fc%20d/../x:generate", ("h.test", 80), "h.test", "h.test", "/a%20b%2Fc%20d/../x:generate"),
    ],
)
def test_what_a_url_says(url: str, address: tuple[str, int], authority: str, name: str, target: str) -> None:
    place = place_of(url, {}, ())
    assert ((place.host, place.port), dict(place.fields)["Host"]) == (address, authority)
    assert (place.name, place.target, place.secure) == (name, target, url.startswith("https"))


@pytest.mark.parametrize(
    "url",
    [
        *("", "/v1", "model.test/v1", "http://", "http:///v1", "ftp://model.test/", "http://model.test:port/"),
        *("http://model.test:99999/", "http://[fd00::1/", "http://a b.test/", "http://.ü./", "http://h.test:0x1/"),
        *("http://h.test/\r\nx: y", "http://h.test/\n", "http://h\t.test/", "http://h.test/\0"),
    ],
)
def test_what_is_no_url(url: str) -> None:
    error = refusal(url)
    assert (error.kind, error.retryable) == ("unreachable", False)
    assert error.message == "The URL of the call is not valid. Check base_url."


def test_a_proxy_reads_the_head_of_a_plain_call_only() -> None:
    plain = place_of("http://model.test:81/v1?a", PROXY, ())
    assert plain.target == "http://model.test:81/v1?a"
    assert b"\r\nProxy-Authorization: Basic dXNlcjpkQG1teQ==\r\n" in plain.head("GET", (), 0)
    secure = place_of("https://model.test/v1", PROXY, ())
    assert secure.target == "/v1"
    assert b"Proxy-" not in secure.head("GET", (), 0)
    assert b"Proxy-" not in place_of("http://model.test/", {"all": "http://proxy.test"}, ()).head("GET", (), 0)


def test_a_proxy_is_a_part_of_the_key_and_is_shown_without_its_credentials() -> None:
    place = place_of("http://model.test/", PROXY, ())
    assert place.key != place_of("http://model.test/", {}, ()).key
    assert place.key == place_of("http://model.test/other", PROXY, ()).key
    assert "Proxy(proxy.test:3128)" in repr(place.proxy)
    assert "dXNl" not in repr(place)
    assert "d%40mmy" not in repr(place)


def test_a_proxy_that_is_no_url() -> None:
    error = refusal("http://model.test/", all="http://user:dummy@:3128")
    assert error.message == "The URL of the proxy for model.test is not valid. Check the proxy settings."


def test_a_place_hides_the_credentials_of_its_url() -> None:
    place = place_of("http://user:dummy@model.test/", {}, ())
    assert b"Authorization: Basic dXNlcjpkdW1teQ==\r\n" in place.head("GET", (), 0)
    assert "dXNl" not in repr(place)


@pytest.mark.parametrize("break_", ["\r", "\n", "\r\n", "\0"])
@pytest.mark.parametrize("where", [0, 1])
def test_nothing_breaks_a_head_in_two(break_: str, where: int) -> None:
    field = ("x" + break_, "y") if where == 0 else ("x", "y" + break_ + "z: a")
    place = place_of("http://model.test/", {}, ())
    with pytest.raises(ValueError, match="line break"):
        place.head("POST", [("a", "b"), field], 2)
    with pytest.raises(ValueError, match="line break"):
        place.head("POST / HTTP/1.1" + break_, (), 2)


@pytest.mark.parametrize(
    ("method", "length", "headers", "own"),
    [
        ("POST", 2, (), b"Content-Type: application/json\r\nContent-Length: 2\r\n"),
        ("POST", 2, [("content-type", "a/b")], b"content-type: a/b\r\nContent-Length: 2\r\n"),
        ("POST", 0, (), b"Content-Length: 0\r\n"),
        ("GET", 0, (), b""),
        ("PUT", None, (), b"Transfer-Encoding: chunked\r\n"),
        ("PUT", None, [("content-length", "3")], b"content-length: 3\r\n"),
    ],
)
def test_what_a_head_says_of_its_body(
    method: str, length: int | None, headers: list[tuple[str, str]], own: bytes
) -> None:
    place = place_of("http://model.test/v1", {}, ())
    head = place.head(method, headers, length)
    assert head.startswith(f"{method} /v1 HTTP/1.1\r\nHost: model.test\r\n".encode())
    assert head.endswith(b"\r\nAccept-Encoding: identity\r\n" + own + b"\r\n")
