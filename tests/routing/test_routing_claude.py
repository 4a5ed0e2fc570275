"""Claude's own names: to a provider of Claude as they are, unless `models:` says something else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import config
from dragoman.config import Config, ConfigError
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.routing import Router

KEYS = {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o", "DEEPSEEK_API_KEY": "d"}
UNMAPPED = Note("changed", "family.unmapped", "model")


def loaded(tmp_path: Path, text: str = "", **environ: str) -> Config:
    (tmp_path / "dragoman.yaml").write_text(text, "utf-8")
    return config.load(path=None, environ=environ, folder=tmp_path, home=tmp_path)[0]


def routed(tmp_path: Path, text: str = "", **environ: str) -> Router:
    return Router(loaded(tmp_path, text, **(environ or KEYS)))


def places(router: Router, name: str) -> list[str]:
    return [f"{target.provider}/{target.model}" for target in router.route(name).targets]


class TestUnmapped:
    @pytest.mark.parametrize(
        "name",
        [
            "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5-20251001", "claude-fable-5-2", "claude-instant-1",
            "claude-sonnet-5", "claude-3-5-sonnet-latest", "claude-9-somebody", "claude-mythos-preview",
        ],
    )  # fmt: skip
    def test_a_name_goes_to_anthropic_as_it_is(self, tmp_path: Path, name: str) -> None:
        router = routed(tmp_path)
        assert places(router, name) == [f"anthropic/{name}"]
        assert router.route(name).notes == ()
        assert router.route(name).steps == (f"{name} goes to anthropic under its own name",)
        (target,) = router.route(name).targets
        assert (target.dialect, target.other) == ("anthropic", None)

    def test_a_familys_word_means_its_current_model(self, tmp_path: Path) -> None:
        router = routed(tmp_path)
        assert places(router, "opus") == ["anthropic/claude-opus-5-5"]
        assert places(router, "Haiku") == ["anthropic/claude-haiku-5-5"]
        assert router.route("sonnet").steps == ("sonnet means claude-sonnet-5-5 at anthropic",)
        own = routed(tmp_path, "providers: {anthropic: {models: [claude-opus-4-8]}}\n")
        assert (places(own, "opus"), places(own, "sonnet")) == (
            ["anthropic/claude-opus-4-8"], ["anthropic/claude-sonnet-5-5"],
        )  # fmt: skip

    def test_what_clients_put_around_a_name_is_taken_off(self, tmp_path: Path) -> None:
        router = routed(tmp_path)
        assert places(router, "claude-opus-5-5[1m]") == ["anthropic/claude-opus-5-5"]
        assert places(router, "claude/claude-opus-5-5") == ["anthropic/claude-opus-5-5"]
        assert places(router, "claude-haiku-4-5@20251001") == ["anthropic/claude-haiku-4-5-20251001"]
        assert places(router, "anthropic/claude-x") == ["anthropic/claude-x"]

    def test_the_order_of_providers_does_not_matter(self, tmp_path: Path) -> None:
        text = "providers: {openai: {}, deepseek: {}, anthropic: {}}\n"
        assert places(routed(tmp_path, text), "claude-sonnet-5-5") == ["anthropic/claude-sonnet-5-5"]

    def test_without_its_key_everything_is_as_ever(self, tmp_path: Path) -> None:
        text = "providers: {anthropic: {}, deepseek: {}}\n"
        router = routed(tmp_path, text, DEEPSEEK_API_KEY="d")
        assert places(router, "claude-sonnet-5-5") == ["deepseek/deepseek-v4-pro"]
        assert places(router, "haiku") == ["deepseek/deepseek-flash"]

    def test_a_vendor_of_messages_is_no_provider_of_claude(self, tmp_path: Path) -> None:
        text = "providers: {openai: {}, deepseek: {dialect: anthropic}}\n"
        assert places(routed(tmp_path, text), "claude-sonnet-5-5") == ["openai/gpt-5.6"]

    def test_callers_with_keys_of_their_own(self, tmp_path: Path) -> None:
        router = routed(tmp_path, "providers: {openai: {}, anthropic: {api_key: caller}}\n", OPENAI_API_KEY="o")
        (target,) = router.route("claude-sonnet-5-5").targets
        assert (target.provider, target.auth, target.key) == ("anthropic", "caller", None)


class TestMapped:
    def test_what_is_mapped_wins(self, tmp_path: Path) -> None:
        router = routed(tmp_path, "models: {haiku: deepseek/deepseek-flash, 'claude-opus-4-*': openai/gpt-5.6}\n")
        assert places(router, "claude-haiku-4-5-20251001") == ["deepseek/deepseek-flash"]
        assert places(router, "claude-opus-4-8") == ["openai/gpt-5.6"]

    def test_families_that_are_not_mapped_stay_with_claude(self, tmp_path: Path) -> None:
        router = routed(tmp_path, "models: {sonnet: deepseek/deepseek-v4-pro}\n")
        route = router.route("claude-opus-5-5")
        assert [(each.provider, each.model) for each in route.targets] == [("anthropic", "claude-opus-5-5")]
        assert route.notes == ()
        without = routed(tmp_path, "models: {sonnet: deepseek/x}\n", DEEPSEEK_API_KEY="d")
        assert without.route("claude-opus-5-5").notes == (UNMAPPED,)

    def test_all_of_them_elsewhere(self, tmp_path: Path) -> None:
        router = routed(tmp_path, "models: {'claude-*': openai/gpt-5.6}\n")
        assert places(router, "claude-sonnet-5-5") == ["openai/gpt-5.6"]


class TestPlatforms:
    @pytest.mark.parametrize(
        ("environ", "place"),
        [
            ({"AWS_BEARER_TOKEN_BEDROCK": "k", "AWS_REGION": "eu-west-1"}, "bedrock/anthropic.claude-haiku-4-5"),
            (
                {"ANTHROPIC_FOUNDRY_API_KEY": "k", "ANTHROPIC_FOUNDRY_RESOURCE": "r"},
                "foundry/claude-haiku-4-5-20251001",
            ),
            ({"ANTHROPIC_VERTEX_PROJECT_ID": "p"}, "anthropic-vertex/claude-haiku-4-5@20251001"),
        ],
    )
    def test_each_is_asked_for_the_name_that_it_has(self, tmp_path: Path, environ: dict[str, str], place: str) -> None:
        router = routed(tmp_path, "", **environ)
        assert places(router, "claude-haiku-4-5-20251001") == [place]
        assert places(router, "haiku")[0].endswith("claude-haiku-5-5")

    def test_anthropic_comes_first(self, tmp_path: Path) -> None:
        environ = {**KEYS, "AWS_BEARER_TOKEN_BEDROCK": "k", "AWS_REGION": "eu-west-1"}
        assert places(routed(tmp_path, "", **environ), "claude-opus-5-5") == ["anthropic/claude-opus-5-5"]

    def test_vertex_serves_its_usual_models_until_it_is_told(self, tmp_path: Path) -> None:
        router = routed(tmp_path, "", VERTEX_PROJECT="p")
        assert places(router, "claude-opus-5-5") == ["vertex/gemini-3.8-flash"]
        (target,) = router.route("vertex/claude-opus-5-5").targets
        assert (target.dialect, target.base_url.rpartition("/")[2]) == ("anthropic", "anthropic")


class TestPassthrough:
    TEXT = "models: {opus: passthrough, sonnet: [passthrough, openai/gpt-5.6], haiku: openai/gpt-5.6-luna}\n"

    def test_claudes_names_go_as_they_are(self, tmp_path: Path) -> None:
        router = routed(tmp_path, self.TEXT)
        assert places(router, "claude-opus-4-8") == ["anthropic/claude-opus-4-8"]
        assert places(router, "opus") == ["anthropic/claude-opus-5-5"]
        assert places(router, "claude-sonnet-5-5") == ["anthropic/claude-sonnet-5-5", "openai/gpt-5.6"]
        assert places(router, "claude-haiku-5-5") == ["openai/gpt-5.6-luna"]
        assert router.route("claude-opus-4-8").steps == (
            "claude-opus-4-8 is of the family opus and goes to passthrough",
            "claude-opus-4-8 goes to anthropic under its own name",
        )

    def test_other_names_are_looked_up_as_if_unmapped(self, tmp_path: Path) -> None:
        router = routed(tmp_path, "models: {'*': passthrough}\n")
        assert places(router, "claude-opus-4-8") == ["anthropic/claude-opus-4-8"]
        assert places(router, "gpt-5.6") == ["openai/gpt-5.6"]
        assert "looked up as if unmapped" in router.route("gpt-5.6").steps[1]
        assert places(router, "deepseek/x") == ["deepseek/x"]
        with pytest.raises(ApiError, match="model: lama is not known here"):
            router.route("lama")

    def test_behind_another_name(self, tmp_path: Path) -> None:
        router = routed(tmp_path, "models: {claude-best: passthrough, opus: deep, deep: passthrough}\n")
        assert places(router, "claude-best") == ["anthropic/claude-best"]
        assert places(router, "claude-opus-4-8") == ["anthropic/claude-opus-4-8"]

    def test_the_preset_is_added_where_nobody_has_claude(self, tmp_path: Path) -> None:
        text = "providers: {openai: {}}\n" + self.TEXT
        assert places(routed(tmp_path, text), "opus") == ["anthropic/claude-opus-5-5"]
        router = routed(tmp_path, text, OPENAI_API_KEY="o")
        assert places(router, "sonnet") == ["openai/gpt-5.6"]
        assert "anthropic is left out: set ANTHROPIC_API_KEY" in router.route("sonnet").steps
        with pytest.raises(ApiError, match="anthropic: set ANTHROPIC_API_KEY"):
            router.route("opus")
        azure = "providers: {azure: {base_url: r}}\nmodels: {opus: passthrough}\n"
        assert "anthropic" in loaded(tmp_path, azure).providers

    def test_a_provider_that_has_claude_beside_others(self, tmp_path: Path) -> None:
        text = "providers: {vertex: {project: p}}\nmodels: {opus: passthrough}\n"
        router = routed(tmp_path, text)
        assert places(router, "claude-opus-4-5-20251101") == ["vertex/claude-opus-4-5@20251101"]
        assert places(router, "opus") == ["vertex/claude-opus-5-5"]
        assert places(router, "claude-haiku-5-5") == ["vertex/claude-haiku-5-5"]  # where opus goes
        assert router.route("claude-haiku-5-5").notes == ()
        both = "providers: {vertex: {project: p}, anthropic: {}}\nmodels: {opus: passthrough}\n"
        assert places(routed(tmp_path, both), "opus") == ["anthropic/claude-opus-5-5"]

    def test_a_word_that_somebody_mapped_is_an_ordinary_one(self, tmp_path: Path) -> None:
        router = routed(tmp_path, "models: {passthrough: openai/gpt-5.6, opus: passthrough}\n")
        assert places(router, "opus") == ["openai/gpt-5.6"]

    def test_a_provider_of_that_name_may_be_somebody_else(self, tmp_path: Path) -> None:
        text = "providers: {anthropic: {preset: openai}}\nmodels: {opus: passthrough}\n"
        with pytest.raises(ConfigError, match=r"models\.opus: needs a provider of Claude"):
            loaded(tmp_path, text, **KEYS)


class TestLists:
    def test_the_table_says_where_claudes_names_go(self, tmp_path: Path) -> None:
        rows = {row.name: row for row in routed(tmp_path).table()}
        assert rows["sonnet"].targets == ("anthropic/claude-sonnet-5-5",)
        assert rows["claude-*"].targets == ("anthropic/claude-*",)
        assert rows["claude-*"].why == "claude-* goes to anthropic under its own name"
        assert "claude-*" not in {row.name for row in routed(tmp_path, "", OPENAI_API_KEY="o").table()}
        mapped = {row.name: row for row in routed(tmp_path, "models: {'claude-*': passthrough}\n").table()}
        assert mapped["claude-*"].targets == ("anthropic/claude-*",)

    def test_models_of_claude_are_listed_under_their_own_names(self, tmp_path: Path) -> None:
        router = routed(tmp_path)
        listed = {each.id: each for each in router.listing()}
        assert listed["claude-sonnet-5-5"].display_name == "anthropic/claude-sonnet-5-5"
        assert "claude/anthropic/claude-sonnet-5-5" not in listed
        assert "claude/openai/gpt-5.6" in listed
        assert all(router.find(name) == each for name, each in listed.items())

    def test_unless_the_name_leads_elsewhere(self, tmp_path: Path) -> None:
        router = routed(tmp_path, "models: {sonnet: openai/gpt-5.6}\n")
        listed = {each.id for each in router.listing()}
        assert {"claude-opus-5-5", "claude/anthropic/claude-sonnet-5-5"} <= listed
        assert "claude-sonnet-5-5" not in listed
        text = "providers: {anthropic: {}, groq: {}}\nmodels: {sonnet: groq/x}\n"
        listed = {each.id for each in routed(tmp_path, text).listing()}
        assert "claude/anthropic/claude-sonnet-5-5" in listed  # the name itself has no ready provider


ROUTER = Router(
    config.load(
        path=None, environ=KEYS, folder=Path("/nonexistent-folder"), home=Path("/nonexistent-folder")
    )[0]
)  # fmt: skip


@given(st.from_regex(r"claude-[a-z0-9]{1,9}(-[0-9]{1,2}){0,2}(-20[0-9]{6})?", fullmatch=True))
def test_every_name_of_claude_keeps_its_bytes(name: str) -> None:
    """No alias: the request goes on byte for byte."""
    (target,) = ROUTER.route(name).targets
    assert (target.provider, target.model) == ("anthropic", name)
