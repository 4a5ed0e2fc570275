"""Variables of older proxies -> what a dragoman.yaml would say, and who wins."""

from pathlib import Path

import pytest

from dragoman import config
from dragoman.config import Config, ConfigError, Leads

CANARY = "sk-canary-0123456789"
ALL = {"OPENAI_API_KEY": CANARY, "GEMINI_API_KEY": CANARY, "ANTHROPIC_API_KEY": CANARY}


def loaded(folder: Path, text: str = "", **environ: str) -> Config:
    (folder / "dragoman.yaml").write_text(text, "utf-8")
    return config.load(path=None, environ=environ, folder=folder, home=folder)[0]


def problems(folder: Path, text: str = "", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **environ)
    assert CANARY not in str(caught.value)
    return str(caught.value)


def where(found: Config, name: str) -> tuple[str, ...]:
    return dict(found.models)[name].names


class TestModels:
    @pytest.mark.parametrize(
        ("environ", "big", "small"),
        [
            ({"BIG_MODEL": "a"}, ["openai/a"], ["openai/gpt-4.1-mini"]),
            ({"BIG_MODEL": "openai/a", "SMALL_MODEL": "gemini/b"}, ["openai/a"], ["gemini/b"]),
            ({"BIG_MODEL": "groq/openai/gpt-oss"}, ["groq/openai/gpt-oss"], ["openai/gpt-4.1-mini"]),
            ({"BIG_MODEL": "meta-llama/llama"}, ["openai/meta-llama/llama"], ["openai/gpt-4.1-mini"]),
            ({"BIG_MODEL": "vertex_ai/gemini-x"}, ["vertex/gemini-x"], ["openai/gpt-4.1-mini"]),
            ({"BIG_MODEL": "gemini-x"}, ["openai/gemini-x"], ["openai/gpt-4.1-mini"]),
            ({"BIG_MODEL": "passthrough"}, ["passthrough"], ["passthrough"]),
            ({"BIG_MODEL": "passthrough", "SMALL_MODEL": "b"}, ["passthrough"], ["openai/b"]),
            ({"OPENAI_MODEL": "deepseek/x"}, ["openai/deepseek/x"], ["openai/deepseek/x"]),
            ({"OPENAI_MODEL": "openai/x", "SMALL_MODEL": "y"}, ["openai/x"], ["openai/y"]),
            (
                {"PREFERRED_PROVIDER": "Google", "BIG_MODEL": "gemini-x"},
                ["gemini/gemini-x", "openai/gpt-4.1"],
                ["gemini/gemini-2.5-flash", "openai/gpt-4.1-mini"],
            ),
            (
                {"PREFERRED_PROVIDER": "google", "BIG_MODEL": "gpt-x"},
                ["openai/gpt-x"],
                ["gemini/gemini-2.5-flash", "openai/gpt-4.1-mini"],
            ),
            (
                {"PREFERRED_PROVIDER": "anthropic"},
                ["passthrough", "openai/gpt-4.1"],
                ["passthrough", "openai/gpt-4.1-mini"],
            ),
            (
                {"PREFERRED_PROVIDER": "azure", "BIG_MODEL": "my-deployment"},
                ["azure/my-deployment", "openai/gpt-4.1"],
                ["azure/gpt-4.1-mini", "openai/gpt-4.1-mini"],
            ),
        ],
    )
    def test_big_and_small(self, tmp_path: Path, environ: dict[str, str], big: list[str], small: list[str]) -> None:
        found = loaded(tmp_path, **ALL, **environ)
        assert list(where(found, "sonnet")) == list(where(found, "opus")) == list(where(found, "claude-*")) == big
        assert list(where(found, "haiku")) == small
        assert (
            found.sources[0]
            == ", ".join(
                name for name in ("PREFERRED_PROVIDER", "BIG_MODEL", "SMALL_MODEL", "OPENAI_MODEL") if name in environ
            )
            + " (docs/migrating.md)"
        )

    def test_without_openais_key_nothing_stands_behind_and_nothing_else_is_openais(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, GEMINI_API_KEY=CANARY, PREFERRED_PROVIDER="google")
        assert where(found, "sonnet") == ("gemini/gemini-2.5-pro",)
        assert [name for name, _ in found.models if name != name.strip("*")] == ["claude-*", "gemini-*"]

    def test_a_provider_that_there_is_not(self, tmp_path: Path) -> None:
        told = problems(tmp_path, PREFERRED_PROVIDER="x")
        assert told == "environment: PREFERRED_PROVIDER: expected one of `openai`, `google`, `azure`, `anthropic`."

    def test_the_thinker(self, tmp_path: Path) -> None:
        assert loaded(tmp_path, **ALL, THINKER_MODEL="gpt-4o").thinker.names == ("openai/gpt-4o",)
        assert loaded(tmp_path, **ALL, THINKER_MODEL="x", BIG_MODEL="passthrough").thinker.names == ()
        assert loaded(tmp_path, "thinker: [openai/a, sonnet]", **ALL, THINKER_MODEL="x").thinker.names == (
            "openai/a",
            "sonnet",
        )
        found = loaded(tmp_path, "thinker: groq/a", GROQ_API_KEY=CANARY)
        assert (found.thinker.names, found.models) == (("groq/a",), ())
        assert "thinker: leads nowhere" in problems(tmp_path, "thinker: nowhere", **ALL)
        assert "thinker.a: expected a number" in problems(tmp_path, "thinker: {a: b}", **ALL)

    def test_the_file_is_stronger(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, "models: {sonnet: openai/x}", **ALL, BIG_MODEL="y", THINKER_MODEL="z")
        assert found.models == (("sonnet", Leads.to("openai/x")),)
        assert not found.thinker
        assert found.sources == (str(tmp_path / "dragoman.yaml"), "environment")


class TestUpstream:
    @pytest.mark.parametrize(
        ("url", "base"),
        [
            ("https://v1.example", "https://v1.example/v1"),
            ("http://h:9/v1/", "http://h:9/v1"),
            ("https://h/openai", "https://h/openai/v1"),
            ("https://h/v1beta/openai", "https://h/v1beta/openai"),
            ("https://h/anthropic", "https://h/anthropic"),
        ],
    )
    def test_its_address(self, tmp_path: Path, url: str, base: str) -> None:
        found = loaded(tmp_path, UPSTREAM_BASE_URL=url)
        assert found.providers["upstream"].template.base_url == base
        assert found.providers["upstream"].ready
        assert found.models == ()

    def test_names_that_lead_there(self, tmp_path: Path) -> None:
        lines = {"UPSTREAM_BASE_URL": "http://h", "UPSTREAM_API_KEY": CANARY, "UPSTREAM_MODEL": "m/x"}
        found = loaded(tmp_path, **lines, **ALL)
        assert next(iter(found.providers)) == "upstream"
        assert where(found, "sonnet") == where(found, "haiku") == ("upstream/m/x",)
        found = loaded(tmp_path, **lines, **ALL, CUSTOM_MODEL_NAME="mine", BIG_MODEL="big")
        assert where(found, "mine") == ("upstream/m/x",)
        assert where(found, "sonnet") == ("openai/big",)
        assert "UPSTREAM_MODEL, CUSTOM_MODEL_NAME (" in found.sources[0]
        found = loaded(tmp_path, "providers: {openai: {}}", **lines)
        assert (list(found.providers), found.models) == (["openai"], ())

    def test_an_address_that_is_none(self, tmp_path: Path) -> None:
        assert "providers.upstream.base_url" in problems(tmp_path, UPSTREAM_BASE_URL="http://[", UPSTREAM_MODEL="m")


class TestServer:
    def test_settings(self, tmp_path: Path) -> None:
        found = loaded(
            tmp_path, SERVER_HOST="::1", SERVER_PORT="9", AUTH_TOKEN="a-token", LITELLM_MASTER_KEY="b", VERBOSE="1"
        )
        assert (found.server.host, found.server.port, found.server.auth_token) == ("::1", 9, "a-token")
        assert found.logs.level == "debug"
        assert "a-token" not in repr(found.server.auth_token)
        assert loaded(tmp_path, LITELLM_MASTER_KEY="b", VERBOSE="false").server.auth_token == "b"

    def test_dragomans_own_are_stronger(self, tmp_path: Path) -> None:
        text = "server: {host: 127.0.0.2, auth_token: t}\nlogs: {level: error}\n"
        older = {"SERVER_HOST": "::1", "SERVER_PORT": "9", "AUTH_TOKEN": "a", "VERBOSE": "true"}
        found = loaded(tmp_path, text, **older, DRAGOMAN_PORT="10")
        assert (found.server.host, found.server.port, found.server.auth_token) == ("127.0.0.2", 10, "t")
        assert found.logs.level == "error"

    def test_a_port_that_is_none(self, tmp_path: Path) -> None:
        assert "SERVER_PORT: expected a whole number" in problems(tmp_path, SERVER_PORT="x")
