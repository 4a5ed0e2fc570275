"""Several keys, weights, and what is asked about longer conversations."""

from pathlib import Path

import pytest

from dragoman import config
from dragoman.config import Config, ConfigError, Leads, Origins, Secrets, as_yaml

CANARY = "sk-canary-0123456789"
LAB = "providers: {lab: {base_url: 'http://x', api_keys: ['${A}', '${B:-}', '${C}']}}\n"


def read(folder: Path, text: str, **environ: str) -> tuple[Config, Secrets]:
    (folder / "dragoman.yaml").write_text(text, "utf-8")
    return config.load(path=None, environ=environ, folder=folder, home=folder)


def loaded(folder: Path, text: str, **environ: str) -> Config:
    return read(folder, text, **environ)[0]


def refused(folder: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, **environ)
    assert CANARY not in str(caught.value)
    return str(caught.value)


class TestKeys:
    def test_each_is_a_secret_of_its_own(self, tmp_path: Path) -> None:
        found, secrets = read(tmp_path, LAB, A=CANARY + "a", B=CANARY + "b", C=CANARY + "c")
        lab = found.providers["lab"]
        assert lab.keys == ("lab.api_keys[0]", "lab.api_keys[1]", "lab.api_keys[2]")
        assert [secrets[key] for key in lab.keys] == [CANARY + letter for letter in "abc"]
        assert (lab.ready, lab.template.key, lab.template.auth) == (True, lab.keys[0], "bearer")
        assert CANARY not in repr(found)

    def test_those_that_cannot_be_used_are_left_out_and_told(self, tmp_path: Path) -> None:
        lab = loaded(tmp_path, LAB, A=CANARY, C=" ").providers["lab"]
        assert lab.keys == ("lab.api_keys[0]",)
        assert lab.why.startswith("1 of 3 keys in")
        assert "api_keys[1] is empty" in lab.why
        assert "api_keys[2] begins or ends with white space" in lab.why

    def test_with_none_left_it_is_not_ready(self, tmp_path: Path) -> None:
        lab = loaded(tmp_path, "providers: {openai: {api_keys: ['', '']}}\n").providers["openai"]
        assert (lab.ready, lab.keys, lab.template.key) == (False, (), "openai.api_keys[0]")

    def test_of_a_preset_with_headers_of_its_own(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, "providers: {gemini: {api_keys: [a, b]}, vertex: {api_keys: [c, d], project: p-1}}\n")
        assert found.providers["gemini"].template.auth == "x-goog-api-key"
        assert found.providers["vertex"].template.auth == "x-goog-api-key"

    @pytest.mark.parametrize(
        ("entry", "words"),
        [
            ("{api_keys: [a], api_key: b}", "stands beside `api_key`"),
            (f"{{api_keys: [{CANARY}, b, {CANARY}]}}", "has the same key twice"),
            ("{api_keys: [a], auth: none}", "goes not with `auth: none`"),
            ("{api_keys: [a], entra: {scope: s}}", "goes not with `auth: entra`"),
            ("{api_keys: [caller]}", "`caller` is for `api_key`"),
            ("{api_keys: a}", "expected a list"),
            ("{connections: -1}", "expected a whole number"),
        ],
    )
    def test_what_does_not_fit(self, tmp_path: Path, entry: str, words: str) -> None:
        assert words in refused(tmp_path, f"providers: {{lab: {{base_url: 'https://x', {entry[1:]}}}\n")

    def test_they_are_shown_as_variables(self, tmp_path: Path) -> None:
        text = LAB.replace("${B:-}", "in-the-file")
        environ = {"A": CANARY + "a", "C": CANARY + "c"}
        found, secrets = read(tmp_path, text, **environ)
        problems: list[config.Problem] = []
        seen = config.read(path=None, environ=environ, folder=tmp_path, home=tmp_path, problems=problems)
        shown = as_yaml(Origins(found, secrets, seen))
        assert "api_keys:" in shown
        for name in ("- ${A}", "- ${LAB_API_KEY_2}", "- ${C}"):
            assert name in shown
        assert "in-the-file" not in shown
        assert CANARY not in shown
        (tmp_path / "dragoman.yaml").write_text(shown, "utf-8")
        again = loaded(tmp_path, shown, **environ, LAB_API_KEY_2="in-the-file")
        assert again.providers["lab"].keys == found.providers["lab"].keys


class TestDestinations:
    @pytest.mark.parametrize(
        ("written", "leads"),
        [
            ("lab/a", Leads.to("lab/a")),
            ("[lab/a, lab/b]", Leads.to("lab/a", "lab/b")),
            ("{lab/a: 3, lab/b: 1.5}", Leads(((("lab/a", 3.0), ("lab/b", 1.5)),))),
            ("[{lab/a: 1, lab/b: 1}, lab/c]", Leads(((("lab/a", 1.0), ("lab/b", 1.0)), (("lab/c", 1.0),)))),
            ("{targets: lab/a, overflow: lab/b}", Leads(Leads.to("lab/a").groups, Leads.to("lab/b").groups)),
            (
                "{targets: [lab/a], overflow: [{lab/b: 1, lab/c: 2}]}",
                Leads(Leads.to("lab/a").groups, ((("lab/b", 1.0), ("lab/c", 2.0)),)),
            ),
        ],
    )
    def test_forms(self, tmp_path: Path, written: str, leads: Leads) -> None:
        text = f"providers: {{lab: {{base_url: 'http://x'}}}}\nmodels: {{sonnet: {written}}}\n"
        found, secrets = read(tmp_path, text)
        assert found.models == (("sonnet", leads),)
        problems: list[config.Problem] = []
        seen = config.read(path=None, environ={}, folder=tmp_path, home=tmp_path, problems=problems)
        assert loaded(tmp_path, as_yaml(Origins(found, secrets, seen))).models == found.models

    @pytest.mark.parametrize(
        ("written", "words"),
        [
            ("{lab/a: 0}", "models.sonnet.lab/a: expected"),
            ("{lab/a: much}", "models.sonnet.lab/a: expected a number"),
            ("{'': 1}", "names nothing"),
            ("{}", "names nothing"),
            ("{overflow: lab/a}", "names nothing"),
            ("{targets: lab/a, overflow: []}", "models.sonnet.overflow: names nothing"),
            ("{targets: lab/a, overflw: lab/b}", "there is no such setting. Did you mean `overflow`?"),
            ("{targets: lab/a, overflow: nowhere}", "leads nowhere"),
            ("[{lab/a: 1, nowhere: 1}]", "leads nowhere"),
            ("{targets: lab/a, overflow: sonnet}", "leads in a circle"),
            ("[[lab/a]]", "expected a text"),
        ],
    )
    def test_what_is_wrong(self, tmp_path: Path, written: str, words: str) -> None:
        text = f"providers: {{lab: {{base_url: 'http://x'}}}}\nmodels: {{sonnet: {written}}}\n"
        assert words in refused(tmp_path, text)

    def test_thinking_that_leads_nowhere(self, tmp_path: Path) -> None:
        for written in ("''", "[]", ""):
            assert not loaded(tmp_path, f"providers: {{lab: {{base_url: 'http://x'}}}}\nthinker: {written}\n").thinker

    def test_for_people(self) -> None:
        assert str(Leads(((("a", 3.0), ("b", 0.5)), (("c", 1.0),)))) == "a and b (3:0.5), then c"
        assert not Leads(())

    def test_a_preset_is_added_wherever_it_is_named(self, tmp_path: Path) -> None:
        text = "models: {a: {targets: [{groq/x: 1, openai/y: 1}], overflow: mistral/z}}\n"
        found = loaded(tmp_path, text, GROQ_API_KEY="k", OPENAI_API_KEY="k", MISTRAL_API_KEY="k")
        assert {"groq", "openai", "mistral"} <= set(found.providers)
