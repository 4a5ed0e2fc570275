"""`dragoman explain`: the call and every note, without traffic and without a key."""

import json
from pathlib import Path

import pytest

from cli.conftest import Run
from dragoman.cli import explain
from dragoman.cli.explain import LONGEST, shortened

REQUEST = {
    "model": "sonnet",
    "max_tokens": 100,
    "top_k": 3,
    "brand_new_field": {"a": 1},
    "service_tier": "auto",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "novelty": 1}]}],
}


@pytest.fixture
def lab(folder: Path) -> Path:
    (folder / "dragoman.yaml").write_text(
        "providers:\n  lab: {dialect: chat, base_url: 'http://127.0.0.1:9/v1'}\n  other: {dialect: chat, base_url: "
        "'http://127.0.0.1:9/v2'}\nmodels: {sonnet: [lab/m, other/n]}\n",
        "utf-8",
    )
    return folder


def test_route_call_and_notes(run: Run, lab: Path) -> None:
    (lab / "request.json").write_text(json.dumps(REQUEST), "utf-8")
    result = run("explain", "request.json")
    assert result.exit_code == 0, result.output
    assert "-> lab/m" in result.output
    assert "else other/n" in result.output
    assert "POST http://127.0.0.1:9/v1/chat/completions" in result.output
    assert '"content": ' in result.output
    notes = result.output.partition("Notes")[2]
    assert "brand_new_field" in notes
    assert "messages.0.content.0.novelty" in notes
    assert "top_k" in notes
    assert "Hello" not in notes


def test_from_standard_input_with_another_model(run: Run, lab: Path) -> None:
    result = run("explain", "-", "--model", "other/big", stdin=json.dumps(REQUEST))
    assert result.exit_code == 0, result.output
    assert "-> other/big" in result.output
    assert '"model": "big"' in result.output


def test_the_demo_is_explained_too(run: Run) -> None:
    result = run("explain", "-", stdin=json.dumps(REQUEST))
    assert result.exit_code == 0, result.output
    assert "demo/" in result.output


@pytest.mark.parametrize(
    ("body", "says"),
    [("{", "400 invalid_request_error"), ("{}", "model"), (json.dumps({**REQUEST, "model": "nope"}), "404 not_found")],
)
def test_what_the_gateway_would_refuse(run: Run, lab: Path, body: str, says: str) -> None:
    result = run("explain", "-", stdin=body)
    assert result.exit_code == 1
    assert says in result.output
    assert "Traceback" not in result.output


def test_no_such_file(run: Run) -> None:
    assert run("explain", "absent.json").exit_code == 2


def test_long_strings_are_cut() -> None:
    cut = shortened({"a": ["x" * (LONGEST + 5)], "b": 1})
    assert cut == {"a": ["x" * LONGEST + "... (2,005 characters)"], "b": 1}


def test_a_request_that_loses_nothing(run: Run, lab: Path) -> None:
    plain = {"model": "sonnet", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    assert "none: everything is carried over" in run("explain", "-", stdin=json.dumps(plain)).output


def test_the_name_of_the_key_and_never_the_key(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "canary")
    (folder / "dragoman.yaml").write_text("providers: {deepseek: {}}\nmodels: {sonnet: deepseek/m}\n", "utf-8")
    output = run("explain", "-", stdin=json.dumps(REQUEST)).output
    assert "authorization (from " in output
    assert "canary" not in output


def test_a_token_has_no_name(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://res.openai.azure.com")
    (folder / "dragoman.yaml").write_text("providers: {azure: {}}\nmodels: {sonnet: azure/m}\n", "utf-8")
    output = run("explain", "-", stdin=json.dumps(REQUEST)).output
    assert "authorization (a token of Entra ID)" in output
    assert "canary" not in output


@pytest.mark.failure(56)
def test_a_key_of_google_is_in_a_header_and_not_in_the_url(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "canary")
    (folder / "dragoman.yaml").write_text("providers: {gemini: {}}\nmodels: {sonnet: gemini/gemini-9}\n", "utf-8")
    output = run("explain", "-", stdin=json.dumps(REQUEST)).output
    assert "https://generativelanguage.googleapis.com/v1beta/models/gemini-9:" in output
    assert "x-goog-api-key (from GEMINI_API_KEY)" in output
    assert "key=" not in output
    assert "canary" not in output


@pytest.mark.failure(54)
def test_a_call_to_vertex(run: Run, folder: Path) -> None:
    text = "providers: {vertex: {project: p, location: eu}}\nmodels: {sonnet: vertex/gemini-9}\n"
    (folder / "dragoman.yaml").write_text(text, "utf-8")
    output = run("explain", "-", stdin=json.dumps(REQUEST)).output
    place = "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/publishers/google/models/gemini-9:"
    assert place in output.replace("\n", "")
    assert "authorization (a token of Google)" in output


def test_a_call_with_the_callers_own_key(run: Run, folder: Path) -> None:
    (folder / "dragoman.yaml").write_text("providers: {anthropic: {api_key: caller}}\n", "utf-8")
    output = run("explain", "-", stdin=json.dumps(REQUEST)).output
    assert "POST https://api.anthropic.com/v1/messages" in output
    assert "x-api-key or authorization (the caller's own)" in output


def test_colours_on_a_terminal(run: Run, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "colourful", lambda _: True)
    output = run("explain", "-", stdin=json.dumps(REQUEST)).output
    assert '"model"' in output
    assert '"m"' in output


def test_a_request_that_is_too_large(run: Run, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "LIMIT", 10)
    result = run("explain", "-", stdin=json.dumps(REQUEST))
    assert result.exit_code == 1
    assert "64 MB" in result.output
