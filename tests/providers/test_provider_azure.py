"""Azure's addresses, in every form that people paste."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.providers import azure
from dragoman.providers.azure import Endpoint

ROOT = "https://r.openai.azure.com"
DATED = "2025-04-01-preview"


@pytest.mark.failure(173)
@pytest.mark.parametrize(
    ("pasted", "found"),
    [
        ("my-resource", Endpoint("https://my-resource.openai.azure.com")),
        ("r.openai.azure.com", Endpoint(ROOT)),
        ("HTTPS://R.OpenAI.Azure.com", Endpoint(ROOT)),
        ("http://r.openai.azure.com", Endpoint(ROOT)),
        ("https://r.openai.azure.com/", Endpoint(ROOT)),
        ("  'https://r.openai.azure.com//' \n", Endpoint(ROOT)),
        ("<https://r.openai.azure.com>", Endpoint(ROOT)),
        ("https://r.openai.azure.com:443/", Endpoint(f"{ROOT}:443")),
        ("https://r.openai.azure.com/#overview", Endpoint(ROOT)),
        (f"{ROOT}/openai", Endpoint(ROOT)),
        (f"{ROOT}/openai/", Endpoint(ROOT)),
        (f"{ROOT}/openai/v1", Endpoint(ROOT, v1=True)),
        (f"{ROOT}/openai/V1/chat/completions", Endpoint(ROOT, v1=True)),
        (f"{ROOT}/openai/v1/responses?api-version=preview", Endpoint(ROOT, v1=True)),
        (f"{ROOT}/openai/v1/?api-version={DATED}", Endpoint(ROOT, v1=True)),
        (f"{ROOT}/openai/responses?api-version={DATED}", Endpoint(ROOT, DATED)),
        (f"{ROOT}/?api-version={DATED}", Endpoint(ROOT, DATED)),
        (f"{ROOT}?api-version=2024-10-21", Endpoint(ROOT, "2024-10-21")),
        (f"{ROOT}/openai/deployments/My%20gpt", Endpoint(ROOT, deployment="My gpt")),
        (f"{ROOT}/openai/deployments", Endpoint(ROOT)),
        (
            f"{ROOT}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            Endpoint(ROOT, "2024-10-21", deployment="gpt-4o"),
        ),
        (f"{ROOT}/openai/deployments/openai/chat/completions", Endpoint(ROOT, deployment="openai")),
        ("https://r.services.ai.azure.com", Endpoint("https://r.services.ai.azure.com")),
        ("r.services.ai.azure.com/openai/v1/", Endpoint("https://r.services.ai.azure.com", v1=True)),
        ("https://r.services.ai.azure.com/api/projects/p", Endpoint("https://r.services.ai.azure.com")),
        (
            "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
            Endpoint("https://r.services.ai.azure.com"),
        ),
        ("https://r.cognitiveservices.azure.com/", Endpoint("https://r.cognitiveservices.azure.com")),
        ("https://eastus.api.cognitive.microsoft.com/", Endpoint("https://eastus.api.cognitive.microsoft.com")),
        ("https://r.openai.azure.us/openai", Endpoint("https://r.openai.azure.us")),
        ("r.openai.azure.cn", Endpoint("https://r.openai.azure.cn")),
        ("https://llm.example.com", Endpoint("https://llm.example.com")),
        ("https://apim.example.com/a%20b/openai", Endpoint("https://apim.example.com/a%20b")),
        ("https://apim.example.com/team/openai", Endpoint("https://apim.example.com/team")),
        ("https://apim.example.com/openai/openai/v1", Endpoint("https://apim.example.com/openai", v1=True)),
        ("https://apim.example.com/deployments/openai/", Endpoint("https://apim.example.com/deployments")),
        ("https://apim.example.com/team/chat/completions", Endpoint("https://apim.example.com/team")),
        ("https://apim.example.com/team/responses/", Endpoint("https://apim.example.com/team")),
        ("http://127.0.0.1:9/openai/v1", Endpoint("http://127.0.0.1:9", v1=True)),
        ("http://[::1]:9/", Endpoint("http://[::1]:9")),
        ("localhost", Endpoint("https://localhost")),
    ],
)
def test_what_is_pasted(pasted: str, found: Endpoint) -> None:
    assert azure.endpoint(pasted) == found


@pytest.mark.failure(173)
@pytest.mark.parametrize(
    ("pasted", "told"),
    [
        ("", "is no endpoint"),
        ("my resource", "is no endpoint"),
        ("ftp://r.openai.azure.com", "is no endpoint"),
        ("https://", "is no endpoint"),
        ("https://r.openai.azure.com:port", "is no endpoint"),
        ("https://[r", "is no endpoint"),
        ("https://{resource}.openai.azure.com", "is no endpoint"),
        ("https://u:secret@r.openai.azure.com", "holds a user or a password"),
        ("https://ai.azure.com/resource/overview", "is a page of the portal"),
        ("portal.azure.com", "is a page of the portal"),
        (f"{ROOT}?api-version=newest", "is no API version"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_not_quoted(pasted: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        azure.endpoint(pasted)
    assert "secret" not in str(caught.value)
    assert "newest" not in str(caught.value)


PIECES = (
    "https://",
    "r",
    ".openai.azure.com",
    "/",
    "openai",
    "v1",
    "deployments",
    "?api-version=",
    DATED,
    "a b",
    "%2F",
)


@pytest.mark.failure(173)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=30))
def test_any_text_is_an_endpoint_or_refused(text: str) -> None:
    refusal = ""
    try:
        found = azure.endpoint(text)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith(("is ", "holds "))
        return
    assert urlsplit(found.root).scheme in ("http", "https")
    assert not found.root.endswith("/")
    assert not urlsplit(found.root).query
    # What comes out means the same when it is pasted again.
    assert azure.endpoint(f"{found.root}/openai/v1").root == found.root


@pytest.mark.parametrize("version", ["", "v1", " Preview ", "latest"])
def test_words_for_the_v1_api(version: str) -> None:
    assert azure.dated(version) == ""


@pytest.mark.failure(173)
def test_the_version_is_on_the_older_urls_only() -> None:
    assert azure.address(ROOT, "", "chat") == azure.address(ROOT, "", "responses") == (f"{ROOT}/openai/v1", "")
    assert azure.address(ROOT, DATED, "chat") == (f"{ROOT}/openai/deployments/{{model}}", f"api-version={DATED}")
    assert azure.address(ROOT, DATED, "responses") == (f"{ROOT}/openai", f"api-version={DATED}")


@pytest.mark.parametrize("version", ["2024-10-21", "2025-02-01-preview"])
def test_older_versions_have_no_responses(version: str) -> None:
    assert azure.address(ROOT, version, "responses") is None
    assert azure.address(ROOT, "2025-03-01-preview", "responses") is not None


@pytest.mark.parametrize(
    ("root", "scope", "authority"),
    [
        (ROOT, "https://cognitiveservices.azure.com/.default", "https://login.microsoftonline.com"),
        (
            "https://r.services.ai.azure.com",
            "https://ai.azure.com/.default",
            "https://login.microsoftonline.com",
        ),
        (
            "https://r.openai.azure.us",
            "https://cognitiveservices.azure.us/.default",
            "https://login.microsoftonline.us",
        ),
        (
            "https://r.openai.azure.cn",
            "https://cognitiveservices.azure.cn/.default",
            "https://login.chinacloudapi.cn",
        ),
        (
            "https://llm.example.com/team",
            "https://cognitiveservices.azure.com/.default",
            "https://login.microsoftonline.com",
        ),
    ],
)
def test_where_tokens_come_from(root: str, scope: str, authority: str) -> None:
    assert azure.login(root) == (scope, authority)
