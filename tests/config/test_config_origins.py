"""Where values come from, and the one file that says the same."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import structs

from dragoman import config
from dragoman.config import Config, Secrets
from dragoman.config.origins import Origins, as_yaml

KEY = "sk-canary-that-must-stay-hidden"

CASES: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {  # name -> file, `.env`, environment
    "nothing": ("", {}, {}),
    "keys": ("", {"DEEPSEEK_API_KEY": KEY}, {"OPENAI_API_KEY": KEY + "2", "OPENAI_BASE_URL": "lab.example/v1"}),
    "overrides": (
        "server: {port: 1, retries: 3, body_limit: }\nlogs: {format: json}\nstrict: true\n",
        {"DRAGOMAN_PORT": "9000"},
        {"DRAGOMAN_AUTH_TOKEN": KEY, "DRAGOMAN_LOG_LEVEL": "debug"},
    ),
    "file": (
        """
        server: {auth_token: "${MINE}"}
        providers:
          openai: {api_key: "${WORK:-none}", base_url: "${PLACE}"}
          anthropic: {api_key: caller}
          azure: {base_url: my-resource, api_version: , deployments: {big-one: gpt-5.6},
                  entra: {tenant_id: t, client_id: c, client_secret: "${MINE}2"}}
          lab: {base_url: "http://127.0.0.1:9/v1", api_key: "${NO_KEY:-}", models: ["${SECRET_MODEL}", b],
                headers: {x-team: "a b", x-other: "${MINE}"}, quirks: {}, title: "${SECRET_MODEL}",
                facts: {a*: {context: 131072, vision: false}}}
          keyless: {base_url: "http://127.0.0.1:9/v1", api_key: }
          literal: {base_url: "http://127.0.0.1:9/v1", api_key: sk-canary-that-must-stay-hidden-literal}
        models:
          opus: literal/${SECRET_MODEL}
          sonnet: [lab/b, groq/openai/gpt-oss-120b]
          "claude-*": sonnet
        """,
        {},
        {"MINE": KEY, "WORK": KEY + "3", "PLACE": "http://10.0.0.1/v1", "SECRET_MODEL": "m", "GROQ_API_KEY": KEY + "4"},
    ),
    "literal token": ("server: {auth_token: sk-canary-that-must-stay-hidden}", {}, {}),
    "no key": ("models: {opus: openai/gpt-5.6}", {}, {"OPENAI_BASE_URL": "nonsense:x"}),
    "azure": (
        "",
        {},
        {
            "AZURE_OPENAI_AD_TOKEN": KEY,
            "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com",
            "AZURE_OPENAI_API_VERSION": "2024-10-21",
            "AZURE_OPENAI_DEPLOYMENT": "my-gpt",
        },
    ),
    "azure in the file": (
        "providers: {azure: {auth: bearer, api_version: '2024-10-21', deployments: {d: gpt-4.1}}}",
        {},
        {
            "AZURE_OPENAI_AD_TOKEN": KEY,
            "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com",
            "AZURE_OPENAI_API_VERSION": "2024-10-21",
            "AZURE_OPENAI_DEPLOYMENT": "my-gpt",
        },
    ),
    "google": ("", {}, {"GEMINI_API_KEY": KEY, "GEMINI_BASE_URL": "https://gemini.example"}),
    "vertex": ("", {}, {"USE_VERTEX_AUTH": "1", "VERTEX_PROJECT": "proj", "VERTEX_LOCATION": "europe-west4"}),
    "vertex in the file": (
        "providers: {mine: {preset: vertex, project: other, location: global}}",
        {},
        {"VERTEX_PROJECT": "proj", "VERTEX_LOCATION": "europe-west4"},
    ),
    "bedrock": ("", {}, {"AWS_BEARER_TOKEN_BEDROCK": KEY, "AWS_REGION": "eu-west-1"}),
    "local": ("", {}, {"OLLAMA_HOST": "0.0.0.0:11111"}),
    "thinker": ("providers: {openai: {api_key: k}}\nthinker: [openai/o3, openai/o1]", {}, {}),
    "litellm": (
        """
        model_list:
        - {model_name: one, litellm_params: {model: openai/q, api_base: "http://10.0.0.1/v1", api_key: os.environ/MINE}}
        - {model_name: one, litellm_params: {model: groq/r, api_key: os.environ/MINE, rpm: 3}}
        - {model_name: two, litellm_params: {model: azure/s, api_base: "https://r.openai.azure.com",
           api_version: "2024-10-21", api_key: os.environ/NONE}}
        - {model_name: three, litellm_params: {model: replicate/t/u, api_key: os.environ/REPLICATE_API_KEY}}
        general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
        """,
        {"REPLICATE_API_KEY": KEY + "1", "LITELLM_MASTER_KEY": KEY + "2"},
        {"MINE": KEY},
    ),
    "older": ("", {}, {"OPENAI_API_KEY": KEY, "BIG_MODEL": "gpt-4.1", "SMALL_MODEL": "gpt-5", "THINKER_MODEL": "o3"}),
    "older server": ("", {"SERVER_HOST": "localhost"}, {"SERVER_PORT": "8082", "AUTH_TOKEN": KEY, "VERBOSE": "true"}),
    "upstream": (
        "",
        {},
        {
            "UPSTREAM_BASE_URL": "http://10.0.0.1/v1",
            "UPSTREAM_API_KEY": KEY,
            "UPSTREAM_MODEL": "m",
            "OPENAI_API_KEY": KEY,
        },
    ),
    "upstream alone": ("", {}, {"UPSTREAM_BASE_URL": "http://127.0.0.1:9"}),
}


def loaded(folder: Path, environ: dict[str, str], text: str = "") -> tuple[Config, Secrets, Origins]:
    (folder / "dragoman.yaml").write_text(text, "utf-8")
    where: dict[str, Any] = {"path": None, "environ": environ, "folder": folder, "home": folder / "home"}
    found, secrets = config.load(**where)
    return found, secrets, Origins(found, secrets, config.read(**where, problems=[]))


def essence(found: Config, secrets: Secrets) -> Any:
    """The configuration with the keys themselves in place of their labels, and without words about where they were."""

    def made(each: Any) -> Any:
        changes: dict[str, Any] = {
            "why": "",
            "template": opened(each.template),
            "others": tuple(map(opened, each.others)),
        }
        if getattr(each.identity, "secret", None):
            changes["identity"] = structs.replace(each.identity, secret=secrets[each.identity.secret])
        return structs.replace(each, **changes)

    def opened(target: Any) -> Any:
        return structs.replace(target, key=target.key and (target.key in secrets and secrets[target.key]))

    providers = {name: made(each) for name, each in found.providers.items()}
    return list(providers), structs.replace(found, sources=(), providers=providers)


@pytest.mark.parametrize("name", CASES)
def test_one_file_says_the_same(name: str, tmp_path: Path) -> None:
    text, local, environ = CASES[name]
    (tmp_path / ".env").write_text("".join(f"{key}={value}\n" for key, value in local.items()), "utf-8")
    before, secrets, origins = loaded(tmp_path, environ, text)
    made = as_yaml(origins)
    assert KEY not in made
    named = {key: value for key, value in {**local, **environ}.items() if f"${{{key}" in made or f"  - {key}\n" in made}
    for variable, path in origins.invented.items():
        tree: Any = yaml.safe_load(text)
        for step in path.split("."):
            tree = tree[step]
        named[variable] = tree.replace("${MINE}", environ.get("MINE", ""))
    (tmp_path / ".env").unlink()
    after, others, _ = loaded(tmp_path, named, made)
    assert essence(after, others) == essence(before, secrets)


@pytest.mark.parametrize("name", CASES)
def test_keys_are_never_values(name: str, tmp_path: Path) -> None:
    text, local, environ = CASES[name]
    found = list(loaded(tmp_path, {**local, **environ}, text)[2].values())
    assert KEY not in repr(found)
    assert len({value.path for value in found}) == len(found)


def test_every_kind_of_origin(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DRAGOMAN_HOST=localhost\nPLACE=http://10.0.0.1/v1\n", "utf-8")
    text = 'server:\n  retries: 3\nproviders:\n  openai:\n    base_url: "${PLACE}"\nmodels:\n  opus: openai/gpt-5.6\n'
    environ = {"OPENAI_API_KEY": KEY, "DRAGOMAN_PORT": "9"}
    told = {value.path: value for value in loaded(tmp_path, environ, text)[2].values()}
    file = tmp_path / "dragoman.yaml"
    assert told["server", "host"].origin == "DRAGOMAN_HOST in .env"
    assert told["server", "port"].origin == "DRAGOMAN_PORT in the environment"
    assert told["server", "retries"].origin == f"{file}:2"
    assert told["server", "workers"].origin == "default"
    assert told["providers", "openai", "api_key"].origin == "OPENAI_API_KEY in the environment"
    assert told["providers", "openai", "base_url"].origin == f"{file}:5"
    assert told["providers", "openai", "base_url"].shown == "http://10.0.0.1/v1"
    assert told["providers", "openai", "big"].origin == "preset openai"
    assert told["models", "opus"].origin == f"{file}:7"
    assert told["server", "port"].value == 9


def test_older_variables_are_origins_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SERVER_PORT=8082\nBIG_MODEL=gpt-4.1\nTHINKER_MODEL=o3\n", "utf-8")
    environ = {
        "SERVER_HOST": "localhost",
        "AUTH_TOKEN": KEY,
        "VERBOSE": "yes",
        "OPENAI_API_KEY": KEY + "2",
        "UPSTREAM_BASE_URL": "http://127.0.0.1:9/v1",
        "UPSTREAM_API_KEY": KEY + "3",
        "UPSTREAM_MODEL": "some-model",
    }
    told = {value.path: value for value in loaded(tmp_path, environ)[2].values()}
    assert told["server", "host"].origin == "SERVER_HOST in the environment"
    assert told["server", "port"].origin == "SERVER_PORT in .env"
    assert told["server", "auth_token"].origin == "AUTH_TOKEN in the environment"
    assert told["server", "auth_token"].value == "${AUTH_TOKEN}"
    assert told["logs", "level"].origin == "VERBOSE in the environment"
    assert told["logs", "format"].origin == "default"
    assert told["thinker",].origin == "THINKER_MODEL in .env"
    upstream = "providers", "upstream"
    assert told[upstream].origin == "UPSTREAM_BASE_URL in the environment"
    assert told[*upstream, "base_url"].value == "http://127.0.0.1:9/v1"
    assert told[*upstream, "api_key"].origin == "UPSTREAM_API_KEY in the environment"
    assert told[*upstream, "models"].value == ["some-model"]
    assert told[*upstream, "models"].origin == "UPSTREAM_MODEL in the environment"


def test_older_variables_stand_below_all_others(tmp_path: Path) -> None:
    text = "server: {port: 1}\nthinker: openai/o1\n"
    environ = {
        "SERVER_PORT": "2",
        "SERVER_HOST": "a",
        "DRAGOMAN_HOST": "b",
        "THINKER_MODEL": "o3",
        "OPENAI_API_KEY": KEY,
    }
    told = {value.path: value for value in loaded(tmp_path, environ, text)[2].values()}
    assert (told["server", "port"].value, told["server", "port"].origin) == (1, f"{tmp_path / 'dragoman.yaml'}:1")
    assert (told["server", "host"].value, told["server", "host"].origin) == ("b", "DRAGOMAN_HOST in the environment")
    assert (told["thinker",].value, told["thinker",].origin) == ("openai/o1", f"{tmp_path / 'dragoman.yaml'}:2")


def test_a_new_variable_never_has_the_name_of_another(tmp_path: Path) -> None:
    text = (
        "providers: {lab: {base_url: 'http://127.0.0.1:9', api_key: literal}, 3d: {base_url: 'http://x', api_key: y}}"
    )
    made = as_yaml(loaded(tmp_path, {"LAB_API_KEY": "other"}, text)[2])
    assert "api_key: ${LAB_API_KEY_}" in made
    assert "api_key: ${_3D_API_KEY}" in made
    assert "# Set LAB_API_KEY_ to what providers.lab.api_key is now" in made


def test_a_server_beside_the_gateway_keeps_the_names_of_its_variables(tmp_path: Path) -> None:
    _, _, origins = loaded(tmp_path, {"LITELLM_ENVIRONMENT": "REPLICATE_API_KEY", "REPLICATE_API_KEY": KEY})
    made = as_yaml(origins)
    assert KEY not in made
    assert yaml.safe_load(made)["providers"]["litellm"] == {"environment": ["REPLICATE_API_KEY"]}
    assert "# Keep in the environment or in .env: REPLICATE_API_KEY\n" in made
