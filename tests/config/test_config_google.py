"""Google: keys of AI Studio, projects and locations of Vertex AI, and whose credentials sign."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.config import Config, ConfigError, Provider, Secrets
from dragoman.config.google import Found, credentials, gcloud_folder
from dragoman.providers import Account

CANARY = "canary-0123456789"
STUDIO = "https://generativelanguage.googleapis.com/v1beta"
PROJECT = {"VERTEX_PROJECT": "my-project"}
USER = {"type": "authorized_user", "refresh_token": CANARY, "quota_project_id": "payer"}
ROBOT = {"type": "service_account", "private_key": CANARY, "project_id": "robots"}


def everything(tmp_path: Path, providers: str | None, **environ: str) -> tuple[Config, Secrets]:
    (tmp_path / "dragoman.yaml").write_text(f"providers: {{{providers}}}\n" if providers else "", "utf-8")
    found, secrets = config.load(path=None, environ=environ, folder=tmp_path, home=tmp_path)
    assert CANARY not in repr(found)
    return found, secrets


def load(tmp_path: Path, entry: str | None, name: str = "vertex", **environ: str) -> Provider:
    found = everything(tmp_path, f"{name}: {entry}" if entry else None, **environ)[0].providers[name]
    assert found.name == found.template.provider == name
    return found


def problem(tmp_path: Path, entry: str, name: str = "vertex", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, entry, name, **environ)
    (found,) = caught.value.problems
    return str(found).partition("dragoman.yaml:")[2]


def written(path: Path, content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return str(path)


def gcloud(tmp_path: Path, content: Any = USER) -> str:
    return written(tmp_path / ".config" / "gcloud" / "application_default_credentials.json", content)


class TestStudio:
    @pytest.mark.failure(56)
    @pytest.mark.parametrize("variable", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
    def test_a_key_goes_into_a_header(self, tmp_path: Path, variable: str) -> None:
        found = load(tmp_path, None, "gemini", **{variable: CANARY})
        target, chat = found.template, found.others[0]
        assert (target.dialect, target.base_url, target.auth, target.key) == (
            "gemini",
            STUDIO,
            "x-goog-api-key",
            variable,
        )
        assert (target.query, chat.query) == ("", "")
        assert (chat.dialect, chat.base_url, chat.auth) == ("chat", f"{STUDIO}/openai", "bearer")
        assert (found.ready, found.why) == (True, f"{variable} is set")

    def test_one_key_wins(self, tmp_path: Path) -> None:
        found = load(tmp_path, None, "gemini", GEMINI_API_KEY="b", GOOGLE_API_KEY="a")
        assert found.why == "GOOGLE_API_KEY is set"

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:9", "http://127.0.0.1:9/", "http://127.0.0.1:9/v1beta", "http://127.0.0.1:9/v1beta/openai/",
            "http://127.0.0.1:9/v1beta/models", "http://127.0.0.1:9/v1beta/models/gemini-3:generateContent",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("where", ["GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "file"])
    def test_another_address(self, tmp_path: Path, url: str, where: str) -> None:
        entry, environ = ("{}", {where: url}) if where != "file" else (f"{{base_url: '{url}'}}", {})
        found = load(tmp_path, entry, "gemini", GEMINI_API_KEY="k", **environ)
        assert found.template.base_url == "http://127.0.0.1:9/v1beta"
        assert found.others[0].base_url == "http://127.0.0.1:9/v1beta/openai"

    def test_another_version_is_kept(self, tmp_path: Path) -> None:
        found = load(tmp_path, "{}", "gemini", GEMINI_API_KEY="k", GEMINI_BASE_URL="https://g.example/v1")
        assert found.template.base_url == "https://g.example/v1"

    def test_how_it_is_signed_can_be_said(self, tmp_path: Path) -> None:
        found = load(tmp_path, "{auth: bearer, dialect: chat}", "gemini", GEMINI_API_KEY="k")
        assert [(each.dialect, each.auth) for each in (found.template, *found.others)] == [
            ("chat", "bearer"), ("gemini", "bearer"),
        ]  # fmt: skip

    def test_a_server_of_ones_own(self, tmp_path: Path) -> None:
        entry = "{dialect: gemini, base_url: 'http://127.0.0.1:9/v1beta', api_key: k, auth: x-goog-api-key}"
        found = load(tmp_path, entry, "lab")
        assert (found.template.dialect, found.template.auth, found.others) == ("gemini", "x-goog-api-key", ())


class TestWhere:
    @pytest.mark.failure(54)
    @pytest.mark.parametrize(
        ("location", "host"),
        [
            ("global", "aiplatform.googleapis.com"),
            ("eu", "aiplatform.eu.rep.googleapis.com"),
            ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ],
    )
    def test_the_location_decides_the_host(self, tmp_path: Path, location: str, host: str) -> None:
        found = load(tmp_path, f"{{location: {location}}}", **PROJECT)
        url = f"https://{host}/v1/projects/my-project/locations/{location}/publishers/google"
        assert found.template.base_url == url
        assert found.where == f"project my-project, location {location}"
        (claude,) = found.others
        assert (claude.dialect, claude.base_url) == ("anthropic", url.replace("/google", "/anthropic"))

    @pytest.mark.parametrize(
        ("entry", "environ", "where"),
        [
            ("{}", {"GOOGLE_CLOUD_PROJECT": "b", "VERTEX_PROJECT": "a"}, "project a, location global"),
            ("{}", {"GOOGLE_CLOUD_PROJECT": "b"}, "project b, location global"),
            ("{project: c}", {"VERTEX_PROJECT": "a"}, "project c, location global"),
            ("{location: eu}", {**PROJECT, "VERTEX_LOCATION": "us"}, "project my-project, location eu"),
            ("{}", {**PROJECT, "CLOUD_ML_REGION": "us-east5"}, "project my-project, location us-east5"),
            (
                "{}",
                {**PROJECT, "CLOUD_ML_REGION": "us-east5", "GOOGLE_CLOUD_LOCATION": "europe-west1"},
                "project my-project, location europe-west1",
            ),
            (
                "{}",
                {**PROJECT, "VERTEX_LOCATION": "EU ", "GOOGLE_CLOUD_LOCATION": "us"},
                "project my-project, location eu",
            ),
        ],
    )
    def test_who_says_it(self, tmp_path: Path, entry: str, environ: dict[str, str], where: str) -> None:
        assert load(tmp_path, entry, **environ).where == where

    def test_the_project_of_the_credentials(self, tmp_path: Path) -> None:
        file = written(tmp_path / "robot.json", ROBOT)
        assert load(tmp_path, f"{{credentials_file: '{file}'}}").where == "project robots, location global"
        gcloud(tmp_path)
        assert load(tmp_path, "{}").where == "project payer, location global"

    @pytest.mark.parametrize(
        ("url", "made"),
        [
            ("http://127.0.0.1:9", "http://127.0.0.1:9/v1/projects/my-project/locations/global/publishers/google"),
            ("p.example/v1beta1", "https://p.example/v1beta1/projects/my-project/locations/global/publishers/google"),
            (
                "https://p.example/v1/projects/a/locations/eu",
                "https://p.example/v1/projects/a/locations/eu/publishers/google",
            ),
        ],
    )
    @pytest.mark.parametrize("variable", ["VERTEX_BASE_URL", "GOOGLE_VERTEX_BASE_URL", ""])
    def test_another_address(self, tmp_path: Path, url: str, made: str, variable: str) -> None:
        entry = "{}" if variable else f"{{base_url: '{url}'}}"
        environ = {**PROJECT, **({variable: url} if variable else {})}
        assert load(tmp_path, entry, **environ).template.base_url == made

    @pytest.mark.parametrize(
        ("environ", "why"),
        [
            ({}, "set VERTEX_PROJECT or GOOGLE_CLOUD_PROJECT"),
            ({"GOOGLE_CLOUD_PROJECT": "a/b"}, "GOOGLE_CLOUD_PROJECT is no project"),
            ({**PROJECT, "VERTEX_LOCATION": "the moon"}, "VERTEX_LOCATION is no location"),
            ({**PROJECT, "VERTEX_BASE_URL": "http://p.example"}, "VERTEX_BASE_URL must begin with https://"),
        ],
    )
    def test_why_it_is_not_ready(self, tmp_path: Path, environ: dict[str, str], why: str) -> None:
        found = load(tmp_path, "{}", **environ)
        assert (found.ready, found.where) == (False, "")
        assert found.why.startswith(why)

    def test_credentials_that_name_no_project(self, tmp_path: Path) -> None:
        gcloud(tmp_path, {**USER, "quota_project_id": "no project"})
        assert load(tmp_path, "{}").why.startswith("the credentials: project is no project")

    @pytest.mark.parametrize(
        ("entry", "told"),
        [
            ("{project: 'a b'}", "vertex.project: is no project"),
            ("{location: 'a b'}", "vertex.location: is no location"),
            ("{base_url: 'http://p.example'}", "vertex.base_url: must begin with https://"),
            ("{api_version: v1}", "vertex.api_version: only `azure`, or `preset: azure`"),
        ],
    )
    def test_what_the_file_must_not_say(self, tmp_path: Path, entry: str, told: str) -> None:
        assert told in problem(tmp_path, entry, **PROJECT)

    def test_what_others_must_not_say(self, tmp_path: Path) -> None:
        assert "only `vertex`, or `preset: vertex`" in problem(tmp_path, "{project: p}", "openai")
        assert "is for `auth: google`" in problem(tmp_path, "{credentials_file: f}", "openai")
        told = problem(tmp_path, "{base_url: 'http://x.example', auth: google}", "lab")
        assert "base_url: must begin with https://" in told

    def test_state_is_of_one_place(self, tmp_path: Path) -> None:
        """AI Studio and Vertex AI refuse each other's signatures."""
        found = everything(
            tmp_path, "gemini: {}, vertex: {}, eu: {preset: vertex, location: eu}", **PROJECT, GEMINI_API_KEY="k"
        )[0]
        assert len({each.template.state_scope for each in found.providers.values()}) == 3


class TestWho:
    def test_the_file_of_the_configuration(self, tmp_path: Path) -> None:
        gcloud(tmp_path)
        file = written(tmp_path / "robot.json", ROBOT)
        other = written(tmp_path / "other.json", USER)
        entry = f"{{credentials_file: '{file}'}}"
        found = load(tmp_path, entry, **PROJECT, GOOGLE_APPLICATION_CREDENTIALS=other, GOOGLE_CLOUD_QUOTA_PROJECT="q")
        assert (found.template.auth, found.template.key, found.ready) == ("google", None, True)
        assert found.why == f"signs as the service account in {file} (credentials_file)"
        assert found.identity == Account(file=file, kind="service_account", project="my-project", quota_project="q")

    def test_the_file_of_the_variable(self, tmp_path: Path) -> None:
        gcloud(tmp_path)
        file = written(tmp_path / "robot.json", ROBOT)
        found = load(tmp_path, None, **PROJECT, GOOGLE_APPLICATION_CREDENTIALS=file)
        assert found.why == f"signs as the service account in {file} (GOOGLE_APPLICATION_CREDENTIALS)"

    def test_what_gcloud_left(self, tmp_path: Path) -> None:
        file = gcloud(tmp_path)
        assert load(tmp_path, None, **PROJECT).why == f"signs as the user in {file} (gcloud)"

    def test_where_gcloud_leaves_it(self, tmp_path: Path) -> None:
        assert gcloud_folder({}, tmp_path, windows=False) == tmp_path / ".config" / "gcloud"
        assert gcloud_folder({}, tmp_path, windows=True) == tmp_path / "AppData" / "Roaming" / "gcloud"
        assert gcloud_folder({"APPDATA": "/a"}, tmp_path, windows=True) == Path("/a/gcloud")
        assert gcloud_folder({"CLOUDSDK_CONFIG": "/c", "APPDATA": "/a"}, tmp_path, windows=True) == Path("/c")

    def test_the_machine_itself(self, tmp_path: Path) -> None:
        settings, secrets = everything(tmp_path, None, **PROJECT, GCE_METADATA_HOST="127.0.0.1:9", NO_PROXY="a.example")
        found = settings.providers["vertex"]
        assert found.identity == Account(project="my-project", metadata="127.0.0.1:9")
        assert (found.ready, found.why) == (True, "signs as this machine's own service account (metadata server)")
        assert settings.no_proxy == ("a.example", "127.0.0.1:9", "metadata.google.internal", "169.254.169.254")
        assert repr(secrets) == "Secrets()"

    @pytest.mark.failure(55)
    def test_each_project_has_its_own(self, tmp_path: Path) -> None:
        file = written(tmp_path / "robot.json", ROBOT)
        settings, _ = everything(
            tmp_path,
            "vertex: {project: a}, b: {preset: vertex, project: b}, c: {preset: vertex, project: a, location: eu}, "
            f"d: {{preset: vertex, project: a, credentials_file: '{file}'}}",
        )
        owners = settings.identities
        assert len(set(owners.values())) == 3
        assert owners["vertex"] == owners["c"]

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (
                None,
                "credentials_file is FILE: No such file or directory; or run `gcloud auth application-default login`",
            ),
            ("{", "credentials_file is FILE, which holds no credentials of a known type"),
            ({"type": "api_key"}, "credentials_file is FILE, which holds no credentials of a known type"),
            ([CANARY], "credentials_file is FILE, which holds no credentials of a known type"),
        ],
    )
    def test_a_file_that_is_none(self, tmp_path: Path, content: Any, why: str) -> None:
        file = str(tmp_path / "f.json") if content is None else written(tmp_path / "f.json", content)
        found = load(tmp_path, f"{{credentials_file: '{file}'}}", **PROJECT)
        assert (found.ready, found.why) == (False, why.replace("FILE", file))

    def test_the_library_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dragoman.providers.google.find_spec", lambda _: None)
        file = gcloud(tmp_path)
        found = load(tmp_path, None, **PROJECT)
        assert found.why == f"signs as the user in {file} (gcloud), which needs: pip install 'dragoman[vertex]'"
        assert not found.ready
        Path(file).unlink()
        assert load(tmp_path, None, **PROJECT).ready

    def test_any_server_may_be_signed_for(self, tmp_path: Path) -> None:
        found = load(tmp_path, "{base_url: 'https://run.example/v1', auth: google}", "lab")
        assert (found.template.auth, found.identity, found.ready) == ("google", Account(), True)
        found = load(tmp_path, "{auth: google}", "openai", OPENAI_BASE_URL="http://x.example/v1")
        assert (found.ready, found.why) == (False, "tokens go to base_url, which must begin with https://")

    def test_a_key_for_vertex(self, tmp_path: Path) -> None:
        found = load(tmp_path, "{api_key: k}", **PROJECT)
        assert (found.template.auth, found.template.key, found.identity) == ("x-goog-api-key", "vertex.api_key", None)

    def test_nothing_is_looked_for_in_a_home_that_is_a_file(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.write_text("", "utf-8")
        assert credentials(None, {}, home) == Found(why="signs as this machine's own service account (metadata server)")


class TestEnvironment:
    @pytest.mark.parametrize(
        ("environ", "active"),
        [
            ({"GOOGLE_CLOUD_PROJECT": "p"}, False),
            ({"GOOGLE_APPLICATION_CREDENTIALS": "/f"}, False),
            ({"VERTEX_LOCATION": "eu"}, False),
            ({"VERTEX_PROJECT": "p"}, True),
            ({"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "global"}, True),
            ({"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_APPLICATION_CREDENTIALS": "/f"}, True),
        ],
    )
    def test_what_asks_for_vertex(self, tmp_path: Path, environ: dict[str, str], active: bool) -> None:
        assert ("vertex" in everything(tmp_path, None, **environ)[0].providers) is active

    @pytest.mark.parametrize("value", ["true", "TRUE", "1", "yes", "on "])
    @pytest.mark.parametrize(
        "variable", ["USE_VERTEX_AUTH", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE"]
    )
    def test_gemini_on_vertex(self, tmp_path: Path, variable: str, value: str) -> None:
        settings = everything(tmp_path, None, **PROJECT, **{variable: value}, GEMINI_API_KEY="k")[0]
        assert list(settings.providers) == ["gemini"]
        found = settings.providers["gemini"]
        assert (found.preset, found.template.auth) == ("vertex", "google")
        assert found.template.base_url.startswith("https://aiplatform.googleapis.com/v1/projects/my-project/")
        assert found.why.endswith(f"; {variable} sends it to Google Vertex AI")
        assert load(tmp_path, "{}", "gemini", **PROJECT, **{variable: value}) == found

    @pytest.mark.parametrize("value", ["false", "0", "", "no"])
    def test_gemini_at_ai_studio(self, tmp_path: Path, value: str) -> None:
        environ = {**PROJECT, "USE_VERTEX_AUTH": value, "GEMINI_API_KEY": "k"}
        settings = everything(tmp_path, None, **environ)[0]
        assert list(settings.providers) == ["gemini", "vertex"]
        assert settings.providers["gemini"].template.base_url == STUDIO

    def test_what_the_file_says_stays(self, tmp_path: Path) -> None:
        environ = {**PROJECT, "USE_VERTEX_AUTH": "true"}
        assert load(tmp_path, "{api_key: k}", "gemini", **environ).template.base_url == STUDIO
        found = load(tmp_path, "{base_url: 'http://127.0.0.1:9'}", "gemini", **environ, GEMINI_API_KEY="k")
        assert found.template.auth == "x-goog-api-key"
        found = load(tmp_path, "{preset: gemini, location: eu}", "mine", **environ)
        assert found.where == "project my-project, location eu"

    def test_a_switch_without_a_project_is_told(self, tmp_path: Path) -> None:
        found = load(tmp_path, None, "gemini", USE_VERTEX_AUTH="true")
        assert not found.ready
        assert found.why.startswith("set VERTEX_PROJECT or GOOGLE_CLOUD_PROJECT")


def test_the_library_is_not_imported_to_read_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "google"]:
        monkeypatch.delitem(sys.modules, name)
    gcloud(tmp_path)
    assert load(tmp_path, None, **PROJECT).ready
    assert not any(name.startswith("google.auth.") for name in sys.modules)
