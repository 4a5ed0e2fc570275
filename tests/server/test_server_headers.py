"""server/headers: which of a caller's headers an upstream of Messages sees."""

import pytest

from dragoman.server.headers import FORM, PassedOn, as_text

ENDING = (
    *("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization", "proxy-anything"),
    *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host"),
    *("content-length", "content-type", "content-encoding", "accept-encoding"),
    *("x-dragoman-token", "x-dragoman-anything", "a2o-endpoint"),
    *("forwarded", "x-forwarded-for", "x-forwarded-proto", "via", "x-real-ip"),
)
GOING_ON = (
    *("anthropic-version", "anthropic-beta", "anthropic-workspace-id", "anthropic-nobody-knows"),
    *("x-app", "x-stainless-lang", "x-claude-code-session-id", "user-agent", "accept", "x-nobody-knows"),
)


def rows(*names: str) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), b"v") for name in names]


@pytest.mark.failure(39, 140)
def test_what_ends_here_and_what_goes_on() -> None:
    passed = PassedOn()
    for _ in range(2):  # the second time from memory
        assert passed(rows(*ENDING), None) == ()
        assert passed(rows(*GOING_ON, *ENDING), b"keep-alive") == tuple(rows(*GOING_ON))


def test_order_and_repetition_stay() -> None:
    sent = [(b"anthropic-beta", b"one"), (b"x-a", b"1"), (b"anthropic-beta", b"two,three")]
    assert PassedOn()(sent, None) == tuple(sent)


def test_the_form_of_a_body_goes_on_with_the_body() -> None:
    passed = PassedOn(FORM)
    assert passed(rows(*ENDING), None) == tuple(rows("content-type", "content-encoding", "accept-encoding"))


def test_what_connection_names_is_about_the_connection() -> None:
    assert PassedOn()(rows("x-hop", "x-end"), b"X-Hop , close") == tuple(rows("x-end"))


def test_names_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.server.headers._REMEMBERED", 2)
    passed = PassedOn()
    for number in range(5):
        assert passed(rows(f"x-{number}", "cookie"), None) == tuple(rows(f"x-{number}"))
    assert len(passed._known) == 2


def test_as_text() -> None:
    assert as_text([(b"a", b"\xe9")]) == [("a", "é")]
