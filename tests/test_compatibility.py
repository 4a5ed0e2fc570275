"""The compatibility page is written from what the dialects really do. `UPDATE_DOCS=1` writes it again."""

import os
from pathlib import Path

import msgspec
import pytest

from dragoman.config import load
from dragoman.dialects import DIALECTS
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode
from dragoman.messages.unknown import fields
from dragoman.routing.router import Router
from features import FEATURES, body

PAGE = Path(__file__).parent.parent / "docs" / "compatibility.md"

# Column -> what the caller asks for; every dialect has at least one.
COLUMNS = {
    "Chat Completions, any server": "lab/some-model",
    "Chat Completions, OpenAI": "openai/gpt-4.1",
    "Chat Completions, DeepSeek": "deepseek/deepseek-v4-pro",
    "Chat Completions, OpenRouter": "openrouter/qwen/qwen3-coder",
    "Responses, OpenAI": "openai/gpt-5.5",
    "Gemini, AI Studio": "gemini/gemini-3.1-pro-preview",
    "Gemini, Vertex AI": "vertex/gemini-3.1-pro-preview",
    "Gemini 2.5, AI Studio": "gemini/gemini-2.5-flash",
    "Messages, Anthropic": "anthropic/claude-sonnet-5-5",
    "Messages, DeepSeek": "native/deepseek-v4-pro",
}

HEAD = """# What works where

Written by the tests (`UPDATE_DOCS=1 .venv/bin/pytest tests/test_compatibility.py`): every cell is what dragoman does.

- **yes**: carried over.
- **other form**: the model sees it in other words, or the answer may behave differently; the notes say how.
- **partly lost**: something does not reach the model; the notes say what.
- **ignored**: not carried over, and without effect on the answer.
- **refused**: a clear 400 that names the field, because leaving it out would change the meaning.

The notes are the codes that the log line and the header `x-dragoman-notes` show. `dragoman explain` prints them for any
request. Settings of a provider ([quirks](quirks.md)) change what it can do.

"""


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    folder = tmp_path_factory.mktemp("compatibility")
    (folder / "dragoman.yaml").write_text(
        "providers:\n  lab: {dialect: chat, base_url: 'http://127.0.0.1:9/v1'}\n"
        "  openai: {api_key: k}\n  deepseek: {api_key: k}\n  openrouter: {api_key: k}\n"
        "  gemini: {api_key: k}\n  vertex: {project: p}\n"
        "  anthropic: {api_key: k}\n  native: {preset: deepseek, dialect: anthropic, api_key: k}\n",
        "utf-8",
    )
    config, _ = load(path=None, environ={}, folder=folder, home=folder)
    router = Router(config)
    return {column: router.route(name).targets[0] for column, name in COLUMNS.items()}


WORDS = {"lost": "partly lost", "changed": "other form", "ignored": "ignored"}


def cell(target: Target, title: str) -> str:
    request = decode(msgspec.json.encode(body(title)))
    try:
        call = DIALECTS[target.dialect].call(request, target)
    except ApiError as error:
        return "refused" if error.status == 400 else f"error {error.status}"
    notes = [*call.notes, *(() if call.relays else fields(request.raw))]
    for grade, word in WORDS.items():
        codes = sorted({note.code for note in notes if note.grade == grade})
        if codes:
            return f"{word}: `{'`, `'.join(codes)}`"
    return "yes"


def test_the_page_says_what_the_dialects_do(targets: dict[str, Target]) -> None:
    assert {target.dialect for target in targets.values()} == set(DIALECTS)
    rows = [f"| {title} | {' | '.join(cell(target, title) for target in targets.values())} |" for title in FEATURES]
    table = [f"| | {' | '.join(targets)} |", "|---|" + "---|" * len(targets), *rows]
    page = HEAD + "\n".join(table) + "\n"
    if os.environ.get("UPDATE_DOCS") == "1":
        PAGE.write_text(page, "utf-8")
    assert PAGE.read_text("utf-8") == page
