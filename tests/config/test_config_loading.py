"""File, `.env` and environment -> the configuration."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dragoman import config
from dragoman.config import Config, ConfigError, Leads, Secrets
from dragoman.config.settings import Logs, Server
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.responses import quirks as responses
from dragoman.providers import presets
from dragoman.providers.presets import Language

CANARY = "sk-canary-0123456789"


class House:
    """A folder to work in, and a home."""

    def __init__(self, path: Path) -> None:
        self.folder = path / "work"
        self.home = path / "home"
        self.folder.mkdir()
        self.home.mkdir()
        self.file = self.folder / "dragoman.yaml"

    def load(self, text: str | None = None, path: Path | None = None, **environ: str) -> tuple[Config, Secrets]:
        if text is not None:
            self.file.write_text(text, "utf-8")
        return config.load(path=path, environ=environ, folder=self.folder, home=self.home)

    def problems(self, text: str | None = None, path: Path | None = None, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.load(text, path, **environ)
        told = [str(problem) for problem in caught.value.problems]
        assert str(caught.value) == "\n".join(told)
        assert CANARY not in str(caught.value)
        return [each.removeprefix(f"{self.file}:") for each in told]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


ISSUE = """
server: {host: 127.0.0.1, port: 8082, workers: 1, auth_token: "${AUTH_TOKEN:-}"}
providers:
  deepseek: {}
  lab: {dialect: chat, base_url: "http://127.0.0.1:9000/v1", api_key: "${LAB_KEY}",
        quirks: {reasoning_in: reasoning_content}}
models:
  opus: deepseek/deepseek-reasoner
  sonnet: lab/some-model
  haiku: lab/small-model
  "claude-*": sonnet
  fast: [cerebras/qwen-3-coder-480b, groq/llama-4-maverick]
"""


def test_the_shape_that_is_documented(house: House) -> None:
    found, secrets = house.load(ISSUE, LAB_KEY=CANARY, GROQ_API_KEY="g")
    assert found.server == Server()
    assert list(found.providers) == ["deepseek", "lab", "cerebras", "groq"]
    assert found.models[-1] == ("fast", Leads.to("cerebras/qwen-3-coder-480b", "groq/llama-4-maverick"))
    assert [name for name, _ in found.models] == ["opus", "sonnet", "haiku", "claude-*", "fast"]
    lab = found.providers["lab"]
    assert lab.ready
    assert lab.template.key == "lab.api_key"
    assert secrets["lab.api_key"] == CANARY
    assert lab.template.base_url == "http://127.0.0.1:9000/v1"
    assert lab.template.quirks == Quirks(reasoning_in="reasoning_content")
    assert lab.settled == {"chat": ("reasoning_in",)}
    deepseek = found.providers["deepseek"]
    assert not deepseek.ready
    assert deepseek.why == "set DEEPSEEK_API_KEY"
    assert "DEEPSEEK_API_KEY" not in secrets
    assert found.providers["groq"].why == "GROQ_API_KEY is set"
    assert not found.demo
    assert found.sources == (str(house.file), "environment")


class TestNothingConfigured:
    def test_no_key_at_all_is_the_demo(self, house: House) -> None:
        found, secrets = house.load()
        assert found.demo
        assert found == Config(demo=True, sources=("environment",))
        assert repr(secrets) == "Secrets()"

    @pytest.mark.parametrize("name", [name for name, preset in presets().items() if not preset.local])
    def test_each_key_in_the_environment_makes_its_provider_active(self, house: House, name: str) -> None:
        for key in presets()[name].keys:
            found, secrets = house.load(
                None,
                None,
                **{key: CANARY},
                ANTHROPIC_FOUNDRY_RESOURCE="r1" if name == "foundry" else "",
                AWS_REGION="eu-west-1",
                AZURE_OPENAI_ENDPOINT="r1" if name == "azure" else "",
                CLOUDFLARE_ACCOUNT_ID="a",
                DATABRICKS_HOST="https://d.example",
                SNOWFLAKE_ACCOUNT="s",
            )
            first = next(iter(found.providers))
            shared = name in ("zai-coding", "qwen-coding") and first in ("zai", "dashscope")
            assert first == name or shared
            assert len(found.providers) == 1
            assert found.providers[first].ready
            assert secrets[key] == CANARY
            assert not found.demo

    def test_several_are_in_the_order_of_the_presets_and_the_first_variable_wins(self, house: House) -> None:
        found, secrets = house.load(
            None, None, GROQ_API_KEY="g", OPENAI_API_KEY="o", MOONSHOTAI_API_KEY="2", MOONSHOT_API_KEY="1"
        )
        assert list(found.providers) == ["openai", "moonshot", "groq"]
        assert found.providers["moonshot"].template.key == "MOONSHOT_API_KEY"
        assert "MOONSHOTAI_API_KEY" not in secrets

    def test_an_empty_variable_is_none(self, house: House) -> None:
        assert house.load(None, None, OPENAI_API_KEY="")[0].demo

    def test_a_file_without_providers_does_not_change_it(self, house: House) -> None:
        assert house.load("server: {port: 1}\n")[0].demo
        found, _ = house.load("models: {sonnet: groq/x}\n", None, OPENAI_API_KEY="o")
        assert list(found.providers) == ["openai", "groq"]

    def test_an_account_is_needed_where_the_address_has_one(self, house: House) -> None:
        assert house.load(None, None, CLOUDFLARE_API_KEY="c")[0].demo

    def test_a_local_server_is_active_when_its_address_is_given(self, house: House) -> None:
        found, secrets = house.load(None, None, VLLM_BASE_URL="http://gpu:8000/v1")
        assert list(found.providers) == ["vllm"]
        template = found.providers["vllm"].template
        assert (template.base_url, template.auth, template.key) == ("http://gpu:8000/v1", "none", None)
        found, secrets = house.load(None, None, VLLM_BASE_URL="http://gpu:8000/v1", VLLM_API_KEY=CANARY)
        assert found.providers["vllm"].template.auth == "bearer"
        assert secrets["VLLM_API_KEY"] == CANARY

    def test_a_key_that_is_no_key(self, house: House) -> None:
        found, secrets = house.load(None, None, OPENAI_API_KEY=CANARY + "\n")
        assert not found.providers["openai"].ready
        assert "OPENAI_API_KEY begins or ends with white space" in found.providers["openai"].why
        assert "OPENAI_API_KEY" not in secrets
        assert not found.demo


class TestWhere:
    def test_the_order_of_files(self, house: House, tmp_path: Path) -> None:
        user = house.home / ".config" / "dragoman"
        user.mkdir(parents=True)
        if os.name == "nt":
            pytest.skip("the user's folder is elsewhere on Windows")
        (user / "dragoman.yaml").write_text("server: {port: 1}", "utf-8")
        assert house.load()[0].server.port == 1
        house.file.write_text("server: {port: 2}", "utf-8")
        assert house.load()[0].server.port == 2
        (house.folder / "other.yaml").write_text("server: {port: 3}", "utf-8")
        found, _ = house.load(None, None, DRAGOMAN_CONFIG="other.yaml")
        assert found.server.port == 3
        assert found.sources[0] == str(house.folder / "other.yaml")
        (tmp_path / "third.yaml").write_text("server: {port: 4}", "utf-8")
        assert house.load(None, tmp_path / "third.yaml", DRAGOMAN_CONFIG="other.yaml")[0].server.port == 4
        (tmp_path / "xdg" / "dragoman").mkdir(parents=True)
        house.file.unlink()
        assert house.load(None, None, XDG_CONFIG_HOME=str(tmp_path / "xdg"))[0].server.port == 8082

    def test_a_file_that_was_asked_for_must_be_there(self, house: House, tmp_path: Path) -> None:
        (told,) = house.problems(None, tmp_path / "none.yaml")
        assert told.endswith("none.yaml: there is no such file (--config names it).")
        (told,) = house.problems(None, None, DRAGOMAN_CONFIG="none.yaml")
        assert told.endswith("there is no such file (DRAGOMAN_CONFIG names it).")

    def test_a_folder_is_no_file(self, house: House) -> None:
        house.file.mkdir()
        (told,) = house.problems()
        assert "cannot be read: " in told

    @pytest.mark.failure(157)
    def test_the_users_folder(self) -> None:
        home = Path("/home/u")
        assert config.user_folder({}, home, windows=False) == home / ".config/dragoman"
        assert config.user_folder({"XDG_CONFIG_HOME": "/x"}, home, windows=False) == Path("/x/dragoman")
        assert config.user_folder({"XDG_CONFIG_HOME": "x"}, home, windows=False) == home / ".config/dragoman"
        assert config.user_folder({"APPDATA": "/a"}, home, windows=True) == Path("/a/dragoman")
        assert config.user_folder({}, home, windows=True) == home / "AppData/Roaming/dragoman"

    def test_the_environment_of_the_process_is_neither_read_nor_changed(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DRAGOMAN_PORT", "9999")
        monkeypatch.setenv("OPENAI_API_KEY", CANARY)
        before = dict(os.environ)
        (house.folder / ".env").write_text("DRAGOMAN_HOST=::1\nNEW=1\n", "utf-8")
        found, _ = house.load()
        assert (found.server.host, found.server.port, found.demo) == ("::1", 8082, True)
        assert dict(os.environ) == before


class TestLayers:
    def test_the_environment_wins_over_dotenv_and_both_over_the_file(self, house: House) -> None:
        (house.folder / ".env").write_text(
            f"DRAGOMAN_PORT=2\nDRAGOMAN_LOG_LEVEL=debug\nOPENAI_API_KEY={CANARY}\nGROQ_API_KEY=x\n", "utf-8"
        )
        found, secrets = house.load(
            "server: {port: 1, host: 127.0.0.2}\nlogs: {level: error, format: json}\n",
            None,
            DRAGOMAN_PORT="3",
            GROQ_API_KEY="y",
        )
        assert (found.server.port, found.server.host) == (3, "127.0.0.2")
        assert found.logs == Logs(level="debug", format="json")
        assert secrets["OPENAI_API_KEY"] == CANARY
        assert secrets["GROQ_API_KEY"] == "y"
        assert found.sources == (str(house.file), str(house.folder / ".env"), "environment")

    def test_variables_stand_for_numbers_and_choices_too(self, house: House) -> None:
        found, _ = house.load('strict: "${F:-true}"\nserver: {port: "${P}", read_idle: "${I:-5}"}\n', None, P="9")
        assert (found.server.port, found.strict, found.server.read_idle) == (9, True, 5.0)

    def test_a_token(self, house: House) -> None:
        assert house.load('server: {auth_token: "${T}"}', None, T=CANARY)[0].server.auth_token == CANARY
        assert house.load("", None, DRAGOMAN_AUTH_TOKEN="a${b}c")[0].server.auth_token == "a${b}c"

    def test_strict_reaches_every_target(self, house: House) -> None:
        found, _ = house.load("strict: true\nproviders: {groq: {}}\nmodels: {x: cerebras/y}\n")
        assert found.strict
        assert [provider.template.strict for provider in found.providers.values()] == [True, True]

    def test_sections_and_settings_may_be_empty(self, house: House) -> None:
        assert house.load("server: {port: }\nlogs:\n  level:\n")[0].server.port == 8082
        found, _ = house.load("server:\nlogs:\nproviders:\nmodels:\nstrict:\n")
        assert found.demo


@pytest.mark.failure(150)
class TestProxies:
    def test_both_cases_and_all(self, house: House) -> None:
        found, _ = house.load(None, None, HTTPS_PROXY="http://a:1", https_proxy="http://b:1", NO_PROXY="x.example, .y")
        assert found.proxies == {"https": "http://b:1"}
        assert found.no_proxy == ("x.example", ".y")
        found, _ = house.load(None, None, ALL_PROXY="http://c:1", http_proxy="http://d:1")
        assert found.proxies == {"http": "http://d:1", "https": "http://c:1"}
        assert house.load()[0].proxies == {}

    def test_its_password_is_not_shown(self, house: House) -> None:
        found, _ = house.load(None, None, HTTPS_PROXY=f"http://u:{CANARY}@p:1")
        assert found.proxies["https"] == f"http://u:{CANARY}@p:1"
        assert CANARY not in repr(found)


@pytest.mark.failure(136)
def test_no_key_is_ever_shown(house: House) -> None:
    found, secrets = house.load(
        'server: {auth_token: "${T}"}\n'
        'providers: {a: {base_url: "https://a.example", api_key: "${T}", headers: {X-Key: "${T}"}}, openai: {}}\n',
        None,
        T=CANARY,
        OPENAI_API_KEY=CANARY,
    )
    assert CANARY not in repr(found) + str(found) + repr(secrets) + str(secrets)
    assert dict(found.providers["a"].template.headers) == {"x-key": CANARY}


class TestProblems:
    def test_all_are_told_at_once_with_line_and_path(self, house: House) -> None:
        told = house.problems(
            """server: {prt: 1, port: hello, workers: 0}
logs: {level: inf}
sever: {}
providers:
  deepsek: {}
  lab:
    base_url: http://127.0.0.1:9
    api_key: ${LAB_KY}
    quirks: {reasoning_inn: x, files: 3}
  two: {base_url: "ftp://x"}
models:
  opus: depseek/x
""",
            None,
            LAB_KEY=CANARY,
            DRAGOMAN_PORT=CANARY,
        )
        expected = [
            "3: sever: there is no such section. Did you mean `server`?",
            "1: server.prt: there is no such setting. Did you mean `port`? Allowed: host, port, ",
            "1: server.port: expected a whole number from 0 to 65535, found a text.",
            "1: server.workers: expected a whole number, 1 or more, found another one.",
            "2: logs.level: expected one of `debug`, `error`, `info`, found a text. Did you mean `info`?",
            "environment: DRAGOMAN_PORT: expected a whole number from 0 to 65535, found a text.",
            "5: providers.deepsek: there is no preset of this name, and no `base_url`. Did you mean `deepseek`?",
            "8: providers.lab.api_key: LAB_KY is not set.",
            "9: providers.lab.quirks.reasoning_inn: there is no such setting. Did you mean `reasoning_in`?",
            "9: providers.lab.quirks.files: expected true or false, found a whole number.",
            "10: providers.two.base_url: expected a URL that begins with http:// or https://.",
            "12: models.opus: there is no provider of the name before the `/`. Did you mean `deepseek`?",
        ]
        assert len(told) == len(expected)
        for found, start in zip(told, expected, strict=True):
            assert found.startswith(start)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("- a\n", "1: expected a mapping (`name: value` lines), found a list."),
            ("providers: [a]\n", "1: providers: expected a mapping"),
            ("providers: {a: 3}\n", "1: providers.a: expected a mapping"),
            ("models: 3\n", "1: models: expected a mapping"),
            ("strict: perhaps\n", "1: strict: expected true or false, found a text."),
            ("providers: {demo: {}}\n", "1: providers.demo: this name is taken"),
            ("providers: {claude: {}}\n", "1: providers.claude: this name is taken"),
            ("providers: {a/b: {base_url: http://x}}\n", "1: providers.a/b: a provider's name has letters"),
            (
                "providers: {a: {preset: opnai}}\n",
                "1: providers.a.preset: there is no such preset. Did you mean `openai`?",
            ),
            ("providers: {a: {base_url: http://x, auth: basic}}\n", "1: providers.a.auth: expected one of `api-key`"),
            (
                "providers: {a: {base_url: http://x, dialect: latin}}\n",
                "1: providers.a.dialect: expected one of `anthropic`, `chat`, `gemini`, `responses`, found a text.",
            ),
            (
                "providers: {a: {base_url: http://x, state_scope: a.b}}\n",
                "1: providers.a.state_scope: expected a text of",
            ),
            (
                "providers: {a: {base_url: http://x, models: m}}\n",
                "1: providers.a.models: expected a list, each a text",
            ),
            (
                "providers: {a: {base_url: http://x, headers: [m]}}\n",
                "1: providers.a.headers: expected a mapping, found a",
            ),
            ("providers: {a: {base_url: 'http://u:p@x'}}\n", "1: providers.a.base_url: a base URL holds no user"),
            ("providers: {a: {base_url: 'http://x?a=b'}}\n", "1: providers.a.base_url: a base URL has no `?`"),
            ("providers: {a: {base_url: 'http://x:y'}}\n", "1: providers.a.base_url: expected a URL"),
            (
                "providers: {a: {base_url: http://x, facts: {m: {window: 3}}}}\n",
                "1: providers.a.facts.m.window: there is no",
            ),
            (
                "providers: {a: {base_url: http://x, facts: {m: {context: x}}}}\n",
                "1: providers.a.facts.m.context: expected a",
            ),
            (
                "providers: {openai: {quirks: {temperature_limits: 1}}}\n",
                "1: providers.openai.quirks.temperature_limits: ",
            ),
            (
                "providers: {a: {base_url: http://x, facts: {m: {dialect: latin}}}}\n",
                "1: providers.a.facts.m.dialect: expected `chat` or `responses` or `gemini` or `anthropic`.",
            ),
            (
                "providers: {a: {base_url: http://x, quirks: {responses: {stop: named}}}}\n",
                "1: providers.a.quirks.responses.stop: there is no such setting.",
            ),
            ("providers: {a: {base_url: http://x, quirks: 3}}\n", "1: providers.a.quirks: expected a mapping"),
            (
                "providers: {a: {base_url: http://x, api_version: v1}}\n",
                "1: providers.a.api_version: only `azure`, or `preset: azure`, has this setting.",
            ),
            (
                "providers: {openai: {deployments: {a: gpt-5.5}}}\n",
                "1: providers.openai.deployments: only `azure`, or `preset: azure`, has this setting.",
            ),
            (
                "providers: {azure: {deployments: {a: ''}}}\n",
                "1: providers.azure.deployments: needs `name of a deployment: model`.",
            ),
            (
                "providers: {azure: {api_version: '2024'}}\n",
                "1: providers.azure.api_version: is no API version: write a date like 2025-04-01-preview, or `v1`.",
            ),
            (
                "providers: {azure: {base_url: https://ai.azure.com}}\n",
                "1: providers.azure.base_url: is a page of the portal",
            ),
            (
                "providers: {a: {base_url: http://x, auth: entra}}\n",
                "1: providers.a.entra.scope: is missing: only on Azure it is known what tokens are for.",
            ),
            (
                "providers: {a: {base_url: http://x, entra: {client_id: c}}}\n",
                "1: providers.a.entra.scope: is missing",
            ),
            (
                "providers: {azure: {auth: api-key, entra: {client_id: c}}}\n",
                "1: providers.azure.entra: is for `auth: entra`, and `auth: api-key` is set.",
            ),
            (
                "providers: {azure: {entra: {client: c}}}\n",
                "1: providers.azure.entra.client: there is no such setting. Did you mean `client_id`?",
            ),
            ("models: {a: [1]}\n", "1: models.a: expected a text (numbers and dates in quotes), found a whole number."),
            ("models: {a: ''}\n", "1: models.a: names nothing."),
            ("models: {a: []}\n", "1: models.a: names nothing."),
            ("models: {'': groq/x}\n", "1: models.: a name is missing."),
            ("models: {claude/x: groq/x}\n", "1: models.claude/x: `claude/` is taken off"),
            ("models: {fast: groq/x, a: fsat}\n", "1: models.a: leads nowhere: write `provider/model`, or a name that"),
            ("models: {a: b, b: c, c: a}\n", "1: models.a: leads in a circle: a -> b -> c -> a."),
            ("models: {a: a}\n", "1: models.a: leads in a circle: a -> a."),
            ("models: {sonnet: claude-x, claude-*: sonnet}\n", "1: models.sonnet: leads in a circle: "),
            ("models: {a: 'demo/echo'}\n", "1: models.a: there is no provider of the name before the `/`"),
            ("server: {port: 8082, port: 8083}\n", "1: server.port: stands here twice"),
            ("models: {a: '${X}'}\n", "1: models.a: X is not set."),
        ],
    )
    def test_each_kind(self, house: House, text: str, told: str) -> None:
        (problem,) = house.problems(text)
        assert problem.startswith(told)

    def test_values_are_never_told(self, house: House) -> None:
        text = f"""
server: {{host: [{CANARY}], port: {CANARY}, auth_token: {{a: {CANARY}}}}}
logs: {{level: {CANARY}}}
strict: {CANARY}
providers:
  a: {{base_url: "{CANARY}", api_key: ["{CANARY}"], auth: {CANARY}, preset: {CANARY}, headers: {CANARY}}}
  b: {{base_url: "http://u:{CANARY}@x"}}
  azure: {{base_url: "https://u:{CANARY}@x", api_version: "{CANARY}", entra: {{client_secret: ["{CANARY}"]}}}}
  c: {{base_url: http://x, quirks: {{files: {CANARY}, content: "${{K}}", extra_body: {CANARY}}}}}
models: {{a: "{CANARY}", b: "{CANARY}/x", c: "${{K}}", d: "x/${{K}}"}}
"""
        assert len(house.problems(text, None, K=CANARY, DRAGOMAN_LOG_LEVEL=CANARY)) >= 17


NAMES = st.sampled_from(
    [
        "server",
        "port",
        "providers",
        "models",
        "openai",
        "lab",
        "base_url",
        "quirks",
        "facts",
        "files",
        "sonnet",
        "a",
        "*",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99999) | st.floats() | NAMES | st.sampled_from(["${X}", "${", "lab/m"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4).map(yaml.safe_dump) | st.text(max_size=60))
def test_any_file_is_a_configuration_or_a_list_of_problems(text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dragoman.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        refused: ConfigError | None = None
        try:
            config.load(path=path, environ={"K": "1"}, folder=Path(folder), home=Path(folder))
        except ConfigError as error:
            refused = error
    assert refused is None or {problem.file for problem in refused.problems} == {str(path)}


class One:
    def one(self, house: House, entry: str, name: str = "lab", **environ: str) -> tuple[Any, Secrets]:
        found, secrets = house.load(f"providers:\n  {name}: {entry}\n", None, **environ)
        return found.providers[name], secrets


class TestProviders(One):
    def test_without_a_key(self, house: House) -> None:
        lab, secrets = self.one(house, "{base_url: http://127.0.0.1:9/v1/}")
        assert lab.ready
        assert (lab.template.auth, lab.template.key, lab.why) == ("none", None, "needs no key")
        assert lab.template.base_url == "http://127.0.0.1:9/v1"
        assert repr(secrets) == "Secrets()"

    def test_an_address_as_people_paste_it(self, house: House) -> None:
        lab, _ = self.one(house, "{base_url: http://127.0.0.1:9/v1/chat/completions/}")
        assert lab.template.base_url == "http://127.0.0.1:9/v1"

    def test_an_empty_key(self, house: House) -> None:
        lab, _ = self.one(house, '{base_url: "http://127.0.0.1:9", api_key: "${K:-}"}')
        assert (lab.ready, lab.why) == (False, "`api_key` is empty")
        lab, _ = self.one(house, '{preset: openai, api_key: "${K:-}"}', OPENAI_API_KEY="o")
        assert (lab.ready, lab.template.key) == (True, "OPENAI_API_KEY")

    def test_a_way_to_sign_without_a_key(self, house: House) -> None:
        lab, _ = self.one(house, "{base_url: http://127.0.0.1:9, auth: api-key}")
        assert (lab.ready, lab.why) == (False, "`auth: api-key` needs `api_key`")

    def test_a_key_that_is_not_sent(self, house: House) -> None:
        lab, _ = self.one(house, f"{{base_url: http://127.0.0.1:9, api_key: {CANARY}, auth: none}}")
        assert (lab.ready, lab.template.key) == (True, None)

    def test_a_second_one_of_a_preset(self, house: House) -> None:
        lab, secrets = self.one(
            house,
            '{preset: moonshot, api_key: "${WORK}", title: Work, big: kimi-k3, models: [kimi-k3], auth: x-api-key,'
            " quirks: {top_k: true}, headers: {X-Team: a}, state_scope: shared, facts: {kimi-*: {context: 9}}}",
            WORK=CANARY,
            MOONSHOT_API_KEY="other",
        )
        assert (lab.title, lab.preset, lab.big, lab.small, lab.models) == (
            "Work",
            "moonshot",
            "kimi-k3",
            "kimi-k2.6",
            ("kimi-k3",),
        )
        assert lab.template.quirks.top_k
        assert lab.template.quirks.reasoning_echo == "required"
        assert lab.template.base_url == presets()["moonshot"].base_url
        assert lab.template.headers == (("x-team", "a"),)
        assert (lab.template.auth, lab.template.state_scope) == ("x-api-key", "shared")
        assert lab.facts == (("kimi-*", {"context": 9}),)
        assert lab.settled == {"chat": ("top_k",)}
        assert secrets["lab.api_key"] == CANARY

    def test_the_headers_of_a_preset_stay(self, house: House) -> None:
        lab, _ = self.one(house, "{headers: {X-Title: mine, other: o}}", name="openrouter")
        assert dict(lab.template.headers) == {"x-title": "mine", "other": "o"}

    @pytest.mark.failure(134)
    def test_the_only_model_is_the_big_one(self, house: House) -> None:
        lab, _ = self.one(house, "{base_url: http://127.0.0.1:9, models: [only]}")
        assert lab.big == "only"
        lab, _ = self.one(house, "{base_url: http://127.0.0.1:9, models: [one, two]}")
        assert lab.big is None

    @pytest.mark.parametrize(
        ("value", "url"),
        [
            ("10.0.0.5", "http://10.0.0.5:11434/v1"),
            ("10.0.0.5:1", "http://10.0.0.5:1/v1"),
            ("0.0.0.0", "http://127.0.0.1:11434/v1"),
            (":5000", "http://127.0.0.1:5000/v1"),
            ("[::1]:5", "http://[::1]:5/v1"),
            ("http://box", "http://box/v1"),
            ("https://box/ollama/v1/", "https://box/ollama/v1"),
        ],
    )
    def test_forms_of_a_local_address(self, house: House, value: str, url: str) -> None:
        ollama, _ = self.one(house, "{}", name="ollama", OLLAMA_HOST=value)
        assert ollama.template.base_url == url
        assert ollama.ready

    def test_an_address_in_the_environment_that_is_none(self, house: House) -> None:
        ollama, _ = self.one(house, "{}", name="ollama", OLLAMA_HOST="box:port")
        assert (ollama.ready, ollama.why) == (False, "OLLAMA_HOST is not a URL")
        openai, _ = self.one(house, "{}", name="openai", OPENAI_BASE_URL=f"http://u:{CANARY}@x", OPENAI_API_KEY="o")
        assert not openai.ready
        assert openai.why.startswith("OPENAI_BASE_URL is not a URL, or holds a user")
        assert CANARY not in repr(openai)

    def test_an_address_in_the_environment(self, house: House) -> None:
        openai, _ = self.one(house, "{}", name="openai", OPENAI_BASE_URL="http://127.0.0.1:9/v1/", OPENAI_API_KEY="o")
        assert openai.template.base_url == "http://127.0.0.1:9/v1"
        openai, _ = self.one(house, "{base_url: http://x/v1}", name="openai", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
        assert openai.template.base_url == "http://x/v1"

    def test_an_address_with_an_account(self, house: House) -> None:
        databricks, _ = self.one(house, "{}", name="databricks", DATABRICKS_TOKEN="t")
        assert (databricks.ready, databricks.why) == (False, "set DATABRICKS_HOST")
        for host in ("d.example", "https://d.example"):
            databricks, _ = self.one(house, "{}", name="databricks", DATABRICKS_TOKEN="t", DATABRICKS_HOST=host)
            assert databricks.template.base_url == "https://d.example/serving-endpoints"

    def test_quirks_and_facts_may_be_empty(self, house: House) -> None:
        openai, _ = self.one(house, "{quirks: , facts: , models: }", name="openai", OPENAI_API_KEY="o")
        assert (openai.settled, openai.facts) == ({}, ())
        assert openai.models == presets()["openai"].models


class TestLanguages(One):
    """Providers that speak two."""

    def test_a_presets(self, house: House) -> None:
        openai, _ = self.one(house, "{}", name="openai", OPENAI_API_KEY="o")
        assert (openai.template.dialect, openai.dialect) == ("chat", None)
        (other,) = openai.others
        assert (other.dialect, other.base_url, other.key) == ("responses", openai.template.base_url, "OPENAI_API_KEY")
        assert (other.quirks, other.state_scope) == (
            presets()["openai"].typed_quirks("responses"),
            openai.template.state_scope,
        )

    def test_the_users_choice(self, house: House) -> None:
        openai, _ = self.one(house, "{dialect: responses}", name="openai", OPENAI_API_KEY="o")
        assert (openai.dialect, openai.template.dialect, openai.others[0].dialect) == ("responses", "responses", "chat")
        lab, _ = self.one(house, "{base_url: http://x/v1/responses, dialect: responses, quirks: {summaries: false}}")
        assert (lab.template.dialect, lab.template.base_url, lab.others) == ("responses", "http://x/v1", ())
        assert lab.template.quirks == responses.Quirks(summaries=False)
        assert lab.settled == {"responses": ("summaries",)}

    def test_of_one_model(self, house: House) -> None:
        lab, _ = self.one(house, "{base_url: http://x/v1, facts: {new-*: {dialect: responses}, old: {context: 1}}}")
        assert (lab.template.dialect, [each.dialect for each in lab.others]) == ("chat", ["responses"])

    def test_quirks_of_each(self, house: House) -> None:
        entry = "{quirks: {top_k: true, chat: {images: false}, responses: {summaries: false}}}"
        openai, _ = self.one(house, entry, name="openai", OPENAI_API_KEY="o")
        assert (openai.template.quirks.top_k, openai.template.quirks.images) == (True, False)
        assert openai.others[0].quirks.summaries is False
        assert openai.others[0].quirks.files is True
        assert openai.settled == {"chat": ("top_k", "images"), "responses": ("summaries",)}
        lab, _ = self.one(house, "{base_url: http://x/v1, quirks: {responses: }}")
        assert [each.dialect for each in lab.others] == ["responses"]

    def test_a_language_with_an_address_of_its_own(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        two = structs.replace(presets()["xai"], responses=Language(base_url="https://two.example"))
        monkeypatch.setattr("dragoman.config.entries.presets", lambda: {**presets(), "xai": two})
        xai, _ = self.one(house, "{}", name="xai", XAI_API_KEY="x")
        assert (xai.template.base_url, xai.others[0].base_url) == ("https://api.x.ai/v1", "https://two.example")
        xai, _ = self.one(house, "{base_url: http://x}", name="xai", XAI_API_KEY="x")
        assert (xai.template.base_url, xai.others[0].base_url) == ("http://x", "http://x")

    def test_strict_holds_in_each(self, house: House) -> None:
        found, _ = house.load("strict: true\nproviders: {openai: {}}\n")
        openai = found.providers["openai"]
        assert [each.strict for each in (openai.template, *openai.others)] == [True, True]


def test_a_bare_name_may_be_a_destination(house: House) -> None:
    found, _ = house.load("providers: {lab: {base_url: 'http://x', models: [m]}}\nmodels: {a: m, b: claude/lab/n}\n")
    assert dict(found.models) == {"a": Leads.to("m"), "b": Leads.to("claude/lab/n")}


def test_secrets() -> None:
    secrets = Secrets({"B": CANARY, "A": "x"})
    assert repr(secrets) == "Secrets(A, B)"
    assert sorted(secrets.values()) == sorted([CANARY, "x"])


class TestDemo:
    def test_it_serves_every_family(self, house: House) -> None:
        found, _ = house.load()
        shown = config.with_demo(found, "http://127.0.0.1:5/v1/")
        demo = shown.providers["demo"]
        assert demo.ready
        assert demo.models == ("echo", "think", "tools")
        assert dict(shown.models) == {
            "opus": Leads.to("demo/think"),
            "sonnet": Leads.to("demo/tools"),
            "haiku": Leads.to("demo/echo"),
            "fable": Leads.to("demo/think"),
            "mythos": Leads.to("demo/think"),
        }
        assert "simulated" in demo.title.lower()
        assert (demo.template.base_url, demo.template.auth) == ("http://127.0.0.1:5/v1", "none")
        assert shown.demo

    def test_its_state_outlives_its_port(self, house: House) -> None:
        found, _ = house.load()
        scopes = {
            config.with_demo(found, f"http://127.0.0.1:{port}").providers["demo"].template.state_scope
            for port in (1, 2)
        }
        assert len(scopes) == 1


def test_who_gets_what_is_forwarded(house: House) -> None:
    text = "server: {forward_to: %s}\nproviders: {deepseek: {}}\nmodels: {opus: groq/a}\n"
    for name in ("deepseek", "groq", "none", '""'):
        assert house.load(text % name)[0].server.forward_to == name.strip('"')
    assert house.problems(text % "deepsek") == [
        "1: server.forward_to: there is no provider of this name under `providers:`. Did you mean `deepseek`?"
    ]
    assert house.problems(DRAGOMAN_HOST="127.0.0.1", text="server: {forward_to: 5}")[0].startswith(
        "1: server.forward_to"
    )
