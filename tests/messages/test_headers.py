"""Headers of an upstream that speaks Messages, on their way to the caller."""

import pytest

from dragoman.messages.headers import passed_on


@pytest.mark.failure(118)
def test_what_means_something_to_the_caller() -> None:
    headers = {
        "request-id": "req_011",
        "retry-after": "7",
        "x-should-retry": "true",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-organization-id": "org",
        "cache-control": "no-cache",
        "cf-ray": "1",
        "x-new": "nobody knows it yet",
    }
    assert passed_on(headers) == tuple(headers.items())


@pytest.mark.failure(103)
@pytest.mark.parametrize(
    "name",
    [
        *("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "via"),
        *("proxy-authenticate", "proxy-connection"),
        *("content-length", "content-type", "content-encoding", "date", "server"),
        *("set-cookie", "strict-transport-security", "alt-svc", "access-control-allow-origin"),
        *("x-accel-redirect", "x-dragoman-target"),
    ],
)
def test_what_is_between_others(name: str) -> None:
    assert passed_on({name: "x", "request-id": "1"}) == (("request-id", "1"),)


def test_what_the_connection_names_is_about_the_connection() -> None:
    assert passed_on({"connection": "close, X-Hop", "x-hop": "1", "x-further": "2"}) == (("x-further", "2"),)
