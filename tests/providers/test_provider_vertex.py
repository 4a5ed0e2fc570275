"""Vertex AI's addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.providers import safe, vertex
from dragoman.providers.vertex import Endpoint


@pytest.mark.failure(54)
@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_each_kind_of_location_has_its_host(location: str, host: str) -> None:
    assert vertex.host(location) == host
    url = vertex.address("", "my-project", location)
    assert url == f"https://{host}/v1/projects/my-project/locations/{location}/publishers/google"


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("vertex.example", "https://vertex.example/v1"),
        ("https://vertex.example/", "https://vertex.example/v1"),
        ("https://vertex.example/v1", "https://vertex.example/v1"),
        ("https://vertex.example/v1beta1/", "https://vertex.example/v1beta1"),
        ("https://gateway.example/google", "https://gateway.example/google/v1"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/v1"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1"),
    ],
)
def test_a_host(text: str, root: str) -> None:
    assert vertex.endpoint(text) == Endpoint(root)
    assert vertex.address(root, "p", "eu") == f"{root}/projects/p/locations/eu/publishers/google"


@pytest.mark.parametrize(
    "rest", ["", "/", "/publishers/google", "/publishers/google/models/gemini-3:generateContent", "/endpoints/openapi"]
)
def test_a_whole_address_names_project_and_location(rest: str) -> None:
    found = vertex.endpoint(f"https://eu-aiplatform.example/v1beta1/projects/my-project/locations/europe-west4{rest}")
    assert found == Endpoint("https://eu-aiplatform.example/v1beta1", "my-project", "europe-west4")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no address"),
        ("ftp://x.example", "is no address"),
        ("https://", "is no address"),
        ("https://[x", "is no address"),
        ("https://x.example:99999", "is no address"),
        ("https://x.example/a b", "is no address"),
        ("https://user:pass@x.example", "holds a user"),
        ("https://x.example?key=1", "holds a user"),
        ("http://x.example", "must begin with https://"),
        ("https://x.example/v1/projects/a%20b/locations/eu", "is no project"),
        ("https://x.example/v1/projects/a/locations/e_u", "is no location"),
    ],
)
def test_what_is_no_address_is_refused_and_not_quoted(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        vertex.endpoint(text)
    assert "pass" not in str(caught.value).replace("password", "")


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for read in (vertex.endpoint, vertex.project, vertex.location):
        try:
            read(text)
        except ValueError as error:
            assert str(error).startswith(("is no", "must begin", "holds"))  # noqa: PT017


def test_projects_and_locations() -> None:
    assert vertex.project(" my-project-1 ") == "my-project-1"
    assert vertex.project("example.com:p") == "example.com:p"
    assert vertex.project("123456789") == "123456789"
    assert vertex.location(" Europe-West4 ") == "europe-west4"
    for wrong in ("", "a/b", "a b", "../x"):
        with pytest.raises(ValueError, match="is no project"):
            vertex.project(wrong)
        with pytest.raises(ValueError, match="is no location"):
            vertex.location(wrong)


@pytest.mark.parametrize("url", ["https://x", "http://127.0.0.1:1", "http://localhost", "http://[::1]"])
def test_where_a_secret_may_go(url: str) -> None:
    assert safe(url)


@pytest.mark.parametrize("url", ["http://x", "https://", "ftp://127.0.0.1", "https://[x", ""])
def test_where_it_may_not(url: str) -> None:
    assert not safe(url)
