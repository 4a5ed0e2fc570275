"""Vertex AI over real sockets: a service account's tokens, projects that share nothing, and the path of `global`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients import wire_client
from clients.conftest import clean_environment, client, logged, run_json, started
from clients.responses_rules import Json
from clients.scripted_gemini import Output, called, counted, hosting, results, said, signatures, thought, words
from clients.scripted_vertex import Account, Accounts, Vertex, issuing

TURNS = str(Path(__file__).with_name("turns_sdk.py"))
CONFIGURATION = """\
server: {{retries: 0, count_tokens: upstream}}
providers:
  vertex: {{project: one, location: global, base_url: "{url}", credentials_file: "{one}"}}
  second: {{preset: vertex, project: two, location: global, base_url: "{url}", credentials_file: "{two}"}}
  europe: {{preset: vertex, project: one, location: europe-west1, base_url: "{url}", credentials_file: "{one}"}}
  crossed: {{preset: vertex, project: two, location: global, base_url: "{url}", credentials_file: "{one}"}}
models:
  sonnet: vertex/gemini-3.1-pro-preview
  haiku: second/gemini-3.5-flash
"""
LOOK = {
    "name": "look",
    "description": "Looks something up.",
    "input_schema": {"type": "object", "properties": {"answer": {"type": "string"}}},
}
MORE: Json = {"tools": [LOOK], "thinking": {"type": "enabled", "budget_tokens": 2000}}


def brain(body: Json) -> Output:
    if not body.get("tools"):
        return words(f"From {body['model']}.")
    made = len(results(body))
    calls = [called("look", {"answer": f"found {made}"})] if made < 5 else []
    return Output(parts=[thought(f"Thought {made}."), said(f"From {body['model']}."), *calls])


def slowly(body: Json) -> Output:
    """The same, taking half a second."""
    output = brain(body)
    output.pause = 0.1
    return output


@pytest.fixture(scope="module")
def people() -> tuple[Account, Account]:
    return Account("one"), Account("two")


@pytest.fixture
def accounts(people: tuple[Account, Account]) -> Iterator[Accounts]:
    with issuing(Accounts(*people)) as running:
        yield running


@pytest.fixture
def google(accounts: Accounts) -> Iterator[Vertex]:
    with hosting(Vertex(brain, accounts)) as running:
        assert isinstance(running, Vertex)
        yield running


def files(home: Path, accounts: Accounts) -> dict[str, str]:
    """The files of both service accounts, by their projects."""
    paths = {account.project: home / f"{account.project}.json" for account in accounts.accounts}
    for account in accounts.accounts:
        paths[account.project].write_text(json.dumps(account.service_account(accounts.token_url)), "utf-8")
    return {project: str(path) for project, path in paths.items()}


@contextmanager
def gateway(home: Path, google: Vertex) -> Iterator[str]:
    file = home / "dragoman.yaml"
    file.write_text(CONFIGURATION.format(url=google.url, **files(home, google.accounts)), "utf-8")
    with started(home / "gateway", "--config", str(file)) as url:
        yield url
    output = "".join((home / "gateway" / name).read_text("utf-8") for name in ("stdout", "stderr"))
    assert "ya29." not in output
    assert "PRIVATE KEY" not in output


def path(project: str, location: str, model: str, verb: str) -> str:
    return f"/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:{verb}"


def test_one_token_for_many_requests(tmp_path: Path, google: Vertex) -> None:
    with gateway(tmp_path, google) as url:
        for stream in (True, False, True):
            reply = wire_client.message(url, stream=stream)
            assert wire_client.said(reply) == "From gemini-3.1-pro-preview."
        body: Json = {"model": "sonnet", "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
        counting = wire_client.post(f"{url}/v1/messages/count_tokens", body)
    assert counting.body == {"input_tokens": counted(google.counts[-1])}
    model = "gemini-3.1-pro-preview"
    assert google.asked == [
        path("one", "global", model, "streamGenerateContent?alt=sse"),
        path("one", "global", model, "generateContent"),
        path("one", "global", model, "streamGenerateContent?alt=sse"),
        path("one", "global", model, "countTokens"),
    ]
    assert len(google.accounts.asked) == 1
    assert not google.complaints
    assert not any("x-goog-api-key" in headers for headers in google.headers)


@pytest.mark.failure(54)
@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("europe-west1", "europe-west1-aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_the_host_of_a_location(tmp_path: Path, people: tuple[Account, Account], location: str, host: str) -> None:
    """Where a request would go, as `dragoman explain` says it. Google itself is not asked."""
    file = tmp_path / "one.json"
    file.write_text(json.dumps(people[0].service_account("http://127.0.0.1:1/token")), "utf-8")
    provider = {"vertex": {"project": "one", "location": location, "credentials_file": str(file)}}
    (tmp_path / "dragoman.yaml").write_text(json.dumps({"providers": provider}), "utf-8")
    command = [sys.executable, "-m", "dragoman", "explain", "--config", str(tmp_path / "dragoman.yaml")]
    body = {
        "model": "vertex/gemini-3.1-pro-preview",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    done = subprocess.run(
        [*command, "-"], input=json.dumps(body), cwd=tmp_path, env=clean_environment(tmp_path), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"https://{host}{path('one', location, 'gemini-3.1-pro-preview', 'generateContent')}" in done.stdout


@pytest.mark.failure(54)
def test_a_model_that_the_location_does_not_have(tmp_path: Path, google: Vertex) -> None:
    with gateway(tmp_path, google) as url:
        assert wire_client.said(wire_client.message(url, model="europe/gemini-2.5-flash")) == "From gemini-2.5-flash."
        reply = wire_client.message(url, model="europe/gemini-3.1-pro-preview")
    assert (reply.status, reply.body["error"]["type"]) == (404, "not_found_error")
    assert "europe-west1" in reply.body["error"]["message"]


@pytest.mark.failure(55)
def test_tokens_end_in_the_middle_of_a_session(tmp_path: Path, google: Vertex) -> None:
    """Tokens that live for less than a second, and say that they live for an hour: the caller sees nothing of it."""
    google.accounts.lifetime = 0.8
    google.brain = slowly
    python = str(client("python-2", "bin", "python"))
    with gateway(tmp_path, google) as url:
        turns: list[Json] = [{"url": url, "model": "sonnet", "stream": True} for _ in range(6)]
        turns[0]["say"] = "Look."
        found = run_json([python, TURNS, json.dumps({"turns": turns, "more": MORE})])
    assert [answer["stop_reason"] for answer in found["answers"]] == ["tool_use"] * 5 + ["end_turn"]
    assert not google.complaints
    assert len(google.accounts.asked) >= 2
    assert google.refused_tokens == len(google.accounts.asked) - 1
    assert len(signatures(google.requests[-1])) == 5


@pytest.mark.failure(55)
@pytest.mark.parametrize("stream", [True, False])
def test_a_token_that_is_revoked(tmp_path: Path, google: Vertex, stream: bool) -> None:
    with gateway(tmp_path, google) as url:
        assert wire_client.said(wire_client.message(url)) == "From gemini-3.1-pro-preview."
        google.accounts.revoke()
        assert wire_client.said(wire_client.message(url, stream=stream)) == "From gemini-3.1-pro-preview."
    assert len(google.accounts.asked) == 2
    assert google.refused_tokens == 1
    assert [line["status"] for line in logged(tmp_path / "gateway", 2)] == [200, 200]


@pytest.mark.failure(55)
def test_two_projects_share_no_token(tmp_path: Path, google: Vertex) -> None:
    with gateway(tmp_path, google) as url:
        for _ in range(2):
            assert wire_client.said(wire_client.message(url)) == "From gemini-3.1-pro-preview."
            assert wire_client.said(wire_client.message(url, model="haiku")) == "From gemini-3.5-flash."
        # The account of one project in front of another one: refused, and with no token of somebody else.
        crossed = wire_client.message(url, model="crossed/gemini-3.5-flash")
    assert (crossed.status, crossed.body["error"]["type"]) == (403, "permission_error")
    assert "aiplatform.endpoints.predict" in crossed.body["error"]["message"]
    assert google.refused_tokens == 0
    mine, others = (headers["authorization"] for headers in google.headers[:2])
    assert mine != others
    assert [headers["authorization"] for headers in google.headers[2:4]] == [mine, others]
    owners = [google.accounts.owner(headers["authorization"].removeprefix("Bearer ")) for headers in google.headers]
    assert [owner and owner.project for owner in owners] == ["one", "two", "one", "two", "one"]


def test_a_key_that_was_deleted_is_told(tmp_path: Path, google: Vertex) -> None:
    with gateway(tmp_path, google) as url:
        google.accounts.accounts = ()
        reply = wire_client.message(url)
    assert reply.status in (401, 403, 500)
    assert "invalid_grant" in reply.body["error"]["message"]
    assert "one.json" in reply.body["error"]["message"]
    assert not google.asked
