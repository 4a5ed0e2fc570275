"""Pages of models in Anthropic's shape."""

import json
from typing import Any

import msgspec
import pytest

from dragoman.messages.errors import ApiError
from dragoman.server.models import one, page, theirs
from server_fixture import Listed

LISTING = [Listed(f"m{number}") for number in range(25)]


def ids(found: dict[str, Any]) -> list[str]:
    return [entry["id"] for entry in found["data"]]


def get(**query: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page(LISTING, query))
    return found


@pytest.mark.failure(111)
def test_the_shape_of_an_entry() -> None:
    listed = Listed("claude-sonnet-4-5", "Sonnet at the lab", "2025-01-01T00:00:00Z", 200_000, 64_000)
    assert json.loads(one(listed)) == {
        "type": "model",
        "id": "claude-sonnet-4-5",
        "display_name": "Sonnet at the lab",
        "created_at": "2025-01-01T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "line": "sonnet",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "capabilities": None,
    }
    assert json.loads(one(Listed("qwen3:8b")))["line"] is None


def test_the_first_page() -> None:
    found = get()
    assert ids(found) == [f"m{number}" for number in range(20)]
    assert (found["has_more"], found["first_id"], found["last_id"]) == (True, "m0", "m19")
    assert get(limit="1000")["has_more"] is False


def test_walking_forward_meets_every_model_once() -> None:
    seen: list[str] = []
    query = {"limit": "7"}
    while True:
        found = get(**query)
        seen += ids(found)
        if not found["has_more"]:
            break
        query["after_id"] = found["last_id"]
    assert seen == [listed.id for listed in LISTING]


def test_walking_back() -> None:
    found = get(before_id="m5", limit="3")
    assert (ids(found), found["has_more"]) == (["m2", "m3", "m4"], True)
    found = get(before_id="m2", limit="3")
    assert (ids(found), found["has_more"]) == (["m0", "m1"], False)


def test_nothing_to_list() -> None:
    assert json.loads(page([], {})) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert get(after_id="m24")["data"] == []
    assert get(before_id="m0")["data"] == []


@pytest.mark.parametrize(
    "query",
    [
        *({"limit": limit} for limit in ("0", "1001", "-1", "x", "", "1" * 5000)),
        {"after_id": "gone"},
        {"before_id": "gone"},
    ],
)
def test_bad_queries(query: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refused:
        get(**query)
    assert refused.value.status == 400
    assert refused.value.message.startswith(next(iter(query)))


def test_entries_of_the_provider_itself_stand_as_they_came() -> None:
    theirs = {"m1": msgspec.Raw(b'{"id": "m1", "x": 1.0}'), "new": msgspec.Raw(b'{"id": "new"}')}
    body = page(LISTING, {"limit": "1000"}, theirs)
    assert b'{"id": "m1", "x": 1.0}' in body
    found = json.loads(body)
    assert ids(found) == [*(f"m{number}" for number in range(25)), "new"]
    assert found["last_id"] == "new"
    assert ids(json.loads(page(LISTING, {"after_id": "m24"}, theirs))) == ["new"]


def test_a_providers_own_list() -> None:
    found = theirs(b'{"data": [{"id": "a", "b": [1.0]}], "has_more": false}')
    assert {name: bytes(entry) for name, entry in found.items()} == {"a": b'{"id": "a", "b": [1.0]}'}
    for wrong in (b"", b"[]", b'{"data":[{}]}', b'{"data":[{"id":1}]}', b"\xff", b'{"data":' + b"[" * 10_000):
        with pytest.raises(ApiError) as refused:
            theirs(wrong)
        assert refused.value.kind == "bad_answer"
