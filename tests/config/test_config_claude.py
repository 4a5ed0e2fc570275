"""Who speaks Messages: addresses, keys of ours and of callers, and Claude's platforms."""

from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.config import Config, ConfigError, Provider, Secrets

CANARY = "canary-0123456789"
KEY = {"ANTHROPIC_API_KEY": CANARY}


def everything(tmp_path: Path, text: str, **environ: str) -> tuple[Config, Secrets]:
    (tmp_path / "dragoman.yaml").write_text(text, "utf-8")
    found, secrets = config.load(path=None, environ=environ, folder=tmp_path, home=tmp_path)
    assert CANARY not in repr(found)
    return found, secrets


def load(tmp_path: Path, name: str, entry: str = "{}", **environ: str) -> Provider:
    return everything(tmp_path, f"providers: {{{name}: {entry}}}\n", **environ)[0].providers[name]


def problem(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        everything(tmp_path, text, **environ)
    (found,) = caught.value.problems
    return str(found).partition("dragoman.yaml:")[2]


def urls(provider: Provider) -> dict[str, str]:
    return {each.dialect: each.base_url for each in (provider.template, *provider.others)}


def signing(provider: Provider) -> tuple[Any, ...]:
    return provider.template.auth, provider.template.key, provider.ready, provider.why


class TestAnthropic:
    def test_a_key_in_the_environment_is_enough(self, tmp_path: Path) -> None:
        found, secrets = everything(tmp_path, "", **KEY, OPENAI_API_KEY="k")
        assert list(found.providers) == ["anthropic", "openai"]
        provider = found.providers["anthropic"]
        assert signing(provider) == ("x-api-key", "ANTHROPIC_API_KEY", True, "ANTHROPIC_API_KEY is set")
        assert (urls(provider), provider.claude) == ({"anthropic": "https://api.anthropic.com"}, "anthropic")
        assert secrets["ANTHROPIC_API_KEY"] == CANARY

    @pytest.mark.failure(140)
    def test_variables_of_clients_lead_nowhere(self, tmp_path: Path) -> None:
        """They hold this gateway's address and its token: reading them would make it call itself."""
        own = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:8082", "ANTHROPIC_AUTH_TOKEN": CANARY}
        assert everything(tmp_path, "", **own)[0].demo
        provider = load(tmp_path, "anthropic", **own)
        assert urls(provider) == {"anthropic": "https://api.anthropic.com"}
        assert signing(provider) == ("x-api-key", "ANTHROPIC_API_KEY", False, "set ANTHROPIC_API_KEY")

    @pytest.mark.parametrize(
        "url",
        [
            "https://proxy.example", "https://proxy.example/", "https://proxy.example/v1", "https://proxy.example/v1/",
            "https://proxy.example/v1/messages", "https://proxy.example/v1/messages/count_tokens", "proxy.example",
        ],
    )  # fmt: skip
    def test_another_address(self, tmp_path: Path, url: str) -> None:
        provider = load(tmp_path, "anthropic", ANTHROPIC_UPSTREAM_BASE_URL=url, **KEY)
        assert urls(provider) == {"anthropic": "https://proxy.example"}
        if "://" in url:
            assert urls(load(tmp_path, "anthropic", f"{{base_url: '{url}'}}", **KEY)) == urls(provider)
            assert urls(load(tmp_path, "lab", f"{{dialect: anthropic, base_url: '{url}'}}")) == urls(provider)

    @pytest.mark.parametrize("end", ["/anthropic", "/anthropic/", "/anthropic/v1", "/anthropic/v1/messages"])
    def test_an_address_may_say_that_it_speaks_messages(self, tmp_path: Path, end: str) -> None:
        provider = load(tmp_path, "lab", f"{{base_url: 'https://llm.example{end}', api_key: k}}")
        assert urls(provider) == {"anthropic": "https://llm.example/anthropic"}
        assert (
            load(tmp_path, "lab", f"{{base_url: 'https://x.example{end}', dialect: chat}}").template.dialect == "chat"
        )

    def test_a_bearer_token_of_anthropic(self, tmp_path: Path) -> None:
        entry = "{auth: bearer, api_key: '${MINE}'}"
        assert signing(load(tmp_path, "anthropic", entry, MINE=CANARY))[:3] == ("bearer", "anthropic.api_key", True)


@pytest.mark.failure(140)
class TestTheGatewaysOwnToken:
    @pytest.mark.parametrize("token", ["dragoman", "dragoman-made-at-the-first-start", "my-own"])
    def test_is_never_a_key(self, tmp_path: Path, token: str) -> None:
        text = "server: {auth_token: my-own}\n"
        found, secrets = everything(tmp_path, text, ANTHROPIC_API_KEY=token, OPENAI_API_KEY="k")
        assert list(found.providers) == ["openai"]
        found, secrets = everything(tmp_path, text + "providers: {anthropic: {}}\n", ANTHROPIC_API_KEY=token)
        why = "ANTHROPIC_API_KEY holds this gateway's own token, and no key"
        assert signing(found.providers["anthropic"])[2:] == (False, why)
        assert "ANTHROPIC_API_KEY" not in secrets

    def test_the_next_variable_may_hold_one(self, tmp_path: Path) -> None:
        provider = load(tmp_path, "gemini", GOOGLE_API_KEY="dragoman", GEMINI_API_KEY=CANARY)
        assert signing(provider)[1:3] == ("GEMINI_API_KEY", True)

    def test_not_even_when_it_is_written_down(self, tmp_path: Path) -> None:
        text = "server: {auth_token: '${T}'}\nproviders: {anthropic: {api_key: '${T}'}}\n"
        provider = everything(tmp_path, text, T=CANARY)[0].providers["anthropic"]
        assert not provider.ready
        assert provider.why.endswith("is this gateway's own token, and no key")
        found = everything(
            tmp_path, "providers: {anthropic: {api_key: '${T}'}}\n", T=CANARY, DRAGOMAN_AUTH_TOKEN=CANARY
        )
        assert not found[0].providers["anthropic"].ready


class TestCallers:
    @pytest.mark.parametrize("environ", [{}, KEY])
    def test_need_no_key_of_ours_and_get_none(self, tmp_path: Path, environ: dict[str, str]) -> None:
        found, secrets = everything(tmp_path, "providers: {anthropic: {api_key: caller}}\n", **environ)
        provider = found.providers["anthropic"]
        assert signing(provider) == ("caller", None, True, "is asked with each caller's own key")
        assert repr(secrets) == "Secrets()"

    def test_other_vendors_of_messages(self, tmp_path: Path) -> None:
        provider = load(tmp_path, "deepseek", "{dialect: anthropic, api_key: caller}", DEEPSEEK_API_KEY=CANARY)
        assert urls(provider) == {"anthropic": "https://api.deepseek.com/anthropic"}  # never in another language
        assert signing(provider)[:3] == ("caller", None, True)
        entry = "{base_url: 'https://llm.example/anthropic', api_key: caller}"
        assert signing(load(tmp_path, "lab", entry))[:3] == ("caller", None, True)

    @pytest.mark.parametrize(
        ("entry", "told"),
        [
            ("openai: {api_key: caller}", "openai.api_key: `caller` is for `dialect: anthropic`"),
            ("lab: {base_url: 'https://x', api_key: caller}", "lab.api_key: `caller` is for `dialect: anthropic`"),
            ("vertex: {api_key: caller}", "vertex.api_key: `caller` is for `dialect: anthropic`"),
            ("anthropic: {api_key: caller, auth: bearer}", "anthropic.auth: goes not with `api_key: caller`"),
            ("foundry: {api_key: caller, entra: {client_id: c}}", "foundry.entra: goes not with `api_key: caller`"),
        ],
    )
    def test_are_for_messages_only(self, tmp_path: Path, entry: str, told: str) -> None:
        assert problem(tmp_path, f"providers: {{{entry}}}\n").startswith(f"1: providers.{told}")

    @pytest.mark.failure(140)
    def test_one_vendors_key_reaches_no_other(self, tmp_path: Path) -> None:
        text = "providers:\n  anthropic: {api_key: caller}\n  moonshot: {dialect: anthropic, api_key: caller}\n"
        told = "3: providers.moonshot.api_key: callers' keys go to anthropic already, and must reach no other host."
        assert problem(tmp_path, text).startswith(told)
        two = "providers: {anthropic: {api_key: caller}, again: {preset: anthropic, api_key: caller}, openai: {}}\n"
        assert len(everything(tmp_path, two)[0].providers) == 3


class TestBedrock:
    @pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
    def test_a_bearer_token_and_a_region(self, tmp_path: Path, variable: str) -> None:
        found, _ = everything(tmp_path, "", AWS_BEARER_TOKEN_BEDROCK=CANARY, **{variable: "eu-west-1"})
        provider = found.providers["bedrock"]
        root = "https://bedrock-mantle.eu-west-1.api.aws"
        assert urls(provider) == {
            "anthropic": f"{root}/anthropic", "chat": f"{root}/v1", "responses": f"{root}/openai/v1",
        }  # fmt: skip
        assert signing(provider)[:3] == ("bearer", "AWS_BEARER_TOKEN_BEDROCK", True)
        assert provider.where == "region eu-west-1"

    def test_a_region_of_the_configuration(self, tmp_path: Path) -> None:
        environ = {"AWS_BEARER_TOKEN_BEDROCK": CANARY, "AWS_REGION": "us-east-1"}
        provider = load(tmp_path, "bedrock", "{location: eu-north-1}", **environ)
        assert provider.template.base_url == "https://bedrock-mantle.eu-north-1.api.aws/anthropic"
        one, two = (
            load(tmp_path, "bedrock", f"{{location: {each}}}", **environ) for each in ("eu-west-1", "eu-west-3")
        )
        assert one.template.state_scope != two.template.state_scope

    def test_what_is_missing_is_told(self, tmp_path: Path) -> None:
        provider = load(tmp_path, "bedrock", AWS_BEARER_TOKEN_BEDROCK=CANARY)
        assert signing(provider)[2:] == (False, "set AWS_REGION or AWS_DEFAULT_REGION")
        provider = load(tmp_path, "bedrock", AWS_REGION="eu-west-1")
        assert signing(provider)[2:] == (False, "set AWS_BEARER_TOKEN_BEDROCK")
        provider = load(tmp_path, "bedrock", AWS_BEARER_TOKEN_BEDROCK=CANARY, AWS_REGION="https://x")
        assert signing(provider)[2:] == (False, "AWS_REGION is no region: write one like eu-west-1")

    def test_another_address_needs_no_region(self, tmp_path: Path) -> None:
        environ = {
            "AWS_BEARER_TOKEN_BEDROCK": CANARY,
            "ANTHROPIC_BEDROCK_MANTLE_BASE_URL": "https://b.example/anthropic",
        }
        provider = load(tmp_path, "bedrock", **environ)
        assert provider.ready
        assert urls(provider) == {
            "anthropic": "https://b.example/anthropic", "chat": "https://b.example/v1",
            "responses": "https://b.example/openai/v1",
        }  # fmt: skip

    def test_others_have_no_region(self, tmp_path: Path) -> None:
        told = problem(tmp_path, "providers: {openai: {location: eu}}\n")
        assert told.startswith("1: providers.openai.location: only `vertex`, or `preset: vertex`, and `bedrock`")


@pytest.mark.failure(174)
class TestFoundry:
    @pytest.mark.parametrize(
        ("environ", "url"),
        [
            ({"ANTHROPIC_FOUNDRY_RESOURCE": "r1"}, "https://r1.services.ai.azure.com/anthropic"),
            ({"ANTHROPIC_FOUNDRY_RESOURCE": "r1.openai.azure.com"}, "https://r1.openai.azure.com/anthropic"),
            (
                {"ANTHROPIC_FOUNDRY_BASE_URL": "https://r1.services.ai.azure.com/anthropic/"},
                "https://r1.services.ai.azure.com/anthropic",
            ),
            ({"ANTHROPIC_FOUNDRY_BASE_URL": "https://gw.example/claude"}, "https://gw.example/claude"),
            (
                {"ANTHROPIC_FOUNDRY_BASE_URL": "https://gw.example/x/anthropic/v1/messages"},
                "https://gw.example/x/anthropic",
            ),
            ({"ANTHROPIC_FOUNDRY_BASE_URL": "https://gw.example/x/v1/messages"}, "https://gw.example/x"),
        ],
    )
    def test_an_address(self, tmp_path: Path, environ: dict[str, str], url: str) -> None:
        found, _ = everything(tmp_path, "", ANTHROPIC_FOUNDRY_API_KEY=CANARY, **environ)
        provider = found.providers["foundry"]
        assert urls(provider) == {"anthropic": url}
        assert signing(provider)[:3] == ("x-api-key", "ANTHROPIC_FOUNDRY_API_KEY", True)

    def test_tokens_of_entra(self, tmp_path: Path) -> None:
        environ = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": CANARY}
        provider = load(tmp_path, "foundry", "{base_url: r1}", **environ)
        assert (provider.template.auth, provider.ready) == ("entra", True)
        assert provider.identity is not None
        assert provider.identity.scope == "https://ai.azure.com/.default"

    def test_claude_beside_others_on_azure(self, tmp_path: Path) -> None:
        entry = "{base_url: r1, deployments: {mine: claude-sonnet-5-5, gpt: gpt-5.6}}"
        provider = load(tmp_path, "azure", entry, AZURE_OPENAI_API_KEY=CANARY)
        assert urls(provider)["anthropic"] == "https://r1.openai.azure.com/anthropic"
        assert {each.dialect: each.auth for each in (provider.template, *provider.others)} == {
            "responses": "api-key", "chat": "api-key", "anthropic": "x-api-key",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("entry", "environ", "auth"),
        [
            ("{base_url: r1, auth: entra}", {}, "entra"),
            ("{base_url: r1}", {"AZURE_OPENAI_AD_TOKEN": CANARY}, "bearer"),
            ("{base_url: r1, auth: bearer}", {"AZURE_OPENAI_API_KEY": CANARY}, "bearer"),
        ],
    )
    def test_a_token_is_sent_as_a_token_in_each_language(
        self, tmp_path: Path, entry: str, environ: dict[str, str], auth: str
    ) -> None:
        provider = load(tmp_path, "azure", entry, **environ)
        assert {each.auth for each in (provider.template, *provider.others)} == {auth}


class TestVertex:
    def test_claudes_own_variables_mean_claude(self, tmp_path: Path) -> None:
        environ = {"ANTHROPIC_VERTEX_PROJECT_ID": "p", "CLOUD_ML_REGION": "europe-west1"}
        found, _ = everything(tmp_path, "", **environ)
        assert list(found.providers) == ["anthropic-vertex"]
        provider = found.providers["anthropic-vertex"]
        url = "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/publishers/anthropic"
        assert urls(provider) == {"anthropic": url}
        assert (provider.template.auth, provider.template.quirks.form) == ("google", "vertex")

    def test_both(self, tmp_path: Path) -> None:
        environ = {"ANTHROPIC_VERTEX_PROJECT_ID": "p", "VERTEX_PROJECT": "q"}
        found = everything(tmp_path, "", **environ)[0].providers
        assert [(each.name, each.where) for each in found.values()] == [
            ("anthropic-vertex", "project p, location global"),
            ("vertex", "project q, location global"),
        ]

    def test_another_address(self, tmp_path: Path) -> None:
        environ = {"ANTHROPIC_VERTEX_PROJECT_ID": "p", "ANTHROPIC_VERTEX_BASE_URL": "https://v.example/v1"}
        provider = load(tmp_path, "anthropic-vertex", **environ)
        url = "https://v.example/v1/projects/p/locations/global/publishers/anthropic"
        assert urls(provider) == {"anthropic": url}

    def test_the_usual_provider_takes_claudes_project_too(self, tmp_path: Path) -> None:
        provider = load(tmp_path, "vertex", ANTHROPIC_VERTEX_PROJECT_ID="p")
        assert provider.where == "project p, location global"


class TestOtherVendors:
    @pytest.mark.parametrize(
        ("name", "url", "auth"),
        [
            ("deepseek", "https://api.deepseek.com/anthropic", "x-api-key"),
            ("moonshot", "https://api.moonshot.ai/anthropic", "bearer"),
            ("kimi-coding", "https://api.kimi.com/coding", "x-api-key"),
            ("zai", "https://api.z.ai/api/anthropic", "bearer"),
            ("zai-coding", "https://api.z.ai/api/anthropic", "bearer"),
            ("bigmodel", "https://open.bigmodel.cn/api/anthropic", "x-api-key"),
            ("minimax", "https://api.minimax.io/anthropic", "x-api-key"),
            ("dashscope", "https://dashscope-intl.aliyuncs.com/apps/anthropic", "x-api-key"),
            ("openrouter", "https://openrouter.ai/api", "bearer"),
            ("vercel", "https://ai-gateway.vercel.sh", "bearer"),
        ],
    )
    def test_speak_messages_when_asked_to(self, tmp_path: Path, name: str, url: str, auth: str) -> None:
        usual = load(tmp_path, name, "{api_key: k}")
        assert usual.template.dialect == "chat"
        found = load(tmp_path, name, "{api_key: k, dialect: anthropic}")
        assert (found.template.dialect, found.template.base_url, found.template.auth) == ("anthropic", url, auth)
        assert found.claude is None
        assert found.template.quirks.repairs == "fields"
        assert urls(found) == urls(usual)

    @pytest.mark.parametrize("name", ["ollama", "lmstudio", "vllm", "sglang", "llamacpp"])
    def test_local_servers_have_it_at_their_root(self, tmp_path: Path, name: str) -> None:
        found = load(tmp_path, name, "{dialect: anthropic}")
        assert found.template.base_url == urls(found)["chat"].removesuffix("/v1")
        moved = load(tmp_path, name, "{dialect: anthropic, base_url: 'http://10.0.0.1:9/v1'}")
        assert (urls(moved)["anthropic"], urls(moved)["chat"]) == ("http://10.0.0.1:9", "http://10.0.0.1:9/v1")

    @pytest.mark.parametrize(
        ("name", "url", "chat", "messages"),
        [
            (
                "dashscope",
                "https://dashscope.aliyuncs.com/compatible-mode/v1",
                "https://dashscope.aliyuncs.com/compatible-mode/v1",
                "https://dashscope.aliyuncs.com/apps/anthropic",
            ),
            (
                "dashscope",
                "https://dashscope.aliyuncs.com/apps/anthropic",
                "https://dashscope.aliyuncs.com/compatible-mode/v1",
                "https://dashscope.aliyuncs.com/apps/anthropic",
            ),
            (
                "minimax",
                "https://api.minimaxi.com/anthropic/v1/messages",
                "https://api.minimaxi.com/v1",
                "https://api.minimaxi.com/anthropic",
            ),
            (
                "minimax",
                "https://api.minimaxi.com/v1",
                "https://api.minimaxi.com/v1",
                "https://api.minimaxi.com/anthropic",
            ),
            ("moonshot", "https://p.example/kimi/v1/", "https://p.example/kimi/v1", "https://p.example/kimi/anthropic"),
            ("deepseek", "https://p.example", "https://p.example", "https://p.example/anthropic"),
            ("deepseek", "https://p.example/anthropic", "https://p.example", "https://p.example/anthropic"),
            ("moonshot", "https://p.example/x", "https://p.example/x", "https://p.example/x"),
            ("openrouter", "https://p.example/api", "https://p.example/api/v1", "https://p.example/api"),
            ("vllm", "http://10.0.0.1:9", "http://10.0.0.1:9", "http://10.0.0.1:9"),
        ],
    )
    def test_all_languages_move_together(self, tmp_path: Path, name: str, url: str, chat: str, messages: str) -> None:
        found = urls(load(tmp_path, name, f"{{base_url: '{url}', api_key: k}}"))
        assert (found["chat"], found["anthropic"]) == (chat, messages)

    def test_the_address_says_which_language_is_meant(self, tmp_path: Path) -> None:
        entry = "{{base_url: 'https://api.deepseek.com{}', api_key: k}}"
        assert load(tmp_path, "deepseek", entry.format("/anthropic")).template.dialect == "anthropic"
        assert load(tmp_path, "deepseek", entry.format("")).template.dialect == "chat"
