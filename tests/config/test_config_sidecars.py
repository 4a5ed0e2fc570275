"""`litellm`: what its process gets, when it is ready, and what it does not take."""

from pathlib import Path

import pytest

from dragoman import config
from dragoman.config import Config, ConfigError, Secrets
from dragoman.config.sidecars import data_folder

CANARY = "canary-0123456789"


def load(tmp_path: Path, text: str = "", **environ: str) -> tuple[Config, Secrets]:
    (tmp_path / "dragoman.yaml").write_text(text, "utf-8")
    found = config.load(path=None, environ=environ, folder=tmp_path, home=tmp_path)
    assert CANARY not in repr(found)
    return found


def install(tmp_path: Path) -> None:
    place = config.environment("litellm", {}, tmp_path)
    place.folder.mkdir(parents=True)
    place.finish()


def test_it_gets_what_is_named_and_what_every_program_needs(tmp_path: Path) -> None:
    install(tmp_path)
    text = "providers: {litellm: {environment: [REPLICATE_API_KEY, AWS_REGION]}}"
    further = {
        "REPLICATE_API_KEY": CANARY,
        "AWS_REGION": "eu",
        "OPENAI_API_KEY": CANARY,
        "HTTPS_PROXY": f"http://{CANARY}@p",
    }
    found, secrets = load(tmp_path, text, PATH="/bin", **further)
    provider = found.providers["litellm"]
    assert (provider.ready, provider.why) == (True, "needs no key")
    assert (provider.template.base_url, provider.template.auth) == ("http://litellm.invalid/v1", "none")
    sidecar = provider.sidecar
    assert sidecar is not None
    assert sidecar.folder == tmp_path / ".local" / "share" / "dragoman" / "litellm"
    assert {name: secrets[label] for name, label in sidecar.keys} == {"REPLICATE_API_KEY": CANARY, "AWS_REGION": "eu"}
    assert dict(sidecar.variables) == {"PATH": "/bin", "HTTPS_PROXY": f"http://{CANARY}@p"}


def test_by_variables_alone(tmp_path: Path) -> None:
    install(tmp_path)
    found, _ = load(tmp_path, LITELLM_ENVIRONMENT="REPLICATE_API_KEY, ,", REPLICATE_API_KEY=CANARY)
    sidecar = found.providers["litellm"].sidecar
    assert sidecar is not None
    assert sidecar.keys == (("REPLICATE_API_KEY", "litellm.environment.REPLICATE_API_KEY"),)


def test_two_of_them_are_two_processes(tmp_path: Path) -> None:
    found, _ = load(tmp_path, "providers: {litellm: {}, other: {preset: litellm}}")
    assert found.providers["other"].template.base_url == "http://other.invalid/v1"
    assert found.providers["other"].why == "run: dragoman install litellm"


@pytest.mark.parametrize("installed", [True, False])
def test_what_is_missing_is_said(tmp_path: Path, *, installed: bool) -> None:
    if installed:
        install(tmp_path)
    found, _ = load(tmp_path, "providers: {litellm: {environment: [A_KEY, B_KEY]}}")
    provider = found.providers["litellm"]
    assert not provider.ready
    assert provider.why == ("set A_KEY and B_KEY" if installed else "run: dragoman install litellm")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "litellm: {base_url: 'http://x'}",
            "providers.litellm.base_url: is for a server of your own: `preset:",
        ),
        ("litellm: {api_key: k}", "providers.litellm.api_key: is for a server of your own: `preset: litellm-proxy`."),
        ("groq: {environment: [A]}", "providers.groq.environment: only `litellm`, or `preset: litellm`, has this"),
    ],
)
def test_settings_of_others(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=r".") as caught:
        load(tmp_path, f"providers: {{{text}}}")
    assert problem in str(caught.value.problems[0])


def test_where_it_is_installed() -> None:
    home = Path("/home/me")
    assert data_folder({}, home, windows=False) == Path("/home/me/.local/share/dragoman")
    assert data_folder({"XDG_DATA_HOME": "/data"}, home, windows=False) == Path("/data/dragoman")
    assert data_folder({"XDG_DATA_HOME": "data"}, home, windows=False) == Path("/home/me/.local/share/dragoman")
    assert data_folder({"LOCALAPPDATA": "/local"}, home, windows=True) == Path("/local/dragoman")
