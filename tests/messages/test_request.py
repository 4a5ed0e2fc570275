"""A request is read no further than somebody looks, and says whose conversation it is."""

import pytest

from dragoman.messages.errors import ApiError
from dragoman.messages.request import Request, decode
from messages.bodies import raw_body

# Sessions


@pytest.mark.failure(36)
@pytest.mark.parametrize(
    ("user_id", "session"),
    [
        ('{"device_id":"d","account_uuid":"","session_id":"3f2a"}', "3f2a"),
        ('{"session_id":5}', None),
        ('{"session_id":""}', None),
        ("{}", None),
        ("{broken", None),
        ('{"session_id":' + "[" * 5000 + "]" * 5000 + "}", None),
        ('{"session_id":"\\ud83d"}', None),
        ("user_0f_account_1a_session_3f2a", "3f2a"),
        ("user_0f_account_1a_session_", None),
        ("someone", None),
        ("", None),
        (None, None),
    ],
)
def test_the_session_in_the_user_id(user_id: str | None, session: str | None) -> None:
    assert decode(raw_body(metadata={"user_id": user_id})).session == session


def test_the_header_wins_over_the_user_id() -> None:
    raw = raw_body(metadata={"user_id": '{"session_id":"body"}'})
    assert decode(raw, session="header").session == "header"
    assert decode(raw_body()).session is None
    assert decode(raw_body(metadata={})).session is None


# Looked at only where somebody has to


@pytest.mark.failure(69)
def test_who_passes_it_on_needs_only_its_head() -> None:
    request = Request(
        raw_body(stream=True, metadata={"user_id": "user_session_1"}, messages="a text where turns belong")
    )
    assert (request.model, request.stream, request.max_tokens, request.session) == ("m", True, 1, "1")
    assert request.notes == ()
    with pytest.raises(ApiError, match="messages: Expected `array`, got `str`") as caught:
        request.body  # noqa: B018 looking is what raises
    assert caught.value.kind == "invalid_request"


def test_a_head_is_the_same_before_and_after_the_body_was_looked_at() -> None:
    raw = raw_body(stream=True)
    for request in (Request(raw), decode(raw)):
        assert (request.model, request.stream, request.max_tokens, request.session) == ("m", True, 1, None)
    assert Request(raw, named_session="s").session == "s"
    assert Request(raw_body()).stream is False


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"model":5}', b'{"model":""}', b'{"model":"m","stream":"yes"}'])
def test_a_head_that_says_nothing_is_told_at_once(raw: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        Request(raw).model  # noqa: B018 looking is what raises
    assert caught.value.kind == "invalid_request"


def test_a_head_is_read_with_half_a_character_beside_it() -> None:
    assert Request(raw_body(system="hi").replace(b"hi", rb"\ud83d")).model == "m"
