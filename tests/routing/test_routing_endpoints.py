"""The upstream that a caller chose: which hosts, what is spoken there, and with which state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.config.endpoints import is_place
from dragoman.dialects import DIALECTS
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.providers import presets, state_scope
from dragoman.routing.endpoints import CACHE_LIMIT, LONGEST, Endpoints, public_hosts

KNOWN = Endpoints()
LISTED = Endpoints(["Lab", "10.0.0.5:8000", "[fd00::1]:80", "api.openai.com", "127.0.0.1:11434", "gateway.lab:443"])


def chosen(endpoint: str, model: str = "gpt-4o-mini", endpoints: Endpoints = KNOWN) -> Target:
    route = endpoints.route(endpoint, model)
    assert route.requested == model
    assert len(route.targets) == 1
    return route.targets[0]


def refused(endpoint: str, endpoints: Endpoints = KNOWN) -> ApiError:
    with pytest.raises(ApiError) as caught:
        endpoints.route(endpoint, "m")
    return caught.value


@pytest.mark.parametrize(
    ("endpoint", "dialect", "address", "header"),
    [
        ("https://api.cerebras.ai/v1", "chat", "https://api.cerebras.ai/v1", "bearer"),
        (" HTTPS://API.Cerebras.AI:443/v1/ ", "chat", "https://api.cerebras.ai/v1", "bearer"),
        ("https://api.cerebras.ai", "chat", "https://api.cerebras.ai/v1", "bearer"),
        ("https://api.cerebras.ai/v1/chat/completions", "chat", "https://api.cerebras.ai/v1", "bearer"),
        ("https://api.together.xyz/v1", "chat", "https://api.together.xyz/v1", "bearer"),
        ("https://api.openai.com/v1", "chat", "https://api.openai.com/v1", "bearer"),
        ("https://api.groq.com/openai/v1", "chat", "https://api.groq.com/openai/v1", "bearer"),
        ("https://api.anthropic.com", "anthropic", "https://api.anthropic.com", None),
        ("https://api.anthropic.com/v1", "anthropic", "https://api.anthropic.com", None),
        ("https://api.anthropic.com/v1/messages", "anthropic", "https://api.anthropic.com", None),
        ("https://api.z.ai/api/anthropic", "anthropic", "https://api.z.ai/api/anthropic", None),
        (
            "https://generativelanguage.googleapis.com/v1beta",
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta",
            "x-goog-api-key",
        ),
        (
            "https://api.cloudflare.com/client/v4/accounts/abc/ai/v1",
            "chat",
            "https://api.cloudflare.com/client/v4/accounts/abc/ai/v1",
            "bearer",
        ),
    ],
)
def test_hosts_of_presets(endpoint: str, dialect: str, address: str, header: str | None) -> None:
    found = chosen(endpoint)
    assert (found.dialect, found.base_url, found.caller_as) == (dialect, address, header)
    assert (found.auth, found.key, found.public, found.model) == ("caller", None, True, "gpt-4o-mini")


def test_a_preset_brings_its_row() -> None:
    cerebras = chosen("https://api.cerebras.ai/v1", "qwen-3-coder-480b")
    assert cerebras.quirks == presets()["cerebras"].typed_quirks()
    assert cerebras.provider == "endpoint:api.cerebras.ai"
    assert cerebras.state_scope == state_scope("cerebras", "https://api.cerebras.ai/v1")
    openai = chosen("https://api.openai.com/v1", "gpt-5.5")
    assert openai.dialect == "responses"
    assert openai.facts.context
    assert openai.other is not None
    assert (openai.other.auth, openai.other.key, openai.other.public) == ("caller", None, True)


def test_of_several_presets_at_a_host_the_nearest_address_counts() -> None:
    plan = chosen("https://api.z.ai/api/coding/paas/v4", "glm-5.3")
    assert plan.state_scope == state_scope("zai-coding", "https://api.z.ai/api/coding/paas/v4")
    usual = chosen("https://api.z.ai/api/paas/v4", "glm-5.3")
    assert usual.state_scope == state_scope("zai", "https://api.z.ai/api/paas/v4")


@pytest.mark.failure(137)
def test_no_configured_provider_has_such_a_name() -> None:
    """Else what is remembered of one, its key's name included, would count for the other."""
    for target in (chosen("https://api.cerebras.ai"), chosen("http://lab/v1", endpoints=LISTED)):
        assert ":" in target.provider


@pytest.mark.parametrize(
    ("endpoint", "address", "provider"),
    [
        ("http://lab/v1", "http://lab/v1", "endpoint:lab"),
        ("https://LAB/v1", "https://lab/v1", "endpoint:lab"),
        ("http://10.0.0.5:8000/v1", "http://10.0.0.5:8000/v1", "endpoint:10.0.0.5:8000"),
        ("https://gateway.lab/v1", "https://gateway.lab/v1", "endpoint:gateway.lab"),
        ("http://[FD00::1]/v1", "http://[fd00::1]/v1", "endpoint:[fd00::1]"),
    ],
)
def test_hosts_that_are_listed(endpoint: str, address: str, provider: str) -> None:
    found = chosen(endpoint, "Some/Model", LISTED)
    assert (found.dialect, found.base_url, found.provider) == ("chat", address, provider)
    assert (found.public, found.caller_as, found.model) == (False, "bearer", "Some/Model")
    assert found.state_scope == state_scope("endpoint", address)


def test_a_listed_host_of_a_preset_keeps_its_row() -> None:
    assert not chosen("http://api.openai.com/v1", endpoints=LISTED).public
    ollama = chosen("http://127.0.0.1:11434/v1", endpoints=LISTED)
    assert ollama.quirks == presets()["ollama"].typed_quirks()
    assert ollama.caller_as == "bearer"


def test_an_address_may_say_that_messages_is_spoken_there() -> None:
    found = chosen("http://lab/anthropic", "claude-opus-5-5", LISTED)
    assert (found.dialect, found.base_url, found.caller_as) == ("anthropic", "http://lab/anthropic", None)


def test_strict_holds_for_chosen_hosts() -> None:
    assert chosen("https://api.cerebras.ai", endpoints=Endpoints(strict=True)).strict


@pytest.mark.failure(137)
@pytest.mark.parametrize(
    "endpoint",
    [
        "https://attacker.example/v1",
        "https://api.openai.com.attacker.example",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com./v1",
        "http://api.openai.com/v1",
        "https://api.openai.com:80/v1",
        "https://127.0.0.1/v1",
        "http://127.0.0.1:11434/v1",
        "https://localhost/v1",
        "https://[::1]/v1",
        "https://2130706433/v1",
        "https://0x7f.1/v1",
        "https://169.254.169.254/latest/meta-data",
        "https://metadata.google.internal/v1",
        "https://litellm.invalid/v1",
        "https://aiplatform.googleapis.com/v1",
        "http://10.0.0.5:8001/v1",
        "http://lab:81/v1",
    ],
)
def test_hosts_that_are_not_allowed(endpoint: str) -> None:
    endpoints = LISTED if "10.0.0.5" in endpoint or "lab" in endpoint else KNOWN
    error = refused(endpoint, endpoints)
    if error.kind == "invalid_request":
        assert endpoint == "https://api.openai.com./v1"
    else:
        assert (error.kind, error.status, error.should_retry) == ("permission", 403, False)
        assert "server: {endpoints: [" in error.message


@pytest.mark.failure(137)
@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "api.cerebras.ai/v1",
        "ftp://api.cerebras.ai",
        "https://",
        "https:///v1",
        "https://sk-canary@api.cerebras.ai/v1",
        "https://api.cerebras.ai@attacker.example/v1",
        "https://api.cerebras.ai\\@attacker.example/v1",
        "https://api.cerebras.ai/v1?key=sk-canary",
        "https://api.cerebras.ai/v1#x",
        "https://api.cerebras.ai/v1/../admin",
        "https://api.cerebras.ai/v1/%2e%2e/admin",
        "https://api.cerebras.ai:0/v1",
        "https://api.cerebras.ai:65536/v1",
        "https://api.cerebras.ai:x/v1",
        "https://api.cerebras.ai/v1 https://api.groq.com",
        "https://api.cerebras.ai/v1\r\nx: y",
        "https://api.cerebräs.ai/v1",
        "https://[::1/v1",
        "https://[1:2]/v1",
        "https://a..b/v1",
        "https://api.cerebras.ai/" + "a" * LONGEST,
    ],
)
def test_what_is_no_address(endpoint: str) -> None:
    error = refused(endpoint)
    assert (error.kind, error.status) == ("invalid_request", 400)
    assert "sk-canary" not in error.message
    assert "https://api.cerebras.ai/v1" in error.message


def test_the_header_can_be_refused_altogether() -> None:
    error = refused("https://api.cerebras.ai/v1", Endpoints("none"))
    assert error.kind == "permission"
    assert "server.endpoints" in error.message


def test_routes_are_remembered_and_not_for_ever() -> None:
    endpoints = Endpoints()
    first = endpoints.route("https://api.cerebras.ai/v1", "m")
    assert endpoints.route("https://api.cerebras.ai/v1", "m") is first
    for number in range(CACHE_LIMIT):
        endpoints.route("https://api.cerebras.ai/v1", str(number))
    assert endpoints.route("https://api.cerebras.ai/v1", "m") is not first


def test_hosts_of_machines_and_of_accounts_are_nobodys() -> None:
    hosts = {host for preset in presets().values() for host in public_hosts(preset)}
    assert {"api.openai.com", "api.anthropic.com", "api.together.xyz"} <= hosts
    assert not [host for host in hosts if ":" in host or "$" in host or host.startswith("127.") or "invalid" in host]


@given(st.sampled_from(sorted(presets())))
def test_every_preset_that_may_be_chosen_can_be(name: str) -> None:
    preset = presets()[name]
    for host in public_hosts(preset):
        found = chosen(f"https://{host}/v1", "some-model")
        assert found.base_url.startswith(f"https://{host}")
        assert found.dialect in DIALECTS
        assert found.auth == "caller"


@given(st.text(alphabet="https:/.@[]%?#\\ -_a1", max_size=30))
def test_whatever_is_sent_it_leads_to_a_listed_host_or_nowhere(text: str) -> None:
    endpoints = Endpoints(["a1"])
    for endpoint in (text, f"https://a1{text}", f"https://{text}a1/"):
        try:
            url = endpoints.route(endpoint, "m").targets[0].base_url
        except ApiError:
            continue
        assert url.startswith(("https://a1", "http://a1"))
        assert url.partition("://a1")[2][:1] in ("", "/")


@pytest.mark.parametrize(
    ("entry", "right"),
    [
        ("lab", True),
        ("lab:9000", True),
        ("[::1]:80", True),
        ("https://lab", False),
        ("lab/v1", False),
        ("", False),
        ("lab:x", False),
        ("*.lab", False),
        ("a b", False),
    ],
)
def test_entries_of_the_setting(entry: str, *, right: bool) -> None:
    assert is_place(entry) is right
