"""Tokens of Google: what is asked, by whom, what the answers mean, and that nothing secret is told."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from google.auth import exceptions
from google.oauth2 import credentials as library
from msgspec import structs

from dragoman.config.settings import Secrets
from dragoman.dialects.contract import Target
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.messages.errors import ApiError
from dragoman.providers import Account, Credentials, TokenAnswer, TokenCall, TokenTask, google
from providers import google_files as files

CANARY = "ya29.canary-token"
MACHINE = Account(project="my-project")
TARGET = Target(
    provider="vertex", dialect="gemini", base_url="https://v.example", model="m", quirks=Quirks(), auth="google"
)


class Google:
    """Answers what the library asks, one after another, and keeps it."""

    def __init__(self, *answers: TokenAnswer | ApiError) -> None:
        self.asked: list[TokenCall] = []
        self._answers = list(answers)

    def __call__(self, call: TokenCall) -> TokenAnswer:
        self.asked.append(call)
        answer = self._answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.asked[-1].body.decode()).items()}


def answered(token: str = CANARY, **more: Any) -> TokenAnswer:
    return TokenAnswer(200, json.dumps({"access_token": token, "expires_in": 3599, **more}).encode())


def refusal(status: int, said: Any) -> TokenAnswer:
    return TokenAnswer(status, said if isinstance(said, bytes) else json.dumps(said).encode())


def account(tmp_path: Path, content: Any, **more: Any) -> Account:
    path = tmp_path / "credentials.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    kind = content.get("type", "") if isinstance(content, dict) else ""
    return Account(**{"file": str(path), "kind": kind, "project": "my-project", **more})


def fetched(who: Account, send: Callable[[TokenCall], TokenAnswer], loaded: dict[Account, Any] | None = None) -> Any:
    """The token, by the whole flow."""
    flow = google.fetch(who, {} if loaded is None else loaded, "vertex")
    step = next(flow)
    try:
        try:
            answer = step.run(send) if isinstance(step, TokenTask) else send(step)
        except ApiError as error:
            flow.throw(error)
        else:
            flow.send(answer)
    except StopIteration as done:
        return done.value
    raise AssertionError("one step is enough")


def refused(who: Account, *answers: TokenAnswer | ApiError) -> ApiError:
    with pytest.raises(ApiError) as caught:
        fetched(who, Google(*answers))
    for secret in (files.REFRESH, files.CLIENT_SECRET, "PRIVATE KEY", CANARY):
        assert secret not in caught.value.message
    return caught.value


class TestServiceAccount:
    def test_it_signs_what_it_asks(self, tmp_path: Path) -> None:
        send = Google(answered())
        token = fetched(account(tmp_path, files.service_account()), send)
        assert (token.text, token.further) == (CANARY, ())
        assert 3200 < token.seconds < 3300  # five minutes early
        assert (send.asked[0].method, send.asked[0].url) == ("POST", files.TOKEN_URL)
        assert send.form()["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        assert send.form()["assertion"].count(".") == 2

    def test_what_it_pays_for_can_be_another_project(self, tmp_path: Path) -> None:
        who = account(tmp_path, files.service_account(), quota_project="payer")
        assert fetched(who, Google(answered())).further == (("x-goog-user-project", "payer"),)

    def test_a_key_that_was_deleted(self, tmp_path: Path) -> None:
        who = account(tmp_path, files.service_account())
        said = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        error = refused(who, refusal(400, said))
        assert error.kind == "upstream_authentication"
        assert error.retryable is False
        assert error.message == (
            "Google refused a token for the provider vertex: invalid_grant: Invalid JWT Signature. Check that the key "
            f"in {who.file} still exists, and the clock of this machine."
        )


class TestUser:
    def test_it_sends_its_refresh_token_to_google_alone(self, tmp_path: Path) -> None:
        send = Google(answered())
        who = account(tmp_path, files.authorized_user(quota_project_id="payer", token_uri="http://evil.example"))
        assert fetched(who, send).further == (("x-goog-user-project", "payer"),)
        assert send.asked[0].url == "https://oauth2.googleapis.com/token"
        assert (send.form()["refresh_token"], send.form()["scope"]) == (files.REFRESH, google.SCOPE)

    def test_a_login_that_is_over(self, tmp_path: Path) -> None:
        who = account(tmp_path, files.authorized_user())
        error = refused(who, refusal(400, {"error": "invalid_grant", "error_description": "Bad Request"}))
        assert "invalid_grant: Bad Request. Run `gcloud auth application-default login`, or check" in error.message


@pytest.mark.parametrize(
    ("content", "answers", "asked"),
    [
        (files.impersonated(), 2, "https://iamcredentials.googleapis.com/v1/"),
        (files.federated_user(), 1, "https://sts.googleapis.com/v1/oauthtoken"),
        (files.workload(file="SUBJECT"), 1, "https://sts.googleapis.com/v1/token"),
    ],
)
def test_other_kinds(tmp_path: Path, content: dict[str, Any], answers: int, asked: str) -> None:
    subject = tmp_path / "subject"
    subject.write_text("a-token-of-another-cloud", "utf-8")
    content = json.loads(json.dumps(content).replace("SUBJECT", str(subject)))
    impersonated = answered(accessToken=CANARY, expireTime="2099-01-01T00:00:00Z", token_type="Bearer")
    send = Google(*[impersonated] * answers)
    assert fetched(account(tmp_path, content), send).text == CANARY
    assert send.asked[-1].url.startswith(asked)


def test_kinds_that_ask_elsewhere_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Amazon's metadata, and a program that must be allowed to run. Both fail here, in words."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"):
        monkeypatch.delenv(name, raising=False)
    assert "refused a token" in refused(account(tmp_path, files.on_aws())).message
    program = files.workload(executable={"command": "/bin/false"})
    assert refused(account(tmp_path, program)).kind == "upstream_authentication"


def test_the_credentials_are_kept_while_they_work(tmp_path: Path) -> None:
    who, loaded = account(tmp_path, files.authorized_user()), dict[Account, Any]()
    fetched(who, Google(answered()), loaded)
    kept = loaded[who]
    fetched(who, Google(answered()), loaded)
    assert loaded[who] is kept
    with pytest.raises(ApiError):
        fetched(who, Google(refusal(400, {"error": "invalid_grant"})), loaded)
    assert not loaded
    Path(who.file or "").write_text(json.dumps(files.authorized_user(refresh_token="newer")), "utf-8")
    send = Google(answered())
    fetched(who, send, loaded)
    assert send.form()["refresh_token"] == "newer"


@pytest.mark.failure(55)
def test_a_token_without_an_end_is_renewed_all_the_same(tmp_path: Path) -> None:
    token = fetched(account(tmp_path, files.authorized_user()), Google(refusal(200, {"access_token": CANARY})))
    assert token.seconds == 3300


class TestWhatGoesWrong:
    def test_the_library_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "google.auth", None)
        error = refused(account(tmp_path, files.authorized_user()))
        assert error.message.endswith("needs the extra `vertex`: pip install 'dragoman[vertex]'.")

    def test_the_file_is_gone(self, tmp_path: Path) -> None:
        who = structs.replace(account(tmp_path, {}), file=str(tmp_path / "absent.json"))
        assert "absent.json cannot be read" in refused(who).message

    @pytest.mark.parametrize(
        "content",
        [
            "{", "[]", "1", "{}", '{"type": "none_such"}', '{"type": "authorized_user"}',
            {**files.service_account(), "private_key": "-----BEGIN PRIVATE KEY-----\nQQ==\n-----END PRIVATE KEY-----"},
            {**files.service_account(), "private_key": 1},
            {**files.workload(), "credential_source": None},
        ],
    )  # fmt: skip
    def test_the_file_is_none(self, tmp_path: Path, content: Any) -> None:
        error = refused(account(tmp_path, content))
        assert "holds no credentials that can be used for the provider vertex" in error.message

    def test_the_network(self, tmp_path: Path) -> None:
        failure = ApiError("unreachable", "The name of oauth2.googleapis.com cannot be resolved.")
        for content in (files.authorized_user(), files.federated_user(), files.impersonated()):
            assert refused(account(tmp_path, content), failure) is failure

    def test_a_passing_fault(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda _: None)
        who = account(tmp_path, files.authorized_user())
        error = refused(who, *[refusal(503, {"error": "internal_failure"})] * 3)
        assert error.kind == "upstream_failed"
        assert error.message == "Google gave no token for the provider vertex for now (status 503). Try again."

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            (b"<html>canary-refresh-token</html>", ": status 403. "),
            ({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "No."}}, ": PERMISSION_DENIED: No. "),
            ({"anything": files.REFRESH}, ": status 403. "),
        ],
    )
    def test_only_what_oauth_says_is_told(self, tmp_path: Path, said: Any, told: str) -> None:
        assert told in refused(account(tmp_path, files.authorized_user()), refusal(403, said)).message

    def test_what_the_library_itself_cannot_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise exceptions.TransportError("certificates")

        monkeypatch.setattr(library.Credentials, "refresh", fail)
        assert ": transport. " in refused(account(tmp_path, files.authorized_user())).message


class TestMachine:
    def test_it_asks_the_metadata_server(self) -> None:
        send = Google(answered())
        assert fetched(MACHINE, send).text == CANARY
        call = send.asked[0]
        assert call.method == "GET"
        assert call.url == (
            "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
            "?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"
        )
        assert call.headers == (("metadata-flavor", "Google"),)

    def test_where_there_is_none(self) -> None:
        error = refused(MACHINE, ApiError("unreachable", "No such name."))
        assert error.kind == "upstream_authentication"
        assert "Run `gcloud auth application-default login` and restart dragoman" in error.message

    def test_a_machine_without_a_service_account(self) -> None:
        error = refused(MACHINE, refusal(404, b"not JSON"))
        assert "status 404. Attach a service account with the scope `cloud-platform`" in error.message
        assert refused(MACHINE, refusal(503, b"")).kind == "upstream_failed"

    def test_a_token_that_is_none(self) -> None:
        assert "refused a token" in refused(MACHINE, answered("two words")).message


class TestSigning:
    def signed(self, credentials: Credentials, target: Target, token: str) -> None:
        flow = credentials.flow(target, 0.0)
        next(flow)
        with pytest.raises(StopIteration):
            flow.send(answered(token))

    @pytest.mark.failure(55)
    def test_two_projects_never_share_a_token(self) -> None:
        owners = {
            "vertex": MACHINE,
            "twin": MACHINE,
            "project": structs.replace(MACHINE, project="other"),
            "payer": structs.replace(MACHINE, quota_project="other"),
            "file": structs.replace(MACHINE, file="other.json"),
            "host": structs.replace(MACHINE, metadata="other"),
        }
        credentials = Credentials(Secrets({}), owners)
        self.signed(credentials, TARGET, "a-token")
        for name in ("project", "payer", "file", "host"):
            assert credentials.headers(structs.replace(TARGET, provider=name), 0.0) is None
        twin = structs.replace(TARGET, provider="twin")
        assert credentials.headers(twin, 0.0) == (("authorization", "Bearer a-token"),)
        assert credentials.owner(twin) == credentials.owner(TARGET)

    @pytest.mark.failure(55)
    def test_a_token_is_renewed_by_its_own_end_and_when_it_is_refused(self) -> None:
        credentials = Credentials(Secrets({}), {"vertex": structs.replace(MACHINE, quota_project="payer")})
        assert credentials.headers(TARGET, 0.0) is None
        self.signed(credentials, TARGET, "old")
        old = credentials.headers(TARGET, 3298.0)
        assert old == (("authorization", "Bearer old"), ("x-goog-user-project", "payer"))
        assert credentials.headers(TARGET, 3300.0) is None
        assert credentials.refused(TARGET, old)
        assert credentials.headers(TARGET, 0.0) is None

    def test_who_is_nobody(self) -> None:
        with pytest.raises(ApiError, match="of the provider vertex has no account of Google"):
            Credentials(Secrets({}), {}).headers(TARGET, 0.0)

    @pytest.mark.failure(136)
    def test_nothing_that_is_printed_holds_a_secret(self, tmp_path: Path) -> None:
        who = account(tmp_path, files.authorized_user())
        credentials = Credentials(Secrets({}), {"vertex": who})
        flow = credentials.flow(TARGET, 0.0)
        step = next(flow)
        assert isinstance(step, TokenTask)
        send = Google(answered())
        with pytest.raises(StopIteration):
            flow.send(step.run(send))
        shown = repr(credentials) + repr(vars(credentials)) + repr(step) + repr(send.asked) + repr(who)
        shown += repr(google._Response(200, answered().body))
        for secret in (CANARY, files.REFRESH, files.CLIENT_SECRET):
            assert secret not in shown


def test_whether_the_library_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert google.installed()
    monkeypatch.setattr(google, "find_spec", lambda _: None)
    assert not google.installed()

    def nothing(_: str) -> None:
        raise ModuleNotFoundError

    monkeypatch.setattr(google, "find_spec", nothing)
    assert not google.installed()
