"""What the models behind the families cannot do is told at the start."""

from pathlib import Path

import pytest

from cli.test_cli_serve import get, served
from clients import scripted, wire_client
from dragoman.cli import lacks
from dragoman.config import Config, load

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}


def loaded(folder: Path, text: str) -> Config:
    (folder / "dragoman.yaml").write_text(text, "utf-8")
    return load(path=None, environ={}, folder=folder, home=folder)[0]


@pytest.mark.failure(164)
@pytest.mark.parametrize(
    ("provider", "missing"),
    [
        ("{preset: openai, api_key: k}", {"gpt-5.5": "web fetch, code execution"}),
        ("{preset: gemini, api_key: k}", {"gemini-3.1-pro-preview": "code execution"}),
        ("{preset: anthropic, api_key: k}", {"claude-sonnet-5-5": ""}),
        ("{preset: deepseek, api_key: k}", {"deepseek-v4-pro": "images, PDF, web search, web fetch, code execution"}),
        (
            "{base_url: 'http://127.0.0.1:9/v1', facts: {x: {tools: false}}}",
            {
                "x": "tools, PDF, web search, web fetch, code execution",
                "y": "PDF, web search, web fetch, code execution",
            },
        ),
    ],
)
def test_by_language_and_by_model(tmp_path: Path, provider: str, missing: dict[str, str]) -> None:
    models = ", ".join(f"lab/{model}" for model in missing)
    found = lacks.lines(loaded(tmp_path, f"providers: {{lab: {provider}}}\nmodels: {{sonnet: [{models}]}}\n"))
    wanted = [f"lab/{model} has no {words}" for model, words in missing.items() if words]
    assert [line for line in found if line.partition(" ")[0].removeprefix("lab/") in missing] == wanted


def test_where_conversations_go_that_are_too_long(tmp_path: Path) -> None:
    text = (
        "providers:\n"
        "  lab: {preset: openai, api_key: k}\n"
        "  large: {base_url: 'http://127.0.0.1:9/v1', facts: {y: {tools: false}}}\n"
        "models: {sonnet: {targets: [lab/gpt-5.5], overflow: [large/y]}}\n"
    )
    found = lacks.lines(loaded(tmp_path, text))
    assert "large/y has no tools, PDF, web search, web fetch, code execution" in found


def test_nothing_where_nothing_can_be_asked(tmp_path: Path) -> None:
    assert lacks.lines(Config(demo=True)) == []
    assert lacks.lines(loaded(tmp_path, "providers: {deepseek: {}}\n")) == []


@pytest.mark.failure(164)
def test_it_is_said_at_the_start_and_to_who_asks_all_the_same(tmp_path: Path) -> None:
    with scripted.serving(lambda _: scripted.words("Hello.")) as upstream:
        text = f"providers: {{lab: {{base_url: {upstream.url!r}}}}}\nmodels: {{sonnet: lab/x}}\n"
        (tmp_path / "dragoman.yaml").write_text(text, "utf-8")
        with served(tmp_path, "--port", "0") as running:
            url = running.url()
            assert get(url)[0] == 200
            assert "Note: lab/x has no PDF, web search, web fetch, code execution" in running.said()
            reply = wire_client.message(url, tools=[SEARCH])
    assert reply.status == 400
    assert "upstream can run none of them" in reply.body["error"]["message"]
    assert not upstream.requests
