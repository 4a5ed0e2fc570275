"""Model name -> route."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import config
from dragoman.config import Config, Leads, Provider
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.routing import Listed, Route, Router
from dragoman.routing.router import CACHE_LIMIT

CANARY = "sk-canary-0123456789"
UNMAPPED = Note("changed", "family.unmapped", "model")

FILE = """
providers:
  deepseek: {}
  lab: {base_url: "http://127.0.0.1:9/v1", models: [one, shared], quirks: {top_k: true}, facts: {one: {context: 1000}}}
  den: {base_url: "http://127.0.0.1:8/v1", models: [two, "shared", "qwen3:8b"]}
  cold: {preset: groq}
models:
  opus: deepseek/deepseek-v4-pro
  sonnet: lab/one
  haiku: den/two
  claude-special: den/special
  "gpt-*": sonnet
  fast: [cold/openai/gpt-oss-120b, lab/one, den/two, lab/one]
  frozen: [cold/a, cerebras/b]
  deep: fast
  loner: two
"""


PIECES = ("claude", "-", "/", "opus", "haiku", "4-8", "[1m]", "@2025", "lab", "one", " ", "*", "gpt-", ".", "anthropic")
LAB = Target(provider="lab", dialect="chat", base_url="http://127.0.0.1:9", model="", quirks=Quirks(), auth="none")
SETTLED = Router(
    Config(
        providers={"lab": Provider(name="lab", title="Lab", ready=True, why="", models=("one",), template=LAB)},
        models=(("opus", Leads.to("lab/big")), ("gpt-*", Leads.to("one")), ("claude-*", Leads.to("opus"))),
    )
)


def loaded(tmp_path: Path, text: str = "", **environ: str) -> Config:
    (tmp_path / "dragoman.yaml").write_text(text, "utf-8")
    return config.load(path=None, environ=environ, folder=tmp_path, home=tmp_path)[0]


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return Router(loaded(tmp_path, FILE, DEEPSEEK_API_KEY=CANARY))


def places(route: Route) -> list[str]:
    return [f"{target.provider}/{target.model}" for target in route.targets]


def refused(router: Router, name: str, kind: str = "not_found") -> str:
    with pytest.raises(ApiError) as caught:
        router.route(name)
    assert caught.value.kind == kind
    return caught.value.message


@pytest.mark.failure(112)
@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("sonnet", ["lab/one"]),
        ("claude-special", ["den/special"]),
        ("lab/whatever", ["lab/whatever"]),
        ("lab/a/b:c", ["lab/a/b:c"]),
        ("gpt-4o", ["lab/one"]),
        ("claude-opus-4-8", ["deepseek/deepseek-v4-pro"]),
        ("claude-opus-4-5@20251101", ["deepseek/deepseek-v4-pro"]),
        ("claude-sonnet-4-5-20250929", ["lab/one"]),
        ("claude-3-5-haiku-20241022", ["den/two"]),
        ("claude-opus-4-8[1m]", ["deepseek/deepseek-v4-pro"]),
        ("two", ["den/two"]),
        ("qwen3:8b", ["den/qwen3:8b"]),
        ("claude/lab/one", ["lab/one"]),
        ("claude/den/qwen3:8b", ["den/qwen3:8b"]),
        ("claude/loner", ["den/two"]),
        ("claude/claude-special", ["den/special"]),
        ("fast", ["lab/one", "den/two"]),
        ("deep", ["lab/one", "den/two"]),
        ("loner", ["den/two"]),
    ],
)
def test_where_names_go(router: Router, name: str, where: list[str]) -> None:
    route = router.route(name)
    assert places(route) == where
    assert route.requested == name
    assert route.steps
    assert not [note for note in route.notes if note.grade != "ignored"]


def test_a_route_explains_itself(router: Router) -> None:
    assert router.route("claude/gpt-4o[1m]").steps == (
        "claude/gpt-4o[1m] is read as gpt-4o",
        "gpt-4o fits gpt-* and goes to sonnet",
        "sonnet goes to lab/one",
        "lab is asked for one",
    )
    assert router.route("claude/gpt-4o[1m]").notes == (Note("ignored", "model.context_suffix", "model"),)
    assert router.route("deep").steps[-1] == "cold is left out: set GROQ_API_KEY"


@pytest.mark.failure(112, 134, 177)
@pytest.mark.parametrize("name", ["claude-fable-5-2", "mythos", "claude-instant-1", "claude-sonnetto-1"])
def test_a_family_that_nobody_mapped_takes_sonnets_target_and_says_so(router: Router, name: str) -> None:
    route = router.route(name)
    assert places(route) == ["lab/one"]
    assert route.notes == (UNMAPPED,)
    assert "is not mapped and goes where sonnet goes" in route.steps[0]


@given(st.text(max_size=40) | st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
def test_every_name_has_a_route_or_an_error_that_can_be_told(name: str) -> None:
    if SETTLED.find(name) is None:
        assert "model: " in refused(SETTLED, name)
        return
    route = SETTLED.route(name)
    assert route.targets
    assert route.steps
    if not name.startswith("claude/"):
        assert SETTLED.route(f"claude/{name}").targets == route.targets


class TestNowhere:
    @pytest.mark.failure(112)
    def test_what_exists_is_listed(self, router: Router) -> None:
        told = refused(router, "lama")
        assert "model: lama is not known here." in told
        for name in ("opus", "gpt-*", "fast", "fable", "lab/one", "lab/*", "den/qwen3:8b"):
            assert name in told
        assert "cold/" not in told

    def test_something_close_is_offered(self, router: Router) -> None:
        assert "Did you mean `claude-special`?" in refused(router, "claud-special")

    def test_a_name_that_two_offer(self, router: Router) -> None:
        told = refused(router, "shared")
        assert told == "model: shared is offered by several providers. Ask for lab/shared or den/shared."

    def test_a_provider_that_is_known_but_not_active(self, router: Router) -> None:
        told = refused(router, "openai/gpt-5")
        assert "The provider openai is not active. Set OPENAI_API_KEY, or add `openai: {}`" in told
        assert "not active. Add `ollama: {}`" in refused(router, "ollama/qwen3:8b")

    def test_a_provider_nobody_knows(self, router: Router) -> None:
        assert "not known here" in refused(router, "nowhere/x")

    @pytest.mark.parametrize("name", ["cold/x", "frozen"])
    def test_a_provider_without_its_key(self, router: Router, name: str) -> None:
        told = refused(router, name, "upstream_authentication")
        assert "cold: set GROQ_API_KEY" in told
        assert ("cerebras: set CEREBRAS_API_KEY" in told) is (name == "frozen")

    def test_a_missing_key_is_not_worth_a_retry(self, router: Router) -> None:
        with pytest.raises(ApiError) as caught:
            router.route("cold/x")
        assert caught.value.retryable is False

    def test_a_long_name_is_cut(self, router: Router) -> None:
        assert len(refused(router, "x" * 100_000)) < 3000

    def test_no_model_for_the_families(self, tmp_path: Path) -> None:
        router = Router(loaded(tmp_path, "providers: {lab: {base_url: 'http://127.0.0.1:9', models: [a, b]}}"))
        assert "Add `models: {sonnet: provider/model}`" in refused(router, "claude-opus-5")
        assert "opus" not in refused(router, "gpt")

    def test_no_provider_is_ready(self, tmp_path: Path) -> None:
        router = Router(loaded(tmp_path, "providers: {openai: {}}"))
        assert "There is: nothing; no provider is ready." in refused(router, "gpt")
        assert "openai: set OPENAI_API_KEY" in refused(router, "claude-opus-5", "upstream_authentication")

    def test_many_names_are_cut(self, tmp_path: Path) -> None:
        names = ", ".join(f"m{n}" for n in range(60))
        router = Router(loaded(tmp_path, f"providers: {{lab: {{base_url: 'http://127.0.0.1:9', models: [{names}]}}}}"))
        assert " and 31 more." in refused(router, "zzz")


@pytest.mark.failure(134)
class TestWithoutModels:
    def test_big_and_small_of_the_first_active_provider(self, tmp_path: Path) -> None:
        router = Router(
            loaded(tmp_path, "providers: {openai: {}, deepseek: {}, groq: {}}", DEEPSEEK_API_KEY="d", GROQ_API_KEY="g")
        )
        for name in ("claude-opus-4-8", "sonnet", "claude-fable-5-2[1m]", "mythos"):
            assert places(router.route(name)) == ["deepseek/deepseek-v4-pro"]
        for name in ("claude-haiku-4-5-20251001", "claude-3-5-haiku-20241022", "haiku"):
            assert places(router.route(name)) == ["deepseek/deepseek-flash"]
        assert UNMAPPED not in router.route("claude-opus-4-8").notes
        assert router.route("claude-instant-1").notes == (UNMAPPED,)
        assert places(router.route("claude-instant-1")) == ["deepseek/deepseek-v4-pro"]

    def test_a_single_model_serves_all(self, tmp_path: Path) -> None:
        router = Router(loaded(tmp_path, "providers: {lab: {base_url: 'http://127.0.0.1:9', models: [only]}}"))
        for name in ("opus", "claude-haiku-4-5", "claude-7", "only"):
            assert places(router.route(name)) == ["lab/only"]

    def test_only_a_small_model(self, tmp_path: Path) -> None:
        router = Router(loaded(tmp_path, "providers: {lab: {base_url: 'http://127.0.0.1:9', small: tiny}}"))
        assert (
            places(router.route("opus"))
            == places(router.route("haiku"))
            == places(router.route("tiny"))
            == ["lab/tiny"]
        )

    def test_a_provider_without_big_is_passed_over(self, tmp_path: Path) -> None:
        router = Router(loaded(tmp_path, "providers: {ollama: {}, deepseek: {}}", DEEPSEEK_API_KEY="d"))
        assert places(router.route("opus")) == ["deepseek/deepseek-v4-pro"]

    def test_one_mapped_family_serves_the_others(self, tmp_path: Path) -> None:
        router = Router(loaded(tmp_path, "models: {opus: deepseek/x}", DEEPSEEK_API_KEY="d"))
        route = router.route("claude-3-5-haiku-20241022")
        assert places(route) == ["deepseek/x"]
        assert route.notes == (UNMAPPED,)

    def test_other_entries_of_models_leave_the_families_alone(self, tmp_path: Path) -> None:
        router = Router(loaded(tmp_path, "models: {fast: deepseek/x}", DEEPSEEK_API_KEY="d"))
        assert places(router.route("claude-opus-5")) == ["deepseek/deepseek-v4-pro"]

    def test_the_demo(self, tmp_path: Path) -> None:
        router = Router(config.with_demo(loaded(tmp_path), "http://127.0.0.1:5/v1"))
        for name in ("claude-opus-5-5", "claude-haiku-5-5", "sonnet", "demo/echo", "think", "claude/demo/tools"):
            assert router.route(name).targets[0].provider == "demo"
        assert {"claude/demo/echo", "claude/demo/think", "claude/demo/tools"} <= {each.id for each in router.listing()}


@pytest.mark.failure(172)
def test_the_provider_comes_from_the_configuration_and_the_model_is_opaque(router: Router) -> None:
    target = router.route("lab/gpt-5.4").targets[0]
    assert (target.provider, target.model, target.facts.efforts) == ("lab", "gpt-5.4", ())
    assert target.quirks.top_k
    assert router.route("lab/one").targets[0].facts.context == 1000
    assert router.route("opus").targets[0].facts.max_output == 384_000


def test_routes_are_kept_and_their_number_is_bounded(router: Router) -> None:
    first = router.route("lab/0")
    assert router.route("lab/0") is first
    for n in range(CACHE_LIMIT + 5):
        router.route(f"lab/{n}")
    assert router.route("lab/0") is not first
    assert router.route("lab/0") == first
    assert len(router._routes) == CACHE_LIMIT


class TestListing:
    @pytest.mark.failure(111)
    def test_ids_are_what_the_picker_keeps_and_lead_back(self, router: Router) -> None:
        listing = router.listing()
        ids = [listed.id for listed in listing]
        assert len(ids) == len(set(ids))
        assert all(name.startswith("claude") for name in ids)
        assert ids[:4] == ["claude/opus", "claude/sonnet", "claude/haiku", "claude-special"]
        assert {"claude/fast", "claude/lab/one", "claude/den/qwen3:8b", "claude/deepseek/deepseek-flash"} <= set(ids)
        assert "claude/frozen" not in ids
        assert not any("cold" in name or "*" in name for name in ids)
        for listed in listing:
            assert router.route(listed.id).targets
            assert router.find(listed.id) == listed

    def test_an_entry(self, router: Router) -> None:
        entries = {listed.id: listed for listed in router.listing()}
        assert entries["claude/lab/one"] == Listed("claude/lab/one", "lab/one", "1970-01-01T00:00:00Z", 1000, None)
        assert entries["claude/fast"].display_name == "fast (lab/one)"
        assert entries["claude/opus"].max_tokens == 384_000

    @pytest.mark.failure(114)
    @pytest.mark.parametrize("name", ["lab/one", "den/qwen3:8b", "qwen3:8b", "claude-opus-4-8", "claude/lab/a/b:c"])
    def test_every_name_that_works_can_be_found(self, router: Router, name: str) -> None:
        listed = router.find(name)
        assert listed is not None
        assert listed.id == name

    @pytest.mark.parametrize("name", ["lama", "cold/x", "shared"])
    def test_what_does_not_work_is_not_found(self, router: Router, name: str) -> None:
        assert router.find(name) is None


def test_the_table(router: Router) -> None:
    rows = {row.name: row for row in router.table()}
    assert list(rows) == [
        *("opus", "sonnet", "haiku", "claude-special", "gpt-*", "fast", "frozen", "deep", "loner"),
        *("fable", "mythos"),
    ]
    assert rows["fast"].targets == ("lab/one", "den/two")
    assert rows["frozen"].targets == ()
    assert "set GROQ_API_KEY" in rows["frozen"].why
    assert rows["gpt-*"].targets == ("lab/one",)
    assert "goes where sonnet goes" in rows["fable"].why


@pytest.mark.failure(182)
@pytest.mark.parametrize("name", ["sonnet", "claude-haiku-4-5", "claude-sonnet-4-5-20250929", "claude-opus-4-8[1m]"])
def test_the_route_does_not_depend_on_the_kind_of_request(router: Router, name: str) -> None:
    """There is one way from a name to a route, with no other argument: nothing can differ between kinds of request."""
    assert router.route(name) == router.route(name)
    assert [target.model for target in router.route(name).targets] != [name]
    assert Router.route.__code__.co_varnames[: Router.route.__code__.co_argcount] == ("self", "name")


@pytest.mark.failure(136)
def test_no_key_in_what_a_router_says(router: Router) -> None:
    assert CANARY not in repr(router.table()) + repr(router.route("opus")) + repr(router.listing())


@pytest.mark.failure(172, 173)
def test_a_deployment_that_the_configuration_does_not_explain_is_told(tmp_path: Path) -> None:
    text = "providers: {azure: {base_url: my-resource, deployments: {known: gpt-5.5}}}\n"
    router = Router(loaded(tmp_path, text, AZURE_OPENAI_API_KEY=CANARY))
    assert router.route("azure/known").steps == ("azure is asked for known",)
    told = router.route("azure/gpt-5.5").steps[-1]
    assert told.startswith("say which model gpt-5.5 is: `deployments: {gpt-5.5: gpt-...}` under `azure:`")
    # One deployment serves every family; background requests reach no deployment that is not there.
    assert {place for family in ("opus", "sonnet", "haiku") for place in places(router.route(family))} == {
        "azure/known"
    }


def test_a_target_knows_its_other_language(tmp_path: Path) -> None:
    router = Router(loaded(tmp_path, "", OPENAI_API_KEY=CANARY))
    (target,) = router.route("opus").targets
    assert (target.dialect, target.other and target.other.dialect) == ("responses", "chat")
    (target,) = router.route("openai/gpt-4.1").targets
    assert (target.dialect, target.other and target.other.dialect) == ("chat", "responses")


def test_thinking_goes_to_the_thinker_where_claude_is_asked_for(tmp_path: Path) -> None:
    text = FILE + "thinker: [den/deep-one, lab/one]\n"
    router = Router(loaded(tmp_path, text, DEEPSEEK_API_KEY=CANARY))
    assert places(router.route("claude-sonnet-4-5", thinking=True)) == ["den/deep-one", "lab/one"]
    assert places(router.route("haiku", thinking=True)) == ["den/deep-one", "lab/one"]
    assert places(router.route("haiku")) == ["den/two"]
    assert places(router.route("fast", thinking=True)) == places(router.route("fast"))
    assert "is asked to think" in router.route("haiku", thinking=True).steps[0]


def test_a_destination_that_keeps_the_name(tmp_path: Path) -> None:
    text = FILE.replace("loner: two", 'loner: two\n  "*": lab/*')
    router = Router(loaded(tmp_path, text, DEEPSEEK_API_KEY=CANARY))
    assert places(router.route("any-name")) == ["lab/any-name"]
    assert places(router.route("some/name")) == ["lab/some/name"]
    assert places(router.route("den/two")) == ["den/two"]
    assert "mistral" in refused(router, "mistral/large")
